"""Our server, caproto's and a C IOC, all with the same client.

    python -m benchmarks.ca.server [--rounds 3]

Each server runs in a process of its own with 1000 scalar PVs, ours a second time on
uvloop if that is installed. The client is `beamfly.ca.asyncio.Client` in this one, and
for `get` and `put+wait`, one at a time, `beamfly.ca.blocking.Client`, which adds less
of its own. Rounds are interleaved, medians are printed, and how many times as fast as
caproto's server ours is: the median of the rounds' ratios.

What is done one at a time is done in batches, of which the median counts. When client
and server are on two cores of a virtual machine, each waits until the other's core has
woken up, which may take longer than the request and counts as processor time of both;
whether they are is up to the kernel. Hence all of it a second time with both on `one
core`, where they never want to run at the same time, which is what can be compared.
`bare get` is the same request without any client: 16 bytes are sent, the answer is
received and not looked at, so that what is left is the server and the kernel.

`post` is what a server's own task posts as fast as it can for one second, and `of that
arrived` what of it the client saw; `post to update` is a put that makes the server post
1000 PVs, until the client has all updates. The C IOC has nothing in it that posts like
that, so its monitors are measured by puts alone, as are those of the others.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psutil

from beamfly.ca.asyncio import Channel, Client
from beamfly.ca.blocking import Client as Blocking
from beamfly.ca.circuit import Circuit
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr
from beamfly.ca.header import HEADER_BYTES
from beamfly.ca.message import Sender
from beamfly.ca.messages import ChannelCreated, CreateChannel, ReadNotify

COUNT = 1000
BATCHES = 9
"""Of what is done one at a time."""
OURS = """
import asyncio, sys
from beamfly.ca.config import Config
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
port, count = int(sys.argv[1]), int(sys.argv[2])
async def main():
    pvs = {f"pv:{i}": 0.0 for i in range(count)}
    def once(put):
        put.accept()
        for pv in many:
            pv.post(float(put.value))
    posting = asyncio.Event()
    def go(put):
        (posting.set if put.value else posting.clear)()
    pvs |= {"posted": PV(0.0), "go": PV(0, on_put=go), "once": PV(0, on_put=once)}
    many = []
    config = Config(cas_beacon_addresses=(("127.0.0.1", 65500),))
    async with Server(pvs, config=config, port=port) as server:
        many = [server[f"pv:{i}"] for i in range(count)]
        value = 0
        while True:
            await posting.wait()
            value += 1
            for pv in many:
                pv.post(float(value))
            server["posted"].post(float(value * count))
            await asyncio.sleep(0)
asyncio.run(main())
"""
ON_UVLOOP = OURS.replace("asyncio.run", "import uvloop; uvloop.run")
CAPROTO = """
import sys, asyncio
from caproto import ChannelDouble, ChannelInteger
from caproto.asyncio.server import Context
count = int(sys.argv[2])
pvs = {f"pv:{i}": ChannelDouble(value=0.0) for i in range(count)}
many = []
posting = asyncio.Event()
class Go(ChannelInteger):
    async def verify_value(self, value):
        (posting.set if value else posting.clear)()
        return value
class Once(ChannelInteger):
    async def verify_value(self, value):
        for pv in many:
            await pv.write(float(value))
        return value
pvs |= {"posted": ChannelDouble(value=0.0), "go": Go(value=0), "once": Once(value=0)}
many += [pvs[f"pv:{i}"] for i in range(count)]
async def poster(lib):
    value = 0
    while True:
        await posting.wait()
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
PORTS = {"beamfly": 47310, "uvloop": 47340, "caproto": 47320, "C IOC": 47330}
if find_spec("uvloop") is None:
    del PORTS["uvloop"]


