"""Appending rows to a file that others may be reading: ColumnWriter.

Order of calls: create, `define` once the columns are known, then `start_run`,
`append` and `flush` as often as needed, `end_run`, and `close`. Rows may be announced
to readers once `flush` has returned. Any failure leaves a closed, readable file.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy.typing as npt
from h5py import h5d, h5f, h5s, h5t

from beamfly.errors import BadValue, HdfError
from beamfly.hdf.layout import (
    WRITE_FAILED,
    Column,
    Plot,
    Run,
    check_layout,
    create_columns,
    create_plot,
    create_runs,
    write_run,
    write_start_attributes,
)
from beamfly.hdf.salvage import FAILURES, LIBVER, close_anyhow, trim
from beamfly.hdf.superblock import recover

CHUNK_ROWS = 16384
"""Rows in a chunk: fewer cost time, more make live readers wait for less-used pages."""
_CREATE_ERRORS = {
    errno.EEXIST: "it exists already",
    errno.ENOENT: "its directory does not exist",
    errno.ENOTDIR: "its directory is a file",
    errno.EACCES: "it may not be written by you",
    errno.EPERM: "it may not be written by you",
    errno.EROFS: "the file system is read-only",
    errno.EISDIR: "it is a directory",
    errno.ENOSPC: "the disk is full",
    errno.EAGAIN: "another program has it open",
}


class ColumnWriter:
    """One HDF5 file of equally long columns, growing at the end.

    Args:
        path: The file to create.
        overwrite: Whether to replace a file that exists.
        chunk_rows: Rows in a chunk. Whole chunks are written straight from the
            caller's memory; appending multiples of it, from a multiple of it, is
            fastest.

    Raises:
        HdfError: The file cannot be created; nothing was written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        if chunk_rows < 1:
            raise BadValue(
                f"a chunk cannot have {chunk_rows} rows; no file was written"
            )
        self.path = Path(path)
        self.chunk_rows = chunk_rows
        self.columns: tuple[Column, ...] = ()
        """What `define` was given."""
        self.rows = 0
        """Rows appended."""
        self.flushed = 0
        """Rows that readers can see."""
        self.runs: list[Run] = []
        """All runs so far; the last one may still be running."""
        self._ids: list[tuple[h5d.DatasetID, h5t.TypeID]] = []
        self._run_sets: dict[str, h5py.Dataset] = {}
        self._file: h5py.File | None = self._create(overwrite)

    def _create(self, overwrite: bool) -> h5py.File:
        try:
            return h5py.File(
                self.path,
                "w" if overwrite else "x",
                libver=LIBVER,
                # chunks never go through the cache, and readers see them sooner
                rdcc_nbytes=0,
                locking="best-effort",
            )
        except OSError as exc:
            reason = _CREATE_ERRORS.get(exc.errno or 0, str(exc).replace("\n", " "))
            msg = f"cannot create {self.path}: {reason}; nothing was written"
            raise HdfError(msg) from exc

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file is None

    @property
    def defined(self) -> bool:
        """Whether the file has its columns."""
        return bool(self.columns)

    def define(
        self,
        columns: Sequence[Column],
        *,
        first_run: Run | None = None,
        attrs: Mapping[str, str | float] | None = None,
        plot: Plot | None = None,
    ) -> None:
        """Create the datasets; from then on the file can be read while it grows.

        Args:
            columns: At least one; names must differ.
            first_run: Its times become attributes of the file.
            attrs: More attributes of the file.
            plot: What viewers show first, by default the first column.

        Raises:
            BadValue: A name cannot be used. The file is empty, and still open.
            HdfError: The file could not be written, and is closed.
        """
        file = self._open_file()
        if self.columns:
            raise BadValue(f"the columns of {self.path} are defined already")
        check_layout(columns, plot)
        try:
            self._ids = [
                # asked for once: whoever asks an h5py object waits for its lock
                (dataset.id, h5t.py_create(column.dtype))
                for dataset, column in zip(
                    create_columns(file, columns, self.chunk_rows), columns, strict=True
                )
            ]
            self._run_sets = create_runs(file)
            create_plot(file, columns, plot)
            write_start_attributes(file, first_run or Run())
            for name, value in (attrs or {}).items():
                file.attrs[name] = value
            # nothing can be created from here on
            file.swmr_mode = True
        except BadValue:
            raise
        except FAILURES as exc:
            raise self._failed(exc) from exc
        self.columns = tuple(columns)

    def start_run(self, run: Run) -> None:
        """Note that the rows to come belong to a new run; seen after the next flush.

        Args:
            run: Its `first_row`, `rows` and `reason` are filled in here.
        """
        run = replace(run, first_row=self.rows, rows=0, reason="")
        self.runs.append(run)
        self._write_run()

    def end_run(self, reason: str) -> None:
        """Note that the last run is over, and why; seen after the next flush."""
        if self.runs:
            self.runs[-1].reason = reason
            self._write_run("rows", "reason")

    def _write_run(self, *names: str) -> None:
        """Write the last run's row, or what of it is named."""
        self._open_file()
        run = self.runs[-1]
        run.rows = self.rows - run.first_row
        try:
            write_run(self._run_sets, len(self.runs) - 1, run, names)
        except FAILURES as exc:
            raise self._failed(exc) from exc

    def append(self, columns: Sequence[npt.NDArray[Any]]) -> None:
        """Append a block of rows, which readers see after the next `flush`.

        Args:
            columns: One contiguous array per column, of its dtype and all of one
                length. They may be changed once this returns.

        Raises:
            BadValue: The arrays do not fit the columns; nothing was written.
            HdfError: The file could not be written, and is closed; it keeps the rows
                that its message says.
        """
        self._open_file()
        count = self._check(columns)
        done = 0
        try:
            while done < count:
                step = min(self.chunk_rows - self.rows % self.chunk_rows, count - done)
                parts = [column[done : done + step] for column in columns]
                self._write(parts, step)
                done += step
                self.rows += step
        except FAILURES as exc:
            raise self._failed(exc) from exc

    def _check(self, columns: Sequence[npt.NDArray[Any]]) -> int:
        count = len(columns[0]) if columns else 0
        fits = len(columns) == len(self.columns) and all(
            len(array) == count
            and array.flags.c_contiguous
            and array.itemsize * array[:1].size
            == column.dtype.itemsize * len(array[:1])
            and array.dtype.base == column.dtype.base
            for array, column in zip(columns, self.columns, strict=True)
        )
        if not fits:
            got = [(len(array), array.dtype.str) for array in columns]
            msg = f"{got} are not rows of {self.path}; nothing was written"
            raise BadValue(msg)
        return count

    def _write(self, parts: Sequence[npt.NDArray[Any]], count: int) -> None:
        """Write rows that lie in one chunk."""
        first, end = self.rows, self.rows + count
        if count == self.chunk_rows:
            for (dataset, _), part in zip(self._ids, parts, strict=True):
                dataset.set_extent((end,))
                dataset.write_direct_chunk((first,), part)
            return
        memory = h5s.create_simple((count,))
        space = h5s.create_simple((end,), (h5s.UNLIMITED,))
        space.select_hyperslab((first,), (count,))
        for (dataset, dtype), part in zip(self._ids, parts, strict=True):
            dataset.set_extent((end,))
            dataset.write(memory, space, part, dtype)

    def flush(self) -> int:
        """Make all rows visible to readers, and return how many there are."""
        file = self._open_file()
        if self.flushed != self.rows and self.runs and not self.runs[-1].reason:
            self._write_run("rows")
        try:
            h5f.flush(file.id)
        except FAILURES as exc:
            raise self._failed(exc) from exc
        self.flushed = self.rows
        return self.rows

    def close(self) -> None:
        """Flush and close the file; doing it again does nothing."""
        if self._file is None:
            return
        if self.defined:
            self.flush()
        try:
            self._file.close()
        except FAILURES as exc:
            raise self._failed(exc) from exc
        self._forget()

    def _open_file(self) -> h5py.File:
        if self._file is None:
            raise HdfError(f"{self.path} is closed; nothing more was written to it")
        return self._file

    def _forget(self) -> None:
        self._file = None
        self._ids, self._run_sets = [], {}

    def _failed(self, exc: Exception) -> HdfError:
        """Close the file with as many rows as can be kept, and say so."""
        reason = str(exc).split(" (")[0]
        if isinstance(exc, OSError) and exc.errno:
            reason = os.strerror(exc.errno)
        kept = self._salvage()
        self.rows = self.flushed = kept
        return HdfError(
            f"cannot write {self.path}: {reason}; it is closed and keeps {kept} rows"
        )

    def _salvage(self) -> int:
        """Close the file although it cannot be written, and count what it keeps."""
        file, ids, run_sets = self._file, self._ids, self._run_sets
        rows = self.rows
        self._forget()
        if file is None:
            return self.flushed
        # columns must be of one length: the last block may be in some of them only
        acts = [partial(dataset.set_extent, (rows,)) for dataset, _ in ids]
        for run in self.runs[-1:]:
            run.rows, run.reason = rows - run.first_row, run.reason or WRITE_FAILED
            acts.append(partial(write_run, run_sets, len(self.runs) - 1, run))
        unwritable = not close_anyhow(file, acts)
        try:
            if unwritable:
                recover(self.path, force=True)
            return trim(self.path, self.columns, self.runs, rows, self.chunk_rows)
        except FAILURES:
            # not even that could be written; what was flushed can be read all the same
            return 0

    def __enter__(self) -> "ColumnWriter":
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
