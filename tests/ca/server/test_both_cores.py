"""Our client core and our server core, joined in memory: search, circuits, loss."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ca.rig import Ask
from tests.ca.server.link import STAMP, make_core

from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.client import ClientCore, Identity
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.dbr import Dbr
from beamfly.ca.pv import PV
from beamfly.ca.rules import CircuitState
from beamfly.ca.server import ServerCore
from beamfly.ca.server_circuit import ServerCircuit
from beamfly.errors import CADisconnected

HOST = "127.0.0.1"


class Pair:
    """Carries datagrams and bytes between a client and a server."""

    def __init__(self, server: ServerCore, chunk: int = 1 << 20) -> None:
        self.server = server
        self.client = ClientCore(Identity("me", "here"), 0.0)
        self.now = 0.0
        self.chunk = chunk
        self.up = True
        self.links: dict[ClientCircuit, ServerCircuit] = {}

    def run(self) -> None:
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("client and server never stop talking")

    def step(self) -> bool:
        busy = False
        for datagram in self.client.datagrams(self.now):
            busy = True
            for reply in self.server.receive_datagram(datagram) if self.up else ():
                self.client.receive_datagram(reply, HOST, self.now)
        for circuit in self.client.take_openings():
            busy = True
            assert circuit.address == (HOST, 5064)
            self.links[circuit] = self.server.accept(f"{HOST}:1", self.now)
        for near, far in [*self.links.items()]:
            busy |= self.carry(near, far) | self.carry(far, near)
            if far.stalled:
                far.drained()
            if CircuitState.CLOSED in (near.state, far.state):
                near.close(CADisconnected("closed", status=192))
                far.end_of_file()
                del self.links[near]
        return busy

    def carry(self, source: Any, target: Any) -> bool:
        data = b"".join(bytes(piece) for piece in source.output())
        for at in range(0, len(data), self.chunk):
            target.receive(data[at : at + self.chunk], self.now)
        return bool(data)

    def later(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(1000):
            due = self.client.next_wakeup()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.client.wake(self.now)
            self.client.registration(self.now)
            self.run()
        self.now = end

    def connect(self, name: str) -> Channel:
        channel = self.client.channel(name)
        self.run()
        return channel

    def read(self, channel: Channel, code: Dbr, count: int = 0) -> Any:
        ask = Ask(channel)
        assert channel.circuit is not None
        channel.circuit.read(channel, code, count, ask)
        self.run()
        assert ask.times == 1
        return ask.error or ask.answer

    def put(self, channel: Channel, code: Dbr, raw: bytes, count: int = 1) -> Any:
        ask = Ask(channel)
        assert channel.circuit is not None
        channel.circuit.write_notify(channel, code, count, raw, ask)
        self.run()
        return ask


def watch(pair: Pair, channel: Channel) -> list[Any]:
    seen: list[Any] = []
    pair.client.monitor(
        Monitor(
            channel,
            lambda core: (Dbr(core.native_type + 14), 0),
            5,
            lambda *reading: seen.append(reading),
            seen.append,
        )
    )
    pair.run()
    return seen


def make_pair(chunk: int = 1 << 20) -> Pair:
    return Pair(
        make_core(
            {
                "d": PV(1.5, high=5),
                "w": PV([1.0, 2.0], length=10),
                "e": PV("on", states=("off", "on")),
                "ro": PV(1.0, writable=False),
            }
        ),
        chunk,
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60))
def test_everything_in_any_chunks(chunk: int) -> None:
    pair = make_pair(chunk)
    d, w, e = [pair.connect(name) for name in ("d", "w", "e")]
    assert (d.native_type, w.count, e.native_type) == (Dbr.DOUBLE, 10, Dbr.ENUM)
    assert pair.read(d, Dbr.TIME_DOUBLE) == (1.5, STAMP, 0, 0)
    assert list(pair.read(w, Dbr.TIME_DOUBLE)[0]) == [1, 2]
    seen = watch(pair, d)
    assert pair.put(d, Dbr.DOUBLE, struct.pack(">d", 6.0)).error is None
    pair.server.database["d"].post(7.0)
    pair.run()
    assert [row[:1] + row[2:] for row in seen] == [
        *((1.5, 0, 0), (6.0, 1, 4), (7.0, 1, 4)),
    ]
    assert pair.put(e, Dbr.STRING, b"maybe".ljust(40, b"\0")).error is not None


def test_name_that_comes_later_is_found() -> None:
    pair = make_pair()
    channel = pair.connect("late")
    assert not channel.connected
    pair.server.add("late", 5)
    pair.later(60)
    assert channel.connected
    assert pair.read(channel, Dbr.TIME_LONG)[0] == 5


def test_removed_pv_disconnects_and_comes_back() -> None:
    pair = make_pair()
    d, w = pair.connect("d"), pair.connect("w")
    seen = watch(pair, d)
    pair.server.remove("d")
    pair.run()
    assert not d.connected
    assert w.connected
    pair.server.add("d", PV(9.0))
    pair.later(60)
    assert d.connected
    assert [row[0] for row in seen if isinstance(row, tuple)] == [1.5, 9.0]


def test_lost_circuit_is_made_again_and_monitors_go_on() -> None:
    pair = make_pair()
    d = pair.connect("d")
    seen = watch(pair, d)
    (far,) = pair.links.values()
    pair.up = False
    far.close(CADisconnected("pulled"))
    pair.run()
    assert not d.connected
    pair.server.database["d"].post(4.0)
    pair.up = True
    pair.later(60)
    assert d.connected
    assert [row[0] for row in seen if isinstance(row, tuple)] == [1.5, 4.0]


def test_rights_reach_the_client() -> None:
    pair = make_pair()
    assert pair.connect("ro").access == 1
    assert pair.connect("d").access == 3


@pytest.mark.parametrize("size", [0, 1, 10_000])
def test_arrays(size: int) -> None:
    pair = Pair(make_core({"big": PV(length=20_000, type="double")}))
    big = pair.connect("big")
    data = struct.pack(f">{size}d", *range(size))
    assert pair.put(big, Dbr.DOUBLE, data, size).error is None
    seen = watch(pair, big)
    assert list(seen[0][0]) == list(range(size))
    assert list(pair.read(big, Dbr.DOUBLE)[0]) == list(range(size))
