"""Payloads: values and their metadata <-> bytes, for every DBR type.

`decode` and `encode` turn a payload into a `Value` and back without loss; `pack` turns
what a user writes (number, text, list, array) into the elements of a payload. The
layouts come from `beamfly.ca.dbr`.
"""

import math
import struct
from collections.abc import Iterable
from operator import index
from typing import TYPE_CHECKING, Any

from beamfly.ca.dbr import (
    ENUM_STATES,
    ENUM_STRING_BYTES,
    EPICS_EPOCH,
    LIMITS,
    STRING_BYTES,
    Dbr,
    Layout,
    layout,
    padded,
    text,
    value_dtype,
)
from beamfly.ca.frozen import Frozen, frozen
from beamfly.errors import BadValue, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

RANGES = {
    # characters have no sign on the wire, and have one in most records
    "B": (-128, 255),
    "H": (0, 0xFFFF),
    "h": (-0x8000, 0x7FFF),
    "i": (-0x8000_0000, 0x7FFF_FFFF),
}
"""What an integer of a struct format may be."""


class TextTooLong(BadValue):
    """Text of 40 bytes or more, for a DBR_STRING."""


@frozen
class Value(Frozen):
    """A decoded payload: elements and whatever metadata its type carries."""

    type: Dbr
    """Which of the 39 types it came as."""
    count: int
    """How many elements there are; 0 for an empty array."""
    raw: bytes
    """The elements as on the wire; `elements`, `array` and `strings` read them."""
    status: int = 0
    """Alarm status."""
    severity: int = 0
    """Alarm severity: 0 none, 1 minor, 2 major, 3 invalid."""
    seconds: int = 0
    """Since 1990-01-01 UTC; 0 with nanoseconds 0 when never processed."""
    nanoseconds: int = 0
    """Of that second."""
    units: bytes = b""
    """At most 8 bytes, as the server encodes them."""
    precision: int = 0
    """Digits after the point to show; only types of floats carry it."""
    limits: tuple[float, ...] = ()
    """In the order of LIMITS: 6 for GR, 8 for CTRL, else none; nan when unset."""
    enum_strings: tuple[bytes, ...] = ()
    """States of an enum, at most 16."""
    acknowledge_transient: int = 0
    """STSACK only: whether alarms that went away need acknowledging."""
    acknowledge_severity: int = 0
    """STSACK only: highest severity that is not acknowledged."""

    @property
    def base(self) -> Dbr:
        """Type of the elements."""
        return layout(self.type).base

    @property
    def time_ns(self) -> int:
        """The time stamp in nanoseconds since 1970, like time.time_ns()."""
        return (self.seconds + EPICS_EPOCH) * 1_000_000_000 + self.nanoseconds

    @property
    def timestamp(self) -> float:
        """The time stamp in seconds since 1970, like time.time()."""
        return self.seconds + EPICS_EPOCH + self.nanoseconds * 1e-9

    def strings(self) -> list[bytes]:
        """The elements of a string type, each up to its first NUL."""
        step = STRING_BYTES
        return [
            text(self.raw[at * step : at * step + step]) for at in range(self.count)
        ]

    def elements(self) -> tuple[Any, ...]:
        """The elements as Python ints, floats or bytes, without numpy."""
        row = layout(self.type)
        if row.base is Dbr.STRING:
            return tuple(self.strings())
        return struct.unpack(f">{self.count}{row.element_format}", self.raw)

    def array(self) -> "npt.NDArray[Any]":
        """The elements as a fresh native array of shape (count,)."""
        import numpy

        row = layout(self.type)
        if row.base is Dbr.STRING:
            return numpy.array(self.strings(), dtype=value_dtype(row.base))
        wire = numpy.frombuffer(self.raw, value_dtype(row.base, native=False))
        return wire.astype(value_dtype(row.base))


