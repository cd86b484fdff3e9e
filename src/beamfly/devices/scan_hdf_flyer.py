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
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
from beamfly.devices.scan_columns import ScanColumn, numpy_dtype
from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_rows import MAIN, ScanRow, StreamLayout
from beamfly.devices.scan_streams import SERIAL, RowStream
from beamfly.errors import BadValue, HdfError
from beamfly.hdf import Column, ColumnWriter, Plot, Run
from beamfly.scan.rest import DEFAULT_PORT

TIME = "time"
"""Name of the data that tell when a row was logged."""
EPOCH = "1970-01-01T00:00:00Z"
TIME_OF_ROW = "#time"
"""What the source of the data that tell the time ends with."""
CHUNK_ROWS = 1024
MIMETYPE = "application/x-hdf5"


class FileStream(RowStream, WritesStreamAssets):
    """Rows in an HDF5 file of their own, made when the scan is kicked off.

    Args:
        file: Where.
        uri: The same for readers.
    """

    def __init__(self, file: Path, uri: str, *args: Any) -> None:
        super().__init__(*args)
        self.file = file
        self._uri = uri
        self._writer: ColumnWriter | None = None
        self._bundles: list[ComposeStreamResourceBundle] = []
        self._announced = 0
        self._written = 0

    def _file_columns(self) -> list[Column]:
        columns = [
            Column(SERIAL, np.dtype("<i8")),
            Column(TIME, np.dtype("<f8"), {"units": "s", "since": EPOCH}),
        ]
        for column in self.columns:
            attrs: dict[str, str | float | bool] = {"source": column.source}
            if column.units:
                attrs["units"] = column.units
            columns.append(Column(column.key, numpy_dtype(column), attrs))
        return columns

    async def begin(self) -> None:
        """Create the file; HdfError if there is one already."""
        self._writer = await asyncio.to_thread(self._create)
        compose = ComposeStreamResource()
        self._bundles = [
            compose(
                mimetype=MIMETYPE,
                uri=self._uri,
                data_key=self.key(column.name),
                parameters={
                    "dataset": f"/{column.name}",
                    "swmr": True,
                    "chunk_shape": (CHUNK_ROWS,),
                },
            )
            for column in self._writer.columns
        ]
        self._announced = self._written = 0

    def _create(self) -> ColumnWriter:
        writer = ColumnWriter(self.file, chunk_rows=CHUNK_ROWS)
        columns = self._file_columns()
        shown = [column.name for column in columns[2:]] or [TIME]
        axis = shown[0] if len(shown) > 1 else None
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        run = Run(start_time=now)
        try:
            writer.define(columns, first_run=run, plot=Plot(shown[-1], axis))
        except BadValue:
            writer.close()
            self.file.unlink(missing_ok=True)
            raise
        writer.start_run(run)
        writer.flush()
        return writer

    async def deliver(self, rows: list[ScanRow]) -> None:
        """Write rows and make them visible."""
        writer = self._writer
        if writer is None:
            raise HdfError(f"{self.file} is closed; {len(rows)} rows were not written")
        self._written = await asyncio.to_thread(_write, writer, rows)

    async def end(self, reason: str) -> None:
        """Note why no more rows come, and close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(_close, writer, reason)

    async def describe_collect(self) -> dict[str, DataKey]:
        """Data keys of what is in the file."""
        keys = await super().describe_collect()
        keys[self.key(TIME)] = DataKey(
            # a catalog knows by that which data tell the time of a row
            source=f"{self.url}{TIME_OF_ROW}",
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


class ScanServerHdfFlyer(ScanFlyer[FileStream], WritesStreamAssets):
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
        super().__init__(
            host, port, name, describe_timeout=describe_timeout, patience=patience
        )

    @property
    def file(self) -> Path | None:
        """The file of the scan that it was last prepared for, None before the first.

        That of the stream `primary`, if there are several; `streams` has them all.
        """
        return None if self._where is None else self._place(MAIN)[0]

    def _place(self, stream: str) -> tuple[Path, str]:
        """File and URI of a stream."""
        where = self._where
        if where is None:
            raise BadValue(f"{self.name} is not prepared; nothing was submitted")
        ending = ".h5" if stream == MAIN else f"_{_file_name(stream)}.h5"
        file = Path(where.directory_path) / f"{where.filename}{ending}"
        return file, f"{where.directory_uri}{where.filename}{quote(ending)}"

    def _check_columns(self, columns: list[ScanColumn]) -> None:
        for column in columns:
            numpy_dtype(column)
            if column.key == TIME:
                msg = f"{column.device} cannot be data named time: rows have one"
                raise BadValue(msg)
        if self._where is None or self._used:
            self._where = self.path_provider(self.name)
            self._used = False

    def _make_stream(self, layout: StreamLayout) -> FileStream:
        file, uri = self._place(layout.name)
        return FileStream(file, uri, layout, self, self.url, self.axes)

    async def _begin(self) -> None:
        where = self._where
        if where is not None:
            self._used = True
            await asyncio.to_thread(
                make_directory, Path(where.directory_path), where.create_dir_depth
            )
        await super()._begin()

    async def get_index(self) -> int:
        """Rows that readers of the file can see; BadValue if there are several."""
        return await self.only_stream.get_index()

    async def collect_asset_docs(
        self, index: int | None = None
    ) -> AsyncIterator[StreamAsset]:
        """Announce rows that are in the file and were not announced yet.

        Nothing if there are several files, which are announced by their streams: this
        is also called when the flyer is read.
        """
        if len(self.streams) == 1:
            async for document in self.only_stream.collect_asset_docs(index):
                yield document


def _file_name(stream: str) -> str:
    """A stream's name as a part of a file's."""
    return re.sub(r"[^\w.+-]", "_", stream)


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
