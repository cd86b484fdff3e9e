"""Blocks that make positions out of edges: COUNTER and FILTER."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.traces import (
    NEVER,
    NO_TICKS,
    Bits,
    Positions,
    Ticks,
    bits_from,
    pulses,
    steps,
)

ON_DISABLE = 1
"""OUT_MODE in which a COUNTER shows its count only when it is disabled."""


@dataclass(frozen=True)
class CounterState:
    """Where a COUNTER is."""

    count: int = 0
    shown: int = 0
    """What is on OUT."""
    carry: int = 0
    """Level of CARRY."""
    carried: bool = False
    """Whether it rolled over since it was enabled."""


class Counter(Block):
    """COUNTER: counts edges up and down between two limits."""

    bit_inputs = ("ENABLE", "TRIG", "DIR")
    bit_outputs = ("CARRY",)
    position_outputs = ("OUT",)

    def initial(self) -> CounterState:
        """At zero."""
        return CounterState()

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting; SET changes the count at once."""
        super().write(field, value, tick)
        if field == "SET":
            self.state = replace(self.state, count=value, shown=value)

    def limits(self) -> tuple[int, int]:
        """Smallest and largest count; MIN and MAX both 0 are no limits."""
        low, high = self["MIN"], self["MAX"]
        if low == high == 0 or high < low:
            return -(2**31), 2**31 - 1
        return low, high

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Count one period of ENABLE after the other."""
        enable, span = inputs.bits["ENABLE"], inputs.span
        state: CounterState = self.state
        edges = inputs.bits["TRIG"].selected(self["TRIG_EDGE"])
        carries = _Carries(inputs.bits["TRIG"], enable)
        ticks: list[Ticks] = []
        values: list[Ticks] = []
        bounds = [span.start, *enable.edge_list, span.stop]
        on = enable.level
        for place, (begin, end) in enumerate(pairwise(bounds)):
            if place and not on:
                shown = state.count
                carries.disabled(begin, state, self["OUT_MODE"] == ON_DISABLE)
                state = replace(state, shown=shown)
            elif place:
                state = replace(state, count=self["START"], carried=False)
                if self["OUT_MODE"] != ON_DISABLE:
                    state = replace(state, shown=state.count)
            ticks.append(np.array([begin], np.int64))
            values.append(np.array([state.shown], np.int64))
            if on:
                first, last = np.searchsorted(edges, (begin, end))
                inside = edges[first:last]
                counted, state = self._count(state, inside, inputs.bits["DIR"], carries)
                if self["OUT_MODE"] != ON_DISABLE:
                    ticks.append(inside)
                    values.append(counted)
            on = 1 - on
        out = steps(
            span.start, values[0][0], np.concatenate(ticks), np.concatenate(values)
        )
        carry = carries.bits(state.carry)
        state = replace(state, carry=carry.final)
        return Outcome(state, {"CARRY": carry}, {"OUT": out})

    def _count(
        self, state: CounterState, edges: Ticks, down: Bits, carries: "_Carries"
    ) -> tuple[Ticks, CounterState]:
        """Counts after some edges, and the state after the last."""
        if not len(edges):
            return NO_TICKS, state
        low, high = self.limits()
        size = high - low + 1
        step = self["STEP"] or 1
        way = 1 - 2 * down.at(edges)
        sums = np.cumsum(way * step) + (state.count - low)
        laps = sums // size
        counted = sums - laps * size + low
        before = np.concatenate(([0], laps[:-1]))
        rolled = laps != before
        if self["OUT_MODE"] != ON_DISABLE:
            carries.rolled(edges[rolled])
        carried = state.carried or bool(rolled.any())
        last = int(counted[-1])
        shown = state.shown if self["OUT_MODE"] == ON_DISABLE else last
        return counted, replace(state, count=last, shown=shown, carried=carried)


class _Carries:
    """Collects when CARRY goes high, and low again at the next toggle of TRIG."""

    def __init__(self, trig: Bits, enable: Bits) -> None:
        falls = np.concatenate((trig.edges, enable.falling()))
        self.ticks = [falls, enable.rising()]
        self.levels = [np.zeros(len(falls), np.int64)]
        self.levels.append(np.zeros(len(self.ticks[1]), np.int64))

    def rolled(self, edges: Ticks) -> None:
        """The count rolled over at these edges."""
        self.ticks.append(edges)
        self.levels.append(np.ones(len(edges), np.int64))

    def disabled(self, tick: int, state: CounterState, shows: bool) -> None:
        """ENABLE fell; shows whether the count had rolled over, if that is the mode."""
        if shows and state.carried:
            self.ticks.append(np.array([tick], np.int64))
            self.levels.append(np.ones(1, np.int64))

    def bits(self, level: int) -> Bits:
        """What CARRY does."""
        ticks, levels = np.concatenate(self.ticks), np.concatenate(self.levels)
        order = np.argsort(ticks, kind="stable")
        return bits_from(level, ticks[order], levels[order])


@dataclass(frozen=True)
class FilterState:
    """Where a FILTER is."""

    latched: int = 0
    """Position at the last trigger, or at enable."""
    since: int = 0
    """Tick of that."""
    total: float = 0.0
    """Sum of the position over all ticks since."""
    shown: int = 0
    """What is on OUT."""
    ready: bool = False
    """Whether READY is high, for one tick."""
    health: int = 0


class Filter(Block):
    """FILTER: change or mean of a position between triggers."""

    bit_inputs = ("ENABLE", "TRIG")
    position_inputs = ("INP",)
    bit_outputs = ("READY",)
    position_outputs = ("OUT",)
    read_fields = ("HEALTH",)

    def initial(self) -> FilterState:
        """At zero."""
        return FilterState()

    def due(self) -> int:
        """READY lasts one tick."""
        return 0 if self.state.ready else NEVER

    def read(self, field: str) -> int:
        """HEALTH."""
        return self.state.health

    def evaluate(self, inputs: Inputs) -> Outcome:
        """One event after the other: enable and triggers."""
        span, inp = inputs.span, inputs.positions["INP"]
        enable = inputs.bits["ENABLE"]
        rises = enable.rising()
        triggers = inputs.bits["TRIG"].rising()
        triggers = triggers[enable.at(triggers) == 1]
        events = sorted(
            [(tick, False) for tick in rises.tolist()]
            + [(tick, True) for tick in triggers.tolist()]
        )
        state: FilterState = self.state
        ticks, values = [span.start], [state.shown]
        for tick, trigger in events:
            total = state.total + _sum(inp, max(state.since, span.start), tick)
            latched = inp.count_at(tick)
            if trigger:
                state = replace(state, shown=self._result(state, latched, total, tick))
                ticks.append(tick)
                values.append(state.shown)
            state = replace(state, latched=latched, since=tick, total=0.0)
        rest = _sum(inp, max(state.since, span.start), span.stop)
        done = np.array(ticks[1:], np.int64)
        ready = pulses(done, self.state.ready, span.start, span.stop)
        last = bool(len(done)) and int(done[-1]) == span.stop - 1
        state = replace(state, total=state.total + rest, ready=last)
        out = steps(span.start, values[0], np.array(ticks, np.int64), values)
        return Outcome(state, {"READY": ready}, {"OUT": out})

    def _result(self, state: FilterState, latched: int, total: float, tick: int) -> int:
        """What a trigger puts out."""
        if self["MODE"] == 0:
            return latched - state.latched
        return int(total / max(1, tick - state.since))


def _sum(position: Positions, begin: int, end: int) -> float:
    """Sum of a position over the ticks from `begin` up to, and without, `end`."""
    if end <= begin:
        return 0.0
    inner = position.ticks[(position.ticks > begin) & (position.ticks < end)]
    bounds = np.concatenate(([begin], inner, [end]))
    firsts, lasts = position.exact(bounds[:-1]), position.exact(bounds[1:] - 1)
    return float(((firsts + lasts) / 2 * np.diff(bounds)).sum())
