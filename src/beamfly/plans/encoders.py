"""Encoders of a PandA that a motor record drives: are they of one mind?

`match_encoder` tells a PandA what its counts mean in the motor's units. Flights look
whether both agree before anything moves: a position that never comes is waited for
in vain.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import (
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.devices.motor import Direction, Motor
from beamfly.devices.panda import Panda
from beamfly.errors import BadValue
from beamfly.plans.flight import ask

_APART = 10.0
"""Counts by which encoder and motor may differ."""
_NEVER_SET = (1.0, 0.0, "")
"""Scale, offset and units of an encoder that nobody has told what it is on."""


@dataclass(frozen=True)
class Encoder:
    """What the counts of an encoder mean."""

    number: int
    """n of INENCn."""
    scale: float
    """Units per count, signed."""
    offset: float
    """Position at count 0."""

    @property
    def output(self) -> str:
        """What position inputs are wired to."""
        return f"INENC{self.number}.VAL"

    def counts(self, position: float) -> float:
        """Counts at a position, with fractions."""
        return (position - self.offset) / self.scale


def encoder_block(panda: Any, number: int) -> Any:
    """The block INENCn; BadValue if there is none."""
    blocks = getattr(panda, "inenc", {})
    if number not in blocks:
        msg = f"{panda.name} has no encoder input INENC{number}; nothing was moved"
        raise BadValue(msg)
    return blocks[number]


async def _values(*signals: Any) -> list[Any]:
    """Values of several signals."""
    return list(await asyncio.gather(*(signal.get_value() for signal in signals)))


async def read_encoder(panda: Panda, number: int) -> Encoder:
    """Scale and offset as they are set."""
    block = encoder_block(panda, number)
    scale, offset = await _values(block.val_scale, block.val_offset)
    if not scale:
        msg = f"the scale of INENC{number} of {panda.name} is 0; nothing was moved"
        raise BadValue(msg)
    return Encoder(number, scale, offset)


async def check_encoder(
    panda: Panda, encoder: Encoder, motor: Motor, consequence: str = "nothing was moved"
) -> None:
    """BadValue unless encoder and motor say that it is at the same place.

    Args:
        panda: Where the encoder is.
        encoder: What its counts mean.
        motor: At rest.
        consequence: What the error says was not done.
    """
    block, number = encoder_block(panda, encoder.number), encoder.number
    how = f"match_encoder({panda.name}, {number}, {motor.name})"
    count, here, deadband, units = await _values(
        block.val, motor.user_readback, motor.deadband, block.val_units
    )
    if (encoder.scale, encoder.offset, units) == _NEVER_SET:
        msg = (
            f"INENC{number} of {panda.name} has no scale and units yet: {how} has it "
            f"show the position of {motor.name}; {consequence}"
        )
        raise BadValue(msg)
    seen = count * encoder.scale + encoder.offset
    if abs(seen - here) <= _APART * abs(encoder.scale) + abs(deadband):
        return
    show = await motor.shown()
    msg = (
        f"{motor.name} is at {show(here)}, INENC{number} of {panda.name} at "
        f"{show(seen)}: take another encoder, or have it follow the motor with {how}; "
        f"{consequence}"
    )
    raise BadValue(msg)


@plan
def match_encoder(
    panda: Panda, number: int, motor: Motor, scale: float | None = None
) -> MsgGenerator[None]:
    """Set scale, offset and units of an encoder so that it shows the motor's position.

    Args:
        panda: The PandA; its INENC `number` is on the motor.
        number: Of the encoder input.
        motor: At rest.
        scale: Units per count, negative if it counts the other way; None: what the
            record says, its encoder resolution (ERES) and direction (DIR).

    Raises:
        BadValue: The motor moves, or there is no scale.
    """

    async def work() -> tuple[float, float, str]:
        per_count = scale
        if per_count is None:
            resolution, direction = await _values(
                motor.encoder_resolution, motor.direction
            )
            sign = -1.0 if direction is Direction.NEGATIVE else 1.0
            per_count = sign * resolution
        count, here, units, done = await _values(
            encoder_block(panda, number).val,
            motor.user_readback,
            motor.motor_egu,
            motor.motor_done_move,
        )
        if not done or not per_count:
            why = "moves" if per_count else "has no encoder resolution (ERES)"
            msg = f"{motor.name} {why}; INENC{number} of {panda.name} was not changed"
            raise BadValue(msg)
        return per_count, here - count * per_count, units

    per_count, offset, units = yield from ask(work)
    block = encoder_block(panda, number)
    yield from bps.mv(
        *(block.val_scale, per_count),
        *(block.val_offset, offset),
        *(block.val_units, units),
    )
