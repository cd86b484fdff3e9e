"""A server obeys requests in runs just as it obeys them one by one."""

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ca.server.link import make_core, written

from beamfly.ca.access import Peer
from beamfly.ca.dbr import Dbr
from beamfly.ca.header import pack_header
from beamfly.ca.message import Access, Command
from beamfly.ca.messages import ClientName, HostName, Version
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.server_circuit import ServerCircuit
from beamfly.errors import CADisconnected, RemoteProtocolError

NAMES = (
    "d",
    "l",
    "e",
    "s",
    "w",
    "wide",
    "big",
    "ro",
    "hook",
    "secret",
    "d.EGU",
    "w.[1:2]",
    'd.{"dbnd":{"d":5}}',
    "nobody",
)
SERVED = NAMES[:11]
"""Those that have a PV of their own."""
HELLO = b"".join(m.encode() for m in (Version(), ClientName("me"), HostName("here")))


class NoLanes(dict[int, Any]):
    """A circuit that has to take every request by itself."""

    def __setitem__(self, key: int, lane: Any) -> None:
        """Forget it."""


def rights(peer: Peer, name: str) -> Access:
    return Access.NONE if name == "secret" else Access.READ | Access.WRITE


def double_it(put: Put) -> None:
    put.value *= 2


class End:
    """A server with one client that sends bytes."""

    def __init__(self, *, lanes: bool, largest: int | None = 20_000) -> None:
        pvs = {
            "d": PV(1.5, units="mm", hihi=10),
            "l": PV(3),
            "e": PV("on", states=("off", "on")),
            "s": PV("text"),
            "w": PV([1.0, 2.0, 3.0], length=10),
            "wide": PV([0.5] * 1000),
            "big": PV([0.5] * 4000),
            "ro": PV(5.0, writable=False),
            "hook": PV(0.0, on_put=double_it),
            "secret": PV(7.0),
        }
        self.core = make_core(pvs, access=rights, largest=largest)
        for code in (6, 20):
            # somebody else may read it
            pvs["secret"].answer(code, 0)
        self.circuit: ServerCircuit = self.core.accept("127.0.0.1:1", 0.0)
        if not lanes:
            self.circuit.lanes = NoLanes()
        self.sent: list[bytes] = []
        self.circuit.receive(HELLO, 0.0)

    def receive(self, data: bytes) -> str:
        """What was wrong with it."""
        try:
            self.circuit.receive(data, 0.0)
        except RemoteProtocolError as error:
            return str(error)
        return ""

    def collect(self) -> None:
        """The client reads, until there is nothing more to send."""
        while pieces := self.circuit.output():
            self.sent.append(b"".join(pieces))
            if self.circuit.stalled:
                self.circuit.drained()

    def state(self) -> list[Any]:
        """All that a request may change."""
        circuit, database = self.circuit, self.core.database
        return [
            [(str(database[name]), database[name].alarm) for name in SERVED],
            [len(database[name].listeners) for name in SERVED],
            written(circuit.ledger),
            [
                (sid, row.name, row.rights, [*row.subscriptions])
                for sid, row in circuit.served.items()
            ],
            circuit.held,
            circuit.state,
            circuit.outbox.size,
        ]


def create(name: str, cid: int) -> bytes:
    raw = name.encode() + b"\0"
    size = len(raw) + -len(raw) % 8
    return pack_header(Command.CREATE_CHAN, size, 0, 0, cid, 13) + raw.ljust(
        size, b"\0"
    )


def write(command: int, code: int, sid: int, number: int, value: float) -> bytes:
    form = {Dbr.DOUBLE: ">d", Dbr.LONG: ">i4x", Dbr.SHORT: ">h6x", Dbr.ENUM: ">H6x"}
    whole = value if code == Dbr.DOUBLE else int(value)
    payload = struct.pack(form[Dbr(code)], whole)
    return pack_header(command, 8, code, 1, sid, number) + payload


def subscribe(code: int, count: int, sid: int, number: int, mask: int) -> bytes:
    payload = struct.pack(">fffHH", 0, 0, 0, mask, 0)
    return pack_header(Command.EVENT_ADD, 16, code, count, sid, number) + payload


def read(code: int, count: int, sid: int, ioid: int) -> bytes:
    return pack_header(Command.READ_NOTIFY, 0, code, count, sid, ioid)


CODES = (0, 3, 5, 6, 17, 20, 20, 34, 35, 38)
PUT_CODES = (Dbr.DOUBLE, Dbr.DOUBLE, Dbr.LONG, Dbr.SHORT, Dbr.ENUM)


