"""How a PV is read: the answer for any DBR type and count, ready for the wire.

`answer(source, code, count)` gives an `Answer`: everything of a reply but the two
parameters of its header, so that one encoding serves every client and subscription
that asked for the same type and count.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from beamfly.ca.alarms import Alarm
from beamfly.ca.conversion import (
    INTEGERS,
    Text,
    convert,
    cut,
    pack_elements,
    to_integer,
)
from beamfly.ca.dbr import (
    ENUM_STATES,
    ENUM_STRING_BYTES,
    EPICS_EPOCH,
    LIMITS,
    UNITS_BYTES,
    Dbr,
    Family,
    Layout,
    layout,
    padded,
    value_dtype,
)
from beamfly.ca.header import LARGE
from beamfly.ca.message import Command
from beamfly.ca.properties import Properties
from beamfly.ca.status import ECA_GETFAIL, ECA_NORMAL
from beamfly.errors import BadValue

NANO = 1_000_000_000
_LAST = 0xFFFFFFFF, NANO - 1
_EPOCH_NS = EPICS_EPOCH * NANO
FEW = 64
"""Arrays beyond so many elements are worth a numpy array of their own."""
_LARGE = struct.Struct(">II")
HEAD = struct.Struct(">QII")
"""Header of a reply: command and `Answer.head`, then two parameters."""


class Answer(NamedTuple):
    """An encoded value."""

    status: int
    """ECA status; unless it is 1 the payload is zeros."""
    head: int
    """The first 8 header bytes as a number, with command 0."""
    tail: bytes | memoryview
    """What follows the two parameters: perhaps the rest of a long header; payload."""

    def message(self, command: int, p1: int, p2: int) -> bytes:
        """The whole message."""
        return HEAD.pack(command << 48 | self.head, p1, p2) + self.tail


class Readable(Protocol):
    """What a PV must offer to be read."""

    type: Dbr
    scalar: bool
    properties: Properties
    alarm: Alarm
    time_ns: int | None
    record_type: str
    acknowledge_transient: bool
    acknowledge_severity: int

    @property
    def value(self) -> Any:
        """A number, or what has many elements."""
        ...

    def elements(self, limit: int) -> Sequence[Any]:
        """The elements, at most so many (0: all)."""
        ...


def answer(source: Readable, code: int, count: int) -> Answer:
    """The value as a DBR type; count 0 gives as many elements as there are.

    With any other count there are exactly so many, filled up with zeros. A value that
    cannot be converted gives one with status ECA_GETFAIL.
    """
    if count < 2 and source.scalar and source.time_ns is not None:
        form = _FORMS[code]
        if form is not None and form[0] is source.type:
            return _number(source, form)
    row = layout(code)
    try:
        values = _values(source, row, count)
    except BadValue:
        return zeros(code, count, ECA_GETFAIL)
    size = len(values)
    prefix = struct.pack(row.prefix, *_metadata(source, row))
    if size > FEW and hasattr(values, "dtype"):
        return _fill_array(row, count or size, prefix, values)
    return _fill(
        ECA_NORMAL, row, count or size, prefix + pack_elements(row.base, values)
    )


def zeros(code: int, count: int, status: int) -> Answer:
    """What goes with a failure status; never empty, which would end a subscription."""
    return _fill(status, layout(code), max(count, 1), b"")


def empty(code: int, count: int, status: int) -> Answer:
    """A failure without any payload, for types that do not exist."""
    return Answer(status, code << 16 | min(count, LARGE - 1), b"")


def _fill(status: int, row: Layout, count: int, payload: bytes) -> Answer:
    """Zeros up to the size of the payload.

    There is always some: an update of size 0, as rsrv sends it for an empty array of a
    plain type, says to clients that the subscription has ended.
    """
    size = max(padded(row.size(count)), 8)
    return _wrap(status, row.code, count, payload.ljust(size, b"\0"))


def _fill_array(row: Layout, count: int, prefix: bytes, values: Any) -> Answer:
    """`_fill` for an array of numbers, which is copied just once on the way."""
    import numpy

    size = padded(row.size(count))
    large = size >= LARGE or count >= LARGE
    start = _LARGE.size if large else 0
    buffer = bytearray(start + size)
    buffer[start : start + len(prefix)] = prefix
    wire = value_dtype(row.base, native=False)
    target = numpy.frombuffer(buffer, wire, len(values), start + row.offset)
    target[:] = values
    if not large:
        head = size << 32 | row.code << 16 | count
        return Answer(ECA_NORMAL, head, bytes(buffer))
    _LARGE.pack_into(buffer, 0, size, count)
    tail = memoryview(buffer).toreadonly()
    return Answer(ECA_NORMAL, LARGE << 32 | row.code << 16, tail)


def _wrap(status: int, code: int, count: int, payload: bytes) -> Answer:
    """Put the payload behind its header."""
    size = len(payload)
    if size < LARGE and count < LARGE:
        return Answer(status, size << 32 | code << 16 | count, payload)
    tail = _LARGE.pack(size, count) + payload
    return Answer(status, LARGE << 32 | code << 16, tail)


_Form = tuple[Dbr, int, Callable[..., bytes], bool]


def _form(code: Dbr) -> _Form | None:
    """How one number goes as its own plain or TIME type, None for all other types.

    The type of the number, `Answer.head`, what packs the payload, and whether metadata
    goes in front. This is what servers send thousands of times per second; it gives the
    same bytes as the rest of this module, which `tests/ca` checks.
    """
    row = layout(code)
    if row.base is Dbr.STRING or row.family not in (Family.PLAIN, Family.TIME):
        return None
    size = padded(row.size(1))
    filling = size - row.size(1)
    record = struct.Struct(f"{row.prefix}{row.element_format}{filling}x")
    head = size << 32 | code << 16 | 1
    return row.base, head, record.pack, row.family is Family.TIME


_FORMS = [_form(code) for code in Dbr]
"""By type."""


Update = Callable[[int, Readable], bytes]
"""A client's number and a number's source -> the whole update."""


def _update(code: Dbr) -> Update | None:
    """What packs updates of a type in one go, None for those that have no form."""
    form = _FORMS[code]
    if form is None:
        return None
    row, head, fine = layout(code), Command.EVENT_ADD << 48 | form[1], ECA_NORMAL
    filling = padded(row.size(1)) - row.size(1)
    record = f"{HEAD.format}{row.prefix[1:]}{row.element_format}{filling}x"
    pack = struct.Struct(record).pack

    def plain(number: int, source: Readable) -> bytes:
        return pack(head, fine, number, source.value)

    def stamped(number: int, source: Readable) -> bytes:
        status, severity = source.alarm
        # the same as _stamp, without a step in between
        seconds, nanoseconds = divmod((source.time_ns or _EPOCH_NS) - _EPOCH_NS, NANO)
        if seconds >> 32:
            seconds, nanoseconds = _stamp(source)
        value = source.value
        return pack(head, fine, number, status, severity, seconds, nanoseconds, value)

    return stamped if form[3] else plain


_UPDATES = [_update(code) for code in Dbr]
"""By type."""


def update_of(source: Readable, code: int, count: int) -> Update | None:
    """What packs updates of a source in one go, None if that needs more."""
    if count > 1 or not source.scalar or layout(code).base is not source.type:
        return None
    return _UPDATES[code]


def _number(source: Readable, form: _Form) -> Answer:
    """One number as its own type."""
    _, head, pack, is_time = form
    if is_time:
        payload = pack(*source.alarm, *_stamp(source), source.value)
    else:
        payload = pack(source.value)
    # the same as Answer(...), in half the time
    return tuple.__new__(Answer, (ECA_NORMAL, head, payload))  # pyright: ignore[reportUnknownMemberType]


def _values(source: Readable, row: Layout, count: int) -> Sequence[Any]:
    """The elements, converted."""
    if row.code is Dbr.CLASS_NAME:
        return [source.record_type]
    values = source.elements(count)
    if row.base is source.type:
        return values
    how = Text(source.properties.precision, source.properties.states)
    if source.type is Dbr.STRING and row.base is Dbr.ENUM and source.scalar:
        msg = "text without states is no enum"
        raise BadValue(msg)
    return convert(source.type, values, row.base, how)


def _metadata(source: Readable, row: Layout) -> Sequence[Any]:
    """What stands before the elements, in order."""
    if not row.names:
        return ()
    status, severity = source.alarm
    if row.family is Family.TIME:
        return status, severity, *_stamp(source)
    if row.code is Dbr.STSACK_STRING:
        transient = int(source.acknowledge_transient)
        return status, severity, transient, source.acknowledge_severity
    return status, severity, *_described(source.properties, row)


def _stamp(source: Readable) -> tuple[int, int]:
    """Seconds since 1990 and nanoseconds; never processed is 0, as with a record.

    A time before 1990 or after 2126 is the nearest one that there is.
    """
    found = divmod((source.time_ns or _EPOCH_NS) - _EPOCH_NS, NANO)
    return min(max(found, (0, 0)), _LAST) if found[0] >> 32 else found


def _described(properties: Properties, row: Layout) -> list[Any]:
    """Metadata of GR and CTRL types."""
    found: list[Any] = []
    limits: dict[str, float] = dict(zip(LIMITS, properties.limits, strict=True))
    for name in row.names[2:]:
        if name == "precision":
            found.append(max(-0x8000, min(properties.precision, 0x7FFF)))
        elif name == "units":
            found.append(cut(properties.units, UNITS_BYTES))
        elif name == "enum_count":
            found.append(min(len(properties.states), ENUM_STATES))
        elif name == "enum_strings":
            found.append(_states(properties.states))
        else:
            found.append(_limit(limits[name], row.base))
    return found


def _states(states: tuple[str, ...]) -> bytes:
    """States of an enum as one block."""
    step = ENUM_STRING_BYTES
    return b"".join(state.encode().ljust(step, b"\0") for state in states[:ENUM_STATES])


def _limit(value: float, base: Dbr) -> float:
    """A limit as a type holds it; those not in use are 0 for integers."""
    if base not in INTEGERS:
        return value if base is Dbr.DOUBLE else _single(value)
    return 0 if math.isnan(value) else to_integer(float(value), base)


def _single(value: float) -> float:
    """Clipped to what single precision can pack."""
    largest = 3.4028234663852886e38
    return value if not math.isfinite(value) else max(-largest, min(value, largest))
