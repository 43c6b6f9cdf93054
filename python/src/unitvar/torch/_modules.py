"""torch.nn's normalization modules on unitvar's kernels: subclasses, so state, repr and isinstance are torch's."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as _TorchBatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm as _TorchInstanceNorm

from ._batch_norm import batch_norm, train_as_is
from ._groups import group_norm, instance_norm
from ._rows import layer_norm, rms_norm

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "RMSNorm",
]


class BatchNormBase(_TorchBatchNorm):
    """What all modules with batch statistics share: torch.nn's rules for them."""

    def normalize(
        self, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
        momentum: float, *more: Any,
    ) -> Tensor:  # fmt: skip
        """The function of this module, given what its rules say."""
        return batch_norm(input, running_mean, running_var, weight, bias, training, momentum, self.eps)

    def forward(self, input: Tensor, *more: Any) -> Tensor:
        """y; in training also moves the running statistics."""
        self._check_input_dim(input)
        # The dictionaries: self.weight and the like take a microsecond each.
        parameters, buffers, training = self._parameters, self._buffers, self.training
        weight = parameters["weight"] if "weight" in parameters else self.weight
        bias = parameters["bias"] if "bias" in parameters else self.bias
        running_mean, running_var, momentum = buffers["running_mean"], buffers["running_var"], self.momentum
        if training:
            if not self.track_running_stats:
                running_mean = running_var = None
            elif (batches := buffers["num_batches_tracked"]) is not None:
                batches.add_(1)
                if momentum is None:
                    momentum = 1.0 / float(batches)
        elif running_mean is None and running_var is None:
            training = True
        return self.normalize(
            input, running_mean, running_var, weight, bias, training, 0.0 if momentum is None else momentum, *more
        )


class _PlainBatchNorm(BatchNormBase):
    def forward(self, input: Tensor) -> Tensor:
        if self.training and self.track_running_stats and self.momentum is not None:
            self._check_input_dim(input)
            parameters, buffers = self._parameters, self._buffers
            if "weight" in parameters and "bias" in parameters:  # else a parametrization has them
                y = train_as_is(
                    input, buffers["running_mean"], buffers["running_var"], parameters["weight"], parameters["bias"],
                    buffers["num_batches_tracked"], self.momentum, self.eps,
                )  # fmt: skip
                if y is not None:
                    return y
        return super().forward(input)


class BatchNorm1d(_PlainBatchNorm, nn.BatchNorm1d):
    """torch.nn.BatchNorm1d on unitvar.torch.batch_norm."""


class BatchNorm2d(_PlainBatchNorm, nn.BatchNorm2d):
    """torch.nn.BatchNorm2d on unitvar.torch.batch_norm.

    Arguments, state, running statistics (momentum is the weight of the new batch; unbiased running var) and errors
    are torch's. Accuracy, dtypes, layouts and threads: unitvar.torch.batch_norm.

    >>> import torch, unitvar.torch
    >>> layer = unitvar.torch.BatchNorm2d(3)
    >>> isinstance(layer, torch.nn.BatchNorm2d)
    True
    >>> layer(torch.randn(2, 3, 4, 4)).shape, int(layer.num_batches_tracked)
    (torch.Size([2, 3, 4, 4]), 1)
    """


class BatchNorm3d(_PlainBatchNorm, nn.BatchNorm3d):
    """torch.nn.BatchNorm3d on unitvar.torch.batch_norm."""


class LayerNorm(nn.LayerNorm):
    """torch.nn.LayerNorm on unitvar.torch.layer_norm."""

    def forward(self, input: Tensor) -> Tensor:
        """y."""
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.RMSNorm):
    """torch.nn.RMSNorm on unitvar.torch.rms_norm."""

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(nn.GroupNorm):
    """torch.nn.GroupNorm on unitvar.torch.group_norm."""

    def forward(self, input: Tensor) -> Tensor:
        """y."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _InstanceNormBase(_TorchInstanceNorm):
    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        return instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip


class InstanceNorm1d(_InstanceNormBase, nn.InstanceNorm1d):
    """torch.nn.InstanceNorm1d on unitvar.torch.instance_norm."""


class InstanceNorm2d(_InstanceNormBase, nn.InstanceNorm2d):
    """torch.nn.InstanceNorm2d on unitvar.torch.instance_norm."""


class InstanceNorm3d(_InstanceNormBase, nn.InstanceNorm3d):
    """torch.nn.InstanceNorm3d on unitvar.torch.instance_norm."""
