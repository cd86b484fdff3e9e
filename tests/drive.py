"""Runners: put what a peer says through a core, or through a shell over a socket."""

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

from link import cut

IDENTITY = "PandA SW: 4.1 FPGA: 4.1.0 816147d6 00000000 rootfs: Sim 1.0"
IDN = (b"*IDN?\n", f"OK ={IDENTITY}\n".encode())
Script = Sequence[tuple[bytes, bytes]]


class Peer:
    """A server for one test: what it does with each connection is a function.

    It listens on a free port of the loopback interface. Leaving the context closes
    everything, waits for the thread and raises what went wrong in it.
    """

    def __init__(self, *serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._problem: BaseException | None = None
        self._leaving = False
        self._thread = threading.Thread(target=self._run, name="peer")

    def _run(self) -> None:
        try:
            for serve in self._serve:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                connection.settimeout(10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection:
                    serve(connection)
        except Exception as problem:
            if not self._leaving:
                self._problem = problem

    def __enter__(self) -> "Peer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leaving = kind is not None
        if self._leaving:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self._thread.join(30)
        self._listener.close()
        if self._problem is not None:
            raise self._problem


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            break
        received += more
    return received


def until_closed(connection: socket.socket) -> None:
    """Read until the client goes away, which it may do with a reset."""
    try:
        while connection.recv(4096):
            continue
    except ConnectionError:
        return


def scripted(
    script: Script, sizes: int | Iterable[int] = 65536, stay: bool = True
) -> Callable[[socket.socket], None]:
    """Expect questions byte by byte, give each its answer in pieces.

    Args:
        script: (question, answer) in order.
        sizes: Of the pieces.
        stay: Whether to wait for the client to hang up, or to do so.
    """

    def serve(connection: socket.socket) -> None:
        for question, answer in script:
            received = receive_exactly(connection, len(question))
            assert received == question
            for piece in cut(answer, sizes):
                connection.sendall(piece)
        if stay:
            until_closed(connection)

    return serve


def run_command(
    command: Any,
    answers: dict[str, str | list[str]],
    version: tuple[int, int] = (4, 1),
) -> tuple[Any, list[list[str]]]:
    """Run a PandA command against answers by question.

    Returns its result, and for each of its writes the first lines of what was asked.
    """
    generator = command.execute(version)
    writes: list[list[str]] = []
    while True:
        try:
            exchanges = next(generator)
        except StopIteration as stop:
            return stop.value, writes
        if not isinstance(exchanges, list):
            exchanges = [exchanges]
        writes.append([exchange.to_send[0] for exchange in exchanges])
        for exchange in exchanges:
            answer = answers[exchange.to_send[0]]
            exchange.is_multiline = isinstance(answer, list)
            if isinstance(answer, list):
                exchange.received = [*(f"!{line}" for line in answer), "."]
            else:
                exchange.received = [answer]


def drive_blocking(dialogues: Iterable[Any], sizes: int) -> list[list[str]]:
    """Put recorded dialogues through the blocking PandA client."""
    from beamfly.panda.blocking import BlockingClient
    from beamfly.panda.commands import Raw

    dialogues = list(dialogues)
    script = [IDN, *((d.question, d.answer) for d in dialogues)]
    with Peer(scripted(script, sizes)) as peer:
        with BlockingClient("127.0.0.1", peer.port) as client:
            return [client.send(Raw(list(d.asked)), 10) for d in dialogues]


async def drive_asyncio(dialogues: Iterable[Any], sizes: int) -> list[list[str]]:
    """Put recorded dialogues through the asyncio PandA client."""
    from beamfly.panda.asyncio import AsyncioClient
    from beamfly.panda.commands import Raw

    dialogues = list(dialogues)
    script = [IDN, *((d.question, d.answer) for d in dialogues)]
    with Peer(scripted(script, sizes)) as peer:
        async with AsyncioClient("127.0.0.1", peer.port) as client:
            return [await client.send(Raw(list(d.asked)), 10) for d in dialogues]


def drive_core(dialogues: Iterable[Any], sizes: int) -> list[list[str]]:
    """Put recorded dialogues through the PandA's control connection alone."""
    from beamfly.panda.commands import Raw
    from beamfly.panda.control import ControlConnection

    connection = ControlConnection()
    results: list[list[str]] = []
    for dialogue in dialogues:
        assert connection.send(Raw(list(dialogue.asked))) == dialogue.question
        for piece in cut(dialogue.answer, sizes):
            assert connection.receive_bytes(piece) == b""
        results += [response for _, response in connection.responses()]
    return results
