"""What all blocks have in common, and the inputs through which they see each other.

A block is a function of a span of time: `Block.evaluate` is given what its inputs do
between two ticks, and says what its outputs do and in which state it ends up. It
changes nothing itself, so that the engine can try a span, find that it was too long,
and try a shorter one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beamfly.panda.simulator.traces import (
    HIGH,
    LOW,
    NEVER,
    NO_TICKS,
    Bits,
    Positions,
    Ticks,
    merged,
)


@dataclass(frozen=True)
class Span:
    """Ticks from `start` up to, and without, `stop`."""

    start: int
    stop: int


@dataclass(frozen=True)
class Inputs:
    """What the inputs of a block do during a span."""

    span: Span
    bits: Mapping[str, Bits]
    positions: Mapping[str, Positions]
    """Both by name of the field."""


@dataclass(frozen=True)
class Outcome:
    """What a block makes of its inputs."""

    state: Any
    """Its state at the end of the span."""
    bits: Mapping[str, Bits] = field(default_factory=dict[str, Bits])
    positions: Mapping[str, Positions] = field(default_factory=dict[str, Positions])
    """Its outputs, by name of the field; those not given do not change."""
    stop: int = NEVER
    """Where it gave up, because there was too much to say; then the rest is void."""


class Block:
    """One instance of a block.

    Subclasses keep what changes with time in `state`, which `evaluate` replaces and
    never changes, and get settings from `settings`.
    """

    bit_inputs: tuple[str, ...] = ()
    position_inputs: tuple[str, ...] = ()
    bit_outputs: tuple[str, ...] = ()
    position_outputs: tuple[str, ...] = ()
    read_fields: tuple[str, ...] = ()
    """Read fields that it sets itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: dict[str, int] = {}
        """Raw values of its param and time fields; a missing one is 0."""
        self.state: Any = self.initial()
        self.touched = True
        """Whether something was written since it was last evaluated."""

    def initial(self) -> Any:
        """State at power-up."""
        return None

    def due(self) -> int:
        """When it will do something by itself; NEVER if only inputs move it."""
        return NEVER

    def evaluate(self, inputs: Inputs) -> Outcome:
        """What happens during a span."""
        raise NotImplementedError

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting; an action or a position to be set comes here as well."""
        self.settings[field] = value

    def read(self, field: str) -> int:
        """Value of a read field now."""
        return 0

    def __getitem__(self, field: str) -> int:
        """A setting."""
        return self.settings.get(field, 0)


@dataclass
class BitInput:
    """A bit mux: what it follows, and what is still under way to it."""

    index: int
    """Its source on the bit bus."""
    delay: int = 0
    """Ticks by which it lags behind."""
    level: int = 0
    """Level at the end of the last span."""
    pending: Ticks = field(default_factory=lambda: NO_TICKS)
    """Toggles that have left the source but not arrived."""
    moved: bool = False
    """Whether it was switched to another source since the last span."""
    late: bool = False
    """Whether it sees its source one tick later, because that depends on it."""

    @property
    def lag(self) -> int:
        """Ticks from source to here."""
        return self.delay + self.late

    def switch(self, index: int) -> None:
        """Follow another source."""
        self.index = index
        self.redirect()

    def redirect(self) -> None:
        """Forget what is under way, and take the level of the source at once."""
        self.pending = NO_TICKS
        self.moved = True

    def during(self, span: Span, source: Bits) -> Bits:
        """What arrives during a span; of a late source only what is under way."""
        plain = not self.moved and not len(self.pending)
        if plain and (self.late or not len(source.edges)):
            return HIGH if self.level else LOW
        if plain and not self.lag:
            return source
        ticks = self.pending
        if not self.late and len(source.edges):
            ticks = np.concatenate((ticks, source.edges + self.delay))
        if self.moved and source.level != self.level:
            ticks = _toggled(ticks, span.start)
        return Bits(self.level, ticks[ticks < span.stop])

    def after(self, span: Span, source: Bits) -> Ticks:
        """What is under way at the end of a span."""
        left = self.pending[self.pending >= span.stop]
        if not self.lag or not len(source.edges):
            return left
        sent = source.edges + self.lag
        return np.concatenate((left, sent[sent >= span.stop]))

    def surprise(self, source: Bits) -> int:
        """First tick at which a late source, now known, makes a difference."""
        return int(source.edges[0]) + self.lag if len(source.edges) else NEVER


def _toggled(ticks: Ticks, tick: int) -> Ticks:
    """Toggles with one more, or one less, at a tick."""
    if tick in ticks:
        return ticks[ticks != tick]
    return merged(np.array([tick], np.int64), ticks)


@dataclass
class PositionInput:
    """A position mux."""

    index: int
    """Its source on the position bus."""
    late: bool = False
    """Whether it sees its source one tick later, because that depends on it."""
    known: Positions | None = None
    """What the block was last told that its source will go on doing."""

    def switch(self, index: int) -> None:
        """Follow another source."""
        self.index = index
        self.known = None
