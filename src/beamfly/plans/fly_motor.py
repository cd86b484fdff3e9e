"""Motors of EPICS records that fly while a PandA takes points: `fly_motor`, `fly_spec`.

```
RE(match_encoder(panda, 1, x))                       # once: INENC1 is on x
RE(fly_motor(panda, x, -5, 5, 101, 0.01))            # each point by its position
RE(fly_motor(panda, x, -5, 5, 101, 0.01, trigger="sequence"))
grid = Linspace(y, 0, 1, 5) * ~Linspace(x, -5, 5, 101)
RE(fly_spec(panda, Fly(0.01 @ grid), {x: 1}))
```

The motor speeds up before the first point, and passes all points of a line at constant
velocity. Limits, speed and encoder are looked at before anything moves. The PandA is
wired for it, see `beamfly.plans.line_triggers`; the rows are means over each point.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import bluesky.plan_stubs as bps
from bluesky.protocols import Flyable
from bluesky.utils import (
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)
from ophyd_async.core import DEFAULT_TIMEOUT, FlyMotorInfo
from scanspec.specs import Fly, Linspace, Spec

from beamfly.devices.motor import Motor
from beamfly.devices.panda import Panda
from beamfly.errors import BadValue
from beamfly.plans.encoders import (
    Encoder,
    check_encoder,
    encoder_block,
    read_encoder,
)
from beamfly.plans.flight import (
    Flight,
    Triggers,
    ask,
    check_number,
    detector_list,
    flyer_list,
    prepare,
    prepare_flyers,
    take_off,
    trigger_infos,
)
from beamfly.plans.fly import described, run_flight
from beamfly.plans.line_triggers import TRIGGERS, LineTrigger
from beamfly.plans.lines import Line, lines_of

Trigger = Literal["position", "sequence", "time"]
LINES_STREAM = "lines"
"""Stream with an event per line: where the other axes stood."""


@plan
def fly_motor(
    panda: Panda,
    motor: Motor,
    start: float,
    stop: float,
    num: int,
    duration: float,
    *,
    encoder: int | None = 1,
    trigger: Trigger = "position",
    md: Mapping[str, Any] | None = None,
    **options: Any,
) -> MsgGenerator[str]:
    """Fly one motor along equidistant points.

    Args:
        panda: Takes the points.
        motor: What flies.
        start: Centre of the first point.
        stop: Centre of the last one.
        num: How many points.
        duration: Seconds of each.
        encoder: n of the PandA's INENCn that is on the motor; None for none, which
            only trigger="time" can do without.
        trigger: What makes points: "position" is PCOMP at each, "sequence" is SEQ at
            the first and by time from there on, "time" is SEQ as soon as the motor is
            fast enough.
        md: Goes into the start document.
        options: Those of `fly_spec`.

    Returns:
        The unique id of the run.

    Raises:
        OutsideLimits, BadValue: It cannot be flown; nothing was moved.
        CaptureError, FrameTimeout: As for `fly`.
    """
    check_number("num", num, 2)
    spec = Fly(duration @ Linspace(motor, start, stop, int(num)))
    metadata: dict[str, Any] = {
        "plan_name": "fly_motor",
        "extents": [[start, stop]],
        **(md or {}),
    }
    encoders = {} if encoder is None else {motor: encoder}
    return (
        yield from fly_spec(
            panda, spec, encoders, trigger=trigger, md=metadata, **options
        )
    )


@plan
def fly_spec(
    panda: Panda,
    spec: Spec[Any],
    encoders: Mapping[Motor, int] | None = None,
    *,
    trigger: Trigger = "position",
    detectors: Sequence[Flyable] = (),
    block: int = 1,
    wire: bool = True,
    livetime: float = 0.0,
    deadtime: float = 0.0,
    timeout: float | None = None,
    on_missed: Literal["fail", "warn"] = "fail",
    flush_period: float = 0.5,
    stream_name: str = "primary",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Fly motors along a scanspec, line after line, in one run and one file.

    One motor flies at a time. The others move in between, and where they are is an
    event in the stream `lines`, if there are any.

    Args:
        panda: Takes the points.
        spec: What to scan, such as `Fly(0.01 @ (Linspace(y, 0, 1, 5) * Linspace(x, 0,
            1, 101)))`; its axes are motors.
        encoders: Motor -> n of the PandA's INENCn that is on it.
        trigger: As for `fly_motor`.
        detectors: What else takes points, triggered by the same output.
        block: Number of the PCOMP or SEQ.
        wire: Whether to wire the PandA for it; False if it is, in a way of your own.
        livetime: Seconds that a frame of other detectors takes, 0 for what is set.
        deadtime: Seconds between two of their frames.
        timeout: Seconds to wait for a further row; None: as long as it may take.
        on_missed: fail or warn if rows are missing at the end.
        flush_period: Seconds between two announcements of rows.
        stream_name: Stream of the rows.
        md: Goes into the start document.

    Returns:
        The unique id of the run.

    Raises:
        OutsideLimits, BadValue: It cannot be flown; nothing was moved.
        CaptureError, FrameTimeout: As for `fly`.
    """
    lines = lines_of(spec)
    axis = lines[0].axis
    source = yield from _source(panda, trigger, axis, encoders or {}, block)
    encoder = source.encoder
    if encoder is not None:
        yield from _agree(panda, encoder, axis, "nothing was moved")
    motions = [source.motion(line) for line in _checked(lines, source)]
    longest = yield from ask(lambda: _check_motors(lines, motions))
    triggers = Triggers(
        sum(line.num for line in lines),
        1,
        livetime,
        deadtime,
        "external",
        longest + DEFAULT_TIMEOUT if timeout is None else timeout,
        on_missed,
    )
    triggers.check()
    devices: dict[int, Flyable] = {}
    flyers = [
        flyer_list(source.flyers(line, motion), devices)
        for line, motion in zip(lines, motions, strict=True)
    ]
    every = list(dict.fromkeys(pair[0] for pairs in flyers for pair in pairs))
    flight = Flight(
        detector_list([panda, *detectors]),
        [(flyer, None) for flyer in every],
        stream_name,
        flush_period,
    )
    infos = yield from trigger_infos(flight, triggers)

    def all_lines() -> MsgGenerator[None]:
        for number, (line, pairs) in enumerate(zip(lines, flyers, strict=True)):
            yield from _step(line)
            flight.flyers = pairs
            if number == 0:
                yield from prepare(flight, infos)
                if encoder is not None:
                    yield from _agree(panda, encoder, axis, "no point was taken")
            else:
                yield from prepare_flyers(flight, f"line {number}")
            for detector in flight.detectors:
                yield from bps.abs_set(detector.events_to_kickoff, line.num, wait=True)
            yield from take_off(flight)
            yield from _note(line)

    column = ""
    if wire:
        yield from _wire(source)
    if encoder is not None:
        column = yield from _column(panda, encoder, axis)
    metadata = _metadata(lines, spec, trigger, column) | described(flight)
    metadata["hints"] = _hints(lines, column, stream_name)
    metadata |= md or {}
    return (yield from run_flight(flight, on_missed, metadata, all_lines))


