"""Processes that fork beside OpenMP's threads, and Python threads that call at once."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

import unitvar

#: What takes longer hangs: a child is killed, and its test fails.
SECONDS = 60
Bits = tuple[int, ...]

can_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork processes"
)
#: From Python 3.12 on, a fork beside other threads warns: it is what is tested here.
beside_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@cache
def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, dy, gamma and beta, large enough for several threads."""
    rng = np.random.default_rng(seed)
    x, dy = (rng.standard_normal((8, 64, 56, 56), np.float32) for _ in range(2))
    return x, dy, rng.standard_normal(64), rng.standard_normal(64)


def forward_and_backward(threads: int, seed: int = 0) -> Bits:
    """A checksum of each array that batch normalization and its gradients give. It takes no lock that a fork copies."""
    x, dy, gamma, beta = data(seed)
    options = unitvar.Options(threads=threads)
    forward = unitvar.batch_norm(x, gamma, beta, options=options)
    backward = unitvar.batch_norm_backward(x, dy, forward.mean, forward.rstd, gamma, options=options)
    return tuple(zlib.crc32(np.ascontiguousarray(array)) for array in (*forward, *backward))


def operating_system_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def send(pipe, function, *arguments) -> None:
    pipe.send(function(*arguments))
    pipe.close()


def in_a_child(function, *arguments):
    """What the function gives in a forked process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=send, args=(theirs, function, *arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(SECONDS):
            pytest.fail(f"the child had no result after {SECONDS} s: it hangs")
        try:
            result = ours.recv()
        except EOFError:
            child.join(SECONDS)
            pytest.fail(f"the child ended without a result, exit code {child.exitcode}")
        child.join(SECONDS)
        assert child.exitcode == 0, "the child gave its result, but did not end well"
        return result
    finally:
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        ours.close()


def in_a_grandchild(threads: int) -> tuple[Bits, Bits]:
    """What the child gives and what its child gives. os.fork alone: multiprocessing's may have no child."""
    own = forward_and_backward(threads)
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        signal.alarm(SECONDS)
        os.write(write, repr(forward_and_backward(threads)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0, "the grandchild hangs or fails"
    return own, tuple(map(int, text.strip("()").split(",")))


@pytest.fixture
def watchdog():
    """Python cannot end a thread that hangs: ends the whole run, and says where each thread stands."""
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=[1, 2], ids=["parent_1_thread", "parent_2_threads"])
def parent(request) -> Bits:
    """The bits that this process gives, after a call with so many threads."""
    return forward_and_backward(request.param)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the threads in /proc")
def test_two_threads_really_start():
    """Otherwise the tests below would fork beside nothing."""
    code = """if True:
        import os
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        import test_fork as t
        counts = [t.operating_system_threads()]
        for threads in (1, 2):
            t.forward_and_backward(threads)
            counts.append(t.operating_system_threads())
        print(*counts)
    """
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    before, after_one, after_two = map(int, done.stdout.split())
    assert (after_one, after_two) == (before, before + 1)


@can_fork
@beside_threads
@pytest.mark.parametrize("threads", [1, 2, 0])
def test_a_child_gives_the_bits_of_its_parent(parent, threads):
    assert in_a_child(forward_and_backward, threads) == parent


@can_fork
@beside_threads
def test_a_grandchild_gives_them_too(parent):
    assert in_a_child(in_a_grandchild, 2) == (parent, parent)


@can_fork
@beside_threads
def test_a_parent_goes_on_after_a_fork_and_may_fork_again(parent):
    for _ in range(3):
        assert in_a_child(forward_and_backward, 2) == parent
        assert forward_and_backward(2) == parent


@can_fork
@beside_threads
def test_a_fork_beside_python_threads_that_call_does_not_hang(watchdog):
    want, stop = forward_and_backward(2), threading.Event()

    def call_until_stopped() -> None:
        while not stop.is_set():
            forward_and_backward(2)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(call_until_stopped) for _ in range(2)]
        try:
            for _ in range(2):
                assert in_a_child(forward_and_backward, 2) == want
        finally:
            stop.set()
    assert [future.result() for future in running] == [None, None]


@can_fork
@beside_threads
def test_a_pool_of_processes_gives_the_bits_of_its_parent(parent):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map_async(forward_and_backward, [1, 2, 1, 2])
        try:
            assert set(results.get(SECONDS)) == {parent}
        except multiprocessing.TimeoutError:
            pytest.fail(f"the pool had no result after {SECONDS} s: it hangs")


@pytest.mark.parametrize("threads", [1, 2, 0])
def test_four_python_threads_at_once_give_the_bits_of_one(watchdog, threads):
    """Each on data of its own, so that one that wrote into another's memory would show."""
    want = [forward_and_backward(1, seed) for seed in range(4)]
    assert len(set(want)) == 4
    begin = threading.Barrier(4)

    def call(seed: int) -> list[Bits]:
        begin.wait(SECONDS)
        return [forward_and_backward(threads, seed) for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        for seed, got in enumerate(pool.map(call, range(4), timeout=SECONDS)):
            assert set(got) == {want[seed]}


def test_four_python_threads_share_their_input(watchdog):
    want = forward_and_backward(1)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(forward_and_backward, [1, 2] * 4, timeout=SECONDS)) == {want}
