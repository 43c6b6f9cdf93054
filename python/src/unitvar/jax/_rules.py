"""Derivatives of the primitives: their jvp and transpose rules (docs/derivation.md B50 to B57, B75 to B85)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from ._primitives import Spec, absent, backward, forward, hessian, is_absent, param_dtype, tangent


def _given(t: Any) -> bool:
    """Whether a tangent or cotangent is more than a symbolic zero."""
    return not isinstance(t, ad.Zero)


_is_unknown: Any = ad.is_undefined_primal


def _zero(primal: Any) -> Any:
    """The symbolic zero among the tangents of a value."""
    return ad.Zero(jax.typeof(primal).to_tangent_aval())


def _or_absent(t: Any, like: Any) -> Any:
    return t if _given(t) else absent(like)


def _sum(tangents: Sequence[Any]) -> Any:
    first, *rest = tangents
    for t in rest:
        first = first + t
    return first


def _refuse(name: str, of: Sequence[Any]) -> None:
    """Raises if one of these tangents is not zero."""
    if any(_given(t) for t in of):
        _refused(name)


def _refused(name: str) -> NoReturn:
    raise NotImplementedError(
        f"unitvar.jax: {name} has no derivative here. There are the first derivative in both modes, grad of grad, and "
        "jax.hessian, which is forward over reverse. Not there: jvp of jvp, grad of jvp, third derivatives, and second "
        "ones in the mean or var of batch_norm_inference"
    )


def _forward_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, spec: Spec) -> Any:
    x, gamma, stats, beta = primals
    x_dot, gamma_dot, stats_dot, beta_dot = tangents
    out = forward(*primals, spec=spec)
    y, saved, mean, var = out
    zeros = [_zero(o) for o in out]
    if spec.family == "frozen":
        if _given(stats_dot):
            gamma_dot, beta_dot = _moved_by_statistics(gamma, stats, gamma_dot, stats_dot, beta_dot, spec)
        saved = stats
    if not any(map(_given, (x_dot, gamma_dot, beta_dot))):
        return out, zeros
    parameters = [_or_absent(t, gamma) for t in (gamma_dot, beta_dot)]
    (y_dot,) = tangent(x, gamma, saved, _or_absent(x_dot, x), *parameters, spec=spec)
    if spec.family != "batch" or not _given(x_dot):
        return out, [y_dot, *zeros[1:]]
    return out, [y_dot, zeros[1], *_statistics_dot(x, gamma, saved, var, x_dot, spec)]


def _moved_by_statistics(gamma: Any, stats: Any, gamma_dot: Any, stats_dot: Any, beta_dot: Any, spec: Spec) -> Any:
    """Tangents of gamma and beta that move y as those of a given mean and var do.

    dy/dmean = -gamma rstd and dy/dvar = -gamma rstd^2 x_hat / 2: what -gamma rstd mean_dot of beta and
    -gamma rstd^2 var_dot / 2 of gamma would do.
    """
    mean_dot, var_dot = stats_dot[0, 0], stats_dot[1, 0]
    rstd = 1 / jnp.sqrt(stats[1, 0] + spec.eps)
    slope = -rstd if is_absent(gamma) else -gamma * rstd
    by_var, by_mean = slope * rstd * var_dot / 2, slope * mean_dot
    return (gamma_dot + by_var if _given(gamma_dot) else by_var), (beta_dot + by_mean if _given(beta_dot) else by_mean)


def _statistics_dot(x: Any, gamma: Any, saved: Any, var: Any, x_dot: Any, spec: Spec) -> list[Any]:
    """mean_dot = mean(x_dot) and var_dot = 2 mean((x - mean) x_dot), from the sums of the backward (B56)."""
    wanted = (False, True, True)
    _, by_x_hat, total = backward(x, absent(gamma), saved, x_dot, spec=spec, wanted=wanted)
    count = max(x.shape[0] * x.shape[2], 1)
    return [total / count, 2 / count * by_x_hat * jnp.sqrt(var + spec.eps)]


def _backward_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, spec: Spec, wanted: tuple[bool, ...]) -> Any:
    x, gamma, stats, dy = primals
    x_dot, gamma_dot, stats_dot, dy_dot = tangents
    if spec.family == "frozen":
        _refuse("the gradient of batch_norm_inference", [stats_dot])
    out = backward(*primals, spec=spec, wanted=wanted)
    terms: list[list[Any]] = [[], [], []]
    if _given(dy_dot):
        for into, t in zip(terms, backward(x, gamma, stats, dy_dot, spec=spec, wanted=wanted)):
            into.append(t)
    if (_given(x_dot) or _given(gamma_dot)) and any(wanted[:2]):
        second = hessian(
            x, gamma, stats, dy, _or_absent(x_dot, x), _or_absent(gamma_dot, gamma), spec=spec, wanted=wanted[:2]
        )
        for into, t in zip(terms, second):
            into.append(t)
    return out, [_sum(t) if t else _zero(o) for t, o in zip(terms, out)]


def _tangent_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, spec: Spec) -> Any:
    x, gamma, stats, v, u, w = primals
    x_dot, gamma_dot, stats_dot, *linear_dot = tangents
    _refuse("a tangent", ([] if is_absent(v) else [x_dot]) + ([stats_dot] if spec.family == "frozen" else []))
    (y_dot,) = tangent(*primals, spec=spec)
    terms = []
    if any(map(_given, linear_dot)):
        terms += tangent(x, gamma, stats, *map(_or_absent, linear_dot, (v, u, w)), spec=spec)
    if _given(gamma_dot) and not is_absent(gamma_dot) and not is_absent(v):
        terms += tangent(x, gamma_dot, stats, v, absent(u), absent(u), spec=spec)
    if _given(x_dot) and not is_absent(u):  # u * x_hat moves as y does whose gamma is u
        terms += tangent(x, u, stats, x_dot, absent(u), absent(u), spec=spec)
    return [y_dot], [_sum(terms) if terms else _zero(y_dot)]


def _hessian_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, spec: Spec, wanted: tuple[bool, bool]) -> Any:
    _refuse("a second derivative", [*tangents[:2], tangents[3], *([tangents[2]] if spec.family == "frozen" else [])])
    out = hessian(*primals, spec=spec, wanted=wanted)
    if not any(map(_given, tangents[4:])):
        return out, [_zero(o) for o in out]
    linear = map(_or_absent, tangents[4:], primals[4:])
    return out, hessian(*primals[:4], *linear, spec=spec, wanted=wanted)


def _tangent_transpose(cotangents: Sequence[Any], x: Any, gamma: Any, stats: Any, *linear: Any, spec: Spec) -> Any:
    (dy,) = cotangents
    wanted = tuple(map(_is_unknown, linear))
    if not _given(dy):
        return [None] * 6
    if _is_unknown(gamma):  # as _tangent_jvp makes it: of v alone, and linear in gamma
        nothing = jnp.zeros((0,), param_dtype(x))
        _, dgamma = hessian(x, nothing, stats, dy, linear[0], nothing, spec=spec, wanted=(False, True))
        return [None, dgamma, None, None, None, None]
    out = backward(x, gamma, stats, dy, spec=spec, wanted=wanted)
    return [None] * 3 + [o if of_it else None for o, of_it in zip(out, wanted)]


def _backward_transpose(
    cotangents: Sequence[Any], x: Any, gamma: Any, stats: Any, dy: Any, *, spec: Spec, wanted: Any
) -> Any:
    if not any(map(_given, cotangents)):
        return [None] * 4
    v, u, w = (t if _given(t) and of_it else None for t, of_it in zip(cotangents, wanted))
    nothing = jnp.zeros((0,), param_dtype(x))
    operands = [absent(x) if v is None else v, *(nothing if t is None else t for t in (u, w))]
    return [None] * 3 + tangent(x, gamma, stats, *operands, spec=spec)


def _hessian_transpose(
    cotangents: Sequence[Any], x: Any, gamma: Any, stats: Any, dy: Any, *linear: Any, spec: Spec, wanted: Any
) -> Any:
    if _is_unknown(dy):
        _refused("a second derivative")
    v, u = cotangents
    asked = tuple(map(_is_unknown, linear))
    if not _given(v) and not _given(u):
        return [None] * 6
    operands = (v if _given(v) and wanted[0] else absent(x), u if _given(u) and wanted[1] else absent(gamma))
    out = hessian(x, gamma, stats, dy, *operands, spec=spec, wanted=asked)
    return [None] * 4 + [o if of_it else None for o, of_it in zip(out, asked)]


def register() -> None:
    """Tells JAX the rules."""
    for operation, jvp in (
        (forward, _forward_jvp),
        (backward, _backward_jvp),
        (tangent, _tangent_jvp),
        (hessian, _hessian_jvp),
    ):
        ad.primitive_jvps[operation.primitive] = jvp
    for operation, transpose in (
        (tangent, _tangent_transpose),
        (backward, _backward_transpose),
        (hessian, _hessian_transpose),
    ):
        ad.primitive_transposes[operation.primitive] = transpose
