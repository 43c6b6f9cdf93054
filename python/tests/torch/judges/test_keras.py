"""Keras' own tests of its normalization layers, on its torch backend, with this package's functions put in."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("keras") is None:  # importing it here would want its default backend
    pytest.skip("Keras is not installed", allow_module_level=True)

SUITES = ("batch_normalization", "layer_normalization", "group_normalization", "rms_normalization")
CALLS = ("batch_norm", "batch_norm in training", "layer_norm", "group_norm", "rms_norm")


def test_keras_tests_pass_with_the_functions_of_this_package(tmp_path: Path, count: Any) -> None:
    paths = [str(Path(__file__).parent), *(path for path in sys.path if path)]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "torch",
        "KERAS_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    modules = [f"keras.src.layers.normalization.{suite}_test" for suite in SUITES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "keras_plugin", "--pyargs", *modules],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])  # type: ignore[index]
    assert passed >= 50
    count("Keras", "tests pass", passed)
    for name in CALLS:
        found = re.search(rf"calls of {name}: (\d+)", done.stdout)
        assert found is not None, f"{name} was never called"
        count("Keras", f"calls of {name}", int(found[1]))
