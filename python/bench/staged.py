#!/usr/bin/env python3
"""The staged graph, the analytic form and unitvar: three backward passes of batch normalization, timed in NumPy.

P. Costa's post on deriving the batch norm gradient says that its `batchnorm_backward_alt` "is 2 to 4 times faster" than
the staged graph. This program times both, written as NumPy code, and `unitvar.batch_norm_backward` beside them:

    python bench/staged.py                                       every shape, float64 and float32
    python bench/staged.py --shape 200x100 --dtype float32       one of them
    python bench/staged.py --plot staged.png --json staged.json  a picture by gnuplot, and the figures

Rivals take turns in one process, and each round begins with another one. Each gets the cache of its own forward. Before
they are timed, their gradients are compared with the staged graph in float64. Times are medians.

NumPy asks for a new array for every operation. By default glibc maps a large one anew each time, and page faults are a
good part of the time. These variables make it keep freed memory, so that arithmetic is measured:

    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 python bench/staged.py
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import staged_chart

import unitvar

EPS = 1e-5
SHAPES = ("60x100", "200x100", "100x500", "1000x1000", "4096x1024", "8x16x32x32", "32x64x28x28", "32x64x56x56")
DTYPES = ("float64", "float32")
RIVALS = ("staged", "alt", "unitvar")
RATIOS = (("staged", "alt"), ("alt", "unitvar"), ("staged", "unitvar"))
SHORTEST_TURN = 5e-4
# Relative L2 error against the staged graph in float64. NumPy adds the rows of a float32 matrix one after another.
LARGEST_ERROR = {"float64": dict.fromkeys(RIVALS, 1e-12), "float32": {"staged": 1e-4, "alt": 1e-4, "unitvar": 2e-6}}
HEAP = (
    "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_CONF",
)  # fmt: skip

Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]
Rivals = dict[str, Callable[[], Any]]


class Stages(NamedTuple):
    """What the staged forward keeps (docs/derivation.md B32)."""

    x_hat: np.ndarray
    gamma: np.ndarray
    xmu: np.ndarray
    rstd: np.ndarray
    sqrtvar: np.ndarray
    var: np.ndarray


def staged_forward(x: np.ndarray, gamma: np.ndarray) -> Stages:
    """The steps of the graph on an N x D matrix, as far as the backward needs them."""
    rows = x.shape[0]
    mean = 1.0 / rows * np.sum(x, axis=0)
    xmu = x - mean
    var = 1.0 / rows * np.sum(xmu**2, axis=0)
    sqrtvar = np.sqrt(var + EPS)
    rstd = 1.0 / sqrtvar
    return Stages(xmu * rstd, gamma, xmu, rstd, sqrtvar, var)


def batchnorm_backward(dout: np.ndarray, cache: Stages) -> Gradients:
    """The staged graph backward, step by step (B33). np.ones is of dout's dtype: float32 stays float32."""
    xhat, gamma, xmu, ivar, sqrtvar, var = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgammax = dout
    dgamma = np.sum(dgammax * xhat, axis=0)
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 * 1.0 / np.sqrt(var + EPS) * dsqrtvar
    dsq = 1.0 / N * np.ones((N, D), dout.dtype) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D), dout.dtype) * dmu
    return dx1 + dx2, dgamma, dbeta


def batchnorm_backward_alt(dout: np.ndarray, cache: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Gradients:
    """The post's function (B29)."""
    gamma, xhat, istd = cache
    N, _ = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dx = (gamma * istd / N) * (N * dout - xhat * dgamma - dbeta)
    return dx, dgamma, dbeta


def as_matrix(x: np.ndarray) -> np.ndarray:
    """NCHW as the matrix that CS231n's spatial_batchnorm makes: a row for each pixel. Matrices stay as they are."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1]) if x.ndim == 4 else x


def as_images(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Back to NCHW."""
    if len(shape) != 4:
        return matrix
    n, c, h, w = shape
    images: np.ndarray = matrix.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    return images


def make_rivals(shape: tuple[int, ...], dtype: str, threads: int) -> tuple[Rivals, Gradients]:
    """The rivals, each on the cache of its own forward, and the gradients they must give."""
    random = np.random.default_rng(1)
    x = random.normal(3, 2, shape).astype(dtype)
    dy = random.normal(0, 1, shape).astype(dtype)
    gamma = random.normal(1, 0.5, shape[1]).astype(dtype)

    stages = staged_forward(as_matrix(x), gamma)
    alt_cache = (gamma, stages.x_hat, stages.rstd)
    options = unitvar.Options(threads=threads)
    _, mean, _, rstd = unitvar.batch_norm(x, gamma, eps=EPS, options=options)

    def spatial(backward: Callable[[np.ndarray, Any], Gradients], cache: Any) -> Gradients:
        dx, dgamma, dbeta = backward(as_matrix(dy), cache)
        return as_images(dx, shape), dgamma, dbeta

    exact = staged_forward(as_matrix(x).astype(np.float64), gamma.astype(np.float64))
    dx, dgamma, dbeta = batchnorm_backward(as_matrix(dy).astype(np.float64), exact)
    rivals: Rivals = {
        "staged": lambda: spatial(batchnorm_backward, stages),
        "alt": lambda: spatial(batchnorm_backward_alt, alt_cache),
        "unitvar": lambda: unitvar.batch_norm_backward(x, dy, mean, rstd, gamma, options=options),
    }
    return rivals, (as_images(dx, shape), dgamma, dbeta)


def l2_error(value: np.ndarray, truth: np.ndarray) -> float:
    """Relative error in the L2 norm."""
    return float(np.linalg.norm((value - truth).ravel()) / np.linalg.norm(truth.ravel()))


def check(name: str, dtype: str, gradients: Gradients, truth: Gradients) -> float:
    """The largest error of dx, dgamma and dbeta; ends the program if it is too large."""
    error = max(l2_error(value, wanted) for value, wanted in zip(gradients, truth))
    if any(value.dtype != np.dtype(dtype) for value in gradients):
        sys.exit(f"staged.py: {name} gives {[str(g.dtype) for g in gradients]}, want {dtype}")
    if not error <= LARGEST_ERROR[dtype][name]:
        sys.exit(f"staged.py: {name} is off by {error:.1e} in {dtype}, want at most {LARGEST_ERROR[dtype][name]:.0e}")
    return error


def seconds_of(work: Callable[[], Any], calls: int) -> float:
    """Of one call, over so many."""
    begin = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - begin) / calls


