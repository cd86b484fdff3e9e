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


def augmented_array(value: Any) -> ca_array:
    """A list of str, or an array, as one that can have attributes."""
    array: np.ndarray[Any, np.dtype[Any]] = np.asarray(
        value, dtype=None if len(value) else getattr(value, "dtype", "U1")
    )
    return array.view(ca_array)
