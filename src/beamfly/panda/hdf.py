"""HDF5 files from what a PandA's data port sends.

- `FrameWriter`: for who has the data already, from `client.data()` or a recording.
- `write_hdf_files`: a file per acquisition, for coroutines.
- `beamfly.panda.capture.HdfCapture`: straight from the data port, in threads.
- `Pipeline` and its kin: what pandablocks programs use; see `beamfly.panda.pipeline`.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol

from beamfly.errors import (
    BadValue,
    BeamflyError,
    CaptureError,
    HDFDataOverrunError,
)
from beamfly.hdf import CHUNK_ROWS, Run
from beamfly.panda.capture_file import CaptureFile, FilePerAcquisition
from beamfly.panda.capture_report import CaptureState, Progress
from beamfly.panda.capture_threads import NORMAL_ENDS, CaptureThreads
from beamfly.panda.columns import Block, ColumnPlan
from beamfly.panda.commands import Arm, Command, Disarm
from beamfly.panda.data_socket import open_data_port
from beamfly.panda.datasets import Names
from beamfly.panda.handover import Handover
from beamfly.panda.pipeline import (
    FrameProcessor,
    HDFWriter,
    Pipeline,
    create_default_pipeline,
    create_pipeline,
    numbered,
    stop_pipeline,
)
from beamfly.panda.responses import Data, EndData, EndReason, FrameData, StartData

__all__ = [
    "FrameProcessor",
    "FrameWriter",
    "HDFDataOverrunError",
    "HDFWriter",
    "Pipeline",
    "create_default_pipeline",
    "create_pipeline",
    "stop_pipeline",
    "write_hdf_files",
]

CONNECT_TIMEOUT = 5.0
"""Seconds for the data port to say OK."""
CLOSE_TIMEOUT = 60.0
"""Seconds for a slow disk to take what was received."""
DISARM_TIMEOUT = 2.0
"""Seconds for the PandA to be disarmed after a failure."""


class FrameWriter:
    """Writes what a data connection yields to one file; all acquisitions follow.

    ```
    with FrameWriter("scan.h5") as writer:
        for data in client.data(scaled=False):
            writer.write(data)
    ```

    Args:
        path: The file to create.
        names: Dataset names by field and capture, where not `<field>.<capture>`.
        raw: Whether counts are stored as they are sent, instead of values in units.
        overwrite: Whether to replace a file that exists.
        chunk_rows: Rows in one chunk; so many are gathered before they are written.

    Raises:
        HdfError: The file cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        names: Names | None = None,
        raw: bool = False,
        overwrite: bool = False,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._file = CaptureFile(
            path, names=names, raw=raw, overwrite=overwrite, chunk_rows=chunk_rows
        )
        self._raw, self._chunk = raw, chunk_rows
        self._plan: ColumnPlan | None = None
        self._block: Block | None = None
        self._from = self._to = 0  # rows of the block that are not in the file

    @property
    def rows(self) -> int:
        """Rows received."""
        return self._file.rows + self._to - self._from

    @property
    def runs(self) -> list[Run]:
        """Acquisitions so far; the last one may still run."""
        return self._file.writer.runs

    def write(self, data: Data) -> None:
        """Take whatever a data connection yields.

        Raises:
            CaptureError: A further acquisition has other fields; the file keeps what
                it has, and is closed.
            HdfError: The file cannot be written; it is closed.
            RemoteProtocolError: What the PandA sent cannot be made into columns.
        """
        if isinstance(data, StartData):
            self._start(data)
        elif isinstance(data, FrameData):
            self._frame(data)
        elif isinstance(data, EndData):
            self._drain()
            self._file.end(data.reason)

    def _start(self, start: StartData) -> None:
        self._drain()
        plan = ColumnPlan(start, self._raw)
        try:
            self._file.start(start, plan)
        except CaptureError:
            self._file.end(EndReason.START_DATA_MISMATCH)
            self._file.close()
            raise
        if self._block is None:
            self._block = plan.make_block(self._chunk)
        self._plan = plan

    def _frame(self, frame: FrameData) -> None:
        plan, block, samples = self._plan, self._block, frame.data
        if plan is None or block is None:
            raise BadValue("samples came before the header of an acquisition")
        while len(samples):
            # rows keep their place in a chunk of the file, so that most of them can be
            # written as whole chunks
            room = self._chunk - self._to
            plan.convert(samples[:room], block, self._to)
            self._to += len(samples[:room])
            samples = samples[room:]
            if self._to == self._chunk:
                self._drain()
                self._from = self._to = 0

    def _drain(self) -> None:
        if self._block is not None and self._to > self._from:
            self._file.append(self._block.rows(self._from, self._to))
            self._from = self._to

    def flush(self) -> int:
        """Make all rows visible to readers, and return how many there are."""
        self._drain()
        self._file.flush()
        return self._file.rows

    def close(self) -> None:
        """Write what is left, and close the file; doing it again does nothing."""
        if not self._file.writer.closed:
            self._drain()
            self._file.close()

    def __enter__(self) -> "FrameWriter":
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


