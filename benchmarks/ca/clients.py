"""One client and one line per process: prints wall and CPU µs per operation as JSON.

`python -m benchmarks.ca.clients <client> <line>` with EPICS_CA_* set; see `compare`.
Every client offers the same operations; `LINES` says how often a line repeats which.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

N = 1000
NAMES = [f"B:{n}" for n in range(N)]


class Clock:
    """Wall and CPU seconds of a stretch of code, of the whole process."""

    def __enter__(self) -> "Clock":
        self._cpu, self._wall = self._used(), time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = self._used() - self._cpu

    @staticmethod
    def _used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


class Blocking:
    """What a line needs; subclasses fill it in."""

    channels: Any
    array_channel: Any
    updates = 0

    def start(self) -> None:
        pass

    def run(self, operation: Callable[..., Any], times: int) -> None:
        for n in range(times):
            operation(n)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def read_line(self) -> None:
        sys.stdin.readline()

    def flush(self) -> None:
        """After puts without waiting: all have arrived."""
        self.get(0)

    def get(self, n: int) -> Any:
        raise NotImplementedError

    def count(self, *arguments: Any, **keywords: Any) -> None:
        self.updates += 1


class Coroutines(Blocking):
    """Operations are coroutines of one event loop."""

    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.do(self.begin())

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def begin(self) -> None:
        pass

    def run(self, operation: Callable[..., Any], times: int) -> None:
        async def main() -> None:
            for n in range(times):
                await operation(n)

        self.do(main())

    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    def read_line(self) -> None:
        self.do(asyncio.to_thread(sys.stdin.readline))

    def flush(self) -> None:
        self.do(self.get(0))


class OwnAsyncio(Coroutines):
    async def begin(self) -> None:
        from beamfly.ca.asyncio import Client

        self.client = Client()

    def connect(self, names: list[str]) -> None:
        self.channels = self.do(self.client.connect_many(names, timeout=30))

    def array(self, name: str) -> None:
        self.array_channel = self.do(self.client.connect(name))

    async def get(self, n: int) -> Any:
        return await self.channels[0].get()

    async def get_many(self, n: int) -> Any:
        return await self.client.get_many(self.channels)

    async def put_wait(self, n: int) -> None:
        await self.channels[0].put(n, wait=True)

    async def put_wait_many(self, n: int) -> None:
        await self.client.put_many(self.channels, range(N), wait=True)

    async def put(self, n: int) -> None:
        await self.channels[0].put(n)

    async def array_get(self, n: int) -> Any:
        return await self.array_channel.get(timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.array_channel.put(array, wait=True, timeout=20)

    def monitor(self) -> None:
        updates = [0]

        def callback(value: Any, time_ns: int, severity: int, status: int) -> None:
            updates[0] += 1

        for channel in self.channels:
            channel.monitor(callback)
        type(self).updates = property(lambda self: updates[0])


class OwnBlocking(Blocking):
    def start(self) -> None:
        from beamfly.ca.blocking import Client

        self.client = Client()

    def connect(self, names: list[str]) -> None:
        self.channels = self.client.connect_many(names, timeout=30)

    def array(self, name: str) -> None:
        self.array_channel = self.client.connect(name)

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

    def array_get(self, n: int) -> Any:
        return self.array_channel.get(timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.array_channel.put(array, wait=True, timeout=20)


class Aioca(Coroutines):
    async def begin(self) -> None:
        import aioca

        self.module: Any = aioca

    def connect(self, names: list[str]) -> None:
        self.channels = names
        self.do(self.module.connect(names, timeout=30))

    def array(self, name: str) -> None:
        self.array_channel = name

    async def get(self, n: int) -> Any:
        return await self.module.caget(NAMES[0])

    async def get_many(self, n: int) -> Any:
        return await self.module.caget(NAMES)

    async def put_wait(self, n: int) -> None:
        await self.module.caput(NAMES[0], n, wait=True)

    async def put_wait_many(self, n: int) -> None:
        await self.module.caput(NAMES, list(range(N)), wait=True)

    async def put(self, n: int) -> None:
        await self.module.caput(NAMES[0], n)

    async def array_get(self, n: int) -> Any:
        return await self.module.caget(self.array_channel, timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.module.caput(self.array_channel, array, wait=True, timeout=20)

    def monitor(self) -> None:
        async def subscribe() -> None:
            self.module.camonitor(NAMES, self.count, format=1, all_updates=True)

        self.do(subscribe())


class OwnCaget(Aioca):
    async def begin(self) -> None:
        from beamfly import ca

        # names are imported when they are first used
        assert ca.caget and ca.caput and ca.camonitor

        self.module = ca


class PyEpics(Blocking):
    def start(self) -> None:
        import epics

        self.ca = epics.ca

    def connect(self, names: list[str]) -> None:
        self.channels = [self.ca.create_channel(name) for name in names]
        for channel in self.channels:
            self.ca.connect_channel(channel, timeout=20)

    def array(self, name: str) -> None:
        self.array_channel = self.ca.create_channel(name, connect=True)

    def get(self, n: int) -> Any:
        return self.ca.get(self.channels[0])

    def get_many(self, n: int) -> Any:
        for channel in self.channels:
            self.ca.get(channel, wait=False)
        self.ca.poll()
        return [self.ca.get_complete(channel) for channel in self.channels]

    def put_wait(self, n: int) -> None:
        self.ca.put(self.channels[0], n, wait=True)

    def put_wait_many(self, n: int) -> None:
        for number, channel in enumerate(self.channels):
            self.ca.put(channel, number, wait=True)

    def put(self, n: int) -> None:
        self.ca.put(self.channels[0], n)

    def array_get(self, n: int) -> Any:
        return self.ca.get(self.array_channel, timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.ca.put(self.array_channel, array, wait=True, timeout=20)

    def monitor(self) -> None:
        self.kept = [
            self.ca.create_subscription(channel, use_time=True, callback=self.count)
            for channel in self.channels
        ]
        self.ca.poll()


class Caproto(Blocking):
    def start(self) -> None:
        from caproto.threading.client import Batch, Context

        self.context, self.batch = Context(), Batch

    def connect(self, names: list[str]) -> None:
        self.channels = self.context.get_pvs(*names, timeout=30)
        for pv in self.channels:
            pv.wait_for_connection(timeout=30)

    def array(self, name: str) -> None:
        self.connect([name])
        self.array_channel = self.channels[0]

    def get(self, n: int) -> Any:
        return self.channels[0].read()

    def get_many(self, n: int) -> Any:
        self._together(lambda batch, k, pv: batch.read(pv, self.count))

    def put_wait(self, n: int) -> None:
        self.channels[0].write([n], wait=True)

    def put_wait_many(self, n: int) -> None:
        self._together(lambda batch, k, pv: batch.write(pv, [k], self.count))

    def put(self, n: int) -> None:
        self.channels[0].write([n], wait=False)

    def array_get(self, n: int) -> Any:
        return self.array_channel.read(timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.array_channel.write(array, timeout=20)

    def monitor(self) -> None:
        for pv in self.channels:
            pv.subscribe(data_type="time").add_callback(self.count)

    def _together(self, add: Callable[[Any, int, Any], None]) -> None:
        self.updates = 0
        with self.batch() as batch:
            for number, pv in enumerate(self.channels):
                add(batch, number, pv)
        while self.updates < N:
            time.sleep(0.0005)


CLIENTS: dict[str, type[Any]] = {
    "own asyncio": OwnAsyncio,
    "own blocking": OwnBlocking,
    "own caget": OwnCaget,
    "aioca": Aioca,
    "pyepics": PyEpics,
    "caproto": Caproto,
}
LINES = {
    **{"get": (2000, 1), "get_many": (10, N), "put_wait": (1000, 1)},
    **{"put_wait_many": (2, N), "put": (3000, 1)},
}
"""Line -> repetitions, and operations of each."""


def connect_line(client: Any, line: str) -> tuple[Clock, int]:
    names = [f"B:{n}" for n in range(int(line.split("_")[-1]))]
    with Clock() as clock:
        client.connect(names)
    return clock, len(names)


def array_line(client: Any, line: str) -> tuple[Clock, int]:
    import numpy as np

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
    return clock, times


def scalar_line(client: Any, line: str) -> tuple[Clock, int]:
    times, each = LINES[line]
    client.connect(NAMES)
    operation = getattr(client, line)
    client.run(operation, 1)
    with Clock() as clock:
        client.run(operation, times)
        if line == "put":
            client.flush()
    return clock, times * each


def monitor_line(client: Any, line: str) -> tuple[Clock, int]:
    client.connect(NAMES)
    client.monitor()
    client.wait(2.0)
    before = client.updates
    print("ready", flush=True)
    with Clock() as clock:
        client.read_line()
        client.wait(0.3)
    return clock, client.updates - before


def main(name: str, line: str) -> None:
    client = CLIENTS[name]()
    client.start()
    kinds = {"connect": connect_line, "array": array_line, "monitor": monitor_line}
    kind = kinds.get(line.split("_")[0], scalar_line)
    clock, operations = kind(client, line)
    each = [1e6 * seconds / max(operations, 1) for seconds in (clock.wall, clock.cpu)]
    print(json.dumps([*each, operations]), flush=True)
    # libraries that hang at exit are not what is measured
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
