"""What listens to a PV for a signal: every update, in order, as it arrives.

The listener is called right where the update is parsed, so there is no queue in which
an update could be lost or grow old. When the connection breaks the listener gets the
last value again as an invalid reading whose message says so, because a cached value
that looks good would be believed. A signal that is read meanwhile waits for a new one,
see `ca_lost`.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Generic

from bluesky.protocols import Reading
from ophyd_async.core import Callback, SignalDatatypeT

from beamfly.ca.asyncio_channel import Channel
from beamfly.ca.channel import Channel as CoreChannel
from beamfly.ca.dbr import Dbr
from beamfly.devices.ca_lost import distrust

log = logging.getLogger("ophyd_async")
INVALID = -1
"""Alarm severity of a value that is not to be trusted, as Bluesky has it."""


class CaSubscription(Generic[SignalDatatypeT]):
    """A listener to a PV, until it is closed; survives disconnections."""

    def __init__(
        self,
        channel: Channel,
        base: Dbr,
        make: Callable[..., Reading[SignalDatatypeT]],
        callback: Callback[Reading[SignalDatatypeT]],
        all_updates: bool = True,
    ) -> None:
        """Subscribe.

        Args:
            channel: Of the PV.
            base: Base type of the updates.
            make: Makes a reading of value, time_ns, severity, status.
            callback: Gets the readings, in the event loop.
            all_updates: False: of updates that arrive in one go only the newest one is
                delivered, and `dropped` counts the others.
        """
        self.all_updates = all_updates
        """Whether every update is delivered."""
        self.dropped = 0
        """Updates that newer ones replaced; 0 with all_updates."""
        self._channel = channel
        self._make = make
        self._callback = callback
        self._last: Reading[SignalDatatypeT] | None = None
        self._waiting: tuple[Any, ...] | None = None
        self._closed = False
        # bound methods are made anew each time: this one must be found again
        self._on_change = self._changed
        channel.core.on_change.append(self._on_change)
        self._monitor = channel.monitor(
            self._deliver if all_updates else self._merge,
            dbr=base,
            on_error=self._failed,
        )

    def close(self) -> None:
        """No update is delivered from now on; closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        core = self._channel.core
        if self._on_change in core.on_change:
            core.on_change.remove(self._on_change)
        if not self._channel.client.closed:
            self._monitor.close()

    def _deliver(self, *reading: Any) -> None:
        """One update."""
        self._last = self._make(*reading)
        self._callback(self._last)

    def _merge(self, *reading: Any) -> None:
        """One update, of which only the newest counts."""
        if self._waiting is None:
            self._channel.client.loop.call_soon(self._deliver_newest)
        else:
            self.dropped += 1
        self._waiting = reading

    def _deliver_newest(self) -> None:
        reading, self._waiting = self._waiting, None
        if self._closed or reading is None:
            return
        try:
            self._deliver(*reading)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """An update that cannot be delivered; the next one may do."""
        log.error(
            "an update of ca://%s was not delivered: %s",
            self._channel.name,
            error,
            exc_info=error,
        )

    def _changed(self, core: CoreChannel) -> None:
        """The channel has connected, disconnected, or changed its access."""
        last = self._last
        if (
            core.link is not None
            or last is None
            or last.get("alarm_severity") == INVALID
        ):
            return
        message = f"{core.name} is disconnected, this is its last known value"
        self._last = Reading(
            value=last["value"],
            timestamp=time.time(),
            alarm_severity=INVALID,
            message=message,
        )
        try:
            self._callback(self._last)
        except Exception as error:
            self._failed(error)
        distrust(self._callback, core.name)
