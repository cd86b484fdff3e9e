"""`Channel`: one PV for asyncio code. Made by `beamfly.ca.asyncio.Client`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from beamfly.ca.asyncio_wire import BURST_BYTES
from beamfly.ca.channel import Channel as CoreChannel
from beamfly.ca.channel import ConnectionState, Monitor, Request, checked_count
from beamfly.ca.dbr import CODES, Dbr, Family, layout, promote
from beamfly.ca.message import Access, EventMask
from beamfly.ca.native_messages import NO_NUMBER, SIMPLE, native, typed
from beamfly.ca.payloads import Value
from beamfly.ca.pending import NEVER, not_connected
from beamfly.ca.readings import DEFAULT_TIMEOUT, Reading
from beamfly.ca.status import ECA_DISCONN
from beamfly.errors import CADisconnected, CAError

if TYPE_CHECKING:
    from beamfly.ca.asyncio import Client


class FutureRequest(Request):
    """A request whose answer an asyncio future waits for."""

    __slots__ = ("_future", "_make")

    def __init__(
        self,
        channel: CoreChannel,
        deadline: float,
        future: "asyncio.Future[Any]",
        make: Callable[..., Any] | None = None,
    ) -> None:
        """Answer a future.

        Args:
            channel: Whom it is about.
            deadline: In the loop's time.
            future: Gets the result or the exception, unless it was cancelled.
            make: Makes the result of a reading; None: the value alone.
        """
        self.channel = channel
        self.deadline = deadline
        self._future = future
        self._make = make

    @property
    def wanted(self) -> bool:
        """Not if it was cancelled, as asyncio.timeout does."""
        return not self._future.cancelled()

    def on_value(self, *reading: Any) -> None:
        """The answer is the result."""
        future = self._future
        if future.done():
            return
        if self._make is None:
            future.set_result(reading[0] if reading else None)
            return
        try:
            future.set_result(self._make(*reading))
        except Exception as error:
            # such as an answer of another type than was asked for
            future.set_exception(error)

    def on_error(self, error: Exception) -> None:
        """The error is raised where the future is awaited."""
        if not self._future.done():
            self._future.set_exception(error)


class Subscription:
    """What `Channel.monitor` gives; updates come until `close`."""

    def __init__(self, client: "Client", monitor: Monitor) -> None:
        self._client = client
        self._monitor = monitor

    def close(self) -> None:
        """No update comes from now on; closing again does nothing."""
        self._client.core.cancel(self._monitor)
        self._client.flush(self._monitor.channel)


class Channel:
    """One PV: connects by itself, again and again, until it is closed."""

    __slots__ = ("__weakref__", "_waiting", "client", "core")

    def __init__(self, client: "Client", core: CoreChannel) -> None:
        """Wrap a channel; `Client.channel` does this."""
        self.client = client
        """Whose channel it is."""
        self.core = core
        """What the client core keeps for it."""
        self._waiting: list[asyncio.Future[None]] | None = None
        """Those who wait for the connection; None while `_changed` is not called."""

    def __repr__(self) -> str:
        return f"<Channel {self.name!r}: {self.core.state.name.lower()}>"

    @property
    def name(self) -> str:
        """Of the PV."""
        return self.core.name

    @property
    def connected(self) -> bool:
        """Whether the server has it open."""
        return self.core.link is not None

    @property
    def state(self) -> ConnectionState:
        """How far it is."""
        return self.core.state

    @property
    def native_type(self) -> Dbr:
        """Base type on the server; STRING while not connected."""
        return self.core.native_type

    @property
    def count(self) -> int:
        """Most elements that it can have; 0 while not connected."""
        return self.core.count

    @property
    def access(self) -> Access:
        """What we may do; nothing while not connected."""
        return self.core.access

    @property
    def host(self) -> str:
        """`address:port` of the server, empty while not connected."""
        return self.core.host

    def close(self) -> None:
        """Give it up for good."""
        self.client.close_channel(self.core)

    # ---- connection

    async def wait_connected(self, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Return when it is connected; CATimeout after so many seconds."""
        if self.core.link is not None:
            return
        if self.core.closed:
            msg = f"{self.name} is closed; it is not looked for"
            raise CADisconnected(msg, name=self.name, status=ECA_DISCONN)
        future: asyncio.Future[None] = self.client.loop.create_future()
        if self._waiting is None:
            self._waiting = []
            self.core.on_change.append(self._changed)
        self._waiting.append(future)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            raise not_connected(self.core, timeout) from None
        finally:
            self._forget(future)

    def _forget(self, future: "asyncio.Future[None]") -> None:
        """Nobody waits with it any more."""
        if self._waiting is not None and future in self._waiting:
            self._waiting.remove(future)

    def _changed(self, core: CoreChannel) -> None:
        """Wake those who wait."""
        if self._waiting is None or (core.link is None and not core.closed):
            return
        waiting, self._waiting = self._waiting, None
        core.on_change.remove(self._changed)
        for future in waiting:
            if future.done():
                continue
            if core.closed:
                msg = f"{self.name} was closed before it was found"
                error = CADisconnected(msg, name=self.name, status=ECA_DISCONN)
                future.set_exception(error)
            else:
                future.set_result(None)

    # ---- reading

    def get(
        self,
        dbr: Dbr | None = None,
        count: int = 0,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Awaitable[Any]:
        """The value; waits for the connection if need be.

        Args:
            dbr: Type to ask for, None for the native one. Types with more metadata than
                a time stamp give a `Value`.
            count: Elements; 0: as many as there are.
            timeout: Seconds, None for ever; then CATimeout.
        """
        return self._read(dbr, None, count, timeout, None)

    def read(
        self, count: int = 0, timeout: float | None = DEFAULT_TIMEOUT
    ) -> Awaitable[Reading]:
        """The value with time stamp and alarm; the rest is as for `get`."""
        return self._read(None, Family.TIME, count, timeout, Reading)

    def describe(self, timeout: float | None = DEFAULT_TIMEOUT) -> Awaitable[Value]:
        """Units, precision, limits, enum strings, along with the value."""
        return self._read(None, Family.CTRL, 0, timeout, None)

    def _read(
        self,
        dbr: Dbr | None,
        family: Family | None,
        count: int,
        timeout: float | None,
        make: Callable[..., Any] | None,
    ) -> Awaitable[Any]:
        """A future of the answer, or a coroutine that connects first."""
        core = self.core
        link, circuit = core.link, core.circuit
        if link is None or circuit is None:
            return self._read_later(dbr, family, count, timeout, make)
        if count:
            count = checked_count(core.name, count)
        client = self.client
        future: asyncio.Future[Any] = client.loop.create_future()
        deadline = NEVER if timeout is None else client.loop.time() + timeout
        if dbr is None:
            dbr = CODES[link.type if family is None else link.type + 7 * family]
        elif make is None and layout(dbr).family is Family.TIME:
            make = Reading
        circuit.read(core, dbr, count, FutureRequest(core, deadline, future, make))
        client.sent(circuit, deadline)
        return future

    async def _read_later(
        self,
        dbr: Dbr | None,
        family: Family | None,
        count: int,
        timeout: float | None,
        make: Callable[..., Any] | None,
    ) -> Any:
        """Connect, then read in what time is left."""
        left = await self._connect_within(timeout)
        return await self._read(dbr, family, count, left, make)

    async def _connect_within(self, timeout: float | None) -> float | None:
        """Connect; the seconds that are left."""
        start = self.client.loop.time()
        await self.wait_connected(timeout)
        if timeout is None:
            return None
        return max(0.0, start + timeout - self.client.loop.time())

    # ---- writing

    def put(
        self,
        value: Any,
        dbr: int | None = None,
        wait: bool = False,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Awaitable[None]:
        """Write a value; waits for the connection if need be.

        When connected the value is on its way, in the order of the calls, as soon as
        this returns, whether it is awaited or not.

        Args:
            value: Number, text, bytes, sequence or array of one dimension.
            dbr: Base type to send; None: text as text, or as characters to an array of
                those, the rest as the native type.
            wait: Whether to wait until the server has processed it.
            timeout: Seconds, None for ever; then CATimeout.
        """
        core = self.core
        link, circuit = core.link, core.circuit
        if link is None or circuit is None:
            return self._put_later(value, dbr, wait, timeout)
        if dbr is None:
            if type(value) in SIMPLE and not wait:
                try:
                    waiting = (link.queue or circuit.queue(link))(value)
                except NO_NUMBER:
                    waiting = 0
                if waiting:
                    if waiting > BURST_BYTES or not circuit.flush_due:
                        self.client.sent(circuit, NEVER)
                    return self.client.nothing
            dbr, count, data = native(link, value)
        else:
            dbr, count, data = typed(dbr, value)
        client = self.client
        if not wait:
            circuit.write(core, dbr, count, data)
            client.sent(circuit, NEVER)
            return client.nothing
        future: asyncio.Future[None] = client.loop.create_future()
        deadline = NEVER if timeout is None else client.loop.time() + timeout
        request = FutureRequest(core, deadline, future)
        circuit.write_notify(core, dbr, count, data, request)
        client.sent(circuit, deadline)
        return future

    async def _put_later(
        self, value: Any, dbr: int | None, wait: bool, timeout: float | None
    ) -> None:
        """Connect, then write in what time is left."""
        left = await self._connect_within(timeout)
        await self.put(value, dbr, wait, left)

    # ---- monitors

    def monitor(
        self,
        callback: Callable[[Any, int, int, int], object],
        *,
        dbr: Dbr | None = None,
        count: int = 0,
        mask: int = EventMask.VALUE | EventMask.ALARM,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Subscription:
        """Be told of changes, now and after every reconnection, until it is closed.

        Args:
            callback: Called in the loop with value, time_ns, severity, status, as in
                `Reading`. It must be quick; what it raises goes to `on_error`.
            dbr: Base type of the values, None for the native one.
            count: Elements; 0: as many as there are.
            mask: Bits of EventMask.
            on_error: Told of failures; None: they are logged, and a callback that
                raises ends the subscription.
        """
        count = checked_count(self.name, count)
        if dbr is not None:
            dbr = layout(dbr).base

        def choose(core: CoreChannel) -> tuple[int, int]:
            base = core.native_type if dbr is None else dbr
            return promote(base, Family.TIME), count

        def log_error(error: Exception) -> None:
            if isinstance(error, CAError):
                self.client.log_error(error)
                return
            subscription.close()
            text = f"a callback raised {error!r}; {self.name} is not monitored any more"
            self.client.log_error(error, text)

        monitor = Monitor(self.core, choose, mask, callback, on_error or log_error)
        subscription = Subscription(self.client, monitor)
        self.client.core.monitor(monitor)
        self.client.flush(self.core)
        return subscription
