"""Our clients with servers other than the C IOC: our own, and caproto's.

What is read of every type, and arrays of all sizes, must be the same whoever serves and
whichever of our clients asks. The C IOC has tests of its own beside this.
"""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beamfly.ca.asyncio import Client
from beamfly.ca.blocking import Client as BlockingClient
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr, layout
from beamfly.ca.payloads import Value
from beamfly.ca.pv import PV
from beamfly.ca.readings import Reading
from beamfly.ca.server_thread import serve_in_thread
from beamfly.errors import CAError

from .c_ioc import CIoc, free_port, running

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]
CAPROTO = """
import numpy as np
from caproto import (ChannelByte, ChannelDouble, ChannelEnum, ChannelFloat,
    ChannelInteger, ChannelShort, ChannelString)
from caproto.asyncio.server import run
run({
    "d": ChannelDouble(value=7.0, units="mm", precision=2, upper_disp_limit=10.0),
    "f": ChannelFloat(value=7.0),
    "l": ChannelInteger(value=7),
    "h": ChannelShort(value=7),
    "c": ChannelByte(value=7, max_length=1),
    "e": ChannelEnum(value="one", enum_strings=["zero", "one"]),
    "s": ChannelString(value="7"),
    "wf": ChannelDouble(value=np.zeros(1), max_length=1_000_000),
}, interfaces=["127.0.0.1"], log_pv_names=False)
"""
SCALARS = "dflhces"
SIZES = (0, 1, 7, 1_000_000)
TYPES = [code for code in Dbr if code not in (Dbr.PUT_ACKT, Dbr.PUT_ACKS)]

MANGLED = (Dbr.CTRL_STRING, Dbr.STSACK_STRING)
"""caproto sends a time stamp with the first, and nothing but zeros as the second."""


def caproto_variables() -> dict[str, str]:
    port = str(free_port())
    return {
        "EPICS_CA_SERVER_PORT": port,
        "EPICS_CAS_SERVER_PORT": port,
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(free_port()),
    }


