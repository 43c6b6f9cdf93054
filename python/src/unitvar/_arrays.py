"""Arrays of any library and layout as flat memory that the kernels take."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable
from math import prod
from typing import Any, TypeVar, cast

import numpy as np

from . import _core

Memory = np.ndarray | int
Array = Any
"""A CPU array: numpy.ndarray, or anything with DLPack or the buffer protocol."""

#: Names of the storage types, in the order of the compiled module's codes.
DTYPES = ("float32", "float64", "bfloat16", "float16")
_CODES: dict[np.dtype, int] = {np.dtype(np.float32): 0, np.dtype(np.float64): 1, np.dtype(np.float16): 3}
_BF16 = 2
_F64 = np.dtype(np.float64)
DEFAULT = _core.Options()
_CPU_DEVICES = (1, 3, 11)  # DLPack: CPU, and host memory that CUDA or ROCm pinned


def _from_dlpack(op: str, name: str, x: Any) -> np.ndarray:
    try:
        device = int(x.__dlpack_device__()[0])
    except Exception as error:
        raise TypeError(f"{op}: {name} has no memory on the CPU: {error}") from None
    if device not in _CPU_DEVICES:
        raise TypeError(f"{op}: {name} is on DLPack device {device}, want an array on the CPU")
    try:
        if "bfloat16" in str(getattr(x, "dtype", "")):
            return _bf16_from_dlpack(x)
        return np.from_dlpack(x)
    except (BufferError, ImportError, RuntimeError, TypeError) as error:
        raise TypeError(f"{op}: {name} does not convert to a NumPy array: {error}") from None


def _bf16_from_dlpack(x: Any) -> np.ndarray:
    import ml_dtypes

    bits: np.ndarray = np.asarray(_core.bits_of(x))
    return bits.view(ml_dtypes.bfloat16)


def as_array(op: str, name: str, x: Any) -> np.ndarray:
    """A NumPy array on the memory of x. TypeError unless x is a CPU array."""
    if isinstance(x, np.ndarray):
        if isinstance(x, np.ma.MaskedArray):
            raise TypeError(f"{op}: {name} is a masked array, want plain memory: batch_norm_weighted takes a mask")
        return x
    if hasattr(x, "__dlpack__"):
        return _from_dlpack(op, name, x)
    try:
        return np.asarray(memoryview(x))
    except TypeError:
        raise TypeError(
            f"{op}: {name} is a {type(x).__name__}, want a NumPy array or another CPU array (DLPack or buffer protocol)"
        ) from None


def as_tensor(op: str, name: str, x: Any) -> np.ndarray:
    """x as an array of a storage type. TypeError otherwise."""
    array = as_array(op, name, x)
    if array.dtype in _CODES:
        return array
    if array.dtype.name == "bfloat16" and array.dtype.itemsize == 2:  # of ml_dtypes, which need not be there
        _CODES[array.dtype] = _BF16
        return array
    raise TypeError(f"{op}: {name} has dtype {array.dtype}, want {', '.join(DTYPES)}")


def param_dtype(dtype: np.dtype) -> np.dtype:
    """Of gamma, beta, dgamma, dbeta: float64 for float64, else float32."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def contiguous(array: np.ndarray, dtype: np.dtype | None = None) -> np.ndarray:
    """In C order and aligned: array itself, or a copy."""
    memory = np.ascontiguousarray(array, dtype)
    return memory if memory.flags.aligned else memory.copy()


def needed(op: str, name: str, x: Any) -> Any:
    """x, which may not be None."""
    if x is None:
        raise TypeError(f"{op}: {name} is None, want an array")
    return x


def integer(op: str, name: str, value: Any) -> int:
    """A number as int."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} is {value!r}, want an int") from None


def natural(op: str, name: str, value: Any) -> int:
    """A number of things, 1 or more."""
    number = integer(op, name, value)
    if not 1 <= number < 2**62:
        raise ValueError(f"{op}: {name} is {number}, want 1 or more")
    return number


def real(op: str, name: str, value: Any) -> float:
    """A number as float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: {name} is {value!r}, want a number") from None


Function = TypeVar("Function", bound=Callable[..., Any])


def collective(call: Function) -> Function:
    """A call of all ranks of a communicator: if this one refuses its arguments, the others learn why."""

    @functools.wraps(call)
    def checked(*args: Any, options: _core.Options = DEFAULT, **kwargs: Any) -> Any:
        if not isinstance(options, _core.Options):
            raise TypeError(f"{call.__name__}: options is a {type(options).__name__}, want unitvar.Options")
        ranks = options.communicator
        if ranks is None:
            return call(*args, options=options, **kwargs)
        before = ranks.starts  # type: ignore[attr-defined]
        try:
            return call(*args, options=options, **kwargs)
        except Exception as problem:  # a MemoryError, too
            if ranks.starts == before:  # type: ignore[attr-defined]
                with contextlib.suppress(Exception):  # the others are out of reach; this problem says more
                    _core.refuse(options, str(problem) or type(problem).__name__)
            raise

    return cast(Function, checked)