def median_seconds(rivals: Rivals, rounds: int) -> dict[str, float]:
    """Median of each rival. Every one has its turn in each round; short work is repeated within a turn."""
    calls = {}
    for name, work in rivals.items():
        work()
        calls[name] = max(1, math.ceil(SHORTEST_TURN / seconds_of(work, 1)))
    times: dict[str, list[float]] = {name: [] for name in rivals}
    names = list(rivals)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(seconds_of(rivals[name], calls[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def measure(shape_text: str, dtype: str, threads: int, rounds: int) -> dict[str, Any]:
    """One row: times in ms, ratios, errors."""
    rivals, truth = make_rivals(shape_of(shape_text), dtype, threads)
    errors = {name: check(name, dtype, work(), truth) for name, work in rivals.items()}
    seconds = median_seconds(rivals, rounds)
    ratios = {f"{slow}/{fast}": seconds[slow] / seconds[fast] for slow, fast in RATIOS}
    return {
        "shape": shape_text,
        "dtype": dtype,
        "ms": {name: 1e3 * value for name, value in seconds.items()},
        "ratios": ratios,
        "l2_errors": errors,
    }


def shape_of(text: str) -> tuple[int, ...]:
    """60x100 is N x D, 8x16x32x32 is N x C x H x W."""
    sizes = text.split("x")
    if len(sizes) not in (2, 4) or not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"shape is {text!r}, want NxD or NxCxHxW, as 60x100")
    shape = tuple(int(size) for size in sizes)
    if math.prod(shape) // shape[1] < 2:
        raise argparse.ArgumentTypeError(f"shape is {text!r}, want two values of a channel at least")
    return shape


def shape_text(text: str) -> str:
    """The text, checked."""
    shape_of(text)
    return text


def positive(text: str) -> int:
    """For argparse."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def processor() -> str:
    """Its name, family and model, as the operating system gives them: some names are those of several generations."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            pairs = [line.split(":", 1) for line in lines if ":" in line]
    except OSError:
        pairs = []
    fields = {name.strip(): value.strip() for name, value in reversed(pairs)}
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    if "cpu family" not in fields:
        return fields["model name"]
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"


def machine(threads: int, rounds: int) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "isa": unitvar.selected_isa("automatic"),
        "threads": threads,
        "rounds": rounds,
        "unitvar": unitvar.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "heap": {name: os.environ[name] for name in HEAP if name in os.environ},
    }


def introduction(of: dict[str, Any]) -> str:
    """The machine in a sentence or two."""
    heap = " ".join(f"{name}={value}" for name, value in of["heap"].items()) or "as the system has it"
    return (
        f"{of['processor']}, {of['processors']} processors, {of['isa']}. unitvar {of['unitvar']} on "
        f"{staged_chart.threads_of(of)}, NumPy {of['numpy']}, Python {of['python']}. Heap: {heap}. "
        f"Medians of {of['rounds']} rounds.\n"
    )


def markdown(row: dict[str, Any]) -> str:
    """One line of the table."""
    times = [f"{row['ms'][name]:.3f}" for name in RIVALS]
    ratios = [f"{row['ratios'][f'{slow}/{fast}']:.1f}" for slow, fast in RATIOS]
    return "| " + " | ".join([row["shape"].replace("x", " x "), row["dtype"], *times, *ratios]) + " |"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", type=shape_text, help="NxD or NxCxHxW; may be repeated")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="may be repeated")
    parser.add_argument("--threads", type=positive, default=1, help="of unitvar; NumPy has one (default 1)")
    parser.add_argument("--repeat", type=positive, default=15, help="rounds (default 15)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", metavar="FILE", help="draw them there: .png or .svg, by gnuplot")
    chosen = parser.parse_args(argv)
    if chosen.plot and not chosen.plot.endswith((".png", ".svg")):
        parser.error(f"--plot is {chosen.plot!r}, want a name that ends in .png or .svg")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, writes."""
    chosen = arguments(argv)
    figures: dict[str, Any] = {"machine": machine(chosen.threads, chosen.repeat), "rows": []}
    print(introduction(figures["machine"]))
    print("| shape | dtype | staged, ms | alt, ms | unitvar, ms | staged/alt | alt/unitvar | staged/unitvar |")
    print("|---|---|---|---|---|---|---|---|")
    for dtype in chosen.dtype or DTYPES:
        for text in chosen.shape or SHAPES:
            figures["rows"].append(measure(text, dtype, chosen.threads, chosen.repeat))
            print(markdown(figures["rows"][-1]), flush=True)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")
    if chosen.plot:
        staged_chart.draw(figures, chosen.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
