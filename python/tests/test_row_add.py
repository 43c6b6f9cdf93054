"""Layer and RMS normalization behind a residual, and 1 + gamma."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from reference import error

import unitvar
from unitvar.gradcheck import gradcheck

RNG = np.random.default_rng(11)
X, RESIDUAL, DY, DH = RNG.normal(size=(4, 5, 3, 8))
GAMMA, BETA = RNG.normal(size=(2, 8)) * 0.1 + 1


def statistics(r: Any) -> tuple[np.ndarray, ...]:
    """mean and rstd, or rstd."""
    return tuple(r[2:])


NORMS: Any = pytest.mark.parametrize(
    "plain, plain_backward, add, backward",
    [
        (unitvar.layer_norm, unitvar.layer_norm_backward, unitvar.layer_norm_add, unitvar.layer_norm_add_backward),
        (unitvar.rms_norm, unitvar.rms_norm_backward, unitvar.rms_norm_add, unitvar.rms_norm_add_backward),
    ],
    ids=["layer", "rms"],
)


@NORMS
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_y_has_the_bits_of_the_norm_of_h(plain: Any, plain_backward: Any, add: Any, backward: Any, dtype: Any) -> None:
    x, residual, dy = (a.astype(dtype) for a in (X, RESIDUAL, DY))
    r = add(x, residual, GAMMA, BETA)
    e = plain(x + residual, GAMMA, BETA)
    assert r.h.dtype == dtype and np.array_equal(r.h, x + residual) and np.array_equal(r.y, e.y)
    assert all(np.array_equal(a, b) for a, b in zip(statistics(r), e[1:]))
    g, of_h = backward(r.h, dy, *statistics(r), GAMMA), plain_backward(r.h, dy, *e[1:], GAMMA)
    assert all(np.array_equal(a, b) for a, b in zip(g, of_h))


@NORMS
@pytest.mark.parametrize("one_plus_gamma", [False, True])
def test_gradients_are_those_of_numeric_differentiation(
    plain: Any, plain_backward: Any, add: Any, backward: Any, one_plus_gamma: bool
) -> None:
    def results(x: np.ndarray, residual: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        r = add(x, residual, gamma, beta, one_plus_gamma=one_plus_gamma)
        return np.stack([r.y, r.h])

    r = add(X, RESIDUAL, GAMMA, BETA, one_plus_gamma=one_plus_gamma)
    g = backward(r.h, DY, *statistics(r), GAMMA, dh=DH, one_plus_gamma=one_plus_gamma)
    both = np.stack([DY, DH])
    for f, at, analytic in (
        (lambda x: results(x, RESIDUAL, GAMMA, BETA), X, g.dx),
        (lambda residual: results(X, residual, GAMMA, BETA), RESIDUAL, g.dx),
        (lambda gamma: results(X, RESIDUAL, gamma, BETA), GAMMA, g.dgamma),
        (lambda beta: results(X, RESIDUAL, GAMMA, beta), BETA, g.dbeta),
    ):
        report = gradcheck(f, at, analytic, both)
        assert report.l2_error < 1e-8, report


@NORMS
def test_h_takes_the_place_of_the_residual_and_dx_that_of_dh(
    plain: Any, plain_backward: Any, add: Any, backward: Any
) -> None:
    x, residual, dh = X.copy(), RESIDUAL.copy(), DH.copy()
    e = add(X, RESIDUAL, GAMMA)
    r = add(x, residual, GAMMA, out=x, out_h=residual)
    assert r.y is x and r.h is residual and np.array_equal(x, e.y) and np.array_equal(residual, e.h)
    g = backward(residual, DY, *statistics(r), GAMMA, dh=dh, out=dh)
    assert g.dx is dh and np.array_equal(dh, backward(e.h, DY, *statistics(e), GAMMA, dh=DH).dx)


@NORMS
def test_rows_may_be_several_axes(plain: Any, plain_backward: Any, add: Any, backward: Any) -> None:
    gamma = RNG.normal(size=(3, 8))
    r, e = add(X, RESIDUAL, gamma, axis=1), plain(X + RESIDUAL, gamma, axis=1)
    assert r.rstd.shape == (5,) and np.array_equal(r.y, e.y)


@NORMS
def test_one_plus_gamma_is_a_gamma_that_is_one_larger(plain: Any, plain_backward: Any, add: Any, backward: Any) -> None:
    around_zero = np.round((GAMMA - 1) * 4096) / 4096
    gamma = around_zero + 1
    r, e = plain(X, around_zero, one_plus_gamma=True), plain(X, gamma)
    assert np.array_equal(r.y, e.y)
    g = plain_backward(X, DY, *e[1:], around_zero, one_plus_gamma=True)
    assert all(np.array_equal(a, b) for a, b in zip(g, plain_backward(X, DY, *e[1:], gamma)))
    double = getattr(unitvar, f"{plain.__name__}_double_backward")
    d = double(X, DY, *e[1:], around_zero, grad_dx=DH, one_plus_gamma=True)
    assert all(error(a, b) < 1e-14 for a, b in zip(d, double(X, DY, *e[1:], gamma, grad_dx=DH)))


@NORMS
def test_refusals_name_what_was_seen(plain: Any, plain_backward: Any, add: Any, backward: Any) -> None:
    with pytest.raises(ValueError, match=r"residual has shape \(5, 3, 7\), want that of x"):
        add(X, RESIDUAL[..., :7])
    with pytest.raises(TypeError, match="residual has dtype float32, want that of x"):
        add(X, RESIDUAL.astype(np.float32))
    with pytest.raises(ValueError, match="h overlaps y|y overlaps h"):
        y = X.copy()
        add(X, RESIDUAL, out=y, out_h=y)
    with pytest.raises(ValueError, match="dh has shape"):
        r = add(X, RESIDUAL)
        backward(r.h, DY, *statistics(r), dh=DH[:1])
