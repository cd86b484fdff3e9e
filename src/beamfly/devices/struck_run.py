"""What a multi-channel scaler counts, on its way into an HDF5 file.

A `StruckRun` starts an acquisition, reads the points that are complete while it goes
on, and appends them to a file. Its `rows` are those that readers of the file can see.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ophyd_async.core import (
    PathProvider,
    SignalR,
    SignalRW,
    SignalW,
    StreamableDataProvider,
    StreamResourceDataProvider,
    StreamResourceInfo,
    set_and_wait_for_other_value,  # pyright: ignore[reportUnknownVariableType]
    wait_for_value,
)

from beamfly.devices.panda_local import LocalBackend
from beamfly.devices.paths import make_directory
from beamfly.errors import CAError, Disconnected, TimedOut
from beamfly.hdf import Column, ColumnWriter, Plot, Run

log = logging.getLogger(__name__)

READ_PERIOD = 0.5
"""Seconds between two looks at what is complete."""
END_SECONDS = 5.0
"""How long a stop, or the last points of an acquisition, may take to come."""
POLL_SECONDS = 0.05
"""Seconds between two looks at the last points."""
CHUNK_ROWS = 1024


class Input(Protocol):
    """What is needed of an input."""

    source: str
    """Name of its PV."""
    counts: SignalR[Any]
    """Counts of the points that are complete; shape (n,)."""


class Counter(Protocol):
    """What is needed of a multi-channel scaler."""

    acquiring: SignalR[bool]
    erase_start: SignalW[bool]
    stop_all: SignalW[bool]
    read_all: SignalW[bool]
    current_channel: SignalR[int]
    points: SignalRW[int]

    @property
    def name(self) -> str:
        """Of the device."""
        ...


class StruckRun:
    """The acquisitions of one scaler between stage and unstage, in one file.

    Args:
        counter: The scaler.
        path_provider: Where files go.
    """

    def __init__(self, counter: Counter, path_provider: PathProvider) -> None:
        self._counter = counter
        self._path_provider = path_provider
        self._written = LocalBackend(int, 0)
        self.rows = SignalR(self._written)
        """Rows in the file, as far as readers can see them."""
        self.task: asyncio.Task[None] | None = None
        """Reads the acquisition under way, or the last one."""
        self.names: list[str] = []
        """Data keys of the file."""
        self._inputs: list[Input] = []
        self._writer: ColumnWriter | None = None
        self._taken = 0
        self._stopping = False
        self._lock = asyncio.Lock()

    async def open(
        self, device_name: str, inputs: Mapping[str, Input]
    ) -> StreamableDataProvider:
        """Begin a file.

        Args:
            device_name: What data keys start with.
            inputs: Column -> what it has the counts of.

        Raises:
            HdfError: It cannot be written.
        """
        where = self._path_provider(device_name)
        self._inputs = list(inputs.values())
        self.names = [f"{device_name}-{column}" for column in inputs]
        keys = await asyncio.gather(*(one.counts.describe() for one in self._inputs))
        dtypes = [
            np.dtype(next(iter(key.values())).get("dtype_numpy", "<i4")) for key in keys
        ]
        columns = [
            Column(column, dtype, {"source": f"ca://{one.source}"})
            for (column, one), dtype in zip(inputs.items(), dtypes, strict=True)
        ]
        folder = Path(where.directory_path)
        await asyncio.to_thread(make_directory, folder, where.create_dir_depth)
        self._writer = await asyncio.to_thread(
            _create, folder / f"{where.filename}.h5", columns
        )
        self._written.set_value(0)
        resources = [
            StreamResourceInfo(
                data_key=name,
                shape=(),
                chunk_shape=(CHUNK_ROWS,),
                dtype_numpy=column.dtype.str,
                parameters={"dataset": f"/{column.name}", "swmr": True},
                source=str(column.attrs["source"]),
            )
            for name, column in zip(self.names, columns, strict=True)
        ]
        uri = f"{where.directory_uri}{where.filename}.h5"
        return StreamResourceDataProvider(
            uri=uri,
            resources=resources,
            mimetype="application/x-hdf5",
            collections_written_signal=self.rows,
        )

    async def start(self) -> None:
        """Erase and acquire; returns when it does."""
        counter = self._counter
        self._taken, self._stopping = 0, False
        wanted = await counter.points.get_value()
        await set_and_wait_for_other_value(
            counter.erase_start,
            True,
            counter.acquiring,
            True,
            timeout=END_SECONDS,
            wait_for_set_completion=False,
        )
        self.task = asyncio.create_task(self._follow(wanted))

    async def _follow(self, wanted: int) -> None:
        """Move points to the file until there are no more."""
        acquiring = self._counter.acquiring
        going = True
        while going:
            try:
                await wait_for_value(acquiring, False, READ_PERIOD)
                going = False
            except TimeoutError:
                await self._move()
        await self._finish(wanted)

    async def _finish(self, wanted: int) -> None:
        """Move the last points; CAError if some are missing and it was not stopped."""
        counter = self._counter
        loop = asyncio.get_running_loop()
        end = loop.time() + END_SECONDS
        counted = min(wanted, await counter.current_channel.get_value())
        await self._move()
        while self._taken < counted and loop.time() < end:
            await counter.read_all.set(True)
            await asyncio.sleep(POLL_SECONDS)
            await self._move()
        if self._taken < wanted and not self._stopping:
            msg = (
                f"{counter.name} has ended with {self._taken} of {wanted} points: "
                "somebody has stopped it, or PresetReal has"
            )
            raise CAError(msg, name=counter.name)

    async def _move(self) -> None:
        """Append what is complete for all inputs and was not in the file yet."""
        values: list[npt.NDArray[Any]] = await asyncio.gather(
            *(one.counts.get_value() for one in self._inputs)
        )
        complete = min(map(len, values))
        writer, begin = self._writer, self._taken
        if complete > begin and writer is not None:
            parts = [
                np.ascontiguousarray(value[begin:complete], column.dtype)
                for value, column in zip(values, writer.columns, strict=True)
            ]
            self._taken = complete
            self._written.set_value(await asyncio.to_thread(_append, writer, parts))

    async def stop(self) -> None:
        """Stop, move what there is to the file, and close it."""
        async with self._lock:
            self._stopping = True
            task, self.task = self.task, None
            try:
                await self._halt()
                if task is not None:
                    async with asyncio.timeout(2 * END_SECONDS):
                        await task
            except (CAError, Disconnected, TimedOut, TimeoutError) as error:
                # whoever waits for points has been told
                log.warning("%s: %s", self._counter.name, error)
            finally:
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await task
                writer, self._writer = self._writer, None
                if writer is not None:
                    await asyncio.to_thread(_close, writer)

    async def _halt(self) -> None:
        """Stop if it acquires; returns when it does no more."""
        counter = self._counter
        if await counter.acquiring.get_value():
            await counter.stop_all.set(True)
            await wait_for_value(counter.acquiring, False, END_SECONDS)


def _create(path: Path, columns: list[Column]) -> ColumnWriter:
    writer = ColumnWriter(path, chunk_rows=CHUNK_ROWS)
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    run = Run(start_time=now)
    writer.define(columns, first_run=run, plot=Plot(columns[-1].name))
    writer.start_run(run)
    writer.flush()
    return writer


def _append(writer: ColumnWriter, parts: list[npt.NDArray[Any]]) -> int:
    """Append rows and make them visible; how many there are."""
    writer.append(parts)
    return writer.flush()


def _close(writer: ColumnWriter) -> None:
    if not writer.closed:
        writer.end_run("Finished")
        writer.close()
