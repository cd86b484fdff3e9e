"""A motor record on a clock that only moves when told, and a client of it."""

import struct
from typing import Any

from tests.ca.server.link import Link, make_core

from beamfly.ca.dbr import Dbr
from beamfly.ca.messages import EventUpdate, WriteNotifyReply
from beamfly.ca.payloads import decode
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.sim.ioc import Axis, FreeMechanics, MotorRecord, MotorSettings

COUNTS = 1000.0


class MotorBench:
    """`BL:M1`, whose mechanics are at `now` seconds."""

    def __init__(
        self, travel: tuple[float, float] = (-200.0, 200.0), **settings: Any
    ) -> None:
        self.now = 100.0
        self.drive = SimulatedMotor(counts_per_unit=COUNTS)
        self.axis = Axis(FreeMechanics(lambda: self.now), self.drive, travel)
        self.motor = MotorRecord(self.axis, MotorSettings(**settings))
        self.link = Link(make_core({"M1": self.motor.record}))

    def put(self, field: str, value: float) -> "Waiting":
        """Put with completion."""
        payload = struct.pack(">d", value)
        return Waiting(self, self.link.put(f"M1.{field}", Dbr.DOUBLE, payload))

    def get(self, field: str) -> Any:
        return self.motor.record[field]

    def many(self, fields: str) -> list[Any]:
        return [self.get(field) for field in fields.split()]

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass; messages that came meanwhile."""
        end = self.now + seconds
        found: list[Any] = []
        while (due := self.motor.next_wakeup()) <= end:
            self.now = max(self.now, due)
            self.motor.advance(self.now)
            found += self.link.pump()
        self.now = end
        self.motor.advance(end)
        return found + self.link.pump()

    def updates(self, messages: list[Any]) -> list[tuple[str, float]]:
        """Names and values of monitors."""
        rows = self.link.near.ledger.subscriptions
        names = {number: row.link.name for number, row in rows.items()}
        return [
            (
                names[each.subscription],
                decode(each.type, each.count, each.payload).elements()[0],
            )
            for each in messages
            if isinstance(each, EventUpdate)
        ]


class Waiting:
    """A put that may be complete."""

    def __init__(self, bench: MotorBench, messages: list[Any]) -> None:
        self._bench = bench
        self.replies = [m for m in messages if isinstance(m, WriteNotifyReply)]
        self.messages = messages

    @property
    def complete(self) -> bool:
        return bool(self.replies)

    @property
    def status(self) -> int:
        return self.replies[0].status


def completed(messages: list[Any]) -> int:
    """How many puts were completed."""
    return sum(isinstance(each, WriteNotifyReply) for each in messages)
