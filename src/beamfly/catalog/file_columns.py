"""Fields whose values are in HDF5 files, as columns.

A `FileColumn` knows from the run's documents which rows of which datasets are its
events; it opens a file when a row of it is asked for, and gives what was announced and
is there.
"""

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beamfly.catalog.clock import row_times
from beamfly.catalog.columns import Column
from beamfly.catalog.datafiles import DataFinder
from beamfly.catalog.jsonl import Document
from beamfly.catalog.segments import ExternalField, Resource, Segment
from beamfly.catalog.values import Array, declared_dtype, event_shape
from beamfly.errors import CatalogError, HdfError
from beamfly.hdf.reading import DatasetReader

HDF5 = "application/x-hdf5"
"""The kind of data file that is read here."""


class DataFiles:
    """Opens the data files of one run, and closes them at the end of a `with` block.

    Within such a block a file that holds many fields is opened once. Without, each
    read opens and closes what it needs.
    """

    def __init__(self, run_file: Path, finder: DataFinder):
        """Keep what is needed.

        Args:
            run_file: The file with the run's documents.
            finder: Knows where the data files are.
        """
        self.run_file = run_file
        self._finder = finder
        self._kept: ExitStack | None = None
        self._open: dict[Path, DatasetReader] = {}

    def __enter__(self) -> "DataFiles":
        self._kept = ExitStack()
        return self

    def __exit__(self, *error: object) -> None:
        stack, self._kept = self._kept, None
        self._open.clear()
        if stack is not None:
            stack.close()

    def open(self, resource: Resource, stack: ExitStack) -> DatasetReader:
        """Open the file of a resource, until the stack or the `with` block ends.

        Raises:
            CatalogError: There is no such file, or it is of a kind not read here.
            HdfError: It cannot be opened.
        """
        if resource.mimetype != HDF5 or resource.unread:
            what = ", ".join(resource.unread) or resource.mimetype
            raise CatalogError(
                f"The field {resource.data_key} of the run in {self.run_file} was not "
                f"read: its values are in {resource.uri} in a way not known here "
                f"({what})."
            )
        path = self._finder.find(resource.uri, resource.beside, self.run_file)
        if self._kept is None:
            return stack.enter_context(DatasetReader(path))
        if path not in self._open:
            self._open[path] = self._kept.enter_context(DatasetReader(path))
        return self._open[path]


