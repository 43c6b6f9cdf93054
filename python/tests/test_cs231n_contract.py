"""unitvar.cs231n: what the assignment's code takes for granted. The cache, types, memory, errors."""

from __future__ import annotations

import numpy as np
import pytest
from cs231n_layers import LAYERS, TRAIN, every_layer, numeric_gradient

from unitvar import cs231n as cs

# --- the cache -------------------------------------------------------------------------------------------------------


@every_layer
def test_backward_takes_gamma_as_it_is_by_then_and_does_not_depend_on_beta(layer):
    x, gamma, beta, dout = layer.data(12)
    _, cache = layer.forward(x, gamma, beta, dict(TRAIN))
    before = layer.backward(dout, cache)
    gamma *= 2
    beta += 100
    after = layer.backward(dout, cache)
    np.testing.assert_array_equal(after[0], 2 * before[0])
    np.testing.assert_array_equal(after[1], before[1])
    np.testing.assert_array_equal(after[2], before[2])


@every_layer
def test_a_numeric_check_between_forward_and_backward_leaves_no_trace(layer):
    x, gamma, beta, dout = layer.data(13)
    param = dict(TRAIN)
    _, cache = layer.forward(x, gamma, beta, param)
    before = layer.backward(dout, cache)
    for array in (x, gamma, beta):
        numeric_gradient(lambda: layer.forward(x, gamma, beta, param)[0], array, dout)
    for a, b in zip(before, layer.backward(dout, cache), strict=True):
        np.testing.assert_array_equal(a, b)


@every_layer
def test_cache_refers_to_x_and_gamma_and_to_nothing_else_of_the_callers(layer):
    x, gamma, beta, dout = layer.data(14)
    param = dict(TRAIN)
    out, cache = layer.forward(x, gamma, beta, param)
    assert np.shares_memory(cache.x, x) and np.shares_memory(cache.gamma, gamma)
    first = layer.backward(dout, cache)
    out[...] = 77
    for name in param.keys() & {"running_mean", "running_var"}:
        param[name][...] = 77
    for gradient in first:
        assert not any(np.shares_memory(gradient, other) for other in (x, gamma, beta, dout, out))
    kept = [gradient.copy() for gradient in first]
    for gradient in first:
        gradient[...] = 77
    for a, b in zip(kept, layer.backward(dout, cache), strict=True):
        np.testing.assert_array_equal(a, b)


@every_layer
def test_inputs_may_be_read_only(layer):
    arrays = layer.data(15)
    for array in arrays:
        array.flags.writeable = False
    x, gamma, beta, dout = arrays
    out, cache = layer.forward(x, gamma, beta, dict(TRAIN))
    assert all(np.isfinite(a).all() for a in (out, *layer.backward(dout, cache)))


# --- types and memory ------------------------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float16", 4e-3), ("bfloat16", 3e-2)])
def test_other_types_give_the_digits_they_have(layer, dtype, tolerance):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    x, gamma, beta, dout = layer.data(16, dtype)
    param = dict(TRAIN)
    out, cache = layer.forward(x, gamma, beta, param)
    got = (out, *layer.backward(dout, cache))
    assert [a.dtype for a in got] == [dtype, dtype, np.float32, np.float32]
    assert all(param[name].dtype == dtype for name in param.keys() & {"running_mean", "running_var"})

    wide = [np.asarray(a, np.float64) for a in (x, gamma, beta, dout)]
    out, cache = layer.forward(*wide[:3], dict(TRAIN))
    for a, b in zip(got, (out, *layer.backward(wide[3], cache)), strict=True):
        assert np.abs(np.asarray(a, np.float64) - b).max() <= tolerance * np.abs(b).max()


@every_layer
def test_dout_of_another_type_is_converted(layer):
    x, gamma, beta, dout = layer.data(17, np.float32)
    _, cache = layer.forward(x, gamma, beta, dict(TRAIN))
    for a, b in zip(layer.backward(dout.astype(np.float64), cache), layer.backward(dout, cache), strict=True):
        np.testing.assert_array_equal(a, b)


def test_running_statistics_keep_the_wider_type():
    bn_param = {**TRAIN, "running_mean": np.zeros(5), "running_var": np.ones(5, int)}
    x, gamma, beta, _ = LAYERS["batch"].data(18, np.float32)
    cs.batchnorm_forward(x, gamma, beta, bn_param)
    assert bn_param["running_mean"].dtype == np.float64 and bn_param["running_var"].dtype == np.float64
    np.testing.assert_allclose(bn_param["running_mean"], 0.1 * x.astype(float).mean(0), rtol=1e-6)
    np.testing.assert_allclose(bn_param["running_var"], 0.9 + 0.1 * x.astype(float).var(0), rtol=1e-6)


