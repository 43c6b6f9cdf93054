#!/usr/bin/env python3
"""PyTorch's rows of the tables in docs/numerics.md: relative L2 errors in f32 against float64 on the same inputs.

    python3 bench/pytorch_digits.py

Needs a Python that imports torch: `pip install torch`, or Debian's python3-torch. The C++ rows: bench/digits.cpp.
"""

import sys

try:
    import torch
except ImportError as error:
    sys.exit(f"pytorch_digits.py: {error}; want a Python that imports torch "
             "(`pip install torch`; with Debian's python3-torch: /usr/bin/python3)")

EPS = 1e-5
AXES = (0, 2, 3)


def expected(x, dy):
    """y, dx, dgamma by the formulas, in float64; the data's mean is taken off first, exactly enough at any mean."""
    x, dy = x.double(), dy.double()
    x = x - x.mean(AXES, keepdim=True)
    x = x - x.mean(AXES, keepdim=True)
    rstd = 1 / torch.sqrt((x * x).mean(AXES, keepdim=True) + EPS)
    x_hat = x * rstd
    dgamma = (dy * x_hat).sum(AXES)
    dx = rstd * (dy - dy.mean(AXES, keepdim=True) - x_hat * (dy * x_hat).mean(AXES, keepdim=True))
    return x_hat, dx, dgamma, dy.sum(AXES)


def measured(x, dy):
    channels = x.shape[1]
    gamma, beta = torch.ones(channels), torch.zeros(channels)
    y, mean, rstd = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.1, EPS)
    dx, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
        dy, x, gamma, None, None, mean, rstd, True, EPS, [True, True, True])
    return y, dx, dgamma, dbeta


def relative_l2(actual, wanted):
    return float((actual.double() - wanted).norm() / wanted.norm())


def print_row(what, x, dy):
    errors = [relative_l2(a, e) for a, e in zip(measured(x, dy), expected(x, dy))]
    print(f"| {what} | " + " | ".join(f"{e:.1e}" for e in errors) + " |")


def growing_means():
    print("| 32 x 16 x 28 x 28, f32, std 1 | mean | y | dx | dgamma | dbeta |\n|---|---|---|---|---|---|")
    for mean in (0, 1e2, 1e4, 1e5, 1e6):
        for name, memory in (("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)):
            torch.manual_seed(1)
            x = (mean + torch.randn(32, 16, 28, 28, dtype=torch.float64)).float().contiguous(memory_format=memory)
            dy = torch.randn(32, 16, 28, 28).contiguous(memory_format=memory)
            print_row(f"PyTorch {name} | {mean:g}", x, dy)


def few_values():
    shape = (32, 3, 224, 224)

    def coin(p, heads, tails):
        return torch.where(torch.rand(shape) < p, heads, tails)

    def normal(mean):
        return mean + torch.randn(shape)

    print(f"\n| x, dy of {' x '.join(map(str, shape))} | y | dx | dgamma | dbeta |\n|---|---|---|---|---|")
    torch.manual_seed(1)
    print_row("byte / 255, N(1, 1)", torch.randint(0, 256, shape) / 255, normal(1))
    print_row("0 or 1.4, N(1, 1)", coin(0.5, 0.0, 1.4), normal(1))
    print_row("0.1 or 0.7, N(1, 1)", coin(0.5, 0.1, 0.7), normal(1))
    print_row("N(0, 1), 0.1 or -0.9", normal(0), coin(0.1, -0.9, 0.1))
    print_row("N(0, 1), N(1, 1)", normal(0), normal(1))


def main():
    print(f"PyTorch {torch.__version__}")
    growing_means()
    few_values()


if __name__ == "__main__":
    with torch.no_grad():
        main()
