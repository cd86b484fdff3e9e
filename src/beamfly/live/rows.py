"""Reading the rows that were announced: `RowReader` gives them as a `Block`.

Files are opened for each block and closed after it, so what is seen is what their
writer had flushed by then, be it in this process or in another one.
"""

import errno
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.catalog.clock import row_times
from beamfly.catalog.datafiles import DataFinder, path_of
from beamfly.catalog.file_columns import HDF5, layout
from beamfly.catalog.segments import Resource
from beamfly.errors import BeamflyError, CatalogError, HdfError
from beamfly.hdf.layout import Run
from beamfly.hdf.reading import DatasetReader
from beamfly.live.announced import FlownStream, pieces

Floats = npt.NDArray[np.float64]
UNIQUE_ID = "/entry/instrument/NDAttributes/NDArrayUniqueId"
"""Where an areaDetector file writer counts the frames that the camera took."""


class NotYetThere(HdfError):
    """A file has fewer rows than were announced, so they were not read."""


@dataclass(frozen=True)
class Block:
    """Rows of a stream that were read together."""

    start: int
    """Number of the first one, from 0."""
    stop: int
    """Number of the one after the last."""
    values: Mapping[str, Floats]
    """Data key -> its values, shape (rows,); the mean where a row is several frames."""
    times: Floats | None
    """When each row was taken, seconds since 1970, shape (rows,); None if no hardware
    says so."""

    def __len__(self) -> int:
        return self.stop - self.start


class _Files:
    """Files that are open for one block."""

    def __init__(self, stack: ExitStack, finder: DataFinder) -> None:
        self._stack, self._finder = stack, finder
        self._open: dict[Path, DatasetReader] = {}

    def open(self, resource: Resource) -> DatasetReader:
        if resource.mimetype != HDF5 or resource.unread:
            what = ", ".join(resource.unread) or resource.mimetype
            msg = (
                f"{resource.data_key} is in {resource.uri} in a way not known ({what})"
            )
            raise HdfError(msg)
        path = path_of(resource.uri)
        if path is None:
            raise HdfError(f"{resource.uri} is no file of this machine")
        if not path.exists():
            path = self._elsewhere(resource, path)
        if path not in self._open:
            self._open[path] = self._stack.enter_context(DatasetReader(path))
        return self._open[path]

    def _elsewhere(self, resource: Resource, path: Path) -> Path:
        try:
            return self._finder.find(resource.uri, None, path)
        except CatalogError:
            raise HdfError(f"cannot read {path} here: there is no such file") from None


class RowReader:
    """Reads rows of flown streams.

    Args:
        root_map: Where directories are on this machine, by where documents say they
            are; see `Catalog`.
    """

    def __init__(self, root_map: Mapping[str, str | Path] | None = None) -> None:
        self._finder = DataFinder(root_map)

    def read(
        self,
        stream: FlownStream,
        names: Sequence[str],
        clock: str | None,
        start: int,
        stop: int,
    ) -> Block:
        """Read some fields of the rows from `start` to `stop`.

        Args:
            stream: Which has announced them.
            names: Data keys.
            clock: Data key that tells the time, None if there is none.
            start: First row.
            stop: The row after the last one.

        Raises:
            NotYetThere: A file does not have them all; another time it may.
            HdfError: A file cannot be read; says what to do about locks.
        """
        try:
            with ExitStack() as stack:
                files = _Files(stack, self._finder)
                values = {
                    name: _read(files, stream, name, start, stop) for name in names
                }
                times = _times(files, stream, clock, start, stop)
        except BeamflyError as error:
            raise _explained(error) from error
        return Block(start, stop, values, times)

    def frame_numbers(
        self, stream: FlownStream, key: str, start: int, stop: int
    ) -> Floats | None:
        """Numbers that a camera gave the frames of these rows, shape (rows,).

        Returns:
            None if the file of this field has none.
        """
        parts: list[Floats] = []
        with ExitStack() as stack:
            files = _Files(stack, self._finder)
            for resource, low, high in pieces(stream.fields[key], start, stop):
                try:
                    found: Any = files.open(resource).read(UNIQUE_ID, low, high)
                except BeamflyError:
                    return None
                if len(found) < high - low:
                    return None
                parts.append(found.astype(float))
        return np.concatenate(parts) if parts else None

    def runs(self, stream: FlownStream, key: str) -> list[Run]:
        """What the file of a field says of acquisitions; empty if it says nothing.

        Raises:
            HdfError: It cannot be read.
        """
        resource = stream.resource(key)
        if resource is None:
            return []
        try:
            with ExitStack() as stack:
                return _Files(stack, self._finder).open(resource).runs
        except BeamflyError as error:
            raise _explained(error) from error


def _explained(error: BeamflyError) -> HdfError:
    text = str(error).rstrip(".")
    locked = isinstance(error.__cause__, OSError) and (
        error.__cause__.errno == errno.EAGAIN or "lock" in text
    )
    if locked:
        text += "; set HDF5_USE_FILE_LOCKING=FALSE before Python starts"
    return error if isinstance(error, NotYetThere) else HdfError(text)


def _rows_of(
    files: _Files, resource: Resource, declared: Sequence[int | None], stop: int
) -> tuple[DatasetReader, int]:
    """Open the file of rows up to `stop`; also how many of its rows are one of ours."""
    reader = files.open(resource)
    shape = reader.shape(resource.dataset)
    each = layout(shape, declared)[0] if shape else 1
    if not shape or shape[0] < stop * each:
        held = shape[0] // each if shape else 0
        msg = f"{reader.path} has {held} of {stop} rows of {resource.data_key}"
        raise NotYetThere(msg)
    return reader, each


def _read(
    files: _Files, stream: FlownStream, name: str, start: int, stop: int
) -> Floats:
    declared: Sequence[int | None] = stream.keys[name].get("shape") or []
    parts: list[Floats] = [np.empty(0)]
    for resource, low, high in pieces(stream.fields[name], start, stop):
        reader, each = _rows_of(files, resource, declared, high)
        found: Any = reader.read(resource.dataset, low * each, high * each)
        parts.append(found.astype(float).reshape(high - low, -1).mean(axis=1))
    return np.concatenate(parts)


def _times(
    files: _Files, stream: FlownStream, clock: str | None, start: int, stop: int
) -> Floats | None:
    if clock is None:
        return None
    declared: Sequence[int | None] = stream.keys[clock].get("shape") or []
    parts: list[Floats] = []
    for resource, low, high in pieces(stream.fields[clock], start, stop):
        reader, each = _rows_of(files, resource, declared, high)
        times = row_times(reader, resource.dataset, low * each, high * each)
        if times is None or len(times) != (high - low) * each:
            return None
        parts.append(times[::each])
    return np.concatenate(parts) if parts else None
