"""From readings to what begins, ends, and gets lost: no clock, no signal in here.

A `Latch` makes a state out of something that may flicker. A `Tracker` has one for its
condition and one for readings that cannot be trusted. Both look at how things are,
never at how they change, so that nothing which lasts can be missed.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from beamfly.watch.conditions import Condition


class Change(Enum):
    """What happened."""

    BEGAN = "began"
    """The condition holds, for as long as it has to."""
    AGAIN = "again"
    """It still does after the quiet time."""
    SETTLING = "settling"
    """It is over, but not for long enough."""
    RELAPSED = "relapsed"
    """It came back before it was over for long enough."""
    ENDED = "ended"
    """It is over."""
    LOST = "lost"
    """Readings cannot be trusted, for longer than the grace time."""
    BACK = "back"
    """They can be trusted again."""


@dataclass(frozen=True)
class Sample:
    """A reading, as far as it is needed."""

    value: Any
    """None if there has been none."""
    severity: int = 0
    """0 to 3."""
    doubt: str = ""
    """Why the value is not to be trusted; empty if it is."""


class Latch:
    """Goes on and off once that has been due for some time.

    Args:
        on_after: Seconds.
        off_after: Seconds.
    """

    def __init__(self, on_after: float = 0.0, off_after: float = 0.0) -> None:
        self.on = False
        """What it is."""
        self.deadline: float | None = None
        """When it will change unless something else happens."""
        self._after = {True: on_after, False: off_after}
        self._wanted = False

    @property
    def wanted(self) -> bool:
        """What it is going to be."""
        return self._wanted

    def update(self, wanted: bool, now: float) -> bool:
        """Say what it should be; tells whether it has changed."""
        self._wanted = wanted
        if wanted == self.on:
            self.deadline = None
        elif self.deadline is None:
            self.deadline = now + self._after[wanted]
        return self.tick(now)

    def tick(self, now: float) -> bool:
        """Some time has passed; tells whether it has changed."""
        if self.deadline is None or now < self.deadline:
            return False
        self.on, self.deadline = self._wanted, None
        return True


class Tracker:
    """One condition on one signal.

    Args:
        condition: What it is about.
        after: Seconds that it has to hold before it has begun.
        settle: Seconds that it has to be over before it has ended.
        grace: Seconds for which readings may be missing or in doubt.
    """

    def __init__(
        self,
        condition: Condition,
        after: float = 0.0,
        settle: float = 0.0,
        grace: float = 5.0,
    ) -> None:
        self.condition = condition
        self.sample = Sample(None, doubt="there has been no value yet")
        """The newest."""
        self._state = Latch(after, settle)
        self._doubt = Latch(grace, 0.0)

    @property
    def on(self) -> bool:
        """Whether the condition has begun and not ended."""
        return self._state.on

    @property
    def lost(self) -> bool:
        """Whether readings cannot be trusted."""
        return self._doubt.on

    @property
    def settling(self) -> bool:
        """Whether it is on but over, if it stays so."""
        return self._state.on and not self._state.wanted

    @property
    def deadline(self) -> float | None:
        """When to call `tick`, None if nothing is due."""
        times = [self._state.deadline, self._doubt.deadline]
        return min((time for time in times if time is not None), default=None)

    def start(self, now: float) -> list[Change]:
        """Nothing is known yet."""
        return self.receive(self.sample, now)

    def receive(self, sample: Sample, now: float) -> list[Change]:
        """A reading, or word that there is none; gives what happened."""
        before, was_on = self.settling, self.on
        self.sample = sample
        changes: list[Change] = []
        if sample.doubt:
            # how it is now is not known: what was about to end does not
            wanted = self._state.wanted or self._state.on
        else:
            wanted = self._judge(sample)
        if self._state.update(wanted, now):
            changes.append(Change.BEGAN if self.on else Change.ENDED)
        elif was_on and self.settling != before:
            changes.append(Change.SETTLING if self.settling else Change.RELAPSED)
        if self._doubt.update(bool(sample.doubt), now):
            changes.append(Change.LOST if self.lost else Change.BACK)
        return changes

    def tick(self, now: float) -> list[Change]:
        """Some time has passed; gives what happened."""
        changes: list[Change] = []
        if self._state.tick(now):
            changes.append(Change.BEGAN if self.on else Change.ENDED)
        if self._doubt.tick(now):
            changes.append(Change.LOST if self.lost else Change.BACK)
        return changes

    def _judge(self, sample: Sample) -> bool:
        """Whether the condition holds, with hysteresis."""
        condition = self.condition
        if condition.begins(sample.value, sample.severity):
            return True
        under_way = self._state.wanted or self._state.on
        if not under_way:
            return False
        return not condition.ends(sample.value, sample.severity)


class Quiet:
    """Which changes to tell of: not too often, yet of all that lasts.

    What begins within the quiet time of the last report is told at its end if it still
    holds; what still holds after the quiet time is told once more.

    Args:
        seconds: Between two reports that something has begun, 0: tell of all.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.deadline: float | None = None
        """When to call `tick`."""
        self.untold = 0
        """How often it began since the last report without being told."""
        self._told = False
        self._on = False
        self._silent_until = float("-inf")

    def receive(self, change: Change, now: float) -> list[Change]:
        """A change; gives what to tell."""
        if change is Change.BEGAN:
            self._on = True
            if now >= self._silent_until:
                return self._report(now)
            self.untold += 1
            self.deadline = self._silent_until
            return []
        if change is Change.ENDED:
            told, self._told, self._on = self._told, False, False
            self.deadline = None
            return [change] if told else []
        return [change] if change in (Change.LOST, Change.BACK) else []

    def tick(self, now: float) -> list[Change]:
        """Some time has passed; gives what to tell."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        if self._told:
            return [Change.AGAIN]
        self.untold -= 1
        return self._report(now)

    def _report(self, now: float) -> list[Change]:
        self._told = True
        self._silent_until = now + self.seconds
        self.deadline = self._silent_until if self.seconds else None
        return [Change.BEGAN]

    def forget(self) -> int:
        """How often it began without being told, which is told now."""
        untold, self.untold = self.untold, 0
        return untold
