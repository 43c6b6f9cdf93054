"""bench/staged.py: its rivals are right, it refuses wrong gradients, and it writes what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unitvar

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import staged  # noqa: E402
import staged_chart  # noqa: E402


def test_rivals_give_the_gradients_of_the_jacobian() -> None:
    random = np.random.default_rng(3)
    x, dy, gamma = random.normal(3, 2, (9, 2)), random.normal(size=(9, 2)), np.array([1.5, -0.5])
    stages = staged.staged_forward(x, gamma)
    by_graph = staged.batchnorm_backward(dy, stages)
    by_alt = staged.batchnorm_backward_alt(dy, (gamma, stages.x_hat, stages.rstd))
    for c in range(2):
        x_hat = stages.x_hat[:, c]
        jacobian = gamma[c] * stages.rstd[c] * (np.eye(9) - 1 / 9 - np.outer(x_hat, x_hat) / 9)
        np.testing.assert_allclose(by_graph[0][:, c], jacobian.T @ dy[:, c], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(by_alt[0][:, c], jacobian.T @ dy[:, c], rtol=1e-10, atol=1e-13)


def test_images_become_a_matrix_with_a_column_for_each_channel_and_back() -> None:
    x = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    matrix = staged.as_matrix(x)
    assert matrix.shape == (40, 3)
    np.testing.assert_array_equal(matrix[:, 1], x[:, 1].ravel())
    np.testing.assert_array_equal(staged.as_images(matrix, x.shape), x)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_wrong_gradients_are_not_timed(monkeypatch: pytest.MonkeyPatch, wrong: int) -> None:
    right = unitvar.batch_norm_backward

    def off(*args: Any, **options: Any) -> tuple[Any, ...]:
        gradients: list[Any] = list(right(*args, **options))
        gradients[wrong] = gradients[wrong] * (1 + 1e-4)
        return tuple(gradients)

    monkeypatch.setattr(unitvar, "batch_norm_backward", off)
    monkeypatch.setattr(staged, "median_seconds", lambda *_: pytest.fail("timed"))
    with pytest.raises(SystemExit, match="unitvar is off by 1.0e-04"):
        staged.measure("6x3", "float32", 1, 1)


def test_table_and_figures_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert staged.main(["--shape", "6x3", "--shape", "2x3x4x5", "--repeat", "1", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    printed = capsys.readouterr().out
    assert figures["machine"]["processor"] in printed
    assert [(row["shape"], row["dtype"]) for row in figures["rows"]] == [
        ("6x3", "float64"), ("2x3x4x5", "float64"), ("6x3", "float32"), ("2x3x4x5", "float32")
    ]  # fmt: skip
    for row in figures["rows"]:
        assert staged.markdown(row) in printed
        assert row["ratios"]["staged/alt"] == pytest.approx(row["ms"]["staged"] / row["ms"]["alt"])
        assert row["ratios"]["alt/unitvar"] == pytest.approx(row["ms"]["alt"] / row["ms"]["unitvar"])


@pytest.mark.parametrize("shape", ["60", "0x3", "1x3", "6x3x2", "ax3"])
def test_shapes_that_are_none_are_refused(shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        staged.main(["--shape", shape])
    assert repr(shape) in capsys.readouterr().err


def test_script_for_gnuplot_has_every_row_and_the_file(tmp_path: Path) -> None:
    ms = {"staged": 4.0, "alt": 2.0, "unitvar": 0.5}
    ratios = {"staged/alt": 2.0, "alt/unitvar": 4.0, "staged/unitvar": 8.0}
    rows = [{"shape": "6x3", "dtype": dtype, "ms": ms, "ratios": ratios} for dtype in staged.DTYPES]
    text = staged_chart.script({"machine": staged.machine(1, 1), "rows": rows}, str(tmp_path / "it's.svg"))
    assert text.count("6×3 4 2 0.5 2 4 8") == 2
    assert "it''s.svg" in text and staged.processor() in text
