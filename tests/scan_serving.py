"""Scan servers for tests of devices and plans: in a thread, or in another process."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.devices.scan_channels import CaChannels
from beamfly.scan.config import ScanConfig
from beamfly.scan.sequence import submission
from beamfly.scan.server import ScanServer

T = TypeVar("T")
SERVE = "from beamfly.cli.scan import scan; scan()"


class ThreadedScanServer:
    """Our scan server in a thread of its own."""

    def __init__(self, config: ScanConfig, ca: Config | None) -> None:
        self._config, self._ca = config, ca
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._ca is None:
            await self._serve(None)
            return
        async with Client(self._ca) as client:
            await self._serve(CaChannels(client))

    async def _serve(self, channels: CaChannels | None) -> None:
        async with ScanServer(self._config, channels=channels) as self.server:
            self.port = self.server.port
            self._ready.set()
            await self.server.done.wait()

    def call(self, function: Callable[[], T]) -> T:
        """Call something in the server's thread."""

        async def work() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def infos(self) -> list[Any]:
        """All scans, newest first."""
        return self.call(self.server.engine.infos)

    def submit(self, commands: Any) -> int:
        """A scan of somebody else."""
        engine, xml = self.server.engine, submission(commands)
        number = self.call(lambda: engine.submit(xml, self.server.now()))
        self.call(self.server._wake)
        return number

    def control(self, verb: str, number: int) -> None:
        """Pause, resume or abort a scan, as a display would."""
        engine = self.server.engine
        self.call(lambda: getattr(engine, verb)(number, self.server.now()))
        self.call(self.server._wake)

    def at_sample(self, count: int, action: Callable[[], object]) -> None:
        """Do something, once, right after that many serials were logged; 0: now."""
        self.call(lambda: self.soon_at_sample(count, action))

    def soon_at_sample(self, count: int, action: Callable[[], object]) -> None:
        """The same, called in the server's thread."""
        store = self.server.engine.store
        plain = store.log

        def log(scan: int, serial: int, device: str, reading: Any) -> None:
            plain(scan, serial, device, reading)
            if serial == count - 1 and store.log is log:
                store.log = plain
                self._loop.call_soon(action)

        if count:
            store.log = log
        else:
            action()

    def at_submission(self, action: Callable[[], object]) -> None:
        """Do something, once, right after the next scan was submitted."""
        engine = self.server.engine
        plain = engine.submit

        def submit(*args: Any, **options: Any) -> int:
            number = plain(*args, **options)
            engine.submit = plain
            self._loop.call_soon(action)
            return number

        self.call(lambda: setattr(engine, "submit", submit))

    def turns(self, count: int = 20) -> None:
        """Give the engine turns, in which a scan that is paused must do nothing."""
        for _ in range(count):
            self.call(lambda: self.server.engine.advance(self.server.now()))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self.server.done.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def scan_server(
    ca: Config | None = None, **options: Any
) -> Iterator[ThreadedScanServer]:
    server = ThreadedScanServer(ScanConfig(port=0, **options), ca)
    try:
        yield server
    finally:
        server.close()


class ScanServerProcess:
    """`beamfly scan serve` in another process, to be killed."""

    def __init__(self, port: int, data_log: Path | None = None) -> None:
        self.port = port
        self._options = [] if data_log is None else ["--data-log", str(data_log)]
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        arguments = ["serve", "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self._process.stdout is not None
        assert "Scan server at" in self._process.stdout.readline()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()