@contextmanager
def caproto_serving() -> Iterator[Config]:
    pytest.importorskip("caproto")
    variables = caproto_variables()
    with subprocess.Popen(
        [sys.executable, "-c", CAPROTO],
        env={**os.environ, **variables},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield Config.from_environment(variables)
        finally:
            process.kill()


def own_config(port: int) -> Config:
    return Config(
        addresses=(("127.0.0.1", port),),
        auto_addresses=False,
        repeater_port=free_port(),
        cas_beacon_addresses=(("127.0.0.1", free_port()),),
    )


@contextmanager
def own_serving(pvs: dict[str, Any] | None = None) -> Iterator[Config]:
    own: dict[str, Any] = {
        "d": PV(7.0, units="mm", precision=2, hopr=10.0),
        "f": PV(7.0, type="float"),
        "l": 7,
        "h": PV(7, type="short"),
        "c": PV(7, type="char"),
        "e": PV("one", states=("zero", "one")),
        "s": "7",
        "wf": PV([0.0], length=1_000_000),
    }
    with serve_in_thread(pvs or own, config=own_config(1), port=0) as server:
        yield own_config(server.port)


@pytest.fixture(scope="module", params=["own", "caproto"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Config]]:
    serving = {"own": own_serving, "caproto": caproto_serving}[request.param]
    with serving() as config:
        yield request.param, config


class AsyncioClient:
    """`Client`, with an event loop that runs when it is asked something."""

    def __init__(self, config: Config) -> None:
        async def make() -> Client:
            return Client(config)

        self._loop = asyncio.new_event_loop()
        self._client = self._do(make())

    def _do(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def get(self, name: str, dbr: Dbr | None) -> Any:
        async def work() -> Any:
            channel = await self._client.connect(name, timeout=30)
            try:
                return await channel.get(dbr, timeout=30)
            finally:
                channel.close()

        return self._do(work())

    def put(self, name: str, value: Any) -> None:
        async def work() -> None:
            channel = await self._client.connect(name, timeout=30)
            await channel.put(value, wait=True, timeout=30)
            channel.close()

        self._do(work())

    def first_update(self, name: str) -> Any:
        async def work() -> Any:
            channel = await self._client.connect(name, timeout=30)
            first: asyncio.Future[Any] = self._loop.create_future()
            channel.monitor(lambda *r: first.done() or first.set_result(r[0]))
            async with asyncio.timeout(30):
                value = await first
            channel.close()
            return value

        return self._do(work())

    def close(self) -> None:
        self._do(self._client.__aexit__())
        self._loop.close()


class ThreadClient:
    """The blocking client."""

    def __init__(self, config: Config) -> None:
        self._client = BlockingClient(config)

    def get(self, name: str, dbr: Dbr | None) -> Any:
        channel = self._client.connect(name, timeout=30)
        try:
            return channel.get(dbr, timeout=30)
        finally:
            channel.close()

    def put(self, name: str, value: Any) -> None:
        channel = self._client.connect(name, timeout=30)
        channel.put(value, wait=True, timeout=30)
        channel.close()

    def first_update(self, name: str) -> Any:
        channel = self._client.connect(name, timeout=30)
        seen: list[Any] = []
        channel.monitor(lambda *reading: seen.append(reading[0]))
        assert self._client.run(30, lambda: bool(seen))
        channel.close()
        return seen[0]

    def close(self) -> None:
        self._client.close()


@pytest.fixture(params=[AsyncioClient, ThreadClient])
def client(request: pytest.FixtureRequest, server: tuple[str, Config]) -> Iterator[Any]:
    one = request.param(server[1])
    yield one
    one.close()


def plain(value: Any) -> Any:
    """What was read as a number or text; metadata apart."""
    if isinstance(value, Reading):
        value = value.value
    if isinstance(value, Value):
        value = value.elements()
    if isinstance(value, (tuple, list, np.ndarray)):
        assert len(value) == 1
        value = value[0]
    return value.decode() if isinstance(value, bytes) else value


def test_every_type(client: Any, server: tuple[str, Config]) -> None:
    refused: set[tuple[str, Dbr]] = set()
    for name in SCALARS:
        for code in TYPES:
            if server[0] == "caproto" and code in MANGLED:
                continue
            base = layout(code).base
            try:
                got = plain(client.get(name, code))
            except CAError:
                refused.add((name, base))
                continue
            if code is Dbr.CLASS_NAME:
                assert got
            elif name == "e":
                assert got == ("one" if base is Dbr.STRING else 1)
            elif (server[0], name, base) == ("caproto", "c", Dbr.STRING):
                # a character, where an IOC would print the number
                assert got == "\x07"
            else:
                assert float(got) == 7, (name, code)
    # text is no enum; caproto has no record type of a single character
    also = {("c", Dbr.STRING)} if server[0] == "caproto" else set[Any]()
    assert refused == {("s", Dbr.ENUM)} | also


def test_arrays_of_all_sizes(client: Any) -> None:
    for size in SIZES:
        array = np.random.default_rng(size).random(size)
        client.put("wf", array)
        for value in (client.get("wf", None), client.first_update("wf")):
            assert isinstance(value, np.ndarray) and np.array_equal(value, array)
    client.put("wf", [0.0])


async def test_ten_thousand_pvs() -> None:
    names = [f"many:{n}" for n in range(10_000)]
    with own_serving({name: float(n) for n, name in enumerate(names)}) as config:
        async with Client(config) as client:
            channels = await client.connect_many(names, timeout=60)
            values = await client.get_many(channels, timeout=60)
            assert values == list(range(10_000))
            seen: dict[str, float] = {}
            for channel in channels:
                channel.monitor(
                    lambda value, *rest, name=channel.name: seen.update({name: value})
                )
            more = [value + 1 for value in values]
            await client.put_many(channels, more, wait=True, timeout=60)
            await until(lambda: sum(seen.values()) == sum(range(10_001)))


async def until(predicate: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


async def test_ten_thousand_pvs_of_an_ioc(tmp_path: Path) -> None:
    records = "\n".join(f'record(ao, "K:{n}") {{}}' for n in range(10_000))
    with running(tmp_path, records) as ioc:
        async with Client(ioc.config) as client:
            names = [f"K:{n}" for n in range(10_000)]
            channels = await client.connect_many(names, timeout=60)
            await client.put_many(channels, range(10_000), wait=True, timeout=60)
            assert await client.get_many(channels, 60) == list(range(10_000))


async def test_two_iocs_with_the_same_name(
    ioc: CIoc, caplog: pytest.LogCaptureFixture
) -> None:
    with own_serving({"T:ao": -1.0, "T:only": 5.0}) as own:
        addresses = ioc.config.addresses + own.addresses
        config = Config(
            addresses=addresses, auto_addresses=False, repeater_port=ioc.repeater
        )
        with caplog.at_level(logging.WARNING, "beamfly.ca"):
            async with Client(config) as client:
                # an IOC that has just started may not listen to searches yet
                await client.connect("T:long", timeout=30)
                channel = await client.connect("T:ao", timeout=30)
                only = await client.connect("T:only", timeout=30)
                await until(lambda: "T:ao is served by" in caplog.text)
                hosts = {f"{host}:{port}" for host, port in addresses}
                assert channel.host in hosts
                text = next(r.message for r in caplog.records if "T:ao" in r.message)
                assert all(host in text for host in hosts)
                assert text.endswith("the first one is used")
                assert f"served by {channel.host} and" in text
                # both IOCs go on side by side
                assert await client.get_many([channel, only]) == [
                    await channel.get(),
                    5.0,
                ]
                assert "T:only is" not in caplog.text


def test_threads_of_their_own(server: tuple[str, Config]) -> None:
    results: list[Any] = []

    def work() -> None:
        one = ThreadClient(server[1])
        results.append(one.get("d", None))
        one.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [7.0] * 4
