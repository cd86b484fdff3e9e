"""`fly_scan`: documents, and every way in which a run with a scan can end."""

import asyncio
import math
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import bluesky.plan_stubs as bps
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import (
    StaticFilenameProvider,
    StaticPathProvider,
    init_devices,
)

from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
from beamfly.devices.scan_plan import ScanPlan
from beamfly.errors import (
    BadValue,
    HdfError,
    ScanAborted,
    ScanError,
    ScanFailed,
    ScanServerDisconnected,
    ScanServerError,
)
from beamfly.hdf import ColumnWriter, open_columns
from beamfly.plans.scans import fly_scan
from beamfly.scan import Delay, If, Log, Loop, Script, Set, Wait
from ca.c_ioc import free_port
from flying import Documents
from scan_serving import ScanServerProcess, ThreadedScanServer, scan_server

POINTS = 40


def slow(points: int = POINTS, delay: float = 0.01) -> list[Loop]:
    """A scan of so many points that takes its time."""
    body = [Set("loc://y(0)", 1), Delay(delay), Log("loc://x(0)", "loc://y(0)")]
    return [Loop("loc://x(0)", 1, points, 1, body)]


@pytest.fixture
def server() -> Iterator[ThreadedScanServer]:
    with scan_server() as server:
        yield server


@pytest.fixture(params=["pages", "hdf"])
def flyer(
    request: pytest.FixtureRequest,
    RE: RunEngine,
    server: ThreadedScanServer,
    tmp_path: Path,
) -> ScanFlyer:
    with init_devices():
        if request.param == "pages":
            scan = ScanServerFlyer("127.0.0.1", server.port)
        else:
            scan = ScanServerHdfFlyer(f"127.0.0.1:{server.port}", tmp_path)
    return scan


def column(docs: Documents, key: str) -> list[float]:
    """Values of one data key in the order of the documents, which count them right."""
    if docs["stream_resource"]:
        return docs.read(key)
    values: list[float] = []
    for page in docs["event_page"]:
        assert page["seq_num"][0] == len(values) + 1
        assert page["seq_num"] == list(
            range(len(values) + 1, len(values) + 1 + len(page["time"]))
        )
        values += page["data"][key]
    return values


def check_rows(docs: Documents, rows: int | None = POINTS) -> list[float]:
    """All rows are there, once, in order."""
    xs = column(docs, "scan-x")
    assert xs == list(range(1, len(xs) + 1))
    assert column(docs, "scan-serial") == list(range(len(xs)))
    assert docs.stop["num_events"].get("primary", 0) == len(xs)
    if rows is not None:
        assert len(xs) == rows
    return xs


def report(docs: Documents) -> dict:
    streams = {d["uid"]: d["name"] for d in docs["descriptor"]}
    (event,) = [e for e in docs["event"] if streams[e["descriptor"]] == "scan"]
    return {k.removeprefix("scan-"): v for k, v in event["data"].items()}


def test_a_scan_is_a_valid_run_with_all_its_rows(RE, flyer, docs, server):
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
    assert start["scan_server"]["port"] == server.port
    assert "<loop>" in start["scan_server"]["commands"]
    told = report(docs)
    assert (told["state"], told["rows"], told["error"]) == ("Finished", POINTS, "")
    assert told["scan_id"] == server.infos()[0].id
    assert told["runtime"] > POINTS * 0.01
    assert docs.stop["exit_status"] == "success"


def test_rows_are_announced_while_the_scan_runs(RE, flyer, docs):
    seen: list[tuple[str, str]] = []
    RE.subscribe(
        lambda name, doc: seen.append((name, flyer.scan.state if flyer.scan else ""))
    )
    RE(fly_scan(flyer, slow(60), flush_period=0.1))
    early = [n for n, state in seen if state == "Running"]
    assert {"event_page", "stream_datum"} & set(early)
    check_rows(docs, 60)


def test_progress_is_in_units_of_work(RE, flyer, docs):
    seen: list[dict] = []

    def hook(statuses):
        for status in statuses or ():
            if hasattr(status, "watch"):
                status.watch(lambda **update: seen.append(update))

    RE.waiting_hook = hook
    RE(fly_scan(flyer, slow(), flush_period=0.1))
    updates = [update for update in seen if update.get("name") == "scan"]
    done = [update["current"] for update in updates]
    assert done == sorted(done)
    assert {update["target"] for update in updates} == {3 * POINTS}
    assert len(set(done)) > 3


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


def test_plan_stubs_will_do(RE, server, docs):
    with init_devices():
        scan = ScanServerFlyer("127.0.0.1", server.port)

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


