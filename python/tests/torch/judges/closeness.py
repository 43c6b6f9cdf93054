"""How close a result is to float64, with torch's own distance as the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

#: Rounding a result to its dtype once, as a relative L2 error, with room for few elements.
ROUNDED = {torch.float64: 1e-12, torch.float32: 3e-7, torch.bfloat16: 8e-3, torch.float16: 1e-3}


def error(got: Tensor, wanted: Tensor) -> float:
    """L2 distance in double, relative to wanted, or to as many ones where its terms cancel.

    NaN and Inf must stand where they should.
    """
    got, wanted = got.detach().double(), wanted.detach().double()
    assert got.shape == wanted.shape
    finite = wanted.isfinite()
    assert torch.equal(finite, got.isfinite())
    scale = max(float(wanted[finite].norm()), float(finite.sum()) ** 0.5)
    return float((got[finite] - wanted[finite]).norm()) / scale if scale else 0.0


def yardstick(theirs: Tensor, wanted: Tensor) -> float:
    """torch's own error; 0 where torch has NaN or Inf, and float64 has not."""
    return error(theirs, wanted) if torch.equal(theirs.isfinite(), wanted.isfinite()) else 0.0


def converted(value: Any, dtype: torch.dtype) -> Any:
    """Arguments with all floating tensors in dtype, as new leaves."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().to(dtype, copy=True).requires_grad_(value.requires_grad)
    if isinstance(value, (tuple, list)):
        return type(value)(converted(v, dtype) for v in value)
    return {k: converted(v, dtype) for k, v in value.items()} if isinstance(value, dict) else value


def leaves(value: Any) -> list[Tensor]:
    """All tensors with a gradient in arguments."""
    if isinstance(value, Tensor):
        return [value] if value.requires_grad else []
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [leaf for v in values for leaf in leaves(v)]


def first(y: Any) -> Tensor:
    """What native operators give besides y is another's."""
    result: Tensor = y[0] if isinstance(y, tuple) else y
    return result


def derivatives(call: Callable[[], Any], inputs: list[Tensor], second: bool = True) -> list[list[Tensor]]:
    """y, the gradients by inputs of a fixed random dy, and those of a random combination of these gradients."""
    random = torch.Generator().manual_seed(11)

    def like(t: Tensor) -> Tensor:
        return torch.randn(t.shape, generator=random, dtype=torch.float64).to(t.dtype)

    y = first(call())
    found: list[list[Tensor]] = [[y]]
    if not inputs or not y.requires_grad:
        return found
    dy = like(y).requires_grad_()
    once = torch.autograd.grad(y, inputs, dy, create_graph=second, allow_unused=True)
    found.append([g if g is not None else torch.zeros_like(i) for g, i in zip(once, inputs)])
    if second:
        total = sum(((g * like(g)).sum() for g in found[1]), torch.zeros((), dtype=y.dtype))
        if total.requires_grad:
            twice = torch.autograd.grad(total, [*inputs, dy], allow_unused=True)
            found.append([g if g is not None else torch.zeros_like(i) for g, i in zip(twice, [*inputs, dy])])
    return found


def assert_closer(
    ours: Iterable[Tensor], torchs: Iterable[Tensor], exact: Iterable[Tensor], dtype: torch.dtype, factor: float = 1.0
) -> None:
    """Ours is as close to float64 as torch, or as rounding once."""
    for got, theirs, wanted in zip(ours, torchs, exact, strict=True):
        assert got.dtype == theirs.dtype and got.shape == theirs.shape
        distance = error(got, wanted)
        assert distance <= factor * max(ROUNDED[dtype], yardstick(theirs, wanted)), f"{distance} from float64"
