"""The examples with torch run, and hold their claims."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "python"


def run(name: str, folder: Path, *options: str) -> str:
    """What an example prints; it leaves no files behind."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_converted_network_learns_with_a_curve_beside_torchs(tmp_path: Path) -> None:
    printed = run("10_torch.py", tmp_path, "--steps", "6", "--points", "3")
    assert "swapped 0, joined 2, left 0" in printed
    curve = printed[printed.index("step  test accuracy") :].splitlines()[1:-1]
    assert [line.split()[0] for line in curve] == ["2", "4", "6"]
    assert printed.splitlines()[-1].startswith("after 6 steps")


def test_loss_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    lines = run("11_ranks.py", tmp_path).splitlines()
    assert len(lines) == 6
    for line in lines[1:]:
        _, rank_0, rank_1, both, alone = line.split()
        assert both == alone and rank_0 != rank_1
