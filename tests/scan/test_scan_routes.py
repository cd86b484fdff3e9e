"""Any request has an answer; a server that stops leaves nothing waiting."""

import asyncio
import xml.etree.ElementTree as ET

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_rig import Rig

from beamfly.errors import ScanServerDisconnected
from beamfly.scan import AsyncScanClient, Delay, Log, Script, Wait
from beamfly.scan.call import HttpReply, HttpRequest
from beamfly.scan.config import ScanConfig
from beamfly.scan.rest import (
    ClearScans,
    Control,
    Delete,
    GetCommands,
    GetData,
    GetDevices,
    GetLastSerial,
    GetScan,
    GetServerInfo,
    ListScans,
    Move,
    Patch,
    Shutdown,
    Simulate,
    Submit,
)
from beamfly.scan.server import ScanServer

PARTS = st.sampled_from(
    ["", "scan", "scans", "server", "simulate", "api", "1", "-1", "99", "data", "pause",
     "abort", "next", "move", "patch", "completed", "info", "events", "x", "%2F", "%ff",
     "devices", "commands", "last_serial", "1.5", "\u0661"]
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"<commands/>", b"<commands><delay><seconds>1</seconds></delay></commands>",
     b"<commands><set><device>loc://x</device></set></commands>", b"\xff\x00", b"<",
     b"<patch/>", b"<patch><address>0</address><property>seconds</property></patch>"]
)  # fmt: skip
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "TRACE"]),
        st.lists(PARTS, min_size=1, max_size=4),
        st.sampled_from(
            ["", "after=1", "after=x", "timeout=3", "timeout=x", "queue=FALSE",
             "deadline=2040-01-01%2000:00:00", "deadline=x", "pre_post=false"]
        ),
        BODIES,
        st.sampled_from(["text/xml", "application/xml; charset=utf-8", "", "x"]),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(REQUESTS)
def test_every_request_is_answered(requests):
    rig = Rig(ScanConfig(read_timeout=0.1))
    for method, parts, query, body, kind in requests:
        path = "/" + "/".join(parts)
        rig.now += 0.01
        replies: list[HttpReply] = []
        pairs = dict([query.split("=", 1)]) if query else {}
        said = HttpRequest(method, path, pairs, body, kind)
        rig.routes.handle(said, rig.now, "peer", replies.append)
        rig.sleep(0.2)
        (reply,) = replies
        assert reply.status in (200, 400, 404, 405, 500)
        if reply.status == 200 and reply.content_type.startswith("text/xml"):
            ET.fromstring(reply.body)


@pytest.mark.parametrize(
    "call",
    [
        GetServerInfo(), ListScans(), ClearScans(), GetScan(1), GetCommands(1),
        GetDevices(-1), GetData(1, after=0), GetData(1), GetLastSerial(1), Delete(1),
        Control(-1, "pause"), Control(1, "resume"), Control(1, "next"), Move(1, -2),
        Patch(1, 0, "seconds", "3"), Control(1, "abort"), Shutdown(),
        Submit(b"<commands/>", "ä/ö ü", False, 5, None, False),
        Simulate(b"<commands/>"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_call_of_the_client_is_understood(call):
    rig = Rig()
    rig.submit("<delay><seconds>2</seconds></delay>")
    replies: list[HttpReply] = []
    rig.routes.handle(call.request(), rig.now, "peer", replies.append)
    rig.settle()
    call.answer(replies[0])
    if isinstance(call, Submit):
        assert rig.engine.infos()[0].name == "ä/ö ü"


def test_a_name_of_its_own_for_nameless_scans():
    rig = Rig()
    body = "<commands/>"
    for path, name in (
        ("/scan", "Scan from 127.0.0.1"),
        ("/scan/", ""),
        ("/scan/a/b", "a/b"),
        ("/scan/" + "x" * 200, "x" * 100),
    ):
        assert rig.request("POST", path, body).status == 200
        assert rig.engine.infos()[0].name == name


async def test_stopping_ends_scans_streams_and_simulations():
    async with ScanServer(ScanConfig(port=0)) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with (
            AsyncScanClient("127.0.0.1", server.port) as client,
            httpx.AsyncClient(trust_env=False, timeout=10) as http,
        ):
            scan = await client.submit([Log("loc://x(1)"), Wait("loc://x(1)", 2)])
            async with http.stream("GET", f"{url}/api/scan/{scan}/events") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == "event: samples"
                stopping = asyncio.create_task(server.stop())
                rest = [line async for line in lines]
            await stopping
            assert '"error": "Aborted (server stopped)"' in "".join(rest)
            with pytest.raises(ScanServerDisconnected):
                await client.scanInfos()


async def test_a_reader_that_goes_away_and_a_scan_that_is_deleted():
    async with ScanServer(ScanConfig(port=0)) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with (
            AsyncScanClient("127.0.0.1", server.port) as client,
            httpx.AsyncClient(trust_env=False, timeout=10) as http,
        ):
            scan = await client.submit([Wait("loc://x(1)", 2)])
            async with http.stream("GET", f"{url}/api/scan/{scan}/events") as stream:
                assert await anext(stream.aiter_lines()) == "event: info"
            async with http.stream("GET", f"{url}/api/scan/{scan}/events") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == "event: info"
                await client.abort(scan)
                await client.delete(scan)
                rest = [line async for line in lines]
            assert rest
            second = await client.submit([Delay(0)])
            assert (await client.waitUntilDone(second)).isDone()


async def test_stopping_while_a_script_is_running(tmp_path):
    (tmp_path / "waiting.py").write_text(
        "class Waiting:\n"
        "    def getDeviceNames(self):\n        return ['loc://a(0)']\n"
        "    def run(self, context):\n"
        "        context.write('loc://a(0)', 1, 'loc://b(0)', timeout=0.0)\n"
    )
    async with ScanServer(ScanConfig(port=0, paths=[str(tmp_path)])) as server:
        async with AsyncScanClient("127.0.0.1", server.port) as client:
            scan = await client.submit([Script("Waiting")])
            while (await client.scanInfo(scan)).address != 0:
                pass
