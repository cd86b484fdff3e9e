"""Thousands of monitors on a C IOC that is restarted again and again: does any leak?

    python -m benchmarks.ca.soak [--minutes 30] [--monitors 2000] [--period 60]

Half of the monitors belong to a `beamfly.ca.asyncio.Client`, half are made with
`camonitor`, and a PV is read and written ten times per second. The records change once
per second. Each period the IOC is killed, started again, and one line is printed:
seconds until every monitor had a value from the new one, updates since the last line,
memory of this process, asyncio tasks, open files (sockets among them), threads and
Python objects. The end says whether any of these grew from the second line to the last;
the exit code is 1 if so, or if a monitor did not come back.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# the clients import it once that pays, which would look like a leak
import numpy as np  # noqa: F401
import psutil

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from beamfly.ca import DBE_VALUE, FORMAT_TIME, camonitor, purge_channel_caches
from beamfly.ca.asyncio import Client
from beamfly.errors import CAError
from ca.c_ioc import CIoc, running

GROWTH_MB = 8.0
"""What memory may grow after the first restart before it counts as a leak."""
GROWTH_OBJECTS = 5000


@dataclass
class Sample:
    """One line of the report."""

    minute: float
    back: float
    """Seconds from the start of the IOC until the last monitor had a value."""
    updates: int
    rss: float
    """MB."""
    tasks: int
    files: int
    sockets: int
    threads: int
    objects: int

    def __str__(self) -> str:
        return (
            f"{self.minute:6.1f} {self.back:7.2f} {self.updates:9d} {self.rss:8.1f} "
            f"{self.tasks:6d} {self.files:6d} {self.sockets:8d} {self.threads:8d} "
            f"{self.objects:9d}"
        )


HEADING = "minute  back s   updates   RSS MB  tasks  files  sockets  threads   objects"


def records(count: int) -> str:
    """Counters that change every second, and something to write to."""
    lines = [
        f'record(calc, "S:{n}") {{ field(CALC, "VAL+1") field(SCAN, "1 second") }}'
        for n in range(count)
    ]
    return "\n".join([*lines, 'record(ao, "S:ao") {}'])


class Watch:
    """Which monitors have had a value since the IOC was started last."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.updates = 0
        self._missing = set(range(count))
        self._complete = asyncio.Event()

    def callback(self, number: int) -> Callable[..., None]:
        """For one monitor."""

        def note(*reading: Any) -> None:
            self.updates += 1
            if number in self._missing:
                self._missing.discard(number)
                if not self._missing:
                    self._complete.set()

        return note

    def expect(self) -> None:
        """From now on every monitor is waited for."""
        self._missing = set(range(self.count))
        self._complete.clear()

    async def complete(self, seconds: float) -> float:
        """How long it took until all were back; inf if some never were."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._complete.wait()
        except TimeoutError:
            print(f"{len(self._missing)} monitors did not come back", flush=True)
            return float("inf")
        return time.monotonic() - start


async def traffic(client: Client) -> None:
    """Reads and writes that go on, whatever the IOC does."""
    channel = client.channel("S:ao")
    value = 0.0
    while True:
        with contextlib.suppress(CAError):
            value += 1.0
            await channel.put(value, wait=True, timeout=1.0)
            await channel.get(timeout=1.0)
        await asyncio.sleep(0.1)


def sample(start: float, back: float, updates: int) -> Sample:
    """What this process holds now."""
    gc.collect()
    process = psutil.Process()
    return Sample(
        minute=(time.monotonic() - start) / 60,
        back=back,
        updates=updates,
        rss=process.memory_info().rss / 1e6,
        tasks=len(asyncio.all_tasks()),
        files=process.num_fds(),
        sockets=len(process.net_connections("inet")),
        threads=threading.active_count(),
        objects=len(gc.get_objects()),
    )


async def soak(ioc: CIoc, minutes: float, monitors: int, period: float) -> list[Sample]:
    """One sample per restart."""
    samples: list[Sample] = []
    watch = Watch(monitors)
    half = monitors // 2
    os.environ.update(ioc.environment)
    start = time.monotonic()
    async with Client(ioc.config) as client:
        for number in range(half):
            client.channel(f"S:{number}").monitor(watch.callback(number))
        subscriptions = [
            camonitor(
                f"S:{number}",
                watch.callback(number),
                format=FORMAT_TIME,
                events=DBE_VALUE,
            )
            for number in range(half, monitors)
        ]
        work = asyncio.create_task(traffic(client))
        print(HEADING, flush=True)
        seen = 0
        while True:
            back = await watch.complete(period)
            samples.append(sample(start, back, watch.updates - seen))
            seen = watch.updates
            print(samples[-1], flush=True)
            if time.monotonic() - start >= 60 * minutes:
                break
            await asyncio.sleep(max(1.0, period - min(back, period)))
            await asyncio.to_thread(ioc.stop)
            watch.expect()
            await asyncio.to_thread(start_again, ioc)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        for subscription in subscriptions:
            subscription.close()
        purge_channel_caches()
    return samples


def start_again(ioc: CIoc) -> None:
    """Start the IOC, which on a machine that is too busy may take more than one try."""
    for _ in range(5):
        try:
            ioc.start()
        except AssertionError:
            ioc.stop()
        else:
            return
    msg = "the IOC does not start any more"
    raise SystemExit(msg)


def judge(samples: list[Sample]) -> bool:
    """Whether nothing grew; the first line is before the first restart."""
    first, last = samples[1], samples[-1]
    grown = [
        f"{name} from {getattr(first, name)} to {getattr(last, name)}"
        for name, most in (
            ("rss", GROWTH_MB),
            ("objects", GROWTH_OBJECTS),
            ("tasks", 2),
            ("files", 2),
            ("sockets", 2),
            ("threads", 1),
        )
        if getattr(last, name) - getattr(first, name) > most
    ]
    lost = sum(one.back == float("inf") for one in samples)
    updates = sum(one.updates for one in samples)
    print(
        f"{len(samples) - 1} restarts, {updates} updates; "
        f"memory {last.rss - first.rss:+.1f} MB, objects "
        f"{last.objects - first.objects:+d}; "
        + ("grown: " + ", ".join(grown) if grown else "nothing else grew")
        + (f"; {lost} times monitors did not come back" if lost else "")
    )
    return not grown and not lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--monitors", type=int, default=2000)
    parser.add_argument("--period", type=float, default=60.0)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), records(given.monitors)) as ioc,
    ):
        samples = asyncio.run(soak(ioc, given.minutes, given.monitors, given.period))
    return 0 if judge(samples) else 1


if __name__ == "__main__":
    sys.exit(main())
