"""What to ask a server for, and what to make of the answer: datatype, format, count.

`plan_read` turns what users say (None, DBR_*, a Python or numpy type) into the DBR type
and count of a request, and gives the function that makes an augmented value of its
reading. `plan_write` turns a value into what is sent.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from beamfly.ca import dbr_names as names
from beamfly.ca.channel import Channel
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.frozen import Frozen, frozen
from beamfly.ca.payloads import Value, pack, pack_characters, whole
from beamfly.ca.readings import readable
from beamfly.ca.values import augment, control_fields, time_fields
from beamfly.errors import BadValue

_NUMPY = {
    **dict.fromkeys("bB?", Dbr.CHAR),
    **dict.fromkeys("hH", Dbr.SHORT),
    # Channel Access has no 64-bit integers, and to refuse `int` would surprise
    **dict.fromkeys("iIlL", Dbr.LONG),
    "f": Dbr.FLOAT,
    "d": Dbr.DOUBLE,
    **dict.fromkeys("SU", Dbr.STRING),
}
"""numpy's letter for a type -> what it is on the wire."""
_PYTHON = {
    **{bool: Dbr.CHAR, int: Dbr.LONG, float: Dbr.DOUBLE},
    **{str: Dbr.STRING, bytes: Dbr.STRING},
}
"""What numpy says of the types of Python, without importing it."""
_CHARS = (names.DBR_CHAR_STR, names.DBR_CHAR_BYTES, names.DBR_CHAR_UNICODE)
_SPECIAL = (names.DBR_STSACK_STRING, names.DBR_CLASS_NAME)
_FORMATS = {
    names.FORMAT_RAW: Family.PLAIN,
    names.FORMAT_TIME: Family.TIME,
    names.FORMAT_CTRL: Family.CTRL,
}


class InvalidDatatype(BadValue):
    """There is no DBR type for what was asked."""


@frozen
class ReadPlan(Frozen):
    """How to read a channel."""

    code: Dbr
    """DBR type to ask for."""
    count: int
    """Elements to ask for; 0: as many as there are."""
    convert: Callable[..., Any]
    """Makes an augmented value of a reading."""


@cache
def _numpy_type(datatype: Any) -> Dbr:
    """Wire type of a Python or numpy type."""
    if datatype in _PYTHON:
        return _PYTHON[datatype]
    import numpy

    try:
        return _NUMPY[numpy.dtype(datatype).char]
    except (KeyError, TypeError):
        msg = f"{datatype!r} is no type of Channel Access; nothing was sent"
        raise InvalidDatatype(msg) from None


def _base(datatype: Any) -> Dbr:
    """Wire type of anything that is not special."""
    # numbers of numpy too, but not the types of numbers
    if hasattr(datatype, "__index__") and not isinstance(datatype, type):
        if 0 <= datatype <= Dbr.DOUBLE:
            return Dbr(int(datatype))
        msg = f"{datatype} is no DBR type that can be asked for; nothing was sent"
        raise InvalidDatatype(msg)
    try:
        return _numpy_type(datatype)
    except TypeError:
        # what cannot be hashed is no type either
        msg = f"{datatype!r} is no type of Channel Access; nothing was sent"
        raise InvalidDatatype(msg) from None


def plan_read(channel: Channel, datatype: Any, format: int, count: int) -> ReadPlan:
    """How to read a connected channel; InvalidDatatype if it makes no sense.

    Args:
        channel: Whose native type and count matter.
        datatype: None, one of DBR_*, a Python type or a numpy dtype.
        format: One of FORMAT_*.
        count: 0: as many as there are; negative: as many as there can be.
    """
    native = channel.count
    count = 0 if not count else native if count < 0 else min(whole(count), native)
    if datatype is None:
        datatype = channel.native_type
        if datatype is Dbr.CHAR and channel.name.endswith("$"):
            datatype = names.DBR_CHAR_STR
    elif datatype == names.DBR_ENUM_STR:
        datatype = channel.native_type
        if datatype is Dbr.ENUM:
            datatype = Dbr.STRING
    if datatype in _SPECIAL:
        code = base = Dbr(datatype)
    else:
        base = Dbr.CHAR if datatype in _CHARS else _base(datatype)
        code = _code(base, format)
    fields = {
        "name": channel.name,
        "ok": True,
        "datatype": int(base),
        "element_count": native,
    }
    return ReadPlan(code, count, _converter(code, _finish(datatype), native, fields))


