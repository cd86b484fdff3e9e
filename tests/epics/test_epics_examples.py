"""`examples.py` prints with us what it prints with PyEpics, whoever serves the PVs.

What PyEpics prints is in `golden/epics/examples.txt`; another test has it print it
again. A peer may lose a race of its own (an empty waveform right after connecting, a
segmentation fault at its exit, or no end), so that it is asked several times; we are
not.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples import EXAMPLES

import beamfly.epics as epics
from beamfly.ca import pv as served_pv
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.epics.context import close_context
from ca.c_ioc import CIoc, free_port
from conftest import environment, records
from devices.ca.motor_record import MotorRecord

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "epics" / "examples.txt"
TRIES = 6


def sections(text: str) -> dict[str, str]:
    """What each example printed."""
    parts = re.split(r"^## (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture
def with_motor(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    """The records of the C IOC and a motor, from our server."""
    motor = MotorRecord(low=-10, high=10)
    motor.record.pvs |= {"RVAL": served_pv.PV(0), "RRBV": served_pv.PV(0)}
    pvs: dict[str, Any] = {
        **records(),
        "T:m1": motor.record,
        "T:m1_able": served_pv.PV(0, states=("Enable", "Disable")),
    }
    with serve_in_thread(pvs, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server
        close_context()


@pytest.mark.parametrize("name", EXAMPLES)
def test_our_server(
    with_motor: ThreadedServer, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    EXAMPLES[name](epics)
    assert capsys.readouterr().out == sections(GOLDEN.read_text("utf-8"))[name]


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "motor"])
def test_a_c_ioc(c_ioc: CIoc, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    EXAMPLES[name](epics)
    assert capsys.readouterr().out == sections(GOLDEN.read_text("utf-8"))[name]


def pyepics(names: list[str], folder: Path) -> dict[str, str]:
    """What PyEpics prints; less if it did not get to the end."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "examples.py"), *names],
        # not where a folder is named epics
        cwd=folder,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
    return sections(printed)


@pytest.mark.peer
@pytest.mark.timeout(500)
@pytest.mark.parametrize("which", ["with_motor", "c_ioc"])
def test_pyepics_prints_it(
    request: pytest.FixtureRequest, which: str, tmp_path: Path
) -> None:
    request.getfixturevalue(which)
    golden = sections(GOLDEN.read_text("utf-8"))
    left = [name for name in EXAMPLES if which == "with_motor" or name != "motor"]
    printed: dict[str, str] = {}
    for _ in range(TRIES):
        printed |= pyepics(left, tmp_path)
        left = [name for name in left if printed.get(name) != golden[name]]
        if not left:
            break
    assert not left, "\n".join(f"{name}:\n{printed.get(name)}" for name in left)
