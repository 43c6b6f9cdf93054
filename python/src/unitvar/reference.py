"""The derivation as code, in float64: closed forms, the staged graph, the Jacobian, the partial derivatives.

Slow and plain: what kernels are tested against. Equation numbers (B..) are those of docs/derivation.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _core
from ._arrays import Array, Layout, as_array
from ._batch_norm import Gradients

__all__ = [
    "FORMS",
    "Forward",
    "Staged",
    "backward",
    "forward",
    "frozen_backward",
    "jacobian",
    "jacobian_x_hat",
    "partial_mean_x",
    "partial_rstd_x",
    "partial_var_mean",
    "partial_var_x",
    "partial_x_hat_mean",
    "partial_x_hat_var",
    "partial_x_hat_x",
    "partial_y_x_hat",
    "staged",
]

partial_y_x_hat = _core.partial_y_x_hat
partial_x_hat_x = _core.partial_x_hat_x
partial_x_hat_var = _core.partial_x_hat_var
partial_var_x = _core.partial_var_x
partial_x_hat_mean = _core.partial_x_hat_mean
partial_mean_x = _core.partial_mean_x
partial_rstd_x = _core.partial_rstd_x

#: The ways to compute the backward pass, which all give the same.
FORMS = ("closed", "one_line", "dx_hat", "sums", "matrix", "phases", "partials", "jacobian")


class Forward(NamedTuple):
    """What a forward computes, in float64."""

    y: np.ndarray
    mean: np.ndarray
    #: biased
    var: np.ndarray
    rstd: np.ndarray
    x_hat: np.ndarray


class Staged(NamedTuple):
    """Every step of the computational graph, forward and backward, in the order of the derivation (B32, B33)."""

    mean: np.ndarray
    xmu: np.ndarray
    sq: np.ndarray
    var: np.ndarray
    sqrtvar: np.ndarray
    rstd: np.ndarray
    x_hat: np.ndarray
    gammax: np.ndarray
    y: np.ndarray
    dbeta: np.ndarray
    dgammax: np.ndarray
    dgamma: np.ndarray
    dx_hat: np.ndarray
    drstd: np.ndarray
    dxmu1: np.ndarray
    dsqrtvar: np.ndarray
    dvar: np.ndarray
    dsq: np.ndarray
    dxmu2: np.ndarray
    dmean: np.ndarray
    dx1: np.ndarray
    dx2: np.ndarray
    dx: np.ndarray


class _Doubles:
    """A tensor in float64 and its layout; every argument is converted to it."""

    def __init__(self, op: str, x: Array, channel_axis: int) -> None:
        self.op = op
        self.x = np.require(as_array(op, "x", x), np.float64, "A")
        self.layout = Layout(op, self.x, channel_axis)

    def take(self, name: str, x: Array) -> np.ndarray:
        wide = np.require(as_array(self.op, name, x), np.float64, "A")
        return np.asarray(self.layout.take(self.op, name, wide)).ravel()

    def parameter(self, name: str, x: Array | None) -> np.ndarray:
        return np.empty(0) if x is None else np.asarray(self.layout.parameter(self.op, name, x))

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """A flat result in x's shape."""
        layout = self.layout
        result: np.ndarray = np.reshape(values, [layout.shape[axis] for axis in layout.order]).transpose(layout.inverse)
        return result


def forward(
    x: Array, gamma: Array | None = None, beta: Array | None = None, *, eps: float = 1e-5, channel_axis: int = 1
) -> Forward:
    """Training forward (B1 to B5).

    >>> import numpy as np
    >>> forward(np.array([[1.0], [3.0]]), eps=0.0).x_hat
    array([[-1.],
           [ 1.]])
    """
    d = _Doubles("reference.forward", x, channel_axis)
    y, mean, var, rstd, x_hat = _core.reference_forward(
        *d.layout.extent, d.take("x", d.x), d.parameter("gamma", gamma), d.parameter("beta", beta), eps
    )
    return Forward(d.shaped(y), mean, var, rstd, d.shaped(x_hat))


