"""What users write -> what a PV keeps: type, number of elements, elements.

A scalar is a Python number or str; an array of numbers a numpy array; an array of
strings a tuple of str.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from beamfly.ca.conversion import (
    INTEGERS,
    NO_TEXT,
    Text,
    convert,
    parse_state,
    to_integer,
)
from beamfly.ca.dbr import Dbr, value_dtype
from beamfly.errors import BadValue

_BY_KIND = {"f": Dbr.DOUBLE, "b": Dbr.CHAR, "U": Dbr.STRING, "S": Dbr.STRING}
_BY_DTYPE = {
    **{"f4": Dbr.FLOAT, "f2": Dbr.FLOAT, "i1": Dbr.CHAR, "u1": Dbr.CHAR},
    **{"i2": Dbr.SHORT, "u2": Dbr.LONG, "i4": Dbr.LONG},
    **{"u4": Dbr.DOUBLE, "i8": Dbr.LONG, "u8": Dbr.DOUBLE},
}
_ALIASES = {"INT": Dbr.SHORT, "FLOAT64": Dbr.DOUBLE, "FLOAT32": Dbr.FLOAT}
_LARGE = 1 << 31
"""The first number that no LONG holds."""
_RECORDS = {
    Dbr.STRING: "stringout",
    Dbr.ENUM: "mbbo",
    Dbr.SHORT: "longout",
    Dbr.LONG: "longout",
    Dbr.CHAR: "longout",
}


class First(NamedTuple):
    """The value that a PV starts with."""

    value: Any
    length: int
    """Most elements that there may be."""


def as_type(name: Dbr | str | None) -> Dbr | None:
    """One of the first seven types from itself or its name; BadValue if it is none."""
    if name is None:
        return None
    if isinstance(name, str):
        key = name.upper()
        found = _ALIASES.get(key, Dbr.__members__.get(key))
    else:
        found = Dbr(name) if name in list(Dbr) else None
    if found is None or found > Dbr.DOUBLE:
        msg = f"{name!r} is no base type; take one of string, short, float, enum, "
        raise BadValue(msg + "char, long, double")
    return found


def guess(value: Any, states: tuple[str, ...]) -> Dbr:
    """The type that a first value suggests."""
    if states or isinstance(value, bool):
        return Dbr.ENUM
    if isinstance(value, str):
        return Dbr.STRING
    if isinstance(value, (bytes, bytearray)):
        return Dbr.CHAR
    if isinstance(value, int):
        # as large integers of IOCs come over Channel Access, which has none
        return Dbr.LONG if -_LARGE <= value < _LARGE else Dbr.DOUBLE
    if value is None or isinstance(value, float):
        return Dbr.DOUBLE
    import numpy

    dtype = numpy.asarray(value).dtype
    found = _BY_DTYPE.get(dtype.str[1:], _BY_KIND.get(dtype.kind))
    if found is None:
        msg = f"a PV cannot hold {value!r:.60}"
        raise BadValue(msg)
    return found


def initial(base: Dbr, value: Any, length: Any) -> First:
    """The first value, zero or empty for None, and how many elements there may be."""
    if length is not None and (not isinstance(length, int) or length < 1):
        msg = f"a PV has room for at least one element, not {length!r}"
        raise BadValue(msg)
    if value is None:
        value = [] if length not in (None, 1) else ("" if base is Dbr.STRING else 0)
        return First(value, length or 1)
    taken = _taken(base, value)
    if not taken and length in (None, 1):
        msg = "a PV has room for at least one element: give the length of an empty one"
        raise BadValue(msg)
    return First(value, length or taken)


def _taken(base: Dbr, value: Any) -> int:
    """Elements of a value."""
    if base is Dbr.CHAR and isinstance(value, (str, bytes, bytearray)):
        return len(value) + 1
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return 1
    if base is Dbr.STRING:
        return len(value)
    import numpy

    # pictures are kept row by row
    return numpy.size(value)


def record_type(base: Dbr, scalar: bool, size: int, states: int) -> str:
    """The record type that such a PV looks like."""
    if base is Dbr.ENUM and scalar and states == 2:
        return "bo"
    if not scalar:
        return "waveform"
    if base is Dbr.STRING and size > 40:
        return "lso"
    return _RECORDS.get(base, "ao")


def adopt(base: Dbr, value: Any, length: int, states: tuple[str, ...]) -> Sequence[Any]:
    """Elements as they are kept; BadValue if they do not fit.

    More elements than there is room for are cut off, as a record does.
    """
    if base is Dbr.STRING:
        many = not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
        return [_as_text(item) for item in (value if many else (value,))][:length]
    if isinstance(value, str):
        return _from_text(base, value, length, states)
    if hasattr(value, "__len__") or length > 1:
        return _as_array(base, value, length)
    return _as_number(base, value)


def _as_text(item: Any) -> str:
    """One string."""
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)


def _from_text(
    base: Dbr, value: str, length: int, states: tuple[str, ...]
) -> Sequence[Any]:
    """Elements of a number type from text."""
    if base is Dbr.CHAR and length > 1:
        return _as_array(base, value.encode() + b"\0", length)
    if base is Dbr.ENUM:
        return [parse_state(value, states)]
    return convert(Dbr.STRING, [value], base, Text(states=states))


def _as_number(base: Dbr, value: Any) -> Sequence[Any]:
    """One number; integers must fit, since that is our own mistake, not a client's."""
    try:
        number = int(value) if base in INTEGERS else float(value)
    except (TypeError, ValueError, OverflowError):
        msg = f"{value!r:.60} does not fit {base.name}; the PV was not changed"
        raise BadValue(msg) from None
    if base not in INTEGERS:
        return convert(Dbr.DOUBLE, [number], base)
    kept = to_integer(number, base)
    if kept != number:
        msg = f"{value!r:.60} does not fit {base.name}; the PV was not changed"
        raise BadValue(msg)
    return [kept]


def _as_array(base: Dbr, value: Any, length: int) -> Any:
    """Elements of an array of numbers as a fresh native array."""
    import numpy

    if _is_kept(base, value, length):
        return value
    if isinstance(value, (bytes, bytearray)):
        value = numpy.frombuffer(bytes(value), numpy.uint8)
    try:
        array = numpy.asarray(value).reshape(-1)[:length]
        if not array.size:
            return numpy.zeros(0, value_dtype(base))
        if array.dtype.kind not in "fiub":
            array = array.astype(float)
    except (TypeError, ValueError) as error:
        msg = f"{value!r:.60} does not fit {base.name}: {error}; it was not stored"
        raise BadValue(msg) from None
    source = Dbr.DOUBLE if array.dtype.kind == "f" else Dbr.LONG
    kept: Any = convert(source, cast(Any, array), base, NO_TEXT)
    return kept.copy() if kept.base is not None or kept is value else kept


def _is_kept(base: Dbr, value: Any, length: int) -> bool:
    """Whether an array is one that `read_only` made, so that nobody can change it."""
    flags = getattr(value, "flags", None)
    return (
        flags is not None
        and flags.owndata
        and not flags.writeable
        and value.ndim == 1
        and value.size <= length
        and value.dtype == value_dtype(base)
    )


def read_only(values: Any) -> Any:
    """An array that cannot be changed behind the PV's back; strings as a tuple."""
    if hasattr(values, "setflags"):
        values.setflags(write=False)
        return values
    return tuple(values)
