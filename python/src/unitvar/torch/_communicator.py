"""Ranks of a torch.distributed process group."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.distributed as dist

from ..ranks import Communicator as _Base
from ..ranks import merge_frames

__all__ = ["Communicator"]


def _timeout_of(group: Any) -> timedelta | None:
    """How long collectives of the group wait on the CPU; None where the group does not tell."""
    try:
        timeout = group._get_backend(torch.device("cpu")).options._timeout  # torch has no public name for it
    except (AttributeError, RuntimeError):
        return None
    return timeout if isinstance(timeout, timedelta) else None


class Communicator(_Base):
    """Ranks of a torch.distributed process group: frames are gathered on all of them and merged in rank order.

    All ranks hold the same bits. The frames travel through a gloo group of their own with the same ranks. So they do
    not meet the gradients that DistributedDataParallel sends, and the group given may have any backend.

    Args:
        group: whose ranks share the batch. By default all processes. Making a Communicator is a collective call of
            these ranks, and of these alone.
        timeout: how long a rank waits for the others before it raises RuntimeError. By default that of the group.
        **kwargs: as unitvar.ranks.Communicator.

    >>> import unitvar, unitvar.torch
    >>> options = unitvar.Options(communicator=unitvar.torch.Communicator())  # doctest: +SKIP
    >>> y, mean, var, rstd = unitvar.batch_norm(x, options=options)  # doctest: +SKIP
    """

    def __init__(self, group: Any = None, *, timeout: timedelta | None = None, **kwargs: Any) -> None:
        parent = dist.group.WORLD if group is None else group
        own: Any = dist.new_group(
            dist.get_process_group_ranks(parent),
            timeout=_timeout_of(parent) if timeout is None else timeout,
            backend="gloo",
            use_local_synchronization=True,
        )
        self._group = own
        super().__init__(dist.get_rank(own), dist.get_world_size(own), **kwargs)
        self._own = torch.empty(self.frame_bytes, dtype=torch.uint8)
        self._all = list(torch.empty((self.size, self.frame_bytes), dtype=torch.uint8).unbind())
        self._own_bytes = self._own.numpy()
        self._all_bytes = [one.numpy() for one in self._all]
        self._last: Any = None

    def _carry(self, act: Any) -> Any:
        """What act gives. If the process group fails, the error says on which rank and what may be the cause."""
        try:
            return act()
        except RuntimeError as problem:
            raise RuntimeError(
                f"rank {self.rank} of {self.size} got no frame of the other ranks: {problem}. Another rank may have "
                "failed, or not have called this layer; its own message says why"
            ) from problem

    def start(self, frame: np.ndarray) -> None:
        self._own_bytes[:] = frame
        # The last collective is kept until the next one begins, and its tensors for good. Otherwise a thread of gloo
        # may let them go last: it then needs the interpreter's lock, and aborts a process whose interpreter is ending.
        self._last = self._carry(lambda: dist.all_gather(self._all, self._own, group=self._group, async_op=True))

    def wait(self, frame: np.ndarray) -> None:
        self._carry(self._last.wait)
        frame[:] = self._all_bytes[0]
        for other in self._all_bytes[1:]:
            merge_frames(other, frame)


_communicators: WeakKeyDictionary[Any, Communicator] = WeakKeyDictionary()


def communicator_of(group: Any = None) -> Communicator:
    """The Communicator of a process group; layers share it, so that ranks in different layers meet and say so."""
    parent = dist.group.WORLD if group is None else group
    if parent not in _communicators:
        _communicators[parent] = Communicator(parent)
    return _communicators[parent]
