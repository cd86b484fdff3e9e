"""caget and caput of lists: one request for all PVs of a server, where that is enough.

It is if all are connected and allow it, and if they are read or written in their own
types. Whoever asks for more is told None, and has to do it one by one.
"""

from collections.abc import Sequence
from typing import Any

from beamfly.ca.asyncio_many import Together
from beamfly.ca.dbr import STRING_BYTES, Dbr
from beamfly.ca.default_client import CachedChannel, get_named_channels
from beamfly.ca.group import Group
from beamfly.ca.message import Access
from beamfly.ca.native_messages import SIMPLE
from beamfly.ca.nothing import CANothing
from beamfly.ca.operations import Pvs, failure
from beamfly.errors import CADisconnected, CARefused, CATimeout

_FAILURES = (CATimeout, CARefused, CADisconnected)
_READ, _WRITE = int(Access.READ), int(Access.WRITE)


async def get_list(pvs: Pvs, end: float, throw: bool) -> list[Any] | None:
    """Augmented values of PVs in their own types.

    Args:
        pvs: Names.
        end: On the loop's clock.
        throw: Whether a failure is raised; else it takes the place of a value.
    """
    channels = get_named_channels(pvs)
    group = _group(channels, _READ)
    if group is None:
        return None
    makes = [channel.plan(channel.core.link).convert for channel in channels]
    together = Together(channels[0].client)
    together.read(group, end)
    found = await together.outcome()
    for place, (value, make) in enumerate(zip(found, makes, strict=True)):
        if not isinstance(value, _FAILURES):
            found[place] = make(value)
    return _results(pvs, found, throw)


async def put_list(
    pvs: Pvs, values: Sequence[Any], wait: bool, end: float, throw: bool
) -> list[Any] | None:
    """Write a value to each PV, text as text and the rest as its own type.

    Args:
        pvs: Names.
        values: As many.
        wait: Whether to wait until the servers have processed all.
        end: On the loop's clock.
        throw: Whether a failure is raised; else it takes the place of a result.
    """
    channels = get_named_channels(pvs)
    group = _group(channels, _WRITE)
    simple = SIMPLE.issuperset(map(type, values))
    if group is None or not (simple or all(map(_has_room, channels, values))):
        return None
    together = Together(channels[0].client)
    together.write(group, values, wait, end)
    errors = await together.outcome() if wait else [None] * len(pvs)
    results = [
        error or CANothing(name) for name, error in zip(pvs, errors, strict=True)
    ]
    return _results(pvs, results, throw)


def _has_room(channel: CachedChannel, value: Any) -> bool:
    """Whether a value surely fits; what does not is told one by one."""
    if type(value) in SIMPLE:
        return True
    if isinstance(value, (str, bytes)):
        # a character takes four bytes at most
        size = len(value) if value.isascii() else 4 * len(value)
        return size < STRING_BYTES and not channel.name.endswith("$")
    size = getattr(value, "size", None)
    if size is None:
        size = len(value) if hasattr(value, "__len__") else 1
    core = channel.core
    return size <= core.count and core.native_type is not Dbr.STRING


def _group(channels: list[CachedChannel], right: int) -> Group | None:
    """The group of channels, if all are connected and have a right."""
    if not channels:
        return None
    groups = channels[0].client.groups
    group = groups.known(channels)
    if group is None:
        if not all(channel.connected for channel in channels):
            return None
        group = groups.new(channels)
    for part in group.parts:
        for link in part.links:
            if not link.rights & right:
                return None
    return group


def _results(pvs: Pvs, results: list[Any], throw: bool) -> list[Any]:
    """What the caller is given for each PV, or the first failure is raised."""
    for place, (name, value) in enumerate(zip(pvs, results, strict=True)):
        if isinstance(value, _FAILURES):
            if throw:
                raise failure(name, value) from value
            results[place] = CANothing(name, value.status)
    return results
