"""Runs a function of a test module on a number of processes of a gloo group, with a bound on the time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

SECONDS = 30
"""How long a collective waits for the other processes."""


@dataclass
class Outcome:
    """What a process did."""

    returncode: int
    stderr: str
    result: Any


def run_ranks(module: str, functions: list[str], size: int, folder: Path, seconds: float = SECONDS) -> list[Outcome]:
    """Each function(rank, size) of a module beside this one, on so many processes.

    What they return comes back by torch.save, as a dict of the functions' names.

    All processes are ended after 180 seconds, whatever they do.
    """
    import torch

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, __file__, module, ",".join(functions), str(size), str(folder), str(seconds)]
    processes = [
        subprocess.Popen(
            [*command, str(rank)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for rank in range(size)
    ]
    end = time.monotonic() + 180
    outcomes = []
    try:
        for rank, process in enumerate(processes):
            _, stderr = process.communicate(timeout=max(1, end - time.monotonic()))
            file = folder / f"result.{rank}"
            result = torch.load(file, weights_only=True) if file.exists() else None
            outcomes.append(Outcome(process.returncode, stderr, result))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return outcomes


def _main(module: str, functions: list[str], size: int, folder: Path, seconds: float, rank: int) -> None:
    import importlib

    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", timedelta(seconds=seconds), world_size=size, rank=rank)
    cases = importlib.import_module(module)
    results = {name: getattr(cases, name)(rank, size) for name in functions}
    torch.save(results, folder / f"result.{rank}")
    dist.destroy_process_group()
    os._exit(0)  # a thread of gloo that lets a test's own tensor go now would abort the process as it ends (torch 2.15)


if __name__ == "__main__":
    own = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parent))
    _main(own[0], own[1].split(","), int(own[2]), Path(own[3]), float(own[4]), int(own[5]))
