"""Signals that connect together: one search, and nobody suffers from another's PV."""

import asyncio
import gc
import logging
from typing import Any

import pytest
from ca_rig import serving, until
from ophyd_async.core import Device, NotConnectedError

from beamfly.ca.default_client import get_client
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.ca.server_asyncio import Server
from beamfly.devices import (
    AnalogIn,
    ca_finder,
    ca_signal_r,
    ca_signal_rw,
    ca_sought,
)
from beamfly.devices.ca_finder import find, find_each
from beamfly.devices.ca_sought import CaAbsent, CaNotConnected
from beamfly.devices.record_names import FIELDS
from beamfly.errors import BadValue, CADisconnected


def waiting() -> int:
    """How many wait for a PV in the running loop."""
    finder = ca_finder._finders.get(asyncio.get_running_loop())
    return 0 if finder is None else len(finder._waiting)


async def test_a_thousand_children_share_datagrams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({f"X:{n}": n / 2 for n in range(1000)}, monkeypatch):
        sent: list[bytes] = []
        client = get_client()
        datagrams = client.core.datagrams

        def count(now: float) -> list[bytes]:
            found = datagrams(now)
            sent.extend(found)
            return found

        monkeypatch.setattr(client.core, "datagrams", count)
        device = Device(name="device")
        for n in range(1000):
            setattr(device, f"s{n}", ca_signal_rw(float, f"X:{n}"))
        await device.connect(timeout=30)
        # repeated ones of a busy machine included
        assert 0 < len(sent) < 300
        values = [signal.get_value() for _, signal in device.children()]  # type: ignore[attr-defined]
        assert await asyncio.gather(*values) == [n / 2 for n in range(1000)]
        assert waiting() == 0


async def test_one_impossible_name_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:a": 1.5, "X:b": 2}, monkeypatch):
        signals = [ca_signal_r(None, pv) for pv in ("X:a", "", "X:b", "X:" + 600 * "n")]
        results = await asyncio.gather(
            *(signal.connect(timeout=20) for signal in signals), return_exceptions=True
        )
        assert results[0] is results[2] is None
        assert isinstance(results[1], BadValue) and isinstance(results[3], BadValue)
        assert await signals[0].get_value() == 1.5
        assert await signals[2].get_value() == 2
        assert waiting() == 0


async def test_signals_of_one_pv_share_its_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:a": 1.5, "X:b": 0.0}, monkeypatch):
        same = [ca_signal_rw(float, "X:a", "X:b") for _ in range(10)]
        same += [ca_signal_rw(float, "X:b", "X:a") for _ in range(10)]
        await asyncio.gather(*(signal.connect(timeout=20) for signal in same))
        assert len(get_client().core.channels) == 2
        assert [await signal.get_value() for signal in same] == 10 * [1.5] + 10 * [0.0]


async def test_whoever_gives_up_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving({"X:a": 1.5}, monkeypatch):
        core = get_client().core
        gone = asyncio.ensure_future(find("X:gone", 30))
        both = asyncio.ensure_future(
            find_each({"read_pv": "X:gone", "write_pv": "X:a"}, 30)
        )
        await until(lambda: len(core.channels) == 2)
        at_once = asyncio.ensure_future(find("X:a", 30))
        for task in (gone, both, at_once):
            task.cancel()
        await asyncio.wait((gone, both, at_once))
        assert gone.cancelled() and both.cancelled() and at_once.cancelled()
        assert waiting() == 0
        del gone, both, at_once, task
        gc.collect()
        await until(lambda: not core.channels)
        hold, facts = await find("X:a", 30)
        assert (hold.channel.connected, facts.initial) == (True, 1.5)
        with caplog.at_level(logging.DEBUG), pytest.raises(NotConnectedError) as raised:
            await find_each({"read_pv": "X:no", "write_pv": "X:neither"}, 0.1)
        gc.collect()
    assert set(raised.value.sub_errors) == {"read_pv", "write_pv"}
    assert "never retrieved" not in caplog.text


async def test_everybody_waits_as_long_as_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:a": 1}, monkeypatch) as server:
        late = asyncio.ensure_future(find("X:late", 30))
        await asyncio.sleep(0)
        hasty = asyncio.ensure_future(find("X:hasty", 0.2))
        with pytest.raises(CaNotConnected, match=r"X:hasty was not found within 0.2 s"):
            await hasty
        assert not late.done()
        server.add("X:late", PV(7))
        get_client().core.searches.hurry(get_client().loop.time(), 0.0)
        get_client().pump_soon()
        _, facts = await late
        assert facts.initial == 7 and waiting() == 0


