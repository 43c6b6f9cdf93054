"""The modules of unitvar.jax.nnx beside those of flax.nnx."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jaxlib", reason="jax is not installed")
pytest.importorskip("flax", reason="flax is not installed")

import jax
import jax.numpy as jnp
from flax import nnx
from normalizations import l2_error

import unitvar.jax.nnx as ours

#: class, arguments, shape of x
MODULES = [
    ("BatchNorm", {"num_features": 6}, (4, 3, 5, 6)),
    ("BatchNorm", {"num_features": 3, "axis": 1, "momentum": 0.8, "epsilon": 1e-2}, (4, 3, 5, 6)),
    ("BatchNorm", {"num_features": 6, "use_bias": False, "use_scale": False}, (7, 6)),
    ("LayerNorm", {"num_features": 6}, (4, 3, 6)),
    ("LayerNorm", {"num_features": 18, "reduction_axes": (1, 2), "feature_axes": (1, 2)}, (4, 3, 6)),
    ("LayerNorm", {"num_features": 6, "use_bias": False}, (4, 6)),
    ("RMSNorm", {"num_features": 6}, (4, 3, 6)),
    ("RMSNorm", {"num_features": 6, "use_scale": False}, (4, 3, 6)),
    ("GroupNorm", {"num_features": 6, "num_groups": 3}, (4, 3, 5, 6)),
    ("GroupNorm", {"num_features": 6, "num_groups": None, "group_size": 1}, (4, 5, 6)),
    ("InstanceNorm", {"num_features": 6}, (4, 3, 5, 6)),
    ("InstanceNorm", {"num_features": 3, "feature_axes": 1}, (4, 3, 5, 6)),
]
IDS = [f"{name}{k}" for k, (name, _, _) in enumerate(MODULES)]


def pair(name: str, arguments: dict[str, Any], seed: int = 0) -> tuple[Any, Any]:
    """unitvar's module and flax's, with the same random parameters."""
    init = {"scale_init": nnx.initializers.uniform(2.0), "bias_init": nnx.initializers.normal(1.0)}
    if name == "RMSNorm":
        del init["bias_init"]
    return tuple(getattr(of, name)(**arguments, **init, rngs=nnx.Rngs(seed)) for of in (ours, nnx))


def data(shape: tuple[int, ...], mean: float = 0.5) -> Any:
    return jnp.asarray(np.random.default_rng(3).normal(mean, 1.5, shape), jnp.float32)


@pytest.mark.parametrize(("name", "arguments", "shape"), MODULES, ids=IDS)
def test_values_gradients_and_state_are_those_of_flax(name: str, arguments: dict[str, Any], shape: Any) -> None:
    x, dy = data(shape), jnp.cos(jnp.arange(float(np.prod(shape)))).reshape(shape)

    @nnx.jit
    def step(module: Any, x: Any) -> Any:
        by_module = nnx.grad(lambda module, x: (module(x) * dy).sum(), argnums=(0, 1))(module, x)
        return module(x), by_module

    mine, theirs = pair(name, arguments)
    assert jax.tree.structure(nnx.state(mine)) == jax.tree.structure(nnx.state(theirs))
    seen, wanted = step(mine, x), step(theirs, x)
    assert jax.tree.structure(seen) == jax.tree.structure(wanted)
    leaves = [(seen, wanted), (nnx.state(mine), nnx.state(theirs))]
    for s, w in zip(*(jax.tree.leaves(of) for of in zip(*leaves))):
        assert s.dtype == w.dtype and jnp.allclose(s, w, rtol=2e-5, atol=2e-5)


def test_train_and_eval_switch_batch_norm_as_in_flax() -> None:
    mine, theirs = pair("BatchNorm", {"num_features": 6})
    x = data((8, 6))
    for module in (mine, theirs):
        module(x)
        module.eval()
    before = mine.mean[...]
    assert jnp.allclose(mine(x), theirs(x), atol=1e-5)
    assert jnp.array_equal(mine.mean[...], before)
    assert jnp.allclose(mine(x, use_running_average=False), theirs(x, use_running_average=False), atol=1e-5)
    assert not jnp.array_equal(mine.mean[...], before)


def test_state_of_flax_loads() -> None:
    mine, theirs = pair("BatchNorm", {"num_features": 6}, seed=1)
    theirs(data((8, 6)))
    nnx.update(mine, nnx.state(theirs))
    mine.eval()
    theirs.eval()
    assert jnp.allclose(mine(data((3, 6))), theirs(data((3, 6))), atol=1e-5)


@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm", "GroupNorm"])
def test_digits_stay_where_flax_loses_them(name: str) -> None:
    arguments = {"num_features": 8, **({"num_groups": 2} if name == "GroupNorm" else {})}
    x = data((16, 8, 8, 8), mean=1e4)
    axes, shape = {
        "BatchNorm": ((0, 1, 2), x.shape),
        "LayerNorm": ((3,), x.shape),
        "GroupNorm": ((1, 2, 4), (16, 8, 8, 2, 4)),
    }[name]
    wide = np.asarray(x, np.float64).reshape(shape)
    mine, theirs = (getattr(of, name)(**arguments, rngs=nnx.Rngs(0)) for of in (ours, nnx))
    normalized = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + mine.epsilon)
    assert l2_error(mine(x), normalized.reshape(x.shape)) < 3e-7
    assert l2_error(theirs(x), normalized.reshape(x.shape)) > 1e-4


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm", "RMSNorm"])
def test_dtype_is_that_of_the_result_and_parameters_keep_theirs(name: str, dtype: Any) -> None:
    mine, theirs = pair(name, {"num_features": 6, "dtype": dtype})
    x = data((32, 6))
    y, of_flax = mine(x), theirs(x)
    assert y.dtype == of_flax.dtype == dtype
    assert jnp.allclose(y.astype(float), of_flax.astype(float), rtol=0.02, atol=0.02)
    assert mine.scale[...].dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "arguments", "call"),
    [
        ("BatchNorm", {"num_features": 6}, {"mask": True}),
        ("LayerNorm", {"num_features": 6}, {"mask": True}),
        ("RMSNorm", {"num_features": 6}, {"mask": True}),
        ("GroupNorm", {"num_features": 6, "num_groups": 2}, {"mask": True}),
        ("InstanceNorm", {"num_features": 6}, {"mask": True}),
        ("LayerNorm", {"num_features": 6, "reduction_axes": (1, 2)}, {}),
        ("RMSNorm", {"num_features": 3, "reduction_axes": 1, "feature_axes": 1}, {}),
    ],
)
def test_what_has_no_kernel_runs_in_flax(name: str, arguments: dict[str, Any], call: dict[str, Any]) -> None:
    x = data((4, 3, 6))
    options = {"mask": x > 0} if call else {}
    mine, theirs = pair(name, arguments)
    assert jnp.array_equal(mine(x, **options), theirs(x, **options))
    graph, state = nnx.split(mine)
    assert "unitvar" not in str(jax.make_jaxpr(lambda state, x: nnx.merge(graph, state)(x, **options))(state, x))


def test_axis_name_runs_in_flax_under_vmap() -> None:
    mine, theirs = pair("BatchNorm", {"num_features": 6, "axis_name": "ranks"})
    x = data((2, 5, 6))

    def on_ranks(module: Any) -> Any:
        graph, state = nnx.split(module)
        return jax.vmap(lambda state, x: nnx.merge(graph, state)(x), (None, 0), axis_name="ranks")(state, x)

    assert jnp.array_equal(on_ranks(mine), on_ranks(theirs))


def test_no_gradient_flows_into_running_statistics() -> None:
    def moved(x: Any) -> Any:
        module = ours.BatchNorm(6, rngs=nnx.Rngs(0))
        module(x)
        return module.mean[...].sum() + module.var[...].sum()

    assert not jax.grad(moved)(data((8, 6))).any()


def test_no_running_average_argument_is_flax_s_error() -> None:
    module = ours.BatchNorm(6, use_running_average=None, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="No `use_running_average` argument"):
        module(data((8, 6)))
