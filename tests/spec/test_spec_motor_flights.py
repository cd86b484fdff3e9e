"""SPEC's names on motor and scaler records, and their fly twins past a PandA."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import init_devices

from beamfly.devices import HDFPanda, Motor, Scaler
from beamfly.errors import BadValue
from beamfly.plans import match_encoder
from beamfly.sim import SimulatedBeamline
from beamfly.spec import MotorFlights, Spec
from beamfly.spec.positions import table
from flying import Documents


@dataclass
class Records:
    """Devices on the simulated IOC."""

    x: Motor
    y: Motor
    scaler: Scaler
    panda: HDFPanda


@pytest.fixture
def records(
    RE: RunEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Records]:
    with SimulatedBeamline(ioc_port=0) as beamline:
        address = f"127.0.0.1:{beamline.ioc.port}"
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", address)
        with init_devices():
            x, y = Motor("BL:x"), Motor("BL:y")
            scaler = Scaler("BL:scaler")
            panda = HDFPanda(
                f"127.0.0.1:{beamline.panda.control_port}",
                tmp_path,
                data_port=beamline.panda.data_port,
            )
        yield Records(x, y, scaler, panda)
        asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(30)


def test_scaler_record_counts_for_the_time(
    RE: RunEngine, docs: Documents, records: Records
) -> None:
    spec = Spec([records.scaler])
    RE.subscribe(spec.last)
    RE(spec.ascan(records.x, 0, 0.1, num=2, time=[0.02, 0.04]))
    clock = [event["data"]["scaler-clock"] for event in docs["event"]]
    assert clock[1] == pytest.approx(2 * clock[0], rel=0.01)
    assert table([records.x], RE.loop).splitlines()[1].split() == [
        *("x", "0.1", "0.1", "-100", "100", "mm")
    ]


def test_limits_of_the_record_are_looked_at(
    RE: RunEngine, docs: Documents, records: Records
) -> None:
    with pytest.raises(BadValue, match=r"point 3 of 3 is x at 200.*soft limits are"):
        RE(Spec([records.scaler]).ascan(records.x, 0, 200, 2, 0.1))
    assert not docs["start"]


def test_motor_records_fly(RE: RunEngine, docs: Documents, records: Records) -> None:
    spec = Spec(flights=MotorFlights(records.panda, {records.x: 1}))
    with pytest.raises(BadValue, match="y is on no encoder of the PandA"):
        RE(spec.fascan(records.y, 0, 1, 10, 0.01))
    RE(match_encoder(records.panda, 1, records.x))
    RE(spec.fmesh(records.x, 0, 0.4, 20, records.y, 0, 0.1, 1, 0.004))
    assert docs.stop["exit_status"] == "success" and docs.rows == 42
    there = np.linspace(0, 0.4, 21)
    both = np.concatenate([there, there[::-1]])
    np.testing.assert_allclose(docs.read("x"), both, atol=0.01)
    start = docs["start"][0]
    assert start["scan"] == "fmesh x 0 0.4 20 y 0 0.1 1 0.004"
    assert start["shape"] == [2, 21] and start["plan_name"] == "fmesh"
