"""How values of PVs travel: DBR types <-> datatypes of ophyd-async.

`SCALARS` and `ARRAYS` say what each DBR type can be declared as; the first row of a
type is what it is when nothing is declared. `make_converter` picks the row for a signal
and checks what the server tells of the PV: choices of an enum, precision of an int
that is a float in the database.

Channel Access has no words for some types of EPICS fields and sends wider ones: USHORT
comes as LONG, ULONG, INT64 and UINT64 as DOUBLE, and 8-bit integers have no sign. An
array may be declared as what its field is. 64-bit integers are exact up to 2**53.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast, get_args, get_origin

import numpy as np
from ophyd_async.core import (
    Array1D,
    StrictEnum,
    SubsetEnum,
    SupersetEnum,
    get_dtype,
    get_enum_cls,
)

from beamfly.ca.dbr import Dbr, value_dtype
from beamfly.ca.payloads import Value
from beamfly.ca.readings import readable
from beamfly.errors import BadValue, CAError

Decode = Callable[[Any], Any]


@dataclass(frozen=True)
class Facts:
    """What a server tells of a PV: all that a converter is chosen by."""

    pv: str
    """Its name."""
    type: Dbr
    """Native base type."""
    count: int
    """Most elements; 1: a scalar."""
    initial: Any
    """What it was on connection, as it can be written: a number, bytes, or several."""
    choices: tuple[str, ...] = ()
    """States of an enum."""
    precision: int = 0
    """Digits after the point of a float, if `find` was told to ask for them."""

    def kind(self) -> str:
        """In words, for messages."""
        return f"{self.type.name}{'' if self.count == 1 else ' array'}"


@dataclass(frozen=True)
class Converter:
    """How the values of one signal are asked for, understood and written."""

    datatype: Any
    """What ophyd-async hands out and takes."""
    read_type: Dbr
    """Base type to ask for."""
    write_type: Dbr | None
    """Base type to send; None: text as text, anything else as the native type."""
    decode: Decode
    """Reading -> value."""
    encode: Decode
    """Value -> what is packed; BadValue if it does not fit."""
    choices: tuple[str, ...] = ()
    """States of an enum."""

    def of_value(self, value: Value, scalar: bool) -> Any:
        """The value that came along with metadata."""
        if value.base is Dbr.STRING:
            items: Any = [readable(item) for item in value.strings()]
        else:
            items = value.array()
        if scalar and len(items) == 1:
            items = items[0] if value.base is Dbr.STRING else items[0].item()
        return self.decode(items)


Maker = Callable[[Any, Facts], Converter]


def _same(value: Any) -> Any:
    return value


def _native(datatype: Any, facts: Facts) -> Converter:
    """The value as it comes: an int, a float, an array of the native dtype."""
    return Converter(datatype, facts.type, None, _same, _same)


def _text(datatype: Any, facts: Facts) -> Converter:
    return Converter(datatype, Dbr.STRING, None, _same, _same, facts.choices)


def _bool(datatype: Any, facts: Facts) -> Converter:
    """An integer of which 0 is False, or an enum of two states."""
    if facts.type is Dbr.ENUM and len(facts.choices) != 2:
        msg = f"{facts.pv} has {len(facts.choices)} choices, can't map to bool"
        raise TypeError(msg)
    return Converter(datatype, Dbr.SHORT, None, bool, _same)


def _whole(datatype: Any, facts: Facts) -> Converter:
    """A float that is shown without digits after the point is as good as an int."""
    if facts.precision != 0:
        raise _refusal(datatype, facts)
    return Converter(datatype, facts.type, None, int, _same)


def _states(enum: Any, facts: Facts) -> Callable[[str], Any]:
    """Text -> member of an enum class; TypeError if its members do not fit the PV."""
    choices, members = facts.choices, [member.value for member in enum]
    relation = ""
    if issubclass(enum, StrictEnum) and set(choices) != set(members):
        relation = "strictly equal to them"
    elif issubclass(enum, SubsetEnum) and not set(members) <= set(choices):
        relation = "a subset of them"
    elif issubclass(enum, SupersetEnum) and not set(choices) <= set(members):
        relation = "a superset of them"
    if relation:
        msg = (
            f"{facts.pv} has choices {choices}, but {enum} requested {members} to be "
            f"{relation}."
        )
        raise TypeError(msg)
    return _lookup(enum, facts)


def _lookup(enum: Any, facts: Facts) -> Callable[[str], Any]:
    """Text -> member of an enum class; CAError for a text that it does not have."""
    known = {text: enum(text) for text in facts.choices}

    def find(text: str) -> Any:
        member = known.get(text)
        if member is not None:
            return member
        try:
            return enum(text)
        except ValueError:
            msg = f"{facts.pv} is {text!r}, which {enum.__name__} does not have"
            raise CAError(msg, name=facts.pv) from None

    return find


def _enum(datatype: Any, facts: Facts) -> Converter:
    states = _states(get_enum_cls(datatype), facts)
    return Converter(datatype, Dbr.STRING, None, states, _same, facts.choices)


def _enums(datatype: Any, facts: Facts) -> Converter:
    """A list of enum members; arrays of text have no choices that could be checked."""
    make = _states if facts.type is Dbr.ENUM else _lookup
    states = make(get_enum_cls(datatype), facts)

    def decode(value: Any) -> list[Any]:
        return [states(text) for text in _as_list(value)]

    return Converter(
        datatype, Dbr.STRING, Dbr.STRING, decode, _as_list, tuple(facts.choices)
    )


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)


def _texts(datatype: Any, facts: Facts) -> Converter:
    return Converter(
        datatype, Dbr.STRING, Dbr.STRING, _as_list, _as_list, facts.choices
    )


def _long_text(datatype: Any, facts: Facts) -> Converter:
    """Characters as text, up to the first NUL."""

    def decode(value: Any) -> str:
        raw = np.atleast_1d(np.asarray(value, np.uint8)).tobytes()
        return readable(raw.partition(b"\0")[0])

    def encode(value: Any) -> Any:
        raw = str(value).encode()
        if len(raw) > facts.count:
            msg = (
                f"{facts.pv} holds {facts.count} bytes of text, not {len(raw)}; "
                "nothing was sent"
            )
            raise BadValue(msg)
        # the server keeps what was behind a shorter text
        return np.frombuffer(raw + b"\0" * (len(raw) < facts.count), np.uint8)

    return Converter(datatype, Dbr.CHAR, Dbr.CHAR, decode, encode)


def _array(datatype: Any, facts: Facts) -> Converter:
    """An array of the declared dtype, whatever it is on the wire."""
    wire: np.dtype[Any] = value_dtype(facts.type)
    dtype = wire if datatype is np.ndarray else np.dtype(get_dtype(datatype))
    if dtype.type not in ARRAY_DTYPES[facts.type]:
        raise _refusal(datatype, facts)

    def decode(value: Any) -> Any:
        array: np.ndarray[Any, Any] = np.atleast_1d(np.asarray(value, wire))
        if dtype == wire:
            return array
        with np.errstate(invalid="ignore"):
            return array.astype(dtype)

    def encode(value: Any) -> Any:
        try:
            return np.atleast_1d(np.asarray(value, dtype))
        except (TypeError, ValueError, OverflowError) as error:
            msg = f"{value!r:.60} does not fit {facts.pv}: {error}; nothing was sent"
            raise BadValue(msg) from None

    return Converter(datatype, facts.type, facts.type, decode, encode)


SCALARS: dict[Dbr, dict[Any, Maker]] = {
    Dbr.STRING: {str: _text},
    Dbr.SHORT: {int: _native, bool: _bool},
    Dbr.FLOAT: {float: _native, int: _whole},
    Dbr.ENUM: {str: _text, Enum: _enum, bool: _bool},
    Dbr.CHAR: {int: _native, bool: _bool},
    Dbr.LONG: {int: _native},
    Dbr.DOUBLE: {float: _native, int: _whole},
}
"""Native type of a scalar -> what it can be declared as, most natural first."""
ARRAYS: dict[Dbr, dict[Any, Maker]] = {
    Dbr.STRING: {Sequence[str]: _texts, Sequence[Enum]: _enums},
    Dbr.SHORT: {np.ndarray: _array},
    Dbr.FLOAT: {np.ndarray: _array},
    Dbr.ENUM: {Sequence[str]: _texts, Sequence[Enum]: _enums, np.ndarray: _array},
    Dbr.CHAR: {np.ndarray: _array, str: _long_text},
    Dbr.LONG: {np.ndarray: _array},
    Dbr.DOUBLE: {np.ndarray: _array},
}
"""Native type of an array -> what it can be declared as, most natural first."""
ARRAY_DTYPES: dict[Dbr, tuple[type[np.generic], ...]] = {
    Dbr.SHORT: (np.int16, np.bool_),
    Dbr.FLOAT: (np.float32,),
    Dbr.ENUM: (np.uint16, np.bool_),
    Dbr.CHAR: (np.uint8, np.int8, np.bool_),
    Dbr.LONG: (np.int32, np.uint16, np.bool_),
    Dbr.DOUBLE: (np.float64, np.uint32, np.int64, np.uint64),
}
"""Native type of an array -> dtypes it can be declared as, most natural first."""


def _inferred(facts: Facts) -> Any:
    """The datatype of a PV for which none is declared."""
    if facts.count == 1:
        return next(iter(SCALARS[facts.type]))
    if facts.type is Dbr.CHAR and facts.pv.endswith("$"):
        return str
    found = next(iter(ARRAYS[facts.type]))
    if found is not np.ndarray:
        return found
    scalar: Any = ARRAY_DTYPES[facts.type][0]
    return Array1D[scalar]


def _kind(datatype: Any) -> Any:
    """What a declared datatype is called in the tables, itself if it is not there."""
    if datatype is float or datatype is int or datatype is str or datatype is bool:
        return datatype
    if datatype is np.ndarray or get_origin(datatype) is np.ndarray:
        return np.ndarray
    enum = get_enum_cls(datatype)
    if get_origin(datatype) is Sequence:
        return Sequence[Enum] if enum else Sequence[get_args(datatype)[0]]
    return Enum if enum else datatype


def _name(datatype: Any) -> str:
    """What to call a datatype in a message."""
    if get_origin(datatype) is np.ndarray:
        return f"Array1D[np.{np.dtype(get_dtype(datatype)).name}]"
    if get_origin(datatype) is Sequence:
        return f"Sequence[{_name(get_args(datatype)[0])}]"
    return getattr(datatype, "__name__", str(datatype))


def _refusal(datatype: Any, facts: Facts) -> TypeError:
    """The error for a datatype that a PV cannot be."""
    inferred = _name(_inferred(facts))
    if facts.type is Dbr.ENUM and facts.count == 1:
        inferred = "str | SubsetEnum | StrictEnum"
    return TypeError(
        f"{facts.pv} with inferred datatype {inferred} cannot be coerced to "
        f"{_name(datatype)}"
    )


def _agreed(kinds: Mapping[str, Any], what: str) -> None:
    """TypeError unless all PVs of a signal have the same of something."""
    if len(set(kinds.values())) > 1:
        each = ", ".join(f"{pv} has {kind}" for pv, kind in kinds.items())
        raise TypeError(f"Differing {what}: {each}")


def _alike(kind: Any, facts: Sequence[Facts]) -> None:
    """TypeError unless the PVs of a signal can be one value."""
    _agreed({one.pv: one.kind() for one in facts}, "datatypes and element_count")
    if kind is bool:
        # what the two states are called does not matter then
        _agreed({one.pv: len(one.choices) for one in facts}, "number of choices")
    else:
        _agreed({one.pv: one.choices for one in facts}, "choices")


def make_converter(datatype: Any, facts: Sequence[Facts]) -> Converter:
    """The converter of a signal; TypeError if its PVs cannot be what is declared.

    Args:
        datatype: What ophyd-async wants, None: whatever the PV is.
        facts: Of the PV, or of the one to read and the one to write.
    """
    first = facts[0]
    if datatype is None:
        datatype = _inferred(first)
    elif datatype == typing.Sequence[str]:
        datatype = cast(Any, Sequence[str])
    kind = _kind(datatype)
    if len(facts) > 1:
        _alike(kind, facts)
    make = (SCALARS if first.count == 1 else ARRAYS)[first.type].get(kind)
    if make is None and first.count == 1 and kind not in SCALARS[first.type]:
        # an array that has room for one element only
        make = None if kind is str else ARRAYS[first.type].get(kind)
    if make is None:
        raise _refusal(datatype, first)
    if make is _whole:
        _agreed({one.pv: one.precision for one in facts}, "precision")
    return make(datatype, first)
