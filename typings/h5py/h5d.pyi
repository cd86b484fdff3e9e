from typing import Any

import numpy.typing as npt

from .h5s import SpaceID
from .h5t import TypeID

class GroupID: ...

class DatasetID:
    def set_extent(self, shape: tuple[int, ...]) -> None: ...
    def write_direct_chunk(
        self, offsets: tuple[int, ...], data: npt.NDArray[Any], filter_mask: int = 0
    ) -> None: ...
    def write(
        self,
        mspace: SpaceID,
        fspace: SpaceID,
        arr_obj: npt.NDArray[Any],
        mtype: TypeID | None = None,
    ) -> None: ...
    def get_num_chunks(self, space: SpaceID | None = None) -> int: ...
    def flush(self) -> None: ...
    def refresh(self) -> None: ...
