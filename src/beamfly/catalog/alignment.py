"""Which rows of each field belong to the same event.

Normally row n of every field is event n, and all that is to be done is to cut them to
the shortest: in a run that is still going on, or that was killed, one field may be a
few rows ahead of another. Where a stream has events as well as files, and their
numbers differ (an event was dropped after its frame had been taken, or taken again
after a pause), rows are matched by number, and of several with the same number the
last one counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from beamfly.catalog.columns import Column
from beamfly.catalog.file_columns import FileColumn
from beamfly.catalog.values import Array

Rows = slice | Array
"""Rows to take of a column."""


@dataclass(frozen=True)
class Alignment:
    """The rows of a stream's fields that go together."""

    count: int
    """Number of rows after aligning."""
    of_events: Rows
    """The rows to take of what is in the events."""
    of_files: Mapping[str, Rows]
    """The rows to take of each field in files."""

    def rows(self, column: Column) -> Rows:
        """Tell which rows of this column go together with the others."""
        return self.of_files.get(column.name, self.of_events)

    def take(self, column: Column) -> Array:
        """Read the rows of this column that go together with the others."""
        rows = self.rows(column)
        if isinstance(rows, slice):
            return column[rows]
        low, high = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
        return column[low:high][rows - low]


def align(events: Array | None, columns: Mapping[str, FileColumn]) -> Alignment:
    """Find the rows that go together.

    Args:
        events: The numbers of the events, or None if the stream has none or none of
            the fields asked for is in them.
        columns: The fields that are in files.

    Raises:
        CatalogError: A file is missing or cannot be read.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if events is None:
        return _cut(min(lengths.values(), default=0), columns)
    count = min(len(events), *lengths.values()) if lengths else len(events)
    numbered = {
        name: column.seq_nums[: lengths[name]]
        for name, column in columns.items()
        if column.seq_nums is not None
    }
    if all(np.array_equal(each[:count], events[:count]) for each in numbered.values()):
        return _cut(count, columns)
    return _match(events, lengths, numbered)


def _cut(count: int, names: Mapping[str, Any]) -> Alignment:
    rows = slice(0, count)
    return Alignment(count, rows, dict.fromkeys(names, rows))


def _match(
    events: Array, lengths: Mapping[str, int], numbered: Mapping[str, Array]
) -> Alignment:
    """Match by number. A field without numbers is matched by its position."""
    found = {
        name: _last_rows(numbered.get(name, events[:length]))
        for name, length in lengths.items()
    }
    of_events = _last_rows(events)
    shared = sorted(set(of_events).intersection(*found.values()))
    pick = {
        name: np.array([rows[number] for number in shared], np.intp)
        for name, rows in found.items()
    }
    rows = np.array([of_events[number] for number in shared], np.intp)
    return Alignment(len(shared), rows, pick)


def _last_rows(numbers: Array) -> dict[int, int]:
    return {int(number): row for row, number in enumerate(numbers)}
