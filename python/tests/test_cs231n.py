"""unitvar.cs231n: what the assignment's notebooks check."""

from __future__ import annotations

import time

import numpy as np
import pytest
from cs231n_layers import LAYERS, TRAIN, every_layer, hand_written, numeric_gradient, rel_error

from unitvar import cs231n as cs

# --- forward ---------------------------------------------------------------------------------------------------------


@every_layer
def test_output_has_mean_0_and_std_1_where_gamma_is_1_and_beta_0(layer):
    x, gamma, beta, _ = layer.data(0)
    out, _ = layer.forward(x, np.ones_like(gamma), np.zeros_like(beta), dict(TRAIN))
    groups = layer.groups_of(out)
    np.testing.assert_allclose(groups.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(groups.std(-1), 1, atol=1e-4)


@pytest.mark.parametrize("gamma, beta", [([1, 2, 3], [11, 12, 13]), ([-2, 0, 0.5], [0, -1, 3])])
@pytest.mark.parametrize("name", ["batch", "spatial"])
def test_channels_of_the_output_have_mean_beta_and_std_gamma(name, gamma, beta):
    x = np.random.default_rng(1).standard_normal((200, 3) if name == "batch" else (7, 3, 5, 6)) * 40 - 3
    out, _ = LAYERS[name].forward(x, np.array(gamma, float), np.array(beta, float), dict(TRAIN))
    channels = LAYERS[name].groups_of(out)
    np.testing.assert_allclose(channels.mean(-1), beta, atol=1e-12)
    np.testing.assert_allclose(channels.std(-1), np.abs(gamma), rtol=1e-6)


def test_rows_of_layer_norm_have_mean_beta_and_std_gamma_where_these_are_constant():
    x = np.random.default_rng(2).standard_normal((4, 50)) * 3 + 1
    out, _ = cs.layernorm_forward(x, np.full(50, 3.0), np.full(50, 5.0), {})
    np.testing.assert_allclose(out.mean(1), 5, atol=1e-12)
    np.testing.assert_allclose(out.std(1), 3, rtol=1e-4)


@every_layer
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_forward_is_the_definition(layer, eps):
    x, gamma, beta, _ = layer.data(3)
    out, _ = layer.forward(x, gamma, beta, {**TRAIN, "eps": eps})
    if layer.groups is None:
        shape = [1, -1] + [1] * (x.ndim - 2)
        want = hand_written(x, gamma.reshape(shape), beta.reshape(shape), layer.axes, eps)
    else:
        x_hat = hand_written(layer.groups_of(x), 1, 0, -1, eps).reshape(x.shape)
        want = gamma.reshape(1, 6, 1, 1) * x_hat + beta.reshape(1, 6, 1, 1)
    np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-12)


def test_eps_is_1e_5_unless_given():
    x = np.array([[0.0], [2e-3]])
    for forward, scale in ((cs.batchnorm_forward, np.ones(1)), (cs.layernorm_forward, np.ones(2))):
        values = x if forward is cs.batchnorm_forward else x.T
        out, _ = forward(values, scale, 0 * scale, dict(TRAIN))
        np.testing.assert_allclose(out.ravel(), [-1e-3 / np.sqrt(1.1e-5), 1e-3 / np.sqrt(1.1e-5)], rtol=1e-12)


# --- running statistics and test mode --------------------------------------------------------------------------------


def test_momentum_is_the_weight_of_the_old_and_the_variance_biased():
    rng = np.random.default_rng(4)
    for given, momentum in (({}, 0.9), ({"momentum": 0.25}, 0.25)):
        bn_param, mean, var = {**TRAIN, **given}, np.zeros(3), np.zeros(3)
        for _ in range(3):
            x = rng.standard_normal((6, 3)) + 4
            cs.batchnorm_forward(x, np.ones(3), np.zeros(3), bn_param)
            mean, var = (momentum * old + (1 - momentum) * new for old, new in ((mean, x.mean(0)), (var, x.var(0))))
        np.testing.assert_allclose(bn_param["running_mean"], mean, rtol=1e-13)
        np.testing.assert_allclose(bn_param["running_var"], var, rtol=1e-13)


