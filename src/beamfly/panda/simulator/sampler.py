"""Rows of a capture, worked out from what bits and positions did in a span.

A row holds what happened from the trigger before it, that tick included, up to its
own trigger, that tick left out; only ticks at which GATE is high count, except for
values and bits, which are those at its trigger. What a span leaves over is carried to
the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.panda.simulator.layout import Column, Layout, Mode, Words
from beamfly.panda.simulator.pcap import Capture
from beamfly.panda.simulator.traces import Bits, Positions, Ticks, merged

_NONE = -1
"""Timestamp of what did not happen."""
_LARGEST, _SMALLEST = 2**31 - 1, -(2**31)

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Gated:
    """The stretches of a span in which GATE is high, cut at triggers."""

    begins: Ticks
    ends: Ticks
    firsts: npt.NDArray[np.intp]
    """For each row, and for what is left over, index of its first stretch."""

    @classmethod
    def of(cls, capture: Capture) -> "Gated":
        """Those of a capture."""
        begin, end, triggers = capture.begin, capture.end, capture.triggers
        bounds = np.array([begin, end], np.int64)
        inner = capture.gate.edges
        inner = inner[(inner > begin) & (inner < end)]
        cuts = merged(bounds, inner, triggers[triggers > begin])
        begins, ends = cuts[:-1], cuts[1:]
        high = capture.gate.at(begins) == 1
        return cls.cut(begins[high], ends[high], triggers)

    @classmethod
    def cut(cls, begins: Ticks, ends: Ticks, triggers: Ticks) -> "Gated":
        """Stretches, none of which has a trigger inside."""
        rows = np.searchsorted(triggers, begins, "right")
        firsts = np.searchsorted(rows, np.arange(len(triggers) + 2), "left")
        return cls(begins, ends, firsts)

    def totals(self, amounts: Numbers) -> Numbers:
        """Sum of an amount of each stretch, by row."""
        sums = np.concatenate((np.zeros(1, amounts.dtype), np.cumsum(amounts)))
        return sums[self.firsts[1:]] - sums[self.firsts[:-1]]

    def extremes(self, amounts: Ticks, pick: np.ufunc, default: int) -> Ticks:
        """Smallest or largest amount of the stretches, by row."""
        result = np.full(len(self.firsts) - 1, default, np.int64)
        filled = self.firsts[1:] > self.firsts[:-1]
        if filled.any():
            result[filled] = pick.reduceat(amounts, self.firsts[:-1][filled])
        return result

    def at_pieces(self, position: Positions, triggers: Ticks) -> "Gated":
        """The same, cut also where a position has a corner."""
        corners = position.ticks
        if len(self.begins):
            inside = (corners > self.begins[0]) & (corners < self.ends[-1])
            corners = corners[inside]
        if not len(corners) or not len(self.begins):
            return self
        place = np.searchsorted(self.begins, corners, "right") - 1
        corners = corners[(corners > self.begins[place]) & (corners < self.ends[place])]
        begins = merged(self.begins, corners)
        ends = merged(self.ends, corners)
        return Gated.cut(begins, ends, triggers)


class Total:
    """What adds up over spans until a row takes it."""

    def __init__(self, zero: int, combine: Callable[[Any, Any], Any]) -> None:
        self.zero = zero
        self.carried: Any = zero
        self.combine = combine

    def rows(self, amounts: Numbers) -> Numbers:
        """Amounts of rows, of amounts of rows and what is left over."""
        amounts[0] = self.combine(amounts[0], self.carried)
        self.carried = amounts[-1]
        return amounts[:-1]


def _add(a: Any, b: Any) -> Any:
    return a + b


class PositionSums:
    """Everything that is captured of one position."""

    def __init__(self, place: int, options: set[str], shift: int) -> None:
        self.place = place
        self.options = options
        self.shift = shift
        self.difference = Total(0, _add)
        self.sum = Total(0, _add)
        self.squares = Total(0, _add)
        self.least = Total(_LARGEST, min)
        self.most = Total(_SMALLEST, max)
        self.last: int | None = None
        """Counts at the end of the last span, if GATE was high then."""

    def rows(
        self, position: Positions, gated: Gated, capture: Capture
    ) -> dict[str, Numbers]:
        """Words of rows by capture option; `Squares` for the sum of squares."""
        result: dict[str, Numbers] = {}
        if "Value" in self.options:
            result["Value"] = position.at(capture.triggers)
        if "Diff" in self.options:
            result["Diff"] = self._difference(position, gated, capture)
        if self.options & {"Sum", "Mean", "StdDev", "Min", "Max"}:
            pieces = gated.at_pieces(position, capture.triggers)
            lengths = pieces.ends - pieces.begins
            firsts = position.exact(pieces.begins)
            lasts = position.exact(pieces.ends - 1)
            if self.options & {"Sum", "Mean", "StdDev"}:
                sums = pieces.totals(_sums(firsts, lasts, lengths))
                result["Sum"] = self.sum.rows(sums) >> self.shift
            if "StdDev" in self.options:
                squares = pieces.totals(_squares(firsts, lasts, lengths))
                result["Squares"] = self.squares.rows(squares) >> self.shift
            ends = np.stack((_whole(firsts), _whole(lasts)))
            if "Min" in self.options:
                least = pieces.extremes(ends.min(axis=0), np.minimum, _LARGEST)
                result["Min"] = self.least.rows(least)
            if "Max" in self.options:
                most = pieces.extremes(ends.max(axis=0), np.maximum, _SMALLEST)
                result["Max"] = self.most.rows(most)
        return result

    def _difference(
        self, position: Positions, gated: Gated, capture: Capture
    ) -> Numbers:
        """How far the position went while GATE was high."""
        # where a stretch ends with the span, the end is not known yet: the last tick
        # that is counts, and the next span goes on from there
        ends = np.minimum(gated.ends, capture.end - capture.unfinished)
        to, since = position.at(ends), position.at(gated.begins)
        amounts = gated.totals(to - since)
        if self.last is not None:
            amounts[0] += position.count_at(capture.begin) - self.last
        goes_on = bool(len(gated.ends)) and gated.ends[-1] == capture.end
        self.last = int(to[-1]) if goes_on and capture.unfinished else None
        return self.difference.rows(amounts)


def _whole(exact: npt.NDArray[np.float64]) -> Ticks:
    return np.floor(exact + 0.5).astype(np.int64)


def _sums(firsts: Numbers, lasts: Numbers, lengths: Ticks) -> Ticks:
    """Sums of counts over the ticks of straight pieces."""
    whole = np.floor(firsts)
    # apart, so that large counts do not cost the precision of small ones
    rest = ((firsts - whole) + (lasts - firsts) / 2) * lengths
    return whole.astype(np.int64) * lengths + np.floor(rest + 0.5).astype(np.int64)


def _squares(firsts: Numbers, lasts: Numbers, lengths: Ticks) -> Numbers:
    """Sums of squares over the ticks of straight pieces, of any size."""
    result = np.empty(len(firsts), object)
    pieces = zip(firsts.tolist(), lasts.tolist(), lengths.tolist(), strict=True)
    for i, (first, last, length) in enumerate(pieces):
        if first == last:
            result[i] = round(first) ** 2 * length
        else:
            mean, half = (first + last) / 2, (last - first) / 2
            spread = half**2 * (length + 1) / (3 * max(1, length - 1))
            result[i] = round((mean**2 + spread) * length)
    return result


class Sampler:
    """Makes rows of one capture.

    Args:
        layout: Columns of a row.
        positions: Names on the position bus.
        shift: SHIFT_SUM.
    """

    def __init__(self, layout: Layout, positions: Sequence[str], shift: int) -> None:
        self.layout = layout
        self.shift = shift
        self.started: int | None = None
        self.overflow = False
        """Whether a row has seen more gated ticks than can be counted."""
        self.gate = Total(0, _add)
        self.ts_start = Total(_NONE, _first)
        self.ts_end = Total(_NONE, _last)
        options: dict[str, set[str]] = {}
        for column in layout.columns:
            if column.name in positions:
                options.setdefault(column.name, set()).add(column.capture)
        self.positions = {
            name: PositionSums(positions.index(name), chosen, shift)
            for name, chosen in options.items()
        }

    def rows(
        self, capture: Capture, bits: list[Bits], positions: list[Positions]
    ) -> Words:
        """Rows that were triggered in a span, as words of shape (rows, words)."""
        if self.started is None:
            self.started = capture.begin
        gated = Gated.of(capture)
        values = {
            name: sums.rows(positions[sums.place], gated, capture)
            for name, sums in self.positions.items()
        }
        special = self._special(gated, capture)
        result = np.empty((len(capture.triggers), self.layout.words), np.uint32)
        for column in self.layout.columns:
            if column.mode is Mode.BITS:
                numbers = _bit_word(bits, int(column.name[-1]), capture.triggers)
            elif column.name in special:
                numbers = special[column.name]
            else:
                numbers = values[column.name][_KEYS.get(column.capture, column.capture)]
            _fill(result, column, numbers)
        return result

    def _special(self, gated: Gated, capture: Capture) -> dict[str, Numbers]:
        """Columns that are of PCAP itself."""
        started = self.started or 0
        lengths = gated.totals(gated.ends - gated.begins)
        durations = self.gate.rows(lengths) >> self.shift
        if len(durations) and int(durations.max()) >= 2**32:
            self.overflow = True
        firsts, lasts = gated.firsts[:-1], gated.firsts[1:]
        filled = lasts > firsts
        starts = np.full(len(filled), _NONE, np.int64)
        ends = np.full(len(filled), _NONE, np.int64)
        starts[filled] = gated.begins[firsts[filled]] - started
        ends[filled] = gated.ends[lasts[filled] - 1] - started
        return {
            "PCAP.GATE_DURATION": durations,
            "PCAP.TS_START": self.ts_start.rows(starts),
            "PCAP.TS_END": self.ts_end.rows(ends),
            "PCAP.TS_TRIG": capture.triggers - started,
        }


_KEYS = {"Mean": "Sum", "StdDev": "Squares"}


def _first(new: int, carried: int) -> int:
    return new if carried == _NONE else carried


def _last(new: int, carried: int) -> int:
    return carried if new == _NONE else new


def _bit_word(bits: list[Bits], word: int, ticks: Ticks) -> Ticks:
    """32 bits of the bit bus at some ticks."""
    result = np.zeros(len(ticks), np.int64)
    # after the last bit come ZERO and ONE, which are not captured
    for offset, bit in enumerate(bits[32 * word : min(32 * word + 32, len(bits) - 2)]):
        if len(bit.edges):
            result |= bit.at(ticks) << offset
        elif bit.level:
            result |= 1 << offset
    return result


def _fill(result: Words, column: Column, numbers: Numbers) -> None:
    """Put the numbers of a column into its words, lowest first."""
    for word in range(column.words):
        part = numbers >> (32 * word) if word else numbers
        result[:, column.place + word] = (part & 0xFFFFFFFF).astype(np.uint32)
