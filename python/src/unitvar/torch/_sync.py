"""Batch normalization over all ranks of a process group, on the CPU."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from .. import _core
from .._arrays import collective
from ._batch_norm import parameters
from ._communicator import Communicator, communicator_of
from ._memory import CODES, address, channels, laid_out_like, param_dtype, rows_of, statistics
from ._modules import BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormBase
from ._running import move

__all__ = ["SyncBatchNorm"]


def _options(ranks: Communicator) -> _core.Options:
    return _core.Options(threads=torch.get_num_threads(), communicator=ranks)


def _check(x: Tensor, num_features: int) -> None:
    if x.dtype not in CODES:
        raise TypeError(f"SyncBatchNorm: x has dtype {x.dtype}, want float32, float64, bfloat16 or float16")
    if x.dim() < 2:
        raise ValueError(f"SyncBatchNorm: expected at least 2D input (got {x.dim()}D input)")
    if x.shape[1] != num_features:
        raise ValueError(f"SyncBatchNorm: x has {x.shape[1]} channels, want num_features = {num_features}")
    if 0 in x.shape[1:]:
        raise ValueError(f"SyncBatchNorm: x has shape {tuple(x.shape)}, want no empty axis but the batch's")


@collective
def _forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, num_features: int, eps: float, *, options: _core.Options
) -> tuple[Tensor, Tensor, Tensor, float]:
    """x as it was taken, y, (mean, var, rstd) and the count of values, these of all ranks."""
    _check(x, num_features)
    gamma, beta = parameters(gamma, beta, x)
    x, extent = channels(x)
    y, saved = torch.empty_like(x), statistics(x, 3, num_features)
    mean, var, rstd = rows_of(saved)
    count = _core.batch_norm_forward(
        CODES[x.dtype],
        *extent,
        x.data_ptr(),
        address(gamma),
        address(beta),
        y.data_ptr(),
        mean,
        var,
        rstd,
        eps,
        options,
    )
    return x, y, saved, count


@collective
def _backward(
    x: Tensor, dy: Tensor, saved: Tensor, gamma: Tensor | None, need_params: bool, *, options: _core.Options
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """dx, from the sums of all ranks, and dgamma and dbeta of this rank's samples."""
    x, extent = channels(x)
    dy, dx = laid_out_like(dy, x), torch.empty_like(x)
    gamma, _ = parameters(gamma, None, x)
    mean, _, rstd = rows_of(saved)
    dgamma, dbeta = torch.empty((2, x.shape[1]), dtype=param_dtype(x)) if need_params else (None, None)
    _core.batch_norm_backward(
        CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), mean, rstd, address(gamma), dx.data_ptr(),
        address(dgamma), address(dbeta), options,
    )  # fmt: skip
    return dx, dgamma, dbeta


