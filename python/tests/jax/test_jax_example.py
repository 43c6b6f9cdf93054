"""The example and the document's code with JAX run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jaxlib", reason="jax is not installed")
pytest.importorskip("flax", reason="flax is not installed")
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "python" / "09_jax.py"


def test_code_of_the_document_runs() -> None:
    chapter = (ROOT / "docs" / "python.md").read_text(encoding="utf-8").split("\n## JAX\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
    variables: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), variables)
    assert "z" in variables


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_example_trains_a_few_steps(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--steps", "5"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("after 5 steps")
    assert list(tmp_path.iterdir()) == []
