"""Batch normalizations that torch does not have: weighted, by ghost batches, by renormalization, in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .. import _core
from ._autograd import call, needs_graph
from ._batch_norm import batch_norm_act, check_running, frozen, parameters, refuse_one_value, takes
from ._memory import CODES, address, channels, laid_out_like, options, param_dtype, rows_of, statistics
from ._running import move
from ._transforms import is_compiling, is_eager
from ._variants import GHOST, RENORM, WEIGHTED

__all__ = ["batch_norm_ghost", "batch_norm_in_place", "batch_norm_renorm", "batch_norm_weighted"]


def _prepare(op: str, x: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any) -> Any:
    """gamma and beta of a call that torch has no function for."""
    if not takes(x):
        raise NotImplementedError(
            f"{op}: input is {x.dtype} on {x.device} of shape {tuple(x.shape)}, want a floating tensor on the CPU of "
            "the shape (N, C, ...)"
        )
    check_running(running_mean, running_var, x)
    return parameters(weight, bias, x)


def batch_norm_weighted(
    input: Tensor,
    position_weight: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    zero_unweighted: bool = True,
) -> Tensor:
    """batch_norm whose statistics weigh positions: a mask of padding, or any weights (docs/derivation.md B62 to B66).

    Args:
        position_weight: >= 0, of input's shape without the channels, axis 1; a mask may be bool. It has no gradient.
        zero_unweighted: y is 0 where the weight is 0; otherwise it is normalized there, too, without a gradient.
        input, running_mean, running_var, weight, bias, training, momentum, eps: as in batch_norm. The running var is
            unbiased for weights that count samples, 0 and 1 above all.

    Raises:
        NotImplementedError: a tensor that is not floating or not on the CPU.
        RuntimeError: as batch_norm. unitvar.Error, a ValueError: a weight < 0; a single weight > 0.

    >>> import torch, unitvar.torch
    >>> x, mask = torch.tensor([[1.0], [3.0], [99.0]]), torch.tensor([True, True, False])
    >>> unitvar.torch.batch_norm_weighted(x, mask, training=True, eps=0.0).ravel()
    tensor([-1.,  1.,  0.])
    """
    gamma, beta = _prepare("batch_norm_weighted", input, running_mean, running_var, weight, bias)
    if position_weight.shape != (input.shape[0], *input.shape[2:]):
        raise RuntimeError(
            f"batch_norm_weighted: position_weight has shape {tuple(position_weight.shape)}, want "
            f"{(input.shape[0], *input.shape[2:])}, input's without the channels"
        )
    weights = position_weight.detach().to(param_dtype(input))
    if not training:
        y = frozen(input, running_mean, running_var, gamma, beta, eps)
        return torch.where(weights.unsqueeze(1) > 0, y, 0) if zero_unweighted else y
    y, saved = call(WEIGHTED, (zero_unweighted, eps), input, gamma, beta, weights)
    if running_mean is not None:
        move(running_mean, running_var, saved, weights.sum(dtype=torch.float64), momentum)
    return y


def batch_norm_ghost(
    input: Tensor,
    ghost: int,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """batch_norm of consecutive parts of the batch by themselves (Hoffer, Hubara & Soudry 2017; B67).

    Args:
        ghost: samples of a part; the last one may be shorter. The running statistics move once for each part, in order.
        input, running_mean, running_var, weight, bias, training, momentum, eps: as in batch_norm.

    Raises: as batch_norm_weighted; unitvar.Error for one value a channel in a part.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.batch_norm_ghost(torch.tensor([[1.0], [3.0], [10.0], [30.0]]), 2, training=True, eps=0.0).ravel()
    tensor([-1.,  1., -1.,  1.])
    """
    gamma, beta = _prepare("batch_norm_ghost", input, running_mean, running_var, weight, bias)
    if ghost < 1:
        raise ValueError(f"batch_norm_ghost: ghost is {ghost}, want 1 or more")
    if not training:
        return frozen(input, running_mean, running_var, gamma, beta, eps)
    y, saved = call(GHOST, (ghost, eps), input, gamma, beta)
    if running_mean is not None:
        c, values = input.shape[1], input.shape[2:].numel()
        for part in range(saved.shape[1] // c):
            samples = min(ghost, input.shape[0] - part * ghost)
            of_part = saved[:, part * c : (part + 1) * c].contiguous()
            move(running_mean, running_var, of_part, samples * values, momentum)
    return y


def batch_norm_renorm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    r_max: float = 3.0,
    d_max: float = 5.0,
) -> Tensor:
    """Batch renormalization: ``y = weight * (x_hat * r + d) + bias`` (Ioffe 2017, algorithm 1; B68 to B70).

    Args:
        r_max, d_max: r is clipped to [1 / r_max, r_max], d to [-d_max, d_max]; both are constants for the derivatives.
            1 and 0 are batch_norm.
        input, running_mean, running_var, weight, bias, training, momentum, eps: as in batch_norm. r and d come from the
            running statistics as they were before.

    Raises: as batch_norm_weighted; ValueError for one value a channel.

    >>> import torch, unitvar.torch
    >>> x, inf = torch.tensor([[1.0], [3.0]]), float("inf")
    >>> running = torch.zeros(1), torch.ones(1)
    >>> unitvar.torch.batch_norm_renorm(x, *running, training=True, r_max=inf, d_max=inf, eps=0.0).ravel()
    tensor([1., 3.])
    """
    gamma, beta = _prepare("batch_norm_renorm", input, running_mean, running_var, weight, bias)
    if not training:
        return frozen(input, running_mean, running_var, gamma, beta, eps)
    if running_mean is None:
        raise RuntimeError("batch_norm_renorm: running_mean is None, want a tensor")
    count = refuse_one_value(input)
    # Copies: the backward and other levels of a transform must not see them move.
    running = running_mean.detach().to(torch.float64, copy=True), running_var.detach().to(torch.float64, copy=True)
    y, saved = call(RENORM, (r_max, d_max, eps), input, gamma, beta, *running)
    move(running_mean, running_var, saved, count, momentum)
    return y


class _InPlace(Function):
    """Keeps y, which is x's memory, and no x. So there is no second derivative."""

    @staticmethod
    def forward(ctx: Any, numbers: tuple[float, ...], kept: list[Tensor], x: Tensor, gamma: Any, beta: Any) -> Tensor:
        kept.append(_in_place(numbers, x, gamma, beta))
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, gamma, beta, kept[0])
        ctx.numbers = numbers
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        y, gamma, beta, saved = ctx.saved_tensors
        _, slope, lost = ctx.numbers
        y, extent = channels(y)
        dy = laid_out_like(dy, y)
        dx = torch.empty_like(y)
        dgamma, dbeta = (None if t is None else torch.empty_like(t) for t in (gamma, beta))
        _core.batch_norm_in_place_backward(
            CODES[y.dtype], *extent, y.data_ptr(), dy.data_ptr(), rows_of(saved)[2], address(gamma), address(beta),
            dx.data_ptr(), address(dgamma), address(dbeta), slope, lost, options(),
        )  # fmt: skip
        return None, None, dx, dgamma, dbeta


