"""Columns put together to one dataset, in which a row is one event.

Rows that belong together are found by `alignment`, the time of each row comes from the
events, or from a PandA's clock where there are none.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfly.catalog.alignment import Alignment, align
from beamfly.catalog.columns import Column
from beamfly.catalog.file_columns import FileColumn
from beamfly.catalog.record import StreamRecord
from beamfly.catalog.values import Array

if TYPE_CHECKING:
    import xarray

RESERVED = ("time", "seq_num")
"""Names that a dataset uses itself; a field of that name gets `_` appended."""
CHUNK_BYTES = 2**25
"""About how much of a field is read at a time when it is read as needed."""


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset is made of."""

    record: StreamRecord
    """What the stream's documents say."""
    columns: Mapping[str, Column]
    """The fields wanted."""
    clock: FileColumn | None
    """The field that tells the time where there are no events."""
    finished: str = ""
    """The run, if it has stopped: then files that lack rows are worth a warning."""

    def read(self) -> "xarray.Dataset":
        """Read everything into memory."""
        return self._assemble(Alignment.take)

    def read_as_needed(self) -> "xarray.Dataset":
        """Read now what is in the documents, the files when a value is asked for."""
        return self._assemble(_take_as_needed)

    def _assemble(self, take: Callable[[Alignment, Column], Any]) -> "xarray.Dataset":
        import xarray

        has_events = self._has_events()
        files = {n: c for n, c in self.columns.items() if isinstance(c, FileColumn)}
        clock = self.clock if files and not has_events else None
        if clock is not None:
            files.setdefault(clock.name, clock)
        numbers = np.asarray(self.record.seq_nums, dtype=np.int64)
        numbers = numbers[: len(self.record.times)]
        alignment = align(numbers if has_events else None, files)
        self._warn_of_cut(files, alignment.count)
        sizes: dict[str, int] = {"time": alignment.count}
        variables: dict[str, Any] = {}
        for name, column in self.columns.items():
            array = take(alignment, column)
            dims = _dims(column, array.shape[1:], sizes)
            free = f"{name}_" if name in RESERVED else name
            variables[free] = (("time", *dims), array)
        return xarray.Dataset(variables, {"time": self._times(alignment, clock)})

    def _times(self, alignment: Alignment, clock: FileColumn | None) -> Array:
        if self._has_events():
            return np.asarray(self.record.times, dtype=float)[alignment.of_events]
        times = None if clock is None else clock.times(0, alignment.count)
        return np.arange(alignment.count, dtype=float) if times is None else times

    def _has_events(self) -> bool:
        return bool(self.record.times) or any(
            not key.get("external") and name not in self.record.external
            for name, key in self.record.data_keys.items()
        )

    def _warn_of_cut(self, files: Mapping[str, FileColumn], count: int) -> None:
        sources = (self.record.external.get(name) for name in files)
        announced = max((each.events for each in sources if each), default=0)
        if count < announced and self.finished and not self.record.times:
            warnings.warn(
                f"{self.finished} announced {announced} rows in stream "
                f"{self.record.name}, but only {count} of them are in all of its "
                "files; the rest is left out.",
                stacklevel=5,
            )


def _take_as_needed(alignment: Alignment, column: Column) -> Any:
    if not isinstance(column, FileColumn):
        return alignment.take(column)
    array: Any = import_module("dask.array")  # it has no types to speak of
    shape, size = column.shape, column.dtype.itemsize
    row = int(np.prod(shape[1:], dtype=np.int64)) * size
    rows = max(1, min(CHUNK_BYTES // max(row, 1), shape[0]))
    lazy = array.from_array(column, chunks=(rows, *shape[1:]), name=False)
    return lazy[alignment.rows(column)]


def _dims(
    column: Column, inner: tuple[int, ...], sizes: dict[str, int]
) -> tuple[str, ...]:
    """Name the dimensions as declared, unless another field uses these differently."""
    dims = tuple(str(dim) for dim in column.key.get("dims") or ())
    if len(dims) == len(inner) and all(
        sizes.setdefault(dim, size) == size
        for dim, size in zip(dims, inner, strict=True)
    ):
        return dims
    return free_dims(column.name, len(inner))


def free_dims(name: str, count: int) -> tuple[str, ...]:
    """Make names for dimensions that have none."""
    return tuple(f"{name}_dim_{number}" for number in range(count))
