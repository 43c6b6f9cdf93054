"""ONNX's normalization operators for onnx.reference.ReferenceEvaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference.op_run import OpRun

from .._batch_norm import batch_norm, batch_norm_inference
from .._relatives import group_norm, instance_norm, layer_norm, rms_norm
from ..layer import moved_running

__all__ = [
    "OPS",
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RMSNormalization",
]

_STASH_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)


def _stash_dtype(op: str, stash_type: int) -> np.dtype:
    """The type that the attribute stash_type names."""
    if stash_type not in _STASH_TYPES:
        raise ValueError(f"{op}: stash_type is {stash_type}, want one of {', '.join(map(str, _STASH_TYPES))}")
    return np.dtype(helper.tensor_dtype_to_np_dtype(stash_type))


def _wide(*dtypes: np.dtype) -> np.dtype:
    """float64 if one of the types is float64, else float32."""
    return np.dtype(np.float64 if np.dtype(np.float64) in dtypes else np.float32)


def _first_axis(op: str, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"{op}: axis is {axis}, want an axis of X, which has {rank}")
    return axis % rank


class _Operator(OpRun):
    """What the operators share."""

    @property
    def opset(self) -> int:
        """Version of the operator set that the node belongs to."""
        return int(self.run_params["opsets"][self.onnx_node.domain])


class BatchNormalization(_Operator):
    """BatchNormalization of opsets 7, 9, 14 and 15.

    From opset 14 on, the attribute training_mode asks for training. Before, more than one output does. The variances
    are biased. momentum is the weight of the old running statistics. Training refuses a channel of one value.
    """

    def _run(
        self, x: Any, scale: Any, bias: Any, mean: Any, var: Any, epsilon: Any = 1e-5, momentum: Any = 0.9,
        training_mode: Any = 0, spatial: Any = 1, **_: Any,
    ) -> tuple[np.ndarray, ...]:  # fmt: skip
        op = "BatchNormalization"
        if self.opset < 7 or not spatial:
            raise NotImplementedError(
                f"{op}: opset is {self.opset} and spatial {spatial}, want opset >= 7 and spatial 1"
            )
        flat = x.reshape(-1, 1) if x.ndim == 1 else x  # rank 1: samples of one channel
        if not (training_mode if self.opset >= 14 else self._wants_statistics()):
            y = batch_norm_inference(flat, mean, var, scale, bias, eps=float(epsilon))
            return (y.reshape(x.shape),)
        y, batch_mean, batch_var, _rstd = batch_norm(flat, scale, bias, eps=float(epsilon))
        running_mean = moved_running(mean, batch_mean, float(momentum))
        running_var = moved_running(var, batch_var, float(momentum))
        y = y.reshape(x.shape)
        if self.opset >= 14:
            return y, running_mean, running_var
        return y, running_mean, running_var, batch_mean.astype(x.dtype), batch_var.astype(x.dtype)

    def _wants_statistics(self) -> bool:
        return any(self.onnx_node.output[1:])


def _parameter(op: str, name: str, value: Any, shape: tuple[int, ...], axis: int) -> np.ndarray | None:
    """A parameter as an array of the shape of the normalized axes; None if it differs between rows."""
    try:
        np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{op}: {name} has shape {value.shape}, want one that broadcasts to that of X, {shape}"
        ) from None
    row = shape[axis:]
    leading = max(0, value.ndim - len(row))
    if any(size != 1 for size in value.shape[:leading]):
        return None
    return np.broadcast_to(value.reshape(value.shape[leading:]), row)


def _normalize_rows(op: str, function: Any, x: Any, scale: Any, bias: Any, axis: int, epsilon: float) -> Any:
    """layer_norm or rms_norm with ONNX's broadcasting of scale and bias."""
    gamma = _parameter(op, "Scale", scale, x.shape, axis)
    beta = None if bias is None else _parameter(op, "B", bias, x.shape, axis)
    if gamma is not None and (bias is None or beta is not None):
        return function(x, gamma, beta, axis=axis, eps=epsilon)
    wide = _wide(x.dtype)  # the parameters differ between rows: scale and shift here
    result = function(x.astype(wide), axis=axis, eps=epsilon)
    y = result.y * scale.astype(wide)
    return result._replace(y=(y if bias is None else y + bias.astype(wide)).astype(x.dtype))


