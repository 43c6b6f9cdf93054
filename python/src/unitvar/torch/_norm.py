"""What all normalizations share: how kernels are called, and which gradients there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import _core
from ._memory import CODES, address, laid_out_like, options, rows_of, statistics

Grads = tuple[Tensor | None, ...]


class Norm:
    """A normalization: its kernels, and its formula in torch's operators.

    Tensors come as x, gamma, beta and `extra`, numbers as a tuple. A forward gives y and what the backward `keeps`.
    Instances hold no state.
    """

    #: of the operators torch.ops.unitvar.<name> and <name>_backward
    name: str
    #: schemas of the tensors behind x, gamma, beta, and of the numbers; eps is the last number
    extra: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ("float eps",)
    #: how many of `extra` get a gradient; these come first
    differentiable_extra = 0
    #: rows of the saved statistics, and those that the backward takes
    rows = 3
    saved = slice(0, 3, 2)
    #: tensors that the forward keeps for the backward: statistics, and a mask
    keeps = 1
    #: what the kernels take in front of the options
    constants: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.kernel: Callable[..., Any] = getattr(_core, self.name + "_forward")
        self.backward_kernel: Callable[..., Any] = getattr(_core, self.name + "_backward")
        self.double_kernel: Callable[..., Any] | None = getattr(_core, self.name + "_double_backward", None)
        self.op: Callable[..., Any]
        self.backward_op: Callable[..., Any]

    def lay_out(self, numbers: tuple[Any, ...], x: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        """x as the kernels take it, its extent, and the length of a row of statistics."""
        raise NotImplementedError

    def outputs(self, numbers: tuple[Any, ...], x: Tensor, extent: tuple[int, ...], count: int) -> tuple[Tensor, ...]:
        """y and what is kept, not yet written; x is laid out."""
        return torch.empty_like(x), statistics(x, self.rows, count)

    def forward(
        self, numbers: tuple[Any, ...], x: Tensor, gamma: Tensor | None, beta: Tensor | None, *extra: Tensor | None
    ) -> tuple[Tensor, ...]:
        """y and what is kept."""
        x, extent, count = self.lay_out(numbers, x)
        y, saved = self.outputs(numbers, x, extent, count)
        self.kernel(
            CODES[x.dtype], *extent, x.data_ptr(), address(gamma), address(beta), y.data_ptr(), *rows_of(saved),
            numbers[-1], *self.constants, options(),
        )  # fmt: skip
        return y, saved

    def gradients(
        self, need: Sequence[bool], x: Tensor, gamma: Tensor | None, beta: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """dx, dgamma and dbeta, not yet written; None where nothing needs them."""
        return (
            torch.empty_like(x) if need[0] else None,
            torch.empty_like(gamma) if need[1] and gamma is not None else None,
            torch.empty_like(beta) if need[2] and beta is not None else None,
        )

    def backward(
        self, numbers: tuple[Any, ...], need: Sequence[bool], dy: Tensor, x: Tensor, gamma: Tensor | None,
        beta: Tensor | None, *rest: Tensor,
    ) -> Grads:  # fmt: skip
        """The gradients that are needed, None for others; `rest` is `extra` and what the forward kept."""
        x, extent, _ = self.lay_out(numbers, x)
        dy = laid_out_like(dy, x)
        grads = self.gradients(need, x, gamma, beta)
        self.backward_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), *rows_of(rest[-1])[self.saved], address(gamma),
            *map(address, grads), *self.constants, options(),
        )  # fmt: skip
        return grads

    def double(
        self, numbers: tuple[Any, ...], grads: Grads, dy: Tensor, x: Tensor, gamma: Tensor | None,
        beta: Tensor | None, *rest: Tensor,
    ) -> Grads:  # fmt: skip
        """The backward's backward: gradients of dy, x, gamma and what follows, from those of dx, dgamma and dbeta."""
        if self.double_kernel is None:
            return self._double_by_formula(numbers, grads, dy, x, gamma, beta, *rest)
        x, extent, _ = self.lay_out(numbers, x)
        dy = laid_out_like(dy, x)
        ddx = None if grads[0] is None else laid_out_like(grads[0], x)
        grad_dy, grad_x = torch.empty_like(x), torch.empty_like(x)
        grad_gamma = None if gamma is None else torch.empty_like(gamma)
        statistics_of = self.double_statistics(numbers, *rest)
        self.double_kernel(
            CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), *rows_of(statistics_of), address(gamma),
            address(ddx), address(grads[1]), address(grads[2]), address(grad_x), address(grad_dy),
            address(grad_gamma), *self.constants, options(),
        )  # fmt: skip
        return grad_dy, grad_x, grad_gamma

    def double_statistics(self, numbers: tuple[Any, ...], *rest: Tensor) -> Tensor:
        """What the double backward's kernel takes of the statistics."""
        return rest[-1][self.saved].contiguous()

    def _double_by_formula(
        self, numbers: tuple[Any, ...], grads: Grads, dy: Tensor, x: Tensor, gamma: Tensor | None,
        beta: Tensor | None, *rest: Tensor,
    ) -> Grads:  # fmt: skip
        extra = rest[: len(self.extra)]
        with torch.enable_grad():
            dy, x = dy.detach().requires_grad_(), x.detach().requires_grad_()
            leaves = [None if t is None else t.detach().requires_grad_() for t in (gamma, beta)]
            sources = [x, *leaves, *(t.detach().requires_grad_() for t in extra[: self.differentiable_extra])]
            given = [(t, g) for t, g in zip(sources, grads) if t is not None and g is not None]
            y = self.formula(numbers, x, *leaves, *sources[3:], *extra[self.differentiable_extra :])[0]
            first = torch.autograd.grad(y, [t for t, _ in given], dy, create_graph=True)
            wanted = [t for t in (dy, x, leaves[0]) if t is not None]
            second = torch.autograd.grad(first, wanted, [g for _, g in given], allow_unused=True)
        return (*second, None)[:3]

    def formula(
        self, numbers: tuple[Any, ...], x: Tensor, gamma: Tensor | None, beta: Tensor | None, *extra: Any
    ) -> tuple[Tensor, ...]:
        """The forward in torch's operators."""
        raise NotImplementedError
