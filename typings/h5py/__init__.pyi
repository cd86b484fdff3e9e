"""The part of h5py that beamfly.hdf leans on."""

from collections.abc import Callable, Iterator, Mapping
from io import RawIOBase
from os import PathLike
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import h5d as h5d
from . import h5f as h5f
from . import h5p as h5p
from . import h5s as h5s
from . import h5t as h5t

class SoftLink:
    def __init__(self, path: str) -> None: ...

class AttributeManager(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any: ...
    def __setitem__(self, name: str, value: object) -> None: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class Dataset:
    id: h5d.DatasetID
    attrs: AttributeManager
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunks: tuple[int, ...] | None
    name: str
    def __getitem__(self, args: object) -> Any: ...
    def __setitem__(self, args: object, value: object) -> None: ...
    def __len__(self) -> int: ...
    def resize(self, size: tuple[int, ...]) -> None: ...

class Group:
    id: h5d.GroupID
    attrs: AttributeManager
    def __getitem__(self, name: str) -> Group | Dataset: ...
    def __setitem__(self, name: str, value: SoftLink) -> None: ...
    def __contains__(self, name: str) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def visititems(self, func: Callable[[str, Group | Dataset], object]) -> object: ...
    def create_group(self, name: str) -> Group: ...
    def require_group(self, name: str) -> Group: ...
    def create_dataset(
        self,
        name: str,
        shape: tuple[int, ...] | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        maxshape: tuple[int | None, ...] | None = None,
        chunks: tuple[int, ...] | None = None,
        fill_time: Literal["alloc", "never", "ifset"] | None = None,
    ) -> Dataset: ...

class File(Group):
    id: h5f.FileID
    swmr_mode: bool
    def __init__(
        self,
        name: str | PathLike[str] | RawIOBase,
        mode: Literal["r", "r+", "w", "x", "a"] = "r",
        *,
        libver: str | tuple[str, str] | None = None,
        swmr: bool = False,
        rdcc_nbytes: int | None = None,
        locking: bool | Literal["best-effort"] | None = None,
    ) -> None: ...
    def __enter__(self) -> File: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
