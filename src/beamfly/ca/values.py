"""Augmented values: an int, float, str, bytes or array that also knows its alarm.

`caget` and `camonitor` give `ca_int`, `ca_float`, `ca_str`, `ca_bytes`, or `ca_array`.
They are what they are named after, with attributes: `name` and `ok` always, `datatype`
and `element_count`, and by format `status severity timestamp raw_stamp`, or the units,
limits, precision and enum strings of `beamfly.ca.types.AugmentedValue`. `+value` is the
plain value. Arrays are in `beamfly.ca.array_values`, which brings numpy along: its
import takes longer than a whole read of a PV.
"""

# the names are those that users of EPICS in Python know
# ruff: noqa: N801

from typing import TYPE_CHECKING, Any

from beamfly.ca.dbr import LIMITS, Dbr
from beamfly.ca.payloads import Value
from beamfly.ca.readings import NANO, readable
from beamfly.lazy import lazily

if TYPE_CHECKING:
    import datetime as _datetime

    from beamfly.ca.array_values import ca_array

MICRO = 1_000_000
__all__ = [
    "Augmented",
    "augment",
    "ca_array",
    "ca_bytes",
    "ca_float",
    "ca_int",
    "ca_str",
    "control_fields",
    "time_fields",
]


class Augmented:
    """What all augmented values share."""

    name: str
    """Of the PV."""
    ok: bool
    """True; see `CANothing` for values that are not."""
    datatype: int
    """Base DBR type."""
    element_count: int
    """Most elements that the PV can have; 1: a scalar."""
    timestamp: float
    """Seconds since 1970, rounded to microseconds."""
    raw_stamp: tuple[int, int]
    """Whole seconds since 1970 and nanoseconds."""
    status: int
    """Alarm status."""
    severity: int
    """0 none, 1 minor, 2 major, 3 invalid."""

    @property
    def datetime(self) -> "_datetime.datetime":
        """The time stamp in local time."""
        import datetime as _datetime

        return _datetime.datetime.fromtimestamp(self.timestamp)


class ca_int(int, Augmented):
    """An int with attributes."""


class ca_float(float, Augmented):
    """A float with attributes."""


class ca_str(str, Augmented):
    """A str with attributes."""

    def __pos__(self) -> str:
        return str(self)


class ca_bytes(bytes, Augmented):
    """Bytes with attributes."""

    def __pos__(self) -> bytes:
        return bytes(self)


def augment(value: Any, fields: dict[str, Any]) -> Any:
    """The value as the augmented type that fits it, with these attributes.

    Args:
        value: int, float, str, bytes, list of str, or array.
        fields: Attributes; the dict is taken over.
    """
    result: Any
    if isinstance(value, float):
        result = ca_float(value)
    elif isinstance(value, int):
        result = ca_int(value)
    elif isinstance(value, str):
        result = ca_str(value)
    elif isinstance(value, bytes):
        result = ca_bytes(value)
    else:
        from beamfly.ca.array_values import augmented_array

        result = augmented_array(value)
    result.__dict__ = fields
    return result


def time_fields(time_ns: int, severity: int, status: int) -> dict[str, Any]:
    """Attributes of FORMAT_TIME."""
    seconds, nanoseconds = divmod(time_ns, NANO)
    # round(..., 6) in a fifth of the time: every step but the last is exact
    past = (seconds + nanoseconds * 1e-9) - seconds
    return {
        "status": status,
        "severity": severity,
        "raw_stamp": (seconds, nanoseconds),
        "timestamp": (seconds * MICRO + round(past * MICRO)) / MICRO,
    }


def control_fields(value: Value) -> dict[str, Any]:
    """Attributes of FORMAT_CTRL, and of DBR_STSACK_STRING; none of DBR_CLASS_NAME."""
    if value.type is Dbr.CLASS_NAME:
        return {}
    fields: dict[str, Any] = {"status": value.status, "severity": value.severity}
    if value.type is Dbr.STSACK_STRING:
        fields["ackt"] = value.acknowledge_transient
        fields["acks"] = value.acknowledge_severity
    elif value.base is Dbr.ENUM:
        fields["enums"] = [readable(state) for state in value.enum_strings]
    elif value.limits:
        fields["units"] = readable(value.units)
        fields |= zip(LIMITS, value.limits, strict=False)
        if value.base in (Dbr.FLOAT, Dbr.DOUBLE):
            fields["precision"] = value.precision
    return fields


__getattr__, __dir__ = lazily(__name__, {"ca_array": "beamfly.ca.array_values"})
