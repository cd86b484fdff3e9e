"""Columns of a scan's rows: type, units and labels, taken from the PVs where known.

A scan server sends every value as a text. What a column is has to be known before the
run starts: PVs are asked with Channel Access, `loc://` names say it themselves, and
anything else is taken for a number.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from event_model import DataKey

from beamfly.ca.dbr import Dbr
from beamfly.ca.payloads import Value
from beamfly.devices.ca_channels import hold_channel
from beamfly.errors import BadValue, CAError, ScanError
from beamfly.scan.data import parse_array
from beamfly.scan.local import LabelledEnum, LocalName, initial_value
from beamfly.scan.values import parse_double

FLOAT, INTEGER, TEXT = "<f8", "<i8", "|S40"


@dataclass(frozen=True)
class ScanColumn:
    """One device in the rows of a scan."""

    device: str
    """As the scan calls it."""
    key: str
    """Name of its data."""
    dtype: str = "number"
    """number, integer, string or array, as data keys have it."""
    shape: tuple[int, ...] = ()
    """Of one value; the length of an array may change from row to row."""
    dtype_numpy: str = FLOAT
    """Of one element."""
    source: str = ""
    """Such as ca://BL:M1."""
    units: str = ""
    """Empty if there are none, or it is not known."""
    precision: int | None = None
    """Digits after the point to show, None if not known."""
    choices: tuple[str, ...] = ()
    """Labels of an enum."""

    @property
    def missing(self) -> Any:
        """What stands in rows before the first sample."""
        return {"number": float("nan"), "integer": 0, "string": ""}.get(self.dtype, [])

    def value(self, text: str) -> Any:
        """A logged text as a value; ScanError if it is of another type."""
        try:
            if self.dtype == "number":
                return parse_double(text)
            if self.dtype == "integer":
                return _whole(text)
            if self.dtype == "array":
                return parse_array(text) if text[:1] == "[" else [parse_double(text)]
        except BadValue:
            kind = "str" if text[:1] != "[" else "list"
            msg = (
                f"{self.device} logged {text[:40]!r}, which is no {self.dtype}: "
                f"prepare the flyer with dtypes={{'{self.device}': {kind}}}"
            )
            raise ScanError(msg) from None
        return text

    def data_key(self) -> DataKey:
        """The column as descriptors have it."""
        key = DataKey(
            source=self.source,
            dtype=self.dtype,  # pyright: ignore[reportArgumentType]
            shape=list(self.shape),
            dtype_numpy=self.dtype_numpy,
        )
        if self.units:
            key["units"] = self.units
        if self.precision is not None:
            key["precision"] = self.precision
        if self.choices:
            key["choices"] = list(self.choices)
        return key


def _whole(text: str) -> int:
    number = parse_double(text)
    if not number.is_integer():
        raise BadValue(f"{text} is no whole number")
    return int(number)


async def describe_columns(
    names: Mapping[str, str],
    dtypes: Mapping[str, type],
    always: set[str],
    timeout: float,
) -> list[ScanColumn]:
    """Columns of devices, with what can be known of them.

    Args:
        names: Device -> name of its data.
        dtypes: Device -> type, if it is said.
        always: Devices that no row lacks.
        timeout: Seconds that PVs may take to answer, all of them together.
    """
    unsaid = [name for name in names if name not in dtypes]
    found = await asyncio.gather(*(_describe(name, timeout) for name in unsaid))
    described = dict(zip(unsaid, found, strict=True))
    columns: list[ScanColumn] = []
    for device, key in names.items():
        column = described.get(device) or _said(device, dtypes[device])
        if column.dtype == "integer" and device not in always:
            # there is no integer for a value that is not known yet
            column = replace(column, dtype="number", dtype_numpy=FLOAT)
        columns.append(replace(column, key=key))
    return columns


_SAID: dict[type, dict[str, Any]] = {
    float: {},
    int: {"dtype": "integer", "dtype_numpy": INTEGER},
    bool: {"dtype": "integer", "dtype_numpy": INTEGER},
    str: {"dtype": "string", "dtype_numpy": TEXT},
    list: {"dtype": "array", "shape": (0,)},
}


def _said(device: str, kind: type) -> ScanColumn:
    settings = _SAID.get(kind)
    if settings is None:
        msg = f"dtypes: {device} can be float, int, str or list, not {kind!r}"
        raise BadValue(msg)
    return ScanColumn(device, "", source=_source(device), **settings)


def _source(device: str) -> str:
    return device if "://" in device else f"ca://{device}"


async def _describe(device: str, timeout: float) -> ScanColumn:
    """What a device itself tells."""
    source = _source(device)
    column = ScanColumn(device, "", source=source)
    if source.startswith(("loc://", "sim://")):
        return _local(column)
    if not source.startswith("ca://"):
        return column
    hold = hold_channel(source.removeprefix("ca://"))
    try:
        value = await hold.channel.describe(timeout)
    except CAError:
        # only the scan server can reach it, or nobody: that is for the scan to tell
        return column
    return _from_pv(column, value, hold.channel.count)


def _local(column: ScanColumn) -> ScanColumn:
    """A variable of the scan server, as its name says."""
    if column.device.startswith("sim://"):
        return column
    match initial_value(LocalName.parse(column.device)):
        case LabelledEnum() as value:
            return replace(column, choices=value.labels, **_SAID[str])
        case str():
            return replace(column, **_SAID[str])
        case int():
            return replace(column, **_SAID[int])
        case Sequence() as values:
            return _array(column, values)
        case _:
            return column


def _array(column: ScanColumn, values: Sequence[Any]) -> ScanColumn:
    texts = any(isinstance(value, str) for value in values)
    return replace(
        column,
        dtype="array",
        shape=(len(values),),
        dtype_numpy=TEXT if texts else FLOAT,
    )


def _from_pv(column: ScanColumn, value: Value, count: int) -> ScanColumn:
    base = value.base
    if base is Dbr.ENUM:
        labels = tuple(label.decode(errors="replace") for label in value.enum_strings)
        return replace(column, choices=labels, **_SAID[str])
    column = replace(column, units=value.units.decode(errors="replace"))
    if base is Dbr.CHAR and count > 1:
        return replace(column, **_SAID[str])
    if count > 1:
        kind = TEXT if base is Dbr.STRING else FLOAT
        return replace(column, dtype="array", shape=(value.count,), dtype_numpy=kind)
    if base is Dbr.STRING:
        return replace(column, **_SAID[str])
    if base in (Dbr.FLOAT, Dbr.DOUBLE):
        return replace(column, precision=value.precision)
    return replace(column, **_SAID[int])


def numpy_dtype(column: ScanColumn) -> "np.dtype[Any]":
    """How a column is stored in a file; BadValue for texts and arrays."""
    if column.dtype not in ("number", "integer"):
        msg = (
            f"{column.device} is a {column.dtype}, and files of scan rows have numbers "
            "only: leave it out with columns=, or use a ScanServerFlyer"
        )
        raise BadValue(msg)
    return np.dtype(column.dtype_numpy)
