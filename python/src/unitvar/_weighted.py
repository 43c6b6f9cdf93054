"""Batch normalization whose statistics weigh positions: masks and weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Layout, Memory, as_array, as_tensor, as_vector, collective, real
from ._batch_norm import Gradients, gradients

__all__ = [
    "WeightedResult",
    "batch_norm_weighted",
    "batch_norm_weighted_backward",
]


class WeightedResult(NamedTuple):
    """What batch_norm_weighted gives. Pass mean and rstd to the backward."""

    y: np.ndarray
    mean: np.ndarray
    #: biased: M2 / sum of the weights
    var: np.ndarray
    rstd: np.ndarray
    #: the sum of the weights
    total: float


def _weight(op: str, layout: Layout, weight: Array) -> Memory:
    """Weights in the order of memory: x's shape without the channel axis."""
    shape = tuple(n for axis, n in enumerate(layout.shape) if axis != layout.channel_axis)
    array = as_array(op, "weight", weight)
    if array.shape != shape:
        raise ValueError(f"{op}: weight has shape {array.shape}, want {shape}, x's without the channels")
    order = [axis - (axis > layout.channel_axis) for axis in layout.order if axis != layout.channel_axis]
    return as_vector(op, "weight", array.transpose(order), layout.param_dtype)


@collective
def batch_norm_weighted(
    x: Array,
    weight: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    zero_unweighted: bool = True,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> WeightedResult:
    """Training forward whose statistics weigh positions: a mask of padding, or any weights.

    Equations B62 to B64 of docs/derivation.md.

    Args:
        weight: >= 0, of x's shape without the channel axis; 0 and 1, or booleans, are a mask. Converted as gamma is.
        zero_unweighted: y is 0 where the weight is 0; otherwise it is normalized there, too, without a gradient: the
            backward takes dy for 0 where the weight is 0.
        x, gamma, beta, eps, channel_axis, out, options: as in batch_norm.

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_weighted(np.array([[1.0], [3.0], [99.0]]), np.array([True, True, False]), eps=0.0).y
    array([[-1.],
           [ 1.],
           [ 0.]])
    """
    op = "batch_norm_weighted"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mean, var, rstd = layout.statistics(3)
    total = _core.batch_norm_weighted_forward(
        layout.code, *layout.extent, layout.take(op, "x", x), _weight(op, layout, weight),
        layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta), memory, mean, var, rstd,
        real(op, "eps", eps), bool(zero_unweighted), options,
    )  # fmt: skip
    return WeightedResult(y, mean, var, rstd, total)


@collective
def batch_norm_weighted_backward(
    x: Array,
    dy: Array,
    weight: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of batch_norm_weighted (docs/derivation.md B65, B66). Arguments as there and in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x, weight = np.array([[1.0], [3.0], [99.0]]), np.array([1.0, 1.0, 0.0])
    >>> result = unitvar.batch_norm_weighted(x, weight)
    >>> unitvar.batch_norm_weighted_backward(x, np.ones_like(x), weight, result.mean, result.rstd).dbeta
    array([2.])
    """
    op = "batch_norm_weighted_backward"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    return gradients(
        op, _core.batch_norm_weighted_backward, layout, x, dy, {"mean": mean, "rstd": rstd}, {"gamma": gamma},
        need_dx, need_params, out, _weight(op, layout, weight), options,
    )  # fmt: skip
