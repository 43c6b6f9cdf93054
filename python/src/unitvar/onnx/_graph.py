"""A model's graph, edited: who makes a value, who uses it, and which values are constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    external_data_helper,
    helper,
    numpy_helper,
)

__all__ = ["Graph", "Refusal", "attribute", "nodes_below", "opset_of"]

#: From this IR version on, an initializer that is a graph input is a default, which a caller may replace.
_DEFAULTS_SINCE_IR = 4


class Refusal(Exception):
    """Why a node cannot be folded."""


def opset_of(imports: Iterable[OperatorSetIdProto]) -> int:
    """Version of ONNX's own operators among opset_import."""
    return next((entry.version for entry in imports if entry.domain in ("", "ai.onnx")), 1)


def attribute(node: NodeProto, name: str, default: float) -> float:
    """A number among the node's attributes."""
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for entry in node.attribute:
        if entry.type == AttributeProto.GRAPH:
            yield entry.g
        elif entry.type == AttributeProto.GRAPHS:
            yield from entry.graphs


def nodes_below(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes inside the subgraphs of the nodes."""
    for node in nodes:
        for graph in _subgraphs(node):
            yield from graph.node
            yield from nodes_below(graph.node)


def _used_names(graph: GraphProto) -> Iterator[str]:
    """Each use of a value by a node, a node of a subgraph, or a graph's outputs."""
    for node in graph.node:
        yield from node.input
        for inner in _subgraphs(node):
            yield from _used_names(inner)
    for output in graph.output:
        yield output.name


class Graph:
    """Edits the main graph of a model in place. Call `sweep` at the end."""

    def __init__(self, model: ModelProto) -> None:
        self.proto = model.graph
        self.lists_initializers = model.ir_version < _DEFAULTS_SINCE_IR
        self.initializers = {entry.name: entry for entry in self.proto.initializer}
        self.replaceable = set() if self.lists_initializers else {entry.name for entry in self.proto.input}
        self.producers = {name: node for node in self.proto.node for name in node.output if name}
        self.uses = Counter(_used_names(self.proto))
        self._names = {*self.uses, *self.producers, *self.initializers, *(entry.name for entry in self.proto.input)}
        self._dropped: set[str] = set()

    def constant(self, name: str, role: str) -> np.ndarray:
        """The value of a constant. Refusal if a run may change it."""
        if name in self.initializers:
            entry = self.initializers[name]
            if name in self.replaceable:
                raise Refusal(f"{role} {name!r} is a graph input, which a caller may replace")
            if external_data_helper.uses_external_data(entry):
                raise Refusal(f"{role} {name!r} lies in another file that is not loaded")
            return numpy_helper.to_array(entry)
        node = self.producers.get(name)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
        if node is not None and node.op_type == "ConstantOfShape":
            values = [numpy_helper.to_array(entry.t) for entry in node.attribute if entry.name == "value"]
            value = values[0].reshape(()) if values else np.float32(0)
            return np.full(self.constant(node.input[0], "shape").tolist(), value)
        raise Refusal(f"{role} {name!r} is no constant")

    def add_initializer(self, near: str, value: np.ndarray) -> str:
        """A new initializer, and its name, which resembles `near`."""
        name, number = f"{near}_folded", 1
        while name in self._names:
            number += 1
            name = f"{near}_folded{number}"
        self._names.add(name)
        self.uses[name] = 1
        entry = self.proto.initializer.add()
        entry.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
        self.initializers[name] = entry
        if self.lists_initializers:
            self.proto.input.append(helper.make_tensor_value_info(name, entry.data_type, value.shape))
        return name

    def release(self, name: str) -> None:
        """One use less. Drops an initializer or constant that has none left."""
        self.uses[name] -= 1
        if self.uses[name] > 0:
            return
        self._dropped.add(name)
        if self.initializers.pop(name, None) is not None:
            return
        node = self.producers.pop(name, None)
        if node is not None:
            inputs = list(node.input)
            node.Clear()
            for value in inputs:
                self.release(value)

    def bypass(self, node: NodeProto) -> None:
        """Removes a node: the maker of its first input makes its first output instead."""
        old, new, others = node.input[0], node.output[0], list(node.input[1:])
        maker = self.producers.pop(old)
        maker.output[list(maker.output).index(old)] = new
        self.producers[new] = maker
        self._dropped.add(old)
        node.Clear()
        for name in others:
            self.release(name)

    def sweep(self) -> None:
        """Takes away what was dropped."""
        nodes = self.proto.node
        for index in reversed(range(len(nodes))):
            if not nodes[index].op_type:
                del nodes[index]
        for entries in (self.proto.initializer, self.proto.input, self.proto.value_info):
            for index in reversed(range(len(entries))):
                if entries[index].name in self._dropped:
                    del entries[index]
