"""One capture after the other, seen from the event loop: `CaptureSession`.

It starts and stops an `HdfCapture` without ever waiting for it in the event loop, has
its progress told there, and judges it: whether an acquisition is over before its goal
was reached, and what became of it in the end.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from beamfly.devices.panda_datasets import Dataset
from beamfly.devices.panda_report import FrameReport, seconds_between
from beamfly.errors import BeamflyError, CaptureError, HdfError
from beamfly.panda.capture import CaptureReport, HdfCapture, Progress

log = logging.getLogger(__name__)

END_TIMEOUT = 2.0
"""Seconds to wait for the end of an acquisition that was disarmed."""
TIMESTAMPS = ("PCAP.TS_TRIG.Value", "PCAP.TS_END.Value", "PCAP.TS_START.Value")
"""Columns that tell when a row was taken, best first."""


@dataclass(frozen=True)
class Goal:
    """What an acquisition waits for."""

    first: int = 0
    """Rows in the file when it began."""
    rows: int | None = 0
    """Rows in the file that it wants, None to go on until PCAP ends."""
    tolerate: bool = False
    """Whether missing rows are no error."""


class CaptureSession:
    """The capture that runs, or ran last.

    Args:
        progressed: Called in the event loop whenever a capture got on.
    """

    def __init__(self, progressed: Callable[[], None]) -> None:
        self._progressed = progressed
        self._capture: HdfCapture | None = None
        self._seconds = 0.0
        self._listeners: dict[Callable[[], None], None] = {}
        self.running = False
        """Whether its file is open, even if it has failed."""
        self.arms = 0
        """How often PCAP was armed for it."""
        self.datasets: list[Dataset] = []
        """What it writes."""

    @property
    def path(self) -> Path | None:
        """Its file, None before the first one."""
        return None if self._capture is None else self._capture.path

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return Progress() if self._capture is None else self._capture.progress

    async def start(
        self,
        address: tuple[str, int],
        path: Path,
        names: dict[str, dict[str, str]],
        datasets: list[Dataset],
        flush_period: float,
    ) -> None:
        """Connect to a data port and create the file; see `HdfCapture.start`."""
        if self.running:
            msg = f"{self.path} is still being written: switch capture off first"
            raise HdfError(msg)
        loop = asyncio.get_running_loop()
        host, port = address
        capture = HdfCapture(
            host,
            port,
            path=path,
            names=names,
            flush_period=flush_period,
            on_progress=lambda _: _call_soon(loop, self._tell),
        )
        await asyncio.to_thread(capture.start)
        self._capture, self.running = capture, True
        self.arms, self.datasets, self._seconds = 0, datasets, 0.0

    async def stop(self) -> Exception | None:
        """Write what has arrived and close the file; returns what failed, if any."""
        capture = self._capture
        if capture is None or not self.running:
            return None
        report = await asyncio.to_thread(_close, capture, self.arms)
        self.running = False
        if not (self.arms or report.runs):
            # the PandA refused to arm: nobody is told of a file, so leave none behind
            report.path.unlink(missing_ok=True)
        else:
            self._seconds = await asyncio.to_thread(_seconds, capture, self.datasets)
        self._tell()
        return report.error

    def _tell(self) -> None:
        self._progressed()
        self.nudge()

    def nudge(self) -> None:
        """Have those look who listen; call it in the event loop."""
        for listener in list(self._listeners):
            listener()

    @contextlib.contextmanager
    def listening(self, listener: Callable[[], None]) -> Generator[None]:
        """Have `listener` called whenever the capture got on, inside this context."""
        self._listeners[listener] = None
        try:
            yield
        finally:
            del self._listeners[listener]

    def is_over(self, goal: Goal) -> bool:
        """Whether there is no point in waiting for further rows.

        Raises:
            CaptureError: PCAP ended before the goal was reached, and that matters.
            BeamflyError: The capture failed; it is the failure.
        """
        progress = self.progress
        reached = goal.rows is not None and progress.rows_written >= goal.rows
        error = progress.error
        if error is not None and not reached:
            if goal.tolerate and isinstance(error, CaptureError) and error.reason:
                return True
            raise error
        # every arming is answered by one end, also if there was nothing to capture
        if reached or progress.ended < max(self.arms, 1):
            return False
        if goal.rows is None or goal.tolerate:
            return True
        reason = progress.end_reason
        msg = (
            f"PCAP ended ({reason.value if reason else 'for no reason'}) after "
            f"{progress.rows_written - goal.first} of {goal.rows - goal.first} rows; "
            f"{self.path} has them"
        )
        raise CaptureError(msg, reason.value if reason else None)

    def report(self, name: str, expected: int) -> FrameReport:
        """What became of it; call it when it is stopped.

        Args:
            name: Of the detector.
            expected: Rows that were asked for, -1 for any number.
        """
        progress = self.progress
        gaps = [(run.first_row, run.missed) for run in progress.runs if run.missed]
        reason = progress.end_reason
        rows = progress.rows_written
        announced = rows if expected < 0 else min(rows, expected)
        return FrameReport(
            name=name,
            expected=expected,
            written=announced,
            surplus=rows - announced,
            missed=progress.missed,
            missed_at=", ".join(f"{count} before row {row}" for row, count in gaps),
            end_reason="" if reason is None else reason.value,
            arms=len(progress.runs),
            seconds=self._seconds,
            stalls=progress.stalls,
            file="" if self.path is None else str(self.path),
        )


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """From the writer's thread; a loop that is closed has nobody to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)


def _close(capture: HdfCapture, arms: int) -> CaptureReport:
    """In a thread: wait for the ends that PCAP owes us, then close the file."""
    if arms:
        # a failure is in the report as well
        with contextlib.suppress(BeamflyError):
            capture.wait_end(END_TIMEOUT, arms)
    return capture.stop()


def _seconds(capture: HdfCapture, datasets: list[Dataset]) -> float:
    """In a thread: how long the rows took."""
    progress = capture.progress
    names = {dataset.column: dataset.name for dataset in datasets}
    timed = next((names[column] for column in TIMESTAMPS if column in names), None)
    runs = [(run.first_row, run.rows) for run in progress.runs]
    if timed is not None and progress.rows_written:
        try:
            return seconds_between(capture.path, timed, runs)
        except HdfError as error:
            log.warning("The frame rate is that of transfer: %s", error)
    return progress.bytes / progress.rate if progress.rate else 0.0
