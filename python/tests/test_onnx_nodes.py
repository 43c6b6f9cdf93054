"""The node tests of the onnx package, through unitvar.onnx.Backend."""

from __future__ import annotations

import re
import warnings
from collections import Counter

import pytest

onnx = pytest.importorskip("onnx")

from onnx.backend.test.loader import load_model_tests  # noqa: E402
from onnx.backend.test.runner import Runner  # noqa: E402

import unitvar.onnx  # noqa: E402

#: cases of each operator in onnx 1.23: 46 in all
NODE_CASES = {
    "BatchNormalization": 4,
    "GroupNormalization": 2,
    "InstanceNormalization": 2,
    "LayerNormalization": 19,
    "RMSNormalization": 19,
}
#: cases in which onnx has put an operator's definition in its place; batch and instance norm have none
EXPANDED_CASES = {"layer_normalization": 38, "rms_normalization": 19, "group_normalization": 2}
#: tighter than the cases' own 1e-3 and 1e-7
RTOL, ATOL = 1e-5, 1e-6


@pytest.fixture(scope="module")
def cases():
    """All node cases of the onnx package; making them takes some seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_model_tests(kind="node")


@pytest.fixture
def runs(monkeypatch):
    """How often each of our classes ran."""
    counts = Counter()

    def counting(operator):
        original = operator._run

        def run(self, *args, **kwargs):
            counts[operator] += 1
            return original(self, *args, **kwargs)

        return run

    for operator in unitvar.onnx.OPS:
        monkeypatch.setattr(operator, "_run", counting(operator))
    return counts


def check(case):
    prepared = unitvar.onnx.Backend.prepare(case.model)
    assert case.data_sets, case.name
    for inputs, want in case.data_sets:
        got = prepared.run(inputs)
        Runner.assert_similar_outputs(want, got, rtol=case.rtol, atol=case.atol)
        Runner.assert_similar_outputs(want, got, rtol=RTOL, atol=ATOL)


def direct(cases, op_type):
    return [case for case in cases if any(node.op_type == op_type for node in case.model.graph.node)]


def test_onnx_has_46_cases_of_our_operators(cases):
    assert {op_type: len(direct(cases, op_type)) for op_type in NODE_CASES} == NODE_CASES
    assert sum(NODE_CASES.values()) == 46
    assert {operator.__name__ for operator in unitvar.onnx.OPS} == set(NODE_CASES)


@pytest.mark.parametrize("operator", unitvar.onnx.OPS, ids=lambda operator: operator.__name__)
def test_our_operator_passes_each_node_case(cases, runs, operator):
    selected = direct(cases, operator.__name__)
    for number, case in enumerate(selected, start=1):
        check(case)
        assert runs == {operator: number}, case.name
    assert len(selected) == NODE_CASES[operator.__name__]


@pytest.mark.parametrize("name", EXPANDED_CASES)
def test_the_backend_passes_each_case_made_of_primitives(cases, runs, name):
    selected = [case for case in cases if re.match(rf"test_{name}_.*_expanded", case.name)]
    for case in selected:
        check(case)
    assert len(selected) == EXPANDED_CASES[name]
    assert not runs
