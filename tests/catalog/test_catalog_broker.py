"""The contract with databroker: what its Broker and Header give on top of a catalog.

Runs against the databroker that is installed, so that a release which asks more of a
catalog than it does today fails here and not at a beamline.
"""

import asyncio
import gc
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import event_model
import numpy as np
import pandas as pd
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import baseline_decorator
from bluesky.utils import RunEngineInterrupted
from catalog_runs import DAY, T0, fly_scan, images, many, names, step_scan, store
from databroker import Broker, Header
from ophyd_async.core import (
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
)
from ophyd_async.sim import (
    PatternGenerator,
    SimBlobDetector,
    SimMotor,
    SimPointDetector,
)

from beamfly.catalog import Catalog, make_db
from beamfly.errors import BadValue, CatalogError, RunNotFound
from flying import run_engine


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Broker]:
    db = make_db(tmp_path / "data")
    yield db
    db.v2.close()


@pytest.fixture(scope="module")
def runs() -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


@pytest.fixture
def RE(runs: RunEngine, db: Broker) -> Iterator[RunEngine]:
    token = runs.subscribe(db.insert)
    yield runs
    runs.unsubscribe(token)


def scan_ids(headers: Any) -> list[int]:
    return [header.start["scan_id"] for header in headers]


def bare(doc: Any) -> dict[str, Any]:
    """A document without the name that databroker adds to it."""
    return {key: value for key, value in doc.items() if key != "_name"}


def test_a_broker_is_a_broker(db: Broker, tmp_path: Path) -> None:
    assert isinstance(db, Broker)
    assert db.name == "data"
    assert db.v1 is db
    assert isinstance(db.v2, Catalog)
    assert db.v2.v1 is db
    assert db.v3 is db.v2
    plain = Broker(Catalog(tmp_path))  # one made by hand stores as well
    store(plain.insert, step_scan(2))
    assert len(plain[-1].table()) == 2
    plain.v2.close()


def test_finding_runs(db: Broker) -> None:
    uids = many(db.v2, 9)
    assert isinstance(db[-1], Header)
    assert db[-1].uid == uids[-1]
    assert scan_ids(db[-3:]) == [7, 8, 9]
    assert db[uids[2]].uid == db[uids[2][:8]].uid == db[3].uid == uids[2]
    assert scan_ids(db[1, 5]) == scan_ids(db[[1, 5]]) == [1, 5]
    assert db[-1] == db[9]
    assert db[-1] != db[8]
    for key, error in [
        ("nobody", KeyError),
        (99, KeyError),
        (-99, IndexError),
        (-99, RunNotFound),
        ("ab", BadValue),
    ]:
        with pytest.raises(error):
            db[key]


def test_searching_runs(db: Broker) -> None:
    many(db.v2, 4, step=DAY)
    store(db.insert, step_scan(1, time=T0 + 4 * DAY, scan_id=50, sample="gold foil"))
    store(db.insert, step_scan(1, time=T0 + 5 * DAY, scan_id=51, plan_name="count"))
    assert scan_ids(db()) == [1, 2, 3, 4, 50, 51]
    assert scan_ids(db(plan_name="scan")) == [1, 2, 3, 4, 50]
    assert scan_ids(db(plan_name="count")) == [51]
    assert scan_ids(db(scan_id=3)) == [3]
    assert scan_ids(db(since=T0 + 3 * DAY)) == [4, 50, 51]
    assert scan_ids(db(until=T0 + DAY)) == [1]
    assert scan_ids(db(since="2023-11-15", until="2023-11-17")) == [2, 3]
    assert scan_ids(db(since="2024")) == []
    assert scan_ids(db("gold")) == scan_ids(db("foil gold")) == [50]
    assert scan_ids(db("gold", plan_name="count")) == []
    assert scan_ids(db(number=2, plan_name="scan")) == [3]
    (header,) = db(sample="gold foil")
    assert len(header.table()) == 1  # a header of a search reads like any other


