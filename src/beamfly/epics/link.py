"""A channel as other threads see it: facts to look at, questions to wait for.

`Link` objects are shared: all PVs of one name in a context use the same. Methods with
"in the client's thread" in their text are called there and nowhere else.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from beamfly.ca.channel import Channel as CoreChannel
from beamfly.ca.channel import Monitor
from beamfly.ca.dbr import Dbr
from beamfly.ca.pending import NEVER
from beamfly.ca.status import ECA_TIMEOUT
from beamfly.epics.questions import ChannelId, Notice, Question, Waiter
from beamfly.errors import BeamflyError, CADisconnected, CAError, CATimeout

if TYPE_CHECKING:
    from beamfly.ca.asyncio import Channel
    from beamfly.epics.context import Context


class Facts(NamedTuple):
    """What the server told of a channel when it connected."""

    type: int
    """Native DBR type."""
    nelm: int
    """Most elements."""
    host: str
    """Address and port of the server."""


class LinkOwner(Protocol):
    """Who is told of changes, in the client's thread."""

    def link_added(self, link: "Link") -> None:
        """It is one's channel from now on; called where it was asked for."""
        ...

    def link_connected(self, link: "Link") -> None:
        """It has connected."""
        ...

    def link_lost(self, link: "Link") -> None:
        """It has disconnected."""
        ...

    def link_access(self, link: "Link") -> None:
        """What we may do is other than before; comes before `link_connected`."""
        ...


