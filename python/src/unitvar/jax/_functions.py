"""The normalizations as functions of JAX arrays."""

from __future__ import annotations

import math
import operator
import os
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from . import _rules
from ._primitives import Spec, absent, forward, param_dtype

Array = Any
"""A jax.Array, or what jax.numpy.asarray takes."""

DTYPES = ("float32", "float64", "bfloat16", "float16")
_rules.register()


class BatchNormResult(NamedTuple):
    """What batch_norm gives; mean and var are (C,), float32, or float64 for float64 x."""

    y: Array
    #: batch mean
    mean: Array
    #: biased batch variance
    var: Array


def _tensor(op: str, x: Any) -> Any:
    x = jnp.asarray(x)
    if x.dtype.name not in DTYPES:
        raise TypeError(f"{op}: x has dtype {x.dtype.name}, want one of {', '.join(DTYPES)}")
    return x


def _parameter(op: str, name: str, value: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """A parameter or statistic, flat and in the type that goes with x; what is None is absent."""
    if value is None:
        return jnp.zeros((0,), param_dtype(x))
    value = jnp.asarray(value)
    if value.shape != shape:
        raise ValueError(f"{op}: {name} has shape {value.shape}, want {shape}")
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"{op}: {name} has dtype {value.dtype.name}, want a floating point type")
    return value.astype(param_dtype(x)).reshape(-1)


def _axis(op: str, x: Any, axis: Any) -> int:
    try:
        index: int = operator.index(axis)
    except TypeError:
        raise TypeError(f"{op}: axis is {axis!r}, want an integer") from None
    if not -x.ndim <= index < x.ndim:
        raise ValueError(f"{op}: axis is {index}, want one of the {x.ndim} axes of x")
    return index % int(x.ndim)


def _spec(op: str, family: str, eps: Any, threads: Any, **rest: int) -> Spec:
    if not math.isfinite(eps):
        raise ValueError(f"{op}: eps is {eps}, want a finite number")
    if operator.index(threads) < 0:
        raise ValueError(f"{op}: threads is {threads}, want 0 or more")
    return Spec(family, float(eps), operator.index(threads) or default_threads(), **rest)


