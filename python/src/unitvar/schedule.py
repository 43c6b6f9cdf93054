"""How a call would walk memory, without running it."""

from __future__ import annotations

from typing import NamedTuple

from . import _core
from ._arrays import DEFAULT, Array, Layout, Rows, as_tensor
from ._relatives import Groups

__all__ = ["Explanation", "explain", "explain_groups", "explain_rows"]


class Explanation(NamedTuple):
    """How a call would run."""

    #: "resident" or "streamed"
    walk: str
    #: that would work
    threads: int
    #: tensors read from memory
    reads: int
    #: tensors written
    writes: int
    #: bytes of the busiest thread over the mean of all
    largest_share: float
    #: all of it in one line for people
    text: str

    def __str__(self) -> str:
        return self.text


def explain(x: Array, what: str = "forward", *, channel_axis: int = 1, options: _core.Options = DEFAULT) -> Explanation:
    """How batch norm of x would walk memory; what is "forward", "backward" or "inference". x's values are not read.

    >>> import numpy as np, unitvar
    >>> unitvar.explain(np.empty((2, 3, 4, 4), np.float32)).threads
    1
    """
    array = as_tensor("explain", "x", x)
    layout = Layout("explain", array, channel_axis)
    return Explanation(**_core.explain(*layout.extent, array.dtype.itemsize, what, options))


def explain_groups(
    x: Array, groups: int, what: str = "forward", *, channel_axis: int = 1, options: _core.Options = DEFAULT
) -> Explanation:
    """How group norm of x would walk memory: explain, with groups as in group_norm.

    >>> import numpy as np, unitvar
    >>> unitvar.explain_groups(np.empty((2, 4, 4, 4), np.float32), 2).writes
    1
    """
    array = as_tensor("explain_groups", "x", x)
    layout = Groups("explain_groups", array, groups, channel_axis)
    return Explanation(**_core.explain_groups(*layout.extent, array.dtype.itemsize, what, options))


def explain_rows(x: Array, what: str = "forward", *, axis: int = -1, options: _core.Options = DEFAULT) -> Explanation:
    """How layer or RMS norm of x would walk memory: explain, forward or backward, with axis as in layer_norm.

    >>> import numpy as np, unitvar
    >>> unitvar.explain_rows(np.empty((2, 64), np.float32), "backward").reads
    2
    """
    array = as_tensor("explain_rows", "x", x)
    rows = Rows("explain_rows", array, axis)
    return Explanation(**_core.explain_rows(*rows.extent, array.dtype.itemsize, what, options))
