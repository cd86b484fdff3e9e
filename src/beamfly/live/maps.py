"""Maps that fill while they are flown: `MapGrid`.

Row `i` lies in line `i // points`. Which way a line is flown is seen from the position
of the fast axis, so lines that go there and back come out straight. Axes are labelled
with what the plan says, or else with the positions that were captured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beamfly.live.announced import Document
from beamfly.live.choice import Choice
from beamfly.live.rows import Block, Floats


@dataclass(frozen=True)
class MapView:
    """What to draw, as maps."""

    x_label: str
    """Of the fast axis."""
    y_label: str
    """Of the slow axis."""
    extent: tuple[float, float, float, float]
    """Left, right, bottom and top edge."""
    panels: list[tuple[str, Floats]]
    """Label and values of each, shape (lines, points), NaN where nothing is yet."""
    same_units: bool
    """Whether both axes are lengths of the same unit."""


class MapGrid:
    """The maps of one stream.

    Args:
        choice: What to draw; it has a shape.
        start: Start document, for extents.
    """

    def __init__(self, choice: Choice, start: Document) -> None:
        lines, points = choice.shape or (1, 1)
        self.lines, self.points = lines, points
        self._choice, self._start = choice, start
        self._maps = {key: np.full((lines, points), np.nan) for key in choice.values}
        self._backwards: dict[int, bool] = {}
        self._end = (0.0, False)
        self._fast: str | None = None
        self._range = (np.inf, -np.inf)
        self._heights: dict[str, dict[int, float]] = {}

    def add(self, block: Block, motors: Mapping[str, Floats]) -> None:
        """Take rows.

        Args:
            block: As they were read.
            motors: Positions of the same rows that were in events.
        """
        rows = np.arange(block.start, block.stop)
        inside = rows < self.lines * self.points
        rows = rows[inside]
        known = {**motors, **{k: block.values[k] for k in self._choice.positions}}
        known = {key: values[inside] for key, values in known.items()}
        self._find_fast(known)
        line, column = rows // self.points, rows % self.points
        fast = known.get(self._fast or "")
        if fast is not None and len(fast):
            low, high = self._range
            self._range = min(low, np.nanmin(fast)), max(high, np.nanmax(fast))
            backwards = self._directions(line, fast)
            column = np.where(backwards, self.points - 1 - column, column)
        for number in np.unique(line).tolist() if self._fast else ():
            for key in known.keys() - {self._fast}:
                heights = self._heights.setdefault(key, {})
                heights[number] = float(known[key][line == number].mean())
        for key, values in self._maps.items():
            values[line, column] = block.values[key][inside]

    def lines_at(self, positions: Mapping[str, Sequence[float]]) -> None:
        """Take where lines are, by motors that are read once per line."""
        for key, values in positions.items():
            self._heights[key] = dict(enumerate(values))

    def _find_fast(self, known: Mapping[str, Floats]) -> None:
        """The axis that moves most in the first line is the fast one."""
        spans = {k: float(np.ptp(v[: self.points])) for k, v in known.items() if len(v)}
        if self._fast is None and any(spans.values()):
            self._fast = max(spans, key=lambda key: spans[key])

    @property
    def _slow(self) -> str | None:
        """The axis that moves most from line to line; None if none does."""
        spans = {k: float(np.ptp(list(v.values()))) for k, v in self._heights.items()}
        moving = {key: span for key, span in spans.items() if span > 0}
        return max(moving, key=lambda key: moving[key]) if moving else None

    def _directions(self, line: Any, fast: Floats) -> Any:
        """For each row whether its line is flown backwards."""
        for number in np.unique(line).tolist():
            here = fast[line == number]
            if number not in self._backwards:
                before, was = self._end
                if len(here) > 1:
                    self._backwards[number] = bool(here[-1] < here[0])
                else:
                    # one row: a line that begins where the last one ended turns round
                    near = abs(here[0] - before) < (self._range[1] - self._range[0]) / 2
                    self._backwards[number] = was != near if number else False
            self._end = float(here[-1]), self._backwards[number]
        return np.array([self._backwards[n] for n in line.tolist()])

    def view(self) -> MapView:
        """What to draw now."""
        label = self._choice.label
        left, right, bottom, top = self._extent()
        units = self._choice.units
        fast, slow = self._fast, self._slow
        return MapView(
            x_label=label(fast) if fast else "point",
            y_label=label(slow) if slow else "line",
            extent=(left, right, bottom, top),
            panels=[(label(key), values) for key, values in self._maps.items()],
            same_units=bool(fast and slow and units.get(fast) == units.get(slow)),
        )

    def _extent(self) -> tuple[float, float, float, float]:
        planned = planned_extent(self._start, self.lines, self.points)
        if planned is not None:
            return planned
        x = (-0.5, self.points - 0.5)
        low, high = self._range
        if self._fast and high > low:
            x = _edges(low, high, self.points)
        y = (-0.5, self.lines - 0.5)
        if slow := self._slow:
            heights = self._heights[slow]
            first, last = min(heights), max(heights)
            step = (heights[last] - heights[first]) / max(1, last - first)
            bottom = heights[first] - step * first
            if step:
                y = _edges(bottom, bottom + step * (self.lines - 1), self.lines)
        return (*x, *y)


def _edges(first: float, last: float, count: int) -> tuple[float, float]:
    """Where the outer cells end, whose centres are at `first` and `last`."""
    half = (last - first) / max(1, count - 1) / 2
    return first - half, last + half


def planned_extent(
    start: Document, lines: int, points: int
) -> tuple[float, float, float, float] | None:
    """Edges of the map that a start document tells of, None if it does not.

    `extents` are the first and the last position of each axis, slow axis first.
    """
    extents: Any = start.get("extents") or ()
    try:
        (bottom, top), (left, right) = extents
        x, y = _edges(left, right, points), _edges(bottom, top, lines)
    except (TypeError, ValueError):
        return None
    return None if x[0] == x[1] or y[0] == y[1] else (*x, *y)
