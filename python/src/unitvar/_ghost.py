"""Batch normalization by ghost batches, and batch renormalization."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Channels, Layout, as_tensor, collective, natural, real
from ._batch_norm import BatchNormResult, Gradients, gradients

__all__ = [
    "RenormResult",
    "batch_norm_ghost",
    "batch_norm_ghost_backward",
    "batch_norm_renorm",
    "batch_norm_renorm_backward",
]


class _Ghosts(Channels):
    """A tensor whose axis 0 is the slowest, cut into parts of so many samples."""

    __slots__ = ("ghost",)

    def __init__(self, op: str, x: np.ndarray, ghost: int, channel_axis: Any) -> None:
        super().__init__(op, x, channel_axis, outer_first=True)
        if self.channel_axis == 0:
            raise ValueError(f"{op}: channel_axis is 0, want samples on axis 0")
        self.ghost = natural(op, "ghost", ghost)
        self.statistic_shape = -(-self.shape[0] // self.ghost), self.channels

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """outer, channels, inner, outer rows of a part."""
        return self.outer, self.channels, self.inner, self.ghost * self.sample_rows


def batch_norm_ghost(
    x: Array,
    ghost: int,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> BatchNormResult:
    """batch_norm of consecutive parts of the batch by themselves.

    Hoffer, Hubara & Soudry 2017; docs/derivation.md B67.

    Args:
        ghost: samples (axis 0) of a part; the last one may be shorter. Each needs two values a channel.
        x: as in batch_norm, with samples on axis 0. Copied once if another axis is slower in memory.

    Returns:
        y, and mean, biased var and rstd of the shape (parts, C).

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_ghost(np.array([[1.0], [3.0], [10.0], [30.0]]), 2, eps=0.0).mean
    array([[ 2.],
           [20.]])
    """
    op = "batch_norm_ghost"
    x = as_tensor(op, "x", x)
    layout = _Ghosts(op, x, ghost, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mean, var, rstd = layout.statistics(3)
    _core.batch_norm_ghost_forward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.parameter(op, "gamma", gamma),
        layout.parameter(op, "beta", beta), memory, mean, var, rstd, real(op, "eps", eps), options,
    )  # fmt: skip
    return BatchNormResult(y, mean, var, rstd)


def batch_norm_ghost_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    ghost: int,
    gamma: Array | None = None,
    *,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of batch_norm_ghost; dgamma and dbeta are the sums over the parts.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> y, mean, var, rstd = unitvar.batch_norm_ghost(x, 4)
    >>> unitvar.batch_norm_ghost_backward(x, np.ones_like(x), mean, rstd, 4).dbeta
    array([8., 8.])
    """
    op = "batch_norm_ghost_backward"
    x = as_tensor(op, "x", x)
    layout = _Ghosts(op, x, ghost, channel_axis)
    return gradients(
        op, _core.batch_norm_ghost_backward, layout, x, dy, {"mean": mean, "rstd": rstd}, {"gamma": gamma},
        need_dx, need_params, out, options,
    )  # fmt: skip


class RenormResult(NamedTuple):
    """What batch_norm_renorm gives. Pass mean, rstd, r and d to the backward."""

    y: np.ndarray
    mean: np.ndarray
    #: biased
    var: np.ndarray
    rstd: np.ndarray
    #: sqrt(var + eps) / sqrt(running_var + eps), clipped; a constant for the backward
    r: np.ndarray
    #: (mean - running_mean) / sqrt(running_var + eps), clipped; a constant for the backward
    d: np.ndarray


@collective
def batch_norm_renorm(
    x: Array,
    running_mean: Array,
    running_var: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    r_max: float = 1.0,
    d_max: float = 0.0,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> RenormResult:
    """Batch renormalization: ``y = gamma * (x_hat * r + d) + beta`` (Ioffe 2017, algorithm 1; B68, B69).

    Args:
        running_mean, running_var: (C,), read; update them by update_running_statistics afterwards.
        r_max, d_max: r is clipped to [1 / r_max, r_max], d to [-d_max, d_max]. 1 and 0 are batch_norm; may be infinite.
        x, gamma, beta, eps, channel_axis, out, options: as in batch_norm.

    >>> import numpy as np, unitvar
    >>> x = np.array([[1.0], [3.0]])
    >>> unitvar.batch_norm_renorm(x, np.zeros(1), np.ones(1), r_max=np.inf, d_max=np.inf, eps=0.0).y
    array([[1.],
           [3.]])
    """
    op = "batch_norm_renorm"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mean, var, rstd, r, d = layout.statistics(5)
    _core.batch_norm_renorm_forward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.parameter(op, "gamma", gamma),
        layout.parameter(op, "beta", beta), layout.statistic(op, "running_mean", running_mean),
        layout.statistic(op, "running_var", running_var), memory, mean, var, rstd, r, d,
        real(op, "r_max", r_max), real(op, "d_max", d_max), real(op, "eps", eps), options,
    )  # fmt: skip
    return RenormResult(y, mean, var, rstd, r, d)


@collective
def batch_norm_renorm_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    r: Array,
    d: Array,
    gamma: Array | None = None,
    *,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of batch_norm_renorm, r and d taken as constants (Ioffe 2017, section 3; docs/derivation.md B70).

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> f = unitvar.batch_norm_renorm(x, np.zeros(2), np.ones(2), r_max=3.0, d_max=5.0)
    >>> unitvar.batch_norm_renorm_backward(x, np.ones_like(x), f.mean, f.rstd, f.r, f.d).dbeta
    array([8., 8.])
    """
    op = "batch_norm_renorm_backward"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    return gradients(
        op, _core.batch_norm_renorm_backward, layout, x, dy, {"mean": mean, "rstd": rstd, "r": r, "d": d},
        {"gamma": gamma}, need_dx, need_params, out, options,
    )  # fmt: skip
