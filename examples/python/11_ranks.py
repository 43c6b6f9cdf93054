"""Two processes train one network, each on its part of the batch: SyncBatchNorm makes it the training of one process.

The processes are a gloo group of torch.distributed on this machine. torch's own SyncBatchNorm wants GPUs.
"""

import tempfile
from datetime import timedelta
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import unitvar.torch

RANKS, STEPS = 2, 5
PARTS = (slice(0, 6), slice(6, 12))  # as DistributedDataParallel averages over ranks, they have as many samples


def data() -> tuple[Tensor, Tensor]:
    """A batch of images, and labels."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 3, 8, 8, generator=generator, dtype=torch.float64)
    return 100 + x, torch.randint(4, (12,), generator=generator)


def network() -> nn.Module:
    """The same weights in every process."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 4 * 4, 4),
    )  # fmt: skip
    return model.double()


def train(model: nn.Module, x: Tensor, labels: Tensor) -> list[float]:
    """The loss of each step, on these samples."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def work(rank: int, store: str, results: SimpleQueue) -> None:
    """What a rank does: the calls of one that is alone, but for two lines."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{store}", timedelta(seconds=60), world_size=RANKS, rank=rank)
    model = unitvar.torch.SyncBatchNorm.convert_sync_batchnorm(network())
    model = DistributedDataParallel(model)
    x, labels = data()
    losses = train(model, x[PARTS[rank]], labels[PARTS[rank]])
    results.put((rank, losses, model.module[1].running_mean.tolist()))
    dist.destroy_process_group()


def main() -> None:
    """Starts the ranks, and does their work alone beside them."""
    with tempfile.TemporaryDirectory() as folder:
        results = processes.get_context("spawn").SimpleQueue()
        processes.spawn(work, (str(Path(folder) / "store"), results), nprocs=RANKS)
        (_, losses_0, mean_0), (_, losses_1, mean_1) = sorted(results.get() for _ in range(RANKS))
    alone = network()  # torch's own
    losses = train(alone, *data())
    together = torch.tensor([losses_0, losses_1], dtype=torch.float64).mean(0)
    print("step  rank 0    rank 1    both      one process")
    for step in range(STEPS):
        print(f"{step:4}  {losses_0[step]:.6f}  {losses_1[step]:.6f}  {together[step]:.6f}  {losses[step]:.6f}")

    assert torch.allclose(together, torch.tensor(losses, dtype=torch.float64), rtol=1e-10, atol=0)
    assert mean_0 == mean_1  # bit for bit
    assert torch.allclose(torch.tensor(mean_0, dtype=torch.float64), alone[1].running_mean, rtol=1e-12)


if __name__ == "__main__":
    main()
