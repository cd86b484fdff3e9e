"""What a user puts -> elements of the PV's own type, as (type, count, bytes)."""

from typing import Any

from beamfly.ca.dbr import layout
from beamfly.ca.payloads import pack
from beamfly.epics import dbr
from beamfly.errors import BadValue


def elements(
    name: str, native: int, nelm: int, value: Any
) -> tuple[int, int, bytes | memoryview]:
    """Elements to send.

    Text goes to characters as UTF-8, with a NUL where there is room for one, and to
    numbers as Python reads them (`0x1f` too). What is longer than the PV is cut; an
    empty sequence clears it.

    Args:
        name: Of the PV, for errors.
        native: Its plain type.
        nelm: Most elements that it can have.
        value: Number, text, sequence or array.

    Raises:
        BadValue: It does not fit; nothing was sent.
    """
    if native == dbr.STRING:
        value = _texts(value, nelm)
    elif isinstance(value, (str, bytes)):
        value = _from_text(name, native, nelm, value)
    elif nelm == 1:
        value = _scalar(name, value)
    else:
        value = _array(native, nelm, value)
    count, data = pack(native, value)
    if count > nelm:
        data = memoryview(data)[: nelm * layout(native).element]
    return native, min(count, nelm), data


def _texts(value: Any, nelm: int) -> Any:
    """One text, or as many as there is room for."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return value
    if nelm == 1 and len(value) == 1:
        return value[0]
    if len(value) == 0:
        return [b""] * nelm
    return list(value)[:nelm]


def _from_text(name: str, native: int, nelm: int, value: str | bytes) -> Any:
    """Characters, or the number that the text says."""
    if native == dbr.CHAR and nelm > 1:
        raw = value.encode() if isinstance(value, str) else value
        return [*raw, 0]
    text = value if isinstance(value, str) else value.decode(errors="replace")
    try:
        if dbr.is_float(native):
            number: float = float(text)
        else:
            number = int(text, base=0)
    except ValueError:
        kind = dbr.type_name(native)
        msg = (
            f"{text!r:.60} is no value of {name}, a PV of type {kind}; nothing was sent"
        )
        raise BadValue(msg) from None
    return number


def _scalar(name: str, value: Any) -> Any:
    """A number, also out of a sequence of one."""
    if isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "item"):
        if getattr(value, "size", 1) == 1:
            return value.item()
    elif hasattr(value, "__len__") and len(value) == 1:
        return value[0]
    try:
        return float(value)
    except (TypeError, ValueError):
        msg = f"{name} takes one number, not {value!r:.60}; nothing was sent"
        raise BadValue(msg) from None


def _array(native: int, nelm: int, value: Any) -> Any:
    """A sequence; zeros for an empty one."""
    if not hasattr(value, "__len__"):
        return list(value) if hasattr(value, "__iter__") else [value]
    if len(value) == 0:
        return [0] * nelm
    return value[:nelm] if hasattr(value, "__getitem__") else list(value)[:nelm]
