"""The PyTorch code in the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unitvar.torch as ut

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "python.md"


@pytest.mark.parametrize("document", [ROOT / "README.md", GUIDE])
def test_code_with_pytorch_runs(document: Path) -> None:
    blocks = re.findall(r"^```py\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert any("unitvar.torch" in block for block in blocks)
    for block in blocks:
        if "unitvar.torch" in block:
            exec(compile(block, str(document), "exec"), {})


def test_the_table_of_names_is_whole() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    table = text[text.index("## PyTorch") :]
    for name in ut.__all__:
        short = re.sub(r"[123]d$", "", name)
        assert f"`{short}" in table, name
