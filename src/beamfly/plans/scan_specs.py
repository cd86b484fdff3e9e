"""A scanspec as commands of a scan server, with exactly its points.

```
spec = Linspace("BL:Y", 0, 1, 3) * ~Linspace("BL:X", 0, 2, 5)
scan = scan_from_spec(spec, ["BL:DET"])
RE(fly_scan(flyer, scan))
```

Lines and their products become nested loops, whose steps are chosen so that every scan
server goes through exactly as many points; a snake is a loop that turns round. Anything
else, such as a spiral, a zip or a mask, is written out point by point.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scanspec.core import Path
from scanspec.specs import ConstantDuration, Fly, Product, Snake, Spec

from beamfly.errors import BadValue
from beamfly.plans.scan_devices import is_motor, pv_of
from beamfly.scan.actions import Delay, Log
from beamfly.scan.command import Command
from beamfly.scan.containers import Loop, Parallel, flat
from beamfly.scan.points import loop_points, step_for
from beamfly.scan.settings import SettingsBasedLoop, SettingsBasedSet

MOST_POINTS = 10_000
"""A scan that has to be written out may have so many points."""


@dataclass(frozen=True)
class Line:
    """Equidistant positions of one axis, or repetitions without any axis."""

    axis: Any
    """None for repetitions."""
    start: float
    stop: float
    points: int
    snake: bool = False
    """Whether every other pass is backwards."""

    def loop(self, device: str, body: list[Command], **options: Any) -> list[Command]:
        """The body at each position; options are those of `Loop`."""
        if self.axis is None:
            return [Loop("loc://repetition(0)", 1, self.points, 1, body)]
        if self.points == 1:
            return [SettingsBasedSet(device, self.start, **options), *body]
        if self.start == self.stop:
            again = Loop("loc://repetition(0)", 1, self.points, 1, body)
            return [SettingsBasedSet(device, self.start, **options), again]
        step = step_for(self.start, self.stop, self.points)
        # a step that leads away from the end makes a loop turn round, and the first
        # pass goes where the step leads
        ends = (self.stop, self.start) if self.snake else (self.start, self.stop)
        return [SettingsBasedLoop(device, *ends, step, body, **options)]


def scan_from_spec(
    spec: Spec[Any],
    log: Sequence[Any] = (),
    *,
    at_point: Any = (),
    pvs: Mapping[Any, str] | None = None,
    log_axes: bool = True,
    most_points: int = MOST_POINTS,
) -> list[Command]:
    """Commands that go through the points of a spec and log at each.

    How devices are written (completion, readback, tolerance) is what the scan settings
    in force say.

    Args:
        spec: Its axes are PVs, or EPICS devices of ophyd-async.
        log: PVs or devices to log at each point, after the axes.
        at_point: Commands at each point before it is logged, such as a trigger.
        pvs: Axis -> PV, for axes that are neither.
        log_axes: Whether the axes are logged, too: what they are read back with if
            settings name that.
        most_points: Largest number of points of a spec that has no loops.

    Raises:
        BadValue: An axis has no PV, or there are too many points to be written out.
    """
    axes = [_Axis.of(axis, pvs) for axis in spec.axes()]
    duration = spec.duration()
    body = flat(at_point)
    if isinstance(duration, (int, float)) and duration > 0:
        body = [Delay(float(duration)), *body]
    logged = [axis.logged for axis in axes if log_axes]
    logged += [pv_of(device, pvs) for device in log]
    if logged:
        body = [*body, Log(list(dict.fromkeys(logged)))]
    lines = None if isinstance(duration, str) else _lines(spec)
    if lines is None:
        return list(_written_out(spec, axes, body, most_points))
    found = {axis.axis: axis for axis in axes}
    for line in reversed(lines):
        axis = found.get(line.axis)
        options = {} if axis is None else axis.options
        body = line.loop("" if axis is None else axis.device, body, **options)
    return body


@dataclass(frozen=True)
class _Axis:
    """How an axis is moved and read."""

    axis: Any
    device: str
    logged: str
    options: dict[str, Any]

    @classmethod
    def of(cls, axis: Any, pvs: Mapping[Any, str] | None) -> "_Axis":
        device = pv_of(axis, pvs, read=False)
        if is_motor(axis) and axis not in (pvs or {}):
            return cls(axis, device, pv_of(axis), {"completion": True})
        command = SettingsBasedSet(device, 0.0)
        return cls(axis, device, command.readback or device, {})

    def set(self, value: float) -> Command:
        return SettingsBasedSet(self.device, value, **self.options)


def _lines(spec: Any) -> list[Line] | None:
    """The lines of a nest, outer to inner; None if it is no such nest."""
    if isinstance(spec, (Fly, ConstantDuration)):
        inner = cast(Any, spec).spec
        return None if inner is None else _lines(inner)
    if isinstance(spec, Product):
        product = cast(Any, spec)
        parts = [_factor(product.outer), _factor(product.inner)]
        lines = [line for part in parts if part is not None for line in part]
        return None if None in parts else lines
    if isinstance(spec, Snake):
        lines = _lines(cast(Any, spec).spec)
        if lines is None or len(lines) != 1:
            return None
        (line,) = lines
        return [Line(line.axis, line.start, line.stop, line.points, True)]
    return _line(spec)


def _factor(factor: Any) -> list[Line] | None:
    if isinstance(factor, int):
        return [] if factor == 1 else [Line(None, 1, factor, factor)]
    return _lines(factor)


def _line(spec: Any) -> list[Line] | None:
    """A spec of one axis with equidistant points."""
    axes = spec.axes()
    if len(axes) != 1 or len(spec.shape()) != 1:
        return None
    (dimension,) = spec.calculate()
    positions = [float(value) for value in dimension.midpoints[axes[0]]]
    line = Line(axes[0], positions[0], positions[-1], len(positions))
    return [line] if _same(line, positions) else None


def _same(line: Line, positions: Sequence[float]) -> bool:
    """Whether a loop would go through the same positions."""
    if line.points == 1:
        return True
    if line.start == line.stop:
        return all(position == line.start for position in positions)
    step = step_for(line.start, line.stop, line.points)
    reached = list(loop_points(line.start, line.stop, step))
    close = 1e-9 * abs(line.stop - line.start)
    return len(reached) == len(positions) and bool(
        np.allclose(reached, positions, rtol=0, atol=close)
    )


def _written_out(
    spec: Spec[Any], axes: Sequence[_Axis], body: list[Command], most: int
) -> Iterator[Command]:
    """Every point for itself: what has moved is set at the same time, then the body."""
    count = int(np.prod(spec.shape()))
    if count > most:
        msg = (
            f"This spec has {count} points and no loops, and a scan may have {most} "
            "points written out: raise most_points, or make it of lines and products"
        )
        raise BadValue(msg)
    points = Path(spec.calculate()).consume()
    positions = {a.axis: points.midpoints[a.axis] for a in axes}
    times = points.duration if isinstance(spec.duration(), str) else None
    for index in range(len(points)):
        sets = [
            axis.set(float(positions[axis.axis][index]))
            for axis in axes
            if index == 0
            or positions[axis.axis][index] != positions[axis.axis][index - 1]
        ]
        if sets:
            yield sets[0] if len(sets) == 1 else Parallel(sets)
        if times is not None:
            yield Delay(float(times[index]))
        yield from body
