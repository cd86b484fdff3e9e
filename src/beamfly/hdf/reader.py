"""Reading columns, also while another process appends to them: `open_columns`."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy.typing as npt

from beamfly.errors import HdfError
from beamfly.hdf.layout import ENTRY, RUNS, Run, open_runs, read_runs

FAILURES = (OSError, RuntimeError, ValueError, KeyError)
"""What h5py raises when HDF5 cannot read."""


class Columns(Mapping[str, h5py.Dataset]):
    """An open file as a mapping of column name to dataset; use it in a `with` block.

    Args:
        file: Which is closed with this object.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._datasets = dict(_datasets(file, ""))
        self._runs = open_runs(file)

    def __getitem__(self, name: str) -> h5py.Dataset:
        """The dataset of a column."""
        return self._datasets[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the columns."""
        return iter(self._datasets)

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self._datasets)

    @property
    def rows(self) -> int:
        """Rows that all columns have; grows after `refresh`."""
        return min((len(dataset) for dataset in self.values()), default=0)

    @property
    def runs(self) -> list[Run]:
        """Acquisitions that wrote the rows; empty for files of other programs."""
        return read_runs(self._runs) if self._runs else []

    def read(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """Rows of one column, never more than all columns have."""
        stop = self.rows if stop is None else min(stop, self.rows)
        return self[name][start:stop]

    def refresh(self) -> int:
        """See what was flushed since; returns `rows`."""
        try:
            for dataset in [*self.values(), *self._runs.values()]:
                dataset.id.refresh()
        except (OSError, RuntimeError) as exc:
            raise HdfError(f"cannot read on: {exc}") from exc
        return self.rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Columns":
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


def open_columns(path: str | os.PathLike[str]) -> Columns:
    """Open a file to read it, whether or not it is being written.

    Works for files of any program that hold growing 1-D datasets; files written for
    SWMR are opened as such, which also works after their writer was killed.

    Args:
        path: The file.

    Raises:
        HdfError: It is not there, or cannot be read.
    """
    return Columns(open_file(path))


def open_file(path: str | os.PathLike[str]) -> h5py.File:
    """Open a file of any program to read it, whether or not it is being written.

    Raises:
        HdfError: It is not there, or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise HdfError(f"there is no file {path}")
    try:
        return h5py.File(path, "r", swmr=True, locking="best-effort")
    except FAILURES:
        # not written for SWMR: it can only be read when its writer is done
        try:
            return h5py.File(path, "r", locking="best-effort")
        except FAILURES as exc:
            reason = str(exc).replace("\n", " ").strip("'\"")
            raise HdfError(f"cannot read {path}: {reason}") from exc


def _datasets(group: h5py.Group, prefix: str) -> Iterator[tuple[str, h5py.Dataset]]:
    for name in group:
        if not prefix and name in (RUNS, ENTRY):
            continue
        try:
            item = group[name]
        except KeyError:
            continue  # a link to nowhere, as files of other programs may have
        if isinstance(item, h5py.Dataset):
            yield prefix + name, item
        else:
            yield from _datasets(item, f"{prefix}{name}/")
