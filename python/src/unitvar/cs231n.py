"""The normalization layers of Stanford's CS231n, assignment 2, under its own names and signatures.

Put ``from unitvar.cs231n import *`` at the end of the assignment's layers.py, and its notebooks and networks run on
this library. ``batchnorm_backward`` alone is plain NumPy: the staged graph, to read and to compare with.

**Cache.** It holds references to x and gamma, and copies of the statistics. A forward writes into none of its arrays,
and a backward neither, so one cache serves any number of backwards. The gamma that counts is the gamma of the time of
the backward, as in the usual solutions, which keep ``gamma`` itself. A numeric gradient check that perturbs gamma or
beta in place and restores them leaves no trace. x must stay as it was: the usual solutions keep x_hat, this one
computes it again, so it needs no second array of the size of x.

**Types.** float32, float64, float16 and bfloat16 (ml_dtypes). Sums and statistics are in double for each of them.
out and dx are like x; dgamma and dbeta are float64 for float64 x, else float32.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NamedTuple

import numpy as np

from ._arrays import Array, as_array, as_tensor, param_dtype
from ._batch_norm import batch_norm, batch_norm_backward, batch_norm_inference
from ._relatives import group_norm, group_norm_backward, layer_norm, layer_norm_backward
from .layer import moved_running

__all__ = [
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "layernorm_backward",
    "layernorm_forward",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
]

Parameters = MutableMapping[str, Any]
#: dx, dgamma, dbeta
ThreeGradients = tuple[np.ndarray, np.ndarray, np.ndarray]


class BatchCache(NamedTuple):
    """What a batch normalization in train mode leaves for its backward."""

    x: np.ndarray
    gamma: np.ndarray
    #: batch mean, biased variance and 1 / sqrt(var + eps), (C,) float64
    mean: np.ndarray
    var: np.ndarray
    rstd: np.ndarray
    eps: float


class LayerCache(NamedTuple):
    """What a layer normalization leaves for its backward."""

    x: np.ndarray
    gamma: np.ndarray
    #: mean and 1 / sqrt(var + eps) of each example, (N,) float64
    mean: np.ndarray
    rstd: np.ndarray


class GroupCache(NamedTuple):
    """What a group normalization leaves for its backward."""

    x: np.ndarray
    gamma: np.ndarray
    beta_shape: tuple[int, ...]
    groups: int
    #: mean and 1 / sqrt(var + eps) of each group, (N, G) float64
    mean: np.ndarray
    rstd: np.ndarray


#: None after test mode
Cache = BatchCache | None


def batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: Parameters) -> tuple[np.ndarray, Cache]:
    """Batch normalization of x, (N, D), and the update of the running statistics (docs/derivation.md B1 to B7).

    ``running = momentum * running + (1 - momentum) * batch``: the momentum is the weight of the old value. The variance
    is the biased one, both to normalize with and to keep.

    Args:
        x: (N, D); N >= 2 in train mode.
        gamma, beta: scale and shift, (D,).
        bn_param: 'mode', 'train' or 'test', is required. 'eps' is 1e-5 and 'momentum' 0.9 unless given. Both modes set
            'running_mean' and 'running_var': zeros of x's dtype if there were none. Train mode sets new arrays.

    Returns:
        out like x, and the cache for a backward; in test mode the cache is None.

    Raises:
        KeyError: bn_param has no 'mode'.
        ValueError: the mode is another one; a shape does not fit; N is 1 in train mode. bn_param is then unchanged.

    >>> import numpy as np
    >>> bn_param = {"mode": "train", "eps": 0.0}
    >>> out, cache = batchnorm_forward(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), bn_param)
    >>> out.ravel(), bn_param["running_mean"], bn_param["running_var"]
    (array([-1.,  1.]), array([0.2]), array([0.1]))
    """
    return _batchnorm_forward("batchnorm_forward", x, 2, gamma, beta, bn_param)


def batchnorm_backward(dout: Array, cache: Cache) -> ThreeGradients:
    """dx, dgamma and dbeta by the staged graph, in NumPy and in double (docs/derivation.md B33).

    Each line is one node, with its number in the forward's list (B32). The forward kept the statistics only, so steps 2
    and 7 are done again. batchnorm_backward_alt gives the same numbers, faster.

    Args:
        dout: the gradient of out, (N, D); converted to x's dtype.
        cache: what batchnorm_forward gave in train mode.
    """
    dy, cache = _upstream("batchnorm_backward", dout, cache, BatchCache, 2)
    n = len(cache.x)
    gamma, rstd = cache.gamma.astype(np.float64), cache.rstd
    xmu = cache.x.astype(np.float64) - cache.mean  # forward, 2
    sqrtvar = np.sqrt(cache.var + cache.eps)  # forward, 5
    x_hat = xmu * rstd  # forward, 7

    dgammax = dy.astype(np.float64)  # 9
    dbeta = np.sum(dgammax, axis=0)  # 9
    dgamma = np.sum(dgammax * x_hat, axis=0)  # 8
    dx_hat = dgammax * gamma  # 8
    drstd = np.sum(dx_hat * xmu, axis=0)  # 7
    dxmu1 = dx_hat * rstd  # 7
    dsqrtvar = -drstd / sqrtvar**2  # 6
    dvar = dsqrtvar / (2 * sqrtvar)  # 5
    dsq = np.ones_like(xmu) * dvar / n  # 4
    dxmu2 = 2 * xmu * dsq  # 3
    dx1 = dxmu1 + dxmu2  # 2
    dmean = -np.sum(dxmu1 + dxmu2, axis=0)  # 2
    dx2 = np.ones_like(xmu) * dmean / n  # 1
    dx = dx1 + dx2
    params = param_dtype(cache.x.dtype)
    return dx.astype(cache.x.dtype), dgamma.astype(params), dbeta.astype(params)


def batchnorm_backward_alt(dout: Array, cache: Cache) -> ThreeGradients:
    """What batchnorm_backward gives, by the library's closed form (docs/derivation.md B31)."""
    return _batchnorm_backward("batchnorm_backward_alt", dout, cache, 2)


