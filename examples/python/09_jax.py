"""A small flax.nnx network on Fashion-MNIST whose batch norm is unitvar's, beside the same network with flax's own.

Needs jax, flax, and Debian's package dataset-fashion-mnist, or a folder with its files (--data).
"""

import argparse
import gzip
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import unitvar.jax.nnx

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--batch", type=int, default=64)
options = parser.parse_args()


def read(prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28, 1) in [0, 1], and labels."""
    images, labels = (
        np.frombuffer(gzip.decompress((options.data / f"{prefix}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=skip)
        for kind, skip in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return images.reshape(-1, 28, 28, 1).astype(np.float32) / 255, labels.astype(np.int32)


class Network(nnx.Module):
    """Two convolutions with batch norm, in flax's layout NHWC; `norms` is the module that has BatchNorm."""

    def __init__(self, norms, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 16, (3, 3), strides=2, use_bias=False, rngs=rngs)
        self.norm1 = norms.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, use_bias=False, rngs=rngs)
        self.norm2 = norms.BatchNorm(32, momentum=0.9, rngs=rngs)
        self.head = nnx.Linear(32 * 7 * 7, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm1(self.conv1(x)))
        x = nnx.relu(self.norm2(self.conv2(x)))
        return self.head(x.reshape(x.shape[0], -1))


@nnx.jit
def train_step(model: Network, optimizer: nnx.Optimizer, x: jax.Array, labels: jax.Array) -> jax.Array:
    def loss(model: Network) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(x), labels).mean()

    value, gradients = nnx.value_and_grad(loss)(model)
    optimizer.update(model, gradients)
    return value


@nnx.jit
def accuracy(model: Network, x: jax.Array, labels: jax.Array) -> jax.Array:
    return (model(x).argmax(-1) == labels).mean()


def train(norms) -> tuple[list[float], float]:
    """The loss of each step, and the accuracy on test images at the end."""
    model = Network(norms, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    order = np.random.default_rng(0)
    losses = []
    for _ in range(options.steps):
        batch = order.integers(len(train_images), size=options.batch)
        losses.append(float(train_step(model, optimizer, train_images[batch], train_labels[batch])))
    model.eval()
    return losses, float(accuracy(model, test_images[:2000], test_labels[:2000]))


train_images, train_labels = read("train")
test_images, test_labels = (jnp.asarray(a) for a in read("t10k"))
losses, reached = train(unitvar.jax.nnx)
of_flax, reached_by_flax = train(nnx)
print(f"after {options.steps} steps   loss {losses[-1]:.4f}   test accuracy {reached:.3f}")
print(f"with flax's own   loss {of_flax[-1]:.4f}   test accuracy {reached_by_flax:.3f}")

# The same network: the first losses agree to float's digits.
assert np.allclose(losses[:3], of_flax[:3], rtol=1e-4)
if options.steps >= 200:
    assert reached > 0.75
