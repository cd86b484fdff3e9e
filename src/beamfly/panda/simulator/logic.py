"""Blocks of logic: TTL and LVDS connectors, BITS, LUT, SRGATE, DIV, CALC."""

from dataclasses import dataclass, replace

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.traces import (
    NEVER,
    NO_TICKS,
    Bits,
    Positions,
    Ticks,
    bits_from,
    merged,
    pulses,
)


class Sink(Block):
    """A block whose inputs leave the PandA, such as TTLOUT; they can be watched."""

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Nothing more happens."""
        return Outcome(None)


class TtlOut(Sink):
    """A TTL or LVDS output."""

    bit_inputs = ("VAL",)


class Level(Block):
    """A TTL or LVDS input, whose level is set from outside, now or for later."""

    bit_outputs = ("VAL",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._ticks: Ticks = NO_TICKS
        self._levels: Ticks = NO_TICKS

    def initial(self) -> tuple[int, int]:
        """Low; the state is the level, and how much of the plan is done."""
        return (0, 0)

    def plan(self, ticks: Ticks, levels: Ticks) -> None:
        """Take `levels` at `ticks`, which are in order, instead of what was planned."""
        self._ticks, self._levels = ticks, levels
        self.state = (self.state[0], 0)
        self.touched = True

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a level at once, and forget what was planned."""
        super().write(field, value, tick)
        self.plan(np.array([tick], np.int64), np.array([value], np.int64))

    def due(self) -> int:
        """When the plan goes on."""
        done = self.state[1]
        return int(self._ticks[done]) if done < len(self._ticks) else NEVER

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Put out what was set."""
        level, done = self.state
        stop = int(np.searchsorted(self._ticks, inputs.span.stop))
        ticks = np.maximum(self._ticks[done:stop], inputs.span.start)
        bit = bits_from(level, ticks, self._levels[done:stop])
        return Outcome((bit.final, max(done, stop)), {"VAL": bit})


class SoftBits(Block):
    """BITS: four bits that software sets."""

    bit_outputs = ("OUTA", "OUTB", "OUTC", "OUTD")

    def initial(self) -> tuple[int, ...]:
        """All low; the state is what was last put out."""
        return (0, 0, 0, 0)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Put out what was set."""
        wanted = tuple(self[field] for field in "ABCD")
        ticks = np.array([inputs.span.start], np.int64)
        bits = {
            name: bits_from(before, ticks, np.array([level]))
            for name, before, level in zip(
                self.bit_outputs, self.state, wanted, strict=True
            )
        }
        return Outcome(wanted, bits)


@dataclass(frozen=True)
class LutState:
    """What a LUT last put out, and which inputs are in the middle of a pulse."""

    level: int = 0
    pulsing: tuple[bool, ...] = (False,) * 5


