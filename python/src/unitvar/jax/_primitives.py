"""The four JAX primitives of which every normalization here is made, and their rules.

With L = sum(dy * y), a function of x, gamma and beta:

- forward: y, and what the others take over from it;
- backward: the gradient of L, linear in dy;
- tangent: y_dot, linear in the tangents of x, gamma and beta: the transpose of backward;
- hessian: the Hessian of L in x and gamma times tangents (v, u): symmetric, so its own transpose.

So the derivative of forward is tangent, and the derivative of backward is backward and hessian. Derivatives of tangent
and hessian in x would be of third order in L. The library has no kernel for them, and they are refused.

Operands: tensors are (outer, channels, inner), rows (rows, length, 1); parameters (C,). An array of shape (0,) is an
absent operand, or a result that is not asked for. Saved statistics are doubles seen as pairs of uint32, since JAX has
no doubles by default: integers, through which nothing is differentiated. They are a function of x, and so the
derivatives in x here are total ones. Statistics that are given (frozen ones) are mean and var as floats, (2, 1, C).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir, xla

from .. import _core

_targets = getattr(_core, "jax_targets", None)
if _targets is None:
    raise ImportError(
        "unitvar.jax: this unitvar was built without the handlers for JAX: install jax, then unitvar with "
        "pip install --no-build-isolation -C cmake.define.UNITVAR_JAX=ON (docs/python.md)"
    )

HANDLERS: dict[str, Any] = _targets()
FAMILIES = ("batch", "frozen", "layer", "rms", "group")


@dataclasses.dataclass(frozen=True)
class Spec:
    """Which normalization, beyond the operands' shapes."""

    family: str
    eps: float
    threads: int
    #: of group normalization: outer rows and groups of a sample
    sample_rows: int = 1
    groups: int = 0

    @property
    def rows(self) -> bool:
        """Whether it normalizes rows, with parameters along them."""
        return self.family in ("layer", "rms")


def absent(like: Any) -> Any:
    """An operand that is not there."""
    return jnp.zeros((0,), like.dtype)


def is_absent(x: Any) -> bool:
    return bool(x.shape == (0,))


def param_dtype(x: Any) -> Any:
    """The dtype of gamma and beta that go with x."""
    return np.dtype(np.float64) if x.dtype == np.float64 else np.dtype(np.float32)


# What an operand or a result is, which says where a mapped axis is folded into it.
TENSOR, PARAM, STATS = "tensor", "param", "stats"
# The axis of each kind that takes in a mapped axis, as its slower part.
CHANNELS: dict[str, int | None] = {TENSOR: 1, PARAM: 0, STATS: 2}
SAMPLES: dict[str, int | None] = {TENSOR: 0, PARAM: None, STATS: 1}
SAMPLES_OF_FROZEN: dict[str, int | None] = {TENSOR: 0, PARAM: None, STATS: None}


class Operation:
    """A primitive, its handler, and the kinds of its operands and results."""

    def __init__(self, name: str, operands: Sequence[str], results: Sequence[str], shapes: Callable[..., Any]) -> None:
        self.operands, self.results = operands, results
        target = f"unitvar_{name}"
        jax.ffi.register_ffi_target(target, HANDLERS[target], platform="cpu")
        self.primitive = cast(Any, Primitive(target))
        self.primitive.multiple_results = True
        self.primitive.def_impl(functools.partial(xla.apply_primitive, self.primitive))
        self.primitive.def_abstract_eval(shapes)
        batching.primitive_batchers[self.primitive] = self._batch
        mlir.register_lowering(self.primitive, functools.partial(_lower, jax.ffi.ffi_lowering(target)), platform="cpu")

    def __call__(self, *operands: Any, **params: Any) -> list[Any]:
        return list(self.primitive.bind(*operands, **params))

    def _batch(self, operands: Sequence[Any], dims: Sequence[int | None], spec: Spec, **params: Any) -> Any:
        size = next(x.shape[d] for x, d in zip(operands, dims) if d is not None)
        axes = self._fold_axes(dims, spec, **params)
        if axes is None:
            return self._map(operands, dims, spec, **params)
        if axes is CHANNELS:
            spec = dataclasses.replace(spec, groups=spec.groups * size)
        folded = [_fold(x, d, axes[kind], size) for x, d, kind in zip(operands, dims, self.operands)]
        out = self(*folded, spec=spec, **params)
        out_dims = [None if is_absent(y) else axes[kind] for y, kind in zip(out, self.results)]
        return [y if d is None else _unfold(y, d, size) for y, d in zip(out, out_dims)], out_dims

    def _fold_axes(
        self, dims: Sequence[int | None], spec: Spec, wanted: Sequence[bool] = ()
    ) -> dict[str, int | None] | None:
        """Where a mapped axis goes; None where no fold gives the same results.

        A batch of samples is more samples, if all share what belongs to channels, and no sum over samples is asked for.
        Otherwise, a batch of channels is more channels. There is no such thing for the columns of rows.
        """
        samples = SAMPLES_OF_FROZEN if spec.family == "frozen" else SAMPLES
        shared = all(d is None for d, kind in zip(dims, self.operands) if samples[kind] is None)
        if spec.family != "batch" and shared and not any(wanted[1:]):
            return samples
        return None if spec.rows else CHANNELS

    def _map(self, operands: Sequence[Any], dims: Sequence[int | None], spec: Spec, **params: Any) -> Any:
        mapped = [jnp.moveaxis(x, d, 0) for x, d in zip(operands, dims) if d is not None]

        def one(of_one: list[Any]) -> list[Any]:
            rest = iter(of_one)
            return self(*(x if d is None else next(rest) for x, d in zip(operands, dims)), spec=spec, **params)

        out = jax.lax.map(one, mapped)
        return out, [0] * len(out)


