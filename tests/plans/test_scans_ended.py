"""`fly_scan`: ends that nobody wanted, of scans, of runs and of servers."""

import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import init_devices

from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
from beamfly.errors import ScanAborted, ScanFailed, ScanServerDisconnected
from beamfly.hdf import open_columns
from beamfly.plans.scans import fly_scan
from beamfly.scan import AsyncScanClient, Delay, Wait
from ca.c_ioc import free_port
from flying import Documents
from scan_flights import ask_for_pause, check_rows, quiet, report, slow, until
from scan_serving import ScanServerProcess


@pytest.mark.parametrize("way", ["stop", "abort", "halt"])
def test_ending_a_paused_run_ends_the_scan(RE, flyer, docs, scans, way):
    scans.at_sample(9, lambda: ask_for_pause(RE))
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    getattr(RE, way)()
    quiet(RE)
    (info,) = scans.infos()
    assert info.state == "Aborted"
    expected = {"stop": "success", "abort": "abort", "halt": "abort"}[way]
    assert docs.stop["exit_status"] == expected
    rows = check_rows(docs, None)
    logged = scans.call(lambda: scans.server.engine.last_serial(info.id)) + 1
    if way != "halt":
        assert len(rows) == logged >= 9
        assert report(docs)["state"] == "Aborted"
    assert len(rows) <= logged


@pytest.mark.parametrize("way", ["stop", "abort"])
def test_ending_a_run_whose_scan_waits_in_the_queue(RE, flyer, docs, scans, way):
    blocker = scans.submit([Delay(100)])
    scans.at_submission(lambda: ask_for_pause(RE))
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(), flush_period=0.05))
    getattr(RE, way)()
    assert scans.infos()[0].state == "Aborted"
    scans.control("abort", blocker)
    assert docs.stop["num_events"].get("primary", 0) == 0
    assert report(docs)["state"] == "Aborted"


