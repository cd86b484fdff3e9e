"""`watch`: be told when something begins, still is, ends, and gets lost.

```python
w = watch(tank.level, "> 100", hysteresis=5, quiet=600)
w = watch(tank.level, {"warning": "> 80", "error": "> 100"}, then=print)
w.close()
```

It prints and logs one sentence for each, and calls `then` with the `Notice` in a thread
of its own, so that nothing which takes long holds up the RunEngine. Nothing can move
from here; to hold a scan see `suspend_on`.
"""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bluesky.run_engine import get_bluesky_event_loop
from ophyd_async.core import SignalR

from beamfly.errors import BadValue
from beamfly.watch.conditions import condition
from beamfly.watch.listening import Listening, in_loop
from beamfly.watch.tracker import Change, Quiet, Tracker

log = logging.getLogger(__name__)
notices = logging.getLogger(f"{__name__}.notices")
# what is printed already must not appear twice when nobody has set logging up
notices.addHandler(logging.NullHandler())

LEVELS = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
"""Levels of a notice, as the log knows them."""
MOST_WAITING = 1000
"""Notices that may wait for an action that takes its time."""
COMMAND_SECONDS = 60.0
"""What a command of `notify` may take."""


@dataclass(frozen=True)
class Notice:
    """What a watch has to tell."""

    change: Change
    """began, again, ended, lost or back."""
    level: str
    """info, warning, error or critical."""
    name: str
    """Of the signal."""
    condition: str
    """What is watched for, in words."""
    value: Any
    """Of the signal; the last known one if it is lost."""
    time: float
    """Seconds since 1970."""
    text: str
    """All of it in one sentence."""

    def __str__(self) -> str:
        """The sentence."""
        return self.text


Action = Callable[[Notice], Any]
"""What is done about a notice, in a thread; what it raises is logged."""


