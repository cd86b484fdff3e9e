"""The one Channel Access client behind all PVs: a thread with an event loop.

`current_context()` starts it on first use; `close_context()` ends it, and the next use
starts a new one. `with session(config):` does both, with settings of one's own. PVs may
be used from any thread; only `submit`, `call` and `Link` know of the loop's thread.
"""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.epics.dispatch import CLOSE_SECONDS, Dispatcher
from beamfly.epics.exceptions import ChannelAccessException
from beamfly.epics.handover import Handover
from beamfly.epics.link import Link, LinkOwner
from beamfly.epics.questions import Waiter
from beamfly.errors import CATimeout

log = logging.getLogger("beamfly.epics")
T = TypeVar("T")
CALL_SECONDS = 30.0
"""How long the client's thread may take for something that needs no network."""


class Context:
    """A client in a daemon thread, and the thread for callbacks."""

    def __init__(self, config: Config | None = None) -> None:
        """Start the client's thread.

        Args:
            config: Settings, None to read them from the environment.
        """
        self.dispatcher = Dispatcher()
        self.links: dict[str, Link] = {}
        """Channels by PV name; guarded by `lock`."""
        self.by_number: dict[int, Link] = {}
        """Channels by their chid."""
        self.pvs: dict[Any, Any] = {}
        """PVs that `get_pv` made, by name and form; guarded by `lock`."""
        self.holders: dict[int, Any] = {}
        """What `create_channel` made, by number."""
        self.asked: dict[tuple[int, int], Waiter[dict[str, Any]]] = {}
        """Answers for `ca.get_complete`, by number and type."""
        self.groups: dict[int, Any] = {}
        """What `sg_create` made, by number."""
        self.lock = threading.RLock()
        self.closed = False
        self.process = os.getpid()
        """Where the threads are; a forked process has none of them."""
        self.client: Client
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._handover = Handover()
        self.send_soon = self._handover.send
        self._numbers = 0
        self._config = config
        self._failed: BaseException | None = None
        self._abandoned = False
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="beamfly-epics-client", daemon=True
        )
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            # Ctrl-C: nobody will know of this context
            self._abandoned = True
            self._stop_soon()
            raise
        if self._failed is not None:
            raise self._failed

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self.links)} channels"
        return f"<Context: {state}>"

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failed = error
            log.debug("the client's thread ended", exc_info=True)
        finally:
            self.closed = True
            self._ready.set()
            # nobody waits for ever for what came too late
            self._handover.close()

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with Client(self._config) as self.client:
            self._handover.begin(self.client)
            try:
                self._ready.set()
                if not self._abandoned:
                    await self._stop.wait()
            finally:
                self._handover.end()

    # ---- the loop's thread

    def submit(self, call: Callable[[], object]) -> None:
        """Have something run in the client's thread, in the order of the calls.

        Raises:
            CADisconnected: The context is closed.
            ChannelAccessException: It belongs to the process that this one is a fork
                of.
        """
        if self.process != os.getpid():
            msg = "this process was forked after PVs were used; make new PVs here"
            raise ChannelAccessException(msg)
        self._handover.put(call)

    def call(self, function: Callable[[], T]) -> T:
        """Run something in the client's thread; its result, or what it raises."""
        if threading.current_thread() is self._thread:
            return function()
        waiter: Waiter[T] = Waiter()

        def work() -> None:
            try:
                waiter.succeed(function())
            except Exception as error:
                waiter.fail(error)

        self.submit(work)
        if not waiter.wait(CALL_SECONDS):
            msg = f"the Channel Access thread was busy for {CALL_SECONDS} s"
            raise CATimeout(msg)
        return waiter.result()

    @property
    def in_thread(self) -> bool:
        """Whether the caller must not wait for the client's thread."""
        return threading.current_thread() is self._thread

    # ---- channels

    def link(self, name: str, owner: LinkOwner) -> Link:
        """The channel of a PV, which is looked for if it is new; owner is told."""
        with self.lock:
            link = self.links.get(name)
            if link is None:
                self._numbers += 1
                link = Link(self, name, self._numbers)
                self.submit(link.open)
                self.links[name] = self.by_number[link.chid] = link
            link.users += 1
        # it has to know the link before the client's thread tells it of a connection
        owner.link_added(link)
        self.submit(lambda: link.add(owner))
        return link

    def release(self, link: Link, owner: LinkOwner) -> None:
        """An owner needs a channel no more; it is closed with the last one."""
        with self.lock:
            link.users -= 1
            last = link.users <= 0
            if last and self.links.get(link.name) is link:
                del self.links[link.name]
                self.by_number.pop(link.chid, None)
        if self.closed:
            return
        self.call(lambda: link.remove(owner, last))

    # ---- end

    def _stop_soon(self) -> None:
        """Have the client's thread end, if it has begun."""
        with contextlib.suppress(RuntimeError, AttributeError):
            self.loop.call_soon_threadsafe(self._stop.set)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close every channel and end both threads; closing again does nothing.

        Args:
            seconds: How long to wait for a callback that runs.
        """
        self.dispatcher.close(seconds)
        if self.process != os.getpid():
            self.closed = True
            return
        self._stop_soon()
        if threading.current_thread() is not self._thread:
            self._thread.join()


class _Current:
    """The context that everything uses unless told otherwise."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self.lock = threading.Lock()


_current = _Current()


def current_context() -> Context:
    """The context in use; the first call starts it, as does one in a forked process."""
    context = _current.context
    if context is not None and not context.closed and context.process == os.getpid():
        return context
    if context is not None and context.process != os.getpid():
        # the lock may have been held by a thread that this process does not have
        _current.lock = threading.Lock()
    with _current.lock:
        context = _current.context
        if context is None or context.closed or context.process != os.getpid():
            context = _current.context = Context()
    return context


def running_context() -> Context | None:
    """The context in use, None if there is none; starts nothing."""
    return _current.context


def close_context(seconds: float = CLOSE_SECONDS) -> None:
    """End the context in use, if any; all PVs are disconnected.

    Args:
        seconds: How long to wait for a callback that runs.
    """
    with _current.lock:
        context, _current.context = _current.context, None
    if context is not None:
        context.close(seconds)


@contextlib.contextmanager
def session(config: Config | None = None) -> Generator[Context]:
    """Use a context of one's own, with these settings; it ends with the block.

    Args:
        config: Settings, None to read them from the environment.
    """
    close_context()
    with _current.lock:
        context = _current.context = Context(config)
    try:
        yield context
    finally:
        close_context()


def forget_context() -> None:
    """Drop a context that came from a parent process, without touching its sockets."""
    _current.lock = threading.Lock()
    _current.context = None
