"""Updates in runs: whatever arrives, however it is cut, fast and slow tell the same."""

import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain, repeat
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca import runs, updates
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.columns import Columns
from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.header import pack_header
from beamfly.ca.message import Command
from beamfly.errors import CADisconnected, RemoteProtocolError

from .rig import Pv, Rig, Server, watch
from .wire import chunks

BASES = [*Dbr][:7]
"""A PV of each."""
ONE = struct.pack(">HHHH", Command.EVENT_ADD, 24, Dbr.TIME_DOUBLE, 1)
"""What a double's update starts with."""
NOBODY = 4_000_000_000
"""A subscription that there is not."""

Message = Callable[[Sequence[int]], bytes]
"""Given numbers of the subscriptions, by base type."""


def update(
    code: int, payload: bytes, number: int, ok: int = 1, count: int = 1
) -> bytes:
    payload += bytes(-len(payload) % 8)
    head = pack_header(Command.EVENT_ADD, len(payload), code, count, ok, number)
    return head + payload


@st.composite
def plain_updates(draw: st.DrawFn) -> Message:
    """One element with any bits, padding included."""
    base = draw(st.sampled_from(BASES))
    row = layout(base + 14)
    size = row.size(1)
    if base is Dbr.STRING:
        size = draw(st.integers(13, size))
    payload = draw(st.binary(min_size=size, max_size=size))
    if base is Dbr.DOUBLE and draw(st.booleans()):
        # an update in disguise
        payload = payload[:-8] + ONE
    ok = draw(st.sampled_from([1, 1, 1, 1, 368]))
    stranger = draw(st.integers(0, 9)) == 0
    return lambda numbers: update(
        row.code, payload, NOBODY if stranger else numbers[base], ok
    )


@st.composite
def values_alone(draw: st.DrawFn) -> Message:
    """One element without time stamp and alarm."""
    base = draw(st.sampled_from(BASES))
    size = layout(base).size(1)
    if base is Dbr.STRING:
        size = draw(st.integers(1, size))
    payload = draw(st.binary(min_size=size, max_size=size))
    ok = draw(st.sampled_from([1, 1, 1, 1, 368]))
    stranger = draw(st.integers(0, 9)) == 0
    return lambda numbers: update(
        base, payload, NOBODY if stranger else numbers[base], ok
    )


@st.composite
def odd_messages(draw: st.DrawFn) -> Message:
    """What no run takes: arrays, other commands, extended headers, wrong sizes."""
    base = draw(st.sampled_from(BASES))
    row = layout(base + 14)
    what = draw(st.sampled_from(["array", "echo", "extended", "plain", "long", "end"]))
    count = draw(st.integers(0, 3))
    payload = bytes(draw(st.binary(min_size=8, max_size=8))) * 30

    def message(numbers: Sequence[int]) -> bytes:
        number = numbers[base]
        data = payload[: row.size(1)]
        match what:
            case "array":
                return update(row.code, payload[: row.size(count)], number, 1, count)
            case "echo":
                return pack_header(Command.ECHO, 0, 0, 0, 0, 0)
            case "extended":
                head = struct.pack(">HHHHII", 1, 0xFFFF, row.code, 0, 1, number)
                data += bytes(-len(data) % 8)
                return head + struct.pack(">II", len(data), 1) + data
            case "plain":
                return update(base, payload[:40], number)
            case "long":
                return update(row.code, data + bytes(8), number)
            case _:
                return update(row.code, b"", number)

    return message


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """Messages, many of them in turn or in runs."""
    found: list[Message] = []
    for _ in range(draw(st.integers(1, 4))):
        some = st.one_of(plain_updates(), values_alone(), odd_messages())
        pattern = draw(st.lists(some, min_size=1, max_size=6))
        found += pattern * draw(st.sampled_from([1, 2, 7, 40]))
    return found


