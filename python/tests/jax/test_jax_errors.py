"""What unitvar.jax refuses, and when it cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("jaxlib", reason="jax is not installed")

import jax
import jax.numpy as jnp

import unitvar.jax as uj

X = jnp.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: uj.batch_norm(X.astype(int)), TypeError, "batch_norm: x has dtype int32, want one of float32"),
        (lambda: uj.batch_norm(X, jnp.ones(3)), ValueError, r"batch_norm: gamma has shape \(3,\), want \(4,\)"),
        (lambda: uj.batch_norm(X, jnp.ones(4, complex)), TypeError, "gamma has dtype complex64"),
        (lambda: uj.batch_norm(X, axis=3), ValueError, "axis is 3, want one of the 3 axes"),
        (lambda: uj.batch_norm(X, axis=(0, 1)), TypeError, r"axis is \(0, 1\), want an integer"),
        (lambda: uj.batch_norm(X[:1, :1]), ValueError, "more than one value in each of the 4 channels"),
        (lambda: uj.batch_norm(X[..., :0]), ValueError, "want channels on axis 2"),
        (lambda: uj.batch_norm(X, eps=float("nan")), ValueError, "eps is nan, want a finite number"),
        (lambda: uj.batch_norm(X, threads=-1), ValueError, "threads is -1, want 0 or more"),
        (lambda: uj.batch_norm_inference(X, None, jnp.ones(4)), TypeError, "mean is None"),
        (lambda: uj.layer_norm(X, jnp.ones(4), axis=1), ValueError, r"gamma has shape \(4,\), want \(3, 4\)"),
        (lambda: uj.layer_norm(X[..., :0]), ValueError, "want values on the axes from 2 on"),
        (lambda: uj.group_norm(X, 3), ValueError, "groups is 3, want a divisor of the 4 channels"),
        (lambda: uj.group_norm(X, 1, axis=0), ValueError, "want samples there"),
        (
            lambda: uj.update_running_statistics(jnp.ones(2), jnp.ones(2), jnp.ones(3), jnp.ones(3)),
            ValueError,
            r"have shape \(3,\), want \(2,\)",
        ),
    ],
)
def test_bad_arguments_are_refused_when_traced(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_variance_that_eps_makes_negative_is_refused_when_run() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="batch_norm_forward: .*eps"):
        uj.batch_norm(X, eps=-1.0).y.block_until_ready()


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("sys.modules['jaxlib'] = None", "unitvar.jax needs jax: pip install jax"),
        ("import unitvar._core; del unitvar._core.jax_targets", "built without the handlers for JAX"),
    ],
)
def test_import_without_jax_or_without_handlers_says_so(before: str, message: str) -> None:
    code = f"import sys\n{before}\nimport unitvar.jax"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "ImportError" in done.stderr and message in done.stderr
