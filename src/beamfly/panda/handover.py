"""Rows on their way from the thread that reads a socket to the one that writes a file.

A ring of rows of every column: the reader converts frames into it, the writer
takes rows out in order. When it is full the reader waits, so that the socket fills up
and the PandA waits in turn; nothing grows. Between rows stand marks: where an
acquisition starts, where it ends, where something failed.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from beamfly.panda.columns import Block, ColumnPlan
from beamfly.panda.responses import EndData, StartData

SETS = 5
"""Sets of rows in the ring: one is filled, one written, the rest for bad moments."""
SET_BYTES = 1 << 20
"""Bytes in a set at least: threads that wake each other more often do little else."""
_MARKS = 1024
"""Acquisitions that may be waiting, in case none of them has rows."""


@dataclass(frozen=True)
class Mark:
    """What stands between two rows."""

    row: int
    """Rows before it, of all acquisitions."""
    what: StartData | EndData | Exception | None
    """Header, end, failure of the reader; None: there is nothing more to come."""
    plan: ColumnPlan | None = None
    """How the acquisition's samples become columns; set at its start."""


@dataclass(frozen=True)
class Rows:
    """Rows that the writer may take; theirs is the memory until they are released."""

    columns: list[npt.NDArray[Any]]
    """One array per column."""
    count: int
    """How many rows."""


class Stopped(Exception):
    """The other side has given up; nothing more is wanted."""


class Handover:
    """The ring and its marks; one thread puts, one thread takes.

    Args:
        chunk_rows: Rows in one chunk.
        eager: Whether the writer takes rows as they come, not just whole sets.
        apart: Whether each acquisition starts a chunk of its own.
    """

    def __init__(
        self, chunk_rows: int, *, eager: bool = False, apart: bool = False
    ) -> None:
        self._chunk = chunk_rows
        self._eager, self._apart = eager, apart
        self._change = threading.Condition()
        self._block: Block | None = None
        self._layout: object = None
        self._marks: deque[Mark] = deque()
        self._set = chunk_rows  # rows that are handed over at once, if there are many
        self._size = SETS * chunk_rows
        self._base = 0  # row that stands first in the ring
        self._idle = False  # the writer sleeps until there is anything at all
        self._wanted = -1  # free rows for which the reader sleeps, -1: it does not
        self._given_up = False
        self.received = 0
        """Rows put in, of all acquisitions."""
        self.written = 0
        """Rows taken out and done with."""
        self.stalls = 0
        """Times that the reader found the ring full."""
        self.stalled = 0.0
        """Seconds that it waited in all."""

    # the reader's side

    def start(self, start: StartData, plan: ColumnPlan) -> None:
        """Mark the start of an acquisition; waits if its rows need another ring.

        Raises:
            Stopped: The writer has given up.
        """
        with self._change:
            other = self._block is None or plan.layout != self._layout
            if other or self._apart:
                # rows in the ring must be out before they are written over
                self._wait_until_empty()
            if other:
                self._make_ring(plan)
            self._put(Mark(self.received, start, plan))

    def _make_ring(self, plan: ColumnPlan) -> None:
        row_bytes = sum(dtype.itemsize * count for dtype, count in plan.layout)
        chunks = -(-SET_BYTES // (self._chunk * row_bytes))
        self._set = chunks * self._chunk
        self._size = SETS * self._set
        self._block, self._layout = plan.make_block(self._size), plan.layout

    def put(self, plan: ColumnPlan, frame: npt.NDArray[Any]) -> None:
        """Convert the samples of a frame into the ring, and wait while it is full.

        Raises:
            Stopped: The writer has given up.
        """
        block, done = self._block, 0
        if block is None:
            raise Stopped
        while done < len(frame):
            at = (self.received - self._base) % self._size
            room = min(self._room(), self._size - at, len(frame) - done)
            # these rows are nobody else's until `received` counts them
            plan.convert(frame[done : done + room], block, at)
            done += room
            before = self.received
            self.received += room
            rows, base = self._set, self._base
            crossed = (before - base) // rows != (self.received - base) // rows
            if crossed or self._idle:
                with self._change:
                    self._change.notify_all()

    def mark(self, what: EndData | Exception | None) -> None:
        """Mark an end or a failure.

        Raises:
            Stopped: The writer has given up.
        """
        with self._change:
            self._put(Mark(self.received, what))

    def _put(self, mark: Mark) -> None:
        while len(self._marks) >= _MARKS:
            self._sleep(0)
        if self._given_up:
            raise Stopped
        self._marks.append(mark)
        self._change.notify_all()

    def _room(self) -> int:
        """Free rows, at least one."""
        room = self._free()
        if room and not self._given_up:
            return room
        with self._change:
            began = time.monotonic()
            self.stalls += 1
            while self._free() < self._set:
                self._sleep(self._set)
            self.stalled += time.monotonic() - began
        return self._free()

    def _free(self) -> int:
        return self._size - (self.received - self.written)

    def _wait_until_empty(self) -> None:
        """Wait for the writer, and let the next row stand first in the ring."""
        while self._marks or self.written < self.received:
            self._sleep(0)
        self._base = self.received

    def _sleep(self, wanted: int) -> None:
        """The reader waits until so many rows are free; Stopped if they never will."""
        if self._given_up:
            raise Stopped
        self._wanted = wanted
        self._change.wait()
        self._wanted = -1

    # the writer's side

    def take(self, due: float | None) -> Mark | Rows | None:
        """Wait for a mark or for rows, and give them out until they are released.

        Rows come up to the end of a set; part of one comes before a mark, and once
        `due` has passed.

        Args:
            due: time.monotonic() until which to wait. None: for as long as nothing is
                there, not even one row.

        Returns:
            None when `due` has passed, or, without it, when part of a set is there.
        """
        with self._change:
            # said before looking, so that the reader cannot miss it
            self._idle = due is None
            try:
                while True:
                    if self._marks and self._marks[0].row == self.written:
                        return self._marks[0]
                    if count := self._ready(due):
                        return self._rows(count)
                    left = None if due is None else due - time.monotonic()
                    if self.received > self.written if left is None else left <= 0:
                        return None
                    self._change.wait(left)
            finally:
                self._idle = False

    def _ready(self, due: float | None) -> int:
        """Rows to take now: to a set's end, to a mark, or all that there are."""
        limit = self._marks[0].row if self._marks else self.received
        rows = limit - self.written
        to_edge = self._set - (self.written - self._base) % self._set
        if rows >= to_edge:
            return to_edge
        overdue = due is not None and time.monotonic() >= due
        return rows if overdue or self._marks or self._eager else 0

    def _rows(self, count: int) -> Rows:
        at = (self.written - self._base) % self._size
        columns = self._block.rows(at, at + count) if self._block else []
        return Rows(columns, count)

    def release(self, item: Mark | Rows) -> None:
        """Done with what was taken; its memory may be written again."""
        with self._change:
            if isinstance(item, Rows):
                self.written += item.count
            else:
                self._marks.popleft()
            if 0 <= self._wanted <= self._free():
                self._change.notify_all()

    def give_up(self) -> None:
        """Nothing more will be taken: `put`, `start` and `mark` raise Stopped."""
        with self._change:
            self._given_up = True
            self._block = None
            self._change.notify_all()