def test_a_failing_scan_fails_the_run_with_the_reason_of_the_server(
    RE, flyer, docs, scans
):
    scan = [*slow(10), Wait("loc://x(0)", 99, timeout=0.05)]
    with pytest.raises(ScanFailed, match=r"loc://x\(0\) \(10.0\) = 99.0"):
        RE(fly_scan(flyer, scan, flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert "(10.0) = 99.0" in docs.stop["reason"]
    check_rows(docs, 10)
    assert "99.0" in report(docs)["error"]


def test_a_scan_that_somebody_else_aborts(RE, flyer, docs, scans):
    engine = scans.call(lambda: scans.server.engine)
    scans.at_sample(5, lambda: engine.abort(1, scans.server.now()))
    with pytest.raises(ScanAborted, match="was aborted"):
        RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert len(check_rows(docs, None)) >= 5


def test_a_plan_that_fails_around_the_scan_ends_it(RE, flyer, docs, scans):
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
    quiet(RE)
    assert scans.infos()[0].state == "Aborted"


def test_a_scan_that_somebody_deletes_as_soon_as_it_has_ended(RE, flyer, docs, scans):
    """It is gone before the flyer sees that it has ended."""
    engine = scans.call(lambda: scans.server.engine)

    def end() -> None:
        engine.abort(1, scans.server.now())
        engine.advance(scans.server.now())
        engine.delete(1)

    scans.at_sample(5, end)
    with pytest.raises(ScanFailed, match="Scan 1 was deleted on the scan server, so"):
        RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert "was deleted on the scan server" in docs.stop["reason"]
    check_rows(docs, None)


def test_a_scan_that_is_deleted_between_two_questions(
    RE, flyer, docs, scans, monkeypatch
):
    """It is there when it is asked for, and gone when its rows are."""
    engine = scans.call(lambda: scans.server.engine)
    ask, gone = AsyncScanClient.lastSerial, []

    def end() -> None:
        engine.abort(1, scans.server.now())
        engine.advance(scans.server.now())
        engine.delete(1)

    async def ask_too_late(client: AsyncScanClient, *arguments: Any) -> int:
        if not gone and {"event_page", "stream_datum"} & {*docs.names}:
            gone.append(1)
            scans.call(end)
        return await ask(client, *arguments)

    monkeypatch.setattr(AsyncScanClient, "lastSerial", ask_too_late)
    with pytest.raises(ScanFailed, match="Scan 1 was deleted on the scan server, so"):
        RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    assert gone and docs.stop["exit_status"] == "fail"
    assert check_rows(docs, None)


# servers that die: each is a process that has to start


def pages(port: int, folder: Path, **options: float) -> ScanServerFlyer:
    with init_devices():
        scan = ScanServerFlyer("127.0.0.1", port, **options)
    return scan


def hdf(port: int, folder: Path, **options: float) -> ScanServerHdfFlyer:
    with init_devices():
        scan = ScanServerHdfFlyer("127.0.0.1", folder, port, **options)
    return scan


@contextmanager
def at_first_rows(RE: RunEngine, action: Callable[[], object]) -> Iterator[None]:
    """Do something, once, in a thread, when the first rows are documents."""
    acting = threading.Thread(target=action)

    def see(name: str, doc: object) -> None:
        if name in ("event_page", "stream_datum") and acting.ident is None:
            acting.start()

    RE.subscribe(see)
    yield
    acting.join(30)
    assert not acting.is_alive()


def check_failed(docs: Documents, said: str) -> list[float]:
    assert docs.stop["exit_status"] == "fail"
    assert said in docs.stop["reason"]
    assert docs.names[0] == "start" and docs.names[-1] == "stop"
    assert said in report(docs)["error"]
    rows = check_rows(docs, None)
    assert rows
    return rows


@pytest.mark.timeout(180)
def test_a_server_that_is_killed_and_stays_away(RE, docs, tmp_path):
    process = ScanServerProcess(free_port())
    try:
        flyer = hdf(process.port, tmp_path, patience=0.3)
        with (
            at_first_rows(RE, process.kill),
            pytest.raises(ScanServerDisconnected, match=r"was out of reach for \d"),
        ):
            RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    finally:
        process.kill()
    rows = check_failed(docs, "so scan 1 is not followed any more and may still be")
    assert f"its rows up to serial {len(rows) - 1} are kept" in docs.stop["reason"]
    with open_columns(flyer.file) as columns:
        assert columns.read("x").tolist() == rows
        assert "out of reach" in columns.runs[0].reason


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("make", "kept"), [(pages, True), (hdf, False)], ids=["data log", "no data log"]
)
def test_a_server_that_is_killed_and_comes_back(RE, docs, tmp_path, make, kept):
    log = tmp_path / "log"
    process = ScanServerProcess(free_port(), log if kept else None)

    def restart() -> None:
        process.kill()
        process.start()

    try:
        flyer = make(process.port, tmp_path)
        with (
            at_first_rows(RE, restart),
            pytest.raises(ScanFailed, match="the scan server was restarted meanwhile"),
        ):
            RE(fly_scan(flyer, slow(2000), flush_period=0.05))
    finally:
        process.kill()
    said = "Scan 1 did not end: the scan server was restarted meanwhile; "
    rows = check_failed(docs, said)
    if not kept:
        assert f"its rows up to serial {len(rows) - 1} are kept" in docs.stop["reason"]
        return
    assert "all rows that its data log has are kept" in docs.stop["reason"]
    with closing(sqlite3.connect(log)) as database:
        found = database.execute("SELECT COUNT(DISTINCT serial) FROM samples")
        # what was fetched before the crash need not be in its data log yet
        assert len(rows) >= found.fetchone()[0]


@pytest.mark.timeout(180)
def test_a_server_that_stands_still_for_a_while(RE, docs, tmp_path):
    process = ScanServerProcess(free_port())

    def asleep() -> bool:
        """It takes connections, as the kernel does that, and answers none."""
        with socket.create_connection(("127.0.0.1", process.port), 5) as link:
            link.settimeout(0.5)
            link.sendall(b"GET /scans HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                return not link.recv(1)
            except TimeoutError:
                return True

    def freeze() -> None:
        process.signal(signal.SIGSTOP)
        until(asleep)
        process.signal(signal.SIGCONT)

    try:
        flyer = pages(process.port, tmp_path)
        with at_first_rows(RE, freeze):
            RE(fly_scan(flyer, slow(), flush_period=0.05))
    finally:
        process.kill()
    check_rows(docs)


def test_a_server_that_is_not_there(RE, tmp_path):
    with pytest.raises(Exception, match=r"Failed to reach scan server|NotConnected"):
        pages(free_port(), tmp_path)
