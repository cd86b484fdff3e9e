"""Motors of the simulated IOC and the PandA's encoders: one physics."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from beamfly.ca import Client, Config
from beamfly.errors import BadValue, CAError
from beamfly.sim import SimulatedBeamline
from beamfly.sim.ioc import BeamlineIOC


def client_of(beamline: SimulatedBeamline) -> Client:
    address = ("127.0.0.1", beamline.ioc.port)
    return Client(Config(addresses=(address,), auto_addresses=False))


@pytest.fixture
def beamline() -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline(ioc_port=0, motors=2) as made:
        yield made


def encoder(beamline: SimulatedBeamline, number: int) -> int:
    (reply,) = beamline.panda.ask(f"INENC{number}.VAL?")
    return int(reply.removeprefix("OK ="))


async def test_a_put_moves_what_the_encoder_sees(beamline: SimulatedBeamline) -> None:
    async with client_of(beamline) as client:
        x, done = client.channel("BL:x"), client.channel("BL:x.DMOV")
        begin = beamline.stage.now()
        await x.put(1.25, wait=True, timeout=20)
        assert (await done.read(timeout=20)).value == 1
        assert encoder(beamline, 1) == 12500
        assert encoder(beamline, 2) == 0
        await client.channel("BL:y.VELO").put(100.0, timeout=20)
        await client.channel("BL:y").put(-3.0, wait=True, timeout=20)
        assert encoder(beamline, 2) == -30000
    axis = beamline.ioc.motors["x"].axis
    times = np.linspace(begin, beamline.stage.now(), 300)
    path = axis.position(times)
    assert np.all(np.diff(path) >= -1e-9)
    assert path[-1] == 1.25


async def test_the_record_follows_when_the_stage_is_moved(
    beamline: SimulatedBeamline,
) -> None:
    beamline.stage.move("x", 0.5)
    arrived = asyncio.Event()

    def told(value: float, *rest: object) -> None:
        if value == 0.5:
            arrived.set()

    async with client_of(beamline) as client:
        # targets follow at the end of a motion
        client.channel("BL:x").monitor(told)
        await asyncio.wait_for(arrived.wait(), 20)
        assert (await client.channel("BL:x.RBV").read(timeout=20)).value == 0.5


def test_another_motor_can_be_put_on_an_encoder(beamline: SimulatedBeamline) -> None:
    motor = beamline.ioc.motors["m1"]
    beamline.panda.attach_motor(4, motor.axis.drive)
    ends = motor.axis.mechanics.act(lambda now: motor.axis.drive.move(0.1, now=now))
    while beamline.stage.now() < ends:
        assert beamline.panda.ask("*IDN?")
    assert encoder(beamline, 4) == 1000


def test_a_port_that_is_taken_is_said_so(beamline: SimulatedBeamline) -> None:
    with pytest.raises(CAError, match="taken by another program"):
        with SimulatedBeamline(ioc_port=beamline.ioc.port):
            raise AssertionError("there cannot be two")


def test_motors_that_there_cannot_be(beamline: SimulatedBeamline) -> None:
    with pytest.raises(BadValue, match="0 to 40"):
        BeamlineIOC(beamline.stage, motors=41)
    with SimulatedBeamline() as plain, pytest.raises(RuntimeError, match="ioc_port"):
        print(plain.ioc)
