"""Decoded values as the client hands them to callbacks, as cheaply as can be.

`reading(type, count, payload)` gives the arguments for a callback:

* plain types: `(value,)`
* TIME types: `(value, time_ns, severity, status)`, time in nanoseconds since 1970
* all others: `(Value,)`, see `beamfly.ca.payloads`

One element is a Python int, float or str; else a native array of shape (count,), or a
list of str. Text is UTF-8, and what is no UTF-8 is replaced, never an error.

`scalar_record(type)` is the same for one element inside a message that is parsed
together with its header: see `beamfly.ca.lanes`.
"""

import struct
from functools import cache
from typing import Any, NamedTuple

from beamfly.ca.dbr import (
    EPICS_EPOCH,
    STRING_BYTES,
    Dbr,
    Family,
    layout,
    padded,
    value_dtype,
)
from beamfly.ca.payloads import decode
from beamfly.errors import RemoteProtocolError

NANO = 1_000_000_000
EPOCH_NS = EPICS_EPOCH * NANO


DEFAULT_TIMEOUT = 5.0
"""Seconds that operations wait unless told otherwise."""


class Reading(NamedTuple):
    """A value with its time stamp and alarm."""

    value: Any
    """int, float, str; an array PV gives a native numpy array or a list of str."""
    time_ns: int
    """Nanoseconds since 1970, like time.time_ns()."""
    severity: int
    """0 none, 1 minor, 2 major, 3 invalid."""
    status: int
    """Alarm status."""


def reading(code: int, count: int, payload: memoryview) -> tuple[Any, ...]:
    """Arguments for a callback; RemoteProtocolError if the payload is too short."""
    if code > Dbr.CLASS_NAME:
        msg = f"the peer sent DBR type {code}, which there is not; it was not decoded"
        raise RemoteProtocolError(msg)
    row = layout(code)
    if code == Dbr.CLASS_NAME:
        # one name, whatever the count: C servers fill the rest with garbage
        count = 1
    if row.family not in (Family.PLAIN, Family.TIME):
        return (decode(code, count, payload),)
    if len(payload) < row.size(count):
        # only a scalar string may be shorter than it says; decode knows
        value = decode(code, count, payload)
        payload = memoryview(bytes(payload).ljust(row.size(count), b"\0"))
        count = value.count
    value = elements(row.base, count, payload[row.offset :])
    if row.family is Family.PLAIN:
        return (value,)
    status, severity, seconds, nanoseconds = struct.unpack_from(">hhII", payload)
    return value, seconds * NANO + nanoseconds + EPOCH_NS, severity, status


def elements(base: Dbr, count: int, data: memoryview) -> Any:
    """One element as a scalar, else an array or a list of str."""
    row = layout(base)
    if base is Dbr.STRING:
        step = STRING_BYTES
        strings = [
            readable(bytes(data[at : at + step])) for at in range(0, count * step, step)
        ]
        return strings[0] if count == 1 else strings
    if count == 1:
        return struct.unpack_from(">" + row.element_format, data)[0]
    import numpy

    wire = numpy.frombuffer(data, value_dtype(base, native=False), count)
    return wire.astype(value_dtype(base))


def readable(raw: bytes) -> str:
    """The text of a C string."""
    return raw.partition(b"\0")[0].decode(errors="replace")


@cache
def scalar_record(code: int) -> struct.Struct:
    """A whole message of one element: shape, p1, p2, metadata, value.

    The shape is the first eight bytes of the header as one number.
    """
    row = layout(code)
    if row.family not in (Family.PLAIN, Family.TIME):
        msg = f"{row.code.name} has no fast path"
        raise RemoteProtocolError(msg)
    fill = padded(row.size(1)) - row.size(1)
    return struct.Struct(f">QII{row.prefix[1:]}{row.element_format}{fill}x")