def backward(
    x: Array, dy: Array, gamma: Array | None = None, *, eps: float = 1e-5, channel_axis: int = 1, form: str = "closed"
) -> Gradients:
    """dx, dgamma, dbeta by one of FORMS.

    "closed" (B14, B15, B27), "one_line" (B27 in one line), "dx_hat" (B28), "sums" (B29), "matrix" (B30),
    "phases" (B31), "partials" (B26), "jacobian" (B12, a matrix of N x N for each channel).

    >>> import numpy as np
    >>> x, dy = np.random.default_rng(0).normal(size=(2, 8, 3))
    >>> results = [backward(x, dy, form=form).dx for form in FORMS]
    >>> bool(max(abs(dx - results[0]).max() for dx in results) < 1e-12)
    True
    """
    d = _Doubles("reference.backward", x, channel_axis)
    dx, dgamma, dbeta = _core.reference_backward(
        form, *d.layout.extent, d.take("x", d.x), d.take("dy", dy), d.parameter("gamma", gamma), eps
    )
    return Gradients(d.shaped(dx), dgamma, dbeta)


def frozen_backward(
    x: Array, dy: Array, mean: Array, rstd: Array, gamma: Array | None = None, *, channel_axis: int = 1
) -> Gradients:
    """Gradients where mean and rstd are constants (B42).

    >>> import numpy as np
    >>> frozen_backward(np.ones((2, 1)), np.ones((2, 1)), np.zeros(1), np.ones(1)).dgamma
    array([2.])
    """
    d = _Doubles("reference.frozen_backward", x, channel_axis)
    dx, dgamma, dbeta = _core.reference_frozen_backward(
        *d.layout.extent, d.take("x", d.x), d.take("dy", dy), d.parameter("mean", mean), d.parameter("rstd", rstd),
        d.parameter("gamma", gamma),
    )  # fmt: skip
    return Gradients(d.shaped(dx), dgamma, dbeta)


def staged(
    x: Array, dy: Array, gamma: Array | None = None, beta: Array | None = None, *, eps: float = 1e-5,
    channel_axis: int = 1,
) -> Staged:  # fmt: skip
    """Forward and backward through the computational graph, every intermediate result named.

    >>> import numpy as np
    >>> x, dy = np.random.default_rng(0).normal(size=(2, 8, 3))
    >>> bool(np.allclose(staged(x, dy).dx, backward(x, dy).dx, atol=1e-12))
    True
    """
    d = _Doubles("reference.staged", x, channel_axis)
    steps = _core.reference_staged(
        *d.layout.extent,
        d.take("x", d.x),
        d.take("dy", dy),
        d.parameter("gamma", gamma),
        d.parameter("beta", beta),
        eps,
    )
    per_channel = {"mean", "var", "sqrtvar", "rstd", "dbeta", "dgamma", "drstd", "dsqrtvar", "dvar", "dmean"}
    return Staged(**{name: v if name in per_channel else d.shaped(v) for name, v in steps.items()})


def _channel(op: str, x: Array) -> np.ndarray:
    array = np.ascontiguousarray(as_array(op, "x", x), np.float64)
    if array.ndim != 1:
        raise ValueError(f"{op}: x has shape {array.shape}, want the values of one channel, (N,)")
    return array


def jacobian_x_hat(x: Array, *, eps: float = 1e-5) -> np.ndarray:
    """d x_hat_i / d x_j of one channel, (N, N).

    >>> import numpy as np
    >>> jacobian_x_hat(np.array([1.0, 3.0]), eps=0.0)
    array([[0., 0.],
           [0., 0.]])
    """
    values = _channel("reference.jacobian_x_hat", x)
    _, mean, m2 = _core.reference_moments(values)
    flat = _core.reference_jacobian_x_hat(values, mean, m2 / len(values), eps)
    return np.asarray(flat).reshape(len(values), len(values))


def jacobian(x: Array, gamma: float = 1.0, *, eps: float = 1e-5) -> np.ndarray:
    """d y_i / d x_j of one channel, (N, N), from x_hat: ``gamma * rstd * (I - (1 + x_hat_i * x_hat_j) / N)``.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=5)
    >>> bool(np.allclose(jacobian(x), jacobian_x_hat(x), atol=1e-12))
    True
    """
    values = _channel("reference.jacobian", x)
    _, mean, m2 = _core.reference_moments(values)
    rstd = 1 / np.sqrt(m2 / len(values) + eps)
    return np.asarray(_core.reference_jacobian((values - mean) * rstd, gamma, rstd)).reshape(len(values), len(values))


def partial_var_mean(x: Array, mean: float) -> float:
    """d var / d mean: 0 up to rounding where mean is x's (B21).

    >>> import numpy as np
    >>> partial_var_mean(np.array([1.0, 3.0]), 2.0) == 0
    True
    """
    return float(_core.partial_var_mean(_channel("reference.partial_var_mean", x), mean))
