"""Folds inference batch norm into the map before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto

from .._fold import batch_norm_fold
from ._graph import Graph, Refusal, attribute, nodes_below, opset_of

__all__ = ["FoldReport", "NotFolded", "fold"]

_ONNX = ("", "ai.onnx")
_DEFAULT_EPSILON = float(np.float32(1e-5))  # ONNX's attributes are float32


class NotFolded(NamedTuple):
    """A BatchNormalization node that stays."""

    #: the node's name, or that of its first output
    node: str
    reason: str


class FoldReport(NamedTuple):
    """What fold gives."""

    model: ModelProto
    #: names of the nodes that are gone; the name of the first output for a node without a name
    folded: tuple[str, ...]
    not_folded: tuple[NotFolded, ...]


class _Normalization(NamedTuple):
    """The parameters of an inference batch norm, and eps."""

    mean: np.ndarray
    var: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    eps: float

    def fold(
        self, weight: np.ndarray, bias: np.ndarray | None, kind: str, groups: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The map's weight and bias in float64."""
        try:
            weight, bias = batch_norm_fold(
                weight, self.mean, self.var, self.gamma, self.beta, bias, eps=self.eps, kind=kind, groups=groups
            )
        except ValueError as error:
            raise Refusal(str(error)) from None
        return weight, bias


def fold(model: ModelProto) -> FoldReport:
    """Folds BatchNormalization into the Conv, ConvTranspose or Gemm before it (docs/derivation.md B71).

    ``weight' = weight * gamma / sqrt(var + eps)`` and ``bias' = (bias - mean) * gamma / sqrt(var + eps) + beta``, in
    float64, rounded once to the type of the weight. A node is folded if it normalizes by given statistics, if nothing
    else uses its input, and if all parameters are constants: initializers, Constant or ConstantOfShape.

    Args:
        model: not changed. Of opset 7 or later; nodes of an older one are not folded.

    Returns:
        the new model, the nodes that are folded, and those that are not with the reason.

    >>> import numpy as np, onnx, unitvar.onnx
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["": 15]>
    ...     agraph (float[N, 1] x) => (float[N, 1] y)
    ...     <float[1, 1] w = {3}, float[1] gamma = {1}, float[1] beta = {2}, float[1] mean = {0}, float[1] var = {4}>
    ...     { h = Gemm(x, w)  y = BatchNormalization<epsilon = 0.0>(h, gamma, beta, mean, var) }''')
    >>> report = unitvar.onnx.fold(model)
    >>> report.folded, report.not_folded
    (('y',), ())
    >>> [float(onnx.numpy_helper.to_array(entry).item()) for entry in report.model.graph.initializer]
    [1.5, 2.0]
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph, opset = Graph(result), opset_of(result.opset_import)
    folded, kept = [], []
    for node in list(result.graph.node):
        if not _is_batch_norm(node):
            continue
        name = _name_of(node)
        try:
            _fold_node(graph, node, opset)
            folded.append(name)
        except Refusal as refusal:
            kept.append(NotFolded(name, str(refusal)))
    graph.sweep()
    return FoldReport(result, tuple(folded), (*kept, *_out_of_reach(result)))


def _is_batch_norm(node: NodeProto) -> bool:
    return node.op_type == "BatchNormalization" and node.domain in _ONNX


def _name_of(node: NodeProto) -> str:
    return node.name or node.output[0]


def _out_of_reach(model: ModelProto) -> list[NotFolded]:
    """The nodes outside the main graph."""
    inner = list(nodes_below(model.graph.node))
    of_functions = [node for function in model.functions for node in (*function.node, *nodes_below(function.node))]
    return [
        NotFolded(_name_of(node), f"it is in a {place}, want the main graph")
        for place, nodes in (("subgraph", inner), ("function of the model", of_functions))
        for node in nodes
        if _is_batch_norm(node)
    ]


def _fold_node(graph: Graph, node: NodeProto, opset: int) -> None:
    """Folds one node. Refusal, with nothing changed, if it cannot be."""
    _require_inference(node, opset)
    before = graph.producers.get(node.input[0])
    fold_into = _FOLDS.get(before.op_type) if before is not None and before.domain in _ONNX else None
    if before is None or fold_into is None:
        source = "a graph input or initializer" if before is None else f"the output of {before.op_type}"
        raise Refusal(f"its input is {source}, want that of {', '.join(_FOLDS)}")
    if graph.uses[node.input[0]] != 1:
        raise Refusal(f"its input {node.input[0]!r} has {graph.uses[node.input[0]]} uses, want this one only")
    roles = ("scale", "B", "mean", "var")
    gamma, beta, mean, var = (graph.constant(name, role) for role, name in zip(roles, node.input[1:5]))
    normalization = _Normalization(mean, var, gamma, beta, float(attribute(node, "epsilon", _DEFAULT_EPSILON)))
    weight = graph.constant(before.input[1], "weight")
    bias = graph.constant(before.input[2], "bias") if len(before.input) > 2 and before.input[2] else None
    new_weight, new_bias = fold_into(before, normalization, weight.astype(np.float64), bias)
    _replace(graph, before, _rounded(new_weight, weight.dtype), _rounded(new_bias, weight.dtype))
    graph.bypass(node)


def _require_inference(node: NodeProto, opset: int) -> None:
    if opset < 7 or not attribute(node, "spatial", 1):
        raise Refusal(f"opset is {opset} and spatial {attribute(node, 'spatial', 1)}, want opset >= 7 and spatial 1")
    training = attribute(node, "training_mode", 0) if opset >= 14 else any(node.output[1:])
    if training:
        raise Refusal("it is in training mode, want inference")


def _rounded(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = value.astype(dtype)
    if np.isfinite(value).all() and not np.isfinite(rounded.astype(np.float64)).all():
        raise Refusal(f"the folded weight or bias is too large for {dtype}")
    return rounded


def _replace(graph: Graph, before: NodeProto, weight: np.ndarray, bias: np.ndarray) -> None:
    """Gives the map before the normalization another weight and bias."""
    old_weight, old_bias = before.input[1], before.input[2] if len(before.input) > 2 else ""
    names = [graph.add_initializer(old_weight, weight)]
    names.append(graph.add_initializer(old_bias or f"{old_weight}_bias", bias))
    del before.input[1:]
    before.input.extend(names)
    for name in filter(None, (old_weight, old_bias)):
        graph.release(name)
    for index in reversed(range(len(before.attribute))):
        if before.attribute[index].name in ("alpha", "beta"):
            del before.attribute[index]


def _fold_convolution(
    before: NodeProto, normalization: _Normalization, weight: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Into Conv, weight [O, I / groups, ...], or ConvTranspose, weight [I, O / groups, ...]."""
    kind = "convolution" if before.op_type == "Conv" else "transposed_convolution"
    return normalization.fold(weight, bias, kind, int(attribute(before, "group", 1)))


