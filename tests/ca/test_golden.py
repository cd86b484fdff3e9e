"""What a C IOC answered to reads of every type, through core, asyncio and blocking.

The bytes were recorded by `record_golden`. Every layer must make the same of them.
"""

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beamfly import ca
from beamfly.ca import blocking
from beamfly.ca.asyncio import Client, Reading
from beamfly.ca.asyncio_channel import FutureRequest
from beamfly.ca.circuit import Circuit
from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.messages import ReadNotify, ReadNotifyReply
from beamfly.ca.payloads import Value, decode, encode
from beamfly.ca.readings import reading
from beamfly.errors import CAError

from .loopback import Loopback, serving
from .rig import Ask, Pv, Rig, Server

GOLDEN = Path(__file__).parent.parent / "golden" / "ca" / "rsrv_reads.json"
ROWS = json.loads(GOLDEN.read_text())
VALUES: dict[str, Any] = {
    "T:ao": 7.25,
    "T:long": -18,
    "T:string": "hello",
    "T:enum": 1,
    "T:longs": [1, 2, 3],
}
TEXTS: dict[str, Any] = {**VALUES, "T:ao": "7.250", "T:long": "-18", "T:enum": "one"}
CLASSES = {
    **{"T:ao": "ao", "T:long": "longout", "T:string": "stringout"},
    **{"T:enum": "mbbo", "T:longs": "waveform"},
}


def wrapped(value: Any, base: Dbr) -> Any:
    """What is left of a number in a smaller type."""
    if isinstance(value, list):
        return [wrapped(item, base) for item in value]
    if base in (Dbr.FLOAT, Dbr.DOUBLE):
        return float(value)
    bits = 8 * layout(base).element
    whole = int(value) & ((1 << bits) - 1)
    signed = base in (Dbr.SHORT, Dbr.LONG) and whole >> (bits - 1)
    return whole - (1 << bits) if signed else whole


def expected(row: dict[str, Any]) -> Any:
    """The value that a row holds."""
    name, base = row["pv"], layout(row["code"]).base
    if row["code"] == Dbr.CLASS_NAME:
        return CLASSES[name]
    if base is not Dbr.STRING:
        return wrapped(VALUES[name], base)
    if name == "T:longs":
        return ["1", "2", "3"][: row["count"]]
    return TEXTS[name]


class GoldenServer(Server):
    """Answers reads with the recorded bytes."""

    def _ReadNotify(self, circuit: Circuit, message: ReadNotify) -> None:  # noqa: N802
        name = circuit.ledger.by_sid[message.sid].name
        row = next(r for r in ROWS if r["pv"] == name and r["code"] == message.type)
        reply = ReadNotifyReply(
            *(row["code"], row["count"], row["status"], message.ioid),
            bytes.fromhex(row["payload"]),
        )
        circuit.send(reply)


def server() -> GoldenServer:
    pvs = {row["pv"]: Pv(Dbr(row["native"]), 0, row["native_count"]) for row in ROWS}
    return GoldenServer(("127.0.0.1", 5064), pvs)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with serving(server()) as one:
        yield one


def plain(value: Any) -> Any:
    """Any value as Python scalars, text, lists."""
    if isinstance(value, Value):
        items = value.elements()
        value = list(items) if value.count != 1 else items[0]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def matches(got: Any, row: dict[str, Any]) -> bool:
    """Whether a value is that of a row; arrays may be longer in some classes."""
    want = expected(row)
    got = plain(got)
    if row["code"] == Dbr.CLASS_NAME and isinstance(got, list):
        got = got[0]
    if isinstance(got, list) and not isinstance(want, list):
        return got == [want]
    return got == want


def ident(row: dict[str, Any]) -> str:
    return f"{row['pv']}-{Dbr(row['code']).name}"


GOOD = [row for row in ROWS if row["status"] == 1]


@pytest.mark.parametrize("row", ROWS, ids=ident)
def test_core(row: dict[str, Any]) -> None:
    rig = Rig(server())
    channel = rig.connect(row["pv"])
    ask = Ask(channel)
    assert channel.circuit is not None
    channel.circuit.read(channel, Dbr(row["code"]), 0, ask)
    rig.run(chunk=13)
    if row["status"] != 1:
        assert isinstance(ask.error, CAError) and ask.error.status == row["status"]
        return
    assert matches(ask.answer[0], row), ask.answer


