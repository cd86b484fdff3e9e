"""Every entry of the corpus in any chunks, to both roles; floods stay linear."""

import time
from typing import Any

import pytest

from beamfly.ca.circuit import Circuit
from beamfly.ca.dbr import Dbr, Family, layout, promote
from beamfly.ca.header import pack_header
from beamfly.ca.message import Command, Sender
from beamfly.ca.messages import EventUpdate, ReadNotify
from beamfly.ca.payloads import Value, encode
from beamfly.ca.rules import CircuitState
from beamfly.errors import RemoteProtocolError

from .corpus import CLOSES, CORPUS, LIVES, Entry
from .rig import Ask, Pv, Rig, Server, watch
from .server.link import Link, make_core

MB = 1024 * 1024


def to_server() -> tuple[Circuit, Any]:
    """A server's circuit with channel 1 open, and how to ask whether all is well."""
    core = make_core({"d": 1.5, "l": 3})
    link = Link(core)
    link.open("d")

    def well(closed: bool) -> bool:
        link.far.output()
        mine = closed or link.get("d", 6) is not None
        return mine and Link(core).get("l", 5) == 3

    return link.far, well


def to_client() -> tuple[Circuit, Any]:
    """A client's circuit with channel 1 open, something asked and monitored."""
    rig = Rig(Server(("10.0.0.1", 5064), {"d": Pv(Dbr.DOUBLE, 1.5)}))
    channel = rig.connect("d")
    seen, _ = watch(rig, channel)
    circuit = channel.circuit
    assert circuit is not None
    ask = Ask(channel, 5.0)
    circuit.read(channel, Dbr.DOUBLE, 0, ask)

    def well(closed: bool) -> bool:
        rig.later(20.0)
        assert ask.times == 1, "whoever asked is told once"
        again = Ask(channel, rig.now + 5.0)
        if channel.circuit is None or channel.link is None:
            return False
        channel.circuit.read(channel, Dbr.DOUBLE, 0, again)
        rig.run()
        return again.answer == (1.5,) and seen != []

    return circuit, well


def outcome(entry: Entry, step: int) -> tuple[bool, Any]:
    """Whether the circuit was closed, and whether all is well."""
    to = to_server if entry.receiver is Sender.SERVER else to_client
    circuit, well = to()
    try:
        for at in range(0, len(entry.data), step):
            circuit.receive(entry.data[at : at + step], 0.0)
    except RemoteProtocolError as error:
        assert circuit.lost is error
        assert str(error)
    assert len(circuit.inbox.view) < MB
    assert circuit.outbox.size < MB
    return circuit.state is CircuitState.CLOSED, well


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.name)
def test_whatever_is_said(entry: Entry) -> None:
    for step in (1 << 20, 17, 16, 7, 1):
        closed, well = outcome(entry, step)
        assert closed == (entry.outcome == CLOSES), f"in steps of {step}"
        if entry.outcome in (CLOSES, LIVES):
            assert well(closed)


def flood(circuit: Circuit, data: bytes, count: int) -> float:
    """Seconds of this thread, others apart, for so many messages in one buffer."""
    whole = data * count
    start = time.thread_time()
    circuit.receive(whole, 0.0)
    return time.thread_time() - start


def update(number: int, code: Dbr = Dbr.TIME_DOUBLE, count: int = 1) -> bytes:
    value = Value(code, count, bytes(8 * count))
    return EventUpdate(code, count, 1, number, encode(value)).encode()


@pytest.mark.parametrize("kind", ["fast", "slow", "strangers", "reads"])
def test_fifty_thousand_messages_take_ten_times_as_long_as_five(kind: str) -> None:
    def seconds(count: int) -> float:
        if kind == "reads":
            circuit, _ = to_server()
            request = ReadNotify(Dbr.DOUBLE, 1, 1, 9).encode()
            taken = flood(circuit, request, count)
            while circuit.output():
                # answers that are not read make the server hold back
                start = time.thread_time()
                getattr(circuit, "drained")()  # noqa: B009
                taken += time.thread_time() - start
            return taken
        rig = Rig(Server(("10.0.0.1", 5064), {"d": Pv(Dbr.DOUBLE, 1.5)}))
        channel = rig.connect("d")
        seen, monitor = watch(rig, channel)
        assert channel.circuit is not None and monitor.number is not None
        message = {
            "fast": update(monitor.number),
            "slow": update(monitor.number, Dbr.TIME_DOUBLE, 2),
            "strangers": pack_header(Command.SERVER_DISCONN, 0, 0, 0, 99, 0),
        }[kind]
        before = len(seen)
        taken = flood(channel.circuit, message, count)
        assert len(seen) - before == (0 if kind == "strangers" else count)
        return taken

    few, many = (min(seconds(n) for _ in range(4)) for n in (5_000, 50_000))
    assert many < 40 * few


def test_types_in_turn_cost_little_more_than_one_type() -> None:
    def seconds(kinds: list[Dbr]) -> float:
        pvs = {f"x{n}": Pv(kind, 1.0) for n, kind in enumerate(kinds)}
        rig = Rig(Server(("10.0.0.1", 5064), pvs))
        messages: list[bytes] = []
        lists: list[list[Any]] = []
        for name, kind in zip(pvs, kinds, strict=True):
            seen, monitor = watch(rig, rig.connect(name))
            code = promote(kind, Family.TIME)
            value = Value(code, 1, bytes(layout(code).element))
            assert monitor.number is not None
            number = monitor.number
            messages.append(EventUpdate(code, 1, 1, number, encode(value)).encode())
            lists.append(seen)
        circuit = next(iter(rig.core.circuits.values()))
        taken = flood(circuit, b"".join(messages), 18_000 // len(kinds))
        assert sum(map(len, lists)) == 18_000 + len(kinds)
        return taken

    one = min(seconds([Dbr.DOUBLE]) for _ in range(3))
    turns = min(seconds([Dbr.DOUBLE, Dbr.LONG, Dbr.ENUM]) for _ in range(3))
    assert turns < 40 * one