def _checked(lines: list[Line], source: LineTrigger) -> list[Line]:
    """Lines that can be triggered; BadValue if one cannot."""
    for line in lines:
        if not isinstance(line.axis, Motor):
            msg = f"{line.axis!r} is no motor of beamfly.devices; nothing was moved"
            raise BadValue(msg)
        if line.axis is not lines[0].axis:
            names = f"{lines[0].axis.name} and {line.axis.name}"
            msg = f"{names} both fly, and only one of them can; nothing was moved"
            raise BadValue(msg)
        source.check(line)
    return lines


def _source(
    panda: Any, trigger: str, axis: Any, encoders: Mapping[Motor, int], block: int
) -> MsgGenerator[LineTrigger]:
    """What triggers; BadValue if there is no such thing."""
    if not isinstance(panda, Panda):
        raise BadValue(f"{panda!r} is no PandA; nothing was moved")
    if trigger not in TRIGGERS:
        known = ", ".join(TRIGGERS)
        msg = f"trigger has to be one of {known}, not {trigger!r}; nothing was moved"
        raise BadValue(msg)
    number, encoder = encoders.get(axis), None
    if number is not None:
        encoder = yield from ask(lambda: read_encoder(panda, number))
    return TRIGGERS[trigger](panda, encoder, block)


def _agree(
    panda: Panda, encoder: Encoder, axis: Any, consequence: str
) -> MsgGenerator[None]:
    """BadValue unless encoder and motor agree."""
    if isinstance(axis, Motor):
        motor = axis
        yield from ask(lambda: check_encoder(panda, encoder, motor, consequence))


async def _check_motors(lines: list[Line], motions: list[FlyMotorInfo]) -> float:
    """Look at the limits of all that will move; the seconds of the longest flight."""
    longest = 0.0
    for line, motion in zip(lines, motions, strict=True):
        logic = line.axis.flyable_logic
        await logic.check_flight(motion)
        await asyncio.gather(
            *(
                axis.movable_logic.check_move(place)
                for axis, place in line.places.items()
            )
        )
        ramps = 2 * await line.axis.acceleration_time.get_value()
        longest = max(longest, motion.time_for_move + ramps)
    return longest


def _wire(source: LineTrigger) -> MsgGenerator[None]:
    """Wire the PandA, and have it capture the encoder unless it captures it already."""
    for signal, value in source.wiring():
        yield from bps.abs_set(signal, value, group="wire")
    yield from bps.wait(group="wire")
    if source.encoder is None:
        return
    block = encoder_block(source.panda, source.encoder.number)
    if (yield from ask(block.val_capture.get_value)) == "No":
        yield from bps.abs_set(block.val_capture, "Mean", wait=True)


def _column(panda: Panda, encoder: Encoder, axis: Motor) -> MsgGenerator[str]:
    """What the encoder's data are called; the motor's name unless they have one."""
    dataset = encoder_block(panda, encoder.number).val_dataset
    name = yield from ask(dataset.get_value)
    if not name:
        name = axis.name
        yield from bps.abs_set(dataset, name, wait=True)
    return name


def _step(line: Line) -> MsgGenerator[None]:
    """Move the other axes to where they stand during a line."""
    moves = [one for pair in line.places.items() for one in pair]
    if moves:
        yield from bps.mv(*moves)


def _note(line: Line) -> MsgGenerator[None]:
    """An event with where the other axes stand."""
    if line.places:
        yield from bps.create(name=LINES_STREAM)
        for axis in line.places:
            yield from bps.read(axis)
        yield from bps.save()


def _metadata(
    lines: list[Line], spec: Spec[Any], trigger: str, column: str
) -> dict[str, Any]:
    """What a start document says of the scan."""
    return {
        "plan_name": "fly_spec",
        "num_events": sum(line.num for line in lines),
        "num_points": sum(line.num for line in lines),
        "shape": list(spec.shape()),
        "motors": [axis.name for axis in (*lines[0].places, lines[0].axis)],
        "duration": lines[0].duration,
        "trigger": trigger,
        "encoder_data": column,
    }


def _hints(lines: list[Line], column: str, stream: str) -> dict[str, Any]:
    """What to plot the rows against."""
    return {"dimensions": [[[column], stream]]} if column else {}
