"""From a scanspec to lines: pieces that one motor passes at constant velocity.

Points that follow each other without a gap are a line. A motor record goes from one
place to another and no further, so a line is what it can fly in one go; before each
the other axes move to where they are to stand meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import copysign
from typing import Any

import numpy as np
import numpy.typing as npt
from scanspec.core import Path, Slice
from scanspec.specs import Fly, Linspace, Spec

from beamfly.errors import BadValue

Array = npt.NDArray[np.float64]

_EVEN = 1e-6
"""How much points of a line may differ, as part of a step."""


@dataclass(frozen=True)
class Line:
    """Points that a motor passes."""

    axis: Any
    """What moves."""
    begin: float
    """Where the first point begins, in units of the axis."""
    end: float
    """Where the last point ends."""
    num: int
    """How many points there are."""
    duration: float
    """Seconds of each."""
    places: Mapping[Any, float]
    """Where the other axes stand."""

    @property
    def step(self) -> float:
        """From one point to the next, in units of the axis; signed."""
        return (self.end - self.begin) / self.num

    @property
    def speed(self) -> float:
        """Units per second, positive."""
        return abs(self.step) / self.duration

    @property
    def direction(self) -> float:
        """1 or -1."""
        return copysign(1.0, self.step)

    @property
    def seconds(self) -> float:
        """Of all points."""
        return self.num * self.duration

    def spec(self, more_time: float = 0.0) -> Spec[Any]:
        """The line as a spec of its own, with points that last so much longer."""
        points = Linspace.bounded(self.axis, self.begin, self.end, self.num)
        return Fly((self.duration + more_time) @ points)


def lines_of(spec: Spec[Any]) -> list[Line]:
    """The lines of a scan, in order.

    Args:
        spec: What to scan, with a duration: `Fly(0.01 @ Linspace(x, 0, 1, 101))`.

    Raises:
        BadValue: It is nothing that motors can fly one at a time, and why.
    """
    points = Path(spec.calculate()).consume()
    if points.duration is None:
        msg = f"{spec} says no time per point, as in 0.01 @ Linspace(x, 0, 1, 101)"
        raise BadValue(f"{msg}; nothing was moved")
    # what never moves has no gap, not even before its first point
    begins = np.union1d([0], np.nonzero(points.gap)[0])
    stops = np.append(begins[1:], len(points))
    return [
        _line(points, slice(int(begin), int(stop)))
        for begin, stop in zip(begins, stops, strict=True)
    ]


def _line(points: Slice[Any], part: slice) -> Line:
    """One line, if it is one."""
    durations = np.asarray(points.duration, float)[part]
    lower = {
        axis: np.asarray(points.lower[axis], float)[part] for axis in points.axes()
    }
    upper = {
        axis: np.asarray(points.upper[axis], float)[part] for axis in points.axes()
    }
    moving = [axis for axis in lower if not np.array_equal(lower[axis], upper[axis])]
    if len(moving) != 1:
        raise BadValue(_not_one(points, moving))
    (axis,) = moving
    steps = upper[axis] - lower[axis]
    ends = np.append(lower[axis], upper[axis])
    if not (np.all(durations > 0) and np.all(np.isfinite([*ends, *durations]))):
        msg = (
            f"points on {_name(axis)} from {ends[0]:g} to {ends[-1]:g} that take "
            f"{durations[0]:g} s cannot be; nothing was moved"
        )
        raise BadValue(msg)
    if not (_even(steps) and _even(durations)):
        msg = (
            f"the points on {_name(axis)} are not all equally long: a motor record "
            "moves at one velocity; nothing was moved"
        )
        raise BadValue(msg)
    return Line(
        axis,
        float(lower[axis][0]),
        float(upper[axis][-1]),
        len(durations),
        float(durations[0]),
        {other: float(lower[other][0]) for other in lower if other is not axis},
    )


def _even(values: Array) -> bool:
    return bool(np.all(np.abs(values - values[0]) <= _EVEN * abs(values[0])))


def _name(axis: Any) -> str:
    return str(getattr(axis, "name", axis))


def _not_one(points: Slice[Any], moving: list[Any]) -> str:
    """Why there is not one axis that moves."""
    if moving:
        names = " and ".join(map(_name, moving))
        return (
            f"{names} move at the same time, and motor records do not keep in step: "
            "fly one of them and step the others; nothing was moved"
        )
    names = ", ".join(map(_name, points.axes()))
    return (
        f"{names} would stand still while points are taken: put the spec into Fly(), "
        "with points that differ; nothing was moved"
    )
