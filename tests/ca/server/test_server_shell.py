"""The asyncio server and the one in a thread, over real sockets on loopback."""

import asyncio
import contextlib
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from beamfly.ca import server_asyncio, server_sockets
from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.ca.datagrams import Search, Version
from beamfly.ca.header import pack_header
from beamfly.ca.message import Access
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
from beamfly.ca.server_sockets import beacon_addresses, open_sockets
from beamfly.ca.server_thread import serve_in_thread
from beamfly.errors import BadValue, CAError, CARefused, LocalProtocolError

QUIET = Config(
    auto_addresses=False, cas_beacon_addresses=(("127.0.0.1", 9),), repeater_port=9
)


def make_server(pvs: dict[str, Any], **options: Any) -> Server:
    return Server(pvs, config=QUIET, port=0, **options)


def client_of(server: Any) -> Client:
    return Client(replace(QUIET, addresses=(("127.0.0.1", server.port),)))


def make_pvs() -> dict[str, Any]:
    return {"d": PV(1.5), "w": PV(length=1_000_000, type="double"), "s": "text"}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with make_server(make_pvs()) as running:
        yield running


async def test_get_put_monitor(server: Server) -> None:
    async with client_of(server) as client:
        channel = await client.connect("d")
        assert await channel.get() == 1.5
        await channel.put(2.5, wait=True)
        assert server["d"].value == 2.5
        heard: asyncio.Queue[float] = asyncio.Queue()
        channel.monitor(lambda value, *rest: heard.put_nowait(value))
        assert await heard.get() == 2.5
        server["d"].post(7.0)
        assert await heard.get() == 7.0


@pytest.mark.parametrize("size", [0, 1, 1000, 1_000_000])
async def test_arrays_there_and_back(server: Server, size: int) -> None:
    data = np.arange(size, dtype=float)
    async with client_of(server) as client:
        channel = await client.connect("w")
        await channel.put(data, wait=True)
        assert np.array_equal(server["w"].value, data)
        assert np.array_equal(np.atleast_1d(await channel.get()), data)


def test_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def same() -> None:
        async with make_server(make_pvs()) as server:
            await test_get_put_monitor(server)
            await test_arrays_there_and_back(server, 1_000_000)
        with contextlib.closing(socket.socket()) as slow:
            async with make_server(make_pvs()) as server:
                await test_client_that_never_reads_stops_nobody(server, slow)
        await test_coroutine_hooks_take_their_time()
        await test_close_ends_hooks_and_circuits()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(same())


async def test_coroutine_hooks_take_their_time() -> None:
    gate = asyncio.Event()

    async def slow(put: Put) -> None:
        if put.value < 0:
            msg = "not below zero"
            raise BadValue(msg)
        put.accept()
        await gate.wait()

    async def wrong(put: Put) -> None:
        raise ZeroDivisionError

    pvs = {"x": PV(0.0, on_put=slow), "y": PV(0.0), "z": PV(0.0, on_put=wrong)}
    async with make_server(pvs) as server, client_of(server) as client:
        x, y, z = [await client.connect(name) for name in pvs]
        waiting = asyncio.ensure_future(x.put(3.0, wait=True))
        while server["x"].value != 3.0:
            await asyncio.sleep(0)
        await y.put(1.0, wait=True)
        assert not waiting.done()
        gate.set()
        await waiting
        for channel in (x, z):
            with pytest.raises(CARefused):
                await channel.put(-1.0, wait=True)
        assert server["x"].value == 3.0


async def test_what_a_hook_returns_is_nothing_unless_it_can_be_awaited() -> None:
    kept: list[float] = []
    pv = PV(0.0, on_put=lambda put: kept.append(put.value) or 42)  # pyright: ignore
    async with make_server({"a": pv}) as server, client_of(server) as client:
        channel = await client.connect("a")
        await channel.put(1.5, wait=True)
        assert (kept, await channel.get()) == ([1.5], 1.5)


async def test_close_ends_hooks_and_circuits() -> None:
    async def forever(put: Put) -> None:
        await asyncio.Event().wait()

    server = make_server({"x": PV(0.0, on_put=forever)})
    async with server:
        async with client_of(server) as client:
            channel = await client.connect("x")
            waiting = asyncio.ensure_future(channel.put(1.0, wait=True))
            while not server._hooks:
                await asyncio.sleep(0)
            await server.close()
            with pytest.raises(CAError):
                await waiting
    assert not server.core.circuits


