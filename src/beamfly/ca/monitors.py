"""`camonitor`'s subscriptions: callbacks of any kind, merged updates, reconnection."""

import asyncio
import inspect
import logging
import sys
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, overload

from beamfly.ca import dbr_names as names
from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.datatypes import InvalidDatatype, plan_read
from beamfly.ca.default_client import get_channel
from beamfly.ca.nothing import CANothing
from beamfly.ca.status import ECA_DISCONN, ECA_TIMEOUT
from beamfly.errors import BadValue, CAError

log = logging.getLogger("beamfly.ca")
MANY_PENDING = 10_000
"""Updates that wait for a callback before a warning is logged."""
_EVENTS = {
    names.FORMAT_RAW: names.DBE_VALUE,
    names.FORMAT_TIME: names.DBE_VALUE | names.DBE_ALARM,
    names.FORMAT_CTRL: names.DBE_VALUE | names.DBE_ALARM | names.DBE_PROPERTY,
}
"""Format -> events unless told otherwise."""
_ALL_EVENTS = 0xFF
"""As many as servers look at."""


def seconds_left(timeout: names.Timeout) -> float | None:
    """Seconds from now; None for ever."""
    return timeout[0] - time.time() if isinstance(timeout, tuple) else timeout


def _mask(format: names.Format, events: names.Dbe) -> int:
    """Events to be told of; BadValue if there are none, or no such format."""
    usual = _EVENTS.get(format)
    if usual is None:
        msg = f"{format!r} is no format; nothing was subscribed"
        raise InvalidDatatype(msg)
    mask = usual if events is None else events
    if not 0 < mask <= _ALL_EVENTS:
        msg = f"{mask} is no sum of DBE_* events; nothing was subscribed"
        raise BadValue(msg)
    return mask


class Subscription:
    """Calls back whenever a PV changes, until it is closed."""

    OPENING = 0
    """The PV has not been found yet."""
    OPEN = 1
    """It is being watched."""
    CLOSED = 2
    """No callback will come."""

    def __init__(
        self,
        name: str,
        callback: Callable[[Any], Awaitable[Any] | Any],
        events: names.Dbe = None,
        datatype: names.Datatype = None,
        format: names.Format = names.FORMAT_RAW,
        count: names.Count = 0,
        all_updates: bool = False,
        notify_disconnect: bool = False,
        connect_timeout: names.Timeout = None,
    ) -> None:
        """Subscribe; see `beamfly.ca.camonitor`."""
        mask = _mask(format, events)
        self.name = name
        self.callback = callback
        self.all_updates = all_updates
        self.notify_disconnect = notify_disconnect
        self.dropped_callbacks: int = 0
        """Updates that newer ones replaced before they could be delivered."""
        self.state = self.OPENING
        self.dbr_to_value: Callable[..., Any] | None = None
        """Makes a value of a reading; set when the PV has been found."""
        self.pending_values: deque[Any] = deque(maxlen=None if all_updates else 1)
        """Readings and CANothings that are not delivered yet."""
        self._datatype, self._format, self._count = datatype, format, count
        self._is_sync: bool | None = None
        self._task: asyncio.Task[None] | None = None
        self._signalled = False
        self.channel = get_channel(name)
        """The channel, which others may use too."""
        self._soon = self.channel.next_turn.soon
        self._client = self.channel.client
        self._loop = self._client.loop
        self._was_connected = self.channel.connected
        self._monitor = Monitor(
            self.channel.core, self._choose, mask, self._queue, self._failed
        )
        self.channel.subscriptions.add(self)
        self.channel.core.on_change.append(self._changed)
        self._timer: asyncio.TimerHandle | None = None
        if connect_timeout is not None and not self.channel.connected:
            wait = max(0.0, seconds_left(connect_timeout) or 0.0)
            self._timer = self._loop.call_later(wait, self._not_found)
        self._client.core.monitor(self._monitor)
        self._client.flush(self.channel.core)

    def close(self) -> None:
        """No callback comes from now on, not even one that was due."""
        if self.state == self.CLOSED:
            return
        self.state = self.CLOSED
        self.pending_values.clear()
        self.channel.subscriptions.discard(self)
        if self._changed in self.channel.core.on_change:
            self.channel.core.on_change.remove(self._changed)
        if self._timer is not None:
            self._timer.cancel()
        if self._loop.is_closed():
            return
        self._client.core.cancel(self._monitor)
        if not self._client.closed:
            self._client.flush(self.channel.core)
        if self._task is not None and self._task is not _current_task():
            self._task.cancel()

    def _choose(self, channel: Channel) -> tuple[int, int]:
        """The channel has connected: what to ask for."""
        plan = plan_read(channel, self._datatype, self._format, self._count)
        self.dbr_to_value = plan.convert
        self.state = self.OPEN
        return plan.code, plan.count

    def _changed(self, channel: Channel) -> None:
        """The channel has connected or disconnected."""
        if channel.connected:
            self._was_connected = True
            if self._timer is not None:
                self._timer.cancel()
        elif self._was_connected and not channel.closed:
            self._was_connected = False
            if self.notify_disconnect:
                self._queue(CANothing(self.name, ECA_DISCONN))

    def _not_found(self) -> None:
        """connect_timeout is over."""
        self._queue(CANothing(self.name, ECA_TIMEOUT))

    def _queue(self, *reading: Any) -> None:
        """Something to deliver has arrived."""
        if self.state == self.CLOSED:
            return
        pending = self.pending_values
        if pending:
            self._note_waiting(pending)
        pending.append(reading)
        if not self._signalled:
            self._signalled = True
            self._soon(self._signal)

    def _note_waiting(self, pending: deque[Any]) -> None:
        """One more is added to what waits, or takes its place."""
        if not self.all_updates:
            self.dropped_callbacks += 1
        elif (len(pending) + 1) % MANY_PENDING == 0:
            count = len(pending) + 1
            log.warning("%s: %d updates wait for a callback", self.name, count)

    def _failed(self, error: Exception) -> None:
        """The server sent an error instead of a value, or the request is nonsense."""
        if isinstance(error, CAError) and not isinstance(error, InvalidDatatype):
            log.warning("%s", error)
            return
        self._report(error)

    def _signal(self) -> None:
        """Deliver what is waiting, in a task if callbacks are to be awaited."""
        self._signalled = False
        if self._is_sync is False:
            if self._task is None or self._task.done():
                self._task = self._loop.create_task(self._deliver())
            return
        try:
            while self.pending_values and self.state != self.CLOSED:
                result = self.callback(self._value())
                if self._is_sync is None:
                    self._is_sync = not inspect.isawaitable(result)
                    if not self._is_sync:
                        self._task = self._loop.create_task(self._deliver(result))
                        return
        except Exception as error:
            self._report(error)

    async def _deliver(self, first: Awaitable[Any] | None = None) -> None:
        """Await callbacks until nothing is waiting."""
        try:
            if first is not None:
                await first
            while self.pending_values and self.state != self.CLOSED:
                await self.callback(self._value())
        except Exception as error:
            self._report(error)

    def _value(self) -> Any:
        """The next thing to deliver."""
        reading = self.pending_values.popleft()
        if isinstance(reading[0], CANothing) or self.dbr_to_value is None:
            return reading[0]
        return self.dbr_to_value(*reading)

    def _report(self, error: Exception) -> None:
        """Tell on stderr, and close: one storm of exceptions is enough."""
        sys.stderr.write(f"Subscription {self.name} callback raised exception\n")
        traceback.print_exception(error)
        sys.stderr.write(f"Subscription {self.name} closed\n")
        self.close()


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


