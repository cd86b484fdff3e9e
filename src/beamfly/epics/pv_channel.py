"""The part of a PV that lives with its channel: connection, access, monitor, callbacks.

Methods named `link_*` and `_update*` run in the client's thread and only keep what they
are told; users' callbacks run in the dispatcher's. `_args` holds everything that is
known of the PV, under the names that callbacks get; only the client's thread writes
values into it, with one `update` per event, so that copies are never half new.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.dbr import LIMITS
from beamfly.epics import ca, dbr
from beamfly.epics.context import current_context
from beamfly.epics.dispatch import guarded
from beamfly.epics.link import Link
from beamfly.epics.monitor_delta import Deadband
from beamfly.epics.questions import ChannelId, Waiter
from beamfly.epics.texts import char_value, fmt_time
from beamfly.epics.values import count_of, size_of, unpack

FIELDS = (
    *("pvname", "value", "char_value", "status", "ftype", "chid", "host", "count"),
    *("access", "write_access", "read_access", "severity", "timestamp"),
    *("posixseconds", "nanoseconds", "precision", "units", "enum_strs"),
    *("monitor_delta", "upper_disp_limit", "lower_disp_limit"),
    *("upper_alarm_limit", "lower_alarm_limit", "lower_warning_limit"),
    *("upper_warning_limit", "upper_ctrl_limit", "lower_ctrl_limit"),
)
CONTROL = (*LIMITS, "precision", "units", "enum_strs")
ACCESS = ("no access", "read-only", "write-only", "read/write")
CONTROL_SECONDS = 10.0
"""After a reconnection, for what comes without anybody waiting for it."""
Callback = Callable[..., object]
log = logging.getLogger("beamfly.epics")


class PVChannel:
    """Connection, monitor and callbacks of a PV."""

    def __init__(
        self,
        pvname: str,
        callback: Callback | Sequence[Callback] | None = None,
        form: str = "time",
        verbose: bool = False,
        auto_monitor: bool | int | None = None,
        count: int | None = None,
        connection_callback: Callback | None = None,
        connection_timeout: float | None = None,
        access_callback: Callback | None = None,
        monitor_delta: float | None = None,
    ) -> None:
        """Start to look for a PV; nothing is waited for.

        Args:
            pvname: Its name.
            callback: Called with keywords when the value changes, or several of them.
            form: native, time or ctrl: what comes along with values.
            verbose: Whether updates and disconnections are printed.
            auto_monitor: Whether to subscribe; None: unless it is a large array. A
                number is the mask of `dbr.DBE_*`.
            count: Elements to get of an array, None: all.
            connection_callback: Called with pvname, conn, pv.
            connection_timeout: Seconds that operations wait for the connection, None:
                `ca.DEFAULT_CONNECTION_TIMEOUT`.
            access_callback: Called with read_access, write_access, pv=.
            monitor_delta: Smallest change to be told of: MDEL is set to it, or, where
                that cannot be, smaller changes are left out here.
        """
        self.pvname = pvname.strip()
        self.form = form.lower()
        self.verbose = verbose
        self.ftype: int | None = None
        self.connected = False
        if connection_timeout is None:
            connection_timeout = ca.DEFAULT_CONNECTION_TIMEOUT
        self.connection_timeout = connection_timeout
        self.connection_callbacks: list[Callback] = []
        self.access_callbacks: list[Callback] = []
        if connection_callback is not None:
            self.connection_callbacks.append(connection_callback)
        if access_callback is not None:
            self.access_callbacks.append(access_callback)
        self.callbacks: dict[int, tuple[Callback, dict[str, Any]]] = {}
        several = [callback] if callback is None or callable(callback) else callback
        for index, one in enumerate(several):
            if callable(one):
                self.callbacks[index] = (one, {})
        self._auto_monitor = auto_monitor
        self._user_max_count = count
        self._monitor: Monitor | None = None
        self._mask: int | None = None
        self._ctrl_known = False
        self._told: threading.Event | None = None
        self._waiters: list[threading.Event] = []
        self._args: dict[str, Any] = self._nothing()
        self._args |= {"count": count, "monitor_delta": monitor_delta}
        self.context = current_context()
        self._lane = self.context.dispatcher.lane(self.pvname)
        self._deadband = Deadband(self.pvname, monitor_delta, self.context)
        self.chid: ChannelId | None = None
        self._link: Link | None = None
        self._attach()

    def _nothing(self) -> dict[str, Any]:
        """What is known of a PV that has never connected."""
        args: dict[str, Any] = dict.fromkeys(FIELDS)
        unknown = dict.fromkeys(("type", "typefull", "access"), "unknown")
        return {**args, "pvname": self.pvname, "nelm": -1, **unknown}

    def _attach(self) -> None:
        """Have a channel."""
        self.context.link(self.pvname, self)

    def link_added(self, link: Link) -> None:
        """Nothing is known of it yet but its number."""
        self._link = link
        self._args["chid"] = self.chid = link.chid

    def _detach(self) -> None:
        """Give the channel up."""
        link, self._link = self._link, None
        self.connected = False
        if link is not None:
            if not self.context.closed:
                self.context.call(lambda: self._unsubscribe(link))
            self.context.release(link, self)

    # ---- told by the link, in the client's thread

    def link_access(self, link: Link) -> None:
        """What we may do has changed."""
        if link is not self._link:
            return
        rights = link.rights
        read, write = bool(rights & 1), bool(rights & 2)
        self._args.update(
            {"read_access": read, "write_access": write, "access": ACCESS[rights]}
        )
        if self.access_callbacks:
            self._lane.post(lambda: self._tell_access(read, write))

    def link_connected(self, link: Link) -> None:
        """Learn what it is, and subscribe."""
        if link is not self._link:
            return
        native, nelm, host = link.facts
        self.ftype = dbr.promote(native, self.form)
        name = dbr.type_name(self.ftype)
        changes = {
            "nelm": nelm,
            "count": min(nelm, self._user_max_count or nelm),
            "host": host,
            "type": name,
            "typefull": name,
            "ftype": self.ftype,
        }
        if self._args["ftype"] not in (None, self.ftype):
            changes |= dict.fromkeys(CONTROL)
        self._args.update(changes)
        if self._ctrl_known:
            self._control_again(link)
        self._check_auto_monitor()
        if self._monitor is not None and nelm == 1 and dbr.is_float(native):
            self._deadband.apply()
        told = self._told = threading.Event() if self.connection_callbacks else None
        self.connected = True
        if told is not None:
            self._lane.post(lambda: self._tell_connection(True, told))
        for waiter in tuple(self._waiters):
            waiter.set()

    def link_lost(self, link: Link) -> None:
        """Tell; the monitor comes back with the connection."""
        if link is not self._link:
            return
        self.connected = False
        self._lane.post(lambda: self._tell_connection(False, None))

    def _check_auto_monitor(self) -> None:
        """Subscribe, or not, as auto_monitor says; in the client's thread."""
        link = self._link
        if link is None or not link.connected:
            return
        if self._auto_monitor is None:
            self._auto_monitor = self._args["count"] < ca.AUTOMONITOR_MAXLENGTH
        mask: int | None = None
        if self._auto_monitor is True:
            mask = ca.DEFAULT_SUBSCRIPTION_MASK
        elif self._auto_monitor:
            mask = self._auto_monitor
        if self._monitor is not None:
            if mask == self._mask:
                return
            self._unsubscribe(link)
        if mask is not None:
            self._mask = mask
            self._monitor = link.watch(self._choose, mask, self._update, self._failed)

    def _control_again(self, link: Link) -> None:
        """Units, limits, states may be others since it has reconnected."""
        code = dbr.promote(link.facts.type, "ctrl")
        self._ctrl_known = False

        def take(reading: tuple[Any, ...]) -> None:
            found = unpack(code, reading, 1)
            self._args.update({key: found.get(key) for key in CONTROL})
            self._ctrl_known = True

        link.ask(code, 1, CONTROL_SECONDS, take, Waiter())

    def _choose(self, core: Channel) -> tuple[int, int]:
        """What to subscribe to, at every connection."""
        wanted = self._user_max_count or 0
        return dbr.promote(core.native_type, self.form), min(wanted, core.count)

    def _unsubscribe(self, link: Link) -> None:
        monitor, self._monitor, self._mask = self._monitor, None, None
        if monitor is not None:
            link.unwatch(monitor)

    def _failed(self, error: Exception) -> None:
        """Updates that cannot be read: lost read access is told in other ways."""
        log.debug("monitor of %s: %s", self.pvname, error)

    def _update(self, *reading: Any) -> None:
        """A new value."""
        link = self._link
        if link is None:
            return
        fields = unpack(self.ftype or 0, reading, link.facts.nelm)
        value = fields["value"]
        if self._deadband.hides(value):
            return
        fields["count"] = count_of(value)
        if "timestamp" not in fields:
            fields["timestamp"] = time.time()
        self._args.update(fields)
        if self.callbacks or self.verbose:
            snapshot = self._args.copy()
            self._lane.update(lambda: self._tell(snapshot), size_of(value))

    # ---- in any thread

    def _wait(self, timeout: float) -> bool:
        """Whether it is connected in time; its connection callbacks have been called.

        They are not waited for while a callback takes longer than others.
        """
        end = time.monotonic() + timeout
        if not self.connected:
            waiter = threading.Event()
            self._waiters.append(waiter)
            try:
                if not self.connected and self._link is not None:
                    waiter.wait(timeout)
            finally:
                self._waiters.remove(waiter)
        told = self._told
        if told is not None and self.connected and not told.is_set():
            dispatcher = self.context.dispatcher
            if not dispatcher.is_current and not self.context.in_thread:
                dispatcher.wait_for(told, end - time.monotonic())
        return self.connected

    # ---- in the dispatcher's thread

    def _tell_access(self, read: bool, write: bool) -> None:
        for callback in tuple(self.access_callbacks):
            guarded(callback, read, write, pv=self)

    def _tell_connection(self, conn: bool, told: threading.Event | None) -> None:
        if not conn and self.verbose:
            ca.write(f"PV '{self.pvname}' disconnected.")
        for callback in tuple(self.connection_callbacks):
            guarded(callback, pvname=self.pvname, conn=conn, pv=self)
        if told is not None:
            told.set()

    def _tell(self, snapshot: dict[str, Any]) -> None:
        """Callbacks for one update."""
        for name in ("precision", "enum_strs"):
            # they may have come after the update, on behalf of a new callback
            if snapshot[name] is None:
                snapshot[name] = self._args[name]
        snapshot["char_value"] = self._args["char_value"] = char_value(
            snapshot["value"],
            snapshot["ftype"],
            snapshot["count"],
            snapshot,
            snapshot["count"] < ca.AUTOMONITOR_MAXLENGTH,
        )
        if self.verbose:
            when = fmt_time(snapshot["timestamp"])
            ca.write(f"{self.pvname}: {snapshot['char_value']} ({when})")
        for index in sorted(self.callbacks):
            self._run_one(index, snapshot)

    def _run_one(self, index: int, snapshot: dict[str, Any]) -> None:
        found = self.callbacks.get(index)
        if found is not None and callable(found[0]):
            guarded(found[0], **{**snapshot, **found[1], "cb_info": (index, self)})
