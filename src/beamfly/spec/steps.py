"""The one step scan behind all the names: `step_scan`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, cast

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky import plan_patterns
from bluesky.utils import MsgGenerator

from beamfly.errors import BadValue
from beamfly.spec.counting import check_counting, set_time
from beamfly.spec.courses import Array, CountTime, Course
from beamfly.spec.preflight import check_positions, where

EXTRAS = "extras"
"""Stream of what is read at the beginning, at breaks, and at the end."""

Breaks = int | Sequence[int] | Literal["row"] | None
AtBreak = Callable[[], MsgGenerator[Any]]


class Options(TypedDict, total=False):
    """What every scan takes besides its arguments."""

    time: CountTime
    """Count time, if it is not the last argument; one for each point if it is many."""
    num: int
    """Points, instead of intervals."""
    extra: Sequence[Any]
    """Further detectors for this scan."""
    breaks: Breaks
    """After how many points to break, or after which (from 1), or after each row."""
    at_break: AtBreak
    """A plan to do at breaks, besides reading the extras."""
    snake: bool
    """Whether every other row of a mesh goes backwards."""
    md: Mapping[str, Any]
    """Goes into the start document."""


@dataclass
class Steps:
    """What happens at the points of a scan."""

    detectors: Sequence[Any]
    """Read at each point."""
    extras: Sequence[Any] = ()
    """Read at the beginning, at breaks, at the end."""
    time: CountTime = None
    """Count time."""
    after: frozenset[int] = frozenset()
    """Numbers of the points after which there is a break."""
    at_break: AtBreak | None = None
    """What to do then."""
    num: int = 1
    """Points."""
    done: int = 0
    """Points that were taken."""
    _set: float | None = field(default=None, init=False)

    def before_point(self) -> MsgGenerator[None]:
        """Count time, and at the first point the extras."""
        time = self.time[self.done] if isinstance(self.time, Sequence) else self.time
        if time and time != self._set:
            yield from set_time(self.detectors, time)
            self._set = time
        if self.done == 0:
            yield from self.read_extras()

    def after_point(self) -> MsgGenerator[None]:
        """A break, if there is one."""
        self.done += 1
        last = self.done == self.num
        if last or self.done in self.after:
            # a pause from now on must not take the point again
            yield from bps.checkpoint()
            yield from self.read_extras()
        if not last and self.done in self.after and self.at_break is not None:
            yield from self.at_break()

    def read_extras(self) -> MsgGenerator[None]:
        """One event in the stream of the extras."""
        if self.extras:
            yield from bps.trigger_and_read(list(self.extras), name=EXTRAS)


def break_points(course: Course, breaks: Breaks) -> frozenset[int]:
    """After which points there is a break, counted from 1; BadValue for nonsense."""
    if breaks is None:
        return frozenset()
    if breaks == "row" and course.is_mesh:
        breaks = course.shape[-1]
    if isinstance(breaks, int) and breaks >= 1:
        return frozenset(range(breaks, course.num, breaks))
    if isinstance(breaks, Sequence) and not isinstance(breaks, str):
        if all(one in range(1, course.num + 1) for one in breaks):
            return frozenset(breaks)
    msg = (
        f"{course.command}: breaks is {breaks!r}; it has to be a number of points, a "
        "list of them, or row for a mesh; nothing was done"
    )
    raise BadValue(msg)


def step_scan(course: Course, steps: Steps, md: Mapping[str, Any]) -> MsgGenerator[str]:
    """Check all, tell, go through the points, and back if the course is relative.

    Args:
        course: Where to go.
        steps: What to do there.
        md: Goes into the start document.

    Returns:
        The unique id of the run.

    Raises:
        BadValue: A motor refuses a point, a detector the time; nothing moved.
    """
    if not steps.detectors:
        msg = f"{course.command}: there are no detectors; nothing was done"
        raise BadValue(f"{msg}, see spec.detectors")
    origins: dict[Any, float] = {}
    if course.relative:
        for axis in course.axes:
            origins[axis.motor] = yield from where(axis.motor)
        course = course.moved(origins)
    positions = course.positions()
    yield from check_positions(course.command, positions)
    if course.time:
        yield from check_counting(course.command, steps.detectors)
    tell(course)
    scan = _through(course, steps, positions, md)
    if not origins:
        return (yield from scan)
    home: list[Any] = [item for pair in origins.items() for item in pair]
    back = cast(Any, bpp).finalize_wrapper(scan, lambda: bps.mv(*home))
    return (yield from cast(MsgGenerator[str], back))


def _through(
    course: Course,
    steps: Steps,
    positions: Mapping[Any, Array],
    md: Mapping[str, Any],
) -> MsgGenerator[str]:
    def per_step(
        detectors: Sequence[Any], step: Any, pos_cache: Any
    ) -> MsgGenerator[None]:
        yield from steps.before_point()
        yield from bps.one_nd_step(detectors, step, pos_cache)
        yield from steps.after_point()

    one_each: list[Any] = []
    for motor, goals in positions.items():
        one_each += [motor, goals.tolist()]
    path = cast(Any, plan_patterns).inner_list_product(one_each)
    metadata = course.metadata() | {"plan_args": plan_args(course), **md}
    everything = list(steps.detectors)
    scan = cast(Any, bp).scan_nd(everything, path, per_step=per_step, md=metadata)
    return (yield from cast(MsgGenerator[str], scan))


def plan_args(course: Course) -> dict[str, Any]:
    """What was asked for, by axis."""
    return {
        axis.name: [float(axis.start), float(axis.finish), axis.num]
        for axis in course.axes
    }


def tell(course: Course) -> None:
    """Say what is going to be done."""
    time, counting = course.time, ""
    if isinstance(time, Sequence):
        counting = f", {sum(time):g} s of counting"
    elif time:
        counting = f" of {time:g} s, {time * course.num:g} s of counting"
    shape = " x ".join(map(str, course.shape))
    points = f"{course.num} points" + (f" ({shape})" if course.is_mesh else "")
    sys.stdout.write(f"{course.command}: {points}{counting}\n")
