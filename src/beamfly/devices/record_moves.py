"""How devices for output records are set: limits, completion, readback, time."""

import asyncio
from dataclasses import dataclass
from typing import Any, Generic

from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    MovableLogic,
    NotConnectedError,
    SignalDatatypeT,
    SignalR,
    TimeoutCalculator,
    wait_for_value,
)

from beamfly.devices.record_fields import RecordField
from beamfly.errors import BadValue


@dataclass
class OutputLogic(MovableLogic[SignalDatatypeT], Generic[SignalDatatypeT]):
    """Write, wait until the record has processed it, then for a readback if any."""

    timeout: float | None
    """Seconds that all of it may take, None for ever."""

    async def calculate_timeout(
        self, old_position: SignalDatatypeT, new_position: SignalDatatypeT
    ) -> float | None:
        """The same for all moves."""
        return self.timeout

    async def move(
        self, new_position: SignalDatatypeT, timeout: TimeoutCalculator
    ) -> None:
        """Set the record; parameters are named as ophyd-async calls them."""
        await self.setpoint.set(new_position, timeout=timeout())


@dataclass
class NumberLogic(OutputLogic[Any]):
    """The same for numbers, within the drive limits if there are any."""

    low: SignalR[Any]
    """DRVL"""
    high: SignalR[Any]
    """DRVH; there are limits if it is above DRVL."""
    tolerance: float
    """How near the readback must come, in the units of the record."""

    async def check_move(self, new_position: float) -> None:
        """BadValue outside of the drive limits: the record would clip it silently."""
        low, high = await asyncio.gather(self.low.get_value(), self.high.get_value())
        if low < high and not low <= new_position <= high:
            units, _ = await self.get_units_precision()
            msg = (
                f"{self.readback.name} takes {low:g} to {high:g} {units or ''}".rstrip()
                + f", not {new_position:g}; nothing was written"
            )
            raise BadValue(msg)

    async def move(self, new_position: float, timeout: TimeoutCalculator) -> None:
        """Set the record, and wait until a readback of its own has come near."""
        await super().move(new_position, timeout)
        if self.readback is not self.setpoint:

            def near(value: float) -> bool:
                return abs(value - new_position) <= self.tolerance

            await wait_for_value(self.readback, near, timeout())


@dataclass
class BinaryLogic(OutputLogic[Any]):
    """The same for two states, the second of which may be a pulse."""

    high: RecordField
    """HIGH: seconds after which the record goes back by itself, 0 for never."""
    _has_high: bool = True

    async def move(self, new_position: Any, timeout: TimeoutCalculator) -> None:
        """Set the record; if it is a pulse, wait until it is over."""
        await super().move(new_position, timeout)
        if self._has_high and await self._is_on(new_position):
            seconds = await self._pulse_seconds()
            if seconds > 0:
                await wait_for_value(
                    self.readback,
                    lambda value: value != new_position,
                    seconds + DEFAULT_TIMEOUT,
                )

    async def _is_on(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        key = (await self.setpoint.describe())[self.setpoint.name]
        return value in key.get("choices", [])[1:]

    async def _pulse_seconds(self) -> float:
        try:
            return await self.high.get()
        except NotConnectedError:
            self._has_high = False
            return 0.0
