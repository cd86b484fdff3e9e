"""Filters in names: a C IOC and our server answer alike."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.ca.c_ioc import CIoc, free_port, running
from tests.ca.server.test_filters import NOT_SERVED, PARTS, UPDATES, make_pvs

from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.ca.server_asyncio import Server

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

RECORDS = """
record(waveform, "w") { field(FTVL, "LONG") field(NELM, "20") }
record(ao, "d") { field(HIGH, "50") field(HSV, "MINOR") field(PINI, "YES") }
record(longout, "l") { field(VAL, "7") field(PINI, "YES") }
record(mbbo, "e") { field(ZRST, "a") field(ONST, "b") field(TWST, "c")
  field(PINI, "YES") }
record(stringout, "s") { field(VAL, "hello") field(PINI, "YES") }
record(waveform, "texts") { field(FTVL, "STRING") field(NELM, "5") }
"""
# an IOC ends texts with a NUL whatever part is asked for, and has unsigned fields as
# double; the rest are names that it cannot have
OURS_ALONE = ("s.$", "w.NELM", "odd", "XF")
# an IOC takes it for a number
NAN = 'd.{"dbnd":{"d":NaN}}'
# a relative deadband of a negative number lets everything pass in an IOC
QUIRKS = [row[0:3] for row in UPDATES if "rel" in row[0] and row[2][0] < 0]


@pytest.fixture(scope="module")
def filtering_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    """An IOC with a record of each kind."""
    with running(tmp_path_factory.mktemp("ioc"), RECORDS) as ioc:
        yield ioc


@pytest.fixture
async def both(filtering_ioc: CIoc) -> AsyncIterator[tuple[Client, Client]]:
    """Clients of the IOC and of our server, which have the same values."""
    quiet = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    async with (
        Server(make_pvs(), config=quiet, port=0) as server,
        Client(filtering_ioc.config) as theirs,
        Client(
            Config(addresses=(("127.0.0.1", server.port),), auto_addresses=False)
        ) as ours,
    ):
        for client in (theirs, ours):
            w = await client.connect("w", timeout=30)
            await w.put(np.arange(10, 15, dtype=np.int32), wait=True)
            texts = await client.connect("texts", timeout=30)
            await texts.put(["a", "b", "c"], wait=True)
        yield theirs, ours


async def shown(client: Client, name: str) -> list[Any]:
    channel = await client.connect(name, timeout=30)
    counts = range(5)
    values = [await channel.get(count=count) for count in counts]
    return [
        *(channel.core.native_type, channel.core.count),
        *(np.asarray(value).tolist() for value in values),
    ]


async def test_the_same_parts(both: tuple[Client, Client]) -> None:
    theirs, ours = both
    for name in PARTS:
        if not name.startswith(OURS_ALONE):
            assert await shown(ours, name) == await shown(theirs, name), name


async def test_the_same_names_are_not_served(both: tuple[Client, Client]) -> None:
    theirs, ours = both
    channels = [
        client.channel(name) for client in both for name in NOT_SERVED if name != NAN
    ]
    # the answer to a search that was sent later has come
    for client in (theirs, ours):
        for name in ("w.VAL", "w.[0:9]"):
            await client.connect(name, timeout=30)
    assert [channel.name for channel in channels if channel.connected] == []


async def until(predicate: Callable[[], bool], seconds: float = 30.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not predicate():
        assert asyncio.get_running_loop().time() < end, "it never happened"
        await asyncio.sleep(0.01)


def plain(value: Any) -> Any:
    """A value as the tests of our server alone have it."""
    if isinstance(value, bytes):
        return value.decode()
    listed: Any = np.asarray(value).tolist()
    if not isinstance(listed, list):
        return listed
    return listed[0] if len(listed) == 1 else tuple(listed)


async def updates(client: Client, name: str, mask: int, values: list[Any]) -> list[Any]:
    """What a subscription is told when values are put one after the other."""
    whole = await client.connect(name.partition(".")[0], timeout=30)
    filtered = await client.connect(name, timeout=30)
    texts = await client.connect("texts", timeout=30)
    first, *others = [
        np.asarray(value, np.int32) if isinstance(value, list) else value
        for value in values
    ]
    await whole.put(first, wait=True)
    found: list[Any] = []
    ends: list[Any] = []
    filtered.monitor(lambda value, *_: found.append(value), mask=mask)
    texts.monitor(lambda value, *_: ends.append([*value]))
    await until(lambda: bool(found and ends))
    for value in others:
        await whole.put(value, wait=True)
    # what is posted last is told last
    await texts.put(["the", "end"], wait=True)
    await until(lambda: ends[-1] == ["the", "end"])
    return [plain(value) for value in found]


@pytest.mark.parametrize(
    ("name", "mask", "values", "wanted"),
    [row for row in UPDATES if row[0:3] not in QUIRKS],
)
async def test_the_same_updates(
    both: tuple[Client, Client],
    name: str,
    mask: int,
    values: list[Any],
    wanted: list[Any],
) -> None:
    theirs, ours = [await updates(client, name, mask, values) for client in both]
    assert ours == theirs
    assert theirs == [plain(value) for value in wanted]
