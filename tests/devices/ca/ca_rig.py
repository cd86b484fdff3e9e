"""Servers for the tests of EPICS devices: ours in the loop, a C IOC in a process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import ophyd_async.epics.testing as ophyd_testing
import pytest

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.ca.server_asyncio import Server
from ca.c_ioc import free_port

LONG = "a string that is just longer than forty characters"
STATES = ("Aaa", "Bbb", "Ccc")
DATABASE = Path(ophyd_testing.__file__).parent / "_epics_test_ca_records.db"


def environment(port: int, repeater: int) -> dict[str, str]:
    """Variables with which a client finds the server on a port, and no other."""
    return {
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CA_REPEATER_PORT": str(repeater),
    }


@contextlib.asynccontextmanager
async def serving(
    pvs: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, port: int = 0, **more: Any
) -> AsyncIterator[Server]:
    """Our server in the running loop, found by the loop's client."""
    async with Server(pvs, port=port, **more) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server


async def until(predicate: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.002)


def database(prefix: str) -> str:
    """ophyd-async's own test records."""
    return DATABASE.read_text().replace("$(device)", prefix)


def like_the_database(prefix: str) -> dict[str, Any]:
    """The same records as far as our server has them."""

    async def slow(put: Put) -> None:
        await asyncio.sleep(0.3)

    limits = {"lolo": 2, "hihi": 98, "hopr": 100, "lopr": 0}
    inner = {"low": 5, "high": 96}
    drive = {"drvh": 90, "drvl": 10}
    pvs: dict[str, Any] = {
        "bool": PV(1, states=("No", "Yes")),
        "bool_unnamed": PV(1, type="enum", states=("", "")),
        "int": PV(42, **limits, **inner, **drive),
        "partialint": PV(42, **limits, **drive),
        "lessint": PV(42, hopr=100, lopr=0, high=98, low=2),
        "float": PV(3.141, units="mm", precision=1),
        "float_prec_0": PV(3.0, units="mm", precision=0),
        "str": PV("hello"),
        "enum": PV(1, states=STATES),
        "enum2": PV(1, states=STATES),
        "subset_enum": PV(1, states=STATES),
        "enum_str_fallback": PV(1, states=STATES),
        "slowseq": PV(0, on_put=slow),
        "uint8a": PV(np.array([0, 255], np.uint8), length=3),
        "int16a": PV(np.array([-32768, 32767], np.int16), length=3),
        "int32a": PV(np.array([-(2**31), 2**31 - 1], np.int32), length=3),
        "float32a": PV(np.array([0.000002, -123.123], np.float32), length=3),
        "float64a": PV(np.array([0.1, -12345678.123]), length=3),
        "stra": PV(["five", "six", "seven"], length=3),
        "longstr": PV(LONG, type="char", length=80),
        "longstr2": PV(LONG, size=80),
        "mbb_direct": RecordGroup("mbbiDirect", VAL=0, B0=PV(0, type="char")),
        "mbb_direct_rw": RecordGroup("mbboDirect", VAL=0, B0=PV(0, type="char")),
        "go": PV(0, states=("Done", "Go")),
    }
    return {prefix + name: pv for name, pv in pvs.items()}
