"""Values of events, as they stand in JSON, made into arrays of their declared type."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from beamfly.catalog.jsonl import Document

Array = np.ndarray[Any, Any]
"""Any numpy array."""


def event_array(values: Sequence[Any], key: Document) -> Array:
    """Turn the values of a field into one array, of the declared type if it can hold.

    Missing numbers become NaN. Values that fit no common shape give an array of
    objects, one per event.
    """
    dtype = declared_dtype(key)
    if not values:
        return np.empty((0, *event_shape(key)), dtype or float)
    try:
        if dtype is not None and dtype.kind in "iu" and _whole(values):
            return np.asarray(values, dtype)
    except OverflowError:
        dtype = None  # they do not fit what was declared
    try:
        array: Array = np.asarray(values)
    except ValueError:  # of different lengths
        return _objects(values)
    if array.dtype == object:
        return _numbers_with_gaps(array)
    if array.dtype.kind == "U" and not all(isinstance(v, str | list) for v in values):
        return _objects(values)  # numbers among texts stay numbers
    return array if dtype is None else _cast(array, dtype)


def _whole(values: Sequence[Any]) -> bool:
    return all(type(value) is int for value in values)


def _numbers_with_gaps(array: Array) -> Array:
    try:
        return array.astype(float)
    except (TypeError, ValueError):  # texts, mappings, lists of different lengths
        return array


def event_shape(key: Document) -> tuple[int, ...]:
    """The declared shape of one event; `[1]` is a plain number, an open length 0."""
    declared: list[int | None] = key.get("shape") or []
    shape = tuple(n or 0 for n in declared)
    return () if shape == (1,) else shape


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype.kind not in "biuf" or dtype.kind not in "biuf":
        return array
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    floats = array.dtype.kind == "f" and dtype.kind == "f"
    return cast if np.array_equal(cast, array, equal_nan=floats) else array


def declared_dtype(key: Document) -> np.dtype[Any] | None:
    """The declared type of the values; None if nothing definite was declared."""
    declared = key.get("dtype_numpy")
    if not isinstance(declared, str):
        named: dict[str, Any] = {"string": np.str_, "boolean": bool, "integer": int}
        plain = named.get(str(key.get("dtype")))
        return None if plain is None else np.dtype(plain)
    try:
        return np.dtype(declared)
    except TypeError:
        return None


def _objects(values: Sequence[Any]) -> Array:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array
