"""`Client` for asyncio against a genuine C IOC and a caproto server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beamfly.ca.asyncio import Client, Reading
from beamfly.ca.channel import ConnectionState
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr, layout
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.errors import (
    BadValue,
    CADisconnected,
    CARefused,
    CATimeout,
    LocalProtocolError,
)

from .c_ioc import CIoc, free_port, running

pytestmark = pytest.mark.peer


@pytest.fixture
async def client(ioc: CIoc) -> AsyncIterator[Client]:
    async with Client(ioc.config) as one:
        yield one


async def until(predicate: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)


async def test_one_channel(client: Client, ioc: CIoc) -> None:
    channel = await client.connect("T:ao")
    assert (channel.native_type, channel.count) == (Dbr.DOUBLE, 1)
    assert channel.access == Access.READ | Access.WRITE
    assert channel.host == f"127.0.0.1:{ioc.port}"
    assert channel.state is ConnectionState.CONNECTED
    await channel.put(2.5, wait=True)
    assert await channel.get() == 2.5
    reading = await channel.read()
    assert isinstance(reading, Reading) and reading.value == 2.5
    assert reading.time_ns == pytest.approx(time.time_ns(), abs=60e9)
    assert (await channel.describe()).units == b"mm"
    channel.close()
    assert channel.state is ConnectionState.CLOSED
    with pytest.raises(CADisconnected):
        await channel.wait_connected()


async def test_operations_wait_for_the_connection(client: Client) -> None:
    await client.channel("T:ao").put(4.5, wait=True)
    assert await client.channel("T:ao").get() == 4.5
    with pytest.raises(CATimeout, match=r"T:nothing was not found within 0\.1 s"):
        await client.channel("T:nothing").get(timeout=0.1)
    with pytest.raises(CATimeout):
        await client.connect_many(["T:ao", "T:nothing"], timeout=0.1)
    with pytest.raises(CADisconnected):
        channel = client.channel("T:other")
        asyncio.get_running_loop().call_later(0.01, channel.close)
        await channel.get()


TYPES = [code for code in Dbr if code not in (Dbr.PUT_ACKT, Dbr.PUT_ACKS)]


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("name", ["T:ao", "T:enum", "T:string", "T:longs"])
async def test_every_type_of_every_kind(client: Client, name: str, code: Dbr) -> None:
    channel = await client.connect(name)
    start = {"T:string": "7", "T:longs": [7, 8, 9], "T:enum": 1}.get(name, 7)
    await channel.put(start, wait=True)
    try:
        value = await channel.get(code)
    except CARefused as error:
        # the IOC cannot turn text into an enum
        assert (name, layout(code).base) == ("T:string", Dbr.ENUM)
        assert error.status in (152, 400)
        return
    if isinstance(value, Reading):
        value = value.value
    if isinstance(value, Value):
        assert value.type is code
        value = value.elements()
        value = value[0] if channel.count == 1 else list(value)
    is_text = layout(code).base is Dbr.STRING
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if name == "T:longs" and code not in (Dbr.CLASS_NAME, Dbr.STSACK_STRING):
        assert [int(item) for item in value] == [7, 8, 9]
    elif code is Dbr.CLASS_NAME:
        one = value[0] if isinstance(value, list) else value
        assert one in (b"ao", b"mbbo", b"stringout", b"waveform")
    elif name == "T:enum":
        assert value in (("one", b"one") if is_text else (1,))
    elif name != "T:longs":
        assert float(value) == 7
    channel.close()


SIZES = [0, 1, 3, 8190, 8191, 8192, 100_000, 1_000_000]


@pytest.mark.parametrize("size", SIZES)
async def test_arrays_of_all_sizes(client: Client, size: int) -> None:
    channel = await client.connect("T:double")
    array = np.random.default_rng(size).random(size)
    await channel.put(array, wait=True, timeout=20)
    assert np.array_equal(await channel.get(timeout=20), array)
    got: list[Any] = []
    channel.monitor(lambda value, *rest: got.append(value))
    await until(lambda: got)
    assert np.array_equal(got[0], array)
    await channel.put([], wait=True)
    channel.close()


async def test_many_values_at_once(client: Client) -> None:
    names = ["T:ao", "T:long", "T:enum", "T:string"]
    channels = await client.connect_many(names)
    await client.put_many(channels, [1.5, 2, 1, "x"], wait=True)
    assert await client.get_many(channels) == [1.5, 2, 1, "x"]
    with pytest.raises(CARefused):
        await client.put_many(channels[2:3], ["no such state"], wait=True)


async def test_cancelled_reads_harm_nobody(client: Client) -> None:
    channel = await client.connect("T:ao")
    await channel.put(1.5, wait=True)
    tasks = [asyncio.ensure_future(channel.get()) for _ in range(20)]
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [1.5] * 10
    assert all(isinstance(one, asyncio.CancelledError) for one in results[::2])
    assert await channel.get() == 1.5


async def test_slow_puts_do_not_stop_the_rest(client: Client) -> None:
    never, other = await client.connect_many(["T:never.PROC", "T:ao"])
    puts = [asyncio.ensure_future(never.put(1, wait=True)) for _ in range(2)]
    assert await other.get() is not None
    assert not any(put.done() for put in puts)
    for put in puts:
        put.cancel()
    slow = await client.connect("T:slow.PROC")
    start = time.monotonic()
    for put in [slow.put(1, wait=True, timeout=30) for _ in range(2)]:
        await put
    assert time.monotonic() - start > 0.5


async def test_refused_writes_are_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    channel = await client.connect("T:ao.NAME")
    await channel.put("x")
    await channel.get()
    await until(lambda: "T:ao.NAME was not written: Write access denied" in caplog.text)


async def test_arguments_that_make_no_sense_do_no_harm(client: Client) -> None:
    channel = await client.connect("T:ao")
    for ask in (
        lambda: channel.get(count=-1),
        lambda: channel.read(count=1.5),  # pyright: ignore
        lambda: channel.monitor(print, count=-1),
        lambda: channel.monitor(print, mask=0),
        lambda: channel.put(1.0, dbr=20),
        lambda: channel.put(None, wait=True),
    ):
        with pytest.raises(BadValue):
            await ask()  # pyright: ignore
    with pytest.raises(LocalProtocolError, match="no DBR type 99"):
        channel.monitor(print, dbr=99)  # pyright: ignore
    # a name is not a list of letters
    with pytest.raises(CATimeout, match=r"T:nothing was not found within 0\.1 s"):
        await client.connect_many("T:nothing", timeout=0.1)
    assert isinstance(await channel.get(), float)


async def test_monitors_and_their_errors(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    channel = await client.connect("T:long")
    await channel.put(0, wait=True)
    seen: list[Any] = []
    subscription = channel.monitor(lambda *reading: seen.append(reading))

    def bad(*reading: Any) -> None:
        raise ZeroDivisionError("mine")

    channel.monitor(bad)
    for value in range(1, 300):
        await channel.put(value)
    # servers may leave out what is not the newest
    await until(lambda: bool(seen) and seen[-1][0] == 299)
    values = [row[0] for row in seen]
    assert values == sorted(set(values)) and len(values) > 10
    assert caplog.text.count("ZeroDivisionError: mine") == 1
    assert "'mine'); T:long is not monitored any more" in caplog.text
    subscription.close()
    subscription.close()
    await channel.put(1, wait=True)
    assert seen[-1][0] == 299


async def test_restart(tmp_path: Path) -> None:
    ioc = CIoc(tmp_path)
    ioc.start()
    try:
        async with Client(ioc.config) as client:
            channel = await client.connect("T:ao")
            states: list[ConnectionState] = []
            channel.core.on_change.append(lambda core: states.append(core.state))
            seen: list[Any] = []
            channel.monitor(lambda *reading: seen.append(reading[0]))
            await channel.put(5.5, wait=True)
            await until(lambda: seen == [1.5, 5.5])
            ioc.stop()
            # long before the circuit would be quiet for too long
            await until(lambda: not channel.connected, 15)
            waiting = asyncio.ensure_future(channel.get(timeout=30))
            await asyncio.to_thread(ioc.start)
            assert await waiting == 1.5
            await until(lambda: seen == [1.5, 5.5, 1.5])
            assert states == [
                ConnectionState.PREVIOUSLY_CONNECTED,
                ConnectionState.CONNECTED,
            ]
    finally:
        ioc.stop()


async def test_frozen_server(tmp_path: Path) -> None:
    config = {"EPICS_CA_CONN_TMO": "0.5"}
    with running(tmp_path) as ioc:
        environ = {**ioc.environment, **config}
        async with Client(Config.from_environment(environ)) as client:
            channel = await client.connect("T:ao")
            seen: list[Any] = []
            channel.monitor(lambda *reading: seen.append(reading[0]))
            await until(lambda: seen)
            ioc.signal(signal.SIGSTOP)
            with pytest.raises(CATimeout):
                await channel.get(timeout=0.2)
            with pytest.raises(CADisconnected):
                await channel.get(timeout=30)
            assert not channel.connected
            before = len(seen)
            ioc.signal(signal.SIGCONT)
            await until(lambda: len(seen) > before)


async def test_a_frozen_server_cannot_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as ioc:
        async with Client(ioc.config) as client:
            channel = await client.connect("T:double")
            ioc.signal(signal.SIGSTOP)
            for _ in range(5):
                await channel.put(np.zeros(1_000_000))
            start = time.monotonic()
        assert time.monotonic() - start < 20
        ioc.signal(signal.SIGCONT)


async def test_thousands_of_channels(tmp_path: Path) -> None:
    extra = "\n".join(
        f'record(ao, "M:{n}") {{ field(VAL, "{n}") }}' for n in range(3000)
    )
    with running(tmp_path, extra) as ioc:
        async with Client(ioc.config) as client:
            names = [f"M:{n}" for n in range(3000)]
            channels = await client.connect_many(names, timeout=30)
            assert await client.get_many(channels, 30) == list(range(3000))
            seen: dict[str, Any] = {}
            for channel in channels:
                channel.monitor(
                    lambda value, *rest, name=channel.name: seen.update({name: value})
                )
            values = [n + 1 for n in range(3000)]
            await client.put_many(channels, values, wait=True, timeout=30)
            await until(lambda: seen.get("M:2999") == 3000)
            await until(lambda: seen == {f"M:{n}": n + 1 for n in range(3000)})
            for channel in channels[:1500]:
                channel.close()
            assert await client.get_many(channels[1500:], 30) == values[1500:]


async def test_a_name_server_over_tcp(ioc: CIoc) -> None:
    config = Config(
        auto_addresses=False,
        addresses=(("127.0.0.1", free_port()),),
        name_servers=(("127.0.0.1", ioc.port),),
        repeater_port=ioc.repeater,
    )
    async with Client(config) as client:
        assert await (await client.connect("T:ao")).get() is not None


async def test_host_names_in_the_address_list(ioc: CIoc) -> None:
    config = Config(
        auto_addresses=False,
        addresses=(("localhost", ioc.port),),
        repeater_port=ioc.repeater,
    )
    async with Client(config) as client:
        assert (await client.connect("T:ao")).connected


async def test_arrays_that_are_larger_than_allowed(ioc: CIoc) -> None:
    limits = {
        "EPICS_CA_MAX_ARRAY_BYTES": "20000",
        "EPICS_CA_AUTO_ARRAY_BYTES": "NO",
    }
    config = Config.from_environment({**ioc.environment, **limits})
    async with Client(config) as client:
        channel = await client.connect("T:double")
        await channel.put(np.zeros(100_000), wait=True, timeout=20)
        with pytest.raises(CARefused, match="EPICS_CA_MAX_ARRAY_BYTES"):
            await channel.get()
        assert len(await channel.get(count=2000)) == 2000
        await channel.put([], wait=True)


async def test_a_closed_client_says_so(ioc: CIoc) -> None:
    client = Client(ioc.config)
    channel = await client.connect("T:ao")
    client.close()
    client.close()
    with pytest.raises(CADisconnected, match="the client is closed"):
        client.channel("T:ao")
    with pytest.raises(CADisconnected):
        await channel.get()
    with pytest.raises(BadValue):
        async with Client(ioc.config) as other:
            other.channel("")


CAPROTO = """
from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run
class Group(PVGroup):
    number = pvproperty(value=1.5, units="mm", precision=2)
    text = pvproperty(value="hello", max_length=100)
    array = pvproperty(value=[1, 2, 3], max_length=10)
    state = pvproperty(value="b", enum_strings=["a", "b"], dtype=ChannelType.ENUM)
run(Group(prefix="C:").pvdb, interfaces=["127.0.0.1"], log_pv_names=False)
"""


@pytest.fixture
def caproto_server() -> Iterator[Config]:
    port = free_port()
    variables = {
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(free_port()),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", CAPROTO],
        env={**os.environ, **variables},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield Config.from_environment(variables)
    finally:
        process.kill()
        process.wait(30)


async def test_a_caproto_server(caproto_server: Config) -> None:
    async with Client(caproto_server) as client:
        names = ["C:number", "C:text", "C:array", "C:state"]
        channels = await client.connect_many(names, timeout=30)
        number, text, array, state = channels
        await number.put(2.5, wait=True)
        assert await number.get() == 2.5
        assert (await number.describe()).units == b"mm"
        assert await array.get() is not None
        assert (await array.get()).tolist() == [1, 2, 3]
        assert (await state.read()).value == 1
        assert await state.get(Dbr.STRING) == "b"
        assert (await text.get()).tobytes() == b"hello"
        seen: list[Any] = []
        number.monitor(lambda *reading: seen.append(reading[0]))
        await number.put(3.5, wait=True)
        await until(lambda: seen == [2.5, 3.5])
