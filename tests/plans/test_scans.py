"""`fly_scan`: documents and files of runs with a scan."""

import math
import time

import bluesky.plan_stubs as bps
import pytest
from ophyd_async.core import (
    StaticFilenameProvider,
    StaticPathProvider,
    init_devices,
)

from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
from beamfly.devices.scan_plan import ScanPlan
from beamfly.errors import (
    BadValue,
    HdfError,
    ScanError,
    ScanFailed,
    ScanServerError,
)
from beamfly.hdf import ColumnWriter, open_columns
from beamfly.plans.scans import fly_scan
from beamfly.scan import Delay, If, Include, Log, Loop, Script, Set, Wait
from scan_flights import POINTS, check_rows, column, report, slow
from scan_serving import END


def test_a_scan_is_a_valid_run_with_all_its_rows(RE, flyer, docs, scans):
    result = RE(fly_scan(flyer, slow(), flush_period=0.1, md={"sample": "gold"}))
    assert result.exit_status == "success"
    check_rows(docs)
    start = docs["start"][0]
    assert result.plan_result == start["uid"]
    assert start["sample"] == "gold"
    assert start["plan_name"] == "fly_scan"
    assert start["detectors"] == start["flyers"] == ["scan"]
    assert (start["num_points"], start["shape"]) == (POINTS, [POINTS])
    assert start["hints"]["dimensions"] == [[["scan-x"], "primary"]]
    assert start["scan_server"]["port"] == scans.port
    assert "<loop>" in start["scan_server"]["commands"]
    told = report(docs)
    assert (told["state"], told["rows"], told["error"]) == ("Finished", POINTS, "")
    assert told["scan_id"] == scans.infos()[0].id
    assert told["runtime"] > POINTS * 0.01
    assert docs.stop["exit_status"] == "success"


def test_rows_are_announced_while_the_scan_runs(RE, flyer, docs, scans):
    early: list[str] = []

    def see(name: str, doc: dict) -> None:
        if name in ("event_page", "stream_datum") and not early:
            early.append(flyer.scan.state)
            scans.end()

    RE.subscribe(see)
    RE(fly_scan(flyer, [*slow(), END], flush_period=0.1))
    assert early == ["Running"]
    check_rows(docs)


def test_progress_is_in_units_of_work(RE, flyer, docs, scans):
    seen: list[dict] = []
    ended: list[int] = []

    def note(**update):
        seen.append(update)
        if update.get("current", 0) >= 3 * POINTS and not ended:
            ended.append(scans.end())

    def hook(statuses):
        for status in statuses or ():
            if hasattr(status, "watch"):
                status.watch(note)

    RE.waiting_hook = hook
    RE(fly_scan(flyer, [*slow(), END], flush_period=0.1))
    updates = [update for update in seen if update.get("name") == "scan"]
    done = [update["current"] for update in updates]
    assert done == sorted(done)
    assert {update["target"] for update in updates} == {3 * POINTS + 1}
    assert len(set(done)) > 1


def test_a_nest_of_loops_has_a_shape(RE, flyer, docs):
    inner = Loop("loc://x(0)", 3, 1, 1, Log("loc://x(0)", "loc://y(0)", "loc://d(5)"))
    RE(fly_scan(flyer, [Set("loc://d(0)", 7), Loop("loc://y(0)", 0, 1, 0.5, inner)]))
    start = docs["start"][0]
    assert start["shape"] == [3, 3]
    assert start["extents"] == [[0, 1], [1, 3]]
    assert start["snaking"] == [False, True]
    assert start["hints"]["dimensions"] == [
        [["scan-y"], "primary"],
        [["scan-x"], "primary"],
    ]
    assert column(docs, "scan-x") == [1, 2, 3, 3, 2, 1, 1, 2, 3]
    assert column(docs, "scan-y") == [0, 0, 0, 0.5, 0.5, 0.5, 1, 1, 1]
    assert docs["descriptor"][0]["hints"]["scan"]["fields"] == ["scan-d"]


def test_devices_that_are_logged_apart_keep_their_values(RE, flyer, docs):
    logs = [
        Log("loc://a(1)"),
        Log("loc://b(2)"),
        Set("loc://a(1)", 3),
        Log("loc://a(1)"),
    ]
    RE(fly_scan(flyer, logs))
    assert column(docs, "scan-a") == [1, 1, 3]
    first, *others = column(docs, "scan-b")
    assert math.isnan(first)
    assert others == [2, 2]


def test_a_scan_that_logs_nothing(RE, flyer, docs):
    RE(fly_scan(flyer, [Delay(0.01)]))
    assert docs.stop["exit_status"] == "success"
    assert docs.stop["num_events"].get("primary", 0) == 0
    assert report(docs)["state"] == "Finished"


def test_two_scans_one_after_the_other(RE, flyer, docs):
    for points in (5, 7):
        docs.clear()
        RE(fly_scan(flyer, slow(points)))
        check_rows(docs, points)


def test_plan_stubs_will_do(RE, scans, docs):
    with init_devices():
        scan = ScanServerFlyer("127.0.0.1", scans.port)

    def plan():
        yield from bps.stage(scan, wait=True)
        yield from bps.prepare(scan, slow(5), wait=True)
        yield from bps.open_run()
        yield from bps.declare_stream(scan, name="primary", collect=True)
        yield from bps.kickoff_all(scan, wait=True)
        yield from bps.complete_all(scan, wait=True)
        yield from bps.collect(scan, name="primary")
        yield from bps.close_run()
        yield from bps.unstage(scan, wait=True)

    RE(plan())
    check_rows(docs, 5)


