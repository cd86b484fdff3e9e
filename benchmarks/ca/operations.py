"""What every client of the comparison can do, and a clock of wall and CPU time."""

import asyncio
import resource
import time
from collections.abc import Callable
from typing import Any

N = 1000
NAMES = [f"B:{n}" for n in range(N)]


class Clock:
    """Wall and CPU seconds of a stretch of code, of the whole process."""

    def __enter__(self) -> "Clock":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        self._cpu, self._wall = self._used(), time.perf_counter()

    def stop(self) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = self._used() - self._cpu

    @staticmethod
    def _used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


class Blocking:
    """What a line needs; subclasses fill it in."""

    channels: Any
    array_channel: Any

    def start(self) -> None:
        """Import what is needed."""

    def run(self, operation: Callable[[int], Any], times: int) -> None:
        """Repeat an operation that is done when it returns."""
        for n in range(times):
            operation(n)

    def sample(self, operation: Callable[[int], Any], times: int) -> list[float]:
        """Seconds of each of so many operations, with pauses of 2 ms between."""
        found: list[float] = []
        for n in range(times):
            start = time.perf_counter()
            operation(n)
            found.append(time.perf_counter() - start)
            self.wait(0.002)
        return found

    def wait(self, seconds: float) -> None:
        """Let callbacks come for a while."""
        time.sleep(seconds)

    def flush(self) -> None:
        """After puts without waiting: all have arrived."""
        self.get(0)

    def connect(self, names: list[str]) -> None:
        """Connect `channels`."""
        raise NotImplementedError

    def array(self, name: str) -> None:
        """Connect `array_channel`."""
        raise NotImplementedError

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        """Have a callback called with every value, alarm and time stamp."""
        raise NotImplementedError

    def get(self, n: int) -> Any:
        """Read the first channel."""
        raise NotImplementedError


class Coroutines(Blocking):
    """Operations are coroutines of one event loop."""

    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.do(self.begin())

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def begin(self) -> None:
        """`start`, in the loop."""

    def run(self, operation: Callable[[int], Any], times: int) -> None:
        async def main() -> None:
            for n in range(times):
                await operation(n)

        self.do(main())

    def sample(self, operation: Callable[[int], Any], times: int) -> list[float]:
        async def main() -> list[float]:
            found: list[float] = []
            for n in range(times):
                start = time.perf_counter()
                await operation(n)
                found.append(time.perf_counter() - start)
                await asyncio.sleep(0.002)
            return found

        return self.do(main())

    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    def flush(self) -> None:
        self.do(self.get(0))
