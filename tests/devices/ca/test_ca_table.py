"""One of everything: ophyd-async's own test device on beamfly's Channel Access."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ca_rig import LONG, STATES
from ophyd_async.core import SignalR, SignalRW
from ophyd_async.epics.testing import (
    EpicsTestCaDevice,
    EpicsTestEnum,
    EpicsTestSubsetEnum,
    EpicsTestSupersetEnum,
)

from beamfly.devices.ca_transport import transport_of, use_native_ca
from ca.c_ioc import CIoc


def between(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high}


CHOICES = {"choices": list(STATES)}
TEXT = {"dtype": "string", "dtype_numpy": "|S40", "shape": []}
WHOLE = {"dtype": "integer", "dtype_numpy": "<i8", "shape": [], "units": ""}
TRUTH = {"dtype": "boolean", "dtype_numpy": "|b1", "shape": []}
ALL = {
    "control": between(10, 90),
    "warning": between(5, 96),
    "alarm": between(2, 98),
    "display": between(0, 100),
}
PARTIAL = {name: ALL[name] for name in ("control", "alarm", "display")}
LESS = {
    "control": between(0, 100),
    "warning": between(2, 98),
    "display": between(0, 100),
}


def array(numpy_name: str, count: int, **more: Any) -> dict[str, Any]:
    return {"dtype": "array", "dtype_numpy": numpy_name, "shape": [count]} | more


TABLE: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("a_int", 42, 43, WHOLE | {"limits": ALL}),
    ("partialint", 42, 43, WHOLE | {"limits": PARTIAL}),
    ("lessint", 42, 43, WHOLE | {"limits": LESS}),
    (
        "a_float",
        3.141,
        43.5,
        {
            "dtype": "number",
            "dtype_numpy": "<f8",
            "shape": [],
            "units": "mm",
            "precision": 1,
        },
    ),
    ("float_prec_0", 3, 4, WHOLE | {"units": "mm"}),
    ("a_str", "hello", "goodbye", TEXT),
    ("longstr", LONG, LONG + LONG[:20], TEXT),
    ("longstr2", LONG, LONG + LONG[:20], TEXT),
    ("a_bool", True, False, TRUTH),
    ("bool_unnamed", True, False, TRUTH),
    ("mbb_direct_bit", False, True, TRUTH),
    ("enum", EpicsTestEnum.B, EpicsTestEnum.C, TEXT | CHOICES),
    ("enum2", EpicsTestEnum.B, EpicsTestEnum.A, TEXT | CHOICES),
    ("subset_enum", EpicsTestSubsetEnum.B, EpicsTestSubsetEnum.A, TEXT | CHOICES),
    ("superset_enum", EpicsTestSupersetEnum.B, EpicsTestSupersetEnum.C, TEXT | CHOICES),
    ("enum_str_fallback", "Bbb", "Ccc", TEXT | CHOICES),
    ("uint8a", np.uint8([0, 255]), np.uint8([218]), array("|u1", 2, units="")),
    (
        "int16a",
        np.int16([-32768, 32767]),
        np.int16([-855, 1, 2]),
        array("<i2", 2, units=""),
    ),
    (
        "int32a",
        np.int32([-(2**31), 2**31 - 1]),
        np.int32([-2]),
        array("<i4", 2, units=""),
    ),
    (
        "float32a",
        np.float32([0.000002, -123.123]),
        np.float32([1.5]),
        array("<f4", 2, units="", precision=0),
    ),
    (
        "float64a",
        np.array([0.1, -12345678.123]),
        np.array([0.2, np.inf, -np.inf]),
        array("<f8", 2, units="", precision=0),
    ),
    ("stra", ["five", "six", "seven"], ["nine", "ten"], array("|S40", 3)),
]
IDS = [row[0] for row in TABLE]


def same(one: Any, other: Any) -> bool:
    if isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return bool(one == other) and type(one) is type(other)


async def connected(prefix: str = "ca:") -> EpicsTestCaDevice:
    with use_native_ca():
        device = EpicsTestCaDevice(prefix, name="device")
    await device.connect(timeout=30)
    return device


@pytest.mark.parametrize(("name", "initial", "other", "datakey"), TABLE, ids=IDS)
async def test_one_of_everything(
    records: str, name: str, initial: Any, other: Any, datakey: dict[str, Any]
) -> None:
    device = await connected()
    signal: SignalRW[Any] = getattr(device, name)
    # earlier tests of the same row have left the C IOC as it was
    value = await signal.get_value()
    assert same(value, initial)
    described = (await signal.describe())[f"device-{name}"]
    assert described == datakey | {"source": signal.source}
    assert signal.source.startswith("ca://ca:")
    updates: asyncio.Queue[Any] = asyncio.Queue()
    signal.subscribe_reading(lambda reading: updates.put_nowait(reading[signal.name]))
    first = await updates.get()
    assert same(first["value"], initial)
    await signal.set(other)
    second = await updates.get()
    assert same(second["value"], other)
    assert second["timestamp"] == pytest.approx(time.time(), abs=60)
    assert second["alarm_severity"] in (0, 1, 2)
    assert same((await signal.read(cached=False))[signal.name]["value"], other)
    location = await signal.locate()
    assert same(location["setpoint"], other) and same(location["readback"], other)
    await signal.set(initial)
    third = await updates.get()
    assert same(third["value"], initial)
    assert updates.empty()


async def test_the_rest_of_the_device(records: str) -> None:
    device = await connected()
    assert transport_of(device) == "beamfly"
    assert isinstance(device.mbb_direct_bit_r, SignalR)
    assert await device.mbb_direct_bit_r.get_value() is False
    start = time.monotonic()
    await device.slowseq.set(1)
    assert time.monotonic() - start > 0.25
    await device.go.trigger()
    await device.go.execute()
    assert device.go.source == "ca://ca:go"


ON_AIOCA = """
import asyncio, json, sys
import numpy as np
from ophyd_async.epics.testing import EpicsTestCaDevice
def plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else value
async def main():
    device = EpicsTestCaDevice("ca:", name="device")
    await device.connect(timeout=30)
    found = {}
    for name, child in device.children():
        if hasattr(child, "describe"):
            key, = (await child.describe()).values()
            reading, = (await child.read()).values()
            reading["value"] = plain(reading["value"])
            found[name] = [key, reading]
    print(json.dumps(found))
asyncio.run(main())
"""


@pytest.mark.peer
async def test_documents_are_those_of_aioca(c_ioc: CIoc) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ON_AIOCA, stdout=subprocess.PIPE
    )
    theirs = json.loads((await process.communicate())[0])
    device = await connected()
    assert len(theirs) > 20
    for name, (key, reading) in theirs.items():
        signal: SignalR[Any] = getattr(device, name)
        assert list((await signal.describe()).values()) == [key], name
        (ours,) = (await signal.read()).values()
        value = ours["value"]
        ours["value"] = value.tolist() if isinstance(value, np.ndarray) else value
        assert ours["timestamp"] == pytest.approx(reading.pop("timestamp"), abs=2e-6)
        del ours["timestamp"]
        assert ours == reading, name
        assert signal.source == key["source"]


def test_table_has_every_signal_that_can_be_set() -> None:
    hints = EpicsTestCaDevice.__annotations__
    other = {"slowseq", "mbb_direct_bit_r", "go"}
    assert set(hints) - other == set(IDS)
    assert isinstance(TABLE, Sequence)
