"""Running statistics as torch.nn moves them: running = (1 - momentum) * running + momentum * batch, var unbiased."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import _core
from ._memory import CODES
from ._transforms import has_memory, is_compiling, unwrapped

increment_version = torch.autograd.graph.increment_version


def move(running_mean: Tensor, running_var: Tensor | None, saved: Tensor, count: Any, momentum: float) -> None:
    """Moves both by a batch of `count` values a channel. A batch of none moves nothing.

    `saved` has the batch's mean and biased var in its first rows. `count` is a number, or a tensor of one number.
    """
    assert running_var is not None
    if not is_compiling():
        saved = unwrapped(saved)
        if _has_kernel(running_mean, running_var, saved):
            _core.move_running_statistics(
                CODES[running_mean.dtype], saved.shape[1], running_mean.data_ptr(), running_var.data_ptr(),
                float(count), saved.data_ptr(), momentum,
            )  # fmt: skip
            increment_version((running_mean, running_var))
            return
    if not isinstance(count, Tensor) and count == 0:
        return
    with torch.no_grad():
        for running, batch in ((running_mean, saved[0]), (running_var, saved[1] * (count / (count - 1)))):
            moved = running + momentum * (batch - running)
            running.copy_(torch.where(count > 0, moved, running) if isinstance(count, Tensor) else moved)


def _has_kernel(running_mean: Tensor, running_var: Tensor, saved: Tensor) -> bool:
    return (
        has_memory(saved, running_mean, running_var)
        and running_mean.dtype is running_var.dtype
        and running_mean.dtype in CODES
        and running_mean.is_contiguous()
        and running_var.is_contiguous()
    )
