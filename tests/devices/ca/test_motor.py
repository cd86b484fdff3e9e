"""The motor device against a motor record of our server, and in mock mode."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.run_engine import RunEngine
from bluesky.utils import FailedStatus
from ca_rig import environment, serving, until
from motor_record import MotorRecord
from ophyd_async.core import (
    FlyMotorInfo,
    init_devices,
    observe_value,
    set_mock_value,
)
from ophyd_async.epics.motor import Motor as OphydMotor
from ophyd_async.epics.motor import MotorLimitsError, OffsetMode

from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices import (
    Motor,
    fields,
    get_field,
    home,
    jog,
    native_ca_in_use,
    set_field,
    set_position,
    transport_of,
    tweak,
)
from beamfly.devices.ca_sought import CaAbsent
from beamfly.devices.motor import Direction, MoveEndedEarly, OutsideLimits
from beamfly.errors import BadValue
from ca.c_ioc import free_port
from flying import run_engine


async def connected(name: str = "X:m1") -> Motor:
    motor = Motor(name, name="m1")
    await motor.connect(timeout=30)
    return motor


async def test_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:m1": MotorRecord(at=1.5).record}, monkeypatch):
        motor = await connected()
        assert transport_of(motor) == "beamfly" and not native_ca_in_use()
        assert isinstance(motor, OphydMotor)
        assert (await motor.read())["m1"]["value"] == 1.5
        assert motor.hints == {"fields": ["m1"]}
        config = await motor.read_configuration()
        assert config["m1-description"]["value"] == "sample, horizontal"
        assert config["m1-direction"]["value"] is Direction.POSITIVE
        assert config["m1-velocity"]["value"] == 10.0
        # every child is a channel, times forty motors
        assert len(dict(motor.children())) == 26
        assert await motor.offset_freeze_switch.get_value() is OffsetMode.VARIABLE


async def test_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    record = MotorRecord()
    async with serving({"X:m1": record.record}, monkeypatch):
        motor = await connected()
        seen: list[float] = []
        status = motor.set(3.0)
        status.watch(lambda **update: seen.append(update["current"]))
        await status
        assert await motor.user_readback.get_value() == 3.0
        assert len(seen) > 3 and seen == sorted(seen)
        assert await motor.locate() == {"setpoint": 3.0, "readback": 3.0}
        info = FlyMotorInfo(start_position=0.0, end_position=2.0, time_for_move=1.0)
        await motor.prepare(info)
        await motor.kickoff()
        await motor.complete()
        # ways to speed up and slow down, with VBAS, and backlash at the end
        assert record.moves[-2] == pytest.approx(-0.0105)
        assert record.moves[-1] == pytest.approx(2.0105 + 0.25)
        assert await motor.velocity.get_value() == 2.0
        await motor.unstage()
        assert await motor.velocity.get_value() == 10.0


async def test_flights_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    record = MotorRecord(low=-1.0, high=3.0)
    async with serving({"X:m1": record.record}, monkeypatch):
        motor = Motor("X:m1", name="m1")
        await motor.connect(timeout=30)
        refused = {
            (0.0, 2.9, 1.0): r"needs -0.015 mm to 3.165 mm, and its soft limits are",
            (0.0, 2.0, 0.05): r"goes at 0.1 \(VBAS\) to 20 \(VMAX\); it was not moved",
            (0.0, 2.0, 40.0): r"goes at 0.1 \(VBAS\) to 20 \(VMAX\); it was not moved",
        }
        for (begin, end, seconds), text in refused.items():
            info = FlyMotorInfo(
                start_position=begin, end_position=end, time_for_move=seconds
            )
            with pytest.raises(OutsideLimits, match=text):
                await motor.prepare(info)
        assert record.moves == []
        assert await motor.velocity.get_value() == 10.0


async def test_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    record = MotorRecord()
    record.stuck = True
    async with serving({"X:m1": record.record}, monkeypatch):
        motor = await connected()
        status = motor.set(5.0)
        await until(lambda: record.record["MOVN"])
        await motor.stop(success=False)
        with pytest.raises(RuntimeError, match="m1 was stopped"):
            await status
        await until(lambda: not record.record["MOVN"])
        record.stuck = False
        # the next move does not wait for one that nobody waits for
        await motor.set(1.0)
        assert await motor.user_readback.get_value() == 1.0


async def test_puts_that_complete_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    record = MotorRecord()
    record.early = True
    async with serving({"X:m1": record.record}, monkeypatch):
        motor = await connected()
        await motor.set(3.0)
        assert record.record["RBV"] == 3.0 and record.record["DMOV"] == 1


async def test_back_inside_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    record = MotorRecord(low=0.0, high=10.0, at=10.002)
    async with serving({"X:m1": record.record}, monkeypatch):
        motor = await connected()
        words = (
            r"m1 \(sample, horizontal\) was not moved from 10.002 mm to 10.500 mm: its "
            r"soft limits are 0.000 mm and 10.000 mm"
        )
        with pytest.raises(OutsideLimits, match=words):
            await motor.set(10.5)
        with pytest.raises(MotorLimitsError):
            await motor.check_value(-0.1)
        with pytest.raises(BadValue):
            await motor.set(10.001)
        assert record.moves == []
        await motor.set(5.0)
        assert record.moves == [5.0]
        record.record.post(DLLM=0.0, DHLM=0.0)
        await motor.set(-50.0)
        assert record.moves == [5.0, -50.0]


async def test_a_move_that_a_limit_ends_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    record = MotorRecord()
    group = record.record
    async with serving({"X:m1": group}, monkeypatch):
        motor = await connected()
        status = motor.set(8.0)
        await until(lambda: group["RBV"] > 0)
        group["HLS"] = 1
        record._stop.set()
        with pytest.raises(MoveEndedEarly, match=r"not at 8.000 mm: its high limit sw"):
            await status
        group.post(HLS=0, LLS=1)
        status = motor.set(-8.0)
        await until(lambda: group["RBV"] < 0)
        record._stop.set()
        with pytest.raises(MoveEndedEarly, match="its low limit switch ended the move"):
            await status
        # on the switch, but where it should be
        await motor.set(2.0)
        group["LLS"] = 0
        # limits that became narrower behind our back
        status = motor.set(3.0)
        group["HLM"] = 2.5
        with pytest.raises(MotorLimitsError, match="its soft limits"):
            await status


async def test_records_without_some_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that only look like a motor record."""
    pvs = MotorRecord().record.pvs
    group = RecordGroup("motor", {name: pvs[name] for name in pvs if name != "LVIO"})
    async with serving({"X:m1": group}, monkeypatch):
        motor = await connected()
        with pytest.raises(Exception, match=r"X:m1.LVIO is not there"):
            await motor.field("LVIO").get()
        assert await motor._logic._limit_violated() is False
        assert not motor.has_limit_violation
        assert await motor._logic._limit_violated() is False


