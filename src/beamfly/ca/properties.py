"""What is known of a PV besides its value: units, limits, states, deadbands.

The names are those of record fields, in small letters. `Properties` never changes;
`dataclasses.replace` makes the next one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any, TypedDict

from beamfly.ca.alarms import AlarmStatus, Limit, Severity
from beamfly.ca.dbr import ENUM_STATES, ENUM_STRING_BYTES
from beamfly.errors import BadValue

NAN = math.nan
_ANYTHING = (object, "")
_KINDS = {
    str: (str, "text"),
    int: (Integral, "whole number"),
    float: (Real, "number"),
    tuple[str, ...]: ((list, tuple), "list of texts"),
}
"""What arguments of such a type must be, and how that is called."""


class PropertyArguments(TypedDict, total=False):
    """`Properties` as the keyword arguments of a PV."""

    description: str
    units: str
    precision: int
    states: tuple[str, ...]
    hopr: float
    lopr: float
    drvh: float
    drvl: float
    hihi: float
    high: float
    low: float
    lolo: float
    hhsv: Severity | str | int
    hsv: Severity | str | int
    lsv: Severity | str | int
    llsv: Severity | str | int
    hyst: float
    mdel: float
    adel: float


@dataclass(frozen=True)
class Properties:
    """Metadata of a PV. A change of these is what DBE_PROPERTY is about."""

    description: str = ""
    """DESC: what it is, at most 40 bytes."""
    units: str = ""
    """EGU: clients see the first 8 bytes."""
    precision: int = 0
    """PREC: digits after the point."""
    states: tuple[str, ...] = ()
    """Names of an enum's states: at most 16 of 25 bytes."""
    hopr: float = 0.0
    """Upper display limit."""
    lopr: float = 0.0
    """Lower display limit."""
    drvh: float = 0.0
    """Upper control limit; clients' puts are clipped when drvh > drvl."""
    drvl: float = 0.0
    """Lower control limit."""
    hihi: float = NAN
    """Upper alarm limit, nan for none."""
    high: float = NAN
    """Upper warning limit, nan for none."""
    low: float = NAN
    """Lower warning limit, nan for none."""
    lolo: float = NAN
    """Lower alarm limit, nan for none."""
    hhsv: Severity = Severity.MAJOR
    """How bad it is to reach hihi; a name such as "MINOR" will do."""
    hsv: Severity = Severity.MINOR
    """How bad it is to reach high."""
    lsv: Severity = Severity.MINOR
    """How bad it is to reach low."""
    llsv: Severity = Severity.MAJOR
    """How bad it is to reach lolo."""
    hyst: float = 0.0
    """How far a value must come back to leave an alarm."""
    mdel: float = 0.0
    """Change that DBE_VALUE subscribers want to see; negative: every post."""
    adel: float = 0.0
    """Change that DBE_LOG subscribers want to see; negative: every post."""

    def __post_init__(self) -> None:
        """Take severities by name or number, too; BadValue if they are neither."""
        object.__setattr__(self, "states", tuple(self.states))
        for name in ("hhsv", "hsv", "lsv", "llsv"):
            object.__setattr__(self, name, Severity(getattr(self, name)))

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Properties":
        """From keyword arguments; BadValue if one is unknown or does not fit."""
        unknown = arguments.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            msg = f"a PV has no {', '.join(sorted(unknown))}; it has {known}"
            raise BadValue(msg)
        for name, value in arguments.items():
            kind, called = _KINDS.get(cls.__annotations__[name], _ANYTHING)
            if not isinstance(value, kind):
                msg = f"{name}={value!r:.60} is no {called}"
                raise BadValue(msg)
        return cls(**arguments).checked()

    def but(self, arguments: Mapping[str, Any]) -> "Properties":
        """The same with other values for some; errors are those of `of`."""
        mine = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return self.of(mine | {**arguments})

    def checked(self) -> "Properties":
        """Itself; BadValue for states that do not fit the wire."""
        longest = ENUM_STRING_BYTES - 1
        states: Any = self.states
        if not all(isinstance(state, str) for state in states):
            msg = f"states={self.states!r:.60} are not all texts"
            raise BadValue(msg)
        if len(self.states) > ENUM_STATES:
            msg = f"an enum has at most {ENUM_STATES} states, not {len(self.states)}"
            raise BadValue(msg)
        for state in self.states:
            if len(state.encode()) > longest:
                msg = f"state {state!r} has more than {longest} bytes"
                raise BadValue(msg)
        return self

    @cached_property
    def alarm_limits(self) -> tuple[Limit, ...]:
        """Those that are in use, in the order in which a record tries them."""
        rows = (
            Limit(AlarmStatus.HIHI, self.hhsv, self.hihi, above=True),
            Limit(AlarmStatus.LOLO, self.llsv, self.lolo, above=False),
            Limit(AlarmStatus.HIGH, self.hsv, self.high, above=True),
            Limit(AlarmStatus.LOW, self.lsv, self.low, above=False),
        )
        return tuple(row for row in rows if row.severity and not math.isnan(row.value))

    @cached_property
    def judges(self) -> bool:
        """Whether a value can be an alarm: by its limits, or as a state of an enum."""
        return bool(self.alarm_limits or self.states)

    @cached_property
    def deadbands(self) -> bool:
        """Whether a change may be too small to tell, or no change worth telling."""
        return bool(self.mdel or self.adel)

    @cached_property
    def limits(self) -> tuple[float, ...]:
        """All eight in the order of the wire; alarm limits not in use are nan."""
        used = {row.status: row.value for row in self.alarm_limits}
        order = (AlarmStatus.HIHI, AlarmStatus.HIGH, AlarmStatus.LOW, AlarmStatus.LOLO)
        control = (self.drvh, self.drvl)
        if self.drvh <= self.drvl:
            control = (self.hopr, self.lopr)
        return (
            *(self.hopr, self.lopr),
            *(used.get(status, NAN) for status in order),
            *control,
        )

    def clip(self, value: float) -> float:
        """A number within the control limits, if there are any."""
        if self.drvh <= self.drvl:
            return value
        return min(max(value, self.drvl), self.drvh)
