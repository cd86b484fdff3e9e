"""PVs from files and the command line, and the command itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from beamfly.ca.alarms import Severity
from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr
from beamfly.ca.pv import PV
from beamfly.ca.pv_file import load_pvs, make_pvs, parse_assignment
from beamfly.ca.records import RecordGroup
from beamfly.cli.ca_serve import serve
from beamfly.errors import BadValue

TOML = """
"X:mode" = "idle"
"X:n" = 3

["X:temp"]
value = 45
type = "double"
units = "degC"
high = 40

["X:state"]
value = "on"
states = ["off", "on"]

["BL:M1"]
record = "motor"
["BL:M1".fields]
VAL = { value = 0.5, units = "mm" }
RBV = 0.25
"""


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "pvs.toml"
    path.write_text(TOML)
    pvs = load_pvs(path)
    temperature, state, motor = pvs["X:temp"], pvs["X:state"], pvs["BL:M1"]
    assert isinstance(temperature, PV) and isinstance(state, PV)
    assert (temperature.type, temperature.alarm.severity) == (
        Dbr.DOUBLE,
        Severity.MINOR,
    )
    assert str(state) == "on"
    assert isinstance(motor, RecordGroup)
    assert (motor["RBV"], motor.pvs["RBV"].properties.units) == (0.25, "mm")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "pvs.json"
    path.write_text('{"a": 1.5, "w": {"value": [1, 2], "length": 10}}')
    pvs = load_pvs(path)
    assert {name: pv.length for name, pv in pvs.items() if isinstance(pv, PV)} == {
        "a": 1,
        "w": 10,
    }


@pytest.mark.parametrize("text", ["[", "[1, 2]", ""])
def test_broken_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pvs.json"
    path.write_text(text)
    with pytest.raises(BadValue, match="nothing is served"):
        load_pvs(path)
    with pytest.raises(BadValue, match="cannot be read"):
        load_pvs(tmp_path / "missing.toml")


def test_mistakes_name_the_pv() -> None:
    for wrong in (
        *({"unit": "K"}, {"type": "complex"}, {"fields": {"RBV": 1}}),
        *({"value": 1.5, "hihi": "hot"}, {"value": 1.5, "on_put": "limit"}),
        *({"value": 1, "states": "On"}, {"value": 1, "length": "a"}),
    ):
        with pytest.raises(BadValue, match="X:temp cannot be served"):
            make_pvs({"X:temp": wrong})


@pytest.mark.parametrize(
    ("text", "base", "shown"),
    [
        ("x=1", Dbr.LONG, "1"),
        ("x=1.5", Dbr.DOUBLE, "1.5"),
        ("x=idle", Dbr.STRING, "idle"),
        ("x=", Dbr.STRING, ""),
        ("x=a=b", Dbr.STRING, "a=b"),
        ("x=[1.5, 2]", Dbr.DOUBLE, "[1.5 2. ]"),
        ('x={"value": 1, "type": "short"}', Dbr.SHORT, "1"),
    ],
)
def test_assignments(text: str, base: Dbr, shown: str) -> None:
    name, pv = parse_assignment(text)
    assert (name, pv.type, str(pv)) == ("x", base, shown)


@pytest.mark.parametrize("text", ["x=[]", 'x={"value": 1, "hihi": "hot"}'])
def test_assignments_that_are_wrong_name_the_pv(text: str) -> None:
    with pytest.raises(BadValue, match="x cannot be served: "):
        parse_assignment(text)


def test_no_assignment() -> None:
    for text in ("x", "=1"):
        with pytest.raises(BadValue):
            parse_assignment(text)


def test_command_wants_pvs() -> None:
    for arguments, message in (([], "nothing to serve"), (["a=1", "a=2"], "twice")):
        result = CliRunner().invoke(serve, arguments)
        assert isinstance(result.exception, BadValue)
        assert message in str(result.exception)


async def test_command_serves_until_it_is_stopped() -> None:
    script = "from beamfly.cli.ca_serve import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "X:t=21.5", "X:m=idle", "--port", "0"],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "EPICS_CAS_BEACON_PORT": "65500"},
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving 2 names on 127.0.0.1 port ")
        where = ("127.0.0.1", int(line.split()[-1].rstrip(".")))
        async with Client(Config(addresses=(where,), auto_addresses=False)) as client:
            assert await (await client.connect("X:t")).get() == 21.5
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.stdout.close()  # pyright: ignore
