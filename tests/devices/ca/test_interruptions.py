"""Scans that are interrupted: motors stop, and the run says why it has ended.

The motor lives in another thread or process, and what it does there is what counts.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.run_engine import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ca_rig import environment
from motor_record import MotorRecord
from ophyd_async.core import init_devices

from beamfly.ca.pv import PV
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices import Motor, pv
from beamfly.errors import CADisconnected
from ca.c_ioc import free_port
from flying import Documents, run_engine

HERE = Path(__file__).parent
IOC = """
import asyncio, sys
sys.path[:0] = [{here!r}]
import motor_record
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
motor_record.STEP_SECONDS = 0.02

async def main():
    pvs = {{"X:m1": motor_record.MotorRecord().record, "X:det": PV(1.5)}}
    async with Server({{name: pvs[name] for name in sys.argv[1:]}}, port=0) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


@pytest.fixture
def record() -> MotorRecord:
    return MotorRecord()


@pytest.fixture
def server(
    record: MotorRecord, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadedServer]:
    pvs = {"X:m1": record.record, "X:det": PV(1.5)}
    with serve_in_thread(pvs, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server


def devices() -> tuple[Motor, Any]:
    with init_devices():
        m1, det = Motor("X:m1", name="m1"), pv("X:det")
    return m1, det


def until(predicate: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def while_it_moves(docs: Documents, server: ThreadedServer, act: Any) -> None:
    """Do something in another thread, in the middle of the second move of a scan."""

    def wait() -> None:
        until(lambda: len(docs["event"]) == 1 and server.value("X:m1.DMOV") == 0)
        act()

    threading.Thread(target=wait).start()


def stuck_after_first(docs: Documents, record: MotorRecord) -> Any:
    """The second move takes for ever."""

    def note(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            record.stuck = True

    return note


def test_ctrl_c_twice(
    RE: RunEngine, docs: Documents, record: MotorRecord, server: ThreadedServer
) -> None:
    m1, det = devices()
    RE.subscribe(stuck_after_first(docs, record))

    def interrupt() -> None:
        for _ in range(2):
            threading.Event().wait(0.15)
            os.kill(os.getpid(), signal.SIGINT)

    while_it_moves(docs, server, interrupt)
    with pytest.raises(RunEngineInterrupted):
        RE(bp.scan([det], m1, 0, 10, 6))
    assert RE.state == "paused"
    until(lambda: server.value("X:m1.DMOV") == 1)
    RE.abort()
    assert docs.stop["exit_status"] == "abort"
    assert len(docs["event"]) == 1
    assert server.value("X:m1.MOVN") == 0


@pytest.mark.parametrize(
    ("how", "status"), [("abort", "abort"), ("stop", "success"), ("halt", "abort")]
)
def test_an_end_from_elsewhere(
    RE: RunEngine,
    docs: Documents,
    record: MotorRecord,
    server: ThreadedServer,
    how: str,
    status: str,
) -> None:
    m1, det = devices()
    RE.subscribe(stuck_after_first(docs, record))
    while_it_moves(docs, server, getattr(RE, how))
    try:
        RE(bp.scan([det], m1, 0, 10, 6))
    except RunEngineInterrupted:
        pass
    until(lambda: server.value("X:m1.DMOV") == 1)
    assert server.value("X:m1.MOVN") == 0
    assert docs.stop["exit_status"] == status
    assert len(docs["event"]) == 1


def test_a_network_that_breaks(
    RE: RunEngine, docs: Documents, record: MotorRecord, server: ThreadedServer
) -> None:
    """The scan fails, and the motor is stopped over a new connection."""
    m1, det = devices()
    RE.subscribe(stuck_after_first(docs, record))

    def cut() -> None:
        for wire in list(server.server._wires.values()):
            wire.abort()

    while_it_moves(docs, server, lambda: server.call(cut))
    with pytest.raises(FailedStatus) as failure:
        RE(bp.scan([det], m1, 0, 10, 6))
    assert isinstance(failure.value.__cause__, CADisconnected)
    assert str(failure.value.__cause__).startswith(
        "X:m1.VAL was lost while 2.0 was written, and it is not known what became of it"
    )
    until(lambda: server.value("X:m1.DMOV") == 1)
    assert docs.stop["exit_status"] == "fail"
    assert "X:m1.VAL was lost" in docs.stop["reason"]


# ---- an IOC in a process of its own, which dies


@pytest.fixture
def iocs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Start IOCs with some of the PVs each; all are gone in the end."""
    running: list[subprocess.Popen[str]] = []
    ports: list[str] = []

    def start(*names: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", IOC.format(here=str(HERE)), *names],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        ports.append(process.stdout.readline().strip())
        settings = environment(int(ports[0]), free_port())
        settings["EPICS_CA_ADDR_LIST"] = " ".join(f"127.0.0.1:{p}" for p in ports)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def kill_after(docs: Documents, events: int, process: Any) -> None:
    """Kill an IOC when there are so many events."""

    def wait() -> None:
        until(lambda: len(docs["event"]) >= events)
        process.kill()

    threading.Thread(target=wait).start()


def test_the_motor_s_ioc_is_killed(
    RE: RunEngine,
    docs: Documents,
    iocs: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("beamfly.devices.motor.STOP_SECONDS", 0.5)
    monkeypatch.setattr("beamfly.devices.ca_lost.RECONNECT_SECONDS", 0.5)
    kill_after(docs, 2, iocs("X:m1", "X:det"))
    m1, det = devices()
    with caplog.at_level(logging.ERROR), pytest.raises(FailedStatus) as failure:
        RE(bp.scan([det], m1, 0, 10, 100))
    assert isinstance(failure.value.__cause__, CADisconnected)
    assert docs.stop["exit_status"] == "fail"
    assert "X:m1" in docs.stop["reason"] or "X:det" in docs.stop["reason"]
    assert docs.stop["num_events"]["primary"] == len(docs["event"]) >= 2
    text = "m1 was not stopped, as X:m1 cannot be reached: it may still be moving"
    assert text in caplog.text


def test_the_detector_s_ioc_is_killed(
    RE: RunEngine,
    docs: Documents,
    iocs: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beamfly.devices.ca_lost.RECONNECT_SECONDS", 0.5)
    iocs("X:m1")
    kill_after(docs, 2, iocs("X:det"))
    m1, det = devices()
    with pytest.raises(CADisconnected, match="X:det") as failure:
        RE(bp.scan([det], m1, 0, 10, 1000))
    assert docs.stop["exit_status"] == "fail"
    assert docs.stop["reason"] == str(failure.value)

    async def done() -> int:
        return await m1.motor_done_move.get_value()

    def look() -> Any:
        (task,) = yield from bps.wait_for([done])
        assert task.result() == 1

    RE(look())


def test_the_motor_s_ioc_hangs(
    RE: RunEngine,
    docs: Documents,
    iocs: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beamfly.devices.motor.STOP_SECONDS", 0.5)
    ioc = iocs("X:m1", "X:det")
    m1, det = devices()

    async def brief(old_position: float, new_position: float) -> float:
        return 2.0

    monkeypatch.setattr(m1.movable_logic, "calculate_timeout", brief)
    for _, child in m1.children():
        monkeypatch.setattr(child, "_timeout", 2.0)

    def freeze(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and doc["seq_num"] == 2:
            os.kill(ioc.pid, signal.SIGSTOP)

    RE.subscribe(freeze)
    with pytest.raises(FailedStatus) as failure:
        RE(bp.scan([det], m1, 0, 10, 6))
    assert "X:m1" in str(failure.value.__cause__)
    assert "X:m1" in docs.stop["reason"]
    assert docs.stop["exit_status"] == "fail"


def test_a_move_that_takes_too_long(
    RE: RunEngine,
    docs: Documents,
    record: MotorRecord,
    server: ThreadedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    m1, det = devices()
    record.stuck = True
    server.post("X:m1.SPMG", "Pause")

    async def brief(old_position: float, new_position: float) -> float:
        return 0.3

    monkeypatch.setattr(m1.movable_logic, "calculate_timeout", brief)
    with pytest.raises(FailedStatus) as failure:
        RE(bp.scan([det], m1, 5, 10, 6))
    text = (
        "m1 (sample, horizontal) has not come to 5.000 mm in time: it is at 5.000 mm, "
        "and SPMG is Pause"
    )
    assert str(failure.value.__cause__) == text
    assert text in docs.stop["reason"]
    until(lambda: server.value("X:m1.DMOV") == 1)