@pytest.mark.parametrize(
    ("pv", "initial"),
    [
        (PV(3), 3),
        (PV(2.5, precision=4), 2.5),
        (PV(1, states=("off", "on")), 1),
        (PV("µm"), "µm".encode()),
        (PV([1, 2, 3], length=4), [1, 2, 3]),
        (PV(["one", "two"], length=4), [b"one", b"two"]),
    ],
)
async def test_what_a_pv_was_on_connection(
    monkeypatch: pytest.MonkeyPatch, pv: PV, initial: Any
) -> None:
    async with serving({"X:pv": pv}, monkeypatch):
        _, facts = await find("X:pv", 20, digits=True)
        found = facts.initial
        assert (list(found) if isinstance(initial, list) else found) == initial
        assert facts.choices == tuple(pv.properties.states)
        assert facts.precision == pv.properties.precision


# ---- fields of a record that is connected


def record(**fields: Any) -> RecordGroup:
    return RecordGroup("ai", VAL=PV(1.5, precision=2), **fields)


async def test_fields_are_asked_of_the_record_s_own_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:ai": record()}, monkeypatch) as server:
        ai = AnalogIn("X:ai", name="ai")
        await ai.connect(timeout=20)
        searched: list[str] = []
        answer = server.core.receive_datagram

        def listen(data: bytes, *more: Any) -> Any:
            searched.extend(name for name in ("EGU", "NONE") if name.encode() in data)
            return answer(data, *more)

        monkeypatch.setattr(server.core, "receive_datagram", listen)
        assert await ai.field("EGU").get() == ""
        assert "EGU" not in searched
        with pytest.raises(
            CaAbsent, match=r"X:ai.NONE is not there: 127.0.0.1:\d+ has"
        ):
            await ai.field("NONE").get()
        # a server that had it would have been found nevertheless
        assert "NONE" in searched
        assert waiting() == 0 and not get_client().core.guesses


async def test_what_a_server_has_refused_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:ai": record()}, monkeypatch) as server:
        ai = AnalogIn("X:ai", name="ai")
        await ai.connect(timeout=20)
        monkeypatch.setitem(FIELDS, "ai", ("VAL", "NONE", "NEITHER"))
        expected = {"VAL": 1.5, "NONE": None, "NEITHER": None}
        assert await ai.read_fields() == expected
        server.add("X:ai.NONE", 7)
        core = get_client().core
        asked = core.searches.add_new
        again: list[str] = []

        def add_new(cids: Any, names: Any) -> None:
            again.extend(names)
            asked(cids, names)

        monkeypatch.setattr(core.searches, "add_new", add_new)
        assert await ai.read_fields() == expected
        assert again == []
        # who asks for one field wants to know it now
        assert await ai.field("NONE").get() == 7


async def test_fields_that_another_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a gateway, which refuses what nobody has searched for."""
    monkeypatch.setattr(ca_sought, "REFUSED_SECONDS", 20.0)
    async with (
        Server({"X:ai.EXTRA": 7}, port=0) as other,
        serving({"X:ai": record()}, monkeypatch) as server,
    ):
        both = f"127.0.0.1:{server.port} 127.0.0.1:{other.port}"
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", both)
        ai = AnalogIn("X:ai", name="ai")
        await ai.connect(timeout=20)
        assert await ai.field("EXTRA").get() == 7
        assert not get_client().core.guesses


async def test_a_server_that_leaves_before_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:ai": record()}, monkeypatch) as server:
        port = server.port
        ai = AnalogIn("X:ai", name="ai")
        ai.field_seconds = 30.0
        await ai.connect(timeout=20)
        (circuit,) = get_client().core.circuits.values()
        reading = asyncio.ensure_future(ai.field("PREC").get())
        await until(lambda: "X:ai.PREC" in {link.name for link in links(circuit)})
        circuit.close(CADisconnected("the cable is cut", status=192))
        get_client().pump()
    async with serving({"X:ai": record()}, monkeypatch, port=port):
        assert await reading == 2
    assert waiting() == 0


def links(circuit: Any) -> list[Any]:
    """Channels that are open or asked for on a circuit."""
    return list(circuit.ledger.channels.values())


async def test_whoever_waits_is_told_that_there_can_be_no_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hold_channels(names: Any) -> Any:
        raise OSError("too many open files")

    monkeypatch.setattr(ca_finder, "hold_channels", hold_channels)
    finding = [find(pv, 30) for pv in ("X:a", "X:b")]
    results = await asyncio.gather(*finding, return_exceptions=True)
    assert [str(error) for error in results] == 2 * ["too many open files"]
    assert waiting() == 0
