"""A genuine C IOC in another process, on ports of its own."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from beamfly.ca.config import Config

DATABASE = """
record(ao, "T:ao") { field(VAL, "1.5") field(PINI, "YES") field(EGU, "mm")
  field(PREC, "3") field(HOPR, "10") field(LOPR, "-10") field(DRVH, "9")
  field(DRVL, "-9") field(HIHI, "8") field(HIGH, "7") field(LOW, "-7")
  field(LOLO, "-8") field(HHSV, "MAJOR") field(HSV, "MINOR")
  field(LLSV, "MAJOR") field(LSV, "MINOR") }
record(longout, "T:long") { field(VAL, "7") field(PINI, "YES") field(EGU, "µm") }
record(stringout, "T:string") { field(VAL, "hello") field(PINI, "YES") }
record(mbbo, "T:enum") { field(ZRST, "zero") field(ONST, "one") field(TWST, "two")
  field(PINI, "YES") }
record(bo, "T:bool") { field(ZNAM, "off") field(ONAM, "on") field(PINI, "YES") }
record(waveform, "T:double") { field(FTVL, "DOUBLE") field(NELM, "1000000") }
record(waveform, "T:float") { field(FTVL, "FLOAT") field(NELM, "10") }
record(waveform, "T:longs") { field(FTVL, "LONG") field(NELM, "100") }
record(waveform, "T:short") { field(FTVL, "SHORT") field(NELM, "10") }
record(waveform, "T:char") { field(FTVL, "CHAR") field(NELM, "200") }
record(waveform, "T:strings") { field(FTVL, "STRING") field(NELM, "5") }
record(ao, "T:readonly") { field(ASG, "READONLY") field(PINI, "YES") }
record(calc, "T:counter") { field(CALC, "VAL+1") field(SCAN, ".1 second") }
record(seq, "T:slow") { field(DLY1, "0.3") field(LNK1, "T:slow:end PP") }
record(ao, "T:slow:end") { }
record(seq, "T:never") { field(DLY1, "1000") field(LNK1, "T:never:end PP") }
record(ao, "T:never:end") { }
"""


def free_port() -> int:
    """A TCP and UDP port that nobody uses, nor gets before a server binds to it.

    The kernel gives sockets without a port of their own one above these.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                return port


class CIoc:
    """Starts, stops, freezes a soft IOC made of the genuine C code."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        self.repeater = free_port()
        self.folder = folder
        self._database = folder / "records.db"
        self._database.write_text(DATABASE + extra)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables for clients in other processes, and for this one."""
        return {
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{self.port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_SERVER_PORT": str(self.port),
            "EPICS_CA_REPEATER_PORT": str(self.repeater),
        }

    @property
    def config(self) -> Config:
        return Config.from_environment(self.environment)

    def start(self) -> None:
        local = {
            "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
            "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "epicscorelibs.ioc", "-d", str(self._database)],
            env={**os.environ, **self.environment, **local},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.02)
        raise AssertionError("the C IOC did not start")

    def signal(self, number: int) -> None:
        """Send a signal; a process that is to stop has stopped when this returns."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitpid(self._process.pid, os.WUNTRACED)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None


@contextlib.contextmanager
def running(folder: Path, extra: str = "") -> Iterator[CIoc]:
    ioc = CIoc(folder, extra)
    ioc.start()
    try:
        yield ioc
    finally:
        ioc.stop()
