"""Fly twins of scans: what `ascan` and `mesh` step through, in one go.

```python
spec = Spec(flights=MotorFlights(panda, {x: 1}))     # INENC1 of the PandA is on x
RE(spec.fascan(x, 0, 1, 1000, 0.001))
```

Frames are taken around the same points that the step scan would stop at. `MotorFlights`
is for motor records, `PandaFlights` for whatever moves along a scanspec by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator
from ophyd_async.fastcs.panda import (
    PosOutScaleOffset,
    ScanSpecInfo,
    ScanSpecSeqTableFlyableLogic,
)
from scanspec.core import Path
from scanspec.specs import Fly, Linspace

from beamfly.errors import BadValue
from beamfly.plans import fly, fly_spec
from beamfly.plans.fly_motor import Trigger
from beamfly.spec.courses import Axis, Course
from beamfly.spec.preflight import check_positions
from beamfly.spec.steps import plan_args, tell

DEADTIME = 5e-6
"""Seconds between two gates; whole microseconds survive ophyd-async's rounding."""


class Flights(Protocol):
    """What can fly a course: bring your own if there is no PandA, or another wiring."""

    def fly(
        self, course: Course, path: Any, md: Mapping[str, Any]
    ) -> MsgGenerator[Any]:
        """Fly it, in a run of its own.

        Args:
            course: What was asked for, in absolute positions.
            path: The same as a scanspec with the time of each frame.
            md: Goes into the start document.
        """
        ...


def path_of(course: Course) -> Any:
    """A scanspec of frames around the points of a course.

    Raises:
        BadValue: There is no count time, or one for each point.
    """
    time = course.time
    if not isinstance(time, float) or time <= 0:
        msg = f"{course.command}: a flight needs one count time; nothing was done"
        raise BadValue(msg)
    lines = [_line(axis) for axis in reversed(course.axes)]
    path: Any = lines[-1]
    if course.is_mesh:
        path = lines[0] * (~lines[1] if course.snake else lines[1])
    return Fly(time @ path)


def _line(axis: Axis) -> Any:
    return Linspace(axis.motor, axis.start, axis.finish, axis.num)


def fly_course(
    course: Course, flights: Flights | None, md: Mapping[str, Any]
) -> MsgGenerator[Any]:
    """Check all and fly it; BadValue if it cannot be, then nothing has moved."""
    if flights is None:
        msg = f"{course.command}: nothing is set up to fly, see spec.flights"
        raise BadValue(f"{msg}; nothing was done")
    path = path_of(course)
    frames = Path(path.calculate()).consume()
    ends = {
        axis: np.append(frames.lower[axis], frames.upper[axis][-1:])
        for axis in frames.axes()
    }
    yield from check_positions(course.command, ends)
    tell(course)
    metadata = course.metadata() | {"plan_args": plan_args(course), **md}
    return (yield from flights.fly(course, path, metadata))


@dataclass
class MotorFlights:
    """Flies motor records past the encoder inputs of a PandA, see `plans.fly_spec`."""

    panda: Any
    """An HDFPanda; it is wired for each flight."""
    encoders: Mapping[Any, int]
    """Motor -> number of its INENC block, see `plans.match_encoder`."""
    trigger: Trigger = "position"
    """What makes points, see `plans.fly_motor`."""

    def fly(
        self, course: Course, path: Any, md: Mapping[str, Any]
    ) -> MsgGenerator[str]:
        """Fly it; see `plans.fly_spec` for what can go wrong."""
        fast = course.axes[0].motor
        if fast not in self.encoders and self.trigger != "time":
            raise _unseen(course)
        # what the positions are called in the file is known better there
        told = {key: value for key, value in md.items() if key != "hints"}
        return (
            yield from fly_spec(
                self.panda, path, self.encoders, trigger=self.trigger, md=told
            )
        )


def _unseen(course: Course) -> BadValue:
    fast = course.axes[0].name
    msg = f"{course.command}: {fast} is on no encoder of the PandA"
    return BadValue(f"{msg}; nothing was done")


@dataclass
class PandaFlights:
    """Flies with a sequencer of a PandA that sees the motors on its encoders.

    The sequencer waits for the position at which each line begins and then gates PCAP
    for the count time, frame after frame.
    """

    panda: Any
    """An HDFPanda whose PCAP is enabled by SEQ.ACTIVE and gated by SEQ.OUTA."""
    encoders: Mapping[Any, int]
    """Motor -> number of its INENC block, scaled to the units of the motor."""
    flyer: Any
    """Flies motors along a scanspec, and gates BITA of the sequencer on each line."""
    seq: int = 1
    """Number of the sequencer."""
    setup: Callable[[], MsgGenerator[Any]] = field(default=bps.null)
    """A plan that sets the wiring up."""
    deadtime: float = DEADTIME
    """Seconds between two frames, in whole microseconds."""

    def fly(
        self, course: Course, path: Any, md: Mapping[str, Any]
    ) -> MsgGenerator[str]:
        """Fly it; see `beamfly.plans.fly` for what can go wrong."""
        fast = course.axes[0].motor
        if fast not in self.encoders:
            raise _unseen(course)
        yield from self.setup()
        pos_outs: dict[Any, Any] = {
            fast: PosOutScaleOffset.from_inenc(self.panda, self.encoders[fast])
        }
        sequencer = ScanSpecSeqTableFlyableLogic(self.panda.seq[self.seq], pos_outs)
        info = ScanSpecInfo(spec=path, deadtime=self.deadtime)
        return (
            yield from fly(
                self.panda,
                num=course.num,
                flyers=[(sequencer, info), (self.flyer, path)],
                md=md,
            )
        )
