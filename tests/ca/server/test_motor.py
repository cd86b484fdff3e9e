"""A simulated motor as its author would write it: steps of `now`, put completion."""

import struct
from dataclasses import dataclass, field
from typing import Any

from tests.ca.server.link import STAMP, Link, make_core

from beamfly.ca.dbr import Dbr
from beamfly.ca.messages import EventUpdate, WriteNotifyReply
from beamfly.ca.payloads import decode
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.errors import BadValue

DONE, HIGH_LIMIT = 2, 4
"""Bits of MSTA."""


@dataclass
class Motor:
    """Moves at a constant speed."""

    speed: float = 1.0
    moving: list[Put] = field(default_factory=list[Put])

    def __post_init__(self) -> None:
        self.now = 0.0
        self.record = RecordGroup(
            "motor",
            VAL=PV(0.0, units="mm", precision=3, on_put=self.move),
            RBV=0.0,
            DMOV=PV(1, type="short"),
            MSTA=DONE,
            STOP=PV(0, type="short", on_put=self.stop),
            HLM=10.0,
        )

    def move(self, put: Put) -> None:
        if put.value > self.record["HLM"]:
            msg = f"{put.name} cannot go to {put.value}: HLM is {self.record['HLM']}"
            raise BadValue(msg)
        put.hold()
        self.moving.append(put)
        self.record.post(DMOV=0, MSTA=0)

    def stop(self, put: Put) -> None:
        put.value = 0
        self.record.post(VAL=self.record["RBV"])

    def advance(self, now: float) -> None:
        """The world at another moment."""
        reach, self.now = (now - self.now) * self.speed, now
        left = self.record["VAL"] - self.record["RBV"]
        if not self.moving:
            return
        arrived = abs(left) <= reach
        with self.record.step(STAMP + round(now * 1e9)):
            self.record["RBV"] += left if arrived else (reach if left > 0 else -reach)
            if arrived:
                self.record["MSTA"] = DONE
                self.record["DMOV"] = 1
        if arrived:
            moved, self.moving = self.moving, []
            for put in moved:
                put.finish()


def readings(link: Link, messages: list[Any]) -> list[tuple[str, float, int]]:
    """Name, value, time stamp of updates."""
    names = {
        number: row.link.name for number, row in link.near.ledger.subscriptions.items()
    }
    found: list[tuple[str, float, int]] = []
    for message in messages:
        if isinstance(message, EventUpdate):
            value = decode(message.type, message.count, message.payload)
            seconds = value.time_ns - STAMP
            found.append((names[message.subscription], value.elements()[0], seconds))
    return found


def put(link: Link, name: str, value: float) -> list[Any]:
    return link.put(name, Dbr.DOUBLE, struct.pack(">d", value))


def test_a_move_from_put_to_completion() -> None:
    motor = Motor()
    link = Link(make_core({"M1": motor.record}))
    for name in ("M1.RBV", "M1.DMOV", "M1.MSTA"):
        link.subscribe(name, Dbr.TIME_DOUBLE)
    started = put(link, "M1", 2.0)
    assert readings(link, started) == [("M1.DMOV", 0, 0), ("M1.MSTA", 0, 0)]
    assert link.get("M1", Dbr.DOUBLE) == 2.0
    motor.advance(1.5)
    assert readings(link, link.pump()) == [("M1.RBV", 1.5, 1_500_000_000)]
    motor.advance(2.5)
    finished = link.pump()
    at = 2_500_000_000
    assert readings(link, finished) == [
        *(("M1.RBV", 2.0, at), ("M1.MSTA", 2, at), ("M1.DMOV", 1, at)),
    ]
    # who waits for the put hears of it after all updates
    assert isinstance(finished[-1], WriteNotifyReply)
    assert finished[-1].status == 1


def test_retarget_stop_and_limit() -> None:
    motor = Motor()
    link = Link(make_core({"M1": motor.record}))
    other = Link(link.core)
    assert put(link, "M1", 5.0) == []
    motor.advance(1.0)
    assert put(other, "M1", -1.0) == []
    motor.advance(2.0)
    assert motor.record["RBV"] == 0.0
    assert put(other, "M1.HLM", 3.0)[0].status == 1
    assert put(other, "M1", 4.0)[0].status == 160
    assert put(other, "M1.STOP", 1)[0].status == 1
    motor.advance(3.0)
    assert [type(each) for each in (*link.pump(), *other.pump())] == [
        *(WriteNotifyReply, WriteNotifyReply),
    ]
    assert (motor.record["RBV"], motor.record["VAL"], motor.record["STOP"]) == (0, 0, 0)
    assert link.get("M1.EGU", Dbr.STRING) == b"mm"
    assert link.get("M1.RBV", Dbr.STRING) == b"0.000"
