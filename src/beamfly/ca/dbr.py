"""DBR types: what a value looks like on the wire, with and without metadata.

Everything derives from four small tables: the seven base types, the five families
(plain, STS, TIME, GR, CTRL), the padding before a value, and the metadata fields.
`layout(code)` is one row of the result, `record_dtype` the same as a numpy dtype;
`beamfly.ca.payloads` decodes and encodes with them.

All integers and floats are big endian. Nothing here imports numpy until an array is
asked for, because that import takes longer than a whole read of a PV.
"""

import struct
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from beamfly.ca.frozen import Frozen, frozen
from beamfly.errors import LocalProtocolError

if TYPE_CHECKING:
    import numpy as np

EPICS_EPOCH = 631152000
"""POSIX seconds of 1990-01-01 00:00 UTC, where EPICS time stamps start."""
STRING_BYTES = 40
"""Bytes of a DBR_STRING, its NUL included."""
UNITS_BYTES = 8
ENUM_STRING_BYTES = 26
ENUM_STATES = 16


class Dbr(IntEnum):
    """Type codes of the wire."""

    STRING = 0
    SHORT = 1
    FLOAT = 2
    ENUM = 3
    CHAR = 4
    LONG = 5
    DOUBLE = 6
    STS_STRING = 7
    STS_SHORT = 8
    STS_FLOAT = 9
    STS_ENUM = 10
    STS_CHAR = 11
    STS_LONG = 12
    STS_DOUBLE = 13
    TIME_STRING = 14
    TIME_SHORT = 15
    TIME_FLOAT = 16
    TIME_ENUM = 17
    TIME_CHAR = 18
    TIME_LONG = 19
    TIME_DOUBLE = 20
    GR_STRING = 21
    GR_SHORT = 22
    GR_FLOAT = 23
    GR_ENUM = 24
    GR_CHAR = 25
    GR_LONG = 26
    GR_DOUBLE = 27
    CTRL_STRING = 28
    CTRL_SHORT = 29
    CTRL_FLOAT = 30
    CTRL_ENUM = 31
    CTRL_CHAR = 32
    CTRL_LONG = 33
    CTRL_DOUBLE = 34
    PUT_ACKT = 35
    PUT_ACKS = 36
    STSACK_STRING = 37
    CLASS_NAME = 38


CODES = tuple(Dbr)
"""By code: faster than `Dbr(code)`."""


class Family(IntEnum):
    """What comes along with the value: `code // 7` of the codes below 35."""

    PLAIN = 0
    """Nothing."""
    STS = 1
    """Alarm status and severity."""
    TIME = 2
    """As STS, and the time stamp."""
    GR = 3
    """As STS, and units, display and alarm limits; an enum's strings."""
    CTRL = 4
    """As GR, and control limits."""
    ACK = 5
    """The four codes from 35 on, which belong to alarm handlers."""


_ELEMENTS = {
    Dbr.STRING: (40, "40s"),
    Dbr.SHORT: (2, "h"),
    Dbr.FLOAT: (4, "f"),
    Dbr.ENUM: (2, "H"),
    Dbr.CHAR: (1, "B"),
    Dbr.LONG: (4, "i"),
    Dbr.DOUBLE: (8, "d"),
}
"""Base type -> bytes and struct code of one element."""
_PADDING = {
    Dbr.STS_CHAR: 1,
    Dbr.STS_DOUBLE: 4,
    Dbr.TIME_SHORT: 2,
    Dbr.TIME_ENUM: 2,
    Dbr.TIME_CHAR: 3,
    Dbr.TIME_DOUBLE: 4,
    Dbr.GR_CHAR: 1,
    Dbr.CTRL_CHAR: 1,
}
"""Bytes without meaning right before the value."""
_SPECIAL = {
    Dbr.PUT_ACKT: (Dbr.ENUM, (), ""),
    Dbr.PUT_ACKS: (Dbr.ENUM, (), ""),
    Dbr.STSACK_STRING: (
        Dbr.STRING,
        ("status", "severity", "acknowledge_transient", "acknowledge_severity"),
        "hhHH",
    ),
    Dbr.CLASS_NAME: (Dbr.STRING, (), ""),
}
LIMITS = (
    "upper_disp_limit",
    "lower_disp_limit",
    "upper_alarm_limit",
    "upper_warning_limit",
    "lower_warning_limit",
    "lower_alarm_limit",
    "upper_ctrl_limit",
    "lower_ctrl_limit",
)
"""Names of the limits in the order of the wire; GR types stop after six."""