@pytest.mark.parametrize("name", ["batch", "spatial"])
def test_after_many_batches_test_mode_normalizes_nearly_as_train_mode_did(name):
    rng, bn_param = np.random.default_rng(5), dict(TRAIN)
    shape = (200, 3) if name == "batch" else (10, 3, 5, 6)
    gamma, beta = np.ones(3), np.zeros(3)

    def batch():
        return 2.3 * rng.standard_normal(shape) + 13

    for _ in range(60):
        LAYERS[name].forward(batch(), gamma, beta, bn_param)
    bn_param["mode"] = "test"
    channels = LAYERS[name].groups_of(LAYERS[name].forward(batch(), gamma, beta, bn_param)[0])
    assert np.abs(channels.mean(-1)).max() < 0.2
    assert np.abs(channels.std(-1) - 1).max() < 0.15


def test_test_mode_uses_and_keeps_the_running_statistics_and_leaves_no_cache():
    x, gamma, beta, _ = LAYERS["batch"].data(6)
    mean, var = np.arange(5.0), np.arange(1.0, 6.0)
    bn_param = {"mode": "test", "running_mean": mean.copy(), "running_var": var.copy()}
    out, cache = cs.batchnorm_forward(x, gamma, beta, bn_param)
    np.testing.assert_allclose(out, gamma * (x - mean) / np.sqrt(var + 1e-5) + beta, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(bn_param["running_mean"], mean)
    np.testing.assert_array_equal(bn_param["running_var"], var)
    assert cache is None


def test_test_mode_before_any_batch_takes_zeros_and_writes_them():
    bn_param = {"mode": "test"}
    out, _ = cs.batchnorm_forward(np.full((1, 2), 3.0), np.ones(2), np.zeros(2), bn_param)
    np.testing.assert_allclose(out, 3 / np.sqrt(1e-5), rtol=1e-12)
    np.testing.assert_array_equal([bn_param["running_mean"], bn_param["running_var"]], np.zeros((2, 2)))


def test_train_mode_sets_new_running_arrays():
    x, gamma, beta, _ = LAYERS["batch"].data(7)
    mine = np.ones(5)
    bn_param = {**TRAIN, "running_mean": mine, "running_var": mine}
    cs.batchnorm_forward(x, gamma, beta, bn_param)
    np.testing.assert_array_equal(mine, 1)
    assert not np.array_equal(bn_param["running_mean"], mine)
    assert not np.shares_memory(bn_param["running_mean"], bn_param["running_var"])


# --- backward --------------------------------------------------------------------------------------------------------


def numeric_and_own(layer, seed, differences):
    """For x, gamma and beta: the gradient that differences(f, array, dout) gives, and the backward's."""
    x, gamma, beta, dout = layer.data(seed)
    param = dict(TRAIN)
    _, cache = layer.forward(x, gamma, beta, param)
    for own, array in zip(layer.backward(dout, cache), (x, gamma, beta), strict=True):
        assert own.shape == array.shape and own.dtype == np.float64
        yield differences(lambda: layer.forward(x, gamma, beta, param)[0], array, dout), own


@every_layer
def test_gradients_equal_numeric_ones_on_the_notebooks_numbers(layer):
    for numeric, own in numeric_and_own(layer, 231, numeric_gradient):
        assert rel_error(numeric, own) < layer.allowed


@every_layer
@pytest.mark.parametrize("seed", range(5))
def test_gradients_equal_extrapolated_numeric_ones(layer, seed):
    def extrapolated(f, array, dout):
        return (4 * numeric_gradient(f, array, dout, 1e-2) - numeric_gradient(f, array, dout, 2e-2)) / 3

    for numeric, own in numeric_and_own(layer, seed, extrapolated):
        np.testing.assert_allclose(own, numeric, rtol=1e-8, atol=1e-9)


def assert_same_gradients(staged, alternative, dout, cache):
    """Equal to 1e-12 of their terms. dx of two examples is far smaller than its terms (docs/derivation.md B41)."""
    terms = (cache.gamma * cache.rstd * dout, staged[1], staged[2])
    for a, b, term in zip(staged, alternative, terms, strict=True):
        assert np.abs(a - b).max() <= 1e-12 * np.abs(term).max()


@pytest.mark.parametrize("shape", [(100, 500), (2, 3), (1000, 7)])
def test_alternative_backward_equals_the_staged_graph(shape):
    rng = np.random.default_rng(9)
    x, dout = 5 * rng.standard_normal(shape) + 12, rng.standard_normal(shape)
    gamma, beta = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    _, cache = cs.batchnorm_forward(x, gamma, beta, dict(TRAIN))
    assert_same_gradients(cs.batchnorm_backward(dout, cache), cs.batchnorm_backward_alt(dout, cache), dout, cache)


def test_alternative_backward_of_a_large_batch(capsys):
    """The speedup is printed, not asserted."""
    rng = np.random.default_rng(10)
    x, dout = rng.standard_normal((2, 2048, 512))
    _, cache = cs.batchnorm_forward(x, rng.standard_normal(512), np.zeros(512), dict(TRAIN))
    best = {}
    for backward in (cs.batchnorm_backward, cs.batchnorm_backward_alt):
        for _ in range(4):
            begin = time.perf_counter()
            gradients = backward(dout, cache)
            best[backward] = min(best.get(backward, (np.inf,))[0], time.perf_counter() - begin), gradients
    (slow, staged), (fast, alternative) = best.values()
    times = f"staged {slow * 1e3:.1f} ms, alternative {fast * 1e3:.1f} ms, {slow / fast:.1f}x"
    with capsys.disabled():
        print(f"\nCS231n backward, 2048 x 512 float64: {times}")
    assert_same_gradients(staged, alternative, dout, cache)


class Net:
    """affine, normalization, ReLU, twice; affine, softmax loss: the notebook's network in small."""

    def __init__(self, norm, backward, per_layer, sizes=(15, 20, 30, 10)):
        self.norm, self.norm_backward, self.sizes = norm, backward, sizes
        rng, self.p = np.random.default_rng(11), {}
        for i, (m, n) in enumerate(zip(sizes, sizes[1:])):
            self.p[f"W{i}"], self.p[f"b{i}"] = 5e-2 * rng.standard_normal((m, n)), np.zeros(n)
            if i + 2 < len(sizes):
                self.p[f"gamma{i}"], self.p[f"beta{i}"] = np.ones(n), np.zeros(n)
        self.params = [dict(per_layer) for _ in sizes[2:]]
        self.x, self.labels = rng.standard_normal((6, sizes[0])), rng.integers(sizes[-1], size=6)

    def forward(self):
        p, h, self.kept = self.p, self.x, []
        for i, param in enumerate(self.params):
            out, cache = self.norm(h @ p[f"W{i}"] + p[f"b{i}"], p[f"gamma{i}"], p[f"beta{i}"], param)
            self.kept.append((h, cache))
            h = np.maximum(out, 0, out=out)  # in place: no cache may hold out
        last = len(self.params)
        self.kept.append((h, None))
        scores = h @ p[f"W{last}"] + p[f"b{last}"]
        scores -= scores.max(1, keepdims=True)
        log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        rows = np.arange(len(self.labels))
        self.dscores = np.exp(log_p)
        self.dscores[rows, self.labels] -= 1
        self.dscores /= len(rows)
        return -log_p[rows, self.labels].mean()

    def backward(self):
        g, dout = {}, self.dscores
        for i in reversed(range(len(self.kept))):
            h, cache = self.kept[i]
            if cache is not None:
                dout, g[f"gamma{i}"], g[f"beta{i}"] = self.norm_backward(dout, cache)
            g[f"W{i}"], g[f"b{i}"] = h.T @ dout, dout.sum(0)
            dout = (dout @ self.p[f"W{i}"].T) * (h > 0)
        return g


@pytest.mark.parametrize("name", ["batch", "batch_alt", "layer"])
def test_gradients_of_a_network_equal_numeric_ones(name):
    layer = LAYERS[name]
    net = Net(layer.forward, layer.backward, TRAIN)
    net.forward()
    gradients = net.backward()
    assert gradients.keys() == net.p.keys()
    for key, got in gradients.items():
        numeric = numeric_gradient(net.forward, net.p[key], 1.0)
        if name != "layer" and key in ("b0", "b1"):  # a shift that the batch mean takes away again
            assert max(np.abs(got).max(), np.abs(numeric).max()) < 1e-9
        else:
            assert np.abs(got - numeric).max() < 1e-6 * np.abs(numeric).max() + 1e-10, key
