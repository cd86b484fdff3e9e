"""`fly`: one run with one flight; `fly_grid`: one run with a flight per row.

Both take frames with one or several detectors while other devices move and trigger.
The rows go to the detectors' files and are announced while they come; at the end a
frame report is stored in the run, and printed. Frames that are missing fail the run.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import bluesky.plan_stubs as bps
from bluesky.protocols import Flyable, Movable
from bluesky.utils import (
    FailedPause,
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.plans.ending import cause_of, exit_status_of, missing_frames
from beamfly.plans.flight import (
    Flight,
    Flyers,
    Triggers,
    check_number,
    detector_list,
    flyer_list,
    land,
    prepare,
    prepare_flyers,
    take_off,
    trigger_infos,
)

log = logging.getLogger(__name__)

NO_PAUSE = "A flight cannot be paused: the run was ended, with the rows so far."


@plan
def fly(
    detectors: Flyable | Sequence[Flyable],
    *,
    num: int | None = None,
    flyers: Flyers = (),
    livetime: float = 0.0,
    deadtime: float = 0.0,
    trigger: Literal["external", "internal"] = "external",
    frames_per_event: int = 1,
    timeout: float | None = None,
    on_missed: Literal["fail", "warn"] = "fail",
    flush_period: float = 0.5,
    stream_name: str = "primary",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take frames while things move by themselves, in one run.

    Ctrl-C once lets the flight finish. Twice ends the run with what there is, as does
    a pause from elsewhere: nothing is taken twice.

    Args:
        detectors: A PandA, or several detectors that fly.
        num: Events to take, None for as many as there are until PCAP ends.
        flyers: What moves and triggers meanwhile: pairs of a flyable device, or of
            an ophyd-async FlyableLogic, and what it is prepared for. They start in
            this order, each once the one before has: triggers first, then motors.
        livetime: Seconds that a frame takes, 0 for what is set.
        deadtime: Seconds between frames, 0 for the least there can be.
        trigger: external if flyers or the PandA's own wiring trigger; internal if
            each detector is to trigger itself.
        frames_per_event: Frames that make up one event.
        timeout: Seconds to wait for a further frame; None stands for livetime,
            deadtime and 10 s.
        on_missed: fail or warn if frames are missing at the end.
        flush_period: Seconds between two announcements of rows.
        stream_name: Stream of the frames.
        md: Goes into the start document.

    Returns:
        The unique id of the run.

    Raises:
        CaptureError: Frames are missing; says how many are there and why.
        FrameTimeout: No further frame came.
        BadValue: An argument makes no sense; nothing was done.
    """
    triggers = Triggers(
        num, frames_per_event, livetime, deadtime, trigger, timeout, on_missed
    )
    flight = Flight(
        detector_list(detectors), flyer_list(flyers), stream_name, flush_period
    )

    def once() -> MsgGenerator[None]:
        yield from prepare(flight, infos)
        yield from take_off(flight)

    triggers.check()
    infos = yield from trigger_infos(flight, triggers)
    metadata = {"plan_name": "fly", "num_events": num, **described(flight)}
    metadata |= md or {}
    return (yield from run_flight(flight, on_missed, metadata, once))


def described(flight: Flight) -> dict[str, Any]:
    """What a start document says of a flight."""
    return {
        "detectors": [detector.name for detector in flight.detectors],
        "flyers": [flyer.name for flyer, _ in flight.flyers],
        "hints": {},
    }


