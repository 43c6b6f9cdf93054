"""convert(fuse=True): what is joined and gives what it gave, and what is not joined, with the reason."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch.nn.functional as F  # noqa: E402
from convert_cases import Block, Inverted, Stem, Sum, agree, run, with_forward  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from unitvar.torch import Conversion, convert, restore  # noqa: E402


def adds_a_mean(self: Any, x: Tensor) -> Tensor:
    """The residual is broadcast."""
    mean = x.mean((2, 3), True)
    return self.act(self.bn(x) + mean)


@pytest.mark.parametrize(
    "make, joins",
    [
        (Block, ["bn1: relu", "bn2: + residual, relu"]),
        (Sum, ["bn1: + residual, relu", "bn3: + residual, relu"]),
        (Stem, ["1: leaky_relu"]),
        (Inverted, ["bn: + residual", "block.3.1: + residual", "expand.1: relu6", "block.1: hard_swish"]),
        (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Hardtanh(-0.5, 0.7)), ["0: clip"]),
        (
            lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Hardswish(), nn.BatchNorm2d(3), nn.SiLU()),
            ["0: hard_swish", "2: silu"],
        ),
        (lambda: with_forward(lambda self, x: F.relu6(self.bn(x) + x, inplace=True)), ["bn: + residual, relu6"]),
        (lambda: with_forward(lambda self, x: F.hardtanh(self.bn(x))), ["bn: clip"]),
        (lambda: with_forward(lambda self, x: F.hardtanh(self.bn(x), -0.2, max_val=2)), ["bn: clip"]),
        (lambda: with_forward(lambda self, x: F.hardswish(x + self.bn(x))), ["bn: + residual, hard_swish"]),
        (lambda: with_forward(lambda self, x: F.silu(self.bn(x), inplace=True)), ["bn: silu"]),
        (lambda: with_forward(lambda self, x: torch.sigmoid(self.bn(x) + x)), ["bn: + residual"]),
        (lambda: with_forward(lambda self, x: x.mean((2, 3), True) + self.bn(x)), ["bn: + residual"]),
        (lambda: with_forward(lambda self, x: F.relu(self.bn(x) + x, inplace=True)), ["bn: + residual, relu"]),
        (lambda: with_forward(lambda self, x: torch.add(x, self.bn(x)).relu()), ["bn: + residual, relu"]),
        (lambda: with_forward(lambda self, x: F.leaky_relu(self.bn(x), 0.3)), ["bn: leaky_relu"]),
        (lambda: with_forward(lambda self, x: self.act(self.act(self.bn(x)) - 1)), ["bn: relu"]),
        (lambda: with_forward(adds_a_mean), ["bn: + residual, relu"]),
    ],
)
def test_what_is_joined_gives_what_it_gave(make: Callable[[], nn.Module], joins: list[str]) -> None:
    torch.manual_seed(0)
    plain = make().double()
    fused, report = copy.deepcopy(plain), Conversion()
    keys = list(plain.state_dict())
    assert convert(fused, fuse=True, report=report) is fused
    assert [str(join) for join in report.joined] == joins
    assert isinstance(fused, type(plain)) and list(fused.state_dict()) == keys
    agree(fused, plain)


def used_twice(self: Any, x: Tensor) -> Tensor:
    y = self.bn(x)
    return self.act(y) + y


def asks_for_training(self: Any, x: Tensor) -> Tensor:
    y = self.bn(x)
    return F.relu(y) if self.training else y


def asks_for_the_type(self: Any, x: Any) -> Tensor:
    return F.relu(self.bn(x)) if isinstance(x, Tensor) else self.bn(x[0])


def asks_for_values(self: Any, x: Tensor) -> Tensor:
    return self.act(self.bn(x)) if x.sum() > 0 else self.bn(x)


def has_an_option(self: Any, x: Tensor, more: Tensor | None = None) -> Tensor:
    return self.act(self.bn(x) if more is None else self.bn(x) + more)


def adds_into_its_input(self: Any, x: Tensor) -> Tensor:
    x += self.bn(x)
    return self.act(x)


def changes_x(self: Any, x: Tensor) -> Tensor:
    y = self.bn(x)
    x.mul_(2)
    return self.act(y + x)


def makes_a_tensor(self: Any, x: Tensor) -> Tensor:
    return self.act(self.bn(x) + torch.ones(3, 1, 1))


@pytest.mark.parametrize(
    "forward, reason",
    [
        (lambda self, x: self.bn(x), "goes to the caller"),
        (lambda self, x: torch.sigmoid(self.bn(x)), "goes to sigmoid"),
        (lambda self, x: F.gelu(self.bn(x)), "goes to gelu"),
        (lambda self, x: F.hardtanh(self.bn(x), 0.0, x.size(0)), "goes to hardtanh"),
        (lambda self, x: self.act(self.bn(self.bn(x))), "used in several places"),
        (lambda self, x: self.act(self.bn(x) + 1), "something else than one tensor"),
        (lambda self, x: self.act(torch.add(self.bn(x), x, alpha=2)), "something else than one tensor"),
        (lambda self, x: self.act(self.bn(input=x)), "other arguments than x"),
        (lambda self, x: self.act(x), "does not call it"),
        (used_twice, "used 2 times"),
        (asks_for_training, "differs between training and evaluation"),
        (asks_for_the_type, "differs between training and evaluation, or by its input's type"),
        (asks_for_values, "torch.fx cannot trace Own.forward"),
        (has_an_option, "Own.forward has the optional argument more"),
        (adds_into_its_input, "added in place to another tensor"),
        (changes_x, "x may change between"),
        (makes_a_tensor, "something else than one tensor|tensors of its own|goes to"),
    ],
)
def test_what_is_not_safe_is_not_joined_and_says_why(forward: Callable[[Any, Tensor], Tensor], reason: str) -> None:
    plain = with_forward(forward)
    fused, report = copy.deepcopy(plain), Conversion()
    before = set(vars(fused))
    convert(fused, fuse=True, report=report)
    assert not report.joined and report.swapped == ["bn"]
    ((name, said),) = report.left
    assert name == "bn" and re.search(reason, said), said
    assert set(vars(fused)) == before and type(fused) is type(plain)


def test_shared_modules_and_modules_with_hooks_are_not_joined() -> None:
    norm = nn.BatchNorm2d(3)
    shared = nn.Sequential(nn.Sequential(norm, nn.ReLU()), nn.Sequential(norm, nn.ReLU()))
    watched = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3), nn.ReLU())
    watched[0].register_forward_hook(lambda *_: None)
    watched[3].register_forward_hook(lambda *_: None)
    report = Conversion()
    convert(nn.Sequential(shared, watched), fuse=True, report=report)
    assert not report.joined
    assert [reason for _, reason in report.left] == [
        "the module is used in several places", "the module is used in several places", "the module has hooks",
        "the activation has hooks",
    ]  # fmt: skip


def test_an_activation_of_two_normalizations_is_joined_to_both() -> None:
    torch.manual_seed(0)
    act = nn.ReLU()
    plain = nn.Sequential(nn.BatchNorm2d(3), act, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), act).double()
    fused, report = copy.deepcopy(plain), Conversion()
    convert(fused, fuse=True, report=report)
    assert len(report.joined) == 2
    agree(fused, plain)


def test_a_sequential_whose_children_are_called_one_by_one_keeps_its_forward() -> None:
    torch.manual_seed(0)
    plain = Inverted()
    plain.expand, plain.bn, act = nn.Identity(), nn.Identity(), nn.Hardswish()
    plain.block = nn.Sequential(nn.BatchNorm2d(3), act, nn.Conv2d(3, 3, 1), act, nn.Sequential(nn.BatchNorm2d(3)))
    plain = plain.double()
    fused, report = copy.deepcopy(plain), Conversion()
    convert(convert(fused, fuse=True, report=report), fuse=True)
    assert [str(join) for join in report.joined] == ["block.4.0: + residual"]
    assert report.left == [("block.0", "another module calls the children of its Sequential one by one")]
    agree(fused, plain)
    agree(restore(fused), plain)
    assert all(set(vars(a)) == set(vars(b)) for a, b in zip(fused.modules(), plain.modules()))


def test_the_blocks_of_torchvisions_mobile_networks_join_and_train_as_before() -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    for name, activations in (
        ("mobilenet_v2", {"relu6", "identity"}),
        ("mobilenet_v3_small", {"relu", "hard_swish", "identity"}),
        ("efficientnet_b0", {"silu"}),
    ):
        torch.manual_seed(0)
        plain = getattr(models, name)(weights=None, num_classes=5)
        for part in plain.modules():
            if isinstance(part, nn.Dropout) or type(part).__name__ == "StochasticDepth":
                part.p = 0.0
        plain = plain.double()
        fused, report = copy.deepcopy(plain), Conversion()
        convert(fused, fuse=True, report=report)
        assert {join.activation for join in report.joined} == activations
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
        assert len(report.joined) > norms / 2
        x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for got, wanted in zip(run(fused, x), run(plain, x)):
            assert (got - wanted).abs().max() <= 1e-8 * (1 + wanted.abs().max())