def _fold(x: Any, dim: int | None, axis: int | None, size: int) -> Any:
    """x with its mapped axis as the slower part of `axis`; what is not mapped is repeated, unless it is absent."""
    if is_absent(x) or axis is None:
        return x
    if dim is None:
        x, dim = jnp.broadcast_to(x, (size, *x.shape)), 0
    if sorted(x.shape) == [0, size] and x.ndim == 2:
        return absent(x)
    x = jnp.moveaxis(x, dim, axis)
    return x.reshape(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])


def _unfold(y: Any, axis: int, size: int) -> Any:
    return y.reshape(*y.shape[:axis], size, y.shape[axis] // size, *y.shape[axis + 1 :])


def _lower(rule: Any, context: Any, *operands: Any, spec: Spec, **_: Any) -> Any:
    return rule(
        context,
        *operands,
        family=np.int32(FAMILIES.index(spec.family)),
        sample_rows=np.int64(spec.sample_rows),
        groups=np.int64(spec.groups),
        eps=np.float64(spec.eps),
        threads=np.int32(spec.threads),
    )


def _array(x: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return x.update(shape=shape, dtype=np.dtype(dtype), weak_type=False)


def _param(x: Any, wanted: bool = True) -> Any:
    return _array(x, x.shape[1:2] if wanted else (0,), param_dtype(x))


def _forward_shapes(x: Any, gamma: Any, stats: Any, beta: Any, *, spec: Spec) -> list[Any]:
    n, c, _ = x.shape
    saved = {
        "batch": (2, 1, c, 2),
        "frozen": (0,),
        "layer": (2, n, 1, 2),
        "rms": (1, n, 1, 2),
        "group": (2, n // spec.sample_rows, spec.groups, 2),
    }[spec.family]
    batch = spec.family == "batch"
    return [_array(x, x.shape, x.dtype), _array(x, saved, np.uint32), _param(x, batch), _param(x, batch)]


def _backward_shapes(x: Any, gamma: Any, stats: Any, dy: Any, *, spec: Spec, wanted: tuple[bool, ...]) -> list[Any]:
    dx = _array(x, x.shape if wanted[0] else (0,), x.dtype)
    return [dx, *(_param(x, of_it) for of_it in wanted[1:])]


def _tangent_shapes(x: Any, *_: Any, spec: Spec) -> list[Any]:
    return [_array(x, x.shape, x.dtype)]


def _hessian_shapes(x: Any, gamma: Any, stats: Any, dy: Any, v: Any, u: Any, *, spec: Spec, wanted: Any) -> list[Any]:
    return _backward_shapes(x, gamma, stats, dy, spec=spec, wanted=wanted)


forward = Operation("forward", (TENSOR, PARAM, STATS, PARAM), (TENSOR, STATS, PARAM, PARAM), _forward_shapes)
backward = Operation("backward", (TENSOR, PARAM, STATS, TENSOR), (TENSOR, PARAM, PARAM), _backward_shapes)
tangent = Operation("tangent", (TENSOR, PARAM, STATS, TENSOR, PARAM, PARAM), (TENSOR,), _tangent_shapes)
hessian = Operation("hessian", (TENSOR, PARAM, STATS, TENSOR, TENSOR, PARAM), (TENSOR, PARAM), _hessian_shapes)
