"""Images in an HDF5 file that others may be reading, frame after frame: ImageWriter.

One dataset of shape (frames, height, width), and numbers that belong to each frame in
datasets of shape (frames,). Where they are in the file is up to the caller.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5f

from beamfly.errors import BadValue, HdfError
from beamfly.hdf.salvage import FAILURES, LIBVER, close_anyhow

_NUMBERS_IN_CHUNK = 1024


class ImageWriter:
    """One HDF5 file of images; it can be read while it is written.

    Args:
        path: The file to create.
        dataset: Path of the images in the file, such as /entry/data/data.
        shape: Height and width.
        dtype: Of a pixel.
        numbers: Path in the file -> dtype of a number that each frame comes with.
        overwrite: Whether to replace a file that exists.

    Raises:
        HdfError: The file cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        dataset: str,
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        numbers: Mapping[str, npt.DTypeLike] | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self.shape = shape
        self.frames = 0
        """Images written, all of which readers can see."""
        self._numbers: dict[str, h5py.Dataset] = {}
        mode = "w" if overwrite else "x"
        try:
            file = h5py.File(self.path, mode, libver=LIBVER, locking="best-effort")
        except OSError as exc:
            reason = os.strerror(exc.errno) if exc.errno else str(exc)
            msg = f"cannot create {self.path}: {reason}; nothing was written"
            raise HdfError(msg) from exc
        self._file: h5py.File | None = file
        try:
            self._images = file.create_dataset(
                dataset,
                (0, *shape),
                np.dtype(dtype),
                maxshape=(None, *shape),
                chunks=(1, *shape),
            )
            for name, kind in (numbers or {}).items():
                self._numbers[name] = file.create_dataset(
                    name,
                    (0,),
                    np.dtype(kind),
                    maxshape=(None,),
                    chunks=(_NUMBERS_IN_CHUNK,),
                )
            file.swmr_mode = True
        except FAILURES as exc:
            raise self._failed(exc) from exc

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file is None

    def append(
        self, image: npt.NDArray[Any], numbers: Mapping[str, float] | None = None
    ) -> None:
        """Write an image; readers see it when this returns.

        Args:
            image: Of the shape given.
            numbers: Those that belong to it, by their paths; 0 for what is left out.

        Raises:
            BadValue: The image has another shape; nothing was written.
            HdfError: The file could not be written, and is closed.
        """
        file = self._file
        if file is None:
            raise HdfError(f"{self.path} is closed; nothing more was written to it")
        if image.shape != self.shape:
            msg = f"an image of shape {image.shape} is not {self.shape}; it was not "
            raise BadValue(f"{msg}written to {self.path}")
        given = numbers or {}
        count = self.frames + 1
        try:
            for name, dataset in self._numbers.items():
                dataset.resize((count,))
                dataset[self.frames] = given.get(name, 0)
            self._images.resize((count, *self.shape))
            self._images[self.frames] = image
            h5f.flush(file.id)
        except FAILURES as exc:
            raise self._failed(exc) from exc
        self.frames = count

    def close(self) -> None:
        """Close the file; doing it again does nothing."""
        file, self._file = self._file, None
        if file is not None and not close_anyhow(file):
            msg = f"{self.path} could not be closed properly after {self.frames} images"
            raise HdfError(msg)

    def _failed(self, exc: Exception) -> HdfError:
        file, self._file = self._file, None
        if file is not None:
            close_anyhow(file)
        reason = str(exc).split(" (")[0]
        if isinstance(exc, OSError) and exc.errno:
            reason = os.strerror(exc.errno)
        return HdfError(f"cannot write {self.path}: {reason}; it is closed")

    def __enter__(self) -> Self:
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
