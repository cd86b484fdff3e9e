"""FrameWriter, write_hdf_files and pipelines; files equal to those of pandablocks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data_streams import Stream, frames, recording
from fake_data_port import FakeDataPort, fake_data_port
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data import FIELDS, STREAM, counting, play

from beamfly.errors import (
    BadValue,
    CaptureError,
    HDFDataOverrunError,
    HdfError,
    PandaDisconnected,
)
from beamfly.hdf import open_columns
from beamfly.panda.asyncio import AsyncioClient
from beamfly.panda.commands import Arm, Command, Disarm
from beamfly.panda.data import DataConnection
from beamfly.panda.data_options import DataOptions
from beamfly.panda.hdf import (
    FrameProcessor,
    FrameWriter,
    HDFWriter,
    Pipeline,
    create_default_pipeline,
    create_pipeline,
    stop_pipeline,
    write_hdf_files,
)
from beamfly.panda.responses import (
    Data,
    EndReason,
    FieldCapture,
    FrameData,
)

RECORDINGS = [
    "xml_framed_raw",
    "xml_framed_scaled",
    "raw_dump",
    "slow_dump",
    "mean_raw",
]
PATIENCE = 10


def parsed(stream: bytes) -> list[Data]:
    connection = DataConnection()
    connection.connect(False)
    return list(connection.receive_bytes(stream))


def peer_file(stream: bytes, path: Path) -> None:
    """What pandablocks itself makes of a stream."""
    from pandablocks.connections import DataConnection as PeerConnection
    from pandablocks.hdf import create_default_pipeline as peer_pipeline
    from pandablocks.hdf import stop_pipeline as stop_peer_pipeline

    connection = PeerConnection()
    connection.connect(False)
    pipeline = peer_pipeline(iter([str(path)]), {})
    try:
        for item in connection.receive_bytes(stream):
            pipeline[0].queue.put_nowait(item)
    finally:
        stop_peer_pipeline(pipeline)


def assert_same_file(ours: Path, theirs: Path) -> None:
    with h5py.File(ours) as a, h5py.File(theirs) as b:
        assert set(b) == set(a) - {"runs", "entry"}
        for name, expected in b.items():
            assert a[name].dtype == expected.dtype, name
            assert a[name].shape == expected.shape, name
            assert a[name][()].tobytes() == expected[()].tobytes(), name
        for name, value in b.attrs.items():
            assert a.attrs[name] == value
            assert type(a.attrs[name]) is type(value)


@pytest.mark.peer
@pytest.mark.parametrize("name", RECORDINGS)
def test_files_equal_those_of_pandablocks(name: str, tmp_path: Path) -> None:
    ours, theirs, old_way = (tmp_path / f"{n}.h5" for n in ("ours", "theirs", "old"))
    with FrameWriter(ours) as writer:
        for item in parsed(recording(name)):
            writer.write(item)
    peer_file(recording(name), theirs)
    assert_same_file(ours, theirs)
    pipeline = create_default_pipeline(iter([str(old_way)]), {})
    for item in parsed(recording(name)):
        pipeline[0].queue.put_nowait(item)
    stop_pipeline(pipeline)
    assert_same_file(old_way, theirs)


async def answer_identity(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """All of a control port that pandablocks wants before data."""
    while await reader.readline():
        writer.write(b"OK =PandA SW: 4.1 FPGA: 4.1.0 0 0 rootfs: Test 1.0\n")
    writer.close()
    await writer.wait_closed()


@pytest.mark.peer
@pytest.mark.parametrize("name", RECORDINGS)
async def test_clients_write_equal_files_from_the_same_port(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandablocks.asyncio as peer
    from pandablocks.hdf import write_hdf_files as peer_write

    ours, theirs = tmp_path / "ours.h5", tmp_path / "theirs.h5"
    answering: list[asyncio.Task[None]] = []

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.create_task(answer_identity(reader, writer)))

    control = await asyncio.start_server(answer, "127.0.0.1", 0)
    real = peer._StreamHelper.connect
    stream = recording(name).removeprefix(b"OK\n")
    with fake_data_port() as port:
        ports = {8888: control.sockets[0].getsockname()[1], 8889: port.port}

        async def connect(self: object, host: str, number: int) -> None:
            await real(self, host, ports[number])

        monkeypatch.setattr(peer._StreamHelper, "connect", connect)
        for turn, path, write, client in [
            (1, theirs, peer_write, peer.AsyncioClient("127.0.0.1")),
            (2, ours, write_hdf_files, AsyncioClient("127.0.0.1", *ports.values())),
        ]:
            async with client:
                task = asyncio.create_task(write(client, iter([str(path)])))
                await asyncio.to_thread(port.wait_greeted, turn)
                for first in range(0, len(stream), 10_000):
                    await asyncio.to_thread(port.send, stream[first : first + 10_000])
                await task
    control.close()
    await asyncio.gather(*answering)
    assert_same_file(ours, theirs)


@pytest.mark.peer
@given(
    scale=st.sampled_from([1.0, 0.5, -1.0, -0.1, 1e-9, 3.3]),
    offset=st.sampled_from([0.0, 10.0, -0.7]),
    gate=st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=40),
    seed=st.integers(0, 2**31),
    per_frame=st.integers(1, 50),
)
@settings(deadline=None, max_examples=40)
def test_values_equal_those_of_pandablocks_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory,
    scale: float,
    offset: float,
    gate: list[int],
    seed: int,
    per_frame: int,
) -> None:
    scaling = (scale, offset, "mm")
    types = {"Value": "<i4", "Min": "<i4", "Sum": "<i8", "Mean": "<i8"}
    stream = Stream(
        [
            FieldCapture(
                "PCAP.GATE_DURATION", np.dtype("<i4"), "Value", 8e-9, 0.0, "s"
            ),
            FieldCapture("PCAP.BITS0", np.dtype("<u4"), "Value"),
            *[
                FieldCapture("X.OUT", np.dtype(kind), capture, *scaling)
                for capture, kind in types.items()
            ],
            FieldCapture("Y.OUT", np.dtype("<i8"), "Mean", 1.0, 0.0, ""),
        ]
    )
    samples = np.frombuffer(
        np.random.default_rng(seed).bytes(stream.dtype.itemsize * len(gate)),
        stream.dtype,
    ).copy()
    samples["PCAP.GATE_DURATION.Value"] = gate
    # zeros and small sums, where the sign of zero shows
    samples["X.OUT.Value"][::2] = 0
    samples["X.OUT.Mean"][::3] = 0
    text = b"OK\n" + stream.acquisition(samples, per_frame)
    folder = tmp_path_factory.mktemp("bits")
    with FrameWriter(folder / "ours.h5", chunk_rows=7) as writer:
        for item in parsed(text):
            writer.write(item)
    peer_file(text, folder / "theirs.h5")
    assert_same_file(folder / "ours.h5", folder / "theirs.h5")


def test_frame_writer_appends_acquisitions_and_flushes(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    names = {"COUNTER1.OUT": {"Value": "x"}}
    with FrameWriter(path, names=names, chunk_rows=64) as writer:
        for item in parsed(b"OK\n" + STREAM.acquisition(counting(100), per_frame=9)):
            writer.write(item)
        more = parsed(b"OK\n" + STREAM.acquisition(counting(150), per_frame=31))
        for item in more[:4]:
            writer.write(item)
        assert writer.flush() == writer.rows == 162
        with open_columns(path) as columns:
            assert columns.rows == 162
            assert [run.rows for run in columns.runs] == [100, 62]
            assert columns["x"].attrs["units"] == "mm"
        for item in more[4:]:
            writer.write(item)
        assert [run.reason for run in writer.runs] == ["Ok", "Ok"]
    writer.close()
    with open_columns(path) as columns:
        expected = np.concatenate([np.arange(100), np.arange(150)])
        np.testing.assert_array_equal(columns.read("PCAP.BITS0.Value"), expected)
        np.testing.assert_array_equal(columns.read("x"), expected * -0.5 + 10)


def test_raw_keeps_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    data, _ = play(recording("stddev_raw"), DataOptions(), [4096])
    with FrameWriter(path, raw=True) as writer:
        for item in data:
            writer.write(item)
    samples = frames(data)
    with open_columns(path) as columns:
        assert set(columns) == set(samples.dtype.names)
        for name in columns:
            np.testing.assert_array_equal(columns.read(name), samples[name])
        assert not columns["COUNTER2.OUT.Mean"].attrs["scaled"]
        assert columns["COUNTER2.OUT.Mean"].attrs["scale"] == 0.5


def test_a_changed_field_list_ends_the_file_and_says_what_changed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.h5"
    other = [
        FIELDS[0],
        FieldCapture("COUNTER1.OUT", FIELDS[1].type, "Value", 2.0, 1.0, "m"),
    ]
    with FrameWriter(path) as writer:
        for item in parsed(b"OK\n" + STREAM.acquisition(counting(5))):
            writer.write(item)
        start = parsed(b"OK\n" + Stream(other).header())[1]
        with pytest.raises(CaptureError, match=r"without PCAP.TS_TRIG.Value; COUNTER1"):
            writer.write(start)
    with open_columns(path) as columns:
        assert columns.rows == 5
        assert [run.reason for run in columns.runs] == ["Ok", "Start Data mismatched"]


def test_frame_writer_needs_a_header(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "file.h5") as writer:
        with pytest.raises(BadValue, match="before the header"):
            writer.write(FrameData(counting(3)))


class Client:
    """Stands for an AsyncioClient: notes what it is told to do."""

    def __init__(self, port: FakeDataPort, on_arm: Callable[[int], None]) -> None:
        self.host, self.data_port = "127.0.0.1", port.port
        self.sent: list[type] = []
        self._on_arm = on_arm

    async def send(self, command: Command[Any], timeout: float | None = None) -> None:
        self.sent.append(type(command))
        if isinstance(command, Arm):
            self._on_arm(self.sent.count(Arm))


@pytest.fixture
def port() -> Iterator[FakeDataPort]:
    with fake_data_port() as port:
        yield port


def names(folder: Path, count: int) -> Iterator[str]:
    return iter([str(folder / f"{n}.h5") for n in range(count)])


async def test_write_hdf_files_arms_for_each_file(
    port: FakeDataPort, tmp_path: Path
) -> None:
    sizes = [30_000, 10, 0]
    client = Client(
        port,
        lambda n: port.send(STREAM.acquisition(counting(sizes[n - 1]))),
    )
    await write_hdf_files(client, names(tmp_path, 3), num=3, arm=True, flush_period=0)
    assert client.sent == [Disarm, Arm, Arm, Arm]
    for index, size in enumerate(sizes):
        with open_columns(tmp_path / f"{index}.h5") as columns:
            assert columns.rows == size
            assert columns["PCAP.BITS0.Value"].chunks == (16384,)
            np.testing.assert_array_equal(
                columns.read("PCAP.BITS0.Value"), np.arange(size)
            )


async def test_write_hdf_files_takes_a_pattern(
    port: FakeDataPort, tmp_path: Path
) -> None:
    client = Client(port, lambda n: port.send(STREAM.acquisition(counting(n))))
    await write_hdf_files(client, str(tmp_path / "scan%d.h5"), num=2, arm=True)
    for number in (1, 2):
        assert rows_in(tmp_path / f"scan{number}.h5") == number


@pytest.mark.parametrize("numbers", [{"num": -1}, {"flush_period": -1}])
async def test_write_hdf_files_refuses_negative_numbers(
    port: FakeDataPort, tmp_path: Path, numbers: dict[str, int]
) -> None:
    client = Client(port, lambda n: None)
    with pytest.raises(BadValue, match="must not be negative; nothing was captured"):
        await write_hdf_files(client, names(tmp_path, 1), arm=True, **numbers)
    assert client.sent == []


async def test_fields_may_change_between_files(
    port: FakeDataPort, tmp_path: Path
) -> None:
    other = Stream(FIELDS[:1])
    small = np.zeros(7, other.dtype)
    streams = [STREAM.acquisition(counting(20_000)), other.acquisition(small)]
    client = Client(port, lambda n: port.send(streams[n - 1]))
    await write_hdf_files(client, names(tmp_path, 2), num=2, arm=True)
    with open_columns(tmp_path / "1.h5") as columns:
        assert list(columns) == ["PCAP.BITS0.Value"]
        assert columns.rows == 7


async def test_the_panda_hanging_up_after_the_last_end_is_no_failure(
    port: FakeDataPort, tmp_path: Path
) -> None:
    def on_arm(number: int) -> None:
        port.send(STREAM.acquisition(counting(4)))
        port.hang_up()

    await write_hdf_files(Client(port, on_arm), names(tmp_path, 1), arm=True)


async def test_data_overrun_is_raised_and_rows_are_kept(
    port: FakeDataPort, tmp_path: Path
) -> None:
    stream = STREAM.acquisition(counting(9), reason="Data overrun")
    client = Client(port, lambda n: port.send(stream))
    with pytest.raises(HDFDataOverrunError, match="9 rows of it are kept") as caught:
        await write_hdf_files(client, names(tmp_path, 3), num=0, arm=True)
    assert caught.value.reason == EndReason.DATA_OVERRUN.value
    with open_columns(tmp_path / "0.h5") as columns:
        assert columns.rows == 9


async def test_a_file_that_cannot_be_created_is_raised(
    port: FakeDataPort, tmp_path: Path
) -> None:
    client = Client(port, lambda n: port.send(STREAM.acquisition(counting(4))))
    with pytest.raises(HdfError, match="directory does not exist"):
        await write_hdf_files(client, names(tmp_path / "none", 1), arm=True)
    assert client.sent == [Disarm, Arm, Disarm]


async def test_too_few_file_names_are_raised(
    port: FakeDataPort, tmp_path: Path
) -> None:
    client = Client(port, lambda n: port.send(STREAM.acquisition(counting(4))))
    with pytest.raises(BadValue, match="no file name for acquisition 2"):
        await write_hdf_files(client, names(tmp_path, 1), num=2, arm=True)
    with open_columns(tmp_path / "0.h5") as columns:
        assert columns.rows == 4


async def test_a_lost_connection_is_raised_and_rows_are_kept(
    port: FakeDataPort, tmp_path: Path
) -> None:
    def on_arm(number: int) -> None:
        port.send(STREAM.acquisition(counting(40_000))[:-200])
        port.hang_up()

    with pytest.raises(PandaDisconnected, match="rows received are kept"):
        await write_hdf_files(Client(port, on_arm), names(tmp_path, 1), arm=True)
    with open_columns(tmp_path / "0.h5") as columns:
        assert columns.rows == 39_988
        assert columns.runs[0].reason == "Early disconnect"


async def test_nobody_there(tmp_path: Path) -> None:
    with fake_data_port() as port:
        client = Client(port, lambda n: None)
    with pytest.raises(PandaDisconnected, match="cannot be reached"):
        await write_hdf_files(client, names(tmp_path, 1))


async def test_cancelling_closes_the_file(port: FakeDataPort, tmp_path: Path) -> None:
    client = Client(port, lambda n: None)
    task = asyncio.create_task(
        write_hdf_files(client, names(tmp_path, 1), flush_period=0)
    )
    await asyncio.to_thread(port.wait_greeted, 1)
    port.send(
        STREAM.header() + STREAM.acquisition(counting(50))[len(STREAM.header()) : -8]
    )
    path = tmp_path / "0.h5"
    while not path.exists() or rows_in(path) < 50:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with h5py.File(path) as file:
        assert len(file["PCAP.BITS0.Value"]) == 50


def rows_in(path: Path) -> int:
    try:
        with open_columns(path) as columns:
            return columns.rows
    except HdfError:
        return 0


class Counter(Pipeline):
    """A last element that sees how many rows were written."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.what_to_do = {int: self.seen.append}


