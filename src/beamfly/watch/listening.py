"""A signal's readings, and time, for trackers: the part with an event loop in it.

`Listening` subscribes in one event loop, mostly the RunEngine's, and calls back there
with what happened to each tracker. It never waits in that loop.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat, TypeVar, cast

import numpy as np
from bluesky.protocols import Reading
from ophyd_async.core import SignalR

from beamfly.errors import BadValue, TimedOut
from beamfly.watch.tracker import Change, Sample, Tracker

log = logging.getLogger(__name__)

T = TypeVar("T")

INVALID = -1
"""Severity that Bluesky gives to what is not to be trusted."""
UNITS_TIMEOUT = 10.0
"""Seconds to wait for the units of a signal, which only messages need."""
CALL_TIMEOUT = 10.0
"""Seconds that an event loop has to take notice of a call."""

OnChanges = Callable[[Tracker, Sequence[Change], float], None]
"""Gets a tracker, what happened to it, and the time in its loop."""


def sample_of(reading: Reading[Any], ordered: bool, of_alarm: bool) -> Sample:
    """What of a reading a tracker needs.

    Args:
        reading: As ophyd-async has it.
        ordered: Whether the value has to be a number.
        of_alarm: Whether only the severity counts, so that INVALID is no doubt.
    """
    value, severity = reading["value"], int(reading.get("alarm_severity", 0) or 0)
    doubt = str(reading.get("message", ""))
    if severity == INVALID:
        severity = 3
        if not doubt and not of_alarm:
            doubt = "its alarm severity is INVALID"
    elif severity <= 2:
        doubt = ""
    if not doubt and not of_alarm:
        doubt = _unfit(value, ordered)
    return Sample(value, severity, doubt)


def _unfit(value: Any, ordered: bool) -> str:
    """Why a value cannot be compared, empty if it can."""
    if isinstance(value, np.ndarray):
        return "it is an array"
    if not ordered:
        return ""
    if isinstance(value, str) or not isinstance(value, SupportsFloat):
        return f"{value!r:.40} is no number"
    return "it is not a number" if math.isnan(float(value)) else ""


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> T:
    """Call something in an event loop, from wherever we are; gives what it gives.

    Raises:
        TimedOut: The loop has not come to it in 10 s.
    """
    with contextlib.suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            return function()

    async def call() -> T:
        return function()

    future = asyncio.run_coroutine_threadsafe(call(), loop)
    try:
        return future.result(CALL_TIMEOUT)
    except TimeoutError as error:
        if future.done():
            raise
        future.cancel()
        msg = f"the RunEngine's event loop was busy for {CALL_TIMEOUT:g} s"
        raise TimedOut(f"{msg}; nothing is watched") from error


class Listening:
    """Feeds trackers with the readings of a signal.

    Args:
        signal: Anything with readings to subscribe to.
        trackers: What to feed.
        on_changes: Called in the loop whenever something has happened.
    """

    def __init__(
        self, signal: SignalR[Any], trackers: Sequence[Tracker], on_changes: OnChanges
    ) -> None:
        for tracker in trackers:
            check_type(signal, tracker)
        self.signal = signal
        self.units = ""
        """Of the signal, as far as known."""
        self._trackers = trackers
        self._on_changes = on_changes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Of the signal."""
        return self.signal.name or self.signal.source

    def start(self) -> None:
        """Subscribe, in the running loop; doing so again does nothing.

        Raises:
            BadValue: The signal was never connected.
        """
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        for tracker in self._trackers:
            self._tell(tracker, tracker.start(now))
        try:
            self.signal.subscribe_reading(self._receive)
        except NotImplementedError as error:
            self._loop = None
            msg = f"{self.name} has not been connected; nothing is watched"
            raise BadValue(msg) from error
        self._asking = asyncio.create_task(self._ask_units())
        self._set_timer()

    def stop(self) -> None:
        """Listen no more, in the loop of `start`."""
        if self._loop is None:
            return
        self._loop = None
        cast(Any, self.signal).clear_sub(self._receive)
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _receive(self, readings: Mapping[str, Reading[Any]]) -> None:
        """A reading; must not raise, others listen to the signal, too."""
        if self._loop is None:
            return
        reading = next(iter(readings.values()))
        now = self._loop.time()
        for tracker in self._trackers:
            self._tell(tracker, self._feed(tracker, reading, now))
        self._set_timer()

    def _feed(
        self, tracker: Tracker, reading: Reading[Any], now: float
    ) -> list[Change]:
        condition = tracker.condition
        sample = sample_of(reading, condition.ordered, condition.of_alarm)
        try:
            return tracker.receive(sample, now)
        except Exception as error:
            log.exception("%s: %s cannot be told", self.name, condition.text)
            doubt = f"{condition.text} raised {error!r}"
            return tracker.receive(Sample(sample.value, sample.severity, doubt), now)

    def _tick(self) -> None:
        if self._loop is None:
            return
        self._timer = None
        now = self._loop.time()
        for tracker in self._trackers:
            self._tell(tracker, tracker.tick(now))
        self._set_timer()

    def _tell(self, tracker: Tracker, changes: list[Change]) -> None:
        if changes and self._loop is not None:
            self._on_changes(tracker, changes, self._loop.time())

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [t.deadline for t in self._trackers if t.deadline is not None]
        if times and self._loop is not None:
            self._timer = self._loop.call_at(min(times), self._tick)

    async def _ask_units(self) -> None:
        """Units make messages clearer; a signal that does not tell them has none."""
        try:
            async with asyncio.timeout(UNITS_TIMEOUT):
                key = next(iter((await self.signal.describe()).values()))
        except Exception:
            log.debug("the units of %s are not known", self.name, exc_info=True)
        else:
            self.units = str(key.get("units") or "")

    def shown(self, sample: Sample) -> str:
        """A value with its units."""
        if sample.value is None:
            return "nothing"
        number = isinstance(sample.value, float | np.floating)
        text = f"{sample.value:.6g}" if number else f"{sample.value!s:.60}"
        return f"{text} {self.units}".rstrip()


def check_type(signal: SignalR[Any], tracker: Tracker) -> None:
    """BadValue if the type of a signal does not suit a condition."""
    kind = getattr(signal, "datatype", None)
    if tracker.condition.ordered and isinstance(kind, type) and issubclass(kind, str):
        msg = (
            f"{signal.name} is a text, so {tracker.condition.text!r} makes no sense: "
            "take == or !=; nothing is watched"
        )
        raise BadValue(msg)