def _code(base: Dbr, format: int) -> Dbr:
    """Wire type of a base type in a format."""
    family = _FORMATS.get(format)
    if family is None:
        msg = f"{format!r} is no format; nothing was sent"
        raise InvalidDatatype(msg)
    if family is Family.CTRL and base is Dbr.STRING:
        # strings have no limits; this is the most that there is
        family = Family.TIME
    return Dbr(base + 7 * family)


def _finish(datatype: Any) -> Callable[[Any], Any] | None:
    """What is done to the decoded value, None for nothing."""
    if datatype in (names.DBR_CHAR_STR, names.DBR_CHAR_UNICODE):
        return lambda value: readable(_char_bytes(value))
    if datatype == names.DBR_CHAR_BYTES:
        return lambda value: _char_bytes(value).partition(b"\0")[0]
    if isinstance(datatype, type) and issubclass(datatype, bytes):
        return _as_bytes
    return None


def _char_bytes(value: Any) -> bytes:
    """A char array, or a single char, as bytes."""
    return bytes([value]) if isinstance(value, int) else value.tobytes()


def _as_bytes(value: Any) -> Any:
    """Strings as bytes."""
    if isinstance(value, str):
        return value.encode()
    import numpy

    return numpy.array([item.encode() for item in value] or [b""])[: len(value)]


def _converter(
    code: Dbr,
    finish: Callable[[Any], Any] | None,
    native: int,
    fields: dict[str, Any],
) -> Callable[..., Any]:
    """The function that makes an augmented value of a reading."""

    def plain(value: Any) -> Any:
        return augment(finish(value) if finish else value, dict(fields))

    def timed(value: Any, time_ns: int, severity: int, status: int) -> Any:
        extra = time_fields(time_ns, severity, status)
        return augment(finish(value) if finish else value, fields | extra)

    def controlled(value: Value) -> Any:
        items: Any = value.array() if value.base is not Dbr.STRING else None
        if items is None:
            items = [readable(item) for item in value.strings()]
        elif native == 1:
            items = items.tolist()
        scalar = len(items) == 1 and (native == 1 or code is Dbr.CLASS_NAME)
        result = items[0] if scalar else items
        return augment(
            finish(result) if finish else result, fields | control_fields(value)
        )

    if code < Dbr.STS_STRING:
        return plain
    return timed if Dbr.TIME_STRING <= code <= Dbr.TIME_DOUBLE else controlled


def plan_write(
    channel: Channel, datatype: Any, value: Any
) -> tuple[int, int, bytes | memoryview]:
    """DBR type, count and bytes of a value; BadValue if it does not fit.

    Args:
        channel: Connected; its native type is taken for what is no text.
        datatype: None, one of DBR_*, a Python type or a numpy dtype.
        value: Number, text, bytes, sequence or array of one dimension.

    Raises:
        BadValue: Nothing was sent.
    """
    long_string = channel.name.endswith("$") and channel.native_type is Dbr.CHAR
    if datatype is None:
        datatype = channel.native_type
        if isinstance(value, (str, bytes)):
            # text is for the server to understand: it knows enum strings and units
            datatype = names.DBR_CHAR_STR if long_string else Dbr.STRING
    if datatype in _CHARS:
        return Dbr.CHAR, *pack_characters(value, channel.count if long_string else 0)
    if datatype in (names.DBR_PUT_ACKT, names.DBR_PUT_ACKS):
        return datatype, *pack(Dbr.ENUM, whole(value))
    base = _base(datatype)
    return base, *pack(base, value)
