"""Temperature, slits, ring and shutter of the simulated IOC, through its clients."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from beamfly.ca import Client, Config
from beamfly.errors import CARefused
from beamfly.sim import SimulatedBeamline
from beamfly.sim.ioc.temperature import ROOM, TemperatureController

PATIENCE = 20.0


@pytest.fixture
def beamline() -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline(ioc_port=0, motors=0) as made:
        yield made


class Pvs:
    """The IOC's PVs, by short names."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, name: str) -> Any:
        reading = await self._client.channel(f"BL:{name}").read(timeout=PATIENCE)
        return reading.value

    async def put(self, name: str, value: Any) -> None:
        channel = self._client.channel(f"BL:{name}")
        await channel.put(value, wait=True, timeout=PATIENCE)

    async def count(self, seconds: float) -> tuple[float, float]:
        """I0 and I1."""
        await self.put("scaler.TP", seconds)
        await self.put("scaler.CNT", 1)
        return await self.get("scaler.S2"), await self.get("scaler.S3")


@pytest.fixture
async def pvs(beamline: SimulatedBeamline) -> Any:
    address = ("127.0.0.1", beamline.ioc.port)
    config = Config(addresses=(address,), auto_addresses=False)
    async with Client(config) as client:
        yield Pvs(client)


def until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.01)


async def test_without_beam_nothing_is_counted(pvs: Pvs) -> None:
    full, seen = await pvs.count(0.05)
    assert full == pytest.approx(0.05e6, rel=0.01)
    assert seen > 100
    await pvs.put("ring:drop", 1)
    assert await pvs.count(0.05) == (0, 0)
    assert await pvs.get("ring:drop") == 0
    await pvs.put("ring:top", 100.0)
    await pvs.put("ring:fill", 1)
    half, _ = await pvs.count(0.05)
    assert half == pytest.approx(full / 2, rel=0.01)
    assert await pvs.get("ring:current") == pytest.approx(100, rel=0.01)


async def test_what_the_panda_counts_is_gone_with_the_beam_too(
    beamline: SimulatedBeamline, pvs: Pvs
) -> None:
    def counted() -> int:
        (reply,) = beamline.panda.ask("INENC3.VAL?")
        return int(reply.removeprefix("OK ="))

    before = counted()
    until(lambda: counted() > before)
    await pvs.put("ring:drop", 1)
    last = counted()
    begin = beamline.stage.now()
    until(lambda: beamline.stage.now() > begin + 0.05)
    assert counted() == last


async def test_a_closed_shutter_takes_the_beam_away(pvs: Pvs) -> None:
    await pvs.put("shutter", "Closed")
    assert await pvs.get("shutter:status") == 0
    assert await pvs.count(0.02) == (0, 0)
    await pvs.put("shutter", "Open")
    i0, _ = await pvs.count(0.02)
    assert i0 > 0


async def test_slits_move_both_blades_and_cut_the_beam(pvs: Pvs) -> None:
    full, _ = await pvs.count(0.02)
    await pvs.put("slits:left.VELO", 10.0)
    await pvs.put("slits:right.VELO", 10.0)
    await pvs.put("slits:Hsize", 0.4)
    assert await pvs.get("slits:Hsize_RBV") == 0.4
    assert await pvs.get("slits:left.RBV") == -0.2
    assert await pvs.get("slits:right.DMOV") == 1
    cut, _ = await pvs.count(0.02)
    assert 0.1 * full < cut < 0.7 * full
    await pvs.put("slits:Hcenter", 1.0)
    assert await pvs.get("slits:left.RBV") == pytest.approx(0.8)
    # a blade that is moved by itself
    await pvs.put("slits:right", 2.0)
    assert await pvs.get("slits:Hsize") == pytest.approx(1.2)
    assert await pvs.get("slits:Hcenter_RBV") == pytest.approx(1.4)


@pytest.mark.parametrize(("name", "value"), [("Hsize", -1.0), ("Vcenter", 9.0)])
async def test_slits_refuse_what_blades_cannot_do(
    pvs: Pvs, name: str, value: float
) -> None:
    before = await pvs.get(f"slits:{name}")
    with pytest.raises(CARefused):
        await pvs.put(f"slits:{name}", value)
    assert await pvs.get(f"slits:{name}") == before
    assert await pvs.get("slits:left.DMOV") == 1


def heat(seconds: float, target: float) -> TemperatureController:
    controller = TemperatureController()
    controller.advance(0.0)
    controller.pvs[":setpoint"].post(target)
    for step in range(1, int(seconds * 2) + 1):
        controller.advance(step / 2)
    return controller


def test_the_temperature_goes_to_its_setpoint_with_noise() -> None:
    controller = heat(30.0, 80.0)
    assert controller.pvs[":reached"].value == 1
    readings: list[float] = []
    for step in range(61, 261):
        controller.advance(step / 2)
        readings.append(controller.pvs[":readback"].value)
    mean = sum(readings) / len(readings)
    assert mean == pytest.approx(80.0, abs=0.02)
    spread = max(readings) - min(readings)
    assert 0.04 < spread < 0.3


def test_the_temperature_ramps() -> None:
    controller = heat(4.0, 80.0)
    assert controller.pvs[":reached"].value == 0
    # 5 K/s, behind by its lag of 2 s
    assert ROOM + 8 < controller.pvs[":readback"].value < ROOM + 20
    cold = heat(4.0, -80.0)
    assert ROOM - 20 < cold.pvs[":readback"].value < ROOM - 8


def test_how_often_it_is_looked_at_makes_no_difference() -> None:
    fine, coarse = TemperatureController(), TemperatureController()
    for controller, period in ((fine, 0.5), (coarse, 3.0)):
        controller.pvs[":noise"].post(0.0)
        controller.advance(0.0)
        controller.pvs[":setpoint"].post(60.0)
        now = 0.0
        while now < 12.0:
            now += period
            controller.advance(now)
    seen = [each.pvs[":readback"].value for each in (fine, coarse)]
    assert seen[0] == pytest.approx(seen[1], abs=1e-9)
