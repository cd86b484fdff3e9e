"""The columns of a stream: one array per field, in the events or in files.

A column looks like an array (`shape`, `dtype`, slicing, `numpy.asarray`). One that is
in a file reads only the rows that are asked for: `column[100:110]` of an image stack
does not touch the rest.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeGuard, cast

import numpy as np

from beamfly.catalog.jsonl import Document
from beamfly.catalog.values import Array, event_array


class Column(ABC):
    """One field of a stream: an array whose first axis is the event."""

    def __init__(self, name: str, key: Document):
        """Keep what is known.

        Args:
            name: The field.
            key: Its description, the data key of the descriptor.
        """
        self.name = name
        self.key = key

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape, events first."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @abstractmethod
    def rows(self, start: int, stop: int) -> Array:
        """Read the events from `start` to `stop`, which must lie within the shape."""

    def read(self, slice: Any = None) -> Array:
        """Read the column, or a part of it."""
        return self[:] if slice is None else self[slice]

    def __getitem__(self, key: Any) -> Array:
        parts = cast("tuple[Any, ...]", key if isinstance(key, tuple) else (key,))
        first, rest = parts[0], parts[1:]
        count = len(self)
        if _is_range(first):
            start, stop, _ = first.indices(count)
            return self.rows(start, max(start, stop))[(slice(None), *rest)]
        if isinstance(first, Integral):
            number = int(first)
            row = number + (count if number < 0 else 0)
            if not 0 <= row < count:
                raise IndexError(
                    f"{self.name} has {count} events; there is no number {number}."
                )
            return self.rows(row, row + 1)[(0, *rest)]
        return self.rows(0, count)[key]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"<Column {self.name} shape={self.shape} dtype={self.dtype}>"


def _is_range(key: Any) -> "TypeGuard[slice[Any, Any, Any]]":
    return isinstance(key, slice) and cast("Any", key).step in (None, 1)


class EventColumn(Column):
    """A field whose values are in the events."""

    def __init__(self, name: str, key: Document, values: Sequence[Any]):
        """Keep the values, None where an event has none."""
        super().__init__(name, key)
        self._array = event_array(values, key)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, events first."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values; object for what does not fit one array."""
        return self._array.dtype

    def rows(self, start: int, stop: int) -> Array:
        """Give the events from `start` to `stop`."""
        return self._array[start:stop]
