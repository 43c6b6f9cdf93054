"""Values and first derivatives of unitvar.jax beside float64, flax and the NumPy functions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jaxlib", reason="jax is not installed")

import jax
import jax.numpy as jnp
from normalizations import CASES, EPS, NAMES, Case, arguments, l2_error

import unitvar
import unitvar.jax

# Of y and dx; sums of gradients are within 1e-6 of 16-bit tensors.
TOLERANCE = {"float32": 3e-7, "float64": 1e-14, "bfloat16": 4e-3, "float16": 5e-4}


def gradients(f: Any, args: Any, dy: Any) -> Any:
    y, pull = jax.vjp(f, *args)
    return y, *pull(dy.astype(y.dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_values_and_gradients_are_those_of_float64(case: Case, dtype: str) -> None:
    with jax.enable_x64(True):
        args = arguments(case, dtype=jnp.dtype(dtype))
        dy = jnp.asarray(np.random.default_rng(9).normal(size=case.shape)).astype(dtype)
        seen = gradients(case.ours, args, dy)
        wanted = gradients(case.formula, [a.astype(jnp.float64) for a in args], dy.astype(jnp.float64))
    for of_x, s, w in zip((True, True, False, False), seen, wanted):
        assert s.dtype == (jnp.dtype(dtype) if of_x else args[1].dtype)
        # Few values: terms all but cancel in some, and the error is relative to the terms.
        assert l2_error(s, w) <= (TOLERANCE[dtype] if of_x else min(TOLERANCE[dtype], 1e-6)) * 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_float64_is_not_needed_for_other_types(dtype: str) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4))).astype(dtype)
    y, mean, var = unitvar.jax.batch_norm(x)
    assert (y.dtype, mean.dtype, var.dtype) == (jnp.dtype(dtype), jnp.float32, jnp.float32)
    wide = np.asarray(x).astype(np.float64)
    assert l2_error(mean, wide.mean(0)) < 1e-6 and l2_error(var, wide.var(0)) < 1e-6


@pytest.mark.parametrize("mean", [0.0, 1e2, 1e4, 1e6])
def test_digits_stay_where_the_mean_is_far_beyond_the_standard_deviation(mean: float) -> None:
    random = np.random.default_rng(1)
    x = (random.normal(size=(32, 14, 14, 8)) + mean).astype(np.float32)
    dy, gamma = random.normal(size=x.shape).astype(np.float32), random.normal(1, 0.2, 8).astype(np.float32)
    seen = gradients(lambda x, gamma: unitvar.jax.batch_norm(x, gamma, eps=EPS).y, (x, gamma), jnp.asarray(dy))
    forward = unitvar.batch_norm(x.astype(np.float64), gamma.astype(np.float64), eps=EPS, channel_axis=-1)
    backward = unitvar.batch_norm_backward(
        x.astype(np.float64), dy.astype(np.float64), forward.mean, forward.rstd, gamma.astype(np.float64),
        channel_axis=-1,
    )  # fmt: skip
    for s, w in zip(seen, (forward.y, backward.dx, backward.dgamma)):
        assert l2_error(s, w) <= 3e-7


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bits_are_those_of_the_numpy_functions_for_every_number_of_threads(dtype: str) -> None:
    x = np.random.default_rng(2).normal(3, 1, (16, 32, 32, 24)).astype(jnp.dtype(dtype))
    dy = np.random.default_rng(3).normal(0, 1, x.shape).astype(jnp.dtype(dtype))
    forward = unitvar.batch_norm(x, channel_axis=-1)
    dx = unitvar.batch_norm_backward(x, dy, forward.mean, forward.rstd, channel_axis=-1).dx
    for threads in (1, 2, 5):
        y, seen = gradients(lambda x, t=threads: unitvar.jax.batch_norm(x, threads=t).y, (jnp.asarray(x),), dy)
        assert np.array_equal(np.asarray(y), forward.y) and np.array_equal(np.asarray(seen), dx)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_each_axis_may_be_the_channels_without_a_copy(axis: int) -> None:
    x = jnp.asarray(np.random.default_rng(4).normal(size=(3, 4, 5, 6)), jnp.float32)
    others = tuple(k for k in range(4) if k != axis % 4)
    wanted = (x - x.mean(others, keepdims=True)) / jnp.sqrt(x.var(others, keepdims=True) + 1e-5)
    normalize = jax.jit(lambda x: unitvar.jax.batch_norm(x, axis=axis).y)
    assert jnp.abs(normalize(x) - wanted).max() < 1e-5
    program = normalize.lower(x).compile().as_text()
    assert "unitvar_forward" in program
    assert not re.search(r"\b(transpose|copy)\(", program)


@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "layer_norm"])
def test_empty_batch_gives_an_empty_result_and_zero_gradients(name: str) -> None:
    case = CASES[NAMES.index(name)]
    x, gamma, beta = arguments(case)
    y, dx, dgamma, dbeta = gradients(case.ours, (x[:0], gamma, beta), x[:0])
    assert y.shape == dx.shape == (0, *case.shape[1:])
    assert not dgamma.any() and not dbeta.any()


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "batch_norm", "instance_norm"])
def test_absent_parameters_are_one_and_zero(name: str) -> None:
    case = CASES[NAMES.index(name)]
    x, gamma, beta = arguments(case)
    bare = case.ours(x, None, None)
    assert jnp.array_equal(bare, case.ours(x, jnp.ones_like(gamma), jnp.zeros_like(beta)))
    dx, dgamma = jax.grad(lambda x, gamma: (case.ours(x, gamma, None) ** 3).sum(), (0, 1))(x, gamma)
    of_x, of_gamma = jax.grad(lambda x, gamma: (case.formula(x, gamma, 0.0) ** 3).sum(), (0, 1))(x, gamma)
    assert l2_error(dx, of_x) < 1e-5 and l2_error(dgamma, of_gamma) < 1e-5


def test_running_statistics_move_by_the_weight_of_the_old() -> None:
    old_mean, old_var, mean, var = (jnp.full(3, v) for v in (1.0, 2.0, 5.0, 6.0))
    new = unitvar.jax.update_running_statistics(old_mean, old_var, mean, var, momentum=0.9)
    assert np.allclose(new[0], 0.9 * 1 + 0.1 * 5) and np.allclose(new[1], 0.9 * 2 + 0.1 * 6)
    low = unitvar.jax.update_running_statistics(*(a.astype(jnp.bfloat16) for a in (old_mean, old_var)), mean, var)
    assert low[0].dtype == low[1].dtype == jnp.bfloat16


def test_default_threads_are_those_of_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert unitvar.jax.default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert unitvar.jax.default_threads() >= 1