# pauses


def pause_at(RE: RunEngine, moment: float, defer: bool = False) -> threading.Timer:
    """Have the RunEngine pause so many seconds after it has opened a run."""
    timer = threading.Timer(moment, lambda: RE.request_pause(defer))

    def hook(msg):
        if msg.command == "open_run":
            timer.start()

    RE.msg_hook = hook
    return timer


MOMENTS = [0.0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.08, 0.13, 0.21, 0.34, 0.4, 0.45]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_pause_at_any_moment_loses_and_doubles_nothing(
    RE, flyer, docs, server, moment
):
    timer = pause_at(RE, moment)
    try:
        with pytest.raises(RunEngineInterrupted):
            RE(fly_scan(flyer, slow(), flush_period=0.05))
        states = {info.state for info in server.infos()}
        assert states <= {"Paused", "Finished"}
        before = [info.performed_work_units for info in server.infos()]
        time.sleep(0.05)
        assert [info.performed_work_units for info in server.infos()] == before
        result = RE.resume()
    finally:
        timer.cancel()
    assert result.exit_status == "success"
    assert len(server.infos()) == 1
    check_rows(docs)


@pytest.mark.parametrize(
    "command",
    [
        "prepare",
        "declare_stream",
        "kickoff",
        "complete",
        "wait",
        "collect",
        "checkpoint",
    ],
)
def test_a_pause_at_any_message_loses_and_doubles_nothing(
    RE, flyer, docs, server, command
):
    """Paused by the message itself, each time it comes; resumed each time."""
    asked = threading.Event()
    count = 0

    def hook(msg):
        nonlocal count
        if msg.command == command and count < 4:
            count += 1
            asked.set()
            RE.loop.call_soon(lambda: RE.loop.create_task(RE._request_pause_coro()))

    RE.msg_hook = hook
    try:
        result = RE(fly_scan(flyer, slow(), flush_period=0.05))
    except RunEngineInterrupted:
        result = None
    while RE.state == "paused":
        try:
            result = RE.resume()
        except RunEngineInterrupted:
            result = None
    assert asked.is_set()
    assert result is not None and result.exit_status == "success"
    assert len(server.infos()) == 1
    check_rows(docs)


def test_many_pauses_in_one_scan(RE, flyer, docs, server):
    pauses = 0

    def ask():
        if RE.state == "running":
            RE.request_pause()

    def hook(msg):
        if msg.command == "collect":
            threading.Timer(0.02, ask).start()

    RE.msg_hook = hook
    try:
        RE(fly_scan(flyer, slow(), flush_period=0.05))
    except RunEngineInterrupted:
        pass
    while RE.state == "paused":
        pauses += 1
        if pauses == 8:
            RE.msg_hook = None
        try:
            RE.resume()
        except RunEngineInterrupted:
            pass
    assert pauses >= 3
    assert len(server.infos()) == 1
    check_rows(docs)


def test_a_suspender_pauses_the_scan(RE, flyer, docs, server):
    seen: list[str] = []

    async def closed() -> None:
        await asyncio.sleep(0.3)
        seen.extend(info.state for info in server.infos())

    def hook(msg):
        if msg.command == "collect" and not seen and not asked.is_set():
            asked.set()
            RE.request_suspend(closed)

    asked = threading.Event()
    RE.msg_hook = hook
    result = RE(fly_scan(flyer, slow(), flush_period=0.05))
    assert seen == ["Paused"]
    assert result.exit_status == "success"
    assert len(server.infos()) == 1
    check_rows(docs)


def test_a_deferred_pause_comes_with_the_next_rows(RE, flyer, docs, server):
    pause_at(RE, 0.1, defer=True)
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(120), flush_period=0.05))
    (info,) = server.infos()
    assert info.state == "Paused"
    RE.resume()
    check_rows(docs, 120)


def test_a_pause_while_the_scan_waits_in_the_queue(RE, flyer, docs, server):
    """It must not start then behind our back."""
    blocker = server.submit([Delay(100)])
    pause_at(RE, 0.2)
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(), flush_period=0.05))
    server.control("abort", blocker)
    time.sleep(1.2)
    mine = server.infos()[0]
    assert mine.state == "Paused"
    assert mine.performed_work_units < 3 * POINTS
    RE.resume()
    check_rows(docs)


# ends that nobody wanted


