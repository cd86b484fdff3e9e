"""The same script under PyEpics and under `beamfly.epics` prints the same."""

import difflib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ca.c_ioc import CIoc

SCRIPT = Path(__file__).parent / "peer_script.py"
TRIES = 6


def output(ioc: CIoc, which: str) -> tuple[int, list[str], str]:
    """Exit status, printed lines, and what went to stderr."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), which],
        env={**os.environ, **ioc.environment},
        # not where a folder is named epics
        cwd=ioc.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return result.returncode, result.stdout.splitlines(), result.stderr


@pytest.mark.peer
@pytest.mark.timeout(400)
def test_a_script_prints_what_it_prints_with_pyepics(c_ioc: CIoc) -> None:
    status, ours, errors = output(c_ioc, "beamfly")
    assert status == 0, errors
    assert len(ours) > 200
    changes: list[str] = []
    for _ in range(TRIES):
        # a peer that loses a race of its own, or crashes at its exit, is asked again
        _, theirs, errors = output(c_ioc, "pyepics")
        changes = [
            line
            for line in difflib.unified_diff(theirs, ours, "pyepics", "beamfly", n=0)
            if not line.startswith("@@")
        ]
        if not changes:
            return
    pytest.fail("\n".join([*changes, errors]))