async def test_fields_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:m1": MotorRecord().record}, monkeypatch):
        motor = await connected()
        assert await motor.field("BDST").get() == 0.25
        assert motor.field("backlash") is motor.field("BDST")
        await motor.field("backlash").set(0.5)
        assert await motor.field("BDST").get() == 0.5
        found = await motor.read_fields()
        assert len(found) > 90
        assert found["VELO"] == 10.0 and found["SPMG"] == "Go"
        assert found["RTYP"] == "motor" and found["PCOF"] is None


async def test_mock() -> None:
    motor = Motor("X:m1", name="m1")
    await motor.connect(mock=True)
    set_mock_value(motor.high_limit_travel, 10.0)
    set_mock_value(motor.dial_high_limit_travel, 10.0)
    await motor.set(5.0)
    assert await motor.user_readback.get_value() == 5.0
    with pytest.raises(OutsideLimits, match="m1 was not moved from 5 to 11: its soft"):
        await motor.set(11.0)


async def test_forty_motors_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    pvs = {f"X:m{n}": MotorRecord().record for n in range(40)}
    async with serving(pvs, monkeypatch):
        motors = [Motor(name, name=name[2:]) for name in pvs]
        await asyncio.gather(*(motor.connect(timeout=30) for motor in motors))
        for motor in (motors[0], motors[-1]):
            assert (await motor.read())[motor.name]["value"] == 0.0


CAPROTO = """
import sys
from caproto.server import PVGroup, SubGroup, pvproperty, run
from caproto.ioc_examples.fake_motor_record import FakeMotor
class Ioc(PVGroup):
    m1 = SubGroup(FakeMotor, velocity=20.0, precision=3, user_limits=(-5, 5),
                  tick_rate_hz=50, prefix="m1")
    ao = pvproperty(value=1.0, record="ao")
run(Ioc(prefix="C:").pvdb, interfaces=["127.0.0.1"])
"""