def ended(RE: RunEngine, server: ThreadedScanServer) -> str:
    """State of the only scan, once all is quiet: who halts does not wait for that."""

    async def quiet() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)

    asyncio.run_coroutine_threadsafe(quiet(), RE.loop).result(20)
    (info,) = server.infos()
    return info.state


@pytest.mark.parametrize("way", ["stop", "abort", "halt"])
def test_ending_a_paused_run_ends_the_scan(RE, flyer, docs, server, way):
    pause_at(RE, 0.25)
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    getattr(RE, way)()
    assert ended(RE, server) == "Aborted"
    (info,) = server.infos()
    expected = {"stop": "success", "abort": "abort", "halt": "abort"}[way]
    assert docs.stop["exit_status"] == expected
    rows = check_rows(docs, None)
    logged = server.call(lambda: server.server.engine.last_serial(info.id)) + 1
    if way != "halt":
        assert len(rows) == logged
        assert report(docs)["state"] == "Aborted"
    assert 3 < len(rows) <= logged


@pytest.mark.parametrize("way", ["stop", "abort"])
def test_ending_a_run_whose_scan_waits_in_the_queue(RE, flyer, docs, server, way):
    blocker = server.submit([Delay(100)])
    pause_at(RE, 0.2)
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(), flush_period=0.05))
    getattr(RE, way)()
    assert server.infos()[0].state == "Aborted"
    server.control("abort", blocker)
    assert docs.stop["num_events"].get("primary", 0) == 0
    assert report(docs)["state"] == "Aborted"


