"""group_norm and instance_norm: groups of channels of one sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import call
from ._batch_norm import check_running, frozen, parameters, takes
from ._families import GROUP
from ._running import move

__all__ = ["group_norm", "instance_norm"]


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalizes each group of channels of each sample, in place of torch.nn.functional.group_norm.

    Mean and biased var are those of the group (Wu & He 2018; docs/derivation.md B76, B77).

    Args:
        input: (N, C, ...), as in batch_norm.
        num_groups: a divisor of C.
        weight, bias: (C,), in input's dtype or float32.

    Raises:
        ValueError: one value a group, as torch does.
        RuntimeError: as batch_norm; C that num_groups does not divide.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.group_norm(torch.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    whole = takes(input) and input.numel() > 0 and num_groups > 0 and input.shape[1] % num_groups == 0
    if not whole or input.numel() == input.shape[0] * num_groups:
        return F.group_norm(input, num_groups, weight, bias, eps)
    return call(GROUP, (num_groups, eps), input, *parameters(weight, bias, input))[0]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalizes each channel of each sample, in place of torch.nn.functional.instance_norm.

    Args:
        running_mean, running_var: (C,). They move by the averages over the samples of mean and unbiased var:
            ``running = (1 - momentum) * running + momentum * average``. They normalize where use_input_stats is False.
        input, weight, bias, eps: as in batch_norm.

    Raises:
        ValueError: one spatial element a channel, as torch does.
        RuntimeError: as batch_norm.

    >>> import torch, unitvar.torch
    >>> unitvar.torch.instance_norm(torch.tensor([[[1.0, 3.0]], [[10.0, 30.0]]]), eps=0.0)
    tensor([[[-1.,  1.]],
    <BLANKLINE>
            [[-1.,  1.]]])
    """
    values = input.numel() // (input.shape[0] * input.shape[1]) if takes(input) and input.numel() else 0
    if values == 0 or (use_input_stats and values == 1) or (running_mean is None and not use_input_stats):
        return F.instance_norm(
            input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
        )  # fmt: skip
    check_running(running_mean, running_var, input)
    gamma, beta = parameters(weight, bias, input)
    if not use_input_stats:
        return frozen(input, running_mean, running_var, gamma, beta, eps)
    y, saved = call(GROUP, (input.shape[1], eps), input, gamma, beta)
    if running_mean is not None:
        mean, rstd = saved.reshape(2, input.shape[0], input.shape[1])
        biased = rstd.pow(-2) - eps
        move(running_mean, running_var, torch.stack([mean.mean(0), biased.mean(0)]), values, momentum)
    return y
