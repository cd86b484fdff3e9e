"""The server over HTTP, asked by both clients; the data log across restarts."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from beamfly.errors import (
    BadValue,
    ScanAborted,
    ScanError,
    ScanFailed,
    ScanServerDisconnected,
    ScanServerError,
    ScanTimeout,
    UnknownScan,
)
from beamfly.scan import (
    AsyncScanClient,
    Comment,
    Delay,
    Log,
    Loop,
    Parallel,
    ScanClient,
    ScanInfo,
    Set,
    Wait,
    createTable,
)
from beamfly.scan import server as server_module
from beamfly.scan.config import ScanConfig
from beamfly.scan.server import ScanServer

Ask = Callable[..., Awaitable[Any]]
FOREVER = Wait("loc://never(0)", 1)
PORT_0 = ScanConfig(port=0)


@pytest.fixture
async def server() -> AsyncIterator[ScanServer]:
    async with ScanServer(PORT_0) as running:
        yield running


@pytest.fixture(params=["blocking", "asyncio"])
async def ask(request: pytest.FixtureRequest, server: ScanServer) -> AsyncIterator[Ask]:
    """Calls a method of either client by its name."""
    if request.param == "asyncio":
        async with AsyncScanClient("127.0.0.1", server.port) as aclient:
            yield lambda name, *args, **kw: getattr(aclient, name)(*args, **kw)
        return
    with ScanClient("127.0.0.1", server.port) as client:
        yield lambda name, *args, **kw: asyncio.to_thread(
            getattr(client, name), *args, **kw
        )


async def test_submit_wait_and_fetch(ask: Ask):
    commands = [
        Comment("Hello"),
        Loop(
            "loc://x(0)", 1, 5, 1, Set("loc://y(0)", 7), Log("loc://x(0)", "loc://y(0)")
        ),
    ]
    scan = await ask("submit", commands, "My scan: a/b & c")
    info = await ask("waitUntilDone", scan, timeout=20)
    assert (info.id, info.name) == (scan, "My scan: a/b & c")
    assert (info.state, info.percentage(), info.error) == ("Finished", 100, None)
    assert await ask("lastSerial", scan) == 4
    data = await ask("getData", scan)
    assert createTable(data, "loc://x(0)", "loc://y(0)") == [
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [7.0] * 5,
    ]
    later = await ask("getData", scan, after=2)
    assert later["loc://x(0)"]["id"] == [3, 4]
    text = await ask("scanCmds", scan)
    again = await ask("submit", text, queue=False)
    assert (await ask("waitUntilDone", again)).state == "Finished"
    assert "<name>loc://x(0)</name>" in await ask("scanDevices", scan)
    assert [info.id for info in await ask("scanInfos")] == [again, scan]
    assert "<version>4.7.0</version>" in await ask("serverInfo")
    await ask("delete", scan)
    await ask("clear")
    assert await ask("scanInfos") == []


async def test_simulate(ask: Ask):
    got = await ask("simulate", [Delay(3), Delay(2)])
    assert got["seconds"] == 5.0
    assert "00:00:03 - Delay 2.0 sec" in got["simulation"]
    with pytest.raises(ScanServerError, match=r"\): Missing 'devices' in <log>"):
        await ask("simulate", [Log()])


async def test_our_own_generation_of_loops(ask: Ask):
    assert await ask("loopGeneration") == 3


async def test_control(ask: Ask):
    scan = await ask("submit", [FOREVER, Set("loc://x(0)", 1), Delay(0)])
    while (await ask("scanInfo", scan)).address != 0:
        pass
    await ask("pause", scan)
    assert (await ask("scanInfo", scan)).state == "Paused"
    await ask("patch", scan, 1, "value", 'a<b&"c"')
    assert "a&lt;b&amp;" in await ask("scanCmds", scan)
    await ask("patch", scan, 1, "value", 5)
    await ask("resume", scan)
    await ask("next", scan)
    assert (await ask("waitUntilDone", scan)).state == "Finished"


async def test_queue_and_abort(ask: Ask):
    first = await ask("submit", FOREVER)
    second = await ask("submit", FOREVER, timeout=100)
    third = await ask("submit", FOREVER, deadline="2040-01-01 00:00:00")
    await ask("move", third, -1)
    assert [info.id for info in await ask("scanInfos")] == [second, third, first]
    await ask("abort")
    for scan in (first, second, third):
        with pytest.raises(ScanAborted, match="was aborted"):
            await ask("waitUntilDone", scan)


async def test_failures_say_why(ask: Ask):
    scan = await ask("submit", [Wait("loc://x(0)", 1, timeout=0.01)], "Timing out")
    with pytest.raises(ScanFailed) as caught:
        await ask("waitUntilDone", scan)
    assert str(caught.value) == (
        f"Scan {scan} 'Timing out' failed: "
        "Timeout while waiting for loc://x(0) (0.0) = 1.0"
    )
    assert caught.value.info.id == scan
    with pytest.raises(
        ScanServerError, match=r"POST /scan/gone \(status 400\): Missing"
    ):
        await ask("submit", [Log()], "gone")
    scan = await ask("submit", [Set("motor", 1)])
    with pytest.raises(ScanFailed, match="motor: this server has loc:// and sim://"):
        await ask("waitUntilDone", scan)


async def test_unknown_scans(ask: Ask):
    for name, args in (
        ("scanInfo", ()),
        ("waitUntilDone", ()),
        ("scanCmds", ()),
        ("scanDevices", ()),
        ("lastSerial", ()),
        ("pause", ()),
        ("abort", ()),
        ("delete", ()),
        ("patch", (0, "value", 1)),
    ):
        with pytest.raises(UnknownScan):
            await ask(name, 999, *args)
    with pytest.raises(ScanServerError, match="Error retrieving log data"):
        await ask("getData", 999)


async def test_what_cannot_be_meant_is_not_sent(ask: Ask):
    for arguments in (
        {"timeout": -1},
        {"timeout": 1.5},
        {"timeout": 5, "deadline": "2040-01-01 00:00:00"},
    ):
        with pytest.raises(BadValue):
            await ask("submit", [Delay(0)], **arguments)
    with pytest.raises(BadValue):
        await ask("submit", ["Delay(1)"])
    assert await ask("scanInfos") == []


async def test_waiting_for_too_long(ask: Ask):
    scan = await ask("submit", FOREVER)
    with pytest.raises(ScanTimeout, match=r"after 0\.05 s \(state Running\)"):
        await ask("waitUntilDone", scan, timeout=0.05)


async def test_shutdown(ask: Ask, server: ScanServer):
    assert "bye" in await ask("shutdown")
    await asyncio.wait_for(server.done.wait(), 5)


async def test_nobody_there():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with AsyncScanClient("127.0.0.1", port) as aclient:
            with pytest.raises(ScanServerDisconnected, match="Failed to reach"):
                await aclient.scanInfos()
            with pytest.raises(ScanServerDisconnected):
                await aclient.waitUntilDone(1, patience=0)
        with ScanClient("127.0.0.1", port) as client:
            assert repr(client) == f"ScanClient('127.0.0.1', {port})"
            with pytest.raises(ScanServerDisconnected, match=f"127.0.0.1:{port}"):
                client.pause(1)


async def test_a_server_that_never_answers():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        port = deaf.getsockname()[1]
        async with AsyncScanClient("127.0.0.1", port, timeout=0.05) as client:
            for call in (client.scanInfos(), client.abort(1), client.submit([])):
                with pytest.raises(ScanTimeout, match=r"not answer .* in 0\.05 s"):
                    await call
            with pytest.raises(ScanTimeout, match=r"in 0\.02 s"):
                await client.simulate([], timeout=0.02)


async def test_a_taken_port():
    async with ScanServer(PORT_0) as server:
        second = ScanServer(ScanConfig(port=server.port))
        with pytest.raises(ScanError, match="cannot listen at"):
            await second.start()


async def test_only_loopback_by_default(server: ScanServer):
    assert server.host == "127.0.0.1"
    assert {sock[0] for sock in server._runner.addresses} == {"127.0.0.1"}


async def test_huge_bodies_and_other_sites_are_refused(
    server: ScanServer, monkeypatch: pytest.MonkeyPatch
):
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(trust_env=False) as http:
        body = b"x" * (server_module.LARGEST_BODY + 1)
        headers = {"Content-Type": "text/xml"}
        got = await http.post(f"{url}/scan/x", content=body, headers=headers)
        assert got.status_code == 413
        headers = {"Sec-Fetch-Site": "cross-site"}
        got = await http.get(f"{url}/server/shutdown", headers=headers)
        assert got.status_code == 403
    assert not server.done.is_set()


async def test_many_requests_share_a_connection(server: ScanServer):
    async with AsyncScanClient("127.0.0.1", server.port) as client:
        await client.scanInfos()
        (connection,) = client._http._transport._pool.connections
        for _ in range(5):
            await client.scanInfos()
        assert client._http._transport._pool.connections == [connection]


async def test_json_and_events(server: ScanServer):
    url = f"http://127.0.0.1:{server.port}"
    async with (
        AsyncScanClient("127.0.0.1", server.port) as client,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        scan = await client.submit(
            [Loop("loc://x(0)", 1, 2, 1, Log("loc://x(0)")), FOREVER], "j"
        )
        events: list[tuple[str, Any]] = []
        async with http.stream("GET", f"{url}/api/scan/{scan}/events") as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            kind = ""
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    events.append((kind, json.loads(line[6:])))
                    if kind == "info" and events[-1][1]["state"] == "Running":
                        await client.next(scan)
        kinds = [kind for kind, _ in events]
        assert kinds[-2:] == ["info", "done"]
        assert events[-1][1]["state"] == "Finished"
        samples = [value for kind, value in events if kind == "samples"]
        assert [v for s in samples for v in s["loc://x(0)"]["value"]] == [1.0, 2.0]
        info = (await http.get(f"{url}/api/scan/{scan}")).json()
        assert (info["state"], info["percentage"]) == ("Finished", 100)
        assert (await http.get(f"{url}/api/scans")).json() == [info]
        for query, count in (("limit=0", 0), ("limit=5&state=Finished", 1),
                             ("state=Idle", 0)):  # fmt: skip
            found = (await http.get(f"{url}/api/scans?{query}")).json()
            assert len(found) == count
        data = (await http.get(f"{url}/api/scan/{scan}/data?after=0")).json()
        assert data["loc://x(0)"]["id"] == [1]
        for path in (
            "scan/99",
            "scan/99/data",
            "scan/99/events",
            "x",
            f"scan/{scan}/y",
        ):
            assert (await http.get(f"{url}/api/{path}")).status_code == 404


async def test_watching_a_scan(server: ScanServer):
    async with AsyncScanClient("127.0.0.1", server.port) as client:
        loop = Loop("loc://x(0)", 1, 3, 1, Log("loc://x(0)", "sim://const(2)"))
        scan = await client.submit([loop, FOREVER])
        seen: list[Any] = []
        async for item in client.watch(scan, after=0):
            seen.append(item)
            if isinstance(item, ScanInfo) and item.address == 2:
                await client.next(scan)
        rows = [item for item in seen if isinstance(item, dict)]
        merged = [v for row in rows for v in row["loc://x(0)"]["value"]]
        assert merged == [2.0, 3.0]
        assert seen[-1] == await client.scanInfo(scan)
        assert seen[-1].state == "Finished"
        with pytest.raises(UnknownScan):
            async for _ in client.watch(99):
                raise AssertionError("there is nothing to see")


async def test_a_restart_keeps_ids_and_data(tmp_path: Path):
    config = ScanConfig(port=0, data_log=str(tmp_path / "log.sqlite"))
    async with ScanServer(config) as server:
        async with AsyncScanClient("127.0.0.1", server.port) as client:
            scan = await client.submit([Log("loc://x(3.5)", 'loc://s("a<b")')], "one")
            await client.waitUntilDone(scan)
            running = await client.submit([Log("loc://x(1)"), FOREVER], "two")
        with pytest.raises(ScanError, match="cannot be used"):
            await ScanServer(config).start()
    async with ScanServer(config) as server:
        async with AsyncScanClient("127.0.0.1", server.port) as client:
            infos = await client.scanInfos()
            assert [(info.id, info.state) for info in infos] == [
                (running, "Logged"),
                (scan, "Logged"),
            ]
            assert (infos[0].runtime, infos[0].address, infos[0].command) == (
                0,
                0,
                None,
            )
            data = await client.getData(scan)
            assert data["loc://x(3.5)"]["value"] == [3.5]
            assert data['loc://s("a<b")']["value"] == ["a<b"]
            assert await client.lastSerial(running) == 0
            assert (await client.waitUntilDone(scan)).state == "Logged"
            with pytest.raises(ScanServerError, match="not available for logged scan"):
                await client.scanCmds(scan)
            for harmless in (client.pause, client.next):
                await harmless(scan)
            await client.patch(scan, 0, "value", 1)
            for refused in (client.resume, client.abort):
                with pytest.raises(ScanServerError, match="only logged"):
                    await refused(scan)
            await client.delete(scan)
            newer = await client.submit([Delay(0)])
            assert newer == running + 1


async def test_a_data_log_that_cannot_be_used(tmp_path: Path):
    (tmp_path / "log").write_text("this is no database, it is a text" * 100)
    for path in (tmp_path, tmp_path / "none" / "log", tmp_path / "log"):
        with pytest.raises(ScanError, match="data log"):
            await ScanServer(ScanConfig(port=0, data_log=str(path))).start()


async def test_two_servers_two_clients_many_scans(server: ScanServer):
    async with AsyncScanClient("127.0.0.1", server.port) as client:
        commands = Parallel(
            [Loop(f"loc://{n}(0)", 1, 50, 1, Log(f"loc://{n}(0)")) for n in "abc"]
        )
        scans = await asyncio.gather(
            *(client.submit(commands, queue=bool(i % 2)) for i in range(10))
        )
        infos = await asyncio.gather(*map(client.waitUntilDone, scans))
        assert {info.state for info in infos} == {"Finished"}
        data = await client.getData(scans[3])
        serials = sorted(i for samples in data.values() for i in samples["id"])
        assert serials == list(range(150))
