"""`fly_scan`: one run with one scan of a scan server, which may also trigger PandAs.

The rows that the scan logs are documents while it runs. A pause of the RunEngine pauses
the scan, and resuming lets it go on: it is never submitted again, and no row is lost or
doubled. Stopping or aborting the RunEngine aborts the scan; its rows so far are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import bluesky.plan_stubs as bps
from bluesky.protocols import Collectable, Flyable, Status
from bluesky.utils import (
    Msg,
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
    short_uid,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_rows import MAIN
from beamfly.errors import BadValue
from beamfly.plans.ending import cause_of, exit_status_of, missing_frames
from beamfly.plans.flight import (
    REPORT_STREAM,
    Flight,
    Triggers,
    detector_list,
    land,
    prepare,
    trigger_infos,
    try_all,
)

AnyScanFlyer = ScanFlyer[Any]

SCAN_STREAM = "scan"
"""Stream that has one event with what became of the scan."""
NEVER = 1e7
"""Seconds to wait for a frame while the scan runs: how long it takes is its own."""
LAST_FRAMES = 10.0
"""Seconds that frames may come later than the end of the scan."""


@plan
def fly_scan(
    flyer: AnyScanFlyer,
    scan: Any,
    *,
    detectors: Flyable | Sequence[Flyable] = (),
    num: int | None = None,
    livetime: float = 0.0,
    on_missed: Literal["fail", "warn"] = "fail",
    flush_period: float = 0.5,
    stream_name: str = "primary",
    detector_stream: str = "frames",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Have a scan server execute a scan, in one run.

    Args:
        flyer: A ScanServerFlyer or ScanServerHdfFlyer.
        scan: A ScanPlan, commands, or XML.
        detectors: What takes frames meanwhile, triggered by what the scan does.
        num: Frames to take; None for as many as PandAs get until the scan is over.
        livetime: Seconds that a frame takes, 0 for what is set.
        on_missed: fail or warn if frames are missing at the end.
        flush_period: Seconds between two announcements of rows.
        stream_name: Stream of the scan's rows; further ones that the ScanPlan asks for
            have names of their own.
        detector_stream: Stream of the frames.
        md: Goes into the start document.

    Returns:
        The unique id of the run.

    Raises:
        ScanFailed: The scan failed; the message has the server's own reason.
        ScanAborted: Somebody else has aborted it.
        ScanServerError: The server refused it, or says that it cannot run.
        CaptureError: Frames are missing.
        BadValue: An argument makes no sense; nothing was done.
    """
    taking = detector_list(detectors) if detectors else []
    flight = Flight(taking, [], detector_stream, flush_period)
    triggers = Triggers(num=num, livetime=livetime, timeout=NEVER, on_missed=on_missed)
    triggers.check()
    infos = (yield from trigger_infos(flight, triggers)) if taking else []

    def body(streams: Mapping[str, Collectable]) -> MsgGenerator[None]:
        if taking:
            yield from prepare(flight, infos)
        flight.flyers = [(flyer, scan)]
        for stream, rows in streams.items():
            yield from bps.declare_stream(rows, name=stream, collect=True)
            announcing[stream] = rows
        yield from _take_off(flyer, flight)
        yield from _fly(flyer, flight, announcing, num)

    announcing: dict[str, Collectable] = {}
    uid = None
    try:
        yield from bps.stage_all(flyer, *taking)
        yield from bps.prepare(flyer, scan, wait=True)
        streams = _streams(flyer, stream_name, flight)
        uid = yield from bps.open_run(_metadata(flyer, flight, next(iter(streams)), md))
        yield from body(streams)
    except GeneratorExit:
        # halted: no message is taken any more, the RunEngine unstages
        raise
    except BaseException as error:
        flight.flyers = [(flyer, scan)]
        yield from _land(flyer, flight, announcing)
        cause = cause_of(error)
        if uid is not None:
            reason = str(cause) or type(cause).__name__
            yield from bps.close_run(exit_status=exit_status_of(error), reason=reason)
        raise cause from (error if cause is not error else error.__cause__)
    errors = yield from _land(flyer, flight, announcing)
    problem = cause_of(errors[0]) if errors else missing_frames(flight, on_missed)
    if problem is not None:
        yield from bps.close_run(exit_status="fail", reason=str(problem))
        raise problem
    yield from bps.close_run()
    yield from bps.checkpoint()
    return uid


def _streams(flyer: AnyScanFlyer, main: str, flight: Flight) -> dict[str, Collectable]:
    """Stream -> what has its rows: the flyer itself if there is just one.

    Raises:
        BadValue: The run has another stream of that name.
    """
    alone = len(flyer.streams) == 1
    streams: dict[str, Collectable] = {
        main if name == MAIN else name: flyer if alone else rows
        for name, rows in flyer.streams.items()
    }
    others = [flight.stream, REPORT_STREAM] if flight.detectors else []
    for name in (SCAN_STREAM, *others):
        if name in streams:
            msg = f"The run has a stream {name!r} of its own, so rows cannot be one"
            raise BadValue(f"{msg}; nothing was submitted")
    return streams


