"""Reading streams: rows that belong together, and nothing lost without a word."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import pytest
from catalog_runs import (
    T0,
    Documents,
    FlyScan,
    SwmrFile,
    fly_scan,
    images,
    key,
    step_scan,
    store,
)

from beamfly.catalog import Catalog, Run
from beamfly.errors import CatalogError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path)
    yield catalog
    catalog.close()


def read(catalog: Catalog, documents: Documents) -> Run:
    store(catalog.writer(), documents)
    return catalog[documents[0][1]["uid"]]


def test_a_step_scan(catalog: Catalog) -> None:
    run = read(catalog, step_scan(3))
    data = run.primary.read()
    assert set(data) == {"x", "counts", "label"}
    assert data["x"].dims == ("time",)
    assert data["x"].values.tolist() == [0, 0.5, 1]
    assert data["counts"].dtype == np.int64
    assert data["label"].values.tolist() == ["point 0", "point 1", "point 2"]
    assert data["time"].values.tolist() == [T0 + 2, T0 + 3, T0 + 4]
    assert set(run.primary.read(["x", "time", "none"])) == {"x"}
    assert run.primary.read(["time"]).sizes == {"time": 3}
    stamps = run.primary["timestamps"]["x"]
    assert stamps.tolist() == [T0 + 2, T0 + 3, T0 + 4]


def test_a_flyscan(catalog: Catalog, tmp_path: Path) -> None:
    data = read(catalog, fly_scan(tmp_path / "raw/a.h5")).primary.read()
    assert data["x"].values.tolist() == (np.arange(20) / 2).tolist()
    assert data["n"].dtype == np.dtype("<i4")
    assert data["img"].dims == ("time", "img_dim_0", "img_dim_1", "img_dim_2")
    np.testing.assert_array_equal(data["img"].values[:, 0], images(20))
    # no event, hence no time of its own: the rows are counted
    assert data["time"].values.tolist() == list(range(20))


def step_and_frames(
    path: Path, events: list[int], frames: list[tuple[int, int]]
) -> Documents:
    """Events with these numbers, and frames with these: (index, number)."""
    run = event_model.compose_run(time=T0)
    stream = run.compose_descriptor(
        name="primary",
        data_keys={"x": key(), "img": key("array", [1, 2, 3], external="STREAM:")},
    )
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{path}",
        data_key="img",
        parameters={"dataset": "img"},
    )
    documents: Documents = [
        ("start", run.start_doc),
        ("descriptor", stream.descriptor_doc),
        ("stream_resource", resource.stream_resource_doc),
    ]
    for index, number in frames:
        datum = resource.compose_stream_datum(
            indices={"start": index, "stop": index + 1},
            seq_nums={"start": number, "stop": number + 1},
            descriptor=stream.descriptor_doc,
        )
        documents.append(("stream_datum", datum))
    for row, number in enumerate(events):
        event = stream.compose_event(
            data={"x": float(row)},
            timestamps={"x": T0},
            time=T0 + row,
            seq_num=number,
            filled={},
        )
        documents.append(("event", event))
    with SwmrFile(path, img=("<u2", (2, 3))) as file:
        file.append(img=images(1 + max(index for index, _ in frames)))
    documents.append(("stop", run.compose_stop()))
    return documents


@pytest.mark.parametrize(
    ("events", "frames", "x", "frame"),
    [
        # as it should be
        ([1, 2, 3], [(0, 1), (1, 2), (2, 3)], [0, 1, 2], [0, 1, 2]),
        # a frame whose event is not there yet, or never came
        ([1, 2], [(0, 1), (1, 2), (2, 3)], [0, 1], [0, 1]),
        ([1, 2, 3], [(0, 1), (1, 2)], [0, 1], [0, 1]),
        # a point taken again after a pause, in both: all of it is kept
        ([1, 2, 2], [(0, 1), (1, 2), (2, 2)], [0, 1, 2], [0, 1, 2]),
        # a frame was taken again, its event had not been saved: the last one counts
        ([1, 2, 3], [(0, 1), (1, 2), (2, 2), (3, 3)], [0, 1, 2], [0, 2, 3]),
        # the frame of event 2 was lost
        ([1, 2, 3], [(0, 1), (1, 3)], [0, 2], [0, 1]),
        ([5, 6], [(0, 1), (1, 2)], [], []),
    ],
)
def test_frames_go_with_their_events(
    catalog: Catalog,
    tmp_path: Path,
    events: list[int],
    frames: list[tuple[int, int]],
    x: list[int],
    frame: list[int],
) -> None:
    run = read(catalog, step_and_frames(tmp_path / "a.h5", events, frames))
    data = run.primary.read()
    assert data["x"].values.tolist() == x
    assert (data["img"].values[:, 0, 0, 0] / 6).tolist() == frame
    assert data["time"].values.tolist() == [T0 + row for row in x]
    # what is in the events alone does not depend on the frames
    assert len(run.primary.read(["x"])["x"]) == len(events)


def test_fields_are_cut_to_the_shortest(catalog: Catalog, tmp_path: Path) -> None:
    with SwmrFile(tmp_path / "a.h5", a=("<f8", ()), b=("<f8", ())) as file:
        file.append(a=np.arange(10), b=np.arange(10))
        scan = FlyScan({"a": key(), "b": key()})
        scan.resource("a", file.uri)
        scan.resource("b", file.uri)
        scan.announce(0, 5)
        scan.announce(5, 10, "a")  # killed between two documents
        run = read(catalog, scan.documents)
        assert dict(run.primary.read().sizes) == {"time": 5}
        assert len(run.primary.read(["a"])["a"]) == 10


def test_a_finished_run_with_rows_missing_says_so(
    catalog: Catalog, tmp_path: Path
) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(7))
        scan = FlyScan({"x": key()})
        scan.resource("x", file.uri)
        scan.announce(0, 10)
        run = read(catalog, scan.stop())
        with pytest.warns(UserWarning, match=r"announced 10 rows .* only 7 of them"):
            assert len(run.primary.read()["x"]) == 7


def test_a_running_one_may_lag_behind(catalog: Catalog, tmp_path: Path) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=np.arange(7))
        scan = FlyScan({"x": key()})
        scan.resource("x", file.uri)
        scan.announce(0, 10)
        assert len(read(catalog, scan.documents).primary.read()["x"]) == 7


def test_a_missing_file_stops_only_what_needs_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    path = tmp_path / "a.h5"
    run = read(catalog, step_and_frames(path, [1, 2], [(0, 1), (1, 2)]))
    path.unlink()
    uid = run.start["uid"]
    with pytest.raises(CatalogError, match=rf"{path} of the run in .*{uid}.*missing"):
        run.primary.read()
    assert run.primary.read(["x"])["x"].values.tolist() == [0, 1]


def test_one_file_is_opened_once_for_all_its_fields(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beamfly.hdf.reading import DatasetReader

    opened: list[Path] = []
    enter = DatasetReader.__enter__

    def spy(self: DatasetReader) -> DatasetReader:
        opened.append(self.path)
        return enter(self)

    monkeypatch.setattr(DatasetReader, "__enter__", spy)
    run = read(catalog, fly_scan(tmp_path / "a.h5"))
    run.primary.read()
    assert opened == [tmp_path / "a.h5"]


def test_dimensions_are_named_as_declared_where_they_agree(
    catalog: Catalog, tmp_path: Path
) -> None:
    shapes = {"a": (2, 3), "b": (2, 4), "c": (3,)}
    with SwmrFile(
        tmp_path / "a.h5", **{name: ("<f8", shape) for name, shape in shapes.items()}
    ) as file:
        scan = FlyScan(
            {
                "a": key("array", [2, 3], dims=["row", "column"]),
                "b": key("array", [2, 4], dims=["row", "column"]),  # not so wide
                "c": key("array", [3], dims=["row", "column"]),  # too many
            }
        )
        for name, shape in shapes.items():
            file.append(**{name: np.zeros((5, *shape))})
            scan.resource(name, file.uri)
        scan.announce(0, 5)
        data = read(catalog, scan.stop()).primary.read()
    assert data["a"].dims == ("time", "row", "column")
    assert data["b"].dims == ("time", "b_dim_0", "b_dim_1")
    assert data["c"].dims == ("time", "c_dim_0")


def test_a_field_named_time_does_not_hide_the_time(catalog: Catalog) -> None:
    run = event_model.compose_run(time=T0)
    stream = run.compose_descriptor(name="primary", data_keys={"time": key()})
    event = stream.compose_event(data={"time": 5.0}, timestamps={"time": T0}, time=T0)
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    data = read(catalog, [*documents, ("event", event)]).primary.read()
    assert data["time"].values.tolist() == [T0]
    assert data["time_"].values.tolist() == [5.0]


def test_old_style_files_are_told(catalog: Catalog) -> None:
    run = event_model.compose_run(time=T0)
    keys = {"img": key("array", [2, 2], external="FILESTORE:"), "x": key()}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    resource = run.compose_resource(
        spec="AD_HDF5", root="/", resource_path="a.h5", resource_kwargs={}
    )
    event = stream.compose_event(
        data={"img": "id/0", "x": 1.0},
        timestamps={"img": T0, "x": T0},
        filled={"img": False},
    )
    got = read(
        catalog,
        [
            ("start", run.start_doc),
            ("descriptor", stream.descriptor_doc),
            ("resource", resource.resource_doc),
            ("event", event),
        ],
    )
    with pytest.raises(CatalogError, match=r"field img .*spec AD_HDF5"):
        got.primary.read()
    assert got.primary.read(["x"])["x"].values.tolist() == [1.0]


def test_pages_of_events_are_events(catalog: Catalog) -> None:
    documents = step_scan(4)
    events = [doc for name, doc in documents if name == "event"]
    page = event_model.pack_event_page(*events)
    run = read(
        catalog, [*documents[:2], ("event_page", page), ("stop", documents[-1][1])]
    )
    data = run.primary.read()
    assert data["x"].values.tolist() == [0, 0.5, 1, 1.5]
    assert data["time"].values.tolist() == [T0 + 2 + n for n in range(4)]


def test_a_configuration_that_changed_has_both_values(catalog: Catalog) -> None:
    documents = step_scan(2)
    second = {**documents[1][1], "uid": "second"}
    configured = {**second["configuration"]["det"], "data": {"exposure": 0.5}}
    second["configuration"] = {"det": configured}
    last = {**documents[3][1], "descriptor": "second"}
    run = read(
        catalog,
        [*documents[:3], ("descriptor", second), ("event", last), documents[-1]],
    )
    assert len(run.primary.descriptors) == 2
    assert run.primary["config"]["det"]["exposure"].tolist() == [0.1, 0.5]
    read_back = run.primary["config"]["det"].read()
    assert read_back["exposure"].values.tolist() == [0.1, 0.5]
    assert run.primary["config_timestamps/det/exposure"].tolist() == [T0, T0]
    assert run.primary.read()["x"].values.tolist() == [0, 0.5]


def test_events_may_lack_a_value(catalog: Catalog) -> None:
    documents = step_scan(3)
    for field in ("data", "timestamps"):
        del documents[3][1][field]["x"]
    data = read(catalog, documents).primary.read()
    np.testing.assert_array_equal(data["x"].values, [0, np.nan, 1])
    assert data["counts"].values.tolist() == [0, 10, 20]


def test_parts_of_a_stream(catalog: Catalog) -> None:
    stream = read(catalog, step_scan(2)).primary
    assert list(stream) == ["data", "timestamps", "config", "config_timestamps"]
    assert list(stream["data"]) == stream.fields == ["x", "counts", "label"]
    assert len(stream.data) == 3
    assert stream["x"][:].tolist() == stream["data/x"][:].tolist() == [0, 0.5]
    assert stream.data.read(["x"])["x"].values.tolist() == [0, 0.5]
    assert stream.metadata["stream_name"] == "primary"
    stream.descriptors[0].clear()  # a copy
    assert stream.descriptors[0]["name"] == "primary"
    assert "primary" in repr(stream)
    assert "x" in repr(stream.data)
    for bad in ("nothing", "data/nothing", "config/nothing"):
        with pytest.raises(KeyError):
            stream[bad]


def test_no_event_yet(catalog: Catalog) -> None:
    data: Any = read(catalog, step_scan(3)[:2]).primary.read()
    assert dict(data.sizes) == {"time": 0}
    assert set(data) == {"x", "counts", "label"}


def test_frames_are_read_as_they_are_needed(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beamfly.hdf.reading import DatasetReader

    monkeypatch.setattr("beamfly.catalog.dataset.CHUNK_BYTES", 2 * 12)  # two frames
    run = read(catalog, fly_scan(tmp_path / "a.h5"))
    asked: list[tuple[int, int]] = []
    got = DatasetReader.read

    def spy(self: DatasetReader, name: str, start: int, stop: int) -> Any:
        asked.append((start, stop))
        return got(self, name, start, stop)

    monkeypatch.setattr(DatasetReader, "read", spy)
    data = run.primary.to_dask()
    assert dict(data.sizes)["time"] == 20
    assert asked == []
    np.testing.assert_array_equal(data["img"][7].values[0], images(20)[7])
    assert asked
    assert all(6 <= start < stop <= 8 for start, stop in asked)
    for name, array in run.primary.read().items():
        np.testing.assert_array_equal(data[name].values, array.values)


def test_frames_that_are_matched_are_read_as_they_are_needed(
    catalog: Catalog, tmp_path: Path
) -> None:
    frames = [(0, 1), (1, 2), (2, 2), (3, 3)]
    run = read(catalog, step_and_frames(tmp_path / "a.h5", [1, 2, 3], frames))
    data = run.primary.to_dask()
    assert (data["img"].values[:, 0, 0, 0] / 6).tolist() == [0, 2, 3]
    assert data["x"].values.tolist() == [0, 1, 2]


def test_nothing_is_needed_of_an_empty_stream(catalog: Catalog) -> None:
    scan = FlyScan({"x": key(dtype_numpy="<f8"), "img": key("array", [1, 2, 3])})
    data = read(catalog, scan.documents).primary.to_dask()
    assert data["img"].shape == (0, 1, 2, 3)
    assert data["x"].values.tolist() == []
