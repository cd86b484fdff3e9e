"""Devices for EPICS records, against our server and a C IOC."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.utils import FailedStatus
from ca_records import LONG
from ca_rig import until
from ophyd_async.core import NotConnectedError, init_devices, set_mock_value

from beamfly.devices import (
    AnalogIn,
    AnalogOut,
    BinaryIn,
    BinaryOut,
    Calc,
    LongIn,
    LongOut,
    Motor,
    MultiIn,
    MultiOut,
    Severity,
    StringIn,
    StringOut,
    fields,
    get_field,
    pv,
    set_field,
    transport_of,
)
from beamfly.devices.ca_backend import CaSignalBackend
from beamfly.devices.record_names import ALIASES, FIELDS, field_of
from beamfly.errors import BadValue
from flying import run_engine


async def connected(device: Any, name: str = "dev") -> Any:
    device.set_name(name)
    await device.connect(timeout=30)
    return device


async def test_analog_in(records: str) -> None:
    ai = await connected(AnalogIn("R:ai"), "p1")
    assert transport_of(ai) == "beamfly"
    reading = await ai.read()
    assert list(reading) == ["p1"] and reading["p1"]["value"] == 1.5
    assert ai.hints == {"fields": ["p1"]}
    key = (await ai.describe())["p1"]
    assert (key["units"], key["precision"], key["source"]) == (
        "mbar",
        2,
        "ca://R:ai.VAL",
    )
    assert key["limits"]["display"] == {"low": -10, "high": 10}
    assert key["limits"]["alarm"]["high"] == 9
    config = await ai.read_configuration()
    values = {name: one["value"] for name, one in config.items()}
    assert values == {"p1-description": "pressure", "p1-units": "mbar"}
    assert await ai.severity.get_value() is Severity.NO_ALARM
    assert await ai.status.get_value() == "NO_ALARM"
    assert await ai.field("HIHI").get() == 9
    ai.set_name("other")
    assert list(await ai.read()) == ["other"]


INPUTS = [
    (LongIn("R:li"), 7, "integer"),
    (BinaryIn("R:bi"), "Open", "string"),
    (BinaryIn("R:bi", as_bool=True), True, "boolean"),
    (MultiIn("R:mi"), "Ccc", "string"),
    (StringIn("R:si"), "hello", "string"),
    (StringIn("R:lsi", long=True), LONG, "string"),
    (Calc("R:calc"), 40.0, "number"),
    (AnalogIn("ca://R:calc.VAL"), 40.0, "number"),
]


@pytest.mark.parametrize("row", range(len(INPUTS)))
async def test_inputs(records: str, row: int) -> None:
    made, value, dtype = INPUTS[row]
    device: Any = await connected(made)
    await device.connect(timeout=30, force_reconnect=True)
    assert (await device.read())["dev"]["value"] == value
    key = (await device.describe())["dev"]
    assert key["dtype"] == dtype
    if isinstance(device, MultiIn):
        assert key["choices"] == ["Aaa", "Bbb", "Ccc"]
    config = await device.read_configuration()
    if isinstance(device, Calc):
        assert config["dev-expression"]["value"] == "A*2"
    assert ("dev-units" in config) is isinstance(device, AnalogIn | LongIn | Calc)


@pytest.mark.peer
async def test_whole_numbers_of_64_bits(c_ioc: Any) -> None:
    """Channel Access carries them as floats without digits after the point."""
    device = await connected(LongIn("R:big"))
    reading = (await device.read())["dev"]
    assert reading["value"] == 2**40 and type(reading["value"]) is int
    out = await connected(LongOut("R:bigout"))
    await out.set(2**41)
    assert await out.value.get_value() == 2**41


async def test_analog_out(records: str) -> None:
    ao = await connected(AnalogOut("R:ao"), "heater")
    try:
        updates: list[Any] = []
        status = ao.set(2.5)
        status.watch(lambda **update: updates.append(update))
        await status
        assert (await ao.read())["heater"]["value"] == 2.5
        assert updates and updates[0]["unit"] == "degC"
        assert await ao.locate() == {"setpoint": 2.5, "readback": 2.5}
        words = "heater takes -5 to 5 degC, not 7; nothing was written"
        with pytest.raises(BadValue, match=words):
            await ao.set(7.0)
        with pytest.raises(BadValue, match=words):
            await ao.check_value(7.0)
        assert await ao.value.get_value() == 2.5
        free = await connected(AnalogOut("R:free"))
        await free.set(1e6)
        assert await free.value.get_value() == 1e6
    finally:
        await ao.set(1.0)


async def test_a_readback_is_waited_for_and_read(records: str) -> None:
    follower = await connected(AnalogOut("R:free"))
    await follower.set(0.0)
    device = AnalogOut("R:ao", "heater", readback="R:free", tolerance=0.2, timeout=5)
    await device.connect()
    assert list(await device.read()) == ["heater"]
    assert "heater-value" in await device.read_configuration()
    status = device.set(3.0)
    await until(lambda: not status.done)
    await asyncio.sleep(0.02)
    assert not status.done
    await follower.set(2.9)
    await status
    with pytest.raises(TimeoutError):
        await device.set(-3.0, timeout=0.1)
    await device.value.set(1.0)


async def test_long_out(records: str) -> None:
    lo = await connected(LongOut("R:lo"))
    await lo.set(8)
    assert (await lo.read())["dev"]["value"] == 8
    with pytest.raises(BadValue, match="takes 0 to 9, not 10"):
        await lo.set(10)
    await lo.set(7)


async def test_binary_out(records: str) -> None:
    bo = await connected(BinaryOut("R:bo"), "shutter")
    await bo.set("Open")
    assert (await bo.read())["shutter"]["value"] == "Open"
    words = r"Ajar is not a valid choice for R:bo.VAL, valid choices: \['Closed', 'Op"
    with pytest.raises(ValueError, match=words):
        await bo.set("Ajar")
    as_bool = await connected(BinaryOut("R:bo", as_bool=True))
    await as_bool.set(False)
    assert await bo.value.get_value() == "Closed"
    mo = await connected(MultiOut("R:mo"))
    await mo.set("Bbb")
    assert (await mo.read())["dev"]["value"] == "Bbb"
    await mo.set("Aaa")


@pytest.mark.parametrize("as_bool", [False, True])
async def test_setting_a_pulse_returns_when_it_is_over(
    records: str, as_bool: bool
) -> None:
    device = await connected(BinaryOut("R:pulse", as_bool=as_bool))
    start = time.monotonic()
    await device.set(True if as_bool else "Fire")
    assert time.monotonic() - start > 0.05
    assert await device.value.get_value() == (False if as_bool else "Idle")
    await device.set(False if as_bool else "Idle")


async def test_string_out(records: str) -> None:
    so = await connected(StringOut("R:so"))
    await so.set("goodbye")
    assert await so.value.get_value() == "goodbye"
    with pytest.raises(BadValue, match="a long string goes to"):
        await so.set(LONG)
    await so.set("hello")
    lso = await connected(StringOut("R:lso", long=True))
    await lso.set(LONG)
    assert (await lso.read())["dev"]["value"] == LONG


async def test_wrong_records_are_told_at_once(records: str) -> None:
    start = time.monotonic()
    with pytest.raises(NotConnectedError) as raised:
        async with init_devices(timeout=30):
            m1 = Motor("R:ao")
            bi = BinaryIn("R:mi")
    assert time.monotonic() - start < 20
    text = str(raised.value)
    assert "R:ao is an ao, not a motor: Motor cannot use it" in text
    assert "R:mi is an mbbi, not a bi or a bo or a busy: BinaryIn cannot" in text
    # a second attempt says the same, and does not stumble over the first one
    for device in (m1, bi):
        with pytest.raises(NotConnectedError, match="cannot use it"):
            await device.connect(timeout=30)


async def test_missing_records(records: str) -> None:
    device = AnalogIn("R:missing", "dev")
    with pytest.raises(NotConnectedError) as raised:
        await device.connect(timeout=0.1)
    for field in ("VAL", "DESC", "EGU", "SEVR", "STAT"):
        assert f"ca://R:missing.{field} was not found within 0.1 s" in str(raised.value)


async def test_fields_on_demand(records: str) -> None:
    ai = await connected(AnalogIn("R:ai"))
    field = ai.field("EGU")
    assert await field.get() == "mbar" and ai.field("EGU") is field
    await ai.field("DESC").set("vacuum")
    assert await ai.description.get_value() == "vacuum"
    await ai.field("DESC$").start("pressure" + 30 * ".")
    await ai.field("DESC").set("pressure")
    with pytest.raises(
        BadValue, match=r"an ai record has no field 'egu' .do you mean EGU"
    ):
        ai.field("egu")
    found = await ai.read_fields()
    assert found["VAL"] == 1.5 and found["RTYP"] == "ai" and found["PREC"] == 2
    if records == "c":
        # all that is listed exists in EPICS 7
        assert None not in found.values()
    bi = await connected(BinaryIn("R:bi"))
    with pytest.raises(
        NotConnectedError,
        match=r"ca://R:bi.EGU is not there: 127.0.0.1:\d+ has not got it, and nobody "
        "else has answered within 0.5 s",
    ):
        await bi.field("EGU").get()


ON_CONNECTION = (
    "bool bool_unnamed int float float_prec_0 str enum uint8a int16a int32a float32a "
    "float64a stra longstr longstr2.VAL$ enum.DESC enum.SEVR mbb_direct.B0"
)


@pytest.mark.parametrize("name", ON_CONNECTION.split())
async def test_what_is_read_on_connection_is_the_value(records: str, name: str) -> None:
    backend: CaSignalBackend[Any] = CaSignalBackend(None, f"ca:{name}", f"ca:{name}")
    assert not backend.usable
    first = await backend.connect_and_get(30.0)
    assert backend.usable
    for value in (await backend.get_value(), await backend.get_value_within(30.0)):
        assert type(first) is type(value) and repr(first) == repr(value)


async def test_fields_are_the_same_with_and_without_a_signal(records: str) -> None:
    made = [AnalogIn("R:ai"), MultiIn("R:mi"), BinaryIn("R:bi"), Calc("R:calc")]
    for device in [await connected(one) for one in made]:
        first = await device.read_fields()
        assert repr(await device.read_fields()) == repr(first)
        for name, value in first.items():
            if value is not None:
                signal = await device.field(name).signal()
                assert signal.name == f"dev-{name}"
                assert repr(await signal.get_value()) == repr(value)


KINDS = ["ai", "ao", "li", "lo", "bi", "bo", "mi", "mo", "si", "so", "calc"]


@pytest.mark.peer
@pytest.mark.parametrize("short", KINDS)
async def test_every_listed_field_exists(c_ioc: Any, short: str) -> None:
    classes = {
        "ai": AnalogIn,
        "ao": AnalogOut,
        "li": LongIn,
        "lo": LongOut,
        "bi": BinaryIn,
        "bo": BinaryOut,
        "mi": MultiIn,
        "mo": MultiOut,
        "si": StringIn,
        "so": StringOut,
        "calc": Calc,
    }
    device = await connected(classes[short](f"R:{short}"))
    found = await device.read_fields()
    assert [name for name, value in found.items() if value is None] == []


def test_names_of_fields() -> None:
    assert field_of("motor", "backlash") == "BDST" == field_of("motor", "BDST")
    assert field_of("ai", "MYFIELD$") == "MYFIELD$"
    with pytest.raises(
        BadValue, match=r"a motor record .* 'backlsh' .do you mean backlash\?.; noth"
    ):
        field_of("motor", "backlsh")
    with pytest.raises(BadValue, match="no field 'xyzzy'; nothing was read"):
        field_of("motor", "xyzzy")
    assert len(ALIASES["motor"]) >= 90
    assert all(len(names) == len(set(names)) for names in FIELDS.values())


async def test_any_pv(records: str) -> None:
    value = pv("R:ai")
    states = pv("R:mi", "mode")
    wave = pv("ca:float64a")
    writable = pv("R:ao", writable=True)
    for signal in (value, states, wave, writable):
        await signal.connect()
    assert (await value.read())["R_ai"]["value"] == 1.5
    assert (await states.describe())["mode"]["choices"] == ["Aaa", "Bbb", "Ccc"]
    assert isinstance((await wave.read())["ca_float64a"]["value"], np.ndarray)
    await writable.set(2.0)  # type: ignore[union-attr]
    assert await writable.get_value() == 2.0
    await writable.set(1.0)  # type: ignore[union-attr]


async def test_mock_devices() -> None:
    ao, bo = AnalogOut("X:ao", "ao"), BinaryOut("X:bo", "bo", as_bool=True)
    for device in (ao, bo):
        await device.connect(mock=True)
    set_mock_value(ao.low_limit, -1.0)
    set_mock_value(ao.high_limit, 1.0)
    await ao.set(0.5)
    assert (await ao.read())["ao"]["value"] == 0.5
    with pytest.raises(BadValue):
        await ao.set(2.0)
    await bo.set(True)
    assert await ao.field("HIHI").get() == 0.0
    await ao.field("HIHI").set(5.0)
    assert await ao.field("HIHI").get() == 5.0


def test_in_the_run_engine(ca_server: Any) -> None:
    rows: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    with run_engine() as RE:
        with init_devices():
            heater = AnalogOut("R:ao")
            pressure = AnalogIn("R:ai")
            shutter = BinaryOut("R:bo")
            counts = pv("R:li")
        RE.subscribe(lambda name, doc: rows.append(doc["data"]), "event")

        def plan() -> Any:
            yield from bps.mv(shutter, "Open")
            yield from bp.scan([pressure, counts], heater, -1, 1, 3)
            yield from set_field(pressure, "DESC", "through a plan")
            found["desc"] = yield from get_field(pressure, "DESC")
            found["all"] = yield from fields(pressure)

        RE(plan())
        with pytest.raises(FailedStatus, match="heater takes -5 to 5 degC"):
            RE(bps.mv(heater, 9))
    assert [row["heater"] for row in rows] == [-1, 0, 1]
    assert rows[0]["pressure"] == 1.5 and rows[0]["R_li"] == 7
    assert found["desc"] == "through a plan"
    assert found["all"]["EGU"] == "mbar" and found["all"]["SIOL"] is None
