"""The compiled module: what it offers, what it shares."""

from __future__ import annotations

import inspect
import shutil
import subprocess

import pytest

import unitvar
from unitvar import _core


def test_the_module_has_one_symbol() -> None:
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    command = ["nm", "-D", "--defined-only", "-j", str(_core.__file__)]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert symbols == ["PyInit__core"]


def test_openmp_is_the_systems() -> None:
    """A copy under another name would be a second runtime beside torch's."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        libraries = {line.split()[-1] for line in maps if "libgomp" in line}
    assert len(libraries) == 1 and all(name.split("/")[-1].startswith("libgomp.so.1") for name in libraries)


def test_every_function_has_an_example() -> None:
    modules = [unitvar, unitvar.phases, unitvar.reference, unitvar.gradcheck, unitvar.ranks]
    functions = {getattr(m, name) for m in modules for name in m.__all__ if inspect.isfunction(getattr(m, name))}
    assert len(functions) > 50
    without = [f.__qualname__ for f in functions if ">>>" not in (f.__doc__ or "")]
    assert not without, without
