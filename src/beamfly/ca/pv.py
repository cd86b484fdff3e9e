"""A PV as a server has it: value, alarm, time stamp, properties, who listens.

    temperature = PV(21.5, units="degC", precision=2, high=40, hihi=50)
    mode = PV("Idle", states=("Idle", "Busy"))
    trace = PV([0.0], length=1000)
    path = PV("/data", type="char", length=256)
    temperature.post(22.0)

`post` gives a PV a new value from inside; a client's put arrives as a
`beamfly.ca.puts.Put` and may be refused or changed by `on_put`. Nothing here knows of
sockets: whoever listens (a subscription on a circuit) is told by `changed(pv, events)`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, Unpack

from beamfly.ca.alarms import (
    NO_ALARM,
    UNDEFINED,
    Alarm,
    AlarmStatus,
    LimitWatch,
    Severity,
    worst,
)
from beamfly.ca.answers import Answer, answer
from beamfly.ca.conversion import print_state
from beamfly.ca.dbr import ENUM_STATES, STRING_BYTES, Dbr
from beamfly.ca.message import EventMask
from beamfly.ca.native import adopt, as_type, guess, initial, read_only, record_type
from beamfly.ca.properties import Properties, PropertyArguments
from beamfly.ca.puts import PutHook
from beamfly.errors import BadValue


class _Keep:
    """The value of an argument that was not given."""


KEEP: Final = _Keep()
NUMBERS = frozenset({Dbr.SHORT, Dbr.FLOAT, Dbr.CHAR, Dbr.LONG, Dbr.DOUBLE})
"""Types that have limits and deadbands."""
# looking up members of enums, and operations of flags, would take half of a post
_ENUM = Dbr.ENUM
_FINE, _NOTHING_WRONG = Severity.NO_ALARM, AlarmStatus.NO_ALARM
_VALUE, _LOG = int(EventMask.VALUE), int(EventMask.LOG)
_ALARM, _PROPERTY = int(EventMask.ALARM), int(EventMask.PROPERTY)
_BOTH = _VALUE | _LOG
_NO_STATE = Alarm(AlarmStatus.SOFT, Severity.INVALID)
"""Of an enum whose value can have no name."""
_CACHED = 64
"""Most encodings of one value that are kept."""


class Listener(Protocol):
    """Who wants to know about changes."""

    mask: int
    """Bits of EventMask."""

    def changed(self, pv: "PV") -> None:
        """The PV has changed in a way that the mask asks for."""
        ...


class PV:
    """A process variable; see the module's text for how to make one."""

    clock: Callable[[], int] | None = None
    """Nanoseconds since 1970 for posts without a time; the server sets it."""
    standing: Alarm = NO_ALARM
    """An alarm that stays, whatever is posted, such as that of a whole record."""
    time_ns: int | None = None
    """Time stamp in nanoseconds since 1970; None: never processed."""
    acknowledge_transient: bool = True
    """Whether alarms that went away need acknowledging (ACKT)."""
    acknowledge_severity: int = 0
    """Highest severity that is not acknowledged (ACKS)."""

    def __init__(
        self,
        value: Any = None,
        *,
        type: Dbr | str | None = None,
        length: int | None = None,
        size: int = STRING_BYTES,
        writable: bool = True,
        on_put: PutHook | None = None,
        record: str = "",
        **properties: Unpack[PropertyArguments],
    ) -> None:
        """Make a PV; BadValue if the arguments do not go together.

        Args:
            value: Its first value. None: none yet, which is an UDF alarm.
            type: "double", "long" ... or one of the first seven of Dbr; None takes it
                from the value: bool and states are an enum, int is LONG (DOUBLE from
                2**31 on), float DOUBLE, str STRING, bytes an array of CHAR, arrays by
                their dtype. "char" and a text make an array of CHAR that clients may
                put text to.
            length: Most elements of an array; 1 is a scalar. None: as many as value.
            size: Bytes of a text; more than 40 can be had as `<name>.VAL$`.
            writable: Whether clients may put at all, to fields such as HIHI included.
            on_put: Asked for every put, see `beamfly.ca.puts`.
            record: Record type, as RTYP says; None takes the one that fits.
            properties: Fields of `Properties`, such as units and hihi.
        """
        if type is None and isinstance(value, bool):
            properties.setdefault("states", ("False", "True"))
        self.properties = Properties.of(properties)
        given = as_type(type)
        states = self.properties.states
        self.type: Dbr = guess(value, states) if given is None else given
        """Base type, one of the first seven."""
        self.text = self.type is Dbr.CHAR and isinstance(value, str)
        """Whether clients may put text as such into an array of characters."""
        self.size = size
        self.writable = writable
        self.on_put = on_put
        self.alarm: Alarm = UNDEFINED if value is None else NO_ALARM
        self.fields: dict[str, PV] = {}
        """Record fields that somebody asked for, see `beamfly.ca.record_fields`."""
        self.listeners: dict[Listener, None] = {}
        self.dependants: list[Callable[[], None]] = []
        """Called after every change; fields such as SEVR follow that way."""
        self._watch = LimitWatch()
        self.encoded: dict[tuple[int, int], Answer] = {}
        """What `answer` gave since the last change, by type and count."""
        if on_put is not None and not callable(on_put):
            msg = f"on_put={on_put!r:.60} is no function; scripts have some, files none"
            raise BadValue(msg)
        first = initial(self.type, value, length)
        self.length: int = first.length
        """Most elements; 1 for a scalar."""
        self.scalar = self.length == 1
        self._number = self.scalar and self.type in NUMBERS
        self._double = self.scalar and self.type is Dbr.DOUBLE
        kind = record_type(self.type, self.scalar, size, len(states))
        self.record_type = record or kind
        self._value: Any = self._adopt(first.value)
        self._monitored = self._archived = self._value
        if value is not None:
            self.alarm = self._judge(self._value, NO_ALARM)
            self.acknowledge_severity = int(self.alarm.severity)

    def __repr__(self) -> str:
        return f"<PV {self.type.name.lower()} {self._value!r:.60}>"

    @property
    def value(self) -> Any:
        """A number, str, read-only array of shape (n,), or tuple of str.

        An enum is its index; characters are an array of uint8.
        """
        return self._value

    def __str__(self) -> str:
        """The value as text: an enum's state, characters up to the first NUL."""
        if self.type is Dbr.ENUM and self.scalar:
            return print_state(self._value, self.properties.states)
        if self.type is Dbr.CHAR and not self.scalar:
            return bytes(self._value).partition(b"\0")[0].decode(errors="replace")
        return str(self._value)

    def elements(self, limit: int = 0) -> Sequence[Any]:
        """The value as a sequence of at most so many elements; 0: all."""
        if self.scalar:
            return (self._value,)
        return self._value[:limit] if limit else self._value

    def answer(self, code: int, count: int) -> Answer:
        """The value as a DBR type, encoded once per change."""
        key = (code, count)
        found = self.encoded.get(key)
        if found is None:
            if len(self.encoded) >= _CACHED:
                self.encoded.clear()
            found = self.encoded[key] = answer(self, code, count)
        return found

    def post(
        self,
        value: Any = KEEP,
        *,
        time_ns: int | None = None,
        status: AlarmStatus | str = _NOTHING_WRONG,
        severity: Severity | str = _FINE,
    ) -> None:
        """Give it a value, an alarm, a time stamp, and tell who listens.

        Args:
            value: As for the constructor, also the name of an enum's state; left out,
                the value stays and only alarm and time stamp are new.
            time_ns: Time stamp in nanoseconds since 1970; None: now. Clients are told
                the nearest one from 1990 to 2126.
            status: What is wrong. An alarm of the limits counts if it is worse.
            severity: How bad it is.

        Raises:
            BadValue: The value does not fit; nothing was changed.
        """
        alarm = NO_ALARM
        if severity is not _FINE or status is not _NOTHING_WRONG:
            alarm = Alarm(AlarmStatus(status), Severity(severity))
        if time_ns is not None and type(time_ns) is not int:
            time_ns = _whole(time_ns)
        self.publish(self.store(value, time_ns, alarm))

    def store(
        self, value: Any = KEEP, time_ns: int | None = None, alarm: Alarm = NO_ALARM
    ) -> int:
        """`post` without telling anybody; the result goes to `publish`."""
        if value is KEEP:
            new = self._value
        elif self._double and type(value) is float:
            # which is what servers post most, kept as it is
            new = value
        else:
            new = self._adopt(value)
        if time_ns is None and self.clock is not None:
            time_ns = self.clock()
        if self.properties.judges or self.standing is not NO_ALARM:
            alarm = self._judge(new, alarm)
        events = self._compare(new)
        if alarm is not self.alarm and alarm != self.alarm:
            events |= _ALARM
            if not self.acknowledge_transient or alarm[1] >= self.acknowledge_severity:
                self.acknowledge_severity = int(alarm[1])
            self.alarm = alarm
        self._value = new
        self.time_ns = time_ns
        if self.encoded:
            self.encoded = {}
        return events

    def touch(self, time_ns: int | None) -> None:
        """A new time stamp that is worth no update."""
        self.time_ns = time_ns
        if self.encoded:
            self.encoded = {}

    def publish(self, events: int) -> None:
        """Tell who listens to one of these events (bits of EventMask)."""
        for listener in self.listeners:
            if listener.mask & events:
                listener.changed(self)
        for follow in self.dependants:
            follow()

    def configure(self, **properties: Unpack[PropertyArguments]) -> None:
        """Change properties, such as units or hihi, and tell who listens to those."""
        self.properties = self.properties.but(properties)
        self.encoded = {}
        events = _PROPERTY
        alarm = self._judge(self._value, NO_ALARM)
        if self.alarm is not UNDEFINED and alarm != self.alarm:
            self.alarm = alarm
            events |= _ALARM
        self.publish(events)

    def acknowledge(
        self, *, severity: int | None = None, transient: bool | None = None
    ) -> None:
        """What an alarm handler puts: ACKS and ACKT."""
        if transient is not None:
            self.acknowledge_transient = transient
            if not transient:
                limit = int(self.alarm.severity)
                self.acknowledge_severity = min(self.acknowledge_severity, limit)
        if severity is not None and severity >= self.acknowledge_severity:
            self.acknowledge_severity = 0
        self.encoded = {}
        self.publish(_ALARM)

    def clip(self, value: Any) -> Any:
        """A put number within the control limits."""
        return self.properties.clip(value) if self._number else value

    def _adopt(self, value: Any) -> Any:
        """A value as it is kept."""
        kept = adopt(self.type, value, self.length, self.properties.states)
        return kept[0] if self.scalar else read_only(kept)

    def _judge(self, value: Any, alarm: Alarm) -> Alarm:
        """The worst of an alarm, the one that stays, and what the limits say."""
        if self.standing is not NO_ALARM:
            alarm = worst(self.standing, alarm)
        if self.type is _ENUM:
            beyond = self.scalar and value >= ENUM_STATES and self.properties.states
            return worst(alarm, _NO_STATE) if beyond else alarm
        limits = self.properties.alarm_limits
        if not limits or not self._number:
            return alarm
        if math.isnan(value):
            return worst(alarm, UNDEFINED)
        return worst(alarm, self._watch.judge(value, limits, self.properties.hyst))

    def _compare(self, new: Any) -> int:
        """Which of VALUE and LOG a new value is worth."""
        if not self._number:
            return 0 if self.scalar and new == self._value else _BOTH
        before = self._monitored
        if self._archived is before and not self.properties.deadbands:
            if new == before or (new != new and before != before):
                return 0
            self._monitored = self._archived = new
            return _BOTH
        events = 0
        if moved(self._monitored, new, self.properties.mdel):
            self._monitored = new
            events |= _VALUE
        if moved(self._archived, new, self.properties.adel):
            self._archived = new
            events |= _LOG
        return events


def _whole(time_ns: Any) -> int:
    """A time stamp that is no int."""
    try:
        return int(time_ns)
    except (TypeError, ValueError, OverflowError):
        msg = f"{time_ns!r:.60} are no nanoseconds since 1970; nothing was changed"
        raise BadValue(msg) from None


def moved(old: float, new: float, deadband: float) -> bool:
    """Whether a number left the deadband; from or to nan and inf always counts."""
    if old == new or (old != old and new != new):
        return deadband < 0
    distance = abs(new - old)
    return distance > deadband or not math.isfinite(distance)
