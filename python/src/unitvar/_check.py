"""Whether your own normalization is right, and if not, which mistake explains it."""

from __future__ import annotations

import html
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import DTYPES, Array, as_array, real

__all__ = ["CheckReport", "CheckedTensor", "Explained", "Mistake", "check", "known_mistakes"]

_OPERATIONS = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm")
_COARSENESS = ("float64", "float32", "float16", "bfloat16")


class Mistake(NamedTuple):
    """A mistake that is known."""

    #: "mean_path_dropped"
    id: str
    #: one sentence
    what: str
    #: of docs/derivation.md
    equation: str
    #: a line that is right
    code: str
    #: data on which it shows
    telling: str


class CheckedTensor(NamedTuple):
    """How one result compares with the right one."""

    name: str
    right: bool
    #: neither right nor wrong: an error of more than 0.25 that rounding may explain
    hidden: bool
    #: ``|given - right| / |right|`` in the L2 norm
    error: float
    #: up to which an error is rounding, on these data
    tolerance: float
    #: decimal digits kept
    digits: float
    #: index of the worst element
    worst: tuple[int, ...]
    given: float
    wanted: float
    #: of a wrong tensor that nothing explains: where its error sits
    place: str


class Explained(NamedTuple):
    """What explains wrong tensors: one mistake, or two made together."""

    tensors: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    error: float


class CheckReport:
    """What `check` found. print() shows it; a notebook shows a table."""

    right: bool
    #: none is wrong, and some are hidden by rounding
    hidden: bool
    tensors: tuple[CheckedTensor, ...]
    explanations: tuple[Explained, ...]
    #: mistakes that these data cannot tell
    untold: tuple[Mistake, ...]

    def __init__(self, found: dict[str, Any]) -> None:
        self.right, self.hidden = found["right"], found["hidden"]
        self.tensors = tuple(CheckedTensor(**t) for t in found["tensors"])
        self.explanations = tuple(
            Explained(e["tensors"], tuple(Mistake(**m) for m in e["mistakes"]), e["error"])
            for e in found["explanations"]
        )
        self.untold = tuple(Mistake(**m) for m in found["untold"])
        self._text: str = found["text"]

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self._text.rstrip()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{t.name}</td><td>{_verdict(t)}</td><td>{_bar(t)}</td>"
            f"<td>{t.error:.2e}</td><td>{t.tolerance:.0e}</td><td>{t.digits:.1f}</td><td>{list(t.worst)}</td>"
            f"<td>{t.given:.9g}</td><td>{t.wanted:.9g}</td></tr>"
            for t in self.tensors
        )
        head = "".join(
            f"<th>{name}</th>"
            for name in ("tensor", "", "digits kept", "error", "tolerance", "digits", "worst", "given", "want")
        )
        reasons = "".join(
            f"<p>{', '.join(e.tensors)}: "
            + "; ".join(
                f"<b>{m.id}</b>. {html.escape(m.what)} {m.equation}: <code>{html.escape(m.code)}</code>"
                for m in e.mistakes
            )
            + "</p>"
            for e in self.explanations
        )
        named = {name for e in self.explanations for name in e.tensors}
        places = "".join(
            f"<p>{t.name}: no known mistake explains it. {html.escape(t.place)}</p>"
            for t in self.tensors
            if not t.right and not t.hidden and t.name not in named
        )
        return f"<table><tr>{head}</tr>{rows}</table>{reasons}{places}"


def _verdict(t: CheckedTensor) -> str:
    return "right" if t.right else "?" if t.hidden else "<b>WRONG</b>"


def _bar(t: CheckedTensor) -> str:
    """The digits kept, of 17, as a picture; a line where the tolerance is."""
    width = 100
    limit = width * min(17.0, max(0.0, -float(np.log10(max(t.tolerance, 1e-17))))) / 17
    colour = "#2a7f3f" if t.right else "#b3261e"
    return (
        f'<svg width="{width}" height="12"><rect width="{width * t.digits / 17:.1f}" height="12" fill="{colour}"/>'
        f'<line x1="{limit:.1f}" x2="{limit:.1f}" y1="0" y2="12" stroke="black"/></svg>'
    )


