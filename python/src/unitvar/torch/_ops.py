"""The operators torch.ops.unitvar.*, which torch.compile, torch.export and dispatch modes see.

For each normalization `<name>(x, gamma, beta, ...) -> (y, statistics, ...)` and `<name>_backward`. Statistics are one
float64 tensor: mean, var (biased) and rstd, a row each, as far as the normalization has them. The operators write to
no argument. Running statistics move outside of them. They are no part of the interface.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._act import ACT, FROZEN_ACT
from ._families import BATCH, FROZEN, GROUP, LAYER, RMS
from ._norm import Norm
from ._transforms import register_autograd
from ._variants import GHOST, RENORM, WEIGHTED

_library = torch.library.Library("unitvar", "DEF")
NORMS = (BATCH, FROZEN, LAYER, RMS, GROUP, ACT, FROZEN_ACT, WEIGHTED, GHOST, RENORM)


def filled(grads: tuple[Tensor | None, ...], x: Tensor) -> list[Tensor]:
    """Operators give no None: an empty tensor stands for it."""
    return [x.new_empty(0) if g is None else g for g in grads]


def emptied(grads: Any, need: Any) -> list[Tensor | None]:
    """The way back."""
    return [g if wanted else None for g, wanted in zip(grads, need)]


def needs(norm: Norm, wanted: Any, tensors: Any) -> list[bool]:
    """Which gradients a backward has to give: those that are wanted, of tensors that are there."""
    count = 3 + norm.differentiable_extra
    return [bool(w) and t is not None for w, t in zip(wanted[:count], tensors[:count])]


def each_of_batch(call: Any, info: Any, in_dims: Any, args: Any) -> tuple[Any, Any]:
    """vmap: the calls one after another, their results stacked."""

    def pick(index: int) -> list[Any]:
        return [a if d is None else a.select(d, index) for a, d in zip(args, in_dims)]

    if info.batch_size == 0:
        raise ValueError("unitvar: vmap over an axis of size 0, want 1 or more")
    results = [call(*pick(index)) for index in range(info.batch_size)]
    return tuple(torch.stack(parts) for parts in zip(*results)), (0,) * len(results[0])


def _define(norm: Norm) -> None:
    tensors = ("Tensor x", "Tensor? gamma", "Tensor? beta", *norm.extra)
    kept = tuple(f"Tensor kept{k}" for k in range(norm.keeps))
    count, all_count, gradients = len(tensors), len(tensors) + norm.keeps, 3 + norm.differentiable_extra
    name, backward_name = f"unitvar::{norm.name}", f"unitvar::{norm.name}_backward"
    # A lone result is a tuple of one here, which a schema cannot say of tensors that are no list.
    one = norm.keeps == 0
    results = ", ".join(["Tensor"] * (1 + norm.keeps))
    _library.define(f"{norm.name}({', '.join(tensors + norm.numbers)}) -> {results if one else f'({results})'}")
    _library.define(
        f"{norm.name}_backward(Tensor dy, {', '.join(tensors + kept + norm.numbers)}, bool[] need) "
        f"-> ({', '.join(['Tensor'] * gradients)})"
    )
    overload = getattr(torch.ops.unitvar, norm.name).default
    norm.backward_op = getattr(torch.ops.unitvar, norm.name + "_backward").default

    def as_tuple(*args: Any) -> tuple[Tensor, ...]:
        made = overload(*args)
        return (made,) if one else tuple(made)

    norm.op = as_tuple

    def forward(*args: Any) -> Any:
        made = norm.forward(args[count:], *args[:count])
        return made[0] if one else made

    def fake_forward(*args: Any) -> Any:
        made = norm.outputs(args[count:], *norm.lay_out(args[count:], args[0]))
        return made[0] if one else made

    def backward(dy: Tensor, *args: Any) -> Any:
        grads = norm.backward(args[all_count:-1], args[-1], dy, *args[:all_count])
        return tuple(g.clone() if g is dy else g for g in filled(grads, dy))  # an operator returns no argument

    def fake_backward(dy: Tensor, *args: Any) -> Any:
        x, need = norm.lay_out(args[all_count:-1], args[0])[0], args[-1]
        grads = (*norm.gradients(need, x, args[1], args[2]), *(torch.empty_like(x) if n else None for n in need[3:]))
        return tuple(filled(grads, dy))

    def save(ctx: Any, inputs: Any, output: Any) -> None:
        made = () if one else output[1:]
        ctx.save_for_backward(*inputs[:count], *made)
        ctx.numbers = inputs[count:]

    def differentiate(ctx: Any, dy: Tensor, *_: Any) -> tuple[Any, ...]:
        saved = ctx.saved_tensors
        need = needs(norm, ctx.needs_input_grad, saved)
        grads = norm.backward_op(dy, *saved, *ctx.numbers, need)
        return (*emptied(grads, need), *(None for _ in range(count - gradients + len(norm.numbers))))

    def by_formula(*args: Any) -> Any:
        numbers = args[count:]
        made = norm.formula(numbers, *args[:count])
        made += norm.outputs(numbers, *norm.lay_out(numbers, args[0]))[len(made) :]  # a mask, which nothing reads
        return made[0] if one else made

    def refuse_tangents(*_: Any) -> Any:
        raise RuntimeError(f"unitvar: {backward_name} has no forward mode in a compiled graph or a dispatch mode")

    def refuse(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(f"unitvar: {backward_name} in a compiled graph or a dispatch mode has no second derivative")

    _library.impl(norm.name, forward, "CPU")
    _library.impl(norm.name + "_backward", backward, "CPU")
    torch.library.register_fake(name, fake_forward, lib=_library)
    torch.library.register_fake(backward_name, fake_backward, lib=_library)
    register_autograd(_library, overload, save, differentiate, by_formula)
    register_autograd(_library, norm.backward_op, None, refuse, refuse_tangents)
    torch.library.register_vmap(
        name, lambda info, dims, *args: _unpacked(one, *each_of_batch(norm.op, info, dims, args)), lib=_library
    )
    torch.library.register_vmap(
        backward_name, lambda info, dims, *args: each_of_batch(norm.backward_op, info, dims, args), lib=_library
    )


def _unpacked(one: bool, results: tuple[Any, ...], dims: tuple[int, ...]) -> tuple[Any, Any]:
    return (results[0], dims[0]) if one else (results, dims)


for _norm in NORMS:
    _define(_norm)
