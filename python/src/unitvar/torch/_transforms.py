"""What surrounds a call: torch.compile, a transform of torch.func, forward mode, a dispatch mode.

torch has no public way to ask for some of this, so all uses of its private names stand here. A test holds each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._library import autograd as _autograd
from torch.autograd import forward_ad

from ._memory import PLAIN, is_plain

is_compiling = torch.compiler.is_dynamo_compiling  # torch.export without Dynamo shows by its fake tensors
_functorch = torch._C._functorch
_interpreter = _functorch.peek_interpreter_stack
_interpreters = _functorch.get_interpreter_stack
_modes = torch._C._len_torch_dispatch_stack


def in_transform() -> bool:
    """Whether a transform of torch.func is active."""
    return _interpreter() is not None


def in_forward_mode() -> bool:
    """Whether forward mode differentiates, by torch.func.jvp or by torch.autograd.forward_ad."""
    if forward_ad._current_level >= 0:
        return True
    return any(level.key() == _functorch.TransformType.Jvp for level in _interpreters() or ())


def has_memory(*tensors: Tensor) -> bool:
    """Whether the tensors' memory may be read and written behind torch's back."""
    return not _modes() and all(map(is_plain, tensors))


def is_eager(x: Tensor) -> bool:
    """Whether x has memory, and nothing watches or transforms the call."""
    return type(x) in PLAIN and _interpreter() is None and forward_ad._current_level < 0 and not _modes()


def unwrapped(x: Tensor) -> Tensor:
    """x without the wrappers of torch.func.grad and jvp."""
    while _functorch.is_gradtrackingtensor(x):
        x = _functorch.get_unwrapped(x)
    return x


def is_batched_gradient(dy: Tensor) -> bool:
    """Whether torch.autograd.grad(is_grads_batched=True) made dy: its vmap is none of torch.func's."""
    return bool(_functorch.is_legacy_batchedtensor(dy))


def _has_tangent(x: Any) -> bool:
    return isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None


def register_autograd(
    library: torch.library.Library, op: Any, save: Any, backward: Any, in_forward_mode: Callable[..., Any]
) -> None:
    """torch.library.register_autograd, whose operators lose tangents without a word: here in_forward_mode is called."""
    plain = _autograd.make_autograd_impl(op, _autograd.Info(backward, save))

    def kernel(keys: Any, *args: Any) -> Any:
        if forward_ad._current_level >= 0 and any(map(_has_tangent, args)):
            return in_forward_mode(*args)
        return plain(keys, *args)

    library.impl(op._opname, kernel, "Autograd", with_keyset=True)