def test_pipelines_tell_how_many_rows_were_written(tmp_path: Path) -> None:
    counter = Counter()
    pipeline = create_default_pipeline(names(tmp_path, 1), {}, counter)
    for item in parsed(b"OK\n" + STREAM.acquisition(counting(100), per_frame=40)):
        pipeline[0].queue.put_nowait(item)
    stop_pipeline(pipeline)
    assert counter.seen == [40, 80, 100]


def test_hdf_writer_takes_a_pattern_and_names(tmp_path: Path) -> None:
    writer = HDFWriter(str(tmp_path / "scan%d.h5"), {"COUNTER1.OUT": {"Value": "x"}})
    pipeline = create_pipeline(FrameProcessor(), writer)
    for _ in range(2):
        for item in parsed(b"OK\n" + STREAM.acquisition(counting(3))):
            pipeline[0].queue.put(item)
    stop_pipeline(pipeline)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan1.h5", "scan2.h5"]
    with open_columns(tmp_path / "scan2.h5") as columns:
        assert columns.read("x").tolist() == [10, 9.5, 9]


@pytest.mark.parametrize("what", ["directory", "names"])
def test_a_pipeline_that_fails_says_so_and_does_not_block(
    what: str, tmp_path: Path
) -> None:
    folder = tmp_path / "none" if what == "directory" else tmp_path
    pipeline = create_default_pipeline(names(folder, int(what == "directory")), {})
    error = HdfError if what == "directory" else BadValue
    with pytest.raises(error):
        while True:
            for item in parsed(b"OK\n" + STREAM.acquisition(counting(1000))):
                pipeline[0].queue.put_nowait(item)
    with pytest.raises(error):
        stop_pipeline(pipeline)
    assert not any(element.is_alive() for element in pipeline)


