"""What a file keeps when its writer is killed, or its disk is full."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from beamfly.errors import HdfError
from beamfly.hdf import Column, ColumnWriter, Run, open_columns, recover
from beamfly.hdf.superblock import lookup3

WRITER = """
import resource, signal, sys
import numpy as np
from beamfly.errors import HdfError
from beamfly.hdf import Column, ColumnWriter, Run, open_columns

path, limit = sys.argv[1], int(sys.argv[2])
writer = ColumnWriter(path, chunk_rows=1000)
writer.define([Column(f"c{n}", np.dtype("<f8")) for n in range(6)])
writer.start_run(Run(arm_time="2026-11-20T06:28:17Z"))
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    while True:
        rows = np.arange(writer.rows, writer.rows + 700)
        writer.append([rows + n / 8 for n in range(6)])
        writer.flush()
        print(writer.flushed, flush=True)
except HdfError as exc:
    print(writer.rows, exc, flush=True)
"""


def start_writer(path: Path, limit: int = 0) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(limit)],
        stdout=subprocess.PIPE,
        text=True,
    )


def assert_rows(path: Path, rows: int) -> None:
    with open_columns(path) as columns:
        assert columns.rows >= rows
        for n in range(6):
            np.testing.assert_array_equal(
                columns.read(f"c{n}"), np.arange(columns.rows) + n / 8
            )


def kill_writer(path: Path) -> int:
    """Kill a writer while it writes; returns the rows that it had announced."""
    with start_writer(path) as process:
        assert process.stdout is not None
        for _ in range(20):
            announced = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    # the last line may have been cut by the kill
    return int(rest[-2]) if len(rest) > 1 else announced


def test_a_killed_writer_leaves_every_announced_row(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    announced = kill_writer(path)
    assert announced >= 700 * 19
    assert_rows(path, announced)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")


def test_recovery_makes_it_a_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    announced = kill_writer(path)
    with pytest.raises(HdfError, match="its writer may still be running; it was not"):
        recover(path)
    assert recover(path, force=True)
    assert not recover(path, force=True)
    assert_rows(path, announced)
    for mode in ("r", "r+"):
        with h5py.File(path, mode) as file:
            assert len(file["c5"]) >= announced
            assert file["runs/rows"][0] >= announced


def test_recovery_of_an_old_wreck_needs_no_force(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    kill_writer(path)
    os.utime(path, (1e9, 1e9))
    assert recover(path)
    h5py.File(path, "r").close()


def test_recovery_leaves_alone_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with pytest.raises(HdfError, match=r"cannot recover .*No such file"):
        recover(path)
    path.write_bytes(b"x" * 100)
    with pytest.raises(HdfError, match="not an HDF5 file"):
        recover(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    before = path.read_bytes()
    with pytest.raises(HdfError, match="superblock version 0"):
        recover(path)
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file["x"] = 1
    before = path.read_bytes()
    assert not recover(path)
    torn = before[:30] + b"\xee" + before[31:]
    path.write_bytes(torn)
    with pytest.raises(HdfError, match="damaged in its first bytes"):
        recover(path)
    assert path.read_bytes() == torn


def test_checksum_is_the_one_hdf5_writes(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    for size in (1, 1000, 100_000):
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            file["x"] = np.arange(size)
        head = path.read_bytes()[:48]
        assert lookup3(head[:44]) == struct.unpack("<I", head[44:])[0]
    # Jenkins' own examples
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


@pytest.mark.parametrize("limit", [300_000, 481_000, 700_000, 1_234_567, 2_000_000])
def test_a_full_disk_leaves_a_closed_file_with_all_that_fits(
    tmp_path: Path, limit: int
) -> None:
    path = tmp_path / "file.h5"
    with start_writer(path, limit) as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    *announced, last = out.splitlines()
    kept, _, message = last.partition(" ")
    assert message == (
        f"cannot write {path}: File too large; it is closed and keeps {kept} rows"
    ) or message.endswith(f"it is closed and keeps {kept} rows")
    assert int(kept) >= int(announced[-1]) > 0
    # an ordinary file: no recovery, no SWMR needed, columns of one length
    with h5py.File(path, "r+") as file:
        for n in range(6):
            np.testing.assert_array_equal(file[f"c{n}"], np.arange(int(kept)) + n / 8)
        assert file["runs/rows"][0] == int(kept)
        assert file["runs/reason"][0] == b"Unknown exception"
    # what fits is little less than the disk
    assert int(kept) * 6 * 8 > limit - 6 * 8 * 1000 - 40_000


def test_a_disk_that_is_full_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with start_writer(path, 30_000) as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.startswith("0 cannot write")
    with open_columns(path) as columns:
        assert columns.rows == 0


def test_nothing_fits_at_all(tmp_path: Path) -> None:
    script = """
    import resource, signal, sys
    import numpy as np
    from beamfly.errors import HdfError
    from beamfly.hdf import Column, ColumnWriter
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    try:
        writer = ColumnWriter(sys.argv[1])
        writer.define([Column("x", np.dtype("<f8"))])
        writer.append([np.zeros(100_000)])
        writer.close()
    except HdfError as exc:
        print(exc)
    """
    for limit in (0, 1000, 20_000):
        path = tmp_path / f"{limit}.h5"
        command = [sys.executable, "-c", textwrap.dedent(script), path, str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(("cannot write", "cannot create"))


def test_a_file_taken_away_while_it_is_written(tmp_path: Path) -> None:
    # its bytes go on to exist until it is closed; nothing must break
    path = tmp_path / "folder" / "file.h5"
    path.parent.mkdir()
    writer = ColumnWriter(path)
    writer.define([Column("x", np.dtype("<f8"))])
    shutil.rmtree(path.parent)
    writer.append([np.zeros(50_000)])
    writer.close()


def test_a_reader_that_keeps_the_file_open_does_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    writer = ColumnWriter(path, chunk_rows=100)
    writer.define([Column("x", np.dtype("<f8"))])
    script = """
    import sys
    from beamfly.hdf import open_columns
    with open_columns(sys.argv[1]) as columns:
        seen = []
        while not seen or seen[-1] < 5000:
            seen.append(columns.refresh())
            values = columns.read("x")
            assert values.tolist() == list(range(seen[-1]))
            assert not columns.runs or columns.runs[0].rows <= 5000
    assert seen == sorted(seen)
    print("seen", len(set(seen)) > 1)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        writer.start_run(Run())
        while writer.rows < 5000:
            writer.append([np.arange(writer.rows, writer.rows + 10, dtype="<f8")])
            writer.flush()
        out, _ = reader.communicate(timeout=30)
    writer.close()
    assert out.startswith("seen")
    assert reader.returncode == 0
