"""A RunEngine, motors and detectors in memory, and the simulated beamline."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.protocols import Triggerable
from bluesky.run_engine import RunEngine
from ophyd_async.core import (
    AsyncStatus,
    StandardReadable,
    StandardReadableFormat,
    init_devices,
    soft_signal_r_and_setter,
    soft_signal_rw,
)
from ophyd_async.sim import SimMotor

from beamfly.errors import BadValue
from beamfly.sim import SimulatedBeamline
from beamfly.sim.beamline import BeamlineDevices
from flying import Documents, run_engine


class Motor(SimMotor):
    """A motor that goes from -10 to 10, at once, and remembers where it was sent."""

    def __init__(self, name: str = "") -> None:
        self.sent: list[float] = []
        super().__init__(name=name, instant=True)

    async def check_value(self, value: float) -> None:
        if abs(value) > 10:
            msg = f"{self.name} goes from -10 to 10 mm"
            raise BadValue(msg)

    def set(self, new_position: float, *args: Any, **kwargs: Any) -> Any:
        self.sent.append(new_position)
        return super().set(new_position, *args, **kwargs)


class Diode(StandardReadable, Triggerable):
    """Counts what a Gaussian of the position of a motor gives, for acquire_time."""

    def __init__(self, motor: Motor, name: str = "") -> None:
        # a device that is an attribute would become a part of this one
        self._position = motor.user_readback.get_value
        self.times: list[float] = []
        self.acquire_time = soft_signal_rw(float, 1.0)
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.counts, self._set = soft_signal_r_and_setter(float)
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        position = await self._position()
        seconds = await self.acquire_time.get_value()
        self.times.append(seconds)
        self._set(1000 * seconds * np.exp(-(((position - 0.3) / 0.5) ** 2)))


class Bare(StandardReadable, Triggerable):
    """Can be triggered, and that is all."""

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        pass


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
def x(RE: RunEngine) -> Motor:
    with init_devices():
        x = Motor()
    return x


@pytest.fixture
def y(RE: RunEngine) -> Motor:
    with init_devices():
        y = Motor()
    return y


@pytest.fixture
def diode(RE: RunEngine, x: Motor) -> Diode:
    with init_devices():
        diode = Diode(x)
    return diode


@pytest.fixture
def bare(RE: RunEngine) -> Bare:
    with init_devices():
        bare = Bare()
    return bare


@pytest.fixture
def beamline(RE: RunEngine, tmp_path: Path) -> Iterator[BeamlineDevices]:
    """The simulated beamline, connected."""
    with SimulatedBeamline() as simulated:
        devices = simulated.devices(tmp_path)

        def do(coroutine: Any) -> None:
            asyncio.run_coroutine_threadsafe(coroutine, RE.loop).result(30)

        do(devices.connect())
        yield devices
        do(devices.panda.disconnect())
