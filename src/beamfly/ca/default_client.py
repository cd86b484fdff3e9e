"""The one client per event loop that `caget` and its relatives use.

It is made when it is first needed and closed with its loop, or by
`purge_channel_caches`. This is the only module of Channel Access that keeps state
between calls.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import ReferenceType, WeakKeyDictionary, ref

from beamfly.ca.asyncio import Client
from beamfly.ca.asyncio_channel import Channel
from beamfly.ca.datatypes import ReadPlan, plan_read
from beamfly.ca.dbr_names import FORMAT_RAW
from beamfly.ca.ledger import Link

if TYPE_CHECKING:
    from beamfly.ca.monitors import Subscription


class NextTurn:
    """What a loop does in its next turn, said once for all that is to be done.

    `call_soon` for each of thousands of updates takes as long as their delivery.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: list[Callable[[], object]] = []

    def soon(self, call: Callable[[], object]) -> None:
        """Call this in the next turn, after what was said before."""
        if not self._calls:
            self._loop.call_soon(self._run)
        self._calls.append(call)

    def _run(self) -> None:
        calls, self._calls = self._calls, []
        rest = iter(calls)
        try:
            for call in rest:
                call()
        finally:
            # one of them ended the loop: the others come when it runs again
            for call in rest:
                self.soon(call)


class CachedChannel(Channel):
    """A channel that is found again by its name."""

    def __init__(self, client: Client, name: str, next_turn: NextTurn) -> None:
        """Start to look for a PV."""
        super().__init__(client, client.core.channel(name))
        self.next_turn = next_turn
        """Of the loop."""
        self.subscriptions: set[Subscription] = set()
        """Those that are not closed."""
        self._plan: tuple[Link | None, int, ReadPlan] | None = None
        client.pump_soon()

    def plan(self, link: Link | None, format: int = FORMAT_RAW) -> ReadPlan:
        """How it is read in its own type while it is connected.

        Args:
            link: Of the core, while it is connected.
            format: One of FORMAT_*.
        """
        known = self._plan
        if known is not None and known[0] is link and known[1] == format:
            return known[2]
        plan = plan_read(self.core, None, format, 0)
        self._plan = link, format, plan
        return plan


class _Cache:
    """What an event loop keeps: its client and the channels of it by name.

    A loop that runs its asynchronous generators to their end, as asyncio.run does,
    closes the client by itself. Others are simply closed; so the loop's `close` leads
    here first. The loop holds this, and nobody else does, so that a loop that is
    dropped takes everything with it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop keep it."""
        self.client = Client()
        self.channels: dict[str, CachedChannel] = {}
        self.next_turn = NextTurn(loop)
        self._loop = loop
        self._close_loop = loop.close
        loop.close = self._close

    def purge(self) -> None:
        """Close everything."""
        for channel in self.channels.values():
            for subscription in tuple(channel.subscriptions):
                subscription.close()
        self.channels.clear()
        self.client.close()

    def renew(self) -> None:
        """The client was closed and somebody wants one."""
        self.channels.clear()
        self.client = Client()

    def _close(self) -> None:
        """The loop is to be closed: connections first, as long as it can run."""
        loop = self._loop
        try:
            runs = loop.is_closed() or loop.is_running() or _running_loop() is not None
            if not runs and not self.client.finished:
                self.purge()
                loop.run_until_complete(self.client.__aexit__())
        finally:
            self._close_loop()


_lock = threading.Lock()
_caches: WeakKeyDictionary[asyncio.AbstractEventLoop, ReferenceType[_Cache]] = (
    WeakKeyDictionary()
)


def _cache() -> _Cache:
    """Of the running event loop."""
    loop = asyncio.get_running_loop()
    reference = _caches.get(loop)
    found = None if reference is None else reference()
    if found is None:
        found = _Cache(loop)
        with _lock:
            _caches[loop] = ref(found)
    elif found.client.closed:
        found.renew()
    return found


def get_client() -> Client:
    """The client of the running loop, made when it is first needed."""
    return _cache().client


def get_channel(name: str) -> CachedChannel:
    """The channel of that name in the running loop, made when it is new."""
    cache = _cache()
    channel = cache.channels.get(name)
    if channel is None:
        channel = CachedChannel(cache.client, name, cache.next_turn)
        cache.channels[name] = channel
    return channel


def get_named_channels(names: Sequence[str]) -> list[CachedChannel]:
    """`get_channel` for many names."""
    known = _cache().channels
    return [known.get(name) or get_channel(name) for name in names]


def get_channels() -> list[CachedChannel]:
    """Every channel of the running loop."""
    return list(_cache().channels.values())


def purge_channel_caches() -> None:
    """Close the channels and subscriptions of all event loops."""
    with _lock:
        caches = [(loop, reference()) for loop, reference in _caches.items()]
    for loop, cache in caches:
        if cache is None or loop.is_closed():
            continue
        if _running_loop() is loop or not loop.is_running():
            cache.purge()
        else:
            loop.call_soon_threadsafe(cache.purge)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
