"""Layer and RMS normalization behind a residual addition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _core
from ._arrays import DEFAULT, Array, Rows, as_tensor, real
from ._batch_norm import Gradients, gradients

__all__ = [
    "LayerNormAddResult",
    "RmsNormAddResult",
    "layer_norm_add",
    "layer_norm_add_backward",
    "rms_norm_add",
    "rms_norm_add_backward",
]


class LayerNormAddResult(NamedTuple):
    """What layer_norm_add gives; statistics of h in float64, of the shape ``x.shape[:axis]``."""

    y: np.ndarray
    #: x + residual
    h: np.ndarray
    mean: np.ndarray
    #: 1 / sqrt(var + eps), var biased
    rstd: np.ndarray


class RmsNormAddResult(NamedTuple):
    """What rms_norm_add gives; rstd of h in float64, of the shape ``x.shape[:axis]``."""

    y: np.ndarray
    #: x + residual
    h: np.ndarray
    #: 1 / sqrt(mean(h^2) + eps)
    rstd: np.ndarray


def layer_norm_add(
    x: Array,
    residual: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    one_plus_gamma: bool = False,
    out: Array | None = None,
    out_h: Array | None = None,
    options: _core.Options = DEFAULT,
) -> LayerNormAddResult:
    """Adds a residual and normalizes each row of the sum: ``h = x + residual``, ``y = layer_norm(h)``.

    One pass over memory, as between the blocks of a transformer (docs/derivation.md B86). h is rounded to the dtype of
    x once. The h that is returned is the one that is normalized, so y has the bits of layer_norm of h.

    Args:
        x, residual: of one shape and dtype: float32, float64, float16 or bfloat16. Copied once unless in C order.
        gamma, beta, axis, one_plus_gamma: as in layer_norm.
        out: where y goes; may be x or the residual itself.
        out_h: where h goes; may be x or the residual itself, the one that `out` is not.

    Raises:
        ValueError, TypeError: as layer_norm, or if y and h overlap.

    >>> import numpy as np, unitvar
    >>> h = np.array([[1.0, 10.0]])
    >>> unitvar.layer_norm_add(np.array([[0.0, -6.0]]), h, eps=0.0, out_h=h).y
    array([[-1.,  1.]])
    >>> h
    array([[1., 4.]])
    """
    op = "layer_norm_add"
    x = as_tensor(op, "x", x)
    rows = Rows(op, x, axis)
    y, y_memory = rows.result(op, "out", out)
    h, h_memory = rows.result(op, "out_h", out_h)
    mean, rstd = rows.statistics(2)
    _core.layer_norm_add_forward(
        rows.code, *rows.extent, rows.take(op, "x", x), rows.take(op, "residual", residual),
        rows.parameter(op, "gamma", gamma), rows.parameter(op, "beta", beta), y_memory, h_memory, mean, rstd,
        real(op, "eps", eps), bool(one_plus_gamma), options,
    )  # fmt: skip
    return LayerNormAddResult(y, h, mean, rstd)


def layer_norm_add_backward(
    h: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    dh: Array | None = None,
    axis: int = -1,
    one_plus_gamma: bool = False,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of layer_norm_add (docs/derivation.md B87). dx is the gradient of x and of the residual.

    Args:
        h, mean, rstd: what layer_norm_add gave.
        dh: what arrives at h from all but y, added to dx in the same pass; None is 0.
        out: where dx goes; may be dy or dh itself.
        dy, gamma, axis, one_plus_gamma, need_dx, need_params, options: as in layer_norm_backward.

    >>> import numpy as np, unitvar
    >>> x, residual = np.random.default_rng(0).normal(size=(2, 4, 8))
    >>> y, h, mean, rstd = unitvar.layer_norm_add(x, residual)
    >>> dh = np.ones_like(h)
    >>> dx = unitvar.layer_norm_add_backward(h, y, mean, rstd, dh=dh).dx
    >>> bool(abs(dx - (unitvar.layer_norm_backward(h, y, mean, rstd).dx + dh)).max() < 1e-15)
    True
    """
    op = "layer_norm_add_backward"
    h = as_tensor(op, "h", h)
    rows = Rows(op, h, axis)
    return gradients(
        op, _core.layer_norm_add_backward, rows, h, dy, {"mean": mean, "rstd": rstd}, {"gamma": gamma},
        need_dx, need_params, out, rows.take(op, "dh", dh), bool(one_plus_gamma), options,
    )  # fmt: skip


def rms_norm_add(
    x: Array,
    residual: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    one_plus_gamma: bool = False,
    out: Array | None = None,
    out_h: Array | None = None,
    options: _core.Options = DEFAULT,
) -> RmsNormAddResult:
    """Adds a residual and scales each row of the sum: ``h = x + residual``, ``y = rms_norm(h)``.

    docs/derivation.md B86. Arguments as in layer_norm_add.

    >>> import numpy as np, unitvar
    >>> unitvar.rms_norm_add(np.array([[1.0, -1.0]]), np.array([[2.0, -2.0]]), eps=0.0)
    RmsNormAddResult(y=array([[ 1., -1.]]), h=array([[ 3., -3.]]), rstd=array([0.33333333]))
    """
    op = "rms_norm_add"
    x = as_tensor(op, "x", x)
    rows = Rows(op, x, axis)
    y, y_memory = rows.result(op, "out", out)
    h, h_memory = rows.result(op, "out_h", out_h)
    (rstd,) = rows.statistics(1)
    _core.rms_norm_add_forward(
        rows.code, *rows.extent, rows.take(op, "x", x), rows.take(op, "residual", residual),
        rows.parameter(op, "gamma", gamma), rows.parameter(op, "beta", beta), y_memory, h_memory, rstd,
        real(op, "eps", eps), bool(one_plus_gamma), options,
    )  # fmt: skip
    return RmsNormAddResult(y, h, rstd)


def rms_norm_add_backward(
    h: Array,
    dy: Array,
    rstd: Array,
    gamma: Array | None = None,
    *,
    dh: Array | None = None,
    axis: int = -1,
    one_plus_gamma: bool = False,
    need_dx: bool = True,
    need_params: bool = True,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> Gradients:
    """Gradients of rms_norm_add (docs/derivation.md B87). Arguments as in layer_norm_add_backward.

    >>> import numpy as np, unitvar
    >>> x = np.array([[3.0, 4.0]])
    >>> y, h, rstd = unitvar.rms_norm_add(x, x, eps=0.0)
    >>> dx = unitvar.rms_norm_add_backward(h, h, rstd, dh=h).dx  # h is a direction in which y does not move
    >>> bool(abs(dx - h).max() < 1e-14)
    True
    """
    op = "rms_norm_add_backward"
    h = as_tensor(op, "h", h)
    rows = Rows(op, h, axis)
    return gradients(
        op, _core.rms_norm_add_backward, rows, h, dy, {"rstd": rstd}, {"gamma": gamma}, need_dx, need_params, out,
        rows.take(op, "dh", dh), bool(one_plus_gamma), options,
    )  # fmt: skip
