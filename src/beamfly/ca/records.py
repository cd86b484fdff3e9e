"""Fields that belong together, such as those of a motor.

    motor = RecordGroup(
        "motor",
        VAL=PV(0.0, units="mm", precision=3, on_put=move),
        RBV=0.0,
        DMOV=PV(1, type="short"),
        MSTA=0,
    )
    server = Server({"BL:M1": motor})

serves BL:M1 (its VAL), BL:M1.RBV and so on, and the usual fields (EGU, PREC, DESC,
SEVR ...) of VAL. A simulation moves it in steps; whatever changes in one step carries
one time stamp, and nobody hears of any of it before all of it is there:

    motor.post(RBV=1.25, DMOV=0)

    with motor.step(time_ns=stamp):
        motor["RBV"] = 1.5
        if arrived:
            motor["DMOV"] = 1
    if arrived:
        put.finish()            # whoever waits for the move hears of it last

`motor["RBV"]` outside of a step posts at once. `motor.pvs["RBV"]` is the PV.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from beamfly.ca.alarms import Alarm, AlarmStatus, Severity
from beamfly.ca.puts import PutHook
from beamfly.ca.pv import KEEP, PV
from beamfly.errors import BadValue

_SHARED = ("units", "precision", "hopr", "lopr")
"""What fields given as plain numbers take over from the main one."""


class RecordGroup:
    """PVs that are fields of one record."""

    def __init__(
        self,
        record_type: str,
        fields: Mapping[str, Any] | None = None,
        *,
        main: str = "VAL",
        **more: Any,
    ) -> None:
        """Make a record.

        Args:
            record_type: What RTYP says, such as "motor".
            fields: Name of each field, in capitals -> a PV or its first value. Plain
                floats share units, precision and display limits with the main field.
            main: The field that the bare name of the record means.
            more: The same as `fields`.

        Raises:
            BadValue: The main field is missing, or a value fits no PV.
        """
        given = {**(fields or {}), **more}
        if main not in given:
            msg = f"a {record_type} record needs its main field {main}"
            raise BadValue(msg)
        self.record_type = record_type
        self.main: PV = _made(given[main])
        """The PV that the bare name of the record means."""
        self.pvs: dict[str, PV] = {
            name: self.main if name == main else _made(value)
            for name, value in given.items()
        }
        """Field -> PV."""
        shared = [
            self.pvs[name] for name, value in given.items() if isinstance(value, float)
        ]
        self._changed: dict[str, int] | None = None
        self._time: int | None = None
        for pv in self.pvs.values():
            pv.record_type = record_type
        self._share([pv for pv in shared if pv is not self.main])

    def __getitem__(self, field: str) -> Any:
        """The value of a field; KeyError if there is none of that name."""
        return self.pvs[field].value

    def __setitem__(self, field: str, value: Any) -> None:
        """Give a field a value; subscribers hear of it when the step ends."""
        pv = self.pvs[field]
        if self._changed is None:
            pv.post(value)
            return
        events = pv.store(value, self._time)
        self._changed[field] = self._changed.get(field, 0) | events

    def __contains__(self, field: object) -> bool:
        return field in self.pvs

    def __iter__(self) -> Iterator[str]:
        return iter(self.pvs)

    def on_put(self, field: str, hook: PutHook) -> None:
        """Have a hook asked for puts to a field, see `beamfly.ca.puts`."""
        self.pvs[field].on_put = hook

    def post(self, time_ns: int | None = None, **values: Any) -> None:
        """Give fields values in one step.

        Args:
            time_ns: Time stamp in nanoseconds since 1970; None: now.
            values: Field -> value, told to subscribers in this order.
        """
        with self.step(time_ns):
            for field, value in values.items():
                self[field] = value

    def alarm(
        self,
        status: AlarmStatus | str,
        severity: Severity | str,
        time_ns: int | None = None,
    ) -> None:
        """Put the whole record into an alarm, or out of it, until the next call."""
        alarm = Alarm(AlarmStatus(status), Severity(severity))
        time_ns = self._stamp(time_ns)
        for pv in self.pvs.values():
            pv.standing = alarm
        events = [pv.store(KEEP, time_ns) for pv in self.pvs.values()]
        for pv, event in zip(self.pvs.values(), events, strict=True):
            pv.publish(event)

    @contextmanager
    def step(self, time_ns: int | None = None) -> Generator["RecordGroup"]:
        """Collect changes under one time stamp; subscribers hear of them at the end.

        Args:
            time_ns: Time stamp in nanoseconds since 1970; None: now.
        """
        if self._changed is not None:
            yield self
            return
        self._changed, self._time = {}, self._stamp(time_ns)
        try:
            yield self
        finally:
            changed, self._changed = self._changed, None
            for field, events in changed.items():
                self.pvs[field].publish(events)

    def _stamp(self, time_ns: int | None) -> int | None:
        """A time stamp: the one given, else now."""
        if time_ns is None and self.main.clock is not None:
            return self.main.clock()
        return time_ns

    def _share(self, pvs: list[PV]) -> None:
        """Have fields follow the main one's units, precision, display limits."""
        shown: dict[str, Any] = {}

        def follow() -> None:
            now = {name: getattr(self.main.properties, name) for name in _SHARED}
            if now != shown:
                shown.update(now)
                for pv in pvs:
                    pv.configure(**now)

        follow()
        self.main.dependants.append(follow)


def _made(value: Any) -> PV:
    """A PV from itself or from its first value."""
    return value if isinstance(value, PV) else PV(value)
