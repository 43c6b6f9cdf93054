"""Skips these tests where torch is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def pytest_collect_file(file_path: Path, parent: Any) -> None:
    # In a hook: a conftest that is loaded first may not skip. torch.nn: `torch` would find this very folder.
    pytest.importorskip("torch.nn", reason="torch is not installed")