class Watch:
    """What `watch` gives; `close` ends it. Also a context manager.

    Args:
        signal: What to watch.
        levels: Level -> what keeps track of its condition.
        then: Called with each notice.
        quiet: Seconds between two reports that something has begun.
        show: Prints the sentence, None to print nothing.
    """

    def __init__(
        self,
        signal: SignalR[Any],
        levels: Mapping[str, Tracker],
        then: Action | None,
        quiet: float,
        show: Callable[[str], Any] | None,
    ) -> None:
        self._trackers = dict(levels)
        self._quiet = {level: Quiet(quiet) for level in levels}
        self._listening = Listening(signal, list(levels.values()), self._changed)
        self._then, self._show = then, show
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: asyncio.Queue[Notice] = asyncio.Queue(MOST_WAITING)
        self._acting: asyncio.Task[None] | None = None

    @property
    def holding(self) -> list[str]:
        """Levels whose condition holds now."""
        return [level for level, tracker in self._trackers.items() if tracker.on]

    @property
    def lost(self) -> bool:
        """Whether the signal cannot be trusted."""
        return any(tracker.lost for tracker in self._trackers.values())

    def __repr__(self) -> str:
        """What is watched, and how it is."""
        what = {level: t.condition.text for level, t in self._trackers.items()}
        state = "lost" if self.lost else ", ".join(self.holding) or "fine"
        if self._loop is None:
            state = "closed"
        return f"<Watch {self._listening.name} {what}: {state}>"

    def open(self, loop: asyncio.AbstractEventLoop) -> "Watch":
        """Begin, in that loop."""

        def start() -> None:
            self._loop = loop
            if self._then is not None:
                self._acting = loop.create_task(self._act_on_all(self._then))
            try:
                self._listening.start()
            except BaseException:
                self._stop()
                raise

        in_loop(loop, start)
        return self

    def close(self) -> None:
        """Watch no more; doing so again does nothing."""
        loop = self._loop
        if loop is not None and loop.is_running():
            in_loop(loop, self._stop)

    def __enter__(self) -> "Watch":
        """It is open already."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def _stop(self) -> None:
        self._loop = None
        self._listening.stop()
        for timer in self._timers.values():
            timer.cancel()
        if self._acting is not None:
            self._acting.cancel()

    # ---- in the loop

    def _changed(self, tracker: Tracker, changes: Sequence[Change], now: float) -> None:
        level = next(one for one, t in self._trackers.items() if t is tracker)
        first = tracker is next(iter(self._trackers.values()))
        for change in changes:
            # one signal is lost once, however many levels look at it
            if first or change not in (Change.LOST, Change.BACK):
                self._report(level, self._quiet[level].receive(change, now))
        self._set_timer(level)

    def _ring(self, level: str) -> None:
        if self._loop is not None:
            self._report(level, self._quiet[level].tick(self._loop.time()))
            self._set_timer(level)

    def _set_timer(self, level: str) -> None:
        if (timer := self._timers.pop(level, None)) is not None:
            timer.cancel()
        deadline = self._quiet[level].deadline
        if deadline is not None and self._loop is not None:
            self._timers[level] = self._loop.call_at(deadline, self._ring, level)

    def _report(self, level: str, changes: Sequence[Change]) -> None:
        for change in changes:
            tracker = self._trackers[level]
            text = self._sentence(level, change)
            notice = Notice(
                change=change,
                level=level,
                name=self._listening.name,
                condition=tracker.condition.text,
                value=tracker.sample.value,
                time=time.time(),
                text=text,
            )
            quieter = change in (Change.ENDED, Change.BACK)
            notices.log(logging.INFO if quieter else LEVELS[level], "%s", text)
            if self._show is not None:
                clock = time.strftime("%H:%M:%S", time.localtime(notice.time))
                self._show(f"{clock} {level}: {text}")
            self._queue(notice)

    def _sentence(self, level: str, change: Change) -> str:
        tracker, name = self._trackers[level], self._listening.name
        condition = tracker.condition
        value = f"{name} is {self._listening.shown(tracker.sample)}"
        if change is Change.BEGAN:
            untold = self._quiet[level].forget()
            often = f" ({untold} more times since the last report)" if untold else ""
            return f"{value}: {condition.text}{often}"
        if change is Change.AGAIN:
            quiet = self._quiet[level].seconds
            return f"{value}: still {condition.text} after {quiet:g} s"
        if change is Change.ENDED:
            return f"{value}: {condition.text} is over"
        if change is Change.LOST:
            return f"{name} is lost: {tracker.sample.doubt}"
        return f"{value}: it is back"

    def _queue(self, notice: Notice) -> None:
        if self._acting is None:
            return
        if self._waiting.full():
            dropped = self._waiting.get_nowait()
            log.error("an action is too slow, it never gets to: %s", dropped)
        self._waiting.put_nowait(notice)

    async def _act_on_all(self, then: Action) -> None:
        while True:
            notice = await self._waiting.get()
            try:
                await asyncio.to_thread(then, notice)
            except Exception:
                log.exception("the action on %r failed, the watch goes on", notice.text)


def printed(text: str) -> None:
    """Print a line for who sits in front of it."""
    sys.stdout.write(f"{text}\n")
    with contextlib.suppress(OSError):
        sys.stdout.flush()


def watch(
    signal: SignalR[Any],
    what: str | Callable[[Any], Any] | Mapping[str, str],
    *,
    then: Action | None = None,
    level: str = "warning",
    until: str | None = None,
    hysteresis: float = 0.0,
    after: float = 0.0,
    quiet: float = 0.0,
    grace: float = 5.0,
    show: Callable[[str], Any] | None = printed,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Watch:
    """Tell when a condition on a signal begins and ends.

    What lasts is told sooner or later, whatever happened in the quiet time. A signal
    that is lost, and that is back, is told too.

    Args:
        signal: A signal of ophyd-async that is connected.
        what: A condition such as "> 100", see `conditions`; a function of the value;
            or a condition for each level.
        then: Called with each `Notice` in a thread, one after the other; see `notify`.
        level: info, warning, error or critical.
        until: Condition that ends it, None: that it does not hold.
        hysteresis: How far beyond the threshold the value has to come back.
        after: Seconds that it has to hold before it counts.
        quiet: Seconds after a report for which nothing is said to begin; what holds at
            their end is told.
        grace: Seconds for which the signal may be lost.
        show: Prints the sentences, None to print nothing.
        loop: In which the signal is connected; None: that of the RunEngine, or the
            running one if there is no RunEngine.

    Returns:
        The watch: keep it, `close` it.

    Raises:
        BadValue: The condition is not understood or does not suit the signal.
    """
    conditions = (
        cast(Mapping[str, str], what) if isinstance(what, Mapping) else {level: what}
    )
    for one in conditions:
        if one not in LEVELS:
            known = ", ".join(LEVELS)
            raise BadValue(f"there is no level {one!r}, there are {known}")
    trackers = {
        one: Tracker(condition(text, until, hysteresis), after=after, grace=grace)
        for one, text in conditions.items()
    }
    return Watch(signal, trackers, then, quiet, show).open(loop or loop_to_use())


def loop_to_use() -> asyncio.AbstractEventLoop:
    """That of the RunEngine, else the running one; BadValue if there is none.

    In a notebook both run, and devices are connected in the one of the RunEngine.
    """
    loop = cast(asyncio.AbstractEventLoop | None, get_bluesky_event_loop())
    if loop is not None and loop.is_running():
        return loop
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        msg = "there is no RunEngine yet: make one first; nothing is watched"
        raise BadValue(msg) from error


def notify(command: Sequence[str], seconds: float = COMMAND_SECONDS) -> Action:
    """An action that runs a command with the sentence on its standard input.

    Args:
        command: Program and arguments, such as ["mail", "-s", "beamline", "me@x"].
        seconds: What it may take.
    """
    argv = [str(part) for part in command]

    def run(notice: Notice) -> None:
        subprocess.run(
            argv, input=f"{notice.text}\n", text=True, timeout=seconds, check=True
        )

    return run
