"""unitvar.check: a plain layer in NumPy, right and with mistakes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import unitvar


def case(axes: tuple[int, ...] = (0, 2, 3), dtype: Any = np.float32) -> dict[str, Any]:
    random = np.random.default_rng(0)
    x, dy = random.normal(1, 2, (6, 4, 3, 3)).astype(dtype), random.normal(1, 1, (6, 4, 3, 3)).astype(dtype)
    d = np.asarray(x, np.float64)
    d = d - d.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt((d**2).mean(axes, keepdims=True) + 1e-5)
    x_hat, g = d * rstd, np.asarray(dy, np.float64)
    dx = rstd * (g - g.mean(axes, keepdims=True) - x_hat * (g * x_hat).mean(axes, keepdims=True))
    return {"x": x, "dy": dy, "y": x_hat.astype(dtype), "dx": dx.astype(dtype), "x_hat": x_hat, "rstd": rstd}


def ids(report: unitvar.CheckReport) -> set[str]:
    return {m.id for e in report.explanations for m in e.mistakes}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_right_results_are_right(dtype: Any) -> None:
    c = case(dtype=dtype)
    report = unitvar.check(c["x"], c["dy"], y=c["y"], dx=c["dx"])
    assert report and report.right, report
    assert [t.name for t in report.tensors] == ["y", "dx"]
    assert "All given results are right." in repr(report)
    assert "<table>" in report._repr_html_()


def test_a_layer_may_compute_in_more_digits_than_it_stores() -> None:
    random = np.random.default_rng(4)
    x = random.normal(1, 1, (64, 6)).astype(np.float16)
    wide = x.astype(np.float32)
    y = ((wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)).astype(np.float16)
    assert unitvar.check(x, y=y, dtype="float32")
    assert not unitvar.check(x, y=y * np.float16(1.01), dtype="float32")


def test_what_rounding_hides_is_neither_right_nor_wrong() -> None:
    x = (1 + np.random.default_rng(5).normal(0, 1, 1 << 17)).astype(np.float16)
    y = (0.5 * (x - np.mean(x, dtype=np.float64)) / np.std(x, dtype=np.float64)).astype(np.float16)
    report = unitvar.check(x, y=y)
    assert not report and report.hidden and report.tensors[0].hidden
    assert "<td>?</td>" in report._repr_html_()
    assert not unitvar.check(x, y=y, dtype="float32").hidden


def test_a_lost_term_is_named_with_its_equation() -> None:
    c = case()
    axes = (0, 2, 3)
    g = c["dy"].astype(np.float64)
    lost = c["rstd"] * (g - g.mean(axes, keepdims=True))
    report = unitvar.check(c["x"], c["dy"], y=c["y"], dx=lost.astype(np.float32))
    assert not report and ids(report) == {"variance_path_dropped"}
    assert report.explanations[0].tensors == ("dx",) and report.explanations[0].mistakes[0].equation == "B27"
    assert "variance_path_dropped" in repr(report) and "variance_path_dropped" in report._repr_html_()
    worst = report.tensors[1]
    assert worst.given == np.float32(lost)[worst.worst] and not worst.right


@pytest.mark.parametrize(
    ("op", "axes", "options"),
    [
        ("batch_norm", (0, 2, 3), {}),
        ("batch_norm", (0, 1, 2), {"channel_axis": -1}),
        ("instance_norm", (2, 3), {}),
        ("group_norm", (1, 2, 3), {"groups": 1}),
        ("layer_norm", (3,), {}),
    ],
)
def test_operations_and_layouts(op: str, axes: tuple[int, ...], options: dict[str, Any]) -> None:
    c = case(axes)
    assert unitvar.check(c["x"], c["dy"], y=c["y"], dx=c["dx"], op=op, **options)
    other = case((0, 2, 3) if op != "batch_norm" else (2, 3))
    assert not unitvar.check(c["x"], c["dy"], y=other["y"], op=op, **options)


def test_where_an_error_sits() -> None:
    c = case()
    c["dx"][2, 1] += 1
    report = unitvar.check(c["x"], c["dy"], dx=c["dx"])
    assert not report.explanations
    assert report.tensors[0].place.startswith("axis 0: 1 of 6 indexes has 99 % of the squared error: 2; axis 1: ")
    assert "no known mistake" in report._repr_html_()


def test_refusals() -> None:
    c = case()
    with pytest.raises(ValueError, match="no result is given"):
        unitvar.check(c["x"], c["dy"])
    with pytest.raises(ValueError, match=r"dx has shape \(2,\), want that of x"):
        unitvar.check(c["x"], c["dy"], dx=np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="op is 'batchnorm', want batch_norm"):
        unitvar.check(c["x"], y=c["y"], op="batchnorm")
    with pytest.raises(ValueError, match="channel_axis is 2, want 1 or -1"):
        unitvar.check(c["x"], y=c["y"], channel_axis=2)
    with pytest.raises(ValueError, match="dtype is 'float', want float32"):
        unitvar.check(c["x"], y=c["y"], dtype="float")
    with pytest.raises(TypeError, match="y has dtype int64"):
        unitvar.check(c["x"], y=c["y"].astype(np.int64))
    with pytest.raises(ValueError, match="eps is -1"):
        unitvar.check(c["x"], y=c["y"], eps=-1.0)


def test_known_mistakes_have_names_of_their_own() -> None:
    mistakes = unitvar.known_mistakes()
    assert len({m.id for m in mistakes}) == len(mistakes) > 45
