"""A server that repeats recorded updates as fast as the socket takes them.

    python -m benchmarks.ca.replay PORT

It serves P:0 ... P:999 (doubles), Q:0 ... Q:999 (double, long, enum, float in turn) and
arrays A:1000, A:100000, A:1000000. Whoever connects to the TCP port that it prints and
sends a line `COUNT RATE` gets, on every Channel Access connection with subscriptions,
about so many updates: the bytes of one update of each subscription, again and again, at
so many per second altogether (0: as fast as possible). The answer is a line with the
number of updates and the seconds that sending took.
"""

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path

import numpy as np

from beamfly.ca.config import Config
from beamfly.ca.message import Command
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server

KINDS = ("double", "long", "enum", "float")
SIZES = (1000, 100_000, 1_000_000)
PIECE = 256 * 1024
"""Bytes that are sent at once, about."""


def pvs() -> dict[str, PV]:
    """All that is served."""
    found = {f"P:{n}": PV(n / 7) for n in range(1000)}
    found |= {f"Q:{n}": PV(n % 4, type=KINDS[n % 4]) for n in range(1000)}
    found |= {f"A:{size}": PV(np.arange(float(size))) for size in SIZES}
    for pv in found.values():
        pv.time_ns = time.time_ns()
    return found


class Recording:
    """Bytes of one update of each subscription of a client."""

    def __init__(self, server: Server) -> None:
        pieces: list[bytes] = []
        self.peer = ""
        for circuit in server.core.circuits:
            for channel in circuit.served.values():
                for number, subscription in channel.subscriptions.items():
                    answer = channel.answer(subscription.code, subscription.count)
                    pieces.append(answer.message(Command.EVENT_ADD, 1, number))
                    self.peer = circuit.who.address
        self.updates = len(pieces)
        self.data = b"".join(pieces)

    def send(self, sock: socket.socket, count: int, rate: float) -> tuple[int, float]:
        """Send about so many updates; how many, and how long it took."""
        times = 1 if rate else max(1, PIECE // max(1, len(self.data)))
        data = self.data * times
        start = time.monotonic()
        sent = 0
        while sent < count:
            if rate:
                time.sleep(max(0.0, start + sent / rate - time.monotonic()))
            sock.sendall(data)
            sent += self.updates * times
        return sent, time.monotonic() - start


def client_socket(peer: str) -> socket.socket:
    """This process's end of the connection with a client."""
    for path in Path("/proc/self/fd").iterdir():
        try:
            sock = socket.socket(fileno=os.dup(int(path.name)))
        except OSError:
            continue
        with contextlib.suppress(OSError):
            if sock.family == socket.AF_INET:
                if "{}:{}".format(*sock.getpeername()) == peer:
                    return sock
        sock.close()
    msg = f"no connection with {peer}"
    raise LookupError(msg)


async def main(port: int) -> None:
    config = Config(cas_beacon_addresses=(("127.0.0.1", 65500),))
    async with Server(pvs(), config=config, port=port) as server:

        async def obey(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            line = await reader.readline()
            if not line:
                # the client gave up before it said anything
                writer.close()
                return
            count, rate = map(float, line.split())
            recording = Recording(server)
            with client_socket(recording.peer) as sock:
                # nobody else is to be served meanwhile
                sock.setblocking(True)
                try:
                    sent, seconds = recording.send(sock, int(count), rate)
                except ConnectionError:
                    # the client had enough
                    sent, seconds = 0, 0.0
                sock.setblocking(False)
            writer.write(f"{sent} {seconds}\n".encode())
            writer.close()

        control = await asyncio.start_server(obey, "127.0.0.1", 0)
        print(control.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
