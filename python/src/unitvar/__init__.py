"""Normalization layers with exact analytic gradients, for arrays on the CPU.

Functions take NumPy arrays, or any CPU array with DLPack or the buffer protocol, of float32, float64, float16 or
bfloat16 (ml_dtypes). Statistics are saved in float64. Results have the same bits for every number of threads and every
instruction set. A problem with an argument is a ValueError or a TypeError, raised before anything is written.

>>> import numpy as np, unitvar
>>> x = np.random.default_rng(0).normal(size=(8, 3, 4, 4)).astype(np.float32)
>>> y, mean, var, rstd = unitvar.batch_norm(x)
>>> dx, dgamma, dbeta = unitvar.batch_norm_backward(x, np.ones_like(x), mean, rstd)
"""

from . import (
    _activation,
    _batch_norm,
    _check,
    _derivatives,
    _fold,
    _ghost,
    _in_place,
    _relatives,
    _row_add,
    _weighted,
    gradcheck,
    layer,
    phases,
    ranks,
    reference,
    schedule,
)
from ._activation import *
from ._batch_norm import *
from ._check import *
from ._core import Error, Options, selected_isa, supported_isas
from ._core import version as __version__
from ._derivatives import *
from ._fold import *
from ._ghost import *
from ._in_place import *
from ._relatives import *
from ._row_add import *
from ._weighted import *
from .layer import *
from .schedule import *

Error.__doc__ = "What the library itself refuses; a ValueError. The message names what was seen and what was wanted."

__all__ = [
    "Error",
    "Options",
    "__version__",
    "gradcheck",
    "phases",
    "ranks",
    "reference",
    "selected_isa",
    "supported_isas",
]
for _module in (
    _activation,
    _batch_norm,
    _check,
    _derivatives,
    _fold,
    _ghost,
    _in_place,
    _relatives,
    _row_add,
    _weighted,
    layer,
    schedule,
):
    __all__ += _module.__all__
