"""Batch normalization with an activation, and a residual, behind it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Layout, as_tensor, collective, real

__all__ = [
    "ActDoubleGradients",
    "ActGradients",
    "ActResult",
    "Mask",
    "batch_norm_act",
    "batch_norm_act_backward",
    "batch_norm_act_double_backward",
    "batch_norm_act_inference",
]

#: The compiled module's numbers of the activations.
_KINDS = {"identity": 0, "relu": 1, "leaky_relu": 1, "clip": 2, "relu6": 2, "hard_swish": 3, "silu": 4}
Activation = tuple[int, float, float, float]


def as_activation(op: str, name: Any, negative_slope: Any, low: Any, high: Any) -> Activation:
    """An activation as the compiled module takes it. ValueError for a name that it does not know."""
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"{op}: activation is {name!r}, want one of {', '.join(_KINDS)}")
    if name == "relu6":
        low, high = 0.0, 6.0
    return kind, real(op, "negative_slope", negative_slope), real(op, "low", low), real(op, "high", high)


class Mask(NamedTuple):
    """Where the derivative of a ReLU or a clip is 1: what their backward needs to know of the forward."""

    #: uint8, one bit an element, in the order of memory; empty for an activation that needs none
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


class ActDoubleGradients(NamedTuple):
    """What batch_norm_act_double_backward gives."""

    grad_x: np.ndarray
    grad_dy: np.ndarray
    #: 0 but for hard-swish and SiLU, as grad_beta
    grad_residual: np.ndarray
    grad_gamma: np.ndarray
    grad_beta: np.ndarray


@collective
def batch_norm_act(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    residual: Array | None = None,
    *,
    activation: str = "relu",
    negative_slope: float = 0.0,
    low: float = 0.0,
    high: float = 6.0,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> ActResult:
    """Training forward with an activation behind it: ``y = act(v)``, ``v = batch_norm(x) + residual``.

    Equations B46, B47, B88, B90 and B91 of docs/derivation.md.

    ============================ ================================
    activation                   act(v)
    ============================ ================================
    "identity"                   v
    "relu", "leaky_relu"         v > 0 ? v : negative_slope * v
    "clip"; "relu6" has [0, 6]   min(max(v, low), high)
    "hard_swish"                 v * min(max(v + 3, 0), 6) / 6
    "silu"                       v / (1 + exp(-v))
    ============================ ================================

    Args:
        residual: added before the activation, like x; None adds nothing.
        negative_slope: 0 is ReLU; from 0 to 1 leaky ReLU.
        low, high: of "clip", low < high.
        out: where y goes; may be the residual itself.
        x, gamma, beta, eps, channel_axis, options: as in batch_norm.

    The residual and the activation come before y is rounded. The error of SiLU's exponential is below 3e-7 of y in
    float32, and 1e-15 in float64.

    Raises:
        ValueError, TypeError: as batch_norm, or if the activation is unknown.

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_act(np.array([[1.0], [3.0]]), eps=0.0).y
    array([[0.],
           [1.]])
    >>> unitvar.batch_norm_act(np.array([[1.0], [3.0]]), np.array([6.0]), eps=0.0, activation="hard_swish").y
    array([[0.],
           [6.]])
    """
    op = "batch_norm_act"
    act = as_activation(op, activation, negative_slope, low, high)
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mask = np.empty(_core.batch_norm_act_mask_bytes(*layout.extent, act), np.uint8)
    mean, var, rstd = layout.statistics(3)
    _core.batch_norm_act_forward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "residual", residual),
        layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta), memory, mask, mean, var, rstd,
        real(op, "eps", eps), act, options,
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
    activation: str = "relu",
    negative_slope: float = 0.0,
    low: float = 0.0,
    high: float = 6.0,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> np.ndarray:
    """``act(batch_norm_inference(x) + residual)``. Arguments as there and in batch_norm_act; out may be x itself.

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_act_inference(np.array([[-1.0, 8.0]]), np.zeros(2), np.ones(2), eps=0.0, activation="relu6")
    array([[0., 6.]])
    """
    op = "batch_norm_act_inference"
    act = as_activation(op, activation, negative_slope, low, high)
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result(op, "out", out)
    _core.batch_norm_act_inference(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "residual", residual),
        layout.statistic(op, "mean", mean), layout.statistic(op, "var", var), layout.parameter(op, "gamma", gamma),
        layout.parameter(op, "beta", beta), memory, real(op, "eps", eps), act, options,
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
    beta: Array | None = None,
    residual: Array | None = None,
    activation: str = "relu",
    negative_slope: float = 0.0,
    low: float = 0.0,
    high: float = 6.0,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_dresidual: bool = False,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> ActGradients:
    """Gradients of batch_norm_act (docs/derivation.md B48, B49, B89 to B91).

    x is copied if it lies otherwise than in the forward.

    Args:
        mask, activation, negative_slope, low, high: the forward's.
        beta, residual: the forward's. "hard_swish" and "silu" need them, the others do not read them.
        need_dresidual: whether dL/dresidual is computed.
        x, dy, mean, rstd, gamma, channel_axis, need_dx, need_params, out, options: as in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mask, mean, var, rstd = unitvar.batch_norm_act(x)
    >>> unitvar.batch_norm_act_backward(x, np.ones_like(x), mask, mean, rstd).dbeta
    array([1.])
    """
    op = "batch_norm_act_backward"
    act = as_activation(op, activation, negative_slope, low, high)
    x = as_tensor(op, "x", x)
    if not isinstance(mask, Mask) or len(mask.order) != x.ndim:
        raise TypeError(f"{op}: mask is no Mask of an array with {x.ndim} axes, want the forward's")
    layout = Layout(op, x, channel_axis, order=mask.order)
    dx, memory = layout.gradient(op, need_dx, out)
    dresidual, side = layout.gradient(op, need_dresidual)
    dgamma, dbeta, to_gamma, to_beta = layout.parameter_gradients(need_params)
    _core.batch_norm_act_backward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy), mask.bits,
        layout.take(op, "residual", residual), layout.statistic(op, "mean", mean), layout.statistic(op, "rstd", rstd),
        layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta), memory, side, to_gamma, to_beta, act,
        options,
    )  # fmt: skip
    return ActGradients(dx, dresidual, dgamma, dbeta)


@collective
def batch_norm_act_double_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    residual: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dresidual: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    activation: str = "relu",
    negative_slope: float = 0.0,
    low: float = 0.0,
    high: float = 6.0,
    frozen: bool = False,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> ActDoubleGradients:
    """Gradients of batch_norm_act_backward's outputs (docs/derivation.md B92).

    Args:
        beta, residual: the forward's, of any activation: v is computed again, and no mask is needed.
        grad_dx, grad_dresidual, grad_dgamma, grad_dbeta: gradients that arrive at the outputs; None is 0.
        frozen: mean and rstd are constants (docs/derivation.md B55), as behind batch_norm_act_inference.
        x, dy, mean, rstd, gamma, activation, negative_slope, low, high, channel_axis, options: the backward's.

    Memory of twice x's size is taken for the time of the call.

    >>> import numpy as np, unitvar
    >>> x, one = np.array([[-1.0], [1.0]]), np.ones((2, 1))
    >>> unitvar.batch_norm_act_double_backward(x, x, np.zeros(1), np.ones(1), grad_dresidual=one).grad_dy
    array([[0.],
           [1.]])
    """
    op = "batch_norm_act_double_backward"
    act = as_activation(op, activation, negative_slope, low, high)
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    (grad_x, to_x), (grad_dy, to_dy), (grad_residual, to_residual) = (
        layout.result(op, name) for name in ("grad_x", "grad_dy", "grad_residual")
    )
    grad_gamma, grad_beta = layout.parameters(2)
    kernel = _core.batch_norm_act_frozen_double_backward if frozen else _core.batch_norm_act_double_backward
    kernel(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy),
        layout.take(op, "residual", residual), layout.statistic(op, "mean", mean), layout.statistic(op, "rstd", rstd),
        layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta), layout.take(op, "grad_dx", grad_dx),
        layout.take(op, "grad_dresidual", grad_dresidual), layout.parameter(op, "grad_dgamma", grad_dgamma),
        layout.parameter(op, "grad_dbeta", grad_dbeta), to_x, to_dy, to_residual, grad_gamma, grad_beta, act, options,
    )  # fmt: skip
    return ActDoubleGradients(grad_x, grad_dy, grad_residual, grad_gamma, grad_beta)
