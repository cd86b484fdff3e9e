"""caget and caput of a list give what they give one by one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from beamfly.ca import (
    CANothing,
    caget,
    caput,
    catools,
    connect,
    purge_channel_caches,
    pv_lists,
)
from beamfly.ca.access import AccessRules, Rule
from beamfly.ca.cadef import CAException
from beamfly.ca.config import Config
from beamfly.ca.message import Access
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
from beamfly.errors import BadValue

QUIET = Config(
    auto_addresses=False, cas_beacon_addresses=(("127.0.0.1", 9),), repeater_port=9
)


async def picky(put: Put) -> None:
    """A PV that takes its time, for ever below zero, and does not like 13."""
    if put.value == 13:
        msg = "no thirteen"
        raise BadValue(msg)
    if put.value < 0:
        await asyncio.Event().wait()


def served() -> dict[str, PV]:
    return {
        **{f"d{n}": PV(float(n)) for n in range(100)},
        **{"l": PV(7), "e": PV(1, states=("a", "b")), "s": PV("text")},
        **{"w": PV(np.arange(3.0)), "one": PV(np.arange(1.0), length=5)},
        **{"none": PV(length=5, type="long"), "c": PV("long text", type="char")},
        **{"p0": PV(0.0, on_put=picky), "p1": PV(0.0, on_put=picky)},
        **{"t": PV("x" * 60, size=100), "secret": PV(1.0), "fixed": PV(2.0)},
    }


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    rules = AccessRules(
        Rule("secret", rights=Access.NONE), Rule("fixed", rights=Access.READ)
    )
    async with Server(served(), config=QUIET, port=0, access=rules) as running:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{running.port}")
        monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        monkeypatch.setenv("EPICS_CA_REPEATER_PORT", "5999")
        yield running
        purge_channel_caches()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each list has been read or written in one go."""
    seen: list[bool] = []

    def spy(name: str) -> None:
        real = getattr(pv_lists, name)

        async def call(*arguments: Any) -> Any:
            seen.append(True)
            result = await real(*arguments)
            seen[-1] = result is not None
            return result

        monkeypatch.setattr(catools, name, call)

    spy("get_list")
    spy("put_list")
    return seen


def told(value: Any) -> Any:
    """All that a value says of itself."""
    if isinstance(value, CANothing):
        return value.name, value.errorcode
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    return plain, type(value), value.__dict__, getattr(value, "dtype", None)


NAMES = [name for name in served() if name != "secret"] + ["l", "t.VAL$", "d3.DESC$"]


async def test_reads(server: Server, taken: list[bool]) -> None:
    await connect(NAMES)
    together = await caget(NAMES)
    again = await caget(tuple(NAMES), throw=False)
    assert taken == [True, True]
    alone = [told(await caget(name)) for name in NAMES]
    assert [told(value) for value in together] == alone
    assert [told(value) for value in again] == alone


async def test_reads_that_are_no_simple_ones(server: Server, taken: list[bool]) -> None:
    names = ["d1", "secret", "e"]
    assert await caget(["d1", "d2"]) == [1, 2]
    assert taken == [False]
    await connect(names)
    with pytest.raises(CAException, match="Read access denied"):
        await caget(names)
    values = await caget(names, throw=False)
    assert taken[1:] == [False, False]
    assert [bool(value.ok) for value in values] == [True, False, True]
    assert await caget(["d1", "e"], str) == ["1", "b"]
    assert await caget([]) == [] and await caget(["d5"]) == [5]
    assert len(taken) == 3


async def test_types_may_change_when_a_server_comes_back(
    server: Server, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["d1", "l"]
    await connect(names)
    assert await caget(names) == [1, 7]
    await server.close()
    with pytest.raises(CANothing):
        await caget(names, timeout=0.01)
    pvs = {"d1": PV("now text"), "l": PV(np.arange(2))}
    async with Server(pvs, config=QUIET, port=server.port):
        await connect(names, timeout=30)
        text, array = await caget(names)
        assert text == "now text" and array.tolist() == [0, 1]
        assert taken[-1]


@pytest.mark.parametrize("wait", [False, True])
async def test_writes(server: Server, taken: list[bool], wait: bool) -> None:
    names = ["d1", "l", "e", "s", "w", "d1", "c", "d2"]
    values = [1.5, -3, "b", "new", [4.0, 5.0], 2.5, "chars", True]
    await connect(names)
    results = await caput(names, values, wait=wait)
    assert all(results) and [result.name for result in results] == names
    found = await caget(["d1", "l", "e", "s", "d2"])
    assert found == [2.5, -3, 1, "new", 1.0]
    assert server["w"].value.tolist() == [4, 5]
    assert bytes(server["c"].value).startswith(b"chars")
    assert taken == [True, True]
    assert all(await caput(["d1", "d2"], 9, wait=wait))
    assert await caget(["d1", "d2"]) == [9, 9]


async def test_writes_that_fail(server: Server, taken: list[bool]) -> None:
    names = ["d1", "p0", "p1"]
    await connect([*names, "fixed"])
    with pytest.raises(BadValue):
        await caput(names, [5.0, object(), 5.0])
    assert await caget("d1") == 1.0
    with pytest.raises(CANothing, match="p0") as caught:
        await caput(names, [5.0, 13, 6.0], wait=True)
    alone = await caput("p0", 13, wait=True, throw=False)
    assert told(caught.value) == told(alone)
    results = await caput(names, [6.0, 13, 7.0], wait=True, throw=False)
    assert [told(one) for one in results] == [("d1", 1), told(alone), ("p1", 1)]
    assert await caget(names) == [6.0, 0.0, 7.0]
    assert all(taken)
    with pytest.raises(CAException, match="Write access denied"):
        await caput(["d1", "fixed"], 8)
    assert not taken[-1]


async def test_writes_that_do_not_end(server: Server, taken: list[bool]) -> None:
    names = ["d1", "p0", "p1"]
    await connect(names)
    with pytest.raises(CANothing, match="Multiple PVs"):
        await caput(names, [5.0, -1.0, 6.0], wait=True, timeout=0.05)
    results = await caput(names, [7, 8, 9], wait=True, timeout=0.05, throw=False)
    assert results[1].errorcode == 80
    assert {one.errorcode for one in results} <= {1, 80}
    late = asyncio.ensure_future(caput(names, -2.0, wait=True, throw=False))
    while not len(server._hooks) > 1:
        await asyncio.sleep(0)
    await server.close()
    first, *others = await late
    assert first.ok
    # one was never sent, the other may be told before the connection ends
    assert {one.errorcode for one in others} <= {160, 192}
    assert all(taken)