def layernorm_forward(x: Array, gamma: Array, beta: Array, ln_param: Parameters) -> tuple[np.ndarray, LayerCache]:
    """Layer normalization of x, (N, D): each example by its own mean and biased variance. There are no modes.

    Args:
        x: (N, D).
        gamma, beta: scale and shift, (D,).
        ln_param: 'eps' is 1e-5 unless given; other keys are left alone.

    >>> import numpy as np
    >>> layernorm_forward(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), {"eps": 0.0})[0]
    array([[-1.,  1.]])
    """
    x = _input("layernorm_forward", x, 2)
    out, mean, rstd = layer_norm(x, gamma, beta, axis=-1, eps=ln_param.get("eps", 1e-5))
    return out, LayerCache(x, as_array("layernorm_forward", "gamma", gamma), mean, rstd)


def layernorm_backward(dout: Array, cache: LayerCache) -> ThreeGradients:
    """dx, dgamma and dbeta of layernorm_forward, from the gradient of its out and its cache."""
    dy, cache = _upstream("layernorm_backward", dout, cache, LayerCache, 2)
    return _three(layer_norm_backward(cache.x, dy, cache.mean, cache.rstd, cache.gamma, axis=-1))


def spatial_batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: Parameters) -> tuple[np.ndarray, Cache]:
    """Batch normalization of x, (N, C, H, W): each channel over the batch and the pixels. All else is as in
    batchnorm_forward, with gamma, beta and the running statistics (C,)."""
    return _batchnorm_forward("spatial_batchnorm_forward", x, 4, gamma, beta, bn_param)


def spatial_batchnorm_backward(dout: Array, cache: Cache) -> ThreeGradients:
    """dx, dgamma and dbeta of spatial_batchnorm_forward, by the closed form (docs/derivation.md B31)."""
    return _batchnorm_backward("spatial_batchnorm_backward", dout, cache, 4)


def spatial_groupnorm_forward(
    x: Array, gamma: Array, beta: Array, G: int, gn_param: Parameters
) -> tuple[np.ndarray, GroupCache]:
    """Group normalization of x, (N, C, H, W): each of an example's G groups of neighbouring channels by itself.

    Args:
        x: (N, C, H, W).
        gamma, beta: scale and shift, (1, C, 1, 1) or (C,); the backward gives the gradient in the same shape.
        G: how many groups; must divide C.
        gn_param: 'eps' is 1e-5 unless given; other keys are left alone.
    """
    op = "spatial_groupnorm_forward"
    x = _input(op, x, 4)
    gamma, beta = as_array(op, "gamma", gamma), as_array(op, "beta", beta)
    scale, shift = _per_channel(op, "gamma", gamma, x), _per_channel(op, "beta", beta, x)
    out, mean, rstd = group_norm(x, G, scale, shift, eps=gn_param.get("eps", 1e-5))
    return out, GroupCache(x, gamma, beta.shape, G, mean, rstd)


