"""Numbers and names of DBR types, alarms and events, as PyEpics has them."""

from enum import IntEnum
from typing import Any

from beamfly.ca.dbr import EPICS_EPOCH, LIMITS, Dbr
from beamfly.epics.questions import ChannelId

ECA_NORMAL = 1
ECA_TIMEOUT = 80
ECA_IODONE = 339
ECA_ISATTACHED = 424
ECA_BADCHID = 410
CS_CONN = 2
CS_NEVER_SEARCH = 4
OP_CONN_UP = 6
OP_CONN_DOWN = 7
STRING, INT, FLOAT, ENUM, CHAR, LONG, DOUBLE = range(7)
SHORT = INT
TIME_STRING, TIME_INT, TIME_FLOAT, TIME_ENUM, TIME_CHAR = range(14, 19)
TIME_LONG, TIME_DOUBLE = 19, 20
TIME_SHORT = TIME_INT
CTRL_STRING, CTRL_INT, CTRL_FLOAT, CTRL_ENUM, CTRL_CHAR = range(28, 33)
CTRL_LONG, CTRL_DOUBLE = 33, 34
CTRL_SHORT = CTRL_INT
PUT_ACKT = 35
PUT_ACKS = 36
STSACK_STRING = 37
CLASS_NAME = 38
HAS_NUMPY = True
PY64_WINDOWS = False
MAX_STRING_SIZE = 40
MAX_UNITS_SIZE = 8
MAX_ENUM_STRING_SIZE = 26
MAX_ENUMS = 16
EPICS2UNIX_EPOCH = float(EPICS_EPOCH)
DBE_VALUE = 1
DBE_LOG = 2
DBE_ALARM = 4
DBE_PROPERTY = 8
ctrl_limits = LIMITS
_BASES = ("STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE")
_NAMES = {
    **dict(enumerate(_BASES)),
    **{
        first + number: prefix + base.replace("INT", "SHORT")
        for prefix, first in (("TIME_", TIME_STRING), ("CTRL_", CTRL_STRING))
        for number, base in enumerate(_BASES)
    },
}
_NUMBERS = {name: number for number, name in _NAMES.items()}


class DefaultIntEnum(IntEnum):
    """Members print as their names; unknown numbers are UNKNOWN, not errors."""

    @classmethod
    def _missing_(cls, value: object) -> "DefaultIntEnum":
        number = value if isinstance(value, int) else -1
        unknown = int.__new__(cls, number)
        unknown._name_ = "UNKNOWN"
        unknown._value_ = number
        return unknown

    def __repr__(self) -> str:
        return self.name


class AlarmStatus(DefaultIntEnum):
    """What is wrong with a PV."""

    NO_ALARM = 0
    READ = 1
    WRITE = 2
    HIHI = 3
    HIGH = 4
    LOLO = 5
    LOW = 6
    STATE = 7
    COS = 8
    COMM = 9
    TIMEOUT = 10
    HW_LIMIT = 11
    CALC = 12
    SCAN = 13
    LINK = 14
    SOFT = 15
    BAD_SUB = 16
    UDF = 17
    DISABLE = 18
    SIMM = 19
    READ_ACCESS = 20
    WRITE_ACCESS = 21


class AlarmSeverity(DefaultIntEnum):
    """How bad it is."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


chid_t = ChannelId
"""What a channel's number is; `chid_t(5).value` is 5."""


def make_unixtime(stamp: Any) -> float:
    """Seconds since 1970, to microseconds, of what has secs and nsec since 1990."""
    return round(EPICS2UNIX_EPOCH + stamp.secs + 1.0e-6 * round(stamp.nsec / 1000), 6)


def native_type(ftype: int) -> int:
    """The plain type of a TIME or CTRL type, such as 6 for 20 and 34."""
    if ftype >= CTRL_STRING:
        return ftype - CTRL_STRING
    return ftype - TIME_STRING if ftype >= TIME_STRING else ftype


def promote(native: int, form: str) -> int:
    """The type in which a form is asked for.

    Args:
        native: Plain type.
        form: native, time or ctrl; a ctrl text does not exist and is asked for as time.
    """
    if form == "ctrl":
        return TIME_STRING if native == STRING else native + CTRL_STRING
    return native + TIME_STRING if form == "time" else native


def Name(ftype: int | str, reverse: bool = False) -> int | str:  # noqa: N802
    """The name of a type, such as TIME_DOUBLE for 20; reverse: the other way round.

    What is neither is "unknown".
    """
    if reverse and isinstance(ftype, str):
        return _NUMBERS.get(ftype.upper(), "unknown")
    return _NAMES.get(int(ftype), "unknown") if isinstance(ftype, int) else "unknown"


def type_name(ftype: int) -> str:
    """The name in small letters, as the `type` of a PV."""
    return _NAMES.get(ftype, "unknown").lower()


def is_float(ftype: int) -> bool:
    """Whether a type has a precision."""
    return native_type(ftype) in (Dbr.FLOAT, Dbr.DOUBLE)
