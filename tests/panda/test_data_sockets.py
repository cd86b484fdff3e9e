"""Every recording through sockets, blocking and on an event loop, in small pieces."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from data_streams import NAMES, frames, options, others, recording
from test_data import play

from beamfly.errors import PandaDisconnected
from beamfly.panda.data import DataConnection
from beamfly.panda.data_options import DataOptions
from beamfly.panda.responses import Data


@pytest.fixture(params=[7, 1448])
def piece(request: pytest.FixtureRequest) -> int:
    return request.param


def whole(name: str) -> tuple[list[Data], bool]:
    """What a recording holds, and whether it may end where it does."""
    data, error = play(recording(name), options(name), [1 << 20])
    return data, error is None


def sender(sock: socket.socket, name: str, piece: int) -> threading.Thread:
    stream = recording(name)
    size = piece if len(stream) < 10_000 else 100 * piece

    def send() -> None:
        with sock:
            assert sock.recv(100) == options(name).line()
            for first in range(0, len(stream), size):
                sock.sendall(stream[first : first + size])

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def receive(sock: socket.socket, opts: DataOptions) -> Iterator[Data]:
    connection = DataConnection(4096)
    sock.sendall(connection.connect(options=opts))
    while count := sock.recv_into(connection.get_buffer()):
        yield from connection.received(count)
    yield from connection.receive_eof()


@pytest.mark.parametrize("name", NAMES)
def test_a_blocking_socket(name: str, piece: int) -> None:
    ours, theirs = socket.socketpair()
    thread = sender(theirs, name, piece)
    expected, may_end = whole(name)
    got: list[Data] = []
    with ours:
        try:
            for item in receive(ours, options(name)):
                got.append(item)
        except PandaDisconnected:
            assert not may_end
        else:
            assert may_end
    thread.join(30)
    assert frames(got).tobytes() == frames(expected).tobytes()
    assert others(got) == others(expected)


class Protocol(asyncio.BufferedProtocol):
    """As thin as a shell can be."""

    def __init__(self, opts: DataOptions) -> None:
        self.connection = DataConnection(4096)
        self._options = opts
        self.got: list[Data] = []
        self.error: PandaDisconnected | None = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.connection.connect(options=self._options))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self.got.extend(self.connection.received(nbytes))

    def eof_received(self) -> None:
        try:
            self.got.extend(self.connection.receive_eof())
        except PandaDisconnected as exc:
            self.error = exc

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(None)


@pytest.mark.parametrize("name", NAMES)
async def test_an_event_loop(name: str, piece: int) -> None:
    ours, theirs = socket.socketpair()
    thread = sender(theirs, name, piece)
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(
        lambda: Protocol(options(name)), sock=ours
    )
    await protocol.done
    thread.join(30)
    expected, may_end = whole(name)
    assert (protocol.error is None) == may_end
    assert frames(protocol.got).tobytes() == frames(expected).tobytes()
    assert others(protocol.got) == others(expected)
