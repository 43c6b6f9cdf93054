"""SyncBatchNorm: 1, 2 and 4 processes of a gloo group compute what one process does on the whole batch."""

from __future__ import annotations

import copy
import functools
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import sync_cases  # noqa: E402
from ranks import SECONDS, Outcome, run_ranks  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from unitvar.torch import SyncBatchNorm  # noqa: E402


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], list[Any]]:
    """What a function gives on each of so many ranks. All functions of a size run in the same processes."""

    @functools.cache
    def run(size: int) -> list[Any]:
        functions = sync_cases.EVERYWHERE + {1: [], 2: sync_cases.ON_TWO, 4: sync_cases.ON_FOUR}[size]
        outcomes = run_ranks("sync_cases", functions, size, tmp_path_factory.mktemp("ranks"))
        for outcome in outcomes:
            assert outcome.returncode == 0, outcome.stderr
        return [outcome.result for outcome in outcomes]

    return lambda function, size: [result[function] for result in run(size)]


Results = Callable[[str, int], list[Any]]


def error(got: Tensor, wanted: Tensor) -> float:
    """Relative, by the L2 norm, in double."""
    got, wanted = got.double(), wanted.double()
    return float((got - wanted).norm() / wanted.norm().clamp_min(1e-300))


def joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(list(parts))


@pytest.fixture(scope="module")
def plain_step() -> dict[str, Any]:
    """One step of the network with torch's own layers, in float64, in this process."""
    model = sync_cases.network(torch.float64)
    for name, child in list(model.named_children()):
        if isinstance(child, SyncBatchNorm):
            plain = (nn.BatchNorm2d if name != "8" else nn.BatchNorm1d)(child.num_features).double()
            setattr(model, name, plain)
    x, target = sync_cases.data(torch.float64)
    x.requires_grad_()
    loss = sync_cases.loss_of(model, x, target)
    loss.backward()
    gradients = [p.grad for p in model.parameters()]
    return {"loss": loss.detach(), "gradients": gradients, "dx": x.grad, "state": model.state_dict()}


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_step_of_a_float64_network_is_that_of_one_process(
    size: int, results: Results, plain_step: dict[str, Any]
) -> None:
    ranks = results("one_step", size)
    assert error(joined([r["dx"] for r in ranks]), plain_step["dx"]) <= 1e-12
    for r in ranks:
        assert error(r["loss"], plain_step["loss"]) <= 1e-12
        for got, wanted in zip(r["gradients"], plain_step["gradients"]):
            # A bias before a batch norm has the gradient 0, but for what rounding leaves.
            assert error(got, wanted) <= 1e-12 or (got - wanted).abs().max() <= 1e-14
        for key, wanted in plain_step["state"].items():
            assert error(r["state"][key], wanted) <= 1e-12
            assert torch.equal(r["state"][key], ranks[0]["state"][key])


@pytest.mark.parametrize("size", [2, 4])
def test_a_float32_layer_gives_what_one_process_gives(size: int, results: Results) -> None:
    (alone,), ranks = results("one_layer", 1), results("one_layer", size)
    for memory in ("first", "last"):
        whole, parts = alone[memory], [r[memory] for r in ranks]
        assert error(joined([r["y"] for r in parts]), whole["y"]) <= 3e-7
        assert error(joined([r["dx"] for r in parts]), whole["dx"]) <= 3e-7
        for got, wanted in zip(parts[0]["parameters"], whole["parameters"]):
            assert error(got, wanted) <= 3e-7
        assert all(r["same_strides"] for r in parts if r["y"].numel())
        for r in parts:
            for key, wanted in whole["state"].items():
                assert error(r["state"][key], wanted) <= 3e-7
                assert torch.equal(r["state"][key], parts[0]["state"][key])


@pytest.mark.parametrize("size", [2, 4])
def test_fifty_steps_in_ddp_stay_as_close_to_float64_as_one_process(size: int, results: Results) -> None:
    exact = sync_cases.network(torch.float64)
    optimizer = torch.optim.SGD(exact.parameters(), lr=0.1, momentum=0.9)
    for step in range(50):
        optimizer.zero_grad()
        sync_cases.loss_of(exact, *sync_cases.data(torch.float64, step)).backward()
        optimizer.step()
    wanted = torch.cat([p.detach().flatten() for p in exact.parameters()])

    def distance(run: dict[str, Any]) -> float:
        return error(torch.cat([p.flatten() for p in run["parameters"]]), wanted)

    (alone,), ranks = results("training", 1), results("training", size)
    assert ranks[0]["losses"][-1] < 0.7 * ranks[0]["losses"][0]
    for r in ranks:
        assert distance(r) <= 1.5 * distance(alone)
        assert all(torch.equal(a, b) for a, b in zip(r["parameters"], ranks[0]["parameters"]))


