"""Batch normalization with an activation, and a residual, behind it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Layout, as_tensor, collective, real

__all__ = [
    "ActGradients",
    "ActResult",
    "Mask",
    "batch_norm_act",
    "batch_norm_act_backward",
    "batch_norm_act_inference",
]


class Mask(NamedTuple):
    """Which elements were above zero before the activation: what a backward needs to know of y."""

    #: uint8, one bit an element, in the order of memory
    bits: np.ndarray
    #: x's axes from the slowest to the fastest, as the bits have them
    order: tuple[int, ...]


class ActResult(NamedTuple):
    """What batch_norm_act gives. Pass mask, mean and rstd to the backward."""

    y: np.ndarray
    mask: Mask
    mean: np.ndarray
    #: biased
    var: np.ndarray
    rstd: np.ndarray


class ActGradients(NamedTuple):
    """What batch_norm_act_backward gives: arrays, or None for what was not asked for."""

    dx: Any
    dresidual: Any
    dgamma: Any
    dbeta: Any


@collective
def batch_norm_act(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    residual: Array | None = None,
    *,
    negative_slope: float = 0.0,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> ActResult:
    """Training forward with an activation behind it: ``y = act(batch_norm(x) + residual)``.

    Equations B46 and B47 of docs/derivation.md.

    Args:
        residual: added before the activation, like x; None adds nothing.
        negative_slope: 0 is ReLU; from 0 to 1 leaky ReLU.
        out: where y goes; may be the residual itself.
        x, gamma, beta, eps, channel_axis, options: as in batch_norm.

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_act(np.array([[1.0], [3.0]]), eps=0.0).y
    array([[0.],
           [1.]])
    """
    op = "batch_norm_act"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mask = np.empty(_core.batch_norm_act_mask_bytes(*layout.extent), np.uint8)
    mean, var, rstd = layout.statistics(3)
    _core.batch_norm_act_forward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "residual", residual),
        layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta), memory, mask, mean, var, rstd,
        real(op, "eps", eps), negative_slope, options,
    )  # fmt: skip
    return ActResult(y, Mask(mask, layout.order), mean, var, rstd)


def batch_norm_act_inference(
    x: Array,
    mean: Array,
    var: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    residual: Array | None = None,
    *,
    negative_slope: float = 0.0,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> np.ndarray:
    """``act(batch_norm_inference(x) + residual)``. Arguments as there and in batch_norm_act; out may be x itself.

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_act_inference(np.array([[-1.0, 2.0]]), np.zeros(2), np.ones(2), eps=0.0)
    array([[0., 2.]])
    """
    op = "batch_norm_act_inference"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result(op, "out", out)
    _core.batch_norm_act_inference(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "residual", residual),
        layout.statistic(op, "mean", mean), layout.statistic(op, "var", var), layout.parameter(op, "gamma", gamma),
        layout.parameter(op, "beta", beta), memory, real(op, "eps", eps), negative_slope, options,
    )  # fmt: skip
    return y


@collective
def batch_norm_act_backward(
    x: Array,
    dy: Array,
    mask: Mask,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    negative_slope: float = 0.0,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_dresidual: bool = False,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> ActGradients:
    """Gradients of batch_norm_act (docs/derivation.md B48, B49). x is copied if it lies otherwise than in the forward.

    Args:
        mask: the forward's.
        need_dresidual: whether dL/dresidual is computed.
        x, dy, mean, rstd, gamma, channel_axis, need_dx, need_params, out, options: as in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mask, mean, var, rstd = unitvar.batch_norm_act(x)
    >>> unitvar.batch_norm_act_backward(x, np.ones_like(x), mask, mean, rstd).dbeta
    array([1.])
    """
    op = "batch_norm_act_backward"
    x = as_tensor(op, "x", x)
    if not isinstance(mask, Mask) or len(mask.order) != x.ndim:
        raise TypeError(f"{op}: mask is no Mask of an array with {x.ndim} axes, want the forward's")
    layout = Layout(op, x, channel_axis, order=mask.order)
    dx, memory = layout.gradient(op, need_dx, out)
    dresidual, side = layout.gradient(op, need_dresidual)
    dgamma, dbeta, to_gamma, to_beta = layout.parameter_gradients(need_params)
    _core.batch_norm_act_backward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy), mask.bits,
        layout.statistic(op, "mean", mean), layout.statistic(op, "rstd", rstd), layout.parameter(op, "gamma", gamma),
        memory, side, to_gamma, to_beta, negative_slope, options,
    )  # fmt: skip
    return ActGradients(dx, dresidual, dgamma, dbeta)
