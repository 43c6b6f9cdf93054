#!/usr/bin/env python3
"""PyTorch's batch normalization beside the rows of `unitvar bench --json`: same shapes, same data, same threads.

    unitvar bench --shapes resnet_50 --json unitvar.json
    bench/pytorch_compare.py unitvar.json

Needs a torch that Python can import; Debian's python3-torch is enough. Each result is checked against a float64
computation of a few channels before it is timed. Times are medians over rounds, in ms; PyTorch allocates its outputs
within the call, as it always does.
"""

import argparse
import json
import statistics
import sys
import time

try:
    import numpy as np
    import torch
except ImportError as error:
    sys.exit(f"pytorch_compare.py: {error}; want a Python that imports torch and numpy "
             "(with Debian's python3-torch: /usr/bin/python3)")

EPS = 1e-5
JUDGED_CHANNELS = 4
DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16}
# PyTorch sums in float: this shows that it computes the same thing, not how well.
TOLERANCE = {"f32": 1e-3, "f64": 1e-10, "bf16": 1e-2, "f16": 1e-2}


class Refused(Exception):
    """What is wrong with the input file or a result, in one line."""


# --- The data of tools/unitvar/bench/problem.hpp, element for element.

def noise(size, stream):
    """About normal, from splitmix64: the sum of four uniform numbers of 16 bits."""
    with np.errstate(over="ignore"):
        z = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(stream * 0xD1B54A32D192ED03 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    total = sum((z >> np.uint64(16 * k)) & np.uint64(0xFFFF) for k in range(4))
    return (total.astype(np.float64) / 65536 - 2) * 1.7320508075688772


class Problem:
    """One tensor in one layout and dtype, and what normalizing it forward and backward takes."""

    def __init__(self, shape, layout, dtype):
        n, c, d, h, w = shape
        channel = np.arange(c)
        self.running_mean = 1 + 0.5 * (channel % 5)
        self.running_std = 0.5 + 0.5 * (channel % 3)
        per_channel = (1, c, 1, 1)
        dims = (n, c, d * h, w)
        size = n * c * d * h * w
        x = self.running_mean.reshape(per_channel) + self.running_std.reshape(per_channel) * noise(size, 1).reshape(dims)
        memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        make = lambda values: torch.from_numpy(values).to(DTYPES[dtype]).contiguous(memory_format=memory)
        self.x = make(x)
        self.dy = make(0.25 + noise(size, 2).reshape(dims))
        self.dtype = dtype
        # The parameters of 16-bit tensors are float.
        parameters = torch.float64 if dtype == "f64" else torch.float32
        vector = lambda values: torch.from_numpy(np.ascontiguousarray(values)).to(parameters)
        self.gamma = vector(1 + 0.1 * noise(c, 3))
        self.beta = vector(0.5 + noise(c, 4))
        self.mean, self.var = vector(self.running_mean), vector(self.running_std**2)

    def forward(self):
        return torch.native_batch_norm(self.x, self.gamma, self.beta, None, None, True, 0.1, EPS)

    def inference(self):
        return torch.native_batch_norm(self.x, self.gamma, self.beta, self.mean, self.var, False, 0.1, EPS)

    def backward_call(self):
        _, mean, rstd = self.forward()
        return lambda: torch.ops.aten.native_batch_norm_backward(
            self.dy, self.x, self.gamma, None, None, mean, rstd, True, EPS, [True, True, True])

    def call(self, name):
        return {"forward": lambda: self.forward, "inference": lambda: self.inference,
                "backward": self.backward_call}[name]()

    def expected(self, name, channels):
        """The same in float64, on some channels: y, or dx."""
        part = lambda tensor: tensor[:, channels].double()
        vector = lambda values: values[channels].double().view(1, -1, 1, 1)
        x, gamma, beta = part(self.x), vector(self.gamma), vector(self.beta)
        axes = (0, 2, 3)
        if name == "inference":
            return gamma * (x - vector(self.mean)) / torch.sqrt(vector(self.var) + EPS) + beta
        mean = x.mean(axes, keepdim=True)
        rstd = 1 / torch.sqrt(((x - mean) ** 2).mean(axes, keepdim=True) + EPS)
        x_hat = (x - mean) * rstd
        if name == "forward":
            return gamma * x_hat + beta
        dy = part(self.dy)
        return gamma * rstd * (dy - dy.mean(axes, keepdim=True) - x_hat * (dy * x_hat).mean(axes, keepdim=True))

    def check(self, name, call):
        channels = sorted({k * (self.x.shape[1] - 1) // (JUDGED_CHANNELS - 1) for k in range(JUDGED_CHANNELS)})
        expected = self.expected(name, channels)
        error = float((call()[0][:, channels].double() - expected).norm() / expected.norm())
        if not error <= TOLERANCE[self.dtype]:
            raise Refused(f"PyTorch, {name} {self.dtype}: relative L2 error is {error:.3g}, "
                          f"want at most {TOLERANCE[self.dtype]:g}")


# --- Timing.

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


# --- Rows.

def read_rows(path):
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is no file of `unitvar bench --json`: {error}") from error
    wanted = {"shape", "layout", "dtype", "pass", "threads", "ms"}
    for number, row in enumerate(rows):
        if missing := wanted - set(row):
            raise Refused(f"{path}: row {number} has no {sorted(missing)[0]}, want {', '.join(sorted(wanted))}")
        if row["dtype"] not in DTYPES:
            raise Refused(f"{path}: row {number} has dtype {row['dtype']}, want one of {', '.join(DTYPES)}")
    return rows


def measure(rows, repeat):
    problem, key = None, None
    for row in rows:
        if key != (row["shape"], row["layout"], row["dtype"]):
            key = (row["shape"], row["layout"], row["dtype"])
            problem = Problem(*key)
        torch.set_num_threads(row["threads"])
        call = problem.call(row["pass"])
        problem.check(row["pass"], call)
        yield row, median_ms(call, repeat)


def shape_text(shape):
    return "x".join(str(axis) for index, axis in enumerate(shape) if index != 2 or axis != 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", help="file of `unitvar bench --json`")
    parser.add_argument("--repeat", type=int, default=0, metavar="K", help="rounds a row; 0: as many as a second holds")
    arguments = parser.parse_args()
    if arguments.repeat < 0:
        parser.error(f"--repeat is {arguments.repeat}, want at least 0")
    rows = read_rows(arguments.json)
    print(f"unitvar beside PyTorch {torch.__version__}; times in ms, medians; ratio: times of ours")
    print(f"{'shape':<18} {'layout':<14} {'dtype':<5} {'pass':<9} {'thr':>3} {'unitvar':>10} {'PyTorch':>10} {'ratio':>6}")
    ratios = {}
    for row, ms in measure(rows, arguments.repeat):
        ratio = ms / row["ms"]
        ratios.setdefault((row["layout"], row["dtype"], row["threads"], row["pass"]), []).append(ratio)
        print(f"{shape_text(row['shape']):<18} {row['layout']:<14} {row['dtype']:<5} {row['pass']:<9} "
              f"{row['threads']:>3} {row['ms']:>10.4g} {ms:>10.4g} {ratio:>6.2f}", flush=True)
    print()
    for (layout, dtype, threads, name), values in ratios.items():
        print(f"{layout}, {dtype}, {threads} thread{'s' * (threads != 1)}, {name}: geometric mean "
              f"{statistics.geometric_mean(values):.2f}, lowest {min(values):.2f}")


if __name__ == "__main__":
    try:
        with torch.no_grad():
            main()
    except Refused as refusal:
        sys.exit(f"pytorch_compare.py: {refusal}")
