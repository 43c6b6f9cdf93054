"""Batch and row normalization in NumPy and float64: what the tests compare with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Relative L2 error of results against float64 on the same inputs. 16 bits: half a step of the type, and its sums.
TOLERANCE = {"float32": 3e-7, "float64": 1e-13, "float16": 5e-4, "bfloat16": 4e-3}


class Expected(NamedTuple):
    y: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    rstd: np.ndarray
    dx: np.ndarray
    dgamma: np.ndarray
    dbeta: np.ndarray


def normalized(
    x: np.ndarray, dy: np.ndarray, gamma: np.ndarray, beta: np.ndarray, axes: tuple[int, ...], eps: float, *,
    parameter_axes: tuple[int, ...], centered: bool = True,
) -> Expected:  # fmt: skip
    """x normalized over `axes`; gamma and beta are broadcast, and their gradients summed over parameter_axes."""
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    mean = x.mean(axes, keepdims=True) if centered else np.zeros_like(x.mean(axes, keepdims=True))
    var = ((x - mean) ** 2).mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * rstd
    g = dy * gamma
    level = g.mean(axes, keepdims=True) if centered else 0
    dx = rstd * (g - level - x_hat * (g * x_hat).mean(axes, keepdims=True))
    dgamma, dbeta = (dy * x_hat).sum(parameter_axes), dy.sum(parameter_axes)
    return Expected(x_hat * gamma + beta, mean.squeeze(axes), var.squeeze(axes), rstd.squeeze(axes), dx, dgamma, dbeta)


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Relative L2 error."""
    a, e = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert a.shape == e.shape, (a.shape, e.shape)
    size = float(np.sqrt((e**2).sum()))
    return float(np.sqrt(((a - e) ** 2).sum())) / (size if size > 0 else 1.0)
