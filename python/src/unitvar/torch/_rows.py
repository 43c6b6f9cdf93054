"""layer_norm and rms_norm: rows of the last axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import call
from ._families import LAYER, RMS
from ._memory import CODES, vector
from ._norm import Norm

__all__ = ["layer_norm", "rms_norm"]


def axes_of(x: Tensor, normalized_shape: Sequence[int]) -> int:
    """How many axes a row has; 0 where the call is torch's, its error messages included."""
    count = len(normalized_shape)
    fits = x.is_cpu and x.dtype in CODES and 0 < count <= x.dim() and x.numel() > 0
    return count if fits and tuple(x.shape[x.dim() - count :]) == tuple(normalized_shape) else 0


def default_eps(x: Tensor) -> float:
    """torch's, on the CPU: that of float64 for float64, and of float32 for all others."""
    return torch.finfo(torch.float64 if x.dtype is torch.float64 else torch.float32).eps


def _rows(norm: Norm, axes: int, x: Tensor, weight: Any, bias: Any, eps: float) -> Tensor:
    shape = x.shape[x.dim() - axes :]
    return call(norm, (axes, eps), x, vector("weight", weight, x, shape), vector("bias", bias, x, shape))[0]


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalizes each row, in place of torch.nn.functional.layer_norm.

    ``y = weight * (x - mean) / sqrt(var + eps) + bias`` with mean and biased var of the row, the last axes (Ba, Kiros &
    Hinton 2016; docs/derivation.md B80).

    Args:
        input: as in batch_norm; copied once unless it is contiguous. y is contiguous.
        normalized_shape: the shape of a row.
        weight, bias: of that shape, in input's dtype or float32.

    Devices, dtypes, errors, derivatives, threads: as in batch_norm.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.layer_norm(torch.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    axes = axes_of(input, normalized_shape)
    if axes == 0:
        return F.layer_norm(input, list(normalized_shape), weight, bias, eps)
    return _rows(LAYER, axes, input, weight, bias, eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """``y = weight * x / sqrt(mean(x^2) + eps)`` of each row, in place of torch.nn.functional.rms_norm.

    Zhang & Sennrich 2019; docs/derivation.md B83.

    Args:
        eps: None is that of float64 for float64, and of float32 for all others, as in torch on the CPU.
        input, normalized_shape, weight: as in layer_norm.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.rms_norm(torch.tensor([[3.0, 4.0]]), (2,), eps=0.0) * 12.5**0.5
    tensor([[3., 4.]])
    """
    axes = axes_of(input, normalized_shape)
    if axes == 0:
        return F.rms_norm(input, list(normalized_shape), weight, eps)
    return _rows(RMS, axes, input, weight, None, default_eps(input) if eps is None else eps)
