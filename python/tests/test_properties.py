"""Shapes, strides, dtypes and axes at random, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from reference import TOLERANCE, error, normalized

import unitvar

ml_dtypes = pytest.importorskip("ml_dtypes")
DTYPES = [np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
EPS = 1e-3


@st.composite
def tensors(draw: st.DrawFn, least_axes: int = 2) -> np.ndarray:
    """A tensor of any dtype that lies in memory in any order of axes, with gaps or backwards, or not."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=least_axes, max_size=5)))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1])) for _ in shape]
    memory = [shape[axis] * abs(steps[axis]) for axis in order]
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    base = (rng.normal(size=memory) + draw(st.sampled_from([0.0, 3.0, -100.0]))).astype(dtype)
    slices = tuple(slice(None, None, steps[axis]) for axis in order)
    return base[slices].transpose(np.argsort(order))


def _like(x: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=x.shape).astype(x.dtype)


#: Of dgamma and dbeta, by x's dtype; those of 16 bits are float32.
PARAMETERS = {"float32": 3e-7, "float64": 1e-13, "float16": 1e-6, "bfloat16": 1e-6}
#: Of means. Sums of 16 bits begin in float32.
MEANS = {"float32": 1e-13, "float64": 1e-13, "float16": 1e-7, "bfloat16": 1e-7}


def _check(
    actual: Any, expected: np.ndarray, dtype: np.dtype, terms: float = 0.0, tolerances: dict[str, float] = TOLERANCE
) -> None:
    """terms: the size of the terms that make a result. Where they cancel, an error is relative to them."""
    tolerance = tolerances[dtype.name]
    e = np.asarray(expected, np.float64)
    wanted = max(float(np.sqrt((e**2).sum())), terms, 1e-30)
    difference = float(np.sqrt(((np.asarray(actual, np.float64) - e) ** 2).sum()))
    assert np.shape(actual) == e.shape
    assert difference <= tolerance * wanted, (difference / wanted, tolerance)


#: What is left of a mean far from 0 in x - mean, over the tolerance: 1e-15 |x| of doubles, the sums' floats of 16 bits.
LEFT = {"float32": 0.0, "float64": 1e-2, "float16": 1e-3, "bfloat16": 1e-3}


def _rounding(x: np.ndarray, rstd: np.ndarray) -> float:
    """Its size in y, for terms."""
    return float(np.sqrt(x.size) * abs(x.astype(np.float64)).max() * rstd.max()) * LEFT[x.dtype.name]


