"""What others' suites judged, counted: the lines at the end of a run are what the documentation states."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

_COUNTS: Counter[tuple[str, str]] = Counter()


@pytest.fixture
def count() -> Any:
    """count(suite, what, n): adds to what the end of the run prints."""

    def add(suite: str, what: str, n: int = 1) -> None:
        _COUNTS[suite, what] += n

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line a suite."""
    if _COUNTS:
        terminalreporter.section("judged by others' tests")
    for suite in sorted({suite for suite, _ in _COUNTS}):
        parts = [f"{n} {what}" for (of, what), n in sorted(_COUNTS.items()) if of == suite]
        terminalreporter.write_line(f"{suite}: {', '.join(parts)}")
