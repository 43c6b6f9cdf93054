"""batch_norm, and batch_norm_act: with an activation and a residual behind it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import _core
from ._act import ACT, FROZEN_ACT, activated, activation_of
from ._autograd import EagerBatchNorm, call
from ._families import BATCH, FROZEN
from ._memory import CODES, EXCHANGE, lies_channels_last, vector
from ._running import increment_version, move
from ._transforms import is_compiling, is_eager

__all__ = ["batch_norm", "batch_norm_act"]


def takes(x: Tensor) -> bool:
    """Whether x is for the kernels. All else is torch's, its error messages included."""
    return x.is_cpu and x.dtype in CODES and x.dim() > 1 and (x.numel() > 0 or 0 not in x.shape[1:])


def refuse_one_value(x: Tensor) -> int:
    """Values a channel. ValueError, as torch's, where it is one."""
    count = x.numel() // x.shape[1]
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
    return count


def check_running(running_mean: Tensor | None, running_var: Tensor | None, x: Tensor) -> None:
    """RuntimeError unless both have the channels' shape, or both are absent."""
    if running_mean is None and running_var is None:
        return
    if (running_mean is None) is not (running_var is None):
        raise RuntimeError("unitvar: one of running_mean and running_var is None, want both or none")
    for name, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is not None and (t.dim() != 1 or t.shape[0] != x.shape[1] or not t.is_cpu):
            raise RuntimeError(f"{name} should contain {x.shape[1]} elements on the CPU, not {tuple(t.shape)}")


def parameters(weight: Tensor | None, bias: Tensor | None, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """gamma and beta of x's channels, in the kernels' dtype."""
    shape = x.shape[1:2]
    return vector("weight", weight, x, shape), vector("bias", bias, x, shape)


def given_statistics(running_mean: Tensor | None, running_var: Tensor | None) -> tuple[Tensor, Tensor]:
    """Running statistics as constants in float64."""
    if running_mean is None or running_var is None:
        raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
    return running_mean.detach().double(), running_var.detach().double()


def frozen(x: Tensor, running_mean: Any, running_var: Any, gamma: Any, beta: Any, eps: float) -> Tensor:
    """Batch normalization by given statistics."""
    return call(FROZEN, (eps,), x, gamma, beta, *given_statistics(running_mean, running_var))[0]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization of each channel, in place of torch.nn.functional.batch_norm.

    ``y = weight * (x - mean) / sqrt(var + eps) + bias`` with the batch's mean and biased var in training, else by the
    running ones (Ioffe & Szegedy 2015; docs/derivation.md B1 to B4).

    Args:
        input: (N, C, ...), float32, float64, bfloat16 or float16 on the CPU, contiguous or channels last; any other
            strides are copied once. Other devices and dtypes go to torch's own function.
        running_mean, running_var: (C,). Training moves them: ``running = (1 - momentum) * running + momentum * batch``
            with the unbiased var. An empty batch moves nothing.
        weight, bias: (C,), in input's dtype or float32. Their gradients have their dtype.

    Returns:
        y, new, in input's dtype and memory format. Accuracy: docs/numerics.md; mean and rstd are saved in float64.

    Raises:
        ValueError: one value per channel in training, as torch does.
        RuntimeError: a shape, a dtype or a device that does not fit, before anything is written.

    Gradients to the second order in reverse mode, to any order in forward mode. The bits do not depend on
    torch.set_num_threads, which governs the threads.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.batch_norm(torch.tensor([[1.0], [3.0]]), training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    if training:
        y = train_as_is(input, running_mean, running_var, weight, bias, None, momentum, eps)
        if y is not None:
            return y
    if not takes(input):
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    check_running(running_mean, running_var, input)
    gamma, beta = parameters(weight, bias, input)
    if not training:
        return frozen(input, running_mean, running_var, gamma, beta, eps)
    count = refuse_one_value(input)
    y, saved = call(BATCH, (eps,), input, gamma, beta)
    if running_mean is not None:
        move(running_mean, running_var, saved, count, momentum)
    return y


def train_as_is(
    x: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, batches: Any, momentum: float, eps: float
) -> Any:
    """The usual training forward, with as few calls as it can have. None where it is another case.

    `batches`, an int64 tensor or None, counts the batch.
    """
    if is_compiling() or not is_eager(x):
        return None
    if not _core.tensors_fit(EXCHANGE, x, weight, bias, running_mean, running_var, batches):
        return None
    numbers = (eps, running_mean, running_var, batches, momentum)
    if torch.is_grad_enabled():
        y = EagerBatchNorm.apply(numbers, x, weight, bias)
    else:
        y = BATCH.forward(numbers, x, weight, bias)[0]
    if batches is not None:
        increment_version((running_mean, running_var, batches))
    elif running_mean is not None:
        increment_version((running_mean, running_var))
    return y


def batch_norm_act(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str = "relu",
    negative_slope: float = 0.01,
    low: float = 0.0,
    high: float = 6.0,
) -> Tensor:
    """``act(batch_norm(x) + residual)`` in the passes over memory of batch_norm (docs/derivation.md B46, B88 to B91).

    Args:
        residual: like input in shape and dtype; copied if it lies otherwise. None adds nothing.
        activation: "identity", "relu", "leaky_relu", "relu6", "clip" (torch's hardtanh), "hard_swish" or "silu".
        negative_slope: of "leaky_relu".
        low, high: of "clip", low < high.
        input, running_mean, running_var, weight, bias, training, momentum, eps: as in batch_norm.

    Beyond input and residual, training keeps one bit an element for the backward of a ReLU or a clip, and nothing of
    the tensor's size for the others. On other devices batch_norm and torch's activation run one after the other.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.batch_norm_act(torch.tensor([[1.0], [3.0]]), training=True, eps=0.0)
    tensor([[0.],
            [1.]])
    """
    act = activation_of(activation, negative_slope, low, high)
    if residual is not None and (residual.shape != input.shape or residual.dtype is not input.dtype):
        raise RuntimeError(
            f"unitvar: residual is {residual.dtype} of shape {tuple(residual.shape)}, want input's, {input.dtype} and "
            f"{tuple(input.shape)}"
        )
    if not takes(input):
        v = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        return activated(v if residual is None else v + residual, act)
    check_running(running_mean, running_var, input)
    gamma, beta = parameters(weight, bias, input)
    if not training:
        given = given_statistics(running_mean, running_var)
        return call(FROZEN_ACT, (*act, eps), input, gamma, beta, residual, *given)[0]
    count = refuse_one_value(input)
    y, saved, *_ = call(ACT, (lies_channels_last(input), *act, eps), input, gamma, beta, residual)
    if running_mean is not None:
        move(running_mean, running_var, saved, count, momentum)
    return y
