"""The two threads of a capture: one reads the socket, one writes the file.

`CaptureThreads` joins a data connection, a `Handover` and a `CaptureTarget`. The
reader does nothing but receive, parse and convert. The writer does all that can be
slow, and is the only one that touches the file and tells how it goes.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from beamfly.errors import BeamflyError, CaptureError, PandaDisconnected
from beamfly.panda.capture_file import CaptureTarget
from beamfly.panda.capture_report import CaptureState, Progress, RunRecord
from beamfly.panda.columns import ColumnPlan
from beamfly.panda.data import DataConnection
from beamfly.panda.handover import Handover, Mark, Rows, Stopped
from beamfly.panda.responses import (
    Data,
    EndData,
    EndReason,
    FrameData,
    StartData,
)

_LOG = logging.getLogger(__name__)
NORMAL_ENDS = (EndReason.OK, EndReason.DISARMED)
"""Ends that are no failure."""


class CaptureThreads:
    """A capture under way.

    Args:
        peer: The PandA, for messages.
        sock: Connected, options accepted; closed with the threads.
        connection: What has parsed all of the socket so far.
        target: Where rows go.
        raw: Whether counts are kept as they are sent.
        handover: Between the threads; nobody else's.
        flush_period: Seconds between flushes at least; 0 to flush whenever there is
            something to.
        on_progress: Called from the writer thread after each flush, after each
            acquisition, and once when the capture is closed.
    """

    def __init__(
        self,
        peer: str,
        sock: socket.socket,
        connection: DataConnection,
        target: CaptureTarget,
        *,
        raw: bool,
        handover: Handover,
        flush_period: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._peer, self._sock, self._connection = peer, sock, connection
        self._target, self._raw = target, raw
        self._handover, self._period = handover, flush_period
        self._on_progress = on_progress
        self.news = threading.Condition()
        """Notified whenever progress was made."""
        self._stopping = False
        self._receiving = False
        self._runs: list[RunRecord] = []
        self._state = CaptureState.READY
        self._error: Exception | None = None
        self._written = 0
        self._bytes = 0
        self._first_time = self._last_time = 0.0
        self._flushed_at = 0.0
        self._threads = [
            threading.Thread(target=run, name=f"{name} {peer}", daemon=True)
            for run, name in [
                (self._read, "beamfly-read"),
                (self._write, "beamfly-write"),
            ]
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def progress(self) -> Progress:
        """How it goes, right now."""
        with self.news:
            span = self._last_time - self._first_time
            return Progress(
                state=self._state,
                rows_received=self._handover.received,
                rows_written=self._written,
                runs=tuple(self._runs),
                bytes=self._bytes,
                rate=self._bytes / span if span > 0 else 0.0,
                stalls=self._handover.stalls,
                stalled=self._handover.stalled,
                error=self._error,
            )

    @property
    def receiving(self) -> bool:
        """Whether an acquisition's header was received, and not its end."""
        return self._receiving and self._state is not CaptureState.CLOSED

    def on_own_thread(self) -> bool:
        """Whether the caller is one of the threads, which must not wait for itself."""
        return threading.current_thread() in self._threads

    def stop(self, timeout: float) -> bool:
        """Receive no more, write what was received, and close.

        Args:
            timeout: Seconds to wait for the file.

        Returns:
            Whether all is closed.
        """
        self._stopping = True
        self._hang_up()
        if self.on_own_thread():
            return False
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _hang_up(self) -> None:
        """Wake the reader: what is in the socket can still be read, then it ends."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError as exc:
            _LOG.debug("%s had closed the data connection before: %s", self._peer, exc)

    # the reader

    def _read(self) -> None:
        failure: Exception | None = None
        try:
            self._receive()
        except Stopped:
            return
        except OSError as exc:
            # both PandaDisconnected and what the socket raises
            if not self._stopping:
                failure = PandaDisconnected(self._told(exc.strerror or exc))
        except BeamflyError as exc:
            failure = type(exc)(self._told(exc))
        except Exception as exc:
            failure = exc
        finally:
            self._receiving = False
            self._sock.close()
        try:
            self._handover.mark(failure)
        except Stopped:
            return

    def _receive(self) -> None:
        """Receive until the connection ends."""
        connection, receive = self._connection, self._sock.recv_into
        plan = self._feed(connection.received(0), None)
        while count := receive(connection.get_buffer()):
            self._bytes += count
            self._last_time = time.monotonic()
            plan = self._feed(connection.received(count), plan)
        if not self._stopping:
            self._feed(connection.receive_eof(), plan)

    def _feed(
        self, items: Iterator[Data], plan: ColumnPlan | None
    ) -> ColumnPlan | None:
        """Hand items over; returns how samples to come are converted."""
        for item in items:
            if isinstance(item, FrameData):
                if plan is not None:
                    self._handover.put(plan, item.data)
            elif isinstance(item, StartData):
                self._receiving = True
                self._first_time = self._first_time or time.monotonic()
                plan = ColumnPlan(item, self._raw)
                self._handover.start(item, plan)
            elif isinstance(item, EndData):
                # before the mark: whoever waits for it is woken by the writer
                self._receiving = False
                self._handover.mark(item)
        return plan

    def _told(self, what: object) -> str:
        """What happened, where, and what became of the data."""
        rows = self._handover.received
        return f"{self._peer}: {what}; the {rows} rows received are kept"

    # the writer

    def _write(self) -> None:
        try:
            self._transfer()
        except Exception as exc:
            self._fail(exc)
        finally:
            self._handover.give_up()
            self._hang_up()
            self._close()

    def _transfer(self) -> None:
        """Write until there is no more to come."""
        due: float | None = None
        while True:
            item = self._handover.take(due)
            if isinstance(item, Mark):
                if not self._pass(item):
                    return
                self._handover.release(item)
                due = None
                continue
            if isinstance(item, Rows):
                self._target.append(item.columns)
                self._handover.release(item)
            now = time.monotonic()
            if due is None:
                due = max(self._flushed_at + self._period, now)
                if item is None:
                    # part of a chunk is there: it may grow until then
                    continue
            if now >= due:
                if self._handover.written > self._written:
                    self._flush()
                due = None

    def _flush(self) -> None:
        self._target.flush()
        self._flushed_at = time.monotonic()
        self._tell()

    def _pass(self, mark: Mark) -> bool:
        """Do what a mark says; False if it was the last."""
        what = mark.what
        if isinstance(what, StartData) and mark.plan is not None:
            run = RunRecord(
                what.arm_time,
                what.start_time,
                what.hw_time_offset_ns,
                first_row=mark.row,
                missed=what.missed,
            )
            with self.news:
                self._runs.append(run)
                self._state = CaptureState.ACQUIRING
            self._target.start(what, mark.plan)
            self._flush()
            return True
        if isinstance(what, EndData):
            self._end(what)
            return True
        if isinstance(what, Exception):
            raise what
        return False

    def _end(self, end: EndData) -> None:
        """Note the end of the acquisition that runs, if it is a good one."""
        self._check_end(end)
        self._target.end(end.reason)
        self._note_end(end.reason)
        self._flushed_at = time.monotonic()
        self._tell()

    def _note_end(self, reason: EndReason) -> None:
        with self.news:
            self._state = CaptureState.READY
            self._count()
            if self._runs and self._runs[-1].reason is None:
                self._runs[-1] = replace(self._runs[-1], reason=reason)

    def _count(self) -> None:
        """Note how many rows are in the file, and how many of them are the last run's.

        A file that could not be written may have other rows than it took.
        """
        self._written = self._target.rows
        for index in range(len(self._runs) - 1, -1, -1):
            run = self._runs[index]
            rows = self._written - run.first_row
            if run.reason is not None:
                rows = min(rows, run.rows)
            self._runs[index] = replace(run, rows=max(0, rows))
            if rows >= 0:
                break

    def _check_end(self, end: EndData) -> None:
        """Raise CaptureError if an acquisition did not end well."""
        rows = self._handover.written - self._runs[-1].first_row
        if end.reason not in NORMAL_ENDS:
            meaning = "; its last rows may be corrupt" if end.reason is _OVERRUN else ""
            msg = (
                f"{self._peer} gave up the acquisition after {end.samples} samples: "
                f"{end.reason.value}{meaning}; {rows} rows of it are kept"
            )
            raise CaptureError(msg, end.reason.value)
        if end.samples != rows:
            msg = (
                f"{self._peer} says that it sent {end.samples} samples, but {rows} "
                "arrived; those are kept"
            )
            raise CaptureError(msg)

    def _tell(self) -> None:
        """Publish how many rows can be seen."""
        with self.news:
            self._count()
            self.news.notify_all()
        if self._on_progress is not None:
            try:
                self._on_progress(self.progress)
            except Exception:
                # the data is worth more than whoever watches it
                _LOG.exception("on_progress failed; the capture goes on")

    def _fail(self, exc: Exception) -> None:
        with self.news:
            self._error = self._error or exc

    def _close(self) -> None:
        """Close the file and say so, whatever has happened."""
        reason = _reason(self._error)
        if self._state is CaptureState.ACQUIRING:
            self._try(lambda: self._target.end(reason))
        self._try(self._target.close)
        self._note_end(reason)
        with self.news:
            self._state = CaptureState.CLOSED
        self._tell()

    def _try(self, act: Callable[[], None]) -> None:
        """Do one of the last things; the first failure of all is the one to tell."""
        try:
            act()
        except Exception as exc:
            self._fail(exc)


_OVERRUN = EndReason.DATA_OVERRUN


def _reason(error: Exception | None) -> EndReason:
    """Why an acquisition ended that the PandA did not end."""
    if error is None:
        return EndReason.MANUALLY_STOPPED
    if isinstance(error, PandaDisconnected):
        return EndReason.EARLY_DISCONNECT
    if isinstance(error, CaptureError) and error.reason is not None:
        return EndReason.parse(error.reason)
    return EndReason.UNKNOWN_EXCEPTION
