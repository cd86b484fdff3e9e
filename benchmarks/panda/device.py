"""How fast the PandA device is: connecting, signals, monitors, short and long flights.

    python benchmarks/panda/device.py [--rounds 5]

The simulated PandA is in another process. Short flights are compared with ophyd-async's
own simulated detector under the same plan, in turns; the long one shows for how long
the RunEngine's event loop was away at most while rows came in.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.run_engine import RunEngine
from ophyd_async.core import (
    DetectorTrigger,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
    walk_devices,
)
from ophyd_async.sim import SimBlobDetector

from beamfly.devices import HDFPanda
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import Put
from beamfly.panda.simulator.server import serve_in_thread
from beamfly.plans import fly

HOST = "127.0.0.1"
FRAMES = 10
LIVETIME = 1e-3


def serve(ports: Any) -> None:
    """A simulated PandA until the process is ended."""
    with serve_in_thread() as sim:
        ports.send((sim.control_port, sim.data_port))
        threading.Event().wait()


def median(values: list[float], unit: float = 1.0) -> float:
    return statistics.median(values) * unit


def say(what: str, value: str) -> None:
    print(f"{what:<52} {value}")
    sys.stdout.flush()


class Bench:
    def __init__(self, ports: tuple[int, int], folder: Path, rounds: int) -> None:
        self.ports = ports
        self.folder = folder
        self.rounds = rounds
        self.engine = RunEngine({})
        self.panda: HDFPanda = self.device()

    def device(self) -> HDFPanda:
        control, data = self.ports
        where = StaticPathProvider(UUIDFilenameProvider(), self.folder)
        return HDFPanda(f"{HOST}:{control}", where, "panda", data_port=data)

    def run(self, coroutine: Any) -> Any:
        loop = self.engine.loop
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(120)

    def connect(self) -> None:
        async def once() -> float:
            device = self.device()
            begin = time.perf_counter()
            await device.connect()
            took = time.perf_counter() - begin
            await device.disconnect()
            return took

        took = [self.run(once()) for _ in range(self.rounds)]
        self.run(self.panda.connect())
        count = len(walk_devices(self.panda))
        say(f"connect, {count} devices and signals", f"{median(took, 1e3):.0f} ms")

    def signals(self, count: int = 2000) -> None:
        width = self.panda.pulse[1].width

        async def gets() -> float:
            begin = time.perf_counter()
            for _ in range(count):
                await width.get_value()
            return count / (time.perf_counter() - begin)

        async def sets() -> float:
            begin = time.perf_counter()
            for index in range(count):
                await width.set(index * 1e-6)
            return count / (time.perf_counter() - begin)

        async def gathered() -> float:
            begin = time.perf_counter()
            await asyncio.gather(*(width.get_value() for _ in range(count)))
            return count / (time.perf_counter() - begin)

        for name, what in (
            ("get_value, one after the other", gets),
            ("set, one after the other", sets),
            ("get_value, all at once", gathered),
        ):
            rates = [self.run(what()) for _ in range(self.rounds)]
            say(name, f"{median(rates):.0f} /s")

    def monitors(self, count: int = 20) -> None:
        width = self.panda.pulse[2].width
        with BlockingClient(HOST, self.ports[0]) as other:

            async def latency(write: Callable[[int], Any], pause: float) -> float:
                seen: asyncio.Queue[float] = asyncio.Queue()
                width.subscribe_reading(lambda r: seen.put_nowait(r))
                await seen.get()
                took = []
                for index in range(count):
                    await asyncio.sleep(pause)
                    begin = time.perf_counter()
                    await write(index)
                    await asyncio.wait_for(seen.get(), 5)
                    took.append(time.perf_counter() - begin)
                for listener in list(width._cache._listeners):  # noqa: SLF001
                    width.clear_sub(listener)
                return median(took, 1e3)

            async def own(index: int) -> None:
                await width.set((index + 1) * 1e-6)

            async def foreign(index: int) -> None:
                put = Put("PULSE2.WIDTH", (index + 1) * 2e-6)
                await asyncio.to_thread(other.send, put)

            mine = self.run(latency(own, 0.0))
            idle = self.run(latency(foreign, 1.2 / count))
            say("monitor of what was written here", f"{mine:.2f} ms")
            say("monitor of what somebody else wrote, after a write", f"{idle:.1f} ms")

    def wire(self, period: float) -> None:
        with BlockingClient(HOST, self.ports[0]) as client:
            client.send(
                [
                    Put(field, value)
                    for field, value in {
                        "*CAPTURE": "",
                        "PCAP.ENABLE": "ONE",
                        "PCAP.GATE": "ONE",
                        "PCAP.TRIG": "CLOCK1.OUT",
                        "CLOCK1.ENABLE": "ONE",
                        "CLOCK1.PERIOD": period,
                        "COUNTER1.ENABLE": "ONE",
                        "COUNTER1.TRIG": "CLOCK1.OUT",
                        "COUNTER1.OUT.CAPTURE": "Value",
                        "PCAP.TS_TRIG.CAPTURE": "Value",
                    }.items()
                ]
            )

    def flight(self, detector: Any, trigger: DetectorTrigger) -> Any:
        """The messages that a flight cannot do without, the same for both."""
        info = TriggerInfo(trigger=trigger, number_of_events=FRAMES, livetime=LIVETIME)
        yield from bps.stage(detector, wait=True)
        yield from bps.open_run()
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.declare_stream(detector, name="primary", collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing(
            [detector], [detector], flush_period=0.5, stream_name="primary"
        )
        yield from bps.unstage(detector, wait=True)
        yield from bps.close_run()

    def flights(self, count: int = 10) -> None:
        where = StaticPathProvider(UUIDFilenameProvider(), self.folder)
        with init_devices():
            blob = SimBlobDetector(where)
        # ten frames in ten milliseconds: what is left is what a flight costs
        self.wire(LIVETIME)
        cases = {
            f"flight of {FRAMES} frames, ophyd-async's simulated detector": lambda: (
                self.flight(blob, DetectorTrigger.INTERNAL)
            ),
            f"flight of {FRAMES} frames, PandA, the same plan": lambda: self.flight(
                self.panda, DetectorTrigger.EXTERNAL_LEVEL
            ),
            f"flight of {FRAMES} frames, PandA, fly": lambda: fly(
                self.panda, num=FRAMES
            ),
        }
        took: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(self.rounds):
            for name, plan in cases.items():
                for _ in range(count):
                    begin = time.perf_counter()
                    self.engine(plan())
                    took[name].append(time.perf_counter() - begin)
        for name, values in took.items():
            say(name, f"{median(values, 1e3):.0f} ms")

    def stalls(self, rate: float = 20000.0, seconds: float = 3.0) -> None:
        self.wire(1 / rate)
        gaps: list[float] = []

        async def heart() -> None:
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.005)
                now = time.perf_counter()
                gaps.append(now - last - 0.005)
                last = now

        beating = asyncio.run_coroutine_threadsafe(heart(), self.engine.loop)
        self.engine(fly(self.panda, num=int(rate * seconds), on_missed="fail"))
        beating.cancel()
        report = self.panda.report.last
        say(
            f"{report.written} frames at {report.rate:.0f} Hz, {report.lost} missing",
            f"event loop away {max(gaps) * 1e3:.1f} ms at most",
        )

    def close(self) -> None:
        self.run(self.panda.disconnect())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(sender,), daemon=True)
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(receiver.recv(), Path(folder), rounds)
            bench.connect()
            bench.signals()
            bench.monitors()
            bench.flights()
            bench.stalls()
            bench.close()
    finally:
        server.kill()
        server.join()


if __name__ == "__main__":
    main()
