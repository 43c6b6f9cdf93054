"""Modules that torch.nn does not have. Parameters, running statistics and their rules are those of its BatchNorm."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ._act import activation_of
from ._batch_norm import batch_norm_act
from ._extras import batch_norm_ghost, batch_norm_in_place, batch_norm_renorm, batch_norm_weighted
from ._modules import BatchNormBase

__all__ = ["BatchNormAct2d", "BatchRenorm", "GhostBatchNorm", "InPlaceABN", "MaskedBatchNorm"]


class _AnyDim(BatchNormBase):
    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")


class BatchNormAct2d(BatchNormBase, nn.BatchNorm2d):
    """BatchNorm2d, a residual and an activation in one pass: ``act(batch_norm(x) + residual)``.

    Args:
        act: "identity", "relu", "leaky_relu", "relu6", "clip" (torch's Hardtanh), "hard_swish" or "silu".
        negative_slope: of "leaky_relu".
        low, high: of "clip".
        num_features, and the others by name: of torch.nn.BatchNorm2d.

    >>> import torch, unitvar.torch
    >>> block = unitvar.torch.BatchNormAct2d(3)
    >>> x = torch.randn(2, 3, 4, 4)
    >>> bool((block(x, residual=x) >= 0).all())
    True
    """

    def __init__(
        self, num_features: int, *, act: str = "relu", negative_slope: float = 0.01, low: float = 0.0,
        high: float = 6.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        activation_of(act, negative_slope, low, high)
        super().__init__(num_features, **kwargs)
        self.act, self.negative_slope, self.low, self.high = act, negative_slope, low, high

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """y of input and, if given, a residual like it."""
        return super().forward(input, residual)

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        return batch_norm_act(
            input, running_mean, running_var, weight, bias, more[0], training, momentum, self.eps, self.act,
            self.negative_slope, self.low, self.high,
        )  # fmt: skip

    def extra_repr(self) -> str:
        more = {"leaky_relu": f", negative_slope={self.negative_slope}", "clip": f", low={self.low}, high={self.high}"}
        return f"{super().extra_repr()}, act={self.act}{more.get(self.act, '')}"


class MaskedBatchNorm(_AnyDim):
    """Batch normalization of (N, C, ...) that leaves out padding: batch_norm_weighted.

    Args:
        zero_unweighted: y is 0 where the mask is 0.
        num_features, and the others by name: of torch.nn.BatchNorm1d.

    >>> import torch, unitvar.torch
    >>> x, mask = torch.randn(2, 3, 5), torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)
    >>> bool(unitvar.torch.MaskedBatchNorm(3)(x, mask)[1, :, 2:].any())
    False
    """

    def __init__(self, num_features: int, *, zero_unweighted: bool = True, **kwargs: Any) -> None:
        super().__init__(num_features, **kwargs)
        self.zero_unweighted = zero_unweighted

    def forward(self, input: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """y; mask has input's shape without the channels and is bool, or any weights >= 0."""
        return super().forward(input, mask)

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        return batch_norm_weighted(
            input, more[0], running_mean, running_var, weight, bias, training, momentum, self.eps, self.zero_unweighted
        )


class GhostBatchNorm(_AnyDim):
    """Batch normalization of consecutive parts of the batch by themselves: batch_norm_ghost.

    Args:
        ghost: samples of a part.
        num_features, and the others by name: of torch.nn.BatchNorm1d.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.GhostBatchNorm(3, 4)(torch.randn(10, 3)).shape
    torch.Size([10, 3])
    """

    def __init__(self, num_features: int, ghost: int, **kwargs: Any) -> None:
        super().__init__(num_features, **kwargs)
        self.ghost = ghost

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        return batch_norm_ghost(
            input, self.ghost, running_mean, running_var, weight, bias, training, momentum, self.eps
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, ghost={self.ghost}"


class BatchRenorm(_AnyDim):
    """Batch renormalization: batch_norm_renorm. r_max and d_max are attributes; a schedule may raise them.

    Args:
        r_max, d_max: 1 and 0 are batch_norm, where Ioffe 2017 begins; it ends at 3 and 5.
        num_features, and the others by name: of torch.nn.BatchNorm1d. track_running_stats is needed.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.BatchRenorm(3, r_max=2.0, d_max=1.0)(torch.randn(10, 3)).shape
    torch.Size([10, 3])
    """

    def __init__(self, num_features: int, *, r_max: float = 1.0, d_max: float = 0.0, **kwargs: Any) -> None:
        super().__init__(num_features, **kwargs)
        if not self.track_running_stats:
            raise ValueError("BatchRenorm: track_running_stats is False, want True: r and d come from them")
        self.r_max, self.d_max = r_max, d_max

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        return batch_norm_renorm(
            input, running_mean, running_var, weight, bias, training, momentum, self.eps, self.r_max, self.d_max
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, r_max={self.r_max}, d_max={self.d_max}"


class InPlaceABN(_AnyDim):
    """Batch normalization and leaky ReLU over their input, which training overwrites: batch_norm_in_place.

    Args:
        negative_slope: > 0; 1 is no activation.
        max_lost_digits: what the backward may lose where bias is large beside weight.
        num_features, and the others by name: of torch.nn.BatchNorm2d.

    >>> import torch, unitvar.torch
    >>> x = torch.randn(2, 3, 4, 4)
    >>> unitvar.torch.InPlaceABN(3)(x) is x
    True
    """

    def __init__(
        self, num_features: int, *, negative_slope: float = 0.01, max_lost_digits: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(num_features, **kwargs)
        self.negative_slope, self.max_lost_digits = negative_slope, max_lost_digits

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        return batch_norm_in_place(
            input, running_mean, running_var, weight, bias, training, momentum, self.eps, self.negative_slope,
            self.max_lost_digits,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, negative_slope={self.negative_slope}"
