"""The parts of a fly plan: what flies, and how it takes off and lands.

A flight happens inside an open run whose checkpoint is cleared, so that a pause in
the middle ends the run instead of flying once more. Landing always comes: it stops
everything, announces the rows that are on disk, and stores the frame report.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar, cast

import bluesky.plan_stubs as bps
from bluesky.protocols import Flyable
from bluesky.utils import (
    MsgGenerator,
    short_uid,  # pyright: ignore[reportUnknownVariableType]
)
from ophyd_async.core import (
    DetectorTrigger,
    FlyableLogic,
    StandardDetector,
    TriggerInfo,
)

from beamfly.devices.detector import PandaDetector, PandaTriggerInfo
from beamfly.errors import BadValue

log = logging.getLogger(__name__)

T = TypeVar("T")

Flyers: TypeAlias = Mapping[Any, Any] | Sequence[tuple[Any, Any]]
"""What flies besides the detectors -> what it is prepared for."""

MIN_TIMEOUT = 1e-3
"""Seconds to wait for a further frame, at least."""
REPORT_STREAM = "report"
"""Stream that has one event with the frame reports."""

_EXTERNAL = (DetectorTrigger.EXTERNAL_LEVEL, DetectorTrigger.EXTERNAL_EDGE)


@dataclass(frozen=True)
class Triggers:
    """How many frames to take, and what triggers them."""

    num: int | None = None
    """Events, None for as many as there are until PCAP ends."""
    frames_per_event: int = 1
    """Frames that make up one event."""
    livetime: float = 0.0
    """Seconds that a frame takes, 0 for what is set."""
    deadtime: float = 0.0
    """Seconds between frames, 0 for the least there can be."""
    trigger: Literal["external", "internal"] = "external"
    """Whether something else triggers, or the detector itself."""
    timeout: float | None = None
    """Seconds to wait for a further frame, None for livetime, deadtime and 10 s."""
    on_missed: Literal["fail", "warn"] = "fail"
    """What to do about frames that are missing."""

    def check(self) -> None:
        """BadValue if it makes no sense."""
        if self.num is not None:
            check_number("num", self.num, 1)
        check_number("frames_per_event", self.frames_per_event, 1)
        for name in ("livetime", "deadtime"):
            check_number(name, getattr(self, name), 0.0)
        if self.timeout is not None:
            check_number("timeout", self.timeout, MIN_TIMEOUT)
        if self.trigger == "internal" and self.num is None:
            msg = "trigger='internal' needs num; nothing was done"
            raise BadValue(msg)
        for name, allowed in (
            ("trigger", ("external", "internal")),
            ("on_missed", ("fail", "warn")),
        ):
            if getattr(self, name) not in allowed:
                msg = (
                    f"{name} has to be {' or '.join(allowed)}, not "
                    f"{getattr(self, name)!r}; nothing was done"
                )
                raise BadValue(msg)

    def info(self, kind: DetectorTrigger, panda: bool) -> TriggerInfo:
        """What a detector is prepared for."""
        settings: dict[str, Any] = {
            "trigger": kind,
            "livetime": self.livetime,
            "deadtime": self.deadtime,
            "collections_per_event": int(self.frames_per_event),
            "number_of_events": int(self.num or 0),
        }
        if self.timeout is not None:
            settings["exposure_timeout"] = self.timeout
        if panda:
            return PandaTriggerInfo(on_missed=self.on_missed, **settings)
        return TriggerInfo(**settings)


def check_number(name: str, value: Any, least: float) -> None:
    """BadValue if it is no number, too small, or not whole where `least` is."""
    whole = isinstance(least, int)
    try:
        right = value >= least and (int(value) == value or not whole)
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        kind = "a whole number" if whole else "a number"
        msg = f"{name} has to be {kind}, {least:g} or more, not {value!r}"
        raise BadValue(f"{msg}; nothing was done")


@dataclass
class Flight:
    """What takes part in a flight."""

    detectors: list[StandardDetector]
    """What takes frames."""
    flyers: list[tuple[Flyable, Any]]
    """What moves and triggers, and what it is prepared for."""
    stream: str = "primary"
    """Stream of the frames."""
    flush_period: float = 0.5
    """Seconds between two announcements of rows."""
    declared: bool = field(default=False, init=False)
    """Whether the stream has been described."""

    @property
    def pandas(self) -> list[PandaDetector]:
        """The detectors that are PandAs."""
        return [det for det in self.detectors if isinstance(det, PandaDetector)]

    @property
    def devices(self) -> list[Any]:
        """All of it, each once."""
        return list(dict.fromkeys([*(f for f, _ in self.flyers), *self.detectors]))


def ask(question: Callable[[], Awaitable[T]]) -> MsgGenerator[T]:
    """Wait for the answer of a coroutine, in the RunEngine's event loop."""
    (task,) = yield from bps.wait_for([question])
    return task.result()


