"""Our server, caproto's and a C IOC, all with the same client.

    python benchmarks/ca/server.py [--rounds 3]

Each server runs in a process of its own with 1000 scalar PVs; the client is
`beamfly.ca.asyncio.Client` in this one. Rounds are interleaved, medians are printed.
`posted` counts what a server's own task posts as fast as it can for one second and
what of it arrives; the C IOC has nothing in it that posts that fast, so its monitors
are measured by puts alone, as are those of the others.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from beamfly.ca.asyncio import Channel, Client
from beamfly.ca.config import Config

COUNT = 1000
OURS = """
import asyncio, sys
from beamfly.ca.config import Config
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
port, count = int(sys.argv[1]), int(sys.argv[2])
async def main():
    pvs = {f"pv:{i}": 0.0 for i in range(count)}
    pvs |= {"posted": PV(0.0), "go": PV(0)}
    many = []
    config = Config(cas_beacon_addresses=(("127.0.0.1", 65500),))
    async with Server(pvs, config=config, port=port) as server:
        many = [server[f"pv:{i}"] for i in range(count)]
        value = 0
        while True:
            if not server["go"].value:
                await asyncio.sleep(0.001)
                continue
            value += 1
            for pv in many:
                pv.post(float(value))
            server["posted"].post(float(value * count))
            await asyncio.sleep(0)
asyncio.run(main())
"""
CAPROTO = """
import sys, asyncio
from caproto import ChannelDouble, ChannelInteger
from caproto.asyncio.server import Context
count = int(sys.argv[2])
pvs = {f"pv:{i}": ChannelDouble(value=0.0) for i in range(count)}
pvs |= {"posted": ChannelDouble(value=0.0), "go": ChannelInteger(value=0)}
async def poster(lib):
    value = 0
    many = [pvs[f"pv:{i}"] for i in range(count)]
    while True:
        if not pvs["go"].value:
            await asyncio.sleep(0.001)
            continue
        value += 1
        for pv in many:
            await pv.write(float(value))
        await pvs["posted"].write(float(value * count))
        await asyncio.sleep(0)
async def main():
    context = Context(pvs, interfaces=["127.0.0.1"])
    await context.run(startup_hook=poster)
asyncio.run(main())
"""
PORTS = {"beamfly": 47310, "caproto": 47320, "C IOC": 47330}


@contextlib.contextmanager
def server(name: str, folder: Path) -> Iterator[int]:
    """A server in a process of its own; gives its port."""
    port = PORTS[name]
    environment = os.environ | {
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(port + 1),
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_SERVER_PORT": str(port + 2),
        "EPICS_PVAS_BROADCAST_PORT": str(port + 3),
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "OPENBLAS_NUM_THREADS": "1",
    }
    if name == "C IOC":
        records = folder / "records.db"
        lines = [f'record(ao, "pv:{i}") {{}}' for i in range(COUNT)]
        records.write_text("\n".join(lines))
        command = [sys.executable, "-m", "epicscorelibs.ioc", "-d", str(records)]
    else:
        script = OURS if name == "beamfly" else CAPROTO
        command = [sys.executable, "-c", script, str(port), str(COUNT)]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield port
        finally:
            process.kill()


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def measure(name: str, port: int) -> dict[str, float]:
    """All figures of one server: microseconds per operation, or updates per second."""
    config = Config(
        addresses=(("127.0.0.1", port),), auto_addresses=False, repeater_port=port + 1
    )
    names = [f"pv:{index}" for index in range(COUNT)]
    found: dict[str, float] = {}
    async with Client(config) as warm:
        await warm.connect(names[0], timeout=20)
    async with Client(config) as client:
        channels: list[Channel] = []

        async def connect() -> None:
            channels.extend(await client.connect_many(names, timeout=20))

        found["connect us/ch"] = await timed(connect) / COUNT * 1e6
        one = channels[0]

        async def gets() -> None:
            for _ in range(1000):
                await one.get()

        async def waits() -> None:
            for value in range(300):
                await one.put(float(value), wait=True)

        found["get RTT us"] = await timed(gets) / 1000 * 1e6
        await client.get_many(channels)
        rounds = [await timed(lambda: client.get_many(channels)) for _ in range(5)]
        found["get x1000 us"] = min(rounds) / COUNT * 1e6
        found["put+wait RTT us"] = await timed(waits) / 300 * 1e6

        async def many() -> None:
            await client.put_many(channels, [1.0] * COUNT, wait=True)

        found["put+wait x1000 us"] = await timed(many) / COUNT * 1e6
        found |= await monitors(client, channels)
        if name != "C IOC":
            found |= await posted(client)
    return found


class Counter:
    """Counts updates, and wakes who waits for a number of them."""

    def __init__(self) -> None:
        self.seen = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def note(self, *reading: object) -> None:
        self.seen += 1
        if self.seen == self._wanted:
            self._reached.set()

    async def reach(self, wanted: int) -> None:
        self._wanted = wanted
        self._reached.clear()
        if self.seen < wanted:
            await self._reached.wait()


async def monitors(client: Client, channels: list[Channel]) -> dict[str, float]:
    """Puts without waiting, and the updates that they cause."""
    counter = Counter()
    subscriptions = [channel.monitor(counter.note) for channel in channels]
    await counter.reach(COUNT)
    rounds = 10

    async def puts() -> None:
        for value in range(rounds):
            await client.put_many(channels, [float(10 + value)] * COUNT)
            await counter.reach((value + 2) * COUNT)

    seconds = await timed(puts)
    for subscription in subscriptions:
        subscription.close()
    return {"put -> update us": seconds / rounds / COUNT * 1e6}


async def posted(client: Client) -> dict[str, float]:
    """What the server posts by itself in a second, and what of it arrives."""
    names = [f"pv:{index}" for index in range(COUNT)]
    channels = await client.connect_many(names)
    go, total = await client.connect("go"), await client.connect("posted")
    counter = Counter()
    subscriptions = [channel.monitor(counter.note) for channel in channels]
    await counter.reach(COUNT)
    before, seen = await total.get(), counter.seen
    start = time.perf_counter()
    await go.put(1, wait=True)
    await asyncio.sleep(1.0)
    await go.put(0, wait=True)
    await asyncio.sleep(0.1)
    seconds = time.perf_counter() - start - 0.1
    after = await total.get()
    for subscription in subscriptions:
        subscription.close()
    return {
        "posted /s": (after - before) / seconds,
        "delivered /s": (counter.seen - seen) / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    rounds = parser.parse_args().rounds
    only = parser.parse_args().only
    results: dict[str, list[dict[str, float]]] = {
        name: [] for name in PORTS if only in name
    }
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, rows in results.items():
                with server(name, Path(folder)) as port:
                    rows.append(asyncio.run(measure(name, port)))
    print(f"{'median of ' + str(rounds):20}", *(f"{name:>12}" for name in results))
    for metric in results[next(iter(results))][0]:
        cells = [
            f"{statistics.median(row[metric] for row in rows):12.2f}"
            if metric in rows[0]
            else f"{'-':>12}"
            for rows in results.values()
        ]
        print(f"{metric:20}", *cells)


if __name__ == "__main__":
    main()
