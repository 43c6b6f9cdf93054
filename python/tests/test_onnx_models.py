"""unitvar.onnx on whole models: against onnxruntime, and against a float64 evaluation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx.reference.op_run import OpRun  # noqa: E402
from onnx_models import (  # noqa: E402
    LIGHT_MODELS,
    images,
    in_double,
    l2_error,
    light_model,
    normalizations,
    run_onnxruntime,
)

import unitvar.onnx  # noqa: E402

#: of a whole network in float32: 121 layers one after another; the largest one seen is 2e-6
NETWORK = 1e-5
#: of one normalization in float32, given the same input
NORMALIZATION = 3e-7


def formula(x, scale, bias, mean, var, epsilon):
    """Inference batch norm in float64, in plain NumPy."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    x, scale, bias, mean, var = (
        value.astype(np.float64).reshape(shape if value.ndim == 1 else value.shape)
        for value in (x, scale, bias, mean, var)
    )
    return scale * (x - mean) / np.sqrt(var + float(epsilon)) + bias


class BatchNormalization(OpRun):
    """The formula as an operator. That of onnx 1.23 for opset 9 mixes batch statistics into inference."""

    def _run(self, x, scale, bias, mean, var, epsilon=None, momentum=None, training_mode=None):
        return (formula(x, scale, bias, mean, var, epsilon),)


@pytest.fixture(scope="module", params=LIGHT_MODELS)
def model(request):
    model = light_model(request.param)
    assert len(normalizations(model)) == LIGHT_MODELS[request.param]
    return model


@pytest.fixture(scope="module")
def ours(model):
    """All values of the graph, evaluated with our operators, and how often each class ran."""
    counts = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for operator in unitvar.onnx.OPS:
            patch.setattr(operator, "_run", counting(operator, counts))
        evaluator = ReferenceEvaluator(model, new_ops=unitvar.onnx.OPS)
        return evaluator.run(None, images(model), intermediate=True), counts


def counting(operator, counts):
    original = operator._run

    def run(self, *args, **kwargs):
        counts[operator.__name__] += 1
        return original(self, *args, **kwargs)

    return run


def outputs(model):
    """What is compared: each normalization's y, and the model's last value before a softmax, which hides errors."""
    last = model.graph.node[-1]
    result = last.input[0] if last.op_type == "Softmax" else last.output[0]
    return [*(node.output[0] for node in normalizations(model)), result]


def worst(got, want, names):
    return max((l2_error(got[name], want[name]), name) for name in names)


def test_our_operator_runs_for_each_normalization(model, ours):
    assert ours[1] == {"BatchNormalization": len(normalizations(model))}


def test_each_normalization_has_the_digits_of_float32(model, ours):
    values, _ = ours
    for node in normalizations(model):
        epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), np.float32(1e-5))
        want = formula(*(values[name] for name in node.input), epsilon)
        assert values[node.output[0]].dtype == np.float32
        assert l2_error(values[node.output[0]], want) <= NORMALIZATION, node.output[0]


def test_each_value_agrees_with_onnxruntime(model, ours):
    names = outputs(model)
    error, name = worst(ours[0], run_onnxruntime(model, images(model), names), names)
    assert error <= NETWORK, name


def test_each_value_agrees_with_a_float64_evaluation(model, ours):
    double = ReferenceEvaluator(in_double(model), new_ops=[BatchNormalization])
    feeds = {name: value.astype(np.float64) for name, value in images(model).items()}
    want = double.run(None, feeds, intermediate=True)
    names = outputs(model)
    assert all(want[name].dtype == np.float64 for name in names)
    error, name = worst(ours[0], want, names)
    assert error <= NETWORK, name


@pytest.mark.parametrize("place", [0, -1])
def test_the_random_weights_notice_a_mistake(model, place):
    """A variance 2 % too large in the first or the last normalization shows in the model's last value."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    entry = next(entry for entry in wrong.graph.initializer if entry.name == normalizations(model)[place].input[4])
    entry.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(entry) * np.float32(1.02), entry.name))
    name = outputs(model)[-1]
    got, want = (run_onnxruntime(graph, images(model), [name])[name] for graph in (wrong, model))
    assert l2_error(got, want) > 100 * NETWORK


def test_fold_keeps_each_value(model):
    report = unitvar.onnx.fold(model)
    onnx.checker.check_model(report.model, full_check=True)
    sources = {node.output[0]: node.op_type for node in model.graph.node}
    after_conv = [node for node in normalizations(model) if sources[node.input[0]] == "Conv"]
    assert report.folded == tuple(node.name or node.output[0] for node in after_conv)
    assert len(report.folded) + len(report.not_folded) == len(normalizations(model))
    assert len(normalizations(report.model)) == len(report.not_folded)
    names = outputs(model)
    want = run_onnxruntime(model, images(model), names)
    error, name = worst(run_onnxruntime(report.model, images(model), names), want, names)
    assert error <= NETWORK, name
