"""Signals of ophyd-async on our Channel Access, and on aioca.

    python benchmarks/ca/devices.py [--rounds 3]

A C IOC serves what is read and written; our server posts updates and serves 40 motor
records, which the C IOC cannot. "c" and "own" say whose signals are connected.

Each client runs in a process of its own; rounds are interleaved and medians are
printed. `cpu` is processor time of the client's process, all of its threads included.
`own motors` are those of `beamfly.devices`, which connect the fields that they use and
any other on demand; the others are those of ophyd-async. What a client has imported is
left out of Python's search for garbage, as in a session of beamfly: that takes 50 ms,
which would land in one line or another.
"""

import argparse
import asyncio
import contextlib
import gc
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
OWN = "own motors"
CLIENTS = ("aioca", "beamfly", OWN)
SERVER = """
import asyncio, sys
from beamfly.ca.config import Config
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
from beamfly.sim.ioc.motor_fields import MotorSettings, motor_record
port, count, updates = map(int, sys.argv[1:])
def motor():
    return motor_record(MotorSettings(), 1e-4)
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
""" + "".join(
    f'record(ao, "B:{kind}{number}") {{ field(VAL, "0.5") field(PINI, "YES") }}\n'
    for kind in "cd"
    for number in range(SIGNALS)
)


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
    from ophyd_async.core import Array1D, Device
    from ophyd_async.epics.core import epics_signal_r, epics_signal_rw
    from ophyd_async.epics.motor import Motor

    gc.freeze()
    motors = [Motor(f"B:m{n}", name=f"m{n}") for n in range(MOTORS)]

    results["connect 40 motors (whole)"] = await timed(
        1, lambda: asyncio.gather(*(motor.connect(timeout=20) for motor in motors))
    )
    results["channels of 40 motors (count)"] = channels(), 0.0
    for kind, whose in (("c", "c"), ("s", "own")):
        signals = [epics_signal_rw(float, f"B:{kind}{n}") for n in range(SIGNALS)]
        results[f"connect 1000 signals, {whose} (whole)"] = await timed(
            1,
            lambda signals=signals: asyncio.gather(
                *(signal.connect(timeout=20) for signal in signals)
            ),
        )
    device = Device(name="device")
    for n in range(SIGNALS):
        setattr(device, f"s{n}", epics_signal_rw(float, f"B:d{n}"))
    results["connect a device of 1000, c (whole)"] = await timed(
        1, lambda: device.connect(timeout=20)
    )
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
    results["read 40 motors (whole)"] = await timed(
        1, lambda: asyncio.gather(*(motor.read() for motor in motors))
    )
    results["update"] = await timed(UPDATES, lambda: updates(posted, go, results))
    await measure_fields(results)


async def measure_fields(results: dict[str, tuple[float, float]]) -> None:
    """Every field of every motor: a signal for each, then all of them read once."""
    from ophyd_async.epics.core import epics_signal_r

    from beamfly.devices.record_names import ALIASES

    before = channels()
    signals: list[Any] = [
        epics_signal_r(None, f"B:m{n}.{field}")  # type: ignore[arg-type]
        for n in range(MOTORS)
        for field in ALIASES["motor"].values()
    ]

    async def connect() -> None:
        await asyncio.gather(*(signal.connect(timeout=60) for signal in signals))

    async def read() -> None:
        await asyncio.gather(*(signal.get_value() for signal in signals))

    results["connect all fields of them (whole)"] = await timed(1, connect)
    results["further channels (count)"] = channels() - before, 0.0
    results["read all fields of them (whole)"] = await timed(1, read)


async def measure_own(results: dict[str, tuple[float, float]]) -> None:
    """The motors of beamfly, which connect what they use and the rest on demand."""
    from beamfly.devices import Motor

    gc.freeze()
    motors = [Motor(f"B:m{n}", name=f"m{n}") for n in range(MOTORS)]

    async def connect() -> None:
        await asyncio.gather(*(motor.connect(timeout=20) for motor in motors))

    async def read() -> None:
        await asyncio.gather(*(motor.read_fields() for motor in motors))

    results["connect 40 motors (whole)"] = await timed(1, connect)
    results["channels of 40 motors (count)"] = channels(), 0.0
    results["read all fields of them (whole)"] = await timed(1, read)
    results["read all fields again (whole)"] = await timed(1, read)


def channels() -> float:
    """How many channels this process has open."""
    if "aioca" in sys.modules and not native():
        import aioca

        return float(len(aioca.get_channel_infos()))
    from beamfly.ca.default_client import get_client

    return float(len(get_client().core.channels))


def native() -> bool:
    """Whether beamfly speaks for ophyd-async here."""
    from beamfly.devices import native_ca_in_use

    return native_ca_in_use()


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
    if name != "aioca":
        from beamfly.devices import use_native_ca

        use_native_ca()
    results: dict[str, tuple[float, float]] = {}
    asyncio.run(measure_own(results) if name == OWN else measure(results))
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
    heads = "".join(f"{name:>12}{'cpu':>9}" for name in CLIENTS)
    print(f"{'us per operation':36}{heads}")
    for what, by_client in found.items():
        line = f"{what:36}"
        for name in CLIENTS:
            pairs = by_client.get(name)
            for width, column in ((12, 0), (9, 1)):
                text = ""
                if pairs:
                    text = f"{statistics.median(pair[column] for pair in pairs):.0f}"
                line += f"{text:>{width}}"
        print(line)


if __name__ == "__main__":
    main()
