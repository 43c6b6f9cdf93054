"""Numeric differentiation in float64, and analytic gradients checked against it.

Richardson's extrapolation of central differences, with an estimate of its own error at each element.

>>> import numpy as np
>>> x = np.array([1.0, 2.0])
>>> report = gradcheck(lambda x: float((x**3).sum()), x, 3 * x**2)
>>> report.max_rel_error < 1e-11
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import Array, as_array

__all__ = [
    "Numeric",
    "Report",
    "gradcheck",
    "l2_error",
    "numeric_gradient",
    "numeric_jacobian",
    "numeric_vjp",
    "rel_error",
]


class Numeric(NamedTuple):
    """A derivative, and the estimated absolute error of each of its elements."""

    value: np.ndarray
    error: np.ndarray


class Report(NamedTuple):
    """How far an analytic gradient is from the numeric one."""

    #: max |a - b| / max(1e-8, |a| + |b|)
    max_rel_error: float
    #: ||analytic - numeric|| / ||numeric||
    l2_error: float
    #: index of the element that max_rel_error comes from, in x's shape
    worst: tuple[int, ...]
    analytic_at_worst: float
    numeric_at_worst: float
    error_at_worst: float
    #: the largest estimated absolute error of any numeric element
    largest_error: float


def _doubles(op: str, name: str, x: Array) -> np.ndarray:
    """A copy in float64: numeric differentiation moves its elements."""
    return np.array(as_array(op, name, x), np.float64, order="C")


def _flat_function(
    f: Callable[[np.ndarray], Any], shape: tuple[int, ...], wanted: tuple[int, ...] | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    def call(flat: np.ndarray) -> np.ndarray:
        y = np.ascontiguousarray(f(flat.reshape(shape)), np.float64)
        if wanted is not None and y.shape != wanted:
            raise ValueError(f"gradcheck: f(x) has shape {y.shape}, want that of dy, {wanted}")
        return y.ravel()

    return call


def _pair(op: str, a: Array, b: Array) -> tuple[np.ndarray, np.ndarray]:
    one, other = _doubles(op, "a", a), _doubles(op, "b", b)
    if one.shape != other.shape:
        raise ValueError(f"{op}: a has shape {one.shape} and b {other.shape}, want the same")
    return one.ravel(), other.ravel()


def numeric_gradient(f: Callable[[np.ndarray], float], x: Array, *, step: float = 0.125, levels: int = 10) -> Numeric:
    """df/dx of a function with one value.

    Args:
        f: called with an array of x's shape, a copy of its own each time.
        step: the first, largest distance; halved `levels` - 1 times.

    >>> import numpy as np
    >>> numeric_gradient(lambda x: float(x @ x), np.array([1.0, 2.0])).value.round(12)
    array([2., 4.])
    """
    own = _doubles("numeric_gradient", "x", x)
    value, error = _core.numeric_gradient(lambda v: float(f(v.reshape(own.shape))), own.ravel(), step, levels)
    return Numeric(value.reshape(own.shape), error.reshape(own.shape))


def numeric_vjp(
    f: Callable[[np.ndarray], Array], x: Array, dy: Array, *, step: float = 0.125, levels: int = 10
) -> Numeric:
    """d sum(dy * f(x)) / dx, each element differentiated before it is added up.

    That keeps more digits than numeric_gradient of the sum.

    >>> import numpy as np
    >>> numeric_vjp(lambda x: x**2, np.array([1.0, 2.0]), np.array([1.0, 10.0])).value.round(12)
    array([ 2., 40.])
    """
    own, g = _doubles("numeric_vjp", "x", x), _doubles("numeric_vjp", "dy", dy)
    value, error = _core.numeric_vjp(_flat_function(f, own.shape, g.shape), own.ravel(), g.ravel(), step, levels)
    return Numeric(value.reshape(own.shape), error.reshape(own.shape))


def numeric_jacobian(f: Callable[[np.ndarray], Array], x: Array, *, step: float = 0.125, levels: int = 10) -> Numeric:
    """df_i / dx_j, a row for each element of f(x) and a column for each of x.

    >>> import numpy as np
    >>> numeric_jacobian(lambda x: x[:1] * x, np.array([2.0, 3.0])).value.round(12)
    array([[4., 0.],
           [3., 2.]])
    """
    own = _doubles("numeric_jacobian", "x", x)
    call = _flat_function(f, own.shape)
    rows, columns, value, error = _core.numeric_jacobian(call, call(own.ravel()).size, own.ravel(), step, levels)
    return Numeric(value.reshape(rows, columns), error.reshape(rows, columns))


def gradcheck(
    f: Callable[[np.ndarray], Any],
    x: Array,
    analytic: Array,
    dy: Array | None = None,
    *,
    step: float = 0.125,
    levels: int = 10,
) -> Report:
    """Compares an analytic gradient with a numeric one.

    Args:
        f: of one value; with dy, of as many as dy has.
        x: where; float64 is meant.
        analytic: the gradient to check, of x's shape.
        dy: dL/df, so that analytic is that of sum(dy * f(x)).

    >>> import numpy as np, unitvar
    >>> x, dy = np.random.default_rng(0).normal(size=(2, 6, 2))
    >>> y, mean, var, rstd = unitvar.batch_norm(x)
    >>> dx = unitvar.batch_norm_backward(x, dy, mean, rstd).dx
    >>> gradcheck(lambda x: unitvar.batch_norm(x).y, x, dx, dy).max_rel_error < 1e-8
    True
    """
    own, a = _doubles("gradcheck", "x", x), _doubles("gradcheck", "analytic", analytic)
    if a.shape != own.shape:
        raise ValueError(f"gradcheck: analytic has shape {a.shape}, want that of x, {own.shape}")
    if dy is None:
        found = _core.gradcheck_scalar(lambda v: float(f(v.reshape(own.shape))), own.ravel(), a.ravel(), step, levels)
    else:
        g = _doubles("gradcheck", "dy", dy)
        found = _core.gradcheck_vector(
            _flat_function(f, own.shape, g.shape), own.ravel(), g.ravel(), a.ravel(), step, levels
        )
    worst = tuple(int(i) for i in np.unravel_index(found[2], own.shape)) if own.size else ()
    return Report(found[0], found[1], worst, *found[3:])


def rel_error(a: Array, b: Array) -> float:
    """max |a - b| / max(1e-8, |a| + |b|), as CS231n's notebooks have it.

    >>> import numpy as np
    >>> rel_error(np.array([1.0]), np.array([3.0]))
    0.5
    """
    return float(_core.rel_error(*_pair("rel_error", a, b)))


def l2_error(a: Array, b: Array) -> float:
    """||a - b|| / max(1e-8, ||b||).

    >>> import numpy as np
    >>> l2_error(np.array([3.0]), np.array([2.0]))
    0.5
    """
    return float(_core.l2_error(*_pair("l2_error", a, b)))
