"""Puts this package's modules into a model in the place of torch.nn's, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from . import _modules
from ._fuse import OPENED, Activation, Fuser, Join, Joined
from ._more_modules import BatchNormAct2d
from ._own_forward import has_set_forward, is_plain_forward, reset_forward
from ._sync import SyncBatchNorm

__all__ = ["Conversion", "convert", "restore"]

_NAMES = (
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm1d",
    "InstanceNorm2d", "InstanceNorm3d",
)  # fmt: skip
_OURS: dict[type, type] = {getattr(nn, name): getattr(_modules, name) for name in _NAMES}
_OURS[nn.SyncBatchNorm] = SyncBatchNorm
_TORCHS = {ours: torchs for torchs, ours in _OURS.items()}
_FAMILIES = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


@dataclass
class Conversion:
    """What convert did, by the modules' names in the model.

    print(conversion) lists it.
    """

    #: modules that are this package's now
    swapped: list[str] = field(default_factory=list)
    #: normalizations that have the activation and the residual behind them now
    joined: list[Join] = field(default_factory=list)
    #: normalizations that stayed as they were, or were not joined, with the reason
    left: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"swapped {len(self.swapped)}, joined {len(self.joined)}, left {len(self.left)}"]
        lines += [f"joined {join}" for join in self.joined]
        lines += [f"left {name}: {reason}" for name, reason in self.left]
        return "\n".join(lines)


def _reason(module: nn.Module) -> str | None:
    """Why a normalization is not swapped; None if it is."""
    if type(module) not in _OURS:
        base: Any = next(b for b in type(module).__mro__ if b.__module__.startswith("torch.nn."))
        own = type(module).forward is not base.forward
        return f"{type(module).__name__} is a subclass" + (" with its own forward" if own else "")
    return None if is_plain_forward(module) else "its forward was replaced"


def _is_torchs(module: nn.Module) -> bool:
    return isinstance(module, _FAMILIES) and not type(module).__module__.startswith(__package__ or "unitvar.torch")


def _is_joinable(module: nn.Module) -> bool:
    return type(module) in (nn.BatchNorm2d, _modules.BatchNorm2d) and is_plain_forward(module)


def _with_activation(module: nn.Module, activation: Activation) -> None:
    module.__class__ = BatchNormAct2d
    module.act, module.negative_slope, module.low, module.high = activation  # type: ignore[assignment]
    vars(module)["_unitvar_joined"] = True


def convert(model: nn.Module, fuse: bool = False, *, report: Conversion | None = None) -> nn.Module:
    """Makes every torch.nn normalization of a model one of this package, in place.

    BatchNorm1d, 2d, 3d, SyncBatchNorm, LayerNorm, RMSNorm, GroupNorm and InstanceNorm1d, 2d, 3d stay the same objects
    and change their class. So parameters, buffers, training flags, hooks and optimizers stay as they are, and so do
    the keys of state_dict. A subclass, which may have a forward of its own, is left alone.

    Args:
        model: any module, changed in place.
        fuse: also let BatchNorm2d apply the activation behind it (ReLU, leaky ReLU, ReLU6, Hardtanh, Hardswish, SiLU),
            and add the residual between them, or a residual alone: BatchNormAct2d. torch.fx traces the forward of each
            module that calls a BatchNorm2d. It is joined only if its result is used once, the module is used once and
            has no hooks, and the forward is the same in training and evaluation and for every type of input. A module
            whose forward fx cannot trace keeps its activations. Other attributes that the forward depends on are taken
            as they are now.
        report: gets what was done and what was not, with the reason.

    Returns:
        The model.

    An activation that is a child of its own becomes an identity. Where it is shared, or a residual is added, the
    module that calls them gets another forward, and stays an instance of its class. Both can be copied and pickled.

    >>> import torch, unitvar.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    >>> report = unitvar.torch.Conversion()
    >>> _ = unitvar.torch.convert(model, fuse=True, report=report)
    >>> print(report)
    swapped 0, joined 1, left 0
    joined 1: relu
    """
    done = Conversion() if report is None else report
    if fuse:
        fuser = Fuser(model, _is_joinable, _with_activation)
        fuser.run()
        done.joined += fuser.joins
        done.left += fuser.left
    for name, module in model.named_modules():
        if not _is_torchs(module):
            continue
        reason = _reason(module)
        if reason is None:
            module.__class__ = _OURS[type(module)]
            done.swapped.append(name)
        else:
            done.left.append((name, reason))
    return model


def restore(model: nn.Module) -> nn.Module:
    """Undoes convert, in place: torch.nn's modules with the state that they have now.

    >>> import torch, unitvar.torch
    >>> model = unitvar.torch.convert(torch.nn.Sequential(torch.nn.BatchNorm1d(2)))
    >>> type(unitvar.torch.restore(model)[0]) is torch.nn.BatchNorm1d
    True
    """
    for module in list(model.modules()):
        vars(module).pop(OPENED, None)
        if has_set_forward(module):
            reset_forward(module)
        for name, child in list(module._modules.items()):
            if isinstance(child, Joined):
                module._modules[name] = child.activation
        if vars(module).pop("_unitvar_joined", False):
            _plain(module)
        elif type(module) in _TORCHS:
            module.__class__ = _TORCHS[type(module)]
    return model


def _plain(module: Any) -> None:
    """A joined normalization without its activation."""
    del module.act, module.negative_slope, module.low, module.high
    module.__class__ = nn.BatchNorm2d
