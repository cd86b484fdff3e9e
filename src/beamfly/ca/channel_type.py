"""`ChannelType`, alarms and metadata under the names of `beamfly.ca.blocking`."""

from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from beamfly.ca.dbr import EPICS_EPOCH, LIMITS, Dbr, Family, layout, promote
from beamfly.ca.payloads import Value
from beamfly.errors import BadValue

if TYPE_CHECKING:
    import datetime

_FAMILIES = {"": 0, "STS_": 7, "TIME_": 14, "GR_": 21, "CTRL_": 28}
_BASES = ("STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE")
_MEMBERS = {
    **{
        prefix + base: first + offset
        for prefix, first in _FAMILIES.items()
        for offset, base in enumerate(_BASES)
    },
    **{"PUT_ACKT": 35, "PUT_ACKS": 36, "STSACK_STRING": 37, "CLASS_NAME": 38},
}
ChannelType = IntEnum("ChannelType", _MEMBERS)
"""DBR types by the names STRING, INT, FLOAT, ENUM, CHAR, LONG, DOUBLE, STS_..., ..."""

_CLASSES = {
    **{"native": Family.PLAIN, "status": Family.STS, "time": Family.TIME},
    **{"graphic": Family.GR, "control": Family.CTRL},
}


class SubscriptionType(IntFlag):
    """What a subscription is told of."""

    DBE_VALUE = 1
    DBE_LOG = 2
    DBE_ALARM = 4
    DBE_PROPERTY = 8


class AlarmSeverity(IntEnum):
    """How bad an alarm is."""

    NO_ALARM = 0
    MINOR_ALARM = 1
    MAJOR_ALARM = 2
    INVALID_ALARM = 3


AlarmStatus = IntEnum(
    "AlarmStatus",
    "NO_ALARM READ WRITE HIHI HIGH LOLO LOW STATE COS COMM TIMEOUT HWLIMIT CALC SCAN "
    "LINK SOFT BAD_SUB UDF DISABLE SIMM READ_ACCESS WRITE_ACCESS",
    start=0,
)
"""Why there is an alarm."""


def resolve(data_type: Any, native: int) -> Dbr:
    """The DBR type for what a user asks for; BadValue if there is none.

    Args:
        data_type: None or native, status, time, graphic, control; or a type code.
        native: Base type of the channel, which the words refer to.
    """
    if data_type is None:
        return Dbr(native)
    if isinstance(data_type, str):
        family = _CLASSES.get(data_type.lower())
        if family is None:
            msg = f"{data_type!r} is none of {', '.join(_CLASSES)}; nothing was sent"
            raise BadValue(msg)
        if native == Dbr.STRING and family is Family.GR:
            family = Family.STS
        elif native == Dbr.STRING and family is Family.CTRL:
            family = Family.TIME
        return promote(native, family)
    try:
        return Dbr(data_type)
    except ValueError:
        msg = f"{data_type!r} is no valid data type; nothing was sent"
        raise BadValue(msg) from None


class TimeStamp:
    """A time stamp of EPICS."""

    def __init__(self, seconds: int, nanoseconds: int) -> None:
        self.secondsSinceEpoch = seconds
        """Since 1990-01-01 UTC."""
        self.nanoSeconds = nanoseconds
        """Of that second."""

    @property
    def timestamp(self) -> float:
        """Seconds since 1970, to the microsecond."""
        return self.secondsSinceEpoch + EPICS_EPOCH + self.nanoSeconds // 1000 * 1e-6

    def as_datetime(self) -> "datetime.datetime":
        """The same in local time, without a time zone."""
        import datetime

        return datetime.datetime.fromtimestamp(self.timestamp)

    def __iter__(self) -> Iterator[int]:
        return iter((self.secondsSinceEpoch, self.nanoSeconds))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeStamp) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"TimeStamp({self.secondsSinceEpoch}, {self.nanoSeconds})"


class Metadata:
    """What came along with a value; which attributes there are depends on the type.

    `status` and `severity` for all but the native types; `timestamp` and `stamp` for
    TIME; `units`, the limits and for floats `precision` for GR and CTRL, `enum_strings`
    for enums; `ackt` and `acks` for STSACK_STRING.
    """

    status: int
    severity: int
    timestamp: float
    """Seconds since 1970."""
    stamp: TimeStamp
    """The same without loss."""
    units: bytes
    precision: int
    enum_strings: tuple[bytes, ...]
    upper_disp_limit: float
    lower_disp_limit: float
    upper_alarm_limit: float
    upper_warning_limit: float
    lower_warning_limit: float
    lower_alarm_limit: float
    upper_ctrl_limit: float
    lower_ctrl_limit: float

    def __init__(self, value: Value) -> None:
        """Take over what the type carries."""
        self.DBR_ID = int(value.type)
        """Number of the type."""
        names = layout(value.type).names
        fields: dict[str, Any] = {}
        if "status" in names:
            fields["status"] = _member(AlarmStatus, value.status)
            fields["severity"] = _member(AlarmSeverity, value.severity)
        if "seconds" in names:
            self.stamp = TimeStamp(value.seconds, value.nanoseconds)
            fields["timestamp"] = self.stamp.timestamp
            # as on the wire, and as in `stamp`
            self.secondsSinceEpoch = value.seconds
            self.nanoSeconds = value.nanoseconds
        fields |= zip(LIMITS, value.limits, strict=False)
        for name in ("precision", "units", "enum_strings"):
            if name in names:
                fields[name] = getattr(value, name)
        if "acknowledge_severity" in names:
            fields["ackt"] = value.acknowledge_transient
            fields["acks"] = value.acknowledge_severity
        self._fields = fields
        self.__dict__ |= fields

    def to_dict(self) -> dict[str, Any]:
        """Everything by name, the time stamp as a number."""
        return dict(self._fields)

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self._fields.items())
        return f"DBR_{ChannelType(self.DBR_ID).name}({', '.join(shown)})"


def _member(kind: type[IntEnum], number: int) -> int:
    """The member of that number, the number itself when there is none."""
    try:
        return kind(number)
    except ValueError:
        return number
