"""A motor record for scans and flights: ophyd-async's `Motor` and more of the record.

```python
m1 = Motor("BL:M1", name="m1")
RE(mv(m1, 3.5))
RE(tweak(m1, "reverse"))                       # these are in record_plans
RE(set_position(m1, 0.0))
backlash = await m1.field("backlash").get()    # or yield from get_field(m1, "BDST")
```

It runs on beamfly's Channel Access whether `use_native_ca` was called or not. A move is
refused if its target is outside of the soft limits; where the motor is now does not
matter, so one that has crept out of its limits can be brought back. A move that the
record ends somewhere else, at a limit switch for example, fails.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import copysign, inf

from ophyd_async.core import (
    CALCULATE_TIMEOUT,
    AsyncStatus,
    FlyMotorInfo,
    NotConnectedError,
    StrictEnum,
    TimeoutCalculator,
    wait_for_value,
)
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.motor import Motor as OphydMotor
from ophyd_async.epics.motor import (
    MotorFlyableMovableLogic,
    MotorFlyCtx,
    MotorLimitsError,
)

from beamfly.devices.ca import ca_signal_r, ca_signal_rw
from beamfly.devices.ca_transport import use_native_ca
from beamfly.devices.record_fields import OnDemandFields, RecordConnector, record_of
from beamfly.errors import BadValue, CAError, CATimeout

log = logging.getLogger(__name__)

OTHERS = "somebody has stopped it, or sent it elsewhere"
STOP_SECONDS = 3.0
"""How long a motor that is to stop is waited for, if its IOC cannot be reached."""


class Direction(StrictEnum):
    """DIR: which way the user's axis goes, compared with the dial."""

    POSITIVE = "Pos"
    NEGATIVE = "Neg"


class StopGo(StrictEnum):
    """SPMG: what the motor may do."""

    STOP = "Stop"
    PAUSE = "Pause"
    MOVE = "Move"
    GO = "Go"


class OutsideLimits(MotorLimitsError, BadValue):
    """A target is outside of the soft limits; nothing was moved."""


class MoveEndedEarly(MotorLimitsError):
    """Something ended a move before its target: a limit, or somebody else."""


