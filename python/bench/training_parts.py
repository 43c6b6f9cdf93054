"""What training.py measures: times in turns, shares by the profiler, peak memory, the loss beside float64."""

from __future__ import annotations

import copy
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import staged
import torch
from torch import Tensor, nn
from training_networks import NORMALIZATIONS, Case, Trainer, batch_of, build, model_of, normalizations, put_in

Work = Callable[[], Any]
MARK = "normalization"
SMALLEST = 1e-17  # an error of zero, in a geometric mean
ACTIVATIONS = {
    f"aten::{name}{end}"
    for name in ("relu", "leaky_relu", "hardtanh", "silu", "hardswish", "hardsigmoid", "gelu", "sigmoid")
    for end in ("", "_")
}


def medians(rivals: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, in turns. Two calls before are not timed: they compile, and fill the heap."""
    return {name: 1e3 * seconds for name, seconds in staged.median_seconds(rivals, rounds).items()}


def times(case: Case, ways: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a training step and of inference, by way."""
    x, labels = batch_of(case, 0)
    trainers = {way: Trainer(model_of(case, way)) for way in ways}

    def infer(model: Any) -> Tensor:
        with torch.no_grad():
            return model(x)

    step = medians({way: lambda t=t: t.step(x, labels) for way, t in trainers.items()}, rounds)
    models = {way: t.model.eval() for way, t in trainers.items()}
    return {"step": step, "inference": medians({way: lambda m=m: infer(m) for way, m in models.items()}, rounds)}


def _alone(module: nn.Module, like: Tensor, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of torch's module and of ours, forward and backward, on a new tensor that lies as another."""
    x, dy = (torch.empty_like(like).normal_(generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    x.requires_grad_()
    modules = {"torch": module, "convert": put_in(copy.deepcopy(module), "convert")}
    forwards = {way: partial(m, x) for way, m in modules.items()}
    backwards = {
        way: partial(torch.autograd.grad, m(x), [x, *m.parameters()], dy, retain_graph=True)
        for way, m in modules.items()
    }
    return {"forward": medians(forwards, rounds), "backward": medians(backwards, rounds)}


def layers(case: Case, rounds: int) -> list[dict[str, Any]]:
    """Each kind of normalization of the network alone: torch's module and ours, in turns."""
    return [
        {"module": kind, "shape": shape, "count": count, **_alone(module, x, rounds)}
        for (kind, shape, _), (module, x, count) in normalizations(case).items()
    ]


def _mark(model: nn.Module) -> None:
    """Lets the profiler see the forwards of the normalizations."""
    for module in model.modules():
        if isinstance(module, NORMALIZATIONS):
            plain = module.forward

            def marked(*inputs: Any, plain: Any = plain) -> Any:
                with torch.profiler.record_function(MARK):
                    return plain(*inputs)

            module.forward = marked  # type: ignore[method-assign]


def _groups(events: Any) -> dict[str, float]:
    """Self times by group, each event counted once. A backward belongs to the group of its forward: same sequence."""
    of_sequence: dict[int, str] = {}

    def group_of(event: Any) -> str:
        while event is not None:
            if event.name == MARK:
                return "normalization"
            if event.name in ACTIVATIONS:
                return "activation"
            if event.name.startswith("autograd::engine") and event.sequence_nr >= 0:
                return of_sequence.get(event.sequence_nr, "other")
            event = event.cpu_parent
        return "other"

    ordered = sorted(events, key=lambda e: e.time_range.start)
    sums = dict.fromkeys(("normalization", "activation", "other"), 0.0)
    for event in ordered:
        group = group_of(event)
        if event.sequence_nr >= 0:
            of_sequence[event.sequence_nr] = group  # the last one made the node; others saw its number before
        sums[group] += event.self_cpu_time_total
    return sums


def shares(case: Case, way: str, steps: int = 3) -> dict[str, float]:
    """The parts of training steps' time that normalization and activation take, by torch.profiler.

    What is fused counts as normalization.
    """
    model = model_of(case, way)
    _mark(model)
    trainer, (x, labels) = Trainer(model), batch_of(case, 0)
    trainer.step(x, labels)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            trainer.step(x, labels)
    sums = _groups(profiled.events())
    return {name: value / sum(sums.values()) for name, value in sums.items() if name != "other"}


def usage() -> tuple[float, int]:
    """Peak resident memory of this process in MiB, and its page faults so far.

    ru_maxrss would be the peak of the process that started this one, if that was higher: exec keeps it.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return peak / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def memory_here(case: Case, way: str, steps: int) -> dict[str, float]:
    """Trains in this process: peak MiB above what it had before, and page faults a step once the heap has grown."""
    trainer, (x, labels) = Trainer(model_of(case, way)), batch_of(case, 0)
    before, _ = usage()
    for _ in range(3):
        trainer.step(x, labels)
    _, faults = usage()
    for _ in range(steps):
        trainer.step(x, labels)
    peak, all_faults = usage()
    return {"peak_mib": peak, "grown_mib": peak - before, "faults": (all_faults - faults) / steps}


def memory(case: Case, way: str, threads: int, steps: int) -> dict[str, float]:
    """The same in a process of its own."""
    program = Path(__file__).with_name("training.py")
    what = json.dumps({"case": asdict(case), "way": way, "threads": threads, "steps": steps})
    done = subprocess.run([sys.executable, str(program), "--child", what], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"training.py: {case.network} in the way {way!r} ended with code {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def losses(case: Case, ways: list[str], steps: int) -> dict[str, list[float]]:
    """The loss of each step, by way, and of torch in float64, from the same weights and batches."""
    exact = build(case).double()
    trainers = {"float64": Trainer(exact), **{way: Trainer(model_of(case, way)) for way in ways}}
    found: dict[str, list[float]] = {name: [] for name in trainers}
    for step in range(steps):
        x, labels = batch_of(case, step)
        for name, trainer in trainers.items():
            found[name].append(trainer.step(x.double() if name == "float64" else x, labels))
    return found


def loss_errors(runs: list[dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """How far each way is from float64: relative, at the last step and as the mean over all steps.

    Of several runs, the geometric means: one run's distance is much a matter of chance.
    """
    errors = {}
    for way in (name for name in runs[0] if name != "float64"):
        relative = [
            [abs(value - wanted) / abs(wanted) for value, wanted in zip(run[way], run["float64"])] for run in runs
        ]
        errors[way] = {
            "last": statistics.geometric_mean(max(run[-1], SMALLEST) for run in relative),
            "mean": statistics.geometric_mean(max(statistics.fmean(run), SMALLEST) for run in relative),
        }
    return errors