def _metadata(
    flyer: AnyScanFlyer, flight: Flight, stream: str, md: Mapping[str, Any] | None
) -> dict[str, Any]:
    known = flyer.metadata()
    hints: dict[str, Any] = {}
    axes = [flyer.data_name_of(device) for device in known.get("motors", [])]
    if axes and all(axes):
        hints = {
            "dimensions": [[[axis], stream] for axis in axes],
            "gridding": "rectilinear",
        }
    metadata: dict[str, Any] = {
        "plan_name": "fly_scan",
        "detectors": [flyer.name, *(det.name for det in flight.detectors)],
        "flyers": [flyer.name],
        "hints": hints,
        **known,
    }
    return metadata | dict(md or {})


@dataclass
class _Awaited:
    """Statuses that are waited for together, and their group in the RunEngine."""

    group: str
    statuses: list[Status] = field(default_factory=list[Status])

    @property
    def done(self) -> bool:
        return all(status.done for status in self.statuses)

    def begin(self, command: str, device: Flyable) -> MsgGenerator[None]:
        """Have a device do something; asked again if a pause swallows the answer."""
        status: Status | None = None
        while status is None:
            status = yield Msg(command, device, group=self.group)
        self.statuses.append(status)

    def wait(self, period: float) -> MsgGenerator[None]:
        """Wait for a while, or until all are done."""
        over = yield from bps.wait(
            group=self.group, timeout=period, error_on_timeout=False
        )
        if over and not self.done:
            # a pause has lost what the group was
            yield from bps.sleep(period)

    def finish(self, period: float) -> MsgGenerator[None]:
        """Wait for all, and raise what one of them failed with."""
        while not self.done:
            yield from self.wait(period)
        self.judge()

    def judge(self) -> None:
        """Raise what one of them failed with."""
        for status in self.statuses:
            error = status.exception() if status.done and not status.success else None
            if error is not None:
                raise error


def _take_off(flyer: AnyScanFlyer, flight: Flight) -> MsgGenerator[None]:
    """Kick off detectors, then the scan.

    The scan may wait in the server's queue for long, and a pause meanwhile is fine: a
    flyer does not submit a scan twice.
    """
    if flight.detectors:
        ready = _Awaited(short_uid("detectors"))
        # a pause must not replay this: detectors would expect twice as many frames
        yield from _rewindable(False)
        for detector in flight.detectors:
            yield from ready.begin("kickoff", detector)
        yield from ready.finish(flight.flush_period)
        yield from _rewindable(True)
        yield from bps.checkpoint()
    start = _Awaited(short_uid("kickoff"))
    yield from start.begin("kickoff", flyer)
    yield from start.finish(flight.flush_period)
    yield from bps.checkpoint()


def _rewindable(flag: bool) -> MsgGenerator[None]:
    yield Msg("rewindable", None, flag)


def _fly(
    flyer: AnyScanFlyer,
    flight: Flight,
    streams: Mapping[str, Collectable],
    num: int | None,
) -> MsgGenerator[None]:
    """Announce rows and frames until all is done."""
    scan, frames = _Awaited(short_uid("scan")), _Awaited(short_uid("frames"))
    yield from scan.begin("complete", flyer)
    for detector in flight.detectors:
        yield from frames.begin("complete", detector)
    yield from bps.checkpoint()
    yield from _announcing(streams, flight, scan)
    scan.judge()
    if num is not None:
        yield from _until_late(flight, frames)
    for panda in flight.pandas:
        yield from bps.abs_set(panda.pcap.arm, False, wait=True)
    yield from _announcing(streams, flight, frames)
    frames.judge()


def _announcing(
    streams: Mapping[str, Collectable], flight: Flight, awaited: _Awaited
) -> MsgGenerator[None]:
    while True:
        over = awaited.done
        for name, rows in streams.items():
            yield from bps.collect(rows, name=name)
        if flight.detectors:
            yield from bps.collect(*flight.detectors, name=flight.stream)
        yield from bps.checkpoint()
        if over:
            return
        yield from awaited.wait(flight.flush_period)


def _until_late(flight: Flight, frames: _Awaited) -> MsgGenerator[None]:
    """Wait for frames that are still under way when the scan is over."""
    waited = 0.0
    while waited < LAST_FRAMES and not frames.done:
        yield from frames.wait(flight.flush_period)
        waited += flight.flush_period


def _land(
    flyer: AnyScanFlyer, flight: Flight, announcing: Mapping[str, Collectable]
) -> MsgGenerator[list[Exception]]:
    """Stop all, announce what is left, note what became of the scan."""
    errors = yield from land(flight)
    if not announcing:
        return errors

    def report() -> MsgGenerator[None]:
        yield from bps.create(name=SCAN_STREAM)
        yield from bps.read(flyer)
        yield from bps.save()

    steps: list[Callable[[], MsgGenerator[Any]]] = [
        partial(bps.collect, rows, name=name) for name, rows in announcing.items()
    ]
    return errors + (yield from try_all([*steps, report]))
