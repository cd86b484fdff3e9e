"""Devices for the simulated stage: `SimulatedAxis` moves, `StageFlyer` flies."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bluesky.protocols import Reading
from ophyd_async.core import (
    FlyableLogic,
    MovableLogic,
    SignalR,
    SignalRW,
    SoftSignalBackend,
    StandardMovable,
    StandardReadable,
    StandardReadableFormat,
    soft_signal_rw,
)
from scanspec.specs import Spec

from beamfly.errors import BadValue
from beamfly.sim.stage import SampleStage
from beamfly.sim.trajectory import Trajectory, plan_trajectory

_PERIOD = 0.05
"""Seconds between two readbacks while something moves."""
_LIMIT = 100.0
"""How far an axis goes either way, in mm."""


class _Encoder(SoftSignalBackend[float]):
    """The position of an axis, looked up when asked for."""

    def __init__(self, mechanics: SampleStage, axis: str) -> None:
        super().__init__(float, 0.0, units="mm", precision=4)
        self._mechanics, self._axis = mechanics, axis

    def refresh(self) -> None:
        """Tell who monitors it where the axis is."""
        self.set_value(self._mechanics.axes[self._axis].position(self._mechanics.now()))

    def source(self, name: str, read: bool) -> str:
        return f"sim://{self._axis}"

    async def get_value(self) -> float:
        self.refresh()
        return await super().get_value()

    async def get_reading(self) -> Reading[float]:
        self.refresh()
        return await super().get_reading()


@dataclass
class _AxisLogic(MovableLogic[float]):
    """Moves an axis of the stage."""

    mechanics: SampleStage
    axis: str
    encoder: _Encoder

    async def check_move(self, new_position: float) -> None:
        if not abs(new_position) <= _LIMIT:
            msg = (
                f"{self.axis} goes from -{_LIMIT:g} to {_LIMIT:g} mm, not to "
                f"{new_position:g}; it was not moved"
            )
            raise BadValue(msg)

    async def move(self, new_position: float, timeout: Any) -> None:
        await self.setpoint.set(new_position)
        arrival = await asyncio.to_thread(self.mechanics.move, self.axis, new_position)
        while (left := arrival - self.mechanics.now()) > 0:
            await asyncio.sleep(min(left, _PERIOD))
            self.encoder.refresh()
        await _seen(self.mechanics, arrival)

    async def stop(self) -> None:
        await asyncio.to_thread(self.mechanics.stop, self.axis)


async def _seen(mechanics: SampleStage, when: float) -> None:
    """Wait until the PandA has seen everything up to a time."""
    while (left := when - await asyncio.to_thread(mechanics.sync)) > 0:
        await asyncio.sleep(left)


class SimulatedAxis(StandardReadable, StandardMovable[float]):
    """An axis of the simulated stage.

    Args:
        mechanics: The stage that it is part of.
        axis: x or y.
        name: Of the device; the axis if empty.
    """

    readback: SignalR[float]
    """Where it is, in mm."""
    setpoint: SignalRW[float]
    """Where it is to go, in mm."""

    def __init__(self, mechanics: SampleStage, axis: str, name: str = "") -> None:
        self.mechanics, self.axis = mechanics, axis
        self._encoder = _Encoder(mechanics, axis)
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.readback = SignalR(self._encoder)
        self.setpoint = soft_signal_rw(float, units="mm", precision=4)
        super().__init__(name=name or axis)

    @cached_property
    def movable_logic(self) -> MovableLogic[float]:
        """How it moves."""
        return _AxisLogic(
            self.setpoint, self.readback, self.mechanics, self.axis, self._encoder
        )


@dataclass
class StageFlyer(FlyableLogic[Spec[Any], Trajectory]):
    """Flies the stage along a scanspec whose axes are SimulatedAxis devices.

    The PandA's TTLIN1 is high while a line is passed.
    """

    mechanics: SampleStage
    """What flies."""
    turn_time: float = 0.05
    """Seconds between two lines."""
    axes: list[SimulatedAxis] = field(default_factory=list[SimulatedAxis])
    """Filled when it is prepared."""
    _end: float = 0.0

    async def on_prepare(self, value: Spec[Any]) -> Trajectory:
        """Work the trajectory out and go to its start."""
        trajectory = plan_trajectory(value, self.turn_time)
        axes: list[Any] = list(trajectory.positions)
        for axis in axes:
            if getattr(axis, "mechanics", None) is not self.mechanics:
                raise BadValue(f"{axis} is no axis of this stage; nothing was moved")
        self.axes = axes
        await asyncio.gather(
            *[
                axis.set(float(trajectory.positions[axis][0]))  # pyright: ignore[reportUnknownMemberType]
                for axis in self.axes
            ]
        )
        return trajectory

    async def on_kickoff(self, ctx: Trajectory) -> Trajectory:
        """Start to fly."""
        names: dict[object, str] = {axis: axis.axis for axis in self.axes}
        self._end = await asyncio.to_thread(self.mechanics.fly, ctx, names)
        return ctx

    async def on_complete(self, ctx: Trajectory) -> None:
        """Wait for the end of the trajectory."""
        while (left := self._end - self.mechanics.now()) > 0:
            await asyncio.sleep(left)
        await _seen(self.mechanics, self._end)
        await self._settle()

    async def stop(self) -> None:
        """Stop all axes where they are."""
        await asyncio.to_thread(self.mechanics.halt)
        await self._settle()

    async def _settle(self) -> None:
        """Have setpoints say where the flight ended: distances count from there."""
        for axis in self.axes:
            await axis.setpoint.set(await axis.readback.get_value())
