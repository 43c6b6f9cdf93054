"""unitvar's normalizations for PyTorch: functions and modules in place of torch's, and some that torch has not.

Functions have the signatures of torch.nn.functional, modules those of torch.nn. They run on CPU tensors of float32,
float64, bfloat16 and float16, contiguous or channels last; all other tensors go to torch's own functions. Statistics
are saved in float64. Results have the same bits for every number of threads.

>>> import torch, unitvar.torch
>>> x = torch.randn(8, 3, 4, 4, requires_grad=True)
>>> y = unitvar.torch.batch_norm(x, training=True)
>>> y.square().sum().backward()
>>> x.grad.shape
torch.Size([8, 3, 4, 4])
"""

from . import _batch_norm, _communicator, _convert, _extras, _groups, _modules, _more_modules, _row_add, _rows, _sync
from ._batch_norm import *
from ._communicator import *
from ._convert import *
from ._extras import *
from ._groups import *
from ._modules import *
from ._more_modules import *
from ._row_add import *
from ._rows import *
from ._sync import *

__all__: list[str] = []
for _module in (
    _batch_norm,
    _communicator,
    _convert,
    _extras,
    _groups,
    _modules,
    _more_modules,
    _row_add,
    _rows,
    _sync,
):
    __all__ += _module.__all__