@dataclass
class MotorLogic(MotorFlyableMovableLogic):
    """Limits that let a motor back in, and a look at where a move has ended."""

    motor: "Motor"
    """Whose logic it is."""
    usual_velocity: float | None = None
    """VELO as it was before a flight, while there is one."""

    async def check_move(self, new_position: float) -> None:
        """OutsideLimits unless the target is within; without limits anything is."""
        low, high = await self._limits()
        if low <= new_position <= high:
            return
        here = await self.readback.get_value()
        show = await self.motor.shown()
        msg = (
            f"{await self.motor.title()} was not moved from {show(here)} to "
            f"{show(new_position)}: its soft limits are {show(low)} and {show(high)}"
        )
        raise OutsideLimits(msg)

    async def _limits(self) -> tuple[float, float]:
        """Soft limits, infinite if there are none."""
        low, high, dial_low, dial_high = await asyncio.gather(
            self.low_limit_travel.get_value(),
            self.high_limit_travel.get_value(),
            self.dial_low_limit_travel.get_value(),
            self.dial_high_limit_travel.get_value(),
        )
        return (-inf, inf) if dial_low == dial_high == 0 else (low, high)

    async def stop(self) -> None:
        """Stop if it moves; one that cannot be reached is reported, and no more.

        Whatever fails because its IOC is gone is told by what has failed, and would be
        hidden by another error.
        """
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await super().stop()
        except (CAError, TimeoutError):
            log.error(
                "%s was not stopped, as %s cannot be reached: it may still be moving",
                self.motor.name,
                self.motor.record,
            )

    async def move(self, new_position: float, timeout: TimeoutCalculator) -> None:
        """Move, and see to it that the record has done it."""
        try:
            await super().move(new_position, timeout)
            # gateways and imitations may complete a put before the motor has arrived;
            # asked for afresh, as whoever listens to it may just be leaving
            if not await self.motor_done_move.get_value(cached=False):
                await wait_for_value(self.motor_done_move, 1, timeout())
        except CAError:
            raise
        except TimeoutError as error:
            raise await self._late(new_position) from error
        reason = await self._what_ended_it(new_position)
        if reason:
            here = await self.readback.get_value(cached=False)
            show = await self.motor.shown()
            msg = (
                f"{await self.motor.title()} is at {show(here)}, not at "
                f"{show(new_position)}: {reason}"
            )
            raise MoveEndedEarly(msg)

    # ---- flying

    async def flight_ends(self, info: FlyMotorInfo) -> tuple[float, float]:
        """Where a flight begins and ends, with the ways to speed up and to slow down.

        The record goes from VBAS to VELO in ACCL seconds, whatever VELO is. It slows
        down BDST before its target if it takes up backlash in that direction.
        """
        ramp = await self.acceleration_time.get_value()
        base = min(await self.motor.number("VBAS"), info.speed)
        backlash = abs(await self.motor.number("BDST"))
        way = 0.0 if base == info.speed else ramp * (info.speed + base) / 2
        direction = copysign(1.0, info.end_position - info.start_position)
        begin = info.start_position - direction * way
        return begin, info.end_position + direction * (way + backlash)

    async def check_flight(self, info: FlyMotorInfo) -> None:
        """Whether the motor can fly so; nothing is moved.

        Raises:
            OutsideLimits: It would leave its soft limits, also while it speeds up or
                slows down, or it cannot go at that speed.
        """
        begin, end = await self.flight_ends(info)
        low, high = await self._limits()
        fastest, slowest = await asyncio.gather(
            self.max_velocity.get_value(), self.motor.number("VBAS")
        )
        units = await self.motor_egu.get_value()
        show = await self.motor.shown()
        problem = ""
        if not low <= min(begin, end) <= max(begin, end) <= high:
            problem = (
                f"to speed up and slow down it needs {show(begin)} to {show(end)}, and "
                f"its soft limits are {show(low)} and {show(high)}"
            )
        # 0 stands for no limit
        if not slowest <= info.speed <= (fastest or inf):
            problem = f"it goes at {slowest:g} (VBAS) to {fastest or inf:g} (VMAX)"
        if problem:
            msg = (
                f"{await self.motor.title()} cannot fly from "
                f"{show(info.start_position)} to {show(info.end_position)} at "
                f"{info.speed:g} {units}/s: {problem}; it was not moved"
            )
            raise OutsideLimits(msg)

    async def on_prepare(self, value: FlyMotorInfo) -> MotorFlyCtx:
        """Go to where the run-up begins, at the usual velocity."""
        await self.check_flight(value)
        if self.usual_velocity is None:
            self.usual_velocity = await self.velocity.get_value()
        else:
            await self.velocity.set(self.usual_velocity)
        begin, _ = await self.flight_ends(value)
        here = await self.readback.get_value()
        timeout = await self.calculate_timeout(here, begin)
        await self.move(begin, lambda: timeout)
        await self.velocity.set(value.speed)
        return MotorFlyCtx(fly_info=value)

    async def on_kickoff(self, ctx: MotorFlyCtx) -> MotorFlyCtx:
        """Start to move; returns when the motor is as fast as it should be."""
        _, end = await self.flight_ends(ctx.fly_info)
        timeout = ctx.fly_info.timeout
        if timeout == CALCULATE_TIMEOUT:
            here = await self.readback.get_value()
            timeout = await self.calculate_timeout(here, end)
        seconds = timeout
        ctx.status = AsyncStatus(self.move(end, lambda: seconds))
        await asyncio.sleep(await self.acceleration_time.get_value())
        return ctx

    async def on_unstage(self) -> None:
        """Stop, and have the velocity again that it had before it flew."""
        await super().on_unstage()
        usual, self.usual_velocity = self.usual_velocity, None
        if usual is not None:
            try:
                await self.velocity.set(usual, timeout=STOP_SECONDS)
            except (CAError, TimeoutError):
                log.error(
                    "%s has kept the velocity of the flight: set %s.VELO to %g again",
                    self.motor.name,
                    self.motor.record,
                    usual,
                )

    async def _late(self, target: float) -> CATimeout:
        """Where the motor is when it should be elsewhere, as far as that is known."""
        motor = self.motor
        where = f"{motor.record} does not answer"
        text = f"{motor.name} has not come to {target:g} in time"
        try:
            async with asyncio.timeout(STOP_SECONDS):
                show = await motor.shown()
                here = await self.readback.get_value(cached=False)
                where = f"it is at {show(here)}"
                text = f"{await motor.title()} has not come to {show(target)} in time"
                mode = await motor.field("SPMG").get()
                where += f", and SPMG is {mode}" if mode != StopGo.GO.value else ""
        except (CAError, NotConnectedError, TimeoutError):
            log.debug("%s cannot tell all of it", motor.record)
        return CATimeout(f"{text}: {where}", name=f"{motor.record}.VAL")

    async def _what_ended_it(self, target: float) -> str:
        """What kept the motor from its target, empty if it is there."""
        motor = self.motor
        near = max(
            abs(await motor.deadband.get_value()),
            abs(await motor.motor_resolution.get_value()),
        )
        # a record that is stopped, or refuses a target, has another setpoint then
        elsewhere = abs(await self.setpoint.get_value(cached=False) - target) > near
        away = abs(await self.readback.get_value(cached=False) - target) > near
        if not away:
            return ""
        violated, high, low = await asyncio.gather(
            self._limit_violated(),
            motor.high_limit_switch.get_value(),
            motor.low_limit_switch.get_value(),
        )
        if violated and elsewhere:
            return "its soft limits ended the move"
        if high or low:
            return f"its {'high' if high else 'low'} limit switch ended the move"
        return OTHERS if elsewhere else ""

    async def _limit_violated(self) -> bool:
        """LVIO, which servers that only look like a motor record may not have."""
        if not self.motor.has_limit_violation:
            return False
        try:
            return bool(await self.motor.field("LVIO").get())
        except NotConnectedError:
            self.motor.has_limit_violation = False
            return False


