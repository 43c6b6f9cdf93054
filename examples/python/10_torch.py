"""A small convolutional network of torch on Fashion-MNIST, converted by unitvar.torch, beside the same one unconverted.

Needs torch, and Debian's package dataset-fashion-mnist, or a folder with its files (--data).
"""

import argparse
import copy
import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import unitvar.torch

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--points", type=int, default=10, help="of the curve")
options = parser.parse_args()


def read(prefix: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) in [0, 1], and labels."""
    images, labels = (
        np.frombuffer(gzip.decompress((options.data / f"{prefix}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=skip)
        for kind, skip in (("images-idx3", 16), ("labels-idx1", 8))
    )
    images = images.reshape(-1, 1, 28, 28).astype(np.float32) / 255
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def network() -> nn.Module:
    """Two convolutions with batch norm and ReLU, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip


def accuracy(model: nn.Module) -> float:
    """On 2,000 test images."""
    model.eval()
    with torch.no_grad():
        right = model(test_images[:2000]).argmax(1) == test_labels[:2000]
    model.train()
    return float(right.float().mean())


def train(model: nn.Module) -> tuple[list[float], dict[int, float]]:
    """The loss of each step, and the curve: the accuracy after some of them."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    order = np.random.default_rng(0)
    losses, curve = [], {}
    for step in range(1, options.steps + 1):
        batch = torch.from_numpy(order.integers(len(train_images), size=options.batch))
        loss = nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % max(1, options.steps // options.points) == 0 or step == options.steps:
            curve[step] = accuracy(model)
    return losses, curve


train_images, train_labels = read("train")
test_images, test_labels = read("t10k")
torch.manual_seed(0)
plain = network()
report = unitvar.torch.Conversion()
converted = unitvar.torch.convert(copy.deepcopy(plain), fuse=True, report=report)  # the only line that differs
print(report)

losses, curve = train(converted)
of_torch, curve_of_torch = train(plain)
print("step  test accuracy  |  with torch's own")
for step, reached in curve.items():
    print(f"{step:4}  {reached:.3f} {'#' * round(30 * reached):30} |  {curve_of_torch[step]:.3f}")
print(f"after {options.steps} steps   loss {losses[-1]:.4f}   with torch's own {of_torch[-1]:.4f}")

# The same network, the same names of its state: the first losses agree to float's digits.
assert len(report.joined) == 2
assert converted.state_dict().keys() == plain.state_dict().keys()
assert np.allclose(losses[:3], of_torch[:3], rtol=1e-4)
if options.steps >= 200:
    assert curve[options.steps] > 0.75
