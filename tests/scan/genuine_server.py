"""The scan server of CS-Studio, a Java program, where somebody has put it.

`benchmarks/scan/genuine_server.sh` tries to fetch it; BEAMFLY_GENUINE_SCAN_SERVER names
another folder with its jars. Nothing is fetched from here.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".benchmarks" / "scan-server" / "lib"
MAIN = "org.csstudio.scan.server.ScanServerInstance"
START_SECONDS = 120.0
CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<scan_config><port>{port}</port><read_timeout>5</read_timeout></scan_config>
"""
SETTINGS = """org.phoebus.pv.ca/addr_list=127.0.0.1:{ca}
org.phoebus.pv.ca/auto_addr_list=false
org.phoebus.pv.ca/server_port={ca}
org.phoebus.pv.ca/repeater_port={repeater}
org.phoebus.pv/default=ca
"""


def jars() -> Path:
    """The folder with its jars."""
    return Path(os.environ.get("BEAMFLY_GENUINE_SCAN_SERVER", FOLDER))


def why_not() -> str:
    """Why it cannot be run here, empty if it can."""
    if shutil.which("java") is None:
        return "there is no java"
    if not list(jars().glob("service-scan-server-*.jar")):
        return f"{jars()} has no service-scan-server-*.jar: run genuine_server.sh"
    return ""


@contextmanager
def genuine_server(
    folder: Path, port: int, ca_port: int, repeater_port: int
) -> Iterator[None]:
    """Run it on that port, with PVs of a CA server on loopback."""
    config, settings = folder / "scan_config.xml", folder / "settings.ini"
    config.write_text(CONFIG.format(port=port))
    settings.write_text(SETTINGS.format(ca=ca_port, repeater=repeater_port))
    command = ["java", "-Xmx256m", "-cp", f"{jars()}/*", MAIN]
    command += ["-config", str(config), "-settings", str(settings), "-noshell"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _await(process, port, folder / "server.log")
            yield
        finally:
            process.kill()
            process.wait(30)


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until it answers: the first start of its database can take a minute."""
    end = time.monotonic() + START_SECONDS
    url = f"http://127.0.0.1:{port}/server/info"
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.5)
    raise AssertionError(f"it did not start:\n{log.read_text()[-2000:]}")


def free_tcp_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
