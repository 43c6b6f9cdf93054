"""Modules in place of torch.nn's: state, running statistics, modes, and what people do to modules."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch_cases import TOLERANCE, error

import unitvar.torch as ut

SHAPES = {
    "BatchNorm1d": ((4,), (6, 4, 5)),
    "BatchNorm2d": ((4,), (6, 4, 5, 3)),
    "BatchNorm3d": ((4,), (6, 4, 5, 3, 2)),
    "LayerNorm": (([5, 3],), (6, 4, 5, 3)),
    "RMSNorm": ((3,), (6, 4, 5, 3)),
    "GroupNorm": ((2, 4), (6, 4, 5, 3)),
    "InstanceNorm1d": ((4,), (6, 4, 5)),
    "InstanceNorm2d": ((4,), (6, 4, 5, 3)),
    "InstanceNorm3d": ((4,), (6, 4, 5, 3, 2)),
}
each_module = pytest.mark.parametrize("name", list(SHAPES))


def pair(name: str, **kwargs: Any) -> tuple[Any, Any, Tensor]:
    """Our module, torch's with the same state, and an input."""
    arguments, shape = SHAPES[name]
    theirs, ours = (getattr(m, name)(*arguments, **kwargs) for m in (nn, ut))
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, 0.5)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs, torch.randn(shape)


def assert_same_state(ours: nn.Module, theirs: nn.Module, bound: float = 1e-6) -> None:
    a, e = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(e)
    for key in e:
        assert a[key].dtype is e[key].dtype and error(a[key], e[key]) <= bound, key


@each_module
def test_state_repr_and_type_are_torchs(name: str) -> None:
    ours, theirs, _ = pair(name)
    assert isinstance(ours, getattr(nn, name)) and repr(ours) == repr(theirs)
    assert_same_state(ours, theirs)
    theirs.load_state_dict(ours.state_dict())


@each_module
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_training_steps_and_evaluation_follow_torch(name: str, dtype: torch.dtype) -> None:
    ours, theirs, x = pair(name)
    ours, theirs, x = ours.to(dtype), theirs.to(dtype), x.to(dtype)
    for step in range(3):
        batch = (x + step).requires_grad_()
        a, e = ours(batch), theirs(batch)
        assert a.dtype is e.dtype and error(a, e) < 4 * TOLERANCE[dtype]
        a.square().sum().backward()
        e.square().sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert p.grad is not None and q.grad is not None and p.grad.dtype is q.grad.dtype
        assert error(p.grad, q.grad) < 10 * TOLERANCE[dtype]
    assert_same_state(ours, theirs, 10 * TOLERANCE[dtype])
    ours.eval(), theirs.eval()
    assert error(ours(x), theirs(x)) < 4 * TOLERANCE[dtype]


@pytest.mark.parametrize("kwargs", [
    {"momentum": None}, {"momentum": -0.3}, {"momentum": 0.7}, {"affine": False}, {"track_running_stats": False},
    {"eps": 0.1}, {"bias": False}, {"dtype": torch.float64},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm2d"])
def test_arguments_mean_what_they_mean_in_torch(name: str, kwargs: dict[str, Any]) -> None:
    if name == "InstanceNorm2d":
        kwargs = {"affine": True, "track_running_stats": True, **kwargs}
    ours, theirs, x = pair(name, **kwargs)
    x = x.to(kwargs.get("dtype", torch.float32))
    for step in range(3):
        assert error(ours(x * (step + 1)), theirs(x * (step + 1))) < 1e-6
    assert_same_state(ours, theirs)
    if kwargs.get("momentum") != -0.3:  # it makes variances that are negative: ours raises, torch's gives NaN
        ours.eval(), theirs.eval()
        assert error(ours(x), theirs(x)) < 1e-6


@each_module
@pytest.mark.parametrize("shape", [(4,), (1, 4, 1), (4, 4, 1, 1, 1, 1), (3, 5, 2, 2)], ids=str)
def test_wrong_inputs_raise_what_torch_raises(name: str, shape: tuple[int, ...]) -> None:
    ours, theirs, _ = pair(name)
    try:
        expected = theirs(torch.randn(shape))
    except Exception as error:
        with pytest.raises(type(error)):
            ours(torch.randn(shape))
    else:
        assert ours(torch.randn(shape)).shape == expected.shape


@each_module
def test_copies_and_pickles_are_whole(name: str) -> None:
    ours, _, x = pair(name)
    ours(x)
    others = copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))
    y = ours(x)
    for other in others:
        assert type(other) is type(ours) and torch.equal(other(x), y)
        assert_same_state(other, ours, 0)


@each_module
def test_hooks_see_what_passes(name: str) -> None:
    ours, _, x = pair(name)
    seen: list[str] = []
    ours.register_forward_pre_hook(lambda *a: seen.append("pre"))
    ours.register_forward_hook(lambda *a: seen.append("forward"))
    ours.register_full_backward_hook(lambda *a: seen.append("backward"))
    ours(x.requires_grad_()).sum().backward()
    assert seen == ["pre", "forward", "backward"]


@each_module
def test_a_parametrized_weight_is_used(name: str) -> None:
    if name.startswith("Instance"):
        pytest.skip("has no weight by default")
    ours, _, x = pair(name)

    class Double(nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return 2 * w

    plain = ours(x).detach()
    with torch.no_grad():
        if getattr(ours, "bias", None) is not None:
            ours.bias.zero_()
    plain = ours(x).detach()
    torch.nn.utils.parametrize.register_parametrization(ours, "weight", Double())
    assert error(ours(x), 2 * plain) < 1e-6


@each_module
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_gives_the_same_gradients(name: str, reentrant: bool) -> None:
    ours, _, x = pair(name)
    x.requires_grad_()
    net = nn.Sequential(ours, nn.Tanh())
    (plain,) = torch.autograd.grad(net(x).square().sum(), x)
    y = checkpoint(net, x, use_reentrant=reentrant)
    assert y is not None
    y.square().sum().backward()
    assert x.grad is not None and torch.equal(x.grad, plain)


def test_saved_tensor_hooks_may_move_what_is_kept() -> None:
    layer = ut.BatchNormAct2d(4)
    x = torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last).requires_grad_()
    (plain,) = torch.autograd.grad(layer(x).square().sum(), x)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy(), lambda a: torch.from_numpy(a.copy())):
        y = layer(x)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    assert error(found, plain) < 1e-6


def test_a_network_learns_as_with_torch() -> None:
    def network(m: Any) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), m.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), m.GroupNorm(2, 8), nn.Flatten(),
            nn.Linear(128, 10), m.LayerNorm(10), m.RMSNorm(10),
        ).double()  # fmt: skip

    x, target = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.arange(6)
    losses = []
    for library in (nn, ut):
        net = network(library)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), target)
            loss.backward()
            optimizer.step()
        losses.append(loss.detach())
    assert error(*losses) < 1e-12 and losses[0] < 2


def test_distributed_data_parallel_of_one_process(tmp_path: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), ut.BatchNorm2d(4), nn.ReLU(), ut.BatchNormAct2d(4))
        x = torch.randn(2, 3, 6, 6)
        other = copy.deepcopy(net)
        parallel = nn.parallel.DistributedDataParallel(net)
        parallel(x).square().sum().backward()
        other(x).square().sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    for p, q in zip(net.parameters(), other.parameters()):
        assert p.grad is not None and q.grad is not None and torch.equal(p.grad, q.grad)
    assert_same_state(net, other, 0)