def detector_list(detectors: Any) -> list[StandardDetector]:
    """One or several detectors as a list; BadValue for what is none."""
    several = isinstance(detectors, Iterable) and not isinstance(detectors, str)
    found: list[Any] = [*detectors] if several else [detectors]
    for detector in found:
        if isinstance(detector, str):
            raise BadValue(f"There is no device named {detector!r}; nothing was done")
        if not isinstance(detector, StandardDetector):
            msg = f"{detector!r} is not a detector that can fly; nothing was done"
            raise BadValue(msg)
        if found.count(detector) > 1:
            msg = f"{detector.name} is twice in the list of detectors"
            raise BadValue(f"{msg}; nothing was done")
    if not found:
        raise BadValue("There is no detector to fly; nothing was done")
    return found


def flyer_list(
    flyers: Flyers, known: dict[int, Flyable] | None = None
) -> list[tuple[Flyable, Any]]:
    """Pairs of flyer and value as a list; a bare FlyableLogic gets a device.

    Args:
        flyers: Pairs, or a mapping.
        known: Devices that logics got before, by their id; takes up new ones.
    """
    known = {} if known is None else known
    pairs = flyers.items() if isinstance(flyers, Mapping) else flyers
    found: list[tuple[Flyable, Any]] = []
    for pair in pairs:
        try:
            flyer, value = pair
        except (TypeError, ValueError):
            msg = (
                f"flyers takes pairs of a flyer and what to prepare it for, not "
                f"{pair!r}; nothing was done"
            )
            raise BadValue(msg) from None
        if isinstance(flyer, FlyableLogic):
            logic = cast(FlyableLogic[Any, Any], flyer)
            if id(logic) not in known:
                name = f"flyer{len(known) + 1}"
                known[id(logic)] = cast(Flyable, logic.with_device(name))  # pyright: ignore[reportUnknownMemberType]
            flyer = known[id(logic)]
        if not isinstance(flyer, Flyable):
            raise BadValue(f"{flyer!r} cannot fly; nothing was done")
        found.append((flyer, value))
    return found


def trigger_infos(
    flight: Flight, triggers: Triggers
) -> MsgGenerator[list[TriggerInfo]]:
    """What to prepare each detector for; BadValue if one cannot do it."""
    infos: list[TriggerInfo] = []
    for detector in flight.detectors:
        panda = isinstance(detector, PandaDetector)
        answer: tuple[set[DetectorTrigger], float | None] = yield from ask(
            cast(Any, detector).get_trigger_deadtime
        )
        supported, deadtime = answer
        if triggers.trigger == "internal":
            kinds = [DetectorTrigger.INTERNAL]
        else:
            # what has an exposure time of its own starts it on an edge
            level_first = panda or not triggers.livetime
            kinds = list(_EXTERNAL if level_first else _EXTERNAL[::-1])
        kind = next((kind for kind in kinds if kind in supported), None)
        if kind is None:
            names = ", ".join(sorted(kind.name for kind in supported))
            msg = (
                f"{detector.name} cannot be triggered by {triggers.trigger} means, it "
                f"supports {names}; nothing was done"
            )
            raise BadValue(msg)
        if triggers.num is None and not panda:
            raise BadValue(f"{detector.name} needs num; nothing was done")
        if deadtime and 0 < triggers.deadtime < deadtime:
            msg = (
                f"{detector.name} needs {deadtime:g} s between frames, deadtime is "
                f"{triggers.deadtime:g} s; nothing was done"
            )
            raise BadValue(msg)
        infos.append(triggers.info(kind, panda))
    return infos