async def test_thousand_pvs_connect() -> None:
    names = [f"pv:{index}" for index in range(1000)]
    async with make_server(dict.fromkeys(names, 1.0)) as server:
        async with client_of(server) as client:
            channels = await client.connect_many(names)
            values = await client.get_many(channels)
            assert list(values) == [1.0] * 1000


async def test_clients_that_come_and_go_leave_nothing(server: Server) -> None:
    for _ in range(20):
        async with client_of(server) as client:
            channel = await client.connect("d")
            channel.monitor(lambda *reading: None)
            await channel.get()
    async with asyncio.timeout(30):
        while server.core.circuits:
            await asyncio.sleep(0)
    assert not server["d"].listeners
    assert not server._wires


async def test_second_server_takes_another_port() -> None:
    async with make_server({"a": 1.0}) as first:
        second = Server({"b": 2.0}, config=QUIET, port=first.port)
        async with second:
            assert second.port != first.port
            # both hear what is sent to the broadcast address of loopback
            broadcast = replace(QUIET, addresses=(("127.255.255.255", first.port),))
            async with Client(broadcast) as client:
                assert await (await client.connect("a")).get() == 1.0
                assert await (await client.connect("b")).get() == 2.0


async def test_name_server(server: Server) -> None:
    config = replace(QUIET, name_servers=(("127.0.0.1", server.port),))
    async with Client(config) as client:
        assert await (await client.connect("d")).get() == 1.5


async def test_start_twice_and_restart(server: Server) -> None:
    with pytest.raises(LocalProtocolError):
        await server.start()
    await server.close()
    await server.close()
    await server.start()
    async with client_of(server) as client:
        assert await (await client.connect("d")).get() == 1.5


async def test_arguments_that_make_no_server() -> None:
    with pytest.raises(BadValue, match="one is not served: a PV cannot hold"):
        make_server({"one": object()})
    with pytest.raises(BadValue, match="5 cannot be the name of a PV"):
        make_server({5: 1.5})  # pyright: ignore
    for port in (-1, 65536):
        with pytest.raises(CAError, match=f"cannot listen on port {port}"):
            await Server({"one": 1.5}, config=QUIET, port=port).start()
    for host in (".", "x" * 70, "nohost.invalid"):
        with pytest.raises(CAError, match="cannot listen on"):
            await Server({"one": 1.5}, config=QUIET, interfaces=(host,)).start()
    # who has but one interface need not make a tuple of it
    async with make_server({"one": 1.5}, interfaces="127.0.0.1") as server:
        assert server.interfaces == ("127.0.0.1",)


async def test_pv_added_and_removed_while_running(server: Server) -> None:
    server.add("new", 5)
    async with client_of(server) as client:
        channel = await client.connect("new")
        assert await channel.get() == 5
        server.remove("new")
        with pytest.raises(CAError):
            await channel.get(timeout=0.2)


