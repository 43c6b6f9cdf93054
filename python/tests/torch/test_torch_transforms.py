"""torch.compile, torch.export, torch.func, forward mode, dispatch modes: right, or an error, and never silent zeros."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch_cases import CASES, MEAN, VAR, Case, error

import unitvar.torch as ut
from unitvar.torch import _transforms
from unitvar.torch._ops import NORMS

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), ut.BatchNorm2d(4), ut.BatchNormAct2d(4, act="leaky_relu"), ut.GroupNorm(2, 4),
        ut.InstanceNorm2d(4), ut.LayerNorm(6), ut.RMSNorm(6),
    )  # fmt: skip


def images(last: bool = False) -> Tensor:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    return x.to(memory_format=torch.channels_last) if last else x


def step(net: Any, x: Tensor) -> list[Tensor]:
    """Output and gradients of a training step."""
    y = net(x)
    parameters = list(net.parameters())
    return [y.detach(), *torch.autograd.grad(y.square().sum(), parameters)]


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("last", [False, True])
def test_a_compiled_network_trains_as_an_eager_one(backend: str, last: bool) -> None:
    torch.manual_seed(0)
    eager = network()
    compiled_net = network()
    compiled_net.load_state_dict(eager.state_dict())
    compiled: Any = torch.compile(compiled_net, fullgraph=True, backend=backend)
    for _ in range(2):
        for a, e in zip(step(compiled, images(last)), step(eager, images(last))):
            assert (a - e).abs().max() < 1e-4 * e.abs().max() + 1e-4
    for key, value in eager.state_dict().items():
        assert torch.allclose(compiled_net.state_dict()[key], value, rtol=1e-5, atol=1e-6), key
    eager.eval(), compiled_net.eval()
    assert error(compiled(images(last)), eager(images(last))) < 1e-5


def test_compiled_extras_train_as_eager_ones() -> None:
    x = torch.randn(6, 4, 5)
    mask = torch.rand(6, 5) < 0.8
    for module, more in ((ut.MaskedBatchNorm(4), (mask,)), (ut.GhostBatchNorm(4, 4), ()), (ut.BatchRenorm(4), ()),
                         (ut.InPlaceABN(4), ())):  # fmt: skip
        compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
        state = {key: value.clone() for key, value in module.state_dict().items()}
        a = compiled(x.clone(), *more)
        after = {key: value.clone() for key, value in module.state_dict().items()}
        module.load_state_dict(state)
        e = module(x.clone(), *more)
        assert error(a, e) < 1e-6
        for key, value in module.state_dict().items():
            assert error(after[key], value) < 1e-6, key


def test_dynamic_shapes_compile_once() -> None:
    counter = torch._dynamo.testing.CompileCounter()
    f = torch.compile(lambda x: ut.batch_norm_act(x, training=True), fullgraph=True, backend=counter, dynamic=True)
    for n in (3, 5, 7):
        x = torch.randn(n, 4, n + 2)
        assert error(f(x), ut.batch_norm_act(x, training=True)) < 1e-6
    assert counter.frame_count == 1


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    net = network().eval()
    program = torch.export.export(net, (images(),), strict=strict)
    assert error(program.module()(images()), net(images())) < 1e-6
    assert "unitvar" in str(program.graph)


def samples(name: str) -> list[tuple[Any, ...]]:
    """Arguments of each operator."""
    x, g, b = torch.randn(3, 4, 5, 6), torch.rand(4) + 0.5, torch.randn(4)
    last = x.to(memory_format=torch.channels_last)
    row = torch.randn(6)
    statistics = MEAN.double(), VAR.double()
    return {
        "batch_norm": [(x, g, b, 1e-5), (last, None, None, 1e-5)],
        "batch_norm_frozen": [(x, g, b, *statistics, 1e-5)],
        "layer_norm": [(x, row, row, 1, 1e-5)],
        "rms_norm": [(x, row, None, 1, 1e-5)],
        "group_norm": [(x, g, b, 2, 1e-5), (last, g, b, 2, 1e-5)],
        "batch_norm_act": [
            (x, g, b, x + 1, False, 1, 0.1, 0.0, 6.0, 1e-5),
            (last, g, None, None, True, 4, 0.0, 0.0, 6.0, 1e-5),
            (x, g, b, x + 1, False, 0, 0.0, 0.0, 6.0, 1e-5),
        ],
        "batch_norm_act_frozen": [(x, g, b, x + 1, *statistics, k, 0.1, 0.0, 6.0, 1e-5) for k in range(5)],
        "batch_norm_weighted": [(x, g, b, torch.rand(3, 5, 6), True, 1e-5)],
        "batch_norm_ghost": [(x, g, b, 2, 1e-5)],
        "batch_norm_renorm": [(x, g, b, *statistics, 2.0, 1.0, 1e-5)],
    }[name]


@pytest.mark.parametrize("norm", NORMS, ids=lambda n: n.name)
def test_opcheck(norm: Any) -> None:
    op = getattr(torch.ops.unitvar, norm.name).default
    backward = getattr(torch.ops.unitvar, norm.name + "_backward").default
    for sample in samples(norm.name):
        count = 3 + len(norm.extra)
        tensors = [t.clone().requires_grad_() if t is not None and k < 3 else t for k, t in enumerate(sample[:count])]
        torch.library.opcheck(op, (*tensors, *sample[count:]))
        kept = norm.forward(sample[count:], *sample[:count])[1:]
        need = [t is not None for t in sample[: 3 + norm.differentiable_extra]]
        torch.library.opcheck(backward, (torch.randn_like(sample[0]), *sample[:count], *kept, *sample[count:], need))


@each_case
def test_grad_vmap_jvp_and_hessian(case: Case) -> None:
    x, gamma, beta = (t.detach() for t in case.inputs(torch.float64, (2, 4, 2, 3)))
    batch = torch.stack([x, x.sin(), 2 * x])

    def loss(f: Any) -> Any:
        return lambda x: f(x, gamma, beta).pow(3).sum()

    func = torch.func
    for of in (
        lambda f: func.grad(loss(f))(x),
        lambda f: func.vmap(lambda x: f(x, gamma, beta))(batch),
        lambda f: func.vmap(func.grad(loss(f)))(batch),
        lambda f: func.vmap(lambda x, g: f(x, g, beta), (3, None))(batch.movedim(0, 3), gamma),
        lambda f: func.jvp(lambda x: f(x, gamma, beta), (x,), (x.cos(),))[1],
        lambda f: func.jacfwd(lambda x: f(x, gamma, beta))(x),
        lambda f: func.jacrev(lambda x: f(x, gamma, beta))(x),
        lambda f: func.hessian(loss(f))(x),
        lambda f: func.jacrev(func.jacrev(loss(f)))(x),
    ):
        assert error(of(case.ours), of(case.theirs)) < 1e-10


def test_transforms_of_the_extras() -> None:
    x = torch.randn(4, 3, 2, dtype=torch.float64)
    mask = torch.tensor([[True, True]] * 3 + [[True, False]])
    running = torch.zeros(3).double(), torch.ones(3).double()
    for f in (
        lambda x: ut.batch_norm_act(x, residual=x, training=True, activation="leaky_relu"),
        lambda x: ut.batch_norm_act(x, residual=x, training=True, activation="silu"),
        lambda x: ut.batch_norm_act(x, *running, None, None, x, activation="hard_swish"),
        lambda x: ut.batch_norm_weighted(x, mask, training=True),
        lambda x: ut.batch_norm_ghost(x, 2, training=True),
        lambda x: ut.batch_norm_in_place(x * 1, training=True),
        lambda x: ut.batch_norm(x, *running),
    ):
        forward, reverse = torch.func.jacfwd(f)(x), torch.func.jacrev(f)(x)
        assert error(forward, reverse) < 1e-10
        assert error(torch.func.vmap(f)(torch.stack([x, 2 * x]))[1], f(2 * x)) < 1e-12


def test_grad_moves_running_statistics() -> None:
    x, (mean, var), (other_mean, other_var) = (
        torch.randn(6, 4),
        (MEAN.clone(), VAR.clone()),
        (MEAN.clone(), VAR.clone()),
    )
    torch.func.grad(lambda x: ut.batch_norm(x, mean, var, training=True).square().sum())(x)
    ut.batch_norm(x, other_mean, other_var, training=True)
    assert torch.equal(mean, other_mean) and torch.equal(var, other_var)


def test_vmap_over_running_statistics_of_all_raises() -> None:
    mean, var = MEAN.clone(), VAR.clone()
    with pytest.raises(RuntimeError):
        torch.func.vmap(lambda x: ut.batch_norm(x, mean, var, training=True))(torch.randn(2, 3, 4))
    assert torch.equal(mean, MEAN)


def test_dual_tensors() -> None:
    x, t = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, t)
        found = forward_ad.unpack_dual(ut.batch_norm(dual, training=True)).tangent
        expected = forward_ad.unpack_dual(F.batch_norm(dual, None, None, training=True)).tangent
    assert found is not None and error(found, expected) < 1e-12


def test_forward_mode_of_the_operators_is_right_and_of_their_backwards_raises() -> None:
    x, t = torch.randn(3, 4), torch.randn(3, 4)
    expected = torch.func.jvp(lambda x: F.batch_norm(x, None, None, training=True), (x,), (t,))[1]
    op, backward = torch.ops.unitvar.batch_norm, torch.ops.unitvar.batch_norm_backward
    assert error(torch.func.jvp(lambda x: op(x, None, None, 1e-5)[0], (x,), (t,))[1], expected) < 1e-5
    kept = op(x, None, None, 1e-5)[1]
    with pytest.raises(RuntimeError, match="no forward mode"):
        torch.func.jvp(lambda dy: backward(dy, x, None, None, kept, 1e-5, [True, False, False])[0], (x,), (t,))


def test_forward_mode_over_a_compiled_call_is_right_or_raises() -> None:
    code = """
