"""Two ranks that hold unequal parts of one batch, by the four phases.

Between the phases, ranks exchange three numbers a channel forward and two backward. A communicator (MPI, NCCL, ...)
would stand where this program just calls merge_moments, or adds.
"""

import numpy as np

import unitvar
from unitvar import phases

random = np.random.default_rng(1)
x = random.normal(100, 1, (10, 5, 6, 6)).astype(np.float32)
dy = random.normal(0, 1, x.shape).astype(np.float32)
gamma = random.normal(1, 0.5, 5)

xs, dys = (x[:7], x[7:]), (dy[:7], dy[7:])
counts = [part.size / part.shape[1] for part in xs]  # values of a channel

# Forward: each rank its moments, one merge, each rank its y.
a, b = (phases.moments(part) for part in xs)
count, mean, m2 = phases.merge_moments(counts[0], a.mean, a.m2, counts[1], b.mean, b.m2)
var, rstd = phases.finish_moments(count, m2, eps=1e-5)
y = np.concatenate([phases.normalize(part, mean, rstd, gamma) for part in xs])

# Backward: each rank its sums, one addition, each rank its dx.
sums = [phases.gradient_sums(part, d, mean) for part, d in zip(xs, dys)]
sum_dy = sums[0].sum_dy + sums[1].sum_dy
sum_dy_xmu = sums[0].sum_dy_xmu + sums[1].sum_dy_xmu
dx = np.concatenate(
    [phases.input_gradient(part, d, mean, rstd, sum_dy, sum_dy_xmu, count, gamma) for part, d in zip(xs, dys)]
)
dgamma, dbeta = rstd * sum_dy_xmu, sum_dy

whole = unitvar.batch_norm(x, gamma, eps=1e-5)
gradients = unitvar.batch_norm_backward(x, dy, whole.mean, whole.rstd, gamma)
y_off, dx_off = np.abs(y - whole.y).max(), np.abs(dx - gradients.dx).max()
print(f"two ranks against the whole batch: y differs by {y_off:.1e} at most, dx by {dx_off:.1e}")

assert count == 360
assert np.allclose(var, whole.var, rtol=1e-12)
assert y_off < 1e-6 and dx_off < 1e-6
assert np.allclose(dgamma, gradients.dgamma, rtol=1e-5) and np.allclose(dbeta, gradients.dbeta, rtol=1e-5)