async def test_access_that_fails_gives_no_rights(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def access(who: object, record: str) -> Access:
        raise ZeroDivisionError(record)

    server = make_server({"x": 1.0}, access=access)
    async with server, client_of(server) as client:
        with caplog.at_level(logging.ERROR, "beamfly.ca.server"):
            channel = await client.connect("x")
        assert channel.access == 0
        assert "ZeroDivisionError: x" in caplog.text


async def test_hostile_client_is_sent_away_with_a_reason(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with caplog.at_level(logging.WARNING, "beamfly.ca.server"):
        writer.write(Version().encode() + pack_header(99, 0, 0, 0, 0, 0))
        answer = await reader.read()
    assert b"command 99" in answer
    assert "command 99" in caplog.text
    writer.close()
    async with client_of(server) as client:
        assert await (await client.connect("d")).get() == 1.5


async def test_client_that_never_reads_stops_nobody(
    server: Server, slow: socket.socket
) -> None:
    server["w"].post(np.zeros(1_000_000))
    slow.setblocking(False)
    await server.loop.sock_connect(slow, ("127.0.0.1", server.port))
    name = b"w".ljust(8, b"\0")
    hello = Version().encode() + pack_header(18, 8, 0, 0, 1, 13) + name
    reads = pack_header(15, 0, 6, 0, 1, 7) * 100
    await server.loop.sock_sendall(slow, hello + reads)
    async with client_of(server) as client:
        channel = await client.connect("d")
        for value in range(50):
            server["w"].post(np.full(1_000_000, value))
            assert await channel.get() == 1.5
    (circuit,) = (each for each in server.core.circuits if each.held)
    assert circuit.outbox.size <= 2 * 8_000_024
    # it reads after all: every answer arrives
    received = 0
    while received < 100 * 8_000_024:
        received += len(await server.loop.sock_recv(slow, 1 << 20))
    assert not circuit.held


@pytest.fixture
def slow() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        yield sock


class Kept(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written: list[bytes] = []
        self.is_closed = False

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        assert high

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def take(self) -> bytes:
        data = b"".join(self.written)
        self.written.clear()
        return data


def feed(wire: asyncio.BufferedProtocol, data: bytes) -> None:
    wire.get_buffer(-1)[: len(data)] = data
    wire.buffer_updated(len(data))


async def test_answers_and_updates_leave_at_once_and_once(server: Server) -> None:
    heads = 19 << 48 | 6 << 16 | 1, 1 << 48 | 8 << 32 | 6 << 16 | 1
    one, other = Kept(), Kept()
    wires = [server_asyncio._Wire(server) for _ in range(2)]
    for wire, transport in zip(wires, (one, other), strict=True):
        wire.connection_made(transport)
        name = pack_header(18, 8, 0, 0, 1, 13) + b"d".ljust(8, b"\0")
        feed(wire, Version().encode() + name)
    mask = struct.pack(">fffHH", 0, 0, 0, 5, 0)
    feed(wires[0], pack_header(1, 16, 6, 1, 1, 7) + mask)
    for transport in (one, other):
        transport.take()

    def updates(*values: float) -> bytes:
        return b"".join(struct.pack(">QIId", heads[1], 1, 7, each) for each in values)

    for value in (2.5, 3.5):
        put = pack_header(19, 8, 6, 1, 1, 9) + struct.pack(">d", value)
        feed(wires[1], put)
        assert other.take() == struct.pack(">QII", heads[0], 1, 9)
        assert one.take() == updates(value)
    # what was posted in the same turn leaves with it, in order
    server["d"].post(4.5)
    feed(wires[1], put)
    assert one.take() == updates(4.5, 3.5)
    server["d"].post(5.5)
    await asyncio.sleep(0)
    assert one.take() == updates(5.5)
    assert other.take() == struct.pack(">QII", heads[0], 1, 9)
    # who breaks the rules is told so, then sent away; others are not concerned
    feed(wires[1], pack_header(1, 3, 0, 0, 0, 0))
    assert b"no multiple of 8" in other.take()
    assert other.is_closed
    feed(wires[0], pack_header(23, 0, 0, 0, 0, 0))
    assert one.take() == pack_header(23, 0, 0, 0, 0, 0)
    for wire in wires:
        wire.connection_lost(None)
    assert not server._wires


class Broken(Kept):
    """A transport that cannot even say that the connection is gone."""

    def write(self, data: Any) -> None:
        raise RuntimeError


async def test_failure_while_sending_concerns_nobody_else(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = Kept(), Broken()
    wires = [server_asyncio._Wire(server) for _ in range(2)]
    wires[0].connection_made(good)
    hello = Version().encode() + pack_header(18, 8, 0, 0, 1, 13) + b"d".ljust(8, b"\0")
    mask = struct.pack(">fffHH", 0, 0, 0, 5, 0)
    feed(wires[0], hello + pack_header(1, 16, 6, 1, 1, 7) + mask)
    assert good.take()
    await asyncio.sleep(0)
    wires[1].connection_made(bad)
    await asyncio.sleep(0)
    assert "RuntimeError" in caplog.text
    for value in (2.5, 3.5):
        server["d"].post(value)
        await asyncio.sleep(0)
        assert good.take().endswith(struct.pack(">d", value))
        with pytest.raises(RuntimeError):
            feed(wires[1], hello + pack_header(23, 0, 0, 0, 0, 0))
    for wire in wires:
        wire.connection_lost(None)
    assert not server._wires


async def test_search_by_datagram(server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        question = Version(priority=1, sequence=7).encode() + Search("d", 3).encode()
        answer = b""
        async with asyncio.timeout(30):
            while not answer:
                where = ("127.0.0.1", server.port)
                await server.loop.sock_sendto(sock, question, where)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        answer = await server.loop.sock_recv(sock, 2000)
    assert struct.unpack_from(">HHHHII", answer, 16)[2] == server.port


async def test_searches_of_some_are_ignored() -> None:
    config = replace(QUIET, cas_ignored=(("127.0.0.1", 5064),))
    server = Server({"d": 1.0}, config=config, port=0)
    async with server, client_of(server) as client:
        with pytest.raises(CAError):
            await client.connect("d", timeout=0.3)


def test_interfaces_come_from_the_settings() -> None:
    config = replace(QUIET, cas_interfaces=(("127.0.0.2", 5064),))
    assert Server({}, config=config).interfaces == ("127.0.0.2",)
    assert Server({}, config=QUIET).interfaces == ("127.0.0.1",)


async def test_limit_of_arrays() -> None:
    config = replace(QUIET, largest_array=16408)
    pvs = {"w": PV(np.zeros(5000)), "small": PV(np.zeros(2000))}
    server = Server(pvs, config=config, port=0)
    async with server, client_of(server) as client:
        w, small = await client.connect("w"), await client.connect("small")
        assert len(await small.get()) == 2000
        with pytest.raises(CARefused):
            await w.get()
        with pytest.raises(CARefused):
            await w.put(np.ones(5000), wait=True)
        await w.put(np.ones(2000), wait=True)
        assert len(server["w"].value) == 2000


async def test_beacons_arrive() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        config = replace(QUIET, cas_beacon_addresses=(sock.getsockname(),))
        async with Server({}, config=config, port=0) as server:
            async with asyncio.timeout(30):
                beacons = [await server.loop.sock_recv(sock, 100) for _ in range(3)]
            numbers = [row[11] for row in beacons]
            # one may be lost
            assert numbers == sorted({*numbers}) and numbers[-1] < 5
            port = struct.unpack_from(">HHHH", beacons[0])[3]
            assert port == server.port


def test_beacons_of_a_loopback_server_stay_on_the_machine() -> None:
    config = Config(cas_beacon_addresses=(("10.0.0.255", 5065),), cas_beacon_port=777)
    assert beacon_addresses(("127.0.0.1",), config) == [("127.0.0.1", 777)]
    assert ("10.0.0.255", 5065) in beacon_addresses(("0.0.0.0",), config)


def test_address_that_is_not_ours() -> None:
    with pytest.raises(CAError, match=r"cannot listen on 192\.0\.2\.1"):
        open_sockets(("192.0.2.1",), 0)


def test_thread() -> None:
    with serve_in_thread({"x": 1.0}, config=QUIET, port=0) as server:
        server.post("x", 2.0, severity="MINOR")
        assert server.value("x") == 2.0
        assert server.call(lambda: server.server["x"].alarm.severity) == 1
        assert server.call(threading.current_thread).name == "beamfly-ca-server"
        with pytest.raises(KeyError):
            server.post("y", 1)
        with pytest.raises(BadValue):
            server.post("x", "text")
    with pytest.raises(CAError, match="does not run"):
        server.post("x", 3.0)
    server.close()


def test_thread_that_cannot_start_says_why() -> None:
    with pytest.raises(CAError, match="cannot listen"):
        serve_in_thread({}, config=QUIET, port=0, interfaces=("192.0.2.1",))
    with pytest.raises(BadValue):
        serve_in_thread({"": 1}, config=QUIET, port=0)


def test_a_free_port_is_free_for_searches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some client's UDP socket has the number of the first port that is found."""
    listen = server_sockets._listen
    taken: list[socket.socket] = []

    def taken_at_first(host: str, port: int, *, fallback: bool) -> socket.socket:
        found = listen(host, port, fallback=fallback)
        if not taken:
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.bind((host, found.getsockname()[1]))
            taken.append(client)
        return found

    monkeypatch.setattr(server_sockets, "_listen", taken_at_first)
    found = open_sockets(("127.0.0.1",), 0)
    try:
        assert found.port != taken[0].getsockname()[1]
    finally:
        found.close()
        taken[0].close()