def default_threads() -> int:
    """How many OpenMP threads a call uses at most by default: OMP_NUM_THREADS, or the processors of this process.

    It is asked for when a function is traced. XLA may run independent calls at the same time, on threads of its own,
    and each has its own team. Results have the same bits for every number.

    >>> import unitvar.jax
    >>> unitvar.jax.default_threads() >= 1
    True
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) > 0 else len(os.sched_getaffinity(0))


def _channels(op: str, x: Any, axis: Any) -> tuple[int, Any]:
    """The channel axis, and x as (outer, channels, inner), which is the same memory."""
    index = _axis(op, x, axis)
    channels = x.shape[index]
    if channels == 0:
        raise ValueError(f"{op}: x has shape {x.shape}, want channels on axis {index}")
    if x.size == 0:
        return channels, x.reshape(0, channels, 1)
    return channels, x.reshape(math.prod(x.shape[:index]), channels, -1)


def batch_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    threads: int = 0,
) -> BatchNormResult:
    """Training forward: normalizes each channel by its own batch mean and biased variance.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta``

    (Ioffe & Szegedy 2015, algorithm 1; docs/derivation.md B1 to B5). y, mean and var are differentiable, by the
    library's own backward, double backward and forward mode (B14, B15, B27, B50 to B56).

    Args:
        x: float32, float64, bfloat16 or float16, of any shape with a channel axis. No layout is transposed.
        gamma, beta: scale and shift, (C,); None is 1 and 0. Converted to float32, for float64 x to float64.
        axis: the channel axis: -1 for NHWC, as in flax; 1 for NCHW.
        eps: a number, no tracer; var + eps must be > 0.
        threads: OpenMP threads; 0 is default_threads(). The same bits for every number.

    Returns:
        y like x, mean and the biased var.

    Raises:
        ValueError, TypeError: when traced: a shape does not fit; a channel has one value only; a dtype is not one of
            the four.
        jax.errors.JaxRuntimeError: when run: var + eps <= 0.
        NotImplementedError: a derivative that is not there (unitvar.jax).

    Accuracy: relative L2 error against float64 <= 3e-7 (float32) while ``|mean| / std <= 1e6``, gradients too. The
    backward has the mean in double. The returned one is rounded to float32.

    >>> import jax, jax.numpy as jnp, unitvar.jax
    >>> x = jnp.array([[1.0, 10.0], [3.0, 30.0]])
    >>> unitvar.jax.batch_norm(x, eps=0.0).y.tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> loss = lambda gamma: (unitvar.jax.batch_norm(x, gamma, eps=0.0).y ** 2).sum()
    >>> jax.grad(loss)(jnp.ones(2)).tolist()
    [4.0, 4.0]
    """
    op = "batch_norm"
    x = _tensor(op, x)
    channels, flat = _channels(op, x, axis)
    if x.size == channels:
        raise ValueError(f"{op}: x has shape {x.shape}, want more than one value in each of the {channels} channels")
    parameters = [_parameter(op, name, p, x, (channels,)) for name, p in (("gamma", gamma), ("beta", beta))]
    y, _, mean, var = forward(flat, parameters[0], absent(flat), parameters[1], spec=_spec(op, "batch", eps, threads))
    return BatchNormResult(y.reshape(x.shape), mean, var)


def batch_norm_inference(
    x: Array,
    mean: Array,
    var: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    threads: int = 0,
) -> Array:
    """Normalizes by given statistics: ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` (docs/derivation.md B6).

    Args:
        x, gamma, beta, axis, eps, threads: as in batch_norm. One value a channel is legal.
        mean, var: running statistics, (C,); whether var is biased or unbiased is the caller's choice. First derivatives
            in them exist, second ones raise NotImplementedError.

    >>> import jax.numpy as jnp, unitvar.jax
    >>> unitvar.jax.batch_norm_inference(jnp.array([[1.0, 2.0]]), jnp.zeros(2), jnp.ones(2), eps=0.0).tolist()
    [[1.0, 2.0]]
    """
    op = "batch_norm_inference"
    x = _tensor(op, x)
    channels, flat = _channels(op, x, axis)
    for name, value in (("mean", mean), ("var", var)):
        if value is None:
            raise TypeError(f"{op}: {name} is None, want an array of shape ({channels},)")
    named = (("gamma", gamma), ("beta", beta), ("mean", mean), ("var", var))
    to_gamma, to_beta, *statistics = (_parameter(op, name, p, x, (channels,)) for name, p in named)
    given = jnp.stack(statistics)[:, None, :]
    return forward(flat, to_gamma, given, to_beta, spec=_spec(op, "frozen", eps, threads))[0].reshape(x.shape)


def update_running_statistics(
    running_mean: Array, running_var: Array, mean: Array, var: Array, *, momentum: float = 0.99
) -> tuple[Array, Array]:
    """Running statistics after one more batch: ``momentum * running + (1 - momentum) * batch``.

    Args:
        running_mean, running_var: before, (C,).
        mean, var: of the batch, (C,): what batch_norm gave. Its var is the biased one; so is the average, as in flax.
        momentum: the weight of the old, as in flax; torch's momentum is 1 - this.

    Returns:
        running_mean and running_var, in the dtypes that they came in. No gradient flows through them.

    >>> import jax.numpy as jnp, unitvar.jax
    >>> mean, var = unitvar.jax.update_running_statistics(
    ...     jnp.zeros(1), jnp.ones(1), jnp.full(1, 4.0), jnp.full(1, 3.0), momentum=0.75
    ... )
    >>> mean.tolist(), var.tolist()
    ([1.0], [1.5])
    """
    pairs = ((running_mean, mean), (running_var, var))
    moved = (_moved(jnp.asarray(running), jnp.asarray(batch), momentum) for running, batch in pairs)
    new_mean, new_var = moved
    return new_mean, new_var


def _moved(running: Any, batch: Any, momentum: float) -> Any:
    if running.shape != batch.shape:
        raise ValueError(f"update_running_statistics: the batch's have shape {batch.shape}, want {running.shape}")
    return lax.stop_gradient(momentum * running + (1 - momentum) * batch).astype(running.dtype)


def _norm_of_rows(op: str, family: str, x: Any, gamma: Any, beta: Any, axis: Any, eps: Any, threads: Any) -> Any:
    x = _tensor(op, x)
    index = _axis(op, x, axis)
    shape = x.shape[index:]
    if 0 in shape:
        raise ValueError(f"{op}: x has shape {x.shape}, want values on the axes from {index} on")
    flat = x.reshape(math.prod(x.shape[:index]), math.prod(shape), 1)
    parameters = [_parameter(op, name, p, x, shape) for name, p in (("gamma", gamma), ("beta", beta))]
    spec = _spec(op, family, eps, threads)
    return forward(flat, parameters[0], absent(flat), parameters[1], spec=spec)[0].reshape(x.shape)


def layer_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    threads: int = 0,
) -> Array:
    """Normalizes each row, the axes from `axis` on: ``y = gamma * (x - mean) / sqrt(var + eps) + beta``.

    mean and the biased var are those of the row (Ba, Kiros & Hinton 2016; docs/derivation.md B80 to B82).

    Args:
        x, eps, threads: as in batch_norm.
        gamma, beta: of the shape ``x.shape[axis:]``; None is 1 and 0.
        axis: the first of the normalized axes.

    Accuracy and errors: as batch_norm. A row of one value is legal: y is beta.

    >>> import jax.numpy as jnp, unitvar.jax
    >>> unitvar.jax.layer_norm(jnp.array([[1.0, 3.0], [10.0, 30.0]]), eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    return _norm_of_rows("layer_norm", "layer", x, gamma, beta, axis, eps, threads)


def rms_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    threads: int = 0,
) -> Array:
    """Scales each row, the axes from `axis` on: ``y = gamma * x / sqrt(mean(x^2) + eps) + beta``.

    (Zhang & Sennrich 2019; docs/derivation.md B83 to B85). Arguments as in layer_norm.

    >>> import jax.numpy as jnp, unitvar.jax
    >>> unitvar.jax.rms_norm(jnp.array([[3.0, 3.0]]), eps=0.0).tolist()
    [[1.0, 1.0]]
    """
    return _norm_of_rows("rms_norm", "rms", x, gamma, beta, axis, eps, threads)


def _norm_of_groups(
    op: str, x: Any, groups: Any, gamma: Any, beta: Any, axis: Any, eps: Any, threads: Any
) -> Any:  # fmt: skip
    x = _tensor(op, x)
    channels, flat = _channels(op, x, axis)
    if _axis(op, x, axis) == 0:
        raise ValueError(f"{op}: x has shape {x.shape} with channels on axis 0, want samples there")
    groups = channels if groups is None else operator.index(groups)
    if groups < 1 or channels % groups != 0:
        raise ValueError(f"{op}: groups is {groups}, want a divisor of the {channels} channels")
    rows = max(flat.shape[0] // max(x.shape[0], 1), 1)
    parameters = [_parameter(op, name, p, x, (channels,)) for name, p in (("gamma", gamma), ("beta", beta))]
    spec = _spec(op, "group", eps, threads, sample_rows=rows, groups=groups)
    return forward(flat, parameters[0], absent(flat), parameters[1], spec=spec)[0].reshape(x.shape)


def group_norm(
    x: Array,
    groups: int,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    threads: int = 0,
) -> Array:
    """Normalizes each group of neighbouring channels of each sample by its own mean and biased variance.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` (Wu & He 2018; docs/derivation.md B73 to B79).

    Args:
        x: as in batch_norm, with samples on axis 0.
        groups: G, a divisor of the channels.
        gamma, beta, axis, eps, threads: as in batch_norm.

    >>> import jax.numpy as jnp, unitvar.jax
    >>> unitvar.jax.group_norm(jnp.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    return _norm_of_groups("group_norm", x, operator.index(groups), gamma, beta, axis, eps, threads)


def instance_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    threads: int = 0,
) -> Array:
    """Normalizes each channel of each sample: group_norm with a group for every channel (Ulyanov et al. 2016).

    >>> import jax.numpy as jnp, unitvar.jax
    >>> unitvar.jax.instance_norm(jnp.array([[[1.0, 3.0], [10.0, 30.0]]]), axis=1, eps=0.0).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    return _norm_of_groups("instance_norm", x, None, gamma, beta, axis, eps, threads)
