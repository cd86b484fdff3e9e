"""Names that users of EPICS know: DBR_*, FORMAT_*, DBE_*, ca_extra_fields.

Plain ints, as in the C headers; `beamfly.ca.dbr.Dbr` is the same with a better repr.
The codes above 900 are requests for a conversion and never travel.
"""

from typing import Final, Literal

DBE_VALUE: Final = 1
DBE_LOG: Final = 2
DBE_ALARM: Final = 4
DBE_PROPERTY: Final = 8

DBR_STRING: Final = 0
DBR_SHORT: Final = 1
DBR_FLOAT: Final = 2
DBR_ENUM: Final = 3
DBR_CHAR: Final = 4
DBR_LONG: Final = 5
DBR_DOUBLE: Final = 6
DBR_PUT_ACKT: Final = 35
"""Write only: whether alarms that went away need acknowledging."""
DBR_PUT_ACKS: Final = 36
"""Write only: acknowledge alarms up to a severity."""
DBR_STSACK_STRING: Final = 37
"""A string with what alarm handlers want to know."""
DBR_CLASS_NAME: Final = 38
"""The record's type."""
DBR_ENUM_STR: Final = 996
"""Enums as str, everything else as it is."""
DBR_CHAR_BYTES: Final = 997
"""A char array as bytes, up to its first NUL."""
DBR_CHAR_UNICODE: Final = 998
"""A char array as str, up to its first NUL."""
DBR_CHAR_STR: Final = 999
"""A char array as str, up to its first NUL; written without NUL."""

FORMAT_RAW: Final = 0
"""The value alone."""
FORMAT_TIME: Final = 1
"""With alarm and time stamp."""
FORMAT_CTRL: Final = 2
"""With alarm, units, limits, precision or enum strings."""

Dbe = int | None
"""Sum of DBE_*; None: by format VALUE, VALUE + ALARM, VALUE + ALARM + PROPERTY."""
Dbr = Literal[0, 1, 2, 3, 4, 5, 6, 35, 36, 37, 38, 996, 997, 998, 999]
"""One of DBR_*."""
Datatype = object
"""None for the native type, one of DBR_*, a Python type, or a numpy dtype."""
Format = Literal[0, 1, 2]
"""One of FORMAT_*."""
Count = int
"""0: as many as there are; -1: as many as there can be; else at most so many."""
Timeout = float | tuple[float] | None
"""Seconds, or (time.time() of the end,), or None for ever."""

ca_extra_fields: Final = [
    *("name", "ok", "datatype", "element_count", "severity", "status", "raw_stamp"),
    *("timestamp", "datetime", "units", "upper_disp_limit", "lower_disp_limit"),
    *("upper_alarm_limit", "lower_alarm_limit", "upper_warning_limit"),
    *("lower_warning_limit", "upper_ctrl_limit", "lower_ctrl_limit", "precision"),
    "enums",
]
"""Every attribute that an augmented value can have."""
