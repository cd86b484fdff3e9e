"""Channels of signals: one per PV and event loop, for as long as somebody holds it.

Signals of the same PV share a channel. It is closed when the last of them is gone, so
that programs which make and forget devices for months keep no connection that nobody
uses. The client is the one that `caget` uses in the same loop.
"""

import asyncio
import contextlib
import weakref
from weakref import WeakKeyDictionary, WeakValueDictionary

from beamfly.ca.asyncio_channel import Channel
from beamfly.ca.default_client import get_client


class ChannelHold:
    """Keeps a channel open while it exists."""

    __slots__ = ("__weakref__", "channel")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        """Belongs to everybody who holds this: do not close it."""
        # the collector may run anywhere, even while the client is at work
        release = weakref.finalize(self, _release, channel)
        release.atexit = False

    @property
    def usable(self) -> bool:
        """Whether the channel is open in the running loop."""
        client = self.channel.client
        return client.loop is asyncio.get_running_loop() and not client.closed


_holds: WeakKeyDictionary[
    asyncio.AbstractEventLoop, WeakValueDictionary[str, ChannelHold]
] = WeakKeyDictionary()


def hold_channel(name: str) -> ChannelHold:
    """The channel of a PV in the running loop, looked for when it is new."""
    client = get_client()
    here = _holds.get(client.loop)
    if here is None:
        here = _holds[client.loop] = WeakValueDictionary()
    hold = here.get(name)
    if hold is None or not hold.usable:
        hold = here[name] = ChannelHold(client.channel(name))
    return hold


def _release(channel: Channel) -> None:
    """Nobody holds the channel any more: close it in its own loop."""
    loop = channel.client.loop
    # a loop that is closed has closed its client
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(channel.close)
