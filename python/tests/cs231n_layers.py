"""The layers of unitvar.cs231n, each with the notebook's data and the notebook's measures."""

from __future__ import annotations

import numpy as np
import pytest

from unitvar import cs231n as cs

TRAIN = {"mode": "train"}


def numeric_gradient(f, array, dout, h=1e-5):
    """Central differences of sum(f() * dout), each element of array moved in place and put back."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(*array.shape):
        kept = array[index]
        array[index] = kept + h
        above = f()
        array[index] = kept - h
        below = f()
        array[index] = kept
        gradient[index] = np.sum((above - below) * dout) / (2 * h)
    return gradient


def rel_error(a, b):
    """The notebook's measure: the worst element's, nothing below 1e-8 counted as small."""
    return np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b)))


def hand_written(x, gamma, beta, axes, eps=1e-5):
    """The definition in NumPy, for gamma and beta that broadcast against x."""
    x = np.asarray(x, np.float64)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


class Layer:
    """One of the four layers: its functions, an input's shape, the axes its statistics are over, and the relative
    error that the notebook allows its gradients."""

    def __init__(self, forward, backward, shape, params, axes, allowed, groups=None):
        self.forward_of, self.backward, self.shape, self.params, self.axes = forward, backward, shape, params, axes
        self.allowed, self.groups = allowed, groups

    def forward(self, x, gamma, beta, param):
        extra = () if self.groups is None else (self.groups,)
        return self.forward_of(x, gamma, beta, *extra, param)

    def data(self, seed, dtype=np.float64):
        rng = np.random.RandomState(seed)  # the notebook's generator: seed 231 gives its numbers
        x = 5 * rng.standard_normal(self.shape) + 12
        gamma, beta = rng.standard_normal(self.params), rng.standard_normal(self.params)
        dout = rng.standard_normal(self.shape)
        return tuple(array.astype(dtype) for array in (x, gamma, beta, dout))

    def groups_of(self, out):
        """out with what is normalized together in its last axis."""
        if self.groups is not None:
            return out.reshape(self.shape[0] * self.groups, -1)
        kept = [axis for axis in range(out.ndim) if axis not in self.axes]
        return out.transpose(kept + list(self.axes)).reshape(*[out.shape[axis] for axis in kept], -1)


SPATIAL = (cs.spatial_batchnorm_forward, cs.spatial_batchnorm_backward)
GROUP = (cs.spatial_groupnorm_forward, cs.spatial_groupnorm_backward)
LAYERS = {
    "batch": Layer(cs.batchnorm_forward, cs.batchnorm_backward, (4, 5), (5,), (0,), 1e-8),
    "batch_alt": Layer(cs.batchnorm_forward, cs.batchnorm_backward_alt, (4, 5), (5,), (0,), 1e-8),
    "layer": Layer(cs.layernorm_forward, cs.layernorm_backward, (4, 5), (5,), (1,), 1e-8),
    "spatial": Layer(*SPATIAL, (2, 3, 4, 5), (3,), (0, 2, 3), 1e-6),
    "group": Layer(*GROUP, (2, 6, 4, 5), (1, 6, 1, 1), (1, 2, 3), 1e-7, groups=2),
    "group_flat": Layer(*GROUP, (2, 6, 4, 5), (6,), (1, 2, 3), 1e-7, groups=3),
}
every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
