"""Curves that stay small however many rows they have: `Curve`, `Curves`.

A curve keeps the least and the greatest value of each bin of rows, so a spike of one
row is seen in a million; bins widen as rows come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from beamfly.live.choice import Choice
from beamfly.live.rows import Block, Floats

MOST_POINTS = 3000
"""Points that a curve keeps."""


@dataclass
class Curve:
    """One curve, thinned, against several axes."""

    x: Floats
    """Where, shape (axes, points), in the order of rows."""
    y: Floats = field(default_factory=lambda: np.empty(0))
    """What, shape (points,)."""
    _rows: Floats = field(default_factory=lambda: np.empty(0))
    _bin: float = 1.0

    def add(self, start: int, x: Floats, y: Floats) -> None:
        """Append rows.

        Args:
            start: Number of the first one.
            x: Where, shape (axes, rows).
            y: What, shape (rows,).
        """
        self._rows = np.r_[self._rows, np.arange(start, start + len(y), dtype=float)]
        self.x, self.y = np.concatenate([self.x, x], axis=1), np.r_[self.y, y]
        if len(self.y) > MOST_POINTS:
            while (self._rows[-1] + 1) / self._bin > MOST_POINTS / 4:
                self._bin *= 2
            chosen = extremes(self._rows // self._bin, self.y)
            self.x, self.y = self.x[:, chosen], self.y[chosen]
            self._rows = self._rows[chosen]


def extremes(bins: Floats, y: Floats) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Indices, ascending, of the least and the greatest value of each bin.

    Args:
        bins: Number of the bin of each value, ascending.
        y: Values; NaN counts as the greatest.
    """
    order = np.lexsort((y, bins))
    edges = np.flatnonzero(np.diff(bins)) + 1
    least, greatest = np.r_[0, edges], np.r_[edges, len(y)] - 1
    return np.unique(np.r_[order[least], order[greatest]])


@dataclass(frozen=True)
class CurvesView:
    """What to draw, as lines."""

    x_label: str
    """Below the lowest panel."""
    panels: list[tuple[str, Floats, Floats]]
    """Label, x and y of each."""


class Curves:
    """All curves of a stream, against the axis that turns out to move.

    Args:
        choice: What to draw.
        x: The axis that was asked for, `auto` for that which moves.
    """

    def __init__(self, choice: Choice, x: str = "auto") -> None:
        self._choice, self._asked = choice, x
        self._axes = ["row", "time", *choice.motors, *choice.positions]
        nothing = np.empty((len(self._axes), 0))
        self._curves = {key: Curve(nothing) for key in choice.values}
        self._moved = np.full((len(self._axes), 2), np.nan)
        self._origin: float | None = None

    def add(self, block: Block, motors: Mapping[str, Floats]) -> None:
        """Take rows.

        Args:
            block: As they were read.
            motors: Positions of the same rows that were in events.
        """
        if not len(block):
            return
        known: dict[str, Floats] = {**block.values, **motors}
        known["row"] = np.arange(block.start, block.stop, dtype=float)
        if block.times is not None:
            if self._origin is None:
                self._origin = float(block.times[0])
            known["time"] = block.times - self._origin
        unknown = np.full(len(block), np.nan)
        x = np.stack([known.get(axis, unknown) for axis in self._axes])
        self._moved[:, 0] = np.fmin(self._moved[:, 0], np.fmin.reduce(x, axis=1))
        self._moved[:, 1] = np.fmax(self._moved[:, 1], np.fmax.reduce(x, axis=1))
        for key, curve in self._curves.items():
            curve.add(block.start, x, block.values[key])

    def _span(self, axis: str) -> float:
        """How far an axis went; 0 if nothing is known of it."""
        low, high = self._moved[self._axes.index(axis)]
        return float(high - low) if high > low else 0.0

    @property
    def axis(self) -> str:
        """What is drawn along: the first that the plan names or that moves."""
        if self._asked in self._axes:
            return self._asked
        named = [*self._choice.motors, *self._choice.positions]
        moves = [key for key in named if self._span(key) > 0]
        if moves:
            # among encoders, that which went furthest
            return moves[0] if self._choice.certain else max(moves, key=self._span)
        return "time" if self._span("time") > 0 else "row"

    def view(self) -> CurvesView | None:
        """What to draw now, None if there is nothing."""
        if not self._curves:
            return None
        axis = self.axis
        index = self._axes.index(axis)
        names = {"time": "time (s)", "row": "row"}
        label = self._choice.label
        return CurvesView(
            names.get(axis) or label(axis),
            [(label(key), each.x[index], each.y) for key, each in self._curves.items()],
        )
