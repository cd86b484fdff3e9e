"""Making a file whose writer was killed an ordinary, orderly one: `repair`.

`recover` only corrects the first bytes, after which any program can open the file.
`repair` does that, and then what the writer would have done at its end: columns get one
length, the last run gets its rows and a reason.
"""

import os
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from beamfly.errors import HdfError
from beamfly.hdf.inspection import FileReport, inspect
from beamfly.hdf.layout import Column, open_runs, write_run
from beamfly.hdf.salvage import FAILURES, LIBVER, close_anyhow, trim
from beamfly.hdf.superblock import recover
from beamfly.hdf.writer import CHUNK_ROWS

KILLED = "Writer was killed"
"""Reason in /runs of a run that `repair` ended."""


@dataclass(frozen=True)
class Repair:
    """What `repair` did to a file."""

    path: Path
    """The file."""
    mended: bool
    """Whether anything was to be done."""
    rows: int
    """Rows that it has now."""
    dropped: int
    """Rows that were not, or cannot be read, in all columns."""
    runs_ended: int
    """Runs that had no end and were given one."""


def repair(path: str | os.PathLike[str], *, force: bool = False) -> Repair:
    """Make a file whose writer was killed readable, writable, and orderly.

    It keeps all rows that were flushed. Nobody may have it open for writing. A file
    that was closed properly is not touched.

    Args:
        path: The file.
        force: Whether to do it although the file changed in the last 5 seconds.

    Raises:
        HdfError: The file cannot be mended, or may still have a writer; says why.
    """
    path = Path(path)
    mended = recover(path, force=force)
    report = inspect(path)
    if not mended:
        return Repair(path, False, report.rows, 0, 0)
    if not report.ours:
        return Repair(path, True, report.rows, 0, 0)
    try:
        rows = _trimmed(report)
        ended = _put_runs_in_order(path)
    except FAILURES as exc:
        reason = str(exc).replace("\n", " ")
        msg = f"{path} can be opened now, but not all of it can be mended: {reason}"
        raise HdfError(msg) from exc
    longest = max((dataset.rows for dataset in report.datasets), default=0)
    return Repair(path, True, rows, longest - rows, ended)


def _trimmed(report: FileReport) -> int:
    """Give all columns one length; returns it."""
    with closing(h5py.File(report.path, "r", locking="best-effort")) as file:
        chunk_rows = min((_chunk(file, d.name) for d in report.datasets), default=1)
    columns = [Column(d.name, d.dtype) for d in report.datasets]
    longest = max((d.rows for d in report.datasets), default=0)
    return trim(report.path, columns, report.runs, longest, chunk_rows)


def _chunk(file: h5py.File, name: str) -> int:
    item: Any = file[name]
    return int((item.chunks or (CHUNK_ROWS,))[0])


def _put_runs_in_order(path: Path) -> int:
    """Fit runs to the rows that there are, and end those that have no end.

    Returns:
        How many had no end.
    """
    report = inspect(path)
    rows, before = report.rows, report.runs
    after = list(before)
    for index, run in enumerate(before):
        first = min(run.first_row, rows)
        follower = before[index + 1].first_row if index + 1 < len(before) else rows
        there = max(0, min(follower, rows) - first)
        if not run.reason:
            after[index] = replace(run, first_row=first, rows=there, reason=KILLED)
        else:
            after[index] = replace(run, first_row=first, rows=min(run.rows, there))
    if after != before:
        file = h5py.File(path, "r+", libver=LIBVER, locking="best-effort")
        acts = [
            partial(write_run, open_runs(file), index, run)
            for index, run in enumerate(after)
        ]
        if not close_anyhow(file, acts):
            raise HdfError(f"{path} cannot be written; its runs are not in order")
    return sum(not run.reason for run in before)
