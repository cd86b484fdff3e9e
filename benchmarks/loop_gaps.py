"""For how long a RunEngine's loop is away in a flight: 40 fields at 10 kHz.

    python benchmarks/loop_gaps.py [--seconds 5] [--rounds 3] [--rate 10000] [CASE ...]

Devices live in that loop, so what holds it up delays them. The simulated PandA is in
another process. Cases take turns. `gap` is the longest time that the loop was away in
a flight (median of the rounds), `longest` that of all rounds, 99 % of beats were away
for less than that; `at the end` the same for the time after the run's stop document;
`cpu` that of this process, in cores. A case is a function that subscribes something
and gives back what ends it. On a machine that is busy with other things, put
`chrt -f 5` in front, as its scheduler else adds tens of milliseconds.
"""

import argparse
import asyncio
import io
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bluesky.run_engine import RunEngine
from ophyd_async.core import init_devices

from beamfly.catalog import make_db
from beamfly.devices import HDFPanda
from beamfly.live import LiveFlight, StreamEvents
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import Put
from beamfly.panda.simulator.server import serve_in_thread
from beamfly.plans import fly

BEAT = 0.002
"""Seconds between two beats of the loop."""
POSITIONS = [f"COUNTER{n}.OUT" for n in range(1, 9)]
POSITIONS += [f"INENC{n}.VAL" for n in range(1, 5)]
SINGLE = ("TS_START", "TS_TRIG", "TS_END", "GATE_DURATION")
"""Of PCAP; 12 positions with three columns each, and these, are 40."""

End = Callable[[], None]