def views_of(array):
    """The same numbers, lying in memory in other ways."""
    order = np.roll(np.arange(array.ndim), 1)
    turned = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    gaps = np.zeros([2 * n + 1 for n in array.shape])[tuple(slice(1, None, 2) for _ in array.shape)]
    gaps[...] = array
    backwards = np.ascontiguousarray(array[::-1])[::-1]
    return {"fortran": np.asfortranarray(array), "turned": turned, "gaps": gaps, "backwards": backwards}


@every_layer
@pytest.mark.parametrize("kind", ["fortran", "turned", "gaps", "backwards"])
def test_views_and_transposed_inputs_give_what_contiguous_ones_give(layer, kind):
    plain = layer.data(19)
    x, gamma, beta, dout = plain
    out, cache = layer.forward(x, gamma, beta, dict(TRAIN))
    want = (out, *layer.backward(dout, cache))
    arrays = [views_of(array)[kind] for array in plain]
    x, gamma, beta, dout = arrays
    assert kind == "backwards" or not x.flags.c_contiguous
    out, cache = layer.forward(x, gamma, beta, dict(TRAIN))
    for a, b in zip((out, *layer.backward(dout, cache)), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    for seen, kept in zip(arrays, plain, strict=True):
        np.testing.assert_array_equal(seen, kept)


@pytest.mark.parametrize("gamma_shape, beta_shape", [((6,), (1, 6, 1, 1)), ((1, 6, 1, 1), (6,))])
def test_group_norm_gives_each_gradient_in_its_parameters_shape(gamma_shape, beta_shape):
    x, gamma, beta, dout = LAYERS["group"].data(20)
    out, cache = cs.spatial_groupnorm_forward(x, gamma, beta, 2, {})
    want = (out, *cs.spatial_groupnorm_backward(dout, cache))
    out, cache = cs.spatial_groupnorm_forward(x, gamma.reshape(gamma_shape), beta.reshape(beta_shape), 2, {})
    got = (out, *cs.spatial_groupnorm_backward(dout, cache))
    assert [a.shape for a in got] == [x.shape, x.shape, gamma_shape, beta_shape]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.ravel(), b.ravel())


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch", "spatial"])
@pytest.mark.parametrize(
    "bn_param, error, message",
    [
        ({"mode": "eval"}, ValueError, "'eval', want 'train' or 'test'"),
        ({"mode": "Train"}, ValueError, "'Train'"),
        ({"mode": None}, ValueError, "None"),
        ({"eps": 1e-5}, KeyError, "no 'mode'"),
        ({"mode": "train", "running_mean": np.zeros(2)}, ValueError, "running_mean"),
        ({"mode": "test", "running_var": np.zeros((1, 5))}, ValueError, "running_var"),
    ],
)
def test_a_bad_bn_param_is_refused_and_left_as_it_was(name, bn_param, error, message):
    x, gamma, beta, _ = LAYERS[name].data(21)
    given = dict(bn_param)
    with pytest.raises(error, match=message):
        LAYERS[name].forward(x, gamma, beta, given)
    assert given.keys() == bn_param.keys() and all(given[key] is bn_param[key] for key in given)


@every_layer
def test_shapes_that_do_not_fit_are_refused_before_anything_is_written(layer):
    x, gamma, beta, dout = layer.data(22)
    param = dict(TRAIN)
    for bad in ((x[0], gamma, beta), (x, gamma.ravel()[:-1], beta), (x, gamma, beta.ravel()[:-1])):
        with pytest.raises(ValueError, match="shape"):
            layer.forward(*bad, param)
    assert param == TRAIN
    _, cache = layer.forward(x, gamma, beta, param)
    with pytest.raises(ValueError, match="dout has shape"):
        layer.backward(dout[:1], cache)


def test_one_example_in_train_mode_is_refused():
    bn_param = dict(TRAIN)
    with pytest.raises(ValueError, match="1 value per channel"):
        cs.batchnorm_forward(np.ones((1, 3)), np.ones(3), np.zeros(3), bn_param)
    assert bn_param == TRAIN


def test_groups_that_do_not_divide_the_channels_are_refused():
    x, gamma, beta, _ = LAYERS["group"].data(23)
    for groups in (0, 4, 7, -1):
        with pytest.raises(ValueError):
            cs.spatial_groupnorm_forward(x, gamma, beta, groups, {})


def test_a_cache_of_test_mode_or_of_another_operation_is_refused():
    caches = {}
    for name, layer in LAYERS.items():
        x, gamma, beta, dout = layer.data(24)
        with pytest.raises(ValueError, match="test mode"):
            layer.backward(dout, None)
        caches[name] = layer.forward(x, gamma, beta, dict(TRAIN))[1]
    for name, other in (("batch", "layer"), ("batch_alt", "spatial"), ("spatial", "batch"), ("group", "spatial")):
        with pytest.raises(ValueError, match="another operation"):
            LAYERS[name].backward(LAYERS[name].data(24)[3], caches[other])
