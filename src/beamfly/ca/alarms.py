"""Alarms: what can be wrong with a PV, how badly, and the limits that say so.

`LimitWatch` judges a number against HIHI, HIGH, LOW and LOLO like a record does, with
hysteresis. `worst` picks between two alarms.
"""

from enum import IntEnum
from typing import NamedTuple, Self

from beamfly.errors import BadValue


class _Menu(IntEnum):
    """A menu of EPICS: read it from its number, its name, or itself."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        """Names are understood as well as numbers; BadValue for anything else."""
        found = cls.__members__.get(value.upper()) if isinstance(value, str) else None
        if found is None:
            words = ", ".join(cls.__members__)
            msg = f"{value!r} is none of {words}; nothing was changed"
            raise BadValue(msg)
        return found


class Severity(_Menu):
    """How bad it is."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class AlarmStatus(_Menu):
    """What is wrong."""

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
    HWLIMIT = 11
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


class Alarm(NamedTuple):
    """Status and severity, as they travel with every value but the plain ones."""

    status: AlarmStatus = AlarmStatus.NO_ALARM
    severity: Severity = Severity.NO_ALARM


NO_ALARM = Alarm()
UNDEFINED = Alarm(AlarmStatus.UDF, Severity.INVALID)
"""Of a PV that never had a value."""


def worst(first: Alarm, second: Alarm) -> Alarm:
    """The more severe of two alarms, the first when they are equally bad."""
    return second if second.severity > first.severity else first


class Limit(NamedTuple):
    """One alarm limit."""

    status: AlarmStatus
    """What it means to be beyond it."""
    severity: Severity
    """How bad that is; NO_ALARM switches the limit off."""
    value: float
    """The limit itself belongs to the alarm."""
    above: bool
    """Whether larger numbers are beyond it."""


class LimitWatch:
    """Judges numbers against limits; remembers the last one for hysteresis."""

    def __init__(self) -> None:
        self._last: Limit | None = None

    def judge(
        self, value: float, limits: tuple[Limit, ...], hysteresis: float
    ) -> Alarm:
        """The alarm of a number.

        Args:
            value: The number.
            limits: In the order in which they are tried: outer ones first.
            hysteresis: How far it must come back to leave a limit's alarm.
        """
        last, self._last = self._last, None
        for limit in limits:
            slack = hysteresis if limit == last else 0.0
            if limit.above:
                beyond = value >= limit.value - slack
            else:
                beyond = value <= limit.value + slack
            if beyond:
                self._last = limit
                return Alarm(limit.status, limit.severity)
        return NO_ALARM
