"""Batch normalization as a layer with parameters and running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from ._arrays import (
    _CODES,
    _F64,
    DEFAULT,
    Array,
    Layout,
    as_tensor,
    as_vector,
    collective,
    integer,
    natural,
    needed,
    real,
)

__all__ = ["BatchNorm", "update_running_statistics"]


def _batches(op: str, value: Any) -> int:
    """A counter of batches that may still be incremented."""
    single = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    batches = integer(op, "batches_tracked", single)
    if not 0 <= batches < 2**63 - 1:
        raise ValueError(f"{op}: batches_tracked is {batches}, want 0 or more")
    return batches


_SENSES = ("weight_of_new", "weight_of_old")
_VARIANCES = ("unbiased", "biased")


def _policy(
    op: str, momentum: float | None, sense: str, variance: str, skip_nonfinite: bool
) -> tuple[bool, float, bool, bool, bool]:
    """What the compiled module takes for a running policy."""
    if sense not in _SENSES:
        raise ValueError(f"{op}: momentum_sense is {sense!r}, want one of {_SENSES}")
    if variance not in _VARIANCES:
        raise ValueError(f"{op}: running_variance is {variance!r}, want one of {_VARIANCES}")
    return (
        momentum is None,
        0.0 if momentum is None else real(op, "momentum", momentum),
        sense == "weight_of_old",
        variance == "biased",
        bool(skip_nonfinite),
    )


def update_running_statistics(
    running_mean: np.ndarray,
    running_var: np.ndarray,
    count: float,
    mean: Array,
    var: Array,
    *,
    momentum: float | None = 0.1,
    momentum_sense: str = "weight_of_new",
    running_variance: str = "unbiased",
    batches_tracked: int = 0,
    skip_nonfinite: bool = False,
) -> str:
    """Moves running statistics, float64 (C,), in place, by those of a batch (docs/derivation.md B7).

    Args:
        count: values per channel of the batch, for the unbiased variance.
        mean, var: of the batch; var biased.
        momentum: None averages over all batches; batches_tracked then says how many there were before.
        momentum_sense: "weight_of_new" (PyTorch: 0.1) or "weight_of_old" (ONNX, Keras, CS231n: 0.9).
        running_variance: "unbiased" (PyTorch) or "biased" (ONNX, CS231n).
        skip_nonfinite: a batch with NaN or Inf changes nothing.

    Returns:
        "updated", "empty" (count is 0) or "skipped".

    >>> import numpy as np
    >>> m, v = np.zeros(1), np.ones(1)
    >>> update_running_statistics(m, v, 2, np.array([10.0]), np.array([1.0])), m, v
    ('updated', array([1.]), array([1.1]))
    """
    op = "update_running_statistics"
    for name, array in (("running_mean", running_mean), ("running_var", running_var)):
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim != 1:
            raise TypeError(f"{op}: {name} is no NumPy array of float64, (C,); it is updated in place")
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise ValueError(f"{op}: {name} is read-only or has gaps; it is updated in place")
    return str(
        _core.update_running_statistics(
            running_mean, running_var, _batches(op, batches_tracked), real(op, "count", count),
            as_vector(op, "mean", needed(op, "mean", mean), _F64, running_mean.shape),
            as_vector(op, "var", needed(op, "var", var), _F64, running_mean.shape),
            *_policy(op, momentum, momentum_sense, running_variance, skip_nonfinite),
        )
    )  # fmt: skip


def moved_running(old: np.ndarray, batch: np.ndarray, weight_of_old: float) -> np.ndarray:
    """A running statistic after a batch, in old's dtype, as CS231n and ONNX write it (docs/derivation.md B7)."""
    moved: np.ndarray = weight_of_old * old.astype(np.float64) + (1 - weight_of_old) * batch
    return moved.astype(old.dtype)


