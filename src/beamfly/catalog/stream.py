"""One stream of a run: `run["primary"]`, or `run.primary`.

`stream.read()` gives all fields as an `xarray.Dataset`, `stream["data"]["x"][10:20]`
a part of one, `stream.descriptors` and `stream["config"]` what the devices said about
themselves. databroker's `Header.table`, `xarray`, `data` and `config_data` use these.
"""

import copy
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfly.errors import CatalogError

from .alignment import align
from .clock import clock_field
from .columns import Column, EventColumn
from .file_columns import DataFiles, FileColumn
from .jsonl import Document
from .record import StreamRecord
from .segments import ExternalField
from .values import Array

if TYPE_CHECKING:
    import xarray

    from .run import Run

RESERVED = ("time", "seq_num")
"""Names that a dataset uses itself; a field of that name gets `_` appended."""


class Columns(Mapping[str, Column]):
    """The fields of a stream as columns: `stream["data"]`."""

    def __init__(self, stream: "Stream"):
        """Look at this stream, live."""
        self._stream = stream

    def __getitem__(self, name: str) -> Column:
        return self._stream.column(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream.fields)

    def __len__(self) -> int:
        return len(self._stream.fields)

    def read(self, variables: Collection[str] | None = None) -> "xarray.Dataset":
        """Read these fields, or all, as one dataset. See `Stream.read`."""
        return self._stream.read(variables)

    def __repr__(self) -> str:
        return f"<Columns {set(self)!r} of {self._stream.name}>"


class Arrays(dict[str, Any]):
    """Arrays by name, with `read()` to make a dataset of them."""

    def read(self) -> "xarray.Dataset":
        """Make a dataset with one variable per array."""
        import xarray

        return xarray.Dataset(
            {
                name: (("time", *_free_dims(name, array.ndim - 1)), array)
                for name, array in self.items()
            }
        )


