"""The functions that torch has too, each as a function of (x, gamma, beta), and torch's own beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import unitvar.torch as ut

#: Relative L2 error against float64 on the same inputs; 16 bits: half a step of the type, and its sums.
TOLERANCE = {torch.float32: 3e-7, torch.float64: 1e-13, torch.float16: 5e-4, torch.bfloat16: 4e-3}
MEAN, VAR = torch.tensor([0.3, -0.2, 0.1, 0.5]), torch.tensor([1.2, 0.8, 1.0, 0.5])


def function_of(library: Any, name: str) -> Callable[..., Tensor]:
    def running(x: Tensor) -> tuple[Tensor, Tensor]:
        return (MEAN.double(), VAR.double()) if x.dtype is torch.float64 else (MEAN, VAR)

    return {
        "batch": lambda x, g, b: library.batch_norm(x, None, None, g, b, True),
        "frozen": lambda x, g, b: library.batch_norm(x, *running(x), g, b, False),
        "group": lambda x, g, b: library.group_norm(x, 2, g, b),
        "instance": lambda x, g, b: library.instance_norm(x, None, None, g, b),
        "layer": lambda x, g, b: library.layer_norm(x, x.shape[-1:], g, b),
        "rms": lambda x, g, b: library.rms_norm(x, x.shape[-1:], g, 1e-5),
    }[name]


class Case(NamedTuple):
    name: str

    @property
    def ours(self) -> Callable[..., Tensor]:
        return function_of(ut, self.name)

    @property
    def theirs(self) -> Callable[..., Tensor]:
        return function_of(F, self.name)

    def inputs(self, dtype: torch.dtype, shape: tuple[int, ...] = (3, 4, 5, 6)) -> tuple[Tensor, Tensor, Tensor]:
        """x, gamma, beta that require gradients."""
        generator = torch.Generator().manual_seed(7)
        of = shape[1] if self.name in ("batch", "frozen", "group", "instance") else shape[-1]
        made = [torch.randn(s, generator=generator, dtype=torch.float64) for s in (shape, (of,), (of,))]
        x, gamma, beta = (t.to(dtype).requires_grad_() for t in (made[0] + 0.5, made[1] + 1.5, made[2]))
        return x, gamma, beta


CASES = [Case(name) for name in ("batch", "frozen", "group", "instance", "layer", "rms")]


def gradients(f: Callable[..., Tensor], inputs: tuple[Tensor, ...], dy: Tensor) -> tuple[Tensor, ...]:
    """y and the gradients of all inputs; zeros for those that f does not use."""
    y = f(*inputs)
    found = torch.autograd.grad(y, inputs, dy.to(y.dtype), allow_unused=True)
    return (y.detach(), *(torch.zeros_like(t) if g is None else g for g, t in zip(found, inputs)))


def error(actual: Tensor, expected: Tensor) -> float:
    """Relative L2 error."""
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    a, e = actual.detach().double(), expected.detach().double()
    return float((a - e).norm() / (e.norm() if e.norm() > 0 else 1.0))
