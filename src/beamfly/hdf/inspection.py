"""What is in an HDF5 file, and whether all of it is right: `inspect` and `verify`.

Both read files of any program, also while they are written, and change nothing.
`inspect` looks at what the file says of itself; `verify` reads every row.
"""

import io
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from beamfly.errors import HdfError
from beamfly.hdf.layout import ENTRY, RUNS, Run, open_runs, read_runs
from beamfly.hdf.reader import FAILURES
from beamfly.hdf.superblock import Mark, read_mark

ENDS_WELL = ("Ok", "Disarmed")
"""Reasons for the end of a run that nobody has to worry about."""
_BLOCK_BYTES = 32 << 20
_ATTEMPTS = 5


@dataclass(frozen=True)
class Dataset:
    """One dataset of a file."""

    name: str
    """Its path, without a slash in front."""
    shape: tuple[int, ...]
    """Rows first."""
    dtype: np.dtype[Any]
    """Of one value."""
    attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    """Its attributes."""

    @property
    def rows(self) -> int:
        """How many rows it has, 1 if it is a single value."""
        return self.shape[0] if self.shape else 1

    def text(self, name: str) -> str:
        """An attribute as text, empty if it is not there."""
        value = self.attrs.get(name, "")
        return (
            value.decode(errors="replace") if isinstance(value, bytes) else f"{value}"
        )


@dataclass(frozen=True)
class FileReport:
    """What a file says of itself."""

    path: Path
    """The file."""
    mark: Mark
    """Its first bytes."""
    age: float
    """Seconds since it changed."""
    datasets: list[Dataset]
    """All of them, but for those that describe runs."""
    runs: list[Run]
    """Acquisitions; empty for files of other programs."""
    attrs: dict[str, Any]
    """Attributes of the file."""
    ours: bool
    """Whether it has the layout that this package writes."""

    @property
    def rows(self) -> int:
        """Rows that all datasets have."""
        return min((dataset.rows for dataset in self.datasets), default=0)

    @property
    def complete(self) -> bool:
        """Whether it was closed, and every run has ended."""
        return not self.mark.writing and all(run.reason for run in self.runs)


def inspect(path: str | os.PathLike[str]) -> FileReport:
    """Find out what is in a file.

    Raises:
        HdfError: It is not there, is no HDF5 file, or cannot be read; says why.
    """
    path = Path(path)
    mark = read_mark(path)
    age = max(0.0, time.time() - path.stat().st_mtime)
    if mark.cut_off:
        msg = f"{path} is cut off: it has {mark.size} of {mark.end} bytes"
        raise HdfError(msg)
    attempts = _ATTEMPTS if mark.writing else 1
    while True:
        attempts -= 1
        try:
            with _opened(path, mark) as file:
                return _report(path, mark, age, file)
        except FAILURES as exc:
            # what a writer is changing may not fit together when it is looked at
            if attempts == 0:
                raise HdfError(f"{path} is damaged: {_sentence(exc)}") from exc
        time.sleep(0.05)


def _report(path: Path, mark: Mark, age: float, file: h5py.File) -> FileReport:
    run_sets = open_runs(file)
    runs = read_runs(run_sets) if run_sets else []
    datasets = _datasets(file, bool(run_sets))
    return FileReport(
        path, mark, age, datasets, runs, _attributes(file), bool(run_sets)
    )


class _AsIfClosed(io.RawIOBase):
    """A file whose first bytes say that it was closed, whatever they are."""

    def __init__(self, path: Path, mark: Mark) -> None:
        self._file = path.open("rb", buffering=0)
        self._head = mark.closed_head

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        head = self._head[at : at + count]
        view[: len(head)] = head
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _opened(path: Path, mark: Mark) -> Generator[h5py.File]:
    """Open a file to read it, whether it was closed or not; takes no lock.

    A file opened for SWMR is not read any better: HDF5 would read bytes that are
    damaged again and again for minutes, in the hope that a writer corrects them.
    """
    with closing(_AsIfClosed(path, mark)) as raw, h5py.File(raw, "r") as file:
        yield file


def _datasets(file: h5py.File, ours: bool) -> list[Dataset]:
    found: list[Dataset] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        # what this package adds to its columns; its plot is of links, never visited
        if ours and name.split("/")[0] in (RUNS, ENTRY):
            return
        if isinstance(item, h5py.Dataset):
            shape = tuple(int(n) for n in item.shape or ())
            found.append(Dataset(name, shape, item.dtype, _attributes(item)))

    file.visititems(visit)
    return found


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    return {name: item.attrs[name] for name in item.attrs}


def _sentence(exc: BaseException) -> str:
    return str(exc).replace("\n", " ").strip("'\"")


