"""A PandA's data port straight into an HDF5 file: HdfCapture.

```
with HdfCapture("panda.example", path="scan.h5") as capture:
    ...  # arm; each acquisition is appended to the file
    capture.wait_end(timeout=60)
report = capture.stop()
```

It runs in two threads of its own and needs no event loop. While it runs, `progress`
says how many rows readers of the file can see; in the end, `stop` tells what became
of it. A failure closes the file with all rows received, and is raised by whatever
waits: `wait_rows`, `wait_end`, or leaving the `with` block.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from beamfly.errors import (
    BadValue,
    CaptureError,
    LocalProtocolError,
    TimedOut,
)
from beamfly.hdf import CHUNK_ROWS
from beamfly.panda.capture_file import CaptureFile
from beamfly.panda.capture_report import (
    CaptureReport,
    CaptureState,
    Progress,
    RunRecord,
)
from beamfly.panda.capture_threads import NORMAL_ENDS, CaptureThreads
from beamfly.panda.data_socket import open_data_port
from beamfly.panda.datasets import DatasetInfo, Names, dataset_infos
from beamfly.panda.handover import Handover

__all__ = [
    "CaptureReport",
    "CaptureState",
    "DatasetInfo",
    "HdfCapture",
    "Progress",
    "RunRecord",
    "dataset_infos",
]

CONNECT_TIMEOUT = 5.0
"""Seconds for connecting, when `with` starts a capture."""
STOP_TIMEOUT = 10.0
"""Seconds for the PandA to end an acquisition, and for the file to be closed."""


class HdfCapture:
    """All acquisitions of a PandA, from `start` to `stop`, in one HDF5 file.

    Args:
        host: Name or address of the PandA.
        port: Its data port.
        path: The file to create.
        names: Dataset names by field and capture, where they are not
            `<field>.<capture>`: {"COUNTER1.OUT": {"Min": "x-min"}}.
        raw: Whether counts are stored as they are sent, instead of values in units.
        scaled_by_server: Whether the PandA scales, which is slow.
        overwrite: Whether to replace a file that exists.
        flush_period: Seconds between flushes at least, after which readers of the
            file see new rows; 0 to flush whenever there is something new.
        chunk_rows: Rows in one chunk of the file.
        on_progress: Called with `progress` after each flush, at the start and end of
            each acquisition, and once when the file is closed. It is called from the
            writer's thread: it must be quick, and must not wait for the capture.
        receive_buffer: Bytes of the socket's receive buffer, None for what the system
            thinks best.
    """

    def __init__(
        self,
        host: str,
        port: int = 8889,
        *,
        path: str | os.PathLike[str],
        names: Names | None = None,
        raw: bool = False,
        scaled_by_server: bool = False,
        overwrite: bool = False,
        flush_period: float = 0.1,
        chunk_rows: int = CHUNK_ROWS,
        on_progress: Callable[[Progress], None] | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        if flush_period < 0 or chunk_rows < 1:
            msg = (
                f"flush_period={flush_period} and chunk_rows={chunk_rows} must not be "
                "negative, and a chunk has at least one row"
            )
            raise BadValue(msg)
        self.host, self.port, self.path = host, port, Path(path)
        self._names, self._raw, self._overwrite = names, raw, overwrite
        self._scaled = scaled_by_server
        self._period, self._chunk_rows = flush_period, chunk_rows
        self._on_progress, self._receive_buffer = on_progress, receive_buffer
        self._threads: CaptureThreads | None = None
        self._report: CaptureReport | None = None
        self._stop_lock = threading.Lock()
        self._told = False

    def __repr__(self) -> str:
        return f"HdfCapture({self.host!r}, {self.port}, path={str(self.path)!r})"

    def start(self, timeout: float = CONNECT_TIMEOUT) -> None:
        """Connect and create the file; nothing that is armed from now on is missed.

        Args:
            timeout: Seconds to wait for the PandA.

        Raises:
            PandaDisconnected: There is nothing at this host and port, or it hung up.
            TimedOut: No connection, or no OK, in time.
            CommandError, RemoteProtocolError: What answers is not a PandA.
            HdfError: The file cannot be created.
            LocalProtocolError: This capture was started before.
        """
        if self._threads is not None:
            raise LocalProtocolError(f"{self!r} was started before; make another one")
        port = open_data_port(
            self.host, self.port, timeout, receive_buffer=self._receive_buffer
        )
        try:
            file = CaptureFile(
                self.path,
                names=self._names,
                raw=self._raw,
                overwrite=self._overwrite,
                chunk_rows=self._chunk_rows,
            )
            try:
                port.ask(self._scaled)
            except BaseException:
                file.close()
                # it holds nothing, and would be in the way of the next attempt
                self.path.unlink(missing_ok=True)
                raise
        except BaseException:
            port.close()
            raise
        self._threads = CaptureThreads(
            port.peer,
            port.sock,
            port.connection,
            file,
            raw=self._raw,
            handover=Handover(self._chunk_rows, eager=self._period == 0),
            flush_period=self._period,
            on_progress=self._on_progress,
        )
        self._threads.start()

    @property
    def progress(self) -> Progress:
        """How it goes, right now."""
        return Progress() if self._threads is None else self._threads.progress

    def wait_rows(self, rows: int, timeout: float) -> int:
        """Wait until readers of the file can see so many rows, and return how many.

        Args:
            rows: Rows of all acquisitions.
            timeout: Seconds.

        Raises:
            TimedOut: There are fewer; the message says how many.
            CaptureError: The capture was stopped with fewer.
            BeamflyError: The capture failed before; it is the failure.
        """
        seen = self._wait(
            lambda progress: progress.rows_written >= rows,
            timeout,
            f"only {{0.rows_written}} of {rows} rows were written",
        )
        return seen.rows_written

    def wait_end(self, timeout: float, runs: int = 1) -> RunRecord:
        """Wait until so many acquisitions are over, and return the last of them.

        Args:
            timeout: Seconds.
            runs: Acquisitions since `start`.

        Raises:
            TimedOut: They are not over; the message says how many rows there are.
            CaptureError: The capture was stopped before.
            BeamflyError: The capture failed before; it is the failure.
        """
        seen = self._wait(
            lambda progress: (
                progress.ended >= runs
                and (
                    progress.error is None
                    or progress.runs[runs - 1].reason in NORMAL_ENDS
                )
            ),
            timeout,
            f"{{0.ended}} of {runs} acquisitions ended; {{0.rows_written}} rows "
            "were written, and it is {0.state.value}",
        )
        return seen.runs[runs - 1]

    def _wait(
        self, done: Callable[[Progress], bool], timeout: float, told: str
    ) -> Progress:
        threads = self._threads
        if threads is None:
            raise LocalProtocolError(f"{self!r} was not started")
        deadline = time.monotonic() + timeout
        with threads.news:
            while True:
                progress = threads.progress
                if done(progress):
                    return progress
                if progress.error is not None:
                    self._told = True
                    raise progress.error
                about = f"{self.path}: {told.format(progress)}"
                if progress.state is CaptureState.CLOSED:
                    raise CaptureError(f"{about}, and the capture was stopped")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimedOut(f"{about} in {timeout} s; the capture goes on")
                threads.news.wait(left)

    def stop(
        self, timeout: float = STOP_TIMEOUT, expected: int | None = None
    ) -> CaptureReport:
        """End the capture: write all rows received and close the file.

        If an acquisition is under way it is waited for, so disarm PCAP first; one that
        does not end in time is cut, with reason MANUALLY_STOPPED. Does nothing when
        stopped before. May be called from any thread; from `on_progress` it only asks
        for the end, and the report is not final.

        Args:
            timeout: Seconds to wait for the end of the acquisition. The file is given
                as many, but at least 10, to take what was received.
            expected: Rows that there should be, for the report.

        Returns:
            What became of it; a failure is in `error`, it is not raised.
        """
        threads = self._threads
        if threads is None:
            return self._summary(expected)
        if threads.on_own_thread():
            threads.stop(0.0)
            return self._summary(expected)
        with self._stop_lock:
            if self._report is None:
                with threads.news:
                    threads.news.wait_for(lambda: not threads.receiving, timeout)
                patience = max(timeout, STOP_TIMEOUT)
                closed = threads.stop(patience)
                report = self._summary(expected)
                if not closed:
                    return self._still_open(report, patience)
                self._report = report
            return self._report

    def _summary(self, expected: int | None) -> CaptureReport:
        progress = self.progress
        return CaptureReport(
            path=self.path,
            rows=progress.rows_written,
            runs=progress.runs,
            mean_rate=progress.rate,
            stalls=progress.stalls,
            stalled=progress.stalled,
            expected=expected,
            error=progress.error,
        )

    def _still_open(self, report: CaptureReport, timeout: float) -> CaptureReport:
        """The disk does not answer: say so, and let the next call look again."""
        msg = (
            f"{self.path} could not be closed in {timeout} s; it is still being written"
        )
        return replace(report, error=report.error or TimedOut(msg))

    def __enter__(self) -> "HdfCapture":
        """Start, unless that was done."""
        if self._threads is None:
            self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop; raises a failure that nobody was told of yet."""
        error = self.stop().error
        if error is not None and exc is None and not self._told:
            self._told = True
            raise error
