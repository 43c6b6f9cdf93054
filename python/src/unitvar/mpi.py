"""Synchronized batch normalization over MPI, by mpi4py."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from mpi4py import MPI

from .ranks import Communicator as _Base
from .ranks import merge_frames

__all__ = ["Communicator"]

# MPI may still write to their frames.
_of_no_more_use: list[Communicator] = []


class Communicator(_Base):
    """Ranks of an MPI communicator: frames are gathered on all of them and merged in rank order.

    Args:
        comm: duplicated, so that frames do not meet other messages. By default all processes.
        timeout_seconds: how long a call waits for the other ranks before it raises TimeoutError; 0: as long as it
            takes. The communicator is then of no more use: end the job with MPI_Abort.
        **kwargs: as unitvar.ranks.Communicator.

    >>> import numpy as np, unitvar  # doctest: +SKIP
    >>> options = unitvar.Options(communicator=unitvar.mpi.Communicator())  # doctest: +SKIP
    >>> y, mean, var, rstd = unitvar.batch_norm(x, options=options)  # doctest: +SKIP
    """

    def __init__(self, comm: MPI.Intracomm = MPI.COMM_WORLD, *, timeout_seconds: float = 0, **kwargs: Any) -> None:
        if not timeout_seconds >= 0:
            raise ValueError(f"Communicator: timeout_seconds is {timeout_seconds!r}, want 0 or more")
        self._comm = comm.Dup()
        super().__init__(self._comm.Get_rank(), self._comm.Get_size(), **kwargs)
        self._frames = np.empty((self.size, self.frame_bytes), np.uint8)
        self._sent = np.empty(self.frame_bytes, np.uint8)
        self._timeout = timeout_seconds
        self._request = MPI.REQUEST_NULL

    def start(self, frame: np.ndarray) -> None:
        if self._request != MPI.REQUEST_NULL:
            raise TimeoutError("unitvar.mpi.Communicator: an exchange has not ended, want MPI_Abort")
        self._sent[:] = frame  # the library writes to its frame again, whatever becomes of this exchange
        self._request = self._comm.Iallgather(self._sent, self._frames)

    def wait(self, frame: np.ndarray) -> None:
        if self._timeout == 0:
            self._request.Wait()
        else:
            self._wait_until(time.monotonic() + self._timeout)
        frame[:] = self._frames[0]
        for other in self._frames[1:]:
            merge_frames(other, frame)

    def _wait_until(self, end: float) -> None:
        while not self._request.Test():
            if time.monotonic() > end:
                _of_no_more_use.append(self)
                raise TimeoutError(
                    f"unitvar.mpi.Communicator: rank {self.rank} waited {self._timeout:g} s for the other ranks: "
                    "the communicator is of no more use, want MPI_Abort"
                )
