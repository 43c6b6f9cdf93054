"""Layer, RMS, group and instance normalization."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Channels, Rows, as_tensor, natural, real
from ._batch_norm import Gradients, gradients

__all__ = [
    "GroupNormResult",
    "LayerNormResult",
    "RmsNormResult",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
]


class LayerNormResult(NamedTuple):
    """What layer_norm gives; statistics in float64, of the shape ``x.shape[:axis]``."""

    y: np.ndarray
    mean: np.ndarray
    #: 1 / sqrt(var + eps), var biased
    rstd: np.ndarray


class RmsNormResult(NamedTuple):
    """What rms_norm gives; rstd in float64, of the shape ``x.shape[:axis]``."""

    y: np.ndarray
    #: 1 / sqrt(mean(x^2) + eps)
    rstd: np.ndarray


class GroupNormResult(NamedTuple):
    """What group_norm and instance_norm give; statistics in float64, (N, G), of instance norm (N, C)."""

    y: np.ndarray
    mean: np.ndarray
    #: 1 / sqrt(var + eps), var biased
    rstd: np.ndarray


def layer_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    one_plus_gamma: bool = False,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> LayerNormResult:
    """Normalizes each row, the axes from `axis` on: ``y = gamma * (x - mean) / sqrt(var + eps) + beta``.

    mean and the biased var are those of the row (Ba, Kiros & Hinton 2016; docs/derivation.md B80).

    Args:
        x: float32, float64, float16 or bfloat16. Copied once unless it is in C order.
        gamma, beta: of the shape ``x.shape[axis:]``; None is 1 and 0. Converted to float32, for float64 x to float64.
        axis: the first of the normalized axes, as in ONNX.
        one_plus_gamma: 1 + gamma takes gamma's place, as in networks that keep gamma around 0. The sum has gamma's
            type, never 16 bits. dgamma is the gradient for the gamma that is given. None scales by 1 all the same.
        out: where y goes; may be x itself, if no backward needs x.

    Raises:
        ValueError, TypeError: as batch_norm. A row of one value is legal: y is beta.

    >>> import numpy as np, unitvar
    >>> unitvar.layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), eps=0.0).y
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    op = "layer_norm"
    x = as_tensor(op, "x", x)
    rows = Rows(op, x, axis)
    y, memory = rows.result(op, "out", out)
    mean, rstd = rows.statistics(2)
    _core.layer_norm_forward(
        rows.code, *rows.extent, rows.take(op, "x", x), rows.parameter(op, "gamma", gamma),
        rows.parameter(op, "beta", beta), memory, mean, rstd, real(op, "eps", eps), bool(one_plus_gamma), options,
    )  # fmt: skip
    return LayerNormResult(y, mean, rstd)


def layer_norm_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    axis: int = -1,
    one_plus_gamma: bool = False,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of layer_norm (docs/derivation.md B81). Arguments as there and in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(4, 8))
    >>> y, mean, rstd = unitvar.layer_norm(x)
    >>> unitvar.layer_norm_backward(x, np.ones_like(x), mean, rstd).dbeta
    array([4., 4., 4., 4., 4., 4., 4., 4.])
    """
    op = "layer_norm_backward"
    x = as_tensor(op, "x", x)
    rows = Rows(op, x, axis)
    return gradients(
        op, _core.layer_norm_backward, rows, x, dy, {"mean": mean, "rstd": rstd}, {"gamma": gamma},
        need_dx, need_params, out, bool(one_plus_gamma), options,
    )  # fmt: skip


def rms_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    one_plus_gamma: bool = False,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> RmsNormResult:
    """Scales each row, the axes from `axis` on: ``y = gamma * x / sqrt(mean(x^2) + eps) + beta``.

    Zhang & Sennrich 2019; docs/derivation.md B83. Arguments as in layer_norm.

    >>> import numpy as np, unitvar
    >>> unitvar.rms_norm(np.array([[1.0, -1.0], [2.0, 2.0]]), eps=0.0).y
    array([[ 1., -1.],
           [ 1.,  1.]])
    """
    op = "rms_norm"
    x = as_tensor(op, "x", x)
    rows = Rows(op, x, axis)
    y, memory = rows.result(op, "out", out)
    (rstd,) = rows.statistics(1)
    _core.rms_norm_forward(
        rows.code, *rows.extent, rows.take(op, "x", x), rows.parameter(op, "gamma", gamma),
        rows.parameter(op, "beta", beta), memory, rstd, real(op, "eps", eps), bool(one_plus_gamma), options,
    )  # fmt: skip
    return RmsNormResult(y, rstd)


def rms_norm_backward(
    x: Array,
    dy: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    axis: int = -1,
    one_plus_gamma: bool = False,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of rms_norm (docs/derivation.md B84). Arguments as there and in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.array([[3.0, 4.0]])
    >>> y, rstd = unitvar.rms_norm(x, eps=0.0)
    >>> bool(abs(unitvar.rms_norm_backward(x, x, rstd).dx).max() < 1e-15)
    True
    """
    op = "rms_norm_backward"
    x = as_tensor(op, "x", x)
    rows = Rows(op, x, axis)
    return gradients(
        op, _core.rms_norm_backward, rows, x, dy, {"rstd": rstd}, {"gamma": gamma}, need_dx, need_params, out,
        bool(one_plus_gamma), options,
    )  # fmt: skip