class Told:
    """What callbacks are told; some of them do things that one may do."""

    def __init__(self, actions: Sequence[tuple[int, str, int]]) -> None:
        self.rig = Rig(
            Server(("10.0.0.1", 5064), {base.name: Pv(base, 1) for base in BASES})
        )
        self.seen: list[Any] = []
        self._actions = {when: (what, base) for when, what, base in actions}
        channels = [self.rig.connect(one.name) for one in BASES]
        # both lanes are there
        watch(self.rig, channels[0], Family.PLAIN)
        monitors = [watch(self.rig, channel)[1] for channel in channels]
        self.monitors = monitors
        circuit = monitors[0].channel.circuit
        assert circuit is not None
        self.circuit: ClientCircuit = circuit
        self.numbers = [monitor.number or 0 for monitor in monitors]
        for base, monitor in zip(BASES, monitors, strict=True):
            monitor.on_error = lambda error, base=base: self.failed(base, error)
            circuit.sinks[monitor.number or 0] = lambda *reading, base=base: self.told(
                base, reading
            )

    def failed(self, base: Dbr, error: Exception) -> None:
        self.seen.append((base, type(error), str(error)))

    def told(self, base: Dbr, reading: tuple[Any, ...]) -> None:
        # repr: nan is nan, and int is not float
        kinds = [type(item) for item in reading]
        self.seen.append((base, [repr(item) for item in reading], kinds))
        what, other = self._actions.get(len(self.seen), ("", 0))
        if what == "raise":
            raise RuntimeError(f"number {len(self.seen)}")
        if what == "cancel":
            self.rig.core.cancel(self.monitors[other])
        elif what == "clear":
            self.rig.core.close_channel(self.monitors[other].channel)
        elif what == "close":
            self.circuit.close(CADisconnected("the end"))

    def feed(self, messages: list[Message], cuts: list[int]) -> list[Any]:
        data = b"".join(message(self.numbers) for message in messages)
        try:
            for piece in chunks(data, cuts):
                self.circuit.receive(piece, 0.0)
        except RemoteProtocolError as error:
            self.seen.append(str(error))
        self.seen += [self.circuit.state, self.rig.notices]
        self.seen += [bytes(piece) for piece in self.circuit.output()]
        return self.seen


def listen(
    way: str, messages: list[Message], cuts: list[int], actions: Any
) -> list[Any]:
    """All that is told when it goes the slow way, one by one, or in columns."""
    told = Told(actions)
    with ExitStack() as stack:
        if way == "slow":
            told.circuit.lanes.clear()
        else:
            stack.enter_context(patch.object(updates, "LONG_BYTES", LONG[way]))
        if way == "late":
            # numpy is imported meanwhile
            there = chain([False] * 3, repeat(True))
            ready = patch.object(Columns, "ready", lambda *_: next(there))
            stack.enter_context(ready)
        return told.feed(messages, cuts)


SHORT = updates.LARGEST
LONG = {"few": 1 << 30, "some": 1024, "columns": SHORT, "late": SHORT}
"""Way -> bytes from which it is columns."""


ACTIONS = st.lists(
    st.tuples(
        st.integers(1, 200),
        st.sampled_from(["raise", "cancel", "clear", "close"]),
        st.sampled_from(BASES),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=150)
@given(streams(), st.lists(st.integers(0, 1 << 16), max_size=5), ACTIONS)
def test_all_ways_tell_the_same(
    messages: list[Message], cuts: list[int], actions: list[Any]
) -> None:
    slow = listen("slow", messages, [], actions)
    for way in LONG:
        assert listen(way, messages, cuts, actions) == slow


def scalar(base: Dbr, seed: int) -> Message:
    """An update of a PV, with bytes of its own."""
    row = layout(base + 7 * Family.TIME)
    payload = struct.pack(">hhII", seed % 20, seed % 4, seed, seed % 10**9)
    payload += bytes(row.offset - 12) + seed.to_bytes(row.element, "big")
    return lambda numbers: update(row.code, payload, numbers[base])


def array(base: Dbr) -> Message:
    """An update of several elements, which no run takes."""
    row = layout(base + 7 * Family.TIME)
    return lambda numbers: update(row.code, bytes(row.size(5)), numbers[base], count=5)


@pytest.mark.parametrize("bases", [BASES, BASES[1:], [Dbr.DOUBLE]])
@pytest.mark.parametrize("size", [100, 1000, 1500, 7777, 1 << 20])
def test_long_streams_cut_anywhere(bases: list[Dbr], size: int) -> None:
    messages = [scalar(bases[n % len(bases)], n % 100) for n in range(4000)]
    messages[3000] = array(Dbr.LONG)
    slow = Told(())
    slow.circuit.lanes.clear()
    cuts = [*range(0, 300_000, size)]
    assert Told(()).feed(messages, cuts) == slow.feed(messages, [])


@pytest.mark.parametrize("between", [1, 40, 300, 2000])
def test_what_comes_in_between_costs_no_long_looks(between: int) -> None:
    run = [scalar(BASES[n % 7], n % 100) for n in range(between)]
    messages = [*run, array(Dbr.LONG)] * (8000 // between)
    looks: list[int] = []
    really = runs.event_run

    def looked(view: memoryview, at: int, end: int, *rest: Any) -> int:
        looks.append(end - at)
        return really(view, at, end, *rest)

    told = Told(())
    with patch.object(runs, "event_run", looked):
        told.feed(messages, [])
    assert sum(looks) < 3 * sum(len(message(told.numbers)) for message in messages)
    # whoever finds only short runs looks rarely
    assert len(looks) <= len(messages) // 200
