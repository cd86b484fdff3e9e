"""`beamfly.epics` and PyEpics against one C IOC, interleaved.

`python -m benchmarks.ca.epics [--rounds N]` prints for each of them wall and CPU ms of
connecting 1000 PVs, and µs of a get that asks the server, a get of the latest update, a
put with wait, and a put without; then how many of 40000 updates callbacks got, and the
CPU µs of each.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ca.clients import Clock
from benchmarks.ca.compare import blast, environment, records, running

CLIENTS = ("beamfly.epics", "pyepics")
NAMES = [f"B:{n}" for n in range(1000)]


def repeated(
    results: dict[str, Any], line: str, call: Callable[[], object], times: int
) -> None:
    call()
    with Clock() as clock:
        for _ in range(times):
            call()
    results[line] = (1e6 * clock.wall / times, 1e6 * clock.cpu / times)


def client(which: str) -> None:
    """All lines in one process, as JSON on the last line."""
    if which == "pyepics":
        import epics
    else:
        import beamfly.epics as epics
    results: dict[str, Any] = {}
    first = epics.PV("B:5000")
    first.wait_for_connection(10)
    with Clock() as clock:
        pvs = [epics.PV(name) for name in NAMES]
        for pv in pvs:
            pv.wait_for_connection(10)
    assert all(pv.connected for pv in pvs)
    results["connect 1000"] = (1e3 * clock.wall, 1e3 * clock.cpu)
    time.sleep(0.5)
    repeated(results, "get from server", lambda: pvs[0].get(use_monitor=False), 1000)
    repeated(results, "get of update", lambda: pvs[0].get(), 5000)
    repeated(results, "put with wait", lambda: pvs[1].put(1.5, wait=True), 500)
    repeated(results, "put", lambda: pvs[2].put(2.5), 2000)
    got = [0]

    def told(value: float, **kw: Any) -> None:
        got[0] += 1

    for pv in pvs:
        pv.add_callback(told)
    time.sleep(0.5)
    got[0] = 0
    print("ready", flush=True)
    with Clock() as clock:
        sys.stdin.readline()
        time.sleep(0.5)
    results["updates"] = (got[0], 1e6 * clock.cpu / max(1, got[0]))
    print(json.dumps(results), flush=True)


def measure(which: str, ioc: Any) -> dict[str, tuple[float, float]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ca.epics", "--client", which],
        env=environment(ioc),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        while process.stdout.readline().strip() != "ready":
            assert process.poll() is None, f"{which} gave up"
        blast(ioc)
        out, _ = process.communicate("\n", timeout=90)
        return json.loads(out.splitlines()[-1])
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client")
    arguments = parser.parse_args()
    if arguments.client:
        client(arguments.client)
        return
    runs: dict[str, list[dict[str, tuple[float, float]]]] = {one: [] for one in CLIENTS}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), records()) as ioc,
    ):
        for _ in range(arguments.rounds):
            for which in CLIENTS:
                runs[which].append(measure(which, ioc))
    for line in runs[CLIENTS[0]][0]:
        print(line)
        for which in CLIENTS:
            wall, cpu = (
                statistics.median(run[line][at] for run in runs[which]) for at in (0, 1)
            )
            print(f"  {which:14s} {wall:10.1f} wall {cpu:10.2f} cpu", flush=True)


if __name__ == "__main__":
    main()
