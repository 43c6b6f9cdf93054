"""bench/training.py: its parts measure what they say, and its tables and JSON hold them."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import unitvar.torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import latency  # noqa: E402
import training  # noqa: E402
import training_chart  # noqa: E402
import training_networks as networks  # noqa: E402
import training_parts as parts  # noqa: E402
import training_tables  # noqa: E402

TINY = networks.Case("tiny", "channels_last", batch=4, size=16)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_quick_run_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    file = tmp_path / "figures.json"
    argv = ["--quick", "--threads", "1", "--json", str(file)]
    assert training.main([*argv, "--seeds", "2", "--part", "time", "share", "layers", "loss"]) == 0
    figures, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert figures["machine"]["processor"] in printed
    assert [(row["network"], row["layout"]) for row in figures["rows"]] == [
        ("tiny", "contiguous"), ("tiny", "channels_last"), ("block_layer_norm", "contiguous"),
        ("block_rms_norm", "contiguous"),
    ]  # fmt: skip
    for row in figures["rows"]:
        for what in ("step", "inference"):
            assert set(row["time"][what]) == {"torch", "convert", "fused"}
            assert f"{row['time'][what]['torch'] / row['time'][what]['fused']:.2f} |" in printed
        assert len(row["losses"]) == 2 and len(row["losses"][0]["float64"]) == 2
        assert all(error["last"] < 1e-5 for error in row["loss"].values())
        assert [layer["count"] for layer in row["layers"]] == [2]
    assert "page faults" not in printed

    assert (
        training.main([*argv, "--network", "tiny", "--layout", "contiguous", "--part", "memory", "--way", "torch"]) == 0
    )
    (row,) = json.loads(file.read_text())["rows"]
    assert 50 < row["memory"]["torch"]["peak_mib"] < 5000
    assert f"| {row['memory']['torch']['peak_mib']:.0f} |" in capsys.readouterr().out


def test_ways_have_the_modules_that_they_name() -> None:
    kinds = {way: type(networks.model_of(TINY, way).norm1).__name__ for way in ("torch", "convert", "fused")}
    assert kinds == {"torch": "BatchNorm2d", "convert": "BatchNorm2d", "fused": "BatchNormAct2d"}
    assert isinstance(networks.model_of(TINY, "convert").norm1, unitvar.torch.BatchNorm2d)
    assert not isinstance(networks.model_of(TINY, "torch").norm1, unitvar.torch.BatchNorm2d)
    assert networks.batch_of(TINY, 0)[0].is_contiguous(memory_format=torch.channels_last)


def event(name: str, start: int, own: float, sequence: int = -1, parent: Any = None) -> Any:
    """As torch.profiler has it."""
    return SimpleNamespace(
        name=name, time_range=SimpleNamespace(start=start), self_cpu_time_total=own, sequence_nr=sequence,
        cpu_parent=parent,
    )  # fmt: skip


def test_a_backward_counts_for_the_group_of_its_forward() -> None:
    norm = event("normalization", 1, 1)
    inner = event("aten::native_batch_norm", 2, 10, 5, norm)
    relu = event("aten::relu_", 3, 100, 6)
    conv = event("aten::conv2d", 4, 1000, 7)
    engine = event("autograd::engine::evaluate_function: ReluBackward0", 5, 200, 6)
    backward = event("autograd::engine::evaluate_function: NativeBatchNormBackward0", 6, 20, 5)
    inside = event("aten::native_batch_norm_backward", 7, 40, -1, backward)
    sums = parts._groups([inside, backward, engine, conv, relu, inner, norm])
    assert sums == {"normalization": 71, "activation": 300, "other": 1000}


def test_shares_are_parts_of_the_whole() -> None:
    plain, fused = parts.shares(TINY, "torch"), parts.shares(TINY, "fused")
    assert plain["normalization"] > 0 and plain["activation"] > 0 and sum(plain.values()) < 1
    assert fused["normalization"] > 0 and fused["activation"] == 0


def test_loss_errors_are_relative_to_float64_and_geometric_means_of_runs() -> None:
    run = {"float64": [2.0, 4.0], "torch": [2.2, 4.0], "convert": [2.0, 4.4]}
    errors = parts.loss_errors([run])
    assert errors["torch"] == pytest.approx({"last": parts.SMALLEST, "mean": 0.05})
    assert errors["convert"] == pytest.approx({"last": 0.1, "mean": 0.05})
    other = {"float64": [2.0, 4.0], "torch": [2.0, 4.0], "convert": [2.0, 4.004]}
    assert parts.loss_errors([run, other])["convert"]["last"] == pytest.approx(0.01)


def test_seeds_give_other_weights_and_batches() -> None:
    other = dataclasses.replace(TINY, seed=1)
    for seeded in (TINY, other):
        assert torch.equal(networks.build(seeded).conv1.weight, networks.build(seeded).conv1.weight)
    assert not torch.equal(networks.build(TINY).conv1.weight, networks.build(other).conv1.weight)
    assert not torch.equal(networks.batch_of(TINY, 0)[0], networks.batch_of(other, 0)[0])


def test_many_kinds_of_layers_are_one_line_with_their_sums() -> None:
    def row(kinds: int) -> dict[str, Any]:
        layer = {"module": "BatchNorm2d", "shape": "1 x 2", "count": 2}
        ms = {"torch": 3.0, "convert": 1.5}
        layers = [{**layer, "forward": ms, "backward": ms}] * kinds
        return {"network": "tiny", "layout": "contiguous", "batch": 1, "input": [3, 4, 4], "layers": layers}

    few, many = (training_tables._layers([row(kinds)], []).splitlines()[2:] for kinds in (2, 21))
    assert len(few) == 3 and "| all 4 | - | 12.000 | 6.000 | 2.00 |" in few[0]
    assert len(many) == 1 and "| all 42 | - | 126.000 | 63.000 | 2.00 |" in many[0]


def test_another_allocator_starts_the_program_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda program, argv, environment: started.append(environment))
    for name in training.staged.HEAP:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_CONF", "dirty_decay_ms:0")
    training.restart("warm", "libjemalloc.so.2", [])
    (environment,) = started
    assert environment["MALLOC_MMAP_MAX_"] == "0" and "MALLOC_CONF" not in environment
    monkeypatch.setattr(os, "environ", environment)
    training.restart("warm", "libjemalloc.so.2", [])
    assert len(started) == 1
    training.restart("jemalloc", "/opt/jemalloc.so", [])
    assert started[1]["LD_PRELOAD"] == "/opt/jemalloc.so" and "MALLOC_MMAP_MAX_" not in started[1]


def test_chart_has_every_row_and_way() -> None:
    ms = {"torch": 6.0, "convert": 4.0, "fused": 3.0}
    both = {"step": ms, "inference": ms}
    rows = [
        {"network": "resnet50", "layout": layout, "batch": 16, "input": [3, 224, 224], "time": both}
        for layout in networks.LAYOUTS
    ]
    machine = {"processor": "A_B", "heap": {}, "threads": 2, "torch": "2.15", "rounds": 3}
    text = training_chart.script({"machine": machine, "rows": rows}, "it's.svg")
    assert text.count("1.5\n1.5\nEOD") == 2 and text.count("2\n2\nEOD") == 2
    assert "it''s.svg" in text and "ResNet-50\\nNCHW, batch 16" in text


@pytest.mark.parametrize("argv", [["--plot", "a.gif"], ["--plot", "a.svg", "--part", "loss"], ["--batch", "0"]])
def test_wrong_arguments_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit):
        training.arguments(argv)


def test_latency_has_forward_and_backward_of_torch_and_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["--rounds", "1", "--threads", "1"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert [(row[0], row[1]) for row in rows] == [
        ("| forward", "torch, function"), ("| forward", "unitvar, function"), ("| forward", "torch, module"),
        ("| forward", "unitvar, module"), ("| backward", "torch, function"), ("| backward", "unitvar, function"),
    ]  # fmt: skip
    assert all(float(row[2].rstrip(" |")) > 0 for row in rows)
    ours, theirs = (
        call() for call in (latency.calls()["backward"][name] for name in ("unitvar, function", "torch, function"))
    )
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)