class Stream:
    """One stream of a run, as far as it has been written when it is looked at."""

    def __init__(self, run: "Run", name: str):
        """Look at the stream of that name."""
        self.name = name
        self._run = run

    def _record(self) -> StreamRecord:
        return self._run.record().streams[self.name]

    @property
    def descriptors(self) -> list[Document]:
        """The descriptors of this stream, oldest first."""
        return copy.deepcopy(self._record().descriptors)

    @property
    def metadata(self) -> Document:
        """The descriptors and the stream's name."""
        return {"descriptors": self.descriptors, "stream_name": self.name}

    @property
    def fields(self) -> list[str]:
        """The names of the fields, as the descriptors give them."""
        return list(self._record().data_keys)

    def column(self, name: str) -> Column:
        """Give one field as a column.

        Raises:
            KeyError: There is no such field.
        """
        record = self._record()
        if name not in record.data_keys:
            raise KeyError(name)
        return self._column(name, record, self._run.data_files())

    def _column(self, name: str, record: StreamRecord, files: DataFiles) -> Column:
        key = record.data_keys[name]
        source = record.external.get(name)
        if source is None and not key.get("external"):
            values = record.values.get(name, [None] * len(record.times))
            return EventColumn(name, key, values[: len(record.times)])
        if source is None and name in record.values:
            raise self._old_style(name)
        return FileColumn(name, key, source or ExternalField(name), files)

    def _old_style(self, name: str) -> CatalogError:
        specs = self._run.record().old_style.values()
        kinds = ", ".join(sorted(set(specs))) or "unknown"
        return CatalogError(
            f"The field {name} of {self._run} was not read: it is kept as old-style "
            f"Resource and Datum documents (spec {kinds}), which are not read here. "
            "Ask for other fields, or for fill=False."
        )

    def read(self, variables: Collection[str] | None = None) -> "xarray.Dataset":
        """Read fields into memory.

        Args:
            variables: The fields wanted; None for all. Names that the stream does not
                have are left out.

        Returns:
            A dataset with dimension `time`. Its coordinate is the time of each event,
            in seconds since 1970. A stream that was written by hardware alone has no
            events: there it comes from the time stamps which a PandA captured, or, if
            there are none, counts the rows from 0. All fields are cut to the shortest,
            so that a row is one event.

        Raises:
            CatalogError: A data file is missing or cannot be read; names it.
        """
        record = self._record()
        known = record.data_keys
        wanted = [name for name in known if variables is None or name in variables]
        with self._run.data_files() as files:
            columns = {name: self._column(name, record, files) for name in wanted}
            return self._dataset(record, columns, files)

    def _clock(self, record: StreamRecord, files: DataFiles) -> FileColumn | None:
        name = clock_field(record.data_keys)
        if name is None or name not in record.external:
            return None
        return FileColumn(name, record.data_keys[name], record.external[name], files)

    def _dataset(
        self, record: StreamRecord, columns: Mapping[str, Column], files: DataFiles
    ) -> "xarray.Dataset":
        import xarray

        outside = {n: c for n, c in columns.items() if isinstance(c, FileColumn)}
        has_events = self._has_events(record)
        clock = None if has_events or not outside else self._clock(record, files)
        if clock is not None:
            outside.setdefault(clock.name, clock)
        events = np.asarray(record.seq_nums[: len(record.times)], dtype=np.int64)
        alignment = align(events if has_events else None, outside)
        self._warn_of_cut(record, outside, alignment.count)
        time: Array | None = None
        if has_events:
            time = np.asarray(record.times, dtype=float)[alignment.of_events]
        elif clock is not None:
            time = clock.times(0, alignment.count)
        if time is None:
            time = np.arange(alignment.count, dtype=float)
        sizes: dict[str, int] = {"time": alignment.count}
        variables = {
            _free_name(name): self._variable(column, alignment.take(column), sizes)
            for name, column in columns.items()
        }
        return xarray.Dataset(variables, coords={"time": time})

    def _has_events(self, record: StreamRecord) -> bool:
        inside = (
            name
            for name, key in record.data_keys.items()
            if not key.get("external") and name not in record.external
        )
        return bool(record.times) or any(True for _ in inside)

    def _variable(
        self, column: Column, array: Array, sizes: dict[str, int]
    ) -> tuple[tuple[str, ...], Array]:
        declared = column.key.get("dims") or ()
        dims = tuple(str(dim) for dim in declared)
        inner = array.shape[1:]
        fits = len(dims) == len(inner) and all(
            sizes.setdefault(dim, size) == size
            for dim, size in zip(dims, inner, strict=True)
        )
        if not fits:
            dims = _free_dims(column.name, len(inner))
        return ("time", *dims), array

    def _warn_of_cut(
        self, record: StreamRecord, names: Iterable[str], count: int
    ) -> None:
        sources = (record.external.get(name) for name in names)
        announced = max((each.events for each in sources if each), default=0)
        if count < announced and self._run.stop and not record.times:
            warnings.warn(
                f"{self._run} announced {announced} rows in stream {self.name}, but "
                f"only {count} of them are in all of its files; the rest is left out.",
                stacklevel=4,
            )

    @property
    def timestamps(self) -> Arrays:
        """When each value in the events was taken, seconds since 1970."""
        record = self._record()
        count = len(record.times)
        return Arrays(
            {
                name: np.asarray(stamps[:count], dtype=float)
                for name, stamps in record.stamps.items()
            }
        )

    @property
    def config(self) -> dict[str, Arrays]:
        """The configuration of each device: one value per descriptor."""
        return self._configuration("data")

    @property
    def config_timestamps(self) -> dict[str, Arrays]:
        """When each value of the configuration was taken."""
        return self._configuration("timestamps")

    def _configuration(self, part: str) -> dict[str, Arrays]:
        gathered: dict[str, dict[str, list[Any]]] = {}
        for descriptor in self._record().descriptors:
            for device, content in descriptor.get("configuration", {}).items():
                columns = gathered.setdefault(device, {})
                for key, value in content.get(part, {}).items():
                    columns.setdefault(key, []).append(value)
        return {
            device: Arrays({key: _array(values) for key, values in columns.items()})
            for device, columns in gathered.items()
        }

    @property
    def data(self) -> Columns:
        """The fields as columns."""
        return Columns(self)

    def __getitem__(self, key: str) -> Any:
        first, _, rest = key.partition("/")
        if first in ("data", "timestamps", "config", "config_timestamps"):
            part = getattr(self, first)
        else:
            part = self.column(first)
        for name in filter(None, rest.split("/")):
            part = part[name]
        return part

    def __iter__(self) -> Iterator[str]:
        return iter(("data", "timestamps", "config", "config_timestamps"))

    def __repr__(self) -> str:
        return f"<Stream {self.name} {set(self.fields)!r}>"


def _free_name(name: str) -> str:
    return f"{name}_" if name in RESERVED else name


def _free_dims(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_dim_{number}" for number in range(count))


def _array(values: list[Any]) -> Array:
    try:
        return np.asarray(values)
    except ValueError:
        array = np.empty(len(values), object)
        array[:] = values
        return array
