"""What each rank does in the tests of SyncBatchNorm; test_sync.py looks at the results."""

from __future__ import annotations

import os
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import unitvar.torch
from unitvar.torch import SyncBatchNorm

Result = dict[str, Any]


def cut(t: Tensor, rank: int, size: int) -> Tensor:
    """A rank's part of a batch of 12: unequal, and with four ranks one is empty."""
    sizes = {1: [12], 2: [3, 9], 4: [2, 0, 6, 4]}[size]
    return t.split(sizes)[rank]


def network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3), SyncBatchNorm(8), nn.ReLU(), nn.Conv2d(8, 5, 3), SyncBatchNorm(5), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(5 * 16, 4), SyncBatchNorm(4),
    ]  # fmt: skip
    return nn.Sequential(*layers).to(dtype)


def data(dtype: torch.dtype, step: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step + 1)
    x = torch.randn(12, 3, 8, 8, generator=random, dtype=torch.float64) * 2 + 1
    return x.to(dtype), torch.randn(12, 4, generator=random, dtype=torch.float64).to(dtype)


def loss_of(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """This rank's share of the mean over all 12 samples."""
    return ((model(x) - target) ** 2).sum() / (12 * 4)


def add_up(tensors: list[Tensor]) -> None:
    for t in tensors:
        dist.all_reduce(t)


def one_step(rank: int, size: int) -> Result:
    model = network(torch.float64)
    x, target = (cut(t, rank, size) for t in data(torch.float64))
    x = x.requires_grad_()
    loss = loss_of(model, x, target)
    loss.backward()
    total, gradients = loss.detach().clone(), [p.grad for p in model.parameters()]
    add_up([total, *gradients])
    return {"loss": total, "gradients": gradients, "dx": x.grad, "state": model.state_dict()}


def one_layer(rank: int, size: int) -> Result:
    results: Result = {}
    for name, memory in (("first", torch.contiguous_format), ("last", torch.channels_last)):
        random = torch.Generator().manual_seed(3)
        x, dy = (torch.randn(12, 7, 5, 6, generator=random).to(memory_format=memory) for _ in range(2))
        layer = SyncBatchNorm(7, momentum=None)
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(0.5, 2, 7))
            layer.bias.copy_(torch.linspace(-1, 1, 7))
        own = cut(x + 10, rank, size).requires_grad_()
        y = layer(own)
        y.backward(cut(dy, rank, size))
        parameters = [layer.weight.grad, layer.bias.grad]
        add_up(parameters)
        results[name] = {
            "y": y.detach(), "dx": own.grad, "parameters": parameters, "state": layer.state_dict(),
            "same_strides": y.stride() == own.stride(),
        }  # fmt: skip
    return results


def training(rank: int, size: int) -> Result:
    """50 steps of SGD inside DistributedDataParallel, in float32."""
    model: nn.Module = network(torch.float32)
    if size > 1:
        model = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(50):
        x, target = (cut(t, rank, size) for t in data(torch.float32, step))
        optimizer.zero_grad()
        loss = loss_of(model, x, target)
        (loss * size).backward()  # DistributedDataParallel averages
        optimizer.step()
        total = loss.detach().clone()
        dist.all_reduce(total)
        losses.append(float(total))
    return {"losses": losses, "parameters": [p.detach() for p in model.parameters()]}


def second_derivatives(rank: int, size: int) -> Result:
    """A penalty on dx, dgamma and dbeta, these of all ranks together."""
    random = torch.Generator().manual_seed(5)
    x, dy, v = (torch.randn(12, 4, 3, generator=random, dtype=torch.float64) for _ in range(3))
    u, w = (torch.randn(4, generator=random, dtype=torch.float64) for _ in range(2))
    layer = SyncBatchNorm(4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 2, 4))
    own_x, own_dy = cut(x, rank, size).requires_grad_(), cut(dy, rank, size).requires_grad_()
    y = layer(own_x)
    dx, dgamma, dbeta = torch.autograd.grad(y, [own_x, layer.weight, layer.bias], own_dy, create_graph=True)
    penalty = (dx * cut(v, rank, size)).sum() + (dgamma * u).sum() + (dbeta * w).sum()
    grad_x, grad_dy, grad_gamma = torch.autograd.grad(penalty, [own_x, own_dy, layer.weight])
    add_up([grad_gamma])
    return {"x": grad_x, "dy": grad_dy, "gamma": grad_gamma}


def dtypes(rank: int, size: int) -> Result:
    results: Result = {}
    for dtype in (torch.bfloat16, torch.float16):
        x = torch.randn(12, 5, 4, generator=torch.Generator().manual_seed(7)).to(dtype)
        layer = SyncBatchNorm(5).to(dtype)
        own = cut(x, rank, size).requires_grad_()
        y = layer(own)
        y.backward(cut(x.flip(0, 2), rank, size))
        results[str(dtype)] = {"y": y.detach(), "dx": own.grad, "types": [str(layer.weight.grad.dtype)]}
    return results


