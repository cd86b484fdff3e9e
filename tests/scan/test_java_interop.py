"""Client, flyer and plan with the genuine scan server, where that is at hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import init_devices

from beamfly.ca.default_client import purge_channel_caches
from beamfly.ca.pv import PV
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices import ScanServerFlyer
from beamfly.errors import ScanFailed, ScanServerError, UnknownScan
from beamfly.plans import fly_scan
from beamfly.scan import Delay, Log, Loop, ScanClient, Set, Wait, createTable
from ca.c_ioc import free_port
from flying import Documents, run_engine
from scan.genuine_server import free_tcp_port, genuine_server, why_not

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be run"),
]


@pytest.fixture(scope="module")
def ioc() -> Iterator[ThreadedServer]:
    pvs = {"BL:X": PV(0.0, units="mm"), "BL:N": PV(7), "BL:T": PV("abc")}
    with serve_in_thread(pvs, port=0) as server:
        yield server


@pytest.fixture(scope="module")
def port(
    tmp_path_factory: pytest.TempPathFactory, ioc: ThreadedServer
) -> Iterator[int]:
    port, folder = free_tcp_port(), tmp_path_factory.mktemp("genuine")
    with genuine_server(Path(folder), port, ioc.port, free_port()):
        yield port


def scan(points: int, delay: float = 0.02) -> list[Loop]:
    body = [Delay(delay), Log("BL:X", "BL:N", "BL:T")]
    return [Loop("BL:X", 1, points, 1, body, completion=True, readback=True)]


def test_the_client(port: int):
    with ScanClient("127.0.0.1", port) as client:
        assert client.loopGeneration() in (1, 2, 3)
        number = client.submit(scan(5), "five")
        assert client.waitUntilDone(number, timeout=30).state == "Finished"
        table = createTable(client.getData(number), "BL:X", "BL:N", "BL:T")
        assert table == [[1, 2, 3, 4, 5], [7] * 5, ["abc"] * 5]
        number = client.submit([Wait("BL:N", 99, timeout=0.1)])
        with pytest.raises(ScanFailed, match="BL:N"):
            client.waitUntilDone(number, timeout=30)
        with pytest.raises(ScanServerError):
            client.submit("<commands><nonsense/></commands>")
        with pytest.raises((UnknownScan, ScanServerError)):
            client.scanInfo(999_999)


@pytest.fixture
def RE(monkeypatch: pytest.MonkeyPatch, ioc: ThreadedServer) -> Iterator[RunEngine]:
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{ioc.port}")
    monkeypatch.setenv("EPICS_CA_REPEATER_PORT", str(free_port()))
    with run_engine() as engine:
        yield engine
        engine.loop.call_soon_threadsafe(purge_channel_caches)


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


def rows(docs: Documents, key: str) -> list[object]:
    return [value for page in docs["event_page"] for value in page["data"][key]]


def test_a_plan(RE: RunEngine, docs: Documents, port: int):
    with init_devices():
        flyer = ScanServerFlyer("127.0.0.1", port, name="scan")
    RE(fly_scan(flyer, scan(20), flush_period=0.1))
    assert rows(docs, "scan-BL:X") == list(range(1, 21))
    assert rows(docs, "scan-BL:T") == ["abc"] * 20


@pytest.mark.parametrize("moment", [0.1, 0.4, 0.8])
def test_a_pause(RE: RunEngine, docs: Documents, port: int, moment: float):
    with init_devices():
        flyer = ScanServerFlyer("127.0.0.1", port, name="scan")

    def hook(msg):
        if msg.command == "complete":
            RE.loop.call_soon_threadsafe(
                RE.loop.call_later,
                moment,
                lambda: RE.loop.create_task(RE._request_pause_coro()),
            )

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, scan(60), flush_period=0.1))
    RE.msg_hook = None
    RE.resume()
    assert rows(docs, "scan-BL:X") == list(range(1, 61))


def test_a_failing_scan(RE: RunEngine, docs: Documents, port: int):
    with init_devices():
        flyer = ScanServerFlyer("127.0.0.1", port, name="scan")
    commands = [Set("BL:X", 1, completion=True), Wait("BL:X", 9, timeout=0.1)]
    with pytest.raises(ScanFailed, match="BL:X"):
        RE(fly_scan(flyer, commands))
    assert docs.stop["exit_status"] == "fail"
