"""One client and one line per process: prints wall and CPU µs per operation as JSON.

`python -m benchmarks.ca.clients <client> <line>` with EPICS_CA_* set; see `compare`.
Every client offers the operations of `operations.Blocking`; `LINES` says how often a
line repeats which. Lines with monitors need the server of `replay`, whose control port
stands in REPLAY_PORT.
"""

import contextlib
import json
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import psutil
from benchmarks.ca.operations import NAMES, Blocking, Clock, Coroutines, N
from benchmarks.ca.peers import PEERS, Aioca


class OwnAsyncio(Coroutines):
    async def begin(self) -> None:
        from beamfly.ca.asyncio import Client

        self.client = Client()

    def connect(self, names: list[str]) -> None:
        self.channels = self.do(self.client.connect_many(names, timeout=30))

    def array(self, name: str) -> None:
        self.array_channel = self.do(self.client.connect(name))

    def get(self, n: int) -> Any:
        return self.channels[0].get()

    def get_many(self, n: int) -> Any:
        return self.client.get_many(self.channels)

    def put_wait(self, n: int) -> Any:
        return self.channels[0].put(n, wait=True)

    def put_wait_many(self, n: int) -> Any:
        return self.client.put_many(self.channels, range(N), wait=True)

    def put(self, n: int) -> Any:
        return self.channels[0].put(n)

    def put_many(self, n: int) -> Any:
        return self.client.put_many(self.channels, range(N))

    def array_get(self, n: int) -> Any:
        return self.array_channel.get(timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.array_channel.put(array, wait=True, timeout=20)

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        for channel in self.do(self.client.connect_many(names, timeout=30)):
            channel.monitor(callback)


class OwnUvloop(OwnAsyncio):
    """The same on uvloop, where that is installed."""

    def start(self) -> None:
        import uvloop

        self.loop = uvloop.new_event_loop()
        self.do(self.begin())


class OwnBlocking(Blocking):
    def start(self) -> None:
        from beamfly.ca.blocking import Client

        self.client = Client()

    def connect(self, names: list[str]) -> None:
        self.channels = self.client.connect_many(names, timeout=30)

    def array(self, name: str) -> None:
        self.array_channel = self.client.connect(name)

    def wait(self, seconds: float) -> None:
        # callbacks come while somebody waits
        self.client.run(seconds)

    def get(self, n: int) -> Any:
        return self.channels[0].get()

    def get_many(self, n: int) -> Any:
        return self.client.get_many(self.channels)

    def put_wait(self, n: int) -> None:
        self.channels[0].put(n, wait=True)

    def put_wait_many(self, n: int) -> None:
        self.client.put_many(self.channels, range(N), wait=True)

    def put(self, n: int) -> None:
        # fifty values leave together
        if n % 50 == 0:
            self.client.put_many([self.channels[0]] * 50, range(50))

    def put_many(self, n: int) -> None:
        self.client.put_many(self.channels, range(N))

    def array_get(self, n: int) -> Any:
        return self.array_channel.get(timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.array_channel.put(array, wait=True, timeout=20)

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        for channel in self.client.connect_many(names, timeout=30):
            channel.monitor(callback)


class OwnCaget(Aioca):
    """The coroutines whose names, arguments and values are those of aioca."""

    async def begin(self) -> None:
        from beamfly import ca

        # names are imported when they are first used
        assert ca.caget and ca.caput and ca.camonitor
        self.module = ca


OURS: dict[str, type[Any]] = {
    "own asyncio": OwnAsyncio,
    "own uvloop": OwnUvloop,
    "own blocking": OwnBlocking,
    "own caget": OwnCaget,
}
LINES = {
    **{"get": (2000, 1), "get_many": (30, N), "put_wait": (1000, 1)},
    **{"put_wait_many": (2, N), "put": (20000, 1), "put_many": (30, N)},
}
"""Line -> repetitions, and operations of each."""
UPDATES = {"own": 1_000_000, "caproto": 10_000}
"""First word of a client -> updates at saturation; PEER_UPDATES for the rest."""
PEER_UPDATES = 100_000


def connect_line(client: Any, line: str) -> list[float]:
    names = [f"B:{n}" for n in range(int(line.split("_")[-1]))]
    with Clock() as clock:
        client.connect(names)
    return each(clock, len(names))


def each(clock: Clock, operations: int) -> list[float]:
    """Wall and CPU µs of one of so many operations."""
    return [1e6 * clock.wall / operations, 1e6 * clock.cpu / operations]


def array_line(client: Any, line: str) -> list[float]:
    import numpy as np

    if "monitor" in line:
        return replay_line(client, line)
    size = int(float(line.split("_")[-1]))
    client.array(f"B:W{size}")
    array = np.arange(float(size))

    def put(n: int) -> Any:
        return client.put_array(array)

    operation = client.array_get if "get" in line else put
    client.run(put, 2)
    client.run(operation, 1)
    times = max(6, min(300, 5_000_000 // size))
    with Clock() as clock:
        client.run(operation, times)
    return each(clock, times)


def scalar_line(client: Any, line: str) -> list[float]:
    times, at_once = LINES[line]
    client.connect(NAMES)
    operation = getattr(client, line)
    client.run(operation, 1)
    with Clock() as clock:
        client.run(operation, times)
        if line in ("put", "put_many"):
            client.flush()
    return each(clock, times * at_once)


def replay_line(client: Any, line: str) -> list[float]:
    """Updates at saturation, at a rate (`rate_200000`), or of an array."""
    kind, _, what = line.rpartition("_")
    rate = 0
    if "monitor" in kind:
        size = int(float(what))
        names, count = [f"A:{size}"], 100_000_000 // size
    else:
        names = [f"{'Q' if what == 'mixed' else 'P'}:{n}" for n in range(N)]
        count = UPDATES.get(client.word, PEER_UPDATES)
    if kind == "rate":
        rate = int(what)
        count = 2 * rate
    seen = 0
    clock = Clock()
    last = sys.maxsize

    def callback(*arguments: Any, **keywords: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == last:
            clock.stop()

    client.monitor(names, callback)
    while seen < len(names):
        client.wait(0.05)
    step = len(names)
    last = seen + -(-count // step) * step
    before = seen
    with control() as sock:
        clock.start()
        sock.sendall(f"{last - before} {rate}\n".encode())
        start = time.monotonic()
        while seen < last:
            client.wait(0.01)
            if seen == before and time.monotonic() > start + 5:
                raise SystemExit("no update came")
    return each(clock, seen - before)


def control() -> socket.socket:
    """A connection with the server that replays."""
    return socket.create_connection(("127.0.0.1", int(os.environ["REPLAY_PORT"])))


def flood_line(client: Any, line: str) -> list[float]:
    """Median and 99th percentile, µs, of gets while so many updates come per second."""
    rate = int(line.split("_")[-1])
    client.connect(["B:0"])
    seen = 0

    def callback(*arguments: Any, **keywords: Any) -> None:
        nonlocal seen
        seen += 1

    client.monitor([f"P:{n}" for n in range(N)], callback)
    while seen < N:
        client.wait(0.05)
    # who hangs under the flood is not waited for
    threading.Timer(30, os._exit, [1]).start()
    with control() as sock:
        sock.sendall(f"{6 * rate} {rate}\n".encode())
        client.wait(0.5)
        found = client.sample(client.get, 400)
    cuts = statistics.quantiles(found, n=100)
    return [1e6 * statistics.median(found), 1e6 * cuts[98]]


def memory_line(client: Any, line: str) -> list[float]:
    """kB for each of 10000 channels, and MB with all of them."""
    process = psutil.Process()
    client.connect(["B:0"])
    before = process.memory_info().rss
    client.connect([f"B:{n}" for n in range(10_000)])
    after = process.memory_info().rss
    return [(after - before) / 1e7, after / 1e6]


KINDS: dict[str, Callable[[Any, str], list[float]]] = {
    **{"connect": connect_line, "array": array_line, "updates": replay_line},
    **{"rate": replay_line, "flood": flood_line, "memory": memory_line},
}


def main(name: str, line: str) -> None:
    client = (OURS | PEERS)[name]()
    client.word = name.split()[0]
    client.start()
    if line.split("_")[0] not in ("connect", "memory"):
        # most peers do, and ours once it pays: what that takes is measured by `startup`
        import_module("numpy")
    result = KINDS.get(line.split("_")[0], scalar_line)(client, line)
    print(json.dumps(result), flush=True)
    # libraries that hang at exit are not what is measured
    with contextlib.suppress(OSError):
        sys.stdout.close()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
