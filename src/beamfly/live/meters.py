"""How fast rows come and which ones are missing: `RateMeter`, `Gaps`, `Lag`.

All of it by hardware time where there is one: announcements come in bunches, so rows
per announcement say nothing about the rate of a scan.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from beamfly.live.rows import Floats

RATE_WINDOW = 1.0
"""Seconds that the present rate is taken over, at least."""
REGULAR = 0.05
"""How far, relative to the period, steps may be off in a periodic scan."""
MOST_PLACES = 10
"""Gaps whose place is kept."""
_MARKS = 20
"""Points in time that are kept of one block."""
_BELIEVED = (-0.5, 10.0)
"""Seconds that rows may be behind at first, for two clocks to be the same."""


class RateMeter:
    """Rows per second, now and on average."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, float]] = deque()
        self._first: tuple[int, float] | None = None

    def add(self, start: int, times: Floats) -> None:
        """Take the times of rows, the first of which has the number `start`."""
        chosen = np.unique(np.linspace(0, len(times) - 1, _MARKS).astype(int))
        for index in chosen.tolist() if len(times) else ():
            self.mark(start + index, float(times[index]))

    def mark(self, row: int, time: float) -> None:
        """Take the time of one row."""
        if self._first is None:
            self._first = (row, time)
        self._marks.append((row, time))
        while len(self._marks) > 2 and time - self._marks[1][1] >= RATE_WINDOW:
            self._marks.popleft()

    @property
    def now(self) -> float:
        """Rows per second over the last second or more, 0 if not known yet."""
        return _slope(self._marks[0], self._marks[-1]) if self._marks else 0.0

    @property
    def mean(self) -> float:
        """Rows per second since the first row, 0 if not known yet."""
        return _slope(self._first, self._marks[-1]) if self._first else 0.0

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return self._marks[-1][1] - self._first[1] if self._first else 0.0


def _slope(one: tuple[int, float], other: tuple[int, float]) -> float:
    seconds = other[1] - one[1]
    return (other[0] - one[0]) / seconds if seconds > 0 else 0.0


@dataclass
class Gaps:
    """Steps of several periods in what hardware says of rows, and where they are.

    A step of n periods skips n - 1 rows. Where nobody said what the period is, it is
    found out, if there is one at all; then a gap may just as well be meant. A line of
    a map may begin whenever it likes.
    """

    period: float | None = None
    """From row to row: 1 for numbers of frames, seconds for times, None if unknown."""
    line: int = 0
    """Rows per line of a map; 0 if it is none."""
    skipped: int = 0
    """Rows that were skipped."""
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Number of the row after a gap, and how many were skipped before it."""
    _last: float | None = None

    def add(self, start: int, stamps: Floats, breaks: tuple[int, ...] = ()) -> None:
        """Take what hardware says of the rows from number `start`.

        Args:
            start: Number of the first one.
            stamps: Times in seconds, or numbers.
            breaks: Rows before which the acquisition began anew.
        """
        if not len(stamps):
            return
        first = start if self._last is None else start - 1
        joined = stamps if self._last is None else np.r_[self._last, stamps]
        self._last = float(stamps[-1])
        steps = np.diff(joined)
        rows = np.arange(first + 1, first + 1 + len(steps))
        inner = ~np.isin(rows, breaks)
        if self.line:
            inner &= rows % self.line != 0
        steps, rows = steps[inner], rows[inner]
        period = _found_period(steps) if self.period is None else self.period
        if period <= 0 or not len(steps):
            return
        lost = np.rint(steps / period).astype(int) - 1
        for index in np.flatnonzero(lost > 0).tolist():
            self.skipped += int(lost[index])
            if len(self.places) < MOST_PLACES:
                self.places.append((int(rows[index]), int(lost[index])))

    @property
    def where(self) -> str:
        """The places in words, such as `2 before row 17`; empty if there are none."""
        told = ", ".join(f"{count} before row {row}" for row, count in self.places)
        more = len(self.places) == MOST_PLACES
        return told + (", ..." if more else "")


def _found_period(steps: Floats) -> float:
    """The period of a periodic scan, 0 if it is none."""
    period = float(np.median(steps)) if len(steps) > 2 else 0.0
    if period <= 0:
        return 0.0
    multiples = steps / period
    even = np.abs(multiples - np.rint(multiples)) <= REGULAR
    single = np.rint(multiples) == 1
    # one that speeds up, slows down or turns round has no period to compare with
    return period if even.all() and single.mean() > 0.9 else 0.0


class Lag:
    """How long after they were taken rows are announced."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._least = np.inf
        self.seconds: float | None = None
        """Of the latest row; None if no hardware tells the time."""

    def add(self, taken: float, announced: float) -> None:
        """Take both times of one row, seconds since 1970."""
        raw = announced - taken
        self._least = min(self._least, raw)
        if self._offset is None:
            low, high = _BELIEVED
            self._offset = 0.0 if low <= raw <= high else raw
        # two clocks that differ: only what it grew by means anything
        offset = self._least if self._offset else 0.0
        self.seconds = max(0.0, raw - offset)
