"""Training forward and backward of an NCHW array with the free functions."""

import numpy as np

import unitvar

random = np.random.default_rng(1)
x = random.normal(3, 2, (8, 3, 32, 32)).astype(np.float32)
dy = random.normal(0, 1, x.shape).astype(np.float32)
gamma, beta = np.array([1.0, 0.5, 2.0]), np.array([0.0, 1.0, -1.0])

y, mean, var, rstd = unitvar.batch_norm(x, gamma, beta)
dx, dgamma, dbeta = unitvar.batch_norm_backward(x, dy, mean, rstd, gamma)

for c in range(3):
    print(
        f"channel {c}: mean {mean[c]:.4f}  rstd {rstd[c]:.4f}  dgamma {dgamma[c]:+8.3f}  dbeta {dbeta[c]:+8.3f}  "
        f"mean(y) {y[:, c].mean(dtype=float):+.1e}  sum(dx) {dx[:, c].sum(dtype=float):+.1e}"
    )

axes = (0, 2, 3)
assert y.shape == dx.shape == x.shape and y.dtype == dx.dtype == np.float32
# The mean of y is beta and its standard deviation gamma, up to eps. An input gradient sums to zero.
assert np.allclose(y.mean(axes, dtype=float), beta, atol=1e-6)
assert np.allclose(y.std(axes, dtype=float), gamma, rtol=1e-4)
assert np.all(np.abs(dx.sum(axes, dtype=float)) < 1e-3)
# The parameters' gradients are sums over the batch.
x_hat = (x - mean.reshape(3, 1, 1)) * rstd.reshape(3, 1, 1)
assert np.allclose(dgamma, (dy * x_hat).sum(axes), rtol=1e-5, atol=1e-3)
assert np.allclose(dbeta, dy.sum(axes, dtype=float), rtol=1e-5, atol=1e-3)