def spatial_groupnorm_backward(dout: Array, cache: GroupCache) -> ThreeGradients:
    """dx, dgamma and dbeta of spatial_groupnorm_forward; dgamma and dbeta have the shapes of gamma and beta."""
    op = "spatial_groupnorm_backward"
    dy, cache = _upstream(op, dout, cache, GroupCache, 4)
    scale = _per_channel(op, "gamma", cache.gamma, cache.x)
    dx, dgamma, dbeta = _three(group_norm_backward(cache.x, dy, cache.mean, cache.rstd, cache.groups, scale))
    return dx, dgamma.reshape(cache.gamma.shape), dbeta.reshape(cache.beta_shape)


def _batchnorm_forward(
    op: str, x: Array, ndim: int, gamma: Array, beta: Array, bn_param: Parameters
) -> tuple[np.ndarray, Cache]:
    mode = _mode(op, bn_param)
    x = _input(op, x, ndim)
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean, running_var = (_running(op, name, bn_param, x) for name in ("running_mean", "running_var"))
    cache = None
    if mode == "test":
        out = batch_norm_inference(x, running_mean, running_var, gamma, beta, eps=eps)
    else:
        out, mean, var, rstd = batch_norm(x, gamma, beta, eps=eps)
        cache = BatchCache(x, as_array(op, "gamma", gamma), mean, var, rstd, eps)
        running_mean = moved_running(running_mean, mean, momentum)
        running_var = moved_running(running_var, var, momentum)
    bn_param.update(running_mean=running_mean, running_var=running_var)
    return out, cache


def _batchnorm_backward(op: str, dout: Array, cache: Cache, ndim: int) -> ThreeGradients:
    dy, cache = _upstream(op, dout, cache, BatchCache, ndim)
    return _three(batch_norm_backward(cache.x, dy, cache.mean, cache.rstd, cache.gamma))


def _mode(op: str, bn_param: Parameters) -> str:
    if "mode" not in bn_param:
        raise KeyError(f"{op}: bn_param has no 'mode', want 'train' or 'test'")
    mode = bn_param["mode"]
    if mode not in ("train", "test"):
        raise ValueError(f"{op}: bn_param['mode'] is {mode!r}, want 'train' or 'test'")
    return str(mode)


def _input(op: str, x: Array, ndim: int) -> np.ndarray:
    array = as_tensor(op, "x", x)
    if array.ndim != ndim:
        raise ValueError(f"{op}: x has shape {array.shape}, want {'(N, D)' if ndim == 2 else '(N, C, H, W)'}")
    return array


def _running(op: str, name: str, bn_param: Parameters, x: np.ndarray) -> np.ndarray:
    """A running statistic as it stands, zeros of x's dtype if there is none yet."""
    shape = (x.shape[1],)
    if name not in bn_param:
        return np.zeros(shape, x.dtype)
    array = as_array(op, name, bn_param[name])
    if array.shape != shape:
        raise ValueError(f"{op}: bn_param['{name}'] has shape {array.shape}, want {shape}")
    widened: np.ndarray = array.astype(np.result_type(array, x), copy=False)
    return widened


def _per_channel(op: str, name: str, array: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gamma or beta as (C,), on the same memory."""
    c = x.shape[1]
    if array.shape not in ((c,), (1, c, 1, 1)):
        raise ValueError(f"{op}: {name} has shape {array.shape}, want {(1, c, 1, 1)} or {(c,)}")
    flat: np.ndarray = array.reshape(c)
    return flat


def _upstream(op: str, dout: Array, cache: Any, kind: Any, ndim: int) -> tuple[np.ndarray, Any]:
    """dout in x's dtype, and the cache, if they belong to each other and to the operation."""
    if cache is None:
        raise ValueError(f"{op}: cache is None, want that of a forward in train mode: test mode keeps nothing")
    if not isinstance(cache, kind) or cache.x.ndim != ndim:
        raise ValueError(f"{op}: cache is another operation's, want what the forward of the same name gave")
    x = cache.x
    array = as_array(op, "dout", dout)
    if array.shape != x.shape:
        raise ValueError(f"{op}: dout has shape {array.shape}, want that of x, {x.shape}")
    return array.astype(x.dtype, copy=False), cache


def _three(gradients: Any) -> ThreeGradients:
    return gradients.dx, gradients.dgamma, gradients.dbeta
