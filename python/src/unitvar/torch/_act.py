"""Batch normalization with a residual and an activation behind it, by the batch's statistics and by given ones."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import _core
from .._activation import Activation, as_activation
from ._families import BATCH, FROZEN, _Batch
from ._memory import CODES, address, channels, laid_out_like, options, rows_of, statistics
from ._norm import Grads

_IDENTITY, _LEAKY_RELU, _CLIP, _HARD_SWISH, _SILU = range(5)
_HAS_MASK, _IS_RECOMPUTED = (_LEAKY_RELU, _CLIP), (_HARD_SWISH, _SILU)


def activation_of(name: str, negative_slope: float, low: float, high: float) -> Activation:
    """What the kernels take for an activation's name, which torch's modules fix: relu has no slope."""
    return as_activation("unitvar", name, 0.0 if name == "relu" else negative_slope, low, high)


def activated(v: Tensor, activation: Activation) -> Tensor:
    """An activation by torch."""
    kind, negative_slope, low, high = activation
    if kind == _IDENTITY:
        return v
    if kind == _LEAKY_RELU:
        return F.relu(v) if negative_slope == 0 else F.leaky_relu(v, negative_slope)
    if kind == _CLIP:
        return F.hardtanh(v, low, high)
    return F.hardswish(v) if kind == _HARD_SWISH else F.silu(v)


def _before_activation(dy: Tensor, v: Tensor, activation: Activation) -> Tensor:
    """``a'(v) * dy`` by torch, of any activation but the identity."""
    kind, negative_slope, low, high = activation
    aten: Any = torch.ops.aten
    if kind == _LEAKY_RELU:
        return aten.leaky_relu_backward(dy, v, negative_slope, False)
    if kind == _CLIP:
        return aten.hardtanh_backward(dy, v, low, high)
    return (aten.hardswish_backward if kind == _HARD_SWISH else aten.silu_backward)(dy, v)


class _AnyAct(_Batch):
    """`extra` begins with the residual; numbers end with the activation and eps."""

    differentiable_extra = 1

    @staticmethod
    def activation(numbers: tuple[Any, ...]) -> Activation:
        return numbers[-5:-1]

    def double(self, numbers: Any, grads: Grads, dy: Tensor, x: Tensor, gamma: Any, beta: Any, *rest: Tensor) -> Grads:
        """Gradients of dy, x, gamma, beta and the residual."""
        x, extent, _ = self.lay_out(numbers, x)
        given = (dy, rest[0], grads[0], grads[3])
        dy_like, residual, ddx, ddresidual = (None if t is None else laid_out_like(t, x) for t in given)
        grad_dy, grad_x = torch.empty_like(x), torch.empty_like(x)
        grad_gamma, grad_beta, grad_residual = (
            None if t is None else torch.empty_like(t) for t in (gamma, beta, residual)
        )
        by = self.double_statistics(numbers, *rest)
        assert self.double_kernel is not None
        self.double_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), address(dy_like), address(residual), *rows_of(by),
            address(gamma), address(beta), address(ddx), address(ddresidual), address(grads[1]), address(grads[2]),
            address(grad_x), address(grad_dy), address(grad_residual), address(grad_gamma), address(grad_beta),
            self.activation(numbers), options(),
        )  # fmt: skip
        return grad_dy, grad_x, grad_gamma, grad_beta, grad_residual