class FileColumn(Column):
    """A field whose values are in HDF5 files."""

    def __init__(
        self, name: str, key: Document, source: ExternalField, files: DataFiles
    ):
        """Keep where the values are; nothing is opened yet."""
        super().__init__(name, key)
        self._segments = list(source.segments)
        self._seq_nums = source.seq_nums
        self._files = files
        self._known: tuple[tuple[int, ...], np.dtype[Any]] | None = None

    @property
    def seq_nums(self) -> "np.ndarray[Any, np.dtype[np.int64]] | None":
        """The number of each announced event; None if they were not numbered."""
        return self._seq_nums

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, events first: those which were announced and are in the file.

        Raises:
            CatalogError: A file is missing or cannot be read.
        """
        return self._extent()[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values in the file."""
        return self._extent()[1]

    def _extent(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        if self._known is None:
            with ExitStack() as stack:
                parts = [self._open(segment, stack) for segment in self._segments]
            self._known = self._join(parts)
        return self._known

    def _join(self, parts: "list[_Part]") -> tuple[tuple[int, ...], np.dtype[Any]]:
        if not parts:  # nothing announced yet
            dtype = declared_dtype(self.key) or np.dtype(float)
            return (0, *event_shape(self.key)), dtype
        events = 0
        for part in parts:
            events += part.available
            if part.available < part.segment.events:
                break  # what comes after a gap would be taken for other events
        if any(part.event_shape != parts[0].event_shape for part in parts):
            raise CatalogError(
                f"The field {self.name} of the run in {self._files.run_file} was not "
                "read: its shape changes from file to file."
            )
        dtype = np.result_type(*{part.dtype for part in parts})
        return (events, *parts[0].event_shape), dtype

    def rows(self, start: int, stop: int) -> Array:
        """Read the events from `start` to `stop` from the files that hold them."""
        shape, dtype = self._extent()
        found = np.empty((stop - start, *shape[1:]), dtype)
        with self._named_errors():
            for at, part, low, high in self._pieces(start, stop):
                found[at : at + high - low] = part.read(low, high)
        return found

    def times(self, start: int, stop: int) -> Array | None:
        """Tell when the events from `start` to `stop` were taken, by this field.

        Returns:
            Seconds since 1970; None if the field is no clock, or its files do not say
            when they were begun.
        """
        found = np.empty(stop - start)
        with self._named_errors():
            for at, part, low, high in self._pieces(start, stop):
                times = part.times(low, high)
                if times is None:
                    return None
                found[at : at + high - low] = times
        return found

    def _pieces(self, start: int, stop: int) -> "Iterator[tuple[int, _Part, int, int]]":
        """Open the files that hold these events, one after the other.

        Yields:
            How many of the events came before, the part, and which of its events.
        """
        passed = 0
        for segment in self._segments:
            low, high = max(start, passed), min(stop, passed + segment.events)
            if low < high:
                with ExitStack() as stack:
                    part = self._open(segment, stack)
                    yield low - start, part, low - passed, high - passed
            passed += segment.events

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except HdfError as error:
            raise CatalogError(
                f"The field {self.name} of the run in {self._files.run_file} was not "
                f"read: {error}"
            ) from error

    def _open(self, segment: Segment, stack: ExitStack) -> "_Part":
        dataset = segment.resource.dataset
        with self._named_errors():
            reader = self._files.open(segment.resource, stack)
            shape, dtype = reader.shape(dataset), reader.dtype(dataset)
        if not shape:
            raise CatalogError(
                f"The field {self.name} of the run in {self._files.run_file} was not "
                f"read: {dataset} in {segment.resource.uri} is one value, not rows."
            )
        count, event_shape = layout(shape, self.key.get("shape", []))
        return _Part(segment, reader, shape, dtype, count, event_shape)


@dataclass(frozen=True)
class _Part:
    """A segment with its file open."""

    segment: Segment
    reader: DatasetReader
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rows_per_event: int
    event_shape: tuple[int, ...]

    @property
    def available(self) -> int:
        """Number of announced events that the file holds."""
        return self.segment.available(self.shape[0] // self.rows_per_event)

    def times(self, start: int, stop: int) -> Array | None:
        """Tell when events of this segment were taken: each at its first row."""
        each, dataset = self.rows_per_event, self.segment.resource.dataset
        found: list[Array] = []
        for low, high in self.segment.rows(start, stop):
            times = row_times(self.reader, dataset, low * each, high * each)
            if times is None or times.shape != (high * each - low * each,):
                return None
            found.append(times[::each])
        return np.concatenate(found)

    def read(self, start: int, stop: int) -> Array:
        """Read events of this segment."""
        each = self.rows_per_event
        parts = [
            self.reader.read(self.segment.resource.dataset, low * each, high * each)
            for low, high in self.segment.rows(start, stop)
        ]
        return np.concatenate(parts).reshape(stop - start, *self.event_shape)


def layout(
    stored: tuple[int, ...], declared: Sequence[int | None]
) -> tuple[int, tuple[int, ...]]:
    """Tell how events lie in a dataset.

    Args:
        stored: The shape of the dataset.
        declared: The shape of one event in the descriptor; with several collections
            per event the first number counts them.

    Returns:
        The number of rows that make up one event, and the shape of an event. A shape
        of `[1]` is a plain number. Where the declaration does not fit the file, the
        file is right: one row is one event.
    """
    row = stored[1:]
    if not all(isinstance(n, int) for n in declared):  # None: of any length
        return 1, row
    event = tuple(n for n in declared if n is not None)
    wanted = () if math.prod(event) == 1 and len(event) < 2 else event
    if _squeezed(row) == _squeezed(event):
        return 1, wanted
    if event and event[0] > 1 and _squeezed(row) == _squeezed(event[1:]):
        return event[0], wanted
    return 1, row


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
