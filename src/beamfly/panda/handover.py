"""Rows on their way from the thread that reads a socket to the one that writes a file.

They travel in sets: memory for so many rows of every column. The reader converts frames
into one set after the other, the writer takes rows out in order, and sets that are
empty are used again, the last one first, while it is in the processor's cache. When the
writer is behind there are more sets, up to a limit; then the reader waits, so that the
socket fills up and the PandA waits in turn: nothing grows. Between rows stand marks:
where an acquisition starts, where it ends, where something failed.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from beamfly.panda.columns import Block, ColumnPlan
from beamfly.panda.responses import EndData, StartData

SET_BYTES = 1 << 20
"""Bytes in a set at least: threads that wake each other more often do little else."""
MOST_BYTES = 1 << 25
"""Bytes in all sets at most; a disk may pause for as long as they take to fill."""
FEWEST_SETS = 3
"""Sets that there may be, however large: one filled, one written, one between."""
_SPARE = 4
"""Empty sets that are kept; more are given back to the system."""
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
    """Sets of rows and the marks between them; one thread puts, one thread takes.

    Args:
        chunk_rows: Rows in one chunk of the file; a set has a multiple of it.
        eager: Whether the writer takes rows as they come, not just whole sets.
        apart: Whether each acquisition starts a set of its own.
    """

    def __init__(
        self, chunk_rows: int, *, eager: bool = False, apart: bool = False
    ) -> None:
        self._chunk = chunk_rows
        self._eager, self._apart = eager, apart
        self._change = threading.Condition()
        self._layout: object = None
        self._marks: deque[Mark] = deque()
        self._full: deque[Block] = deque()  # sets with rows to be taken, and the last
        self._spare: list[Block] = []
        self._rows_per_set = chunk_rows
        self._most = FEWEST_SETS
        self._base = 0  # row that stands first in a set
        self._idle = False  # the writer sleeps until there is anything at all
        self._waiting = False  # the reader sleeps until the writer is further
        self._given_up = False
        self.received = 0
        """Rows put in, of all acquisitions."""
        self.written = 0
        """Rows taken out and done with."""
        self.stalls = 0
        """Times that the reader found all sets full."""
        self.stalled = 0.0
        """Seconds that it waited in all."""

    # the reader's side

    def start(self, start: StartData, plan: ColumnPlan) -> None:
        """Mark the start of an acquisition; waits if its rows need other sets.

        Raises:
            Stopped: The writer has given up.
        """
        with self._change:
            if self._apart or plan.layout != self._layout:
                # rows must be out before the next can stand first in a set
                while self._marks or self.written < self.received:
                    self._sleep()
                self._base = self.received
                self._spare += self._full
                self._full.clear()
            if plan.layout != self._layout:
                self._layout = plan.layout
                self._spare.clear()
                row_bytes = sum(dtype.itemsize * count for dtype, count in plan.layout)
                chunks = -(-SET_BYTES // (self._chunk * row_bytes))
                self._rows_per_set = chunks * self._chunk
                set_bytes = self._rows_per_set * row_bytes
                self._most = max(FEWEST_SETS, MOST_BYTES // set_bytes)
            self._put(Mark(self.received, start, plan))

    def put(self, plan: ColumnPlan, frame: npt.NDArray[Any]) -> None:
        """Convert the samples of a frame into sets, and wait while all are full.

        Raises:
            Stopped: The writer has given up.
        """
        done = 0
        while done < len(frame):
            at = (self.received - self._base) % self._rows_per_set
            try:
                block = self._full[-1] if at else self._next_set(plan)
            except IndexError:
                # the writer has given up, and the sets with it
                raise Stopped from None
            room = min(self._rows_per_set - at, len(frame) - done)
            # these rows are nobody else's until `received` counts them
            plan.convert(frame[done : done + room], block, at)
            done += room
            self.received += room
            if at + room == self._rows_per_set or self._idle:
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
            self._sleep()
        if self._given_up:
            raise Stopped
        self._marks.append(mark)
        self._change.notify_all()

    def _next_set(self, plan: ColumnPlan) -> Block:
        """An empty set, which is the last of the full ones from now on."""
        with self._change:
            if not self._spare and len(self._full) >= self._most:
                began = time.monotonic()
                self.stalls += 1
                while not self._spare:
                    self._sleep()
                self.stalled += time.monotonic() - began
            if self._given_up:
                raise Stopped
            if not self._spare:
                self._spare.append(plan.make_block(self._rows_per_set))
            self._full.append(self._spare.pop())
            return self._full[-1]

    def _sleep(self) -> None:
        """The reader waits for the writer; Stopped if that has given up."""
        if self._given_up:
            raise Stopped
        self._waiting = True
        self._change.wait()
        self._waiting = False

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
                        at = (self.written - self._base) % self._rows_per_set
                        return Rows(self._full[0].rows(at, at + count), count)
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
        to_edge = self._rows_per_set - (self.written - self._base) % self._rows_per_set
        if rows >= to_edge:
            return to_edge
        overdue = due is not None and time.monotonic() >= due
        return rows if overdue or self._marks or self._eager else 0

    def release(self, item: Mark | Rows) -> None:
        """Done with what was taken; its memory may be written again."""
        with self._change:
            if isinstance(item, Mark):
                self._marks.popleft()
            else:
                self.written += item.count
                if not (self.written - self._base) % self._rows_per_set:
                    self._recycle(self._full.popleft())
            if self._waiting:
                self._change.notify_all()

    def _recycle(self, block: Block) -> None:
        if len(self._spare) < _SPARE:
            self._spare.append(block)

    def give_up(self) -> None:
        """Nothing more will be taken: `put`, `start` and `mark` raise Stopped."""
        with self._change:
            self._given_up = True
            self._full.clear()
            self._spare.clear()
            self._change.notify_all()
