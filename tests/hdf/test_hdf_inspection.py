"""What `inspect`, `verify` and `repair` say of files, good ones and others."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamfly.errors import HdfError
from beamfly.hdf import Column, ColumnWriter, Run, inspect, open_columns, repair, verify
from beamfly.hdf.repair import KILLED

X = Column(
    "x", np.dtype("<f8"), {"units": "mm", "field": "INENC1.VAL", "capture": "Mean"}
)
BITS = Column("bits", np.dtype("<u4"), {"field": "PCAP.BITS0", "capture": "Value"})
ARMED = "2026-11-20T06:28:17Z"


def append(writer: ColumnWriter, rows: int) -> None:
    first = writer.rows
    writer.append(
        [np.arange(first, first + rows) / 8, np.arange(first, first + rows, dtype="u4")]
    )


def write(path: Path, *runs: tuple[int, int, str]) -> Path:
    """A file with these runs: rows, missed, reason."""
    with ColumnWriter(path, chunk_rows=100) as writer:
        writer.define([X, BITS], first_run=Run(arm_time=ARMED))
        for rows, missed, reason in runs:
            writer.start_run(Run(arm_time=ARMED, missed=missed))
            append(writer, rows)
            writer.end_run(reason)
    return path


def killed(path: Path) -> Path:
    """A file whose writer was killed after 350 flushed rows and 70 others."""
    script = """
    import os, sys
    sys.path[:0] = sys.argv[2:]
    from pathlib import Path
    from beamfly.hdf import ColumnWriter, Run
    from test_hdf_inspection import X, BITS, append
    writer = ColumnWriter(Path(sys.argv[1]), chunk_rows=100)
    writer.define([X, BITS])
    writer.start_run(Run())
    append(writer, 350)
    writer.flush()
    append(writer, 70)
    os.kill(os.getpid(), 9)
    """
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", textwrap.dedent(script), str(path), here]
    done = subprocess.run(command, check=False)
    assert done.returncode == -signal.SIGKILL
    return path


@pytest.fixture(scope="module")
def wreck(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return killed(tmp_path_factory.mktemp("wreck") / "file.h5").read_bytes()


def test_a_good_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", (250, 0, "Ok"), (120, 0, "Disarmed"))
    report = inspect(path)
    assert (report.rows, report.complete, report.ours) == (370, True, True)
    assert report.attrs["arm_time"] == ARMED
    assert {d.name: (d.shape, d.text("units")) for d in report.datasets} == {
        "bits": ((370,), ""),
        "x": ((370,), "mm"),
    }
    assert [(run.first_row, run.rows) for run in report.runs] == [(0, 250), (250, 120)]
    assert verify(path) == []
    before = path.read_bytes()
    assert not repair(path).mended
    assert path.read_bytes() == before


def test_what_the_panda_lost_is_pointed_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", (250, 0, "Ok"), (50, 4, "Data overrun"))
    assert verify(path) == [
        "run 2 lost 4 samples before its first row",
        "run 2 ended after 50 rows with 'Data overrun'",
    ]


def test_a_file_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with ColumnWriter(path) as writer:
        writer.define([X, BITS])
        writer.start_run(Run())
        for rows in (10, 20, 30):
            append(writer, 10)
            writer.flush()
            report = inspect(path)
            assert report.mark.writing
            assert (report.rows, report.complete) == (rows, False)
        with pytest.raises(HdfError, match="writer may still be running"):
            repair(path)
        assert verify(path) == [
            "it is marked as open for writing: its writer is still at work, or was "
            "killed",
            "run 1 has no end: it is going on, or its writer was killed",
        ]
        # looking at it has not disturbed the writer
        append(writer, 10)
        writer.end_run("Ok")
    assert verify(path) == []


def test_a_killed_writers_file_is_put_in_order(tmp_path: Path, wreck: bytes) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(wreck)
    report = inspect(path)
    assert (report.rows, report.complete) == (350, False)
    done = repair(path, force=True)
    assert (done.mended, done.rows, done.dropped, done.runs_ended) == (True, 350, 0, 1)
    with h5py.File(path, "r+") as file:
        np.testing.assert_array_equal(file["x"], np.arange(350) / 8)
    (run,) = inspect(path).runs
    assert (run.first_row, run.rows, run.reason) == (0, 350, KILLED)
    assert verify(path) == [f"run 1 ended after 350 rows with {KILLED!r}"]


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(part=st.floats(0.0, 1.0), closed=st.booleans())
def test_a_file_cut_anywhere_is_mended_or_named_damaged(
    tmp_path: Path, wreck: bytes, part: float, closed: bool
) -> None:
    path = tmp_path / "a.h5"
    path.unlink(missing_ok=True)
    whole = wreck
    if closed:
        whole = write(path, (250, 0, "Ok"), (120, 0, "Ok")).read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    try:
        done = repair(path, force=True)
    except HdfError as error:
        assert str(path) in str(error)
        return
    report = inspect(path)
    assert report.complete
    assert {d.rows for d in report.datasets} == {done.rows}
    assert sum(run.rows for run in report.runs) == done.rows
    with open_columns(path) as columns:
        np.testing.assert_array_equal(columns.read("x"), np.arange(done.rows) / 8)


def test_a_cut_file_is_told_before_it_is_mended(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", (350, 0, "Ok"))
    size = path.stat().st_size
    os.truncate(path, size - 100)
    with pytest.raises(HdfError, match=f"cut off: it has {size - 100} of {size} bytes"):
        verify(path)


def test_columns_of_different_lengths(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", (350, 0, "Ok"))
    with h5py.File(path, "r+") as file:
        file["x"].resize((360,))
        file["runs/rows"][0] = 340
    assert verify(path) == [
        "its columns differ in length: all have 350 rows, but there are more of "
        "x (360)",
        "its runs account for 340 rows only, but it has 350",
    ]
    with h5py.File(path, "r+") as file:
        file["runs/rows"][0] = 400
        file["runs/first_row"][0] = 2
    assert verify(path)[1:] == [
        "run 1 begins at row 2, though the rows before it end at 0",
        "its runs account for 402 rows, but it has 350",
    ]


def test_chunks_that_were_never_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (1000,), "f8", chunks=(100,), maxshape=(None,))
        data[:300] = 1
    assert verify(path) == [
        "x lacks 7 of 10 chunks of 100 rows; they read as zeros",
    ]


def test_values_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "x", (1000,), "f8", chunks=(100,), maxshape=(None,), fletcher32=True
        )
        data[:] = np.arange(1000)
        place = data.id.get_chunk_info(4).byte_offset
    raw = bytearray(path.read_bytes())
    raw[place + 10] ^= 1
    path.write_bytes(raw)
    told: list[float] = []
    (problem,) = verify(path, lambda name, part: told.append(part))
    assert problem.startswith("x cannot be read from row 400 on: ")
    assert told == [0.0]


def test_files_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.zeros((4, 2, 3), "u2")
        file["title"] = "hello"
        file["away"] = h5py.ExternalLink("nowhere.h5", "/x")
        file["gone"] = h5py.SoftLink("/nowhere")
    report = inspect(path)
    assert not report.ours
    assert report.runs == []
    assert {d.name: d.shape for d in report.datasets} == {
        "entry/data/data": (4, 2, 3),
        "title": (),
    }
    assert verify(path) == []
    with open_columns(path) as columns:
        assert set(columns) == {"title"}
    with h5py.File(path, "w"):
        pass
    assert verify(path) == ["it holds no dataset"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; it is not an HDF5 file"),
        (b"some text\n" * 30, "is not an HDF5 file"),
        (b"\x89HDF\r\n\x1a\n\x03\x08", "is cut off: it has 10 bytes only"),
        (b"\x89HDF\r\n\x1a\n\x63" + bytes(200), "is damaged: "),
    ],
)
def test_what_is_no_hdf5_file(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    for act in (inspect, verify):
        with pytest.raises(HdfError, match=sentence) as caught:
            act(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(HdfError, match="there is no file"):
        inspect(tmp_path / "none.h5")
    with pytest.raises(HdfError, match=r"cannot read .*: Is a directory"):
        inspect(tmp_path)
