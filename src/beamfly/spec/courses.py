"""From what people type to where motors go: `course("ascan", (x, 0, 1, 10, 0.1))`.

SPEC counts intervals, so 10 of them are 11 points; `num` counts points. Of a mesh the
first motor is the fast one, as in SPEC, while Bluesky's documents list the slow one
first. Nothing in here talks to a device.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat, cast

import numpy as np
import numpy.typing as npt
from bluesky.protocols import Movable

from beamfly.errors import BadValue

Array = npt.NDArray[np.float64]

_ONE = "{} start finish intervals time"
USAGE = {
    "ascan": f"ascan {_ONE.format('motor')}",
    "dscan": f"dscan {_ONE.format('motor')}",
    "lup": f"lup {_ONE.format('motor')}",
    "fascan": f"fascan {_ONE.format('motor')}",
    **{
        f"{kind}{number}scan": f"{kind}{number}scan "
        + " ".join(f"m{i} start{i} finish{i}" for i in range(1, number + 1))
        + " intervals time"
        for kind in "ad"
        for number in (2, 3, 4)
    },
    **{
        name: f"{name} fast start finish intervals slow start finish intervals time"
        for name in ("mesh", "dmesh", "fmesh")
    },
    "th2th": "th2th start finish intervals time",
    "ct": "ct [time]",
    "loopscan": "loopscan points [time]",
    "timescan": "timescan [time]",
    "mv": "mv motor position ...",
    "umv": "umv motor position ...",
    "mvr": "mvr motor distance ...",
    "umvr": "umvr motor distance ...",
    "tw": "tw motor step",
    "wa": "wa",
    "wm": "wm motor ...",
    "cen": "cen [counter]",
    "pic": "pic [counter]",
    "com": "com [counter]",
}
"""How each command is typed."""
WIDEST = 10_000_000
"""Points that a scan may have; more are taken for a slip."""

Argument = Movable[Any] | float | Sequence[float]
"""What a command takes: motors, numbers, count times. A queue server, which is given
names, looks in here for what may be a device."""
CountTime = float | Sequence[float] | None
"""Seconds for all points, or for each; None: as the detectors are set."""


@dataclass(frozen=True)
class Axis:
    """One motor on its way."""

    motor: Any
    """What moves."""
    start: float
    """Of the first point."""
    finish: float
    """Of the last point."""
    num: int
    """Points."""

    @property
    def name(self) -> str:
        """Of the motor."""
        return str(self.motor.name)

    @property
    def positions(self) -> Array:
        """All points."""
        return np.linspace(self.start, self.finish, self.num)

    def moved(self, by: float) -> "Axis":
        """The same, elsewhere."""
        return Axis(self.motor, self.start + by, self.finish + by, self.num)


@dataclass(frozen=True)
class Course:
    """Where all motors go."""

    command: str
    """As it was typed, such as `ascan x 0 1 10 0.1`."""
    axes: tuple[Axis, ...]
    """In the order in which they were typed."""
    is_mesh: bool = False
    """Whether each motor has its own points, the first one being the fast one."""
    snake: bool = False
    """Whether every other row of a mesh goes backwards."""
    time: CountTime = None
    """Count time."""
    relative: bool = field(default=False)
    """Whether the axes are relative to where the motors are."""

    @property
    def name(self) -> str:
        """The command without its arguments."""
        return self.command.split()[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points, slow axis first."""
        if self.is_mesh:
            return tuple(axis.num for axis in reversed(self.axes))
        return (self.axes[0].num,)

    @property
    def num(self) -> int:
        """Points in all."""
        return math.prod(self.shape)

    def positions(self) -> dict[Any, Array]:
        """Motor -> where it is at each point, slow motors first."""
        if not self.is_mesh:
            return {axis.motor: axis.positions for axis in self.axes}
        slow_first = list(reversed(self.axes))
        grids = np.meshgrid(*(axis.positions for axis in slow_first), indexing="ij")
        if self.snake:
            grids[-1][1::2] = grids[-1][1::2, ::-1]
        return {
            axis.motor: grid.ravel()
            for axis, grid in zip(slow_first, grids, strict=True)
        }

    def moved(self, origins: dict[Any, float]) -> "Course":
        """The same in absolute positions.

        Args:
            origins: Where each motor was.
        """
        axes = tuple(axis.moved(origins[axis.motor]) for axis in self.axes)
        return Course(self.command, axes, self.is_mesh, self.snake, self.time)

    def metadata(self) -> dict[str, Any]:
        """For the start document, so that tables and plots know what to show."""
        slow_first = list(reversed(self.axes)) if self.is_mesh else list(self.axes)
        fields = [_hinted(axis.motor) for axis in slow_first]
        hints: dict[str, Any] = {}
        if self.is_mesh:
            hints["dimensions"] = [(names, "primary") for names in fields]
            hints["gridding"] = "rectilinear"
        else:
            hints["dimensions"] = [(list(itertools.chain(*fields)), "primary")]
        time = self.time
        return {
            "plan_name": self.name,
            "scan": self.command,
            "count_time": list(time) if isinstance(time, Sequence) else time,
            "motors": [axis.name for axis in slow_first],
            "num_points": self.num,
            "num_intervals": self.num - 1,
            "shape": list(self.shape),
            "extents": [[axis.start, axis.finish] for axis in slow_first],
            "snaking": [False, self.snake] if self.is_mesh else [False],
            "hints": hints,
        }


def _hinted(motor: Any) -> list[str]:
    """The fields of a motor that are worth plotting."""
    hints: dict[str, list[str]] = getattr(motor, "hints", None) or {}
    return list(hints.get("fields") or [str(motor.name)])


