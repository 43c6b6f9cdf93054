"""Skips these tests where torch is missing. `torch` alone would find this very folder."""

import pytest

pytest.importorskip("torch.nn", reason="torch is not installed")
