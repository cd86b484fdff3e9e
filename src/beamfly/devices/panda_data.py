"""The block `data` of a PandA device: signals that drive the writer in this process.

Its names are those of the block that an IOC serves, so plans need not care which one
they talk to. Switching `capture` on connects to the PandA's data port and readies a
file (written in threads, see `panda_capture`); `datasets` says at any time what a
capture would write; `num_captured` counts rows that readers of the file can see.
"""

import asyncio
from pathlib import Path

import numpy as np
from ophyd_async.core import Device, DeviceConnector, SignalR, SignalRW
from ophyd_async.fastcs.panda import (
    DataBlock,
    DatasetTable,
    PandaCaptureMode,
    PandaHdf5DatasetType,
)

from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_capture import CaptureSession
from beamfly.devices.panda_datasets import (
    NOTHING,
    Dataset,
    ask_captured,
    ask_datasets,
    dataset_names,
)
from beamfly.devices.panda_local import LocalBackend
from beamfly.devices.paths import make_directory, writable
from beamfly.errors import BadValue, HdfError, TimedOut
from beamfly.hdf import CHUNK_ROWS
from beamfly.panda.commands import Disarm

FLUSH_PERIOD = 0.1
"""Seconds between two flushes if nothing, or 0, was set."""
CLOSE_TIMEOUT = 60.0
"""Seconds that switching a capture off may take."""


