"""Signals of ophyd-async on our Channel Access, and on aioca.

    python benchmarks/ca/devices.py [--rounds 3]

A C IOC serves what is read and written; our server posts updates and serves 40 motor
records, which the C IOC cannot. Each client runs in a process of its own; rounds are
interleaved and medians are printed. `cpu` is processor time of the client's process,
all of its threads included.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

MOTORS = 40
SIGNALS = 1000
UPDATES = 5000
GETS = 2000
CLIENTS = ("aioca", "beamfly")
SERVER = """
import asyncio, sys
from beamfly.ca.config import Config
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.ca.server_asyncio import Server
port, count, updates = map(int, sys.argv[1:])
def motor():
    enums = {"DIR": ("Pos", "Neg"), "FOFF": ("Variable", "Frozen"),
             "SET": ("Use", "Set")}
    ints = ("SREV", "PREC", "DMOV", "HLS", "LLS", "STOP")
    floats = ("RBV", "MRES", "UREV", "ERES", "VELO", "OFF", "VMAX", "ACCL", "RDBD",
              "LLM", "HLM", "DLLM", "DHLM")
    return RecordGroup("motor", {
        "VAL": PV(0.0, units="mm", precision=3), "OUT": "@asyn(SIM)",
        **{name: PV(0, states=states) for name, states in enums.items()},
        **{name: PV(0, type="short") for name in ints},
        **dict.fromkeys(floats, 1.0),
    })
async def main():
    pvs = {f"B:m{n}": motor() for n in range(count)}
    async def post(put):
        put.accept()
        for value in range(1, updates + 1):
            server["B:posted"].post(value)
            if value % 50 == 0:
                await asyncio.sleep(0)
    pvs |= {"B:posted": PV(0), "B:go": PV(0, on_put=post)}
    pvs |= {f"B:s{n}": PV(0.5) for n in range(1000)}
    config = Config(cas_beacon_addresses=(("127.0.0.1", 65500),))
    async with Server(pvs, config=config, port=port) as server:
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
DATABASE = """
record(ao, "B:float") { field(VAL, "1.5") field(PINI, "YES") field(PREC, "3") }
record(mbbo, "B:enum") { field(ZRST, "Aaa") field(ONST, "Bbb") field(PINI, "YES") }
record(waveform, "B:wave") { field(FTVL, "DOUBLE") field(NELM, "2000") }
"""


