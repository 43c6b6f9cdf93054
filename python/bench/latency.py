#!/usr/bin/env python3
"""What an eager call of torch's and of unitvar's costs beside its arithmetic: a tensor of 128 values.

    python bench/latency.py                     2 x 4 x 4 x 4, training, gradients recorded
    python bench/latency.py --rounds 5 --threads 1

torch's function and module and ours take turns in one process. `forward` is one call with gradients recorded;
`backward` is torch.autograd.grad of x, weight and bias. Times are medians.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import staged
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_tables import table

import unitvar.torch

SHAPE = (2, 4, 4, 4)


def calls() -> dict[str, dict[str, Callable[[], Any]]]:
    """What is timed: pass, then the one who does it."""
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).requires_grad_()
    weight, bias = torch.ones(SHAPE[1], requires_grad=True), torch.zeros(SHAPE[1], requires_grad=True)
    running_mean, running_var = torch.zeros(SHAPE[1]), torch.ones(SHAPE[1])
    theirs, ours = nn.BatchNorm2d(SHAPE[1]), unitvar.torch.BatchNorm2d(SHAPE[1])
    functions = {"torch": F.batch_norm, "unitvar": unitvar.torch.batch_norm}
    forwards: dict[str, Callable[[], Tensor]] = {
        f"{name}, function": partial(f, x, running_mean, running_var, weight, bias, True, 0.1, 1e-5)
        for name, f in functions.items()
    }
    forwards |= {"torch, module": partial(theirs, x), "unitvar, module": partial(ours, x)}
    dy = torch.ones(SHAPE)
    backwards = {  # with running statistics of their own: a later forward must not move those of the graph
        f"{name}, function": partial(
            torch.autograd.grad,
            f(x, running_mean.clone(), running_var.clone(), weight, bias, True, 0.1, 1e-5),
            [x, weight, bias],
            dy,
            retain_graph=True,
        )
        for name, f in functions.items()
    }
    return {"forward": forwards, "backward": backwards}


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=staged.positive, default=301, help="default 301")
    parser.add_argument("--threads", type=staged.positive, default=torch.get_num_threads(), help="default: torch's")
    chosen = parser.parse_args(argv)
    torch.set_num_threads(chosen.threads)
    print(
        f"{staged.processor()}, {chosen.threads} threads, PyTorch {torch.__version__}, Python "
        f"{platform.python_version()}. A tensor of {' x '.join(map(str, SHAPE))}, float32. Medians of {chosen.rounds} "
        "rounds.\n"
    )
    lines = [
        [what, name, f"{1e6 * seconds:.1f}"]
        for what, rivals in calls().items()
        for name, seconds in staged.median_seconds(rivals, chosen.rounds).items()
    ]
    print(table(["pass", "", "us"], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
