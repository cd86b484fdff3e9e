"""Where a loop goes: every position, exactly, and how many there are."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.actions import Log
from beamfly.scan.command import Command
from beamfly.scan.containers import Container, Loop

MOST_POINTS = 1e12
"""A loop with more positions is refused; at 1 ms each they take 30 years."""
_NEARLY = 1e-9


def _steps(start: float, end: float, step: float) -> int:
    """How many steps lead from one end to the other, the last one maybe shorter."""
    exact = abs(end - start) / abs(step or 1.0)
    # NaN and infinity fail this comparison, too
    if not exact <= MOST_POINTS:
        raise BadValue(f"A loop from {start} to {end} in steps of {step} never ends")
    near = round(exact)
    # (1.1 - 1) / 0.1 is a hair above 1, and one step is meant
    if abs(exact - near) <= _NEARLY * max(1.0, exact):
        return near or int(start != end)
    return math.ceil(exact)


def count_loop(start: float, end: float, step: float) -> int:
    """How many positions a loop has; BadValue if they are not finite."""
    return _steps(start, end, step) + 1


def step_for(start: float, end: float, points: int) -> float:
    """The step that makes a loop of so many positions, on any scan server.

    Other servers divide and round up, so that (1.1 - 1) / 0.1 makes three positions of
    two; this step is larger than the exact one by as little as prevents that.

    Raises:
        BadValue: there is no such step.
    """
    if points < 2 or start == end or not math.isfinite(end - start):
        raise BadValue(f"{start} ... {end} cannot be gone through in {points} points")
    step = (end - start) / (points - 1)
    while math.ceil(abs((end - start) / step)) > points - 1:
        step = math.nextafter(step, math.copysign(math.inf, step))
    return step


PROBE = Loop("loc://beamfly_probe(0)", 1, 1.1, 5)
"""A loop whose simulation tells servers apart; see `loop_generation`."""


def loop_generation(simulation: str) -> int:
    """How a server goes through loops, out of its simulation of `PROBE`.

    1: steps are added up and the end may be missed (to 4.7.3); 2: the end may be
    overshot (4.7.4 to 5.0.4); 3: the end is always reached (since 5.0.5, and ours).
    Their version says 4.7.0 in all cases.
    """
    if "= 6.0" in simulation:
        return 2
    return 3 if "= 1.1" in simulation else 1


def alternates(start: float, end: float, step: float) -> bool:
    """Whether a loop turns round each time it is executed: the step leads away."""
    return (start <= end and step < 0) or (start >= end and step > 0)


def loop_points(
    start: float, end: float, step: float, execution: int = 0
) -> Iterator[float]:
    """The positions of a loop, both ends included, none of them twice.

    Args:
        start: one end.
        end: the other end.
        step: distance; its sign tells where the first execution starts, 0 is 1.
        execution: how often the same loop was executed before.

    Raises:
        BadValue: the positions are not finite.
    """
    steps = _steps(start, end, step)
    step = step or 1.0
    turned = alternates(start, end, step) and execution % 2 == 1
    upwards = (step > 0) != turned
    low, high = float(min(start, end)), float(max(start, end))
    first, last = (low, high) if upwards else (high, low)
    size = abs(step) if upwards else -abs(step)
    for index in range(steps):
        yield first + index * size
    yield last


def count_logs(commands: Iterable[Command]) -> int:
    """How many times commands log, if no `If` is skipped and nothing fails.

    Included files and scripts are not known here and count as nothing.
    """
    total = 0
    for command in commands:
        if isinstance(command, Log):
            total += 1
        elif isinstance(command, Container):
            body = count_logs(cast(Iterable[Any], command.body))
            times = 1
            if isinstance(command, Loop):
                times = count_loop(command.start, command.end, command.step)
            total += times * body
    return total