def _broadcast(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return values.astype(np.float64).reshape([-1 if a == axis else 1 for a in range(ndim)])


@settings(max_examples=300, deadline=None)
@given(x=tensors(), data=st.data())
def test_batch_norm_is_numpys_whatever_the_layout(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    c = axis % x.ndim
    if x.size == x.shape[c]:
        with pytest.raises(ValueError, match="1 value per channel"):
            unitvar.batch_norm(x, channel_axis=axis)
        return
    rng = np.random.default_rng(1)
    gamma, beta = (rng.normal(size=x.shape[c]).astype(np.float32) for _ in range(2))
    dy = _like(x, 2)
    axes = tuple(a for a in range(x.ndim) if a != c)
    e = normalized(x, dy, _broadcast(gamma, c, x.ndim), _broadcast(beta, c, x.ndim), axes, EPS, parameter_axes=axes)
    r = unitvar.batch_norm(x, gamma, beta, eps=EPS, channel_axis=axis)
    assert r.y.dtype == x.dtype
    size = float(np.sqrt(x.size))
    rounding = _rounding(x, e.rstd)
    _check(r.y, e.y, x.dtype, rounding)
    _check(r.mean, e.mean, x.dtype, abs(x.astype(np.float64)).max(), MEANS)
    _check(r.rstd, e.rstd, np.dtype(np.float32))
    g = unitvar.batch_norm_backward(x, dy, r.mean, r.rstd, gamma, channel_axis=axis)
    scale = float(abs(gamma).max() * e.rstd.max())
    _check(g.dx, e.dx, x.dtype, (size + rounding) * scale)
    _check(g.dgamma, e.dgamma, x.dtype, size + rounding, PARAMETERS)
    _check(g.dbeta, e.dbeta, x.dtype, size, PARAMETERS)


@settings(max_examples=150, deadline=None)
@given(x=tensors(1), data=st.data(), centered=st.booleans())
def test_layer_and_rms_norm_are_numpys(x: np.ndarray, data: st.DataObject, centered: bool) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    first = axis % x.ndim
    rng = np.random.default_rng(1)
    gamma, beta = (rng.normal(size=x.shape[first:]).astype(np.float32) for _ in range(2))
    dy = _like(x, 2)
    axes, others = tuple(range(first, x.ndim)), tuple(range(first))
    e = normalized(
        x, dy, gamma.astype(np.float64), beta.astype(np.float64), axes, EPS, parameter_axes=others, centered=centered
    )
    size = float(np.sqrt(x.size))
    if centered:
        r = unitvar.layer_norm(x, gamma, beta, axis=axis, eps=EPS)
        g = unitvar.layer_norm_backward(x, dy, r.mean, r.rstd, gamma, axis=axis)
        assert r.mean.shape == x.shape[:first]
    else:
        r = unitvar.rms_norm(x, gamma, beta, axis=axis, eps=EPS)
        g = unitvar.rms_norm_backward(x, dy, r.rstd, gamma, axis=axis)
    rounding = _rounding(x, e.rstd)
    _check(r.y, e.y, x.dtype, rounding)
    _check(g.dx, e.dx, x.dtype, (size + rounding) * float(abs(gamma).max() * e.rstd.max()))
    _check(g.dgamma, e.dgamma, x.dtype, size + rounding, PARAMETERS)
    _check(g.dbeta, e.dbeta, x.dtype, size, PARAMETERS)


@settings(max_examples=150, deadline=None)
@given(x=tensors(3), data=st.data())
def test_group_and_instance_norm_are_numpys(x: np.ndarray, data: st.DataObject) -> None:
    c = data.draw(st.integers(1, x.ndim - 1))
    channels = x.shape[c]
    groups = data.draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    rng = np.random.default_rng(1)
    gamma, beta = (rng.normal(size=channels).astype(np.float32) for _ in range(2))
    dy = _like(x, 2)
    # Samples, groups, channels of a group, the rest.
    split = (x.shape[0], groups, channels // groups, -1)
    moved, moved_dy = (np.moveaxis(a.astype(np.float64), c, 1).reshape(split) for a in (x, dy))
    g4, b4 = (p.astype(np.float64).reshape(1, groups, channels // groups, 1) for p in (gamma, beta))
    e = normalized(moved, moved_dy, g4, b4, (2, 3), EPS, parameter_axes=(0, 3))
    shape = np.moveaxis(x, c, 1).shape
    y, dx = (np.moveaxis(a.reshape(shape), 1, c) for a in (e.y, e.dx))
    r = unitvar.group_norm(x, groups, gamma, beta, eps=EPS, channel_axis=c)
    b = unitvar.group_norm_backward(x, dy, r.mean, r.rstd, groups, gamma, channel_axis=c)
    size = float(np.sqrt(x.size))
    rounding = _rounding(x, e.rstd)
    _check(r.y, y, x.dtype, rounding)
    _check(b.dx, dx, x.dtype, (size + rounding) * float(abs(gamma).max() * e.rstd.max()))
    _check(b.dgamma, e.dgamma.reshape(channels), x.dtype, size + rounding, PARAMETERS)
    _check(b.dbeta, e.dbeta.reshape(channels), x.dtype, size, PARAMETERS)
    if groups == channels:
        same = unitvar.instance_norm(x, gamma, beta, eps=EPS, channel_axis=c)
        assert np.array_equal(same.y, r.y) and np.array_equal(same.rstd, r.rstd)


@settings(max_examples=100, deadline=None)
@given(x=tensors(), data=st.data())
def test_results_lie_as_x_lies_and_dy_may_lie_otherwise(x: np.ndarray, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, x.ndim - 1))
    if x.size == x.shape[c]:
        return
    r = unitvar.batch_norm(x, channel_axis=c)
    moving = [a for a in range(x.ndim) if x.shape[a] > 1]
    low, high = np.lib.array_utils.byte_bounds(x)
    if high - low == x.nbytes and all(x.strides[a] > 0 for a in moving):  # no gaps
        assert [x.strides[a] for a in moving] == [r.y.strides[a] for a in moving]
    else:
        assert r.y.flags.c_contiguous
    dy = _like(x, 2)
    one = unitvar.batch_norm_backward(x, dy, r.mean, r.rstd, channel_axis=c)
    other = unitvar.batch_norm_backward(x, np.asfortranarray(dy), r.mean, r.rstd, channel_axis=c)
    assert np.array_equal(np.asarray(one.dx, np.float64), np.asarray(other.dx, np.float64))
    assert one.dgamma is not None and np.array_equal(one.dgamma, other.dgamma)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_digits_at_a_large_mean(dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    mean = {"float32": 1e6, "float64": 1e6, "float16": 100.0, "bfloat16": 100.0}[dtype.name]
    x = (rng.normal(size=(32, 8, 10)) + mean).astype(dtype)
    dy = rng.normal(size=x.shape).astype(dtype)
    one = np.ones((1, 8, 1))
    e = normalized(x, dy, one, 0 * one, (0, 2), 1e-5, parameter_axes=(0, 2))
    r = unitvar.batch_norm(x)
    assert error(r.y, e.y) <= max(TOLERANCE[dtype.name], 1e-9)
    assert error(unitvar.batch_norm_backward(x, dy, r.mean, r.rstd).dx, e.dx) <= max(TOLERANCE[dtype.name], 1e-9)


def test_bits_do_not_depend_on_threads_or_instruction_set() -> None:
    x = np.random.default_rng(0).normal(size=(16, 24, 57, 57)).astype(np.float32)
    results = [
        unitvar.batch_norm(x, options=unitvar.Options(threads=threads, isa=isa, walk=walk))
        for threads in (1, 2)
        for isa in unitvar.supported_isas()
        for walk in ("resident", "streamed")
    ]
    assert len(results) >= 8
    for r in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(r, results[0]))