@overload
def camonitor(
    pv: str,
    callback: Callable[[Any], Any],
    events: names.Dbe = ...,
    datatype: names.Datatype = ...,
    format: names.Format = ...,
    count: names.Count = ...,
    all_updates: bool = ...,
    notify_disconnect: bool = ...,
    connect_timeout: names.Timeout = ...,
) -> Subscription: ...


@overload
def camonitor(
    pv: list[str] | tuple[str, ...],
    callback: Callable[[Any, int], Any],
    events: names.Dbe = ...,
    datatype: names.Datatype = ...,
    format: names.Format = ...,
    count: names.Count = ...,
    all_updates: bool = ...,
    notify_disconnect: bool = ...,
    connect_timeout: names.Timeout = ...,
) -> list[Subscription]: ...


def camonitor(
    pv: str | list[str] | tuple[str, ...],
    callback: Callable[..., Any],
    events: names.Dbe = None,
    datatype: names.Datatype = None,
    format: names.Format = names.FORMAT_RAW,
    count: names.Count = 0,
    all_updates: bool = False,
    notify_disconnect: bool = False,
    connect_timeout: names.Timeout = None,
) -> Any:
    """Be called with an augmented value whenever a PV changes; needs a running loop.

    Args:
        pv: Name, or list or tuple of names.
        callback: `callback(value)`, for a list `callback(value, index)`; may be async.
            When it raises, the traceback is printed and the subscription closed.
        events: Sum of DBE_*; None: what suits the format.
        datatype: As for `caget`.
        format: As for `caget`.
        count: As for `caget`.
        all_updates: False: updates that come while a callback is due or running are
            merged into the newest.
        notify_disconnect: Whether a `CANothing` is delivered when the PV goes away.
        connect_timeout: After which a `CANothing` is delivered.

    Returns:
        A `Subscription`, or a list of them.
    """

    def subscribe(name: str, call: Callable[[Any], Any]) -> Subscription:
        return Subscription(
            *(name, call, events, datatype, format, count),
            *(all_updates, notify_disconnect, connect_timeout),
        )

    if isinstance(pv, str):
        return subscribe(pv, callback)

    def indexed(index: int) -> Callable[[Any], Any]:
        return lambda value: callback(value, index)

    return [subscribe(name, indexed(index)) for index, name in enumerate(pv)]