def prepare(flight: Flight, infos: list[TriggerInfo]) -> MsgGenerator[None]:
    """Prepare all at the same time, then describe the stream."""
    group = short_uid("prepare")
    for detector, info in zip(flight.detectors, infos, strict=True):
        yield from bps.prepare(detector, info, group=group)
    yield from prepare_flyers(flight, group)
    yield from _check_keys(flight)
    yield from bps.declare_stream(*flight.detectors, name=flight.stream, collect=True)
    flight.declared = True


def prepare_flyers(flight: Flight, group: str) -> MsgGenerator[None]:
    """Prepare what flies, and wait for all of that group."""
    for flyer, value in flight.flyers:
        yield from bps.prepare(flyer, value, group=group)
    yield from bps.wait(group=group)


def _check_keys(flight: Flight) -> MsgGenerator[None]:
    """BadValue if two detectors call their data the same, which would mix them up."""
    owners: dict[str, str] = {}
    for detector in flight.detectors:
        keys = yield from ask(detector.describe_collect)
        for key in keys:
            if key in owners:
                msg = (
                    f"{owners[key]} and {detector.name} both have data named {key}: "
                    "set the _dataset signal of one of them; nothing was taken"
                )
                raise BadValue(msg)
            owners[key] = detector.name


def take_off(flight: Flight) -> MsgGenerator[None]:
    """Kick off detectors, then the flyers in turn; announce rows until all is done."""
    flyers = [flyer for flyer, _ in flight.flyers]
    yield from bps.kickoff_all(*flight.detectors, wait=True)
    for flyer in flyers:
        # what waits for a motor to pass must wait before that starts
        yield from bps.kickoff(flyer, wait=True)
    yield from bps.collect_while_completing(
        [*flyers, *flight.detectors],
        flight.detectors,
        flush_period=flight.flush_period,
        stream_name=flight.stream,
    )


def land(flight: Flight) -> MsgGenerator[list[Exception]]:
    """Stop all, announce what is on disk, store the report; errors come back.

    Every step is tried whatever became of the one before. A RunEngine throws the
    failures of what is still under way into whatever it happens to do, hence also
    into these steps.
    """
    groups = {device: short_uid("unstage") for device in flight.devices}
    steps: list[Callable[[], MsgGenerator[Any]]] = [
        partial(bps.unstage, device, group=group) for device, group in groups.items()
    ]
    # each on its own: a wait for several ends with the first that fails
    steps += [partial(bps.wait, group=group) for group in groups.values()]
    if flight.declared:
        steps.append(partial(bps.collect, *flight.detectors, name=flight.stream))
    steps.append(partial(_report, flight))
    return (yield from try_all(steps))


def try_all(
    steps: Iterable[Callable[[], MsgGenerator[Any]]],
) -> MsgGenerator[list[Exception]]:
    """Take each step whatever became of the one before; a list of the errors."""
    errors: list[Exception] = []
    for step in steps:
        try:
            yield from step()
        except Exception as error:
            log.debug("While landing: %s", error)
            errors.append(error)
    return errors


def _report(flight: Flight) -> MsgGenerator[None]:
    """One event with the frame reports of all PandAs that captured."""
    captured = [panda for panda in flight.pandas if panda.captured]
    if captured:
        yield from bps.create(name=REPORT_STREAM)
        for panda in captured:
            yield from bps.read(panda.report)
        yield from bps.save()
