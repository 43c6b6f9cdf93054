"""Handles of the C interface: layers, accumulators, communicators and thread groups."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from c_interface import CHANNELS, DTYPES, LENGTH, SAMPLES, SHAPE, C, Call, check_refused, data, numbers_in
from test_ranks import Meeting, ThreadRank, run_ranks

import unitvar
from unitvar import phases

each_dtype = pytest.mark.parametrize("dtype", list(DTYPES))


@pytest.fixture
def handles() -> Iterator[Callable[..., Any]]:
    """Makes handles, and destroys them."""
    made: list[tuple[str, Any]] = []

    def make(kind: str, name: str, *arguments: Any) -> Any:
        made.append((kind, C.create(name, *arguments)))
        return made[-1][1]

    yield make
    for kind, handle in reversed(made):
        C[f"{kind}_destroy"](handle)


def elements(pointer: int, like: np.ndarray) -> bytes:
    return ctypes.string_at(pointer, like.nbytes)


@each_dtype
def test_a_layer(dtype: str, handles: Any) -> None:
    of, layer = data("channels", dtype), unitvar.BatchNorm(CHANNELS, DTYPES[dtype], eps=1e-3)
    x, dy = of["x"], of["dy"]
    config = C.struct("layer_config", dtype=C.numbers[f"UNITVAR_{dtype}"], channels=CHANNELS, eps=1e-3,
                      running=C.struct("running_policy", momentum=0.1))  # fmt: skip
    own, extent = handles("layer", "layer_create", config, None), Call("normalize", dtype).extent
    view, y, dx = C.struct("layer_view"), np.zeros_like(x), np.zeros_like(x)
    check_refused(C.layer_backward(own, extent, x, dy, dx), "bad_state")
    assert C.layer_look(own, view) == 0 and view.saved_mean is None and numbers_in(view)[-3:] == [1, 1, 0]
    for values, pointer in ((of["gamma"], view.gamma), (of["beta"], view.beta)):
        ctypes.memmove(pointer, values.ctypes.data, values.nbytes)
    layer.gamma, layer.beta = of["gamma"], of["beta"]
    assert C.layer_forward(own, extent, x, y) == 0 and y.tobytes() == layer(x).tobytes()
    assert C.layer_backward(own, extent, x, dy, dx) == 0 and dx.tobytes() == layer.backward(x, dy).tobytes()
    assert C.layer_look(own, view) == 0
    for name in ("dgamma", "dbeta", "running_mean", "running_var", "saved_mean", "saved_rstd"):
        assert elements(getattr(view, name), getattr(layer, name)) == getattr(layer, name).tobytes(), name
    assert C.layer_infer(own, extent, x, y) == 0 and y.tobytes() == layer.infer(x).tobytes()
    assert C.layer_set_tracking(own, 0) == 0 and C.layer_set_frozen(own, 1) == 0
    layer.track(False).freeze()
    assert C.layer_forward(own, extent, x, y) == 0 and y.tobytes() == layer(x).tobytes()
    assert C.layer_backward(own, extent, x, dy, None) == 0
    assert C.layer_set_training(own, 0) == 0 and C.layer_set_batches_tracked(own, 40) == 0
    assert C.layer_look(own, view) == 0 and view.batches_tracked == 40 and numbers_in(view)[-3:] == [0, 0, 1]
    before = y.tobytes()
    check_refused(C.layer_forward(own, extent, None, y), "null_data", "x")
    check_refused(C.layer_forward(None, extent, x, y), "null_data", "layer")
    check_refused(C.layer_infer(own, C.struct("extent", outer=1, channels=-4, inner=1), x, y), "bad_extent", "-4")
    assert y.tobytes() == before
    view.struct_size = 8
    check_refused(C.layer_look(own, view), "bad_argument", "struct_size is 8")
    for values, status, seen in (
        ({"channels": -1}, "bad_extent", "-1"), ({"channels": 3, "dtype": 9}, "bad_argument", "dtype is 9"),
        ({"channels": 3, "eps": float("nan")}, "bad_argument", "nan"),
    ):  # fmt: skip
        check_refused(C.layer_create(C.struct("layer_config", **values), None, ctypes.byref(own)), status, seen)


@each_dtype
def test_accumulators(dtype: str, handles: Any) -> None:
    of, number = data("channels", dtype), C.numbers[f"UNITVAR_{dtype}"]
    x, dy, mean, extent = of["x"], of["dy"], of["mean"], Call("normalize", dtype).extent
    first, second, tile = np.zeros(CHANNELS), np.zeros(CHANNELS), C.struct("tile")
    moments = handles("accumulator", "moments_accumulator_create", number, extent, None)
    sums = handles("accumulator", "gradient_sums_accumulator_create", number, extent, mean, None)
    check_refused(C.accumulator_add(moments, 0, 0, CHANNELS, x, dy), "bad_argument", "dy is given")
    for own, other, expected in (
        (moments, None, phases.moments(x)), (sums, dy, phases.gradient_sums(x, dy, mean)),
    ):  # fmt: skip
        check_refused(C.accumulator_add(own, 0, 0, CHANNELS, None, other), "null_data", "x")
        check_refused(C.accumulator_add_block(own, 0, 0, CHANNELS, x, other, -5, 0), "wrong_length", "-5")
        check_refused(C.accumulator_finish(own, first, second), "bad_state")
        for blocks in (False, True):
            assert C.accumulator_add(own, 0, 0, CHANNELS, x, other) == 0 and C.accumulator_clear(own) == 0
            for t in range(C.accumulator_tiles(own)):
                assert C.accumulator_tile(own, t, tile) == 0
                outer, outers, inner, inners = numbers_in(tile)
                part = np.s_[outer : outer + outers, :, inner : inner + inners]
                block = [None if a is None else np.ascontiguousarray(a[part]) for a in (x, other)]
                if blocks:
                    assert (
                        C.accumulator_add_block(
                            own, t, 0, CHANNELS, *block, outers * CHANNELS * inners, CHANNELS * inners
                        )
                        == 0
                    )
                else:
                    assert C.accumulator_add(own, t, 0, 2, x, other) == 0
                    assert C.accumulator_add(own, t, 2, CHANNELS, x, other) == 0
            assert C.accumulator_finish(own, first, second) == 0
            assert [first.tobytes(), second.tobytes()] == [e.tobytes() for e in expected]
    check_refused(C.accumulator_tile(sums, 1 << 40, tile), "bad_argument", str(1 << 40))
    assert C.accumulator_tiles(None) == 0
    check_refused(C.gradient_sums_accumulator_create(number, extent, None, None, ctypes.byref(sums)), "null_data")


def collective(ranks: Any, name: str, arrays: dict[str, np.ndarray], **values: Any) -> int:
    """Calls an operation in float64 on a rank."""
    extent = C.struct("extent", outer=SAMPLES, channels=CHANNELS, inner=LENGTH)
    args = C.struct(f"{name}_args", **({"dtype": C.numbers["UNITVAR_F64"], "extent": extent} | arrays | values))
    return int(C[name](args, C.struct("options", threads=1, communicator=ranks)))


def forward_arrays(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": x, "y": np.zeros_like(x), "mean": np.zeros(CHANNELS), "rstd": np.zeros(CHANNELS), "count": np.zeros(1)}


def test_threads_that_share_a_batch(handles: Any) -> None:
    x, dy = np.random.default_rng(0).normal(size=(2, 2, *SHAPE))
    sync = C.struct("sync_options", global_parameter_gradients=1)
    group, meeting = handles("thread_group", "thread_group_create", 2, sync), Meeting(2)

    def of_c(rank: int) -> list[bytes]:
        ranks, f = C.thread_group_communicator(group, rank), forward_arrays(x[rank])
        assert collective(ranks, "batch_norm_forward", f, eps=1e-5) == 0, C.last_error()
        g = {"dx": np.zeros(SHAPE), "dgamma": np.zeros(CHANNELS), "dbeta": np.zeros(CHANNELS)}
        given = {"x": f["x"], "dy": dy[rank], "mean": f["mean"], "rstd": f["rstd"]}
        assert collective(ranks, "batch_norm_backward", given | g) == 0, C.last_error()
        assert f["count"][0] == 2 * SAMPLES * LENGTH
        counters = C.struct("sync_counters")
        assert C.communicator_counters(ranks, counters) == 0 and counters.frames == 2 and counters.bytes > 0
        C.communicator_destroy(ranks)  # the group's own: nothing happens
        return [a.tobytes() for a in (f["y"], f["mean"], f["rstd"], *g.values())]

    def of_python(rank: int) -> list[bytes]:
        ranks = ThreadRank(meeting, rank, parameter_gradients="global")
        options = unitvar.Options(communicator=ranks, threads=1)
        f = unitvar.batch_norm(x[rank], options=options)
        g = unitvar.batch_norm_backward(x[rank], dy[rank], f.mean, f.rstd, options=options)
        return [a.tobytes() for a in (f.y, f.mean, f.rstd, *g)]

    assert run_ranks(2, of_c) == run_ranks(2, of_python)
    assert C.thread_group_communicator(group, 2) is None and C.thread_group_communicator(None, 0) is None
    check_refused(C.thread_group_create(0, None, ctypes.byref(group)), "bad_argument", "0")


WRONG_RANKS: dict[str, tuple[dict[str, Any], str]] = {
    "refuse_call": ({}, "the second rank will not"),
    "eps": ({"eps": float("nan")}, "nan"),
    "extent": ({"extent": C.struct("extent", outer=1, channels=-3, inner=1)}, "-3"),
    "x": ({"x": None}, "x is null"),
    "dtype": ({"dtype": 77}, "dtype is 77"),
    "struct_size": ({"struct_size": 8}, "struct_size is 8"),
}


@pytest.mark.parametrize("what", list(WRONG_RANKS))
def test_what_one_rank_refuses_is_an_error_on_all(what: str, handles: Any) -> None:
    group, (wrong, seen) = handles("thread_group", "thread_group_create", 2, None), WRONG_RANKS[what]

    def body(rank: int) -> tuple[int, str, bool]:
        ranks, f = C.thread_group_communicator(group, rank), forward_arrays(np.ones(SHAPE))
        if rank == 1 and what == "refuse_call":
            return C.refuse_call(ranks, seen.encode()), seen, True
        status = collective(ranks, "batch_norm_forward", f, **({"eps": 1e-5} | (wrong if rank == 1 else {})))
        return status, C.last_error().decode(), not f["y"].any()

    one, other = run_ranks(2, body)
    assert one[0] == C.numbers["UNITVAR_DISAGREEMENT"] and "rank 1" in one[1] and seen in one[1] and one[2], one
    assert (other[0] != 0 or what == "refuse_call") and seen in other[1] and other[2], other


@pytest.mark.parametrize(("size", "fails"), [(1, 0), (2, 0), (2, 7)])
def test_an_engine_of_callbacks(size: int, fails: int, handles: Any) -> None:
    """A second rank, where there is one, has the same values as the first."""
    called: list[tuple[str, int]] = []

    def act(what: str, frame: int, frame_bytes: int) -> int:
        called.append((what, frame_bytes))
        if what == "wait":
            other = np.frombuffer(ctypes.string_at(frame, frame_bytes), np.float64).copy()
            assert C.merge_frames(other, frame, frame_bytes) == 0, C.last_error()
        return fails if what == "wait" else 0

    types = dict(C.struct("engine")._fields_)
    start, wait = (types[what](lambda user, frame, n, what=what: act(what, frame, n)) for what in ("start", "wait"))
    engine = C.struct("engine", start=start, wait=wait)
    ranks = handles("communicator", "communicator_create", 0, size, engine, None)
    f = forward_arrays(np.random.default_rng(0).normal(size=SHAPE))
    status, counters = collective(ranks, "batch_norm_forward", f, eps=1e-5), C.struct("sync_counters")
    if fails:
        return check_refused(status, "communication", "wait of rank 0 returned 7")
    assert status == 0 and C.communicator_counters(ranks, counters) == 0
    assert f["count"][0] == size * SAMPLES * LENGTH and f["mean"].tobytes() == unitvar.batch_norm(f["x"]).mean.tobytes()
    assert called == [] if size == 1 else [what for what, _ in called] == ["start", "wait"]
    assert counters.frames == len(called) // 2 and counters.bytes == sum(n for _, n in called) // 2
    check_refused(C.merge_frames(f["x"], f["y"], 8), "communication", "8 bytes")
    check_refused(C.merge_frames(None, f["y"], 8), "null_data", "in")
    for rank, given, name, seen in (
        (2, engine, "bad_argument", "rank is 2 of 2"), (0, None, "null_data", "address 0"),
        (0, C.struct("engine", wait=wait), "null_data", "engine.start"),
        (0, C.struct("engine", start=start), "null_data", "engine.wait"),
        (0, C.struct("engine", start=start, wait=wait, struct_size=8), "bad_argument", "struct_size is 8"),
    ):  # fmt: skip
        check_refused(C.communicator_create(rank, 2, given, None, ctypes.byref(ctypes.c_void_p())), name, seen)
