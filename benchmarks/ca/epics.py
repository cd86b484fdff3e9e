"""`beamfly.epics` and PyEpics against the same servers, interleaved.

    python -m benchmarks.ca.epics [--rounds N] [--lines WORD ...]

prints wall and CPU time of both, medians of the rounds, and how many times ours is
faster. Everything but `callback` is asked of a C IOC; callbacks are for updates that a
server repeats as fast as the client takes them, so that the wall time says how many
callbacks a second can be.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.ca.compare import environment, records, replaying, running
from benchmarks.ca.operations import Clock

CLIENTS = {"beamfly": "beamfly.epics", "pyepics": "epics"}
MANY = 1000
UPDATES = 100_000
UNITS = {"import": "ms", "script": "ms", "connect": "ms"}
"""By the first word of a line; all others are µs."""
START = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {module} as epics
{more}
print(1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu))
"""
Pair = tuple[float, float]


def command(*arguments: str) -> list[str]:
    """Python with equal chances: libca takes real-time priority where root may."""
    equal: list[str] = []
    if os.geteuid() == 0 and shutil.which("setpriv"):
        equal = ["setpriv", "--bounding-set=-sys_nice"]
    return [*equal, sys.executable, *arguments]


def started(client: str, more: str) -> Pair:
    """Milliseconds that a fresh process needs for the import, and for more."""
    code = START.format(module=CLIENTS[client], more=more)
    out = subprocess.run(
        command("-c", code), capture_output=True, text=True, check=True
    ).stdout
    wall, cpu = out.split()
    return float(wall), float(cpu)


class Lines:
    """What is measured in one process, by name."""

    def __init__(self, epics: Any, words: list[str]) -> None:
        self.epics = epics
        self.words = words
        self.results: dict[str, Pair] = {}

    def wanted(self, line: str) -> bool:
        """Whether a line is to be measured."""
        return not self.words or any(word in line for word in self.words)

    def once(self, line: str, call: Callable[[], object], scale: float) -> None:
        """Measure one call; the time is multiplied by `scale`."""
        with Clock() as clock:
            call()
        self.results[line] = (scale * clock.wall, scale * clock.cpu)

    def repeat(self, line: str, call: Callable[[], object], times: int) -> None:
        """Measure microseconds of a call."""
        if not self.wanted(line):
            return
        call()

        def all_of_them() -> None:
            for _ in range(times):
                call()

        self.once(line, all_of_them, 1e6 / times)

    def connect(self) -> list[Any]:
        """Connect one after the other, and many at once."""
        epics = self.epics
        # the first one starts threads and looks for the server
        assert epics.PV("B:5000").wait_for_connection(20)

        def one_by_one() -> None:
            for number in range(100):
                assert epics.PV(f"B:{6000 + number}").wait_for_connection(20)

        if self.wanted("connect 1"):
            self.once("connect 1", one_by_one, 1e3 / 100)
        pvs: list[Any] = []

        def together() -> None:
            pvs.extend(epics.PV(f"B:{number}") for number in range(MANY))
            for pv in pvs:
                assert pv.wait_for_connection(20)

        self.once(f"connect {MANY}", together, 1e3)
        while any(pv.get() is None for pv in pvs):
            time.sleep(0.05)
        time.sleep(0.3)
        return pvs

    def transfer(self, pv: Any) -> None:
        """Gets and puts, of objects, functions and devices."""
        epics = self.epics
        device = epics.Device("B:", ["7", "8"])
        array = epics.PV("B:W100000", auto_monitor=False)
        assert array.wait_for_connection(20) and device.PV("7").wait_for_connection(20)
        epics.caget("B:9")
        names = [f"B:{number}" for number in range(100)]
        epics.caget_many(names)
        self.repeat("get, cached", pv.get, 20_000)
        self.repeat("get from server", lambda: pv.get(use_monitor=False), 1000)
        self.repeat("get with metadata", lambda: pv.get_with_metadata(), 5000)
        self.repeat("get as text", lambda: pv.get(as_string=True), 5000)
        self.repeat("caget, cached", lambda: epics.caget("B:9"), 5000)
        self.repeat("caget_many, 100", lambda: epics.caget_many(names), 20)
        self.repeat("device.attribute", lambda: device.get("7"), 5000)
        self.repeat("get 100000 doubles", array.get, 100)
        self.repeat("put", lambda: pv.put(2.5), 3000)
        self.repeat("put with wait", lambda: pv.put(1.5, wait=True), 1000)
        self.repeat("caput", lambda: epics.caput("B:9", 2.5), 3000)
        time.sleep(0.2)

    def callbacks(self) -> None:
        """As many callbacks as there can be."""
        import socket

        got = [0]

        def told(value: float, **keywords: Any) -> None:
            got[0] += 1

        pvs = [self.epics.PV(f"P:{number}") for number in range(MANY)]
        for pv in pvs:
            assert pv.wait_for_connection(20)
        for pv in pvs:
            pv.add_callback(told)
        while any(pv.get() is None for pv in pvs):
            time.sleep(0.05)
        time.sleep(0.3)
        got[0] = 0

        def replayed() -> None:
            port = int(os.environ["REPLAY_PORT"])
            with socket.create_connection(("127.0.0.1", port)) as control:
                control.sendall(f"{UPDATES} 0\n".encode())
                sent = int(float(control.makefile().readline().split()[0]))
                while got[0] < sent:
                    time.sleep(0.002)

        self.once("callback", replayed, 1e6 / UPDATES)


