"""Before anything moves: is every motor allowed at every point?"""

import asyncio
from collections.abc import Mapping
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.protocols import Locatable
from bluesky.utils import (
    MsgGenerator,
    maybe_await,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.errors import BadValue
from beamfly.plans.flight import ask
from beamfly.spec.courses import Array

AT_ONCE = 200
"""Positions that a motor is asked about at the same time."""


def where(motor: Any) -> MsgGenerator[float]:
    """Where a motor was told to go, which is what distances count from."""
    if isinstance(motor, Locatable):
        location = yield from bps.locate(motor)
        return float(location["setpoint"])
    return float((yield from bps.rd(motor)))


def check_positions(command: str, positions: Mapping[Any, Array]) -> MsgGenerator[None]:
    """Ask every motor about every position.

    Args:
        command: What is going to be done, for the message.
        positions: Motor -> where it is to go.

    Raises:
        BadValue: One refuses: names motor, position, point, and the limit.
    """

    async def ask_all() -> list[str]:
        answers = [_refusal(motor, goals) for motor, goals in positions.items()]
        return [answer for answer in await asyncio.gather(*answers) if answer]

    refusals = yield from ask(ask_all)
    if refusals:
        raise BadValue(f"{command} was not started, nothing moved: {refusals[0]}")


async def _refusal(motor: Any, goals: Array) -> str:
    """The first position that a motor refuses and why, or nothing."""
    unique, first = np.unique(goals, return_index=True)
    order = np.argsort(first)
    for begin in range(0, len(order), AT_ONCE):
        some = order[begin : begin + AT_ONCE]
        answers = await asyncio.gather(
            *(_check(motor, float(unique[i])) for i in some), return_exceptions=True
        )
        for i, answer in zip(some, answers, strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, Exception):
                    raise answer
                which = f"point {first[i] + 1} of {len(goals)} is "
                which = which if len(goals) > 1 else ""
                why = str(answer) or type(answer).__name__
                return f"{which}{motor.name} at {unique[i]:.6g}, but {why}"
    return ""


def control_limits(key: Mapping[str, Any]) -> tuple[Any, Any]:
    """The control limits in a data key, None where there is none."""
    limits: Mapping[str, Any] = key.get("limits") or {}
    control: Mapping[str, Any] = limits.get("control") or {}
    return control.get("low"), control.get("high")


async def _check(motor: Any, position: float) -> None:
    check = getattr(motor, "check_value", None)
    if check is not None:
        await maybe_await(check(position))
        return
    describe = getattr(motor, "describe", None)
    if describe is None:
        return
    keys: dict[str, dict[str, Any]] = await maybe_await(describe())
    for key in keys.values():
        low, high = control_limits(key)
        below = low is not None and position < low
        if below or (high is not None and position > high):
            msg = f"its control limits are {low} and {high}"
            raise BadValue(msg)
