"""Simulated slits: four blades with motors, and their gaps as sizes and centres."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from beamfly.ca import PV, Put
from beamfly.errors import BadValue
from beamfly.sim.ioc.axis import Axis
from beamfly.sim.ioc.motor import MotorRecord
from beamfly.sim.ioc.motor_fields import MotorSettings

if TYPE_CHECKING:
    from beamfly.sim.stage import SampleStage

_SHOWN: dict[str, Any] = {"units": "mm", "precision": 3}


class Gap:
    """Size and centre of the gap between two blades.

    Args:
        low: Motor of the blade on the negative side.
        high: Motor of the other one.
        letter: H or V, with which its PVs begin.
    """

    def __init__(self, low: MotorRecord, high: MotorRecord, letter: str) -> None:
        self.low, self.high = low, high
        first = dict(zip(("size", "center"), self._shape("VAL"), strict=True))
        way = {"H": "horizontal", "V": "vertical"}[letter]
        self._shown = {
            name: PV(
                value,
                writable=False,
                record="ai",
                description=f"{way} {name}, as it is",
                **_SHOWN,
            )
            for name, value in first.items()
        }
        self._wanted = {
            name: PV(
                value,
                on_put=partial(self._move, name),
                description=f"{way} {name}",
                **_SHOWN,
            )
            for name, value in first.items()
        }
        self._last = (low.record["VAL"], high.record["VAL"])
        self.pvs = {
            **{f":{letter}{name}": pv for name, pv in self._wanted.items()},
            **{f":{letter}{name}_RBV": pv for name, pv in self._shown.items()},
        }

    def follow(self) -> None:
        """Show where the blades are, and where they were sent to."""
        for pv, value in zip(self._shown.values(), self._shape("RBV"), strict=True):
            if pv.value != value:
                pv.post(value)
        sent = (self.low.record["VAL"], self.high.record["VAL"])
        if sent != self._last:
            # somebody has moved a blade by itself
            self._last = sent
            for pv, value in zip(
                self._wanted.values(), self._shape("VAL"), strict=True
            ):
                pv.post(value)

    def _shape(self, field: str) -> tuple[float, float]:
        low, high = self.low.record[field], self.high.record[field]
        return round(high - low, 6), round((low + high) / 2, 6)

    def _move(self, what: str, put: Put) -> None:
        """Move both blades; the put is complete when both are at rest."""
        wanted = {name: pv.value for name, pv in self._wanted.items()}
        wanted[what] = put.value
        size, center = wanted["size"], wanted["center"]
        low, high = center - size / 2, center + size / 2
        possible = -inf < size < inf and -inf < center < inf and size >= 0
        if not possible or self._beyond(low, high):
            msg = (
                f"{put.name} cannot be {put.value}: blades would have to go to {low:g} "
                f"and {high:g} mm; nothing was moved"
            )
            raise BadValue(msg)
        put.hold()
        left = 2

        def arrived() -> None:
            nonlocal left
            left -= 1
            if not left:
                put.finish()

        for motor, place in ((self.low, low), (self.high, high)):
            if not motor.move(place, arrived):
                arrived()
        self._last = (low, high)

    def _beyond(self, low: float, high: float) -> bool:
        blades = ((self.low, low), (self.high, high))
        return any(
            motor.coordinates.beyond(motor.coordinates.dial(place))
            for motor, place in blades
        )


class Slits:
    """Four blades: left, right, bottom, top; sizes and centres of both gaps.

    Args:
        stage: Whose beam they cut.
    """

    def __init__(self, stage: "SampleStage") -> None:
        self.wake: Callable[[], object] = lambda: None
        self.blades = {
            name: MotorRecord(
                Axis(stage, drive, (-12.0, 12.0)),
                MotorSettings(
                    description=f"slits, {name}",
                    velocity=2.0,
                    fastest=10.0,
                    acceleration_time=0.1,
                    limits=(-10.0, 10.0),
                ),
            )
            for name, drive in stage.beam.blades.drives.items()
        }
        """Name -> motor."""
        for blade in self.blades.values():
            blade.wake = lambda: self.wake()
        blades = self.blades
        self.gaps = (
            Gap(blades["left"], blades["right"], "H"),
            Gap(blades["bottom"], blades["top"], "V"),
        )
        self.pvs = {
            **{f":{name}": blade.record for name, blade in blades.items()},
            **{name: pv for gap in self.gaps for name, pv in gap.pvs.items()},
        }

    def advance(self, now: float) -> None:
        """Show where the blades are."""
        for blade in self.blades.values():
            blade.advance(now)
        for gap in self.gaps:
            gap.follow()

    def next_wakeup(self) -> float:
        """When one of the blades wants to be looked at."""
        return min(blade.next_wakeup() for blade in self.blades.values())
