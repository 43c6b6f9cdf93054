"""The operators as an evaluator and as an ONNX backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, defs, helper
from onnx.backend import base
from onnx.reference import ReferenceEvaluator

from ._operators import OPS

__all__ = ["Backend", "BackendRep", "Evaluator"]


class Evaluator(ReferenceEvaluator):
    """onnx's ReferenceEvaluator with `OPS`.

    ReferenceEvaluator does not pass new_ops on to a model's functions. This class has its operators there too.

    Args:
        proto: as ReferenceEvaluator takes it.
        new_ops: more operator classes. They win over `OPS`.
        keywords: the rest of ReferenceEvaluator's arguments.
    """

    def __init__(self, proto: Any, *, new_ops: Sequence[type] | None = None, **keywords: Any) -> None:
        super().__init__(proto, new_ops=[*(new_ops or ()), *OPS], **keywords)


class BackendRep(base.BackendRep):
    """A model that is ready to run."""

    def __init__(self, model: ModelProto) -> None:
        self.evaluator = Evaluator(model)
        initializers = {initializer.name for initializer in model.graph.initializer}
        #: inputs without an initializer, in the graph's order
        self.input_names = [name for name in self.evaluator.input_names if name not in initializers]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The graph's outputs.

        Args:
            inputs: arrays by name, or in the order of the graph's inputs, with or without those that have initializers.
        """
        return tuple(self.evaluator.run(None, self._by_name(inputs)))

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        values = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        every = list(self.evaluator.input_names)
        names = every if len(values) == len(every) else self.input_names
        if len(values) != len(names):
            raise ValueError(f"run: inputs has {len(values)} arrays, want {len(names)}: {', '.join(names)}")
        return dict(zip(names, values))


class Backend(base.Backend):
    """Runs models on the CPU: normalization by this package, all other operators by onnx's reference.

    prepare does not check the model, because onnx's checker refuses GroupNormalization of opset 18 as deprecated.
    """

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is the CPU."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> BackendRep:
        """The model, ready to run."""
        cls._check_device(device)
        return BackendRep(model)

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Any, ...]:
        """The outputs of one node. The keyword opset_version says of which operator set; the newest by default."""
        cls._check_device(device)
        names = [name for name in node.input if name]
        if len(inputs) != len(names):
            raise ValueError(f"run_node: inputs has {len(inputs)} arrays, want {len(names)}: {', '.join(names)}")
        values = [helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names)]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        opset = int(kwargs.get("opset_version", defs.onnx_opset_version()))
        evaluator = Evaluator(helper.make_graph([node], "node", values, outputs), opsets={node.domain: opset})
        return tuple(evaluator.run(None, dict(zip(names, inputs))))

    @classmethod
    def _check_device(cls, device: str) -> None:
        if not cls.supports_device(device):
            raise ValueError(f"device is {device!r}, want 'CPU'")
