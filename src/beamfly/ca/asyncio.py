"""Channel Access for asyncio: `Client` and its `Channel`s, without global state.

```python
async with Client() as client:
    motor = await client.connect("BL:MOTOR")
    print(await motor.get())
    await motor.put(3.5, wait=True)
    motor.monitor(lambda value, time_ns, severity, status: print(value))
    values = await client.get_many(await client.connect_many(names))
```

A client belongs to the event loop that it was made in and works in callbacks of it:
there is no thread. Leave it with `async with`, or call `close`; when the loop shuts its
asynchronous generators down, as asyncio.run does, it closes by itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial
from threading import Thread
from typing import Any, Self

from beamfly.ca import sockets
from beamfly.ca.asyncio_channel import Channel, Subscription
from beamfly.ca.asyncio_many import get_many, put_many
from beamfly.ca.asyncio_wire import Wire
from beamfly.ca.channel import Channel as CoreChannel
from beamfly.ca.client import ClientCore
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.columns import Columns
from beamfly.ca.config import Address, Config
from beamfly.ca.group import Groups
from beamfly.ca.pending import NEVER, not_connected
from beamfly.ca.readings import DEFAULT_TIMEOUT, Reading
from beamfly.ca.rules import CircuitState
from beamfly.errors import CADisconnected, CATimeout

__all__ = ["DEFAULT_TIMEOUT", "Channel", "Client", "Reading", "Subscription"]
log = logging.getLogger("beamfly.ca")
DATAGRAMS_AT_ONCE = 256
GOODBYE_SECONDS = 1.0
"""How long a server that does not read can hold up the end."""


def _in_thread(fetch: Callable[[], None]) -> None:
    """The loop goes on meanwhile; a process that ends waits for it."""
    Thread(target=fetch, name="import of numpy").start()


class Client:
    """Channels to any number of servers, for one event loop."""

    def __init__(self, config: Config | None = None) -> None:
        """Open a search socket; must be called while the event loop runs.

        Args:
            config: Settings, None to read them from the environment.
        """
        self.config = Config.from_environment() if config is None else config
        self.loop = asyncio.get_running_loop()
        for warning in self.config.warnings:
            log.warning("%s", warning)
        self._socket = sockets.search_socket(self.config)
        self._addresses, names = sockets.search_addresses(self.config)
        servers, server_names = sockets.split_numeric(self.config.name_servers)
        self.core = ClientCore(
            sockets.identity(self.config),
            self.loop.time(),
            name_servers=servers,
            circuit_type=partial(ClientCircuit, columns=Columns(_in_thread)),
            on_notice=lambda text: log.warning("%s", text),
        )
        self.groups = Groups()
        """Of channels that were last read or written together."""
        self.nothing: asyncio.Future[None] = self.loop.create_future()
        """What is awaited when there is nothing to wait for."""
        self.nothing.set_result(None)
        self.closed = False
        self._wires: dict[ClientCircuit, Wire] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._pump_due = False
        self.loop.add_reader(self._socket.fileno(), self._read_datagrams)
        if names or server_names:
            self._spawn(self._resolve(names, server_names))
        self._guard = self._close_with_the_loop()
        with contextlib.suppress(StopIteration):
            self._guard.__anext__().send(None)
        self.pump_soon()

    @property
    def finished(self) -> bool:
        """Whether it is closed, and so are its connections."""
        return self.closed and not self._wires and not self._tasks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()
        # transports close in the next turns of the loop, once what was put is sent
        end = self.loop.time() + GOODBYE_SECONDS
        while not self.finished:
            if self.loop.time() > end:
                for wire in self._wires.values():
                    wire.abort()
            await asyncio.sleep(0)

    # ---- channels

    def channel(self, name: str, priority: int = 0) -> Channel:
        """Start to look for a PV; every call makes a channel of its own."""
        return self.channels([name], priority)[0]

    def channels(self, names: Iterable[str], priority: int = 0) -> list[Channel]:
        """`channel` for many names; if one is impossible none is looked for."""
        wanted = [names] if isinstance(names, str) else list(names)
        if self.closed:
            text = ", ".join(wanted)
            msg = f"the client is closed; {text:.200} is not looked for"
            raise CADisconnected(msg, name=text, status=192)
        self.pump_soon()
        return [Channel(self, core) for core in self.core.look_for(wanted, priority)]

    async def connect(
        self, name: str, timeout: float | None = DEFAULT_TIMEOUT
    ) -> Channel:
        """A channel that is connected; CATimeout after so many seconds."""
        channel = self.channel(name)
        try:
            await channel.wait_connected(timeout)
        except BaseException:
            channel.close()
            raise
        return channel

    async def connect_many(
        self, names: Iterable[str], timeout: float | None = DEFAULT_TIMEOUT
    ) -> list[Channel]:
        """Channels in the order of the names, all connected; CATimeout names one."""
        channels = self.channels(names)
        end = None if timeout is None else self.loop.time() + timeout
        try:
            for channel in channels:
                if not channel.connected:
                    left = None if end is None else max(0.0, end - self.loop.time())
                    try:
                        await channel.wait_connected(left)
                    except CATimeout:
                        raise not_connected(channel.core, timeout) from None
        except BaseException:
            for channel in channels:
                channel.close()
            raise
        return channels

    async def get_many(
        self, channels: Sequence[Channel], timeout: float | None = DEFAULT_TIMEOUT
    ) -> list[Any]:
        """Native values in the order of the channels; the first error is raised."""
        return await get_many(self, channels, timeout)

    async def put_many(
        self,
        channels: Sequence[Channel],
        values: Sequence[Any],
        wait: bool = False,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        """Write one value to each channel, once all are connected.

        Values leave in the order of the channels, or none does. The first error is
        raised.

        Args:
            channels: May be the same one again and again.
            values: As many, as for `Channel.put`.
            wait: Whether to wait until the servers have processed all.
            timeout: Seconds, None for ever; then CATimeout.
        """
        await put_many(self, channels, values, wait, timeout)

    def close_channel(self, channel: CoreChannel) -> None:
        """Give up a channel."""
        circuit = channel.circuit
        self.core.close_channel(channel)
        if circuit is not None and not self.closed:
            self.pump()

    def close(self) -> None:
        """Close every channel and connection; closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        if self.loop.is_closed():
            # nobody can be told any more; the sockets of transports close by themselves
            self._socket.close()
            self._wires.clear()
            return
        self.core.close()
        if self._socket.fileno() >= 0:
            # else the search for garbage was here first
            self.loop.remove_reader(self._socket.fileno())
            self._socket.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for circuit, wire in tuple(self._wires.items()):
            if wire.connected:
                wire.finish()
            else:
                # a task that is cancelled before its first step cannot do this
                del self._wires[circuit]

    # ---- bytes and time

    def sent(self, circuit: ClientCircuit, deadline: float) -> None:
        """Something was queued that must be answered by a deadline."""
        wire = self._wires.get(circuit)
        if wire is not None:
            wire.write_soon()
        if deadline < self._timer_at:
            self._arm(deadline)

    def sent_all(self, circuit: ClientCircuit, deadline: float) -> None:
        """As `sent`, by one who knows that nothing more comes in this turn."""
        wire = self._wires.get(circuit)
        if wire is not None:
            wire.write()
        if deadline < self._timer_at:
            self._arm(deadline)

    def flush(self, channel: CoreChannel) -> None:
        """Something was queued for a channel."""
        if channel.circuit is not None:
            self.sent(channel.circuit, NEVER)

    def log_error(self, error: Exception, text: str = "") -> None:
        """An error that nobody else wants to know of."""
        log.error("%s", text or error, exc_info=error)

    def pump(self) -> None:
        """Do all that the core wants done now."""
        self._pump_due = False
        if self.closed:
            return
        now = self.loop.time()
        self.core.wake(now)
        for datagram in self.core.datagrams(now):
            for address in self._addresses:
                self._send(datagram, address)
        registration = self.core.registration(now)
        if registration is not None:
            self._send(registration, ("127.0.0.1", self.config.repeater_port))
        for circuit in self.core.take_openings():
            self._wires[circuit] = Wire(self.loop, circuit, self.pump, self.gone)
            self._spawn(self._open(circuit))
        for circuit, wire in tuple(self._wires.items()):
            if circuit.state is CircuitState.CLOSED:
                wire.finish()
            elif circuit.outbox:
                wire.write()
        self._arm(self.core.next_wakeup() or NEVER)

    def gone(self, circuit: ClientCircuit) -> None:
        """A connection is closed."""
        self._wires.pop(circuit, None)
        self.pump_soon()

    def pump_soon(self) -> None:
        """Pump in the next turn of the loop."""
        if not self._pump_due and not self.closed:
            self._pump_due = True
            self.loop.call_soon(self.pump)

    def _arm(self, due: float) -> None:
        """Be woken at a time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = due
        if due < NEVER:
            self._timer = self.loop.call_at(due, self.pump)

    def _send(self, datagram: bytes, address: Address) -> None:
        # unreachable networks and full buffers are what repeated searches are for
        with contextlib.suppress(OSError):
            self._socket.sendto(datagram, address)

    def _read_datagrams(self) -> None:
        """Everything that has arrived, so that answers go out together."""
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, source = self._socket.recvfrom(sockets.LARGEST_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:
                # the echo of a datagram that nobody wanted
                continue
            self.core.receive_datagram(data, source[0], self.loop.time())
        self.pump()

    def _spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, circuit: ClientCircuit) -> None:
        """Connect a circuit."""
        wire = self._wires[circuit]
        try:
            async with asyncio.timeout(self.config.connection_timeout):
                await self.loop.create_connection(lambda: wire, *circuit.address)
        except OSError as error:
            circuit.close(CADisconnected(f"no connection: {error}", status=192))
            self.gone(circuit)
        except asyncio.CancelledError:
            self._wires.pop(circuit, None)
            raise
        else:
            if circuit.state is CircuitState.CLOSED:
                wire.finish()

    async def _resolve(self, names: list[Address], servers: list[Address]) -> None:
        """Host names of the address lists, which may take a while."""
        resolve = partial(self.loop.run_in_executor, None, sockets.resolve)
        found = await resolve(names, log.warning)
        self._addresses += [one for one in found if one not in self._addresses]
        for address in await resolve(servers, log.warning):
            self.core.add_name_server(address)
        self.core.searches.hurry(self.loop.time(), 0.0)
        self.pump()

    async def _close_with_the_loop(self) -> AsyncGenerator[None, None]:
        """Loops close asynchronous generators before they close themselves."""
        try:
            yield
        finally:
            await self.__aexit__()
