"""unitvar.onnx.fold on small graphs. test_onnx_models.py has whole models."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from unitvar.onnx import OPS, _fold, fold  # noqa: E402

RNG = np.random.default_rng(11)
PARAMETERS = ["gamma", "beta", "mean", "var"]


def value(*shape, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


def parameters(channels, dtype=np.float32):
    made = {name: value(channels, dtype=dtype) for name in PARAMETERS}
    made["var"] = RNG.uniform(0.5, 2, channels).astype(dtype)
    return made


def batch_norm(x, y, **attributes):
    outputs = y if isinstance(y, list) else [y]
    return helper.make_node("BatchNormalization", [x, *PARAMETERS], outputs, name="norm", **attributes)


def model_of(nodes, constants, shape, outputs=("y",), *, opset=15, ir_version=8, rank=None, dtype=np.float32):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(name, kind, array.shape) for name, array in constants.items()]
    result = [helper.make_tensor_value_info(name, kind, [None] * (rank or len(shape))) for name in outputs]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", inputs, result, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, x):
    """By onnxruntime, if all is float32; else by onnx's reference, which fails for ConvTranspose with groups."""
    if x.dtype == np.float32:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    return ReferenceEvaluator(model, new_ops=OPS).run(None, {"x": x})


def op_types(model):
    return [node.op_type for node in model.graph.node]


def assert_same(report, model, shape, dtype=np.float32, rtol=1e-4):
    """The folded model is valid and gives what the model gives; the model itself did not change."""
    onnx.checker.check_model(report.model, full_check=True)
    x = value(*shape, dtype=dtype)
    for got, want in zip(run(report.model, x), run(model, x)):
        assert got.dtype == want.dtype
        got, want = got.astype(np.float64), want.astype(np.float64)
        assert np.linalg.norm(got - want) <= rtol * np.linalg.norm(want)


def names(model):
    return {entry.name for entry in model.graph.initializer}


@pytest.mark.parametrize("ir_version", [3, 8])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_folds_into_a_convolution(op_type, groups, bias, ir_version):
    constants = parameters(6)
    constants["w"] = value(6, 4 // groups, 3, 3) if op_type == "Conv" else value(4, 6 // groups, 3, 3)
    inputs = ["x", "w"]
    if bias:
        constants["b"] = value(6)
        inputs.append("b")
    nodes = [helper.make_node(op_type, inputs, ["h"], group=groups, pads=[1] * 4), batch_norm("h", "y", epsilon=0.1)]
    model = model_of(nodes, constants, (2, 4, 5, 5), ir_version=ir_version)
    model.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [2, 6, None, None]))
    before = model.SerializeToString()
    report = fold(model)
    assert report.folded == ("norm",) and report.not_folded == ()
    assert model.SerializeToString() == before
    assert op_types(report.model) == [op_type] and not report.model.graph.value_info
    assert len(names(report.model)) == 2 and not names(report.model) & set(constants)
    assert_same(report, model, (2, 4, 5, 5))


