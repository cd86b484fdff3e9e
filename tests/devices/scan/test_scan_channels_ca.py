"""PVs of Channel Access for the scan engine: the contract, and scans that use them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from beamfly.ca.access import Access
from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
from beamfly.ca.server_thread import serve_in_thread
from beamfly.devices.scan_channels import CaChannels
from beamfly.errors import BadValue, ScanFailed
from beamfly.scan import AsyncScanClient, Delay, If, Log, Loop, Parallel, Set, Wait
from beamfly.scan.channels import Channels, Reading
from beamfly.scan.config import ScanConfig
from beamfly.scan.server import ScanServer
from beamfly.scan.values import EnumValue
from ca.c_ioc import CIoc, free_port, running
from scan.scan_channel_contract import ChannelContract

STATES = ("Idle", "Run", "Error")
RECORDS = """
record(ao, "S:n") { field(VAL, "3") field(PINI, "YES") }
record(stringout, "S:t") { field(VAL, "abc") field(PINI, "YES") }
record(mbbo, "S:mode") { field(ZRST, "Idle") field(ONST, "Run") field(TWST, "Error")
  field(PINI, "YES") }
record(waveform, "S:path") { field(FTVL, "CHAR") field(NELM, "100") }
record(waveform, "S:wf") { field(FTVL, "DOUBLE") field(NELM, "4") }
record(longout, "S:count") { field(VAL, "7") field(PINI, "YES") }
record(ao, "S:ro") { field(ASG, "READONLY") field(PINI, "YES") }
record(calc, "S:tick") { field(CALC, "VAL+1") field(SCAN, ".1 second") }
record(ao, "S:axis") { field(FLNK, "S:axis:seq") }
record(seq, "S:axis:seq") { field(DOL1, "S:axis") field(DLY1, "0.05")
  field(LNK1, "S:axis:rbv PP") }
