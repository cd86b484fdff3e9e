"""A PandA for coroutines: `AsyncioClient`.

A thin shell: what goes over the wire is decided by `beamfly.panda.control` and
`beamfly.panda.data`. Commands sent in one turn of the event loop leave in one write.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from beamfly.errors import BeamflyError, PandaDisconnected, TimedOut
from beamfly.panda.batch import (
    Batch,
    closed_here,
    distribute,
    no_answer,
    not_connected,
    unreachable,
)
from beamfly.panda.control import ControlConnection
from beamfly.panda.data_stream import DataProtocol
from beamfly.panda.exchange import Command
from beamfly.panda.responses import Data
from beamfly.panda.sockets import set_up
from beamfly.panda.values import Identify

__all__ = ["AsyncioClient"]

T = TypeVar("T")


class _Waiter(Batch):
    """Results of some commands, and who waits for them."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[None], count: int) -> None:
        super().__init__(count)
        self.future = future

    def set(self, index: int, result: Any, error: Exception | None) -> None:
        """Take one result; wake who waits once all are there."""
        Batch.set(self, index, result, error)
        if not self.missing and not self.future.done():
            self.future.set_result(None)


class _ControlProtocol(asyncio.Protocol):
    """The control connection on the event loop."""

    def __init__(self, peer: str) -> None:
        self.connection = ControlConnection(peer)
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self.resumed: asyncio.Future[None] | None = None
        """Not done while the PandA does not take what was sent before."""
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def start(self, command: Command[Any], waiter: _Waiter, index: int) -> None:
        """Have a command sent at the end of this turn of the event loop."""
        try:
            to_send = self.connection.send(command, (waiter, index))
        except Exception as error:
            waiter.set(index, None, error)
            return
        if to_send:
            if not self._unsent:
                self._loop.call_soon(self._write)
            self._unsent.append(to_send)
        else:
            distribute(self.connection.outcomes())

    def _write(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def pause_writing(self) -> None:
        self.resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        if self.resumed is not None and not self.resumed.done():
            self.resumed.set_result(None)
        self.resumed = None

    def data_received(self, data: bytes) -> None:
        try:
            to_send = self.connection.receive_bytes(data)
        except BeamflyError:
            # all that was under way has failed with it
            self.abort()
        else:
            if to_send:
                self._unsent.append(to_send)
                self._write()
        distribute(self.connection.outcomes())

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        broke = f"The connection to {self._peer} broke ({exc})"
        self.fail("" if exc is None else broke)
        if not self.lost.done():
            self.lost.set_result(None)

    def fail(self, reason: str) -> None:
        """End all that is under way with PandaDisconnected."""
        self.connection.receive_eof(reason)
        self._unsent.clear()
        self.resume_writing()
        distribute(self.connection.outcomes())

    def abort(self) -> None:
        """Close at once; `lost` is done soon after."""
        if self._transport is not None:
            self._transport.abort()


class AsyncioClient:
    """A PandA: commands on its control port, frames from its data port.

    ```
    async with AsyncioClient("panda.example") as client:
        identity = await client.send(Identify())
        positions, bits = await client.send([Get("*POSITIONS"), Get("*BITS")])
        async for data in client.data():
            ...
    ```

    Args:
        host: Name or address of the PandA.
        control_port: TCP port for commands.
        data_port: TCP port for frames.
        connect_timeout: Seconds to wait for a connection, and for the identity.
    """

    def __init__(
        self,
        host: str,
        control_port: int = 8888,
        data_port: int = 8889,
        *,
        connect_timeout: float = 5.0,
    ) -> None:
        self.host = host
        self.control_port = control_port
        self.data_port = data_port
        self._peer = f"PandA {host}:{control_port}"
        self.connect_timeout = connect_timeout
        """Seconds that the next `connect` will wait."""
        self._connecting = asyncio.Lock()
        self._control: _ControlProtocol | None = None
        self._streams: set[DataProtocol] = set()

    def __repr__(self) -> str:
        return f"AsyncioClient({self.host!r}, {self.control_port}, {self.data_port})"

    async def connect(self) -> None:
        """Connect to the control port and ask for the server's version.

        Does nothing when connected; connects anew when the connection was lost.

        Raises:
            PandaDisconnected: There is nothing at this host and port, or it hung up.
            TimedOut: No connection, or no identity, within `connect_timeout`.
            CommandError, RemoteProtocolError: What answers is not a PandA.
        """
        async with self._connecting:
            if not self.is_connected():
                await self._connect()

    async def _connect(self) -> None:
        protocol = _ControlProtocol(self._peer)
        await self._open(protocol, self.control_port, "control")
        self._control = protocol
        try:
            identity = await self.send(Identify(), self.connect_timeout)
        except BaseException:
            await self.close()
            raise
        protocol.connection.set_api(identity.software_api())

    async def _open(self, protocol: asyncio.BaseProtocol, port: int, what: str) -> None:
        where = f"The {what} port of PandA {self.host}:{port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.connect_timeout):
                transport, _ = await loop.create_connection(
                    lambda: protocol, self.host, port
                )
        except OSError as error:
            raise unreachable(where, error, self.connect_timeout) from error
        set_up(transport.get_extra_info("socket"))

    def is_connected(self) -> bool:
        """Whether the control connection is up."""
        return self._control is not None and not self._control.connection.closed

    async def close(self) -> None:
        """Close all connections; what still waits ends with PandaDisconnected."""
        reason = closed_here(self._peer)
        for stream in list(self._streams):
            stream.fail(PandaDisconnected(reason))
        control, self._control = self._control, None
        if control is not None:
            control.fail(reason)
            control.abort()
            await control.lost

    async def __aenter__(self) -> "AsyncioClient":
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    @overload
    async def send(self, command: Command[T], timeout: float | None = None) -> T: ...

    @overload
    async def send(
        self, command: Iterable[Command[Any]], timeout: float | None = None
    ) -> list[Any]: ...

    async def send(
        self,
        command: Command[Any] | Iterable[Command[Any]],
        timeout: float | None = None,
    ) -> Any:
        """Do a command and return its result; or several, and a list of results.

        All that is sent before the event loop turns leaves in one write, so a list,
        or several `send` under `asyncio.gather`, cost one round trip.

        Args:
            command: One or several; of several, all are done even if one fails.
            timeout: Seconds to wait for the results, None for as long as it takes.

        Raises:
            CommandError: The PandA refused (of several: the first that it refused).
            PandaDisconnected: The connection ended, or was not there.
            TimedOut: There was no answer in time. It may still be done.
            LocalProtocolError, BadValue, VersionError: It cannot be said.
        """
        single = isinstance(command, Command)
        commands = [command] if single else list(command)
        if timeout is None:
            results = await self._send(commands)
        else:
            try:
                async with asyncio.timeout(timeout):
                    results = await self._send(commands)
            except TimeoutError as error:
                if isinstance(error, TimedOut):
                    raise
                raise no_answer(self._peer, commands, timeout) from None
        return results[0] if single else results

    async def _send(self, commands: list[Command[Any]]) -> list[Any]:
        control = self._control
        if control is None:
            raise not_connected(self._peer, commands)
        if not commands:
            return []
        while control.resumed is not None:
            await asyncio.shield(control.resumed)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), len(commands))
        for index, command in enumerate(commands):
            control.start(command, waiter, index)
        await waiter.future
        return waiter.collect()

    async def data(
        self,
        scaled: bool = True,
        flush_period: float | None = None,
        frame_timeout: float | None = None,
    ) -> AsyncGenerator[Data, None]:
        """Connect to the data port and yield what it tells, for ever.

        `ReadyData` comes first: what is armed from then on is not missed. Each
        acquisition is a `StartData`, any number of `FrameData` and an `EndData`.
        A consumer that is slow slows the PandA down; nothing piles up here.

        Args:
            scaled: Whether the PandA scales and averages, which is slow; if not,
                numbers are raw and StartData says how to scale them.
            flush_period: Seconds over which frames are gathered, None to yield each
                as it comes; 0 stands for the shortest that makes sense, 0.1.
            frame_timeout: Seconds without data until FrameTimeout, None for no limit.

        Raises:
            PandaDisconnected: The PandA, or `close`, ended the connection.
            FrameTimeout: No data in the time allowed.
            CommandError, RemoteProtocolError: The PandA refused, or what it sent
                makes no sense.
        """
        stream = DataProtocol(
            f"PandA {self.host}:{self.data_port}", scaled, flush_period, frame_timeout
        )
        await self._open(stream, self.data_port, "data")
        self._streams.add(stream)
        try:
            while True:
                for data in await stream.next_items():
                    yield data
        finally:
            self._streams.discard(stream)
            await stream.close()
