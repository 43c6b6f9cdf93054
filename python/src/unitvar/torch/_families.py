"""Batch, layer, RMS and group normalization: the plain ones, whose kernels take the same arguments."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import _core
from ._formulas import affine, channel_affine, moments, other_axes, per_channel, stacked
from ._memory import CODES, EXCHANGE, address, channels, laid_out_like, options, rows, samples, statistics
from ._norm import Grads, Norm

#: Numbers behind eps of a batch norm that moves nothing: running mean and var, batches tracked, momentum.
NO_RUNNING = (None, None, None, 0.0)


class _Batch(Norm):
    name = "batch_norm"

    def lay_out(self, numbers: tuple[Any, ...], x: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        x, extent = channels(x)
        return x, extent, extent[1]

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        wide = x.double()
        mean, var = moments(wide, other_axes(x))
        rstd = torch.rsqrt(var + numbers[-1])
        return channel_affine((wide - mean) * rstd, gamma, beta).to(x.dtype), stacked(mean, var, rstd)


class _BatchAlone(_Batch):
    """Nothing but batch_norm. Small tensors feel each call, so its kernel reads the tensors itself.

    Numbers behind eps are what train_as_is moves.
    """

    def forward(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        if not x.is_contiguous():
            x, _ = channels(x)
        y, saved = torch.empty_like(x), statistics(x, 3, x.size(1))
        _core.batch_norm_training(
            EXCHANGE, x, gamma, beta, y, saved, numbers[0], options(), *(numbers[1:] or NO_RUNNING)
        )  # fmt: skip
        return y, saved


class _Frozen(_Batch):
    """Batch normalization by given statistics: `extra` has mean and biased or running var, float64."""

    name = "batch_norm_frozen"
    extra = ("Tensor mean", "Tensor var")
    keeps = 0

    def __init__(self) -> None:
        self.kernel = _core.batch_norm_inference
        self.backward_kernel = _core.batch_norm_frozen_backward
        self.double_kernel = _core.batch_norm_frozen_double_backward

    def outputs(self, numbers: tuple[Any, ...], x: Tensor, extent: tuple[int, ...], count: int) -> tuple[Tensor, ...]:
        return (torch.empty_like(x),)

    def forward(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        x, extent, count = self.lay_out(numbers, x)
        (y,) = self.outputs(numbers, x, extent, count)
        self.kernel(
            CODES[x.dtype], *extent, x.data_ptr(), *map(address, extra), address(gamma), address(beta), y.data_ptr(),
            *numbers, options(),
        )  # fmt: skip
        return (y,)

    def backward(self, numbers: Any, need: Any, dy: Tensor, x: Tensor, gamma: Any, beta: Any, *rest: Tensor) -> Grads:
        x, extent, _ = self.lay_out(numbers, x)
        dy = laid_out_like(dy, x)
        grads = self.gradients(need, x, gamma, beta)
        self.backward_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), *map(address, rest), address(gamma),
            *map(address, grads), *numbers, options(),
        )  # fmt: skip
        return grads

    def double_statistics(self, numbers: tuple[Any, ...], *rest: Tensor) -> Tensor:
        return torch.stack([rest[0], torch.rsqrt(rest[1] + numbers[-1])])

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        mean, var = (per_channel(t, x) for t in extra)
        x_hat = (x.double() - mean) * torch.rsqrt(var + numbers[-1])
        return (channel_affine(x_hat, gamma, beta).to(x.dtype),)


class _Layer(Norm):
    name = "layer_norm"
    numbers = ("int axes", "float eps")
    rows = 2
    saved = slice(0, 2)
    constants = (False,)  # one_plus_gamma

    def lay_out(self, numbers: tuple[Any, ...], x: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        x, extent = rows(x, numbers[0])
        return x, extent, extent[0]

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        wide = x.double()
        mean, var = moments(wide, list(range(x.dim() - numbers[0], x.dim())))
        rstd = torch.rsqrt(var + numbers[-1])
        return affine((wide - mean) * rstd, gamma, beta).to(x.dtype), stacked(mean, rstd)


class _Rms(_Layer):
    name = "rms_norm"
    rows = 1
    saved = slice(0, 1)

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        wide = x.double()
        square = wide.square().mean(list(range(x.dim() - numbers[0], x.dim())), keepdim=True)
        rstd = torch.rsqrt(square + numbers[-1])
        return affine(wide * rstd, gamma, beta).to(x.dtype), stacked(rstd)


class _Group(Norm):
    name = "group_norm"
    numbers = ("int groups", "float eps")
    rows = 2
    saved = slice(0, 2)

    def lay_out(self, numbers: tuple[Any, ...], x: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        x, extent = samples(x)
        return x, (*extent, numbers[0]), x.shape[0] * numbers[0]

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        wide = x.double().reshape(x.shape[0], numbers[0], prod(x.shape[1:]) // numbers[0])
        mean, var = moments(wide, [2])
        rstd = torch.rsqrt(var + numbers[-1])
        x_hat = ((wide - mean) * rstd).reshape(x.shape)
        return channel_affine(x_hat, gamma, beta).to(x.dtype), stacked(mean, rstd)


BATCH, FROZEN, LAYER, RMS, GROUP = _BatchAlone(), _Frozen(), _Layer(), _Rms(), _Group()