def test_an_open_file_is_closed_with_its_pipeline(tmp_path: Path) -> None:
    pipeline = create_default_pipeline(names(tmp_path, 1), {})
    for item in parsed(b"OK\n" + STREAM.acquisition(counting(30)))[:-1]:
        pipeline[0].queue.put_nowait(item)
    stop_pipeline(pipeline)
    with h5py.File(tmp_path / "0.h5", "r+") as file:
        assert len(file["PCAP.BITS0.Value"]) == 30


def test_what_waits_in_a_pipeline_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beamfly.panda.pipeline.MAX_WAITING", 100_000)
    gate, most = threading.Event(), [0]

    class Slow(Pipeline):
        def __init__(self) -> None:
            super().__init__()
            self.what_to_do = {FrameData: self.wait}

        def wait(self, data: FrameData) -> None:
            gate.wait(PATIENCE)

    (element,) = create_pipeline(Slow())

    def feed() -> None:
        for _ in range(100):
            element.queue.put_nowait(FrameData(counting(1000)))
            most[0] = max(most[0], len(element.queue.queue))

    feeder = threading.Thread(target=feed)
    feeder.start()
    while most[0] < 6:
        pass
    assert feeder.is_alive()
    assert most[0] <= 8
    gate.set()
    feeder.join(PATIENCE)
    stop_pipeline([element])
    assert most[0] <= 8
