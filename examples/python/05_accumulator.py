"""A linear layer that feeds the statistics of the batch normalization after it.

Each block of rows is added while it is in the cache. Batch normalization then takes one pass that reads and writes, and
no pass of reading before it. The result has the bits of batch_norm.
"""

import numpy as np

import unitvar
from unitvar import phases

ROWS, INPUTS, CHANNELS, EPS = 3000, 8, 24, 1e-5

random = np.random.default_rng(1)
x = random.normal(size=(ROWS, INPUTS)).astype(np.float32)
weight = random.normal(size=(INPUTS, CHANNELS)).astype(np.float32)
z = np.full((ROWS, CHANNELS), np.nan, np.float32)  # the output of the linear layer

# Tiles may come in any order, here from the last to the first. Each is so many rows of the matrix.
accumulator = phases.MomentsAccumulator(z)
for t in reversed(range(len(accumulator))):
    first, rows = accumulator.tile(t).outer, accumulator.tile(t).outers
    np.matmul(x[first : first + rows], weight, out=z[first : first + rows])
    accumulator.add(t, z)
mean, m2 = accumulator.finish()

var, rstd = phases.finish_moments(ROWS, m2, eps=EPS)
y = phases.normalize(z, mean, rstd)

plain = unitvar.batch_norm(z, eps=EPS)
same = np.array_equal(y, plain.y)
print(f"{ROWS} rows in {len(accumulator)} tiles: {'same bits' if same else 'DIFFERENT'}")

assert len(accumulator) > 1 and np.all(np.isfinite(z))
assert same and np.array_equal(mean, plain.mean) and np.array_equal(rstd, plain.rstd)