record(ao, "S:axis:rbv") { field(PINI, "YES") }
"""


def settings(port: int) -> Config:
    return Config.from_environment(
        {
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_REPEATER_PORT": str(free_port()),
        }
    )


def like_the_records() -> dict[str, Any]:
    """The same PVs from our own server; the axis needs 50 ms."""
    rbv = PV(0.0)

    async def move(put: Put) -> None:
        await asyncio.sleep(0.05)
        rbv.post(put.value)

    return {
        "S:n": PV(3.0),
        "S:t": PV("abc"),
        "S:mode": PV(0, states=STATES),
        "S:path": PV("", type="char", length=100),
        "S:wf": PV([0.0], length=4),
        "S:count": PV(7),
        "S:ro": PV(1.0),
        "S:axis": PV(0.0, on_put=move),
        "S:axis:rbv": rbv,
    }


@pytest.fixture(scope="module")
def scan_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    with running(tmp_path_factory.mktemp("scan_ioc"), RECORDS) as ioc:
        yield ioc


class OnAnEventLoop(ChannelContract):
    """The contract with a client in a loop of its own, for as long as a test lasts."""

    number = "S:n"
    text = "S:t"
    impossible = "pva://S:n"
    port = 0

    @pytest.fixture(autouse=True)
    def loop(self) -> Iterator[None]:
        self._loop = asyncio.new_event_loop()
        self._clients: list[Client] = []
        yield

        async def leave() -> None:
            for client in self._clients:
                await client.__aexit__()

        self._loop.run_until_complete(leave())
        self._loop.close()

    def channels(self) -> Channels:
        async def make() -> Client:
            return Client(settings(self.port))

        self._clients.append(self._loop.run_until_complete(make()))
        return CaChannels(self._clients[-1])

    def until(self, source: Channels, what: Callable[[], Any]) -> None:
        async def wait() -> None:
            while not what():
                await asyncio.sleep(0.001)

        self._loop.run_until_complete(asyncio.wait_for(wait(), 10))


class TestOurServer(OnAnEventLoop):
    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        with serve_in_thread(like_the_records(), port=0) as server:
            self.port = server.port
            yield


@pytest.mark.peer
class TestAnIOC(OnAnEventLoop):
    @pytest.fixture(autouse=True)
    def serve(self, scan_ioc: CIoc) -> None:
        self.port = scan_ioc.port
        client = self.channels()
        number, text = (client.open(name, lambda: None) for name in ("S:n", "S:t"))
        self.until(client, lambda: number.connected and text.connected)
        told: list[Any] = []
        number.write(3, told.append)
        text.write("abc", told.append)
        self.until(client, lambda: len(told) == 2)
        number.close()
        text.close()


# scans, on either server


@pytest.fixture(params=["beamfly", pytest.param("c", marks=pytest.mark.peer)])
async def config(request: pytest.FixtureRequest) -> AsyncIterator[Config]:
    """Settings that lead to the records on one of the two servers."""
    if request.param == "c":
        yield request.getfixturevalue("scan_ioc").config
        return
    pvs = like_the_records()

    def rights(peer: Any, name: str) -> Access:
        return Access.READ if name == "S:ro" else Access.READ | Access.WRITE

    async with Server(pvs, port=0, access=rights) as server:
        yield settings(server.port)


@asynccontextmanager
async def scanning(config: Config, **options: Any) -> AsyncIterator[AsyncScanClient]:
    """A scan server on Channel Access, and a client of it."""
    async with (
        Client(config) as ca,
        ScanServer(ScanConfig(port=0, **options), channels=CaChannels(ca)) as server,
        AsyncScanClient("127.0.0.1", server.port) as client,
    ):
        yield client


@pytest.fixture
async def client(config: Config) -> AsyncIterator[AsyncScanClient]:
    async with scanning(config) as client:
        yield client


async def run(client: AsyncScanClient, *commands: Any) -> dict[str, Any]:
    """Values that a scan has logged."""
    number = await client.submit(commands)
    await client.waitUntilDone(number, timeout=20)
    data = await client.getData(number)
    return {name: samples["value"] for name, samples in data.items()}


async def test_every_kind_of_pv_is_set_and_logged(client: AsyncScanClient):
    values = await run(
        client,
        Set("S:n", 2.5, completion=True, readback=True),
        Set("ca://S:t", "text", completion=True, readback=True),
        Set("S:mode", "Run", completion=True, readback=True),
        Set("S:path", "/a/path/that/is/longer/than/forty/characters", completion=True),
        Set("S:wf", [1.5, 2, 3, 4], completion=True),
        Set("S:count", 9, completion=True, readback=True),
        Log("S:n", "ca://S:t", "S:mode", "S:path", "S:wf", "S:count"),
    )
    assert values == {
        "S:n": [2.5],
        "ca://S:t": ["text"],
        "S:mode": ["Run"],
        "S:path": ["/a/path/that/is/longer/than/forty/characters"],
        "S:wf": ["[1.5, 2.0, 3.0, 4.0]"],
        "S:count": [9],
    }


async def test_an_enum_is_set_by_number_and_compared_both_ways(client: AsyncScanClient):
    values = await run(
        client,
        Set("S:mode", 2, completion=True),
        Wait("S:mode", 2),
        If("S:mode", "=", 2, Log("S:mode")),
        Set("S:mode", "Idle", completion=True, readback=True),
        If("S:mode", "=", 2, Log("S:n")),
    )
    assert values == {"S:mode": ["Error"]}


async def test_completion_waits_and_readback_follows(client: AsyncScanClient):
    values = await run(
        client,
        Set("S:axis", 0, completion=True),
        Wait("S:axis:rbv", 0, tolerance=0.01, timeout=5),
        Loop("S:axis", 1, 3, 1, Log("S:axis:rbv"), completion=True, timeout=5,
             readback="S:axis:rbv", tolerance=0.01),
    )  # fmt: skip
    assert values == {"S:axis:rbv": [1, 2, 3]}


async def test_a_readback_that_is_not_reached(client: AsyncScanClient):
    with pytest.raises(ScanFailed, match=r"S:n \(\d.*\) = 5.0"):
        await run(
            client,
            Set("S:n", 0, completion=True),
            Set("S:axis", 5, readback="S:n", tolerance=0.1, timeout=0.2),
        )


async def test_waiting_for_a_change_by_somebody_else(
    client: AsyncScanClient, config: Config
):
    async with Client(config) as other:
        channel = await other.connect("S:n")
        await channel.put(0.0, wait=True)
        commands = [Wait("S:n", 5, comparison=">=", timeout=10), Log("S:n")]
        number = await client.submit(commands)
        for value in (2.0, 4.0, 6.0):
            await channel.put(value, wait=True)
            assert value > 5 or (await client.scanInfo(number)).state != "Finished"
        await client.waitUntilDone(number, timeout=10)
    assert (await client.getData(number))["S:n"]["value"] == [6.0]


async def test_time_stamps_are_those_of_the_device(client: AsyncScanClient):
    before = int(time.time() * 1000) - 1
    number = await client.submit(
        [Set("S:n", 1, completion=True), Delay(0.1), Log("S:n")]
    )
    await client.waitUntilDone(number)
    (stamp,) = (await client.getData(number))["S:n"]["time"]
    info = await client.scanInfo(number)
    assert before <= stamp <= info.created + info.runtime - 90


async def test_what_must_not_be_written(client: AsyncScanClient, config: Config):
    if not (await _rights(config)):
        pytest.skip("this IOC lets everybody write")
    with pytest.raises(
        ScanFailed, match=r"Failed to write S:ro = 5.0: S:ro must not be"
    ):
        await run(client, Set("S:ro", 5))


async def _rights(config: Config) -> bool:
    """Whether S:ro is read-only: a C IOC without a file of rules has no such thing."""
    async with Client(config) as client:
        return not (await client.connect("S:ro")).access & Access.WRITE


async def test_texts_that_do_not_fit_are_refused_at_once(client: AsyncScanClient):
    with pytest.raises(ScanFailed, match=r"Failed to write S:path = x+: .*99 bytes"):
        await run(client, Set("S:path", "x" * 100))
    with pytest.raises(ScanFailed, match=r"Failed to write S:t = y+"):
        await run(client, Set("S:t", "y" * 41))


@pytest.mark.parametrize(
    ("pv", "text", "said"),
    [
        ("S:n", "abc", "S:n takes numbers, and 'abc' is none"),
        ("S:count", "True", "S:count takes numbers, and 'True' is none"),
        ("S:mode", "Foo", "S:mode has no state 'Foo': use one of Idle, Run, Error"),
    ],
)
async def test_texts_that_a_device_would_drop_fail_the_scan(
    client: AsyncScanClient, pv: str, text: str, said: str
):
    with pytest.raises(ScanFailed, match=f"Failed to write {pv} = {text}: {said}"):
        await run(client, Set(pv, text))


async def test_texts_that_are_numbers_are_written(client: AsyncScanClient):
    values = await run(
        client,
        Set("S:n", " 12.5 ", completion=True),
        Set("S:mode", "1", completion=True),
        Log("S:n", "S:mode"),
    )
    assert values == {"S:n": [12.5], "S:mode": ["Run"]}


async def test_a_pv_that_never_connects_is_named(config: Config):
    async with scanning(config, connect_timeout=0.3) as client:
        with pytest.raises(
            ScanFailed, match=r"Device S:nowhere did not connect in 0.3"
        ):
            await run(client, Set("S:n", 1), Log("S:nowhere"))


async def test_scans_share_and_leave_their_channels(config: Config):
    async with Client(config) as ca:
        channels = CaChannels(ca)
        async with (
            ScanServer(ScanConfig(port=0), channels=channels) as server,
            AsyncScanClient("127.0.0.1", server.port) as client,
        ):
            log = [Log("S:n", "ca://S:n"), Delay(0.05), Log("S:n")]
            two = [await client.submit(log, queue=False) for _ in range(2)]
            for number in two:
                await client.waitUntilDone(number)
            await run(client, Parallel([Log("S:n"), Log("S:count")]))
        assert channels._pvs == {}


# connections that come and go


async def opened(channels: CaChannels, name: str, changes: list[str]) -> Any:
    channel = channels.open(name, lambda: changes.append(name))
    async with asyncio.timeout(30):
        while not (channel.connected and channel.reading):
            await asyncio.sleep(0.001)
    return channel


async def test_a_scan_lives_through_a_server_that_restarts():
    port = free_port()
    async with scanning(settings(port), read_timeout=20) as client:
        async with Server({"S:n": PV(1.0)}, port=port):
            steps = Loop("loc://i(0)", 1, 40, 1, Log("S:n"), Delay(0.01))
            number = await client.submit([steps])
            while await client.lastSerial(number) < 5:
                await asyncio.sleep(0.01)
        async with Server({"S:n": PV(2.0)}, port=port):
            await client.waitUntilDone(number, timeout=30)
            values = (await client.getData(number))["S:n"]["value"]
    assert len(values) == 40
    assert sorted(set(values)) == [1.0, 2.0]


async def test_writing_without_a_connection_is_an_error():
    port = free_port()
    async with Client(settings(port)) as ca:
        changes: list[str] = []
        async with Server({"S:n": PV(1.0)}, port=port):
            channel = await opened(CaChannels(ca), "S:n", changes)
        async with asyncio.timeout(30):
            while channel.connected:
                await asyncio.sleep(0.001)
        with pytest.raises(BadValue, match="S:n is not connected"):
            channel.write(1, None)
        answers: list[Reading | None] = []
        channel.read(answers.append)
        assert answers == []
        async with Server({"S:n": PV(2.0)}, port=port):
            async with asyncio.timeout(30):
                while not answers:
                    await asyncio.sleep(0.001)
        assert answers[0] is not None and answers[0].number == 2.0
        channel.close()


async def test_labels_are_learnt_anew_with_each_connection():
    port = free_port()
    async with Client(settings(port)) as ca:
        channels = CaChannels(ca)
        async with Server({"S:mode": PV(1, states=STATES)}, port=port):
            channel = await opened(channels, "S:mode", [])
            assert channel.reading.value == EnumValue(1, "Run")
        async with Server({"S:mode": PV(1, states=("Off", "On"))}, port=port):
            async with asyncio.timeout(30):
                while channel.reading.value != EnumValue(1, "On"):
                    await asyncio.sleep(0.001)
        channel.close()


async def test_a_clock_that_is_set_back_hides_no_value():
    async with Server({"S:n": PV(1.0)}, port=0) as server:
        async with Client(settings(server.port)) as ca:
            server["S:n"].post(5.0, time_ns=2 * 10**18)
            channel = await opened(CaChannels(ca), "S:n", [])
            assert channel.reading.number == 5.0
            server["S:n"].post(6.0, time_ns=10**18)
            async with asyncio.timeout(30):
                while channel.reading.number != 6.0:
                    await asyncio.sleep(0.001)
            server["S:n"].post(7.0, time_ns=10**18 + 1)
            async with asyncio.timeout(30):
                while channel.reading.number != 7.0:
                    await asyncio.sleep(0.001)
            channel.close()


async def test_arrays_have_as_many_elements_as_there_are():
    async with Server({"S:wf": PV(np.array([1, 2], np.int32), length=9)}, port=0) as s:
        async with Client(settings(s.port)) as ca:
            channel = await opened(CaChannels(ca), "S:wf", [])
            assert channel.reading.text == "[1, 2]"
            channel.close()


def test_names_of_other_protocols():
    with pytest.raises(BadValue, match="Error for PV pva://x"):
        CaChannels(None).open("pva://x", lambda: None)  # type: ignore[arg-type]
    with pytest.raises(BadValue, match="a macro in its name has no value"):
        CaChannels(None).open("$(P):x", lambda: None)  # type: ignore[arg-type]
