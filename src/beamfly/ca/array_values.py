"""Augmented arrays: what `caget` and `camonitor` give for array PVs.

A module of its own because it needs numpy; `beamfly.ca.values` has the rest.
"""

# the name is the one that users of EPICS in Python know
# ruff: noqa: N801

from typing import Any

import numpy as np

from beamfly.ca.values import Augmented


class ca_array(np.ndarray[Any, np.dtype[Any]], Augmented):
    """An array of shape (count,) with attributes."""

    __hash__ = None  # type: ignore[assignment]

    def __pos__(self) -> "np.ndarray[Any, np.dtype[Any]]":
        return np.array(self)

    def __copy__(self) -> "ca_array":
        return self._with(super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None) -> "ca_array":
        return self._with(super().__deepcopy__(memo))

    def _with(self, array: Any) -> "ca_array":
        """Another array with the same attributes."""
        result: ca_array = array.view(ca_array)
        result.__dict__.update(self.__dict__)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, state = super().__reduce__()
        return make, arguments, (state, self.__dict__)

    def __setstate__(self, state: Any) -> None:
        array, attributes = state
        super().__setstate__(array)
        self.__dict__.update(attributes)


def augmented_array(value: Any) -> ca_array:
    """A list of str, or an array, as one that can have attributes."""
    array: np.ndarray[Any, np.dtype[Any]] = np.asarray(
        value, dtype=None if len(value) else getattr(value, "dtype", "U1")
    )
    return array.view(ca_array)
