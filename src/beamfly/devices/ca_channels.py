"""Channels of signals: one per PV and event loop, for as long as somebody holds it.

Signals of the same PV share a channel. It is closed when the last of them is gone, so
that programs which make and forget devices for months keep no connection that nobody
uses. The client is the one that `caget` uses in the same loop.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

from beamfly.ca.asyncio_channel import Channel
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.default_client import get_client


class ChannelHold:
    """Keeps a channel open while it exists."""

    __slots__ = ("__weakref__", "channel")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        """Belongs to everybody who holds this: do not close it."""

    @property
    def usable(self) -> bool:
        """Whether the channel is open in the running loop."""
        client = self.channel.client
        return client.loop is asyncio.get_running_loop() and not client.closed


class _Entry(ref[ChannelHold]):
    """Where a hold is found by its name; closes the channel when the hold is gone."""

    __slots__ = ("channel", "here")

    def __new__(cls, hold: ChannelHold, here: "_Entries") -> "_Entry":
        """Make an entry of a dict that is to lose it when the hold is gone."""
        entry = super().__new__(cls, hold, _release)
        entry.channel = hold.channel
        entry.here = here
        return entry


_Entries = dict[str, _Entry]
_holds: WeakKeyDictionary[asyncio.AbstractEventLoop, _Entries] = WeakKeyDictionary()


def hold_channels(names: Sequence[str]) -> list[ChannelHold]:
    """The channels of PVs in the running loop, looked for together as far as new.

    Raises:
        BadValue: One of the names is impossible; nothing is looked for.
    """
    client = get_client()
    here = _holds.get(client.loop)
    if here is None:
        here = _holds[client.loop] = {}
    found: dict[str, ChannelHold] = {}
    new: dict[str, None] = {}
    for name in names:
        entry = here.get(name)
        hold = None if entry is None else entry()
        if hold is None or hold.channel.client is not client:
            new[name] = None
        else:
            found[name] = hold
    if new:
        for name, channel in zip(new, client.channels(new), strict=True):
            hold = found[name] = ChannelHold(channel)
            here[name] = _Entry(hold, here)
    return [found[name] for name in names]


def hold_channel(name: str) -> ChannelHold:
    """`hold_channels` for one name."""
    return hold_channels((name,))[0]


def server_of(name: str) -> ClientCircuit | None:
    """Where a PV is connected that somebody holds in the running loop, if it is."""
    entry = _holds.get(asyncio.get_running_loop(), {}).get(name)
    hold = None if entry is None else entry()
    if hold is None or not hold.usable or not hold.channel.connected:
        return None
    return hold.channel.core.circuit


def _release(entry: Any) -> None:
    """Nobody holds the channel any more: close it in its own loop.

    The collector may call this anywhere, even while the client is at work, or when
    Python ends and has no modules any more.
    """
    channel = entry.channel
    if entry.here.get(channel.name) is entry:
        entry.here.pop(channel.name, None)
    try:
        channel.client.loop.call_soon_threadsafe(channel.close)
    except RuntimeError:
        # a loop that is closed has closed its client
        return
