"""torchvision's and timm's networks, converted: as close to float64 as torch itself?

    python bench/networks.py                    the whole list: a line a network, as it comes
    python bench/networks.py --out FILE         writes the table, in Markdown
    python bench/networks.py --ci               the fixed twenty that the tests take
    python bench/networks.py timm:resnet10t     these networks

The list has the smallest variant of each family (a module of torchvision.models or timm.models) that holds a
normalization of unitvar.torch and at most 60 million parameters. Weights are random, inputs small. Each network makes a
training step and an evaluation: in float64 by torch, then in float64 and float32 by torch, by convert and by
convert(fuse=True). Errors are relative, in the L2 norm, against torch's float64. The column float64 has the worst error
of convert(fuse=True) in float64: of y in training, of y in evaluation, and of all gradients together.
"""

from __future__ import annotations

import argparse
import copy
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from unitvar.torch import Conversion, convert

MOST_PARAMETERS = 60e6
BATCH = 4
SIZES = (64, 96, 128, 224, 256)

#: What the tests take on every run: the layouts, blocks and families that differ.
CI = (
    "torchvision:resnet18", "torchvision:densenet121", "torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small",
    "torchvision:efficientnet_b0", "torchvision:googlenet", "torchvision:mnasnet0_5", "torchvision:regnet_y_400mf",
    "torchvision:shufflenet_v2_x0_5", "torchvision:convnext_tiny", "torchvision:swin_t", "timm:levit_128s",
    "timm:resnet10t", "timm:xcit_nano_12_p16_224", "timm:pit_ti_224", "timm:starnet_s1", "timm:ghostnet_050",
    "timm:dla46_c", "timm:repvit_m0_9", "timm:efficientformer_l1",
)  # fmt: skip

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def build(name: str, **more: Any) -> nn.Module:
    """A network by "library:name", without weights, and without what draws random numbers in training."""
    library, _, model = name.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if library == "timm":
            made: nn.Module = timm.create_model(model, pretrained=False, **more)
        else:
            options = {"init_weights": True, "aux_logits": False} if model in ("googlenet", "inception_v3") else {}
            made = torchvision.models.get_model(model, weights=None, **options)
    for module in made.modules():
        for attribute in ("p", "drop_prob", "drop_rate", "dropout"):
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.0)
    return made


def parameters_of(model: nn.Module) -> int:
    """How many it has."""
    return sum(p.numel() for p in model.parameters())


def families() -> Iterator[tuple[str, list[str]]]:
    """Each family and the names of its variants."""
    found: dict[str, list[str]] = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        module = torchvision.models.get_model_builder(name).__module__.rpartition(".")[2]
        found.setdefault(f"torchvision {module}", []).append(f"torchvision:{name}")
    for module in timm.list_modules():
        found[f"timm {module}"] = [f"timm:{name}" for name in timm.list_models(module=module)]
    yield from found.items()


#: In the names of variants that others of their family are smaller than.
_LARGE = re.compile(r"(?<![a-z])(base|(x|xx)?large|huge|giant|so\d+m|[bhgl](?=_|$|\d)|384|448|512)(?![a-z])")


def smallest(names: list[str]) -> tuple[str | None, str]:
    """The variant to take, or None and why there is none. Names that say a large size count if there are no others."""
    names = [name for name in names if not _LARGE.search(name.partition(":")[2])] or names
    best: tuple[int, str] | None = None
    reason = "no variant"
    for name in names:
        try:
            with torch.device("meta"):
                model = build(name)
        except Exception as problem:
            reason = f"cannot be built: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}"
            continue
        if not any(isinstance(m, _NORMS) and type(m).__module__.startswith("torch.nn.") for m in model.modules()):
            reason = "no normalization of torch.nn"
            continue
        size = parameters_of(model)
        if best is None or size < best[0]:
            best = size, name
    if best is None:
        return None, reason
    return (best[1], "") if best[0] <= MOST_PARAMETERS else (None, f"{best[0] / 1e6:.0f} million parameters")


@dataclass
class Errors:
    """Of y in training and evaluation, and of all gradients together."""

    y: float
    gradients: float
    evaluated: float

    @property
    def worst(self) -> float:
        return max(self.y, self.gradients, self.evaluated)


@dataclass
class Row:
    """A network's results."""

    name: str
    parameters: int
    size: int
    conversion: Conversion
    exact: Errors  # convert(fuse=True) in float64
    torchs: Errors
    plain: Errors
    fused: Errors


def _tensors(y: Any) -> list[Tensor]:
    if isinstance(y, Tensor):
        return [y]
    values = y.values() if isinstance(y, dict) else y
    return [t for value in values if value is not None for t in _tensors(value)]