def verify(
    path: str | os.PathLike[str],
    progress: Callable[[str, float], None] | None = None,
) -> list[str]:
    """Read all of a file and say what is wrong with it, nothing if all is right.

    Args:
        path: The file.
        progress: Is told the dataset that is being read, and which part of all bytes
            has been read.

    Raises:
        HdfError: It is not there, is no HDF5 file, or cannot be opened; says why.
    """
    report = inspect(path)
    problems = list(_of_mark(report))
    if report.ours:
        problems += _of_columns(report)
        problems += _of_runs(report)
    if not report.datasets:
        problems.append("it holds no dataset")
    problems += _of_values(report, progress)
    return problems


def _of_mark(report: FileReport) -> Iterator[str]:
    if report.mark.writing:
        yield (
            "it is marked as open for writing: its writer is still at work, or was "
            "killed"
        )


def _of_columns(report: FileReport) -> Iterator[str]:
    lengths = {dataset.rows for dataset in report.datasets}
    if len(lengths) > 1:
        longer = [d for d in report.datasets if d.rows > report.rows]
        listed = ", ".join(f"{d.name} ({d.rows})" for d in longer[:3])
        more = f" and {len(longer) - 3} more" if len(longer) > 3 else ""
        yield (
            f"its columns differ in length: all have {report.rows} rows, but there are "
            f"more of {listed}{more}"
        )


def _of_runs(report: FileReport) -> Iterator[str]:
    at = 0
    for number, run in enumerate(report.runs, 1):
        if run.first_row != at:
            yield (
                f"run {number} begins at row {run.first_row}, though the rows before "
                f"it end at {at}"
            )
        at = run.first_row + run.rows
        if run.missed:
            yield f"run {number} lost {run.missed} samples before its first row"
        if not run.reason:
            yield f"run {number} has no end: it is going on, or its writer was killed"
        elif run.reason not in ENDS_WELL:
            yield f"run {number} ended after {run.rows} rows with {run.reason!r}"
    if report.runs and at > report.rows:
        yield f"its runs account for {at} rows, but it has {report.rows}"
    elif report.runs and at < report.rows and not report.mark.writing:
        yield f"its runs account for {at} rows only, but it has {report.rows}"


def _of_values(
    report: FileReport, progress: Callable[[str, float], None] | None
) -> Iterator[str]:
    """Read every value."""
    sizes = [_bytes(dataset) for dataset in report.datasets]
    total, done = max(1, sum(sizes)), 0
    with _opened(report.path, report.mark) as file:
        for dataset, size in zip(report.datasets, sizes, strict=True):
            step = max(1, _BLOCK_BYTES * max(1, dataset.rows) // max(1, size))
            for first in range(0, dataset.rows, step):
                if progress is not None:
                    part = first / max(1, dataset.rows) * size
                    progress(dataset.name, (done + part) / total)
                problem = _unreadable(file, dataset, first, first + step)
                if problem:
                    yield problem
                    break
            else:
                yield from _holes(file, dataset)
            done += size


def _holes(file: h5py.File, dataset: Dataset) -> Iterator[str]:
    """Chunks that were never written, which HDF5 reads as zeros without a word."""
    item = file[dataset.name]
    if not isinstance(item, h5py.Dataset) or item.chunks is None:
        return
    wanted = prod(
        -(-extent // chunk)
        for extent, chunk in zip(dataset.shape, item.chunks, strict=True)
    )
    missing = wanted - item.id.get_num_chunks()
    if missing > 0:
        yield (
            f"{dataset.name} lacks {missing} of {wanted} chunks of {item.chunks[0]} "
            "rows; they read as zeros"
        )


def _bytes(dataset: Dataset) -> int:
    return prod(dataset.shape) * dataset.dtype.itemsize


def _unreadable(file: h5py.File, dataset: Dataset, first: int, stop: int) -> str:
    """A sentence on the first row of these that cannot be read, or nothing."""
    stop = min(stop, dataset.rows)
    while True:
        reason = _failure(file, dataset, first, stop)
        if not reason:
            return ""
        if stop - first <= 1:
            return f"{dataset.name} cannot be read from row {first} on: {reason}"
        # halve the interval until the first bad row is alone in it
        middle = (first + stop) // 2
        if _failure(file, dataset, first, middle):
            stop = middle
        else:
            first = middle


def _failure(file: h5py.File, dataset: Dataset, first: int, stop: int) -> str:
    """Why these rows cannot be read; empty if they can."""
    try:
        item = file[dataset.name]
        if isinstance(item, h5py.Dataset):
            item[first:stop] if dataset.shape else item[()]
    except FAILURES as exc:
        return _sentence(exc)
    return ""
