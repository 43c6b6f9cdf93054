"""unitvar.jax under JAX's transformations: jit, vmap, checkpoint, scan, both modes, second derivatives; refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jaxlib", reason="jax is not installed")

import jax
import jax.numpy as jnp
from jax.test_util import check_grads
from normalizations import CASES, EPS, NAMES, Case, arguments, l2_error

import unitvar.jax

CASE = pytest.mark.parametrize("case", CASES, ids=NAMES)


def loss(f: Any, case: Case) -> Any:
    """A scalar of y whose derivatives in all arguments are no zeros."""
    weights = jnp.asarray(np.random.default_rng(7).normal(size=case.shape))
    return lambda *args: jnp.sum(jnp.sin(f(*args)) * weights.astype(args[0].dtype))


@CASE
def test_both_modes_and_grad_of_grad_agree_with_differences(case: Case) -> None:
    with jax.enable_x64(True):
        args = arguments(case, dtype=np.float64)
        check_grads(case.ours, args, order=1, modes=["fwd"], atol=1e-7, rtol=1e-7)
        check_grads(case.ours, args, order=2, modes=["rev"], atol=1e-6, rtol=1e-6)


@CASE
@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev], ids=["forward over reverse", "reverse over reverse"])
def test_hessian_is_that_of_the_formula(case: Case, outer: Any) -> None:
    everything = (0, 1, 2)
    with jax.enable_x64(True):
        args = arguments(case, dtype=np.float64)
        seen, wanted = (
            jax.jit(outer(jax.grad(loss(f, case), everything), everything))(*args) for f in (case.ours, case.formula)
        )
        for s, w in zip(jax.tree.leaves(seen), jax.tree.leaves(wanted)):
            assert jnp.abs(s - w).max() <= 1e-12 * max(1.0, jnp.abs(w).max())


def test_hessian_of_float32_under_jit() -> None:
    case = CASES[0]
    x, gamma, beta = arguments(case)
    seen = jax.jit(jax.hessian(lambda x: loss(case.ours, case)(x, gamma, beta)))(x)
    wanted = jax.hessian(lambda x: loss(case.formula, case)(x, gamma, beta))(x)
    assert l2_error(seen, wanted) < 1e-5


@CASE
@pytest.mark.parametrize("mapped", ["x", "gamma", "x gamma beta"])
def test_vmap_of_values_and_gradients_is_a_loop(case: Case, mapped: str) -> None:
    on = [name in mapped for name in ("x", "gamma", "beta")]
    batches = [arguments(case, seed) for seed in range(3)]
    stacked = [
        jnp.stack([b[k] for b in batches], axis=1) if on[k] else batches[0][k] for k in range(3)
    ]  # fmt: skip

    def f(*args: Any) -> Any:
        return case.ours(*args), jax.grad(loss(case.ours, case), (0, 1, 2))(*args)

    seen = jax.jit(jax.vmap(f, [1 if o else None for o in on]))(*stacked)
    for k in range(3):
        wanted = jax.jit(f)(*(batches[k][j] if on[j] else batches[0][j] for j in range(3)))
        for s, w in zip(jax.tree.leaves(seen), jax.tree.leaves(wanted)):
            assert jnp.allclose(s[k], w, rtol=1e-5, atol=1e-5)


@CASE
def test_vmap_of_second_derivatives_and_forward_mode_is_a_loop(case: Case) -> None:
    args = arguments(case)
    directions = [jnp.stack(d) for d in zip(*(arguments(case, seed) for seed in (5, 6)))]
    f = loss(case.ours, case)

    def g(*v: Any) -> Any:
        forward = jax.jvp(case.ours, args, v)[1], jax.jvp(jax.grad(f, (0, 1)), args, v)[1]
        return forward, jax.vjp(jax.grad(f, (0, 1, 2)), *args)[1](v), jax.jvp(jax.grad(f, (0, 1)), v, args)[1]

    seen = jax.jit(jax.vmap(g))(*directions)
    for k in range(2):
        for s, w in zip(jax.tree.leaves(seen), jax.tree.leaves(jax.jit(g)(*(d[k] for d in directions)))):
            assert jnp.allclose(s[k], w, rtol=2e-5, atol=2e-5)


def test_vmap_of_vmap_is_two_loops() -> None:
    case = CASES[NAMES.index("group_norm")]
    x, gamma, beta = arguments(case)
    xs = jnp.stack([jnp.stack([x, x + 1, x * 2]), jnp.stack([-x, x * 3, x - 2])])
    seen = jax.vmap(jax.vmap(lambda x: case.ours(x, gamma, beta)))(xs)
    assert jnp.allclose(seen, jnp.stack([jnp.stack([case.ours(x, gamma, beta) for x in row]) for row in xs]), atol=1e-6)


def test_gradient_through_the_returned_statistics() -> None:
    def by(normalize: Any) -> Any:
        def scalar(x: Any) -> Any:
            y, mean, var = normalize(x)
            return (y**3).sum() + (jnp.cos(mean) * 5).sum() + (var**2 * 3).sum()

        return scalar

    def formula(x: Any) -> Any:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) / jnp.sqrt(var + EPS), mean, var

    with jax.enable_x64(True):
        x = arguments(CASES[0], dtype=np.float64)[0]
        ours, theirs = by(lambda x: unitvar.jax.batch_norm(x, eps=EPS)), by(formula)
        assert l2_error(jax.jit(jax.grad(ours))(x), jax.jit(jax.grad(theirs))(x)) < 1e-13
        assert l2_error(jax.jvp(ours, (x,), (x * x,))[1], jax.jvp(theirs, (x,), (x * x,))[1]) < 1e-13
        assert l2_error(jax.jit(jax.hessian(ours))(x), jax.jit(jax.hessian(theirs))(x)) < 1e-12


def test_derivative_of_a_second_derivative_in_the_weight_of_the_statistics() -> None:
    def by(variance: Any) -> Any:
        def scalar(t: Any, x: Any) -> Any:
            slope = jax.grad(lambda x: (t * variance(x)).sum())
            return (jax.jvp(slope, (x,), (x**2,))[1] * x**3).sum()

        return jax.jit(jax.grad(scalar))

    with jax.enable_x64(True):
        x, t, _ = arguments(CASES[0], dtype=np.float64)
        seen, wanted = (by(v)(t, x) for v in (lambda x: unitvar.jax.batch_norm(x).var, lambda x: x.var((0, 1, 2))))
        assert l2_error(seen, wanted) < 1e-12


def test_gradient_in_given_statistics() -> None:
    x, gamma, beta = arguments(CASES[0], dtype=np.float32)
    mean, var = jnp.asarray([0.5, -1.0, 2.0]), jnp.asarray([1.0, 0.25, 4.0])

    def ours(mean: Any, var: Any, gamma: Any) -> Any:
        return (unitvar.jax.batch_norm_inference(x, mean, var, gamma, beta, eps=EPS) ** 3).sum()

    def formula(mean: Any, var: Any, gamma: Any) -> Any:
        return ((gamma * (x - mean) / jnp.sqrt(var + EPS) + beta) ** 3).sum()

    for seen, wanted in zip(*(jax.grad(f, (0, 1, 2))(mean, var, gamma) for f in (ours, formula))):
        assert l2_error(seen, wanted) < 1e-5


@CASE
def test_checkpoint_and_scan_give_the_same_bits(case: Case) -> None:
    def deep(f: Any) -> Any:
        def scalar(x: Any, gamma: Any) -> Any:
            return loss(lambda x: jax.lax.scan(lambda h, _: (f(jnp.sin(h), gamma, beta), None), x, length=3)[0], case)(
                x
            )

        return jax.jit(jax.grad(scalar, (0, 1)))

    with jax.enable_x64(True):
        x, gamma, beta = arguments(case, dtype=np.float64)
        for p, a, w in zip(*(deep(f)(x, gamma) for f in (case.ours, jax.checkpoint(case.ours), case.formula))):
            assert jnp.array_equal(p, a)
            assert l2_error(p, w) < 1e-11


def test_what_nobody_asks_for_is_not_computed() -> None:
    case = CASES[0]
    x, gamma, beta = arguments(case)
    of_x = jax.make_jaxpr(jax.grad(lambda x: case.ours(x, gamma, beta).sum()))(x)
    of_gamma = jax.make_jaxpr(jax.grad(lambda gamma: case.ours(x, gamma, beta).sum()))(gamma)
    assert "wanted=(True, False, False)" in str(of_x)
    assert "wanted=(False, True, False)" in str(of_gamma)


@CASE
@pytest.mark.parametrize("name", ["jvp of jvp", "grad of jvp", "third derivative"])
def test_a_derivative_that_is_not_there_is_refused_and_no_zero(case: Case, name: str) -> None:
    x, gamma, beta = arguments(case)
    f = loss(case.ours, case)

    def along(x: Any) -> Any:
        return jax.jvp(lambda x: f(x, gamma, beta), (x,), (jnp.ones_like(x),))[1]

    transformed = {
        "jvp of jvp": lambda: jax.jvp(along, (x,), (x,)),
        "grad of jvp": lambda: jax.grad(along)(x),
        "third derivative": lambda: jax.grad(
            lambda x: jax.grad(lambda x: (jax.grad(lambda x: f(x, gamma, beta))(x) ** 2).sum())(x).sum()
        )(x),
    }
    with pytest.raises(NotImplementedError, match="forward over reverse"):
        transformed[name]()


def test_second_derivative_in_given_statistics_is_refused() -> None:
    x = arguments(CASES[0])[0]

    def of_mean(mean: Any) -> Any:
        inner = jax.grad(lambda x: (unitvar.jax.batch_norm_inference(x, mean, jnp.ones(3)) ** 3).sum())
        return (inner(x) ** 2).sum()

    with pytest.raises(NotImplementedError, match="mean or var of batch_norm_inference"):
        jax.grad(of_mean)(jnp.zeros(3))


def test_calls_on_many_threads_at_once_give_the_same_bits() -> None:
    xs = [jnp.asarray(np.random.default_rng(k).normal(size=(8, 32, 32, 16)), jnp.float32) for k in range(8)]
    step = jax.jit(jax.grad(lambda x: (unitvar.jax.batch_norm(x, threads=2).y ** 3).sum()))
    alone = [step(x) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: step(x).block_until_ready(), xs))
    assert all(jnp.array_equal(a, b) for a, b in zip(alone, together))


def test_independent_calls_of_one_program_give_the_bits_of_single_calls() -> None:
    xs = [jnp.asarray(np.random.default_rng(k).normal(size=(4, 32, 32, 16)), jnp.float32) for k in range(6)]
    ys = jax.jit(lambda of: [unitvar.jax.batch_norm(x).y for x in of])(xs)
    for y, x in zip(ys, xs):
        assert jnp.array_equal(y, unitvar.jax.batch_norm(x).y)
