"""Fields that every PV has, as a record would: `<name>.HIHI`, `.EGU`, `.SEVR` ...

`has_field` says whether a PV has one; `field` gives it as a PV of its own, made when
somebody asks for it and kept up to date from then on. A put to it changes the PV it
belongs to, if that is writable. A `$` behind the name of a text field gives it as
characters, for texts beyond 39 bytes: `<name>.DESC$`, `<name>.VAL$`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from beamfly.ca.alarms import AlarmStatus, Severity
from beamfly.ca.dbr import Dbr
from beamfly.ca.puts import Put
from beamfly.ca.pv import NUMBERS, PV
from beamfly.ca.status import ECA_NOWTACCESS
from beamfly.errors import CARefused

_SEVERITIES = tuple(member.name for member in Severity)
_STATUSES = tuple(member.name for member in AlarmStatus)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATE_FIELDS = (
    *("ZRST", "ONST", "TWST", "THST", "FRST", "FVST", "SXST", "SVST"),
    *("EIST", "NIST", "TEST", "ELST", "TVST", "TTST", "FTST", "FFST"),
)


def _any(pv: PV) -> bool:
    return True


def _number(pv: PV) -> bool:
    return pv.type in NUMBERS


def _real(pv: PV) -> bool:
    return pv.type in (Dbr.FLOAT, Dbr.DOUBLE)


def _enum(pv: PV) -> bool:
    return pv.type is Dbr.ENUM


def _array(pv: PV) -> bool:
    return not pv.scalar


@dataclass(frozen=True, slots=True)
class Field:
    """How one field is read and written."""

    type: Dbr | None
    """Base type; None: LONG for a whole number, else DOUBLE."""
    read: Callable[[PV, str], Any]
    """Its value, from the PV and the PV's name."""
    write: Callable[[PV, Any], None] | None = None
    """What a put does; None: nobody may put."""
    states: tuple[str, ...] = ()
    """Of an enum."""
    size: int = 40
    """Bytes of a text."""
    applies: Callable[[PV], bool] = _any
    """Which PVs have it."""


def _property(
    name: str,
    type: Dbr | None,
    *,
    applies: Callable[[PV], bool] = _any,
    states: tuple[str, ...] = (),
    size: int = 40,
    wrap: Callable[[Any], Any] = lambda value: value,
) -> Field:
    """A field that is one of `Properties`."""

    def read(pv: PV, _: str) -> Any:
        value = getattr(pv.properties, name)
        # an alarm limit that is not in use reads as 0, as in a record
        return 0 if value != value else value

    def write(pv: PV, value: Any) -> None:
        pv.configure(**{name: wrap(value)})

    return Field(type, read, write, states, size, applies)


def _limit(name: str) -> Field:
    return _property(name, None, applies=_number)


def _severity(name: str) -> Field:
    return _property(name, Dbr.ENUM, applies=_number, states=_SEVERITIES, wrap=Severity)


def _state(index: int) -> Field:
    """One of the names of an enum's states."""

    def read(pv: PV, _: str) -> str:
        states = pv.properties.states
        return states[index] if index < len(states) else ""

    def write(pv: PV, value: str) -> None:
        states = [*pv.properties.states, *[""] * (index + 1)]
        states[index] = value
        while states and not states[-1]:
            states.pop()
        pv.configure(states=tuple(states))

    return Field(Dbr.STRING, read, write, size=26, applies=_enum)


