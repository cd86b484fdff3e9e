"""What a fresh process imports: a script waits for what it uses, and nothing else."""

import json
import subprocess
import sys

import pytest


def imported(code: str, *arguments: str) -> set[str]:
    """Modules that a fresh process has imported after some code."""
    script = f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"
    command = [sys.executable, "-c", script, *arguments]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return set(json.loads(output.splitlines()[-1]))


@pytest.mark.parametrize(
    "names",
    [
        "caget, caput, camonitor, cainfo, connect",
        "ca_int, ca_float, ca_str, ca_bytes",
        "Client",
    ],
)
def test_names_that_do_without_numpy(names: str) -> None:
    modules = imported(f"from beamfly.ca import {names}")
    assert modules.isdisjoint({"numpy", "click"})
    assert "beamfly.ca" in modules


def test_python_types_mean_what_numpy_says_of_them() -> None:
    import numpy

    from beamfly.ca.datatypes import _NUMPY, _PYTHON

    for kind, code in _PYTHON.items():
        assert _NUMPY[numpy.dtype(kind).char] is code
