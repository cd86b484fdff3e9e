"""Keeping what can be kept of a file that cannot be written any more.

The disk is full, or a quota is used up: `close_anyhow` gives the file up, `trim` makes
what is left of it a proper file, whose columns are of one length and can be read.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import h5py
from h5py import h5f

from beamfly.hdf.layout import Column, Run, as_dataset, open_runs, write_run

FAILURES = (OSError, RuntimeError, ValueError)
"""What h5py raises when HDF5 fails."""
LIBVER = ("v110", "v110")
"""Readable by every HDF5 since 1.10, the first that can be read while written."""

_PROBE_BYTES = 1 << 20
"""As much of a file's beginning as holds what describes its datasets."""


def close_anyhow(file: h5py.File, acts: Sequence[Callable[[], object]] = ()) -> bool:
    """Do some last things to a file and close it; return whether all went well."""
    well = True
    # a close that fails has closed the file but not forgotten it; the second one does,
    # and must come before HDF5 uses that memory for anything else
    for act in [*acts, partial(h5f.flush, file.id), file.close, file.close]:
        try:
            act()
        except FAILURES:
            well = False
    return well


def trim(
    path: Path,
    columns: Sequence[Column],
    runs: Sequence[Run],
    rows: int,
    chunk_rows: int,
) -> int:
    """Drop rows of a closed file that cannot be read back, and count the rest.

    Args:
        path: The file.
        columns: What it ought to hold.
        runs: Its runs; `rows` of those that lose rows are changed.
        rows: How many rows it ought to hold.
        chunk_rows: Rows in a chunk: chunks are kept whole or not at all.
    """
    with h5py.File(path, "r", locking="best-effort") as file:
        datasets = _columns(file, columns)
        if len(datasets) < len(columns):
            return 0
        rows = min([rows, *(len(dataset) for dataset in datasets)])
        while rows and not all(_readable(dataset, rows) for dataset in datasets):
            rows = (rows - 1) // chunk_rows * chunk_rows
        uneven = any(len(dataset) > rows for dataset in datasets)
    for run in runs:
        run.rows = max(0, min(run.rows, rows - run.first_row))
    if uneven and _can_be_changed(path):
        file = h5py.File(path, "r+", libver=LIBVER, locking="best-effort")
        run_sets = open_runs(file)
        acts: list[Callable[[], object]] = [
            partial(dataset.resize, (rows,)) for dataset in _columns(file, columns)
        ]
        acts += [
            partial(write_run, run_sets, index, run) for index, run in enumerate(runs)
        ]
        close_anyhow(file, acts)
    return rows


def _can_be_changed(path: Path) -> bool:
    """Whether bytes that exist can be written again: HDF5 crashes if it finds not."""
    try:
        with path.open("r+b") as file:
            start = file.read(_PROBE_BYTES)
            file.seek(0)
            file.write(start)
    except OSError:
        return False
    return True


def _columns(file: h5py.File, columns: Sequence[Column]) -> list[h5py.Dataset]:
    found = [as_dataset(file, column.name) for column in columns]
    return [dataset for dataset in found if dataset is not None]


def _readable(dataset: h5py.Dataset, rows: int) -> bool:
    """Whether the last of so many rows can be read; its chunk may not be there."""
    try:
        dataset[rows - 1]
    except FAILURES:
        return False
    return True
