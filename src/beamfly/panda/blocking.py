"""A PandA for scripts and threads: `BlockingClient`.

A thin shell around `beamfly.panda.control` and `beamfly.panda.data`. Several threads
may use one client: their commands take turns.
"""

import selectors
import socket
import threading
from collections.abc import Generator, Iterable
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar, overload

from beamfly.errors import (
    BeamflyError,
    FrameTimeout,
    PandaDisconnected,
    RemoteProtocolError,
)
from beamfly.panda.batch import (
    Batch,
    closed_here,
    distribute,
    no_answer,
    not_connected,
    unreachable,
)
from beamfly.panda.control import ControlConnection
from beamfly.panda.data import DataConnection, Flush
from beamfly.panda.data_stream import SHORTEST_FLUSH
from beamfly.panda.exchange import Command
from beamfly.panda.responses import Data
from beamfly.panda.sockets import set_up
from beamfly.panda.values import Identify

__all__ = ["BlockingClient"]

T = TypeVar("T")

_READ_BYTES = 65536


class _Socket:
    """A connected socket that sends as much as it can while it waits to receive."""

    def __init__(self, address: tuple[str, int], what: str, timeout: float) -> None:
        where = f"The {what} port of PandA {address[0]}:{address[1]}"
        try:
            self._socket = socket.create_connection(address, timeout)
        except OSError as error:
            raise unreachable(where, error, timeout) from error
        set_up(self._socket)
        self._unsent = bytearray()
        self.shut = False
        """Whether it was this side that ended it."""

    def send(self, data: bytes) -> None:
        """Send what can be sent now, and the rest while receiving.

        While a PandA is busy answering it does not read: to wait here until it has
        taken everything would be to wait for each other.
        """
        self._unsent += data
        if self._unsent:
            self._socket.settimeout(0)
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            # bytearray deletes at its front without moving the rest
            del self._unsent[:sent]

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int | None:
        """Wait for bytes and receive them; 0 at the end, None when time is up."""
        if self._unsent and not self._send_rest(timeout):
            return None
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv_into(buffer)
        except (TimeoutError, BlockingIOError):
            return None

    def _send_rest(self, timeout: float | None) -> bool:
        """Send until all is sent, or there is something to read."""
        end = None if timeout is None else monotonic() + timeout
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, both)
            while self._unsent:
                left = None if end is None else max(end - monotonic(), 0)
                events = selector.select(left)
                if not events:
                    return False
                if events[0][1] & selectors.EVENT_READ:
                    return True
                self.send(b"")
        return True

    def shut_down(self) -> None:
        """Make whoever waits find the end of the connection."""
        self.shut = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was faster

    def close(self) -> None:
        """Close; nobody may be waiting."""
        self.shut_down()
        self._socket.close()


class _Control:
    """The control connection on its socket."""

    def __init__(self, peer: str, sock: _Socket) -> None:
        self.peer = peer
        self.socket = sock
        self.connection = ControlConnection(peer)
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def start(self, commands: list[Command[Any]]) -> Batch:
        """Send commands, all in one write."""
        batch = Batch(len(commands))
        to_send: list[bytes] = []
        for index, command in enumerate(commands):
            try:
                to_send.append(self.connection.send(command, (batch, index)))
            except Exception as error:
                # the others are done all the same; collect() raises this
                batch.set(index, None, error)
        try:
            self.socket.send(b"".join(to_send))
        except OSError as error:
            self._broke(error)
        distribute(self.connection.outcomes())
        return batch

    def receive(self, timeout: float | None) -> bool:
        """Read once and send what follows from it; False if there was nothing."""
        try:
            count = self.socket.receive_into(self._buffer, timeout)
            if count is None:
                return False
            if count:
                received = self._buffer[:count]
                self.socket.send(self.connection.receive_bytes(received))
            else:
                ours = closed_here(self.peer) if self.socket.shut else ""
                self.connection.receive_eof(ours)
        except RemoteProtocolError:
            # all that was under way has failed with it
            self.socket.shut_down()
        except OSError as error:
            self._broke(error)
        distribute(self.connection.outcomes())
        return True

    def _broke(self, error: OSError) -> None:
        self.connection.receive_eof(f"The connection to {self.peer} broke ({error})")


