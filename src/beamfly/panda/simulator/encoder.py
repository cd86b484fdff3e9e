"""INENC and OUTENC: encoders of simulated motors, as the PandA sees them."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY
from beamfly.panda.simulator.logic import Sink
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.traces import NEVER, Positions, bits_from


class Clock(Protocol):
    """Turns ticks of the PandA into seconds on the clock of the motors."""

    origin: float
    """The moment of tick 0."""


@dataclass(frozen=True)
class EncoderState:
    """Where an INENC is."""

    offset: float = 0.0
    """What is added to the counts of the motor."""
    homed: int = 0
    revision: int = -1
    """Revision of the path that was last looked at."""
    connected: int = 0
    """Level of CONN."""
    moving: bool = False


class InEnc(Block):
    """INENC: the position of a motor in counts."""

    bit_inputs = ("CLK",)
    bit_outputs = ("A", "B", "Z", "DATA", "CONN")
    position_outputs = ("VAL",)
    read_fields = ("HOMED",)

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name)
        self.clock = clock
        self.motor: SimulatedMotor | None = None

    def initial(self) -> EncoderState:
        """Not homed."""
        return EncoderState()

    def attach(self, motor: SimulatedMotor | None) -> None:
        """Put it on a motor, or on none."""
        self.motor = motor
        self.touched = True

    def due(self) -> int:
        """Always, while the motor moves or was told to."""
        if self.motor is None:
            return NEVER
        told = self.motor.revision != self.state.revision
        return 0 if told or self.state.moving else NEVER

    def read(self, field: str) -> int:
        """HOMED."""
        return self.state.homed

    def counts(self, tick: int) -> float:
        """Counts of the motor, without offset."""
        if self.motor is None:
            return 0.0
        return self.motor.counts(self.clock.origin + tick / CLOCK_FREQUENCY)

    def write(self, field: str, value: int, tick: int) -> None:
        """Take a setting; SETP presets the position."""
        if field == "SETP":
            offset = value - np.floor(self.counts(tick) + 0.5)
            self.state = replace(self.state, offset=float(offset), homed=1)
        else:
            super().write(field, value, tick)

    def evaluate(self, inputs: Inputs) -> Outcome:
        """The path of the motor, in ticks and counts."""
        span, motor = inputs.span, self.motor
        connected = int(motor is not None)
        start = np.array([span.start], np.int64)
        conn = bits_from(self.state.connected, start, np.array([connected]))
        state = replace(self.state, connected=connected)
        if motor is None:
            value = Positions.steady(span.start, state.offset)
            return Outcome(state, {"CONN": conn}, {"VAL": value})
        value, moving = _path(motor, self.clock.origin, span.start, span.stop)
        value = Positions(value.ticks, value.values + state.offset, value.slopes)
        state = replace(state, revision=motor.revision, moving=moving)
        return Outcome(state, {"CONN": conn}, {"VAL": value})


def _path(
    motor: SimulatedMotor, origin: float, start: int, stop: int
) -> tuple[Positions, bool]:
    """Counts of a motor during a span, and whether it moves on after that."""
    begin, end = (origin + tick / CLOCK_FREQUENCY for tick in (start, stop))
    near = slice(
        max(0, bisect_right(motor.times, begin) - 2), bisect_left(motor.times, end) + 2
    )
    times = np.array(motor.times[near])
    ticks = np.full(len(times), -NEVER, np.int64)
    known = np.isfinite(times)
    ticks[known] = np.ceil((times[known] - origin) * CLOCK_FREQUENCY - 1e-3)
    values = (np.array(motor.positions[near]) - motor.zero) * motor.counts_per_unit
    first = max(0, int(np.searchsorted(ticks, start, "right")) - 1)
    last = int(np.searchsorted(ticks, stop, "left"))
    moving = last < len(ticks)
    begins, begun = ticks[first:last], values[first:last]
    slopes = np.zeros(len(begins))
    ends = min(last + 1, len(ticks))
    lengths = np.diff(ticks[first:ends])
    # the first piece begins in the infinite past: it does not move
    usable = (lengths > 0) & (begins[: len(lengths)] > -NEVER)
    rises = np.diff(values[first:ends])
    np.divide(rises, lengths, out=slopes[: len(lengths)], where=usable)
    unique = np.append(begins[1:] != begins[:-1], True)
    path = Positions(begins[unique], begun[unique], slopes[unique])
    return (path if slopes.any() else Positions(path.ticks, path.values)), moving


class OutEnc(Sink):
    """OUTENC: nothing is read from it."""

    bit_inputs = ("ENABLE", "A", "B", "Z", "DATA")
    position_inputs = ("VAL",)
    bit_outputs = ("CLK",)
    read_fields = ("QSTATE",)

    def initial(self) -> int:
        """Disabled."""
        return 0

    def read(self, field: str) -> int:
        """QSTATE: at position while it is enabled."""
        return self.state

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Remember whether it is enabled."""
        return Outcome(inputs.bits["ENABLE"].final)
