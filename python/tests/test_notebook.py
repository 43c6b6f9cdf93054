"""The notebook of the derivation runs from the first cell to the last, and draws its pictures."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("matplotlib")
pytest.importorskip("ipykernel")
import nbformat  # noqa: E402  (comes with nbclient)

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "derivation.ipynb"


def cells_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures_of(cell: Any) -> list[bytes]:
    data = (output.data for output in cell.outputs if "data" in output)
    return [base64.b64decode(of["image/png"]) for of in data if "image/png" in of]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A copy, run by a kernel of this interpreter. A cell that raises fails here."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copy(NOTEBOOK, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.delenv("MPLBACKEND", raising=False)
        notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def test_notebook_is_valid_and_holds_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in cells_of(notebook):
        assert cell.outputs == [] and cell.execution_count is None, cell.source


def test_no_cell_fails(executed: Any) -> None:
    outputs = [output for cell in cells_of(executed) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if "Warning" in output.get("text", "")] == []
    counts = [cell.execution_count for cell in cells_of(executed)]
    assert counts == list(range(1, len(counts) + 1))


def test_every_cell_that_shows_a_figure_has_its_picture(executed: Any) -> None:
    drawing = [cell for cell in cells_of(executed) if "plt.show()" in cell.source]
    assert len(drawing) == 4
    for cell in drawing:
        (picture,) = pictures_of(cell)
        assert picture.startswith(b"\x89PNG") and len(picture) > 5000
