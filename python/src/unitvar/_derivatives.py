"""Second derivatives, forward mode, and the gradient through returned statistics."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Layout, Rows, Tensor, as_tensor, collective
from ._batch_norm import Gradients, gradients
from ._relatives import Groups

__all__ = [
    "DoubleGradients",
    "Tangents",
    "batch_norm_double_backward",
    "batch_norm_frozen_double_backward",
    "batch_norm_frozen_jvp",
    "batch_norm_jvp",
    "batch_norm_statistics_backward",
    "group_norm_double_backward",
    "instance_norm_double_backward",
    "layer_norm_double_backward",
    "rms_norm_double_backward",
]


class DoubleGradients(NamedTuple):
    """Gradients of ``sum(grad_dx * dx) + sum(grad_dgamma * dgamma) + sum(grad_dbeta * dbeta)``."""

    grad_x: np.ndarray
    grad_dy: np.ndarray
    grad_gamma: np.ndarray


def _double(
    op: str, kernel: Any, layout: Tensor, x: Any, dy: Any, statistics: dict[str, Any], gamma: Any,
    grads: tuple[Any, Any, Any], *rest: Any,
) -> DoubleGradients:  # fmt: skip
    grad_x, x_memory = layout.result(op, "grad_x")
    grad_dy, dy_memory = layout.result(op, "grad_dy")
    (grad_gamma,) = layout.parameters(1)
    kernel(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy),
        *(layout.statistic(op, name, value) for name, value in statistics.items()),
        layout.parameter(op, "gamma", gamma), layout.take(op, "grad_dx", grads[0]),
        layout.parameter(op, "grad_dgamma", grads[1]), layout.parameter(op, "grad_dbeta", grads[2]), x_memory,
        dy_memory, grad_gamma, *rest,
    )  # fmt: skip
    return DoubleGradients(grad_x, grad_dy, grad_gamma)


@collective
def batch_norm_double_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> DoubleGradients:
    """Gradients of batch_norm_backward's outputs, for gradient penalties and the like (docs/derivation.md B51 to B54).

    Args:
        grad_dx, grad_dgamma, grad_dbeta: gradients that arrive at dx, dgamma and dbeta; None is 0.
        x, dy, mean, rstd, gamma, channel_axis, options: the backward's.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> y, mean, var, rstd = unitvar.batch_norm(x)
    >>> unitvar.batch_norm_double_backward(x, np.zeros_like(x), mean, rstd, grad_dbeta=np.ones(2)).grad_dy[0]
    array([1., 1.])
    """
    op = "batch_norm_double_backward"
    x = as_tensor(op, "x", x)
    return _double(
        op, _core.batch_norm_double_backward, Layout(op, x, channel_axis), x, dy, {"mean": mean, "rstd": rstd}, gamma,
        (grad_dx, grad_dgamma, grad_dbeta), options,
    )  # fmt: skip


def batch_norm_frozen_double_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> DoubleGradients:
    """batch_norm_double_backward where mean and rstd are constants (docs/derivation.md B55).

    >>> import numpy as np, unitvar
    >>> x = np.ones((2, 1))
    >>> g = unitvar.batch_norm_frozen_double_backward(x, x, np.zeros(1), np.ones(1), grad_dx=x)
    >>> g.grad_dy[0], g.grad_gamma
    (array([1.]), array([2.]))
    """
    op = "batch_norm_frozen_double_backward"
    x = as_tensor(op, "x", x)
    return _double(
        op, _core.batch_norm_frozen_double_backward, Layout(op, x, channel_axis), x, dy, {"mean": mean, "rstd": rstd},
        gamma, (grad_dx, grad_dgamma, grad_dbeta), options,
    )  # fmt: skip


def layer_norm_double_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    axis: int = -1,
    one_plus_gamma: bool = False,
    options: _core.Options = DEFAULT,
) -> DoubleGradients:
    """Gradients of layer_norm_backward's outputs (docs/derivation.md B82).

    Arguments as in batch_norm_double_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(2, 8))
    >>> y, mean, rstd = unitvar.layer_norm(x)
    >>> g = unitvar.layer_norm_double_backward(x, 0 * x, mean, rstd, grad_dbeta=np.ones(8))
    >>> g.grad_dy[0]
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    op = "layer_norm_double_backward"
    x = as_tensor(op, "x", x)
    return _double(
        op, _core.layer_norm_double_backward, Rows(op, x, axis), x, dy, {"mean": mean, "rstd": rstd}, gamma,
        (grad_dx, grad_dgamma, grad_dbeta), bool(one_plus_gamma), options,
    )  # fmt: skip


def rms_norm_double_backward(
    x: Array,
    dy: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    axis: int = -1,
    one_plus_gamma: bool = False,
    options: _core.Options = DEFAULT,
) -> DoubleGradients:
    """Gradients of rms_norm_backward's outputs (docs/derivation.md B85). Arguments as in batch_norm_double_backward.

    >>> import numpy as np, unitvar
    >>> x = np.array([[3.0, 4.0]])
    >>> rstd = unitvar.rms_norm(x, eps=0.0).rstd
    >>> g = unitvar.rms_norm_double_backward(x, 0 * x, rstd, grad_dx=x)  # x is a direction in which y does not move
    >>> bool(abs(g.grad_dy).max() < 1e-15)
    True
    """
    op = "rms_norm_double_backward"
    x = as_tensor(op, "x", x)
    return _double(
        op, _core.rms_norm_double_backward, Rows(op, x, axis), x, dy, {"rstd": rstd}, gamma,
        (grad_dx, grad_dgamma, grad_dbeta), bool(one_plus_gamma), options,
    )  # fmt: skip


