"""ColumnWriter and open_columns: what is appended is what is read, whatever happens."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue, HdfError
from beamfly.hdf import Column, ColumnWriter, Plot, Run, open_columns

F8, U4, I8 = np.dtype("<f8"), np.dtype("<u4"), np.dtype("<i8")
WORDS = np.dtype(("<u4", (3,)))
COLUMNS = [
    Column("x", F8, {"units": "mm", "scale": 0.5}),
    Column("bits", U4),
    Column("group/count", I8),
    Column("squares", WORDS),
]


def block(first: int, count: int) -> list[np.ndarray]:
    rows = np.arange(first, first + count)
    words = np.stack([rows, rows + 1, rows + 2], axis=1).astype("<u4")
    return [rows * 0.5, rows.astype("<u4"), rows * 2**33, words]


def filled(path: Path, rows: int) -> None:
    with ColumnWriter(path) as writer:
        writer.define(COLUMNS)
        writer.append(block(0, rows))


@given(sizes=st.lists(st.integers(0, 60), max_size=12), chunk=st.integers(1, 33))
@settings(deadline=None, max_examples=60)
def test_blocks_of_any_size_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "file.h5"
    with ColumnWriter(path, chunk_rows=chunk) as writer:
        writer.define(COLUMNS)
        with open_columns(path) as columns:
            for size in sizes:
                writer.append(block(writer.rows, size))
                assert writer.flush() == writer.rows
                assert columns.refresh() == writer.rows
                for name, expected in zip(
                    columns, read_order(writer.rows), strict=True
                ):
                    np.testing.assert_array_equal(columns.read(name), expected)
    with h5py.File(path) as file:
        for column, expected in zip(COLUMNS, block(0, sum(sizes)), strict=True):
            dataset = file[column.name]
            assert isinstance(dataset, h5py.Dataset)
            assert dataset.chunks == (chunk,)
            assert dataset.maxshape == (None,)
            np.testing.assert_array_equal(dataset[()], expected)


def read_order(rows: int) -> list[np.ndarray]:
    """A mapping of a file lists names by the alphabet."""
    named = dict(zip([c.name for c in COLUMNS], block(0, rows), strict=True))
    return [named[name] for name in sorted(named)]


def test_attributes_plot_and_first_run(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    first = Run(arm_time="2026-11-20T06:28:17Z", hw_time_offset_ns=-5)
    with ColumnWriter(path) as writer:
        writer.define(
            COLUMNS, first_run=first, attrs={"scan": 7}, plot=Plot("x", "group/count")
        )
    with h5py.File(path) as file:
        assert file.attrs["arm_time"] == "2026-11-20T06:28:17Z"
        assert file.attrs["hw_time_offset_ns"] == -5
        assert file.attrs["hw_time_offset_ns"].dtype == np.int64
        assert "start_time" not in file.attrs
        assert file.attrs["scan"] == 7
        assert dict(file["x"].attrs) == {"units": "mm", "scale": 0.5}
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        assert (entry.attrs["NX_class"], data.attrs["NX_class"]) == (
            "NXentry",
            "NXdata",
        )
        assert data.attrs["signal"] == "x"
        assert list(data.attrs["axes"]) == ["group_count"]
        assert data["group_count"] == file["group/count"]
        assert data["x"] == file["x"]


def test_runs_are_told_as_they_go(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with ColumnWriter(path) as writer:
        writer.define(COLUMNS)
        with open_columns(path) as columns:
            writer.start_run(Run(arm_time="first", missed=3))
            writer.append(block(0, 10))
            writer.flush()
            columns.refresh()
            running = Run(arm_time="first", missed=3, rows=10)
            assert columns.runs == [running]
            writer.end_run("Ok")
            writer.start_run(Run(start_time="second", hw_time_offset_ns=9))
            writer.append(block(10, 20_000))
            writer.end_run("Data overrun")
            writer.start_run(Run())
            writer.end_run("Disarmed")
    with open_columns(path) as columns:
        assert columns.runs == [
            Run("first", None, None, 3, 0, 10, "Ok"),
            Run(None, "second", 9, 0, 10, 20_000, "Data overrun"),
            Run(None, None, None, 0, 20_010, 0, "Disarmed"),
        ]


def test_a_file_that_exists_is_refused_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    filled(path, 5)
    with pytest.raises(
        HdfError, match=r"file\.h5: it exists already; nothing was writ"
    ):
        ColumnWriter(path)
    with open_columns(path) as columns:
        assert columns.rows == 5
    ColumnWriter(path, overwrite=True).close()
    with open_columns(path) as columns:
        assert len(columns) == 0


def test_a_file_that_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(HdfError, match="its directory does not exist"):
        ColumnWriter(tmp_path / "nowhere" / "file.h5")
    (tmp_path / "plain").write_text("")
    with pytest.raises(HdfError, match="its directory is a file"):
        ColumnWriter(tmp_path / "plain" / "file.h5")
    with pytest.raises(HdfError, match="it is a directory"):
        ColumnWriter(tmp_path, overwrite=True)
    with pytest.raises(BadValue):
        ColumnWriter(tmp_path / "file.h5", chunk_rows=0)
    assert not (tmp_path / "file.h5").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HdfError, match="may not be written"):
        ColumnWriter(tmp_path / "file.h5")


def test_a_file_that_another_writer_has(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with ColumnWriter(path), pytest.raises(HdfError, match="cannot create"):
        ColumnWriter(path, overwrite=True)


@pytest.mark.parametrize(
    "name", ["runs", "entry", "entry/x", "", "/", ".", "a/..", "a//b"]
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with ColumnWriter(tmp_path / "file.h5") as writer:
        with pytest.raises(BadValue, match="cannot be named"):
            writer.define([Column(name, F8)])
        with pytest.raises(BadValue, match="two datasets"):
            writer.define([Column("x", F8), Column("x", U4)])
        with pytest.raises(BadValue, match="plotted"):
            writer.define(COLUMNS, plot=Plot("y"))


def test_no_columns_and_twice(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "file.h5") as writer:
        with pytest.raises(BadValue, match="without any column"):
            writer.define([])
        writer.define(COLUMNS)
        with pytest.raises(BadValue, match="defined already"):
            writer.define(COLUMNS)


def test_rows_that_do_not_fit_are_refused_whole(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "file.h5") as writer:
        writer.define(COLUMNS)
        good = block(0, 4)
        for bad in (
            good[:3],
            [*good[:3], good[3][:2]],
            [good[0].astype("<f4"), *good[1:]],
            [np.arange(8.0)[::2], *good[1:]],
            [*good[:3], good[3][:, :2].copy()],
        ):
            with pytest.raises(BadValue, match="nothing was written"):
                writer.append(bad)
        writer.append(good)
        assert writer.rows == 4
    with pytest.raises(HdfError, match="is closed"):
        writer.append(good)
    writer.close()


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HdfError, match="there is no file"):
        open_columns(tmp_path / "file.h5")
    (tmp_path / "file.h5").write_bytes(b"not HDF5")
    with pytest.raises(HdfError, match="cannot read"):
        open_columns(tmp_path / "file.h5")


def test_files_of_other_programs_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(5)
        file["b/c"] = np.arange(7)
    with open_columns(path) as columns:
        assert set(columns) == {"a", "b/c"}
        assert columns.rows == 5
        assert columns.runs == []
        assert columns.read("b/c", 1).tolist() == [1, 2, 3, 4]
