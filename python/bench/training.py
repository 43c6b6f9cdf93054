#!/usr/bin/env python3
"""Networks trained with torch's normalizations and with unitvar's: time, share, memory, loss.

    python bench/training.py                                          all networks, both layouts, 224 x 224, batch 16
    python bench/training.py --network resnet50 --batch 32 --threads 2
    python bench/training.py --allocator warm --json warm.json --plot warm.svg
    python bench/training.py --part loss --steps 50 --network mobilenet_v2
    python bench/training.py --quick                                  tiny networks, to see that all of it runs

Ways: torch's modules, the same under torch.compile, unitvar.torch.convert, and convert(fuse=True). They take turns in
one process, and each round begins with another one. Times are medians. Weights and batches are the same for all.

Parts: `time` of a training step (forward, loss, backward, SGD with momentum) and of inference; `share` of
normalization and activation in a training step, by torch.profiler, without torch.compile; `layers`, each kind of
normalization of the network alone; `memory`, the peak and the page faults a step, in a process for each way; `loss`
beside a run of torch in float64.

Allocators: torch asks for each output anew. By default glibc maps large ones anew each time, and every page faults.
`--allocator` starts this program again with these variables:
    plain          none
    warm           MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=1000000000
    tunables       the same by GLIBC_TUNABLES
    jemalloc       LD_PRELOAD=libjemalloc.so.2 (Debian: libjemalloc2; --jemalloc names another file)
    jemalloc-keep  and MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1: freed pages are kept
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import staged
import torch
import training_chart
import training_parts as parts
import training_tables
from training_networks import BLOCKS, LAYOUTS, TITLES, TORCHVISION, WAYS, Case

import unitvar

DEFAULTS = {
    "network": [*TORCHVISION, *BLOCKS], "way": list(WAYS), "batch": 16, "size": 224, "tokens": 196, "width": 768,
    "rounds": 9, "steps": 50,
}  # fmt: skip
QUICK = {
    "network": ["tiny", *BLOCKS], "way": ["torch", "convert", "fused"], "batch": 2, "size": 16, "tokens": 8,
    "width": 32, "rounds": 1, "steps": 2,
}  # fmt: skip
PARTS = ("time", "share", "layers", "memory", "loss")
_TUNABLES = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8000000000:glibc.malloc.top_pad=1000000000"
_WARM = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "1000000000"}
ALLOCATORS: dict[str, dict[str, str]] = {
    "plain": {},
    "warm": _WARM,
    "tunables": {"GLIBC_TUNABLES": _TUNABLES},
    "jemalloc": {"LD_PRELOAD": "{jemalloc}"},
    "jemalloc-keep": {"LD_PRELOAD": "{jemalloc}", "MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"},
}


def machine(chosen: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": staged.processor(),
        "processors": os.cpu_count(),
        "isa": unitvar.selected_isa("automatic"),
        "threads": chosen.threads,
        "rounds": chosen.rounds,
        "steps": chosen.steps,
        "seeds": chosen.seeds,
        "unitvar": unitvar.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "heap": {name: os.environ[name] for name in staged.HEAP if name in os.environ},
    }


def cases(chosen: argparse.Namespace) -> list[Case]:
    """What to train. A transformer block has one layout."""
    found = []
    for network in chosen.network:
        for layout in chosen.layout if network not in BLOCKS else ["contiguous"]:
            found.append(Case(network, layout, chosen.batch, chosen.size, chosen.tokens, chosen.width))
    return found


def measure(case: Case, chosen: argparse.Namespace) -> dict[str, Any]:
    """One row: the parts that were asked for."""
    eager = [way for way in chosen.way if way != "compile"]
    row: dict[str, Any] = {
        "network": case.network,
        "layout": case.layout,
        "batch": case.batch,
        "input": [3, case.size, case.size] if case.has_images else [case.tokens, case.width],
    }
    if "time" in chosen.part:
        row["time"] = parts.times(case, chosen.way, chosen.rounds)
    if "share" in chosen.part:
        row["share"] = {way: parts.shares(case, way) for way in eager}
    if "layers" in chosen.part:
        row["layers"] = parts.layers(case, chosen.rounds)
    if "memory" in chosen.part:
        row["memory"] = {way: parts.memory(case, way, chosen.threads, 2) for way in chosen.way}
    if "loss" in chosen.part:
        seeds = range(chosen.seeds)
        row["losses"] = [parts.losses(replace(case, seed=seed), chosen.way, chosen.steps) for seed in seeds]
        row["loss"] = parts.loss_errors(row["losses"])
    return row


def child(text: str) -> None:
    """Measures memory in this process, which memory() started, and prints it as JSON."""
    what = json.loads(text)
    torch.set_num_threads(what["threads"])
    print(json.dumps(parts.memory_here(Case(**what["case"]), what["way"], what["steps"])))


def restart(allocator: str, jemalloc: str, argv: Sequence[str]) -> None:
    """Starts this program again on an allocator, unless it runs on it; variables of other allocators go away."""
    variables = {name: text.format(jemalloc=jemalloc) for name, text in ALLOCATORS[allocator].items()}
    if variables.items() <= os.environ.items() and not set(staged.HEAP) - set(variables) & set(os.environ):
        return
    environment = {name: value for name, value in os.environ.items() if name not in staged.HEAP} | variables
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, os.path.abspath(__file__), *argv], environment)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", choices=TITLES, help="default: all but tiny")
    parser.add_argument("--layout", nargs="+", choices=LAYOUTS, default=list(LAYOUTS), help="default: both")
    parser.add_argument("--way", nargs="+", choices=WAYS, help="default: all")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--batch", type=staged.positive, help="default 16")
    parser.add_argument("--size", type=staged.positive, help="height and width of images (default 224)")
    parser.add_argument("--tokens", type=staged.positive, help="of a transformer block (default 196)")
    parser.add_argument("--width", type=staged.positive, help="of a transformer block (default 768)")
    parser.add_argument("--threads", type=staged.positive, default=os.cpu_count(), help="default: all processors")
    parser.add_argument("--rounds", type=staged.positive, help="default 9")
    parser.add_argument("--steps", type=staged.positive, help="of the part loss (default 50)")
    parser.add_argument("--seeds", type=staged.positive, default=1, help="runs of the part loss (default 1)")
    parser.add_argument("--allocator", choices=ALLOCATORS, help="default: as the environment has it")
    parser.add_argument("--jemalloc", metavar="FILE", default="libjemalloc.so.2", help="the library to preload")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", metavar="FILE", help="draw the times there: .png or .svg, by gnuplot")
    parser.add_argument("--quick", action="store_true", help="tiny networks, few rounds, no torch.compile")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.plot and not chosen.plot.endswith((".png", ".svg")):
        parser.error(f"--plot is {chosen.plot!r}, want a name that ends in .png or .svg")
    if chosen.plot and "time" not in chosen.part:
        parser.error("--plot draws the part time, which --part leaves out")
    for name, value in (QUICK if chosen.quick else DEFAULTS).items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, writes."""
    argv = sys.argv[1:] if argv is None else argv
    chosen = arguments(argv)
    if chosen.child:
        child(chosen.child)
        return 0
    if chosen.allocator:
        restart(chosen.allocator, chosen.jemalloc, argv)
    torch.set_num_threads(chosen.threads)
    figures: dict[str, Any] = {"machine": machine(chosen), "rows": []}
    for case in cases(chosen):
        print(f"{case.network}, {case.layout} ...", file=sys.stderr, flush=True)
        figures["rows"].append(measure(case, chosen))
        if chosen.json:  # after every network: a run takes long
            write(figures, chosen.json)
    print(training_tables.document(figures, chosen.way))
    if chosen.plot:
        training_chart.draw(figures, chosen.plot)
    return 0


def write(figures: dict[str, Any], file: str) -> None:
    """As JSON."""
    with open(file, "w", encoding="utf-8") as out:
        json.dump(figures, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    sys.exit(main())
