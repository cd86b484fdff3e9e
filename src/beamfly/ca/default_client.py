"""The one client per event loop that `caget` and its relatives use.

It is made when it is first needed and closed with its loop, or by
`purge_channel_caches`. This is the only module of Channel Access that keeps state
between calls.
"""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from beamfly.ca.asyncio import Client
from beamfly.ca.asyncio_channel import Channel

if TYPE_CHECKING:
    from beamfly.ca.monitors import Subscription


class CachedChannel(Channel):
    """A channel that is found again by its name."""

    def __init__(self, client: Client, name: str) -> None:
        """Start to look for a PV."""
        super().__init__(client, client.core.channel(name))
        self.subscriptions: set[Subscription] = set()
        """Those that are not closed."""
        client.pump_soon()


@dataclass
class _Cache:
    client: Client
    channels: dict[str, CachedChannel] = field(default_factory=dict[str, CachedChannel])


_lock = threading.Lock()
_caches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Cache] = WeakKeyDictionary()


def _cache() -> _Cache:
    """Of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _caches.get(loop)
    if found is None or found.client.closed:
        found = _Cache(Client())
        with _lock:
            _caches[loop] = found
    return found


def get_client() -> Client:
    """The client of the running loop, made when it is first needed."""
    return _cache().client


def get_channel(name: str) -> CachedChannel:
    """The channel of that name in the running loop, made when it is new."""
    cache = _cache()
    channel = cache.channels.get(name)
    if channel is None:
        channel = cache.channels[name] = CachedChannel(cache.client, name)
    return channel


def get_channels() -> list[CachedChannel]:
    """Every channel of the running loop."""
    return list(_cache().channels.values())


def purge_channel_caches() -> None:
    """Close the channels and subscriptions of all event loops."""
    with _lock:
        caches = list(_caches.items())
        _caches.clear()
    for loop, cache in caches:
        here = _running_loop() is loop
        if loop.is_closed() or here or not loop.is_running():
            _purge(cache)
        else:
            loop.call_soon_threadsafe(_purge, cache)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _purge(cache: _Cache) -> None:
    """Close everything of one loop."""
    for channel in cache.channels.values():
        for subscription in tuple(channel.subscriptions):
            subscription.close()
    cache.channels.clear()
    cache.client.close()
