"""`watch` and `suspend_on` on PVs: alarms, a server that dies and comes back."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import bluesky.plans as bp
import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import SignalR, init_devices

from beamfly.ca.pv import PV
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices import ca_signal_r
from beamfly.watch import Change, Notice, suspend_on, watch
from flying import Documents

Until = Callable[..., None]


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pvs() -> dict[str, PV]:
    return {
        "SR:I": PV(100.0, units="mA", low=60.0, lolo=50.0),
        "PSS:SHUTTER": PV(1, states=("Closed", "Open")),
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    with serve_in_thread(pvs(), port=0) as server:
        port = str(server.port)
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{port}")
        monkeypatch.setenv("EPICS_CA_SERVER_PORT", port)
        repeater = str(free_port(socket.SOCK_DGRAM))
        monkeypatch.setenv("EPICS_CA_REPEATER_PORT", repeater)
        yield server


@pytest.fixture
def current(RE: RunEngine, server: ThreadedServer) -> SignalR[float]:
    with init_devices():
        current = ca_signal_r(float, "SR:I", name="current")
    return current


@pytest.fixture
def shutter(RE: RunEngine, server: ThreadedServer) -> SignalR[str]:
    with init_devices():
        shutter = ca_signal_r(str, "PSS:SHUTTER", name="shutter")
    return shutter


def count_in_thread(
    RE: RunEngine, signal: SignalR[Any], result: list[Any]
) -> threading.Thread:
    thread = threading.Thread(target=lambda: result.append(RE(bp.count([signal]))))
    thread.start()
    return thread


def test_pv_holds_and_lets_go(
    RE: RunEngine,
    server: ThreadedServer,
    current: SignalR[float],
    shutter: SignalR[str],
    docs: Documents,
    until: Until,
) -> None:
    beam = suspend_on(RE, current, "< 50", until="> 80")
    closed = suspend_on(RE, shutter, "!= Open")
    until(lambda: beam._listening.units == "mA")
    assert not beam.held and not closed.held
    server.post("SR:I", 10.0)
    server.post("PSS:SHUTTER", 0)
    until(lambda: beam.held and closed.held)
    assert closed.why == "shutter is Closed, != Open; it goes on once it is == Open"
    result: list[Any] = []
    thread = count_in_thread(RE, current, result)
    until(lambda: RE.state == "running")
    server.post("SR:I", 90.0)
    until(lambda: not beam.held)
    assert not docs["start"]
    server.post("PSS:SHUTTER", 1)
    thread.join(30)
    assert docs["event"][0]["data"] == {"current": 90.0}
    beam.remove(), closed.remove()


def test_alarm_of_the_record_counts(
    server: ThreadedServer, current: SignalR[float], until: Until
) -> None:
    notices: list[Notice] = []
    levels = {"warning": "in_alarm", "error": "in_alarm(MAJOR)"}
    with watch(current, levels, then=notices.append, show=None):
        for value, told in ((55.0, 1), (45.0, 2), (100.0, 4)):
            server.post("SR:I", value)
            until(lambda told=told: len(notices) == told)
    began, ended = Change.BEGAN, Change.ENDED
    assert [(one.level, one.change, one.value) for one in notices] == [
        ("warning", began, 55.0),
        ("error", began, 45.0),
        ("warning", ended, 100.0),
        ("error", ended, 100.0),
    ]


def test_server_that_dies_holds_until_it_is_back(
    RE: RunEngine,
    server: ThreadedServer,
    current: SignalR[float],
    docs: Documents,
    until: Until,
) -> None:
    shown: list[str] = []
    beam = suspend_on(RE, current, "< 50", grace=0.1)
    tolerant = suspend_on(
        RE, current, "< 50", grace=0.1, lost="report", show=shown.append
    )
    deaf = suspend_on(RE, current, "< 50", grace=0.1, lost="ignore", show=shown.append)
    until(lambda: current._cache._valid.is_set())
    port = server.port
    server.close()
    until(lambda: beam.held)
    assert beam.why.startswith("current is lost: SR:I is disconnected")
    until(lambda: shown)
    assert shown[0].startswith("current is lost: SR:I is disconnected")
    assert not tolerant.held and not deaf.held
    result: list[Any] = []
    thread = count_in_thread(RE, current, result)
    until(lambda: RE.state == "running")
    with serve_in_thread(pvs(), port=port):
        thread.join(30)
        assert result[0].exit_status == "success"
        until(lambda: len(shown) == 2)
        assert shown[1] == "current is back, and is 100 mA."
        for one in (beam, tolerant, deaf):
            one.remove()


def test_pv_that_was_low_when_it_was_lost_stays_held(
    RE: RunEngine, server: ThreadedServer, current: SignalR[float], until: Until
) -> None:
    beam = suspend_on(RE, current, "< 50", grace=0.0, lost="ignore")
    server.post("SR:I", 10.0)
    until(lambda: beam.held)
    server.close()
    until(lambda: "is disconnected" in beam.why)
    assert beam.held
    assert beam.why.endswith("it was < 50 before; it goes on once it is >= 50")
    beam.remove()
