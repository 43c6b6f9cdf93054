#!/usr/bin/env python3
"""Measures the figures of this machine and writes them to bench/figures, in a file for its kind of processor.

    script/bench --update                        all parts
    script/bench --update layer_norm rms_norm    these parts alone; the others stay as they are
    script/bench --update --pytorch PYTHON       with a Python that imports torch, PyTorch too

Each part is one or several runs of `unitvar bench`, oneDNN beside it where the program has it. PyTorch follows at once.
Ratios have four digits, which is more than they are worth. What was not measured is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import figure_files
from figure_files import Refused

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(HERE, "..", "build", "release", "tools", "unitvar", "unitvar")

# All dtypes on two threads would double the time; the small tensors of densenet_121 gain nothing from a second one.
ALL_ON_ONE = ["--dtype", "f32,f64,bf16,f16", "--threads", "1"]
F32_ON_TWO = ["--dtype", "f32", "--threads", "2"]
LAYOUTS = ["--layout", "channels_first,channels_last"]
PARTS = {
    "resnet_50": [["--shapes", "resnet_50", *LAYOUTS, *ALL_ON_ONE], ["--shapes", "resnet_50", *LAYOUTS, *F32_ON_TWO]],
    "densenet_121": [["--shapes", "densenet_121", *LAYOUTS, "--dtype", "f32", "--threads", "1"]],
    "layer_norm": [["--op", "layer_norm", *ALL_ON_ONE], ["--op", "layer_norm", *F32_ON_TWO]],
    "rms_norm": [["--op", "rms_norm", *ALL_ON_ONE], ["--op", "rms_norm", *F32_ON_TWO]],
    "group_norm": [["--op", "group_norm", *LAYOUTS, *ALL_ON_ONE], ["--op", "group_norm", *LAYOUTS, *F32_ON_TWO]],
    "instance_norm": [["--op", "instance_norm", *LAYOUTS, *ALL_ON_ONE],
                      ["--op", "instance_norm", *LAYOUTS, *F32_ON_TWO]],
}

# Fifteen rounds give quartiles, and all parts then take about half an hour on two processors.
ROUNDS = "15"
ROUNDS_OF_PYTORCH = "5"

KEPT = ("op", "groups", "suite", "shape", "count", "layout", "dtype", "pass", "threads", "ms", "roofline_fraction",
        "onednn_same_ratio", "onednn_best_ratio", "onednn_best_format", "pytorch_warm_ratio", "pytorch_plain_ratio")


def part_of(row):
    return row["suite"] if row["op"] == "batch_norm" else row["op"]


def slim(row):
    """What bench/figures holds of a row."""
    rounded = lambda value: float(f"{value:.4g}") if isinstance(value, float) else value
    return {name: rounded(row[name]) for name in KEPT if row.get(name) is not None}


def circumstances(document):
    """What all parts of a file share."""
    return f"{document['machine']['processor']} beside {document['onednn'] or 'no oneDNN'}"


def merged(before, after, stamps):
    """The figures before with the parts in `stamps` renewed by those of `after`, in the order of PARTS."""
    if before and set(before["parts"]) - set(stamps) and circumstances(before) != circumstances(after):
        raise Refused(f"the other parts are of {circumstances(before)}, these of {circumstances(after)}; "
                      "want all renewed")
    kept = [row for row in (before["rows"] if before else []) if part_of(row) not in stamps]
    rows = kept + [slim(row) for row in after["rows"]]
    order = list(PARTS)
    rows.sort(key=lambda row: order.index(part_of(row)))
    head = {name: after[name] for name in ("unitvar", "date", "machine", "onednn")}
    parts = (before["parts"] if before else {}) | stamps
    parts = {name: parts[name] for name in order if name in parts}
    return head | {"complete": set(parts) == set(PARTS), "parts": parts, "rows": rows}


def commit():
    """That of the working tree; nothing outside a repository."""
    found = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True,
                           text=True, check=False)
    return found.stdout.strip() or None


def run(command):
    print("$", *command, flush=True)
    ended = subprocess.run(command, check=False)
    if ended.returncode != 0:
        raise Refused(f"{os.path.basename(command[0])} ended with {ended.returncode}, want 0")


class Measuring:
    def __init__(self, arguments):
        self.arguments = arguments
        self.bench = [arguments.tool, "bench"]
        self.against = ["--against", "onednn"] if self.has_onednn() else []

    def quick(self, *more):
        command = [*self.bench, "--shape", "2,1", "--pass", "inference", "--threads", "1", "--repeat", "1", *more]
        return subprocess.run([*command, "--json", "-"], capture_output=True, text=True, check=False)

    def has_onednn(self):
        return self.quick("--against", "onednn").returncode == 0

    def machine(self):
        seen = self.quick()
        if seen.returncode != 0:
            raise Refused(f"{self.arguments.tool} bench ended with {seen.returncode}: {seen.stderr.strip()}")
        return json.loads(seen.stdout)["machine"]

    def measure(self, options, folder):
        """One run, and PyTorch beside its rows."""
        path = os.path.join(folder, "part.json")
        run([*self.bench, *options, *self.against, "--repeat", self.arguments.repeat, "--json", path])
        if self.arguments.pytorch:
            run([self.arguments.pytorch, os.path.join(HERE, "pytorch_compare.py"), path, "--repeat", ROUNDS_OF_PYTORCH,
                 "--json", path])
        return figure_files.read(path)

    def measure_part(self, name):
        with tempfile.TemporaryDirectory() as folder:
            documents = [self.measure(options, folder) for options in PARTS[name]]
        last = documents[-1]
        stamp = {"date": last["date"], "commit": commit(), "pytorch": last.get("pytorch"),
                 "commands": [" ".join(["unitvar bench", *options, *self.against]) for options in PARTS[name]]}
        return last | {"rows": [row for document in documents for row in document["rows"]]}, {name: stamp}


def update(arguments):
    measuring = Measuring(arguments)
    path = os.path.join(arguments.figures, measuring.machine()["kind"] + ".json")
    for name in arguments.parts or PARTS:
        after, stamp = measuring.measure_part(name)
        before = figure_files.read(path) if os.path.exists(path) else None
        if before and not arguments.parts and circumstances(before) != circumstances(after):
            before = None
        figure_files.write(path, figure_files.text(merged(before, after, stamp)))  # part by part: none is lost
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--pytorch", metavar="PYTHON", help="a Python that imports torch and numpy")
    parser.add_argument("--repeat", default=ROUNDS, metavar="K", help=f"rounds a row; {ROUNDS}")
    parser.add_argument("--tool", default=os.path.normpath(TOOL), metavar="FILE", help="the program unitvar")
    parser.add_argument("--figures", default=os.path.join(HERE, "figures"), metavar="FOLDER", help="where to write")
    parser.add_argument("--kind", action="store_true", help="print this machine's kind, and measure nothing")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"part is '{part}', want {', '.join(PARTS)}")
    if arguments.kind:
        print(Measuring(arguments).machine()["kind"])
    else:
        update(arguments)


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        sys.exit(f"measure_figures.py: {refusal}")