def run_flight(
    flight: Flight,
    on_missed: str,
    metadata: dict[str, Any],
    body: Callable[[], MsgGenerator[None]],
) -> MsgGenerator[str]:
    """Stage, do `body` inside a run, land whatever happens, judge, close."""
    uid = None
    try:
        yield from bps.stage_all(*flight.devices)
        uid = yield from bps.open_run(metadata)
        # now a pause cannot be resumed: that would fly, and capture, once more
        yield from bps.clear_checkpoint()
        yield from body()
    except GeneratorExit:
        # halted: no message is taken any more, the RunEngine unstages
        raise
    except BaseException as error:
        yield from land(flight)
        _tell(flight, error)
        cause = cause_of(error)
        if uid is not None:
            paused = isinstance(error, FailedPause)
            reason = NO_PAUSE if paused else str(cause) or type(cause).__name__
            yield from bps.close_run(exit_status=exit_status_of(error), reason=reason)
        raise cause from (error if cause is not error else error.__cause__)
    errors = yield from land(flight)
    _tell(flight)
    problem = cause_of(errors[0]) if errors else missing_frames(flight, on_missed)
    if problem is not None:
        yield from bps.close_run(exit_status="fail", reason=str(problem))
        raise problem
    yield from bps.close_run()
    return uid


def _tell(flight: Flight, error: BaseException | None = None) -> None:
    """One line per PandA for who sits in front of it, and for the log."""
    if isinstance(error, FailedPause):
        sys.stdout.write(f"{NO_PAUSE}\n")
    for panda in flight.pandas:
        if panda.captured:
            sys.stdout.write(f"{panda.report.last}\n")
            log.info("%s", panda.report.last)


@plan
def fly_grid(
    detectors: Flyable | Sequence[Flyable],
    slow: Movable[float],
    start: float,
    stop: float,
    rows: int,
    *,
    num: int,
    flyers: Flyers | Callable[[int], Flyers],
    livetime: float = 0.0,
    deadtime: float = 0.0,
    frames_per_event: int = 1,
    timeout: float | None = None,
    on_missed: Literal["fail", "warn"] = "fail",
    flush_period: float = 0.5,
    stream_name: str = "primary",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Fly one row after the other, in one run and one file per detector.

    The slow axis steps between the rows; where it was is an event in the stream
    `rows` per row. Rows are equally many frames, so frame `i` is in row `i // num`.

    Args:
        detectors: A PandA, or several detectors that fly.
        slow: Moves from row to row.
        start: Of the first row.
        stop: Of the last row.
        rows: How many there are.
        num: Events in each row.
        flyers: As for `fly`; or a function that gives those of a row by its number
            from 0, for rows that go there and back.
        livetime: As for `fly`, like all that follow.
        deadtime: Seconds between frames.
        frames_per_event: Frames that make up one event.
        timeout: Seconds to wait for a further frame.
        on_missed: fail or warn if frames are missing at the end.
        flush_period: Seconds between two announcements of rows.
        stream_name: Stream of the frames.
        md: Goes into the start document.

    Returns:
        The unique id of the run.
    """
    check_number("num", num, 1)
    check_number("rows", rows, 1)
    triggers = Triggers(
        num * rows,
        frames_per_event,
        livetime,
        deadtime,
        "external",
        timeout,
        on_missed,
    )
    devices: dict[int, Flyable] = {}
    in_row = [
        flyer_list(flyers(row) if callable(flyers) else flyers, devices)
        for row in range(rows)
    ]
    every = list(dict.fromkeys(pair[0] for row in in_row for pair in row))
    flight = Flight(
        detector_list(detectors),
        [(flyer, None) for flyer in every],
        stream_name,
        flush_period,
    )

    def all_rows() -> MsgGenerator[None]:
        for row, in_this in enumerate(in_row):
            yield from bps.mv(slow, start + (stop - start) * row / max(1, rows - 1))
            flight.flyers = in_this
            if row == 0:
                yield from prepare(flight, infos)
            else:
                yield from prepare_flyers(flight, f"row {row}")
            for detector in flight.detectors:
                yield from bps.abs_set(detector.events_to_kickoff, num, wait=True)
            yield from take_off(flight)
            yield from bps.create(name="rows")
            yield from bps.read(slow)
            yield from bps.save()

    triggers.check()
    infos = yield from trigger_infos(flight, triggers)
    metadata: dict[str, Any] = {
        "plan_name": "fly_grid",
        "num_events": num * rows,
        "shape": [rows, num],
        "motors": [getattr(slow, "name", "")],
        **described(flight),
    }
    metadata |= md or {}
    return (yield from run_flight(flight, on_missed, metadata, all_rows))
