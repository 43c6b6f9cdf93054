"""Batch normalization over all ranks of a process group, on the CPU."""

from __future__ import annotations

import warnings
from math import prod
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from .. import _core
from .._arrays import collective
from ._communicator import Communicator, communicator_of

__all__ = ["SyncBatchNorm"]

_CODES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}  # as unitvar._arrays.DTYPES


def _parameter_dtype(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _dense(x: Tensor) -> Tensor:
    """x, if it covers its memory without gaps, channels first or last; otherwise a copy in C order."""
    last = x.ndim > 2 and x.is_contiguous(memory_format=_channels_last(x))
    return x if last else x.contiguous()


def _channels_last(x: Tensor) -> torch.memory_format:
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.ndim, torch.contiguous_format)


def _head(x: Tensor) -> tuple[int, int, int, int]:
    """What the compiled module takes first: dtype, outer, channels, inner."""
    n, c = x.shape[:2]
    s = prod(x.shape[2:])
    return (_CODES[x.dtype], n, c, s) if x.is_contiguous() else (_CODES[x.dtype], n * s, c, 1)


def _like(t: Tensor, x: Tensor) -> Tensor:
    """t as it lies in x's memory format."""
    return t if t.stride() == x.stride() and t.dtype == x.dtype else torch.empty_like(x).copy_(t)


def _vector(t: Tensor | None, x: Tensor) -> Tensor | None:
    """gamma or the like as the kernels take it."""
    return None if t is None else t.detach().to(_parameter_dtype(x)).contiguous()


def _at(t: Tensor | None) -> int:
    return 0 if t is None else t.data_ptr()


def _options(ranks: Communicator) -> _core.Options:
    return _core.Options(threads=torch.get_num_threads(), communicator=ranks)


def _check(x: Tensor, channels: int) -> None:
    if x.dtype not in _CODES:
        raise TypeError(f"SyncBatchNorm: x has dtype {x.dtype}, want float32, float64, bfloat16 or float16")
    if x.ndim < 2:
        raise ValueError(f"SyncBatchNorm: expected at least 2D input (got {x.ndim}D input)")
    if x.shape[1] != channels:
        raise ValueError(f"SyncBatchNorm: x has {x.shape[1]} channels, want num_features = {channels}")
    if 0 in x.shape[1:]:
        raise ValueError(f"SyncBatchNorm: x has shape {tuple(x.shape)}, want no empty axis but the batch's")


@collective
def _forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, channels: int, eps: float, *, options: _core.Options
) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """The dense x's y, mean, var, rstd and count, over all ranks."""
    _check(x, channels)
    own_gamma, own_beta = _vector(gamma, x), _vector(beta, x)
    y, statistics = torch.empty_like(x), torch.empty((3, channels), dtype=torch.float64)
    mean, var, rstd = statistics.unbind()
    count = _core.batch_norm_forward(
        *_head(x), x.data_ptr(), _at(own_gamma), _at(own_beta), y.data_ptr(), mean.data_ptr(), var.data_ptr(),
        rstd.data_ptr(), eps, options,
    )  # fmt: skip
    return y, mean, var, rstd, count