def free_port() -> int:
    """A TCP and UDP port that nobody uses at this moment."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                if port > 5000:
                    return port


@contextlib.contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Both servers; the environment in which clients find them."""
    ours, theirs = free_port(), free_port()
    env = os.environ | {
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{ours} 127.0.0.1:{theirs}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(free_port()),
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_SERVER_PORT": str(theirs),
    }
    running: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records.db"
        records.write_text(DATABASE)
        commands = (
            ["-c", SERVER, str(ours), str(MOTORS), str(UPDATES)],
            ["-m", "epicscorelibs.ioc", "-d", str(records)],
        )
        try:
            for command in commands:
                running.append(
                    subprocess.Popen(
                        [sys.executable, *command],
                        env=env,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
            for port in (ours, theirs):
                wait_for(port)
            yield env
        finally:
            for process in running:
                process.kill()
                process.wait(10)


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError("a server did not start")


# ---- in the process of a client


async def timed(count: int, work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Microseconds and processor microseconds per operation."""
    start, cpu = time.perf_counter(), time.process_time()
    await work()
    wall = time.perf_counter() - start
    return wall / count * 1e6, (time.process_time() - cpu) / count * 1e6


async def measure(results: dict[str, tuple[float, float]]) -> None:
    """All measurements of one client."""
    import numpy as np
    from ophyd_async.core import Array1D
    from ophyd_async.epics.core import epics_signal_r, epics_signal_rw
    from ophyd_async.epics.motor import Motor

    motors = [Motor(f"B:m{n}", name=f"m{n}") for n in range(MOTORS)]

    async def connect() -> None:
        await asyncio.gather(*(motor.connect(timeout=20) for motor in motors))

    results["connect 40 motors (whole)"] = await timed(1, connect)
    signals = [epics_signal_rw(float, f"B:s{n}") for n in range(SIGNALS)]

    async def connect_signals() -> None:
        await asyncio.gather(*(signal.connect(timeout=20) for signal in signals))

    results["connect 1000 signals (whole)"] = await timed(1, connect_signals)
    number = epics_signal_rw(float, "B:float")
    blind = epics_signal_rw(float, "B:float", wait=False)
    enum = epics_signal_r(str, "B:enum")
    wave = epics_signal_rw(Array1D[np.float64], "B:wave")
    posted = epics_signal_r(int, "B:posted", name="posted")
    go = epics_signal_rw(int, "B:go")
    await asyncio.gather(
        *(one.connect(timeout=20) for one in (number, blind, enum, wave, posted, go))
    )
    data = np.arange(2000.0)
    await wave.set(data)

    def repeat(one: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[None]]:
        async def many() -> None:
            for _ in range(GETS):
                await one()

        return many

    async def together() -> None:
        for _ in range(GETS // 100):
            await asyncio.gather(*(number.get_value() for _ in range(100)))

    async def read_motors() -> None:
        await asyncio.gather(*(motor.read() for motor in motors))

    results["get"] = await timed(GETS, repeat(number.get_value))
    results["get, 100 at once"] = await timed(GETS, together)
    results["get enum"] = await timed(GETS, repeat(enum.get_value))
    results["get 2000 doubles"] = await timed(GETS, repeat(wave.get_value))
    results["read"] = await timed(GETS, repeat(number.read))
    results["describe"] = await timed(GETS, repeat(number.describe))
    results["set, wait"] = await timed(GETS, repeat(lambda: number.set(1.5)))
    results["set, no wait"] = await timed(GETS, repeat(lambda: blind.set(1.5)))
    results["set 2000 doubles, wait"] = await timed(
        GETS, repeat(lambda: wave.set(data))
    )
    results["read 40 motors (whole)"] = await timed(1, read_motors)
    results["update"] = await timed(UPDATES, lambda: updates(posted, go, results))


async def updates(
    posted: Any, go: Any, results: dict[str, tuple[float, float]]
) -> None:
    """Have the server post, and wait for the last update."""
    seen: list[int] = []
    last = asyncio.Event()

    def take(reading: dict[str, Any]) -> None:
        value = reading["posted"]["value"]
        seen.append(value)
        if value == UPDATES:
            last.set()

    posted.subscribe_reading(take)
    await asyncio.sleep(0.1)
    seen.clear()
    last.clear()
    await go.set(1)
    await asyncio.wait_for(last.wait(), 20)
    posted.clear_sub(take)
    results["updates that arrived (count)"] = (float(len(seen)), 0.0)


def client(name: str) -> None:
    """Measure one client and print what came of it as JSON."""
    if name == "beamfly":
        from beamfly.devices import use_native_ca

        use_native_ca()
    results: dict[str, tuple[float, float]] = {}
    asyncio.run(measure(results))
    print(json.dumps(results))


# ---- all of it


def main() -> None:
    """Run all clients in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        client(arguments.client)
        return
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    with servers() as env:
        for _ in range(arguments.rounds):
            for name in CLIENTS:
                output = subprocess.run(
                    [sys.executable, __file__, "--client", name],
                    env=env,
                    stdout=subprocess.PIPE,
                    check=True,
                    timeout=120,
                ).stdout
                for what, pair in json.loads(output.splitlines()[-1]).items():
                    found.setdefault(what, {}).setdefault(name, []).append(pair)
    print(f"{'us per operation':32}{'aioca':>10}{'cpu':>10}{'beamfly':>10}{'cpu':>10}")
    for what, by_client in found.items():
        line = f"{what:32}"
        for name in CLIENTS:
            for column in (0, 1):
                value = statistics.median(pair[column] for pair in by_client[name])
                line += f"{value:10.0f}"
        print(line)


if __name__ == "__main__":
    main()
