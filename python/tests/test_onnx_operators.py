"""unitvar.onnx: what the node tests of the onnx package do not ask: older opsets, types, broadcasting, errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

import ml_dtypes  # noqa: E402  (onnx needs it)
from onnx import helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

import unitvar.onnx  # noqa: E402
from unitvar.onnx import Backend, Evaluator  # noqa: E402

RNG = np.random.default_rng(7)
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
#: relative L2 error: the library's 3e-7 of float32, rounding of the small types
ERROR = {"float32": 3e-7, "float64": 1e-13, "float16": 5e-4, "bfloat16": 4e-3}
EPSILON = float(np.float32(1e-5))


def run(op_type, inputs, *, opset, outputs=1, **attributes):
    names = [f"i{n}" for n in range(len(inputs))]
    node = helper.make_node(op_type, names, [f"o{n}" for n in range(outputs)], **attributes)
    return Backend.run_node(node, inputs, opset_version=opset)


def normal(*shape, dtype=np.float32, mean=0.0):
    return RNG.normal(mean, 1.0, shape).astype(dtype)


def positive(*shape, dtype=np.float32):
    return RNG.uniform(0.5, 2.0, shape).astype(dtype)


def double(*arrays):
    return [array.astype(np.float64) for array in arrays]


def assert_close(got, want, dtype):
    assert got.dtype == dtype and got.shape == want.shape
    assert np.linalg.norm(got.astype(np.float64) - want) <= ERROR[np.dtype(dtype).name] * np.linalg.norm(want)


def standardized(x, axes):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + EPSILON), mean, var


def columns(value, rank):
    return value.reshape(-1, *[1] * (rank - 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("opset", [9, 14, 15])
def test_batch_norm_trains_in_each_opset(opset, dtype):
    x = normal(4, 3, 5, dtype=dtype, mean=2)
    scale, bias, mean, var = (make(3, dtype=dtype) for make in (normal, normal, normal, positive))
    attributes = {"momentum": 0.75, **({"training_mode": 1} if opset >= 14 else {})}
    outputs = 5 if opset == 9 else 3
    got = run("BatchNormalization", [x, scale, bias, mean, var], opset=opset, outputs=outputs, **attributes)
    x64, scale64, bias64, mean64, var64 = double(x, scale, bias, mean, var)
    x_hat, batch_mean, batch_var = standardized(x64, (0, 2))
    batch_mean, batch_var = batch_mean.ravel(), batch_var.ravel()
    want = [
        columns(scale64, 3) * x_hat + columns(bias64, 3), 0.75 * mean64 + 0.25 * batch_mean,
        0.75 * var64 + 0.25 * batch_var, batch_mean, batch_var,
    ]  # fmt: skip
    assert len(got) == outputs
    for one, other in zip(got, want):
        assert_close(one, other, dtype)
    if opset >= 14:
        (alone,) = run("BatchNormalization", [x, scale, bias, mean, var], opset=opset, **attributes)
        assert_close(alone, want[0], dtype)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("shape", [(6,), (6, 3), (2, 3, 4, 5)])
def test_batch_norm_takes_given_statistics_in_each_opset(opset, shape):
    channels = shape[1] if len(shape) > 1 else 1
    x = normal(*shape)
    scale, bias, mean, var = (make(channels) for make in (normal, normal, normal, positive))
    (got,) = run("BatchNormalization", [x, scale, bias, mean, var], opset=opset, epsilon=0.25)
    x64, *parameters = double(x, scale, bias, mean, var)
    scale64, bias64, mean64, var64 = (columns(value, max(2, x.ndim)) for value in parameters)
    if x.ndim == 1:
        scale64, bias64, mean64, var64 = (value.ravel() for value in (scale64, bias64, mean64, var64))
    assert_close(got, scale64 * (x64 - mean64) / np.sqrt(var64 + 0.25) + bias64, np.float32)


def test_batch_norm_keeps_the_types_of_scale_and_statistics_apart():
    x, scale = normal(8, 3, dtype=np.float16), normal(3)
    mean, var = normal(3, dtype=np.float64), positive(3, dtype=np.float64)
    got = run("BatchNormalization", [x, scale, scale, mean, var], opset=15, outputs=3, training_mode=1)
    assert [value.dtype for value in got] == [np.float16, np.float64, np.float64]


@pytest.mark.parametrize("opset, attributes", [(6, {"is_test": 1}), (7, {"spatial": 0})])
def test_batch_norm_refuses_what_it_does_not_know(opset, attributes):
    x, ones = normal(2, 3, 4), np.ones(3, np.float32)
    with pytest.raises(NotImplementedError, match="want opset >= 7 and spatial 1"):
        run("BatchNormalization", [x, ones, ones, ones, ones], opset=opset, **attributes)


@pytest.mark.parametrize("stash_type", [onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_gives_statistics_in_the_stash_type(dtype, stash_type):
    x, scale, bias = normal(4, 3, 5, dtype=dtype, mean=3), normal(3, 5, dtype=dtype), normal(3, 5, dtype=dtype)
    y, mean, rstd = run("LayerNormalization", [x, scale, bias], opset=17, outputs=3, axis=1, stash_type=stash_type)
    x64, scale64, bias64 = double(x, scale, bias)
    x_hat, mean64, var64 = standardized(x64, (1, 2))
    stash = helper.tensor_dtype_to_np_dtype(stash_type)
    assert_close(y, x_hat * scale64 + bias64, dtype)
    assert_close(mean, mean64, stash)
    assert_close(rstd, 1 / np.sqrt(var64 + EPSILON), stash)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(5,), (1,), (3, 1), (3, 5), (1, 3, 5), (1, 1, 1), (4, 1, 1), (4, 3, 5)])
def test_layer_and_rms_norm_broadcast_scale_to_x(shape, dtype):
    x, scale, bias = normal(4, 3, 5, dtype=dtype, mean=1), normal(*shape, dtype=dtype), normal(5, dtype=dtype)
    x64, scale64, bias64 = double(x, scale, bias)
    rms = np.sqrt((x64**2).mean((1, 2), keepdims=True) + EPSILON)
    layer = run("LayerNormalization", [x, scale, bias], opset=17, axis=1)
    root = run("RMSNormalization", [x, scale], opset=23, axis=1)
    for (y,), want in ((layer, standardized(x64, (1, 2))[0] * scale64 + bias64), (root, x64 / rms * scale64)):
        assert_close(y, want, dtype)
        if dtype == np.float16:  # rounded once
            assert np.mean(y == want.astype(dtype)) > 0.95


def test_a_stash_type_of_double_gives_results_rounded_once():
    x, scale, bias = normal(8, 6, 32, mean=100), normal(6), normal(6)
    stash = {"stash_type": onnx.TensorProto.DOUBLE}
    x64, scale64, bias64 = double(x, scale[:, None], bias[:, None])
    layer = run("LayerNormalization", [x, scale[:, None], bias[:, None]], opset=17, axis=1, outputs=3, **stash)
    assert [value.dtype for value in layer] == [np.float32, np.float64, np.float64]
    (root,) = run("RMSNormalization", [x, scale[:, None]], opset=23, axis=1, **stash)
    (group,) = run("GroupNormalization", [x, scale, bias], opset=21, num_groups=1, **stash)
    want = standardized(x64, (1, 2))[0] * scale64 + bias64
    want_root = x64 / np.sqrt((x64**2).mean((1, 2), keepdims=True) + EPSILON) * scale64
    for got, exact in ((layer[0], want), (group, want), (root, want_root)):
        assert np.mean(got == exact.astype(np.float32)) > 0.99


def test_layer_norm_needs_no_bias():
    x, scale = normal(4, 5), normal(5)
    (y,) = run("LayerNormalization", [x, scale], opset=17)
    assert_close(y, standardized(double(x)[0], 1)[0] * double(scale)[0], np.float32)


@pytest.mark.parametrize("scale_dtype", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rms_norm_gives_the_type_of_scale(dtype, scale_dtype):
    x, scale = normal(4, 6, dtype=dtype), normal(6, dtype=scale_dtype)
    (y,) = run("RMSNormalization", [x, scale], opset=23)
    x64, scale64 = double(x, scale)
    assert_close(y, x64 / np.sqrt((x64**2).mean(1, keepdims=True) + EPSILON) * scale64, scale_dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("opset", [18, 20, 21])
def test_group_norm_takes_scale_by_group_before_opset_21_and_by_channel_after(opset, dtype):
    size = 2 if opset < 21 else 6
    x, scale, bias = normal(3, 6, 4, dtype=dtype), normal(size, dtype=dtype), normal(size, dtype=dtype)
    (y,) = run("GroupNormalization", [x, scale, bias], opset=opset, num_groups=2)
    x64, scale64, bias64 = double(x, scale, bias)
    x_hat = standardized(x64.reshape(3, 2, 3, 4), (2, 3))[0].reshape(x.shape)
    by_channel = [np.repeat(value, 6 // size)[:, None] for value in (scale64, bias64)]
    assert_close(y, x_hat * by_channel[0] + by_channel[1], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("opset", [6, 22])
def test_instance_norm_normalizes_each_sample(opset, dtype):
    x, scale, bias = normal(3, 2, 4, 5, dtype=dtype), normal(2, dtype=dtype), normal(2, dtype=dtype)
    (y,) = run("InstanceNormalization", [x, scale, bias], opset=opset)
    x64, scale64, bias64 = double(x, scale, bias)
    assert_close(y, standardized(x64, (2, 3))[0] * columns(scale64, 4) + columns(bias64, 4), dtype)


@pytest.mark.parametrize(
    "op_type, shapes, attributes, message",
    [
        ("LayerNormalization", [(2, 3), (4,)], {}, r"Scale has shape \(4,\), want one that broadcasts"),
        ("LayerNormalization", [(2, 3), (3,)], {"axis": 2}, "axis is 2, want an axis of X"),
        ("LayerNormalization", [(2, 3), (3,)], {"stash_type": 7}, "stash_type is 7"),
        ("GroupNormalization", [(2, 3), (3,), (3,)], {"num_groups": 2}, "num_groups is 2, want a divisor of the 3"),
        ("BatchNormalization", [(2, 3), (4,), (3,), (3,), (3,)], {}, "gamma has shape"),
    ],
)
def test_errors_name_what_is_wrong(op_type, shapes, attributes, message):
    with pytest.raises(ValueError, match=message):
        run(op_type, [np.ones(shape, np.float32) for shape in shapes], opset=21, **attributes)


MODEL_WITH_FUNCTION = """
<ir_version: 8, opset_import: ["": 17, "local": 1]>
agraph (float[4, 5] x, float[5] scale, bool flag) => (float[4, 5] y)
{
    z = local.normalized (x, scale)
    y = If (flag) <
        then_branch = yes () => (a) { a = LayerNormalization (z, scale) },
        else_branch = no () => (b) { b = Identity (z) }
    >
}
<domain: "local", opset_import: ["": 17]>
normalized (x, scale) => (y) { y = LayerNormalization (x, scale) }
"""


def test_operators_run_in_functions_and_subgraphs(monkeypatch):
    calls = []
    original = unitvar.onnx.LayerNormalization._run

    def run(*args, **keywords):
        calls.append(args)
        return original(*args, **keywords)

    monkeypatch.setattr(unitvar.onnx.LayerNormalization, "_run", run)
    model = onnx.parser.parse_model(MODEL_WITH_FUNCTION)
    feeds = {"x": normal(4, 5), "scale": positive(5), "flag": np.array(True)}
    (got,) = Evaluator(model).run(None, feeds)
    assert len(calls) == 2
    (want,) = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


MODEL_WITH_INITIALIZER = """
<ir_version: 8, opset_import: ["": 17]>
agraph (float[2, 2] x, float[2] scale) => (float[2, 2] y) <float[2] scale = {1, 2}>
{ y = LayerNormalization (x, scale) }
"""


def test_backend_takes_inputs_by_position_or_name():
    prepared = Backend.prepare(onnx.parser.parse_model(MODEL_WITH_INITIALIZER))
    x, scale = normal(2, 2), np.array([1, 2], np.float32)
    results = [prepared.run(inputs)[0] for inputs in (x, [x], [x, scale], {"x": x})]
    assert all(np.array_equal(result, results[0]) for result in results)
    with pytest.raises(ValueError, match="inputs has 3 arrays, want 1: x"):
        prepared.run([x, scale, scale])
    assert Backend.supports_device("CPU") and not Backend.supports_device("CUDA:0")
    with pytest.raises(ValueError, match="device is 'CUDA', want 'CPU'"):
        Backend.prepare(onnx.parser.parse_model(MODEL_WITH_INITIALIZER), "CUDA")


def test_importing_unitvar_does_not_import_onnx():
    code = "import sys, unitvar; sys.exit('onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
