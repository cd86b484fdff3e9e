"""A capture in a process of its own that is killed, or whose disk is full."""

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_streams import frame
from fake_data_port import FakeDataPort, fake_data_port
from test_data import STREAM, counting

from beamfly.hdf import open_columns, recover

CAPTURE = """
import resource, signal, sys
from beamfly.errors import BeamflyError
from beamfly.panda.capture import HdfCapture

def tell(progress):
    print(progress.rows_written, flush=True)

capture = HdfCapture(
    "127.0.0.1", int(sys.argv[1]), path=sys.argv[2], flush_period=0, chunk_rows=1000,
    on_progress=tell,
)
capture.start()
if limit := int(sys.argv[3]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    capture.wait_end(50)
except BeamflyError as exc:
    report = capture.stop()
    assert report.error is exc
    print(report.rows, report.runs[0].rows, exc, flush=True)
"""


@pytest.fixture
def port() -> Iterator[FakeDataPort]:
    with fake_data_port() as port:
        yield port


def start(port: FakeDataPort, path: Path, limit: int = 0) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(CAPTURE)]
    return subprocess.Popen(
        [*command, str(port.port), str(path), str(limit)],
        stdout=subprocess.PIPE,
        text=True,
    )


def endless(port: FakeDataPort) -> threading.Thread:
    """Send rows that count up, until the connection breaks."""

    def send() -> None:
        try:
            port.send(STREAM.header())
            for first in range(0, 10_000_000, 700):
                samples = counting(700)
                samples["PCAP.BITS0.Value"] += first
                port.send(frame(samples.tobytes()))
        except OSError:
            return

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_every_announced_row_survives_a_kill(
    port: FakeDataPort, tmp_path: Path
) -> None:
    path = tmp_path / "scan.h5"
    with start(port, path) as process:
        sender = endless(port)
        assert process.stdout is not None
        announced = 0
        while announced < 20_000:
            announced = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    sender.join(30)
    with open_columns(path) as columns:
        assert columns.rows >= announced
        np.testing.assert_array_equal(
            columns.read("PCAP.BITS0.Value"), np.arange(columns.rows)
        )
        assert columns.runs[0].rows >= announced
        assert columns.runs[0].reason == ""
    assert recover(path, force=True)
    with h5py.File(path, "r+") as file:
        assert len(file["COUNTER1.OUT.Value"]) >= announced


def test_a_full_disk_ends_the_capture_and_keeps_what_fits(
    port: FakeDataPort, tmp_path: Path
) -> None:
    path = tmp_path / "scan.h5"
    with start(port, path, 4_000_000) as process:
        sender = endless(port)
        out, _ = process.communicate(timeout=40)
    sender.join(30)
    assert process.returncode == 0
    *announced, last = out.splitlines()
    kept, in_run, message = last.split(" ", 2)
    assert kept == in_run
    assert message.startswith(f"cannot write {path}: File too large; it is closed")
    assert int(kept) >= max(map(int, announced)) > 0
    with h5py.File(path, "r+") as file:
        np.testing.assert_array_equal(file["PCAP.BITS0.Value"], np.arange(int(kept)))
        assert file["runs/reason"][0] == b"Unknown exception"
    assert path.stat().st_size <= 4_000_000
