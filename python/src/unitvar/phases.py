"""The four phases of batch normalization, the merge between them, and accumulators that a producer feeds.

Any exchange of statistics (other processes, parts of a batch) can stand between the phases:

>>> import numpy as np
>>> from unitvar import phases
>>> x = np.random.default_rng(0).normal(size=(8, 3))
>>> a, b = phases.moments(x[:4]), phases.moments(x[4:])
>>> count, mean, m2 = phases.merge_moments(4, *a, 4, *b)
>>> var, rstd = phases.finish_moments(count, m2, eps=1e-5)
>>> y = phases.normalize(x, mean, rstd)
>>> bool(np.allclose(y.mean(0), 0))
True
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._arrays import _F64, DEFAULT, Array, Layout, as_tensor, as_vector, needed, real

__all__ = [
    "GradientSums",
    "GradientSumsAccumulator",
    "MergedMoments",
    "Moments",
    "MomentsAccumulator",
    "Spread",
    "Tile",
    "finish_moments",
    "gradient_sums",
    "input_gradient",
    "merge_moments",
    "moments",
    "normalize",
]


class Moments(NamedTuple):
    """Mean and M2, the sum of squared deviations from it, (C,) float64."""

    mean: np.ndarray
    m2: np.ndarray


class MergedMoments(NamedTuple):
    """Moments of two parts together, n values a channel."""

    n: float
    mean: np.ndarray
    m2: np.ndarray


class Spread(NamedTuple):
    """Biased variance, and 1 / sqrt(var + eps)."""

    var: np.ndarray
    rstd: np.ndarray


class GradientSums(NamedTuple):
    """sum(dy) and sum(dy * (x - mean)), (C,) float64."""

    sum_dy: np.ndarray
    sum_dy_xmu: np.ndarray


def moments(x: Array, *, channel_axis: int = 1, options: _core.Options = DEFAULT) -> Moments:
    """Phase 1: mean and M2 of each channel (docs/derivation.md B1, B2). Options' communicator takes no part.

    >>> import numpy as np
    >>> moments(np.array([[1.0], [3.0]]))
    Moments(mean=array([2.]), m2=array([2.]))
    """
    op = "moments"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    mean, m2 = layout.statistics(2)
    _core.moments(layout.code, *layout.extent, layout.take(op, "x", x), mean, m2, options)
    return Moments(mean, m2)


def merge_moments(
    count_a: float, mean_a: Array, m2_a: Array, count_b: float, mean_b: Array, m2_b: Array
) -> MergedMoments:
    """Moments of two parts together, by Chan's formula (docs/derivation.md B8). The arguments stay as they are.

    Args:
        count_a, count_b: values of a channel in each part.
        mean_a, m2_a, mean_b, m2_b: what moments gave, (C,).

    >>> import numpy as np
    >>> merge_moments(1, np.array([1.0]), np.zeros(1), 1, np.array([3.0]), np.zeros(1))
    MergedMoments(n=2.0, mean=array([2.]), m2=array([2.]))
    """
    op = "merge_moments"
    mean, m2 = (
        np.array(as_vector(op, name, needed(op, name, x), _F64)) for name, x in (("mean_a", mean_a), ("m2_a", m2_a))
    )
    count = _core.merge_moments(
        count_a, mean, m2, count_b, as_vector(op, "mean_b", needed(op, "mean_b", mean_b), _F64, mean.shape),
        as_vector(op, "m2_b", needed(op, "m2_b", m2_b), _F64, mean.shape),
    )  # fmt: skip
    return MergedMoments(count, mean, m2)


def finish_moments(count: float, m2: Array, *, eps: float = 1e-5) -> Spread:
    """``var = m2 / count`` (biased) and ``rstd = 1 / sqrt(var + eps)`` (docs/derivation.md B3).

    >>> import numpy as np
    >>> finish_moments(2, np.array([8.0]), eps=0.0)
    Spread(var=array([4.]), rstd=array([0.5]))
    """
    op = "finish_moments"
    own = as_vector(op, "m2", needed(op, "m2", m2), _F64)
    var, rstd = np.empty_like(own), np.empty_like(own)
    _core.finish_moments(count, own, real(op, "eps", eps), var, rstd)
    return Spread(var, rstd)


def normalize(
    x: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> np.ndarray:
    """Phase 2: ``y = gamma * (x - mean) * rstd + beta`` (docs/derivation.md B4, B5); out may be x itself.

    >>> import numpy as np
    >>> normalize(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0]))
    array([[-1.],
           [ 1.]])
    """
    op = "normalize"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    y, memory = layout.result(op, "out", out)
    _core.normalize(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.statistic(op, "mean", mean),
        layout.statistic(op, "rstd", rstd), layout.parameter(op, "gamma", gamma), layout.parameter(op, "beta", beta),
        memory, options,
    )  # fmt: skip
    return y


def gradient_sums(
    x: Array, dy: Array, mean: Array, *, channel_axis: int = 1, options: _core.Options = DEFAULT
) -> GradientSums:
    """Phase 3: what dgamma, dbeta and dx need of a channel (docs/derivation.md B31). mean is the whole batch's.

    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> gradient_sums(x, x, np.array([2.0]))
    GradientSums(sum_dy=array([4.]), sum_dy_xmu=array([2.]))
    """
    op = "gradient_sums"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    first, second = layout.statistics(2)
    _core.gradient_sums(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy),
        layout.statistic(op, "mean", mean), first, second, options,
    )  # fmt: skip
    return GradientSums(first, second)


def input_gradient(
    x: Array,
    dy: Array,
    mean: Array,
    rstd: Array,
    sum_dy: Array,
    sum_dy_xmu: Array,
    count: float,
    gamma: Array | None = None,
    *,
    channel_axis: int = 1,
    out: Array | None = None,
    options: _core.Options = DEFAULT,
) -> np.ndarray:
    """Phase 4: dx from the sums over the whole batch of `count` values a channel (docs/derivation.md B31).

    Args:
        sum_dy, sum_dy_xmu: what gradient_sums gave, added over all parts of the batch, (C,).
        out: where dx goes; may be dy itself.

    >>> import numpy as np
    >>> x, mean, rstd = np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0])
    >>> input_gradient(x, x, mean, rstd, *gradient_sums(x, x, mean), 2)
    array([[0.],
           [0.]])
    """
    op = "input_gradient"
    x = as_tensor(op, "x", x)
    layout = Layout(op, x, channel_axis)
    dx, memory = layout.result(op, "out", out)
    _core.input_gradient(
        layout.code, *layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy),
        layout.statistic(op, "mean", mean), layout.statistic(op, "rstd", rstd), layout.parameter(op, "gamma", gamma),
        layout.statistic(op, "sum_dy", sum_dy), layout.statistic(op, "sum_dy_xmu", sum_dy_xmu), count, memory, options,
    )  # fmt: skip
    return dx


class Tile(NamedTuple):
    """Rows [outer, outer + outers) and elements [inner, inner + inners) of each channel."""

    outer: int
    outers: int
    inner: int
    inners: int


class _Accumulator:
    """Tiles of a tensor that is added as a producer makes it, in any order, from several threads."""

    def __init__(self, op: str, x: Array, channel_axis: int) -> None:
        self._op = op
        self._layout = Layout(op, as_tensor(op, "x", x), channel_axis)

    def __len__(self) -> int:
        return int(self._own.tiles())

    def tile(self, t: int) -> Tile:
        """What tile t covers, in rows and elements of memory (outer, channels, inner)."""
        return Tile(*self._own.tile(t))

    def clear(self) -> None:
        """Forgets what was added."""
        self._own.clear()

    _own: Any


class MomentsAccumulator(_Accumulator):
    """moments of a tensor that is added tile by tile, while its values are still in the cache.

    The same bits as moments.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(8, 3, 50))
    >>> sums = MomentsAccumulator(x)
    >>> for t in range(len(sums)):
    ...     sums.add(t, x)
    >>> all(np.array_equal(a, b) for a, b in zip(sums.finish(), moments(x)))
    True
    """

    def __init__(self, x: Array, *, channel_axis: int = 1, options: _core.Options = DEFAULT) -> None:
        """x: the tensor, for its shape, dtype and layout; its values are not read."""
        super().__init__("MomentsAccumulator", x, channel_axis)
        self._own = _core.MomentsAccumulator(self._layout.code, *self._layout.extent, options)

    def add(self, t: int, x: Array, begin: int = 0, end: int | None = None) -> None:
        """Adds tile t of channels [begin, end) of x, the whole tensor."""
        last = self._layout.channels if end is None else end
        self._own.add(t, begin, last, self._layout.take(self._op, "x", x))

    def finish(self) -> Moments:
        """The moments. Every tile of every channel must have been added once."""
        mean, m2 = self._layout.statistics(2)
        self._own.finish(mean, m2)
        return Moments(mean, m2)


class GradientSumsAccumulator(_Accumulator):
    """gradient_sums of tensors that are added tile by tile. The same bits as gradient_sums."""

    def __init__(self, x: Array, mean: Array, *, channel_axis: int = 1, options: _core.Options = DEFAULT) -> None:
        """x: the tensor, for its shape, dtype and layout. mean: of the whole batch, (C,)."""
        super().__init__("GradientSumsAccumulator", x, channel_axis)
        own_mean = self._layout.statistic(self._op, "mean", mean)
        self._own = _core.GradientSumsAccumulator(self._layout.code, *self._layout.extent, own_mean, options)

    def add(self, t: int, x: Array, dy: Array, begin: int = 0, end: int | None = None) -> None:
        """Adds tile t of channels [begin, end) of x and dy, the whole tensors."""
        last = self._layout.channels if end is None else end
        take = self._layout.take
        self._own.add(t, begin, last, take(self._op, "x", x), take(self._op, "dy", dy))

    def finish(self) -> GradientSums:
        """The sums. Every tile of every channel must have been added once."""
        first, second = self._layout.statistics(2)
        self._own.finish(first, second)
        return GradientSums(first, second)
