"""All clients against one C IOC, interleaved: µs per operation, wall and CPU.

    python -m benchmarks.ca.compare [line ...] [--rounds N] [--clients name ...]

prints a table with the ratios of ours to the best peer, and the gate that each ratio
must reach (those of SHOWN are only shown). Peers that are not installed are left out.
Lines `updates_*`, `rate_*` and `array_monitor_*` use the server of `replay`, the same
for all; `flood_*` shows median and 99th percentile of a get, µs; `memory_10000` kB per
channel and MB in all. What starts a process is measured by `startup`.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ca.clients import OURS
from benchmarks.ca.peers import PEERS

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from ca.c_ioc import CIoc, free_port, running

Pair = tuple[float, float]
GATES: dict[str, dict[str, Pair]] = {
    "connect_1": {"own asyncio": (2.0, 1.3)},
    "connect_1000": {"own asyncio": (6.0, 3.0)},
    "connect_10000": {"own asyncio": (3.0, 3.0)},
    "get": {
        "own asyncio": (1.3, 2.0),
        "own uvloop": (1.6, 2.5),
        "own blocking": (1.6, 3.0),
    },
    "get_many": {"own asyncio": (2.0, 5.0), "own blocking": (2.5, 5.0)},
    "put_wait": {"own asyncio": (1.2, 1.5), "own blocking": (1.2, 1.6)},
    "put_wait_many": {"own asyncio": (1.3, 3.5)},
    "put": {"own asyncio": (5.0, 7.0), "own blocking": (1.0, 0.0)},
    "put_many": {"own asyncio": (5.0, 7.0), "own blocking": (5.0, 7.0)},
    "updates_uniform": {"own asyncio": (40.0, 45.0), "own uvloop": (40.0, 45.0)},
    "updates_mixed": {"own asyncio": (20.0, 20.0)},
    "rate_200000": {},
    "flood_50000": {},
    "array_get_1e3": {"own asyncio": (1.1, 2.0)},
    "array_get_1e5": {"own asyncio": (0.85, 1.6), "own blocking": (1.0, 1.8)},
    "array_get_1e6": {"own asyncio": (0.85, 1.2)},
    "array_put_1e5": {"own asyncio": (1.3, 1.8)},
    "array_put_1e6": {"own asyncio": (1.0, 1.2)},
    "array_monitor_1e5": {"own asyncio": (0.85, 2.0)},
    "array_monitor_1e6": {"own asyncio": (0.85, 1.5)},
    "memory_10000": {},
}
"""Line -> client of ours -> least ratio of wall and of CPU to the best peer."""


SHOWN = {"cachannel bare": ("connect",), "cachannel flushed": ("put",)}
"""Clients that ratios are not made with -> what lines they differ in begin with."""


def records() -> str:
    """Scalars B:0 ... and waveforms B:W1000 ..."""
    lines = [f'record(ao, "B:{n}") {{}}' for n in range(10_000)]
    for size in (1000, 100_000, 1_000_000):
        field = f'field(FTVL, "DOUBLE") field(NELM, "{size}")'
        lines.append(f'record(waveform, "B:W{size}") {{ {field} }}')
    return "\n".join(lines)


def environment(ioc: CIoc) -> dict[str, str]:
    """Variables for a client of the C IOC."""
    extra = {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return {
        **os.environ,
        **ioc.environment,
        **extra,
        "EPICS_CA_MAX_ARRAY_BYTES": "10000000",
    }


@contextlib.contextmanager
def replaying(ioc: CIoc) -> Iterator[dict[str, str]]:
    """The server that replays; variables for clients of both."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ca.replay", str(port)],
        env=environment(ioc),
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            control = process.stdout.readline().strip()
            here = f"{ioc.environment['EPICS_CA_ADDR_LIST']} 127.0.0.1:{port}"
            yield {
                **environment(ioc),
                "EPICS_CA_ADDR_LIST": here,
                "REPLAY_PORT": control,
            }
        finally:
            process.kill()


def measure(client: str, line: str, ioc: CIoc) -> Pair | None:
    """Wall and CPU of one client, None if it gave up."""
    replays = line.startswith(("updates", "rate", "flood", "array_monitor"))
    with contextlib.ExitStack() as stack:
        env = environment(ioc)
        if replays:
            env = stack.enter_context(replaying(ioc))
        try:
            out = subprocess.run(
                [sys.executable, "-m", "benchmarks.ca.clients", client, line],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=Path(__file__).parents[2],
                timeout=60,
                check=False,
            ).stdout
            wall, cpu = json.loads(out.splitlines()[-1])
        except (subprocess.TimeoutExpired, ValueError, IndexError):
            return None
        return wall, cpu


def show(line: str, results: dict[str, list[Pair]], gates: dict[str, Pair]) -> bool:
    """One line of the table; False if a gate is missed."""
    medians: dict[str, Pair] = {
        client: (
            statistics.median(wall for wall, _ in rows),
            statistics.median(cpu for _, cpu in rows),
        )
        for client, rows in results.items()
    }
    peers = [
        pair
        for client, pair in medians.items()
        if client in PEERS and client not in SHOWN
    ]
    best = [min(column) for column in zip(*peers, strict=True)]
    print(f"\n{line}")
    passed = True
    for client, (wall, cpu) in medians.items():
        text = f"  {client:14s} {wall:10.2f} wall {cpu:10.3f} cpu"
        if client in OURS and best:
            ratios = best[0] / wall, best[1] / max(cpu, 1e-9)
            text += f"   x{ratios[0]:7.2f} x{ratios[1]:7.2f}"
            gate = gates.get(client)
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
    parser.add_argument("--clients", nargs="*", default=[*OURS, *PEERS])
    arguments = parser.parse_args()
    passed = True
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), records()) as ioc,
    ):
        for line in arguments.lines or list(GATES):
            results: dict[str, list[Pair]] = {}
            for _ in range(arguments.rounds):
                for client in arguments.clients:
                    if not line.startswith(SHOWN.get(client, "")):
                        continue
                    one = measure(client, line, ioc)
                    if one is not None:
                        results.setdefault(client, []).append(one)
            passed &= show(line, results, GATES.get(line, {}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