class Link:
    """One channel."""

    def __init__(self, context: "Context", name: str, number: int) -> None:
        self.context = context
        self.name = name
        """Of the PV."""
        self.chid = ChannelId(number)
        """Its number in the context."""
        self.users = 0
        """Owners that want it; guarded by the context's lock."""
        self.owners: list[LinkOwner] = []
        """Who is told of changes."""
        self.connected = False
        self.was_connected = False
        self.facts = Facts(-1, 0, "")
        """Of the last connection."""
        self.rights = 0
        """Bits of `Access`, 0 while not connected."""
        self._channel: Channel
        self._waiters: list[threading.Event] = []

    def __repr__(self) -> str:
        return f"<Link {self.name!r}: {'' if self.connected else 'not '}connected>"

    # ---- in the client's thread

    def open(self) -> None:
        """Start to look for the PV; in the client's thread."""
        self._channel = self.context.client.channel(self.name)
        self._channel.core.on_change.append(self._changed)

    def add(self, owner: LinkOwner) -> None:
        """Have an owner told; in the client's thread."""
        self.owners.append(owner)
        if self.connected:
            owner.link_access(self)
            owner.link_connected(self)

    def remove(self, owner: LinkOwner, last: bool) -> None:
        """Have it told no more, and close with the last; in the client's thread."""
        if owner in self.owners:
            self.owners.remove(owner)
        if last:
            self._channel.close()

    def _changed(self, core: CoreChannel) -> None:
        link = core.link
        if link is None:
            if self.connected:
                self.connected, self.rights = False, 0
                for owner in tuple(self.owners):
                    owner.link_lost(self)
            return
        new = not self.connected
        rights = link.rights & 3
        if new:
            self.facts = Facts(link.type, link.count, self._channel.host)
            self.was_connected = True
        access_changed = new or rights != self.rights
        self.rights = rights
        for owner in tuple(self.owners):
            if access_changed:
                owner.link_access(self)
        if new:
            self.connected = True
            for owner in tuple(self.owners):
                owner.link_connected(self)
            for event in tuple(self._waiters):
                event.set()

    def ask(
        self,
        code: int,
        count: int,
        timeout: float,
        take: Callable[[tuple[Any, ...]], Any],
        waiter: Waiter[Any],
    ) -> None:
        """Read; in the client's thread. See `read` for the arguments."""
        core, client = self._channel.core, self.context.client
        circuit = core.circuit
        if core.link is None or circuit is None:
            waiter.fail(self._gone())
            return
        deadline = client.loop.time() + timeout
        circuit.read(core, Dbr(code), count, Question(core, deadline, waiter, take))
        self.context.send_soon(circuit, deadline)

    def watch(
        self,
        choose: Callable[[CoreChannel], tuple[int, int]],
        mask: int,
        on_value: Callable[..., object],
        on_error: Callable[[Exception], object],
    ) -> Monitor:
        """Subscribe; in the client's thread. It lives on when the PV reconnects.

        Args:
            choose: Gives DBR type and count (0: as many as there are) at every
                connection.
            mask: Bits of `EventMask`.
            on_value: Called in the client's thread as in `beamfly.ca.readings`.
            on_error: Told of what goes wrong.
        """
        core = self._channel.core
        monitor = Monitor(core, choose, mask, on_value, on_error)
        self.context.client.core.monitor(monitor)
        self.context.client.flush(core)
        return monitor

    def unwatch(self, monitor: Monitor) -> None:
        """Unsubscribe; in the client's thread."""
        self.context.client.core.cancel(monitor)
        self.context.client.flush(monitor.channel)

    def send(
        self,
        code: int,
        count: int,
        data: bytes | memoryview,
        after: Callable[[], object],
    ) -> None:
        """Write without completion, tell when it is sent; in the client's thread."""
        core = self._channel.core
        circuit = core.circuit
        if core.link is None or circuit is None:
            raise self._gone()
        circuit.write(core, code, count, data)
        self.context.send_soon(circuit, NEVER, after)

    def send_notify(
        self,
        code: int,
        count: int,
        data: bytes | memoryview,
        tell: Callable[[Exception | None], object],
    ) -> None:
        """Write, and tell when processing is over; in the client's thread."""
        core = self._channel.core
        circuit = core.circuit
        if core.link is None or circuit is None:
            raise self._gone()
        circuit.write_notify(core, code, count, data, Notice(core, tell))
        self.context.send_soon(circuit, NEVER)

    def _gone(self) -> BeamflyError:
        msg = f"{self.name} is not connected; nothing was sent"
        return CADisconnected(msg, name=self.name, status=192)

    # ---- in any thread

    def wait_connected(self, timeout: float) -> bool:
        """Whether it is connected after so many seconds at most."""
        if self.connected:
            return True
        event = threading.Event()
        self._waiters.append(event)
        try:
            return self.connected or event.wait(timeout)
        finally:
            self._waiters.remove(event)

    def start_read(
        self,
        code: int,
        count: int,
        timeout: float,
        take: Callable[[tuple[Any, ...]], Any],
    ) -> Waiter[Any]:
        """Ask without waiting; arguments are those of `read`."""
        waiter: Waiter[Any] = Waiter()
        self.context.submit(lambda: self.ask(code, count, timeout, take, waiter))
        return waiter

    def read(
        self,
        code: int,
        count: int,
        timeout: float,
        take: Callable[[tuple[Any, ...]], Any],
    ) -> Any:
        """What `take` makes of the answer.

        Args:
            code: DBR type to ask for.
            count: Elements, 0: as many as there are.
            timeout: Seconds; then CATimeout.
            take: Called in the client's thread with the reading, in the order in which
                answers and updates arrive.

        Raises:
            CARefused: The server would not have it read.
            CADisconnected: The connection went away meanwhile.
        """
        waiter = self.start_read(code, count, timeout, take)
        if not waiter.wait(timeout):
            msg = f"{self.name} did not answer within {timeout:.3g} s"
            raise CATimeout(msg, name=self.name, status=ECA_TIMEOUT)
        return waiter.result()

    def write(self, code: int, count: int, data: bytes | memoryview) -> None:
        """Write without completion; it is on its way when this returns."""
        waiter: Waiter[None] = Waiter()

        def work() -> None:
            try:
                # a script may be over as soon as its last put has returned
                self.send(code, count, data, lambda: waiter.succeed(None))
            except Exception as error:
                waiter.fail(error)

        self.context.submit(work)
        waiter.wait()
        waiter.result()


def failure(error: Exception) -> int:
    """What a failed put returns: the ECA status as a negative number."""
    status = error.status if isinstance(error, CAError) else 0
    return -(status or ECA_TIMEOUT)
