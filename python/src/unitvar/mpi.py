"""Synchronized batch normalization over MPI, by mpi4py."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from .ranks import Communicator as _Base
from .ranks import merge_frames

__all__ = ["Communicator"]


class Communicator(_Base):
    """Ranks of an MPI communicator: frames are gathered on all of them and merged in rank order.

    Args:
        comm: duplicated, so that frames do not meet other messages. By default all processes.
        **kwargs: as unitvar.ranks.Communicator.

    >>> import numpy as np, unitvar  # doctest: +SKIP
    >>> options = unitvar.Options(communicator=unitvar.mpi.Communicator())  # doctest: +SKIP
    >>> y, mean, var, rstd = unitvar.batch_norm(x, options=options)  # doctest: +SKIP
    """

    def __init__(self, comm: MPI.Intracomm = MPI.COMM_WORLD, **kwargs: Any) -> None:
        self._comm = comm.Dup()
        super().__init__(self._comm.Get_rank(), self._comm.Get_size(), **kwargs)
        self._frames = np.empty((self.size, self.frame_bytes), np.uint8)

    def start(self, frame: np.ndarray) -> None:
        self._request = self._comm.Iallgather(frame, self._frames)

    def wait(self, frame: np.ndarray) -> None:
        self._request.Wait()
        frame[:] = self._frames[0]
        for other in self._frames[1:]:
            merge_frames(other, frame)
