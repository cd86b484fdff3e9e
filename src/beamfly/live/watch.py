"""What is known of one flown stream while it flies: `StreamWatch`.

`read` gives the rows that were announced since the last time, and brings the figures
of all detectors up to date. A file that cannot be read is given up with one sentence;
rows are counted all the same.
"""

from collections.abc import Callable, Mapping

import numpy as np

from beamfly.errors import BeamflyError
from beamfly.live.announced import Document, FlownStream
from beamfly.live.choice import (
    belonging_to_motors,
    choose,
    expected_rows,
    planned_period,
)
from beamfly.live.meters import Gaps, Lag, RateMeter
from beamfly.live.rows import Block, Floats, NotYetThere, RowReader
from beamfly.live.stats import FlyStats

MOST_ROWS = 50_000
"""Rows that are read at a time."""
PATIENCE = 3
"""How often a file may lack rows that were announced before it is given up."""

Say = Callable[[str], None]
"""Shows one sentence."""


class StreamWatch:
    """One flown stream of a run.

    Args:
        stream: Which.
        start: Start document of the run.
        reader: Reads its files.
        say: Takes a sentence for the user.
        x: Axis that was asked for; see `choose`.
        y: Data keys that were asked for.
    """

    def __init__(
        self,
        stream: FlownStream,
        start: Document,
        reader: RowReader,
        say: Say,
        x: str = "auto",
        y: tuple[str, ...] = (),
    ) -> None:
        self.stream, self.start = stream, start
        self.choice = choose(stream, start, x, y)
        self.stats = {
            name: FlyStats(name, expected=expected_rows(start))
            for name in stream.detectors
        }
        self.asked_x = x
        self.line_positions: dict[str, list[float]] = {}
        """Data key in another stream -> its value for each line of a map so far."""
        self._reader, self._say = reader, say
        self._meters = {name: RateMeter() for name in self.stats}
        line = self.choice.shape[1] if self.choice.shape else 0
        period = planned_period(start)
        self._gaps = {
            name: Gaps(period if self._has_clock(name) else 1.0, line)
            for name in self.stats
        }
        self._lag = Lag()
        self._numbered = {name: not self._has_clock(name) for name in self.stats}
        self._read_to = 0
        self._short = 0
        self._given_up = False
        self._events: dict[int, Mapping[str, float]] = {}
        self._breaks: tuple[int, ...] = ()

    def _has_clock(self, detector: str) -> bool:
        return self.choice.clock in self.stream.detectors[detector]

    def take_event(self, doc: Document) -> None:
        """Keep positions of motors until the row of the same number is read."""
        if self.stream.in_events and not self._given_up:
            motors, row = self.choice.motors, int(doc["seq_num"]) - 1
            data: Mapping[str, float] = doc.get("data", {})
            self._events[row] = {k: float(data[k]) for k in motors if k in data}

    def take_other_event(self, doc: Document) -> None:
        """Keep where a motor of the plan was in a line of a map, told line by line.

        And note frame reports, which have been printed when they come.
        """
        data: Mapping[str, float] = doc.get("data", {})
        for name, stats in self.stats.items():
            stats.reported = stats.reported or f"{name}-report-written" in data
        if self.choice.shape is None:
            return
        for name in belonging_to_motors(self.start, data):
            lines = self.line_positions.setdefault(name, [])
            if len(lines) < self.choice.shape[0]:
                lines.append(float(data[name]))

    def count(self, arrived: float) -> None:
        """Count what was announced.

        Args:
            arrived: When the latest rows were, seconds since 1970; 0 if none were.
        """
        for name, keys in self.stream.detectors.items():
            stats = self.stats[name]
            rows = self.stream.rows_of(keys)
            grew, stats.frames = rows > stats.frames, rows
            if not stats.path and rows:
                self._describe(stats, keys)
            if grew and arrived and not stats.hardware_time:
                self._meters[name].mark(rows - 1, arrived)
                self._tell_rate(name)

    def _describe(self, stats: FlyStats, keys: list[str]) -> None:
        resource = self.stream.resource(keys[0])
        if resource is None:
            return
        uri = resource.uri
        local = "file://localhost/"
        stats.path = uri[len(local) - 1 :] if uri.startswith(local) else uri
        stats.bytes_per_row = sum(_row_bytes(self.stream.keys[key]) for key in keys)

    def _tell_rate(self, name: str) -> None:
        stats, meter = self.stats[name], self._meters[name]
        stats.rate_now, stats.rate_mean = meter.now, meter.mean
        # n rows take n periods, of which n - 1 are between the first and the last
        one = 1 / meter.mean if meter.mean else 0.0
        stats.seconds = meter.seconds + one

    def read(self, arrived: float, last: bool = False) -> Block | None:
        """Read on.

        Args:
            arrived: When the latest rows were announced, seconds since 1970.
            last: Whether nothing more is to come, so that there is no point in waiting.

        Returns:
            The next rows; None if there are none, or none that can be read.
        """
        wanted = self.choice.wanted
        clock = self.choice.clock
        stop = self.stream.rows_of([*wanted, clock] if clock else wanted)
        stop = min(stop, self._read_to + MOST_ROWS, self._events_to(last))
        if self._given_up or stop <= self._read_to:
            return None
        try:
            block = self._reader.read(self.stream, wanted, clock, self._read_to, stop)
        except NotYetThere as error:
            self._short += 1
            if self._short >= PATIENCE or last:
                self._give_up(error)
            return None
        except BeamflyError as error:
            self._give_up(error)
            return None
        self._short, self._read_to = 0, stop
        self._measure(block, arrived)
        return block

    def _events_to(self, last: bool) -> int:
        """The row up to which events have come, in a stream that has some."""
        if not self.stream.in_events or last:
            return self.stream.rows
        row = self._read_to
        while row in self._events:
            row += 1
        return row

    def motors(self, block: Block) -> dict[str, Floats]:
        """Positions of motors for these rows, from events, which it then forgets."""
        rows = [self._events.pop(row, {}) for row in range(block.start, block.stop)]
        return {
            key: np.array([row.get(key, np.nan) for row in rows])
            for key in self.choice.motors
        }

    def _give_up(self, error: BeamflyError) -> None:
        self._given_up = True
        self._events.clear()
        self._say(f"{error}; showing counts only")

    def _measure(self, block: Block, arrived: float) -> None:
        for name, stats in self.stats.items():
            stats.unread = max(0, stats.frames - block.stop)
            if self._has_clock(name) and block.times is not None:
                if not stats.hardware_time:  # no more mixing of two clocks
                    self._meters[name], stats.hardware_time = RateMeter(), True
                self._meters[name].add(block.start, block.times)
                self._tell_rate(name)
                self._lag.add(float(block.times[-1]), arrived)
                stats.backlog_s = self._lag.seconds
                self._gaps[name].add(block.start, block.times, self._breaks)
                self._tell_gaps(name, "gaps in time")
            elif self._numbered[name]:
                self._count_numbers(name, block)

    def _count_numbers(self, name: str, block: Block) -> None:
        """Compare the numbers that a camera gave its frames, if its file has them."""
        key = self.stream.detectors[name][0]
        numbers = self._reader.frame_numbers(self.stream, key, block.start, block.stop)
        if numbers is None:
            self._numbered[name] = False
            return
        self._gaps[name].add(block.start, numbers, self._breaks)
        self._tell_gaps(name, "frame numbers")

    def _tell_gaps(self, name: str, source: str) -> None:
        gaps, stats = self._gaps[name], self.stats[name]
        if gaps.period is None:
            stats.breaks = gaps.where
        elif gaps.skipped:
            stats.missed_by[source] = gaps.skipped
            stats.places = gaps.where

    def look_at_runs(self) -> None:
        """See what files say of acquisitions: what was lost before, how they end."""
        for name, keys in self.stream.detectors.items():
            try:
                runs = self._reader.runs(self.stream, keys[0])
            except BeamflyError:
                continue  # said when rows were read
            stats = self.stats[name]
            if missed := sum(run.missed for run in runs):
                stats.missed_by["before the start"] = missed
            if runs:
                stats.end_reason = runs[-1].reason
                if self._has_clock(name):
                    self._breaks = tuple(run.first_row for run in runs)

    def land(self, stop: Document) -> None:
        """The run has stopped: see what is missing in the end."""
        self.look_at_runs()
        for stats in self.stats.values():
            if stats.expected is not None and stats.frames < stats.expected:
                short = stats.expected - stats.frames
                stats.missed_by["not taken"] = short


def _row_bytes(key: Document) -> int:
    shape = [n for n in key.get("shape") or () if isinstance(n, int)]
    try:
        size = np.dtype(str(key.get("dtype_numpy", "<f8"))).itemsize
    except TypeError:
        size = 8
    return size * int(np.prod(shape, dtype=np.int64))
