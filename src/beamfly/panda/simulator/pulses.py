"""Blocks that make pulses: CLOCK and PULSE."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.traces import NEVER, Bits, Ticks, bits_from

MOST_EVENTS = 200_000
"""Edges after which a span is cut, to keep memory small."""
LONGEST_QUEUE = 1023
"""Edges that a PULSE can hold."""


@dataclass(frozen=True)
class ClockState:
    """Where a CLOCK is."""

    level: int = 0
    began: int | None = None
    """Tick of a rising edge from which periods are counted; None while stopped."""


class Clock(Block):
    """CLOCK: a square wave while it is enabled."""

    bit_inputs = ("ENABLE",)
    bit_outputs = ("OUT",)

    def initial(self) -> ClockState:
        """Stopped."""
        return ClockState()

    def due(self) -> int:
        """Always, while it runs."""
        return NEVER if self.state.began is None else 0

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting, with which it starts again."""
        super().write(field, value, tick)
        if self.state.began is not None:
            self.state = replace(self.state, began=tick)

    def timing(self) -> tuple[int, int]:
        """Ticks that it is high, and ticks of a period; 0 for no clock."""
        period = self["PERIOD"]
        if not period:
            return 0, 0
        width = self["WIDTH"] or max(1, period // 2)
        return width, max(period, width + 1)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """All edges of the periods that are enabled."""
        start, stop = inputs.span.start, inputs.span.stop
        enable = inputs.bits["ENABLE"]
        state: ClockState = self.state
        width, period = self.timing()
        ticks = [np.array([start], np.int64)]
        levels = [np.array([state.level])]
        if state.began is None and enable.level and period:
            state = replace(state, began=start)
        given_up = NEVER
        on, bounds = enable.level, [start, *enable.edge_list, stop]
        for place, (begin, end) in enumerate(pairwise(bounds)):
            if place:
                state = replace(state, began=begin if on and period else None)
            if not on or not period or state.began is None:
                ticks.append(np.array([begin], np.int64))
                levels.append(np.zeros(1, np.int64))
                state = replace(state, began=None)
            else:
                last = begin + period * (MOST_EVENTS // 2)
                if last < end:
                    end = given_up = last
                edges, high = _periods(state.began, width, period, begin, end)
                ticks.append(edges)
                levels.append(high)
            if given_up < NEVER:
                break
            on = 1 - on
        out = bits_from(state.level, np.concatenate(ticks), np.concatenate(levels))
        return Outcome(replace(state, level=out.final), {"OUT": out}, stop=given_up)


def _periods(
    began: int, width: int, period: int, begin: int, end: int
) -> tuple[Ticks, Ticks]:
    """Ticks and levels of a square wave from `begin` up to `end`."""
    first = (begin - began) // period
    rises = began + period * np.arange(first, (end - began) // period + 1)
    ticks = np.stack((rises, rises + width), axis=1).ravel()
    levels = np.tile(np.array([1, 0]), len(rises))
    before = ticks <= begin
    # what the wave is at the beginning was decided before it
    ticks[before] = begin
    inside = ticks < end
    return ticks[inside].astype(np.int64), levels[inside]


@dataclass(frozen=True)
class PulseState:
    """Where a PULSE is."""

    shown: int = 0
    """Level that was last put out."""
    edges: tuple[int, ...] = ()
    """Ticks of toggles that are still to come."""
    bursts: tuple[tuple[int, int], ...] = ()
    """Ticks at which further pulses begin, and how many there are from there on."""
    releases: tuple[int, ...] = ()
    """When each edge that is queued leaves the queue."""
    blocked: int = -1
    """Last tick at which no new edge can be taken."""
    dropped: int = 0


class Pulse(Block):
    """PULSE: delays and stretches pulses, and makes several of one."""

    bit_inputs = ("ENABLE", "TRIG")
    bit_outputs = ("OUT",)
    read_fields = ("QUEUED", "DROPPED")

    def initial(self) -> PulseState:
        """With an empty queue."""
        return PulseState()

    def due(self) -> int:
        """The next toggle, or when the next edge leaves the queue."""
        state: PulseState = self.state
        bursts = [begin for begin, _ in state.bursts[:1]]
        return min((*state.edges[:1], *bursts, *state.releases[:1]), default=NEVER)

    def read(self, field: str) -> int:
        """QUEUED or DROPPED."""
        return len(self.state.releases) if field == "QUEUED" else self.state.dropped

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting, which empties the queue."""
        super().write(field, value, tick)
        edges = (tick,) if self.state.shown else ()
        self.state = PulseState(self.state.shown, edges, dropped=self.state.dropped)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """One event after the other: ENABLE and the edges of TRIG."""
        run = _Run(self, inputs)
        enable, trig = inputs.bits["ENABLE"], inputs.bits["TRIG"]
        wanted = trig.edges if run.copies else trig.selected(self["TRIG_EDGE"])
        on, bounds = enable.level, [run.start, *enable.edge_list, run.stop]
        for place, (begin, end) in enumerate(pairwise(bounds)):
            if place and not on:
                run.disable(begin)
            elif place:
                run.dropped = 0
            if on:
                first, last = np.searchsorted(wanted, (begin, end))
                run.take(wanted[first:last], trig)
            on = 1 - on
        return run.outcome()


class _Run:
    """One span of a PULSE."""

    def __init__(self, block: Pulse, inputs: Inputs) -> None:
        state: PulseState = block.state
        self.start, self.stop = inputs.span.start, inputs.span.stop
        self.shown = state.shown
        self.edges = np.array(state.edges, np.int64)
        self.bursts = list(state.bursts)
        self.releases = list(state.releases)
        self.released = 0
        """How many of the releases are over."""
        self.blocked = state.blocked
        self.dropped = state.dropped
        self.given_up = NEVER
        self.width, self.delay = block["WIDTH"], block["DELAY"]
        self.pulses = max(1, block["PULSES"])
        self.step = max(block["STEP"], self.width + 1)
        self.copies = not self.width
        """Whether pulses are as long as those of TRIG."""

    def disable(self, tick: int) -> None:
        """ENABLE fell: the output goes low, the queue is emptied."""
        self._expand(tick)
        past = self.edges[self.edges < tick]
        if (self.shown + len(past)) % 2:
            past = np.append(past, tick)
        self.edges = past
        self.bursts.clear()
        self.releases = self.releases[: self._released_by(tick)]
        self.blocked = -1

    def _released_by(self, tick: int) -> int:
        """How many edges have left the queue at a tick."""
        while self.released < len(self.releases):
            if self.releases[self.released] > tick:
                break
            self.released += 1
        return self.released

    def take(self, triggers: Ticks, trig: Bits) -> None:
        """Edges of TRIG while enabled."""
        if self.copies:
            self._copy(triggers, trig)
            return
        burst = (self.pulses - 1) * self.step
        # the output has to go low before the next pulse
        busy = self.width if self.pulses == 1 else burst + self.step - 1
        for tick in triggers.tolist():
            queued = len(self.releases) - self._released_by(tick)
            if tick <= self.blocked or queued >= LONGEST_QUEUE:
                self.dropped += 1
                continue
            self.bursts.append((tick + self.delay, self.pulses))
            self.releases.append(tick + self.delay + burst)
            self.blocked = tick + busy

    def _copy(self, triggers: Ticks, trig: Bits) -> None:
        """Repeat every toggle of TRIG after the delay."""
        toggles = triggers + self.delay
        level = (self.shown + len(self.edges)) % 2
        if len(toggles) and level == trig.level_at(int(triggers[0])):
            toggles = toggles[1:]  # it was high before it was enabled
        self.edges = np.concatenate((self.edges, toggles))
        if self.delay:
            self.releases += toggles.tolist()

    def _expand(self, stop: int) -> None:
        """Make toggles of all pulses that begin before `stop`."""
        parts, left = [self.edges], list[tuple[int, int]]()
        room = MOST_EVENTS // 2
        for begin, count in self.bursts:
            now = min(count, max(0, -(-(stop - begin) // self.step)), room)
            room -= now
            begins = begin + self.step * np.arange(now, dtype=np.int64)
            parts.append(np.stack((begins, begins + self.width), axis=1).ravel())
            if now < count:
                left.append((begin + now * self.step, count - now))
        self.bursts = left
        self.edges = np.concatenate(parts)
        if left and left[0][0] < stop:
            self.given_up = left[0][0]

    def outcome(self) -> Outcome:
        """What came of it."""
        self._expand(self.stop)
        now = self.edges[self.edges < self.stop]
        out = Bits(self.shown, now)
        self._released_by(self.stop - 1)
        state = PulseState(
            out.final,
            tuple(self.edges[len(now) :].tolist()),
            tuple(self.bursts),
            tuple(self.releases[self.released :]),
            self.blocked,
            self.dropped,
        )
        return Outcome(state, {"OUT": out}, stop=self.given_up)
