"""What becomes of a signal whose PV is lost: it waits a while, then it fails.

A signal that is staged or listened to is read from ophyd-async's cache, and events
have no alarms, so that a scan would go on with the last value that was seen for ever.
`distrust` ends that: until there is a new value, reading waits for one.
"""

import asyncio
from typing import Any, Literal

# what a signal that is listened to is read from; there is no public name for it
from ophyd_async.core._signal import (
    _SignalCache,  # pyright: ignore[reportPrivateUsage]
)

from beamfly.ca.asyncio_channel import Channel
from beamfly.ca.status import ECA_DISCONN
from beamfly.errors import CADisconnected, CATimeout

RECONNECT_SECONDS = 8.0
"""How long a PV that was lost is waited for: less than a signal usually waits, as what
it would say then is only that it has waited."""


def lost(pv: str, consequence: str) -> CADisconnected:
    """The error for a PV that has not come back.

    Args:
        pv: Its name.
        consequence: What was not done.
    """
    msg = (
        f"{pv} is not connected any more, and was not found again within "
        f"{RECONNECT_SECONDS:g} s: does its IOC run? {consequence}"
    )
    return CADisconnected(msg, name=pv, status=ECA_DISCONN)


async def found_again(channel: Channel, consequence: str) -> None:
    """Wait for a PV that was lost; CADisconnected if it does not come back soon."""
    try:
        await channel.wait_connected(RECONNECT_SECONDS)
    except CATimeout as error:
        raise lost(channel.name, consequence) from error


class _Missing(asyncio.Event):
    """Set when there is a value again."""

    def __init__(self, pv: str) -> None:
        super().__init__()
        self._pv = pv

    async def wait(self) -> Literal[True]:
        """Wait for the next value; CADisconnected if it does not come soon."""
        try:
            async with asyncio.timeout(RECONNECT_SECONDS):
                return await super().wait()
        except TimeoutError as error:
            raise lost(self._pv, "it was not read") from error


def distrust(callback: Any, pv: str) -> None:
    """Have the cache that is called back hand out no value until there is a new one.

    Args:
        callback: What gets the updates of a signal.
        pv: The PV that was lost.
    """
    cache = getattr(callback, "__self__", None)
    if isinstance(cache, _SignalCache):
        cache._valid = _Missing(pv)  # noqa: SLF001 # pyright: ignore
