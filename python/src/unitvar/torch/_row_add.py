"""layer_norm_add and rms_norm_add: a residual addition and the normalization of the sum, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from .. import _core
from ._autograd import gradients_of, is_first_order, needs_graph
from ._families import LAYER, RMS
from ._memory import CODES, address, laid_out_like, options, rows_of, statistics, vector
from ._norm import Norm
from ._rows import axes_of, default_eps, layer_norm, rms_norm
from ._transforms import is_compiling, is_eager

__all__ = ["LayerNormAdd", "RMSNormAdd", "layer_norm_add", "rms_norm_add"]

_FORWARDS: dict[Norm, Any] = {LAYER: _core.layer_norm_add_forward, RMS: _core.rms_norm_add_forward}
_BACKWARDS: dict[Norm, Any] = {LAYER: _core.layer_norm_add_backward, RMS: _core.rms_norm_add_backward}


def _forward(norm: Norm, numbers: Any, x: Tensor, residual: Tensor, gamma: Any, beta: Any) -> tuple[Tensor, ...]:
    """y, h and the statistics."""
    x, extent, count = norm.lay_out(numbers, x)
    residual = laid_out_like(residual, x)
    y, h, saved = torch.empty_like(x), torch.empty_like(x), statistics(x, norm.rows, count)
    _FORWARDS[norm](
        CODES[x.dtype], *extent, x.data_ptr(), residual.data_ptr(), address(gamma), address(beta), y.data_ptr(),
        h.data_ptr(), *rows_of(saved), numbers[-1], False, options(),
    )  # fmt: skip
    return y, h, saved


class _Add(Function):
    """The second derivatives are those of the plain normalization of h."""

    @staticmethod
    def forward(ctx: Any, norm: Norm, numbers: Any, x: Tensor, residual: Tensor, gamma: Any, beta: Any) -> Any:
        y, h, saved = _forward(norm, numbers, x, residual, gamma, beta)
        ctx.save_for_backward(h, gamma, beta, saved)
        ctx.norm, ctx.numbers = norm, numbers
        ctx.set_materialize_grads(False)
        return y, h

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None) -> Any:
        of_x, of_residual, *of_parameters = ctx.needs_input_grad[2:]
        wanted = [of_x or of_residual, *of_parameters]
        dx, dgamma, dbeta = dh, None, None
        if dy is not None and is_first_order(dy) and (dh is None or is_first_order(dh)):
            dx, dgamma, dbeta = _backward(ctx, wanted, dy, dh)
        elif dy is not None:
            dx, dgamma, dbeta = gradients_of(ctx, wanted, dy)
            dx = dx if dh is None or dx is None else dx + dh
        return None, None, dx if of_x else None, dx if of_residual else None, dgamma, dbeta


def _backward(ctx: Any, wanted: Any, dy: Tensor, dh: Tensor | None) -> Any:
    h, gamma, beta, saved = ctx.saved_tensors
    norm, extent = ctx.norm, ctx.norm.lay_out(ctx.numbers, h)[1]
    dy, dh = laid_out_like(dy, h), None if dh is None else laid_out_like(dh, h)
    grads = norm.gradients(wanted, h, gamma, beta)
    _BACKWARDS[norm](
        CODES[h.dtype], *extent, h.data_ptr(), dy.data_ptr(), *rows_of(saved), address(gamma), *map(address, grads),
        address(dh), False, options(),
    )  # fmt: skip
    return grads


def _is_fused(x: Tensor, residual: Tensor, normalized_shape: Sequence[int]) -> int:
    """How many axes a row has; 0 where the sum and the norm are two calls. RuntimeError for a residual unlike x."""
    if residual.shape != x.shape or residual.dtype is not x.dtype:
        raise RuntimeError(
            f"unitvar: residual is {residual.dtype} of shape {tuple(residual.shape)}, want input's, {x.dtype} and "
            f"{tuple(x.shape)}"
        )
    if is_compiling() or not is_eager(x) or not is_eager(residual) or not residual.is_cpu:
        return 0
    return axes_of(x, normalized_shape)


def _call(norm: Norm, axes: int, x: Tensor, residual: Tensor, weight: Any, bias: Any, eps: float) -> Any:
    shape, numbers = x.shape[x.dim() - axes :], (axes, eps)
    gamma, beta = vector("weight", weight, x, shape), vector("bias", bias, x, shape)
    if needs_graph(x, residual, gamma, beta):
        return _Add.apply(norm, numbers, x, residual, gamma, beta)
    return _forward(norm, numbers, x, residual, gamma, beta)[:2]


def layer_norm_add(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """``h = input + residual``, ``y = layer_norm(h)``, in one pass over memory (docs/derivation.md B86, B87).

    Args:
        residual: like input in shape and dtype; copied once unless it is contiguous.
        input, normalized_shape, weight, bias, eps: as in layer_norm.

    Returns:
        y and h, both new. y has the bits of layer_norm of h. The backward adds what arrives at h in its one pass.

    Raises:
        RuntimeError: a residual that is not like input.

    torch.compile, transforms of torch.func, forward mode and other devices run the addition and layer_norm.

    >>> import torch, unitvar.torch
    >>> x = torch.tensor([[1.0, 1.0]])
    >>> unitvar.torch.layer_norm_add(x, torch.tensor([[0.0, 2.0]]), (2,), eps=0.0)
    (tensor([[-1.,  1.]]), tensor([[1., 3.]]))
    """
    axes = _is_fused(input, residual, normalized_shape)
    if axes == 0:
        h = input + residual
        return layer_norm(h, normalized_shape, weight, bias, eps), h
    y, h = _call(LAYER, axes, input, residual, weight, bias, eps)
    return y, h


def rms_norm_add(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> tuple[Tensor, Tensor]:
    """``h = input + residual``, ``y = rms_norm(h)``, in one pass over memory (docs/derivation.md B86, B87).

    Arguments as in rms_norm, results and all else as in layer_norm_add.

    >>> import torch, unitvar.torch
    >>> x = torch.tensor([[1.0, -1.0]])
    >>> unitvar.torch.rms_norm_add(x, 2 * x, (2,), eps=0.0)
    (tensor([[ 1., -1.]]), tensor([[ 3., -3.]]))
    """
    axes = _is_fused(input, residual, normalized_shape)
    if axes == 0:
        h = input + residual
        return rms_norm(h, normalized_shape, weight, eps), h
    y, h = _call(RMS, axes, input, residual, weight, None, default_eps(input) if eps is None else eps)
    return y, h


class LayerNormAdd(nn.LayerNorm):
    """torch.nn.LayerNorm behind a residual: layer_norm_add.

    >>> import torch, unitvar.torch
    >>> x = torch.randn(2, 3, 8)
    >>> y, h = unitvar.torch.LayerNormAdd(8)(x, x)
    >>> torch.equal(h, 2 * x)
    True
    """

    def forward(self, input: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """y and h."""
        return layer_norm_add(input, residual, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNormAdd(nn.RMSNorm):
    """torch.nn.RMSNorm behind a residual: rms_norm_add.

    >>> import torch, unitvar.torch
    >>> x = torch.randn(2, 3, 8)
    >>> y, h = unitvar.torch.RMSNormAdd(8)(x, x)
    >>> torch.equal(h, 2 * x)
    True
    """

    def forward(self, input: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """y and h."""
        return rms_norm_add(input, residual, self.normalized_shape, self.weight, self.eps)
