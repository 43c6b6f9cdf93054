"""Twenty networks of torchvision and timm, converted and fused: the same network, and as close to float64 as torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torchvision", reason="torchvision is not installed")
pytest.importorskip("timm", reason="timm is not installed")

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))
import networks  # noqa: E402


@pytest.mark.parametrize("name", networks.CI)
def test_a_converted_network_is_as_close_to_float64_as_torchs(name: str, count: Any) -> None:
    row = networks.compare(name)
    conversion = row.conversion
    assert conversion.swapped or conversion.joined
    assert row.exact.worst < 1e-9  # the same network, gradients included: only rounding differs
    for ours in (row.plain, row.fused):
        assert ours.y <= 2 * max(row.torchs.y, 1e-6)
        assert ours.evaluated <= 2 * max(row.torchs.evaluated, 1e-6)
        assert ours.gradients <= 0.1  # rounding moves values over the kinks of ReLUs: networks.compare
    count("networks", "networks")
    count("networks", "normalizations", len(conversion.swapped) + len(conversion.joined))
    count("networks", "of them joined with what follows", len(conversion.joined))


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v2", "torchvision:resnet18"])
def test_gradients_of_a_network_without_kinks_are_as_close_to_float64_as_torchs(name: str) -> None:
    row = networks.compare(name, smooth=True)
    for ours in (row.plain, row.fused):
        assert ours.gradients <= 2 * max(row.torchs.gradients, 1e-6)


def test_the_list_is_of_twenty() -> None:
    assert len(set(networks.CI)) == 20