class PandaData(DataBlock):
    """Signals of the writer; made by `panda`, which calls `attach`.

    Args:
        name: Of the device.
        connector: Not used: there is nothing to connect to.
    """

    hdf_full_file_path: SignalR[str]
    """The file, empty before the first capture."""
    num_received: SignalR[int]
    """Rows that came from the PandA; a few more than are in the file yet."""
    status: SignalR[str]
    """What goes on, or what went wrong, in a sentence."""

    def __init__(
        self, name: str = "", connector: DeviceConnector | None = None
    ) -> None:
        self._session: PandaSession | None = None
        self._finishing: asyncio.Task[None] | None = None
        self.session = CaptureSession(self._progressed)
        """The capture that runs, or ran last."""
        self.cap: int | None = None
        """Rows that are announced at most, None for all that there are."""
        self._captured = LocalBackend(int, 0)
        self._received = LocalBackend(int, 0)
        self._status = LocalBackend(str, "OK")
        self._file = LocalBackend(str, "")
        self._directory = LocalBackend(str, "", write=self._make_directory)
        self._file_name = LocalBackend(str, "")
        self._flush_period = LocalBackend(float, FLUSH_PERIOD, units="s")
        self._mode = LocalBackend(
            PandaCaptureMode, PandaCaptureMode.FOREVER, write=_check_mode
        )
        self._wanted = LocalBackend(int, 0)
        self._depth = LocalBackend(int, 0)
        self._on = LocalBackend(bool, False, write=self._switch)
        exists = LocalBackend(bool, False, read=self._directory_exists)
        nothing = DatasetTable(name=[], dtype=[])
        datasets = LocalBackend(DatasetTable, nothing, read=self._dataset_table)
        self.hdf_directory = SignalRW(self._directory)
        self.hdf_file_name = SignalRW(self._file_name)
        self.num_capture = SignalRW(self._wanted)
        self.num_captured = SignalR(self._captured)
        self.create_directory = SignalRW(self._depth)
        self.directory_exists = SignalR(exists)
        self.capture_mode = SignalRW(self._mode)
        # the file has to be closed, however long the disk takes
        self.capture = SignalRW(self._on, timeout=CLOSE_TIMEOUT)
        self.flush_period = SignalRW(self._flush_period)
        self.datasets = SignalR(datasets)
        self.hdf_full_file_path = SignalR(self._file)
        self.num_received = SignalR(self._received)
        self.status = SignalR(self._status)
        Device.__init__(self, name)

    def attach(self, session: PandaSession) -> None:
        """Say which PandA it captures from."""
        self._session = session

    def _attached(self) -> PandaSession:
        if self._session is None:
            raise BadValue("The data block belongs to no PandA: nothing was captured")
        return self._session

    async def _make_directory(self, directory: str) -> None:
        depth = self._depth.value
        if directory and depth:
            await asyncio.to_thread(make_directory, Path(directory), depth)

    async def _directory_exists(self) -> bool:
        return await asyncio.to_thread(writable, self._directory.value)

    async def _dataset_table(self) -> DatasetTable:
        session = self._attached()
        datasets = await self._ask(session)
        uint32 = np.dtype(np.uint32).str
        return DatasetTable(
            name=[dataset.name for dataset in datasets],
            dtype=[
                PandaHdf5DatasetType.UINT_32
                if dataset.dtype == uint32
                else PandaHdf5DatasetType.FLOAT_64
                for dataset in datasets
            ],
        )

    async def _ask(self, session: PandaSession) -> list[Dataset]:
        captured = await ask_captured(session.link)
        return await ask_datasets(session.link, captured, await session.chosen_names())

    async def describe_datasets(self) -> list[Dataset]:
        """What the running capture writes; in mock mode what `datasets` was set to."""
        if not self.mocked:
            return self.session.datasets
        table = await self.datasets.get_value()
        return [
            Dataset(name, "", np.dtype(str(dtype)).str, CHUNK_ROWS)
            for name, dtype in zip(table.name, table.dtype, strict=True)
        ]

    @property
    def mocked(self) -> bool:
        """Whether there is no PandA behind it."""
        return self._mock is not None  # pyright: ignore[reportUnknownMemberType]

    async def _switch(self, on: bool) -> None:
        if on:
            await self._start()
            return
        error = await self.session.stop()
        self._status.set_value(str(error or "OK"))
        if isinstance(error, TimedOut):
            # nobody has waited for this one
            raise error

    async def _start(self) -> None:
        """Connect to the data port and ready the file."""
        panda = self._attached()
        link = panda.link
        if not await self._directory_exists():
            msg = (
                f"{self._directory.value or 'The directory for data'} does not exist "
                "or cannot be written; no capture was started"
            )
            raise HdfError(msg)
        captured = await ask_captured(link)
        if not captured:
            raise BadValue(f"PandA {link.address} {NOTHING}")
        chosen = await panda.chosen_names()
        path = Path(self._directory.value) / (self._file_name.value or "panda.h5")
        await self.session.start(
            (link.host, link.data_port),
            path,
            dataset_names(captured, chosen),
            await ask_datasets(link, captured, chosen),
            # 0 is what plans for an IOC set: as often as makes sense
            self._flush_period.value or FLUSH_PERIOD,
        )
        first_n = self._mode.value is PandaCaptureMode.FIRST_N
        self.cap = self._wanted.value if first_n else None
        self._captured.set_value(0)
        self._received.set_value(0)
        self._file.set_value(str(path))
        self._status.set_value(f"Capturing to {path}")

    def _progressed(self) -> None:
        """Publish how far the capture is; called in the event loop."""
        progress = self.session.progress
        rows = progress.rows_written
        if self.cap is not None:
            rows = min(rows, self.cap)
        if rows != self._captured.value:
            self._captured.set_value(rows)
        if progress.rows_received != self._received.value:
            self._received.set_value(progress.rows_received)
        if progress.error is not None and self.session.running:
            self._status.set_value(str(progress.error))
            self._on.set_value(False)
        self._finish_first_n(rows)

    def _finish_first_n(self, rows: int) -> None:
        """End a capture of the first rows once it has them."""
        first_n = self._mode.value is PandaCaptureMode.FIRST_N
        enough = first_n and 0 < self._wanted.value <= rows
        if enough and self._on.value and self._finishing is None:
            self._finishing = asyncio.get_running_loop().create_task(self._finish())

    async def _finish(self) -> None:
        try:
            await self._attached().write(Disarm())
            await self.capture.set(False)
        finally:
            self._finishing = None

    def announce(self, cap: int | None) -> None:
        """Announce at most so many rows from now on, None for all that there are."""
        self.cap = cap
        self._progressed()


async def _check_mode(mode: PandaCaptureMode) -> None:
    if mode is PandaCaptureMode.LAST_N:
        msg = (
            "LAST_N is not possible, as rows go to the file while they come; use "
            "FIRST_N or FOREVER"
        )
        raise BadValue(msg)
