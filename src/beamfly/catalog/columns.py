"""The columns of a stream: one array per field, in the events or in files.

A column looks like an array (`shape`, `dtype`, slicing, `numpy.asarray`). One that is
in a file reads only the rows that are asked for: `column[100:110]` of an image stack
does not touch the rest.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np

from beamfly.errors import CatalogError, HdfError
from beamfly.hdf.reading import DatasetReader

from .datafiles import DataFinder
from .jsonl import Document
from .segments import ExternalField, Resource, Segment
from .values import Array, declared_dtype, event_array, event_shape

HDF5 = "application/x-hdf5"
"""The kind of data file that is read here."""


class Column(ABC):
    """One field of a stream: an array whose first axis is the event."""

    def __init__(self, name: str, key: Document):
        """Keep what is known.

        Args:
            name: The field.
            key: Its description, the data key of the descriptor.
        """
        self.name = name
        self.key = key

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape, events first."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""

    @abstractmethod
    def rows(self, start: int, stop: int) -> Array:
        """Read the events from `start` to `stop`, which must lie within the shape."""

    def read(self, slice: Any = None) -> Array:
        """Read the column, or a part of it."""
        return self[:] if slice is None else self[slice]

    def __getitem__(self, key: Any) -> Array:
        parts = cast("tuple[Any, ...]", key if isinstance(key, tuple) else (key,))
        first, rest = parts[0], parts[1:]
        count = len(self)
        if _is_range(first):
            start, stop, _ = first.indices(count)
            return self.rows(start, max(start, stop))[(slice(None), *rest)]
        if isinstance(first, Integral):
            number = int(first)
            row = number + (count if number < 0 else 0)
            if not 0 <= row < count:
                raise IndexError(
                    f"{self.name} has {count} events; there is no number {number}."
                )
            return self.rows(row, row + 1)[(0, *rest)]
        return self.rows(0, count)[key]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"<Column {self.name} shape={self.shape} dtype={self.dtype}>"


def _is_range(key: Any) -> "TypeGuard[slice[Any, Any, Any]]":
    return isinstance(key, slice) and cast("Any", key).step in (None, 1)


class EventColumn(Column):
    """A field whose values are in the events."""

    def __init__(self, name: str, key: Document, values: Sequence[Any]):
        """Keep the values, None where an event has none."""
        super().__init__(name, key)
        self._array = event_array(values, key)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, events first."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values; object for what does not fit one array."""
        return self._array.dtype

    def rows(self, start: int, stop: int) -> Array:
        """Give the events from `start` to `stop`."""
        return self._array[start:stop]


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
        passed = 0
        for segment in self._segments:
            low, high = max(start, passed), min(stop, passed + segment.events)
            if low < high:
                with ExitStack() as stack:
                    part = self._open(segment, stack)
                    found[low - start : high - start] = part.read(
                        low - passed, high - passed
                    )
            passed += segment.events
        return found

    def _open(self, segment: Segment, stack: ExitStack) -> "_Part":
        dataset = segment.resource.dataset
        try:
            reader = self._files.open(segment.resource, stack)
            shape, dtype = reader.shape(dataset), reader.dtype(dataset)
        except HdfError as error:
            raise CatalogError(
                f"The field {self.name} of the run in {self._files.run_file} was not "
                f"read: {error}"
            ) from error
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
