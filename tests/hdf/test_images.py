"""Images in HDF5 files: shape, numbers beside them, reading while writing, errors."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from beamfly.errors import BadValue, HdfError
from beamfly.hdf.images import ImageWriter

DATA, IDS = "/entry/data/data", "/entry/ids"


def image(value: int) -> np.ndarray:
    return np.full((3, 4), value, np.uint16)


def writer(path: Path, **options: bool) -> ImageWriter:
    return ImageWriter(path, DATA, (3, 4), np.uint16, {IDS: np.int32}, **options)


def test_readers_see_each_image_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with writer(path) as file, h5py.File(path, "r", swmr=True) as reader:
        images, ids = reader[DATA], reader[IDS]
        assert images.shape == (0, 3, 4)
        for number in range(1, 6):
            file.append(image(number), {IDS: 10 * number})
            images.id.refresh()
            ids.id.refresh()
            assert file.frames == len(images) == len(ids) == number
            assert (images[number - 1] == number).all()
            assert ids[number - 1] == 10 * number
    assert file.closed
    with h5py.File(path) as closed:
        assert closed[DATA].shape == (5, 3, 4)
        assert closed[DATA].dtype == np.uint16
        assert closed[DATA].chunks == (1, 3, 4)


def test_a_number_that_is_not_given_is_0(tmp_path: Path) -> None:
    with writer(tmp_path / "a.h5") as file:
        file.append(image(1))
    with h5py.File(tmp_path / "a.h5") as closed:
        assert closed[IDS][:].tolist() == [0]


def test_an_image_of_another_shape_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path / "a.h5") as file:
        with pytest.raises(BadValue, match=r"\(4, 3\)"):
            file.append(image(1).T)
        file.append(image(2))
        assert file.frames == 1


def test_files_that_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(HdfError, match="nothing was written"):
        writer(tmp_path / "missing" / "a.h5")
    writer(tmp_path / "a.h5").close()
    with pytest.raises(HdfError, match=r"a\.h5"):
        writer(tmp_path / "a.h5")
    writer(tmp_path / "a.h5", overwrite=True).close()


def test_a_closed_file_takes_nothing(tmp_path: Path) -> None:
    file = writer(tmp_path / "a.h5")
    file.close()
    file.close()
    with pytest.raises(HdfError, match="is closed"):
        file.append(image(1))


def test_a_layout_that_cannot_be_is_reported_and_the_file_closed(
    tmp_path: Path,
) -> None:
    with pytest.raises(HdfError, match="it is closed"):
        ImageWriter(tmp_path / "a.h5", DATA, (3, 4), np.uint16, {DATA: np.int32})
    # it can be opened, so nobody holds it
    with h5py.File(tmp_path / "a.h5", "r+"):
        pass