def group_norm_double_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    groups: int,
    gamma: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> DoubleGradients:
    """Gradients of group_norm_backward's outputs (docs/derivation.md B79).

    Arguments as in batch_norm_double_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(2, 4, 3))
    >>> y, mean, rstd = unitvar.group_norm(x, 2)
    >>> g = unitvar.group_norm_double_backward(x, 0 * x, mean, rstd, 2, grad_dbeta=np.ones(4))
    >>> bool((g.grad_dy == 1).all())
    True
    """
    op = "group_norm_double_backward"
    x = as_tensor(op, "x", x)
    return _double(
        op, _core.group_norm_double_backward, Groups(op, x, groups, channel_axis), x, dy,
        {"mean": mean, "rstd": rstd}, gamma, (grad_dx, grad_dgamma, grad_dbeta), options,
    )  # fmt: skip


def instance_norm_double_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    grad_dx: Array | None = None,
    grad_dgamma: Array | None = None,
    grad_dbeta: Array | None = None,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> DoubleGradients:
    """Gradients of instance_norm_backward's outputs. Arguments as in batch_norm_double_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(2, 4, 3))
    >>> y, mean, rstd = unitvar.instance_norm(x)
    >>> g = unitvar.instance_norm_double_backward(x, 0 * x, mean, rstd, grad_dbeta=np.ones(4))
    >>> bool((g.grad_dy == 1).all())
    True
    """
    op = "instance_norm_double_backward"
    x = as_tensor(op, "x", x)
    return _double(
        op, _core.instance_norm_double_backward, Groups(op, x, None, channel_axis), x, dy,
        {"mean": mean, "rstd": rstd}, gamma, (grad_dx, grad_dgamma, grad_dbeta), options,
    )  # fmt: skip


@collective
def batch_norm_statistics_backward(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    dmean: Array | None = None,
    dvar: Array | None = None,
    channel_axis: int = 1,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """batch_norm_backward for a loss that uses the returned mean and biased var, too (docs/derivation.md B50).

    Args:
        dmean, dvar: dL/dmean and dL/dvar of the biased variance, (C,); None is 0.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> y, mean, var, rstd = unitvar.batch_norm(x)
    >>> unitvar.batch_norm_statistics_backward(x, np.zeros_like(x), mean, rstd, dmean=np.ones(2)).dx[0]
    array([0.125, 0.125])
    """
    op = "batch_norm_statistics_backward"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    return gradients(
        op, _core.batch_norm_statistics_backward, layout, x, dy,
        {"mean": mean, "rstd": rstd, "dmean": dmean, "dvar": dvar}, {"gamma": gamma},
        need_dx, need_params, out, options,
    )  # fmt: skip


class Tangents(NamedTuple):
    """Directional derivatives of what a forward gives."""

    y_dot: np.ndarray
    mean_dot: np.ndarray
    #: of the biased variance
    var_dot: np.ndarray


def _jvp(op: str, kernel: Any, x: Any, mean: Any, rstd: Any, gamma: Any, dots: tuple[Any, Any, Any], channel_axis: int,
         options: _core.Options) -> Tangents:  # fmt: skip
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y_dot, memory = layout.result(op, "y_dot")
    mean_dot, var_dot = layout.statistics(2)
    kernel(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.statistic(op, "mean", mean),
        layout.statistic(op, "rstd", rstd), layout.parameter(op, "gamma", gamma), layout.take(op, "x_dot", dots[0]),
        layout.parameter(op, "gamma_dot", dots[1]), layout.parameter(op, "beta_dot", dots[2]), memory, mean_dot,
        var_dot, options,
    )  # fmt: skip
    return Tangents(y_dot, mean_dot, var_dot)


@collective
def batch_norm_jvp(
    x: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    x_dot: Array | None = None,
    gamma_dot: Array | None = None,
    beta_dot: Array | None = None,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> Tangents:
    """Forward mode: how y, mean and var move along given directions (docs/derivation.md B56).

    Args:
        x_dot, gamma_dot, beta_dot: directions; None is 0.
        x, mean, rstd, gamma, channel_axis, options: as in batch_norm_backward.

    >>> import numpy as np, unitvar
    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> y, mean, var, rstd = unitvar.batch_norm(x)
    >>> unitvar.batch_norm_jvp(x, mean, rstd, x_dot=np.ones_like(x)).mean_dot
    array([1., 1.])
    """
    return _jvp(
        "batch_norm_jvp", _core.batch_norm_jvp, x, mean, rstd, gamma, (x_dot, gamma_dot, beta_dot), channel_axis,
        options,
    )  # fmt: skip


def batch_norm_frozen_jvp(
    x: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    x_dot: Array | None = None,
    gamma_dot: Array | None = None,
    beta_dot: Array | None = None,
    channel_axis: int = 1,
    options: _core.Options = DEFAULT,
) -> np.ndarray:
    """batch_norm_jvp where mean and rstd are constants (docs/derivation.md B57): y_dot alone.

    >>> import numpy as np, unitvar
    >>> x = np.ones((2, 1))
    >>> unitvar.batch_norm_frozen_jvp(x, np.zeros(1), np.ones(1), x_dot=x)[0]
    array([1.])
    """
    return _jvp(
        "batch_norm_frozen_jvp", _core.batch_norm_frozen_jvp, x, mean, rstd, gamma, (x_dot, gamma_dot, beta_dot),
        channel_axis, options,
    ).y_dot  # fmt: skip
