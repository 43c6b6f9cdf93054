"""The Python code in the documents runs, from top to bottom of each document."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/python.md", "docs/site/cheat-sheet.md", "python/README.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_code_of_a_document_runs(name: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks, f"{name} has no code"
    variables: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, name, "exec"), variables)
    assert "dgamma" in variables


def python_column(document: Path) -> list[str]:
    """The cells of a document's tables below the head Python."""
    cells_below, column = [], 0
    for line in document.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if "Python" in cells:
            column = cells.index("Python")
        elif not line.startswith("|"):
            column = 0
        elif column:
            cells_below.append(cells[column])
    return cells_below


@pytest.mark.parametrize(("name", "functions"), [("which-function.md", 45), ("cheat-sheet.md", 20)])
def test_functions_in_tables_exist(name: str, functions: int) -> None:
    import unitvar
    import unitvar.cs231n  # noqa: F401  (import unitvar leaves it out)

    cells = " ".join(python_column(ROOT / "docs/site" / name))
    names = re.findall(
        r"`((?:(?:phases|reference|gradcheck|ranks|cs231n)\.\w+|\w+_norm\w*|\w+_isas?|explain\w*))[(`]", cells
    )
    for path in names:
        found: object = unitvar
        for part in path.split("."):
            found = getattr(found, part, None)
        assert found is not None, f"{name} names {path}"
    assert len(names) >= functions
