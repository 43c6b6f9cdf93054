"""Two ranks, each with its part of the batch, normalize by the statistics of both.

Here ranks are threads of one process, and a communicator of twenty lines carries their frames. With unitvar.mpi they
are MPI processes, and the calls stay as they are.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

import unitvar
from unitvar import ranks


class Exchange:
    """What the ranks share: a frame of each, and a barrier."""

    def __init__(self, size: int) -> None:
        self.frames = [np.empty(0, np.uint8)] * size
        self.barrier = Barrier(size, timeout=60)


class ThreadCommunicator(ranks.Communicator):
    """Ranks that are threads."""

    def __init__(self, rank: int, exchange: Exchange) -> None:
        super().__init__(rank, len(exchange.frames))
        self.exchange = exchange

    def start(self, frame: np.ndarray) -> None:
        """Sends this rank's frame."""
        self.exchange.frames[self.rank] = frame.copy()

    def wait(self, frame: np.ndarray) -> None:
        """Merges all frames in the order of the ranks, so that every rank gets the same bits."""
        self.exchange.barrier.wait()  # every frame has come
        frame[:] = self.exchange.frames[0]
        for other in self.exchange.frames[1:]:
            ranks.merge_frames(other, frame)
        self.exchange.barrier.wait()  # every rank has read them


random = np.random.default_rng(1)
x = random.normal(3, 2, (6, 4, 5, 5)).astype(np.float32)
dy = random.normal(0, 1, x.shape).astype(np.float32)
gamma = np.array([1.0, 0.5, 2.0, -1.0])
parts = (slice(0, 2), slice(2, 6))  # rank 0 has two samples, rank 1 four
exchange = Exchange(2)


def work(rank: int) -> tuple[unitvar.BatchNormResult, unitvar.Gradients, int]:
    """What a rank does: the calls of one that is alone, with a communicator in the options."""
    communicator = ThreadCommunicator(rank, exchange)
    options = unitvar.Options(threads=1, communicator=communicator)
    own_x, own_dy = x[parts[rank]], dy[parts[rank]]
    forward = unitvar.batch_norm(own_x, gamma, options=options)
    backward = unitvar.batch_norm_backward(own_x, own_dy, forward.mean, forward.rstd, gamma, options=options)
    return forward, backward, communicator.frames


with ThreadPoolExecutor(2) as threads:
    (forward_0, backward_0, frames), (forward_1, backward_1, _) = threads.map(work, range(2))

print(f"mean of both: {forward_0.mean.round(4)} on rank 0, {forward_1.mean.round(4)} on rank 1, {frames} frames")

whole = unitvar.batch_norm(x, gamma)
gradients = unitvar.batch_norm_backward(x, dy, whole.mean, whole.rstd, gamma)
assert frames == 2  # one forward, one backward
assert np.array_equal(forward_0.mean, forward_1.mean) and np.array_equal(forward_0.var, forward_1.var)
assert np.allclose(forward_0.mean, whole.mean, rtol=1e-12)
assert np.allclose(np.concatenate([forward_0.y, forward_1.y]), whole.y, atol=1e-5)
assert np.allclose(np.concatenate([backward_0.dx, backward_1.dx]), gradients.dx, atol=1e-5)
# By default dgamma and dbeta are those of a rank's own samples. An optimizer's all-reduce adds them.
assert np.allclose(backward_0.dgamma + backward_1.dgamma, gradients.dgamma, rtol=1e-4, atol=1e-4)
assert np.allclose(backward_0.dbeta + backward_1.dbeta, gradients.dbeta, rtol=1e-4, atol=1e-4)
