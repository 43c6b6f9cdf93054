"""Batch normalization: forward, inference, backward, frozen backward."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Layout, Tensor, as_tensor, collective, real

__all__ = [
    "BatchNormResult",
    "Gradients",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_frozen_backward",
    "batch_norm_inference",
]


class BatchNormResult(NamedTuple):
    """What a training forward gives. Pass mean and rstd to the backward."""

    y: np.ndarray
    #: batch mean, (C,) float64
    mean: np.ndarray
    #: biased batch variance, (C,) float64
    var: np.ndarray
    #: 1 / sqrt(var + eps), (C,) float64
    rstd: np.ndarray


class Gradients(NamedTuple):
    """What a backward gives: arrays, or None for what was not asked for."""

    dx: Any
    dgamma: Any
    dbeta: Any


def gradients(
    op: str, kernel: Any, layout: Tensor, x: Any, dy: Any, statistics: dict[str, Any], parameters: dict[str, Any],
    need_dx: bool, need_params: bool, out: Any, *rest: Any,
) -> Gradients:  # fmt: skip
    """What a backward kernel gives. Statistics and parameters, by their names, stand in the kernel's order."""
    dx, memory = layout.gradient(op, need_dx, out)
    dgamma, dbeta, to_gamma, to_beta = layout.parameter_gradients(need_params)
    kernel(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy),
        *(layout.statistic(op, name, value) for name, value in statistics.items()),
        *(layout.parameter(op, name, value) for name, value in parameters.items()),
        memory, to_gamma, to_beta, *rest,
    )  # fmt: skip
    return Gradients(dx, dgamma, dbeta)


@collective
def batch_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> BatchNormResult:
    """Training forward: normalizes each channel by its own batch mean and biased variance.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta``

    (Ioffe & Szegedy 2015, algorithm 1; docs/derivation.md B1 to B5).

    Args:
        x: float32, float64, float16 or bfloat16, of any shape with a channel axis. Taken as it lies in memory if it has
            no gaps (C order, channels last, Fortran order, any order of axes); copied once otherwise.
        gamma, beta: scale and shift, (C,); None is 1 and 0. Converted to float32, for float64 x to float64.
        eps: var + eps must be > 0.
        channel_axis: the axis of gamma and beta: 1 for NCHW, -1 for NHWC.
        out: where y goes, an array like x in shape, dtype and memory; not x itself.
        options: threads, instruction set, ranks. The same bits for every number of threads and instruction set.

    Returns:
        y like x, and the statistics that the backward needs, in double.

    Raises:
        ValueError: a shape does not fit; a channel has one value only; var + eps <= 0; out overlaps an input.
        TypeError: x is no CPU array of one of the four types.

    Accuracy: relative L2 error against float64 <= 3e-7 (float32) while ``|mean| / std <= 1e6``.

    >>> import numpy as np, unitvar
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> unitvar.batch_norm(x, eps=0.0).y
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    op = "batch_norm"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result_apart(op, x, out)
    mean, var, rstd = layout.statistics(3)
    _core.batch_norm_forward(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.parameter(op, "gamma", gamma),
        layout.parameter(op, "beta", beta), memory, mean, var, rstd, real(op, "eps", eps), options,
    )  # fmt: skip
    return BatchNormResult(y, mean, var, rstd)


def batch_norm_inference(
    x: Array,
    mean: Array,
    var: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> np.ndarray:
    """Normalizes by given statistics: ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` (docs/derivation.md B6).

    Args:
        x, gamma, beta, eps, channel_axis, options: as in batch_norm.
        mean, var: running statistics, (C,); whether var is biased or unbiased is the caller's choice.
        out: where y goes; may be x itself.

    >>> import numpy as np, unitvar
    >>> unitvar.batch_norm_inference(np.array([[1.0, 2.0]]), np.zeros(2), np.ones(2), eps=0.0)
    array([[1., 2.]])
    """
    op = "batch_norm_inference"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result(op, "out", out)
    _core.batch_norm_inference(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.statistic(op, "mean", mean),
        layout.statistic(op, "var", var), layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta),
        memory, real(op, "eps", eps), options,
    )  # fmt: skip
    return y


@collective
def batch_norm_backward(
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
    """Gradients of batch_norm: dx, dgamma and dbeta from dy (docs/derivation.md B14, B15, B27).

    ``dx = gamma * rstd * (dy - mean(dy) - x_hat * mean(dy * x_hat))``, ``dgamma = sum(dy * x_hat)``,
    ``dbeta = sum(dy)``.

    Args:
        x, gamma, channel_axis, options: the forward's.
        dy: dL/dy, of x's shape and dtype. Copied once if it lies in memory otherwise than x.
        mean, rstd: what the forward gave, (C,).
        need_dx, need_params: what is not needed is not computed, and None.
        out: where dx goes; may be dy itself.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 3))
    >>> y, mean, var, rstd = unitvar.batch_norm(x)
    >>> dx, dgamma, dbeta = unitvar.batch_norm_backward(x, np.ones_like(x), mean, rstd)
    >>> bool(abs(dx).max() < 1e-12), dbeta
    (True, array([8., 8., 8.]))
    """
    op = "batch_norm_backward"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    return gradients(
        op, _core.batch_norm_backward, layout, x, dy, {"mean": mean, "rstd": rstd}, {"gamma": gamma},
        need_dx, need_params, out, options,
    )  # fmt: skip


def batch_norm_frozen_backward(
    x: Array | None,
    dy: Array,
    mean: Array,
    var: Array,
    gamma: Array | None = None,
    *,
    eps: float = 1e-5,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of batch_norm_inference, where statistics are constants: ``dx = gamma * rstd * dy``.

    Equation B42 of docs/derivation.md.

    Args:
        x: the forward's input; may be None unless dgamma is needed.
        dy, mean, var, gamma, eps, channel_axis, options: as there and in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> mean, var, dy = np.zeros(1), np.ones(1), np.ones((2, 1))
    >>> unitvar.batch_norm_frozen_backward(None, dy, mean, var, eps=0.0, need_params=False).dx
    array([[1.],
           [1.]])
    """
    op = "batch_norm_frozen_backward"
    dy = as_tensor(op, "dy", dy)
    layout = Layout(op, dy if x is None else as_tensor(op, "x", x), channel_axis)
    if x is None and need_params:
        raise ValueError(f"{op}: x is None, want the forward's x: dgamma needs it")
    return gradients(
        op, _core.batch_norm_frozen_backward, layout, x, dy, {"mean": mean, "var": var}, {"gamma": gamma},
        need_dx, need_params, out, real(op, "eps", eps), options,
    )  # fmt: skip
