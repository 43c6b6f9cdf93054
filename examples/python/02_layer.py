"""The BatchNorm layer: training steps that move its parameters and running statistics, then evaluation."""

import numpy as np

import unitvar

BATCH, CHANNELS = 64, 4
# Channel c of the data has mean c and standard deviation c + 1.
MEAN = np.arange(CHANNELS, dtype=np.float64)
STD = MEAN + 1


def train_step(layer: unitvar.BatchNorm, x: np.ndarray) -> None:
    """One step of gradient descent on L = sum((y - 2)^2) / 2, which is least for gamma = 0, beta = 2."""
    y = layer(x)
    layer.backward(x, y - np.float32(2), need_dx=False)
    # gamma and beta are arrays on the layer's memory: they change in place.
    layer.gamma[:] -= 0.1 / BATCH * layer.dgamma
    layer.beta[:] -= 0.1 / BATCH * layer.dbeta


random = np.random.default_rng(1)
layer = unitvar.BatchNorm(CHANNELS, np.float32, momentum=0.05)  # momentum: the weight of the new batch
for _ in range(200):
    train_step(layer, random.normal(MEAN, STD, (BATCH, CHANNELS)).astype(np.float32))

layer.eval()
one_sample = MEAN[np.newaxis].astype(np.float32)  # the mean of every channel
y = layer(one_sample)[0]

running_std = np.sqrt(layer.running_var)
for c in range(CHANNELS):
    print(
        f"channel {c}: running mean {layer.running_mean[c]:.2f}  running std {running_std[c]:.2f}  "
        f"gamma {layer.gamma[c]:+.4f}  beta {layer.beta[c]:.4f}  y {y[c]:.3f}"
    )

assert layer.batches_tracked == 200
assert np.all(np.abs(layer.running_mean - MEAN) < 0.3 * STD)
assert np.all(np.abs(running_std - STD) < 0.2 * STD)
assert np.all(np.abs(y - 2) < 0.01)

# Another layer takes over the state, and gives the same bits.
copy = unitvar.BatchNorm(CHANNELS, np.float32).eval()
copy.load_state_dict(layer.state_dict())
assert np.array_equal(copy(one_sample)[0], y)