def decode(code: int, count: int, payload: bytes | memoryview) -> Value:
    """The value of a payload; RemoteProtocolError if it is too short for count."""
    row = layout(code)
    if len(payload) < row.size(count):
        # a scalar string may be sent without the NULs at its end
        if row.base is not Dbr.STRING or count != 1 or len(payload) <= row.offset:
            msg = (
                f"a {row.code.name} of {count} elements takes {row.size(count)} bytes, "
                f"the peer sent {len(payload)}; it was not decoded"
            )
            raise RemoteProtocolError(msg)
        payload = bytes(payload).ljust(row.size(1), b"\0")
    raw = bytes(payload[row.offset : row.size(count)])
    if not row.names:
        return Value(row.code, count, raw)
    fields = dict(zip(row.names, struct.unpack_from(row.prefix, payload), strict=True))
    return Value(row.code, count, raw, **_readable(fields))


def _readable(fields: dict[str, Any]) -> dict[str, Any]:
    """Metadata as it is unpacked -> arguments of Value."""
    limits = tuple(fields.pop(name) for name in LIMITS if name in fields)
    if limits:
        fields["limits"] = limits
    if "units" in fields:
        fields["units"] = text(fields["units"])
    if "enum_strings" in fields:
        blob, step = fields["enum_strings"], ENUM_STRING_BYTES
        count = max(0, min(fields.pop("enum_count"), ENUM_STATES))
        fields["enum_strings"] = tuple(
            text(blob[at * step : at * step + step]) for at in range(count)
        )
    return fields


def encode(value: Value) -> bytes:
    """The payload of a value, filled up to a multiple of 8 bytes."""
    row = layout(value.type)
    if len(value.raw) != value.count * row.element:
        msg = (
            f"{value.count} elements of {row.code.name} take "
            f"{value.count * row.element} bytes, not {len(value.raw)}; nothing was sent"
        )
        raise LocalProtocolError(msg)
    try:
        prefix = struct.pack(row.prefix, *_sendable(value, row))
    except struct.error as error:
        msg = f"metadata does not fit {row.code.name}: {error}; nothing was sent"
        raise LocalProtocolError(msg) from None
    size = row.size(value.count)
    return b"".join((prefix, value.raw, bytes(padded(size) - size)))


def _sendable(value: Value, row: Layout) -> list[Any]:
    """Metadata in the order and form in which it is packed."""
    packed: list[Any] = []
    limits = iter(value.limits)
    for name in row.names:
        if name in LIMITS:
            packed.append(next(limits, 0))
        elif name == "enum_count":
            packed.append(min(len(value.enum_strings), ENUM_STATES))
        elif name == "enum_strings":
            step = ENUM_STRING_BYTES
            states = (
                state[: step - 1].ljust(step, b"\0") for state in value.enum_strings
            )
            packed.append(b"".join(states)[: ENUM_STATES * step])
        else:
            packed.append(getattr(value, name))
    return packed


def pack(base: int, value: Any) -> tuple[int, bytes | memoryview]:
    """Elements of a base type from what a user writes, as (count, bytes).

    Numbers, text, bytes, sequences and arrays of one dimension are taken; the bytes are
    not filled up to 8. BadValue if it does not fit: nothing was sent.
    """
    row = layout(base)
    if row.base is Dbr.STRING:
        items = _string_items(value)
        return len(items), b"".join(map(_string_element, items))
    if isinstance(value, (int, float)):
        number = _number(row, value)
        try:
            return 1, struct.pack(">" + row.element_format, number)
        except (struct.error, OverflowError):
            msg = f"{value!r:.60} does not fit {row.code.name}; nothing was sent"
            raise BadValue(msg) from None
    return _pack_array(row, value)


def _number(row: Layout, value: float) -> float:
    """The number that is sent: integers for integer types, cut like C does."""
    if row.element_format in "fd":
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise _out_of_range(row, value)
    whole = int(value)
    lowest, highest = RANGES[row.element_format]
    if not lowest <= whole <= highest:
        raise _out_of_range(row, value)
    return whole & 0xFF if row.base is Dbr.CHAR else whole


def _out_of_range(row: Layout, value: Any) -> BadValue:
    """What is raised for a number that would become another one."""
    lowest, highest = RANGES[row.element_format]
    return BadValue(
        f"{value!r:.60} does not fit {row.code.name}, which takes {lowest} to "
        f"{highest}; nothing was sent"
    )