@collective
def _backward(
    x: Tensor, dy: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor | None, need_params: bool,
    *, options: _core.Options,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """dx, from the sums of all ranks, and dgamma and dbeta of this rank's samples."""
    own_dy, own_gamma, dx = _like(dy, x), _vector(gamma, x), torch.empty_like(x)
    dgamma = torch.empty(x.shape[1], dtype=_parameter_dtype(x)) if need_params else None
    dbeta = None if dgamma is None else torch.empty_like(dgamma)
    _core.batch_norm_backward(
        *_head(x), x.data_ptr(), own_dy.data_ptr(), mean.data_ptr(), rstd.data_ptr(), _at(own_gamma), dx.data_ptr(),
        _at(dgamma), _at(dbeta), options,
    )  # fmt: skip
    return dx, dgamma, dbeta


@collective
def _double_backward(
    x: Tensor, dy: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor | None, v: Tensor, *, options: _core.Options
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of sum(v * dx) over all ranks for x, dy and gamma; that for gamma is of all ranks."""
    own_dy, own_v, own_gamma = _like(dy, x), _like(v, x), _vector(gamma, x)
    grad_x, grad_dy = torch.empty_like(x), torch.empty_like(x)
    grad_gamma = torch.empty(x.shape[1], dtype=_parameter_dtype(x))
    _core.batch_norm_double_backward(
        *_head(x), x.data_ptr(), own_dy.data_ptr(), mean.data_ptr(), rstd.data_ptr(), _at(own_gamma), own_v.data_ptr(),
        0, 0, grad_x.data_ptr(), grad_dy.data_ptr(), grad_gamma.data_ptr(), options,
    )  # fmt: skip
    return grad_x, grad_dy, grad_gamma


def _per_channel(t: Tensor, x: Tensor) -> Tensor:
    return t.to(x.dtype).view(-1, *(1,) * (x.ndim - 2))


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gamma: Tensor | None, beta: Tensor | None, channels: int, eps: float, ranks: Communicator
    ) -> Any:
        y, mean, var, rstd, count = _forward(x, gamma, beta, channels, eps, options=_options(ranks))
        ctx.save_for_backward(x, gamma, beta, mean, rstd)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> Any:
        x, gamma, beta, mean, rstd = ctx.saved_tensors
        dx, dgamma, dbeta = _Backward.apply(
            x, dy, gamma, mean, rstd, any(ctx.needs_input_grad[1:3]), ctx.ranks
        )  # type: ignore[no-untyped-call]
        return (
            dx if ctx.needs_input_grad[0] else None,
            dgamma.to(gamma.dtype) if ctx.needs_input_grad[1] else None,
            dbeta.to(beta.dtype) if ctx.needs_input_grad[2] else None,
            None,
            None,
            None,
        )


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dy: Tensor, gamma: Tensor | None, mean: Tensor, rstd: Tensor, need_params: bool,
        ranks: Communicator,
    ) -> Any:  # fmt: skip
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, dy, gamma, mean, rstd)
        ctx.ranks = ranks
        return _backward(x, dy, mean, rstd, gamma, need_params, options=_options(ranks))

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, v: Tensor | None, u: Tensor | None, w: Tensor | None) -> Any:
        x, dy, gamma, mean, rstd = ctx.saved_tensors
        options = _options(ctx.ranks)
        grad_x, grad_dy, grad_gamma = torch.zeros_like(x), torch.zeros_like(x), None
        if v is not None:
            grad_x, grad_dy, grad_gamma = _double_backward(x, dy, mean, rstd, gamma, v, options=options)
            grad_gamma /= ctx.ranks.size  # that of all ranks: each has its share, so that the shares add up
        if u is not None:  # dgamma = sum(dy * x_hat) of this rank, whose u may differ from the others'
            scale = _per_channel(u, x)
            grad_x = grad_x + _backward(x, scale * dy, mean, rstd, None, False, options=options)[0]
            x_hat = (x.double() - _per_channel(mean, mean.new_empty(x.shape))) * _per_channel(
                rstd, rstd.new_empty(x.shape)
            )
            grad_dy = grad_dy + scale * x_hat.to(x.dtype)
        if w is not None:
            grad_dy = grad_dy + _per_channel(w, x)
        if grad_gamma is not None and gamma is not None:
            grad_gamma = grad_gamma.to(gamma.dtype)
        return grad_x, grad_dy, None if gamma is None else grad_gamma, None, None, None, None


class SyncBatchNorm(_BatchNorm):
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
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def _ranks(self) -> Communicator | None:
        """Those to exchange frames with; None where there are no others."""
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return None
        return communicator_of(self.process_group) if dist.get_world_size(self.process_group) > 1 else None

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return torch.nn.SyncBatchNorm.forward(self, input)  # type: ignore[arg-type]
        ranks = self._ranks()
        if ranks is None:
            return super().forward(input)
        y, mean, var, count = _Forward.apply(
            _dense(input), self.weight, self.bias, self.num_features, self.eps, ranks
        )  # type: ignore[no-untyped-call]
        if self.track_running_stats:
            self._move_running(mean, var, count)
        return y  # type: ignore[no-any-return]

    def _move_running(self, mean: Tensor, var: Tensor, count: float) -> None:
        """Running statistics by those of a batch, in double; var is biased, the running one unbiased."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if count == 0 or self.running_mean is None or self.running_var is None:
            return
        weight = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum  # type: ignore[arg-type]
        for running, new in ((self.running_mean, mean), (self.running_var, var * (count / (count - 1)))):
            running.copy_((1 - weight) * running.double() + weight * new)

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
                warnings.warn(f"convert_sync_batchnorm leaves {type(module).__name__}, which has its own forward")
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
    plain = {_BatchNorm.forward, torch.nn.SyncBatchNorm.forward, SyncBatchNorm.forward}
    from_here = type(module).__module__.startswith(__package__) and type(module).__name__.startswith("BatchNorm")
    return type(module).forward in plain or (from_here and type(module).__name__[-2:] in ("1d", "2d", "3d"))
