"""What training.py trains: torchvision's networks, a transformer block, a tiny network, and the ways to run each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unitvar.torch import convert

CLASSES = 10
WAYS = ("torch", "compile", "convert", "fused")
LAYOUTS = ("contiguous", "channels_last")
TORCHVISION = {
    "resnet50": "ResNet-50",
    "densenet121": "DenseNet-121",
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_b0": "EfficientNet-B0",
}
BLOCKS = {"block_layer_norm": "block, LayerNorm", "block_rms_norm": "block, RMSNorm"}
TITLES = {**TORCHVISION, **BLOCKS, "tiny": "tiny network"}
NORMALIZATIONS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Case:
    """A network and its input: images of `size`, or so many tokens' features."""

    network: str
    layout: str = "contiguous"
    batch: int = 16
    size: int = 224
    tokens: int = 196
    width: int = 768
    seed: int = 0

    @property
    def has_images(self) -> bool:
        return self.network not in BLOCKS


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each behind a normalization and beside a residual, and a linear head."""

    def __init__(self, norm: Callable[[int], nn.Module], width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attention = nn.MultiheadAttention(width, max(1, width // 64), batch_first=True)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        x = x + self.perceptron(self.norm2(x))
        return self.head(x.mean(1))


class Tiny(nn.Module):
    """Convolution, batch norm and ReLU, twice, and a residual: for tests."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(x + self.norm2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


def build(case: Case) -> nn.Module:
    """The network in float32, with the same random weights at every call of a seed."""
    torch.manual_seed(case.seed)
    if case.network == "tiny":
        model: nn.Module = Tiny()
    elif case.network in BLOCKS:
        model = TransformerBlock(nn.LayerNorm if case.network == "block_layer_norm" else nn.RMSNorm, case.width)
    else:
        import torchvision

        model = torchvision.models.get_model(case.network, weights=None, num_classes=CLASSES)
        for module in model.modules():  # nothing that draws random numbers: all ways compute the same
            if isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
                module.p = 0.0
    return model.to(memory_format=memory_format(case))


def memory_format(case: Case) -> torch.memory_format:
    """torch's name of the layout."""
    return torch.channels_last if case.layout == "channels_last" else torch.contiguous_format


def batch_of(case: Case, step: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels of a step: the same for every way."""
    generator = torch.Generator().manual_seed(1 + step + 1000 * case.seed)
    labels = torch.randint(CLASSES, (case.batch,), generator=generator)
    shape = (3, case.size, case.size) if case.has_images else (case.tokens, case.width)
    x = torch.randn(case.batch, *shape, generator=generator)
    return x.contiguous(memory_format=memory_format(case)) if case.has_images else x, labels


def put_in(model: nn.Module, way: str) -> Any:
    """The model, run in this way."""
    if way == "compile":
        return torch.compile(model)
    return model if way == "torch" else convert(model, fuse=way == "fused")


def model_of(case: Case, way: str) -> Any:
    """A new model, run in this way."""
    return put_in(build(case), way)


class Trainer:
    """A model and its optimizer."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(self, x: Tensor, labels: Tensor) -> float:
        """One training step; its loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def normalizations(case: Case) -> dict[tuple[str, ...], tuple[nn.Module, Tensor, int]]:
    """Each kind of normalization in a network, by description: the module, its input, and how many there are."""
    found: dict[tuple[str, ...], tuple[nn.Module, Tensor, int]] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        x = inputs[0].detach()
        key = (type(module).__name__, " x ".join(map(str, x.shape)), str(x.stride()))
        count = found[key][2] if key in found else 0
        found[key] = (copy.deepcopy(module), torch.empty_like(x), count + 1)
        found[key][0]._forward_hooks.clear()

    model = build(case)
    for module in model.modules():
        if isinstance(module, NORMALIZATIONS):
            module.register_forward_hook(keep)
    with torch.no_grad():
        model(batch_of(case, 0)[0])
    return found