def test_a_step_scan(db: Broker) -> None:
    documents = step_scan(3)
    store(db.insert, documents)
    h = db[-1]
    assert bare(h.start) == documents[0][1]
    assert bare(h.stop) == documents[-1][1]
    assert [bare(each) for each in h.descriptors] == [documents[1][1]]
    assert h.stream_names == ["primary"]
    assert h.fields() == h.fields("primary") == {"x", "counts", "label"}
    assert h.fields("baseline") == set()
    assert h.devices() == {"stage", "det"}
    assert h.config_data("det") == {"primary": [{"exposure": 0.1}]}
    table = h.table()
    assert list(table.index) == [1, 2, 3]
    assert table.index.name == "seq_num"
    assert table["x"].tolist() == [0, 0.5, 1]
    assert table["counts"].dtype == np.int64
    assert table["time"].tolist() == [
        pd.Timestamp(T0 + 2 + n, unit="s") for n in range(3)
    ]
    assert h.table(fields=["x"]).columns.tolist() == ["x", "time"]
    assert h.table(convert_times=False, localize_times=False)["time"][1] == T0 + 2
    assert h.xarray()["x"].values.tolist() == [0, 0.5, 1]
    assert list(h.data("counts")) == [0, 10, 20]
    events = [doc for name, doc in documents if name == "event"]
    assert [event["uid"] for event in h.events()] == [event["uid"] for event in events]
    first = next(iter(h.events(fields=["x", "exposure"])))
    assert first["data"] == {"x": 0, "exposure": 0.1}  # databroker adds configuration
    assert list(names(h.documents())) == list(names(documents))
    assert "exposure" in h._repr_html_()
    with pytest.raises(NotImplementedError):  # databroker itself does not fill
        list(h.documents(fill=True))
    with pytest.raises(NotImplementedError):
        list(h.events(fill=True))


def test_a_flyscan(db: Broker, tmp_path: Path) -> None:
    documents = fly_scan(tmp_path / "raw" / "a.h5")
    store(db.insert, documents)
    h = db[-1]
    assert h.fields() == {"x", "n", "img"}
    table = h.table(fill=True)
    assert table["x"].tolist() == (np.arange(20) / 2).tolist()
    assert table["n"].dtype == np.int32
    np.testing.assert_array_equal(table["img"][3][0], images(20)[2])
    assert h.table(fill=True, fields=["x"]).columns.tolist() == ["x", "time"]
    assert len(h.table()) == 0
    with pytest.raises(ValueError, match="fill=True"):
        h.table(fields=["x"])
    assert dict(h.xarray().sizes)["time"] == 20
    assert h.xarray_dask()["x"].values.tolist() == table["x"].tolist()
    assert list(h.data("n")) == list(range(20))
    assert list(h.events()) == []
    got = list(h.documents())
    assert list(names(got)) == list(names(documents))
    resources = [doc for name, doc in got if name == "stream_resource"]
    assert {doc["data_key"] for doc in resources} == {"x", "n", "img"}
    assert "img" in h._repr_html_()


def test_a_missing_file(db: Broker, tmp_path: Path) -> None:
    store(db.insert, fly_scan(tmp_path / "raw" / "a.h5"))
    (tmp_path / "raw" / "a.h5").unlink()
    for read in (
        lambda h: h.table(fill=True),
        lambda h: h.xarray(),
        lambda h: list(h.data("x")),
    ):
        with pytest.raises(CatalogError, match=r"raw/a\.h5 of the run in .*missing"):
            read(db[-1])
    assert len(db[-1].table(fill=False)) == 0
    assert list(names(db[-1].documents()))[-1] == "stop"


def test_a_run_that_goes_on(db: Broker) -> None:
    documents = step_scan(3)
    for count, (name, doc) in enumerate(documents[:-1], -1):
        db.insert(name, doc)
        assert bare(db[-1].stop) == {}
        if count >= 0:
            assert len(db[-1].table()) == count
            assert db[-1]._repr_html_()
    db.insert(*documents[-1])
    assert db[-1].stop["exit_status"] == "success"


def test_documents_with_fields(db: Broker) -> None:
    store(db.insert, step_scan(2))
    (event, _) = db.get_events(db[-1], fields=["x"])
    assert set(event["data"]) == {"x"}
    (header,) = db[-1:]
    assert len(db.get_table(header, fields=["x"])) == 2
    seen: list[str] = []
    db.process(header, lambda name, doc: seen.append(name))
    assert seen == ["start", "descriptor", "event", "event", "stop"]


