"""The mechanics behind a motor record: an `Axis`, in dial units.

The path of an axis is that of a `SimulatedMotor`, so a PandA's encoder that is on it
and the record that drives it see the same motion. Whoever changes a path does so
through `Mechanics.act`: for an axis that a PandA sees, between two of its steps.
"""

import time
from collections.abc import Callable, Sequence
from math import copysign, inf
from typing import Any, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt

from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.sim.ioc.motion import Pace, Phase, corners, plan_move, plan_stop
from beamfly.sim.paths import Array, positions

T = TypeVar("T")
_FINEST = 0.1
"""Counts by which a path may be off because it is made of straight pieces."""
_REMEMBERED = 300.0
"""Seconds of its past that an axis can tell about."""
_SOON = 1e-9
"""Seconds that count as no time."""


class Mechanics(Protocol):
    """Where axes are: gives the time, and takes turns."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def act(self, action: Callable[[float], T]) -> T:
        """Call something that changes paths with the time; its result."""
        ...


class FreeMechanics:
    """Axes that no PandA looks at.

    Args:
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock

    def act(self, action: Callable[[float], T]) -> T:
        """Call it at once."""
        return action(self.now())


class Axis:
    """One axis; positions are in dial units.

    Args:
        mechanics: What it is part of.
        drive: Its path, and how many counts its encoder makes of a unit.
        travel: Where its limit switches are, low and high; none if infinite.
    """

    def __init__(
        self,
        mechanics: Mechanics,
        drive: SimulatedMotor,
        travel: tuple[float, float] = (-inf, inf),
    ) -> None:
        self.mechanics = mechanics
        self.drive = drive
        """Put a PandA's encoder on it to have it seen there."""
        self.travel = travel

    @overload
    def position(self, when: float | None = None) -> float: ...
    @overload
    def position(self, when: Array) -> Array: ...
    def position(self, when: Any = None) -> Any:
        """Where it is, in dial units.

        Args:
            when: A time or an array of them, on the clock of the mechanics; now if
                None. The next seconds are known as well as the past five minutes.

        Returns:
            A position, or an array of the same shape.
        """
        if when is None:
            when = self.mechanics.now()
        if np.ndim(when) == 0:
            return self.drive.position(float(when))
        return positions(self.drive, np.asarray(when, float))

    def counts(self, when: Array) -> npt.NDArray[np.int64]:
        """Whole counts of its encoder at some times, as a PandA shows them."""
        exact = (self.position(when) - self.drive.zero) * self.drive.counts_per_unit
        return np.floor(exact + 0.5).astype(np.int64)

    def arrival(self) -> float:
        """When it comes to rest; in the past if it does not move."""
        return self.drive.arrives()

    def moving(self) -> bool:
        """Whether it moves now."""
        return self.drive.moving(self.mechanics.now())

    def move(self, legs: Sequence[tuple[float, Pace]]) -> float:
        """Go to places one after the other; a limit switch ends it.

        Args:
            legs: Dial positions, and how fast to go there.

        Returns:
            When it arrives.
        """
        return self.mechanics.act(lambda now: self._move(now, legs))

    def stop(self, pace: Pace) -> float:
        """Come to rest; returns when."""

        def stop(now: float) -> float:
            phases = plan_stop(self.drive.velocity(now), pace)
            return self._follow(now, phases, self._within)

        return self.mechanics.act(stop)

    def at_limit(self, when: float) -> int:
        """1 on the high limit switch, -1 on the low one, else 0."""
        low, high = self.travel
        here = self.drive.position(when)
        near = abs(1 / self.drive.counts_per_unit) / 2
        return int(here >= high - near) - int(here <= low + near)

    def _move(self, now: float, legs: Sequence[tuple[float, Pace]]) -> float:
        here, velocity = self.drive.position(now), self.drive.velocity(now)
        phases: list[Phase] = []
        target = here
        for place, pace in legs:
            target = self._within(place)
            phases += plan_move(target - here, velocity, pace)
            here, velocity = target, 0.0
        return self._follow(now, phases, lambda _: target)

    def _within(self, place: float) -> float:
        """A place between the limit switches."""
        low, high = self.travel
        return min(max(place, low), high)

    def _follow(
        self, now: float, phases: Sequence[Phase], end: Callable[[float], float]
    ) -> float:
        """Lay phases out as the path from now on."""
        drive = self.drive
        drive.forget(now - _REMEMBERED)
        finest = _FINEST / abs(drive.counts_per_unit)
        times, places = corners(phases, drive.position(now), finest)
        if len(times) > 1:
            places = np.clip(places, *self.travel)
            places[-1] = end(float(places[-1]))
        increasing = np.append(True, np.diff(times) > _SOON)
        # the last corner is where it has to end, however close the one before
        increasing[-1] = True
        if len(times) > 2 and times[-1] - times[-2] <= _SOON:
            increasing[-2] = False
        return drive.follow(
            times[increasing].tolist(), places[increasing].tolist(), now=now
        )


def toward(here: float, direction: float, travel: tuple[float, float]) -> float:
    """The end of the travel in a direction; very far away if there is none."""
    end = travel[1] if direction > 0 else travel[0]
    return end if abs(end) < inf else here + copysign(1e6, direction)
