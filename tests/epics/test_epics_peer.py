"""The same script under PyEpics and under `beamfly.epics` prints the same."""

import difflib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ca.c_ioc import CIoc

SCRIPT = Path(__file__).parent / "peer_script.py"


def output(ioc: CIoc, which: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), which],
        env={**os.environ, **ioc.environment},
        # not where a folder is named epics
        cwd=ioc.folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.peer
def test_a_script_prints_what_it_prints_with_pyepics(c_ioc: CIoc) -> None:
    theirs, ours = output(c_ioc, "pyepics"), output(c_ioc, "beamfly")
    assert len(theirs) > 200
    changes = [
        line
        for line in difflib.unified_diff(theirs, ours, "pyepics", "beamfly", n=0)
        if not line.startswith("@@")
    ]
    assert not changes, "\n".join(changes)
