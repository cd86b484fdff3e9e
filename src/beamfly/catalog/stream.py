"""One stream of a run: `run["primary"]`, or `run.primary`.

`stream.read()` gives all fields as an `xarray.Dataset`, `stream["data"]["x"][10:20]`
a part of one, `stream.descriptors` and `stream["config"]` what the devices said about
themselves. databroker's `Header.table`, `xarray`, `data` and `config_data` use these.
"""

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfly.catalog.clock import clock_field
from beamfly.catalog.columns import Column, EventColumn
from beamfly.catalog.dataset import DatasetPlan, free_dims
from beamfly.catalog.file_columns import DataFiles, FileColumn
from beamfly.catalog.jsonl import Document
from beamfly.catalog.record import StreamRecord
from beamfly.catalog.segments import ExternalField
from beamfly.catalog.values import Array
from beamfly.errors import CatalogError

if TYPE_CHECKING:
    import xarray

    from beamfly.catalog.run import Run


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
                name: (("time", *free_dims(name, array.ndim - 1)), array)
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
        with self._run.data_files() as files:
            return self._plan(variables, files).read()

    def to_dask(self) -> "xarray.Dataset":
        """Read fields that are in files only when, and as far as, they are needed.

        Returns:
            A dataset as `read` gives it, with dask arrays where the values are in
            files.

        Raises:
            CatalogError: A data file is missing or cannot be read; names it.
        """
        return self._plan(None, self._run.data_files()).read_as_needed()

    def _plan(self, variables: Collection[str] | None, files: DataFiles) -> DatasetPlan:
        record = self._record()
        known = record.data_keys
        wanted = [name for name in known if variables is None or name in variables]
        columns = {name: self._column(name, record, files) for name in wanted}
        finished = str(self._run) if self._run.record().stop else ""
        return DatasetPlan(record, columns, self._clock(record, files), finished)

    def _clock(self, record: StreamRecord, files: DataFiles) -> FileColumn | None:
        name = clock_field(record.data_keys)
        if name is None or name not in record.external:
            return None
        return FileColumn(name, record.data_keys[name], record.external[name], files)

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


def _array(values: list[Any]) -> Array:
    try:
        return np.asarray(values)
    except ValueError:
        array = np.empty(len(values), object)
        array[:] = values
        return array