class ArmingClient(Protocol):
    """What `write_hdf_files` needs of an AsyncioClient."""

    @property
    def host(self) -> str:
        """Name or address of the PandA."""
        ...

    @property
    def data_port(self) -> int:
        """Its data port."""
        ...

    async def send(self, command: Command[Any], timeout: float | None = None) -> Any:
        """Do a command."""
        ...


async def write_hdf_files(
    client: ArmingClient,
    file_names: Iterator[str] | str,
    num: int = 1,
    arm: bool = False,
    flush_period: float = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Write some acquisitions, each to a file of its own.

    The event loop is free meanwhile: threads do the work, in bounded memory. If this
    fails or is cancelled, the file that is open is closed with all rows received, and
    PCAP is disarmed if it was armed here.

    Args:
        client: An AsyncioClient, connected if `arm` is asked for.
        file_names: Full paths, one for each acquisition; or a pattern with %d, which
            becomes 1, 2, 3, ... Files that exist are replaced.
        num: How many acquisitions; 0 for no end.
        arm: Whether to disarm PCAP first, and arm it for each acquisition.
        flush_period: Seconds between flushes at least, after which readers of a file
            see new rows.
        on_progress: Called after each flush, at the start and end of each
            acquisition, and at the end of all, from the writer's thread: be quick.

    Raises:
        HDFDataOverrunError: The PandA gave up because rows were not taken fast enough.
        CaptureError: An acquisition ended for another bad reason.
        HdfError: A file cannot be created or written.
        BadValue: There are fewer file names than acquisitions, or a number is negative.
        PandaDisconnected: The PandA closed the data port, or is not there.
        CommandError: It refused to be armed.
    """
    if num < 0 or flush_period < 0:
        msg = f"num={num} and flush_period={flush_period} must not be negative"
        raise BadValue(f"{msg}; nothing was captured")
    names = numbered(file_names) if isinstance(file_names, str) else file_names
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def tell(progress: Progress) -> None:
        if on_progress is not None:
            on_progress(progress)
        loop.call_soon_threadsafe(news.set)

    if arm:
        await client.send(Disarm())
    port = await asyncio.to_thread(
        open_data_port, client.host, client.data_port, CONNECT_TIMEOUT
    )
    try:
        await asyncio.to_thread(port.ask)
    except BaseException:
        port.close()
        raise
    threads = CaptureThreads(
        port.peer,
        port.sock,
        port.connection,
        FilePerAcquisition(names),
        raw=False,
        handover=Handover(CHUNK_ROWS, eager=flush_period == 0, apart=True),
        flush_period=flush_period,
        on_progress=tell,
    )
    threads.start()
    armed = False
    try:
        done = 0
        while not num or done < num:
            if arm:
                await client.send(Arm())
                armed = True
            await _wait_end(threads, news, done + 1)
            armed = False
            done += 1
    finally:
        await asyncio.to_thread(threads.stop, CLOSE_TIMEOUT)
        if armed:
            await _disarm(client)


async def _disarm(client: ArmingClient) -> None:
    """Have PCAP end what nobody takes any more; a PandA that is gone needs none."""
    with contextlib.suppress(BeamflyError):
        await client.send(Disarm(), DISARM_TIMEOUT)


async def _wait_end(threads: CaptureThreads, news: asyncio.Event, runs: int) -> None:
    """Wait until so many acquisitions are over, or raise what went wrong."""
    while True:
        news.clear()
        progress = threads.progress
        # what happens after an acquisition that ended well is not its failure
        if progress.ended >= runs and progress.runs[runs - 1].reason in NORMAL_ENDS:
            return
        if progress.state is CaptureState.CLOSED:
            raise _failure(progress)
        await news.wait()


def _failure(progress: Progress) -> Exception:
    error = progress.error
    if (
        isinstance(error, CaptureError)
        and progress.end_reason is EndReason.DATA_OVERRUN
    ):
        return HDFDataOverrunError(str(error), error.reason)
    return error or CaptureError("the capture was stopped before its end")