@pytest.mark.parametrize("row", GOOD, ids=ident)
def test_payloads_come_back_but_for_what_follows_the_data(row: dict[str, Any]) -> None:
    payload = bytes.fromhex(row["payload"])
    code, count = row["code"], row["count"]
    (value, *_) = reading(code, count, memoryview(payload))
    if not isinstance(value, Value):
        return
    again = encode(value)
    assert len(again) == len(payload) or code == Dbr.CLASS_NAME
    if layout(code).base is Dbr.DOUBLE:
        # doubles have no text but their units, and no bytes after the value
        assert repr(decode(code, count, again)) == repr(decode(code, count, payload))


async def test_asyncio(loopback: Loopback) -> None:
    async with Client(loopback.config) as client:
        for row in ROWS:
            channel = await client.connect(row["pv"])
            try:
                value = await channel.get(Dbr(row["code"]))
            except CAError as error:
                assert error.status == row["status"] != 1
                continue
            if layout(row["code"]).family is Family.TIME:
                value = value.value
            assert matches(value, row), ident(row)
            channel.close()


def test_blocking_client(loopback: Loopback) -> None:
    with blocking.Client(loopback.config) as client:
        for row in ROWS:
            channel = client.connect(row["pv"])
            try:
                value = channel.get(Dbr(row["code"]))
            except CAError as error:
                assert error.status == row["status"] != 1
                continue
            if layout(row["code"]).family is Family.TIME:
                value = value.value
            assert matches(value, row), ident(row)


@pytest.fixture
def environment(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = loopback.config.addresses[0]
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"{host}:{port}")


@pytest.mark.usefixtures("environment")
def test_blocking_functions() -> None:
    for row in ROWS[::7] + ROWS[-3:]:
        response = blocking.read(row["pv"], data_type=row["code"])
        assert response.status.code_with_severity == row["status"]
        assert b"".join(response.buffers).hex() == row["payload"]
        assert bytes(response).hex().endswith(row["payload"])
        if row["status"] == 1:
            want = expected(row)
            want = want if isinstance(want, list) else [want]
            assert plain(response.data[: len(want)]) == want


@pytest.mark.usefixtures("environment")
async def test_caget() -> None:
    for name, value in VALUES.items():
        assert plain(await ca.caget(name)) == value
    value = await ca.caget("T:ao", format=ca.FORMAT_CTRL)
    assert (value.units, value.precision, value.severity, value.status) == (
        *("mm", 3, 1, 4),
    )
    assert (value.upper_ctrl_limit, value.lower_alarm_limit) == (9, -8)
    value = await ca.caget("T:long", format=ca.FORMAT_CTRL)
    assert value.units == "µm"
    value = await ca.caget("T:enum", format=ca.FORMAT_CTRL)
    assert value.enums == ["zero", "one", "two"]
    value = await ca.caget("T:enum", float, format=ca.FORMAT_CTRL)
    assert math.isnan(value.upper_alarm_limit) or value.upper_alarm_limit == 0
    value = await ca.caget("T:ao", format=ca.FORMAT_TIME)
    assert value.raw_stamp == (0x4561795D + 631152000, 0x15B0E3C7)


# ---- the shells without a C IOC: connections that break


async def test_asyncio_comes_back_after_a_cut(loopback: Loopback) -> None:
    async with Client(loopback.config) as client:
        channel = await client.connect("T:ao")
        loopback.cut_all()
        gone = asyncio.Event()
        channel.core.on_change.append(lambda core: gone.set())
        if channel.connected:
            await gone.wait()
        await channel.wait_connected(10)
        assert await channel.get() == 7.25


def test_blocking_comes_back_after_a_cut(loopback: Loopback) -> None:
    with blocking.Client(loopback.config) as client:
        channel = client.connect("T:ao")
        loopback.cut_all()
        assert client.run(10, until=lambda: not channel.connected)
        assert client.run(10, until=lambda: channel.connected)
        assert channel.get() == 7.25


async def test_an_answer_of_another_type_than_asked_is_an_error() -> None:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    rig = Rig(server())
    channel = rig.connect("T:ao")
    FutureRequest(channel, math.inf, future, Reading).on_value(1.5)
    assert isinstance(future.exception(), TypeError)
