"""Acquisitions in one file, or each in a file of its own.

`CaptureFile` takes what a data connection yields, with frames already turned into
columns: `start`, `append`, `flush`, `end`, `close`. Acquisitions whose fields agree
follow each other in the same datasets.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from beamfly.errors import BadValue, CaptureError, HdfError
from beamfly.hdf import CHUNK_ROWS, ColumnWriter, Run
from beamfly.panda.columns import ColumnPlan
from beamfly.panda.datasets import Names, default_plot, difference, file_columns
from beamfly.panda.responses import EndReason, StartData

Columns = Sequence[npt.NDArray[Any]]


class CaptureTarget(Protocol):
    """Where a capture puts its rows; every method may raise HdfError."""

    @property
    def rows(self) -> int:
        """Rows written, and kept if writing has failed."""
        ...

    def start(self, start: StartData, plan: ColumnPlan) -> None:
        """An acquisition begins."""
        ...

    def append(self, columns: Columns) -> None:
        """Rows of it."""
        ...

    def flush(self) -> None:
        """Make rows visible to readers."""
        ...

    def end(self, reason: EndReason) -> None:
        """The acquisition is over."""
        ...

    def close(self) -> None:
        """No more acquisitions will come."""
        ...


def run_of(start: StartData) -> Run:
    """What a file notes of an acquisition."""
    return Run(
        arm_time=start.arm_time,
        start_time=start.start_time,
        hw_time_offset_ns=start.hw_time_offset_ns,
        missed=start.missed,
    )


def next_path(
    paths: Iterator[str | os.PathLike[str]], used: int
) -> str | os.PathLike[str]:
    """The next path, or BadValue if all have been used."""
    try:
        return next(paths)
    except (StopIteration, IndexError):
        msg = (
            f"there is no file name for acquisition {used + 1}; none of it was written"
        )
        raise BadValue(msg) from None


class CaptureFile:
    """One file for all acquisitions whose fields agree.

    Args:
        path: The file, created at once.
        names: Dataset names other than `<field>.<capture>`.
        raw: Whether counts are stored as they are sent.
        overwrite: Whether to replace a file that exists.
        chunk_rows: Rows in one chunk.

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
        self._names, self._raw = names, raw
        self._first: StartData | None = None
        self.writer = ColumnWriter(path, overwrite=overwrite, chunk_rows=chunk_rows)
        """The file."""

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return self.writer.rows

    def start(self, start: StartData, plan: ColumnPlan) -> None:
        """An acquisition begins; the first one says what the file holds.

        Raises:
            CaptureError: The fields are not those of the file; its rows are kept.
            BadValue: Names given for the datasets cannot be used.
            HdfError: The file cannot be written.
        """
        writer = self.writer
        if self._first is None:
            columns = file_columns(start, plan, self._names, self._raw)
            plot = default_plot(start.fields, columns)
            writer.define(columns, first_run=run_of(start), plot=plot)
            self._first = start
        elif changed := difference(self._first, start):
            msg = (
                f"the fields captured have changed, so they do not fit {writer.path}: "
                f"{changed}; it keeps {writer.rows} rows, and nothing of the new "
                "acquisition was written"
            )
            writer.start_run(run_of(start))
            raise CaptureError(msg, EndReason.START_DATA_MISMATCH.value)
        writer.start_run(run_of(start))

    def append(self, columns: Columns) -> None:
        """Append rows, one array per column."""
        self.writer.append(columns)

    def flush(self) -> None:
        """Make rows visible to readers."""
        self.writer.flush()

    def end(self, reason: EndReason) -> None:
        """The acquisition is over: note why, and make all of it visible."""
        self.writer.end_run(reason.value)
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


class FilePerAcquisition:
    """A new file for each acquisition, whatever its fields.

    Args:
        paths: Where to write; one is taken at the start of each acquisition. Files
            that exist are replaced.
        names: Dataset names other than `<field>.<capture>`.
    """

    def __init__(
        self, paths: Iterator[str | os.PathLike[str]], names: Names | None = None
    ) -> None:
        self._paths, self._names = paths, names
        self._file: CaptureFile | None = None
        self._rows_before = 0
        self.written: list[Path] = []
        """Files begun so far."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return self._rows_before + (self._file.rows if self._file else 0)

    def start(self, start: StartData, plan: ColumnPlan) -> None:
        """Open the next file."""
        self.close()
        path = next_path(self._paths, len(self.written))
        self._file = CaptureFile(path, names=self._names, overwrite=True)
        self.written.append(Path(path))
        self._file.start(start, plan)

    def _open(self) -> CaptureFile:
        if self._file is None:
            raise HdfError("rows came before the header of an acquisition")
        return self._file

    def append(self, columns: Columns) -> None:
        """Append rows, one array per column."""
        self._open().append(columns)

    def flush(self) -> None:
        """Make rows visible to readers."""
        if self._file is not None:
            self._file.flush()

    def end(self, reason: EndReason) -> None:
        """Close the file of the acquisition that is over."""
        self._open().end(reason)
        self.close()

    def close(self) -> None:
        """Close what is open."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            finally:
                self._rows_before += file.rows