def run(pick: random.Random) -> bytes:
    """Requests that have their first eight bytes in common, and the rest not."""

    def numbers(most: int = 12) -> list[tuple[int, int]]:
        return [
            (pick.randint(1, len(NAMES) - (pick.random() < 0.95)), pick.randint(0, 60))
            for _ in range(pick.randint(1, most))
        ]

    code, count = pick.choice(CODES), pick.choice((0, 0, 1, 5, 4000))
    match pick.randrange(5):
        case 0:
            made = [create(pick.choice(NAMES), cid) for _, cid in numbers()]
        case 1:
            made = [read(code, count, *pair) for pair in numbers()]
        case 2:
            command, code = pick.choice((4, 19)), pick.choice(PUT_CODES)
            values = (0.0, 1.0, 12.0, 30000.0)
            made = [
                write(command, code, *pair, pick.choice(values)) for pair in numbers()
            ]
        case 3:
            masks = (5, 5, 5, 5, 5, 1, 4, 8, 15, 0)
            made = [
                subscribe(code, count, *pair, pick.choice(masks)) for pair in numbers()
            ]
        case _:
            command = pick.choice((2, 8, 9, 12, 23))
            made = [pack_header(command, 0, 6, 0, *pair) for pair in numbers(2)]
    return b"".join(made)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32))
def test_runs_are_obeyed_as_single_requests_are(seed: int) -> None:
    pick = random.Random(seed)
    # a channel of each name, so that most of the rest makes sense; then anything
    said = [b"".join(create(name, 100 + cid) for cid, name in enumerate(NAMES))]
    said += [run(pick) for _ in range(pick.randint(1, 12))]
    step, slow = pick.choice([24, 100, 10_000]), pick.random() < 0.5
    fast, plain = End(lanes=True), End(lanes=False)
    for words in said:
        for at in range(0, len(words), step):
            pieces = words[at : at + step]
            assert fast.receive(pieces) == plain.receive(pieces)
        assert fast.state() == plain.state()
        if not slow:
            fast.collect()
            plain.collect()
    fast.collect()
    plain.collect()
    assert fast.sent == plain.sent
    assert fast.state() == plain.state()
    assert not plain.circuit.lanes


RUNS = {
    "reads": [read(20, 0, 1 + at % 5, at) for at in range(8000)],
    "large reads": [read(20, 0, 5 + at % 2, at) for at in range(100)],
    "channels": [create(NAMES[at % 3], at) for at in range(1000, 10500)],
    "puts": [write(19, 6, 1, at, float(at)) for at in range(9000)],
    "subscriptions": [subscribe(20, 0, 1 + at % 6, at, 5) for at in range(5000)],
}


@pytest.mark.parametrize("name", RUNS)
def test_long_runs_stop_where_the_client_does_not_read(name: str) -> None:
    ends = End(lanes=True), End(lanes=False)
    for end in ends:
        end.receive(b"".join(create(each, at) for at, each in enumerate(NAMES[:7])))
        end.receive(subscribe(20, 0, 1, 7777, 5))
        end.collect()
        end.receive(RUNS[name][0])
        end.collect()
        end.receive(b"".join(RUNS[name][1:]))
    fast, plain = ends
    assert fast.state() == plain.state()
    assert fast.circuit.held
    for end in ends:
        end.collect()
    assert b"".join(fast.sent) == b"".join(plain.sent)
    assert fast.state() == plain.state()
    assert len(fast.circuit.lanes) > 1


def test_pv_that_raises_the_limit_is_read_in_runs_too() -> None:
    end = End(lanes=True, largest=None)
    end.receive(create("d", 1) + pack_header(15, 0, 20, 0, 1, 1) * 3)
    end.core.add("huge", PV([1.0] * 100_000))
    end.receive(create("huge", 2) + pack_header(15, 0, 20, 0, 2, 1) * 3)
    end.collect()
    sent = b"".join(end.sent)
    assert sent.count(struct.pack(">HHHHII", 15, 0xFFFF, 20, 0, 1, 1)) == 3


def test_circuit_that_is_closed_keeps_no_lanes() -> None:
    end = End(lanes=True)
    end.receive(create("d", 1) + pack_header(15, 0, 20, 0, 1, 1))
    assert end.circuit.lanes
    end.circuit.close(CADisconnected("gone", status=192))
    assert not end.circuit.lanes
