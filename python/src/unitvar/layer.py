"""Batch normalization as a layer with parameters and running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from ._arrays import _CODES, DEFAULT, Array, Layout, as_tensor, as_vector

__all__ = ["BatchNorm", "update_running_statistics"]

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
        0.0 if momentum is None else float(momentum),
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
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or not array.flags.c_contiguous:
            raise TypeError(f"{op}: {name} is no contiguous NumPy array of float64; it is updated in place")
    f64 = np.dtype(np.float64)
    return str(
        _core.update_running_statistics(
            running_mean, running_var, batches_tracked, float(count), as_vector(op, "mean", mean, f64),
            as_vector(op, "var", var, f64),
            *_policy(op, momentum, momentum_sense, running_variance, skip_nonfinite),
        )
    )  # fmt: skip


class BatchNorm:
    """Batch normalization with parameters, running statistics and the last forward's saved statistics.

    A new layer is in training mode, with gamma 1, beta 0, running mean 0, running variance 1. It keeps no copy of x:
    backward takes the forward's x again. Not safe for concurrent calls on one object.

    Args:
        channels: C.
        dtype: of x: float32, float64, float16 or bfloat16.
        eps: var + eps must be > 0.
        momentum: of the running statistics, by default PyTorch's 0.1; None averages over all batches.
        momentum_sense: "weight_of_new" or "weight_of_old"; see update_running_statistics.
        running_variance: "unbiased" or "biased".
        affine: hold gamma and beta.
        track_running_statistics: if not, eval mode uses the batch's statistics too, as PyTorch does.
        channel_axis: 1 for NCHW, -1 for NHWC.

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
        self.dtype = as_tensor("BatchNorm", "dtype", np.empty(0, dtype)).dtype
        self.channels, self.channel_axis, self.eps = channels, channel_axis, eps
        self._layer = _core.BatchNormLayer(
            _CODES[self.dtype], channels, eps, affine, track_running_statistics,
            *_policy("BatchNorm", momentum, momentum_sense, running_variance, skip_nonfinite), options,
        )  # fmt: skip

    def __repr__(self) -> str:
        mode = "frozen" if self.frozen else "training" if self.training else "eval"
        return f"BatchNorm({self.channels}, dtype={self.dtype}, eps={self.eps}, {mode})"

    def __call__(self, x: Array, out: Array | None = None) -> np.ndarray:
        """The same as forward."""
        return self.forward(x, out)

    def _arrays(self, op: str, x: Array, out: Array | None) -> tuple[Layout, np.ndarray, np.ndarray]:
        array = as_tensor(op, "x", x)
        if array.dtype != self.dtype:
            raise TypeError(f"{op}: x has dtype {array.dtype}, want the layer's, {self.dtype}")
        layout = Layout(op, array, self.channel_axis)
        return layout, *layout.result(op, "out", out)

    def forward(self, x: Array, out: Array | None = None) -> np.ndarray:
        """y. Training: by the batch's statistics, which move the running ones; eval: by the running statistics."""
        layout, y, memory = self._arrays("BatchNorm.forward", x, out)
        self._layer.forward(*layout.extent, layout.take("BatchNorm.forward", "x", x), memory)
        return y

    def infer(self, x: Array, out: Array | None = None) -> np.ndarray:
        """y by the running statistics, whatever the mode; safe for concurrent calls."""
        layout, y, memory = self._arrays("BatchNorm.infer", x, out)
        self._layer.infer(*layout.extent, layout.take("BatchNorm.infer", "x", x), memory)
        return y

    def backward(self, x: Array, dy: Array, *, need_dx: bool = True, out: Array | None = None) -> np.ndarray | None:
        """dx of the last training forward of x; writes dgamma and dbeta. out may be dy itself."""
        op = "BatchNorm.backward"
        array = as_tensor(op, "x", x)
        layout = Layout(op, array, self.channel_axis)
        dx, memory = layout.gradient(op, need_dx, out)
        self._layer.backward(*layout.extent, layout.take(op, "x", x), layout.take(op, "dy", dy), memory)
        return dx

    def train(self, on: bool = True) -> BatchNorm:
        """Training mode, or eval mode."""
        self._layer.train(on)
        return self

    def eval(self) -> BatchNorm:
        """Eval mode: running statistics are constants."""
        return self.train(False)

    def freeze(self, on: bool = True) -> BatchNorm:
        """Training with the running statistics as constants: fine-tuning, detectors with small batches."""
        self._layer.freeze(on)
        return self

    def track(self, on: bool = True) -> BatchNorm:
        """Whether training moves the running statistics: off while activations are recomputed."""
        self._layer.track(on)
        return self

    @property
    def training(self) -> bool:
        return bool(self._layer.training)

    @property
    def frozen(self) -> bool:
        return bool(self._layer.frozen)

    @property
    def gamma(self) -> np.ndarray:
        """The scale, (C,), writable; empty without affine."""
        return np.asarray(self._layer.gamma)

    @property
    def beta(self) -> np.ndarray:
        """The shift, (C,), writable; empty without affine."""
        return np.asarray(self._layer.beta)

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

    @property
    def running_var(self) -> np.ndarray:
        """(C,) float64, writable; unbiased or biased as the layer was made."""
        return np.asarray(self._layer.running_var)

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
        new = {name: np.asarray(state[name]) for name in own}
        for name, array in new.items():
            if array.shape != own[name].shape:
                raise ValueError(f"{op}: {name} has shape {array.shape}, want {own[name].shape}")
        self._layer.batches_tracked = int(new.pop("batches_tracked"))
        for name, array in new.items():
            getattr(self, name)[:] = array