import torch, unitvar.torch as ut
x, t = torch.randn(3, 4), torch.randn(3, 4)
f = lambda x: ut.batch_norm(x, training=True)
expected = torch.func.jvp(f, (x,), (t,))[1]
try:
    found = RUN
except Exception:
    found = expected
assert (found - expected).abs().max() < 1e-5
"""
    # A process each: where torch raises, it stays in forward mode.
    for run in (
        "torch.func.jvp(torch.compile(f, backend='aot_eager'), (x,), (t,))[1]",
        "torch.compile(lambda x, t: torch.func.jvp(f, (x,), (t,))[1], backend='aot_eager')(x, t)",
    ):
        subprocess.run([sys.executable, "-c", code.replace("RUN", run)], check=True)


def test_vmap_inside_a_compiled_function() -> None:
    x = torch.randn(2, 3, 4, 5)
    f = torch.compile(torch.func.vmap(lambda x: ut.batch_norm(x, training=True)), backend="aot_eager", fullgraph=True)
    assert error(f(x), torch.func.vmap(lambda x: ut.batch_norm(x, training=True))(x)) < 1e-6


def test_double_backward_of_the_operators_raises() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    y = torch.ops.unitvar.batch_norm(x, None, None, 1e-5)[0]
    (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(first.sum(), x)


def test_dispatch_modes_and_make_fx_see_the_operators() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    x = torch.randn(3, 4, requires_grad=True)
    with Mode():
        ut.batch_norm(x, training=True).sum().backward()
    assert "unitvar.batch_norm.default" in seen and "unitvar.batch_norm_backward.default" in seen
    graph = make_fx(lambda x: ut.batch_norm(x, training=True))(x.detach())
    assert "unitvar.batch_norm" in graph.code


def test_what_private_names_of_torch_say() -> None:
    x = torch.randn(3)
    seen: list[tuple[bool, bool, bool]] = []

    def note(x: Tensor) -> Tensor:
        seen.append((_transforms.in_transform(), _transforms.in_forward_mode(), _transforms.is_eager(x)))
        return x.sum()

    note(x)
    torch.func.grad(note)(x)
    torch.func.vmap(note)(x.unsqueeze(0))
    torch.func.jvp(note, (x,), (x,))
    with forward_ad.dual_level():
        note(x)
    assert seen == [
        (False, False, True), (True, False, False), (True, False, False), (True, True, False), (False, True, False)
    ]  # fmt: skip
    fake = torch._subclasses.FakeTensorMode().from_tensor(x)
    assert not _transforms.is_eager(fake) and not _transforms.has_memory(fake)
    wrapped: list[Tensor] = []
    torch.func.grad(lambda x: wrapped.append(_transforms.unwrapped(x)) or x.sum())(x)
    assert wrapped[0].data_ptr() == x.data_ptr()
