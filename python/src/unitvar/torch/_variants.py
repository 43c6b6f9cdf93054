"""Batch normalization with weights, ghost batches, and by renormalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._families import BATCH, _Batch
from ._formulas import channel_affine, moments, other_axes, per_channel, stacked
from ._memory import CODES, address, laid_out_like, options, rows_of, samples
from ._norm import Grads, Norm


class _Weighted(_Batch):
    """`extra` has a weight for each position, of x's shape without the channels."""

    name = "batch_norm_weighted"
    extra = ("Tensor weight",)
    numbers = ("bool zero_unweighted", "float eps")

    def forward(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        x, extent, count = self.lay_out(numbers, x)
        y, saved = self.outputs(numbers, x, extent, count)
        weight = extra[0].contiguous()
        zero, eps = numbers
        self.kernel(
            CODES[x.dtype], *extent, x.data_ptr(), weight.data_ptr(), address(gamma), address(beta), y.data_ptr(),
            *rows_of(saved), eps, zero, options(),
        )  # fmt: skip
        return y, saved

    def backward(self, numbers: Any, need: Any, dy: Tensor, x: Tensor, gamma: Any, beta: Any, *rest: Tensor) -> Grads:
        x, extent, _ = self.lay_out(numbers, x)
        dy, weight = laid_out_like(dy, x), rest[0].contiguous()
        grads = self.gradients(need, x, gamma, beta)
        self.backward_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), *rows_of(rest[1])[self.saved], address(gamma),
            *map(address, grads), weight.data_ptr(), options(),
        )  # fmt: skip
        return grads

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        weight = extra[0].double().unsqueeze(1)
        counted = weight > 0
        wide = torch.where(counted, x.double(), 0)
        mean, var = moments(wide, other_axes(x), weight)
        rstd = torch.rsqrt(var + numbers[-1])
        y = channel_affine((wide - mean) * rstd, gamma, beta)
        other = 0 if numbers[0] else channel_affine((x.double() - mean) * rstd, gamma, beta).detach()
        return torch.where(counted, y, other).to(x.dtype), stacked(mean, var, rstd)


class _Ghost(Norm):
    """Consecutive parts of the batch by themselves; statistics are (3, parts * C)."""

    name = "batch_norm_ghost"
    numbers = ("int ghost", "float eps")

    def lay_out(self, numbers: tuple[Any, ...], x: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        x, (n, c, s, sample_rows) = samples(x)
        parts = -(-x.shape[0] // numbers[0])
        return x, (n, c, s, numbers[0] * sample_rows), parts * c

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        parts = [BATCH.formula(numbers, part, gamma, beta) for part in x.split(numbers[0])]
        return torch.cat([y for y, _ in parts]), torch.cat([saved for _, saved in parts], 1)


class _Renorm(_Batch):
    """`extra` has running_mean and running_var, float64. r and d are constants for all derivatives."""

    name = "batch_norm_renorm"
    extra = ("Tensor running_mean", "Tensor running_var")
    numbers = ("float r_max", "float d_max", "float eps")
    rows = 5

    def forward(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        x, extent, count = self.lay_out(numbers, x)
        y, saved = self.outputs(numbers, x, extent, count)
        self.kernel(
            CODES[x.dtype], *extent, x.data_ptr(), address(gamma), address(beta), *map(address, extra), y.data_ptr(),
            *rows_of(saved), *numbers, options(),
        )  # fmt: skip
        return y, saved

    def backward(self, numbers: Any, need: Any, dy: Tensor, x: Tensor, gamma: Any, beta: Any, *rest: Tensor) -> Grads:
        x, extent, _ = self.lay_out(numbers, x)
        dy = laid_out_like(dy, x)
        grads = self.gradients(need, x, gamma, beta)
        mean, _, rstd, r, d = rows_of(rest[-1])
        self.backward_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), mean, rstd, r, d, address(gamma),
            *map(address, grads), options(),
        )  # fmt: skip
        return grads

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        r_max, d_max, eps = numbers
        wide = x.double()
        mean, var = moments(wide, other_axes(x))
        rstd = torch.rsqrt(var + eps)
        running_mean, running_rstd = per_channel(extra[0], x), torch.rsqrt(per_channel(extra[1], x) + eps)
        r = (running_rstd / rstd).clamp(1 / r_max, r_max).detach()
        d = ((mean - running_mean) * running_rstd).clamp(-d_max, d_max).detach()
        y = channel_affine((wide - mean) * rstd * r + d, gamma, beta)
        return y.to(x.dtype), stacked(mean, var, rstd, r, d)


WEIGHTED, GHOST, RENORM = _Weighted(), _Ghost(), _Renorm()
