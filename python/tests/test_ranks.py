"""Ranks whose frames Python carries: threads of this process, and MPI."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import error

import unitvar
from unitvar.ranks import Communicator, merge_frames


class Meeting:
    """Frames of threads that stand for ranks."""

    def __init__(self, size: int) -> None:
        self.size, self.frames = size, [np.empty(0, np.uint8)] * size
        self.barrier = threading.Barrier(size, timeout=20)


class ThreadRank(Communicator):
    def __init__(self, meeting: Meeting, rank: int, fails_at: int = -1, **kwargs: Any) -> None:
        super().__init__(rank, meeting.size, **kwargs)
        self.meeting, self.fails_at, self.calls = meeting, fails_at, 0

    def start(self, frame: np.ndarray) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            self.meeting.barrier.abort()
            raise ConnectionError("the cable is out")
        self.meeting.frames[self.rank] = frame.copy()

    def wait(self, frame: np.ndarray) -> None:
        self.meeting.barrier.wait()
        frame[:] = self.meeting.frames[0]
        for other in self.meeting.frames[1:]:
            merge_frames(other, frame)
        self.meeting.barrier.wait()


def run_ranks(size: int, body: Callable[[int], Any]) -> list[Any]:
    """body(rank) on a thread each; what it returns or raises."""
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = body(rank)
        except BaseException as problem:
            results[rank] = problem

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("channels", [5, 2000])
def test_ranks_give_what_one_process_gives(size: int, channels: int) -> None:
    x, dy = np.random.default_rng(0).normal(size=(2, 4 * size, channels, 3)).astype(np.float32)
    parts = [slice(0, 2)] + [slice(2 + 4 * r, 6 + 4 * r) for r in range(size - 2)] + [slice(4 * size - 6, 4 * size)]
    assert sum(part.stop - part.start for part in parts) == len(x)
    meeting = Meeting(size)

    def body(rank: int) -> Any:
        ranks = ThreadRank(meeting, rank, parameter_gradients="global", block_channels=512)
        options = unitvar.Options(communicator=ranks, threads=1)
        r = unitvar.batch_norm(x[parts[rank]], options=options)
        g = unitvar.batch_norm_backward(x[parts[rank]], dy[parts[rank]], r.mean, r.rstd, options=options)
        return r, g, ranks.frames

    results = run_ranks(size, body)
    whole = unitvar.batch_norm(x)
    gradients = unitvar.batch_norm_backward(x, dy, whole.mean, whole.rstd)
    for rank, (r, g, frames) in enumerate(results):
        assert frames == 2 * -(-channels // 512)
        assert np.array_equal(r.mean, results[0][0].mean) and np.array_equal(g.dgamma, results[0][1].dgamma)
        assert error(r.y, whole.y[parts[rank]]) < 3e-7 and error(g.dx, gradients.dx[parts[rank]]) < 3e-7
        assert error(g.dgamma, gradients.dgamma) < 1e-6


def test_a_rank_that_fails_raises_its_own_error_and_the_others_end() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    meeting = Meeting(2)

    def body(rank: int) -> Any:
        ranks = ThreadRank(meeting, rank, fails_at=1 if rank == 1 else -1)
        return unitvar.batch_norm(x, options=unitvar.Options(communicator=ranks))

    results = run_ranks(2, body)
    assert isinstance(results[1], ConnectionError) and "cable" in str(results[1])
    assert isinstance(results[0], threading.BrokenBarrierError)


def test_ranks_that_disagree_all_say_so() -> None:
    meeting = Meeting(2)

    def body(rank: int) -> Any:
        options = unitvar.Options(communicator=ThreadRank(meeting, rank))
        return unitvar.batch_norm(np.ones((4, 5 + rank), np.float32), options=options)

    results = run_ranks(2, body)
    assert all(isinstance(r, unitvar.Error) for r in results) and str(results[0]) == str(results[1])


def test_a_layer_with_ranks_keeps_the_same_running_statistics() -> None:
    x = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    meeting = Meeting(2)

    def body(rank: int) -> Any:
        layer = unitvar.BatchNorm(5, options=unitvar.Options(communicator=ThreadRank(meeting, rank)))
        layer(x[4 * rank : 4 * rank + 4])
        return layer.running_mean.copy()

    one, other = run_ranks(2, body)
    assert np.array_equal(one, other) and error(one, 0.1 * x.astype(np.float64).mean(0)) < 1e-12


@pytest.mark.parametrize("wrong", ["gamma", "dy", "dtype"])
def test_arguments_refused_on_one_rank_are_an_error_on_all(wrong: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    meeting = Meeting(2)

    def body(rank: int) -> Any:
        options, bad = unitvar.Options(communicator=ThreadRank(meeting, rank)), rank == 0
        if wrong == "gamma":
            return unitvar.batch_norm(x, np.ones(4 if bad else 5), options=options)
        layer = unitvar.BatchNorm(5, options=options)
        layer(x)
        return layer.backward(x, x[:3] if bad and wrong == "dy" else x.astype(float) if bad else x)

    one, other = run_ranks(2, body)
    assert isinstance(one, (TypeError, ValueError)) and not isinstance(one, unitvar.Error)
    assert isinstance(other, unitvar.Error) and f"refused by rank 0: {one}" in str(other)


def test_a_damaged_frame_is_an_error() -> None:
    class Damaging(Communicator):
        def start(self, frame: np.ndarray) -> None:
            pass

        def wait(self, frame: np.ndarray) -> None:
            frame[40:48].view(np.int64)[0] = 1 << 32

    with pytest.raises(unitvar.Error, match="damaged frame"):
        unitvar.batch_norm(np.ones((4, 3)), options=unitvar.Options(communicator=Damaging(0, 2)))


def test_a_communicator_that_was_not_made_is_refused() -> None:
    class Forgetful(Communicator):
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match="super"):
        unitvar.Options(communicator=Forgetful())


def test_options_in_a_cycle_are_freed() -> None:
    ranks = ThreadRank(Meeting(1), 0)
    ranks.options = unitvar.Options(communicator=ranks)  # type: ignore[attr-defined]
    gone = weakref.ref(ranks)
    del ranks
    gc.collect()
    assert gone() is None


def test_communicators_are_checked() -> None:
    with pytest.raises(ValueError, match="rank is 2 of 2"):
        ThreadRank(Meeting(2), 2)
    with pytest.raises(ValueError, match="parameter_gradients"):
        ThreadRank(Meeting(1), 0, parameter_gradients="mine")
    with pytest.raises(ValueError, match="block_channels"):
        ThreadRank(Meeting(1), 0, block_channels=7)
    with pytest.raises(TypeError, match="communicator"):
        unitvar.Options(communicator=object())
    with pytest.raises(ValueError, match="two whole frames"):
        merge_frames(np.zeros(8, np.uint8), np.zeros(16, np.uint8))


MPI_PROGRAM = """
import sys
import numpy as np
import unitvar, unitvar.mpi
from mpi4py import MPI
rank, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
x = np.random.default_rng(0).normal(size=(4 * size, 7, 3)).astype(np.float32)
own = slice(4 * rank, 4 * rank + 4)
options = unitvar.Options(communicator=unitvar.mpi.Communicator(), threads=1)
r = unitvar.batch_norm(x[own], options=options)
whole = unitvar.batch_norm(x)
assert np.abs(r.y - whole.y[own]).max() < 1e-5 and np.abs(r.mean - whole.mean).max() < 1e-12
everyones = MPI.COMM_WORLD.allgather(r.mean.tobytes())
assert all(bits == everyones[0] for bits in everyones)
try:
    unitvar.batch_norm(x[own] if rank else x[own][:, :3], options=options)
