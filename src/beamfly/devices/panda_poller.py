"""Monitors of a PandA's signals: one poller that asks *CHANGES, only while needed.

A PandA does not speak unless asked. `PollSchedule` says which change groups to ask
for and when: ten times a second at rest, faster after something was written or while
PCAP is armed, never for a group that nobody listens to. `PandaPoller` does the asking
and hands what changed to its `Monitor`s. All of one round goes out in one write.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from beamfly.devices.panda_link import PandaLink
from beamfly.errors import BeamflyError, CommandError
from beamfly.panda.commands import ChangeGroup, Command, GetChanges
from beamfly.panda.responses import Changes

log = logging.getLogger(__name__)

PERIODS: Mapping[ChangeGroup, tuple[float, float]] = MappingProxyType(
    {
        ChangeGroup.BITS: (0.1, 0.01),
        # a PandA polls its own registers for these, which takes it some 10 ms
        ChangeGroup.READ: (0.1, 0.02),
        ChangeGroup.POSN: (0.1, 0.05),
        ChangeGroup.CONFIG: (0.1, 0.02),
        ChangeGroup.ATTR: (0.1, 0.02),
        ChangeGroup.TABLE: (0.1, 0.05),
        ChangeGroup.METADATA: (0.5, 0.1),
    }
)
"""Seconds between two questions: at rest, and while something is going on."""

RETRY = 0.05
"""Seconds at least between two attempts to reach a PandA that is lost."""

HURRY = 1.0
"""Seconds for which a write makes polling fast: what it starts is seen by then."""


class PollSchedule:
    """Which groups are due, and when the next one is; time is given."""

    def __init__(self) -> None:
        self._watched: Counter[ChangeGroup] = Counter()
        self._asked: dict[ChangeGroup, float] = {}
        self._hurry_until = float("-inf")
        self._held = 0

    def watch(self, groups: Iterable[ChangeGroup]) -> None:
        """One more listener to these groups."""
        self._watched.update(groups)

    def unwatch(self, groups: Iterable[ChangeGroup]) -> None:
        """One listener fewer."""
        self._watched.subtract(groups)
        self._watched += Counter()

    def hold(self, busy: bool) -> None:
        """Poll fast until further notice, or no longer; nests."""
        self._held += 1 if busy else -1

    def poke(self, now: float) -> None:
        """Something was written: ask soon, and fast for a while."""
        self._hurry_until = now + HURRY

    def _due(self, group: ChangeGroup, now: float) -> float:
        asked = self._asked.get(group)
        if asked is None:
            return float("-inf")
        rest, busy = PERIODS[group]
        fast = self._held > 0 or now < self._hurry_until
        return asked + (busy if fast else rest)

    def take_due(self, now: float) -> list[ChangeGroup]:
        """Groups to ask for now; they count as asked."""
        due = [group for group in self._watched if self._due(group, now) <= now]
        self._asked.update(dict.fromkeys(due, now))
        return due

    def asked(self, group: ChangeGroup, now: float) -> None:
        """A group was asked for anyway."""
        self._asked[group] = now

    def wait(self, now: float) -> float | None:
        """Seconds until a group is due, None if nobody listens."""
        dues = [self._due(group, now) for group in self._watched]
        return max(0.0, min(dues) - now) if dues else None


@dataclass(eq=False)
class Monitor:
    """Somebody who wants to know a value, now and whenever it changes."""

    target: str
    """The field, as change reports name it."""
    groups: tuple[ChangeGroup, ...]
    """Groups that tell of it."""
    triggers: tuple[str, ...]
    """Fields whose change makes it worth asking for; empty if reports have it."""
    ask: Command[Any]
    """What asks for its value."""
    deliver: Callable[[Any], None]
    """Called with an answer, or with the text in a change report."""
    fail: Callable[[BeamflyError], None]
    """Called when the value is not to be had."""

    def concerns(self) -> tuple[str, ...]:
        """Names in a change report that matter to it."""
        return self.triggers or (self.target,)


def block_of(name: str) -> str:
    """The block that a field belongs to, such as SEQ1 of SEQ1.ACTIVE."""
    return name.lstrip("*").partition(".")[0]


class PandaPoller:
    """Keeps the monitors of one PandA up to date; runs while there are any.

    To write and then to wait for a bit that the write raises is no race, however soon
    the bit falls again: with every write that may start something goes a question for
    the bits (`before_write`, `wrote`), so that it is known what they were just before.
    A bit that is reported after that although it is what it was has been there and
    back, and who listens, also if only from then on, is told so.
    """

    def __init__(self, link: PandaLink) -> None:
        self._link = link
        self._schedule = PollSchedule()
        self._monitors: dict[Monitor, None] = {}
        self._new: dict[Monitor, None] = {}
        self._by_name: dict[str, dict[Monitor, None]] = {}
        self._seen: dict[str, str] = {}
        self._risen: set[str] = set()
        self._written: dict[str, float] = {}
        self._generation = 0
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def add(self, monitor: Monitor) -> None:
        """Start to keep it up to date; its first value comes within a round trip."""
        self._monitors[monitor] = None
        self._new[monitor] = None
        for name in monitor.concerns():
            self._by_name.setdefault(name, {})[monitor] = None
        self._schedule.watch(monitor.groups)
        self._ensure_running()
        self._wake.set()

    def _ensure_running(self) -> None:
        loop = asyncio.get_running_loop()
        task = self._task
        # that of an event loop that has ended will never be done
        if task is None or task.done() or task.get_loop() is not loop:
            self._wake = asyncio.Event()
            self._task = loop.create_task(
                self._run(), name=f"monitors of PandA {self._link.address}"
            )

    def restart(self) -> None:
        """The link was opened anew: tell all monitors again."""
        self._new = dict.fromkeys(self._monitors)
        if self._monitors:
            self._ensure_running()
            self._wake.set()

    def remove(self, monitor: Monitor) -> None:
        """Stop; with the last one the poller ends."""
        if monitor not in self._monitors:
            return
        del self._monitors[monitor]
        self._new.pop(monitor, None)
        for name in monitor.concerns():
            self._by_name[name].pop(monitor, None)
        self._schedule.unwatch(monitor.groups)
        self._wake.set()

    def poke(self) -> None:
        """Something was written: look soon what it changed."""
        self._schedule.poke(asyncio.get_running_loop().time())
        self._wake.set()

    @property
    def running(self) -> bool:
        """Whether the PandA is being asked."""
        return self._task is not None and not self._task.done()

    def saw_high(self, name: str) -> bool:
        """Whether a bit was high at some time since something was started."""
        return name in self._risen

    def before_write(self) -> GetChanges:
        """What to ask for in front of a write that may start something."""
        self._schedule.asked(ChangeGroup.BITS, asyncio.get_running_loop().time())
        return GetChanges(ChangeGroup.BITS)

    def wrote(self, block: str, changes: Any) -> None:
        """Take the answer to `before_write`, once a field of `block` is written.

        What happened before it is history, but for blocks started a moment ago: who
        started those may not have begun to listen yet.
        """
        now = asyncio.get_running_loop().time()
        self._check_generation()
        if isinstance(changes, Changes):
            stale: dict[Monitor, None] = {}
            self._report(ChangeGroup.BITS, changes, stale)
            self._new.update(stale)
        recent = {b for b, since in self._written.items() if now - since < HURRY}
        self._written[block] = now
        recent.discard(block)
        self._risen = {name for name in self._risen if block_of(name) in recent}

    def hold(self, busy: bool) -> None:
        """Poll fast until called with False as often as with True."""
        self._schedule.hold(busy)
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._monitors:
            self._wake.clear()
            new, self._new = list(self._new), {}
            try:
                await self._poll(new, self._schedule.take_due(loop.time()))
                wait = self._schedule.wait(loop.time())
            except BeamflyError as error:
                self._lost(error)
                # what was closed on purpose is opened again on purpose: `restart`
                wait = None if self._link.closed else max(RETRY, self._link.retry_in)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _lost(self, error: BeamflyError) -> None:
        for monitor in list(self._monitors):
            # once the connection is back they are all asked for again
            self._new[monitor] = None
            self._hand_over(monitor, error)

    async def _poll(self, new: list[Monitor], groups: list[ChangeGroup]) -> None:
        asks: list[Command[Any]] = [monitor.ask for monitor in new]
        asks += [GetChanges(group) for group in groups]
        answers = await self._link.send_each(*asks)
        self._check_generation()
        for monitor, answer in zip(new, answers, strict=False):
            if self.saw_high(monitor.target) and answer == "0":
                self._hand_over(monitor, "1")
            self._hand_over(monitor, answer)
        stale: dict[Monitor, None] = {}
        for group, changes in zip(groups, answers[len(new) :], strict=True):
            if isinstance(changes, Changes):
                self._report(group, changes, stale)
        if stale:
            asked = await self._link.send_each(*(monitor.ask for monitor in stale))
            for monitor, answer in zip(stale, asked, strict=True):
                self._hand_over(monitor, answer)

    def _check_generation(self) -> None:
        if self._link.generation != self._generation:
            # a new connection reports everything as changed
            self._generation = self._link.generation
            self._seen.clear()
            self._risen.clear()

    def _hand_over(self, monitor: Monitor, answer: Any) -> None:
        if monitor not in self._monitors:
            return
        try:
            if isinstance(answer, BeamflyError):
                monitor.fail(answer)
            else:
                monitor.deliver(answer)
        except Exception:
            # one listener that stumbles must not silence all others
            log.exception("A listener to %s failed", monitor.target)

    def _report(
        self, group: ChangeGroup, changes: Changes, stale: dict[Monitor, None]
    ) -> None:
        """Deliver values that a report has; note whom to ask for again."""
        for name, value in changes.values.items():
            before = self._seen.get(name)
            self._seen[name] = value
            if group is ChangeGroup.BITS and (value == "1" or before == value):
                self._risen.add(name)
            for monitor in list(self._by_name.get(name, ())):
                if monitor.triggers:
                    stale[monitor] = None
                    continue
                if group is ChangeGroup.BITS and before == value:
                    # reported although it is what it was: it went there and back
                    self._hand_over(monitor, "0" if value == "1" else "1")
                self._hand_over(monitor, value)
        for name in changes.no_value:
            stale.update(self._by_name.get(name, {}))
        for name in changes.in_error:
            error = CommandError(
                f"PandA {self._link.address} cannot tell the value of {name}"
            )
            for monitor in list(self._by_name.get(name, ())):
                self._hand_over(monitor, error)
