"""`PV` and the cache that `get_pv`, `caget` and the like share.

    motor = PV("BL:m1.VAL")
    motor.put(3.5, wait=True)
    print(motor.get(), motor.units)
    motor.add_callback(lambda pvname, value, **kw: print(pvname, value))

Set `default_pv_class` to have `get_pv` make PVs of a class of your own.
"""

import warnings
from typing import Any

from beamfly.epics import ca, texts
from beamfly.epics.context import current_context, running_context
from beamfly.epics.monitor_delta import Deadband
from beamfly.epics.pv_attributes import PVAttributes
from beamfly.epics.pv_channel import Callback
from beamfly.epics.texts import fmt_time

__all__ = ["PV", "clear_pvcache", "default_pv_class", "fmt_time", "get_pv"]
FORMS = ("native", "time", "ctrl")


class PV(PVAttributes):
    """One process variable: connects by itself, again and again.

    It can be used from any thread, callbacks included. Callbacks run one after the
    other in a thread of their own, with everything that is known as keywords.
    """

    def __repr__(self) -> str:
        if not self.connected:
            return f"<PV '{self.pvname}': not connected>"
        args = self._args
        count = args["count"] if self.count == 1 else f"{args['count']}/{args['nelm']}"
        kind, access = args["typefull"], args["access"]
        return f"<PV '{self.pvname}', count={count}, type={kind}, access={access}>"

    def __eq__(self, other: object) -> bool:
        """PVs of one channel are equal."""
        if not isinstance(other, PVAttributes):
            return False
        return self.context is other.context and self.pvname == other.pvname

    def __hash__(self) -> int:
        return hash(self.pvname)

    @property
    def info(self) -> str | None:
        """Everything that is known, as a paragraph; None if it does not connect."""
        if not self.wait_for_connection():
            return None
        self.get_ctrlvars()
        value = self.look_up("value")
        return texts.info(self, value, self._monitor is not None)

    # ---- connection

    def connect(self, timeout: float | None = None) -> bool:
        """The same as `wait_for_connection`."""
        return self.wait_for_connection(timeout)

    def force_connect(
        self,
        pvname: str | None = None,
        chid: int | None = None,
        conn: bool = True,
        **kws: Any,
    ) -> None:
        """Connections force themselves; a PV that was closed is looked for again.

        Args:
            pvname: Not used, like the rest: a PV keeps its name and channel.
            chid: Not used.
            conn: Not used.
            kws: Not used.
        """
        if self._link is None:
            self._attach()

    def force_read_access_rights(self) -> None:
        """Access rights are always those that the server told last."""

    def reconnect(self) -> bool:
        """Make a new connection; whether it is there within `connection_timeout`."""
        self._detach()
        if self.context.closed:
            self.context = current_context()
            self._lane = self.context.dispatcher.lane(self.pvname)
            self._deadband = Deadband(
                self.pvname, self._args["monitor_delta"], self.context
            )
        self._attach()
        return self.wait_for_connection()

    def disconnect(self, deepclean: bool = True) -> None:
        """Close it: no callback comes any more, and `get` gives None.

        Args:
            deepclean: Accepted for the sake of old scripts; nothing is left behind.
        """
        self.context.pvs.pop((self.pvname, self.form), None)
        self._detach()
        self.clear_callbacks(True, True)
        self._args = {**self._nothing(), "chid": self.chid}

    def poll(self, evt: float = 1.0e-4, iot: float = 1.0) -> None:
        """`ca.poll`."""
        ca.poll(evt, iot)

    # ---- monitor

    @property
    def auto_monitor(self) -> bool | int | None:
        """Whether it is subscribed: a bool, a mask, None while that is open."""
        return self._auto_monitor

    @auto_monitor.setter
    def auto_monitor(self, value: bool | int | None) -> None:
        self._auto_monitor = value
        if not self.context.closed:
            self.context.call(self._check_auto_monitor)

    @property
    def auto_monitor_mask(self) -> int | None:
        """Mask of the subscription, None without one."""
        return self._mask

    def clear_auto_monitor(self) -> None:
        """Subscribe no more."""
        self.auto_monitor = False

    def set_monitor_delta(self, delta: float | None) -> None:
        """Smallest change to be told of from now on; None leaves it as it is."""
        if delta is None:
            return
        self._args["monitor_delta"] = self._deadband.delta = delta
        if self._monitor is not None and not self.context.closed:
            self.context.call(self._deadband.apply)

    @property
    def merged_updates(self) -> int:
        """Updates that newer ones replaced because callbacks did not keep up."""
        return self._lane.merged

    # ---- callbacks

    def add_callback(
        self,
        callback: Callback | None = None,
        index: int | None = None,
        run_now: bool = False,
        with_ctrlvars: bool = True,
        **kw: Any,
    ) -> int | None:
        """Have something called when the value changes.

        Args:
            callback: Called with everything that is known as keywords: take `**kw`.
            index: Replaces the callback of this number, None: a new number.
            run_now: Call it right now, in this thread, with the latest value too.
            with_ctrlvars: Get units, limits and the like, for the callback's keywords.
            kw: More keywords for the callback.

        Returns:
            The number, for `remove_callback`.
        """
        if callable(callback):
            if index is None:
                index = 1 + max(self.callbacks, default=0)
            self.callbacks[index] = (callback, kw)
        if with_ctrlvars and self.connected:
            self.get_ctrlvars()
        if run_now and index is not None:
            self.get(as_string=True)
            if self.connected:
                self.run_callback(index)
        return index

    def remove_callback(self, index: int | None = None) -> None:
        """Drop the callback of a number; nothing happens if there is none."""
        if index is not None:
            self.callbacks.pop(index, None)

    def clear_callbacks(
        self, with_access_callback: bool = False, with_connect_callback: bool = False
    ) -> None:
        """Drop all callbacks for values, and others on demand."""
        self.callbacks.clear()
        if with_access_callback:
            self.access_callbacks = []
        if with_connect_callback:
            self.connection_callbacks = []

    def run_callbacks(self) -> None:
        """Call all callbacks with the latest value, in this thread."""
        for index in sorted(self.callbacks):
            self.run_callback(index)

    def run_callback(self, index: int) -> None:
        """Call one callback with the latest value, in this thread; it may raise."""
        found = self.callbacks.get(index)
        if found is not None:
            function, keywords = found
            function(**{**self._args, **keywords, "cb_info": (index, self)})


