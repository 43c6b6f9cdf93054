"""ONNX: the normalization operators for onnx's reference evaluator, a backend, and folding of batch norm.

Needs the package onnx, which `import unitvar` itself never imports.

- `OPS`: operator classes for ``onnx.reference.ReferenceEvaluator(model, new_ops=OPS)``.
- `Evaluator`: a ReferenceEvaluator that uses them, in subgraphs and in the model's functions too.
- `Backend`: the same as an ``onnx.backend.base.Backend``.
- `fold`: folds inference batch norm into the convolution or matrix product before it.
"""

from ._backend import Backend, BackendRep, Evaluator
from ._fold import FoldReport, NotFolded, fold
from ._operators import (
    OPS,
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)

__all__ = [
    "OPS",
    "Backend",
    "BackendRep",
    "BatchNormalization",
    "Evaluator",
    "FoldReport",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "NotFolded",
    "RMSNormalization",
    "fold",
]