class BlockingClient:
    """A PandA: commands on its control port, frames from its data port.

    ```
    with BlockingClient("panda.example") as client:
        identity = client.send(Identify())
        positions, bits = client.send([Get("*POSITIONS"), Get("*BITS")])
        for data in client.data():
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
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._control: _Control | None = None
        self._streams: set[_Socket] = set()

    def __repr__(self) -> str:
        return f"BlockingClient({self.host!r}, {self.control_port}, {self.data_port})"

    def connect(self) -> None:
        """Connect to the control port and ask for the server's version.

        Does nothing when connected; connects anew when the connection was lost.

        Raises:
            PandaDisconnected: There is nothing at this host and port, or it hung up.
            TimedOut: No connection, or no identity, within `connect_timeout`.
            CommandError, RemoteProtocolError: What answers is not a PandA.
        """
        if self.is_connected():
            return
        self.close()
        address = (self.host, self.control_port)
        sock = _Socket(address, "control", self._connect_timeout)
        control = self._control = _Control(self._peer, sock)
        try:
            identity = self.send(Identify(), self._connect_timeout)
        except BaseException:
            self.close()
            raise
        control.connection.set_api(identity.software_api())

    def is_connected(self) -> bool:
        """Whether the control connection is up, as far as its last use has shown."""
        return self._control is not None and not self._control.connection.closed

    def close(self) -> None:
        """Close all connections; what other threads wait for ends."""
        for stream in list(self._streams):
            stream.shut_down()
        control = self._control
        if control is not None:
            control.socket.shut_down()
        with self._lock:
            if control is not None:
                self._control = None
                control.socket.close()

    def __enter__(self) -> "BlockingClient":
        """Connect."""
        self.connect()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @overload
    def send(self, commands: Command[T], timeout: float | None = None) -> T: ...

    @overload
    def send(
        self, commands: Iterable[Command[Any]], timeout: float | None = None
    ) -> list[Any]: ...

    def send(
        self,
        commands: Command[Any] | Iterable[Command[Any]],
        timeout: float | None = None,
    ) -> Any:
        """Do a command and return its result; or several, and a list of results.

        Several leave in one write and cost one round trip.

        Args:
            commands: One or several; of several, all are done even if one fails.
            timeout: Seconds to wait for the results, None for as long as it takes.

        Raises:
            CommandError: The PandA refused (of several: the first that it refused).
            PandaDisconnected: The connection ended, or was not there.
            TimedOut: There was no answer in time. It may still be done.
            LocalProtocolError, BadValue, VersionError: It cannot be said.
        """
        single = isinstance(commands, Command)
        todo: list[Command[Any]] = [commands] if single else list(commands)
        with self._lock:
            control = self._control
            if control is None:
                raise not_connected(self._peer, todo)
            end = None if timeout is None else monotonic() + timeout
            batch = control.start(todo)
            while batch.missing:
                left = None if end is None else max(end - monotonic(), 0)
                if not control.receive(left):
                    raise no_answer(self._peer, todo, timeout)
        results = batch.collect()
        return results[0] if single else results

    def data(
        self,
        scaled: bool = True,
        frame_timeout: float | None = None,
        flush_period: float | None = None,
    ) -> Generator[Data, None, None]:
        """Connect to the data port and yield what it tells, for ever.

        `ReadyData` comes first: what is armed from then on is not missed. Each
        acquisition is a `StartData`, any number of `FrameData` and an `EndData`.

        Args:
            scaled: Whether the PandA scales and averages, which is slow; if not,
                numbers are raw and StartData says how to scale them.
            frame_timeout: Seconds without data until FrameTimeout, None for no limit.
            flush_period: Seconds over which frames are gathered, None to yield each
                as it comes; 0 stands for the shortest that makes sense, 0.1.

        Raises:
            PandaDisconnected: The PandA, or `close`, ended the connection.
            FrameTimeout: No data in the time allowed.
            CommandError, RemoteProtocolError: The PandA refused, or what it sent
                makes no sense.
        """
        peer = f"PandA {self.host}:{self.data_port}"
        connection = DataConnection()
        sock = _Socket((self.host, self.data_port), "data", self._connect_timeout)
        self._streams.add(sock)
        try:
            sock.send(connection.connect(scaled))
            yield from _frames(connection, sock, frame_timeout, flush_period)
        except BeamflyError as error:
            if sock.shut:
                raise PandaDisconnected(closed_here(peer)) from None
            raise type(error)(f"{peer}: {error}") from None
        except OSError as error:
            raise PandaDisconnected(
                f"{peer}: the connection broke ({error})"
            ) from error
        finally:
            self._streams.discard(sock)
            sock.close()


def _frames(
    connection: DataConnection,
    sock: _Socket,
    frame_timeout: float | None,
    flush_period: float | None,
) -> Generator[Data, None, None]:
    """What a data connection tells, held back and flushed if there is a period."""
    period = SHORTEST_FLUSH if flush_period == 0 else flush_period
    flush = Flush.NOW if period is None else Flush.LATER
    flush_at = None if period is None else monotonic() + period
    silent = 0.0  # seconds of waiting: what the consumer takes does not count
    while True:
        begin = monotonic()
        limits = [] if flush_at is None else [max(flush_at - begin, 0)]
        limits += [] if frame_timeout is None else [max(frame_timeout - silent, 0)]
        count = sock.receive_into(connection.get_buffer(), min(limits, default=None))
        now = monotonic()
        silent = silent + now - begin if count is None else 0.0
        if count:
            yield from connection.received(count, flush)
        elif count == 0:
            yield from connection.receive_eof()
            return
        elif frame_timeout is not None and silent >= frame_timeout:
            raise FrameTimeout(f"no data came for {frame_timeout} s")
        if flush_at is not None and period is not None and now >= flush_at:
            yield from connection.flush()
            flush_at = now + period