default_pv_class: type[PV] = PV
"""What `get_pv` makes."""


def get_pv(
    pvname: str,
    form: str = "time",
    connect: bool = False,
    context: Any = None,
    timeout: float = 5.0,
    connection_callback: Callback | None = None,
    access_callback: Callback | None = None,
    callback: Callback | None = None,
    verbose: bool = False,
    count: int | None = None,
    auto_monitor: bool | int | None = None,
    monitor_delta: float | None = None,
) -> Any:
    """A PV from the cache, or a new one that goes there.

    Args:
        pvname: Its name.
        form: native, time or ctrl; anything else means time.
        connect: Whether to wait for the connection; a line is printed if it fails.
        context: Not used; there is one context.
        timeout: Seconds to wait, and `connection_timeout` of a new PV.
        connection_callback: See `PV`; called at once if it is connected already.
        access_callback: The same.
        callback: The same.
        verbose: See `PV`, like the rest.
        count: See `PV`.
        auto_monitor: See `PV`.
        monitor_delta: See `PV`.
    """
    if context is not None:
        warnings.warn("get_pv needs no context; there is only one", stacklevel=2)
    form = form if form in FORMS else "time"
    key = (pvname.strip(), form)
    home = current_context()
    with home.lock:
        pv = home.pvs.get(key)
        known = pv is not None
        if pv is None:
            pv = home.pvs[key] = default_pv_class(
                pvname,
                form=form,
                callback=callback,
                connection_callback=connection_callback,
                access_callback=access_callback,
                connection_timeout=timeout,
                count=count,
                verbose=verbose,
                auto_monitor=auto_monitor,
                monitor_delta=monitor_delta,
            )
    if known:
        _join(pv, connection_callback, access_callback, callback)
        pv.set_monitor_delta(monitor_delta)
        if auto_monitor and not pv.auto_monitor:
            pv.auto_monitor = auto_monitor
    if connect and not pv.wait_for_connection(timeout):
        ca.write(f"cannot connect to {pvname}")
    return pv


def _join(
    pv: PV,
    connection_callback: Callback | None,
    access_callback: Callback | None,
    callback: Callback | None,
) -> None:
    """More callbacks for a PV that is there; called at once if it is connected."""
    if connection_callback is not None:
        if pv.connected:
            connection_callback(pvname=pv.pvname, conn=True, pv=pv)
        pv.connection_callbacks.append(connection_callback)
    if access_callback is not None:
        if pv.connected:
            access_callback(pv.read_access, pv.write_access, pv=pv)
        pv.access_callbacks.append(access_callback)
    if callback is not None:
        index = pv.add_callback(callback)
        if index is not None:
            pv.run_callback(index)


def clear_pvcache() -> None:
    """Disconnect every PV that `get_pv` made, and forget it."""
    context = running_context()
    if context is not None:
        for pv in tuple(context.pvs.values()):
            pv.disconnect()


ca.register_clear_cache(clear_pvcache)