@collective
def _double_backward(
    x: Tensor, dy: Tensor, saved: Tensor, gamma: Tensor | None, v: Tensor, *, options: _core.Options
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of sum(v * dx) over all ranks for x, dy and gamma; that for gamma is of all ranks."""
    x, extent = channels(x)
    dy, v = laid_out_like(dy, x), laid_out_like(v, x)
    gamma, _ = parameters(gamma, None, x)
    mean, _, rstd = rows_of(saved)
    grad_x, grad_dy = torch.empty_like(x), torch.empty_like(x)
    grad_gamma = torch.empty(x.shape[1], dtype=param_dtype(x))
    _core.batch_norm_double_backward(
        CODES[x.dtype], *extent, x.data_ptr(), dy.data_ptr(), mean, rstd, address(gamma), v.data_ptr(), 0, 0,
        grad_x.data_ptr(), grad_dy.data_ptr(), grad_gamma.data_ptr(), options,
    )  # fmt: skip
    return grad_x, grad_dy, grad_gamma


def _per_channel(t: Tensor, x: Tensor) -> Tensor:
    """t, (C,), as a tensor that x can be multiplied by."""
    return t.view(-1, *(1,) * (x.dim() - 2))


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Any, beta: Any, num_features: int, eps: float, ranks: Communicator) -> Any:
        x, y, saved, count = _forward(x, gamma, beta, num_features, eps, options=_options(ranks))
        ctx.save_for_backward(x, gamma, beta, saved)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(saved)
        return y, saved, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> Any:
        x, gamma, beta, saved = ctx.saved_tensors
        need_x, need_gamma, need_beta = ctx.needs_input_grad[:3]
        dx, dgamma, dbeta = _Backward.apply(x, dy, gamma, saved, need_gamma or need_beta, ctx.ranks)
        return (
            dx if need_x else None,
            dgamma.to(gamma.dtype) if need_gamma else None,
            dbeta.to(beta.dtype) if need_beta else None,
            *(None,) * 3,
        )


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dy: Tensor, gamma: Any, saved: Tensor, need_params: bool, ranks: Communicator
    ) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, dy, gamma, saved)
        ctx.ranks = ranks
        return _backward(x, dy, saved, gamma, need_params, options=_options(ranks))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, v: Any, u: Any, w: Any) -> Any:
        """Gradients that arrive at dx (v), dgamma (u) and dbeta (w) of this rank; docs/derivation.md B51 to B54."""
        x, dy, gamma, saved = ctx.saved_tensors
        options = _options(ctx.ranks)
        grad_x, grad_dy, grad_gamma = torch.zeros_like(x), torch.zeros_like(x), None
        if v is not None:
            grad_x, grad_dy, grad_gamma = _double_backward(x, dy, saved, gamma, v, options=options)
            grad_gamma /= ctx.ranks.size  # that of all ranks: each takes its share, and the shares add up
        if u is not None:  # dgamma = sum(dy * x_hat) over this rank's samples, and u may differ from rank to rank
            scaled = (_per_channel(u, x) * dy).to(x.dtype)
            grad_x = grad_x + _backward(x, scaled, saved, None, False, options=options)[0]
            mean, _, rstd = saved
            grad_dy = grad_dy + (_per_channel(u * rstd, x) * (x - _per_channel(mean, x))).to(x.dtype)
        if w is not None:
            grad_dy = grad_dy + _per_channel(w, x).to(x.dtype)
        if gamma is None or grad_gamma is None:
            return grad_x, grad_dy, *(None,) * 4
        return grad_x, grad_dy, grad_gamma.to(gamma.dtype), *(None,) * 3


class SyncBatchNorm(BatchNormBase):
    """Batch normalization whose batch is spread over the ranks of a process group; torch.nn.SyncBatchNorm on the CPU.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` with mean and biased var of all ranks' samples, merged by Chan's
    formula in double, in rank order (docs/derivation.md B8). All ranks hold the same bits.

    Arguments, attributes and state_dict are those of torch.nn.SyncBatchNorm. It is no subclass of it, because
    DistributedDataParallel refuses those on the CPU.

    Args:
        num_features: C of x, (N, C, ...): float32, float64, bfloat16 or float16, contiguous or channels last; any other
            layout is copied once.
        eps: added to the biased variance.
        momentum: weight of the new batch in the running statistics, whose variance is unbiased, over all ranks; None is
            the average over all batches.
        affine, track_running_stats, device, dtype: as in torch.nn.SyncBatchNorm.
        process_group: whose ranks share the batch; by default all processes. Any backend: the frames travel through a
            gloo group of their own, which the first forward in training makes.

    Ranks: a forward in training and its backward are collective: every rank of the group calls the same layers in the
    same order. Batches may have different sizes, and be empty. dgamma and dbeta are those of the rank's own samples:
    DistributedDataParallel adds them. Without a process group, with one rank, or in eval mode nothing is exchanged.

    Errors: a rank that refuses its input raises ValueError or TypeError, and the others raise unitvar.Error with its
    message. Where a rank ends or does not come, the others raise RuntimeError, after the timeout of the process group
    at the latest. One value per channel on all ranks together is a ValueError.

    First and second derivatives; a third one, forward mode and the transforms of torch.func raise. torch.compile breaks
    the graph here. Tensors that are not on the CPU go to torch.nn.SyncBatchNorm's forward.

    Accuracy: that of unitvar.batch_norm on the whole batch.

    >>> import torch, unitvar.torch
    >>> layer = unitvar.torch.SyncBatchNorm(3)  # without a process group: BatchNorm
    >>> y = layer(torch.arange(24.0).view(2, 3, 4))
    >>> bool(y.mean().abs() < 1e-6)
    True
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2 and self._ranks() is None:  # ranks hear of it from the collective call
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def _ranks(self) -> Communicator | None:
        """Those to exchange frames with; None where there are no others."""
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return None
        return communicator_of(self.process_group) if dist.get_world_size(self.process_group) > 1 else None

    def forward(self, input: Tensor, *more: Any) -> Tensor:
        """y; in training of the batch of all ranks."""
        if input.is_cpu:
            return super().forward(input, *more)
        return torch.nn.SyncBatchNorm.forward(self, input)  # type: ignore[arg-type]

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        ranks = self._ranks()
        if ranks is None:
            return super().normalize(input, running_mean, running_var, weight, bias, training, momentum)
        y, saved, count = _Forward.apply(input, weight, bias, self.num_features, self.eps, ranks)
        if running_mean is not None:
            move(running_mean, running_var, saved, count, momentum)
        return y

    @classmethod
    def convert_sync_batchnorm(cls, module: torch.nn.Module, process_group: Any = None) -> torch.nn.Module:
        """Replaces all BatchNorm1d, 2d and 3d of a model by SyncBatchNorm, as torch.nn.SyncBatchNorm's does.

        Parameters and buffers are the same objects. Children are replaced in place; the result is the model itself, or
        a SyncBatchNorm if it is one of those. A subclass with a forward of its own, which may do more than normalize,
        is left as it is, with a warning.

        >>> import torch, unitvar.torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        >>> type(unitvar.torch.SyncBatchNorm.convert_sync_batchnorm(model)[1]).__name__
        'SyncBatchNorm'
        """
        if isinstance(module, _BatchNorm):
            if not _only_normalizes(module):
                warnings.warn(
                    f"convert_sync_batchnorm leaves {type(module).__name__}, which has its own forward", stacklevel=2
                )
                return module
            return cls._from(module, process_group)
        for name, child in module.named_children():
            replaced = cls.convert_sync_batchnorm(child, process_group)
            if replaced is not child:
                module.add_module(name, replaced)
        return module

    @classmethod
    def _from(cls, module: _BatchNorm, process_group: Any) -> SyncBatchNorm:
        made = cls(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats, process_group,
            device="meta",
        )  # fmt: skip
        made._parameters.update(module._parameters)
        made._buffers.update(module._buffers)
        made.training = module.training
        if hasattr(module, "qconfig"):
            made.qconfig = module.qconfig
        return made


def _only_normalizes(module: _BatchNorm) -> bool:
    """Whether a class's forward is batch normalization and nothing else."""
    ours = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)
    return type(module) in ours or type(module).forward in (_BatchNorm.forward, torch.nn.SyncBatchNorm.forward)
