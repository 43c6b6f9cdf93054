"""The light models of the onnx package with seeded random weights, and three ways to run them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
#: how many BatchNormalization nodes each model has
LIGHT_MODELS = {"densenet121": 121, "inception_v2": 69, "resnet50": 53, "shufflenet": 49}
#: height and width of the images, a multiple of 32; the models want 224, for which onnx's reference is slow
SIZES = {"densenet121": 32, "inception_v2": 32, "resnet50": 64, "shufflenet": 64}
STORED_SIZE = 224


def light_model(name: str) -> ModelProto:
    """A light model for small images, with random weights: the stored ones, nearly all 0.001, hide mistakes."""
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    _shrink(model, SIZES[name])
    _randomize(model, np.random.default_rng(len(name)))
    return model


def _shrink(model: ModelProto, size: int) -> None:
    """Images of the size: the sizes in Reshape become smaller, and the last pooling still covers its whole input."""
    graph = model.graph
    del graph.value_info[:]
    data = next(entry for entry in graph.input if entry.name.endswith("data_0"))
    data.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, (1, 3, size, size)))
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for entry in graph.initializer:
        if entry.name in shapes and entry.dims[0] >= 4:
            shape = numpy_helper.to_array(entry).copy()
            shape[-2:] = shape[-2:] * size // STORED_SIZE
            entry.CopyFrom(numpy_helper.from_array(shape, entry.name))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "AveragePool" and attribute.name == "kernel_shape" and list(attribute.ints) == [7, 7]:
                attribute.ints[:] = [size // 32] * 2


def _randomize(model: ModelProto, rng: np.random.Generator) -> None:
    """Gives each parameter random values of its role, and makes it an initializer."""
    graph = model.graph
    stored = {entry.name: entry for entry in graph.initializer}
    made = {node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape"}
    nodes = {node.output[0]: node for node in graph.node}
    for node in list(graph.node):
        for position, name in enumerate(node.input):
            if node.op_type in ("Mul", "Add") and name in nodes and nodes[name].op_type == "Unsqueeze":
                name = nodes[name].input[0]
            if name in made:
                shape = tuple(numpy_helper.to_array(stored[made[name].input[0]]).tolist())
            elif name in stored and node.op_type in ("Conv", "BatchNormalization", "Gemm", "Unsqueeze", "Mul", "Add"):
                shape = tuple(stored[name].dims)
            else:
                continue
            if node.op_type != "Unsqueeze":
                _store(model, stored, name, _random(rng, node.op_type, position, shape))
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    del graph.node[:]
    graph.node.extend(kept)


def _random(rng: np.random.Generator, op_type: str, position: int, shape: tuple[int, ...]) -> np.ndarray:
    if op_type in ("Conv", "Gemm") and position == 1:
        fan_in = int(np.prod(shape[1:]))
        return rng.normal(0, np.sqrt(2 / fan_in), shape)
    positive = (op_type == "BatchNormalization" and position in (1, 4)) or op_type == "Mul"
    return rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, 0.3, shape)


def _store(model: ModelProto, stored: dict[str, TensorProto], name: str, value: np.ndarray) -> None:
    tensor = numpy_helper.from_array(value.astype(np.float32), name)
    if name in stored:
        stored[name].CopyFrom(tensor)
        return
    model.graph.initializer.append(tensor)
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    stored[name] = model.graph.initializer[-1]


def images(model: ModelProto) -> dict[str, np.ndarray]:
    """One random image, by the name of the model's input."""
    data = next(entry for entry in model.graph.input if entry.name.endswith("data_0"))
    shape = [dim.dim_value for dim in data.type.tensor_type.shape.dim]
    return {data.name: np.random.default_rng(1).normal(size=shape).astype(np.float32)}


def normalizations(model: ModelProto) -> list[onnx.NodeProto]:
    """The BatchNormalization nodes."""
    return [node for node in model.graph.node if node.op_type == "BatchNormalization"]


def in_double(model: ModelProto) -> ModelProto:
    """The model with float64 in place of float32."""
    result = ModelProto()
    result.CopyFrom(model)
    for entry in result.graph.initializer:
        if entry.data_type == TensorProto.FLOAT:
            entry.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(entry).astype(np.float64), entry.name))
    for value in (*result.graph.input, *result.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return result


def run_onnxruntime(model: ModelProto, feeds: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Values of the graph by name, from onnxruntime as it is without graph optimizations."""
    import onnxruntime

    copy = ModelProto()
    copy.CopyFrom(model)
    listed = {output.name for output in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in listed
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feeds)))


def l2_error(got: np.ndarray, want: np.ndarray) -> float:
    """Relative L2 error, in float64."""
    got, want = got.astype(np.float64), want.astype(np.float64)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))
