"""What PyTorch normalizes for pytorch_compare.py: data as in tools/unitvar/bench, calls, and what they should give."""

import functools

import numpy as np
import torch

from figure_files import Refused

EPS = 1e-5
JUDGED = 4
DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16}
# PyTorch sums in float: this shows that it computes the same thing, not how well.
TOLERANCE = {"f32": 1e-3, "f64": 1e-10, "bf16": 1e-2, "f16": 1e-2}


@functools.lru_cache(maxsize=2)
def noise(size, stream):
    """About normal, from splitmix64: the sum of four uniform numbers of 16 bits. As in bench/problem.hpp."""
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

    same_dtype = False  # whether the parameters of 16-bit tensors have 16 bits; else they are float, as ours are

    def __init__(self, row):
        n, c, d, h, w = row["shape"]
        self.dtype = row["dtype"]
        self.dims = self.dims_of(n, c, d * h, w)
        per_channel = (1, c) + (1,) * (len(self.dims) - 2)
        channel = np.arange(c)
        self.running_mean, self.running_std = 1 + 0.5 * (channel % 5), 0.5 + 0.5 * (channel % 3)
        size = n * c * d * h * w
        x = self.running_mean.reshape(per_channel) + self.running_std.reshape(per_channel) * noise(size, 1).reshape(
            self.dims)
        self.x = self.tensor(x, row["layout"])
        self.dy = self.tensor(0.25 + noise(size, 2).reshape(self.dims), row["layout"])
        self.gamma = self.vector(1 + 0.1 * noise(c, 3))
        self.beta = self.vector(0.5 + noise(c, 4))
        self.groups = row["groups"] if row["op"] == "group_norm" else c

    def dims_of(self, n, c, height, width):
        return n, c, height, width

    def tensor(self, values, layout):
        last = layout == "channels_last" and len(self.dims) == 4
        memory = torch.channels_last if last else torch.contiguous_format
        return torch.from_numpy(values).to(DTYPES[self.dtype]).contiguous(memory_format=memory)

    def vector(self, values):
        kept = self.dtype == "f64" or self.same_dtype
        return torch.from_numpy(np.ascontiguousarray(values)).to(DTYPES[self.dtype] if kept else torch.float32)

    def call(self, name):
        """A function that runs a pass and returns a tuple, whose first is y or dx."""
        return self.backward() if name == "backward" else getattr(self, name)

    def by_autograd(self, forward):
        """The backward pass where PyTorch has no function for it alone."""
        inputs = [tensor.detach().requires_grad_() for tensor in (self.x, *self.parameters())]
        with torch.enable_grad():
            y = forward(*inputs)
        return lambda: torch.autograd.grad(y, inputs, self.dy, retain_graph=True)

    def parameters(self):
        return self.gamma, self.beta

    # What is judged: whole groups of a part of the tensor, in float64, and the axes that a group goes over.
    def part(self, tensor):
        return tensor[:, self.judged(1)].double()

    def parameter(self, values):
        return values[self.judged(1)].double().view(1, -1, 1, 1)

    axes = (0, 2, 3)
    centered = True

    def judged(self, axis):
        size = self.dims[axis]
        return sorted({k * (size - 1) // (JUDGED - 1) for k in range(JUDGED)})

    def statistics(self, name, x):
        mean = x.mean(self.axes, keepdim=True) if self.centered else torch.zeros((), dtype=torch.float64)
        return mean, ((x - mean) ** 2).mean(self.axes, keepdim=True)

    def expected(self, name):
        x, gamma = self.part(self.x), self.parameter(self.gamma)
        mean, var = self.statistics(name, x)
        rstd = 1 / torch.sqrt(var + EPS)
        x_hat = (x - mean) * rstd
        if name != "backward":
            return gamma * x_hat + (self.parameter(self.beta) if self.centered else 0)
        dy = gamma * self.part(self.dy)
        along = (dy * x_hat).mean(self.axes, keepdim=True)
        return rstd * (dy - (dy.mean(self.axes, keepdim=True) if self.centered else 0) - x_hat * along)

    def check(self, name, call):
        expected = self.expected(name)
        error = float((self.part(call()[0]) - expected).norm() / expected.norm())
        if not error <= TOLERANCE[self.dtype]:
            raise Refused(f"PyTorch, {name} {self.dtype}: relative L2 error is {error:.3g}, "
                          f"want at most {TOLERANCE[self.dtype]:g}")


class BatchNorm(Problem):
    def forward(self):
        return torch.native_batch_norm(self.x, self.gamma, self.beta, None, None, True, 0.1, EPS)

    def inference(self):
        mean, var = self.vector(self.running_mean), self.vector(self.running_std**2)
        return torch.native_batch_norm(self.x, self.gamma, self.beta, mean, var, False, 0.1, EPS)

    def backward(self):
        _, mean, rstd = self.forward()
        return lambda: torch.ops.aten.native_batch_norm_backward(
            self.dy, self.x, self.gamma, None, None, mean, rstd, True, EPS, [True, True, True])

    def statistics(self, name, x):
        if name != "inference":
            return super().statistics(name, x)
        return (self.parameter(torch.from_numpy(values)) for values in (self.running_mean, self.running_std**2))


class LayerNorm(Problem):
    axes = (1,)

    def dims_of(self, n, c, height, width):
        return n, c

    def part(self, tensor):
        return tensor[self.judged(0)].double()

    def parameter(self, values):
        return values.double()

    def forward(self):
        return torch.native_layer_norm(self.x, [self.dims[1]], self.gamma, self.beta, EPS)

    def backward(self):
        _, mean, rstd = self.forward()
        return lambda: torch.ops.aten.native_layer_norm_backward(
            self.dy, self.x, [self.dims[1]], mean, rstd, self.gamma, self.beta, [True, True, True])


class RmsNorm(LayerNorm):
    same_dtype = True  # otherwise PyTorch leaves its fused kernel
    centered = False

    def parameters(self):
        return (self.gamma,)

    def forward(self):
        return (torch.nn.functional.rms_norm(self.x, [self.dims[1]], self.gamma, EPS),)

    def backward(self):
        return self.by_autograd(lambda x, gamma: torch.nn.functional.rms_norm(x, [self.dims[1]], gamma, EPS))


class GroupNorm(Problem):
    axes = (2, 3, 4)

    def part(self, tensor):
        return tensor[:1].double().reshape(1, self.groups, -1, *self.dims[2:])

    def parameter(self, values):
        return values.double().view(1, self.groups, -1, 1, 1)

    def sizes(self):
        n, c, height, width = self.dims
        return n, c, height * width, self.groups

    def forward(self):
        return torch.native_group_norm(self.x, self.gamma, self.beta, *self.sizes(), EPS)

    def backward(self):
        _, mean, rstd = self.forward()
        return lambda: torch.ops.aten.native_group_norm_backward(
            self.dy, self.x, mean, rstd, self.gamma, *self.sizes(), [True, True, True])


class InstanceNorm(GroupNorm):
    """Channels last, PyTorch's result is channels first."""

    def run(self, x, gamma, beta):
        return torch.instance_norm(x, gamma, beta, None, None, True, 0.1, EPS, False)

    def forward(self):
        return (self.run(self.x, self.gamma, self.beta),)

    def backward(self):
        return self.by_autograd(self.run)


PROBLEMS = {"batch_norm": BatchNorm, "layer_norm": LayerNorm, "rms_norm": RmsNorm, "group_norm": GroupNorm,
            "instance_norm": InstanceNorm}
