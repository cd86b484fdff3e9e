"""The capture of `beamfly panda hdf`, and how its progress is shown."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from beamfly.panda.asyncio import AsyncioClient
from beamfly.panda.capture_report import Progress as Captured
from beamfly.panda.capture_report import RunRecord
from beamfly.panda.hdf import write_hdf_files
from beamfly.panda.responses import EndReason

__all__ = ["write_files"]

FLUSH_PERIOD = 0.25
"""Seconds between updates of file and display."""


def write_files(
    client: AsyncioClient,
    name_of: Callable[[int], Path],
    num: int,
    arm: bool,
    rows: int | None,
) -> None:
    """Write acquisitions to files, showing how it goes; see `write_hdf_files`.

    Args:
        client: Not connected.
        name_of: File name by number, from 1.
        num: How many; 0 until interrupted.
        arm: Whether to arm PCAP for each.
        rows: How many rows each acquisition will have, None if that is not known.
    """
    with _Display(name_of, num, rows) as display:
        try:
            asyncio.run(_write(client, name_of, num, arm, display))
        except KeyboardInterrupt:
            if num:
                raise


async def _write(
    client: AsyncioClient,
    name_of: Callable[[int], Path],
    num: int,
    arm: bool,
    display: "_Display",
) -> None:
    names: Iterator[str] = (str(name_of(number)) for number in count(1))
    async with client:
        await write_hdf_files(
            client, names, num, arm, FLUSH_PERIOD, on_progress=display.update
        )


class _Display:
    """What the terminal shows: a line that moves, and one for each acquisition."""

    def __init__(
        self, name_of: Callable[[int], Path], num: int, rows: int | None
    ) -> None:
        self._name_of, self._num, self._rows = name_of, num, rows
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        columns: list[ProgressColumn] = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
        ]
        if rows:
            columns.insert(2, BarColumn())
        self._bar = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._told = 0
        self._shown = 0
        self._began = monotonic()
        self._bytes = 0
        self._task = self._bar.add_task(
            f"waiting for acquisition {self._of(1)}", total=rows, figures=""
        )

    def _of(self, number: int) -> str:
        return f"{number} of {self._num}" if self._num else str(number)

    def __enter__(self) -> "_Display":
        """Show it."""
        self._bar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Take it away again, leaving the lines of acquisitions."""
        self._bar.stop()

    def update(self, captured: Captured) -> None:
        """Show how far the capture is; called from its writer's thread."""
        runs = captured.runs
        for number, run in enumerate(runs, 1):
            if run.reason is not None and number > self._told:
                self._told = number
                self._tell(number, run)
        number = len(runs)
        if runs and runs[-1].reason is None:
            if number != self._shown:
                self._shown, self._began = number, monotonic()
                self._bytes = captured.bytes
                name = f"acquisition {self._of(number)}: {self._name_of(number)}"
                self._bar.reset(self._task, description=name)
            rows = runs[-1].rows
            figures = self._figures(captured, rows)
            self._bar.update(self._task, completed=rows, figures=figures)
        elif number < self._num or not self._num:
            text = f"waiting for acquisition {self._of(number + 1)}"
            self._bar.update(self._task, description=text)

    def _figures(self, captured: Captured, rows: int) -> str:
        """Rows, rates, losses, and the time left if it is known."""
        passed = max(monotonic() - self._began, 1e-3)
        rate = rows / passed
        megabytes = (captured.bytes - self._bytes) / passed / 1e6
        text = f"{rows:,} rows, {rate:,.0f} rows/s, {megabytes:.1f} MB/s"
        text += f", {captured.missed:,} missed"
        if self._rows and rate:
            text += f", {max(self._rows - rows, 0) / rate:,.0f} s left"
        return text

    def _tell(self, number: int, run: RunRecord) -> None:
        if run.reason in (None, EndReason.UNKNOWN_EXCEPTION):
            return  # the error that follows says more
        line = f"{self._name_of(number)}: {run.rows} rows, {run.reason.value}"
        if run.missed:
            line += f", {run.missed} samples before them were missed"
        self._console.print(line)
