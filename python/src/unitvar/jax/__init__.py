"""The normalizations for JAX: functions of arrays on the CPU, under jit, grad, vmap and checkpoint.

Needs jax, and a unitvar that was built with its handlers (docs/python.md). `import unitvar` itself never imports jax.
`unitvar.jax.nnx` has the same as modules of flax.nnx.

Derivatives are the library's own: the backward, the double backward and forward mode. There are first derivatives in
both modes, grad of grad, and jax.hessian. Others raise NotImplementedError when they are traced, and never give zeros.

>>> import jax, jax.numpy as jnp, unitvar.jax
>>> x = jax.random.normal(jax.random.key(0), (8, 4, 4, 3))
>>> y, mean, var = jax.jit(unitvar.jax.batch_norm)(x)
>>> dgamma = jax.grad(lambda gamma: unitvar.jax.batch_norm(x, gamma).y[0].sum())(jnp.ones(3))
"""

from importlib.util import find_spec as _find_spec

if _find_spec("jaxlib") is None:
    raise ImportError("unitvar.jax needs jax: pip install jax (docs/python.md)")

from ._functions import (
    BatchNormResult,
    batch_norm,
    batch_norm_inference,
    default_threads,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
    update_running_statistics,
)

__all__ = [
    "BatchNormResult",
    "batch_norm",
    "batch_norm_inference",
    "default_threads",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "rms_norm",
    "update_running_statistics",
]
