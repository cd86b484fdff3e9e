"""The multi-channel scaler against PVs of our server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.run_engine import RunEngine
from ca_rig import environment, serving, until
from ophyd_async.core import (
    DetectorTrigger,
    NotConnectedError,
    TriggerInfo,
    init_devices,
)
from struck_pvs import StruckPvs

from beamfly.ca.pv import PV
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices import HDFPanda, Motor, Struck
from beamfly.devices.struck import Advance
from beamfly.errors import BadValue, CAError, CATimeout
from beamfly.hdf import open_columns
from beamfly.plans import fly, fly_motor, match_encoder
from beamfly.sim import SimulatedBeamline
from ca.c_ioc import free_port
from flying import Documents, run_engine


@pytest.fixture
def sis() -> StruckPvs:
    return StruckPvs()


@pytest.fixture
def server(sis: StruckPvs, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    with serve_in_thread(sis.pvs, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def RE(sis: StruckPvs) -> Iterator[RunEngine]:
    """Pulses from outside come when the plan has kicked all off."""
    sis.pulsed = False

    def hook(msg: Any) -> None:
        sis.pulsed |= msg.command == "complete"

    with run_engine() as engine:
        engine.msg_hook = hook
        yield engine


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


def made(tmp_path: Path, scaler: str = "X:S") -> Struck:
    return Struck("X:SIS1:", tmp_path, inputs=3, scaler=scaler, name="mcs")


def test_a_flight_by_its_own_clock(
    server: ThreadedServer,
    sis: StruckPvs,
    RE: RunEngine,
    docs: Documents,
    tmp_path: Path,
) -> None:
    with init_devices():
        mcs = made(tmp_path)
    RE(fly(mcs, num=200, livetime=0.01, trigger="internal"))
    assert docs.stop["exit_status"] == "success"
    # the input without a name is left out
    assert docs.rows == 200
    assert docs.read("mcs-clock") == [1000 + n for n in range(200)]
    assert docs.read("mcs-It") == [3000 + n for n in range(200)]
    assert server.value("X:SIS1:Dwell") == 0.01
    assert server.value("X:SIS1:NuseAll") == 200
    # it counts by itself again, as it did before
    assert server.value("X:S.CONT") == 1
    (descriptor,) = docs["descriptor"]
    config = descriptor["configuration"]["mcs"]["data"]
    assert config["mcs-dwell"] == 0.01
    assert config["mcs-channel_advance"] == "Internal"
    assert descriptor["hints"]["mcs"]["fields"] == ["mcs-clock", "mcs-It"]
    key = descriptor["data_keys"]["mcs-It"]
    assert (key["source"], key["dtype_numpy"]) == ("ca://X:SIS1:mca3", "<i4")


def test_points_by_pulses_and_points_one_by_one(
    server: ThreadedServer,
    sis: StruckPvs,
    RE: RunEngine,
    docs: Documents,
    tmp_path: Path,
) -> None:
    with init_devices():
        mcs = made(tmp_path, scaler="")
    sis.pulses, sis.late = 50, True
    RE(fly(mcs, num=50))
    assert docs.read("mcs-mca2") == [2000 + n for n in range(50)]
    assert server.value("X:SIS1:ChannelAdvance") == 1
    assert server.value("X:SIS1:Prescale") == 1
    docs.clear()
    RE(bp.count([mcs], 3))
    assert docs.read("mcs-mca1") == [1000, 1000, 1000]
    assert sis.starts == 4


def test_a_flight_that_is_ended_keeps_its_points(
    server: ThreadedServer,
    sis: StruckPvs,
    RE: RunEngine,
    docs: Documents,
    tmp_path: Path,
) -> None:
    with init_devices():
        mcs = made(tmp_path)
    sis.pulses = 20

    # somebody presses its Stop button when there are no more pulses
    def stop_it(name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor":
            server.call(lambda: asyncio.ensure_future(stopping()))

    async def stopping() -> None:
        await until(lambda: sis["CurrentChannel"].value == 20)
        sis._stop.set()

    RE.subscribe(stop_it)
    with pytest.raises(CAError, match="mcs has ended with 20 of 50 points: somebody"):
        RE(fly(mcs, num=50))
    assert docs.stop["exit_status"] == "fail"
    assert "20 of 50 points" in docs.stop["reason"]
    assert docs.rows == 20
    assert docs.read("mcs-It") == [3000 + n for n in range(20)]
    assert server.value("X:SIS1:Acquiring") == 0


def test_pulses_that_do_not_come(
    server: ThreadedServer,
    sis: StruckPvs,
    RE: RunEngine,
    docs: Documents,
    tmp_path: Path,
) -> None:
    with init_devices():
        mcs = made(tmp_path)
    sis.pulses = 10
    with pytest.raises(
        CATimeout,
        match="mcs: 10 of 50 points, and no further one in time; ChannelAdvance is "
        "External: are there pulses",
    ):
        RE(fly(mcs, num=50, timeout=3))
    assert docs.rows == 10
    assert server.value("X:SIS1:Acquiring") == 0


def test_with_a_panda_while_a_motor_flies(
    server: ThreadedServer,
    sis: StruckPvs,
    RE: RunEngine,
    docs: Documents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both take the same points, in one run with a file each."""
    sis.pulses = 21
    with SimulatedBeamline(ioc_port=0, motors=0) as beamline:
        ports = f"127.0.0.1:{beamline.ioc.port} 127.0.0.1:{server.port}"
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", ports)
        with init_devices():
            mcs, x = made(tmp_path), Motor("BL:x")
            panda = HDFPanda(
                f"127.0.0.1:{beamline.panda.control_port}",
                tmp_path,
                data_port=beamline.panda.data_port,
            )
        RE(match_encoder(panda, 1, x))
        RE(fly_motor(panda, x, 0, 2, 21, 0.01, detectors=[mcs]))
        disconnecting = asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop)
        disconnecting.result(30)
    assert docs.stop["exit_status"] == "success"
    assert docs.stop["num_events"]["primary"] == docs.rows == 21
    assert docs.read("mcs-It") == [3000 + n for n in range(21)]
    assert docs.read("x") == pytest.approx([n / 10 for n in range(21)], abs=2e-4)
    assert server.value("X:SIS1:ChannelAdvance") == 1


