"""The graph of a call: torch.autograd.Functions around the kernels, and which of them a call takes.

A call takes one of four ways. Where torch.compile traces, or a dispatch mode watches, the operators of _ops. In forward
mode the formula in torch's operators. Inside other transforms of torch.func, Functions with setup_context. Else the
plain Function, which costs a third of the others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ._families import BATCH
from ._norm import Norm
from ._ops import each_of_batch, emptied, filled, needs
from ._transforms import in_forward_mode, in_transform, is_batched_gradient, is_compiling, is_eager


def is_first_order(dy: Tensor) -> bool:
    """Whether a backward may run outside of the graph."""
    return not torch.is_grad_enabled() and is_eager(dy) and not is_batched_gradient(dy)


def gradients_of(ctx: Any, wanted: Any, dy: Tensor) -> list[Tensor | None]:
    """What a backward gives; as a node of the graph where second derivatives may follow."""
    norm, numbers, saved = ctx.norm, ctx.numbers, ctx.saved_tensors
    need = needs(norm, wanted, saved)
    if not is_first_order(dy):
        return emptied(_Backward.apply(norm, numbers, need, dy, *saved), need)
    return list(norm.backward(numbers, need, dy, *saved))


class _Eager(Function):
    """The plain case. What is kept goes into a list, because an output costs more."""

    @staticmethod
    def forward(
        ctx: Any, norm: Norm, numbers: Any, kept: list[Tensor], x: Tensor, gamma: Any, beta: Any, *extra: Any
    ) -> Tensor:
        y, *made = norm.forward(numbers, x, gamma, beta, *extra)
        kept += made
        ctx.save_for_backward(x, gamma, beta, *extra, *made)
        ctx.norm, ctx.numbers = norm, numbers
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        grads = gradients_of(ctx, ctx.needs_input_grad[3:], dy)
        return (None, None, None, *grads, *[None] * (len(ctx.needs_input_grad) - 3 - len(grads)))


class EagerBatchNorm(Function):
    """Eager for batch_norm alone: a list and tuples less, which small tensors feel."""

    @staticmethod
    def forward(ctx: Any, numbers: Any, x: Tensor, gamma: Any, beta: Any) -> Tensor:
        y, saved = BATCH.forward(numbers, x, gamma, beta)
        ctx.save_for_backward(x, gamma, beta, saved)
        ctx.norm, ctx.numbers = BATCH, numbers[:1]
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        return (None, *gradients_of(ctx, ctx.needs_input_grad[1:], dy))


class _Transformed(Function):
    """The same inside torch.func.grad and vmap."""

    @staticmethod
    def forward(norm: Norm, numbers: Any, *tensors: Any) -> Any:
        return norm.op(*tensors, *numbers)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.norm, ctx.numbers, *tensors = inputs
        ctx.save_for_backward(*tensors, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> Any:
        grads = gradients_of(ctx, ctx.needs_input_grad[2:], dy)
        return (None, None, *grads, *[None] * (len(ctx.needs_input_grad) - 2 - len(grads)))

    @staticmethod
    def vmap(info: Any, in_dims: Any, norm: Norm, numbers: Any, *tensors: Any) -> Any:
        return each_of_batch(lambda *t: _Transformed.apply(norm, numbers, *t), info, in_dims[2:], tensors)


class _Backward(Function):
    """A backward as a node: its own backward is the double backward."""

    @staticmethod
    def forward(norm: Norm, numbers: Any, need: Any, dy: Tensor, *saved: Any) -> Any:
        return tuple(norm.backward_op(dy, *saved, *numbers, need))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.norm, ctx.numbers, ctx.need, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(*(g for g, n in zip(output, ctx.need) if not n))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        given = emptied(grads, ctx.need)
        found = _Double.apply(ctx.norm, ctx.numbers, len(grads), *given, *ctx.saved_tensors)
        wanted = ctx.needs_input_grad[3:]
        of_tensors = [g if w else None for g, w in zip(found, wanted)]
        return (None, None, None, *of_tensors, *[None] * (len(wanted) - len(of_tensors)))

    @staticmethod
    def vmap(info: Any, in_dims: Any, norm: Norm, numbers: Any, need: Any, *tensors: Any) -> Any:
        return each_of_batch(lambda *t: _Backward.apply(norm, numbers, need, *t), info, in_dims[3:], tensors)


class _Double(Function):
    """A double backward. It has no derivative, and says so."""

    @staticmethod
    def forward(norm: Norm, numbers: Any, count: int, *tensors: Any) -> Any:
        found = norm.double(numbers, tensors[:count], *tensors[count:])
        return tuple(filled(found, tensors[count]))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.name = inputs[0].name

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(f"unitvar: {ctx.name} has no third derivative in reverse mode")

    @staticmethod
    def vmap(info: Any, in_dims: Any, norm: Norm, numbers: Any, count: int, *tensors: Any) -> Any:
        return each_of_batch(lambda *t: _Double.apply(norm, numbers, count, *t), info, in_dims[3:], tensors)


def needs_graph(*tensors: Tensor | None) -> bool:
    """Whether autograd records a call of these tensors."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def call(
    norm: Norm, numbers: tuple[Any, ...], x: Tensor, gamma: Tensor | None, beta: Tensor | None, *extra: Tensor | None
) -> Any:
    """y and what the forward keeps; y is in the graph."""
    if is_compiling():
        return norm.op(x, gamma, beta, *extra, *numbers)
    if is_eager(x):
        if not torch.is_grad_enabled():
            return norm.forward(numbers, x, gamma, beta, *extra)
        kept: list[Tensor] = []
        return _Eager.apply(norm, numbers, kept, x, gamma, beta, *extra), *kept
    if in_forward_mode():
        return norm.formula(numbers, x, gamma, beta, *extra)
    if in_transform():
        return _Transformed.apply(norm, numbers, x, gamma, beta, *extra)
    return norm.op(x, gamma, beta, *extra, *numbers)
