"""convert and restore: what is swapped, what is left, and that results stay."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from convert_cases import Block, Inverted, Stem, With, agree, error, image, run  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import unitvar.torch as ours  # noqa: E402
from unitvar.torch import Conversion, convert, restore  # noqa: E402

MODULES = [
    (nn.BatchNorm1d(6), (4, 6, 5)),
    (nn.BatchNorm2d(6), (4, 6, 5, 2)),
    (nn.BatchNorm3d(6), (4, 6, 2, 3, 2)),
    (nn.SyncBatchNorm(6), (4, 6, 5)),
    (nn.LayerNorm((5, 2)), (4, 6, 5, 2)),
    (nn.RMSNorm(5), (4, 6, 5)),
    (nn.GroupNorm(3, 6), (4, 6, 5)),
    (nn.InstanceNorm1d(6, affine=True), (4, 6, 5)),
    (nn.InstanceNorm2d(6), (4, 6, 5, 2)),
    (nn.InstanceNorm3d(6, track_running_stats=True), (4, 6, 2, 3, 2)),
]


@pytest.mark.parametrize("module, shape", MODULES, ids=[type(m).__name__ for m, _ in MODULES])
def test_a_swapped_module_is_the_same_object_with_the_same_state(module: nn.Module, shape: tuple[int, ...]) -> None:
    module = copy.deepcopy(module).train()
    torchs = copy.deepcopy(module)
    parameters, buffers, calls = list(module.parameters()), list(module.buffers()), []
    module.register_forward_hook(lambda *_: calls.append(1))
    model = nn.Sequential(module)
    converted = convert(model)
    assert converted is model and model[0] is module and type(module) is getattr(ours, type(torchs).__name__)
    assert all(a is b for a, b in zip(parameters, module.parameters()))
    assert all(a is b for a, b in zip(buffers, module.buffers()))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if not isinstance(torchs, nn.SyncBatchNorm):  # torch's runs on no CPU
        assert error(model(x), torchs(x)) < 1e-6 and calls == [1]
        for key, value in torchs.state_dict().items():
            assert error(module.state_dict()[key], value) < 1e-6
    assert type(restore(model)[0]) is type(torchs) and model[0] is module
    assert list(module.state_dict()) == list(torchs.state_dict())


def test_a_root_is_swapped_too_and_evaluation_stays_evaluation() -> None:
    norm = nn.BatchNorm2d(3).eval()
    assert type(convert(norm)) is ours.BatchNorm2d and not norm.training


class Louder(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Named(nn.LayerNorm):
    pass


def test_subclasses_are_left_and_listed() -> None:
    model = nn.Sequential(Louder(3), Named(4), nn.LayerNorm(4))
    report = Conversion()
    convert(model, fuse=True, report=report)
    assert type(model[0]) is Louder and type(model[1]) is Named and report.swapped == ["2"]
    assert report.left == [("0", "Louder is a subclass with its own forward"), ("1", "Named is a subclass")]
    assert "left 0: Louder is a subclass with its own forward" in str(report)


def test_a_module_whose_forward_was_replaced_is_left() -> None:
    model, report = nn.Sequential(nn.LayerNorm(4)), Conversion()
    model[0].forward = lambda x: x
    convert(model, report=report)
    assert type(model[0]) is nn.LayerNorm and report.left == [("0", "its forward was replaced")]


@pytest.mark.parametrize("make", [Block, Stem, Inverted])
def test_a_fused_model_copies_pickles_and_saves(make: type[nn.Module]) -> None:
    fused = convert(make(), fuse=True).eval()
    x = image().float()
    saved = io.BytesIO()
    torch.save(fused, saved)
    saved.seek(0)
    others = [copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), torch.load(saved, weights_only=False)]
    for other in others:
        assert isinstance(other, make) and torch.equal(other(x), fused(x))
        next(other.parameters()).data.add_(1)  # has memory of its own
        assert not torch.equal(other(x), fused(x))
    fresh = convert(make(), fuse=True).eval()
    fresh.load_state_dict(fused.state_dict())
    assert torch.equal(fresh(x), fused(x))


def test_a_fused_model_is_restored() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Block(), Stem.__mro__[1](nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU())).double()
    plain, types = copy.deepcopy(model), [type(m) for m in model.modules()]
    activation = model[1][2]
    convert(model, fuse=True)
    run(model, image())
    run(plain, image())
    restore(model)
    assert [type(m) for m in model.modules()] == types and model[1][2] is activation
    assert not any("act" in vars(m) and type(m) is not With or "_unitvar_joined" in vars(m) for m in model.modules())
    agree(model, plain)


def test_conversion_twice_is_conversion_once_and_fusing_may_follow() -> None:
    torch.manual_seed(0)
    plain = Block().double()
    model = copy.deepcopy(plain)
    convert(convert(model))
    report = Conversion()
    convert(model, fuse=True, report=report)
    again = Conversion()
    convert(model, fuse=True, report=again)
    assert len(report.joined) == 2 and not again.joined
    agree(model, plain)


def test_a_fused_model_runs_under_dynamo() -> None:
    fused = convert(Block(), fuse=True)
    compiled = torch.compile(fused, backend="eager", fullgraph=True)
    x = image().float()
    assert error(compiled(x), copy.deepcopy(fused)(x)) < 1e-5
