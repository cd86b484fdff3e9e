"""Scan servers for tests of devices and plans: in a thread, or in another process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beamfly.ca.config import Config
from beamfly.devices import scan_server_thread
from beamfly.scan import Set, Wait
from beamfly.scan.config import ScanConfig
from beamfly.scan.sequence import submission

END = Wait("loc://end(0)", 1)
"""At the end of a scan that must not end before something has happened."""
SERVE = "from beamfly.cli.scan import scan; scan()"


class ThreadedScanServer(scan_server_thread.ThreadedScanServer):
    """A scan server in a thread, and what tests do behind its back."""

    def infos(self) -> list[Any]:
        """All scans, newest first."""
        return self.call(self.server.engine.infos)

    def submit(self, commands: Any, queue: bool = True) -> int:
        """A scan of somebody else."""
        engine, xml = self.server.engine, submission(commands)
        number = self.call(lambda: engine.submit(xml, self.server.now(), queue=queue))
        self.call(self.server._wake)
        return number

    def end(self) -> int:
        """Let scans end that wait for `END`: another scan, beside them, says so."""
        return self.submit([Set("loc://end(0)", 1)], queue=False)

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
                asyncio.get_running_loop().call_soon(action)

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
            asyncio.get_running_loop().call_soon(action)
            return number

        self.call(lambda: setattr(engine, "submit", submit))

    def turns(self, count: int = 20) -> None:
        """Give the engine turns, in which a scan that is paused must do nothing."""
        for _ in range(count):
            self.call(lambda: self.server.engine.advance(self.server.now()))


@contextmanager
def scan_server(
    ca: Config | None = None, **options: Any
) -> Iterator[ThreadedScanServer]:
    config = ScanConfig(port=0, **options)
    with ThreadedScanServer(config, ca=ca or False) as server:
        yield server


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
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()