class LayerNormalization(_Operator):
    """LayerNormalization of opset 17: Y, Mean and InvStdDev, the last two in the type that stash_type names.

    The arithmetic is float32 or better whatever stash_type is, and float64 for float64 X.
    """

    def _run(
        self, x: Any, scale: Any, bias: Any = None, axis: Any = -1, epsilon: Any = 1e-5, stash_type: Any = 1
    ) -> tuple[np.ndarray, ...]:
        op = "LayerNormalization"
        stash, axis = _stash_dtype(op, stash_type), _first_axis(op, axis, x.ndim)
        stage_one = x.astype(stash) if stash == np.float64 else x
        y, mean, rstd = _normalize_rows(op, layer_norm, stage_one, scale, bias, axis, float(epsilon))
        shape = x.shape[:axis] + (1,) * (x.ndim - axis)
        return y.astype(x.dtype), mean.reshape(shape).astype(stash), rstd.reshape(shape).astype(stash)


class RMSNormalization(_Operator):
    """RMSNormalization of opset 23. Y has the type of scale, which may differ from that of X."""

    def _run(
        self, x: Any, scale: Any, axis: Any = -1, epsilon: Any = 1e-5, stash_type: Any = 1
    ) -> tuple[np.ndarray, ...]:
        op = "RMSNormalization"
        stash, axis = _stash_dtype(op, stash_type), _first_axis(op, axis, x.ndim)
        mixed = scale.dtype != x.dtype or stash == np.float64
        stage_one = x.astype(_wide(x.dtype, scale.dtype, stash)) if mixed else x
        y = _normalize_rows(op, rms_norm, stage_one, scale, None, axis, float(epsilon)).y
        return (y.astype(scale.dtype),)


class GroupNormalization(_Operator):
    """GroupNormalization of opsets 18 and 21. Before opset 21, scale and bias have one value for each group."""

    def _run(
        self, x: Any, scale: Any, bias: Any, epsilon: Any = 1e-5, num_groups: Any = None, stash_type: Any = 1
    ) -> tuple[np.ndarray, ...]:
        op = "GroupNormalization"
        if num_groups < 1 or x.shape[1] % num_groups:
            raise ValueError(f"{op}: num_groups is {num_groups}, want a divisor of the {x.shape[1]} channels")
        if self.opset < 21:
            scale, bias = (self._of_channels(op, value, num_groups, x.shape[1]) for value in (scale, bias))
        stash = _stash_dtype(op, stash_type)
        stage_one = x.astype(stash) if stash == np.float64 else x
        y = group_norm(stage_one, num_groups, scale, bias, eps=float(epsilon)).y
        return (y.astype(x.dtype),)

    @staticmethod
    def _of_channels(op: str, value: Any, groups: int, channels: int) -> np.ndarray:
        if value.shape != (groups,):
            raise ValueError(f"{op}: scale or bias has shape {value.shape}, want ({groups},), one value for each group")
        return np.repeat(value, channels // groups)


class InstanceNormalization(_Operator):
    """InstanceNormalization of opsets 6 and 22."""

    def _run(self, x: Any, scale: Any, bias: Any, epsilon: Any = 1e-5, **_: Any) -> tuple[np.ndarray, ...]:
        return (instance_norm(x, scale, bias, eps=float(epsilon)).y,)


#: For ``onnx.reference.ReferenceEvaluator(model, new_ops=OPS)``.
OPS: list[type[OpRun]] = [
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
]
