"""Variants and derivatives against the plain layer and numeric differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference import TOLERANCE, error

import unitvar
from unitvar.gradcheck import gradcheck, numeric_vjp

RNG = np.random.default_rng(7)
X, DY = RNG.normal(size=(2, 6, 3, 5))
GAMMA, BETA = np.array([1.5, -0.7, 0.9]), np.array([0.3, 0.1, -0.2])


def check(
    f: Callable[[np.ndarray], Any], x: np.ndarray, analytic: np.ndarray, dy: np.ndarray, step: float = 0.125
) -> None:
    report = gradcheck(f, x, analytic, dy, step=step)
    assert report.l2_error < 1e-8, report


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("with_residual", [False, True])
def test_activation(slope: float, with_residual: bool) -> None:
    residual = RNG.normal(size=X.shape) if with_residual else None
    r = unitvar.batch_norm_act(X, GAMMA, BETA, residual, negative_slope=slope)
    plain = unitvar.batch_norm(X, GAMMA, BETA)
    h = plain.y + (residual if residual is not None else 0)
    assert error(r.y, np.where(h > 0, h, slope * h)) < 1e-13
    g = unitvar.batch_norm_act_backward(
        X, DY, r.mask, r.mean, r.rstd, GAMMA, negative_slope=slope, need_dresidual=with_residual
    )
    masked = np.where(h > 0, DY, slope * DY)
    e = unitvar.batch_norm_backward(X, masked, plain.mean, plain.rstd, GAMMA)
    assert error(g.dx, e.dx) < 1e-13 and error(g.dgamma, e.dgamma) < 1e-13 and error(g.dbeta, e.dbeta) < 1e-13
    assert g.dresidual is None or error(g.dresidual, masked) < 1e-13
    inferred = unitvar.batch_norm_act_inference(X, plain.mean, plain.var, GAMMA, BETA, residual, negative_slope=slope)
    assert error(inferred, r.y) < 1e-13


#: Of each activation a(v), a'(v), a''(v).
ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], ...]] = {
    "identity": (lambda v: v, np.ones_like, np.zeros_like),
    "leaky_relu": (lambda v: np.where(v > 0, v, 0.2 * v), lambda v: np.where(v > 0, 1, 0.2), np.zeros_like),
    "relu6": (lambda v: np.clip(v, 0, 6), lambda v: (v > 0) * (v < 6.0), np.zeros_like),
    "clip": (lambda v: np.clip(v, -0.5, 0.7), lambda v: (v > -0.5) * (v < 0.7), np.zeros_like),
    "hard_swish": (
        lambda v: v * np.clip(v + 3, 0, 6) / 6,
        lambda v: np.where(abs(v) < 3, v / 3 + 0.5, v > 0),
        lambda v: (abs(v) < 3) / 3,
    ),
    "silu": (
        lambda v: v * sigmoid(v),
        lambda v: sigmoid(v) * (1 + v * (1 - sigmoid(v))),
        lambda v: sigmoid(v) * (1 - sigmoid(v)) * (2 + v * (1 - 2 * sigmoid(v))),
    ),
}
BOUNDS: dict[str, Any] = {"negative_slope": 0.2, "low": -0.5, "high": 0.7}
each_activation = pytest.mark.parametrize("activation", list(ACTIVATIONS))


def sigmoid(v: np.ndarray) -> np.ndarray:
    y: np.ndarray = 1 / (1 + np.exp(-v))
    return y


@each_activation
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_is_that_of_its_formula(activation: str, with_residual: bool, dtype: str) -> None:
    rng = np.random.default_rng(1)
    x, dy, residual = (a.astype(dtype) for a in (4 * X, DY, 3 * rng.normal(size=X.shape)))
    z = residual if with_residual else None
    options = {"activation": activation, **BOUNDS}
    gamma = 3 * GAMMA
    r = unitvar.batch_norm_act(x, gamma, BETA, z, **options)
    plain = unitvar.batch_norm(x.astype(np.float64), gamma, BETA)
    v = plain.y + (residual.astype(np.float64) if with_residual else 0)
    a, first, _ = (f(v) for f in ACTIVATIONS[activation])
    tolerance = TOLERANCE[dtype]
    assert error(r.y, a) < tolerance
    assert error(unitvar.batch_norm_act_inference(x, plain.mean, plain.var, gamma, BETA, z, **options), a) < tolerance
    g = unitvar.batch_norm_act_backward(
        x, dy, r.mask, r.mean, r.rstd, gamma, beta=BETA, residual=z, need_dresidual=True, **options
    )
    e = unitvar.batch_norm_backward(
        x.astype(np.float64), (first * dy).astype(np.float64), plain.mean, plain.rstd, gamma
    )
    for found, expected in zip(g, (e.dx, first * dy, e.dgamma, e.dbeta)):
        assert error(found, expected) < 2 * tolerance


@each_activation
@pytest.mark.parametrize("frozen", [False, True])
def test_second_derivatives_behind_an_activation_are_numeric_ones(activation: str, frozen: bool) -> None:
    options = {"activation": activation, **BOUNDS}
    rng = np.random.default_rng(4)  # no v is within two steps of a kink
    residual = rng.normal(size=X.shape)
    mean, rstd = np.array([0.1, -0.1, 0.2]), np.array([1.1, 0.9, 1.3])
    _, first, _ = ACTIVATIONS[activation]
    grads = {"grad_dx": rng.normal(size=X.shape), "grad_dresidual": rng.normal(size=X.shape),
             "grad_dgamma": rng.normal(size=3), "grad_dbeta": rng.normal(size=3)}  # fmt: skip

    def gradients(x: np.ndarray, dy: np.ndarray, z: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        f = (None, mean, None, rstd) if frozen else unitvar.batch_norm(x)
        x_hat = (x - f[1][:, None]) * f[3][:, None]
        g = first(x_hat * gamma[:, None] + beta[:, None] + z) * dy
        b = unitvar.batch_norm_backward(x, g, f[1], f[3], gamma)
        dx = g * (gamma * rstd)[:, None] if frozen else b.dx
        return np.concatenate([dx.ravel(), g.ravel(), (g * x_hat).sum((0, 2)), g.sum((0, 2))])

    at = [X, DY, residual, GAMMA, BETA]
    f = (None, mean, None, rstd) if frozen else unitvar.batch_norm(X)
    d = unitvar.batch_norm_act_double_backward(
        X, DY, f[1], f[3], GAMMA, BETA, residual, frozen=frozen, **grads, **options
    )
    weights = np.concatenate([g.ravel() for g in grads.values()])
    for k, found in enumerate(d):
        check(lambda t, k=k: gradients(*at[:k], t, *at[k + 1 :]), at[k], found, weights, 2.0**-10)  # type: ignore[misc]


def test_an_unknown_activation_is_refused_and_so_are_bounds_in_the_wrong_order() -> None:
    with pytest.raises(ValueError, match="activation is 'gelu', want one of identity, relu"):
        unitvar.batch_norm_act(X, activation="gelu")
    with pytest.raises(unitvar.Error, match="low"):
        unitvar.batch_norm_act(X, activation="clip", low=2.0, high=1.0)


def test_relu_is_what_it_was_before_there_were_others_and_relu6_has_its_own_bounds() -> None:
    slopes = [unitvar.batch_norm_act(X, negative_slope=0.1, activation=name).y for name in ("relu", "leaky_relu")]
    assert np.array_equal(*slopes) and (slopes[0] < 0).any()
    wide = unitvar.batch_norm_act(X, np.full(3, 9.0), activation="relu6", low=-1.0, high=99.0).y
    assert wide.min() == 0 and wide.max() == 6


@pytest.mark.parametrize("slope", [1.0, 0.1])
def test_in_place(slope: float) -> None:
    x = X.copy()
    r = unitvar.batch_norm_in_place(x, GAMMA, BETA, negative_slope=slope)
    assert r.y is x
    h = unitvar.batch_norm(X, GAMMA, BETA).y
    assert error(x, np.where(h > 0, h, slope * h)) < 1e-13
    g = unitvar.batch_norm_in_place_backward(x, DY, r.rstd, GAMMA, BETA, negative_slope=slope)
    plain = unitvar.batch_norm(X)
    e = unitvar.batch_norm_backward(X, np.where(h > 0, DY, slope * DY), plain.mean, plain.rstd, GAMMA)
    assert error(g.dx, e.dx) < 1e-11 and error(g.dgamma, e.dgamma) < 1e-11


def test_in_place_refuses_memory_with_gaps() -> None:
    wide = np.zeros((6, 6, 5))
    with pytest.raises(ValueError, match="lies in memory otherwise"):
        unitvar.batch_norm_in_place(wide[:, ::2])


@pytest.mark.parametrize("last", [False, True])
def test_a_mask_leaves_out_padding(last: bool) -> None:
    x, dy = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) if last else a for a in (X, DY))
    axis = -1 if last else 1
    mask = RNG.random((6, 5)) < 0.6
    r = unitvar.batch_norm_weighted(x, mask, GAMMA, BETA, channel_axis=axis)
    kept, kept_dy = (np.moveaxis(a, axis, -1)[mask] for a in (x, dy))
    e = unitvar.batch_norm(kept, GAMMA, BETA)
    assert r.total == mask.sum() and error(r.mean, e.mean) < 1e-13 and error(r.rstd, e.rstd) < 1e-13
    y = np.moveaxis(r.y, axis, -1)
    assert error(y[mask], e.y) < 1e-12 and not y[~mask].any()
    g = unitvar.batch_norm_weighted_backward(x, dy, mask, r.mean, r.rstd, GAMMA, channel_axis=axis)
    b = unitvar.batch_norm_backward(kept, kept_dy, e.mean, e.rstd, GAMMA)
    dx = np.moveaxis(g.dx, axis, -1)
    assert error(dx[mask], b.dx) < 1e-12 and not dx[~mask].any() and error(g.dgamma, b.dgamma) < 1e-12


def test_ghost_batches_are_batches_of_their_own() -> None:
    for axis, x, dy in ((1, X, DY), (-1, np.moveaxis(X, 1, -1).copy(), np.moveaxis(DY, 1, -1).copy())):
        r = unitvar.batch_norm_ghost(x, 4, GAMMA, BETA, channel_axis=axis)
        parts = [unitvar.batch_norm(part, GAMMA, BETA, channel_axis=axis) for part in (x[:4], x[4:])]
        assert np.array_equal(r.y, np.concatenate([p.y for p in parts]))
        assert np.array_equal(r.mean, [p.mean for p in parts])
        g = unitvar.batch_norm_ghost_backward(x, dy, r.mean, r.rstd, 4, GAMMA, channel_axis=axis)
        one = unitvar.batch_norm_backward(x[4:], dy[4:], r.mean[1], r.rstd[1], GAMMA, channel_axis=axis)
        assert np.array_equal(g.dx[4:], one.dx)


def test_renormalization_by_running_statistics() -> None:
    running_mean, running_var = np.array([0.1, -0.2, 0.0]), np.array([1.2, 0.8, 1.0])
    r = unitvar.batch_norm_renorm(X, running_mean, running_var, GAMMA, BETA, r_max=np.inf, d_max=np.inf)
    assert error(r.y, unitvar.batch_norm_inference(X, running_mean, running_var, GAMMA, BETA)) < 1e-12
    clipped = unitvar.batch_norm_renorm(X, running_mean, running_var, GAMMA, BETA, r_max=1.05, d_max=0.1)
    assert clipped.r.max() <= 1.05 and abs(clipped.d).max() <= 0.1
    g = unitvar.batch_norm_renorm_backward(X, DY, clipped.mean, clipped.rstd, clipped.r, clipped.d, GAMMA)
    constants = clipped.r[:, None], clipped.d[:, None]

    def f(x: np.ndarray) -> np.ndarray:
        h = unitvar.batch_norm(x)
        return (h.y * constants[0] + constants[1]) * GAMMA[:, None]

    check(f, X, g.dx, DY)


@pytest.mark.parametrize(
    ("kind", "shape", "groups"),
    [("linear", (3, 4), 1), ("convolution", (3, 2, 2, 2), 1), ("convolution_output_last", (2, 2, 4, 3), 1),
     ("transposed_convolution", (4, 3, 2), 1), ("transposed_convolution", (4, 3, 2), 2)],
)  # fmt: skip
def test_fold(kind: str, shape: tuple[int, ...], groups: int) -> None:
    weight, channels = RNG.normal(size=shape), 3 * groups
    mean, var, gamma, beta, bias = (RNG.random(channels) + 0.5 for _ in range(5))
    w, b = unitvar.batch_norm_fold(weight, mean, var, gamma, beta, bias, kind=kind, groups=groups)
    scale, shift = unitvar.batch_norm_scale_and_shift(mean, var, gamma, beta)
    assert error(scale, gamma / np.sqrt(var + 1e-5)) < 1e-14 and error(shift, beta - mean * scale) < 1e-14
    by_output = {"linear": scale[:, None], "convolution": scale[:, None, None, None],
                 "convolution_output_last": scale}.get(kind)  # fmt: skip
    if by_output is None:  # [I, O / groups, k]: group g's inputs come one after the other
        by_output = np.repeat(scale.reshape(groups, 1, 3, 1), shape[0] // groups, 1).reshape(shape[0], 3, 1)
    assert error(w, weight * by_output) < 1e-14 and error(b, bias * scale + shift) < 1e-14


def test_first_and_second_derivatives_are_numeric_ones() -> None:
    r = unitvar.batch_norm(X, GAMMA, BETA)
    g = unitvar.batch_norm_backward(X, DY, r.mean, r.rstd, GAMMA)
    check(lambda x: unitvar.batch_norm(x, GAMMA, BETA).y, X, g.dx, DY)
    check(lambda gamma: unitvar.batch_norm(X, gamma, BETA).y, GAMMA, g.dgamma, DY)
    v, u, w = RNG.normal(size=X.shape), RNG.normal(size=3), RNG.normal(size=3)

    def gradients(x: np.ndarray, dy: np.ndarray, gamma: np.ndarray) -> np.ndarray:
        f = unitvar.batch_norm(x)
        b = unitvar.batch_norm_backward(x, dy, f.mean, f.rstd, gamma)
        return np.concatenate([b.dx.ravel(), b.dgamma, b.dbeta])

    d = unitvar.batch_norm_double_backward(X, DY, r.mean, r.rstd, GAMMA, grad_dx=v, grad_dgamma=u, grad_dbeta=w)
    weights = np.concatenate([v.ravel(), u, w])
    check(lambda x: gradients(x, DY, GAMMA), X, d.grad_x, weights)
    check(lambda dy: gradients(X, dy, GAMMA), DY, d.grad_dy, weights)
    check(lambda gamma: gradients(X, DY, gamma), GAMMA, d.grad_gamma, weights)


@pytest.mark.parametrize("kind", ["layer", "rms", "group", "instance"])
def test_second_derivatives_of_the_relatives(kind: str) -> None:
    x, dy = RNG.normal(size=(2, 2, 6, 9))
    gamma, v = RNG.normal(size=9 if kind in ("layer", "rms") else 6), RNG.normal(size=x.shape)

    def statistics(x: np.ndarray) -> list[Any]:
        if kind == "layer":
            return list(unitvar.layer_norm(x)[1:])
        if kind == "rms":
            return list(unitvar.rms_norm(x)[1:])
        if kind == "group":
            return [*unitvar.group_norm(x, 3)[1:], 3]
        return list(unitvar.instance_norm(x)[1:])

    backward = getattr(unitvar, f"{kind}_norm_backward")
    double = getattr(unitvar, f"{kind}_norm_double_backward")
    d = double(x, dy, *statistics(x), gamma, grad_dx=v)
    check(lambda x: backward(x, dy, *statistics(x), gamma).dx, x, d.grad_x, v)
    check(lambda dy: backward(x, dy, *statistics(x), gamma).dx, dy, d.grad_dy, v)
    check(lambda gamma: backward(x, dy, *statistics(x), gamma).dx, gamma, d.grad_gamma, v)


def test_forward_mode_and_the_gradient_through_statistics() -> None:
    r = unitvar.batch_norm(X, GAMMA, BETA)
    x_dot, gamma_dot, beta_dot = RNG.normal(size=X.shape), RNG.normal(size=3), RNG.normal(size=3)
    t = unitvar.batch_norm_jvp(X, r.mean, r.rstd, GAMMA, x_dot=x_dot, gamma_dot=gamma_dot, beta_dot=beta_dot)
    along = numeric_vjp(
        lambda s: unitvar.batch_norm(X + s[0] * x_dot, GAMMA + s[0] * gamma_dot, BETA + s[0] * beta_dot).y,
        np.zeros(1), DY,
    )  # fmt: skip
    assert abs((t.y_dot * DY).sum() - along.value[0]) < 1e-8 * abs(along.value[0]) + 1e-9
    dmean, dvar = RNG.normal(size=3), RNG.normal(size=3)
    g = unitvar.batch_norm_statistics_backward(X, DY, r.mean, r.rstd, GAMMA, dmean=dmean, dvar=dvar)

    def f(x: np.ndarray) -> np.ndarray:
        own = unitvar.batch_norm(x, GAMMA, BETA)
        return np.concatenate([own.y.ravel(), own.mean, own.var])

    check(f, X, g.dx, np.concatenate([DY.ravel(), dmean, dvar]))


def test_frozen_derivatives() -> None:
    mean, var = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    rstd = 1 / np.sqrt(var + 1e-5)
    g = unitvar.batch_norm_frozen_backward(X, DY, mean, var, GAMMA)
    check(lambda x: unitvar.batch_norm_inference(x, mean, var, GAMMA, BETA), X, g.dx, DY)
    check(lambda gamma: unitvar.batch_norm_inference(X, mean, var, gamma, BETA), GAMMA, g.dgamma, DY)
    assert error(unitvar.batch_norm_frozen_jvp(X, mean, rstd, GAMMA, x_dot=DY), g.dx) < 1e-13
    d = unitvar.batch_norm_frozen_double_backward(X, DY, mean, rstd, GAMMA, grad_dx=X)
    assert error(d.grad_dy, X * (GAMMA * rstd)[:, None]) < 1e-13
