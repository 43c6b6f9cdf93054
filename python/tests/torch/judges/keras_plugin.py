"""A pytest plugin that puts this package's functions into Keras' torch backend, and counts the calls.

KERAS_BACKEND=torch pytest -p keras_plugin --pyargs keras.src.layers.normalization.batch_normalization_test
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import torch
import torch.nn.functional as F
from keras.src import ops
from keras.src.backend.torch import nn as backend
from keras.src.layers import GroupNormalization
from torch import Tensor

import unitvar.torch as ours

CALLS: Counter[str] = Counter()
_TORCHS: dict[str, Callable[..., Any]] = {name: getattr(F, name) for name in ("layer_norm", "rms_norm")}
_busy: set[str] = set()
_kerass_batch_normalization = backend.batch_normalization


def _in_place_of(name: str) -> Callable[..., Any]:
    """The function of this package; what it hands to torch goes to torch."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if name in _busy or not args[0].is_cpu:
            return _TORCHS[name](*args, **kwargs)
        _busy.add(name)
        try:
            CALLS[name] += 1
            return getattr(ours, name)(*args, **kwargs)
        finally:
            _busy.discard(name)

    return call


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Tensor:
    """By given statistics; where gradients go through them, they are those of x, or Keras' own function takes over."""
    x, mean, variance = (backend.convert_to_tensor(t) for t in (x, mean, variance))
    gamma, beta = (None if t is None else backend.convert_to_tensor(t) for t in (scale, offset))
    if not x.is_cpu or mean.dtype != x.dtype:
        return _kerass_batch_normalization(x, mean, variance, axis, offset, scale, epsilon)
    if not bool((variance + epsilon > 0).all()):
        CALLS["batch_norm with var + eps <= 0, by Keras"] += 1
        return _kerass_batch_normalization(x, mean, variance, axis, offset, scale, epsilon)
    channels_second = x.movedim(axis, 1)
    training = mean.requires_grad
    if training:
        others = [a for a in range(x.dim()) if a != axis % x.dim()]
        if not torch.allclose(x.mean(others), mean, atol=1e-5, rtol=1e-4):  # of a mask, or of several replicas
            CALLS["batch_norm of other statistics, by Keras"] += 1
            return _kerass_batch_normalization(x, mean, variance, axis, offset, scale, epsilon)
    CALLS["batch_norm in training" if training else "batch_norm"] += 1
    given = (None, None) if training else (mean, variance)
    y = ours.batch_norm(channels_second, *given, gamma, beta, training=training, eps=epsilon)
    return y.movedim(1, axis)


def group_normalization(self: Any, inputs: Any) -> Any:
    """GroupNormalization.call."""
    x = ops.cast(ops.convert_to_tensor(inputs), keras.src.backend.result_type(inputs.dtype, "float32"))
    weight, bias = (None if v is None else ops.cast(v, x.dtype) for v in (self.gamma, self.beta))
    CALLS["group_norm"] += x.is_cpu
    y = ours.group_norm(x.movedim(self.axis, 1), self.groups, weight, bias, self.epsilon).movedim(1, self.axis)
    return ops.cast(ops.cast(y, inputs.dtype), self.compute_dtype)


for _name in _TORCHS:
    setattr(F, _name, _in_place_of(_name))
backend.batch_normalization = batch_normalization
GroupNormalization.call = group_normalization


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many calls came here, a line each."""
    for name, n in sorted(CALLS.items()):
        terminalreporter.write_line(f"{os.environ.get('KERAS_BACKEND')} calls of {name}: {n}")
