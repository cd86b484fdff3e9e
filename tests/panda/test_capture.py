"""HdfCapture against a data port that does what it is told."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data_port import FakeDataPort, fake_data_port
from test_data import STREAM, counting

from beamfly.hdf import open_columns
from beamfly.panda.capture import CaptureState, HdfCapture
from beamfly.panda.responses import EndReason

PATIENCE = 10.0


@pytest.fixture
def port() -> Iterator[FakeDataPort]:
    with fake_data_port() as port:
        yield port


@pytest.fixture
def begin(port: FakeDataPort, tmp_path: Path) -> Iterator[Callable[..., HdfCapture]]:
    """Start a capture of the fake port; it is stopped in the end, whatever happens."""
    started: list[HdfCapture] = []

    def begin(**options: Any) -> HdfCapture:
        path = tmp_path / f"scan{len(started)}.h5"
        capture = HdfCapture("127.0.0.1", port.port, **{"path": path, **options})
        started.append(capture)
        capture.start(PATIENCE)
        return capture

    yield begin
    for capture in started:
        capture.stop()


def scaled(samples: np.ndarray) -> np.ndarray:
    return samples["COUNTER1.OUT.Value"] * 0.5 + 10.0


def test_one_acquisition(begin: Callable[..., HdfCapture], port: FakeDataPort) -> None:
    capture = begin()
    assert port.asked == [b"XML FRAMED RAW\n"]
    assert capture.progress.state is CaptureState.READY
    samples = counting(40_000)
    port.send(STREAM.acquisition(samples))
    run = capture.wait_end(PATIENCE)
    assert (run.first_row, run.rows, run.reason) == (0, 40_000, EndReason.OK)
    # announced rows are there for other readers, before the file is closed
    with open_columns(capture.path) as columns:
        assert columns.rows == 40_000
        np.testing.assert_array_equal(
            columns.read("COUNTER1.OUT.Value"), scaled(samples)
        )
    report = capture.stop(expected=40_000)
    assert report.complete
    assert report.rows == 40_000
    assert capture.stop() is report
    assert capture.progress.state is CaptureState.CLOSED


def test_acquisitions_follow_each_other_in_one_file(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin(chunk_rows=1000)
    sizes = [2500, 0, 1, 999, 5000]
    for index, size in enumerate(sizes):
        port.send(STREAM.acquisition(counting(size), arm_time=f"arm {index}"))
    assert capture.wait_end(PATIENCE, runs=5).rows == 5000
    report = capture.stop()
    assert [run.rows for run in report.runs] == sizes
    assert [run.first_row for run in report.runs] == [0, 2500, 2500, 2501, 3500]
    with open_columns(report.path) as columns:
        expected = np.concatenate([np.arange(size) for size in sizes])
        np.testing.assert_array_equal(columns.read("PCAP.BITS0.Value"), expected)
        assert [run.arm_time for run in columns.runs] == [f"arm {i}" for i in range(5)]
        assert [run.reason for run in columns.runs] == ["Ok"] * 5
