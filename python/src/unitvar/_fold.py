"""Inference batch normalization as a scale and a shift, or folded into the linear map before it."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from . import _core
from ._arrays import _CODES, _F64, Array, as_tensor, as_vector, contiguous, flat, needed, param_dtype, real

__all__ = ["Folded", "ScaleShift", "batch_norm_fold", "batch_norm_scale_and_shift"]


class ScaleShift(NamedTuple):
    """``y = x * scale + shift``, (C,) each."""

    scale: np.ndarray
    shift: np.ndarray


def batch_norm_scale_and_shift(
    mean: Array,
    var: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    dtype: type | np.dtype = np.float64,
) -> ScaleShift:
    """``scale = gamma / sqrt(var + eps)``, ``shift = beta - mean * scale`` (docs/derivation.md B72).

    ``x * scale + shift`` cancels where |mean| is many standard deviations; batch_norm_inference does not.

    Args:
        mean, var: running statistics, (C,).
        dtype: float32 or float64, of gamma, beta and the results.

    >>> import numpy as np, unitvar
    >>> scale, shift = unitvar.batch_norm_scale_and_shift(np.array([1.0]), np.array([4.0]), eps=0.0)
    >>> scale, shift
    (array([0.5]), array([-0.5]))
    """
    op = "batch_norm_scale_and_shift"
    own = np.dtype(dtype)
    if own not in (np.dtype(np.float32), _F64):
        raise TypeError(f"{op}: dtype is {own}, want float32 or float64")
    m, v = (as_vector(op, name, needed(op, name, a), _F64) for name, a in (("mean", mean), ("var", var)))
    scale, shift = np.empty_like(m, own), np.empty_like(m, own)
    _core.batch_norm_scale_and_shift(
        _CODES[own],
        m,
        v,
        as_vector(op, "gamma", gamma, own),
        as_vector(op, "beta", beta, own),
        scale,
        shift,
        real(op, "eps", eps),
    )
    return ScaleShift(scale, shift)


class Folded(NamedTuple):
    """The map that does the normalization as well."""

    weight: np.ndarray
    bias: np.ndarray


#: Where output channels stand in a weight of each kind; of a transposed convolution, those of a group.
_CHANNEL_AXES = {"linear": 0, "convolution": 0, "convolution_output_last": -1, "transposed_convolution": 1}


def batch_norm_fold(
    weight: Array,
    mean: Array,
    var: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    bias: Array | None = None,
    *,
    kind: str = "convolution",
    groups: int = 1,
    eps: float = 1e-5,
) -> Folded:
    """Folds inference batch norm into the map before it (docs/derivation.md B71).

    ``folded(x) = batch_norm_inference(weight(x) + bias)``: each output channel's weights times gamma / sqrt(var + eps).

    Args:
        weight: of the map. Copied once unless it is in C order.
        bias: of the map, (C,); None is 0.
        kind: "linear" [O, I], "convolution" [O, I / groups, ...], "convolution_output_last" [..., I, O], or
            "transposed_convolution" [I, O / groups, ...].
        groups: of a transposed convolution; those of a convolution do not matter.

    >>> import numpy as np, unitvar
    >>> weight, bias = unitvar.batch_norm_fold(np.ones((1, 2)), np.ones(1), np.full(1, 4.0), eps=0.0, kind="linear")
    >>> weight, bias
    (array([[0.5, 0.5]]), array([-0.5]))
    """
    op = "batch_norm_fold"
    if kind not in _CHANNEL_AXES:
        raise ValueError(f"{op}: kind is {kind!r}, want one of {', '.join(_CHANNEL_AXES)}")
    array = as_tensor(op, "weight", weight)
    if array.ndim < 2:
        raise ValueError(f"{op}: weight has shape {array.shape}, want two axes or more")
    blocks = groups if kind == "transposed_convolution" else 1
    if blocks < 1 or array.shape[0] % blocks != 0:
        raise ValueError(f"{op}: groups is {groups}, want a divisor of the {array.shape[0]} input channels")
    axis = _CHANNEL_AXES[kind] % array.ndim
    sizes = [array.shape[0] // blocks, *array.shape[1:]]
    extent = (blocks, prod(sizes[:axis]), sizes[axis], prod(sizes[axis + 1 :]))
    channels, params = blocks * sizes[axis], param_dtype(array.dtype)
    folded, folded_bias = np.empty(array.shape, array.dtype), np.empty(channels, params)
    shape = (channels,)
    _core.batch_norm_fold(
        _CODES[array.dtype], *extent, flat(contiguous(array)), as_vector(op, "bias", bias, params, shape),
        as_vector(op, "mean", mean, _F64, shape), as_vector(op, "var", var, _F64, shape),
        as_vector(op, "gamma", gamma, params, shape), as_vector(op, "beta", beta, params, shape), flat(folded),
        folded_bias, real(op, "eps", eps),
    )  # fmt: skip
    return Folded(folded, folded_bias)
