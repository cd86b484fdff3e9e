"""One operation or several, with one end and one way to fail, for `catools`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from beamfly.ca import dbr_names as names
from beamfly.ca.cadef import CAException
from beamfly.ca.default_client import CachedChannel, get_channel
from beamfly.ca.monitors import seconds_left
from beamfly.ca.nothing import CANothing
from beamfly.ca.pending import NEVER
from beamfly.ca.status import ECA_TIMEOUT
from beamfly.errors import CADisconnected, CAError, CARefused, CATimeout

DEFAULT_TIMEOUT = 5.0
"""Seconds that operations take at most unless told otherwise."""
Pvs = list[str] | tuple[str, ...]


async def connected(channel: CachedChannel, end: float) -> None:
    """Wait for a connection until a time of the loop."""
    left = None if end == NEVER else max(0.0, end - channel.client.loop.time())
    await channel.wait_connected(left)


async def operate(
    pv: str | Pvs,
    start: Callable[[str, float], Awaitable[Any]],
    timeout: names.Timeout,
    throw: bool,
    connect: bool = True,
    answered: bool = False,
    together: Callable[[Pvs, float], Awaitable[list[Any] | None]] | None = None,
) -> Any:
    """Do something to one PV or to several, with one common end.

    Args:
        pv: Name, or names.
        start: Starts the operation on one name, with its end in the loop's time.
        timeout: Of all together.
        throw: Whether failures are raised; else they take the place of results.
        connect: Whether all are to be connected before any is started.
        answered: Whether it takes an answer, for which there is no time if the end
            is now.
        together: Does it to several in one go; its result is None if it cannot.
    """
    left = seconds_left(timeout)
    if answered and left is not None and left <= 0:
        return _too_late(pv, throw)
    end = NEVER if left is None else asyncio.get_running_loop().time() + left
    if isinstance(pv, str):
        return await _settle(pv, start, end, throw)
    if together is not None and len(pv) > 1:
        results = await together(pv, end)
        if results is not None:
            return results
    if not throw:
        return await asyncio.gather(*(_settle(name, start, end, False) for name in pv))
    return await _all(pv, start, end, connect)


def _too_late(pv: str | Pvs, throw: bool) -> CANothing | list[CANothing]:
    """Nothing is asked, as there is no time to wait for an answer."""
    if throw:
        raise CANothing(pv if isinstance(pv, str) else "Multiple PVs", ECA_TIMEOUT)
    if isinstance(pv, str):
        return CANothing(pv, ECA_TIMEOUT)
    return [CANothing(name, ECA_TIMEOUT) for name in pv]


async def _settle(
    name: str, start: Callable[[str, float], Awaitable[Any]], end: float, throw: bool
) -> Any:
    """One operation, its failure as CANothing."""
    try:
        return await start(name, end)
    except CAException as error:
        if throw:
            raise
        return CANothing(name, error.status)
    except (CATimeout, CARefused, CADisconnected) as error:
        nothing = CANothing(name, error.status)
        if throw:
            raise nothing from error
        return nothing


async def _all(
    pvs: Pvs,
    start: Callable[[str, float], Awaitable[Any]],
    end: float,
    connect: bool,
) -> list[Any]:
    """All operations at once; the first failure is raised, the rest given up."""
    waiting: list[asyncio.Future[Any]] = []
    name = ""
    try:
        if connect:
            channels = [get_channel(name) for name in pvs]
            for channel in channels:
                name = channel.name
                if not channel.connected:
                    await connected(channel, end)
        for name in pvs:
            waiting.append(asyncio.ensure_future(start(name, end)))
        results: list[Any] = []
        for one, future in zip(pvs, waiting, strict=True):
            name = one
            results.append(await future)
        return results
    except CAException:
        raise
    except (CATimeout, CARefused, CADisconnected) as error:
        raise failure(name, error) from error
    finally:
        _give_up(waiting)


def failure(name: str, error: CAError) -> CANothing:
    """What is raised for the failure of one of several PVs."""
    if isinstance(error, CATimeout):
        return CANothing("Multiple PVs", ECA_TIMEOUT)
    return CANothing(name, error.status)


def _give_up(waiting: Sequence["asyncio.Future[Any]"]) -> None:
    """Nobody waits for these any more; their errors are known already."""
    for future in waiting:
        if not future.done():
            future.cancel()
        elif not future.cancelled():
            future.exception()