class Motor(OphydMotor, OnDemandFields):
    """A motor record.

    Reads the readback; config units, resolutions, velocity, offset, description and
    direction. Everything else is at hand with `field`.

    Args:
        prefix: Name of the record.
        name: Of the device.
    """

    kind = "motor"

    def __init__(self, prefix: str, name: str = "") -> None:
        self.record = record_of(prefix)
        self._on_demand = {}
        self.has_limit_violation = True
        """Whether the record has a field LVIO, as far as is known."""
        self._absent: set[str] = set()
        with use_native_ca():
            super().__init__(self.record)
        self._connector = RecordConnector(self.record, ("motor",))
        with self.add_children_as_readables(Format.CONFIG_SIGNAL):
            self.description = ca_signal_r(str, f"{self.record}.DESC")
            """DESC"""
            self.direction = ca_signal_rw(Direction, f"{self.record}.DIR")
            """DIR"""
        self.set_name(name)

    @cached_property
    def _logic(self) -> MotorLogic:
        """How it moves and flies."""
        return MotorLogic(
            readback=self.user_readback,
            setpoint=self.user_setpoint,
            motor_stop=self.motor_stop,
            low_limit_travel=self.low_limit_travel,
            high_limit_travel=self.high_limit_travel,
            dial_low_limit_travel=self.dial_low_limit_travel,
            dial_high_limit_travel=self.dial_high_limit_travel,
            velocity=self.velocity,
            acceleration_time=self.acceleration_time,
            motor_done_move=self.motor_done_move,
            max_velocity=self.max_velocity,
            motor_egu=self.motor_egu,
            motor=self,
        )

    async def number(self, field: str) -> float:
        """A field on demand, such as VBAS; 0 where there is none of that name.

        Raises:
            CAError: The record cannot be read.
        """
        if field in self._absent or self._mock is not None:  # pyright: ignore[reportUnknownMemberType]
            return 0.0
        try:
            return float(await self.field(field).get())
        except NotConnectedError:
            self._absent.add(field)
            return 0.0

    async def title(self) -> str:
        """Name and description, as messages have it: `m1 (sample, horizontal)`."""
        description = await self.description.get_value()
        return f"{self.name} ({description})" if description else self.name

    async def shown(self) -> Callable[[float], str]:
        """A function that shows a position with its digits and units."""
        digits = max(0, await self.precision.get_value())
        units = await self.motor_egu.get_value()

        def show(position: float) -> str:
            return f"{position:.{digits}f} {units}".rstrip()

        return show