class _Act(_AnyAct):
    """The bits of the mask lie as the forward took x, which `channels_last` keeps."""

    name = "batch_norm_act"
    extra = ("Tensor? residual",)
    numbers = ("bool channels_last", "int activation", "float negative_slope", "float low", "float high", "float eps")
    keeps = 2

    def lay_out(self, numbers: tuple[Any, ...], x: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        if numbers[0]:
            x = x.movedim(1, -1).contiguous().movedim(-1, 1)
            n, c, *_ = x.shape
            return x, (x.numel() // c, c, 1), c
        x, extent = channels(x.contiguous())
        return x, extent, extent[1]

    def outputs(self, numbers: tuple[Any, ...], x: Tensor, extent: tuple[int, ...], count: int) -> tuple[Tensor, ...]:
        n, c, s = extent
        # As much as the library may ask for; a fake tensor's sizes cannot ask the library.
        size = n * ((c + 7) // 8 if s == 1 else c * ((s + 7) // 8)) + 8
        mask = x.new_zeros(size if self.activation(numbers)[0] in _HAS_MASK else 0, dtype=torch.uint8)
        return torch.empty_like(x), statistics(x, self.rows, count), mask

    def forward(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        x, extent, count = self.lay_out(numbers, x)
        y, saved, mask = self.outputs(numbers, x, extent, count)
        residual = None if extra[0] is None else laid_out_like(extra[0], x)
        self.kernel(
            CODES[x.dtype], *extent, x.data_ptr(), address(residual), address(gamma), address(beta), y.data_ptr(),
            mask.data_ptr(), *rows_of(saved), numbers[-1], self.activation(numbers), options(),
        )  # fmt: skip
        return y, saved, mask

    def backward(self, numbers: Any, need: Any, dy: Tensor, x: Tensor, gamma: Any, beta: Any, *rest: Tensor) -> Grads:
        residual, saved, mask = rest
        activation = self.activation(numbers)
        x, extent, _ = self.lay_out(numbers, x)
        dy = laid_out_like(dy, x)
        dx, dgamma, dbeta = self.gradients(need, x, gamma, beta)
        if activation[0] == _IDENTITY:
            dresidual, written = dy if need[3] else None, None
        else:
            dresidual = written = torch.empty_like(x) if need[3] else None
        of_v = laid_out_like(residual, x) if residual is not None and activation[0] in _IS_RECOMPUTED else None
        self.backward_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), mask.data_ptr(), address(of_v),
            *rows_of(saved)[self.saved], address(gamma), address(beta), address(dx), address(written),
            address(dgamma), address(dbeta), activation, options(),
        )  # fmt: skip
        return dx, dgamma, dbeta, dresidual

    def double_statistics(self, numbers: tuple[Any, ...], *rest: Tensor) -> Tensor:
        return rest[1][self.saved].contiguous()

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        y, saved = BATCH.formula(numbers, x.double(), gamma, beta)
        v = y if extra[0] is None else y + extra[0].double()
        return activated(v, self.activation(numbers)).to(x.dtype), saved


class _FrozenAct(_AnyAct):
    """The same by given statistics: mean and biased or running var, float64, behind the residual."""

    name = "batch_norm_act_frozen"
    extra = ("Tensor? residual", "Tensor mean", "Tensor var")
    numbers = _Act.numbers[1:]
    keeps = 0

    def __init__(self) -> None:
        self.kernel = _core.batch_norm_act_inference
        self.backward_kernel = _core.batch_norm_act_backward
        self.double_kernel = _core.batch_norm_act_frozen_double_backward

    def outputs(self, numbers: tuple[Any, ...], x: Tensor, extent: tuple[int, ...], count: int) -> tuple[Tensor, ...]:
        return (torch.empty_like(x),)

    def forward(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        x, extent, count = self.lay_out(numbers, x)
        (y,) = self.outputs(numbers, x, extent, count)
        residual = None if extra[0] is None else laid_out_like(extra[0], x)
        self.kernel(
            CODES[x.dtype], *extent, x.data_ptr(), address(residual), *map(address, extra[1:]), address(gamma),
            address(beta), y.data_ptr(), numbers[-1], self.activation(numbers), options(),
        )  # fmt: skip
        return (y,)

    def backward(self, numbers: Any, need: Any, dy: Tensor, x: Tensor, gamma: Any, beta: Any, *rest: Tensor) -> Grads:
        x, extent, _ = self.lay_out(numbers, x)
        g = self._before_activation(numbers, laid_out_like(dy, x), x, extent, gamma, beta, *rest)
        grads: Grads = (None, None, None)
        if any(need[:3]):
            grads = FROZEN.backward(numbers[-1:], need, g, x, gamma, beta, *rest[1:])
        return *grads, g if need[3] else None

    def _before_activation(
        self, numbers: Any, dy: Tensor, x: Tensor, extent: Any, gamma: Any, beta: Any, *rest: Tensor
    ) -> Tensor:
        """``a'(v) * dy``. No mask was written, so v is computed again."""
        activation = self.activation(numbers)
        if activation[0] == _IDENTITY:
            return dy
        # The kernel takes a batch that it could have normalized: of more than one value a channel.
        if activation[0] in _HAS_MASK or extent[0] * extent[2] == 1:
            v = self.forward((_IDENTITY, *numbers[1:]), x, gamma, beta, *rest)[0]
            return _before_activation(dy, v, activation)
        g, given = torch.empty_like(x), self.double_statistics(numbers, *rest)
        residual = None if rest[0] is None else laid_out_like(rest[0], x)
        self.backward_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), 0, address(residual),
            *rows_of(given), address(gamma), address(beta), 0, g.data_ptr(), 0, 0,
            activation, options(),
        )  # fmt: skip
        return g

    def double_statistics(self, numbers: tuple[Any, ...], *rest: Tensor) -> Tensor:
        return FROZEN.double_statistics(numbers, *rest[1:])

    def formula(self, numbers: tuple[Any, ...], x: Tensor, gamma: Any, beta: Any, *extra: Any) -> tuple[Tensor, ...]:
        v = FROZEN.formula(numbers, x.double(), gamma, beta, *extra[1:])[0]
        if extra[0] is not None:
            v = v + extra[0].double()
        return (activated(v, self.activation(numbers)).to(x.dtype),)


ACT, FROZEN_ACT = _Act(), _FrozenAct()