@pytest.mark.parametrize("bias_shape", [None, (), (1,), (6,), (1, 6)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_folds_into_gemm_with_its_factors(transposed, bias_shape):
    constants = {**parameters(6), "w": value(6, 4) if transposed else value(4, 6)}
    inputs = ["x", "w"]
    if bias_shape is not None:
        constants["c"] = np.asarray(value(*bias_shape), np.float32)
        inputs.append("c")
    nodes = [
        helper.make_node("Gemm", inputs, ["h"], transA=1, transB=transposed, alpha=0.5, beta=3.0),
        batch_norm("h", "y"),
    ]
    model = model_of(nodes, constants, (4, 3))
    report = fold(model)
    assert op_types(report.model) == ["Gemm"]
    assert_same(report, model, (4, 3))


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_folds_in_float64_and_rounds_once(dtype):
    constants = {**parameters(3, dtype=dtype), "w": value(3, 2, 1, dtype=dtype)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"]), batch_norm("h", "y")]
    model = model_of(nodes, constants, (4, 2, 5), dtype=dtype)
    report = fold(model)
    weight = next(numpy_helper.to_array(entry) for entry in report.model.graph.initializer if entry.name == "w_folded")
    gamma, var = (constants[name].astype(np.float64) for name in ("gamma", "var"))
    scale = gamma / np.sqrt(var + float(np.float32(1e-5)))
    want = constants["w"].astype(np.float64) * scale[:, None, None]
    assert weight.dtype == dtype
    np.testing.assert_allclose(weight.astype(np.float64), want, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)
    assert_same(report, model, (4, 2, 5), dtype, rtol=1e-12 if dtype == np.float64 else 3e-3)


def test_folds_a_chain_and_leaves_shared_parameters_to_their_other_users():
    """Two norms one after another; the weight and gamma also serve a convolution and a norm that stay."""
    constants = {**parameters(3), "w": value(3, 3, 1)}
    second = helper.make_node("BatchNormalization", ["g", "gamma", "beta", "mean", "var"], ["y"], name="second")
    third = helper.make_node("BatchNormalization", ["r", "gamma", "beta", "mean", "var"], ["z"], name="third")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"]), batch_norm("h", "g"), second,
        helper.make_node("Conv", ["y", "w"], ["q"]), helper.make_node("Relu", ["q"], ["r"]), third,
    ]  # fmt: skip
    model = model_of(nodes, constants, (2, 3, 4), ("z",))
    report = fold(model)
    assert report.folded == ("norm", "second")
    assert [entry.node for entry in report.not_folded] == ["third"]
    assert op_types(report.model) == ["Conv", "Conv", "Relu", "BatchNormalization"]
    assert names(report.model) == {*constants, report.model.graph.node[0].input[1], report.model.graph.node[0].input[2]}
    assert_same(report, model, (2, 3, 4))


def test_folds_two_maps_that_share_a_weight():
    constants = {**parameters(3), "w": value(3, 3, 1)}
    again = helper.make_node("BatchNormalization", ["g", "beta", "gamma", "mean", "var"], ["z"], name="again")
    model = model_of([*conv_then(batch_norm("h", "y")), helper.make_node("Conv", ["y", "w"], ["g"]), again],
                     constants, (2, 3, 4), ("y", "z"))  # fmt: skip
    report = fold(model)
    assert report.folded == ("norm", "again") and len(names(report.model)) == 4
    assert_same(report, model, (2, 3, 4))


def test_folds_parameters_that_constant_nodes_make():
    constants = parameters(3)
    weight, shape = value(3, 2, 1), np.array([3])
    gamma = numpy_helper.from_array(np.array([2], np.float32))
    del constants["gamma"]
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight)),
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(shape)),
        helper.make_node("ConstantOfShape", ["shape"], ["gamma"], value=gamma),
        helper.make_node("Conv", ["x", "w"], ["h"]),
        batch_norm("h", "y"),
    ]
    model = model_of(nodes, constants, (2, 2, 4))
    report = fold(model)
    assert op_types(report.model) == ["Conv"]
    assert_same(report, model, (2, 2, 4))


def test_the_example_in_the_documentation_runs():
    result = doctest.testmod(_fold)
    assert result.attempted > 0 and result.failed == 0


def conv_then(norm, *more):
    return [helper.make_node("Conv", ["x", "w"], ["h"]), norm, *more]


def with_default_input(model):
    model.graph.input.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, [3]))
    return model


def small(nodes, outputs=("y",), **keywords):
    return model_of(nodes, {**parameters(3), "w": value(3, 3, 1)}, (2, 3, 4), outputs, **keywords)