class Terminal(io.StringIO):
    """Standard output that says that it is a terminal, and forgets what it shows."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def nothing(engine: RunEngine, folder: Path) -> End:
    return lambda: None


def catalog(engine: RunEngine, folder: Path) -> End:
    token = engine.subscribe(make_db(folder / "catalog").insert)
    return lambda: engine.unsubscribe(token)


def followed(engine: RunEngine, folder: Path, live: Any) -> End:
    """With the catalog, as in a session."""
    stored, token = catalog(engine, folder), engine.subscribe(live)

    def end() -> None:
        engine.unsubscribe(token)
        stored()
        live.wait()

    return end


def line(engine: RunEngine, folder: Path) -> End:
    return followed(engine, folder, LiveFlight(plot=False, table=False))


def table(engine: RunEngine, folder: Path) -> End:
    return followed(engine, folder, LiveFlight(plot=False, table=True))


def plot(engine: RunEngine, folder: Path) -> End:
    return followed(engine, folder, LiveFlight(picture=folder / "live.png"))


def slow_callback(engine: RunEngine, folder: Path) -> End:
    """A callback that takes 50 ms for each event, such as one that draws."""
    feed = StreamEvents(lambda name, doc: name == "event" and time.sleep(0.05))
    return followed(engine, folder, feed)


def tiled(engine: RunEngine, folder: Path) -> End:
    """With the catalog, and a process that writes all of it into Tiled."""
    from beamfly.tiled import TiledFollower, TiledStore

    # files of other cases' runs are gone by now
    directory = folder / "tiled"
    stored = catalog(engine, directory)
    store = TiledStore(directory / "catalog")
    if not store.server_file.exists():
        store.create(data=[folder])
    follower = TiledFollower(store.directory)
    follower.wait(120)

    def end() -> None:
        stored()
        follower.wait(120)
        follower.close()

    return end


CASES: dict[str, Callable[[RunEngine, Path], End]] = {
    "none": nothing,
    "catalog": catalog,
    "live line": line,
    "live line and table": table,
    "live line, table and plot": plot,
    "events to a slow callback": slow_callback,
    "tiled": tiled,
}
"""What is on -> how it is switched on."""


@dataclass
class Result:
    """What was measured of one case."""

    flying: list[float] = field(default_factory=list)
    ending: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    lost: int = 0


def serve(ports: Any) -> None:
    """A simulated PandA until the process is ended."""
    with serve_in_thread() as sim:
        ports.send((sim.control_port, sim.data_port))
        threading.Event().wait()


def wire(port: int, rate: float) -> None:
    settings: dict[str, Any] = {
        "*CAPTURE": "",
        "PCAP.ENABLE": "ONE",
        "PCAP.GATE": "ONE",
        "PCAP.TRIG": "CLOCK1.OUT",
        "CLOCK1.ENABLE": "ONE",
        "CLOCK1.PERIOD": 1 / rate,
        "COUNTER1.ENABLE": "ONE",
        "COUNTER1.TRIG": "CLOCK1.OUT",
    }
    settings |= {f"{name}.CAPTURE": "Min Max Mean" for name in POSITIONS}
    settings |= {f"PCAP.{name}.CAPTURE": "Value" for name in SINGLE}
    with BlockingClient("127.0.0.1", port) as client:
        client.send([Put(name, value) for name, value in settings.items()])


def flight(engine: RunEngine, panda: Any, rows: int, result: Result) -> None:
    beats: list[tuple[float, float]] = []
    stopped = [float("inf")]

    async def heart() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            beats.append((last, now - last - BEAT))
            last = now

    def note(name: str, doc: Any) -> None:
        stopped[0] = time.perf_counter()

    token = engine.subscribe(note, "stop")
    beating = asyncio.run_coroutine_threadsafe(heart(), engine.loop)
    begun, cpu = time.perf_counter(), time.process_time()
    engine(fly(panda, num=rows, on_missed="warn"))
    time.sleep(2 * BEAT)
    result.cpu.append((time.process_time() - cpu) / (time.perf_counter() - begun))
    beating.cancel()
    engine.unsubscribe(token)
    for when, gap in beats:
        last = when + gap + BEAT > stopped[0]
        (result.ending if last else result.flying).append(gap)
    result.lost += panda.report.last.lost


def measure(ports: tuple[int, int], arguments: Any, folder: Path) -> None:
    wire(ports[0], arguments.rate)
    engine = RunEngine({})
    with init_devices():
        panda = HDFPanda(f"127.0.0.1:{ports[0]}", folder, data_port=ports[1])
    rows = int(arguments.rate * arguments.seconds)
    names = arguments.cases or list(CASES)
    rounds: dict[str, list[Result]] = {name: [] for name in names}
    shown = sys.stdout
    for number in range(arguments.rounds + 1):
        for name in names:
            result = Result()
            sys.stdout = Terminal()
            end = CASES[name](engine, folder)
            try:
                flight(engine, panda, rows, result)
            finally:
                end()
                sys.stdout = shown
            if number:  # the first round imports what there is to import
                rounds[name].append(result)
            for file in folder.glob("*.h5"):
                file.unlink()
    fields = 3 * len(POSITIONS) + len(SINGLE)
    print(f"{fields} fields, {arguments.rate:.0f} Hz, {arguments.seconds:g} s")
    print(f"{'':28}   gap ms  longest      99 %  at the end   cpu  lost")
    for name, results in rounds.items():
        print(f"{name:28}{row(results)}")
    asyncio.run_coroutine_threadsafe(panda.disconnect(), engine.loop).result(30)


def row(results: list[Result]) -> str:
    gaps = [max(result.flying) * 1e3 for result in results]
    most = statistics.quantiles([g for r in results for g in r.flying], n=100)[-1]
    ends = statistics.median(max(result.ending, default=0.0) for result in results)
    cpu = statistics.median(result.cpu[0] for result in results)
    return (
        f"{statistics.median(gaps):9.1f}{max(gaps):9.1f}{most * 1e3:10.1f}"
        f"{ends * 1e3:12.1f}{cpu:6.2f}{sum(result.lost for result in results):6}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1e4)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(sender,), daemon=True)
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(receiver.recv(), arguments, Path(folder))
    finally:
        server.kill()
        server.join()


if __name__ == "__main__":
    main()
