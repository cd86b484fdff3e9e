"""Times of the scan server and its client, next to those of the Java server.

    python benchmarks/scan/scan_server.py [--data-log FILE] [--server HOST:PORT]

Prints one line per figure: what, measured here, and what the Java server (CS-Studio
5.0.5, warm JVM, two shared cores) needed for the same. PVs are local ones, those of
Channel Access apart, which come from beamfly's own server in another thread. With
`--server` a server that runs already is measured, such as the genuine one, without
Channel Access.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.ca.server_thread import serve_in_thread
from beamfly.devices import ScanServerFlyer
from beamfly.devices.scan_channels import CaChannels
from beamfly.scan import AsyncScanClient, Command, Delay, Log, Loop, Set
from beamfly.scan.config import ScanConfig
from beamfly.scan.server import ScanServer

STEPS = 10_000
REPEATS = 5


async def best(work: Callable[[], Awaitable[float]], repeats: int = REPEATS) -> float:
    """The shortest of several runs, in seconds: other load only ever adds."""
    return min([await work() for _ in range(repeats)])


def report(what: str, seconds: float, java: str) -> None:
    scale, unit = (1e3, "ms") if seconds >= 1e-4 else (1e6, "us")
    print(f"{what:<44} {seconds * scale:9.3f} {unit}   Java: {java}")


class Bench:
    def __init__(self, client: AsyncScanClient):
        self.client = client

    async def run(self, commands: list[Command]) -> tuple[int, float]:
        """Id of the scan, and its run time as the server tells it."""
        scan = await self.client.submit(commands)
        info = await self.client.waitUntilDone(scan)
        return scan, info.runtime / 1000

    async def per_step(self, body: list[Command], **options: bool) -> float:
        loop = Loop("loc://x(0)", 1, STEPS, 1, body, **options)
        _, seconds = await self.run([loop])
        return seconds / STEPS

    async def submit_to_done(self) -> float:
        start = time.perf_counter()
        scan = await self.client.submit([Delay(0)])
        while not (await self.client.scanInfo(scan)).isDone():
            pass
        return time.perf_counter() - start

    async def timed(self, call: Callable[[], Awaitable[object]]) -> float:
        start = time.perf_counter()
        await call()
        return time.perf_counter() - start


async def execution(bench: Bench) -> None:
    """What the engine needs per step of a scan."""
    one = [Log("loc://x(0)")]
    five = [Log(*(f"loc://d{i}(0)" for i in range(5)))]

    async def sets() -> float:
        return (await bench.run([Set("loc://x(0)", i) for i in range(2000)]))[1]

    seconds = await best(lambda: bench.per_step([]))
    report("Loop of Set, per step", seconds, "35 us")
    seconds = await best(lambda: bench.per_step(one))
    report("Loop + Log of 1 PV, per step", seconds, "0.6 ms")
    seconds = await best(lambda: bench.per_step(one, completion=True, readback=True))
    report("  with completion and readback", seconds, "0.8 ms")
    seconds = await best(lambda: bench.per_step(five))
    report("Loop + Log of 5 PVs, per step", seconds, "1.5 ms")
    report("2000 Set commands", await best(sets), "40 ms")
    report(
        "submit to done, one command", await best(bench.submit_to_done, 20), "2-18 ms"
    )


async def questions(bench: Bench) -> None:
    """What a client waits for answers."""
    client = bench.client
    five = Log(*(f"loc://d{i}(0)" for i in range(5)))
    scan, _ = await bench.run([Loop("loc://x(0)", 1, 8000, 1, five)])
    thousand = [Loop("loc://x(0)", 1, 1000, 1, Log("loc://x(0)"))]
    for what, call, repeats, java in (
        ("GET info", lambda: client.scanInfo(scan), 50, "1-2 ms"),
        ("GET last_serial", lambda: client.lastSerial(scan), 50, "3-13 ms"),
        ("40 000 samples fetched and parsed", lambda: client.getData(scan), 5,
         "1500 ms, not parsed"),
        ("  the latest 50 of them (after=)",
         lambda: client.getData(scan, after=7989), 20, "not possible"),
        ("simulate a loop of 1000 steps", lambda: client.simulate(thousand), 10,
         "66 ms"),
    ):  # fmt: skip
        report(what, await best(lambda call=call: bench.timed(call), repeats), java)


async def channel_access(bench: Bench) -> None:
    """What PVs on the network add."""

    async def per_step(body: list[Command], **options: bool) -> float:
        loop = Loop("B:X", 1, 2000, 1, body, **options)
        return (await bench.run([loop]))[1] / 2000

    logs = [Log("B:X"), Log(*(f"B:{i}" for i in range(5)))]
    seconds = await best(lambda: per_step([]))
    report("CA: loop of Set, per step", seconds, "-")
    seconds = await best(lambda: per_step([], completion=True, readback=True))
    report("CA: with completion and readback", seconds, "-")
    for log in logs:
        seconds = await best(lambda log=log: per_step([log]))
        report(f"CA: loop + Log of {len(log.devices)} PV, per step", seconds, "-")


async def flying(port: int) -> None:
    """What a flyer adds, from kickoff to the last row."""
    flyer = ScanServerFlyer("127.0.0.1", port, "scan")
    await flyer.connect()
    await flyer.stage()
    await flyer.prepare([Loop("loc://x(0)", 1, STEPS, 1, Log("loc://x(0)"))])
    start = time.perf_counter()
    await flyer.kickoff()
    await flyer.complete()
    seconds = time.perf_counter() - start
    rows = sum(len(page["time"]) for page in flyer.collect_pages())
    await flyer.unstage()
    report(f"Flyer: {rows} rows, per row", seconds / rows, "-")


async def main(data_log: str) -> None:
    config = ScanConfig(port=0, data_log=data_log)
    pvs = {f"B:{name}": 0.0 for name in ("X", *range(5))}
    with serve_in_thread(pvs, port=0) as ioc:
        found = {
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{ioc.port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
        }
        async with (
            Client(Config.from_environment(found)) as ca,
            ScanServer(config, channels=CaChannels(ca)) as server,
            AsyncScanClient("127.0.0.1", server.port, timeout=60) as client,
        ):
            bench = Bench(client)
            await execution(bench)
            await questions(bench)
            await channel_access(bench)
            await flying(server.port)


async def elsewhere(host: str, port: int) -> None:
    async with AsyncScanClient(host, port, timeout=60) as client:
        bench = Bench(client)
        await execution(bench)
        await questions(bench)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-log", default="")
    parser.add_argument("--server", metavar="HOST:PORT")
    given = parser.parse_args()
    if given.server:
        host, _, port = given.server.partition(":")
        asyncio.run(elsewhere(host, int(port or 4810)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(given.data_log or str(Path(folder) / "log.sqlite")))
