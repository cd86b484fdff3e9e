"""Scans over the product of several axes, in one call."""

from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.actions import Log
from beamfly.scan.command import Command
from beamfly.scan.containers import flat
from beamfly.scan.settings import SettingsBasedLoop

_FORM = "('device', start, end, step) or ('device', start, end)"


def createNDimScan(*parameters: Any) -> list[Command]:  # noqa: N802
    """Nested loops, with everything logged in the innermost one.

    Args:
        parameters: in any number and order,

            * `('device', start, end)` or `('device', start, end, step)`: a loop around
              all that follows,
            * a command or a list of commands, executed at that place,
            * the name of a device to log in addition to those of the loops.

    Returns:
        The commands of the scan.

    Raises:
        BadValue: a parameter is none of these.
    """
    return _decode(list(parameters), [])


def _decode(parameters: list[Any], to_log: list[str]) -> list[Command]:
    """Commands for the parameters, the devices so far logged in the innermost body."""
    if not parameters:
        return [Log(list(dict.fromkeys(to_log)))] if to_log else []
    first, *rest = parameters
    if isinstance(first, str):
        return _decode(rest, [*to_log, first])
    if isinstance(first, tuple):
        device, start, end, step = _loop(cast(tuple[Any, ...], first))
        body = _decode(rest, [*to_log, device])
        return [SettingsBasedLoop(device, start, end, step, body)]
    if isinstance(first, (Command, list)):
        return [*flat(first), *_decode(rest, to_log)]
    msg = f"A scan parameter is {_FORM}, a name or commands, not {first!r}"
    raise BadValue(msg)


def _loop(parameter: tuple[Any, ...]) -> tuple[str, float, float, float]:
    """Device, start, end and step of a loop."""
    device, *numbers = parameter or (None,)
    if not isinstance(device, str) or len(numbers) not in (2, 3):
        raise BadValue(f"Scan parameters should be {_FORM}, not {parameter!r}")
    start, end, step = (*numbers, 1)[:3]
    return device, start, end, step
