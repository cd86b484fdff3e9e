"""Documents with the values from the files put into them: `documents(fill=True)`.

What was written by hardware comes out as if it had been read event by event, so that
any callback (a table, a plot, an exporter) can be run on it afterwards.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from beamfly.catalog.clock import clock_field
from beamfly.catalog.file_columns import FileColumn
from beamfly.catalog.jsonl import Document
from beamfly.catalog.values import Array

if TYPE_CHECKING:
    from beamfly.catalog.run import Run

ROWS_PER_PAGE = 1000
"""The most rows that one event_page holds."""

_ABOUT_FILES = {"stream_resource", "stream_datum"}


def filled(
    run: "Run", documents: Iterable[tuple[str, Document]]
) -> Iterator[tuple[str, Document]]:
    """Fill the documents of a run.

    An event gets the values of its row. Rows of a stream without events come as
    event_page documents before the stop document (at the end, if there is none), with
    the time at which a PandA says they were taken, or else that of their descriptor.

    Raises:
        CatalogError: A data file is missing or cannot be read.
    """
    with ExitStack() as stack:
        streams = {name: _Filler(run, name, stack) for name in run}
        by_descriptor = {
            descriptor["uid"]: filler
            for filler in streams.values()
            for descriptor in filler.descriptors
        }
        ended = False
        for name, doc in documents:
            if name == "stop":
                ended = True
                yield from _all_pages(streams)
            if name == "event":
                by_descriptor[doc["descriptor"]].fill(doc)
            if name not in _ABOUT_FILES:
                yield name, doc
        if not ended:
            yield from _all_pages(streams)


def _all_pages(streams: dict[str, "_Filler"]) -> Iterator[tuple[str, Document]]:
    for filler in streams.values():
        for page in filler.pages():
            yield "event_page", page


class _Filler:
    """Fills the documents of one stream."""

    def __init__(self, run: "Run", name: str, stack: ExitStack):
        record = run.record().streams[name]
        files = stack.enter_context(run.data_files())
        self.descriptors = record.descriptors
        self._has_events = bool(record.times)
        self._columns = {
            key: FileColumn(key, record.data_keys[key], source, files)
            for key, source in record.external.items()
        }
        clock = clock_field(record.data_keys)
        self._clock = self._columns.get(clock) if clock else None
        self._rows = {key: _rows(column) for key, column in self._columns.items()}

    def fill(self, event: Document) -> None:
        """Put the values of this event's row into it."""
        for key, rows in self._rows.items():
            row = rows.get(event["seq_num"], -1)
            there = 0 <= row < len(self._columns[key])
            event.setdefault("filled", {})[key] = there
            if there:
                event["data"][key] = _plain(self._columns[key][row])
                event["timestamps"][key] = event["time"]

    def pages(self) -> Iterator[Document]:
        """Make the pages of a stream that has no events."""
        if self._has_events or not self._columns:
            return
        count = min(len(column) for column in self._columns.values())
        for start in range(0, count, ROWS_PER_PAGE):
            yield self._page(start, min(start + ROWS_PER_PAGE, count))

    def _page(self, start: int, stop: int) -> Document:
        rows, descriptor = stop - start, self.descriptors[-1]
        taken = self._clock.times(start, stop) if self._clock is not None else None
        times = [descriptor["time"]] * rows if taken is None else taken.tolist()
        return {
            "descriptor": descriptor["uid"],
            "uid": [str(uuid.uuid4()) for _ in range(rows)],
            "seq_num": list(range(start + 1, stop + 1)),
            "time": times,
            "data": {
                key: list(map(_plain, column[start:stop]))
                for key, column in self._columns.items()
            },
            "timestamps": dict.fromkeys(self._columns, times),
            "filled": {key: [True] * rows for key in self._columns},
        }


def _rows(column: FileColumn) -> dict[int, int]:
    numbers = column.seq_nums
    found: Iterable[int] = range(1, len(column) + 1)
    if numbers is not None:
        found = (int(number) for number in numbers)
    return {number: row for row, number in enumerate(found)}


def _plain(value: Array) -> Any:
    return value.item() if value.ndim == 0 else value
