"""Where everything is: `wa` for all motors of a namespace, `wm` for some.

All are asked at the same time and have 2 s to answer; one that does not is shown so.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from bluesky.protocols import Locatable, Movable
from bluesky.utils import (
    maybe_await,  # pyright: ignore[reportUnknownVariableType]
)
from ophyd_async.core import Device, Signal

from beamfly.spec.preflight import control_limits

log = logging.getLogger(__name__)

SECONDS = 2.0
"""What a motor may take to say where it is."""
HEADINGS = ("motor", "position", "target", "low", "high", "units")
NO_ANSWER = "no answer"


def is_motor(thing: Any) -> bool:
    """Whether it moves and tells where it is; single signals are none."""
    moves = isinstance(thing, Movable) and isinstance(thing, Locatable)
    return moves and not isinstance(thing, Signal | type)


def motors_of(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """All motors of a namespace, and of the devices in it, by name of the device."""
    found: dict[str, Any] = {}
    for name, thing in list(namespace.items()):
        if name.startswith("_"):
            continue
        parts: list[Any] = [thing]
        if isinstance(thing, Device) and not is_motor(thing):
            parts = [child for _, child in thing.children()]
        for part in parts:
            if is_motor(part):
                found.setdefault(str(part.name) or name, part)
    return found


def table(motors: Iterable[Any], loop: asyncio.AbstractEventLoop) -> str:
    """Name, position, target, limits and units of motors, one line each.

    Args:
        motors: What to ask.
        loop: Of the RunEngine that they are connected in, RE.loop; not the running one.
    """
    asking = asyncio.run_coroutine_threadsafe(_rows(list(motors)), loop)
    rows = asking.result(5 * SECONDS)
    if not rows:
        return "There are no motors."
    lines = [HEADINGS, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers, units = cells
    told = [
        name.ljust(widths[0]),
        *(n.rjust(w) for n, w in zip(numbers, widths[1:], strict=False)),
    ]
    return "  ".join([*told, units]).rstrip()


async def _rows(motors: list[Any]) -> list[tuple[str, ...]]:
    return list(await asyncio.gather(*(_row(motor) for motor in motors)))


async def _row(motor: Any) -> tuple[str, ...]:
    name = str(motor.name)
    try:
        async with asyncio.timeout(SECONDS):
            location: Any = await maybe_await(motor.locate())
            low, high, units = await _limits(motor)
    except TimeoutError:
        return (name, NO_ANSWER, "", "", "", "")
    except Exception as error:
        # one that is broken does not keep the others from being shown
        log.warning("where %s is: %s", name, error, exc_info=True)
        return (name, type(error).__name__, "", "", "", "")
    shown = [_shown(location[key]) for key in ("readback", "setpoint")]
    return (name, *shown, low, high, units)


async def _limits(motor: Any) -> tuple[str, str, str]:
    """Limits and units, as far as the setpoint tells them."""
    logic = getattr(motor, "movable_logic", None)
    signal = getattr(logic, "setpoint", None)
    if signal is None:
        return "", "", ""
    keys: Mapping[str, Mapping[str, Any]] = await signal.describe()
    key = next(iter(keys.values()))
    low, high = control_limits(key)
    return _shown(low), _shown(high), str(key.get("units") or "")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