def _step(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """y and gradients in training, and y of the evaluation behind it, flat and in float64."""
    x = x.clone().requires_grad_()
    model.zero_grad()
    y = torch.cat([t.flatten() for t in _tensors(model.train()(x))])
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y.backward(dy.to(y.dtype))
    gradients = [p.grad for p in (x, *model.parameters()) if p.grad is not None]
    with torch.no_grad():
        evaluated = torch.cat([t.flatten() for t in _tensors(model.eval()(x))])
    return y.detach().double(), torch.cat([g.flatten().double() for g in gradients]), evaluated.double()


def _errors(got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Errors:
    return Errors(*(float((g - w).norm() / w.norm()) for g, w in zip(got, wanted)))


def _input_for(name: str) -> tuple[nn.Module, Tensor]:
    """The network and the smallest images that it takes."""
    problem: Exception | None = None
    for size in SIZES:
        x = torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        try:
            torch.manual_seed(0)
            fixed = {"img_size": size} if name.startswith("timm:") and size != 224 and _takes_size(name) else {}
            model = build(name, **fixed)
            with torch.no_grad():
                copy.deepcopy(model).eval()(x.float())
            return model, x
        except (RuntimeError, ValueError, AssertionError, TypeError) as other:
            problem = other
    assert problem is not None
    raise problem


def _takes_size(name: str) -> bool:
    """Whether the size of its images is fixed when it is built."""
    return bool(timm.models.get_pretrained_cfg(name.partition(":")[2]).fixed_input_size)


def smoothed(model: nn.Module) -> nn.Module:
    """SiLU in place of the modules with a kink, in place."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6)):
                setattr(module, name, nn.SiLU())
    return model


def compare(name: str, smooth: bool = False) -> Row:
    """One network, all ways, on one thread; with `smooth`, without kinks.

    float64 judges the gradients, too. In float32, rounding moves some values over the kinks of ReLUs, and each moves
    the gradients by what it weighs: by chance torch's or ours. So these are shown, and y is the yardstick.
    """
    torch.set_num_threads(1)
    model, x = _input_for(name)
    if smooth:
        model = smoothed(model)
    conversion = Conversion()
    ways = [model, convert(copy.deepcopy(model)), convert(copy.deepcopy(model), fuse=True, report=conversion)]
    wanted = _step(copy.deepcopy(model).double(), x)
    exact = _errors(_step(copy.deepcopy(ways[2]).double(), x), wanted)
    return Row(
        name,
        parameters_of(model),
        x.shape[-1],
        conversion,
        exact,
        *(_errors(_step(w, x.float()), wanted) for w in ways),
    )


HEAD = (
    "| network | parameters (M) | image | swapped | joined | left | float64 | torch y / gradients | converted | "
    "fused |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)


def line(row: Row) -> str:
    """A row of the table."""
    c = row.conversion
    joined = {join.name for join in c.joined}
    left = sum(name not in c.swapped and name not in joined for name, _ in c.left)
    errors = (f"{e.y:.1e} / {e.gradients:.1e}" for e in (row.torchs, row.plain, row.fused))
    return (
        f"| {row.name} | {row.parameters / 1e6:.1f} | {row.size} | {len(c.swapped)} | {len(c.joined)} | {left} | "
        f"{row.exact.worst:.0e} | {' | '.join(errors)} |"
    )


def _too_late(*_: Any) -> None:
    raise TimeoutError("took more than the time of --seconds")


def run(names: list[str], seconds: int) -> Iterator[str]:
    """The table, a line at a time; what cannot run says why."""
    signal.signal(signal.SIGALRM, _too_late)
    for name in names:
        signal.alarm(seconds)
        try:
            yield line(compare(name))
        except Exception as problem:
            first = (str(problem).splitlines() or [type(problem).__name__])[0]
            yield f"| {name} | cannot run: {first[:150]} | | | | | | | | |"
        finally:
            signal.alarm(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--ci", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the whole list and what is not in it")
    parser.add_argument("--out")
    parser.add_argument("--seconds", type=int, default=300, help="for one network")
    arguments = parser.parse_args()
    names = list(CI) if arguments.ci else arguments.names
    if not names:
        for family, variants in families():
            name, reason = smallest(variants)
            if name is not None:
                names.append(name)
            print(f"{family}: {name or reason}", file=sys.stderr, flush=True)
    if arguments.list:
        print("\n".join(names))
        return
    lines = []
    for text in run(names, arguments.seconds):
        print(text, flush=True)
        lines.append(text)
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
