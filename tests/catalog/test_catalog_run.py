"""Runs: finished, running, killed, damaged; and what is seen of each."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_model
import h5py
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
    names,
    step_scan,
    store,
)
from test_catalog_stream import step_and_frames

from beamfly.catalog import Catalog, Run
from beamfly.errors import CatalogError
from beamfly.hdf import Column, ColumnWriter
from beamfly.hdf import Run as Acquisition


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path)
    yield catalog
    catalog.close()


def read(catalog: Catalog, documents: Documents) -> Run:
    store(catalog.writer(), documents)
    return catalog[documents[0][1]["uid"]]


def test_what_a_run_tells(catalog: Catalog) -> None:
    documents = step_scan(2)
    run = read(catalog, documents)
    assert run.start == run.metadata["start"] == documents[0][1]
    assert run.stop == run.metadata["stop"] == documents[-1][1]
    assert run.uid == run.start["uid"]
    assert run.descriptors == [documents[1][1]]
    assert list(run) == ["primary"]
    assert len(run) == 1
    assert "primary" in run
    assert "baseline" not in run
    assert run.v2 is run.v3 is run
    assert "primary" in dir(run)
    assert repr(run).startswith("<Run {'primary'} scan_id=1 uid='")
    assert str(run) == f"run {run.uid}"
    run.start.clear()  # a copy
    assert run.start["scan_id"] == 1


def test_streams_are_found_in_every_way(catalog: Catalog) -> None:
    run = read(catalog, step_scan(2))
    for x in (
        run.primary["data"]["x"],
        run["primary"]["data/x"],
        run["primary/data/x"],
        run["primary", "data", "x"],
    ):
        assert x[:].tolist() == [0, 0.5]
    with pytest.raises(KeyError):
        run["baseline"]
    with pytest.raises(AttributeError, match="has no stream or attribute 'baseline'"):
        _ = run.baseline
    assert not hasattr(run, "_repr_mimebundle_")


def test_documents_come_back_as_they_were(catalog: Catalog, tmp_path: Path) -> None:
    documents = fly_scan(tmp_path / "a.h5")
    run = read(catalog, documents)
    assert list(run.documents()) == [
        (name, event_model.sanitize_doc(doc)) for name, doc in documents
    ]
    for name, doc in run.documents(fill="no"):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        doc.clear()  # whoever gets them may change them
    assert len(list(run.documents())) == len(documents)
    with pytest.raises(ValueError, match="fill must be"):
        run.documents(fill="delayed")


def test_a_filled_flyscan_comes_as_pages(catalog: Catalog, tmp_path: Path) -> None:
    run = read(catalog, fly_scan(tmp_path / "a.h5", rows=2500))
    got = list(run.documents(fill=True))
    assert list(names(got)) == ["start", "descriptor", *["event_page"] * 3, "stop"]
    events = [e for n, d in got[2:5] for e in event_model.unpack_event_page(d)]
    assert [event["seq_num"] for event in events] == list(range(1, 2501))
    assert events[7]["data"]["x"] == 3.5
    assert type(events[7]["data"]["n"]) is int
    np.testing.assert_array_equal(events[7]["data"]["img"][0], images(2500)[7])
    assert events[7]["filled"] == {"x": True, "n": True, "img": True}
    assert {event["time"] for event in events} == {T0 + 1}
    page = event_model.sanitize_doc(got[2][1])
    event_model.schema_validators[event_model.DocumentNames.event_page].validate(page)


def test_a_filled_running_flyscan_ends_with_its_pages(
    catalog: Catalog, tmp_path: Path
) -> None:
    run = read(catalog, fly_scan(tmp_path / "a.h5")[:-1])
    assert list(names(run.documents(fill="yes")))[-1] == "event_page"


def test_filled_events_have_their_frames(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    frames = [(0, 1), (1, 2), (2, 2)]  # that of event 2 taken twice, none for event 3
    run = read(catalog, step_and_frames(path, [1, 2, 3], frames))
    events = [doc for name, doc in run.documents(fill=True) if name == "event"]
    assert [event["filled"]["img"] for event in events] == [True, True, False]
    got = [int(event["data"]["img"][0, 0, 0]) // 6 for event in events[:2]]
    assert got == [0, 2]
    assert "img" not in events[2]["data"]


def test_filling_without_the_file_names_it(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    run = read(catalog, fly_scan(path))
    path.unlink()
    with pytest.raises(CatalogError, match=r"a\.h5 of the run in .* is missing"):
        list(run.documents(fill=True))
    assert list(run.documents(fill=False))


def test_a_run_grows_while_it_is_looked_at(catalog: Catalog) -> None:
    documents = step_scan(3)
    store(catalog.writer(), documents[:1])
    run = catalog[-1]
    assert list(run) == []
    assert run.stop == {}
    for count, (name, doc) in enumerate(documents[1:]):
        catalog.writer()(name, doc)
        rows = min(count, 3)
        assert dict(run.primary.read().sizes) == {"time": rows}
    assert run.stop["exit_status"] == "success"
    path = run.path
    path.unlink()  # a finished run is read once
    assert len(run.primary.read()["x"]) == 3


def test_a_file_without_a_start_is_told(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"name": "sta')
    run = Run(path, catalog._finder)
    with pytest.raises(CatalogError, match=r"run\.jsonl has no start document yet"):
        _ = run.start


@pytest.mark.parametrize(
    ("name", "doc"),
    [
        ("event", {"descriptor": "unknown"}),
        ("event", {"descriptor": "known", "seq_num": 1}),
        ("stream_datum", {"descriptor": "known", "stream_resource": "unknown"}),
        ("stream_resource", {}),
        ("event_page", {"descriptor": "known", "seq_num": [1], "time": []}),
        ("descriptor", {"name": "primary"}),
    ],
)
def test_documents_without_sense_are_told_by_line(
    tmp_path: Path, catalog: Catalog, name: str, doc: dict[str, Any]
) -> None:
    documents = [
        ("start", {"uid": "abcdef", "time": T0}),
        ("descriptor", {"uid": "known", "name": "primary", "data_keys": {}}),
        (name, doc),
    ]
    path = tmp_path / "run.jsonl"
    lines = [json.dumps({"name": name, "doc": doc}) + "\n" for name, doc in documents]
    path.write_text("".join(lines))
    run = Run(path, catalog._finder)
    for _ in range(2):
        with pytest.raises(CatalogError, match=rf"line 3: this {name} document makes"):
            _ = run.metadata


TS = key(dtype_numpy="<f8", source="panda://1.2.3.4:8889/PCAP.TS_TRIG.Value")


def panda_file(path: Path, begun: list[str | None], **attrs: Any) -> None:
    """A capture of three rows per arm, 0.5 s apart."""
    more = {"units": "s", "field": "PCAP.TS_TRIG", **attrs}
    columns = [Column("ts", np.dtype("<f8"), more), Column("x", np.dtype("<f8"))]
    with ColumnWriter(path) as writer:
        writer.define(columns)
        for time in begun:
            writer.start_run(Acquisition(start_time=time))
            writer.append([np.arange(3) / 2, np.arange(3.0)])
            writer.end_run("Ok")
            writer.flush()


def panda_run(catalog: Catalog, path: Path, rows: int, ts: dict[str, Any] = TS) -> Run:
    scan = FlyScan({"x": key(dtype_numpy="<f8"), "panda-ts": ts})
    scan.resource("x", f"file://localhost{path}", "/x")
    scan.resource("panda-ts", f"file://localhost{path}", "/ts")
    scan.announce(0, rows)
    return read(catalog, scan.stop())


def test_a_pandas_clock_gives_each_row_its_time(
    catalog: Catalog, tmp_path: Path
) -> None:
    begun = ["2023-11-14T22:13:20.250000000Z", "2023-11-14T22:14:00Z"]
    panda_file(tmp_path / "a.h5", begun)
    run = panda_run(catalog, tmp_path / "a.h5", 6)
    expected = [T0 + t for t in (0.25, 0.75, 1.25, 40, 40.5, 41)]
    for data in (run.primary.read(), run.primary.read(["x"])):
        assert data["time"].values.tolist() == expected
    assert set(run.primary.read(["x"])) == {"x"}
    pages = [doc for name, doc in run.documents(fill=True) if name == "event_page"]
    assert pages[0]["time"] == expected


def test_times_of_events_that_are_several_rows(
    catalog: Catalog, tmp_path: Path
) -> None:
    panda_file(tmp_path / "a.h5", ["2023-11-14T22:13:20Z"] * 2)
    scan = FlyScan({"panda-ts": {**TS, "shape": [3]}})
    scan.resource("panda-ts", f"file://localhost{tmp_path}/a.h5", "/ts")
    scan.announce(0, 2)
    data = read(catalog, scan.stop()).primary.read()
    assert data["panda-ts"].values.tolist() == [[0, 0.5, 1]] * 2
    assert data["time"].values.tolist() == [T0, T0]


@pytest.mark.parametrize(
    ("attrs", "second"),
    [
        ({"units": "ms"}, T0 + 0.0005),
        ({"scaled": False, "scale": 2.0, "offset": 1.0}, T0 + 2),
        ({"scaled": True, "scale": 2.0, "offset": 1.0}, T0 + 0.5),
        ({"units": "furlongs"}, 1),
    ],
)
def test_units_of_the_clock(
    catalog: Catalog, tmp_path: Path, attrs: dict[str, Any], second: float
) -> None:
    panda_file(tmp_path / "a.h5", ["2023-11-14T22:13:20Z"], **attrs)
    run = panda_run(catalog, tmp_path / "a.h5", 3)
    assert run.primary.read()["time"].values[1] == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize(
    ("begun", "ts"),
    [([None], TS), (["noon"], TS), (["2023-11-14T22:13:20Z"], key())],
    ids=["unknown", "nonsense", "no clock"],
)
def test_without_a_clock_rows_are_counted(
    catalog: Catalog, tmp_path: Path, begun: list[str | None], ts: dict[str, Any]
) -> None:
    panda_file(tmp_path / "a.h5", begun)
    run = panda_run(catalog, tmp_path / "a.h5", 3, ts)
    assert run.primary.read()["time"].values.tolist() == [0, 1, 2]


def test_a_file_of_another_program_has_no_start(
    catalog: Catalog, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["ts"], file["runs"] = np.arange(3.0), np.arange(3.0), 5
    run = panda_run(catalog, tmp_path / "a.h5", 3)
    assert run.primary.read()["time"].values.tolist() == [0, 1, 2]


KILLED = """
import sys, os, signal
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import numpy as np
from catalog_runs import FlyScan, SwmrFile, key, store
from beamfly.catalog import Catalog
catalog = Catalog(sys.argv[1])
columns = {name: ("<f8", ()) for name in "ab"}
with SwmrFile(Path(sys.argv[1]) / "raw.h5", **columns) as file:
    scan = FlyScan({name: key(dtype_numpy="<f8") for name in columns})
    for name in columns:
        scan.resource(name, file.uri)
    for start in range(0, 100, 10):
        rows = np.arange(start, start + 10)
        file.append(a=rows, b=rows)
        scan.announce(start, start + 10, "a")
        scan.announce(start, start + 10, "b")
    scan.documents.pop()  # killed before the last document
    store(catalog.writer(), scan.documents)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_flyscan_is_there_up_to_its_last_documents(
    tmp_path: Path, catalog: Catalog
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    run = catalog[-1]
    assert run.stop == {}
    data = run.primary.read()
    assert data["a"].values.tolist() == data["b"].values.tolist() == list(range(90))


LIVE = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import numpy as np
from catalog_runs import FlyScan, SwmrFile, key
from beamfly.catalog import Catalog
catalog = Catalog(sys.argv[1])
with SwmrFile(Path(sys.argv[1]) / "raw.h5", x=("<f8", ())) as file:
    scan = FlyScan({"x": key(dtype_numpy="<f8")})
    scan.resource("x", file.uri)
    written = 0
    for line in sys.stdin:  # one step for each line that comes
        start = int(line)
        file.append(x=np.arange(start, start + 10))
        scan.announce(start, start + 10)
        for name, doc in scan.documents[written:]:
            catalog.writer()(name, doc)
        written = len(scan.documents)
        print("written", flush=True)
    catalog.writer()(*scan.stop()[-1])
catalog.close()
"""


def test_a_run_is_seen_growing_from_another_process(
    tmp_path: Path, catalog: Catalog
) -> None:
    command = [sys.executable, "-c", LIVE, str(tmp_path), str(Path(__file__).parent)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for start in range(0, 50, 10):
            print(start, file=writer.stdin, flush=True)
            assert writer.stdout.readline() == "written\n"
            run = catalog[-1]
            assert run.primary.read()["x"].values.tolist() == list(range(start + 10))
            assert run.stop == {}
        writer.stdin.close()
        writer.stdin = None
        writer.communicate(timeout=30)
        assert writer.returncode == 0
    assert catalog[-1].stop["exit_status"] == "success"
    assert len(catalog[-1].primary.read()["x"]) == 50


def test_rows_are_seen_as_soon_as_they_are_announced(
    tmp_path: Path, catalog: Catalog
) -> None:
    with SwmrFile(tmp_path / "a.h5", x=("<f8", ())) as file:
        file.append(x=[1.0])
        scan = FlyScan({"x": key()})
        scan.resource("x", file.uri)
        scan.announce(0, 1)
        run = read(catalog, scan.documents)
        assert run.primary.read()["x"].values.tolist() == [1]
        file.append(x=[2.0])
        catalog.writer()
        scan.announce(1, 2)
        store(catalog.writer(), scan.documents[-1:])
        assert run.primary.read()["x"].values.tolist() == [1, 2]


def test_a_run_alone_has_a_header(catalog: Catalog) -> None:
    run = read(catalog, step_scan(3))
    header = run.v1
    assert header.uid == run.uid
    assert len(header.table()) == 3
    assert list(names(header.documents())) == [
        "start",
        "descriptor",
        "event",
        "event",
        "event",
        "stop",
    ]
