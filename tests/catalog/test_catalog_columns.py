"""Columns in events and in files, whatever their shape and wherever they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalog_runs import FlyScan, SwmrFile, images, key, step_scan, store
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.catalog import Catalog, Column
from beamfly.catalog.file_columns import layout
from beamfly.catalog.segments import ExternalField, Resource, Segment
from beamfly.catalog.values import event_array
from beamfly.errors import CatalogError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path)
    yield catalog
    catalog.close()


def column(catalog: Catalog, scan: FlyScan, name: str = "x") -> Column:
    store(catalog.writer(), scan.stop())
    return catalog[-1].primary["data"][name]


X = {"x": key(dtype_numpy="<f8")}


@pytest.mark.parametrize(
    ("stored", "declared", "expected"),
    [
        ((9,), [], (1, ())),
        ((9,), [1], (1, ())),
        ((9, 1), [1], (1, ())),
        ((9, 4), [4], (1, (4,))),
        ((9, 4), [1, 4], (1, (1, 4))),
        ((9, 2, 3), [2, 3], (1, (2, 3))),
        ((9, 2, 3), [1, 2, 3], (1, (1, 2, 3))),
        ((9, 1, 2, 3), [1, 2, 3], (1, (1, 2, 3))),
        ((9,), [5], (5, (5,))),
        ((9, 5), [5], (1, (5,))),
        ((9, 2, 3), [5, 2, 3], (5, (5, 2, 3))),
        ((9, 5, 2, 3), [5, 2, 3], (1, (5, 2, 3))),
        ((9, 3, 2), [1, 2, 3], (1, (3, 2))),  # the file is right
        ((9, 7), [], (1, (7,))),
        ((9, 7), [None], (1, (7,))),
        ((9, 7, 2), [1, None, 2], (1, (7, 2))),
        ((9,), [0], (1, ())),
    ],
)
def test_how_events_lie_in_a_dataset(stored: Any, declared: Any, expected: Any) -> None:
    assert layout(stored, declared) == expected


@pytest.mark.parametrize("per_event", [1, 4])
@pytest.mark.parametrize("flat", [True, False])
def test_several_collections_per_event(
    catalog: Catalog, tmp_path: Path, per_event: int, flat: bool
) -> None:
    values = np.arange(5 * per_event, dtype=float)
    shape = () if flat else (per_event,)
    with SwmrFile(tmp_path / "a.h5", x=("<f8", shape)) as file:
        file.append(x=values if flat else values.reshape(5, per_event))
        scan = FlyScan({"x": key(shape=[per_event], dtype_numpy="<f8")})
        scan.resource("x", file.uri)
        scan.announce(0, 5)
        read = column(catalog, scan)
        expected = values if per_event == 1 else values.reshape(5, per_event)
        np.testing.assert_array_equal(read[:], expected)
        np.testing.assert_array_equal(read[2:4], expected[2:4])


def test_a_partial_event_is_not_given(catalog: Catalog, tmp_path: Path) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(11))
        scan = FlyScan({"x": key(shape=[4], dtype_numpy="<f8")})
        scan.resource("x", file.uri)
        scan.announce(0, 3)
        assert column(catalog, scan)[:].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_images_are_read_by_the_row(catalog: Catalog, tmp_path: Path) -> None:
    with SwmrFile(tmp_path / "a.h5", img=("<u2", (2, 3))) as file:
        file.append(img=images(10))
        scan = FlyScan({"img": key("array", [1, 2, 3], dtype_numpy="<u2")})
        scan.resource("img", file.uri)
        scan.announce(0, 10)
        read = column(catalog, scan, "img")
    expected = images(10).reshape(10, 1, 2, 3)
    assert (read.shape, read.dtype) == (expected.shape, expected.dtype)
    for which in (
        slice(None),
        slice(3, 7),
        slice(-3, None),
        slice(7, 3),
        slice(None, None, 2),
        slice(None, None, -1),
        4,
        -1,
        np.int64(2),
        [1, 5],
        (slice(2, 4), 0, slice(None), 1),
        (3, 0, 1),
        (..., 2),
        np.arange(10) > 6,
    ):
        np.testing.assert_array_equal(read[which], expected[which], err_msg=str(which))
    np.testing.assert_array_equal(np.asarray(read), expected)
    np.testing.assert_array_equal(read.read(slice(1, 2)), expected[1:2])
    with pytest.raises(IndexError, match="img has 10 events; there is no number 10"):
        read[10]
    assert len(list(read)) == 10


def test_only_what_is_asked_for_is_read(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beamfly.hdf.reading import DatasetReader

    asked: list[tuple[int, int]] = []
    read = DatasetReader.read

    def spy(self: DatasetReader, name: str, start: int, stop: int) -> Any:
        asked.append((start, stop))
        return read(self, name, start, stop)

    monkeypatch.setattr(DatasetReader, "read", spy)
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(100))
        scan = FlyScan(X)
        scan.resource("x", file.uri)
        scan.announce(0, 100)
        assert column(catalog, scan)[40:43].tolist() == [40, 41, 42]
    assert asked == [(40, 43)]


def test_only_announced_rows_are_given(catalog: Catalog, tmp_path: Path) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(100))
        scan = FlyScan(X)
        scan.resource("x", file.uri)
        for start in range(0, 30, 10):
            scan.announce(start, start + 10)
        assert column(catalog, scan)[:].tolist() == list(range(30))


def test_a_file_shorter_than_announced(catalog: Catalog, tmp_path: Path) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(7))
        scan = FlyScan(X)
        scan.resource("x", file.uri)
        scan.announce(0, 10)
        assert column(catalog, scan)[:].tolist() == list(range(7))


def test_arms_and_files_follow_each_other(catalog: Catalog, tmp_path: Path) -> None:
    scan = FlyScan(X)
    for number in range(3):
        with SwmrFile(tmp_path / f"{number}.h5", x=("<f8", ())) as file:
            file.append(x=np.arange(4) + 10 * number)
            scan.resource("x", file.uri)
            scan.announce(0, 2)
            scan.announce(2, 4)
    read = column(catalog, scan)
    expected = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    assert read[:].tolist() == expected
    for start in range(12):
        for stop in range(start, 13):
            assert read[start:stop].tolist() == expected[start:stop]


def test_indices_may_count_on_from_file_to_file(
    catalog: Catalog, tmp_path: Path
) -> None:
    scan = FlyScan(X)
    for number in range(2):
        with SwmrFile(tmp_path / f"{number}.h5", x=("<f8", ())) as file:
            file.append(x=np.arange(4) + 10 * number)
            scan.resource("x", file.uri)
            scan.announce(4 * number, 4 * number + 4)
    assert column(catalog, scan)[:].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_arms_may_share_a_file(catalog: Catalog, tmp_path: Path) -> None:
    scan = FlyScan(X)
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        for start in (0, 4):
            file.append(x=np.arange(start, start + 4))
            scan.resource("x", file.uri)
            scan.announce(start, start + 4)
    assert column(catalog, scan)[:].tolist() == list(range(8))


def test_what_follows_a_gap_is_not_taken_for_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    scan = FlyScan(X)
    for number, rows in enumerate((3, 4)):  # the first lost its last row
        with SwmrFile(tmp_path / f"{number}.h5", x=("<f8", ())) as file:
            file.append(x=np.arange(rows) + 10 * number)
            scan.resource("x", file.uri)
            scan.announce(0, 4)
    assert column(catalog, scan)[:].tolist() == [0, 1, 2]


def test_files_of_different_types_are_joined(catalog: Catalog, tmp_path: Path) -> None:
    scan = FlyScan({"x": key()})
    for number, dtype in enumerate(("<i4", "<f8")):
        with SwmrFile(tmp_path / f"{number}.h5", x=(dtype, ())) as file:
            file.append(x=np.array([number + 0.5]).astype(dtype))
            scan.resource("x", file.uri)
            scan.announce(0, 1)
    assert column(catalog, scan)[:].tolist() == [0, 1.5]


def test_files_of_different_shapes_are_told(catalog: Catalog, tmp_path: Path) -> None:
    scan = FlyScan({"x": key("array", [None, None])})
    for number in (2, 3):
        with SwmrFile(tmp_path / f"{number}.h5", x=("<f8", (number,))) as file:
            file.append(x=np.zeros((1, number)))
            scan.resource("x", file.uri)
            scan.announce(0, 1)
    with pytest.raises(CatalogError, match=r"x of the run .* shape changes"):
        column(catalog, scan)[:]


def test_before_anything_is_announced_a_column_is_empty(
    catalog: Catalog, tmp_path: Path
) -> None:
    scan = FlyScan({"x": key(shape=[1], dtype_numpy="<i2"), "img": key(shape=[2, 3])})
    scan.resource("x", f"file://localhost{tmp_path}/later.h5")
    read = column(catalog, scan)
    assert (read.shape, read.dtype) == ((0,), np.dtype("<i2"))
    assert read[:].tolist() == []
    image = catalog[-1].primary["data/img"]
    assert (image.shape, image.dtype) == ((0, 2, 3), np.dtype(float))


def no_file(path: Path) -> str:
    return f"file://localhost{path}/none.h5"


def no_hdf5(path: Path) -> str:
    (path / "bad.h5").write_text("no HDF5")
    return f"file://localhost{path}/bad.h5"


@pytest.mark.parametrize(
    ("uri", "more", "reason"),
    [
        (no_file, {}, r"none\.h5 of the run in .*\.jsonl is missing"),
        (no_hdf5, {}, r"field x of the run in .*\.jsonl was not read: .*bad\.h5"),
        (None, {"dataset": "/nothing"}, r"x .* was not read: .*no dataset /nothing"),
        (None, {"dataset": "/"}, r"x .* was not read: / in .* is a group"),
        (None, {"mimetype": "image/tiff"}, r"in a way not known here \(image/tiff\)"),
        (None, {"slice": [":", "0"]}, r"in a way not known here \(slice\)"),
        (lambda _: "http://x/a.h5", {}, r"only file: addresses"),
    ],
)
def test_what_cannot_be_read_names_field_file_and_run(
    catalog: Catalog, tmp_path: Path, uri: Any, more: dict[str, Any], reason: str
) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(3))
        scan = FlyScan(X)
        scan.resource("x", uri(tmp_path) if uri else file.uri, **more)
        scan.announce(0, 3)
        read = column(catalog, scan)
        with pytest.raises(CatalogError, match=reason):
            read[:]
        with pytest.raises(CatalogError, match=reason):
            _ = read.shape


def test_a_dataset_of_one_value_is_told(catalog: Catalog, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 5.0
    scan = FlyScan(X)
    scan.resource("x", f"file://localhost{tmp_path}/a.h5")
    scan.announce(0, 1)
    with pytest.raises(CatalogError, match="is one value, not rows"):
        column(catalog, scan)[:]


def test_a_file_not_written_for_swmr_is_read(catalog: Catalog, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w", libver="earliest") as file:
        file["entry/data/data"] = np.arange(3.0)
    scan = FlyScan(X)
    scan.resource("x", f"file://localhost{tmp_path}/a.h5", "/entry/data/data")
    scan.announce(0, 3)
    assert column(catalog, scan)[:].tolist() == [0, 1, 2]


RANGES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=5)


@settings(deadline=None)
@given(RANGES, st.integers(0, 60), st.data())
def test_rows_of_a_segment_are_those_announced(
    gaps: list[tuple[int, int]], held: int, data: st.DataObject
) -> None:
    segment = Segment(Resource("r", "x", "file:///a", "application/x-hdf5", "/x"))
    announced: list[int] = []
    at = 0
    for gap, width in gaps:
        segment.add(at + gap, at + gap + width)
        announced += range(at + gap, at + gap + width)
        at += gap + width
    assert segment.events == len(announced)
    missing = [row >= held for row in announced]
    first = missing.index(True) if True in missing else len(announced)
    assert segment.available(held) == first
    start = data.draw(st.integers(0, len(announced)))
    stop = data.draw(st.integers(start, len(announced)))
    rows = [row for low, high in segment.rows(start, stop) for row in range(low, high)]
    assert rows == announced[start:stop]


def test_numbers_of_events_are_kept_in_order() -> None:
    field = ExternalField("x")
    resource = Resource("r", "x", "file:///a", "application/x-hdf5", "/x")
    for start, seq in ((0, 1), (3, 4), (6, 5)):
        datum = {
            "indices": {"start": start, "stop": start + 3},
            "seq_nums": {"start": seq, "stop": seq + 3},
        }
        field.add(resource, datum)
    assert field.seq_nums is not None
    assert field.seq_nums.tolist() == [1, 2, 3, 4, 5, 6, 5, 6, 7]
    field.add(resource, {"indices": {"start": 9, "stop": 12}})
    assert field.seq_nums is None
    assert field.events == 12


@pytest.mark.parametrize(
    ("values", "described", "expected", "dtype"),
    [
        ([1.5, 2.5], key(), [1.5, 2.5], "<f8"),
        ([1, 2], key(dtype_numpy="<f8"), [1, 2], "<f8"),
        ([1, 2], key("integer"), [1, 2], "<i8"),
        ([1, 2], key("integer", dtype_numpy="|u1"), [1, 2], "|u1"),
        ([1, 300], key("integer", dtype_numpy="|u1"), [1, 300], "<i8"),
        ([0.1], key(dtype_numpy="<f4"), [0.1], "<f8"),
        ([0.5, float("nan")], key(dtype_numpy="<f4"), [0.5, None], "<f4"),
        ([1.5, None], key(), [1.5, None], "<f8"),
        ([1, None], key("integer"), [1, None], "<f8"),
        ([None, None], key(), [None, None], "<f8"),
        ([True, False], key("boolean"), [True, False], "|b1"),
        (["a", "bc"], key("string"), ["a", "bc"], "<U2"),
        (["a", None], key("string"), ["a", None], "|O"),
        (["a", 1], key("string"), ["a", 1], "|O"),
        ([[1, 2], [3, 4]], key("array", [2]), [[1, 2], [3, 4]], "<i8"),
        ([[1, 2], [3]], key("array", [None]), [[1, 2], [3]], "|O"),
        ([[1, 2], None], key("array", [2]), [[1, 2], None], "|O"),
        ([["a"], ["b"]], key("array", [1]), [["a"], ["b"]], "<U1"),
        ([2**64 - 1, 1], key("integer", dtype_numpy="<u8"), [2**64 - 1, 1], "<u8"),
        ([2**63, 1], key("integer"), [2.0**63, 1], "<f8"),
        ([2**62 + 1, 1], key(dtype_numpy="<i8"), [2**62 + 1, 1], "<i8"),
        ([2**70, 1], key("integer"), [2.0**70, 1], "<f8"),
        ([], key(dtype_numpy="<i4"), [], "<i4"),
        ([], key("string"), [], "<U1"),
        ([], key("array", [2, 3]), [], "<f8"),
        ([{"a": 1}], key("string"), [{"a": 1}], "|O"),
        ([1], key(dtype_numpy="nonsense"), [1], "<i8"),
        ([1], key(dtype_numpy=[["a", "<i8"]]), [1], "<i8"),
    ],
)
def test_values_of_events(
    values: list[Any], described: dict, expected: list[Any], dtype: str
) -> None:
    array = event_array(values, described)
    assert array.dtype == np.dtype(dtype)
    assert len(array) == len(values)
    numbers = array.dtype.kind == "f"
    plain = [None if numbers and v != v else v for v in array.tolist()]
    assert plain == expected


def test_an_event_column_is_an_array(catalog: Catalog) -> None:
    store(catalog.writer(), step_scan(3))
    read = catalog[-1].primary["data"]["x"]
    assert (read.shape, read.dtype, len(read)) == ((3,), np.dtype(float), 3)
    assert read[1] == 0.5
    assert repr(read) == "<Column x shape=(3,) dtype=float64>"
    with pytest.raises(KeyError):
        catalog[-1].primary["data"]["nothing"]
