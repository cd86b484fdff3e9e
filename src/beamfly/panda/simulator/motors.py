"""Simulated motors: where an axis is at any time, as straight pieces.

A `SimulatedMotor` knows its whole path, past and future: a list of times and positions,
straight in between. `move` makes a trapezoid of velocity whose ramps are cut into many
short pieces, `follow` takes a path that was computed elsewhere. Every method takes
`now` in seconds on any clock that never goes back, or a time before it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, copysign, sqrt

from beamfly.errors import BadValue

_MOST_PIECES = 200
"""Of one ramp."""
_FINEST = 0.2
"""Counts by which a ramp may be off because it is made of straight pieces."""


class SimulatedMotor:
    """One axis, with an encoder on it.

    Args:
        position: Where it is, in units.
        velocity: Default velocity of a move, units per second.
        acceleration: Default acceleration of a move, units per second squared.
        counts_per_unit: Encoder counts per unit.
        zero: Position at which the encoder counts 0.
    """

    def __init__(
        self,
        position: float = 0.0,
        *,
        velocity: float = 1.0,
        acceleration: float = 10.0,
        counts_per_unit: float = 1000.0,
        zero: float = 0.0,
    ) -> None:
        self.default_velocity = velocity
        self.default_acceleration = acceleration
        self.counts_per_unit = counts_per_unit
        self.zero = zero
        self.times: list[float] = [float("-inf")]
        """Times at which pieces of the path begin."""
        self.positions: list[float] = [position]
        """Positions at those times; after the last it stays."""
        self.revision = 0
        """How often the path was changed."""

    def position(self, now: float) -> float:
        """Where it is, in units."""
        place = bisect_right(self.times, now) - 1
        begin, before = self.times[place], self.positions[place]
        if place + 1 == len(self.times) or begin == float("-inf"):
            return before
        end, after = self.times[place + 1], self.positions[place + 1]
        return before + (after - before) * (now - begin) / (end - begin)

    def velocity(self, now: float) -> float:
        """How fast it moves, in units per second."""
        place = bisect_right(self.times, now) - 1
        begin = self.times[place]
        if place + 1 == len(self.times) or begin == float("-inf"):
            return 0.0
        way = self.positions[place + 1] - self.positions[place]
        return way / (self.times[place + 1] - begin)

    def counts(self, now: float) -> float:
        """What the encoder shows, with fractions."""
        return (self.position(now) - self.zero) * self.counts_per_unit

    def arrives(self) -> float:
        """When it has come to rest for good; -inf if it never moved."""
        return self.times[-1]

    def moving(self, now: float) -> bool:
        """Whether it will still move."""
        return now < self.times[-1]

    def move(
        self,
        target: float,
        *,
        now: float,
        velocity: float | None = None,
        acceleration: float | None = None,
    ) -> float:
        """Go to a position; if it is moving it comes to rest first.

        Args:
            target: Where to go, in units.
            now: When to begin.
            velocity: Units per second, positive; the default if None.
            acceleration: Units per second squared, positive; the default if None.

        Returns:
            When it arrives.

        Raises:
            BadValue: Velocity or acceleration is not positive.
        """
        speed = self.default_velocity if velocity is None else velocity
        rate = self.default_acceleration if acceleration is None else acceleration
        if speed <= 0 or rate <= 0:
            msg = (
                f"velocity {speed} and acceleration {rate} of a move have to be "
                "positive; the motor was not moved"
            )
            raise BadValue(msg)
        begin = self.stop(now=now, acceleration=rate)
        way = target - self.positions[-1]
        if not way:
            return begin
        speed = min(speed, sqrt(abs(way) * rate))
        direction = copysign(1.0, way)
        ramp_time = speed / rate
        ramp_way = direction * speed * ramp_time / 2
        self._ramp(begin, ramp_time, 0.0, direction * rate)
        cruise = max(0.0, (abs(way) - 2 * abs(ramp_way)) / speed)
        if cruise:
            self._append(begin + ramp_time + cruise, target - ramp_way)
        begin += ramp_time + cruise
        self._ramp(begin, ramp_time, direction * speed, -direction * rate)
        self.positions[-1] = target
        return self.times[-1]

    def stop(self, *, now: float, acceleration: float | None = None) -> float:
        """Come to rest as fast as it can.

        Returns:
            When it does.
        """
        rate = self.default_acceleration if acceleration is None else acceleration
        place, speed = self.position(now), self.velocity(now)
        self._cut(now, place)
        if speed:
            self._ramp(now, abs(speed) / rate, speed, -copysign(rate, speed))
        return self.times[-1]

    def follow(
        self, times: Sequence[float], positions: Sequence[float], *, now: float
    ) -> float:
        """Follow a path that is straight between the points given.

        Args:
            times: Seconds from `now` on, increasing.
            positions: Where it is then, in units.
            now: When to begin.

        Returns:
            When it arrives at the last point.

        Raises:
            BadValue: Times do not increase, or there are not as many positions.
        """
        steps = pairwise(times)
        bad = any(a >= b for a, b in steps) or (bool(times) and times[0] < 0)
        if len(times) != len(positions) or bad:
            msg = (
                f"{len(times)} times and {len(positions)} positions are no path: times "
                "have to increase from 0 on; the motor was not moved"
            )
            raise BadValue(msg)
        self._cut(now, self.position(now))
        for time, position in zip(times, positions, strict=True):
            if now + time <= self.times[-1]:
                self.positions[-1] = position
            else:
                self._append(now + time, position)
        return self.times[-1]

    def forget(self, before: float) -> None:
        """Drop what of the path lies before a time."""
        place = bisect_right(self.times, before) - 1
        if place > 1:
            del self.times[1:place], self.positions[1:place]

    def _cut(self, now: float, place: float) -> None:
        """Drop the path after a time."""
        keep = bisect_right(self.times, now)
        del self.times[keep:], self.positions[keep:]
        if self.times[-1] < now:
            self._append(now, place)
        self.revision += 1

    def _append(self, time: float, position: float) -> None:
        """Go on straight to a point."""
        if time > self.times[-1]:
            self.times.append(time)
            self.positions.append(position)
        else:
            self.positions[-1] = position

    def _ramp(self, begin: float, duration: float, speed: float, rate: float) -> None:
        """Change the velocity at a constant rate, in straight pieces."""
        bend = abs(rate) * duration**2 * abs(self.counts_per_unit) / 8
        pieces = min(_MOST_PIECES, max(1, ceil(sqrt(bend / _FINEST))))
        origin = self.positions[-1]
        for piece in range(1, pieces + 1):
            passed = duration * piece / pieces
            way = speed * passed + rate * passed**2 / 2
            self._append(begin + passed, origin + way)
