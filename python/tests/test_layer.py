"""The BatchNorm layer: modes, running statistics, state."""

from __future__ import annotations

import copy
import threading

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