def _time(pv: PV, _: str) -> str:
    """The time stamp as text, in UTC."""
    if pv.time_ns is None:
        return "<undefined>"
    stamp = _EPOCH + timedelta(microseconds=pv.time_ns // 1000)
    return stamp.strftime("%Y-%m-%d %H:%M:%S.%f")


FIELDS: dict[str, Field] = {
    "NAME": Field(Dbr.STRING, lambda pv, name: name, size=61),
    "RTYP": Field(Dbr.STRING, lambda pv, _: pv.record_type),
    "DESC": _property("description", Dbr.STRING, size=41),
    "EGU": _property("units", Dbr.STRING, size=16, applies=_number),
    "PREC": _property("precision", Dbr.SHORT, applies=_real),
    **{
        key: _limit(key.lower())
        for key in ("HOPR", "LOPR", "DRVH", "DRVL", "HIHI", "HIGH", "LOW", "LOLO")
    },
    **{key: _severity(key.lower()) for key in ("HHSV", "HSV", "LSV", "LLSV")},
    **{key: _limit(key.lower()) for key in ("HYST", "MDEL", "ADEL")},
    "STAT": Field(Dbr.ENUM, lambda pv, _: pv.alarm.status, states=_STATUSES),
    "SEVR": Field(Dbr.ENUM, lambda pv, _: pv.alarm.severity, states=_SEVERITIES),
    "ACKS": Field(
        Dbr.ENUM,
        lambda pv, _: pv.acknowledge_severity,
        lambda pv, value: pv.acknowledge(severity=value),
        states=_SEVERITIES,
    ),
    "ACKT": Field(
        Dbr.ENUM,
        lambda pv, _: int(pv.acknowledge_transient),
        lambda pv, value: pv.acknowledge(transient=bool(value)),
        states=("NO", "YES"),
    ),
    "UDF": Field(Dbr.CHAR, lambda pv, _: int(pv.alarm.status is AlarmStatus.UDF)),
    "TIME": Field(Dbr.STRING, _time),
    "PROC": Field(Dbr.CHAR, lambda pv, _: 0, lambda pv, value: pv.post()),
    "NELM": Field(Dbr.LONG, lambda pv, _: pv.length, applies=_array),
    "NORD": Field(Dbr.LONG, lambda pv, _: len(pv.elements()), applies=_array),
    "ZNAM": _state(0),
    "ONAM": _state(1),
    **{key: _state(index) for index, key in enumerate(_STATE_FIELDS)},
}
"""Name of a field -> how it is read and written."""


def has_field(pv: PV, field: str) -> bool:
    """Whether there is such a field; one that ends in $ must be text."""
    name = field.removesuffix("$")
    if name in ("", "VAL"):
        return name == field or (pv.type is Dbr.STRING and pv.scalar)
    row = FIELDS.get(name)
    if row is None or not row.applies(pv):
        return False
    return name == field or row.type is Dbr.STRING


def field_of(pv: PV, name: str, field: str) -> PV | None:
    """A field of a PV as a PV, None if it has none of that name.

    Args:
        pv: Whose field it is.
        name: The name under which the PV is served.
        field: Such as HIHI or DESC$; empty and VAL mean the PV itself.
    """
    if field in ("", "VAL"):
        return pv
    if not has_field(pv, field):
        return None
    found = pv.fields.get(field)
    if found is None:
        if field.endswith("$"):
            whole = field_of(pv, name, field[:-1])
            found = _characters(whole) if whole is not None else None
        else:
            found = _make(pv, name, FIELDS[field])
        if found is not None:
            pv.fields[field] = found
    return found


def _make(pv: PV, name: str, row: Field) -> PV:
    """The PV of a field."""
    base = row.type
    if base is None:
        whole = pv.scalar and pv.type in (Dbr.CHAR, Dbr.SHORT, Dbr.LONG)
        base = Dbr.LONG if whole else Dbr.DOUBLE
    made = PV(
        row.read(pv, name),
        type=base,
        size=row.size,
        writable=row.write is not None and pv.writable,
        record=pv.record_type,
        length=1,
    )
    described = replace(pv.properties, states=row.states, hihi=0, high=0, low=0, lolo=0)
    quiet = dict.fromkeys(("hhsv", "hsv", "lsv", "llsv"), Severity.NO_ALARM)
    made.properties = replace(described, **quiet, drvh=0.0, drvl=0.0, mdel=0.0)
    made.clock = lambda: pv.time_ns or 0

    def put(request: Put) -> None:
        if row.write is None:
            msg = f"{request.name} cannot be written; nothing was changed"
            raise CARefused(msg, name=request.name, status=ECA_NOWTACCESS)
        row.write(pv, request.value)

    made.on_put = put
    _follow(pv, made, lambda: row.read(pv, name))
    return made


def _characters(whole: PV) -> PV:
    """A text PV as an array of characters."""
    made = PV(
        whole.value,
        type=Dbr.CHAR,
        length=max(whole.size, 2),
        writable=whole.writable,
        record=whole.record_type,
    )
    made.clock = lambda: whole.time_ns or 0

    def put(request: Put) -> Awaitable[None] | None:
        """The text goes the way of any put to the PV itself."""
        raw = bytes(request.value).partition(b"\0")[0]
        return request.redirect(whole, raw.decode(errors="replace"))

    made.on_put = put
    _follow(whole, made, lambda: whole.value)
    return made


def _follow(source: PV, made: PV, read: Callable[[], Any]) -> None:
    """Keep a PV equal to something that another one has."""
    shown = read()

    def follow() -> None:
        nonlocal shown
        value = read()
        if value == shown and made.alarm == source.alarm:
            made.touch(source.time_ns)
            return
        shown = value
        made.publish(made.store(value, source.time_ns, source.alarm))

    made.alarm = source.alarm
    made.time_ns = source.time_ns
    source.dependants.append(follow)
