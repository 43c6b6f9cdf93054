"""The programs in examples/python: each runs by itself, and asserts what it claims."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"
NAMES = ("01_forward_backward", "02_layer", "03_phases", "04_isa", "05_accumulator", "06_ranks")

# These need a framework: tests/jax and tests/torch run them.
ELSEWHERE = ("09_jax", "10_torch", "11_ranks")


def test_no_example_is_missing_here() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(NAMES + ELSEWHERE)


@pytest.mark.parametrize("name", NAMES)
def test_example_runs_and_holds_its_claims(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, "the example prints nothing"
    assert list(tmp_path.iterdir()) == [], "the example leaves files behind"