def _pack_array(row: Layout, value: Any) -> tuple[int, bytes | memoryview]:
    """The wire form of a sequence or array of numbers."""
    import numpy

    try:
        array = _one_dimension(numpy.asarray(value))
        kind = array.dtype.kind
        if kind in "cmM" or (kind == "O" and None in array.ravel().tolist()):
            # numpy would make numbers of dates, and nan of nothing
            msg = f"{value!r:.60} is no number and does not fit {row.code.name}"
            raise BadValue(f"{msg}; nothing was sent")
        # arrays of integers are taken as they are: bits of registers, for instance
        if array.dtype.kind == "f" or not hasattr(value, "dtype"):
            _check_range(row, value, array)
        with numpy.errstate(invalid="ignore", over="ignore"):
            wire = array.astype(value_dtype(row.base, native=False), casting="unsafe")
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, BadValue):
            raise
        msg = f"{value!r:.60} does not fit {row.code.name}: {error}; nothing was sent"
        raise BadValue(msg) from None
    return wire.size, wire.reshape(-1).view("u1").data


def _one_dimension(array: Any) -> Any:
    """The same, or BadValue."""
    if array.ndim > 1:
        msg = f"a PV has one dimension, not {array.ndim}; put array.ravel()"
        raise BadValue(msg)
    return array


def _check_range(row: Layout, value: Any, array: Any) -> None:
    """BadValue for numbers that an integer type cannot hold, and for nan."""
    if row.element_format in "fd" or array.dtype.kind not in "iuf" or not array.size:
        return
    lowest, highest = RANGES[row.element_format]
    # the fraction is cut, and nan is in no range
    if not (lowest - 1 < array.min() and array.max() < highest + 1):
        raise _out_of_range(row, value)


def _string_items(value: Any) -> list[Any]:
    """A single text or number as a list of one, anything else as a list."""
    if isinstance(value, (str, bytes)):
        return [value]
    if hasattr(value, "__array__"):
        import numpy

        return list(_one_dimension(numpy.asarray(value)).reshape(-1))
    if not isinstance(value, Iterable):
        return [value]
    return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _string_element(item: Any) -> bytes:
    """40 bytes of one string; TextTooLong from 40 bytes of text on."""
    if item is None or isinstance(item, (list, tuple)) or getattr(item, "ndim", 0):
        msg = f"{item!r:.60} is no text for one element of a PV; nothing was sent"
        raise BadValue(msg)
    raw = item if isinstance(item, bytes) else str(item).encode()
    if len(raw) >= STRING_BYTES:
        msg = (
            f"{raw[:50]!r} has {len(raw)} bytes and a DBR_STRING holds "
            f"{STRING_BYTES - 1}; nothing was sent (a long string goes to "
            "<record>.<FIELD>$ as characters)"
        )
        raise TextTooLong(msg)
    return raw.ljust(STRING_BYTES, b"\0")


def pack_characters(value: Any, room: int = 0) -> tuple[int, bytes | memoryview]:
    """Text as CHAR, as (count, bytes); BadValue for a number.

    A field that is written as a long string keeps what stands behind the last
    character, so that it would end with the rest of a longer text.

    Args:
        value: Text, bytes, or a sequence or array of character codes.
        room: A NUL is put behind text that is shorter than this.
    """
    if isinstance(value, (int, float)):
        msg = f"{value!r} is no text; nothing was sent"
        raise BadValue(msg)
    if isinstance(value, str):
        raw = value.encode()
    elif isinstance(value, (bytes, bytearray)):
        raw = bytes(value)
    else:
        return pack(Dbr.CHAR, value)
    if len(raw) < room:
        raw += b"\0"
    return len(raw), raw


def whole(value: Any) -> int:
    """An integer of any kind; BadValue if it is none."""
    try:
        return index(value)
    except TypeError:
        msg = f"{value!r:.60} is no integer; nothing was sent"
        raise BadValue(msg) from None
