"""The normalizations written in torch's own operators, in float64.

They serve where no kernel has the derivative: forward mode, and second derivatives of the variants. torch
differentiates them to any order, under any transform.
"""

from __future__ import annotations

import torch
from torch import Tensor


def moments(x: Tensor, dims: list[int], weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over dims, which stay as axes of size 1; x in float64."""
    if weight is None:
        mean = x.mean(dims, keepdim=True)
        return mean, (x - mean).square().mean(dims, keepdim=True)
    total = weight.sum()
    mean = (weight * x).sum(dims, keepdim=True) / total
    return mean, (weight * (x - mean).square()).sum(dims, keepdim=True) / total


def per_channel(t: Tensor, x: Tensor) -> Tensor:
    """(C,) as float64 that broadcasts along axis 1 of x."""
    return t.double().reshape(-1, *[1] * (x.dim() - 2))


def affine(x_hat: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    """gamma * x_hat + beta, both broadcast as they are."""
    y = x_hat if gamma is None else x_hat * gamma
    return y if beta is None else y + beta


def channel_affine(x_hat: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    """The same with parameters of the shape (C,)."""
    return affine(
        x_hat,
        None if gamma is None else per_channel(gamma, x_hat),
        None if beta is None else per_channel(beta, x_hat),
    )


def other_axes(x: Tensor) -> list[int]:
    """All axes but the channels'."""
    return [0, *range(2, x.dim())]


def stacked(*rows: Tensor) -> Tensor:
    """Statistics as the kernels save them: a row each."""
    return torch.stack([row.reshape(-1) for row in rows]).detach()
