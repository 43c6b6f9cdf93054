"""Synchronized batch normalization: ranks that share a batch, whatever carries their frames.

Derive from Communicator for an engine; `unitvar.mpi` is one. A call whose Options name a communicator is collective:
every rank makes the same calls in the same order.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from . import _core

__all__ = ["Communicator", "merge_frames"]


def merge_frames(frame_in: np.ndarray, frame_inout: np.ndarray) -> None:
    """Merges a frame into another: moments by Chan's formula (docs/derivation.md B8), sums by adding.

    Args:
        frame_in, frame_inout: uint8 arrays of the communicator's frame_bytes. Damaged ones are refused.

    Commutative to the last bit. Merge in the same order on all ranks: rank 0, 1, 2, ...

    >>> merge_frames(np.zeros(8, np.uint8), np.zeros(8, np.uint8))
    Traceback (most recent call last):
    unitvar._core.Error: merge_frames: 8 and 8 bytes, want two whole frames of one kind of communicator
    """
    _core.merge_frames(frame_in, frame_inout)


def _method(owner: Any, name: str) -> Any:
    """A method that does not keep its object alive: the object holds what calls it."""
    own = weakref.ref(owner)
    return lambda frame: getattr(own(), name)(frame)


class Communicator(_core.PythonCommunicator):
    """Ranks whose frames Python code carries.

    A subclass has `start(frame)`, which sends this rank's frame, and `wait(frame)`, which returns when the frame holds
    the merge of all ranks' frames, in rank order. frame is a writable uint8 array on the library's memory, the same in
    both.
    Do not keep it: it keeps the communicator alive. What these methods raise comes out of the call that made them.

    Args:
        rank, size: of this process.
        block_channels: channels of a frame, a multiple of 8; 0 lets the library choose.
        overlap: compute while a frame travels.
        parameter_gradients: "local": dgamma and dbeta of the rank's own samples, which an optimizer's all-reduce adds;
            "global": of all ranks' samples.

    Example: see unitvar.mpi, thirty lines.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        *,
        block_channels: int = 0,
        overlap: bool = True,
        parameter_gradients: str = "local",
    ) -> None:
        if parameter_gradients not in ("local", "global"):
            raise ValueError(f"Communicator: parameter_gradients is {parameter_gradients!r}, want 'local' or 'global'")
        super().__init__(
            rank, size, _method(self, "start"), _method(self, "wait"), block_channels or 1024, overlap,
            parameter_gradients == "global",
        )  # fmt: skip

    def start(self, frame: np.ndarray) -> None:
        """Sends this rank's frame; returns at once."""
        raise NotImplementedError(f"{type(self).__name__}.start")

    def wait(self, frame: np.ndarray) -> None:
        """Returns when frame holds that of all ranks."""
        raise NotImplementedError(f"{type(self).__name__}.wait")
