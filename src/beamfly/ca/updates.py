"""Updates of monitors: parsed in runs, whatever their types, and called back at once.

What servers send most is updates with one element of a TIME type. All of them start
alike: header, alarm, time stamp; only what follows differs. So a run of them, types in
any order, is one job: a few are unpacked message by message, many are taken apart as
columns by numpy, see `beamfly.ca.runs`. Callbacks come in the order of the messages.
Types without metadata have a simpler lane.

A server may leave out the NULs at the end of a string, so a string has several sizes.
"""

import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from beamfly.ca.columns import Columns
from beamfly.ca.dbr import STRING_BYTES, Dbr, Family, layout, padded, promote
from beamfly.ca.header import HEADER_BYTES, SHAPE, shape
from beamfly.ca.message import Command
from beamfly.ca.readings import EPOCH_NS, NANO, readable, scalar_record

LONG_BYTES = 8 * 1024
"""Runs from which numpy is faster than struct."""
_LONG = 200
"""How many messages that is."""
MOST_BYTES = 160 * 1024
"""What is taken apart at once: callbacks may take a while."""
SMALLEST = HEADER_BYTES + 16
"""Bytes of the shortest update."""
LARGEST = HEADER_BYTES + 56
"""Bytes of the longest update."""

Sink = Callable[..., object]
"""Called with a reading, see `beamfly.ca.readings`."""
Row = tuple[Any, ...]
"""First eight bytes as a number, status, subscription number, then as on the wire."""
Unpack = Callable[[memoryview, int], Row]
Rows = Callable[[memoryview], Iterator[Row]]
_PROBES = (1, 4)
"""Messages ahead that are looked at, to tell a run of one type from types in turn."""


class Sinks(dict[int, Sink]):
    """Subscription number -> callback; unknown numbers are ignored."""

    def __missing__(self, number: int) -> Sink:
        return _ignore


def _ignore(*reading: Any) -> None:
    """An update for a subscription that is gone."""


class EventLane:
    """Updates with one element of any TIME type."""

    def __init__(
        self,
        sinks: Sinks,
        failed: Callable[[int, Exception], object],
        columns: Columns,
    ) -> None:
        """Prepare.

        Args:
            sinks: Where updates go, by subscription number.
            failed: Told of the number and the exception when a callback raises.
            columns: Whether to use numpy.
        """
        self._kinds = kinds(Family.TIME)
        self.shapes = tuple(self._kinds)
        self._sinks = sinks
        self._failed = failed
        self._columns = columns
        self._alike = 0

    def __call__(self, view: memoryview, at: int, end: int) -> int:
        """Parse a run.

        As many bytes are looked at together as were alike before, or twice that: where
        other messages come in between, a look at all of the buffer for each run would
        take longer than the run.
        """
        if self._alike >= LONG_BYTES <= end - at and self._columns.ready(_LONG):
            from beamfly.ca import runs

            most = min(end, at + min(2 * self._alike, MOST_BYTES))
            after = runs.event_run(view, at, most, self._sinks, self._failed)
        else:
            after = self._few(view, self._equal(view, at, end), end)
        taken = after - at
        if taken > self._alike or end - after >= LARGEST:
            self._alike = taken
        return after

    def _equal(self, view: memoryview, at: int, end: int) -> int:
        """Messages of the type and size of the first, if there are some."""
        wanted = SHAPE.unpack_from(view, at)[0]
        rows, size = self._kinds[wanted][1:]
        for ahead in _PROBES:
            probe = at + ahead * size
            if probe > end - size or SHAPE.unpack_from(view, probe)[0] != wanted:
                return at
        count = min(end - at, LONG_BYTES) // size
        sinks = self._sinks
        for row in rows(view[at : at + count * size]):
            head, ok, number, status, severity, seconds, nanoseconds, value = row
            if head != wanted or ok != 1:
                break
            at += size
            try:
                sinks[number](
                    value, seconds * NANO + nanoseconds + EPOCH_NS, severity, status
                )
            except Exception as error:
                self._failed(number, error)
        return at

    def _few(self, view: memoryview, at: int, end: int) -> int:
        """Message by message."""
        kinds, sinks, peek = self._kinds, self._sinks, SHAPE.unpack_from
        last = min(end - SMALLEST, at + LONG_BYTES)
        while at <= last:
            kind = kinds.get(peek(view, at)[0])
            if kind is None:
                break
            unpack, _, size = kind
            if end - at < size:
                break
            row = unpack(view, at)
            _, ok, number, status, severity, seconds, nanoseconds, value = row
            if ok != 1:
                break
            at += size
            try:
                sinks[number](
                    value, seconds * NANO + nanoseconds + EPOCH_NS, severity, status
                )
            except Exception as error:
                self._failed(number, error)
        return at


class PlainLane:
    """Updates with one element of any type without metadata.

    `camonitor` asks for them unless it is told otherwise. Runs are of one type.
    """

    def __init__(
        self, sinks: Sinks, failed: Callable[[int, Exception], object]
    ) -> None:
        """Prepare; the arguments are those of `EventLane`."""
        self._kinds = kinds(Family.PLAIN)
        self.shapes = tuple(self._kinds)
        self._sinks = sinks
        self._failed = failed

    def __call__(self, view: memoryview, at: int, end: int) -> int:
        """Parse a run."""
        wanted = SHAPE.unpack_from(view, at)[0]
        rows, size = self._kinds[wanted][1:]
        count = min(end - at, LONG_BYTES) // size
        sinks = self._sinks
        for head, ok, number, value in rows(view[at : at + count * size]):
            if head != wanted or ok != 1:
                break
            at += size
            try:
                sinks[number](value)
            except Exception as error:
                self._failed(number, error)
        return at


@cache
def kinds(family: Family) -> dict[int, tuple[Unpack, Rows, int]]:
    """First eight bytes of an update -> how to unpack one, or many, and its bytes.

    Args:
        family: PLAIN or TIME.
    """
    found: dict[int, tuple[Unpack, Rows, int]] = {}
    for base in range(Dbr.SHORT, Dbr.DOUBLE + 1):
        code = promote(base, family)
        record = scalar_record(code)
        found[_shape(record.size, code)] = (
            *(record.unpack_from, record.iter_unpack),
            record.size,
        )
    row = layout(promote(Dbr.STRING, family))
    for payload in range(padded(row.offset + 1), padded(row.size(1)) + 1, 8):
        sent = min(payload - row.offset, STRING_BYTES)
        fill = payload - row.offset - sent
        record = struct.Struct(f">QII{row.prefix[1:]}{sent}s{fill}x")
        found[_shape(record.size, row.code)] = _text_kind(record)
    return found


def _shape(size: int, code: int) -> int:
    """First eight bytes of an update of so many bytes."""
    return shape(Command.EVENT_ADD, size - HEADER_BYTES, code, 1)


def _text_kind(record: struct.Struct) -> tuple[Unpack, Rows, int]:
    """How to unpack rows whose last item is text."""

    def unpack(view: memoryview, at: int) -> Row:
        *metadata, raw = record.unpack_from(view, at)
        return (*metadata, readable(raw))

    def rows(view: memoryview) -> Iterator[Row]:
        for *metadata, raw in record.iter_unpack(view):
            yield (*metadata, readable(raw))

    return unpack, rows, record.size