async def test_what_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sis: StruckPvs
) -> None:
    async with serving(sis.pvs, monkeypatch):
        mcs = made(tmp_path)
        await mcs.connect(timeout=30)
        await mcs.stage()
        too_many = TriggerInfo(number_of_events=501)
        with pytest.raises(BadValue, match="mcs has room for 500 points, not for 501"):
            await mcs.prepare(too_many)
        with pytest.raises(BadValue, match="has no dead time, and cannot wait"):
            await mcs.prepare(TriggerInfo(deadtime=0.1))
        level = TriggerInfo(trigger=DetectorTrigger.EXTERNAL_LEVEL)
        with pytest.raises(ValueError, match="not supported by 'mcs'"):
            await mcs.prepare(level)
        sis.scaler.post(NM2="It")
        with pytest.raises(BadValue, match=r"channels 2 and 3 of X:S are both called"):
            await mcs.prepare(TriggerInfo(number_of_events=5))
        sis.scaler.post(NM1="", NM2=" ", NM3="")
        with pytest.raises(BadValue, match="no channel of X:S has a name"):
            await mcs.prepare(TriggerInfo(number_of_events=5))
        await mcs.unstage()
        assert sis.starts == 0 and list(tmp_path.iterdir()) == []
        assert await mcs.field("CountOnStart").get() == "No"
        fields = await mcs.read_fields()
        assert fields["MaxChannels"] == 500 and fields["Firmware"] is None
        with pytest.raises(BadValue, match="do you mean Prescale"):
            mcs.field("prescale")


async def test_an_input_that_is_something_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sis: StruckPvs
) -> None:
    sis.pvs["X:SIS1:mca2"] = PV(0.0)
    async with serving(sis.pvs, monkeypatch):
        mcs = made(tmp_path)
        with pytest.raises(
            NotConnectedError, match="X:SIS1:mca2 is an ao, not an mca or a waveform"
        ):
            await mcs.connect(timeout=30)


def test_what_is_complete_can_be_read_while_it_counts(
    server: ThreadedServer, sis: StruckPvs, RE: RunEngine, tmp_path: Path
) -> None:
    with init_devices():
        mcs = made(tmp_path)
    sis.pulses = 30
    info = TriggerInfo(trigger=DetectorTrigger.EXTERNAL_EDGE, number_of_events=60)
    seen: list[int] = []

    async def look() -> None:
        (file,) = tmp_path.iterdir()
        sis.pulsed = True
        await until(lambda: mcs._run._written.value == 30)
        with open_columns(file) as columns:
            seen.append(len(columns["It"]))

    def plan() -> Any:
        yield from bps.stage(mcs, wait=True)
        yield from bps.open_run()
        yield from bps.prepare(mcs, info, wait=True)
        yield from bps.kickoff(mcs, wait=True)
        yield from bps.wait_for([look])
        yield from bps.unstage(mcs, wait=True)
        yield from bps.close_run()

    RE(plan())
    assert seen == [30]


async def test_mock(tmp_path: Path) -> None:
    mcs = made(tmp_path)
    await mcs.connect(mock=True)
    await mcs.channel_advance.set(Advance.EXTERNAL)
    supported, deadtime = await mcs.get_trigger_deadtime()
    assert supported == {DetectorTrigger.INTERNAL, DetectorTrigger.EXTERNAL_EDGE}
    assert deadtime == 0.0
