"""The normalizations of unitvar.jax, each beside its formula, for all tests in this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import unitvar.jax

EPS = 1e-3


class Case(NamedTuple):
    """y = ours(x, gamma, beta), and formula, the same in plain JAX."""

    name: str
    ours: Callable[..., Any]
    formula: Callable[..., Any]
    shape: tuple[int, ...]
    params: tuple[int, ...]


def _normalized(x: Any, axes: tuple[int, ...], centered: bool = True) -> Any:
    d = x - x.mean(axes, keepdims=True) if centered else x
    return d / jnp.sqrt((d * d).mean(axes, keepdims=True) + EPS)


def _group_formula(groups: int) -> Callable[..., Any]:
    def formula(x: Any, gamma: Any, beta: Any) -> Any:
        grouped = x.reshape(*x.shape[:-1], groups, -1)
        axes = (*range(1, x.ndim - 1), x.ndim)
        return _normalized(grouped, axes).reshape(x.shape) * gamma + beta

    return formula


def _columns(parameter: Any) -> Any:
    return jnp.asarray(parameter)[..., None, None]


MEAN, VAR = (0.5, -1.0, 2.0), (1.0, 0.25, 4.0)


def _frozen(x: Any, gamma: Any, beta: Any) -> Any:
    return gamma * (x - jnp.asarray(MEAN, x.dtype)) / jnp.sqrt(jnp.asarray(VAR, x.dtype) + EPS) + beta


CASES = (
    Case(
        "batch_norm",
        lambda x, gamma, beta: unitvar.jax.batch_norm(x, gamma, beta, eps=EPS).y,
        lambda x, gamma, beta: _normalized(x, (0, 1, 2)) * gamma + beta,
        (4, 3, 2, 3),
        (3,),
    ),
    Case(
        "batch_norm_nchw",
        lambda x, gamma, beta: unitvar.jax.batch_norm(x, gamma, beta, axis=1, eps=EPS).y,
        lambda x, gamma, beta: _normalized(x, (0, 2, 3)) * _columns(gamma) + _columns(beta),
        (4, 3, 3, 2),
        (3,),
    ),
    Case(
        "batch_norm_inference",
        lambda x, gamma, beta: unitvar.jax.batch_norm_inference(
            x, jnp.asarray(MEAN), jnp.asarray(VAR), gamma, beta, eps=EPS
        ),
        _frozen,
        (4, 2, 2, 3),
        (3,),
    ),
    Case(
        "layer_norm",
        lambda x, gamma, beta: unitvar.jax.layer_norm(x, gamma, beta, eps=EPS),
        lambda x, gamma, beta: _normalized(x, (2,)) * gamma + beta,
        (2, 3, 5),
        (5,),
    ),
    Case(
        "layer_norm_of_two_axes",
        lambda x, gamma, beta: unitvar.jax.layer_norm(x, gamma, beta, axis=1, eps=EPS),
        lambda x, gamma, beta: _normalized(x, (1, 2)) * gamma + beta,
        (3, 2, 4),
        (2, 4),
    ),
    Case(
        "rms_norm",
        lambda x, gamma, beta: unitvar.jax.rms_norm(x, gamma, beta, eps=EPS),
        lambda x, gamma, beta: _normalized(x, (2,), centered=False) * gamma + beta,
        (2, 3, 5),
        (5,),
    ),
    Case(
        "group_norm",
        lambda x, gamma, beta: unitvar.jax.group_norm(x, 2, gamma, beta, eps=EPS),
        _group_formula(2),
        (3, 2, 2, 4),
        (4,),
    ),
    Case(
        "instance_norm",
        lambda x, gamma, beta: unitvar.jax.instance_norm(x, gamma, beta, axis=1, eps=EPS),
        lambda x, gamma, beta: _normalized(x, (2, 3)) * _columns(gamma) + _columns(beta),
        (2, 3, 2, 3),
        (3,),
    ),
)
NAMES = [case.name for case in CASES]


def arguments(case: Case, seed: int = 0, dtype: Any = np.float32) -> tuple[Any, Any, Any]:
    """x, gamma and beta, random."""
    random = np.random.default_rng(seed)
    gamma, beta = random.normal(1, 0.3, case.params), random.normal(0, 0.5, case.params)
    wide = np.float64 if dtype == np.float64 else np.float32
    return tuple(
        jnp.asarray(a.astype(np.float64), t)
        for a, t in ((random.normal(0.3, 1.2, case.shape), dtype), (gamma, wide), (beta, wide))
    )


def l2_error(seen: Any, wanted: Any) -> float:
    """|seen - wanted| / |wanted|, in double."""
    seen, wanted = (np.asarray(a).astype(np.float64) for a in (seen, wanted))
    return float(np.linalg.norm(seen - wanted) / np.linalg.norm(wanted))