class BatchNorm:
    """Batch normalization with parameters, running statistics and the last forward's saved statistics.

    A new layer is in training mode, with gamma 1, beta 0, running mean 0, running variance 1. It keeps no copy of x:
    backward takes the forward's x again. Not safe for concurrent calls on one object. A copy (copy.copy, copy.deepcopy,
    pickle) has arrays of its own, and no saved statistics.

    Args:
        channels: C.
        dtype: of x: float32, float64, float16 or bfloat16.
        eps: var + eps must be > 0.
        momentum: of the running statistics, by default PyTorch's 0.1; None averages over all batches.
        momentum_sense: "weight_of_new" or "weight_of_old"; see update_running_statistics.
        running_variance: "unbiased" or "biased".
        skip_nonfinite: a batch with NaN or Inf leaves the running statistics as they are.
        affine: hold gamma and beta.
        track_running_statistics: if not, eval mode uses the batch's statistics too, as PyTorch does.
        channel_axis: 1 for NCHW, -1 for NHWC.
        options: as in batch_norm.

    >>> import numpy as np, unitvar
    >>> layer = unitvar.BatchNorm(3)
    >>> x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    >>> y = layer(x)
    >>> dx = layer.backward(x, np.ones_like(x))
    >>> layer.dbeta
    array([8., 8., 8.], dtype=float32)
    >>> z = layer.eval()(x)
    """

    def __init__(
        self,
        channels: int,
        dtype: Any = np.float32,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        momentum_sense: str = "weight_of_new",
        running_variance: str = "unbiased",
        skip_nonfinite: bool = False,
        affine: bool = True,
        track_running_statistics: bool = True,
        channel_axis: int = 1,
        options: _core.Options = DEFAULT,
    ) -> None:
        try:
            self._dtype = as_tensor("BatchNorm", "dtype", np.empty(0, dtype)).dtype
        except TypeError:
            raise TypeError(f"BatchNorm: dtype is {dtype!r}, want float32, float64, bfloat16 or float16") from None
        self._channels, self._channel_axis = natural("BatchNorm", "channels", channels), channel_axis
        self._eps = real("BatchNorm", "eps", eps)
        self._options, self._arguments = options, (
            bool(affine), bool(track_running_statistics),
            *_policy("BatchNorm", momentum, momentum_sense, running_variance, skip_nonfinite),
        )  # fmt: skip
        self._layer = self._new_layer()

    def _new_layer(self) -> _core.BatchNormLayer:
        return _core.BatchNormLayer(_CODES[self._dtype], self._channels, self._eps, *self._arguments, self._options)

    def _modes(self) -> tuple[bool, bool, bool]:
        return self.training, self.frozen, bool(self._layer.tracking)

    def _set(self, state: dict[str, np.ndarray], modes: tuple[bool, bool, bool]) -> BatchNorm:
        """The compiled layer, with this state in these modes."""
        self._layer = self._new_layer()
        self.load_state_dict(state)
        if modes[1]:
            self.freeze()
        return self.train(modes[0]).track(modes[2])

    def __deepcopy__(self, memo: dict[int, Any]) -> BatchNorm:
        other = BatchNorm.__new__(BatchNorm)
        other.__dict__.update(self.__dict__)
        return other._set(self.state_dict(), self._modes())

    def __getstate__(self) -> dict[str, Any]:
        o = self._options
        if o.communicator is not None:
            raise TypeError("BatchNorm: a layer with a communicator cannot be pickled: its ranks are this process's")
        own = {name: value for name, value in self.__dict__.items() if name not in ("_layer", "_options")}
        own["_options"] = {"threads": o.threads, "isa": o.isa, "walk": o.walk}
        return own | {"state": self.state_dict(), "modes": self._modes()}

    def __setstate__(self, own: dict[str, Any]) -> None:
        state, modes = own.pop("state"), own.pop("modes")
        self.__dict__.update(own, _options=_core.Options(**own["_options"]))
        as_tensor("BatchNorm", "dtype", np.empty(0, self._dtype))  # makes bfloat16 known
        self._set(state, modes)

    def __copy__(self) -> BatchNorm:
        return self.__deepcopy__({})

    @property
    def dtype(self) -> np.dtype:
        """Of x and y."""
        return self._dtype

    @property
    def channels(self) -> int:
        """C."""
        return self._channels

    @property
    def channel_axis(self) -> int:
        """Of x."""
        return self._channel_axis

    @property
    def eps(self) -> float:
        """Added to the variance."""
        return self._eps

    def __repr__(self) -> str:
        mode = "frozen" if self.frozen else "training" if self.training else "eval"
        return f"BatchNorm({self.channels}, dtype={self.dtype}, eps={self.eps}, {mode})"

    def __call__(self, x: Array, out: Array | None = None) -> np.ndarray:
        """The same as forward."""
        return self.forward(x, out)

    def _take(self, op: str, x: Array) -> tuple[np.ndarray, Layout]:
        array = as_tensor(op, "x", x)
        if array.dtype != self.dtype:
            raise TypeError(f"{op}: x has dtype {array.dtype}, want the layer's, {self.dtype}")
        return array, Layout(op, array, self.channel_axis)

    def forward(self, x: Array, out: Array | None = None) -> np.ndarray:
        """y. Training: by the batch's statistics, which move the running ones; eval: by the running statistics.

        In eval mode out may be x itself.
        """
        return self._forward(x, out, options=self._options)

    @collective
    def _forward(self, x: Array, out: Array | None, *, options: _core.Options) -> np.ndarray:
        op = "BatchNorm.forward"
        x, layout = self._take(op, x)
        by_batch = self.training and not self.frozen
        if by_batch:
            y, memory = layout.result_apart(op, x, out)
        else:
            y, memory = layout.result(op, "out", out)
        self._layer.forward(*layout.extent, layout.take(op, "x", x), memory)
        return y

    def infer(self, x: Array, out: Array | None = None) -> np.ndarray:
        """y by the running statistics, whatever the mode; safe for concurrent calls."""
        op = "BatchNorm.infer"
        x, layout = self._take(op, x)
        y, memory = layout.result(op, "out", out)
        self._layer.infer(*layout.extent, layout.take(op, "x", x), memory)
        return y

    def backward(self, x: Array, dy: Array, *, need_dx: bool = True, out: Array | None = None) -> Any:
        """dx of the last training forward of x, or None if it is not needed; writes dgamma and dbeta. out may be dy.

        A forward in eval mode saves nothing: the backward after it is still that of the last training forward. For
        gradients by the running statistics, freeze the layer.
        """
        return self._backward(x, dy, need_dx, out, options=self._options)

    @collective
    def _backward(self, x: Array, dy: Array, need_dx: bool, out: Array | None, *, options: _core.Options) -> Any:
        op = "BatchNorm.backward"
        x, layout = self._take(op, x)
        dx, memory = layout.gradient(op, need_dx, out)
        self._layer.backward(*layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy), memory)
        return dx

    def train(self, on: bool = True) -> BatchNorm:
        """Training mode, or eval mode."""
        self._layer.train(bool(on))
        return self

    def eval(self) -> BatchNorm:
        """Eval mode: running statistics are constants."""
        return self.train(False)

    def freeze(self, on: bool = True) -> BatchNorm:
        """Training with the running statistics as constants: fine-tuning, detectors with small batches."""
        self._layer.freeze(bool(on))
        return self

    def track(self, on: bool = True) -> BatchNorm:
        """Whether training moves the running statistics: off while activations are recomputed."""
        self._layer.track(bool(on))
        return self

    @property
    def training(self) -> bool:
        """Whether forward takes the batch's statistics."""
        return bool(self._layer.training)

    @property
    def frozen(self) -> bool:
        """Whether training takes the running statistics for constants."""
        return bool(self._layer.frozen)

    @property
    def gamma(self) -> np.ndarray:
        """The scale, (C,), writable; empty without affine."""
        return np.asarray(self._layer.gamma)

    @gamma.setter
    def gamma(self, values: Array) -> None:
        np.asarray(self._layer.gamma)[:] = values

    @property
    def beta(self) -> np.ndarray:
        """The shift, (C,), writable; empty without affine."""
        return np.asarray(self._layer.beta)

    @beta.setter
    def beta(self, values: Array) -> None:
        np.asarray(self._layer.beta)[:] = values

    @property
    def dgamma(self) -> np.ndarray:
        """dL/dgamma of the last backward."""
        return np.asarray(self._layer.dgamma)

    @property
    def dbeta(self) -> np.ndarray:
        """dL/dbeta of the last backward."""
        return np.asarray(self._layer.dbeta)

    @property
    def running_mean(self) -> np.ndarray:
        """(C,) float64, writable."""
        return np.asarray(self._layer.running_mean)

    @running_mean.setter
    def running_mean(self, values: Array) -> None:
        np.asarray(self._layer.running_mean)[:] = values

    @property
    def running_var(self) -> np.ndarray:
        """(C,) float64, writable; unbiased or biased as the layer was made."""
        return np.asarray(self._layer.running_var)

    @running_var.setter
    def running_var(self, values: Array) -> None:
        np.asarray(self._layer.running_var)[:] = values

    @property
    def batches_tracked(self) -> int:
        """Batches that moved the running statistics."""
        return int(self._layer.batches_tracked)

    @property
    def saved_mean(self) -> np.ndarray:
        """The last training forward's mean, (C,) float64."""
        return np.asarray(self._layer.saved_mean)

    @property
    def saved_rstd(self) -> np.ndarray:
        """The last training forward's 1 / sqrt(var + eps), var biased."""
        return np.asarray(self._layer.saved_rstd)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of parameters and running statistics."""
        names = ("gamma", "beta", "running_mean", "running_var")
        state = {name: np.array(getattr(self, name)) for name in names if getattr(self, name).size}
        state["batches_tracked"] = np.array(self.batches_tracked)
        return state

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Takes over what state_dict gave. Checked before anything is changed."""
        op, own = "BatchNorm.load_state_dict", self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"{op}: state has {sorted(state)}, want {sorted(own)}")
        own.pop("batches_tracked")
        tracked = _batches(op, state["batches_tracked"])
        new = {name: np.array(as_vector(op, name, state[name], old.dtype, old.shape)) for name, old in own.items()}
        self._layer.batches_tracked = tracked
        for name, array in new.items():
            getattr(self, name)[:] = array
