"""Datasets by path, from files of any program, also while they are being written."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from beamfly.errors import HdfError
from beamfly.hdf import Column, ColumnWriter, Run
from beamfly.hdf.reading import DatasetReader


def test_a_file_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with ColumnWriter(path) as writer:
        writer.define([Column("x", np.dtype("<f8"), {"units": "mm"})])
        writer.start_run(Run(start_time="2026-11-20T08:00:00Z"))
        for rows in (3, 6):
            writer.append([np.arange(3.0)])
            writer.flush()
            with DatasetReader(path) as reader:
                assert reader.shape("/x") == (rows,)
                assert reader.dtype("x") == np.dtype("<f8")
                assert reader.attributes("x") == {"units": "mm"}
                assert reader.read("x", rows - 2, rows + 5).tolist() == [1, 2]
                assert [run.start_time for run in reader.runs] == [
                    "2026-11-20T08:00:00Z"
                ]


def test_images_of_any_program_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    frames = np.arange(24).reshape(4, 2, 3)
    with h5py.File(path, "w", libver="earliest") as file:
        file["entry/data/data"] = frames
        file["runs"] = 5
    with DatasetReader(path) as reader:
        assert reader.shape("/entry/data/data") == (4, 2, 3)
        np.testing.assert_array_equal(
            reader.read("/entry/data/data", 1, 3), frames[1:3]
        )
        assert reader.shape("runs") == ()
        assert reader.runs == []


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(HdfError, match=r"there is no file .*a\.h5"):
        DatasetReader(path)
    path.write_text("no HDF5")
    with pytest.raises(HdfError, match=r"cannot read .*a\.h5: "):
        DatasetReader(path)
    with h5py.File(path, "w") as file:
        file["group/x"] = 5.0
    with DatasetReader(path) as reader:
        for ask in (reader.shape, reader.dtype, reader.attributes):
            with pytest.raises(HdfError, match=r"no dataset nothing in .*a\.h5"):
                ask("nothing")
            with pytest.raises(HdfError, match=r"group in .*a\.h5 is a group"):
                ask("group")
        with pytest.raises(HdfError, match=r"cannot read group/x in .*a\.h5: "):
            reader.read("group/x", 0, 1)
