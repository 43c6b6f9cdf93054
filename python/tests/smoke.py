"""A program of its own: does the installed package work, with nothing beside it?"""

import sys
import time

start = time.perf_counter()
import numpy as np  # noqa: E402

numpy_done = time.perf_counter()
import unitvar  # noqa: E402

print(f"import: NumPy {numpy_done - start:.3f} s, unitvar {time.perf_counter() - numpy_done:.3f} s")
x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
y, mean, var, rstd = unitvar.batch_norm(x)
dx, dgamma, dbeta = unitvar.batch_norm_backward(x, np.ones_like(x), mean, rstd)
if abs(y.mean((0, 2))).max() > 1e-6 or abs(dx).max() > 1e-6 or (dbeta != 20).any():
    sys.exit("smoke: wrong results")
print(unitvar.__version__, unitvar.__file__, ", ".join(unitvar.supported_isas()))