@pytest.mark.parametrize("size", [2, 4])
def test_second_derivatives_are_those_of_one_process(size: int, results: Results) -> None:
    ranks = results("second_derivatives", size)
    (alone,) = results("second_derivatives", 1)
    assert error(joined([r["x"] for r in ranks]), alone["x"]) <= 1e-12
    assert error(joined([r["dy"] for r in ranks]), alone["dy"]) <= 1e-12
    assert error(ranks[0]["gamma"], alone["gamma"]) <= 1e-12


def test_16_bit_layers_keep_their_types(results: Results) -> None:
    (alone,), ranks = results("dtypes", 1), results("dtypes", 2)
    for dtype, digits in (("torch.bfloat16", 4e-3), ("torch.float16", 5e-4)):
        for name in ("y", "dx"):
            parts = joined([r[dtype][name] for r in ranks])
            assert str(parts.dtype) == dtype
            assert error(parts, alone[dtype][name]) <= digits
        assert ranks[0][dtype]["types"] == [dtype]


def test_a_refused_input_is_an_error_on_all_ranks_and_the_next_call_works(results: Results) -> None:
    ranks = results("disagreement", 2)
    assert ranks[1]["messages"][0] == "ValueError: SyncBatchNorm: x has 4 channels, want num_features = 5"
    assert "refused by rank 1: SyncBatchNorm: x has 4 channels" in ranks[0]["messages"][0]
    for r in ranks:
        assert len(r["messages"]) == 2 and "has 1 value per channel, want 2 or more" in r["messages"][1]
    assert float(ranks[0]["mean"]) == pytest.approx(-float(ranks[1]["mean"]))


def test_a_process_group_of_a_part_of_the_ranks_shares_its_batch_alone(results: Results) -> None:
    ranks = results("part_of_the_ranks", 4)
    assert [round(float(r["mean"][0]), 5) for r in ranks] == [2.0, 2.0, 4.0, 4.0]


def test_converted_layers_run_in_ddp_and_evaluation_exchanges_nothing(results: Results) -> None:
    ranks = results("converted", 2)
    assert all(r["same"] for r in ranks) and torch.equal(ranks[0]["mean"], ranks[1]["mean"])
    assert [r["frames"] for r in ranks] == [4, 4]


def test_transforms_are_refused_and_compilation_falls_back_to_eager(results: Results) -> None:
    for r in results("transforms", 2):
        assert len(r["refused"]) == 3 and r["same"]


def test_threads_of_gloo_are_never_the_last_that_hold_a_tensor(results: Results) -> None:
    """They would need the interpreter's lock, and abort a process whose interpreter is ending."""
    for r in results("after_a_collective", 2):
        assert all(holders >= 2 for holders in r["holders"])  # Python's, and that of the collective kept


@pytest.mark.parametrize("function", ["one_raises", "one_dies"])
def test_where_a_rank_ends_the_others_say_so_at_once(function: str, tmp_path: Path) -> None:
    begin = time.monotonic()
    first, other = run_ranks("sync_cases", [function], 2, tmp_path)
    assert other.returncode != 0 and first.returncode != 0
    assert "rank 0 of 2 got no frame of the other ranks" in first.stderr
    assert time.monotonic() - begin < 2 * SECONDS


def test_where_a_rank_does_not_come_the_others_wait_for_the_timeout_of_the_group(tmp_path: Path) -> None:
    first: Outcome = run_ranks("sync_cases", ["one_is_late"], 2, tmp_path, seconds=5)[0]
    assert first.result is not None, first.stderr
    seen = first.result["one_is_late"]
    assert 4 < seen["seconds"] < 15 and "rank 0 of 2 got no frame of the other ranks" in seen["message"]


@pytest.mark.parametrize("arguments", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": None}])
def test_the_state_is_that_of_torch(arguments: dict[str, Any]) -> None:
    ours, torchs = SyncBatchNorm(4, **arguments), nn.SyncBatchNorm(4, **arguments)
    assert list(ours.state_dict()) == list(torchs.state_dict())
    ours.load_state_dict(torchs.state_dict())
    assert ours.extra_repr() == torchs.extra_repr()


def test_it_copies_and_pickles() -> None:
    layer = SyncBatchNorm(4)
    layer(torch.randn(3, 4))
    layer.eval()
    x = torch.randn(3, 4)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other.running_mean, layer.running_mean)
        assert torch.equal(other(x), layer(x))


def test_wrong_numbers_of_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2D"):
        SyncBatchNorm(3)(torch.ones(3))


class Louder(nn.BatchNorm1d):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def test_conversion_leaves_a_subclass_with_its_own_forward() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm2d(2)), Louder(3))
    model[0].eval()
    with pytest.warns(UserWarning, match="Louder"):
        same = SyncBatchNorm.convert_sync_batchnorm(model)
    assert same is model
    assert type(model[0]) is SyncBatchNorm and type(model[1][0]) is SyncBatchNorm and type(model[2]) is Louder
    assert not model[0].training and model[1][0].training
