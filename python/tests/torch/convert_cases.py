"""Models whose normalizations can be joined with what stands behind them, and what a step of them gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def error(got: Tensor, wanted: Tensor) -> float:
    got, wanted = got.detach(), wanted.detach()
    return float((got.double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-300))


class Block(nn.Module):
    """A residual block as torchvision writes it: one ReLU for all, and an addition in place."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.down = nn.Sequential(nn.Conv2d(3, channels, 1), nn.BatchNorm2d(channels))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.down(x)
        return self.relu(out)


class Sum(nn.Module):
    """Two normalizations are added, and what comes out is the residual of a third."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv(x)) + self.bn2(x))
        return F.relu(self.bn3(self.conv(y)) + y)


class Inverted(nn.Module):
    """Residuals with no activation behind them; the second is added to a Sequential, as MobileNetV2 and V3 do."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU6(inplace=True), nn.Conv2d(6, 3, 1))
        self.bn = nn.BatchNorm2d(3)
        self.block = nn.Sequential(
            nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Hardswish(), nn.Sequential(nn.Conv2d(6, 3, 1), nn.BatchNorm2d(3))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.bn(self.expand(x))
        return y + self.block(y)


class Stem(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Identity(), nn.LeakyReLU(0.2))


class With(nn.Module):
    """A forward to be judged: bn is a BatchNorm2d, act a ReLU."""

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        super().__init__()
        self.bn, self.act = nn.BatchNorm2d(3), nn.ReLU()
        self.rule = forward


def with_forward(forward: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    made = type("Own", (With,), {"forward": forward})
    return made(forward)  # type: ignore[no-any-return]


def run(model: nn.Module, x: Tensor) -> list[Tensor]:
    """y and the gradients of a step."""
    x = x.clone().requires_grad_()
    model.zero_grad()
    y = model(x)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    (y * dy).sum().backward()
    return [y.detach(), x.grad, *(p.grad.clone() for p in model.parameters())]


def image() -> Tensor:
    return torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def agree(fused: nn.Module, plain: nn.Module) -> None:
    """In training and in evaluation, in float64."""
    for training in (True, False):
        for got, wanted in zip(run(fused.train(training), image()), run(plain.train(training), image())):
            assert (got - wanted).abs().max() <= 1e-12 * (1 + wanted.abs().max())
    for key, value in plain.state_dict().items():
        assert error(fused.state_dict()[key], value) < 1e-12