@pytest.fixture
def caproto_motor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A motor record of caproto, whose fields are made from motor.dbd."""
    port = free_port()
    for name, value in environment(port, free_port()).items():
        monkeypatch.setenv(name, value)
    process = subprocess.Popen(
        [sys.executable, "-c", CAPROTO],
        env={**os.environ, "EPICS_CAS_SERVER_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
    process.kill()
    process.wait(30)


@pytest.mark.peer
async def test_a_motor_record_made_by_others(caproto_motor: None) -> None:
    motor = Motor("C:m1", name="m1")
    await motor.connect(timeout=20)
    assert (await motor.read_configuration())["m1-direction"]["value"] == "Pos"
    await motor.velocity.set(20.0)
    await asyncio.wait_for(motor.set(1.5).task, 10)
    async for position in observe_value(motor.user_readback, done_timeout=30):
        if position == pytest.approx(1.5):
            break
    await motor.dial_low_limit_travel.set(-5.0)
    await motor.dial_high_limit_travel.set(5.0)
    with pytest.raises(OutsideLimits, match=r"to 6.000.*limits are -5.000 and 5.000"):
        await motor.set(6.0)
    found = await motor.read_fields()
    absent = [name for name, value in found.items() if value is None]
    assert len(found) - len(absent) > 90, absent
    with pytest.raises(
        CaAbsent, match=r"ca://C:m1.NONE is not there: 127.0.0.1:\d+ has"
    ):
        await motor.field("NONE").get()
    with pytest.raises(Exception, match="C:ao is an ao, not a motor"):
        await Motor("C:ao").connect(timeout=30)


# ---- plans


class Beamline:
    """A motor in the RunEngine's loop, its record in a server in a thread."""

    def __init__(
        self, RE: RunEngine, server: ThreadedServer, record: MotorRecord
    ) -> None:
        self.RE, self.server, self.record = RE, server, record
        with init_devices():
            m1 = Motor("X:m1")
        self.m1 = m1

    def value(self, field: str) -> Any:
        return self.server.value(f"X:m1.{field}")


@pytest.fixture
def beamline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Beamline]:
    record = MotorRecord(low=-10.0, high=10.0)
    with serve_in_thread({"X:m1": record.record, "X:other": PV(1)}, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        with run_engine() as RE:
            yield Beamline(RE, server, record)


def test_plans(beamline: Beamline) -> None:
    RE, m1 = beamline.RE, beamline.m1
    rows: list[float] = []
    RE.subscribe(lambda name, doc: rows.append(doc["data"]["m1"]), "event")
    RE(bp.scan([], m1, -1, 1, 3))
    assert rows == [-1, 0, 1]
    RE(tweak(m1))
    RE(tweak(m1, "forward"))
    RE(tweak(m1, "reverse"))
    assert beamline.record.moves[-3:] == [1.5, 2.0, 1.5]
    RE(bps.mv(m1, 9.8))
    with pytest.raises(FailedStatus, match=r"was not moved from 9.800 mm to 10.300 mm"):
        RE(tweak(m1))
    with pytest.raises(BadValue, match="goes forward or reverse, not 'up'"):
        RE(tweak(m1, "up"))  # type: ignore[arg-type]
    RE(home(m1))
    beamline.record.stuck = True
    with pytest.raises(TimeoutError):
        RE(home(m1, timeout=0.1))
    beamline.record.stuck = False
    end = time.monotonic() + 30
    while beamline.value("DMOV") == 0 and time.monotonic() < end:
        time.sleep(0.005)
    RE(home(m1, "reverse"))
    assert (beamline.value("RBV"), beamline.value("ATHM")) == (0.0, 1)
    found: dict[str, Any] = {}

    def plan() -> Any:
        yield from set_field(m1, "backlash", 0.75)
        found["BDST"] = yield from get_field(m1, "BDST")
        found["all"] = yield from fields(m1)

    RE(plan())
    assert found["BDST"] == found["all"]["BDST"] == 0.75
    assert sum(value is not None for value in found["all"].values()) > 50


def test_set_position_never_leaves_set_mode_on(beamline: Beamline) -> None:
    RE, m1 = beamline.RE, beamline.m1
    RE(bps.mv(m1, 2.0))
    RE(set_position(m1, 5.0))
    assert (beamline.value("RBV"), beamline.value("OFF")) == (5.0, 3.0)
    assert beamline.value("SET") == 0 and beamline.record.moves == [2.0]

    def refuse(put: Any) -> None:
        raise BadValue("no")

    beamline.server.call(lambda: beamline.record.record.on_put("DVAL", refuse))
    with pytest.raises(Exception, match=r"X:m1.DVAL"):
        RE(set_position(m1, 1.0, dial=True))
    assert beamline.value("SET") == 0
    beamline.server.post("X:m1.DMOV", 0)
    with pytest.raises(BadValue, match="m1 is moving; its position was not set"):
        RE(set_position(m1, 1.0))
    assert beamline.value("SET") == 0


def test_jog_stops_whatever_happens(beamline: Beamline) -> None:
    RE, m1 = beamline.RE, beamline.m1
    RE(jog(m1, 0.05))
    first = beamline.value("RBV")
    assert first > 0 and beamline.value("DMOV") == 1
    RE(jog(m1, 0.05, "reverse"))
    assert beamline.value("RBV") < first and beamline.value("DMOV") == 1

    def interrupted() -> Any:
        inner = jog(m1, 10.0)
        response = None
        message = inner.send(None)
        while True:
            try:
                if message.command == "sleep":
                    message = inner.throw(RuntimeError("something went wrong"))
                response = yield message
                message = inner.send(response)
            except StopIteration:
                return

    with pytest.raises(RuntimeError, match="something went wrong"):
        RE(interrupted())
    end = time.monotonic() + 30
    while beamline.value("DMOV") == 0 and time.monotonic() < end:
        time.sleep(0.005)
    assert beamline.value("DMOV") == 1
