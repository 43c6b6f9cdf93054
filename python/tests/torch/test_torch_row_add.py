"""layer_norm_add and rms_norm_add: values, gradients and second derivatives beside the sum and torch's norm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_cases import TOLERANCE, error

import unitvar.torch as ut

G = torch.Generator().manual_seed(5)
X, RESIDUAL, DY, DH = (torch.randn(3, 4, 6, generator=G, dtype=torch.float64) for _ in range(4))
GAMMA, BETA = torch.rand(2, 6, generator=G, dtype=torch.float64) + 0.5
each_norm = pytest.mark.parametrize("kind", ["layer", "rms"])


def ours(kind: str, x: Tensor, r: Tensor, g: Any, b: Any) -> tuple[Tensor, Tensor]:
    return ut.layer_norm_add(x, r, (6,), g, b) if kind == "layer" else ut.rms_norm_add(x, r, (6,), g, 1e-5)


def parts(kind: str, x: Tensor, r: Tensor, g: Any, b: Any) -> tuple[Tensor, Tensor]:
    h = x + r
    return (F.layer_norm(h, (6,), g, b) if kind == "layer" else F.rms_norm(h, (6,), g, 1e-5)), h


def leaves(kind: str, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    tensors = (X, RESIDUAL, GAMMA, BETA) if kind == "layer" else (X, RESIDUAL, GAMMA)
    return [t.to(dtype).requires_grad_() for t in (t.clone() for t in tensors)]


def call(f: Any, kind: str, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    x, r, g, *b = inputs
    return f(kind, x, r, g, b[0] if b else None)  # type: ignore[no-any-return]


@each_norm
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("arrives", ["y", "h", "both"])
def test_gradients_are_those_of_the_sum_and_the_norm(kind: str, dtype: torch.dtype, arrives: str) -> None:
    narrow = leaves(kind, dtype)
    wide = [t.detach().double().requires_grad_() for t in narrow]
    found, expected = call(ours, kind, narrow), call(parts, kind, wide)
    assert torch.equal(found[1], (narrow[0] + narrow[1]).detach())
    if dtype is torch.bfloat16 or dtype is torch.float16:  # y is that of the rounded h
        expected = call(parts, kind, [found[1].detach().double(), torch.zeros_like(wide[0]), *wide[2:]])
        assert error(found[0], expected[0]) < TOLERANCE[dtype]
        return
    assert error(found[0], expected[0]) < TOLERANCE[dtype]
    chosen = {"y": slice(0, 1), "h": slice(1, 2), "both": slice(0, 2)}[arrives]
    dys = (DY.to(dtype), DH.to(dtype))[chosen]
    a = torch.autograd.grad(found[chosen], narrow, dys, allow_unused=True)
    e = torch.autograd.grad(expected[chosen], wide, [d.double() for d in dys], allow_unused=True)
    for got, wanted in zip(a, e):
        assert (got is None) == (wanted is None)
        assert got is None or error(got, wanted) < 3 * TOLERANCE[dtype]


@each_norm
def test_gradcheck_of_first_and_second_derivatives(kind: str) -> None:
    inputs = [t.detach()[:2, :2].clone().requires_grad_() if t.dim() == 3 else t for t in leaves(kind)]
    f = lambda *tensors: call(ours, kind, list(tensors))  # noqa: E731
    assert torch.autograd.gradcheck(f, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, inputs)


@each_norm
def test_y_has_the_bits_of_the_norm_of_h_in_any_layout(kind: str) -> None:
    x, r = X.transpose(0, 1).float(), RESIDUAL.transpose(0, 1).float()
    y, h = ours(kind, x, r, GAMMA.float(), BETA.float())
    plain = (
        ut.layer_norm(x + r, (6,), GAMMA.float(), BETA.float())
        if kind == "layer"
        else ut.rms_norm(x + r, (6,), GAMMA.float(), 1e-5)
    )
    assert torch.equal(h, x + r) and torch.equal(y, plain)


@each_norm
def test_only_what_requires_a_gradient_gets_one(kind: str) -> None:
    x = X.clone().requires_grad_()
    y, h = ours(kind, x, RESIDUAL, GAMMA, BETA)
    expected = parts(kind, x, RESIDUAL, GAMMA, BETA)
    (a,), (e,) = (torch.autograd.grad((y * DY + h * DH).sum(), x) for y, h in ((y, h), expected))
    assert error(a, e) < 1e-13


@each_norm
def test_transforms_and_compiled_calls_are_those_of_the_parts(kind: str) -> None:
    f = lambda x: sum(t.pow(3).sum() for t in ours(kind, x, RESIDUAL, GAMMA, BETA))  # noqa: E731
    e = lambda x: sum(t.pow(3).sum() for t in parts(kind, x, RESIDUAL, GAMMA, BETA))  # noqa: E731
    assert error(torch.func.grad(f)(X), torch.func.grad(e)(X)) < 1e-12
    assert error(torch.func.jvp(f, (X,), (DY,))[1], torch.func.jvp(e, (X,), (DY,))[1]) < 1e-12
    compiled: Any = torch.compile(lambda x, r: ours(kind, x, r, GAMMA, BETA), fullgraph=True, backend="aot_eager")
    for a, b in zip(compiled(X, RESIDUAL), ours(kind, X, RESIDUAL, GAMMA, BETA)):
        assert torch.equal(a, b)


def test_modules_have_the_state_of_torchs_and_carry_the_residual() -> None:
    x, r = X.float(), RESIDUAL.float()
    for module, plain in ((ut.LayerNormAdd(6), torch.nn.LayerNorm(6)), (ut.RMSNormAdd(6), torch.nn.RMSNorm(6))):
        module.load_state_dict(plain.state_dict())
        y, h = module(x, r)
        assert isinstance(module, type(plain)) and torch.equal(h, x + r) and error(y, plain(x + r)) < 3e-7
        y.sum().backward()
        assert module.weight.grad is not None


@pytest.mark.parametrize("residual", [RESIDUAL[:2], RESIDUAL.float(), RESIDUAL[..., :1]])
def test_a_residual_that_is_not_like_x_is_refused(residual: Tensor) -> None:
    with pytest.raises(RuntimeError, match="residual is"):
        ut.layer_norm_add(X, residual, (6,))
