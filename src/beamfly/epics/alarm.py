"""`Alarm`: have something called when a value goes where it should not be."""

import math
import operator
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from beamfly.epics import ca
from beamfly.epics.dispatch import guarded
from beamfly.epics.pv import PV, get_pv
from beamfly.errors import BadValue


class AlarmArguments(BadValue, UserWarning):
    """An Alarm cannot be made of these arguments."""


class Alarm:
    """Calls back once for each time that a comparison becomes true.

    After a call it is quiet for `alert_delay` seconds. A value that goes into alarm in
    that time is reported at its end if it is still in alarm, whether it changes or not.
    """

    ops: ClassVar[dict[str, Callable[[Any, Any], Any]]] = {
        "eq": operator.eq,
        "==": operator.eq,
        "ne": operator.ne,
        "!=": operator.ne,
        "le": operator.le,
        "<=": operator.le,
        "lt": operator.lt,
        "<": operator.lt,
        "ge": operator.ge,
        ">=": operator.ge,
        "gt": operator.gt,
        ">": operator.gt,
    }

    def __init__(
        self,
        pvname: str | PV,
        comparison: str | Callable[[Any, Any], Any] | None = None,
        trip_point: Any = None,
        callback: Callable[..., object] | None = None,
        alert_delay: float = 10,
    ) -> None:
        """Watch a PV from now on; a value that is in alarm already is reported.

        Args:
            pvname: A PV or its name.
            comparison: eq == ne != le <= lt < ge >= gt >, or a function of value and
                trip point that says whether that is an alarm.
            trip_point: What values are compared with.
            callback: Called with pvname, value, char_value, trip_point, comparison
                and everything else that is known; None: a line is printed.
            alert_delay: Seconds to be quiet after a call.

        Raises:
            AlarmArguments: Comparison or trip point is missing, or unknown.
        """
        if comparison is None or trip_point is None:
            raise AlarmArguments("an alarm needs a PV, a comparison and a trip point")
        self.cmp: Callable[[Any, Any], Any]
        if callable(comparison):
            self.comp_name = getattr(comparison, "__name__", repr(comparison))
            self.cmp = comparison
        else:
            self.comp_name = comparison
            found = self.ops.get(comparison.replace("_", ""))
            if found is None:
                known = " ".join(self.ops)
                raise AlarmArguments(f"{comparison!r} is none of {known}")
            self.cmp = found
        self.trip_point = trip_point
        self.alert_delay = alert_delay
        self.user_callback = callback
        self.last_alert: float = 0
        """When it was reported last, as time.time()."""
        self.alarm_state = False
        """Whether the value is in alarm."""
        self._lock = threading.RLock()
        self._quiet_until = -math.inf
        self._untold: dict[str, Any] | None = None
        self._waiting = False
        self.pv = pvname if isinstance(pvname, PV) else get_pv(pvname)
        self.pv.wait_for_connection()
        self._index = self.pv.add_callback(self.check_alarm, run_now=True)

    def __repr__(self) -> str:
        return (
            f"<Alarm pvname='{self.pv.pvname}',comp='{self.comp_name}',"
            f"trip_point={self.trip_point}>"
        )

    def reset(self) -> None:
        """Forget the alarm and the quiet time: the next value is judged afresh."""
        with self._lock:
            self.last_alert = 0
            self._quiet_until = -math.inf
            self.alarm_state = False
            self._untold = None

    def close(self) -> None:
        """Watch no more."""
        self.pv.remove_callback(self._index)
        with self._lock:
            self._untold = None

    def check_alarm(
        self,
        pvname: str | None = None,
        value: Any = None,
        char_value: Any = None,
        **kw: Any,
    ) -> None:
        """Judge a value; the PV calls this when it changes."""
        if pvname is None or value is None:
            return
        with self._lock:
            before = self.alarm_state
            self.alarm_state = bool(self.cmp(value, self.trip_point))
            shown = value if char_value is None else char_value
            event = {"pvname": pvname, "value": value, "char_value": shown, **kw}
            if not self.alarm_state:
                self._untold = None
                return
            if before and self._untold is None:
                return
            self._untold = event
            left = self._quiet_until - time.monotonic()
            if left > 0:
                self._look_again(left)
                return
        self._alert()

    def _look_again(self, seconds: float) -> None:
        """Report at the end of the quiet time if it is still in alarm."""
        context = self.pv.context

        def report() -> None:
            with self._lock:
                self._waiting = False
                left = self._quiet_until - time.monotonic()
                if left > 0 and self._untold is not None:
                    self._look_again(left)
                    return
            self._alert()

        if not self._waiting:
            self._waiting = True
            later = context.dispatcher.call
            context.submit(lambda: context.loop.call_later(seconds, later, report))

    def _alert(self) -> None:
        """Report what has not been reported."""
        with self._lock:
            event, self._untold = self._untold, None
            if event is None:
                return
            self.last_alert = time.time()
            self._quiet_until = time.monotonic() + self.alert_delay
        if callable(self.user_callback):
            more = {"trip_point": self.trip_point, "comparison": self.comp_name}
            guarded(self.user_callback, **{**event, **more})
        else:
            text = f"{event['pvname']}={event['char_value']}"
            ca.write(f"Alarm: {text} ({time.ctime()})")
