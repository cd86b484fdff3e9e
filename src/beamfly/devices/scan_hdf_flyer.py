"""Scans of a scan server as Bluesky flyers whose rows go to an HDF5 file.

```python
with init_devices():
    scan = ScanServerHdfFlyer("beamline-server", "/data/scans", name="scan")
RE(fly_scan(scan, [Loop("BL:M1", 1, 5, 0.1, Log("BL:M1", "BL:DET"))]))
```

Each scan gets a file of its own, made when it is kicked off. Rows are announced when
readers can see them. Values have to be numbers: for texts and arrays use
`beamfly.devices.scan_flyer`.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from bluesky.protocols import StreamAsset, WritesStreamAssets
from event_model import (
    ComposeStreamResource,
    ComposeStreamResourceBundle,
    DataKey,
    StreamRange,
)
from ophyd_async.core import PathInfo, PathProvider

from beamfly.devices.panda import as_path_provider
from beamfly.devices.paths import make_directory
from beamfly.devices.scan_columns import numpy_dtype
from beamfly.devices.scan_flight import SERIAL, ScanFlyer
from beamfly.devices.scan_rows import ScanRow
from beamfly.errors import BadValue, HdfError
from beamfly.hdf import Column, ColumnWriter, Plot, Run
from beamfly.scan.rest import DEFAULT_PORT

TIME = "time"
"""Name of the data that tell when a row was logged."""
CHUNK_ROWS = 1024
MIMETYPE = "application/x-hdf5"


class ScanServerHdfFlyer(ScanFlyer, WritesStreamAssets):
    """Scans of a scan server, their rows in an HDF5 file that can be read meanwhile.

    Args:
        host: Name or address of the scan server, with `:port` if need be.
        path_provider: Where files go; a directory gets files with unique names.
        port: TCP port of the server, unless `host` says it.
        name: Of the device.
        describe_timeout: Seconds that PVs may take to tell type and units.
        patience: Seconds that the server may be out of reach in the middle of a scan.
    """

    def __init__(
        self,
        host: str,
        path_provider: PathProvider | Path | str,
        port: int = DEFAULT_PORT,
        name: str = "",
        *,
        describe_timeout: float = 2.0,
        patience: float = 30.0,
    ) -> None:
        self.path_provider = as_path_provider(path_provider)
        self._where: PathInfo | None = None
        self._used = False
        self._writer: ColumnWriter | None = None
        self._bundles: list[ComposeStreamResourceBundle] = []
        self._announced = 0
        self._written = 0
        super().__init__(
            host, port, name, describe_timeout=describe_timeout, patience=patience
        )

    @property
    def file(self) -> Path | None:
        """The file of the scan that it was last prepared for, None before the first."""
        where = self._where
        if where is None:
            return None
        return Path(where.directory_path) / f"{where.filename}.h5"

    def _check_columns(self) -> None:
        for column in self.columns:
            numpy_dtype(column)
            if column.key == TIME:
                msg = f"{column.device} cannot be data named time: rows have one"
                raise BadValue(msg)
        if self._where is None or self._used:
            self._where = self.path_provider(self.name)
            self._used = False

    def _file_columns(self) -> list[Column]:
        columns = [
            Column(SERIAL, np.dtype("<i8")),
            Column(TIME, np.dtype("<f8"), {"units": "s"}),
        ]
        for column in self.columns:
            attrs: dict[str, str | float | bool] = {"source": column.source}
            if column.units:
                attrs["units"] = column.units
            columns.append(Column(column.key, numpy_dtype(column), attrs))
        return columns

    async def _begin(self) -> None:
        where, file = self._where, self.file
        if where is None or file is None:
            raise BadValue(f"{self.name} is not prepared; nothing was submitted")
        self._used = True
        await asyncio.to_thread(
            make_directory, Path(where.directory_path), where.create_dir_depth
        )
        self._writer = await asyncio.to_thread(self._create, file)
        uri = f"{where.directory_uri}{where.filename}.h5"
        compose = ComposeStreamResource()
        self._bundles = [
            compose(
                mimetype=MIMETYPE,
                uri=uri,
                data_key=self._key(column.name),
                parameters={
                    "dataset": f"/{column.name}",
                    "swmr": True,
                    "chunk_shape": (CHUNK_ROWS,),
                },
            )
            for column in self._writer.columns
        ]
        self._announced = self._written = 0

    def _create(self, file: Path) -> ColumnWriter:
        writer = ColumnWriter(file, chunk_rows=CHUNK_ROWS)
        columns = self._file_columns()
        shown = [column.name for column in columns[2:]] or [TIME]
        axis = shown[0] if len(shown) > 1 else None
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        run = Run(start_time=now)
        try:
            writer.define(columns, first_run=run, plot=Plot(shown[-1], axis))
        except BadValue:
            writer.close()
            file.unlink(missing_ok=True)
            raise
        writer.start_run(run)
        writer.flush()
        return writer

    async def _deliver(self, rows: list[ScanRow]) -> None:
        writer = self._writer
        if writer is None:
            raise HdfError(f"{self.file} is closed; {len(rows)} rows were not written")
        self._written = await asyncio.to_thread(_write, writer, rows)

    async def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            reason = str(self.failure or "Finished")
            await asyncio.to_thread(_close, writer, reason)

    async def describe_collect(self) -> dict[str, DataKey]:
        """Data keys of what is in the file."""
        self._prepared()
        keys = self._data_keys()
        keys[self._key(TIME)] = DataKey(
            source=keys[self._key(SERIAL)]["source"],
            dtype="number",
            shape=[],
            dtype_numpy="<f8",
            units="s",
        )
        for key in keys.values():
            key["shape"] = [1]
            key["external"] = "STREAM:"
        return keys

    async def get_index(self) -> int:
        """Rows that readers of the file can see."""
        return self._written

    async def collect_asset_docs(
        self, index: int | None = None
    ) -> AsyncIterator[StreamAsset]:
        """Announce rows that are in the file and were not announced yet."""
        stop = self._written if index is None else min(index, self._written)
        start, self._announced = self._announced, max(stop, self._announced)
        if stop <= start:
            return
        # nothing is awaited from here on, so that a pause cannot lose any of it
        if start == 0:
            for bundle in self._bundles:
                yield "stream_resource", bundle.stream_resource_doc
        for bundle in self._bundles:
            indices = StreamRange(start=start, stop=stop)
            yield "stream_datum", bundle.compose_stream_datum(indices)


def _write(writer: ColumnWriter, rows: list[ScanRow]) -> int:
    """Append rows and make them visible; how many there are."""
    arrays = [
        np.array([row.serial for row in rows], writer.columns[0].dtype),
        np.array([row.time for row in rows], writer.columns[1].dtype),
    ]
    for at, column in enumerate(writer.columns[2:]):
        arrays.append(np.array([row.values[at] for row in rows], column.dtype))
    writer.append(arrays)
    return writer.flush()


def _close(writer: ColumnWriter, reason: str) -> None:
    """Note why no more rows come, and close the file, unless it failed before."""
    if writer.closed:
        return
    writer.end_run(reason)
    writer.close()
