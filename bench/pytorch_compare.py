#!/usr/bin/env python3
"""PyTorch's normalizations beside the rows of `unitvar bench --json`: same shapes, same data, same threads.

    unitvar bench --shapes resnet_50 --json unitvar.json
    bench/pytorch_compare.py unitvar.json --json both.json

PyTorch allocates its outputs within the call. So each row is measured twice, by two processes that this program starts:
  warm    glibc keeps freed memory: kernel beside kernel
  plain   as programs run: outputs are mapped anew, and each page faults when it is first written
Results are checked against float64 on a part of the tensor before they are timed. Times are medians over rounds, in ms.
Needs a torch that this Python imports; Debian's python3-torch is enough for all but rms_norm.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import figure_files
from figure_files import Refused, shape_text, threads_text

# glibc reads them when a process starts: nothing is mapped by itself, nothing is given back.
WARM_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "1000000000"}
HEAPS = ("warm", "plain")
WANTED = ("op", "shape", "layout", "dtype", "pass", "threads", "ms")


# --- In the processes that measure.

def seconds_of(call, calls):
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls


def median_ms(call, repeat, budget=1.0, shortest_turn=3e-4):
    call()
    once = min(seconds_of(call, 1) for _ in range(2))
    calls = max(1, int(shortest_turn / max(once, 1e-9)))
    rounds = repeat or max(5, min(301, int(budget / (once * calls))))
    return 1e3 * statistics.median(seconds_of(call, calls) for _ in range(rounds))


def answers(repeat):
    """PyTorch's version; then the time of each row that is asked for, a line each, or what is wrong."""
    import pytorch_problems
    import torch

    yield {"pytorch": torch.__version__}
    problem, last = None, None
    for line in sys.stdin:
        row = json.loads(line)
        if last != (tensor := (row["op"], row.get("groups"), row["shape"], row["layout"], row["dtype"])):
            problem, last = pytorch_problems.PROBLEMS[row["op"]](row), tensor
        torch.set_num_threads(row["threads"])
        with torch.no_grad():
            call = problem.call(row["pass"])
            problem.check(row["pass"], call)
            yield {"ms": median_ms(call, repeat)}


def work(repeat):
    try:
        for answer in answers(repeat):
            print(json.dumps(answer), flush=True)
    except ImportError as error:
        print(json.dumps({"refused": f"{error}; want a Python that imports torch and numpy (with Debian's "
                                     "python3-torch: /usr/bin/python3)"}), flush=True)
    except Refused as refusal:
        print(json.dumps({"refused": str(refusal)}), flush=True)
    except Exception as error:  # what PyTorch refuses, or a row that makes no sense, is told by who asks
        print(json.dumps({"refused": f"{type(error).__name__}: {str(error).splitlines()[0]}"}), flush=True)


# --- In the process that asks.

def environment_of(heap, environment):
    """That of a process with this heap, whatever ours is."""
    kept = {name: value for name, value in environment.items()
            if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"}
    return kept | WARM_HEAP if heap == "warm" else kept


class Worker:
    """This program again, measuring with one kind of heap what it is asked for."""

    def __init__(self, heap, repeat):
        command = [sys.executable, os.path.abspath(__file__), "--worker", "--repeat", str(repeat), ""]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment_of(heap, os.environ))
        self.version = self.answer("pytorch")

    def answer(self, name):
        line = self.process.stdout.readline()
        if not line:
            raise Refused(f"the process that measures PyTorch ended with {self.process.wait()}, want an answer")
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer[name]

    def measure(self, row):
        self.process.stdin.write(json.dumps(row) + "\n")
        self.process.stdin.flush()
        return self.answer("ms")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def in_order_of_tensors(rows):
    """Rows of one size follow each other, because making their data takes longer than measuring them."""
    return sorted(rows, key=lambda row: (row["shape"], row["op"], row["layout"], row["dtype"]))


def with_pytorch(row, ms):
    """The row, and PyTorch's times for each heap, in ms and in times of ours."""
    figures = {f"pytorch_{heap}_ms": ms[heap] for heap in HEAPS}
    return row | figures | {f"pytorch_{heap}_ratio": ms[heap] / row["ms"] for heap in HEAPS}


def measure(rows, workers):
    for row in in_order_of_tensors(rows):
        yield with_pytorch(row, {heap: worker.measure(row) for heap, worker in workers.items()})


HEADER = (f"{'op':<13} {'shape':<18} {'layout':<14} {'dtype':<5} {'pass':<9} {'thr':>3} {'unitvar':>10} {'warm':>10} "
          f"{'ratio':>6} {'plain':>10} {'ratio':>6}")


def line_of(row):
    text = (f"{row['op']:<13} {shape_text(row['shape']):<18} {row['layout']:<14} {row['dtype']:<5} {row['pass']:<9} "
            f"{row['threads']:>3} {row['ms']:>10.4g}")
    return text + "".join(f" {row[f'pytorch_{heap}_ms']:>10.4g} {row[f'pytorch_{heap}_ratio']:>6.2f}" for heap in HEAPS)


def totals(rows):
    ratios = {}
    for row in rows:
        group = f"{row['op']} {row['layout']}, {row['dtype']}, {threads_text(row['threads'])}, {row['pass']}"
        ratios.setdefault(group, []).append(row)
    for group, members in ratios.items():
        means = []
        for heap in HEAPS:
            values = [row[f"pytorch_{heap}_ratio"] for row in members]
            means.append(f"{heap} {statistics.geometric_mean(values):.2f}, lowest {min(values):.2f}")
        yield f"{group}: geometric means: {'; '.join(means)}"


def print_rows(rows, workers, version):
    print(f"unitvar beside PyTorch {version}; times in ms, medians; ratio: times of ours\n"
          f"warm: PyTorch's outputs come from a warm heap; plain: from the heap of a plain process\n{HEADER}")
    measured = []
    for row in measure(rows, workers):
        print(line_of(row), flush=True)
        measured.append(row)
    return measured


def compare(path, out, repeat):
    document = figure_files.read(path, WANTED)
    with Worker("warm", repeat) as warm, Worker("plain", repeat) as plain:
        version = warm.version
        rows = print_rows(document["rows"], {"warm": warm, "plain": plain}, version)
    print("", *totals(rows), sep="\n")
    if out:
        by_key = {figure_files.key(row): row for row in rows}
        ordered = [by_key[figure_files.key(row)] for row in document["rows"]]
        figure_files.write(out, figure_files.text(document | {"pytorch": version, "rows": ordered}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="file of `unitvar bench --json`")
    parser.add_argument("--repeat", type=int, default=0, metavar="K", help="rounds a row; 0: as many as a second holds")
    parser.add_argument("--json", metavar="FILE", help="write the rows with PyTorch's figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.repeat < 0:
        parser.error(f"--repeat is {arguments.repeat}, want at least 0")
    if arguments.worker:
        work(arguments.repeat)
    else:
        compare(arguments.file, arguments.json, arguments.repeat)


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        sys.exit(f"pytorch_compare.py: {refusal}")
