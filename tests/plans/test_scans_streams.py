"""Scans whose rows go to several streams, and what a catalog makes of their files."""

from pathlib import Path

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted

from beamfly.catalog import make_db
from beamfly.devices.scan_plan import ScanPlan
from beamfly.errors import BadValue
from beamfly.hdf import open_columns
from beamfly.plans.scans import fly_scan
from beamfly.scan import ConfigLog, Delay, If, Log, Loop, Set
from flying import Documents, path_of
from scan_flights import ask_for_pause
from scan_serving import END

X, Y, N = "loc://x(0)", "loc://y(0)", "loc://n(0)"


def nested(delay: float = 0.0) -> list[Loop]:
    """Three rows of x and n, and two of y at each."""
    inner = Loop(Y, 1, 2, 1, [Delay(delay), Log(Y)])
    return [Loop(X, 1, 3, 1, [Set(N, 7), inner, Log(X, N)])]


def rows(docs: Documents) -> dict[str, dict[str, list[float]]]:
    """Stream -> data key -> values; sequence numbers are checked on the way."""
    names = {d["uid"]: d["name"] for d in docs["descriptor"]}
    found: dict[str, dict[str, list[float]]] = {}
    for page in docs["event_page"]:
        stream = found.setdefault(names[page["descriptor"]], {})
        before = len(next(iter(stream.values()), []))
        assert page["seq_num"] == list(
            range(before + 1, before + 1 + len(page["seq_num"]))
        )
        for key, values in page["data"].items():
            stream.setdefault(key.removeprefix("scan-"), []).extend(values)
    ends: dict[str, int] = {}
    for datum in docs["stream_datum"]:
        assert datum["seq_nums"]["start"] == ends.get(datum["stream_resource"], 0) + 1
        ends[datum["stream_resource"]] = datum["seq_nums"]["stop"] - 1
        resource = docs.resource(datum)
        stream = found.setdefault(names[datum["descriptor"]], {})
        name = resource["parameters"]["dataset"].strip("/")
        with open_columns(path_of(resource["uri"])) as columns:
            part = columns.read(name)[: datum["indices"]["stop"]]
        stream[name] = part.tolist()
    for stream in found.values():
        stream.pop("time", None)
    return found


def check(docs: Documents, names: tuple[str, str] = ("primary", "x_n")) -> None:
    assert rows(docs) == {
        names[0]: {"serial": [0, 1, 3, 4, 6, 7], "y": [1, 2] * 3},
        names[1]: {"serial": [2, 5, 8], "x": [1, 2, 3], "n": [7] * 3},
    }
    events = docs.stop["num_events"]
    assert {name: events[name] for name in names} == {names[0]: 6, names[1]: 3}


def test_devices_that_are_logged_together_have_a_stream(RE, flyer, docs):
    RE(fly_scan(flyer, ScanPlan(nested(), streams=True), flush_period=0.05))
    check(docs)
    hints = {d["name"]: d["hints"] for d in docs["descriptor"]}
    assert hints["x_n"]["scan-x_n"]["fields"] == ["scan-x", "scan-n"]
    config = docs["descriptor"][0]["configuration"]["scan-primary"]["data"]
    assert "<loop>" in config["scan-commands"]


def test_streams_can_be_named(RE, flyer, docs):
    names = {"lines": [X, N], "points": [Y]}
    RE(fly_scan(flyer, ScanPlan(nested(), streams=names)))
    check(docs, ("points", "lines"))


def test_one_stream_with_a_name(RE, flyer, docs):
    plan = ScanPlan([Loop(X, 1, 2, 1, Log(X))], streams={"mine": X})
    RE(fly_scan(flyer, plan))
    assert rows(docs) == {"mine": {"serial": [0, 1], "x": [1, 2]}}
    assert docs["start"][0]["hints"]["dimensions"] == [[["scan-x"], "mine"]]


def test_each_automatic_write_has_a_stream(RE, flyer, docs):
    scan = [ConfigLog(True), Loop(X, 1, 3, 1, [Set(Y, 5)])]
    RE(fly_scan(flyer, ScanPlan(scan, streams=True)))
    assert rows(docs) == {
        "primary": {"serial": [0, 2, 4], "x": [1, 2, 3]},
        "y": {"serial": [1, 3, 5], "y": [5, 5, 5]},
    }


def test_a_stream_without_any_row(RE, flyer, docs):
    scan = [Log(X), If(X, "=", 1, Log(Y))]
    RE(fly_scan(flyer, ScanPlan(scan, streams=True)))
    assert rows(docs) == {"primary": {"serial": [0], "x": [0]}}
    assert {d["name"] for d in docs["descriptor"]} == {"primary", "y", "scan"}


@pytest.mark.parametrize("moment", [0, 3, 6])
def test_pauses(RE, flyer, docs, scans, moment):
    scans.at_submission(lambda: scans.soon_at_sample(moment, lambda: ask_for_pause(RE)))
    plan = ScanPlan([*nested(0.03), END], streams=True)
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, plan, flush_period=0.03))
    scans.end()
    RE.resume()
    check(docs)


def test_what_makes_no_sense(RE, flyer, docs, scans):
    for plan, said in (
        (ScanPlan(nested(), streams={"scan": [Y]}), "stream 'scan' of its own"),
        (ScanPlan(nested(), streams=True, columns=[X, "loc://z"]), "in no Log of"),
        (
            ScanPlan([Log("a_b"), Log("a", "b"), Log(X), Log(X)], streams=True),
            "would both be the stream 'a_b'",
        ),
    ):
        with pytest.raises(BadValue, match=said):
            RE(fly_scan(flyer, plan))
    assert docs.names == []
    assert scans.infos() == []
    RE(fly_scan(flyer, ScanPlan(nested(), streams=True)))
    with pytest.raises(BadValue, match=r"has several streams \(primary, x_n\)"):
        _ = flyer.only_stream


def test_a_catalog_knows_when_rows_were_logged(RE, flyer, docs, tmp_path: Path):
    db = make_db(tmp_path / "catalog")
    RE.subscribe(db.insert)
    try:
        RE(fly_scan(flyer, ScanPlan(nested(0.02), streams=True)))
        run = db.v2[-1]
        for name, count in (("primary", 6), ("x_n", 3)):
            table = getattr(run, name).read()
            stop, start = docs.stop["time"], docs["start"][0]["time"]
            times = np.asarray(table["time"], dtype=float)
            assert len(times) == count
            assert start - 0.1 <= times[0] <= times[-1] <= stop
            assert (np.diff(times) >= 0).all()
        assert table["scan-x"].values.tolist() == [1, 2, 3]
    finally:
        db.v2.close()