REASONS = {
    "no map before it": (lambda: small([batch_norm("x", "y")]), "graph input or initializer, want that of Conv"),
    "another operator before it": (
        lambda: small(conv_then(helper.make_node("Relu", ["h"], ["r"]), batch_norm("r", "y"))),
        "output of Relu, want that of Conv, ConvTranspose, Gemm",
    ),
    "a second user": (
        lambda: small(conv_then(batch_norm("h", "y"), helper.make_node("Relu", ["h"], ["z"])), ("y", "z")),
        "'h' has 2 uses, want this one only",
    ),
    "a graph output": (lambda: small(conv_then(batch_norm("h", "y")), ("y", "h")), "'h' has 2 uses"),
    "training": (
        lambda: small(conv_then(batch_norm("h", ["y", "m", "v"], training_mode=1))),
        "training mode, want inference",
    ),
    "training by its outputs": (lambda: small(conv_then(batch_norm("h", ["y", *"mvst"])), opset=9), "training mode"),
    "an old opset": (lambda: small(conv_then(batch_norm("h", "y", is_test=1)), opset=6), "opset is 6"),
    "a parameter that a run computes": (
        lambda: small(
            [helper.make_node("Abs", ["w"], ["v"]), helper.make_node("Conv", ["x", "v"], ["h"]), batch_norm("h", "y")]
        ),
        "weight 'v' is no constant",
    ),
    "a parameter that a caller may replace": (
        lambda: with_default_input(small(conv_then(batch_norm("h", "y")))),
        "mean 'mean' is a graph input",
    ),
    "a negative variance": (
        lambda: model_of(
            conv_then(batch_norm("h", "y")),
            {**parameters(3), "var": -np.ones(3, np.float32), "w": value(3, 3, 1)}, (2, 3, 4),
        ),
        "var + eps is -1",
    ),
    "a bias by rows": (
        lambda: model_of(
            [helper.make_node("Gemm", ["x", "w", "c"], ["h"]), batch_norm("h", "y")],
            {**parameters(3), "w": value(2, 3), "c": value(4, 1)}, (4, 2),
        ),
        r"C has shape (4, 1), want one row",
    ),
    "a weight too large for its type": (
        lambda: model_of(
            conv_then(batch_norm("h", "y")),
            {
                **parameters(3, dtype=np.float16), "gamma": np.full(3, 6e4, np.float16),
                "w": np.full((3, 3, 1), 9, np.float16),
            },
            (2, 3, 4), dtype=np.float16,
        ),
        "too large for float16",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REASONS)
def test_says_why_a_node_stays_and_changes_nothing(case):
    make, reason = REASONS[case]
    model = make()
    report = fold(model)
    assert report.folded == ()
    ((node, got),) = report.not_folded
    assert node == "norm" and reason in got
    assert report.model.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_names_the_nodes_in_subgraphs_and_functions():
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 15, "local": 1]>
        agraph (float[2, 3] x, float[3] p, bool flag) => (float[2, 3] y)
        {
            z = local.inner (x, p)
            y = If (flag) <
                then_branch = yes () => (a) { a = BatchNormalization (z, p, p, p, p) },
                else_branch = no () => (b) { b = Identity (z) }
            >
        }
        <domain: "local", opset_import: ["": 15]>
        inner (x, p) => (f) { f = BatchNormalization (x, p, p, p, p) }
    """)
    report = fold(model)
    assert report.folded == ()
    assert [(entry.node, entry.reason) for entry in report.not_folded] == [
        ("a", "it is in a subgraph, want the main graph"),
        ("f", "it is in a function of the model, want the main graph"),
    ]


def test_a_use_inside_a_subgraph_counts():
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 15]>
        agraph (float[2, 1] x, bool flag) => (float[2, 1] y, float[2, 1] z)
        <float[1, 1] w = {3}, float[1] p = {1}>
        {
            h = Gemm (x, w)
            y = BatchNormalization (h, p, p, p, p)
            z = If (flag) <
                then_branch = yes () => (a) { a = Relu (h) },
                else_branch = no () => (b) { b = Identity (h) }
            >
        }
    """)
    ((node, reason),) = fold(model).not_folded
    assert node == "y" and "'h' has 3 uses" in reason
