"""The simulated IOC under Bluesky, with motors and a scaler; and other clients."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import FlyMotorInfo, wait_for_value
from ophyd_async.epics.motor import Motor as OphydMotor

from beamfly.devices import Motor, Scaler, tweak, use_native_ca
from beamfly.devices.motor import MoveEndedEarly, OutsideLimits
from beamfly.sim import SimulatedBeamline
from ca.c_ioc import free_port
from flying import run_engine

PATIENCE = 30.0


@pytest.fixture
def beamline(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline(ioc_port=0, motors=2) as made:
        address = f"127.0.0.1:{made.ioc.port}"
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", address)
        yield made


@pytest.fixture
def RE(beamline: SimulatedBeamline) -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


def connected(device: Any) -> Any:
    async def connect() -> None:
        await device.connect(timeout=PATIENCE)

    call_in_bluesky_event_loop(connect())
    return device


def test_a_scan_with_a_scaler(RE: RunEngine, beamline: SimulatedBeamline) -> None:
    x = connected(Motor("BL:x", name="x"))
    scaler = connected(Scaler("BL:scaler", name="scaler"))
    rows: list[dict[str, float]] = []
    RE(bps.mv(scaler.preset_time, 0.1))
    RE(
        bp.scan([scaler], x, -0.2, 0.2, 3),
        lambda name, doc: rows.append(doc["data"]) if name == "event" else None,
    )
    assert [row["x"] for row in rows] == [-0.2, 0.0, 0.2]
    assert [row["scaler-I0"] for row in rows] == pytest.approx([1e5] * 3, rel=0.01)
    assert all(row["scaler-I1"] > 1e3 for row in rows)
    assert beamline.panda.ask("INENC1.VAL?") == ["OK =2000"]
    RE(tweak(x, "reverse"))
    assert beamline.panda.ask("INENC1.VAL?") == ["OK =-8000"]


def run(RE: RunEngine, action: Any) -> Any:
    async def call() -> Any:
        return await action()

    return call_in_bluesky_event_loop(call(), timeout=PATIENCE)


def test_moves_that_limits_end(RE: RunEngine, beamline: SimulatedBeamline) -> None:
    x = connected(Motor("BL:x", name="x"))

    async def beyond() -> None:
        with pytest.raises(OutsideLimits, match="soft limits"):
            await x.set(101.0)
        await x.low_limit_travel.set(0.0)
        await x.high_limit_travel.set(0.0)
        await x.dial_low_limit_travel.set(0.0)
        await x.dial_high_limit_travel.set(0.0)
        await x.velocity.set(100.0)
        with pytest.raises(MoveEndedEarly, match="high limit switch"):
            await x.set(500.0)
        assert await x.user_readback.get_value() == 110.0

    run(RE, beyond)


def test_the_motor_of_ophyd_async_flies(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    with use_native_ca():
        m1 = connected(OphydMotor("BL:m1", name="m1"))
    path: list[float] = []

    async def fly() -> None:
        await m1.acceleration_time.set(0.1)
        info = FlyMotorInfo(start_position=0, end_position=1.0, time_for_move=0.5)
        await m1.prepare(info)
        begin = beamline.stage.now()
        await m1.kickoff()
        await m1.complete()
        axis = beamline.ioc.motors["m1"].axis
        path.extend(axis.position(begin + step / 100) for step in range(200))

    run(RE, fly)
    assert path[0] == pytest.approx(-0.1, abs=1e-3)
    assert max(path) == pytest.approx(1.1, abs=1e-3)


def test_a_move_can_be_stopped(RE: RunEngine, beamline: SimulatedBeamline) -> None:
    x = connected(Motor("BL:x", name="x"))

    async def stop() -> None:
        await x.velocity.set(1.0)
        status = x.set(50.0)
        await wait_for_value(x.motor_done_move, 0, PATIENCE)
        await x.stop(success=False)
        with pytest.raises(RuntimeError):
            await status
        await wait_for_value(x.motor_done_move, 1, PATIENCE)

    run(RE, stop)
    assert beamline.ioc.motors["x"].axis.position() < 40


AIOCA = """
import asyncio
from ophyd_async.epics.motor import Motor

async def main():
    m = Motor("BL:m1", name="m1")
    await m.connect(timeout=30)
    assert m.user_readback.source.startswith("ca://"), m.user_readback.source
    await m.set(1.5)
    assert await m.user_readback.get_value() == 1.5
    await m.velocity.set(1.0)
    status = m.set(20.0)
    while await m.motor_done_move.get_value():
        await asyncio.sleep(0.01)
    await m.stop(success=True)
    await status
    assert await m.user_readback.get_value() < 19
    print("done")

asyncio.run(main())
"""
PYEPICS = """
import time
import epics

def until(so):
    end = time.monotonic() + 30
    while not so():
        assert time.monotonic() < end, (m.RBV, m.OFF)
        time.sleep(0.01)

epics.ca.DEFAULT_CONNECTION_TIMEOUT = 30
m = epics.Motor("BL:m2", timeout=30)
m.SPMG = 3
assert m.move(10.0, wait=True, timeout=60) == 0
until(lambda: m.get_position(readback=True) == 10.0)
assert m.move(500.0) < 0
assert m.move(500.0, ignore_limits=True, wait=True) == -4
m.set_position(0.0)
until(lambda: m.RBV == 0.0 and m.OFF == -10.0)
m.tweak("forward", wait=True)
until(lambda: m.RBV == 1.0)
s = epics.Device("BL:scaler.", attrs=("CNT", "TP", "S2"))
s.TP = 0.1
s.put("CNT", 1, wait=True, timeout=30)
until(lambda: s.get("S2") > 9e4)
print("done")
"""


@pytest.mark.peer
@pytest.mark.timeout(200)
@pytest.mark.parametrize("script", [AIOCA, PYEPICS], ids=["aioca", "pyepics"])
def test_other_clients_move_it_too(
    beamline: SimulatedBeamline, tmp_path: Path, script: str
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "EPICS_CA_REPEATER_PORT": str(free_port())},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.stdout.strip() == "done", result.stderr
