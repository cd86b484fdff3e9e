"""Updates of single numbers, packed in one go, are those that any other way gives."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ca.server.link import STAMP, make_core
from tests.ca.server.test_server_lanes import HELLO, create, subscribe

from beamfly.ca import served
from beamfly.ca.access import Peer
from beamfly.ca.dbr import Dbr
from beamfly.ca.message import Access, Command
from beamfly.ca.pv import PV
from beamfly.ca.server_circuit import ServerCircuit
from beamfly.ca.subscription import NumberSubscription

NAMES = ("double", "float", "long", "short", "char", "enum", "string", "never", "many")
VALUES = (0.0, 1.0, -2.5, 7.0, 12.0, 200.0, float("nan"), float("inf"))
WHOLE = (0, 1, 2, 7, 12, 20)
TIMES = (None, STAMP, STAMP + 1_500_000_000, 0, 1, 1 << 63)
COUNTS = (0, 1, 2)


def make_pvs() -> dict[str, PV]:
    return {
        "double": PV(1.5, hihi=10, mdel=0.5),
        "float": PV(0.1, type="float"),
        "long": PV(3, high=10),
        "short": PV(3, type="short"),
        "char": PV(3, type="char"),
        "enum": PV("on", states=("off", "on")),
        "string": PV("1"),
        "never": PV(),
        "many": PV([1.0, 2.0], length=5),
    }


class End:
    """A server with two clients, of which one may be slow or lose its rights."""

    def __init__(self, codes: list[tuple[int, int]]) -> None:
        self.rights = Access.READ | Access.WRITE
        self.core = make_core(make_pvs(), access=lambda peer, name: self._right(peer))
        self.circuits = [self.core.accept(f"127.0.0.1:{at}", 0.0) for at in (1, 2)]
        self.sent: list[list[bytes]] = [[], []]
        made = [create(name, at) for at, name in enumerate(NAMES)]
        asked = [
            subscribe(code, count, 1 + at % len(NAMES), at, 15)
            for at, (code, count) in enumerate(codes)
        ]
        for circuit in self.circuits:
            circuit.receive(HELLO + b"".join(made + asked), 0.0)

    def _right(self, peer: Peer) -> Access:
        return self.rights if peer.address.endswith(":2") else Access.READ

    @property
    def subscriptions(self) -> list[Any]:
        return [
            each
            for circuit in self.circuits
            for channel in circuit.served.values()
            for each in channel.subscriptions.values()
        ]

    def collect(self) -> None:
        for circuit, sent in zip(self.circuits, self.sent, strict=True):
            if circuit.congested:
                continue
            while pieces := circuit.output():
                sent += [bytes(piece) for piece in pieces]
                if circuit.stalled:
                    circuit.drained()

    def act(self, kind: int, pick: random.Random) -> None:
        """One thing that may happen; the same for the same `pick`."""
        slow: ServerCircuit = self.circuits[1]
        match kind:
            case 0:
                slow.congested = not slow.congested
            case 5 if not slow.congested:
                slow.drained()
            case 1:
                word = Command.EVENTS_ON, Command.EVENTS_OFF
                command = pick.choice(word)
                slow.receive(bytes((0, command, *(0,) * 14)), 0.0)
            case 2:
                self.rights ^= Access.READ
                self.core.update_access()
            case 3:
                self.collect()
            case 4:
                pv = self.core.database[pick.choice(NAMES[:7])]
                pv.post(severity=pick.choice(("NO_ALARM", "MINOR")), status="SOFT")
            case _:
                self.post(pick)

    def post(self, pick: random.Random) -> None:
        name = pick.choice(NAMES)
        pv = self.core.database[name]
        value: Any = pick.choice(WHOLE if pv.type is not Dbr.DOUBLE else VALUES)
        pv.post([value] * 2 if name == "many" else value, time_ns=pick.choice(TIMES))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_updates_are_those_of_the_general_path(seed: int) -> None:
    pick = random.Random(seed)
    codes = [(pick.randint(0, 38), pick.choice(COUNTS)) for _ in NAMES * 2]
    for kind in (0, 14):
        codes += [(kind + pv.type, pick.randint(0, 1)) for pv in make_pvs().values()]
    fast = End(codes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served, "update_of", lambda *what: None)
        plain = End(codes)
    for _ in range(pick.randint(1, 60)):
        kind, same = pick.randrange(12), pick.randrange(1 << 32)
        for end in (fast, plain):
            end.act(kind, random.Random(same))
        assert [circuit.outbox.size for circuit in fast.circuits] == [
            circuit.outbox.size for circuit in plain.circuits
        ]
    for end in (fast, plain):
        end.circuits[1].congested = False
        end.circuits[1].drained()
        end.collect()
    assert [b"".join(sent) for sent in fast.sent] == [
        b"".join(sent) for sent in plain.sent
    ]
    assert any(isinstance(each, NumberSubscription) for each in fast.subscriptions)
    assert not any(isinstance(each, NumberSubscription) for each in plain.subscriptions)


def test_numbers_of_their_own_types_alone_are_packed_in_one_go() -> None:
    codes = [(code, count) for code in range(39) for count in COUNTS]
    pvs = make_pvs()
    for name, pv in pvs.items():
        fast = {row for row in codes if served.update_of(pv, *row)}
        own = {(kind + pv.type, count) for kind in (0, 14) for count in (0, 1)}
        assert fast == (set() if name in {"string", "many"} else own)
    end = End([(14 + pv.type, 0) for pv in pvs.values()])
    kinds = [isinstance(each, NumberSubscription) for each in end.subscriptions]
    assert kinds == [name not in {"string", "many"} for name in NAMES] * 2
