"""What a bit or a position does during a span of time.

Times are in clock ticks. `Bits` is a level and the ticks at which it toggles;
`Positions` is a sequence of straight pieces, so that the moment at which a moving
encoder passes a position is computed, not searched tick by tick. A position is seen
as the nearest whole count.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, floor

import numpy as np
import numpy.typing as npt

Ticks = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NO_TICKS: Ticks = np.empty(0, np.int64)
NEVER = 2**62
"""A tick that is never reached."""


@dataclass(frozen=True, eq=False)
class Bits:
    """A bit during a span."""

    level: int
    """0 or 1, just before the span."""
    edges: Ticks = field(default_factory=lambda: NO_TICKS)
    """Ticks of the span at which it toggles, in order, each once."""

    @property
    def final(self) -> int:
        """Level at the end of the span."""
        return self.level ^ (len(self.edges) & 1)

    def at(self, ticks: Ticks) -> Ticks:
        """Levels at some ticks."""
        if not len(self.edges):
            return np.full(len(ticks), self.level, np.int64)
        return (np.searchsorted(self.edges, ticks, "right") & 1) ^ self.level

    def level_at(self, tick: int) -> int:
        """Level at one tick."""
        if not len(self.edges):
            return self.level
        return (int(np.searchsorted(self.edges, tick, "right")) & 1) ^ self.level

    def rising(self) -> Ticks:
        """Ticks at which it goes high."""
        return self.edges[self.level :: 2]

    def falling(self) -> Ticks:
        """Ticks at which it goes low."""
        return self.edges[1 - self.level :: 2]

    def selected(self, edge: int) -> Ticks:
        """Ticks of the edges that an EDGE field selects: rising, falling or either."""
        if edge == 0:
            return self.rising()
        return self.falling() if edge == 1 else self.edges

    @cached_property
    def edge_list(self) -> list[int]:
        """The edges as plain integers."""
        return self.edges.tolist()


LOW = Bits(0)
HIGH = Bits(1)


def bits_from(level: int, ticks: Ticks, levels: npt.NDArray[np.integer]) -> Bits:
    """A bit that takes `levels` at `ticks`, which are in order.

    Where a tick is given more than once the last level counts.
    """
    if not len(ticks):
        return LOW if not level else HIGH
    last = np.append(ticks[1:] != ticks[:-1], True)
    ticks, levels = ticks[last], levels[last]
    before = np.concatenate(([level], levels[:-1]))
    return Bits(level, ticks[levels != before])


def pulses(ticks: Ticks, open_: bool, start: int, stop: int) -> Bits:
    """A bit that is high for one tick at each of some ticks.

    Args:
        ticks: Ticks of the span, in order.
        open_: Whether there was one at the tick before the span.
        start: Start of the span.
        stop: End of the span.
    """
    if open_:
        ticks = np.concatenate((np.array([start - 1], np.int64), ticks))
    toggles = np.setxor1d(ticks, ticks + 1)
    return Bits(int(open_), toggles[(toggles >= start) & (toggles < stop)])


def merged(*ticks: Ticks) -> Ticks:
    """All ticks of several sequences, in order, each once."""
    parts = [part for part in ticks if len(part)]
    if not parts:
        return NO_TICKS
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


@dataclass(frozen=True, eq=False)
class Positions:
    """A position during a span, in straight pieces."""

    ticks: Ticks
    """Where the pieces begin; the first at or before the start of the span."""
    values: Floats
    """Counts at those ticks."""
    slopes: Floats | None = None
    """Counts per tick, None if all are zero."""

    @classmethod
    def steady(cls, start: int, value: float) -> "Positions":
        """A position that does not move."""
        return cls(np.array([start], np.int64), np.array([value], np.float64))

    @property
    def moves(self) -> bool:
        """Whether it may change within the span."""
        return len(self.ticks) > 1 or self.slopes is not None

    def same_as(self, other: "Positions") -> bool:
        """Whether both stand still at the same position."""
        if self.moves or other.moves:
            return False
        return self is other or bool(self.values[0] == other.values[0])

    def exact(self, ticks: Ticks) -> Floats:
        """Positions at some ticks, with fractions of counts."""
        pieces = np.searchsorted(self.ticks, ticks, "right") - 1
        if self.slopes is None:
            return self.values[pieces]
        return self.values[pieces] + self.slopes[pieces] * (ticks - self.ticks[pieces])

    def at(self, ticks: Ticks) -> Ticks:
        """Counts at some ticks."""
        return counts(self.exact(ticks))

    def count_at(self, tick: int) -> int:
        """Counts at one tick."""
        return int(self.at(np.array([tick], np.int64))[0])

    def slope_at(self, tick: int) -> float:
        """Counts per tick at one tick."""
        if self.slopes is None:
            return 0.0
        piece = int(np.searchsorted(self.ticks, tick, "right")) - 1
        return float(self.slopes[piece])

    @cached_property
    def _pieces(self) -> tuple[list[int], list[float], list[float]]:
        """Begin, value and slope of each piece, as plain numbers."""
        slopes = (
            [0.0] * len(self.ticks) if self.slopes is None else self.slopes.tolist()
        )
        return self.ticks.tolist(), self.values.tolist(), slopes

    def first_reaching(self, count: int, upwards: bool, tick: int, stop: int) -> int:
        """First tick from `tick` on at which it is at, or past, some counts.

        Args:
            count: The counts to reach.
            upwards: Whether larger counts are past it, else smaller ones.
            tick: Where to begin.
            stop: End of the span.

        Returns:
            The tick, NEVER if there is none in the span.
        """
        begins, values, slopes = self._pieces
        sign = 1.0 if upwards else -1.0
        # half a count before the next whole one it is already seen as that
        goal = count - 0.5 if upwards else -(count + 0.5)
        piece = int(np.searchsorted(self.ticks, tick, "right")) - 1
        for i in range(max(piece, 0), len(begins)):
            end = begins[i + 1] if i + 1 < len(begins) else stop
            begin = max(tick, begins[i])
            slope = sign * slopes[i]
            value = sign * values[i] + slope * (begin - begins[i])
            if (upwards and value >= goal) or (not upwards and value > goal):
                return begin
            if slope > 0:
                need = (goal - value) / slope
                wait = ceil(need) if upwards else floor(need) + 1
                if begin + wait < end:
                    return begin + wait
        return NEVER

    def tail(self) -> "Positions":
        """The last piece, which goes on until something changes."""
        if len(self.ticks) == 1:
            return self
        slopes = None
        if self.slopes is not None and self.slopes[-1]:
            slopes = self.slopes[-1:]
        return Positions(self.ticks[-1:], self.values[-1:], slopes)

    def later(self, ticks: int) -> "Positions":
        """The same, shifted in time."""
        if not ticks:
            return self
        return Positions(self.ticks + ticks, self.values, self.slopes)

    def first_deviation(self, line: "Positions") -> int:
        """First tick at which it leaves a straight line; NEVER if it does not."""
        first = int(self.ticks[0])
        expected = float(line.exact(np.array([first], np.int64))[0])
        slope = 0.0 if line.slopes is None else float(line.slopes[0])
        same = abs(expected - float(self.values[0])) < 1e-6
        if not same or abs(slope - self.slope_at(first)) > 1e-12:
            return first
        return int(self.ticks[1]) if len(self.ticks) > 1 else NEVER


def counts(exact: Floats) -> Ticks:
    """The nearest whole counts, wrapped to 32 bits."""
    return np.floor(exact + 0.5).astype(np.int64).astype(np.int32).astype(np.int64)


def steps(start: int, before: float, ticks: Ticks, values: npt.ArrayLike) -> Positions:
    """A position that jumps to `values` at `ticks`, which are in order.

    Args:
        start: Start of the span.
        before: Position before the first jump.
        ticks: When it jumps; where a tick is given more than once the last counts.
        values: Counts that it jumps to.
    """
    all_ticks = np.concatenate((np.array([start], np.int64), ticks))
    all_values = np.concatenate(([float(before)], np.asarray(values, np.float64)))
    last = np.append(all_ticks[1:] != all_ticks[:-1], True)
    all_ticks, all_values = all_ticks[last], all_values[last]
    changes = np.append(True, all_values[1:] != all_values[:-1])
    return Positions(all_ticks[changes], all_values[changes])