def disagreement(rank: int, size: int) -> Result:
    """The last rank brings another number of channels; then one value per channel on all ranks; then all goes on."""
    layer, messages = SyncBatchNorm(5), []
    for x in (torch.ones(3, 4 if rank == size - 1 else 5, 2), torch.ones(1 if rank == 0 else 0, 5)):
        try:
            layer(x)
        except ValueError as problem:
            messages.append(f"{type(problem).__name__}: {problem}")
    return {"messages": messages, "mean": layer(torch.ones(3, 5, 2) + rank).detach().mean()}


def part_of_the_ranks(rank: int, size: int) -> Result:
    """Ranks 0 and 1 share a batch, and ranks 2 and 3; each pair by a process group."""
    groups = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    layer = SyncBatchNorm(2, process_group=groups[rank // 2])
    layer(torch.full((4, 2), float(rank)) + torch.arange(4.0)[:, None])
    return {"mean": layer.running_mean * 10}


def transforms(rank: int, size: int) -> Result:
    """What has no rule across ranks raises, and torch.compile leaves the layer to eager mode."""
    layer, x = SyncBatchNorm(3), cut(torch.randn(12, 3, generator=torch.Generator().manual_seed(4)), rank, size)
    refused = []
    for call in (
        lambda: torch.func.grad(lambda x: layer(x).square().sum())(x),
        lambda: torch.func.vmap(layer)(x[None]),
        lambda: torch.func.jvp(layer, (x,), (x,)),
    ):
        try:
            call()
        except (RuntimeError, NotImplementedError) as problem:
            refused.append(type(problem).__name__)
    compiled = torch.compile(SyncBatchNorm(3), backend="eager")
    own, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, wanted = compiled(own), SyncBatchNorm(3)(plain)
    y.pow(3).sum().backward()
    wanted.pow(3).sum().backward()
    return {"refused": refused, "same": torch.equal(y, wanted) and torch.equal(own.grad, plain.grad)}


def after_a_collective(rank: int, size: int) -> Result:
    """Who holds the tensors of the last collective, once gloo's threads have let them go."""
    communicator = unitvar.torch.Communicator()
    unitvar.batch_norm(torch.randn(4, 3).numpy(), options=unitvar.Options(communicator=communicator))
    time.sleep(0.2)
    return {"holders": [t._use_count() for t in (communicator._own, *communicator._all)]}


EVERYWHERE = ["one_step", "one_layer", "training", "second_derivatives", "dtypes"]
ON_TWO = ["disagreement", "converted", "transforms", "after_a_collective"]
ON_FOUR = ["part_of_the_ranks"]


def one_raises(rank: int, size: int) -> Result:
    """Rank 1 ends with an error of its own before the second layer."""
    layer = SyncBatchNorm(3)
    x = torch.randn(4, 3)
    layer(x)
    if rank == 1:
        raise ValueError("the data of rank 1 are broken")
    layer(x)
    return {}


def one_dies(rank: int, size: int) -> Result:
    """Rank 1 ends without a word."""
    layer = SyncBatchNorm(3)
    x = torch.randn(4, 3)
    layer(x)
    if rank == 1:
        os._exit(3)
    layer(x)
    return {}


def one_is_late(rank: int, size: int) -> Result:
    """Rank 1 lives on, but does not call the layer."""
    layer = SyncBatchNorm(3)
    x = torch.randn(4, 3)
    layer(x)
    if rank == 1:
        time.sleep(20)
        return {}
    begin = time.monotonic()
    try:
        layer(x)
    except RuntimeError as problem:
        return {"seconds": time.monotonic() - begin, "message": str(problem)}
    return {}


def converted(rank: int, size: int) -> Result:
    """torch's layers, converted, inside DistributedDataParallel; and an evaluation that exchanges nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.BatchNorm1d(2))
    state = model.state_dict()
    shared = SyncBatchNorm.convert_sync_batchnorm(model)
    same = all(a.data_ptr() == b.data_ptr() for a, b in zip(state.values(), shared.state_dict().values()))
    wrapped = DistributedDataParallel(shared)
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(2))
    before = unitvar.torch._communicator.communicator_of().frames
    wrapped(cut(x, rank, size)).sum().backward()
    mean = shared[1].running_mean.clone()
    wrapped.eval()
    if rank == 0:
        shared(x)  # the other ranks do not call it
    return {"mean": mean, "same": same, "frames": unitvar.torch._communicator.communicator_of().frames - before}