def course(
    name: str,
    args: Sequence[Any],
    *,
    time: CountTime = None,
    num: int | None = None,
    snake: bool = False,
) -> Course:
    """Understand a command.

    Args:
        name: ascan, a2scan, mesh ...; those that begin with d, and lup, are relative.
        args: What follows it: motors and numbers, and the count time last.
        time: The count time, if it is not among them.
        num: Points, if intervals are not among them.
        snake: Whether every other row of a mesh goes backwards.

    Raises:
        BadValue: They do not fit; shows how it is typed.
    """
    is_mesh = "mesh" in name
    relative = name[0] == "d" or name == "lup"
    if is_mesh:
        axes, rest = _mesh_axes(name, args)
    else:
        axes, rest = _line_axes(name, args, num)
    if len(rest) + (time is not None) > 1 or (is_mesh and num is not None):
        raise _misfit(name, args)
    count_time = check_time(name, rest[0] if rest else time, axes)
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        msg = f"{name} takes different motors, not {', '.join(names)}"
        raise BadValue(f"{msg}; nothing was done")
    told = [*args] + ([f"num={num}"] if num is not None else [])
    told += [time] if time is not None else []
    return Course(command(name, *told), axes, is_mesh, snake, count_time, relative)


def _line_axes(
    name: str, args: Sequence[Any], num: int | None
) -> tuple[tuple[Axis, ...], Sequence[Any]]:
    motors = int(name[1]) if name[1:2].isdigit() else 1
    least = 3 * motors + (num is None)
    if len(args) < least:
        raise _misfit(name, args)
    rest = args[3 * motors :]
    if num is None:
        num, rest = _points(name, rest[0]), rest[1:]
    else:
        if number(name, num) != int(num) or not 2 <= num < WIDEST:
            msg = f"{name}: num is {num!r}, it has to be 2 points or more"
            raise BadValue(f"{msg}; nothing was done")
    triples = [args[i : i + 3] for i in range(0, 3 * motors, 3)]
    return tuple(_axis(name, triple, num) for triple in triples), rest


def _mesh_axes(
    name: str, args: Sequence[Any]
) -> tuple[tuple[Axis, ...], Sequence[Any]]:
    if len(args) < 8:
        raise _misfit(name, args)
    (*fast, fast_intervals), (*slow, slow_intervals) = args[:4], args[4:8]
    return (
        _axis(name, fast, _points(name, fast_intervals)),
        _axis(name, slow, _points(name, slow_intervals)),
    ), args[8:]


def _axis(name: str, triple: Sequence[Any], num: int) -> Axis:
    motor, start, finish = triple
    check_motor(name, motor)
    return Axis(motor, number(name, start), number(name, finish), num)


def _misfit(name: str, args: Sequence[Any]) -> BadValue:
    told = command(name, *args)
    msg = f"{told!r} does not fit, it is: {USAGE[name]}; nothing was done"
    return BadValue(msg)


def _points(name: str, intervals: Any) -> int:
    """Points of so many intervals; BadValue unless that is a whole number above 0."""
    value = number(name, intervals)
    if value != int(value) or not 1 <= value < WIDEST:
        msg = (
            f"{name}: intervals are {intervals!r}, they have to be a whole number, 1 "
            f"or more; it is: {USAGE[name]}; nothing was done"
        )
        raise BadValue(msg)
    return int(value) + 1


def number(name: str, value: Any) -> float:
    """A finite number, or BadValue."""
    fits = isinstance(value, SupportsFloat) and not isinstance(value, bool | str)
    if not fits or not math.isfinite(float(value)):
        shown = getattr(value, "name", None) or repr(value)
        msg = f"{name}: {shown:.40} is no number, it is: {USAGE[name]}"
        raise BadValue(f"{msg}; nothing was done")
    return float(value)


def check_motor(name: str, motor: Any) -> None:
    """BadValue unless it moves."""
    if not isinstance(cast(object, motor), Movable) or not getattr(motor, "name", ""):
        shown = getattr(motor, "name", None) or repr(motor)
        msg = f"{name}: {shown:.40} is no motor, it is: {USAGE[name]}"
        raise BadValue(f"{msg}; nothing was done")


def check_time(name: str, time: Any, axes: Sequence[Axis] = ()) -> CountTime:
    """A count time, or one for each point; BadValue if it is none."""
    if time is None:
        return None
    if isinstance(time, Sequence | np.ndarray) and not isinstance(time, str):
        times = [_seconds(name, one) for one in time]  # pyright: ignore[reportUnknownVariableType]
        if "mesh" in name or not axes or len(times) != axes[0].num:
            points = axes[0].num if axes and "mesh" not in name else 1
            msg = f"{name}: there are {len(times)} count times for {points} points"
            raise BadValue(f"{msg}; nothing was done")
        return times
    return _seconds(name, time)


def _seconds(name: str, time: Any) -> float:
    seconds = number(name, time)
    if seconds < 0:
        msg = (
            f"{name}: {seconds:g} would be monitor counts, only seconds are known; "
            "nothing was done"
        )
        raise BadValue(msg)
    return seconds


def command(name: str, *args: Any) -> str:
    """As SPEC would show it."""
    return " ".join([name, *(_shown(arg) for arg in args)])


def _shown(arg: Any) -> str:
    if isinstance(arg, str):
        return arg
    if isinstance(arg, float | np.floating):
        return f"{arg:.10g}"
    if isinstance(arg, Sequence | np.ndarray):
        return f"[{', '.join(_shown(one) for one in arg)}]"  # pyright: ignore[reportUnknownVariableType]
    return str(getattr(arg, "name", None) or arg)
