"""A simulated PandA on TCP: sockets and a clock around `PandaCore`.

```
async with SimulatedPandA(control_port=0, data_port=0) as sim:
    ...  # connect to sim.host, sim.control_port, sim.data_port

with serve_in_thread() as sim:
    ...  # the same for synchronous code
```
"""

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from beamfly.panda.simulator.control import ControlSession
from beamfly.panda.simulator.core import PandaCore
from beamfly.panda.simulator.data_port import DataSession

_Result = TypeVar("_Result")

_START_TIMEOUT = 10.0


class SimulatedPandA:
    """A PandA that listens on two ports.

    Args:
        control_port: Port for commands, 0 for any that is free.
        data_port: Port for captured data, 0 for any that is free.
        host: Address to listen on.
        clock: Seconds on a clock that never goes back.
        options: Passed on to `PandaCore`.
    """

    def __init__(
        self,
        *,
        control_port: int = 8888,
        data_port: int = 8889,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self.host = host
        self.control_port = control_port
        self.data_port = data_port
        self.clock = clock
        self.core = PandaCore(now=clock(), epoch_ns=time.time_ns(), **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._control: set[_ControlProtocol] = set()
        self._data: set[_DataProtocol] = set()

    async def __aenter__(self) -> Self:
        """Start to listen."""
        loop = self._loop = asyncio.get_running_loop()
        self._thread = threading.current_thread()
        control = await loop.create_server(
            lambda: _ControlProtocol(self), self.host, self.control_port
        )
        self._servers.append(control)
        data = await loop.create_server(
            lambda: _DataProtocol(self), self.host, self.data_port
        )
        self._servers.append(data)
        self.control_port = control.sockets[0].getsockname()[1]
        self.data_port = data.sockets[0].getsockname()[1]
        self.wake()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close all connections and stop to listen."""
        if self._timer is not None:
            self._timer.cancel()
        closing = [p.ended for p in (*self._control, *self._data)]
        for protocol in (*self._control, *self._data):
            protocol.abort()
        for server in self._servers:
            server.close()
        await asyncio.gather(*closing, *[s.wait_closed() for s in self._servers])
        self._servers.clear()

    def run(self, function: Callable[[], _Result]) -> _Result:
        """Call a function on the event loop of the PandA, from any thread."""
        loop = self._loop
        if loop is None or threading.current_thread() is self._thread:
            return function()

        async def call() -> _Result:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), loop).result(_START_TIMEOUT)

    def wake(self) -> None:
        """Bring the PandA up to date, send what it has, and set the next alarm."""
        self.core.advance(self.clock())
        for protocol in self._data:
            protocol.pump()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wakeup = self.core.next_wakeup()
        if wakeup is not None and self._loop is not None:
            delay = max(0.0, wakeup - self.clock())
            self._timer = self._loop.call_later(delay, self.wake)

    def received(self, session: ControlSession, data: bytes) -> bytes:
        """Replies to what arrived on a control connection."""
        self.core.advance(self.clock())
        reply = session.receive(data)
        self.wake()
        return reply

    def add(self, protocol: "_ControlProtocol | _DataProtocol") -> None:
        """A connection was made."""
        if isinstance(protocol, _ControlProtocol):
            self._control.add(protocol)
        else:
            self._data.add(protocol)

    def remove(self, protocol: "_ControlProtocol | _DataProtocol") -> None:
        """A connection has ended."""
        if isinstance(protocol, _ControlProtocol):
            self._control.discard(protocol)
        else:
            self._data.discard(protocol)


def _peer(transport: asyncio.Transport) -> str:
    """host:port of the other side."""
    name = transport.get_extra_info("peername") or ("?", 0)
    return f"{name[0]}:{name[1]}"


class _Connection(asyncio.Protocol):
    """What control and data connections have in common."""

    transport: asyncio.Transport

    def __init__(self, panda: SimulatedPandA) -> None:
        self.panda = panda
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def finished(self) -> None:
        """Tell those who wait that the connection has ended."""
        if not self.ended.done():
            self.ended.set_result(None)


class _ControlProtocol(_Connection):
    """One control connection."""

    session: ControlSession

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open a session."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport
            self.session = self.panda.core.open_control(_peer(transport))
            self.panda.add(self)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(self.panda.received(self.session, data))
        if self.session.closed:
            self.transport.close()

    def pause_writing(self) -> None:
        """The client does not read its replies: take no more commands."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the session."""
        self.panda.core.close_control(self.session)
        self.panda.remove(self)
        self.finished()


class _DataProtocol(_Connection):
    """One data connection."""

    session: DataSession

    def __init__(self, panda: SimulatedPandA) -> None:
        super().__init__(panda)
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open a session."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport
            self.session = self.panda.core.open_data(_peer(transport))
            self.panda.add(self)

    def data_received(self, data: bytes) -> None:
        """Take the options."""
        self.session.receive(data)
        self.pump()

    def pump(self) -> None:
        """Send as much as the client takes."""
        while not self.paused:
            chunk = self.session.next_chunk()
            if chunk is None:
                if self.session.closed:
                    self.transport.close()
                return
            self.transport.write(chunk)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.paused = False
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the session."""
        self.panda.core.close_data(self.session)
        self.panda.remove(self)
        self.finished()


@contextmanager
def serve_in_thread(**options: Any) -> Generator[SimulatedPandA]:
    """A simulated PandA on an event loop in a thread of its own.

    Ports are chosen by the system unless they are given; other options are those of
    `SimulatedPandA`.
    """
    options.setdefault("control_port", 0)
    options.setdefault("data_port", 0)
    ready = threading.Event()
    stop: list[Callable[[], object]] = []
    made: list[SimulatedPandA] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        async with SimulatedPandA(**options) as panda:
            made.append(panda)
            stop.append(lambda: loop.call_soon_threadsafe(over.set))
            ready.set()
            await over.wait()

    def main() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # reported to the caller below
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="simulated PandA", daemon=True)
    thread.start()
    ready.wait(_START_TIMEOUT)
    if failed:
        raise failed[0]
    try:
        yield made[0]
    finally:
        for call in stop:
            call()
        thread.join(_START_TIMEOUT)
    if failed:
        raise failed[0]
