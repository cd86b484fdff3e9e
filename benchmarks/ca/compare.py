"""All clients against one C IOC, interleaved: µs per operation, wall and CPU.

`python -m benchmarks.ca.compare [line ...] [--rounds N]` prints a table with the ratio
of ours to the best peer, and the gate that each ratio must reach. On the line `monitor`
the first column is the number of updates that got through.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from ca.c_ioc import CIoc, running

PEERS = ("aioca", "pyepics", "caproto")
OURS = ("own asyncio", "own blocking", "own caget")
GATES: dict[str, dict[str, tuple[float, float]]] = {
    "connect_1": {"own asyncio": (2.0, 1.3)},
    "connect_1000": {"own asyncio": (6.0, 3.0)},
    "connect_10000": {"own asyncio": (3.0, 3.0)},
    "get": {"own asyncio": (1.3, 2.0), "own blocking": (1.6, 3.0)},
    "get_many": {"own asyncio": (2.0, 5.0), "own blocking": (2.5, 5.0)},
    "put_wait": {"own asyncio": (1.2, 1.5), "own blocking": (1.2, 1.6)},
    "put_wait_many": {"own asyncio": (1.3, 3.5)},
    "put": {"own asyncio": (5.0, 7.0), "own blocking": (1.0, 0.0)},
    "monitor": {"own asyncio": (0.0, 20.0)},
    "array_get_1e3": {"own asyncio": (1.1, 2.0)},
    "array_get_1e5": {"own asyncio": (0.85, 1.6), "own blocking": (1.0, 1.8)},
    "array_get_1e6": {"own asyncio": (0.85, 1.2)},
    "array_put_1e5": {"own asyncio": (1.3, 1.8)},
    "array_put_1e6": {"own asyncio": (1.0, 1.2)},
}
"""Line -> client of ours -> least ratio of wall and of CPU to the best peer."""


def records() -> str:
    """Scalars B:0 ... and waveforms B:W1000 ..."""
    lines = [f'record(ao, "B:{n}") {{}}' for n in range(10_000)]
    for size in (1000, 100_000, 1_000_000):
        field = f'field(FTVL, "DOUBLE") field(NELM, "{size}")'
        lines.append(f'record(waveform, "B:W{size}") {{ {field} }}')
    return "\n".join(lines)


def environment(ioc: CIoc) -> dict[str, str]:
    extra = {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return {
        **os.environ,
        **ioc.environment,
        **extra,
        "EPICS_CA_MAX_ARRAY_BYTES": "10000000",
    }


def measure(client: str, line: str, ioc: CIoc) -> tuple[float, float] | None:
    """Wall and CPU of one client, None if it gave up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ca.clients", client, line],
        env=environment(ioc),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        if line == "monitor":
            while process.stdout.readline().strip() != "ready":
                if process.poll() is not None:
                    return None
            blast(ioc)
            process.stdin.write("\n")
            process.stdin.flush()
        out, _ = process.communicate(timeout=90)
        wall, cpu, operations = json.loads(out.splitlines()[-1])
        # the wall time of a monitor is that of the blast: show how many got through
        return (operations if line == "monitor" else wall), cpu
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return None
    finally:
        process.kill()
        process.wait()


def blast(ioc: CIoc) -> None:
    """Change every scalar many times, from another process."""
    code = (
        "from beamfly.ca.blocking import Client\n"
        "import time\n"
        "with Client() as c:\n"
        "    pvs = c.connect_many([f'B:{n}' for n in range(1000)])\n"
        "    for k in range(1, 41):\n"
        "        c.put_many(pvs, [k + time.time()] * 1000)\n"
        "        time.sleep(0.02)\n"
        "    pvs[-1].get()\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(ioc), check=True)


def show(line: str, results: dict[str, list[tuple[float, float]]]) -> bool:
    """One line of the table; False if a gate is missed."""
    medians: dict[str, tuple[float, float]] = {
        client: (
            statistics.median(wall for wall, _ in rows),
            statistics.median(cpu for _, cpu in rows),
        )
        for client, rows in results.items()
        if rows
    }
    peers = [medians[peer] for peer in PEERS if peer in medians]
    best_wall, best_cpu = (min(column) for column in zip(*peers, strict=True))
    print(f"\n{line}")
    passed = True
    for client, (wall, cpu) in medians.items():
        text = f"  {client:13s} {wall:10.2f} wall {cpu:10.3f} cpu"
        if client in OURS:
            ratios = best_wall / wall, best_cpu / cpu
            text += f"   x{ratios[0]:6.2f} x{ratios[1]:6.2f}"
            gate: Any = GATES.get(line, {}).get(client)
            if gate is not None:
                good = ratios[0] >= gate[0] and ratios[1] >= gate[1]
                passed &= good
                text += f"   gate {gate[0]} {gate[1]} {'ok' if good else 'MISSED'}"
        print(text, flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="*", default=list(GATES))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    passed = True
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), records()) as ioc,
    ):
        for line in arguments.lines or list(GATES):
            results: dict[str, list[tuple[float, float]]] = {}
            for _ in range(arguments.rounds):
                for client in (*OURS, *PEERS):
                    one = measure(client, line, ioc)
                    if one is not None:
                        results.setdefault(client, []).append(one)
            passed &= show(line, results)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