def _in_place(numbers: tuple[float, ...], x: Tensor, gamma: Any, beta: Any) -> Tensor:
    laid_out, extent = channels(x)
    if laid_out is not x:
        raise RuntimeError(f"batch_norm_in_place: input has strides {x.stride()}, want contiguous or channels last")
    eps, slope, lost = numbers
    saved = statistics(x, 3, extent[1])
    kernel: Any = _core.batch_norm_in_place_forward
    kernel(
        CODES[x.dtype], *extent, x.data_ptr(), address(gamma), address(beta), *rows_of(saved), eps, slope, lost,
        options(),
    )  # fmt: skip
    return saved


def batch_norm_in_place(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    negative_slope: float = 0.01,
    max_lost_digits: float = 1.0,
) -> Tensor:
    """batch_norm and leaky ReLU over their own input (Rota Bulo et al. 2018; docs/derivation.md B58 to B61).

    The backward takes y in place of input, so one of two tensors is kept.

    Args:
        input: contiguous or channels last; training overwrites it, and returns it. Not a leaf that requires a gradient.
        negative_slope: > 0; 1 is no activation.
        max_lost_digits: decimal digits of x_hat that the backward may lose where bias is large beside weight.
        running_mean, running_var, weight, bias, training, momentum, eps: as in batch_norm.

    Evaluation, torch.compile, transforms of torch.func and forward mode give the same values in new memory. There is no
    second derivative: it raises RuntimeError.

    Raises: as batch_norm_weighted; unitvar.Error where a channel would lose more than max_lost_digits.

    >>> import torch, unitvar.torch
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> unitvar.torch.batch_norm_in_place(x, training=True, eps=0.0, negative_slope=0.5) is x, x.ravel()
    (True, tensor([-0.5000,  1.0000]))
    """
    gamma, beta = _prepare("batch_norm_in_place", input, running_mean, running_var, weight, bias)
    if not training or is_compiling() or not is_eager(input):
        return batch_norm_act(
            input, running_mean, running_var, gamma, beta, None, training, momentum, eps, "leaky_relu", negative_slope
        )
    count = refuse_one_value(input)
    numbers = (eps, negative_slope, max_lost_digits)
    if needs_graph(input, gamma, beta):
        kept: list[Tensor] = []
        y = _InPlace.apply(numbers, kept, input, gamma, beta)
        saved = kept[0]
    else:
        saved = _in_place(numbers, input, gamma, beta)
        torch.autograd.graph.increment_version(input)
        y = input
    if running_mean is not None:
        move(running_mean, running_var, saved, count, momentum)
    return y
