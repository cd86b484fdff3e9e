"""A scan moves motors of Channel Access and triggers a PandA, all in one run."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted

from beamfly.ca.config import Config
from beamfly.ca.default_client import purge_channel_caches
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices.scan_flight import ScanFlyer
from beamfly.errors import CaptureError, ScanFailed
from beamfly.hdf import open_columns
from beamfly.plans import fly_scan
from beamfly.scan import Log, Loop, Set, Wait
from ca.c_ioc import free_port
from flying import Documents, Hand, path_of
from scan_flights import ask_for_pause
from scan_serving import END, ThreadedScanServer, scan_server

POINTS = 12


@pytest.fixture
def ioc(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    """An axis that takes its time, and a PV whose put triggers the PandA."""
    readback = PV(0.0, units="mm", precision=3)

    async def move(put: Put) -> None:
        await asyncio.sleep(0.005)
        readback.post(put.value)

    async def trigger(put: Put) -> None:
        await asyncio.to_thread(hand.pulse, int(put.value))

    pvs = {
        "BL:X": PV(0.0, units="mm", on_put=move),
        "BL:X:RBV": readback,
        "BL:TRIGGER": PV(0, on_put=trigger),
    }
    with serve_in_thread(pvs, port=0) as server:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{server.port}")
        monkeypatch.setenv("EPICS_CA_REPEATER_PORT", str(free_port()))
        yield server


@pytest.fixture
def scans(ioc: ThreadedServer) -> Iterator[ThreadedScanServer]:
    with scan_server(Config.from_environment()) as server:
        yield server


@pytest.fixture
def flyer(flyer: ScanFlyer[Any], RE: RunEngine) -> Iterator[ScanFlyer[Any]]:
    yield flyer
    RE.loop.call_soon_threadsafe(purge_channel_caches)


def scan_of(points: int = POINTS, pulses: int = 1) -> list[Any]:
    body = [Set("BL:TRIGGER", pulses, completion=True), Log("BL:X:RBV")]
    return [
        Loop("BL:X", 1, points, 1, body, completion=True, readback="BL:X:RBV",
             tolerance=0.01),
    ]  # fmt: skip


def rows_of(docs: Documents, stream: str) -> int:
    return docs.stop["num_events"].get(stream, 0)


def positions(docs: Documents) -> list[float]:
    pages = docs["event_page"]
    if pages:
        return [value for page in pages for value in page["data"]["scan-BL:X:RBV"]]
    key = "scan-BL:X:RBV"
    (resource,) = [r for r in docs["stream_resource"] if r["data_key"] == key]
    with open_columns(path_of(resource["uri"])) as columns:
        return columns.read("BL:X:RBV").tolist()


def check(docs: Documents, points: int = POINTS, per_point: int = 1) -> None:
    assert docs.stop["exit_status"] == "success"
    assert positions(docs) == list(range(1, points + 1))
    assert rows_of(docs, "primary") == points
    assert rows_of(docs, "frames") == points * per_point
    assert docs.report["missed"] == 0


@pytest.mark.parametrize("num", [POINTS, None])
def test_frames_and_rows_are_in_one_run(RE, flyer, panda, docs, num):
    RE(fly_scan(flyer, scan_of(), detectors=panda, num=num, flush_period=0.05))
    check(docs)
    assert docs.report["written"] == POINTS
    start = docs["start"][0]
    assert start["detectors"] == ["scan", "panda"]
    assert start["hints"]["dimensions"] == [[["scan-BL:X:RBV"], "primary"]]
    key = docs.key("scan-BL:X:RBV")
    assert (key["units"], key["source"]) == ("mm", "ca://BL:X:RBV")


def test_several_frames_per_point(RE, flyer, panda, docs):
    RE(fly_scan(flyer, scan_of(5, 20), detectors=panda, num=100, flush_period=0.05))
    check(docs, 5, 20)


@pytest.mark.parametrize("moment", [3, 18])
def test_a_pause_loses_neither_rows_nor_frames(RE, flyer, panda, docs, scans, moment):
    """A pause that is asked for when so many rows are logged."""
    scans.at_sample(moment, lambda: ask_for_pause(RE))
    scan = [*scan_of(25), END]
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, scan, detectors=panda, num=25, flush_period=0.05))
    assert [info.state for info in scans.infos()] == ["Paused"]
    scans.end()
    RE.resume()
    check(docs, 25)


@pytest.mark.parametrize(
    "command", ["prepare", "declare_stream", "kickoff", "complete", "collect"]
)
def test_a_pause_at_any_message(RE, flyer, panda, docs, scans, command):
    """Each time it comes, for whichever device it is."""
    count = 0

    def hook(msg):
        nonlocal count
        if msg.command == command and count < 3:
            count += 1
            RE.loop.call_soon(lambda: RE.loop.create_task(RE._request_pause_coro()))

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, scan_of(), detectors=panda, num=POINTS, flush_period=0.05))
    while RE.state == "paused":
        with suppress(RunEngineInterrupted):
            RE.resume()
    check(docs)
    assert len(scans.infos()) == 1


def test_frames_that_are_missing_fail_the_run(RE, flyer, panda, docs, monkeypatch):
    monkeypatch.setattr("beamfly.plans.scans.LAST_FRAMES", 0.2)
    with pytest.raises(CaptureError, match="12 of 15"):
        RE(fly_scan(flyer, scan_of(), detectors=panda, num=15, flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert rows_of(docs, "primary") == POINTS
    assert rows_of(docs, "frames") == POINTS


def test_a_failing_scan_keeps_rows_and_frames(RE, flyer, panda, docs, hand):
    scan = [*scan_of(4), Wait("BL:X", 99, timeout=0.05)]
    with pytest.raises(ScanFailed, match=r"BL:X \(4.0\) = 99.0"):
        RE(fly_scan(flyer, scan, detectors=panda, num=10, flush_period=0.05))
    assert docs.stop["exit_status"] == "fail"
    assert (rows_of(docs, "primary"), rows_of(docs, "frames")) == (4, 4)
    assert hand.get("*PCAP.STATUS").startswith("Idle")
