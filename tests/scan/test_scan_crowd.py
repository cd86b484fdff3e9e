"""Many clients, slow ones, greedy ones and garbage: scans go on as if nothing was."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamfly.errors import ScanServerError
from beamfly.scan import AsyncScanClient, Delay, Include, Log, Loop, ScanClient
from beamfly.scan.channels import Reading
from beamfly.scan.config import ScanConfig
from beamfly.scan.server import ScanServer
from scan_serving import ThreadedScanServer, scan_server

CLIENTS = 50
SAMPLES = 40_000
X = "loc://x(0)"


@pytest.fixture
async def server() -> AsyncIterator[ScanServer]:
    async with ScanServer(ScanConfig(port=0)) as running:
        yield running


def fill(server: ScanServer) -> int:
    """A scan that has logged a lot; its id."""
    scan = server.engine.submit("<commands/>", server.now(), "large")
    for serial in range(SAMPLES):
        server.engine.store.log(scan, serial, "a", Reading(float(serial), serial))
    return scan


async def run(server: ScanServer, number: int = 0) -> list[object]:
    """What a scan logs that some client has executed at once."""
    async with AsyncScanClient("127.0.0.1", server.port) as client:
        name = f"loc://client{number}(0)"
        loop = Loop(name, 1, 20, 1, [Delay(0.001), Log(name)])
        scan = await client.submit(loop, queue=False)
        await client.waitUntilDone(scan, timeout=30)
        return (await client.getData(scan))[name]["value"]


async def test_many_clients_at_once(server: ScanServer):
    answers = await asyncio.gather(*(run(server, number) for number in range(CLIENTS)))
    assert answers == [list(range(1, 21))] * CLIENTS
    assert {info.state for info in server.engine.infos()} == {"Finished"}


async def test_clients_that_do_not_read_hold_nobody_up(server: ScanServer):
    scan = fill(server)
    request = "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n"
    paths = [f"scan/{scan}/data", f"api/scan/{scan}/data", f"api/scan/{scan}/events"]
    links: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    for path in paths * 2:
        link = socket.socket()
        link.setblocking(False)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)
        await loop.sock_connect(link, ("127.0.0.1", server.port))
        await loop.sock_sendall(link, request.format(path).encode())
        links.append(link)
    assert await run(server) == list(range(1, 21))
    # the first of them gets everything all the same, if it reads after all
    got = b""
    while not got.endswith(b"</data>\n\r\n0\r\n\r\n"):
        got += await loop.sock_recv(links[0], 2**20)
    assert got.count(b"<sample ") == SAMPLES
    for link in links:
        link.close()


async def test_scans_go_on_while_a_client_fetches_a_lot(server: ScanServer):
    scan = fill(server)
    async with AsyncScanClient("127.0.0.1", server.port) as client:
        running = await client.submit(Loop(X, 1, 1e9, 1), queue=False)
        before = server.engine.info(running).performed_work_units
        seen: list[int] = []
        plain = server.engine.advance

        def advance(now: float) -> None:
            plain(now)
            seen.append(server.engine.info(running).performed_work_units)

        server.engine.advance = advance
        data = await client.getData(scan)
        assert data["a"]["value"] == [float(n) for n in range(SAMPLES)]
        assert len(set(seen)) > 10
        assert seen[-1] > before


async def test_a_lot_as_json_and_as_events(server: ScanServer):
    scan = fill(server)
    server.engine.store.log(scan, SAMPLES, 'b"', Reading(float("nan"), 5))
    url = f"http://127.0.0.1:{server.port}/api/scan/{scan}"
    async with httpx.AsyncClient(trust_env=False) as http:
        data = (await http.get(f"{url}/data")).json()
        assert data["a"]["id"] == data["a"]["time"] == list(range(SAMPLES))
        assert data["a"]["value"] == [float(n) for n in range(SAMPLES)]
        assert data['b"'] == {"id": [SAMPLES], "time": [5], "value": ["NaN"]}
        text = (await http.get(f"{url}/events")).text
    parts = [json.loads(x[6:]) for x in text.splitlines() if x.startswith('data: {"a"')]
    assert len(parts) > 10
    assert [n for part in parts for n in part["a"]["id"]] == list(range(SAMPLES))


# garbage


@pytest.fixture(scope="module")
def threaded() -> Iterator[ThreadedScanServer]:
    with scan_server() as running:
        yield running


LINES = st.sampled_from(
    [b"GET /scans HTTP/1.1\r\n", b"POST /scan/x HTTP/1.1\r\n", b"GET / HTTP/9.9\r\n",
     b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: x\r\n",
     b"Transfer-Encoding: chunked\r\n", b"zz\r\n", b"\r\n", b"Host: \xff\r\n",
     b"Content-Type: text/xml\r\n", b"PUT /scan/1/patch\r\n", b": \r\n",
     b"Content-Encoding: gzip\r\n"]
)  # fmt: skip


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.one_of(LINES, st.binary(max_size=30)), max_size=8))
def test_garbage_on_the_wire_is_answered_or_hung_up_on(threaded, parts):
    with socket.create_connection(("127.0.0.1", threaded.port), 20) as link:
        link.sendall(b"".join(parts))
        link.shutdown(socket.SHUT_WR)
        while link.recv(65536):
            pass
    with ScanClient("127.0.0.1", threaded.port) as client:
        client.scanInfos()


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<commands><comment><text>&b;</text></comment></commands>"
)


def test_what_is_refused_is_refused_with_a_reason(threaded):
    deep = "<sequence><body>" * 5000 + "</body></sequence>" * 5000
    with ScanClient("127.0.0.1", threaded.port) as client:
        for scan, reason in (
            (BOMB, "XML with a document type or entities is refused"),
            ([Include("../../etc/passwd")], "only files below the script paths"),
            ([Include("/etc/passwd")], "only files below the script paths"),
            (f"<commands>{deep}</commands>", "XML nests deeper than 100 elements"),
        ):
            for ask in (client.submit, client.simulate):
                with pytest.raises(ScanServerError) as refused:
                    ask(scan)
                assert refused.value.status == 400
                assert reason in refused.value.reason, refused.value.reason
        assert client.scanInfos() == []


def test_errors_have_the_form_that_their_clients_read(threaded):
    with httpx.Client(trust_env=False) as http:
        url = f"http://127.0.0.1:{threaded.port}"
        json_error = http.get(f"{url}/api/scan/99")
        assert (json_error.status_code, json_error.json()) == (
            404,
            {"error": "Unknown scan ID 99"},
        )
        assert "Unknown" in http.get(f"{url}/api/scan/99/events").json()["error"]
        assert http.get(f"{url}/api/scan/x").json() == {
            "error": "Cannot parse path element 'x'"
        }
        for method, path in (("PUT", "scan/99/pause"), ("DELETE", "scan/99")):
            got = http.request(method, f"{url}/{path}")
            assert got.status_code == 400
            assert "<message>Unknown scan ID 99</message>" in got.text
        page = http.get(f"{url}/scan/99")
        assert (page.status_code, page.headers["content-type"][:9]) == (
            500,
            "text/html",
        )
