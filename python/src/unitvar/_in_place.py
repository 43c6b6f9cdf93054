"""Batch normalization over its own input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Layout, as_tensor, collective, real
from ._batch_norm import Gradients, gradients

__all__ = [
    "InPlaceResult",
    "batch_norm_in_place",
    "batch_norm_in_place_backward",
]


class InPlaceResult(NamedTuple):
    """What batch_norm_in_place gives; y is x's memory. Pass rstd to the backward."""

    y: np.ndarray
    mean: np.ndarray
    #: biased
    var: np.ndarray
    rstd: np.ndarray


@collective
def batch_norm_in_place(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    negative_slope: float = 1.0,
    max_lost_digits: float = 1.0,
    eps: float = 1e-5,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> InPlaceResult:
    """Training forward over its own input, with a leaky ReLU behind it (Rota Bulo et al. 2018; docs/derivation.md B58).

    The backward takes y in place of x, so one of two tensors is saved.

    Args:
        x: overwritten by y; must cover its memory without gaps.
        negative_slope: of the leaky ReLU; 1 is none.
        max_lost_digits: decimal digits of x_hat that the backward may lose where beta is large beside gamma.
        gamma, beta, eps, channel_axis, options: as in batch_norm.

    >>> import numpy as np, unitvar
    >>> x = np.array([[1.0], [3.0]])
    >>> y = unitvar.batch_norm_in_place(x, eps=0.0).y
    >>> y is x, x
    (True, array([[-1.],
           [ 1.]]))
    """
    op = "batch_norm_in_place"
    array = as_tensor(op, "x", x)
    layout = Layout(op, array, channel_axis)
    y, memory = layout.result(op, "x", x)
    mean, var, rstd = layout.statistics(3)
    _core.batch_norm_in_place_forward(
        layout.code, *layout.extent, memory, layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta),
        mean, var, rstd, real(op, "eps", eps), negative_slope, max_lost_digits, options,
    )  # fmt: skip
    return InPlaceResult(y, mean, var, rstd)


@collective
def batch_norm_in_place_backward(
    y: Array,
    dy: Array,
    rstd: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    negative_slope: float = 1.0,
    max_lost_digits: float = 1.0,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of batch_norm_in_place from its output (docs/derivation.md B60).

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> y, mean, var, rstd = unitvar.batch_norm_in_place(x)
    >>> unitvar.batch_norm_in_place_backward(y, np.ones_like(y), rstd).dbeta
    array([8., 8.])
    """
    op = "batch_norm_in_place_backward"
    y = as_tensor(op, "y", y)
    layout = Layout(op, y, channel_axis)
    return gradients(
        op, _core.batch_norm_in_place_backward, layout, y, dy, {"rstd": rstd}, {"gamma": gamma, "beta": beta},
        need_dx, need_params, out, negative_slope, max_lost_digits, options,
    )  # fmt: skip
