"""Reading datasets of any rank by their path, from files of any program: DatasetReader.

`open_columns` is for the equally long columns that this package writes; this is for
whatever a data catalog points at, such as the image stack of a camera. Both can read
a file that is still being written.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import h5py
import numpy as np
import numpy.typing as npt

from beamfly.errors import HdfError
from beamfly.hdf.layout import RUNS, Run, read_runs
from beamfly.hdf.reader import FAILURES, open_file


class DatasetReader:
    """One open file; use it in a `with` block.

    What it shows is what had been flushed when it was opened.

    Args:
        path: The file.

    Raises:
        HdfError: It is not there, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = open_file(path)

    def _dataset(self, dataset: str) -> h5py.Dataset:
        try:
            found = self._file[dataset]
        except FAILURES as exc:
            raise HdfError(f"there is no dataset {dataset} in {self.path}") from exc
        if not isinstance(found, h5py.Dataset):
            raise HdfError(f"{dataset} in {self.path} is a group, not a dataset")
        return found

    def shape(self, dataset: str) -> tuple[int, ...]:
        """The shape of a dataset.

        Raises:
            HdfError: There is no such dataset.
        """
        return tuple(int(n) for n in self._dataset(dataset).shape or ())

    def dtype(self, dataset: str) -> np.dtype[Any]:
        """The type of a dataset's values.

        Raises:
            HdfError: There is no such dataset.
        """
        return self._dataset(dataset).dtype

    def attributes(self, dataset: str) -> dict[str, Any]:
        """The attributes of a dataset.

        Raises:
            HdfError: There is no such dataset.
        """
        attrs = self._dataset(dataset).attrs
        return {str(name): attrs[name] for name in attrs}

    def read(self, dataset: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Read the rows from `start` to `stop`, as many as there are of them.

        Raises:
            HdfError: There is no such dataset, or it cannot be read.
        """
        found = self._dataset(dataset)
        try:
            return cast("npt.NDArray[Any]", found[start:stop])
        except FAILURES as exc:
            reason = str(exc).replace("\n", " ").strip("'\"")
            msg = f"cannot read {dataset} in {self.path}: {reason}"
            raise HdfError(msg) from exc

    @property
    def runs(self) -> list[Run]:
        """Acquisitions that wrote the rows; empty for files of other programs."""
        try:
            group = self._file[RUNS] if RUNS in self._file else None
            if not isinstance(group, h5py.Group):
                return []
            return read_runs(cast("dict[str, h5py.Dataset]", group))
        except (*FAILURES, AttributeError, UnicodeError):
            return []  # a group of that name, with something else in it

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "DatasetReader":
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