def test_runs_can_be_exported(db: Broker, tmp_path: Path) -> None:
    store(db.insert, fly_scan(tmp_path / "a.h5"))
    store(db.insert, step_scan(2, time=T0 + DAY))
    other = make_db(tmp_path / "other")
    assert db.export(db[-2:], other) == []
    assert other[-1].start == db[-1].start
    assert len(other[-2].table(fill=True)) == 20
    assert db.export_size(db[-1]) == 0  # old-style files alone are counted
    assert db.stats()["runs"] == 2
    other.v2.close()


def test_the_callback_outlives_the_broker(tmp_path: Path, runs: RunEngine) -> None:
    """A RunEngine holds a method weakly and forgets it without a word."""
    token = runs.subscribe(make_db(tmp_path).insert)
    gc.collect()
    runs(bp.count([], num=1))
    runs.unsubscribe(token)
    assert len(Catalog(tmp_path)) == 1


def devices(directory: Path) -> tuple[Any, Any, Any]:
    pattern = PatternGenerator()
    paths = StaticPathProvider(UUIDFilenameProvider(), directory)
    with init_devices():
        motor = SimMotor(instant=True)
        point = SimPointDetector(pattern, num_channels=2)
        blobs = SimBlobDetector(paths, pattern)
    return motor, point, blobs


def test_a_real_scan_with_frames(RE: RunEngine, db: Broker, tmp_path: Path) -> None:
    motor, point, blobs = devices(tmp_path)

    @baseline_decorator([motor])
    def plan() -> Any:
        yield from bps.mv(point.acquire_time, 0.001)
        yield from bps.prepare(blobs, TriggerInfo(livetime=0.001), wait=True)
        md = {"sample": "gold", "when": np.float64(1.5)}
        yield from bp.scan([point, blobs], motor, 1, 3, 3, md=md)

    (uid,) = RE(plan()).run_start_uids
    h = db[uid]
    assert set(h.stream_names) == {"baseline", "primary"}
    assert h.devices() == {"motor", "point", "blobs"}
    table = h.table(fill=True)
    assert table["motor"].tolist() == [1, 2, 3]
    assert [frame.shape for frame in table["blobs"]] == [(1, 240, 320)] * 3
    assert table["blobs-sum"].tolist() == [int(f.sum()) for f in table["blobs"]]
    assert len(h.table("baseline")) == 2
    assert h.config_data("point")["primary"][0]["point-channel-1-mode"]
    assert scan_ids(db(sample="gold")) == [h.start["scan_id"]]
    for name, doc in h.documents():
        kind = event_model.DocumentNames[name]
        event_model.schema_validators[kind].validate(dict(doc))
    replayed = list(h.v2.documents(fill=True))
    assert list(names(replayed)).count("event") == 5


def test_an_aborted_scan_is_kept(RE: RunEngine, db: Broker, tmp_path: Path) -> None:
    motor, point, _ = devices(tmp_path)

    def plan() -> Any:
        yield from bps.mv(point.acquire_time, 0.001)
        yield from bps.open_run({"plan_name": "broken"})
        for _ in range(2):
            yield from bps.trigger_and_read([motor, point])
        yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    assert len(db[-1].table()) == 2
    RE.abort("enough")
    assert db[-1].stop["exit_status"] == "abort"
    assert db[-1].stop["reason"] == "enough"


def test_what_cannot_be_stored_stops_the_plan(RE: RunEngine, db: Broker) -> None:
    with pytest.raises(CatalogError, match=r"start\.holder: a object has no JSON form"):
        RE(bp.count([], num=1, md={"holder": object()}))
    assert len(db.v2) == 0
    RE(bp.count([], num=1))
    assert len(db.v2) == 1


def test_the_loop_of_the_devices_does_not_wait(
    RE: RunEngine, db: Broker, tmp_path: Path
) -> None:
    """The RunEngine's loop is also that of the devices: nothing may hold it up."""
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    future = asyncio.run_coroutine_threadsafe(beat(), RE.loop)
    documents = step_scan(200)

    async def write() -> None:
        for name, doc in documents:
            db.insert(name, doc)
            await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(write(), RE.loop).result(30)
    future.cancel()
    assert db.v2[-1].stop
    # a loop that imports dask, or commits to a database, is held up for far longer
    assert np.median(gaps) < 0.05


def test_reading_warns_of_nothing(db: Broker, tmp_path: Path) -> None:
    store(db.insert, fly_scan(tmp_path / "a.h5"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        h = db[-1]
        h.table(fill=True)
        h.xarray()
        list(h.documents())
        h._repr_html_()