def test_a_failing_scan_fails_the_run_with_the_reason_of_the_server(
    RE, flyer, docs, server
):
    scan = [*slow(10), Wait("loc://x(0)", 99, timeout=0.05)]
    with pytest.raises(ScanFailed, match=r"loc://x\(0\) \(10.0\) = 99.0"):
        RE(fly_scan(flyer, scan, flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert "(10.0) = 99.0" in docs.stop["reason"]
    check_rows(docs, 10)
    assert "99.0" in report(docs)["error"]


def test_a_scan_that_is_refused(RE, flyer, docs, server):
    with pytest.raises(ScanServerError, match="no_such"):
        RE(fly_scan(flyer, [Script("no_such")]))
    assert docs.stop["exit_status"] == "fail"
    assert "no_such" in docs.stop["reason"]
    assert server.infos() == []


def test_a_scan_that_somebody_else_aborts(RE, flyer, docs, server):
    timer = threading.Timer(0.4, lambda: server.control("abort", server.infos()[0].id))
    timer.start()
    with pytest.raises(ScanAborted, match="was aborted"):
        RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    timer.join()
    assert docs.stop["exit_status"] == "fail"
    check_rows(docs, None)


def test_a_scan_that_somebody_else_pauses_goes_on_when_they_say_so(
    RE, flyer, docs, server
):
    timers = [
        threading.Timer(
            at, lambda verb=verb: server.control(verb, server.infos()[0].id)
        )
        for at, verb in ((0.3, "pause"), (0.6, "resume"))
    ]
    for timer in timers:
        timer.start()
    RE(fly_scan(flyer, slow(60), flush_period=0.05))
    for timer in timers:
        timer.join()
    check_rows(docs, 60)


def test_a_plan_that_fails_around_the_scan_ends_it(RE, flyer, docs, server):
    def plan():
        flight = fly_scan(flyer, slow(2000), flush_period=0.05)
        answer = None
        while True:
            message = flight.send(answer)
            if message.command == "collect" and flyer.scan.performed_work_units > 20:
                raise RuntimeError("something else")
            answer = yield message

    with pytest.raises(RuntimeError, match="something else"):
        RE(plan())
    assert ended(RE, server) == "Aborted"


def test_commands_that_make_no_sense_are_refused_before_the_run(RE, flyer, docs):
    with pytest.raises(BadValue, match="none"):
        RE(fly_scan(flyer, ["no command"]))
    with pytest.raises(BadValue, match="would both be data named 'x'"):
        RE(fly_scan(flyer, [Log("loc://x(0)", "x")]))
    assert docs.names == []


def test_columns_can_be_chosen_and_named(RE, flyer, docs):
    plan = ScanPlan(slow(3), columns={"loc://x(0)": "position"})
    RE(fly_scan(flyer, plan))
    assert column(docs, "scan-position") == [1, 2, 3]
    assert "scan-y" not in docs["descriptor"][0]["data_keys"]


def test_a_number_that_is_none_fails_with_advice(RE, flyer, docs, server):
    scan = [Set("loc://x", "text"), Log("loc://x"), Delay(100)]
    with pytest.raises(ScanError, match=r"with dtypes=.'loc://x': str"):
        RE(fly_scan(flyer, scan))
    assert docs.stop["exit_status"] == "fail"
    assert server.infos()[0].state == "Aborted"


def test_how_often_is_not_known_with_conditions(RE, flyer, docs):
    RE(fly_scan(flyer, [If("loc://x(0)", "=", 1, Log("loc://x(0)"))]))
    assert "num_points" not in docs["start"][0]
    assert docs.stop["exit_status"] == "success"


# servers that die


def test_a_server_that_is_killed_and_stays_away(RE, docs, tmp_path):
    process = ScanServerProcess(free_port())
    try:
        with init_devices():
            scan = ScanServerFlyer("127.0.0.1", process.port, patience=0.5)
        timer = threading.Timer(0.6, process.kill)
        timer.start()
        with pytest.raises(ScanServerDisconnected, match="Failed to reach scan server"):
            RE(fly_scan(scan, slow(2000), flush_period=0.05))
        timer.join()
    finally:
        process.kill()
    assert docs.stop["exit_status"] == "fail"
    assert check_rows(docs, None)


@pytest.mark.parametrize("kept", [True, False], ids=["data log", "no data log"])
def test_a_server_that_is_killed_and_comes_back(RE, docs, tmp_path, kept):
    process = ScanServerProcess(free_port(), tmp_path / "log" if kept else None)

    def restart():
        process.kill()
        process.start()

    try:
        with init_devices():
            scan = ScanServerFlyer("127.0.0.1", process.port)
        timer = threading.Timer(0.8, restart)
        timer.start()
        with pytest.raises(
            Exception, match=r"restarted meanwhile|no scan|Unknown scan"
        ):
            RE(fly_scan(scan, slow(2000), flush_period=0.05))
        timer.join()
    finally:
        process.kill()
    assert docs.stop["exit_status"] == "fail"
    rows = check_rows(docs, None)
    assert rows
    if kept:
        with closing(sqlite3.connect(tmp_path / "log")) as database:
            found = database.execute("SELECT COUNT(DISTINCT serial) FROM samples")
            assert len(rows) == found.fetchone()[0]


def test_a_server_that_stands_still_for_a_while(RE, docs):
    process = ScanServerProcess(free_port())
    try:
        with init_devices():
            scan = ScanServerFlyer("127.0.0.1", process.port)
        timers = [
            threading.Timer(0.3, lambda: process.signal(signal.SIGSTOP)),
            threading.Timer(0.9, lambda: process.signal(signal.SIGCONT)),
        ]
        for timer in timers:
            timer.start()
        RE(fly_scan(scan, slow(), flush_period=0.05))
        for timer in timers:
            timer.join()
    finally:
        process.kill()
    check_rows(docs)


def test_a_server_that_is_not_there(RE):
    with pytest.raises(Exception, match=r"Failed to reach scan server|NotConnected"):
        with init_devices():
            scan = ScanServerFlyer("127.0.0.1", free_port())
        del scan


# files


def test_the_file_is_complete_by_itself(RE, server, docs, tmp_path):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, server.port)
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


def test_the_file_tells_why_it_ends_early(RE, server, docs, tmp_path):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, server.port)
    with pytest.raises(ScanFailed):
        RE(fly_scan(scan, [*slow(2), Wait("loc://x(0)", 9, timeout=0.01)]))
    with open_columns(scan.file) as columns:
        (run,) = columns.runs
    assert run.rows == 2
    assert run.reason.startswith("Scan 1 'bluesky' failed: ")


def test_a_file_that_is_there_already_is_not_overwritten(RE, server, docs, tmp_path):
    where = StaticPathProvider(StaticFilenameProvider("mine"), tmp_path)
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", where, server.port)
    RE(fly_scan(scan, slow(3)))
    with pytest.raises(HdfError, match="exists already"):
        RE(fly_scan(scan, slow(3)))
    assert docs.stop["exit_status"] == "fail"
    assert len(server.infos()) == 1


def test_a_disk_that_is_full_ends_the_scan(RE, server, docs, tmp_path, monkeypatch):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, server.port)
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
    assert server.infos()[0].state == "Aborted"
    check_rows(docs, None)


def test_texts_do_not_go_into_a_file_of_numbers(RE, server, docs, tmp_path):
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, server.port)
    with pytest.raises(BadValue, match="is a string, and files of scan rows"):
        RE(fly_scan(scan, [Log('loc://t("a")')]))
    assert docs.names == []
    assert list(tmp_path.iterdir()) == []