class Groups(Channels):
    """A tensor whose axis 0 is the slowest, and how many groups of channels a sample has."""

    __slots__ = ("groups",)

    def __init__(self, op: str, x: np.ndarray, groups: int | None, channel_axis: Any) -> None:
        super().__init__(op, x, channel_axis, outer_first=True)
        if x.ndim < 2 or self.channel_axis == 0:
            raise ValueError(
                f"{op}: x has shape {x.shape} with channels on axis {self.channel_axis}, want samples on axis 0"
            )
        self.groups = self.channels if groups is None else natural(op, "groups", groups)
        if self.channels % self.groups != 0:
            raise ValueError(f"{op}: groups is {groups}, want a divisor of the {self.channels} channels")
        self.statistic_shape = self.shape[0], self.groups

    @property
    def extent(self) -> tuple[int, int, int, int, int]:
        """outer, channels, inner, rows of a sample, groups."""
        return self.outer, self.channels, self.inner, self.sample_rows, self.groups


def _forward(
    op: str, kernel: Any, groups: int | None, x: Array, gamma: Any, beta: Any, channel_axis: int, eps: float, out: Any,
    options: _core.Options,
) -> GroupNormResult:  # fmt: skip
    x = as_tensor(op, "x", x)
    layout = Groups(op, x, groups, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mean, rstd = layout.statistics(2)
    kernel(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.parameter(op, "gamma", gamma),
        layout.parameter(op, "beta", beta), memory, mean, rstd, real(op, "eps", eps), options,
    )  # fmt: skip
    return GroupNormResult(y, mean, rstd)


def _backward(
    op: str, kernel: Any, groups: int | None, x: Array, dy: Array, mean: Any, rstd: Any, gamma: Any, channel_axis: int,
    need_dx: bool, need_params: bool, out: Any, options: _core.Options,
) -> Gradients:  # fmt: skip
    x = as_tensor(op, "x", x)
    layout = Groups(op, x, groups, channel_axis)
    return gradients(
        op, kernel, layout, x, dy, {"mean": mean, "rstd": rstd}, {"gamma": gamma}, need_dx, need_params, out, options
    )  # fmt: skip


def group_norm(
    x: Array,
    groups: int,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> GroupNormResult:
    """Normalizes each group of neighbouring channels of each sample by its own mean and biased variance.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` (Wu & He 2018; docs/derivation.md B73, B74).

    Args:
        x: as in batch_norm, with samples on axis 0. Copied once if another axis is slower in memory.
        groups: G, a divisor of the channels.
        gamma, beta: (C,), one for each channel.

    >>> import numpy as np, unitvar
    >>> unitvar.group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0).y
    array([[-1.,  1., -1.,  1.]])
    """
    groups = natural("group_norm", "groups", groups)
    return _forward("group_norm", _core.group_norm_forward, groups, x, gamma, beta, channel_axis, eps, out, options)


def group_norm_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    groups: int,
    gamma: Array | None = None,
    *,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of group_norm (docs/derivation.md B75). Arguments as there and in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(2, 4, 3))
    >>> y, mean, rstd = unitvar.group_norm(x, 2)
    >>> unitvar.group_norm_backward(x, np.ones_like(x), mean, rstd, 2).dbeta
    array([6., 6., 6., 6.])
    """
    groups = natural("group_norm_backward", "groups", groups)
    return _backward(
        "group_norm_backward", _core.group_norm_backward, groups, x, dy, mean, rstd, gamma, channel_axis, need_dx,
        need_params, out, options,
    )  # fmt: skip


def instance_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> GroupNormResult:
    """Normalizes each channel of each sample: group_norm with a group for every channel (Ulyanov et al. 2016).

    >>> import numpy as np, unitvar
    >>> unitvar.instance_norm(np.array([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0).y
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    return _forward("instance_norm", _core.instance_norm_forward, None, x, gamma, beta, channel_axis, eps, out, options)


def instance_norm_backward(
    x: Array,
    dy: Array,
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
    """Gradients of instance_norm. Arguments as there and in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(2, 3, 4))
    >>> y, mean, rstd = unitvar.instance_norm(x)
    >>> unitvar.instance_norm_backward(x, np.ones_like(x), mean, rstd).dbeta
    array([8., 8., 8.])
    """
    return _backward(
        "instance_norm_backward", _core.instance_norm_backward, None, x, dy, mean, rstd, gamma, channel_axis, need_dx,
        need_params, out, options,
    )  # fmt: skip