def client(which: str, words: list[str]) -> None:
    """All lines in one process, as JSON on the last line."""
    if which == "pyepics":
        import epics
    else:
        import beamfly.epics as epics
    # PyEpics has it from the start, we when it is first needed
    import_module("numpy")
    lines = Lines(epics, words)
    pvs = lines.connect()
    lines.transfer(pvs[0])
    if lines.wanted("callback"):
        lines.callbacks()
    print(json.dumps(lines.results), flush=True)


def measure(which: str, words: list[str], variables: dict[str, str]) -> dict[str, Pair]:
    """All lines of a client."""
    os.environ.update(variables)
    results: dict[str, Pair] = {}
    if not words or "import" in words:
        results["import"] = started(which, "")
    if not words or "script" in words:
        results["script: caget, exit"] = started(
            which, "assert epics.caget('B:1') == 0"
        )
    out = subprocess.run(
        command("-m", "benchmarks.ca.epics", "--client", which)
        + (["--lines", *words] if words else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=90,
        cwd=Path(__file__).parents[2],
    ).stdout
    return results | json.loads(out.splitlines()[-1])


def show(runs: dict[str, list[dict[str, Pair]]]) -> None:
    """The table."""
    print(f"{'':22s} {'beamfly.epics':>21s} {'pyepics':>21s} {'times faster':>15s}")
    print(
        f"{'':22s}" + 2 * f" {'wall':>10s} {'cpu':>10s}" + f" {'wall':>8s} {'cpu':>6s}"
    )
    for line in runs["beamfly"][0]:
        unit = UNITS.get(line.split()[0].strip(":"), "µs")
        ours, theirs = (
            [statistics.median(run[line][at] for run in runs[which]) for at in (0, 1)]
            for which in CLIENTS
        )
        ratios = [b / max(a, 1e-9) for a, b in zip(ours, theirs, strict=True)]
        cells = "".join(f" {value:10.1f}" for value in (*ours, *theirs))
        print(f"{line:18s} {unit:3s}{cells} {ratios[0]:8.2f} {ratios[1]:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", nargs="*", default=[])
    parser.add_argument("--client")
    arguments = parser.parse_args()
    if arguments.client:
        client(arguments.client, arguments.lines)
        return
    runs: dict[str, list[dict[str, Pair]]] = {which: [] for which in CLIENTS}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), records()) as ioc,
        replaying(ioc) as variables,
    ):
        variables = {**environment(ioc), **variables}
        for _ in range(arguments.rounds):
            for which in CLIENTS:
                runs[which].append(measure(which, arguments.lines, variables))
    show(runs)


if __name__ == "__main__":
    main()
