"""The attributes of a PV: each asks the server when it is not known yet."""

from typing import Any

from beamfly.epics import dbr
from beamfly.epics.pv_transfer import PVTransfer

TIME_FIELDS = ("status", "severity", "timestamp", "posixseconds", "nanoseconds")


class Attribute:
    """One of `_args` as an attribute that cannot be set."""

    def __init__(self, text: str) -> None:
        self.__doc__ = text
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, pv: Any, owner: type | None = None) -> Any:
        return self if pv is None else pv.look_up(self._name)

    def __set__(self, pv: Any, value: Any) -> None:
        msg = f"{self._name} of {pv.pvname} cannot be set; put to the record's field"
        raise AttributeError(msg)


class PVAttributes(PVTransfer):
    """What can be looked up without a call."""

    def look_up(self, name: str) -> Any:
        """Something that is known of the PV, fetched if need be; None: not there."""
        if self._args["value"] is None:
            self.get()
        if self._args.get(name) is None:
            if name in TIME_FIELDS:
                self.get_timevars(timeout=1, warn=False)
            elif not self._ctrl_known:
                self.get_ctrlvars(timeout=1, warn=False)
        return self._args.get(name)

    @property
    def value(self) -> Any:
        """The value; setting it puts."""
        return self.look_up("value")

    @value.setter
    def value(self, value: Any) -> None:
        self.put(value)

    @property
    def char_value(self) -> Any:
        """The value as text."""
        return self._text(self.look_up("value"))

    @property
    def type(self) -> str:
        """Form and type, such as time_double."""
        return self._args["type"]

    @property
    def typefull(self) -> str:
        """The same as `type`."""
        return self._args["typefull"]

    @property
    def count(self) -> Any:
        """Elements that there are; the most that there can be is `nelm`."""
        found = self._args["count"]
        return self.look_up("count") if found is None else found

    @property
    def char_status(self) -> str:
        """Alarm status by name; UNKNOWN while it is not known."""
        return dbr.AlarmStatus(self.status).name

    @property
    def char_severity(self) -> str:
        """Alarm severity by name; UNKNOWN while it is not known."""
        return dbr.AlarmSeverity(self.severity).name

    host = Attribute("Address and port of the server.")
    status = Attribute("Alarm status as a number.")
    severity = Attribute("0 none, 1 minor, 2 major, 3 invalid.")
    timestamp = Attribute("Seconds since 1970, to microseconds.")
    posixseconds = Attribute("Whole seconds since 1970, a float.")
    nanoseconds = Attribute("Nanoseconds of that second.")
    read_access = Attribute("Whether we may read.")
    write_access = Attribute("Whether we may write.")
    access = Attribute("read/write, read-only, write-only, or no access.")
    monitor_delta = Attribute("Smallest change that callbacks are told of, or None.")
    precision = Attribute("Digits after the point; None if it is no float.")
    units = Attribute("Engineering units; None for texts and enums.")
    enum_strs = Attribute("Names of the states of an enum, a tuple.")
    upper_disp_limit = Attribute("Upper end of displays.")
    lower_disp_limit = Attribute("Lower end of displays.")
    upper_alarm_limit = Attribute("HIHI.")
    lower_alarm_limit = Attribute("LOLO.")
    upper_warning_limit = Attribute("HIGH.")
    lower_warning_limit = Attribute("LOW.")
    upper_ctrl_limit = Attribute("Highest value that can be put.")
    lower_ctrl_limit = Attribute("Lowest value that can be put.")
