"""Fast lanes: runs of messages of the same shape, parsed at C speed.

Servers send thousands of messages whose first eight bytes (command, size, type, count)
are equal. A lane unpacks such a run with one precompiled format, the shape included, so
that the first message of another shape ends it. It calls back right there: no object,
no queue and no second look-up per message. Long runs of numbers go through numpy, see
`beamfly.ca.runs`. Updates of monitors, whose types alternate, have a lane of their own
in `beamfly.ca.updates`.

A lane is `lane(buffer, start, end) -> where it stopped`. Whatever it does not like (an
error status, a number it does not know) it leaves to the slow path, which says the same
thing more slowly: `tests/ca` checks that both agree.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from beamfly.ca.columns import Columns
from beamfly.ca.dbr import Dbr, Family, layout, padded
from beamfly.ca.header import SHAPE, shape
from beamfly.ca.message import Command
from beamfly.ca.readings import EPOCH_NS, NANO, readable, scalar_record

if TYPE_CHECKING:
    from beamfly.ca.pending import Pending

LONG_RUN = 96
"""Messages from which numpy is faster than struct."""
MOST = 4096
"""Messages that are unpacked at once: callbacks may take a while."""

Lane = Callable[[memoryview, int, int], int]


class SomeLane(Protocol):
    """What all lanes have."""

    shapes: tuple[int, ...]
    """First eight bytes of the messages it takes, as numbers."""

    def __call__(self, view: memoryview, at: int, end: int) -> int:
        """Parse a run, return where it stopped."""
        ...


class _Run:
    """How many messages are worth a look with numpy.

    Where types alternate there are no runs, and a look at thousands of messages for
    each would take a thousand times as long as the message. So a few that follow are
    looked at first, and only as many at once as were alike before, or twice that.
    """

    def __init__(self, first: int, size: int) -> None:
        """For messages of one shape: their first eight bytes, and their size."""
        self._first = first
        self._steps = [step * size for step in _PROBES]
        self._most = LONG_RUN

    def look(self, view: memoryview, at: int, count: int) -> int:
        """How many of so many messages to look at together, 0 if it is not worth it."""
        if count < LONG_RUN:
            return 0
        for step in self._steps:
            if SHAPE.unpack_from(view, at + step)[0] != self._first:
                return 0
        return min(count, self._most)

    def found(self, asked: int, alike: int) -> None:
        """So many were alike, of those that were looked at."""
        if alike == asked:
            self._most = min(2 * self._most, MOST)
        else:
            self._most = max(LONG_RUN, alike)


_PROBES = (1, 7, 31, 61, 95)
"""Messages ahead: runs of up to 32 in turn do not pass for one long run."""


class ReadLane:
    """Answers with one element of a plain or TIME type."""

    def __init__(
        self,
        code: Dbr,
        pending: "Pending",
        failed: Callable[[Exception], object],
        columns: Columns,
    ) -> None:
        """Prepare for one type.

        Args:
            code: The type.
            pending: Who is waiting; entries are removed when answered.
            failed: Told of the exception when a callback raises.
            columns: Whether to use numpy.
        """
        row = layout(code)
        self.shape = shape(Command.READ_NOTIFY, padded(row.size(1)), code, 1)
        self.shapes = (self.shape,)
        self._code = code
        self._pending = pending
        self._failed = failed
        self._columns = columns
        self._record = scalar_record(code)
        self._is_text = row.base is Dbr.STRING
        self._is_time = row.family is Family.TIME
        self._run = _Run(self.shape, self._record.size)

    def __call__(self, view: memoryview, at: int, end: int) -> int:
        """Parse a run."""
        record, pending = self._record, self._pending
        size = record.size
        count = (end - at) // size
        if count == 1:
            # as when who asks waits for the answer before the next question
            rows = iter((record.unpack_from(view, at),))
        else:
            count = min(count, MOST)
            rows = record.iter_unpack(view[at : at + count * size])
        if pending.bulks and not self._is_time:
            after = self._bulk(view, at, count)
            if after > at:
                return after
        wanted = self.shape
        for row in rows:
            if row[0] != wanted or row[1] != 1:
                break
            request = pending.pop(row[2], None)
            if request is None:
                break
            at += size
            value = readable(row[-1]) if self._is_text else row[-1]
            try:
                if self._is_time:
                    stamp = row[5] * NANO + row[6] + EPOCH_NS
                    request.on_value(value, stamp, row[4], row[3])
                else:
                    request.on_value(value)
            except Exception as error:
                self._failed(error)
        return at

    def _bulk(self, view: memoryview, at: int, count: int) -> int:
        """Answers with consecutive numbers for one who asked for many at once."""
        size = self._record.size
        several = 0 if self._is_text else self._run.look(view, at, count)
        if several and self._columns.ready(count):
            from beamfly.ca import runs

            bulks: list[Any] = self._pending.bulks
            after = runs.bulk_run(view, at, several, self._code, self.shape, bulks)
            self._run.found(several, (after - at) // size)
            if after > at:
                return after
        rows = self._record.iter_unpack(view[at : at + count * size])
        make = _texts if self._is_text else None
        return at + size * self._pending.take_run(self.shape, rows, make, self._failed)


def _texts(values: list[bytes]) -> list[str]:
    """Values of answers as they are handed on."""
    return [readable(raw) for raw in values]


class WriteLane:
    """Answers to writes of so many elements of a type."""

    _record = struct.Struct(">QII")

    def __init__(
        self,
        code: int,
        count: int,
        pending: "Pending",
        failed: Callable[[Exception], object],
    ) -> None:
        """Prepare for one type and count; the rest is as for `ReadLane`."""
        self.shape = shape(Command.WRITE_NOTIFY, 0, code, count)
        self.shapes = (self.shape,)
        self._pending = pending
        self._failed = failed

    def __call__(self, view: memoryview, at: int, end: int) -> int:
        """Parse a run."""
        pending = self._pending
        most = min((end - at) // 16, MOST)
        rows = self._record.iter_unpack(view[at : at + most * 16])
        if pending.bulks:
            taken = pending.take_run(self.shape, rows, _nothing, self._failed)
            if taken:
                return at + 16 * taken
            rows = self._record.iter_unpack(view[at : at + most * 16])
        for head, ok, number in rows:
            if head != self.shape or ok != 1:
                break
            request = pending.pop(number, None)
            if request is None:
                break
            at += 16
            try:
                request.on_value()
            except Exception as error:
                self._failed(error)
        return at


def _nothing(values: list[Any]) -> list[None]:
    """What a write is answered with."""
    return [None] * len(values)


class OpeningLane:
    """ACCESS_RIGHTS followed by the CREATE_CHAN of the same channel."""

    _record = struct.Struct(">QIIHHHHII")

    def __init__(self, opened: Callable[[int, int, int, int, int], bool]) -> None:
        """Prepare.

        Args:
            opened: Given cid, rights, sid, type and count; False to leave the pair to
                the slow path.
        """
        self.shape = shape(Command.ACCESS_RIGHTS, 0, 0, 0)
        self.shapes = (self.shape,)
        self._opened = opened

    def __call__(self, view: memoryview, at: int, end: int) -> int:
        """Parse a run."""
        most = min((end - at) // 32, MOST)
        pairs = self._record.iter_unpack(view[at : at + most * 32])
        for head, cid, rights, command, size, code, count, same, sid in pairs:
            if head != self.shape or command != Command.CREATE_CHAN:
                break
            if size or same != cid or not self._opened(cid, rights, sid, code, count):
                break
            at += 32
        return at