def flat(array: np.ndarray) -> np.ndarray:
    """What the compiled module takes of a contiguous array: bf16 as 16-bit integers, which every library knows."""
    return array.view(np.uint16) if _CODES[array.dtype] == _BF16 else array


#: What the compiled module takes for an array that is not there.
ABSENT = 0


def as_vector(op: str, name: str, x: Any, dtype: np.dtype, shape: tuple[int, ...] | None = None) -> Memory:
    """A small argument (a parameter, a statistic) in another type: copied if it has another one. None is ABSENT."""
    if x is None:
        return ABSENT
    array = as_array(op, name, x)
    if shape is not None and array.shape != shape:
        raise ValueError(f"{op}: {name} has shape {array.shape}, want {shape}")
    if array.dtype != dtype and array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise TypeError(f"{op}: {name} has dtype {array.dtype}, want real numbers")
    return contiguous(array, dtype)


def as_axis(op: str, name: str, axis: Any, ndim: int) -> int:
    """The axis, counted from 0. A tuple is refused: it would say which axes are averaged, which others decide here."""
    if type(axis) is int and -ndim <= axis < ndim:
        return axis % ndim
    if isinstance(axis, (tuple, list)):
        raise TypeError(
            f"{op}: {name} is {axis!r}, want one axis: channel_axis of batch, group and instance norm is that of "
            "gamma; axis of layer and RMS norm is the first of the normalized ones"
        )
    index = integer(op, name, axis)
    if not -ndim <= index < ndim:
        raise ValueError(f"{op}: {name} is {index}, want an axis of an array with {ndim} axes")
    return index % ndim


_IN_ORDER = tuple(tuple(range(n)) for n in range(65))  # NumPy has at most 64 axes


def _order_of(x: np.ndarray) -> tuple[int, ...] | None:
    """The axes from the slowest to the fastest, if x covers its memory without gaps; axes of size 1 stay in place."""
    if x.flags.c_contiguous:
        return _IN_ORDER[x.ndim]
    moving = [axis for axis in range(x.ndim) if x.shape[axis] != 1]
    by_stride = iter(sorted(moving, key=lambda axis: -x.strides[axis]))
    order = tuple(axis if x.shape[axis] == 1 else next(by_stride) for axis in range(x.ndim))
    return order if x.transpose(order).flags.c_contiguous else None