def test_commands_that_make_no_sense_are_refused_before_the_run(RE, flyer, docs):
    with pytest.raises(BadValue, match="none"):
        RE(fly_scan(flyer, ["no command"]))
    with pytest.raises(BadValue, match="would both be data named 'x'"):
        RE(fly_scan(flyer, [Log("loc://x(0)", "x")]))
    assert docs.names == []


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        ([Script("no_such")], "Error loading class no_such: no script path"),
        ([Include("none.scn")], "cannot open 'none.scn'"),
        ([Log("BL:X")], "Error for PV BL:X: this server has loc:// and sim:// PVs"),
        ([Loop("loc://x(0)", 0, 1, 0.1, Set("loc://e<VEnum>(9)", 1))], "no such label"),
    ],
)
def test_a_scan_that_cannot_run_is_refused_before_the_run(
    RE, flyer, docs, scans, scan, reason
):
    with pytest.raises(ScanServerError) as refused:
        RE(fly_scan(flyer, ScanPlan(scan, columns=["loc://x(0)"])))
    assert reason in str(refused.value)
    assert str(refused.value).endswith("; nothing was submitted")
    assert docs.names == []
    assert scans.infos() == []


def test_whether_it_can_run_needs_not_be_asked(RE, flyer, docs, scans):
    with pytest.raises(ScanServerError, match="no_such"):
        RE(fly_scan(flyer, ScanPlan([Script("no_such")], check=False)))
    assert docs.stop["exit_status"] == "fail"
    assert "no_such" in docs.stop["reason"]
    assert scans.infos() == []


def test_columns_can_be_chosen_and_named(RE, flyer, docs):
    plan = ScanPlan(slow(3), columns={"loc://x(0)": "position"})
    RE(fly_scan(flyer, plan))
    assert column(docs, "scan-position") == [1, 2, 3]
    assert "scan-y" not in docs["descriptor"][0]["data_keys"]


def test_a_number_that_is_none_fails_with_advice(RE, flyer, docs, scans):
    scan = [Set("loc://x", "text"), Log("loc://x"), Delay(100)]
    with pytest.raises(ScanError, match=r"with dtypes=.'loc://x': str"):
        RE(fly_scan(flyer, scan))
    assert docs.stop["exit_status"] == "fail"
    assert scans.infos()[0].state == "Aborted"


def test_how_often_is_not_known_with_conditions(RE, flyer, docs):
    RE(fly_scan(flyer, [If("loc://x(0)", "=", 1, Log("loc://x(0)"))]))
    assert "num_points" not in docs["start"][0]
    assert docs.stop["exit_status"] == "success"


# files


def test_the_file_is_complete_by_itself(RE, scans, docs, tmp_path):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, scans.port)
    RE(fly_scan(scan, slow(5)))
    (file,) = tmp_path.glob("*.h5")
    assert scan.file == file
    with open_columns(file) as columns:
        assert columns.read("x").tolist() == [1, 2, 3, 4, 5]
        assert columns.read("serial").tolist() == [0, 1, 2, 3, 4]
        times = columns.read("time").tolist()
        assert times == sorted(times)
        assert abs(times[-1] - time.time()) < 60
        (run,) = columns.runs
    assert (run.rows, run.reason) == (5, "Finished")
    assert run.start_time.endswith("Z")


def test_the_file_tells_why_it_ends_early(RE, scans, docs, tmp_path):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, scans.port)
    with pytest.raises(ScanFailed):
        RE(fly_scan(scan, [*slow(2), Wait("loc://x(0)", 9, timeout=0.01)]))
    with open_columns(scan.file) as columns:
        (run,) = columns.runs
    assert run.rows == 2
    assert run.reason.startswith("Scan 1 'bluesky' failed: ")


def test_a_file_that_is_there_already_is_not_overwritten(RE, scans, docs, tmp_path):
    where = StaticPathProvider(StaticFilenameProvider("mine"), tmp_path)
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", where, scans.port)
    RE(fly_scan(scan, slow(3)))
    with pytest.raises(HdfError, match="exists already"):
        RE(fly_scan(scan, slow(3)))
    assert docs.stop["exit_status"] == "fail"
    assert len(scans.infos()) == 1


def test_a_disk_that_is_full_ends_the_scan(RE, scans, docs, tmp_path, monkeypatch):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, scans.port)
    append = ColumnWriter.append

    def full(writer, columns):
        if writer.rows > 5:
            raise HdfError("cannot write: No space left on device")
        append(writer, columns)

    monkeypatch.setattr(ColumnWriter, "append", full)
    with pytest.raises(HdfError, match="No space left"):
        RE(fly_scan(scan, slow(2000), flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert "No space left" in docs.stop["reason"]
    assert scans.infos()[0].state == "Aborted"
    check_rows(docs, None)


def test_texts_do_not_go_into_a_file_of_numbers(RE, scans, docs, tmp_path):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, scans.port)
    with pytest.raises(BadValue, match="is a string, and files of scan rows"):
        RE(fly_scan(scan, [Log('loc://t("a")')]))
    assert docs.names == []
    assert list(tmp_path.iterdir()) == []
