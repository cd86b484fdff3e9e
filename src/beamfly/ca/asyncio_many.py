"""Reads and writes of many channels with one future for each server.

What `get_many` and `put_many` of `beamfly.ca.asyncio.Client` do.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from beamfly.ca.bulk import Bulk, checked, merged
from beamfly.ca.group import Group
from beamfly.ca.pending import NEVER
from beamfly.errors import BadValue

if TYPE_CHECKING:
    from beamfly.ca.asyncio import Client
    from beamfly.ca.asyncio_channel import Channel


async def get_many(
    client: "Client", channels: "Sequence[Channel]", timeout: float | None
) -> list[Any]:
    """Native values in the order of the channels; the first error is raised."""
    end = _end(client, timeout)
    group = client.groups.known(channels)
    if group is None:
        group = await _group(client, channels, end)
    together = Together(client)
    together.read(group, end)
    return await together.result()


async def put_many(
    client: "Client",
    channels: "Sequence[Channel]",
    values: Sequence[Any],
    wait: bool,
    timeout: float | None,
) -> None:
    """Write one value to each channel; the first error is raised."""
    values = [*values]
    if len(values) != len(channels):
        msg = f"{len(channels)} PVs take as many values, not {len(values)}"
        raise BadValue(f"{msg}; nothing was written")
    end = _end(client, timeout)
    group = client.groups.known(channels)
    if group is None:
        group = await _group(client, channels, end)
    together = Together(client)
    together.write(group, values, wait, end)
    if wait:
        await together.result()


def _end(client: "Client", timeout: float | None) -> float:
    """When so many seconds are over, on the loop's clock."""
    return NEVER if timeout is None else client.loop.time() + timeout


async def _group(client: "Client", channels: "Sequence[Channel]", end: float) -> Group:
    """The group of channels, once all are connected."""
    for channel in channels:
        if channel.core.link is None:
            left = None if end == NEVER else max(0.0, end - client.loop.time())
            await channel.wait_connected(left)
    return client.groups.new(channels)


class Together:
    """Bulks that are waited for together."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._bulks: list[Bulk] = []
        self._futures: list[asyncio.Future[None]] = []

    def read(self, group: Group, end: float) -> None:
        """Ask for the values of a group."""
        for part in group.parts:
            self._bulks.append(part.circuit.read_bulk(part, end, self._waiting()))
            self._client.sent(part.circuit, end)

    def write(
        self, group: Group, values: Sequence[Any], wait: bool, end: float
    ) -> None:
        """Write a value to each channel of a group, to be waited for or not."""
        for part, share in zip(group.parts, group.shares(values), strict=True):
            circuit = part.circuit
            if wait:
                bulk = circuit.write_bulk(part, share, end, self._waiting())
                self._bulks.append(bulk)
            else:
                circuit.write_many(part, share)
            self._client.sent(circuit, end if wait else NEVER)

    def _waiting(self) -> Callable[[Bulk], None]:
        """What the next bulk is to call when it is done."""
        future: asyncio.Future[None] = self._client.loop.create_future()
        self._futures.append(future)

        def done(bulk: Bulk) -> None:
            if not future.done():
                future.set_result(None)

        return done

    async def result(self) -> list[Any]:
        """All values; the first error is raised."""
        await self._end()
        return checked(self._bulks)

    async def outcome(self) -> list[Any]:
        """A value or an exception for each channel of a group."""
        await self._end()
        return merged(self._bulks)

    async def _end(self) -> None:
        """Wait; who is cancelled meanwhile does not want them any more."""
        try:
            for future in self._futures:
                await future
        except BaseException:
            for bulk in self._bulks:
                bulk.give_up()
            raise