@frozen
class Layout(Frozen):
    """How the payload of one DBR type is laid out."""

    code: Dbr
    """The type itself."""
    base: Dbr
    """Type of the elements, one of the first seven."""
    family: Family
    """Which metadata there is."""
    names: tuple[str, ...]
    """Metadata fields in order; enum_strings is one blob of 16 x 26 bytes."""
    prefix: str
    """struct format of the metadata with all padding."""
    offset: int
    """Bytes before the first element."""
    element: int
    """Bytes per element."""
    element_format: str
    """struct code of one element."""

    def size(self, count: int) -> int:
        """Bytes of a payload of so many elements, without the padding to 8."""
        return self.offset + count * self.element


def _metadata(family: Family, base: Dbr) -> tuple[tuple[str, ...], str]:
    """Names and struct format of the metadata, without the padding at its end."""
    if family is Family.PLAIN:
        return (), ""
    alarm = ("status", "severity")
    if family is Family.STS or (base is Dbr.STRING and family > Family.TIME):
        return alarm, "hh"
    if family is Family.TIME:
        return (*alarm, "seconds", "nanoseconds"), "hhII"
    if base is Dbr.ENUM:
        size = ENUM_STATES * ENUM_STRING_BYTES
        return (*alarm, "enum_count", "enum_strings"), f"hhh{size}s"
    limits = LIMITS if family is Family.CTRL else LIMITS[:6]
    codes = _ELEMENTS[base][1] * len(limits)
    if base in (Dbr.FLOAT, Dbr.DOUBLE):
        return (*alarm, "precision", "units", *limits), "hhh2x8s" + codes
    return (*alarm, "units", *limits), "hh8s" + codes


@cache
def layout(code: int) -> Layout:
    """The row of a type code; LocalProtocolError if there is no such type."""
    try:
        dbr = Dbr(code)
    except ValueError:
        msg = f"there is no DBR type {code}; nothing was sent or decoded"
        raise LocalProtocolError(msg) from None
    if dbr in _SPECIAL:
        base, names, prefix = _SPECIAL[dbr]
        family = Family.ACK
    else:
        base, family = Dbr(code % 7), Family(code // 7)
        names, prefix = _metadata(family, base)
    prefix = f">{prefix}{_PADDING.get(dbr, 0)}x"
    element, element_format = _ELEMENTS[base]
    offset = struct.calcsize(prefix)
    return Layout(dbr, base, family, names, prefix, offset, element, element_format)


def promote(base: int, family: Family) -> Dbr:
    """The type of a family whose elements are of a base type."""
    return CODES[base % 7 + 7 * family]


@cache
def value_dtype(base: int, native: bool = True) -> "np.dtype[Any]":
    """The numpy dtype of the elements: S40, or a number in native or wire order."""
    import numpy

    row = layout(base)
    code = "S40" if row.base is Dbr.STRING else row.element_format
    return numpy.dtype(code if native else ">" + code)


@cache
def record_dtype(code: int, count: int = 1) -> "np.dtype[Any]":
    """The numpy dtype of a whole payload, metadata by name and `value` of (count,)."""
    import numpy

    row = layout(code)
    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    at = 0
    for name, part in zip(row.names, _parts(row.prefix), strict=False):
        skip, piece = part
        names.append(name)
        formats.append(f"S{piece[:-1]}" if piece.endswith("s") else f">{piece}")
        offsets.append(at + skip)
        at += skip + struct.calcsize(">" + piece)
    names.append("value")
    formats.append((value_dtype(row.base, native=False), (count,)))
    offsets.append(row.offset)
    return numpy.dtype(
        {
            "names": names,
            "formats": formats,
            "offsets": offsets,
            "itemsize": padded(row.size(count)),
        }
    )


def _parts(prefix: str) -> list[tuple[int, str]]:
    """Each field of a struct format with the bytes to skip before it."""
    parts: list[tuple[int, str]] = []
    skip, digits = 0, ""
    for letter in prefix.lstrip(">"):
        if letter.isdigit():
            digits += letter
            continue
        if letter == "x":
            skip += int(digits or 1)
        else:
            parts.append((skip, digits + letter))
            skip = 0
        digits = ""
    return parts


def padded(size: int) -> int:
    """The next multiple of 8, to which every payload is filled up."""
    return (size + 7) & ~7


def text(raw: bytes) -> bytes:
    """A C string: what stands before the first NUL; the rest is garbage."""
    return raw.partition(b"\0")[0]


def __getattr__(name: str) -> Any:
    """DBR_* and FORMAT_* numbers, and types of values, under the names of old."""
    if name.startswith(("DBR_", "FORMAT_", "ca_", "InvalidDatatype")):
        from importlib import import_module

        for home in ("dbr_names", "values", "datatypes"):
            module = import_module(f"beamfly.ca.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
