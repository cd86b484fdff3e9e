"""From a scanspec to what a motion controller does: `plan_trajectory`.

Points without a gap in between make a line, passed at constant velocity. Between
lines the axes turn round on a smooth curve, and a digital output, high on each line,
tells the PandA where lines begin.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scanspec.core import Path, Slice
from scanspec.specs import Spec

from beamfly.errors import BadValue

Array = npt.NDArray[np.float64]

_TURN_PIECES = 24
"""Straight pieces that a turn is made of."""
_READY = 0.75
"""Part of a turn after which the output goes high: the axis heads for the line."""


@dataclass(frozen=True)
class Trajectory:
    """Where all axes are at what time."""

    times: Array
    """Seconds from the start, increasing; shape (pieces + 1,)."""
    positions: Mapping[Any, Array]
    """Position of each axis at those times, straight in between; same shape."""
    line_starts: Array
    """Seconds from the start at which the output goes high; shape (lines,)."""
    line_ends: Array
    """Seconds from the start at which it goes low; shape (lines,)."""

    @property
    def duration(self) -> float:
        """Seconds from start to end."""
        return float(self.times[-1])


@dataclass(frozen=True)
class _Line:
    """Points that are passed without stopping."""

    times: Array
    places: Mapping[Any, Array]

    def velocity(self, axis: Any, at_end: bool) -> float:
        """Of an axis, where the line begins or ends."""
        one = slice(-2, None) if at_end else slice(0, 2)
        (before, after), (begin, end) = self.places[axis][one], self.times[one]
        return (after - before) / (end - begin)


def plan_trajectory(spec: Spec[Any], turn_time: float = 0.05) -> Trajectory:
    """The path of all axes of a scan.

    Args:
        spec: What to scan; it needs a duration per point, as `Fly` gives it.
        turn_time: Seconds between two lines, and before the first.

    Raises:
        BadValue: The scan has no duration per point.
    """
    points = Path(spec.calculate()).consume()
    if points.duration is None:
        msg = f"{spec} says no time per point; no trajectory was made"
        raise BadValue(msg)
    axes = points.axes()
    times: list[Array] = []
    places: dict[Any, list[Array]] = {axis: [] for axis in axes}
    starts: list[float] = []
    ends: list[float] = []
    now, previous = 0.0, None
    for line in _lines(points):
        before = previous or _rest_before(line, turn_time)
        passed = np.linspace(0.0, 1.0, _TURN_PIECES + 1)[:-1]
        times += [now + passed * turn_time, now + turn_time + line.times[:-1]]
        for axis in axes:
            turn = _turn(before, line, axis, passed, turn_time)
            places[axis] += [turn, line.places[axis][:-1]]
        starts.append(now + _READY * turn_time)
        now += turn_time + float(line.times[-1])
        ends.append(now)
        previous = line
    if previous is not None:
        times.append(np.array([now, now + turn_time / 2]))
        for axis in axes:
            last = previous.places[axis][-1]
            run_out = previous.velocity(axis, True) * turn_time / 4
            places[axis].append(np.array([last, last + run_out]))
    return Trajectory(
        np.concatenate(times),
        {axis: np.concatenate(pieces) for axis, pieces in places.items()},
        np.array(starts),
        np.array(ends),
    )


def _lines(points: Slice[Any]) -> Iterator[_Line]:
    """Cut a scan where there are gaps."""
    # a single line has no gap, not even before it
    begins = np.union1d([0], np.nonzero(points.gap)[0])
    stops = np.append(begins[1:], len(points))
    durations = np.asarray(points.duration)
    for begin, stop in zip(begins, stops, strict=True):
        line = slice(int(begin), int(stop))
        yield _Line(
            np.concatenate([[0.0], np.cumsum(durations[line])]),
            {
                axis: np.append(
                    points.lower[axis][line], points.upper[axis][int(stop) - 1]
                )
                for axis in points.axes()
            },
        )


def _rest_before(line: _Line, turn_time: float) -> _Line:
    """Where to wait before the first line: as far away as it takes to speed up."""
    places: dict[Any, Array] = {}
    for axis, along in line.places.items():
        run_up = line.velocity(axis, False) * turn_time / 2
        places[axis] = np.full(2, along[0] - run_up)
    return _Line(np.array([0.0, 1.0]), places)


def _turn(
    before: _Line, after: _Line, axis: Any, passed: Array, turn_time: float
) -> Array:
    """A cubic that leaves one line and joins the next with their velocities."""
    start, stop = before.places[axis][-1], after.places[axis][0]
    leave = before.velocity(axis, True) * turn_time
    join = after.velocity(axis, False) * turn_time
    squared, cubed = passed**2, passed**3
    return (
        (2 * cubed - 3 * squared + 1) * start
        + (cubed - 2 * squared + passed) * leave
        + (3 * squared - 2 * cubed) * stop
        + (cubed - squared) * join
    )
