"""PCAP: when a capture runs, and the ticks at which it takes a row.

What a row consists of is worked out by `sampler` from the traces of a span, once the
span is history; `Capture` is what it needs to know of it.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.traces import LOW, NEVER, NO_TICKS, Bits, Ticks, bits_from

TOO_CLOSE, OVERFLOW = 1, 2
"""Values of HEALTH."""


@dataclass(frozen=True)
class Capture:
    """What of a span belongs to a capture."""

    begin: int = NEVER
    """First tick at which it was enabled."""
    end: int = NEVER
    """Tick at which it ended, or the end of the span."""
    gate: Bits = LOW
    triggers: Ticks = field(default_factory=lambda: NO_TICKS)
    """Ticks at which a row is taken."""
    unfinished: int = 0
    """1 if it goes on after the span, else 0."""


@dataclass(frozen=True)
class PcapState:
    """Where PCAP is."""

    active: bool = False
    """Whether it is armed."""
    shown: int = 0
    """Level of ACTIVE as it was last put out."""
    started: int | None = None
    """Tick at which ENABLE was first high, None before."""
    last_trigger: int = -NEVER
    """Tick of the last row."""
    health: int = 0
    capture: Capture = field(default_factory=Capture)
    """What the last span held."""
    reason: EndReason | None = None
    """Why it ended, if it did in the last span."""


class Pcap(Block):
    """PCAP: position capture."""

    bit_inputs = ("ENABLE", "GATE", "TRIG")
    bit_outputs = ("ACTIVE",)
    read_fields = ("HEALTH",)

    def initial(self) -> PcapState:
        """Not armed."""
        return PcapState()

    words = 0
    """Words of a row: rows cannot be taken in fewer ticks."""
    held = False
    """Whether it is active whatever its inputs do, and takes no rows."""

    def hold(self, held: bool) -> None:
        """Be active whatever the inputs do, or no more."""
        self.held = held
        self.state = PcapState(active=held, shown=self.state.shown)
        self.touched = True

    def due(self) -> int:
        """Always while rows may be taken, for the sake of sums."""
        return 0 if self.state.active and self.state.started is not None else NEVER

    def read(self, field: str) -> int:
        """HEALTH."""
        return self.state.health

    def arm(self, words: int) -> None:
        """Begin a capture of rows of so many words."""
        self.words = words
        self.state = PcapState(active=True, shown=self.state.shown)
        self.touched = True

    def disarm(self) -> None:
        """End the capture."""
        self.state = replace(self.state, active=False)
        self.touched = True

    def overflow(self) -> None:
        """More gated ticks than can be counted."""
        self.state = replace(self.state, health=OVERFLOW)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Follow ENABLE, and pick the edges of TRIG that take a row."""
        span, enable = inputs.span, inputs.bits["ENABLE"]
        state = replace(self.state, capture=Capture(), reason=None)
        start = np.array([span.start], np.int64)
        if self.held or not state.active:
            active = bits_from(state.shown, start, np.array([int(self.held)]))
            return Outcome(replace(state, shown=active.final), {"ACTIVE": active})
        begin = span.start
        if state.started is None:
            rises = enable.rising()
            if not enable.level_at(span.start):
                begin = int(rises[0]) if len(rises) else NEVER
            state = replace(state, started=begin if begin < NEVER else None)
        falls = enable.falling()
        falls = falls[falls > begin] if state.started == begin else falls
        end = int(falls[0]) if len(falls) else NEVER
        reason = EndReason.OK if end < NEVER else None
        if begin < NEVER:
            triggers = inputs.bits["TRIG"].selected(self["TRIG_EDGE"])
            first, last = np.searchsorted(triggers, (begin, end))
            triggers = triggers[first:last]
            close = self._first_too_close(triggers)
            if close < len(triggers):
                end, reason = int(triggers[close]), EndReason.FRAMING_ERROR
                triggers = triggers[:close]
                state = replace(state, health=TOO_CLOSE)
            if len(triggers):
                state = replace(state, last_trigger=int(triggers[-1]))
            gate, over = inputs.bits["GATE"], min(end, span.stop)
            capture = Capture(begin, over, gate, triggers, int(reason is None))
            state = replace(state, capture=capture)
        ticks, levels = [span.start], [1]
        if reason is not None:
            ticks.append(end)
            levels.append(0)
            state = replace(state, active=False, reason=reason)
        active = bits_from(state.shown, np.array(ticks, np.int64), np.array(levels))
        return Outcome(replace(state, shown=active.final), {"ACTIVE": active})

    def _first_too_close(self, triggers: Ticks) -> int:
        """Index of the first trigger that comes before the last row is through."""
        if not len(triggers):
            return 0
        gaps = np.diff(triggers, prepend=max(self.state.last_trigger, -NEVER // 2))
        close = np.flatnonzero(gaps < self.words)
        return int(close[0]) if len(close) else len(triggers)
