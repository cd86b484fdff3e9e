"""Types in the signatures of `beamfly.ca`, for annotations."""

from collections.abc import Sized
from datetime import datetime as _datetime
from typing import Protocol

from beamfly.ca.dbr_names import Count, Datatype, Dbe, Dbr, Format, Timeout

__all__ = ["AugmentedValue", "Count", "Datatype", "Dbe", "Dbr", "Format", "Timeout"]


class AugmentedValue(Sized, Protocol):
    """A value of `caget` or `camonitor`; which attributes it has depends on the format.

    `name` and `ok` are always there, `errorcode` if ok is False, else `datatype` and
    `element_count`. FORMAT_TIME adds the alarm and time stamps, FORMAT_CTRL the alarm
    and, for numbers, units and limits (precision for floats), for enums `enums`.
    """

    name: str
    """Of the PV."""
    ok: bool
    """Whether this is a value."""
    errorcode: int
    """ECA status of a `CANothing`."""
    datatype: int
    """Base DBR type."""
    element_count: int
    """Most elements that the PV can have; 1: a scalar."""
    severity: int
    """0 none, 1 minor, 2 major, 3 invalid."""
    status: int
    """Alarm status."""
    raw_stamp: tuple[int, int]
    """Whole seconds since 1970 and nanoseconds."""
    timestamp: float
    """Seconds since 1970, rounded to microseconds."""
    datetime: _datetime
    """The time stamp in local time."""
    units: str
    upper_disp_limit: float
    lower_disp_limit: float
    upper_alarm_limit: float
    lower_alarm_limit: float
    upper_warning_limit: float
    lower_warning_limit: float
    upper_ctrl_limit: float
    lower_ctrl_limit: float
    precision: int
    """Digits after the point to show."""
    enums: list[str]
    """States of an enum."""
    ackt: int
    """DBR_STSACK_STRING: whether alarms that went away need acknowledging."""
    acks: int
    """DBR_STSACK_STRING: highest severity that is not acknowledged."""
