"""`suspend_on`: hold scans while something is not as it should be.

```python
beam = suspend_on(RE, ring.current, "< 50", until=">= 80", settle=60)
vacuum = suspend_on(RE, gauge, "> 1e-6")
print(beam.why)                 # why scans are held, empty if they are not
RE.remove_suspender(beam)       # or beam.remove()
```

A scan that is held goes on from its last checkpoint once nothing holds it any more: not
one suspender, but all. Any number of them work together, and together with those of
Bluesky. What becomes of flights see `suspend_on`, and `refly` in `beamfly.watch.redo`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

from bluesky.run_engine import RunEngine
from ophyd_async.core import SignalR

from beamfly.errors import BadValue
from beamfly.watch.conditions import condition
from beamfly.watch.listening import Listening, in_loop
from beamfly.watch.tracker import Change, Tracker
from beamfly.watch.watching import notices, printed

LOOK_AGAIN = 0.05
"""Seconds between looks at the RunEngine while it could not be held yet."""

Lost = Literal["suspend", "report", "ignore"]
Flights = Literal["end", "finish"]


class Suspender:
    """What `suspend_on` gives: something that RunEngine.install_suspender takes.

    Args:
        signal: What decides.
        tracker: What it is about.
        lost: What to do when the signal is lost.
        flights: What to do about a flight.
        show: Prints sentences.
    """

    def __init__(
        self,
        signal: SignalR[Any],
        tracker: Tracker,
        lost: Lost,
        flights: Flights,
        show: Callable[[str], Any],
        settle: float = 0.0,
    ) -> None:
        self._tracker = tracker
        self._listening = Listening(signal, [tracker], self._changed)
        self._lost, self._flights, self._show = lost, flights, show
        self._settle = settle
        self._re: RunEngine | None = None
        self._fine: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told_waiting = False
        self.applied = False
        """Whether a plan waits for this one."""
        self.delegates = 0
        """How many plans see to it themselves, see `refly`."""

    # ---- how it is

    @property
    def held(self) -> bool:
        """Whether it holds scans now."""
        if self._re is None:
            return False
        return self._tracker.on or (self._lost == "suspend" and self._tracker.lost)

    @property
    def tripped(self) -> bool:
        """The same, as Bluesky calls it."""
        return self.held

    @property
    def why(self) -> str:
        """Why scans are held, and what it takes to go on; empty if they are not."""
        if not self.held:
            return ""
        tracker, name = self._tracker, self._listening.name
        wanted = f"it is {tracker.condition.until}"
        if self._settle:
            wanted = f"it has been {tracker.condition.until} for {self._settle:g} s"
        if tracker.sample.doubt:
            before = f", it was {tracker.condition.text} before" if tracker.on else ""
            return (
                f"{name} is lost: {tracker.sample.doubt}{before}; it goes on once "
                + (f"{wanted}" if tracker.on else "it is back and fine")
            )
        value = self._listening.shown(tracker.sample)
        return f"{name} is {value}, {tracker.condition.text}; it goes on once {wanted}"

    def __repr__(self) -> str:
        """What it is about, and how it is."""
        state = "not installed" if self._re is None else self.why or "fine"
        about = f"{self._listening.name} {self._tracker.condition.text}"
        return f"<suspend_on {about}: {state}>"

    # ---- what a RunEngine asks for

    def install(self, RE: RunEngine, *, event_type: str | None = None) -> None:
        """Begin; called by RunEngine.install_suspender.

        Raises:
            BadValue: The signal was never connected.
        """
        in_loop(RE.loop, lambda: self._start(RE))

    def _start(self, RE: RunEngine) -> None:
        self._re, self._fine = RE, asyncio.Event()
        self._fine.set()
        try:
            self._listening.start()
        except BaseException:
            self._re = None
            raise

    def remove(self) -> None:
        """End; what is held goes on if nothing else holds it."""
        RE, self._re = self._re, None
        if RE is None:
            return
        cast(Any, RE).remove_suspender(self)
        if RE.loop.is_running():
            in_loop(RE.loop, self._stop)

    def _stop(self) -> None:
        self._listening.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._fine is not None:
            self._fine.set()
        self.applied = False

    def get_futures(self) -> tuple[list[Callable[[], Any]], str]:
        """What a plan that begins has to wait for, and why."""
        RE = self._re
        if RE is None or not self.held or self.delegates:
            return [], ""
        self.applied = True
        return [lambda: all_fine(RE)], self.why

    async def fine(self) -> None:
        """Wait until this one holds nothing."""
        while self.held and self._fine is not None:
            await self._fine.wait()

    # ---- in the loop

    def _changed(self, tracker: Tracker, changes: Sequence[Change], now: float) -> None:
        for change in changes:
            if change in (Change.LOST, Change.BACK):
                self._tell_of_connection(change)
            elif change is not Change.BEGAN:
                self._tell_of_end(change)
        if self._fine is None:
            return
        if self.held and self._fine.is_set():
            self._fine.clear()
            self.applied = self._told_waiting = False
            notices.warning("scans are held: %s", self.why)
            self._apply()
        elif not self.held and not self._fine.is_set():
            self._let_go()

    def _let_go(self) -> None:
        """It is fine: say what comes now, if a plan waits."""
        RE = self._re
        if self._fine is None or RE is None:
            return
        waited = self.applied and str(RE.state) == "running"
        self.applied = False
        others = [one.why for one in suspenders(RE) if one.held]
        if waited:
            self._show(f"Still held: {others[0]}." if others else "The scan goes on.")
        self._fine.set()

    def _tell_of_connection(self, change: Change) -> None:
        if self._lost == "ignore":
            return
        name = self._listening.name
        if change is Change.BACK:
            value = self._listening.shown(self._tracker.sample)
            self._show(f"{name} is back, and is {value}.")
        elif self._lost == "report" or self._tracker.on:
            doubt = self._tracker.sample.doubt
            notices.warning("%s is lost: %s", name, doubt)
            self._show(f"{name} is lost: {doubt}.")

    def _tell_of_end(self, change: Change) -> None:
        tracker = self._tracker
        value = f"{self._listening.name} is {self._listening.shown(tracker.sample)}"
        if change is Change.SETTLING:
            until = tracker.condition.until
            text = f"{value}: fine if it stays {until} for {self._settle:g} s."
        elif change is Change.RELAPSED:
            text = f"Still held: {self.why}."
        else:
            text = f"{value}: fine again."
        notices.info("%s", text)
        self._show(text)

    def _apply(self) -> None:
        """Hold what runs, now or as soon as it can be; look again until it is over."""
        RE = self._re
        if RE is None or not self.held:
            return
        self._timer = RE.loop.call_later(LOOK_AGAIN, self._apply)
        state = str(RE.state)
        if state == "paused":
            # resuming it skips what it was waiting for
            for one in suspenders(RE):
                one.applied = False
            self._wait_once(f"Once resumed, the scan will be held: {self.why}.")
        elif state == "running" and not self.delegates:
            self._hold_running(RE)
        elif state == "idle" and not self.applied:
            self._wait_once(f"The next scan will be held: {self.why}.")

    def _hold_running(self, RE: RunEngine) -> None:
        if self.applied:
            return
        if any(one.applied for one in suspenders(RE)):
            # what waits already waits for all
            self.applied = True
            self._show(f"Held, too: {self.why}.")
        elif not RE.resumable and self._flights == "finish":
            self._wait_once(f"The flight goes on, the next plan is held: {self.why}.")
        elif not RE.resumable:
            self.applied = True
            self._show(f"A flight cannot wait, so it ends: {self.why}.")
            # not from this thread, which it blocks until the loop has done it
            RE.loop.run_in_executor(None, _end_flight, RE)
        else:
            self.applied = True
            cast(Any, RE).request_suspend(lambda: all_fine(RE), justification=self.why)

    def _wait_once(self, text: str) -> None:
        if not self._told_waiting:
            self._told_waiting = True
            self._show(text)


def suspenders(RE: RunEngine | None) -> list[Suspender]:
    """Those that `suspend_on` installed in a RunEngine."""
    installed: Sequence[Any] = () if RE is None else RE.suspenders
    return [one for one in installed if isinstance(one, Suspender)]


def _end_flight(RE: RunEngine) -> None:
    """Pause, which ends a plan that has no checkpoint."""
    try:
        RE.request_pause()
    except Exception as error:
        notices.info("the flight was over before it was ended: %s", error)


async def all_fine(RE: RunEngine) -> None:
    """Wait until nothing in a RunEngine holds scans, all of it at the same time."""
    while held := [one for one in suspenders(RE) if one.held]:
        await held[0].fine()


def suspend_on(
    RE: RunEngine,
    signal: SignalR[Any],
    what: str | Callable[[Any], Any],
    *,
    until: str | None = None,
    hysteresis: float = 0.0,
    after: float = 0.0,
    settle: float = 0.0,
    lost: Lost = "suspend",
    grace: float = 5.0,
    flights: Flights = "end",
    show: Callable[[str], Any] = printed,
) -> Suspender:
    """Hold scans while a condition on a signal holds.

    A scan that runs is held and goes on from its last checkpoint: the point that was
    being taken is taken again. One that begins meanwhile waits. A flight has no
    checkpoint, see `flights`.

    Args:
        RE: The RunEngine.
        signal: A signal of ophyd-async that is connected.
        what: A condition such as "< 50", see `conditions`; or a function of the value.
        until: Condition that ends it, None: that it does not hold.
        hysteresis: How far beyond the threshold the value has to come back.
        after: Seconds that it has to hold before scans are held.
        settle: Seconds that it has to be over before they go on.
        lost: suspend: a signal that is lost (its server is gone, its severity is
            INVALID) holds scans as well; report: says so; ignore: does not.
        grace: Seconds for which it may be lost.
        flights: end: a flight ends, with the rows so far, as a pause would end it;
            finish: it goes on, and the next plan is held. A RunEngine that has flown
            has no checkpoint until its plan is over, so this goes for all of the plan.
        show: Prints sentences.

    Returns:
        The suspender, which is installed; `remove` it.

    Raises:
        BadValue: The condition is not understood or does not suit the signal.
    """
    for name, value, allowed in (
        ("lost", lost, ("suspend", "report", "ignore")),
        ("flights", flights, ("end", "finish")),
    ):
        if value not in allowed:
            msg = f"{name} is {value!r}, it has to be one of {', '.join(allowed)}"
            raise BadValue(f"{msg}; nothing is watched")
    for name, seconds in (("after", after), ("settle", settle), ("grace", grace)):
        if not seconds >= 0:
            msg = f"{name} is {seconds!r}, it has to be 0 or more seconds"
            raise BadValue(f"{msg}; nothing is watched")
    tracker = Tracker(condition(what, until, hysteresis), after, settle, grace)
    suspender = Suspender(signal, tracker, lost, flights, show, settle)
    try:
        cast(Any, RE).install_suspender(suspender)
    except BaseException:
        cast(Any, RE).remove_suspender(suspender)
        raise
    return suspender
