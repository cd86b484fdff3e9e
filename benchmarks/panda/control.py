"""Commands per second on the control port: beamfly next to pandablocks.

    python benchmarks/panda/control.py [--rounds 5]

Both talk to the same server in another process, in turns, in one run. The server
answers everything with `OK =1`, as fast as it can. Printed are the medians over the
rounds and their ratios; one by one, the time goes into waking the other process up.
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pandablocks.asyncio as theirs_asyncio
import pandablocks.blocking as theirs_blocking
from pandablocks import commands as their_commands

from beamfly.panda import asyncio as ours_asyncio
from beamfly.panda import blocking as ours_blocking
from beamfly.panda.commands import Get

IDENTITY = b"OK =PandA SW: 4.1 FPGA: 4.1.0 816147d6 00000000 rootfs: Sim 1.0\n"
HOST = "127.0.0.1"
STREAM = vars(theirs_asyncio)["_StreamHelper"]
SOCKET = vars(theirs_blocking)["_SocketHelper"]


def serve(listener: socket.socket) -> None:
    """Answer one connection after the other."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            connection.recv(100)
            connection.sendall(IDENTITY)
            try:
                while received := connection.recv(1 << 20):
                    connection.sendall(b"OK =1\n" * received.count(b"\n"))
            except ConnectionError:
                continue


def redirect(port: int) -> None:
    """Have pandablocks, which knows one port only, connect to this one."""
    connect_stream = STREAM.connect
    connect_socket = SOCKET.connect

    async def stream(self: Any, host: str, _: int) -> None:
        await connect_stream(self, host, port)

    def sock(self: Any, host: str, _: int) -> None:
        connect_socket(self, host, port)

    STREAM.connect = stream
    SOCKET.connect = sock


Reading = tuple[float, float]
"""Commands per second, and microseconds of this process's CPU per command."""


class Clock:
    def __init__(self, count: int) -> None:
        self._count = count
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Reading:
        wall = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        return self._count / wall, cpu / self._count * 1e6


async def one_by_one(client: Any, get: Any, count: int) -> None:
    for _ in range(count):
        await client.send(get("COUNTER1.OUT"))


async def gathered(client: Any, get: Any, count: int) -> None:
    await asyncio.gather(*(client.send(get("COUNTER1.OUT")) for _ in range(count)))


async def listed(client: Any, get: Any, count: int) -> None:
    await client.send([get("COUNTER1.OUT") for _ in range(count)])


def blocking_one_by_one(client: Any, get: Any, count: int) -> None:
    for _ in range(count):
        client.send(get("COUNTER1.OUT"))


def blocking_listed(client: Any, get: Any, count: int) -> None:
    client.send([get("COUNTER1.OUT") for _ in range(count)])


def rate_asyncio(
    make: Callable[[], Any],
    use: Callable[[Any, Any, int], Awaitable[None]],
    get: Any,
    count: int,
) -> Reading:
    async def run() -> Reading:
        async with make() as client:
            await use(client, get, 50)
            clock = Clock(count)
            await use(client, get, count)
            return clock.read()

    return asyncio.run(run())


def rate_blocking(
    make: Callable[[], Any],
    use: Callable[[Any, Any, int], None],
    get: Any,
    count: int,
) -> Reading:
    with make() as client:
        use(client, get, 50)
        clock = Clock(count)
        use(client, get, count)
        return clock.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    redirect(port)
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener,), daemon=True
    )
    server.start()

    def ours_a() -> Any:
        return ours_asyncio.AsyncioClient(HOST, port)

    def ours_b() -> Any:
        return ours_blocking.BlockingClient(HOST, port)

    def theirs_a() -> Any:
        return theirs_asyncio.AsyncioClient(HOST)

    def theirs_b() -> Any:
        return theirs_blocking.BlockingClient(HOST)

    theirs = their_commands.Get
    cases: dict[str, tuple[Callable[[], Reading], Callable[[], Reading]]] = {
        "asyncio, one by one": (
            lambda: rate_asyncio(ours_a, one_by_one, Get, 4000),
            lambda: rate_asyncio(theirs_a, one_by_one, theirs, 1000),
        ),
        "asyncio, gather": (
            lambda: rate_asyncio(ours_a, gathered, Get, 8000),
            lambda: rate_asyncio(theirs_a, gathered, theirs, 2000),
        ),
        "asyncio, list (theirs: gather)": (
            lambda: rate_asyncio(ours_a, listed, Get, 20000),
            lambda: rate_asyncio(theirs_a, gathered, theirs, 2000),
        ),
        "blocking, one by one": (
            lambda: rate_blocking(ours_b, blocking_one_by_one, Get, 4000),
            lambda: rate_blocking(theirs_b, blocking_one_by_one, theirs, 4000),
        ),
        "blocking, list": (
            lambda: rate_blocking(ours_b, blocking_listed, Get, 20000),
            lambda: rate_blocking(theirs_b, blocking_listed, theirs, 5000),
        ),
    }
    print(f"{'':<32}{'commands per second':>30}{'CPU us per command':>30}")
    head = f"{'beamfly':>10}{'pandablocks':>12}{'ratio':>8}"
    print(f"{'':<32}{head}{head}")
    for name, (ours, other) in cases.items():
        readings = [(ours(), other()) for _ in range(rounds)]
        line = f"{name:<32}"
        for kind in (0, 1):
            mine = statistics.median(reading[0][kind] for reading in readings)
            their = statistics.median(reading[1][kind] for reading in readings)
            line += f"{mine:>10.0f}{their:>12.0f}{mine / their:>8.2f}"
        print(line)
    server.terminate()
    server.join()
    listener.close()


if __name__ == "__main__":
    main()