def _fold_gemm(
    before: NodeProto, normalization: _Normalization, weight: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Into Gemm, ``alpha * A @ B + beta * C``; alpha and beta go into the new weight and bias."""
    transposed = bool(attribute(before, "transB", 0))
    linear = np.ascontiguousarray(weight if transposed else weight.T) * attribute(before, "alpha", 1.0)
    if bias is not None:
        bias = _per_column(bias.astype(np.float64), linear.shape[0]) * attribute(before, "beta", 1.0)
    linear, bias = normalization.fold(linear, bias, "linear", 1)
    return (linear if transposed else linear.T), bias


def _per_column(bias: np.ndarray, columns: int) -> np.ndarray:
    """C of Gemm as one value for each column."""
    if (bias.ndim > 1 and bias.shape[0] != 1) or bias.shape[-1:] not in ((), (1,), (columns,)):
        raise Refusal(f"C has shape {bias.shape}, want one row of 1 or {columns} values")
    return np.broadcast_to(bias.reshape(bias.shape[-1:]), (columns,))


_Fold = Callable[[NodeProto, _Normalization, np.ndarray, "np.ndarray | None"], "tuple[np.ndarray, np.ndarray]"]
_FOLDS: dict[str, _Fold] = {"Conv": _fold_convolution, "ConvTranspose": _fold_convolution, "Gemm": _fold_gemm}