except unitvar.Error as problem:
    print("refused on rank", rank)
else:
    sys.exit("no disagreement seen")
"""


MPI_PROGRAM_WITHOUT_THE_LAST_RANK = """
import time
import numpy as np
import unitvar, unitvar.mpi
from mpi4py import MPI
rank, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
options = unitvar.Options(communicator=unitvar.mpi.Communicator(timeout_seconds=0.5), threads=1)
try:
    unitvar.mpi.Communicator(timeout_seconds=float("nan"))
except ValueError as problem:
    print(problem, flush=True)
time.sleep(600 if rank == size - 1 else 0)
for _ in range(2):
    try:
        unitvar.batch_norm(np.ones((4, 7, 3)), options=options)
    except TimeoutError as problem:
        print(problem, flush=True)
time.sleep(5 if rank == 0 else 600)  # the other ranks have their say, too
MPI.COMM_WORLD.Abort(3)
"""


def mpirun(size: int, program: str, path: Path) -> subprocess.CompletedProcess[str]:
    path.write_text(program)
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(size), sys.executable, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("size", [2, 3])
def test_mpi(size: int, tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    done = mpirun(size, MPI_PROGRAM, tmp_path / "ranks.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused") == size  # ranks' lines may come intertwined


def test_mpi_without_a_rank(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    done = mpirun(3, MPI_PROGRAM_WITHOUT_THE_LAST_RANK, tmp_path / "ranks.py")
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("timeout_seconds is nan, want 0 or more") == 3
    for rank in range(2):
        assert f"rank {rank} waited 0.5 s for the other ranks" in done.stdout
    assert done.stdout.count("an exchange has not ended") == 2
