"""What arrives -> dicts of a PV: the value and whatever metadata came with it.

Keys and kinds of values are those of PyEpics: numbers for scalars, numpy arrays of
shape (count,) for arrays, str and lists of str for texts.
"""

from typing import Any

from beamfly.ca.dbr import LIMITS, Dbr, Family, layout
from beamfly.ca.payloads import Value
from beamfly.epics import dbr

EPOCH = int(dbr.EPICS2UNIX_EPOCH)
NANO = 1_000_000_000


def as_text(raw: bytes) -> str:
    """UTF-8, or else Latin-1, which takes anything."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def unpack(code: int, reading: tuple[Any, ...], nelm: int) -> dict[str, Any]:
    """Metadata by name, then `value`.

    Args:
        code: DBR type of the answer.
        reading: As in `beamfly.ca.readings`.
        nelm: Most elements that the PV can have; 1: a scalar.
    """
    row = layout(code)
    if row.family is Family.TIME:
        value, time_ns, severity, status = reading
        fields = time_fields(time_ns, severity, status)
    elif row.family is Family.PLAIN:
        value, fields = reading[0], {}
    else:
        value = _elements(reading[0], nelm)
        fields = control_fields(reading[0])
    fields["value"] = tidy(row.base, value)
    return fields


def time_fields(time_ns: int, severity: int, status: int) -> dict[str, Any]:
    """Alarm and time stamp; the latter to microseconds, and exactly in two parts."""
    seconds, nanoseconds = divmod(time_ns, NANO)
    return {
        "status": status,
        "severity": severity,
        "timestamp": seconds + 1.0e-6 * (nanoseconds // 1000),
        "posixseconds": float(seconds),
        "nanoseconds": nanoseconds,
    }


def control_fields(value: Value) -> dict[str, Any]:
    """Limits, precision, units, alarm, names of states: those that the type has."""
    fields: dict[str, Any] = dict(zip(LIMITS, value.limits, strict=False))
    if value.base in (Dbr.FLOAT, Dbr.DOUBLE):
        fields["precision"] = value.precision
    if value.limits:
        fields["units"] = as_text(value.units)
    fields["status"] = value.status
    fields["severity"] = value.severity
    if value.enum_strings:
        fields["enum_strs"] = tuple(as_text(state) for state in value.enum_strings)
    return fields


def _elements(value: Value, nelm: int) -> Any:
    if value.base is Dbr.STRING:
        texts = [as_text(item) for item in value.strings()]
        return texts[0] if nelm == 1 and texts else texts
    return value.elements()[0] if nelm == 1 and value.count else value.array()


def tidy(base: Dbr, value: Any) -> Any:
    """Texts without blanks at their ends; one number of an array as a number.

    Arrays of characters stay arrays, whatever their length.
    """
    if base is Dbr.STRING:
        if isinstance(value, str):
            return value.rstrip()
        return [text.rstrip() for text in value]
    if base is not Dbr.CHAR and not isinstance(value, (int, float)) and len(value) == 1:
        return value[0].item()
    return value


def count_of(value: Any) -> int:
    """Elements of a value; 1 for a scalar."""
    return 1 if isinstance(value, (int, float, str)) else len(value)


def size_of(value: Any) -> int:
    """Bytes of a value, roughly."""
    size = getattr(value, "nbytes", None)
    if size is not None:
        return int(size)
    return 60 * len(value) if isinstance(value, list) else 60  # pyright: ignore[reportUnknownArgumentType]