def check(
    x: Array,
    dy: Array | None = None,
    *,
    gamma: Array | None = None,
    beta: Array | None = None,
    y: Array | None = None,
    dx: Array | None = None,
    dgamma: Array | None = None,
    dbeta: Array | None = None,
    mean: Array | None = None,
    var: Array | None = None,
    rstd: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    running_mean_before: Array | None = None,
    running_var_before: Array | None = None,
    op: str = "batch_norm",
    channel_axis: int = 1,
    groups: int = 32,
    eps: float = 1e-5,
    momentum: float = 0.1,
    relu: bool = False,
    inference: bool = False,
    dtype: str | None = None,
) -> CheckReport:
    """Says whether results of your own normalization are right, and names the mistake where they are not.

    Everything is computed again in float64 (docs/derivation.md B1 to B7, B27). What is wrong is compared with the layer
    that has each of some sixty mistakes (`known_mistakes`), then with pairs of them.

    Args:
        x, dy: what your layer got: float32, float64, float16 or bfloat16.
        gamma, beta: (C,), or of the last axes for layer and RMS norm.
        y, dx, dgamma, dbeta, mean, var, rstd: what your layer gave; var is the biased one.
        running_mean, running_var: after the step; running_mean_before, running_var_before: before it. The unbiased var.
        op: "batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm".
        channel_axis: 1 or -1. Not of layer and RMS norm.
        groups: of group_norm.
        momentum: the weight of the new batch.
        relu: a ReLU follows: y is behind it, and dy arrives there.
        inference: normalized by the running statistics before the step.
        dtype: in which your layer computed; None is the least precise one of the arrays. What results lose by being
            stored in a coarser one is granted, too.

    Returns:
        A report, true if all given results are right.

    Raises:
        ValueError: a shape does not fit, no result is given, a number is out of range.
        TypeError: an array is no CPU array of one of the four types.

    >>> import numpy as np, unitvar
    >>> random = np.random.default_rng(0)
    >>> x, dy = random.normal(2, 3, (64, 5)), random.normal(1, 1, (64, 5))
    >>> x_hat = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    >>> dx = (dy - x_hat * (dy * x_hat).mean(0)) / np.sqrt(x.var(0) + 1e-5)
    >>> [m.id for e in unitvar.check(x, dy, dx=dx).explanations for m in e.mistakes]
    ['mean_path_dropped']
    """
    given = {
        "x": x, "dy": dy, "gamma": gamma, "beta": beta, "y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta,
        "mean": mean, "var": var, "rstd": rstd, "running_mean": running_mean, "running_var": running_var,
        "running_mean_before": running_mean_before, "running_var_before": running_var_before,
    }  # fmt: skip
    if op not in _OPERATIONS:
        raise ValueError(f"check: op is {op!r}, want {', '.join(_OPERATIONS)}")
    arrays = {name: as_array("check", name, value) for name, value in given.items() if value is not None}
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(f"check: {name} has dtype {array.dtype}, want {', '.join(DTYPES)}")
        if name in ("dy", "y", "dx") and array.shape != arrays["x"].shape:
            raise ValueError(f"check: {name} has shape {array.shape}, want that of x, {arrays['x'].shape}")
    if dtype is None:
        dtype = max((a.dtype.name for a in arrays.values()), key=_COARSENESS.index)
    if dtype not in DTYPES:
        raise ValueError(f"check: dtype is {dtype!r}, want {', '.join(DTYPES)}")
    stored = [DTYPES.index(array.dtype.name) for array in arrays.values()]
    rank = arrays["x"].ndim
    if channel_axis not in (1, -1) and not (rank > 0 and channel_axis == rank - 1):
        raise ValueError(f"check: channel_axis is {channel_axis}, want 1 or -1")
    last = channel_axis == -1 or (channel_axis == rank - 1 and channel_axis != 1)
    memory = [np.ascontiguousarray(a, np.float64).ravel() for a in arrays.values()]
    return CheckReport(
        _core.diagnose(
            _OPERATIONS.index(op), last, list(arrays["x"].shape), groups, real("check", "eps", eps),
            real("check", "momentum", momentum), relu, inference, DTYPES.index(dtype), list(arrays), stored,
            memory,
        )
    )  # fmt: skip


def known_mistakes() -> tuple[Mistake, ...]:
    """All mistakes that `check` knows.

    >>> import unitvar
    >>> unitvar.known_mistakes()[0].id
    'mean_path_dropped'
    """
    return tuple(Mistake(**m) for m in _core.diagnosed_mistakes())