@contextlib.contextmanager
def server(name: str, folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A server in a process of its own; gives its port and the process."""
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
        script = {"beamfly": OURS, "uvloop": ON_UVLOOP, "caproto": CAPROTO}[name]
        command = [sys.executable, "-c", script, str(port), str(COUNT)]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield port, psutil.Process(process.pid)
        finally:
            process.kill()


class Stopwatch:
    """Microseconds per operation: of the clock, and of the server's CPU."""

    def __init__(self, process: psutil.Process) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.process = process

    def used(self) -> float:
        """Seconds of CPU; Linux counts them in nanoseconds, others in ticks."""
        if sys.platform == "linux":
            # what clock_getcpuclockid of libc makes of a process; ended threads count
            return time.clock_gettime(~self.process.pid << 3 | 2)
        times = self.process.cpu_times()
        return times.user + times.system

    async def time(
        self, metric: str, work: Callable[[], Awaitable[object]], count: int
    ) -> None:
        """Do something that consists of so many operations."""
        used, start = self.used(), time.perf_counter()
        await work()
        self.wall[metric] = (time.perf_counter() - start) / count * 1e6
        self.cpu[metric] = (self.used() - used) / count * 1e6

    def repeat(self, metric: str, call: Callable[[], object], times: int) -> None:
        """Do something that blocks, one at a time, in batches of so many."""
        walls: list[float] = []
        cpus: list[float] = []
        for _ in range(BATCHES):
            used, start = self.used(), time.perf_counter()
            for _ in range(times):
                call()
            walls.append((time.perf_counter() - start) / times * 1e6)
            cpus.append((self.used() - used) / times * 1e6)
        self.wall[metric] = statistics.median(walls)
        self.cpu[metric] = statistics.median(cpus)


async def measure(port: int, process: psutil.Process, posts: bool) -> Stopwatch:
    """All figures of one server."""
    config = Config(
        addresses=(("127.0.0.1", port),), auto_addresses=False, repeater_port=port + 1
    )
    names = [f"pv:{index}" for index in range(COUNT)]
    watch = Stopwatch(process)
    async with Client(config) as warm:
        # our client imports numpy when it first reads many, which is not the server's
        await warm.get_many(await warm.connect_many(names, timeout=20))
    async with Client(config) as client:
        channels: list[Channel] = []

        async def connect() -> None:
            channels.extend(await client.connect_many(names, timeout=20))

        await watch.time("connect 1000", connect, COUNT)
        await operations(watch, client, channels)
        await monitors(watch, client, channels, posts)
        if posts:
            await posted(watch, client)
    return watch


async def operations(watch: Stopwatch, client: Client, channels: list[Channel]) -> None:
    """Reading and writing, one at a time and many at once."""
    with Blocking(client.config) as blocking:
        one = blocking.connect(channels[0].name)
        put = partial(one.put, 1.5, wait=True)
        watch.repeat("get", one.get, 200)
        watch.repeat("put+wait", put, 100)
        with one_core(watch.process) as where:
            watch.repeat(f"get{where}", one.get, 200)
            watch.repeat(f"put+wait{where}", put, 100)
    with (
        bare_get(channels[0]) as get,
        one_core(watch.process) as where,
    ):
        watch.repeat(f"bare get{where}", get, 200)

    async def many_gets() -> None:
        for _ in range(20):
            await client.get_many(channels)

    async def many_waits() -> None:
        for value in range(5):
            await client.put_many(channels, [float(value)] * COUNT, wait=True)

    await watch.time("get, 1000 at once", many_gets, 20 * COUNT)
    await watch.time("put+wait, 1000 at once", many_waits, 5 * COUNT)


@contextlib.contextmanager
def one_core(process: psutil.Process) -> Iterator[str]:
    """Server and client have one core between them, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield ""
        return
    cores = os.sched_getaffinity(0)
    tasks = [
        int(task.name)
        for number in (process.pid, os.getpid())
        for task in Path(f"/proc/{number}/task").iterdir()
    ]
    try:
        for task in tasks:
            os.sched_setaffinity(task, {max(cores)})
        yield ", one core"
    finally:
        for task in tasks:
            os.sched_setaffinity(task, cores)


@contextlib.contextmanager
def bare_get(channel: Channel) -> Iterator[Callable[[], bytes]]:
    """Asks for a value with a socket alone, and gives the whole answer as it came."""
    circuit = Circuit(Sender.CLIENT)
    circuit.open()
    circuit.send(CreateChannel(channel.name, 1))
    # the server takes another port when somebody has that of the searches
    host, port = channel.host.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"".join(circuit.output()))
        while not isinstance(created := circuit.next_event(), ChannelCreated):
            if created is None:
                circuit.receive(sock.recv(4096), 0.0)
        request = ReadNotify(Dbr.DOUBLE, 1, created.sid, 1).encode()
        sock.settimeout(None)

        def get() -> bytes:
            sock.send(request)
            return sock.recv(4096)

        assert len(get()) == HEADER_BYTES + 8
        yield get


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


async def monitors(
    watch: Stopwatch, client: Client, channels: list[Channel], posts: bool
) -> None:
    """Puts without waiting and the updates that they cause; 1000 posts by one put."""
    counter = Counter()
    subscriptions = [channel.monitor(counter.note) for channel in channels]
    await counter.reach(COUNT)
    rounds = 20

    async def puts() -> None:
        for value in range(rounds):
            await client.put_many(channels, [float(10 + value)] * COUNT)
            await counter.reach((value + 2) * COUNT)

    await watch.time("put to update", puts, rounds * COUNT)
    if posts:
        once = await client.connect("once")
        seen = counter.seen

        async def posts_once() -> None:
            for value in range(rounds):
                await once.put(100 + value)
                await counter.reach(seen + (value + 1) * COUNT)

        await watch.time("post to update", posts_once, rounds * COUNT)
    for subscription in subscriptions:
        subscription.close()


async def posted(watch: Stopwatch, client: Client) -> None:
    """What the server posts by itself in a second, and what of it arrives."""
    names = [f"pv:{index}" for index in range(COUNT)]
    channels = await client.connect_many(names)
    go, total = await client.connect("go"), await client.connect("posted")
    counter = Counter()
    subscriptions = [channel.monitor(counter.note) for channel in channels]
    await counter.reach(COUNT)
    before, seen = await total.get(), counter.seen
    used, start = watch.used(), time.perf_counter()
    await go.put(1, wait=True)
    await asyncio.sleep(1.0)
    await go.put(0, wait=True)
    await asyncio.sleep(0.1)
    seconds = time.perf_counter() - start - 0.1
    used = watch.used() - used
    posts = (await total.get()) - before
    arrived = counter.seen - seen
    for subscription in subscriptions:
        subscription.close()
    watch.wall["post"] = seconds / posts * 1e6
    watch.wall["of that arrived, %"] = 100 * arrived / posts
    watch.cpu["post"] = used / posts * 1e6


def show(title: str, names: list[str], tables: list[list[dict[str, float]]]) -> None:
    """Print medians, one column per server."""
    print(f"{title:24}", *(f"{name:>10}" for name in names))
    for metric in tables[0][0]:
        cells = [
            f"{statistics.median(row[metric] for row in rows):10.2f}"
            if metric in rows[0]
            else f"{'-':>10}"
            for rows in tables
        ]
        print(f"{metric:24}", *cells)


def compare(ours: list[Stopwatch], theirs: list[Stopwatch]) -> None:
    """Print how many times as fast we are, round by round."""
    print(
        f"{'times as fast as caproto':24}", *(f"{name:>10}" for name in ("wall", "CPU"))
    )
    for metric in ours[0].cpu:
        ratios = [
            [
                b.wall[metric] / a.wall[metric]
                for a, b in zip(ours, theirs, strict=True)
            ],
            [b.cpu[metric] / a.cpu[metric] for a, b in zip(ours, theirs, strict=True)],
        ]
        print(f"{metric:24}", *(f"{statistics.median(each):10.1f}" for each in ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    results: dict[str, list[Stopwatch]] = {name: [] for name in PORTS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, watches in results.items():
                with server(name, Path(folder)) as (port, process):
                    posts = name != "C IOC"
                    watches.append(asyncio.run(measure(port, process, posts)))
    names = [*results]
    walls = [[watch.wall for watch in rows] for rows in results.values()]
    cpus = [[watch.cpu for watch in rows] for rows in results.values()]
    show("wall, us", names, walls)
    show("CPU of the server, us", names, cpus)
    compare(results["beamfly"], results["caproto"])


if __name__ == "__main__":
    main()