class Tensor:
    """How a call takes tensors: x's shape and dtype, and the order in which its axes lie in memory."""

    __slots__ = ("shape", "dtype", "code", "order", "inverse", "parameter_shape", "statistic_shape", "param_dtype")

    def __init__(self, x: np.ndarray, order: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.code, self.order = x.shape, x.dtype, _CODES[x.dtype], order
        self.inverse = order if order is _IN_ORDER[x.ndim] else tuple(map(order.index, range(x.ndim)))
        self.param_dtype = param_dtype(x.dtype)
        #: of gamma and of mean
        self.parameter_shape: tuple[int, ...] = ()
        self.statistic_shape: tuple[int, ...] = ()

    @property
    def extent(self) -> tuple[int, ...]:
        """What the compiled module takes for the shape."""
        raise NotImplementedError

    def _like_x(self, op: str, name: str, x: Any) -> np.ndarray:
        array = as_tensor(op, name, x)
        if array.shape != self.shape:
            raise ValueError(f"{op}: {name} has shape {array.shape}, want that of x, {self.shape}")
        if array.dtype != self.dtype:
            raise TypeError(f"{op}: {name} has dtype {array.dtype}, want that of x, {self.dtype}")
        memory: np.ndarray = array.transpose(self.order)
        return memory

    def take(self, op: str, name: str, x: Any) -> Memory:
        """A tensor like x as flat memory, copied only if it lies otherwise. None is ABSENT."""
        return ABSENT if x is None else flat(contiguous(self._like_x(op, name, x)))

    def result(self, op: str, name: str, out: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """An output like x, and its flat memory. `out` must lie as x is taken."""
        if out is None:
            memory = np.empty([self.shape[axis] for axis in self.order], self.dtype)
            return memory.transpose(self.inverse), flat(memory)
        memory = self._like_x(op, name, out)
        if not (memory.flags.c_contiguous and memory.flags.writeable and memory.flags.aligned):
            raise ValueError(
                f"{op}: {name} is read-only, misaligned or lies in memory otherwise than x, want an array like x"
            )
        return as_array(op, name, out), flat(memory)

    def result_apart(self, op: str, x: np.ndarray, out: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same where the backward needs x: the library sees an overlap only if x is not copied."""
        y, memory = self.result(op, "out", out)
        if out is not None and np.may_share_memory(memory, x):
            raise ValueError(f"{op}: out overlaps x, want separate memory: the backward needs x")
        return y, memory

    def gradient(self, op: str, needed: bool, out: Any = None, name: str = "out") -> tuple[np.ndarray | None, Memory]:
        """An output like x if it is needed, and its flat memory."""
        if not needed and out is not None:
            raise ValueError(f"{op}: {name} is given for a gradient that is not needed")
        return self.result(op, name, out) if needed else (None, ABSENT)

    def parameter(self, op: str, name: str, x: Any) -> Memory:
        """gamma or the like, converted to param_dtype."""
        return as_vector(op, name, x, self.param_dtype, self.parameter_shape)

    def statistic(self, op: str, name: str, x: Any) -> Memory:
        """mean or the like, in double."""
        return as_vector(op, name, x, _F64, self.statistic_shape)

    def statistics(self, n: int) -> list[np.ndarray]:
        """n new arrays like mean."""
        return [np.empty(self.statistic_shape, _F64) for _ in range(n)]

    def parameters(self, n: int) -> list[np.ndarray]:
        """n new arrays like gamma."""
        return [np.empty(self.parameter_shape, self.param_dtype) for _ in range(n)]

    def parameter_gradients(self, needed: bool) -> tuple[np.ndarray | None, np.ndarray | None, Memory, Memory]:
        """dgamma and dbeta if they are needed, and what the compiled module takes for them."""
        if not needed:
            return None, None, ABSENT, ABSENT
        dgamma, dbeta = self.parameters(2)
        return dgamma, dbeta, dgamma, dbeta


class Channels(Tensor):
    """A tensor with channels.

    An array that covers its memory without gaps is taken as it lies, whatever the order of its axes. Any other is
    copied once, in C order. `outer_first` wants axis 0 to be the slowest one, as a sample's statistics do. With
    `order`, x is taken in that order of its axes.
    """

    __slots__ = ("outer", "channels", "inner", "channel_axis")

    def __init__(
        self,
        op: str,
        x: np.ndarray,
        channel_axis: Any,
        outer_first: bool = False,
        order: tuple[int, ...] | None = None,
    ) -> None:
        if x.ndim == 0:
            raise ValueError(f"{op}: x has no axis, want a channel axis")
        if 0 in x.shape[1:]:
            raise ValueError(f"{op}: x has shape {x.shape}, want no empty axis but the batch's, axis 0")
        order = _order_of(x) if order is None else order
        if order is None or (outer_first and not self._is_first(order, x.shape)):
            order = _IN_ORDER[x.ndim]
        super().__init__(x, order)
        self.channel_axis = as_axis(op, "channel_axis", channel_axis, x.ndim)
        place = order.index(self.channel_axis)
        sizes = [x.shape[axis] for axis in order]
        self.outer, self.channels, self.inner = prod(sizes[:place]), sizes[place], prod(sizes[place + 1 :])
        self.parameter_shape = self.statistic_shape = (self.channels,)

    @staticmethod
    def _is_first(order: tuple[int, ...], shape: tuple[int, ...]) -> bool:
        return all(shape[axis] == 1 for axis in order[: order.index(0)])

    @property
    def sample_rows(self) -> int:
        """Outer rows of a sample, where samples are the slowest axis."""
        return self.outer // self.shape[0] if self.shape[0] else 1


class Layout(Channels):
    """A tensor with channels whose statistics are those of the channels."""

    __slots__ = ()

    @property
    def extent(self) -> tuple[int, int, int]:
        """outer, channels, inner."""
        return self.outer, self.channels, self.inner


class Rows(Tensor):
    """Rows of contiguous elements: the axes from `axis` on, in C order; an array that lies otherwise is copied."""

    __slots__ = ("rows", "length")

    def __init__(self, op: str, x: np.ndarray, axis: Any) -> None:
        if x.ndim == 0:
            raise ValueError(f"{op}: x has no axis to normalize")
        super().__init__(x, _IN_ORDER[x.ndim])
        first = as_axis(op, "axis", axis, x.ndim)
        self.statistic_shape, self.parameter_shape = x.shape[:first], x.shape[first:]
        self.rows, self.length = prod(self.statistic_shape), prod(self.parameter_shape)

    @property
    def extent(self) -> tuple[int, int]:
        """rows, length."""
        return self.rows, self.length
