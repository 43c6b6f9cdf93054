"""Tensors as the compiled module takes them: addresses, extents, dtypes, threads."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import _core

#: The compiled module's numbers of the storage types.
CODES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
#: torch's answer to "what is this tensor?" for the compiled module: DLPack's exchange API, a stable ABI.
EXCHANGE = Tensor.__dlpack_c_exchange_api__
PLAIN = (Tensor, torch.nn.Parameter)
_OPTIONS: dict[int, _core.Options] = {}
_STATISTICS: dict[tuple[int, int], Tensor] = {}


def options() -> _core.Options:
    """Calls run with as many threads as torch.set_num_threads says."""
    threads = torch.get_num_threads()
    found = _OPTIONS.get(threads)
    if found is None:
        found = _OPTIONS[threads] = _core.Options(threads=threads)
    return found


def is_plain(x: Tensor) -> bool:
    """Whether x is a tensor with memory of its own: no fake, wrapped or functional one, and no subclass."""
    return type(x) in PLAIN


def address(x: Tensor | None) -> int:
    """Where the elements begin; 0 for a tensor that is not there."""
    return 0 if x is None else x.data_ptr()


def param_dtype(x: Tensor) -> torch.dtype:
    """Of gamma, beta, dgamma and dbeta as the kernels take them."""
    return torch.float64 if x.dtype is torch.float64 else torch.float32


def statistics(x: Tensor, rows: int, count: int) -> Tensor:
    """A new float64 tensor: mean, var and the like, a row each."""
    if type(x) not in PLAIN:
        return x.new_empty((rows, count), dtype=torch.float64)
    pattern = _STATISTICS.get((rows, count))
    if pattern is None:
        pattern = torch.empty((rows, count), dtype=torch.float64)
        if count <= 4096 and len(_STATISTICS) < 256:
            _STATISTICS[rows, count] = pattern
    return torch.empty_like(pattern)  # half the time of empty with a dtype


def rows_of(statistics: Tensor) -> list[int]:
    """The address of each row."""
    first, (rows, count) = statistics.data_ptr(), statistics.shape
    return [first + 8 * count * row for row in range(rows)]


def laid_out_like(other: Tensor, x: Tensor) -> Tensor:
    """`other`, copied unless it lies as x does: dy of another format, or expanded with strides of 0."""
    if other.stride() == x.stride():
        return other
    return torch.empty_like(x).copy_(other)


def lies_channels_last(x: Tensor) -> bool:
    """Whether the channels, axis 1, are the fastest axis of dense memory, and no other reading is possible."""
    return x.dim() > 2 and not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def channels(x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """x and its outer, channels, inner. Contiguous or channels last as it lies, else a contiguous copy."""
    shape = x.shape
    n, c = shape[0], shape[1]
    s = x.numel() // (n * c) if n else prod(shape[2:])
    if x.is_contiguous():
        return x, (n, c, s)
    if lies_channels_last(x):
        return x, (n * s, c, 1)
    return x.contiguous(), (n, c, s)


def samples(x: Tensor) -> tuple[Tensor, tuple[int, int, int, int]]:
    """The same, and the outer rows of one sample, axis 0."""
    x, extent = channels(x)
    last = extent[2] == 1 and not x.is_contiguous()
    return x, (*extent, prod(x.shape[2:]) if last else 1)


def rows(x: Tensor, axes: int) -> tuple[Tensor, tuple[int, int]]:
    """x in C order, with the number and length of its rows: the last `axes` axes."""
    first = x.dim() - axes
    return x.contiguous(), (prod(x.shape[:first]), prod(x.shape[first:]))


def vector(name: str, t: Tensor | None, x: Tensor, shape: Any) -> Tensor | None:
    """gamma or beta in the kernels' dtype. A conversion is part of the graph, so the gradient comes in t's dtype."""
    if t is None:
        return None
    if t.shape != shape:
        raise RuntimeError(f"unitvar: {name} has shape {tuple(t.shape)}, want {tuple(shape)}")
    if t.device != x.device:
        raise RuntimeError(f"unitvar: {name} is on {t.device}, want {x.device}, where x is")
    wanted = param_dtype(x)
    if t.dtype is not wanted:
        if t.dtype is not x.dtype:
            raise RuntimeError(f"unitvar: mixed dtype: {name} has {t.dtype}, want {wanted} or that of x, {x.dtype}")
        t = t.to(wanted)
    return t if t.is_contiguous() else t.contiguous()
