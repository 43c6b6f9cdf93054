"""The BatchNorm layer: modes, running statistics, state."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference import error

import unitvar


def _x(seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(6, 3, 4, 5)) * 2 + 1).astype(dtype)


def test_training_normalizes_by_the_batch_and_moves_the_running_statistics() -> None:
    layer, x = unitvar.BatchNorm(3), _x()
    y = layer(x)
    assert np.array_equal(y, unitvar.batch_norm(x, np.ones(3), np.zeros(3)).y)
    n, wide = x.size / 3, x.astype(np.float64)
    assert error(layer.running_mean, 0.1 * wide.mean((0, 2, 3))) < 1e-12
    assert error(layer.running_var, 0.9 + 0.1 * wide.var((0, 2, 3)) * n / (n - 1)) < 1e-12
    assert layer.batches_tracked == 1


@pytest.mark.parametrize(("sense", "momentum"), [("weight_of_new", 0.25), ("weight_of_old", 0.75)])
def test_both_senses_of_momentum_and_the_biased_variance(sense: str, momentum: float) -> None:
    layer = unitvar.BatchNorm(3, momentum=momentum, momentum_sense=sense, running_variance="biased")
    layer(_x())
    assert error(layer.running_var, 0.75 + 0.25 * _x().astype(np.float64).var((0, 2, 3))) < 1e-12


def test_momentum_none_averages_over_all_batches() -> None:
    layer = unitvar.BatchNorm(3, momentum=None)
    for seed in range(3):
        layer(_x(seed))
    means = [_x(seed).astype(np.float64).mean((0, 2, 3)) for seed in range(3)]
    assert error(layer.running_mean, np.mean(means, 0)) < 1e-12


def test_eval_takes_the_running_statistics() -> None:
    layer, x = unitvar.BatchNorm(3), _x()
    layer(x)
    before = layer.running_mean.copy()
    y = layer.eval()(x)
    assert np.array_equal(y, unitvar.batch_norm_inference(x, before, layer.running_var))
    assert np.array_equal(layer.infer(x), y) and np.array_equal(layer.running_mean, before)


def test_backward_is_that_of_the_free_function() -> None:
    layer, x, dy = unitvar.BatchNorm(3), _x(), _x(1)
    layer.gamma[:] = [2, 3, 4]
    layer(x)
    dx = layer.backward(x, dy)
    e = unitvar.batch_norm_backward(x, dy, layer.saved_mean, layer.saved_rstd, layer.gamma)
    assert np.array_equal(dx, e.dx) and np.array_equal(layer.dgamma, e.dgamma) and np.array_equal(layer.dbeta, e.dbeta)


def test_backward_before_forward_is_refused() -> None:
    with pytest.raises(unitvar.Error, match="backward"):
        unitvar.BatchNorm(3).backward(_x(), _x())


def test_a_frozen_layer_takes_the_running_statistics_for_constants() -> None:
    layer, x, dy = unitvar.BatchNorm(3), _x(), _x(1)
    layer(x)
    layer.freeze()
    y, mean = layer(x), layer.running_mean.copy()
    assert np.array_equal(y, unitvar.batch_norm_inference(x, mean, layer.running_var))
    e = unitvar.batch_norm_frozen_backward(x, dy, mean, layer.running_var, layer.gamma)
    assert np.array_equal(layer.backward(x, dy), e.dx) and np.array_equal(layer.dgamma, e.dgamma)


def test_state_goes_to_another_layer() -> None:
    one, other = unitvar.BatchNorm(3), unitvar.BatchNorm(3)
    one(_x())
    one.gamma[:] = 5
    other.load_state_dict(one.state_dict())
    assert np.array_equal(one.eval()(_x(2)), other.eval()(_x(2))) and other.batches_tracked == 1


@pytest.mark.parametrize("wrong", [{}, {"gamma": np.ones(4)}])
def test_a_wrong_state_changes_nothing(wrong: dict[str, np.ndarray]) -> None:
    layer = unitvar.BatchNorm(3)
    state = layer.state_dict() | wrong if wrong else {}
    with pytest.raises(ValueError, match="want"):
        layer.load_state_dict(state)
    assert np.array_equal(layer.gamma, np.ones(3))


def test_arrays_outlive_the_layer() -> None:
    gamma = unitvar.BatchNorm(3).gamma
    gamma[:] = 7
    assert gamma.tolist() == [7, 7, 7]


def test_parameters_are_assigned_and_changed_in_place() -> None:
    layer = unitvar.BatchNorm(3)
    layer.gamma -= np.array([0.5, 0.25, 0])
    layer.beta = np.array([1, 2, 3])
    assert layer.gamma.tolist() == [0.5, 0.75, 1] and layer.beta.tolist() == [1, 2, 3]
    with pytest.raises(ValueError):
        layer.gamma = np.ones(4)
    with pytest.raises(AttributeError):
        layer.eps = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_share_nothing(copied: Callable[[unitvar.BatchNorm], unitvar.BatchNorm]) -> None:
    layer = unitvar.BatchNorm(3, momentum=None, running_variance="biased")
    layer(_x())
    other = copied(layer.eval())
    assert not other.training and np.array_equal(other(_x(2)), layer(_x(2)))
    other.train()(_x(3))
    other.gamma[:] = 9
    assert layer.batches_tracked == 1 and other.batches_tracked == 2 and layer.gamma.tolist() == [1, 1, 1]


def test_backward_refuses_another_16_bit_type() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    layer, x = unitvar.BatchNorm(3, np.float16), _x(dtype=np.float16)
    layer(x)
    other = x.astype(ml_dtypes.bfloat16)
    with pytest.raises(TypeError, match="bfloat16, want the layer's, float16"):
        layer.backward(other, other)


@pytest.mark.parametrize(
    ("name", "value"),
    [("running_var", np.array(["a", "b", "c"])), ("gamma", np.ones(3, complex)), ("batches_tracked", np.array(-1)),
     ("batches_tracked", np.array(2**63 - 1)), ("running_mean", np.ones((1, 3)))],
)  # fmt: skip
def test_a_state_is_checked_before_anything_changes(name: str, value: np.ndarray) -> None:
    layer = unitvar.BatchNorm(3)
    state = {key: np.array(array) + 4 for key, array in layer.state_dict().items()} | {name: value}
    with pytest.raises((TypeError, ValueError)):
        layer.load_state_dict(state)
    assert layer.batches_tracked == 0 and layer.gamma.tolist() == [1, 1, 1] and layer.running_var.tolist() == [1, 1, 1]


def test_a_state_of_views_is_read_before_it_is_written() -> None:
    layer = unitvar.BatchNorm(3)
    layer.beta = np.array([1, 2, 3])
    state: dict[str, Any] = dict(layer.state_dict()) | {"gamma": layer.beta, "beta": layer.gamma}
    layer.load_state_dict(state)
    assert layer.gamma.tolist() == [1, 2, 3] and layer.beta.tolist() == [1, 1, 1]


def test_wrong_dtypes_and_policies_are_refused() -> None:
    with pytest.raises(TypeError, match="float64, want the layer's, float32"):
        unitvar.BatchNorm(3)(_x(dtype=np.float64))
    with pytest.raises(ValueError, match="momentum_sense"):
        unitvar.BatchNorm(3, momentum_sense="new")
    with pytest.raises(ValueError, match="channels"):
        unitvar.BatchNorm(0)


def test_a_copied_state_and_threads() -> None:
    layer = unitvar.BatchNorm(3)
    layer(_x())
    layer.eval()
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(layer.infer(_x(5)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(r, results[0]) for r in results)
    assert copy.deepcopy(layer.state_dict())["gamma"].tolist() == [1, 1, 1]


def test_update_running_statistics_skips_what_is_not_finite() -> None:
    mean, var = np.zeros(2), np.ones(2)
    update = unitvar.update_running_statistics
    assert update(mean, var, 4, np.array([1.0, np.nan]), np.ones(2), skip_nonfinite=True) == "skipped"
    assert mean.tolist() == [0, 0]
    assert update(mean, var, 0, np.ones(2), np.ones(2)) == "empty"
    with pytest.raises(TypeError, match="float64"):
        update(np.zeros(2, np.float32), var, 4, np.ones(2), np.ones(2))