class Lut(Block):
    """LUT: any function of five bits, or of pulses on their edges."""

    bit_inputs = tuple(f"INP{letter}" for letter in "ABCDE")
    bit_outputs = ("OUT",)

    def initial(self) -> LutState:
        """Low."""
        return LutState()

    def due(self) -> int:
        """A pulse lasts one tick only."""
        return 0 if any(self.state.pulsing) else NEVER

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Look up what the inputs make at every tick at which one changes."""
        span, sources = inputs.span, list[Bits]()
        pulsing: list[bool] = []
        for letter, open_ in zip("ABCDE", self.state.pulsing, strict=True):
            bit, kind = inputs.bits[f"INP{letter}"], self[f"TYPE{letter}"]
            edges = bit.selected(kind - 1) if kind else NO_TICKS
            pulsing.append(bool(len(edges)) and int(edges[-1]) == span.stop - 1)
            sources.append(pulses(edges, open_, span.start, span.stop) if kind else bit)
        ticks = merged(np.array([span.start]), *[bit.edges for bit in sources])
        index = np.zeros(len(ticks), np.int64)
        for bit in sources:
            index = 2 * index + bit.at(ticks)
        out = bits_from(self.state.level, ticks, (self["FUNC"] >> index) & 1)
        return Outcome(LutState(out.final, tuple(pulsing)), {"OUT": out})


@dataclass(frozen=True)
class GateState:
    """Where an SRGATE is."""

    shown: int = 0
    """What it last put out."""
    level: int = 0
    """What it would put out if it were enabled."""
    forced: int = -1
    """Level that software has just asked for, -1 for none."""


class SrGate(Block):
    """SRGATE: set by one edge, reset by another."""

    bit_inputs = ("ENABLE", "SET", "RST")
    bit_outputs = ("OUT",)

    def initial(self) -> GateState:
        """Low."""
        return GateState()

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting; FORCE_SET and FORCE_RST act at once."""
        if field.startswith("FORCE_"):
            self.state = replace(self.state, forced=int(field == "FORCE_SET"))
        else:
            super().write(field, value, tick)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Follow the edges, a reset before a set at the same tick."""
        start = np.array([inputs.span.start], np.int64)
        enable = inputs.bits["ENABLE"]
        sets = inputs.bits["SET"].selected(self["SET_EDGE"])
        resets = inputs.bits["RST"].selected(self["RST_EDGE"])
        sets = np.setdiff1d(sets[enable.at(sets) == 1], resets)
        resets = resets[enable.at(resets) == 1]
        ticks = merged(start, enable.edges, sets, resets)
        events = np.full(len(ticks), -1)
        events[np.isin(ticks, sets)] = 1
        events[np.isin(ticks, resets)] = 0
        if self.state.forced >= 0:
            events[0] = self.state.forced
        levels = self._levels(events, enable.at(ticks))
        out = bits_from(self.state.shown, ticks, levels)
        last = self.state.level if not len(levels) else int(levels[-1])
        return Outcome(GateState(out.final, last), {"OUT": out})

    def _levels(self, events: Ticks, enabled: Ticks) -> Ticks:
        """Levels after events: 1 sets, 0 resets, -1 changes nothing."""
        when_disabled = self["WHEN_DISABLED"]
        if when_disabled < 2:
            events = np.where(enabled == 0, when_disabled, events)
        known = np.maximum.accumulate(np.where(events >= 0, np.arange(len(events)), -1))
        return np.where(known >= 0, events[known], self.state.level)


@dataclass(frozen=True)
class DivState:
    """Where a DIV is."""

    count: int = 0
    """Pulses since the last on OUTD."""
    divided: int = 0
    """Level of OUTD."""
    others: int = 0
    """Level of OUTN."""


class Div(Block):
    """DIV: every n-th pulse to one output, the rest to the other."""

    bit_inputs = ("ENABLE", "INP")
    bit_outputs = ("OUTD", "OUTN")
    read_fields = ("COUNT",)

    def initial(self) -> DivState:
        """No pulse yet."""
        return DivState()

    def read(self, field: str) -> int:
        """COUNT."""
        return self.state.count

    def _first(self) -> int:
        """What the count is set to at enable, so that FIRST_PULSE holds."""
        return max(1, self["DIVISOR"]) - 1 if self["FIRST_PULSE"] else 0

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting, which starts over."""
        super().write(field, value, tick)
        self.state = replace(self.state, count=self._first())

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Count pulses; a change of ENABLE ends them and starts over."""
        divisor, first = max(1, self["DIVISOR"]), self._first()
        enable, inp = inputs.bits["ENABLE"], inputs.bits["INP"]
        rising = inp.rising()
        # counts go on from the last change of ENABLE before each pulse
        numbers = np.arange(len(rising))
        resets = np.searchsorted(enable.edges, rising, "right")
        begins = np.concatenate(([0], np.searchsorted(rising, enable.edges, "left")))
        starts = np.where(resets == 0, self.state.count, first)
        counted = (starts + numbers - begins[resets] + 1) % divisor
        active = enable.at(rising) == 1
        ticks = np.concatenate((inp.falling(), enable.edges, rising[active]))
        divided = np.zeros(len(ticks), np.int64)
        others = np.zeros(len(ticks), np.int64)
        pulses = slice(len(ticks) - int(active.sum()), None)
        divided[pulses] = counted[active] == 0
        others[pulses] = counted[active] != 0
        order = np.argsort(ticks, kind="stable")
        outd = bits_from(self.state.divided, ticks[order], divided[order])
        outn = bits_from(self.state.others, ticks[order], others[order])
        count = self.state.count if not len(enable.edges) else first
        last = np.searchsorted(rising, enable.edges[-1:], "left")
        if active.any() and (not len(last) or active[int(last[0]) :].any()):
            count = int(counted[active][-1])
        state = DivState(count, outd.final, outn.final)
        return Outcome(state, {"OUTD": outd, "OUTN": outn})


class Calc(Block):
    """CALC: a sum of positions, shifted right."""

    position_inputs = ("INPA", "INPB", "INPC", "INPD")
    position_outputs = ("OUT",)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Add up the pieces of all inputs."""
        parts = [inputs.positions[name] for name in self.position_inputs]
        signs = [-1.0 if self[f"TYPE{letter}"] else 1.0 for letter in "ABCD"]
        start = inputs.span.start
        begins = merged(*[part.ticks[part.ticks > start] for part in parts])
        ticks = np.concatenate((np.array([start], np.int64), begins))
        scale = 0.5 ** self["SHIFT"]
        values = np.zeros(len(ticks))
        slopes = np.zeros(len(ticks))
        for part, sign in zip(parts, signs, strict=True):
            values += sign * scale * part.exact(ticks)
            if part.slopes is not None:
                pieces = np.searchsorted(part.ticks, ticks, "right") - 1
                slopes += sign * scale * part.slopes[pieces]
        if not slopes.any():
            # the hardware drops the bits that it shifts out
            values = np.floor(values)
            return Outcome(None, positions={"OUT": Positions(ticks, values)})
        return Outcome(None, positions={"OUT": Positions(ticks, values, slopes)})
