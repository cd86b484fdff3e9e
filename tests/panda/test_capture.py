"""HdfCapture against a data port that does what it is told."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data_streams import Stream, frame, frames, recording
from fake_data_port import FakeDataPort, fake_data_port
from test_data import FIELDS, STREAM, counting

from beamfly.errors import (
    BadValue,
    CaptureError,
    CommandError,
    HdfError,
    LocalProtocolError,
    PandaDisconnected,
    RemoteProtocolError,
    TimedOut,
)
from beamfly.hdf import ColumnWriter, open_columns
from beamfly.panda.asyncio import AsyncioClient
from beamfly.panda.capture import CaptureState, HdfCapture, Progress
from beamfly.panda.data import DataConnection
from beamfly.panda.handover import FEWEST_SETS, SET_BYTES, Handover
from beamfly.panda.responses import EndData, EndReason, FieldCapture, ReadyData

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
        capture.stop(0.0)


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


@pytest.mark.parametrize("chunk_rows", [1, 7, 512])
@pytest.mark.parametrize("flush_period", [0.0, 0.01])
def test_any_rhythm_of_bytes_gives_the_same_file(
    begin: Callable[..., HdfCapture],
    port: FakeDataPort,
    chunk_rows: int,
    flush_period: float,
) -> None:
    capture = begin(chunk_rows=chunk_rows, flush_period=flush_period)
    samples = counting(3000)
    stream = STREAM.acquisition(samples, per_frame=100)
    for first in range(0, len(stream), 1013):
        port.send(stream[first : first + 1013])
    assert capture.wait_end(PATIENCE).rows == 3000
    with open_columns(capture.stop().path) as columns:
        np.testing.assert_array_equal(
            columns.read("COUNTER1.OUT.Value"), scaled(samples)
        )
        np.testing.assert_array_equal(columns.read("PCAP.BITS0.Value"), np.arange(3000))


@pytest.mark.parametrize("name", ["xml_framed_raw", "xml_framed_scaled", "raw_dump"])
def test_recordings(
    begin: Callable[..., HdfCapture], port: FakeDataPort, name: str
) -> None:
    capture = begin(scaled_by_server="scaled" in name, raw=True)
    assert port.asked[0].split()[-1] == name.split("_")[-1].upper().encode().replace(
        b"DUMP", b"RAW"
    )
    port.send(recording(name).removeprefix(b"OK\n"))
    run = capture.wait_end(PATIENCE)
    connection = DataConnection()
    connection.connect()
    samples = frames(connection.receive_bytes(recording(name)))
    assert run.rows == len(samples)
    with open_columns(capture.stop().path) as columns:
        for column in samples.dtype.names:
            np.testing.assert_array_equal(columns.read(column), samples[column])


def test_rows_are_announced_only_when_readers_can_see_them(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    seen: list[tuple[int, int]] = []
    paths: list[Path] = []

    def look(progress: Progress) -> None:
        with open_columns(paths[0]) as columns:
            seen.append((progress.rows_written, columns.rows))

    paths.append(begin().path)  # never looked at: its path is taken by the next one
    paths[0] = paths[0].with_name("watched.h5")
    capture = begin(path=paths[0], on_progress=look, flush_period=0.0, chunk_rows=100)
    samples = counting(2000)
    stream = STREAM.acquisition(samples, per_frame=50)
    for first in range(0, len(stream), 700):
        port.send(stream[first : first + 700])
    capture.wait_end(PATIENCE)
    capture.stop()
    assert len(seen) > 3
    assert all(announced <= visible for announced, visible in seen)
    assert seen[-1] == (2000, 2000)


def test_progress_comes_at_most_once_a_period_and_at_ends(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    told: list[Progress] = []
    capture = begin(on_progress=told.append, flush_period=PATIENCE)
    for size in (10, 20):
        port.send(STREAM.acquisition(counting(size)))
    capture.wait_end(PATIENCE, runs=2)
    capture.stop()
    states = [(p.state.value, p.rows_written, p.ended) for p in told]
    assert states == [
        ("acquiring", 0, 0),
        ("ready", 10, 1),
        ("acquiring", 10, 1),
        ("ready", 30, 2),
        ("closed", 30, 2),
    ]
    assert [p.error for p in told] == [None] * 5


def test_a_watcher_that_fails_does_not_cost_rows(
    begin: Callable[..., HdfCapture],
    port: FakeDataPort,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(progress: Progress) -> None:
        raise RuntimeError("watcher")

    capture = begin(on_progress=fail)
    port.send(STREAM.acquisition(counting(10)))
    assert capture.wait_end(PATIENCE).rows == 10
    assert capture.stop().error is None
    assert "on_progress failed" in caplog.text


def test_part_of_a_chunk_is_flushed_though_nothing_more_comes(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin(flush_period=0.05)
    port.send(STREAM.header() + frame(counting(3).tobytes()))
    assert capture.wait_rows(3, PATIENCE) == 3
    port.send(frame(counting(4).tobytes()))
    assert capture.wait_rows(7, PATIENCE) == 7
    port.send(b"END 7 Disarmed\n")
    assert capture.wait_end(PATIENCE).reason is EndReason.DISARMED


def test_flushing_at_once_does_not_mean_turning_in_circles(
    begin: Callable[..., HdfCapture],
    port: FakeDataPort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = []
    take = Handover.take

    def counted(self: Handover, due: float | None) -> object:
        turns.append(due)
        return take(self, due)

    monkeypatch.setattr(Handover, "take", counted)
    capture = begin(flush_period=0)
    port.send(STREAM.header() + frame(counting(5).tobytes()))
    capture.wait_rows(5, PATIENCE)
    # header, rows, and waiting for more; then nothing for as long as nothing comes
    with pytest.raises(TimedOut):
        capture.wait_end(0.1)
    assert len(turns) <= 6


def test_missed_samples_are_counted_where_they_are(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    port.send(STREAM.acquisition(counting(5)))
    port.send(Stream(FIELDS, missed=17467).acquisition(counting(6)))
    assert capture.wait_end(PATIENCE, runs=2).missed == 17467
    assert capture.progress.missed == 17467
    report = capture.stop()
    assert report.gaps == [(5, 17467)]
    assert not report.complete
    with open_columns(report.path) as columns:
        assert [run.missed for run in columns.runs] == [0, 17467]


@pytest.mark.parametrize(
    "reason",
    [
        EndReason.EARLY_DISCONNECT,
        EndReason.DATA_OVERRUN,
        EndReason.FRAMING_ERROR,
        EndReason.DRIVER_DATA_OVERRUN,
        EndReason.DMA_DATA_ERROR,
        EndReason.UNEXPECTED,
    ],
)
def test_a_bad_end_is_a_capture_error_and_keeps_rows(
    begin: Callable[..., HdfCapture], port: FakeDataPort, reason: EndReason
) -> None:
    told: list[Progress] = []
    capture = begin(on_progress=told.append)
    port.send(STREAM.acquisition(counting(20_000), reason=reason.value))
    with pytest.raises(CaptureError, match="20000 rows of it are kept") as caught:
        capture.wait_end(PATIENCE)
    assert caught.value.reason == reason.value
    report = capture.stop()
    assert report.error is caught.value
    assert report.runs[0].reason is reason
    assert capture.progress.end_reason is reason
    # exactly one of those who were told heard of a failure
    assert [p.error is None for p in told].count(False) == 1
    with h5py.File(report.path, "r+") as file:
        assert len(file["PCAP.BITS0.Value"]) == 20_000
        assert file["runs/reason"][0].decode() == reason.value


def test_an_end_that_counts_other_samples_is_no_good_end(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    stream = STREAM.acquisition(counting(8))
    port.send(stream.replace(b"END 8", b"END 9"))
    with pytest.raises(CaptureError, match="sent 9 samples, but 8 arrived"):
        capture.wait_end(PATIENCE)


def test_another_field_list_is_a_capture_error(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin(names={"COUNTER1.OUT": {"Value": "x"}})
    port.send(STREAM.acquisition(counting(5)))
    changed = [
        FIELDS[0],
        FieldCapture("COUNTER1.OUT", FIELDS[1].type, "Value", 2, 0, ""),
    ]
    port.send(Stream(changed).acquisition(np.zeros(3, Stream(changed).dtype)))
    assert capture.wait_end(PATIENCE).rows == 5
    with pytest.raises(CaptureError, match="fields captured have changed") as caught:
        capture.wait_end(PATIENCE, runs=2)
    assert "COUNTER1.OUT.Value is int32 * 2 + 0, not int32 * 0.5 + 10 mm" in str(
        caught.value
    )
    report = capture.stop()
    assert [run.reason for run in report.runs] == [
        EndReason.OK,
        EndReason.START_DATA_MISMATCH,
    ]
    with open_columns(report.path) as columns:
        assert columns.read("x").tolist() == [10, 9.5, 9, 8.5, 8]
        assert columns.runs[1].reason == "Start Data mismatched"


@pytest.mark.parametrize("how", ["hang_up", "reset"])
def test_a_lost_panda_leaves_all_rows(
    begin: Callable[..., HdfCapture], port: FakeDataPort, how: str
) -> None:
    capture = begin()
    samples = counting(50_000)
    port.send(STREAM.header() + frame(samples.tobytes()))
    capture.wait_rows(50_000, PATIENCE)
    getattr(port, how)()
    with pytest.raises(PandaDisconnected, match="the 50000 rows received are kept"):
        capture.wait_end(PATIENCE)
    with pytest.raises(PandaDisconnected):
        capture.wait_rows(50_001, PATIENCE)
    report = capture.stop()
    assert report.runs[0].reason is EndReason.EARLY_DISCONNECT
    with open_columns(report.path) as columns:
        assert columns.rows == 50_000
        assert columns.runs[0].reason == "Early disconnect"


def test_a_panda_lost_between_acquisitions(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    port.send(STREAM.acquisition(counting(5)))
    port.hang_up()
    with pytest.raises(PandaDisconnected, match="while idle"):
        capture.wait_end(PATIENCE, runs=2)
    # what ended well before stays so
    assert capture.wait_end(PATIENCE).reason is EndReason.OK


def test_garbage_keeps_what_came_before(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    port.send(STREAM.header() + frame(counting(5).tobytes()) + b"gibberish")
    with pytest.raises(RemoteProtocolError, match="gibberish"):
        capture.wait_end(PATIENCE)
    report = capture.stop()
    assert (report.rows, report.runs[0].reason) == (5, EndReason.UNKNOWN_EXCEPTION)


def test_stopping_in_an_acquisition_waits_for_its_end(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    port.send(STREAM.header() + frame(counting(5).tobytes()))
    capture.wait_rows(5, PATIENCE)
    later = threading.Timer(
        0.05, lambda: port.send(frame(counting(6).tobytes()) + b"END 11 Disarmed\n")
    )
    later.start()
    report = capture.stop(PATIENCE, expected=11)
    later.join()
    assert report.runs[0].reason is EndReason.DISARMED
    assert report.rows == 11
    assert report.complete


def test_stopping_an_acquisition_that_does_not_end_cuts_it(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    port.send(STREAM.header() + frame(counting(5).tobytes()))
    capture.wait_rows(5, PATIENCE)
    report = capture.stop(0.05, expected=11)
    assert report.runs[0].reason is EndReason.MANUALLY_STOPPED
    assert (report.rows, report.complete, report.error) == (5, False, None)
    with pytest.raises(CaptureError, match=r"only 5 of 6 rows .*, and the capture was"):
        capture.wait_rows(6, PATIENCE)
    with h5py.File(report.path, "r+") as file:
        assert file["runs/reason"][0] == b"Manually stopped"


def test_what_is_in_the_socket_when_stopped_is_written(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin(receive_buffer=1 << 20)
    port.send(STREAM.header())
    # not waited for: they are on their way when the capture is stopped
    port.send(frame(counting(5000).tobytes()))
    while capture.progress.rows_received < 5000:
        pass
    assert capture.stop(0.0).rows == 5000


def test_stopping_from_several_threads_and_from_on_progress(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    captures: list[HdfCapture] = []

    def stop_at_once(progress: Progress) -> None:
        if progress.ended:
            captures[0].stop()

    captures.append(begin(on_progress=stop_at_once))
    port.send(STREAM.acquisition(counting(5)))
    reports = []
    threads = [
        threading.Thread(target=lambda: reports.append(captures[0].stop()))
        for _ in range(3)
    ]
    captures[0].wait_end(PATIENCE)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [report.rows for report in reports] == [5, 5, 5]
    assert reports[0] is reports[1] is reports[2]


def test_no_acquisition_leaves_a_file_without_rows(
    begin: Callable[..., HdfCapture],
) -> None:
    capture = begin()
    report = capture.stop()
    assert (report.rows, report.runs, report.error) == (0, (), None)
    with open_columns(report.path) as columns:
        assert len(columns) == 0


def test_an_acquisition_without_samples(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin()
    port.send(STREAM.acquisition(counting(0), reason="Disarmed"))
    assert capture.wait_end(PATIENCE).rows == 0
    with open_columns(capture.stop().path) as columns:
        assert columns.rows == 0
        assert set(columns) == set(STREAM.dtype.names)
        assert [run.reason for run in columns.runs] == ["Disarmed"]


def test_time_outs_say_how_far_it_is(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin(flush_period=0.0)
    with pytest.raises(TimedOut, match="0 of 1 acquisitions ended; 0 rows"):
        capture.wait_end(0.01)
    port.send(STREAM.header() + frame(counting(5).tobytes()))
    capture.wait_rows(5, PATIENCE)
    with pytest.raises(TimedOut, match=r"only 5 of 6 rows were written in 0.01 s"):
        capture.wait_rows(6, 0.01)


def test_a_refusal_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with fake_data_port(b"ERR Invalid data capture option\n") as port:
        capture = HdfCapture("127.0.0.1", port.port, path=path)
        with pytest.raises(CommandError, match="Invalid data capture option"):
            capture.start()
    assert not path.exists()
    # and nobody at all
    with pytest.raises(PandaDisconnected, match=f":{port.port} cannot be reached"):
        capture.start()
    assert not path.exists()
    assert capture.stop().rows == 0


def test_silence_is_a_time_out(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with fake_data_port(b"") as port:
        capture = HdfCapture("127.0.0.1", port.port, path=path)
        with pytest.raises(TimedOut, match=r"did not say OK in 0.05 s"):
            capture.start(0.05)
    assert not path.exists()


def test_a_file_that_exists_is_not_touched(port: FakeDataPort, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    path.write_text("precious")
    with pytest.raises(HdfError, match="it exists already"):
        HdfCapture("127.0.0.1", port.port, path=path).start()
    assert path.read_text() == "precious"
    with HdfCapture("127.0.0.1", port.port, path=path, overwrite=True) as capture:
        port.send(STREAM.acquisition(counting(2)))
        capture.wait_end(PATIENCE)
    with open_columns(path) as columns:
        assert columns.rows == 2


def test_leaving_the_block_raises_what_nobody_was_told(
    port: FakeDataPort, tmp_path: Path
) -> None:
    with pytest.raises(CaptureError, match="Framing error"):
        with HdfCapture("127.0.0.1", port.port, path=tmp_path / "a.h5") as capture:
            port.send(STREAM.acquisition(counting(2), reason="Framing error"))
    # once is enough
    with HdfCapture("127.0.0.1", port.port, path=tmp_path / "b.h5") as capture:
        port.send(STREAM.acquisition(counting(2), reason="Framing error"))
        with pytest.raises(CaptureError, match="Framing error"):
            capture.wait_end(PATIENCE)


def test_names_that_cannot_be_are_told(
    begin: Callable[..., HdfCapture], port: FakeDataPort
) -> None:
    capture = begin(names={"COUNTER1.OUT": {"Value": "runs"}})
    port.send(STREAM.acquisition(counting(5)))
    with pytest.raises(BadValue, match="cannot be named 'runs'"):
        capture.wait_end(PATIENCE)


def test_misuse(begin: Callable[..., HdfCapture], tmp_path: Path) -> None:
    for bad in ({"flush_period": -1}, {"chunk_rows": 0}):
        with pytest.raises(BadValue):
            HdfCapture("127.0.0.1", path=tmp_path / "x.h5", **bad)
    capture = begin()
    with pytest.raises(LocalProtocolError, match="started before"):
        capture.start()
    with pytest.raises(LocalProtocolError, match="not started"):
        HdfCapture("127.0.0.1", path=tmp_path / "x.h5").wait_rows(1, 1)


def test_a_slow_disk_holds_the_panda_back_and_memory_stays(
    begin: Callable[..., HdfCapture],
    port: FakeDataPort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    append = ColumnWriter.append

    def slow(self: ColumnWriter, columns: list[np.ndarray]) -> None:
        assert gate.wait(PATIENCE)
        append(self, columns)

    monkeypatch.setattr(ColumnWriter, "append", slow)
    monkeypatch.setattr("beamfly.panda.handover.MOST_BYTES", 1)
    capture = begin(chunk_rows=1000, receive_buffer=1 << 14)
    samples = counting(1_000_000)
    stream = STREAM.acquisition(samples)
    sender = threading.Thread(target=port.send, args=(stream,))
    sender.start()
    while not capture.progress.stalls:
        pass
    # all sets are full, of whole chunks, and not a row more comes however long it
    # takes; a row of these columns has 20 bytes
    chunks = -(-SET_BYTES // 20_000)
    assert capture.progress.rows_received == FEWEST_SETS * chunks * 1000
    assert capture.progress.rows_written == 0
    assert sender.is_alive()
    gate.set()
    assert capture.wait_end(PATIENCE).rows == 1_000_000
    sender.join(PATIENCE)
    report = capture.stop()
    assert report.stalls
    assert report.stalled > 0
    with open_columns(report.path) as columns:
        np.testing.assert_array_equal(
            columns.read("COUNTER1.OUT.Value"), scaled(samples)
        )


def test_a_disk_that_fails_while_the_panda_waits_ends_the_capture(
    begin: Callable[..., HdfCapture],
    port: FakeDataPort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: ColumnWriter, columns: list[np.ndarray]) -> None:
        raise self._failed(OSError(28, "No space left on device"))

    capture = begin(chunk_rows=100)
    port.send(STREAM.header() + frame(counting(250).tobytes()))
    capture.wait_rows(250, PATIENCE)
    monkeypatch.setattr(ColumnWriter, "append", fail)
    sender = threading.Thread(target=send_on, args=(port,))
    sender.start()
    with pytest.raises(
        HdfError, match="No space left on device; it is closed and keeps"
    ):
        capture.wait_end(PATIENCE)
    report = capture.stop()
    sender.join(PATIENCE)
    assert report.rows == 250
    assert report.runs[0].rows == 250
    with h5py.File(report.path, "r+") as file:
        np.testing.assert_array_equal(file["PCAP.BITS0.Value"], np.arange(250))


def send_on(port: FakeDataPort) -> None:
    """Send until the connection breaks."""
    try:
        for _ in range(10_000):
            port.send(frame(counting(1000).tobytes()))
    except OSError:
        return


@pytest.mark.parametrize("size", [1, 100, 1 << 16])
async def test_the_event_loop_client_yields_the_same(size: int) -> None:
    with fake_data_port() as port:
        client = AsyncioClient("127.0.0.1", data_port=port.port)
        stream = recording("xml_framed_raw").removeprefix(b"OK\n")
        got = []
        async for item in client.data(scaled=False):
            got.append(item)
            if isinstance(item, ReadyData):
                for first in range(0, len(stream), size):
                    port.send(stream[first : first + size])
            if isinstance(item, EndData):
                break
        connection = DataConnection()
        connection.connect()
        expected = list(connection.receive_bytes(recording("xml_framed_raw")))
        assert frames(got).tobytes() == frames(expected).tobytes()
        assert got[-1] == expected[-1]
