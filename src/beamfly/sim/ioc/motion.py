"""How a motor moves: phases of constant acceleration, worked out once per move.

`plan_move` and `plan_stop` answer with phases; `corners` turns phases into a path of
straight pieces that a `SimulatedMotor` follows and that a PandA's encoder sees. The
position at any time is looked up in that path: nothing is summed up tick by tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, copysign, sqrt

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MOST_PIECES = 2000
"""Of one phase."""
_LEAST = 1e-12
"""Phases that last no longer are left out, seconds."""


@dataclass(frozen=True)
class Phase:
    """A time of constant acceleration."""

    duration: float
    """Seconds."""
    velocity: float
    """At its start, units per second; signed."""
    acceleration: float = 0.0
    """Units per second squared; signed."""

    @property
    def way(self) -> float:
        """How far it goes, in units; signed."""
        return self.velocity * self.duration + self.acceleration * self.duration**2 / 2


@dataclass(frozen=True)
class Pace:
    """How fast a motor may go."""

    speed: float
    """Units per second, positive."""
    rate: float
    """Acceleration in units per second squared, positive."""
    start: float = 0.0
    """Units per second at which it starts and stops at once, at most `speed`."""


def plan_stop(velocity: float, pace: Pace) -> list[Phase]:
    """Come to rest as fast as it can.

    Args:
        velocity: Now, units per second.
        pace: Rate and start speed count.
    """
    shed = max(0.0, abs(velocity) - pace.start)
    if shed / pace.rate <= _LEAST:
        return []
    return [Phase(shed / pace.rate, velocity, -copysign(pace.rate, velocity))]


def plan_move(way: float, velocity: float, pace: Pace) -> list[Phase]:
    """Go somewhere and come to rest there.

    A motor that moves already changes its velocity on the way; one that moves the
    other way, or too fast to stop in time, comes to rest first and goes back.

    Args:
        way: To the target, in units; signed.
        velocity: Now, units per second; signed.
        pace: How fast.
    """
    direction = copysign(1.0, way)
    ahead = velocity * direction
    needed = max(0.0, ahead**2 - pace.start**2) / (2 * pace.rate)
    # rounding must not make a motor that stops in time turn round
    if ahead < 0 or needed > abs(way) + 1e-9 * max(1.0, abs(way)):
        braking = plan_stop(velocity, pace)
        left = way - sum(phase.way for phase in braking)
        return [*braking, *plan_move(left, 0.0, pace)]
    return _forwards(abs(way), max(ahead, pace.start), pace, direction)


def _forwards(way: float, begin: float, pace: Pace, direction: float) -> list[Phase]:
    """Speed up or slow down to the speed, hold it, come to rest."""
    rate = direction * pace.rate
    speed = min(
        max(pace.speed, pace.start),
        sqrt(pace.rate * way + (begin**2 + pace.start**2) / 2),
    )
    if begin > speed:
        first = Phase((begin - speed) / pace.rate, direction * begin, -rate)
    else:
        first = Phase((speed - begin) / pace.rate, direction * begin, rate)
    last = Phase((speed - pace.start) / pace.rate, direction * speed, -rate)
    left = way - abs(first.way) - abs(last.way)
    hold = Phase(max(0.0, left) / speed if speed else 0.0, direction * speed)
    return [phase for phase in (first, hold, last) if phase.duration > _LEAST]


def corners(
    phases: Sequence[Phase], position: float, finest: float
) -> tuple[Array, Array]:
    """A path of straight pieces that is never further from the phases than that.

    Args:
        phases: One after the other.
        position: Where they begin, in units.
        finest: How far the path may be off, in units.

    Returns:
        Seconds from the start, and positions in units; both of shape (corners,).
    """
    times: list[Array] = [np.zeros(1)]
    places: list[Array] = [np.full(1, position)]
    now = 0.0
    for phase in phases:
        bend = abs(phase.acceleration) * phase.duration**2 / 8
        pieces = min(_MOST_PIECES, max(1, ceil(sqrt(bend / finest))))
        passed = np.linspace(0.0, phase.duration, pieces + 1)[1:]
        ways = phase.velocity * passed + phase.acceleration * passed**2 / 2
        times.append(now + passed)
        places.append(position + ways)
        now += phase.duration
        position += phase.way
    return np.concatenate(times), np.concatenate(places)
