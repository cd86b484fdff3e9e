"""Recorded replies of a genuine server, played to both clients over a socket."""

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scan_recording import recorded

from beamfly.errors import ScanAborted, ScanFailed, ScanServerError, UnknownScan
from beamfly.scan import AsyncScanClient, Delay, ScanClient

SHELLS = {
    "aioclient", "client", "connection", "library", "script_context", "scripts",
    "server", "sqlite", "spreadsheet", "settings", "table",
}  # fmt: skip
"""Modules that talk to sockets, files, threads or clocks."""
READERS = {"settings", "spreadsheet", "table"}
"""Those that read a file when they are told to, and are made of cores otherwise."""
BANNED = {"socket", "asyncio", "threading", "time", "os", "random", "sqlite3", "httpx",
          "aiohttp", "pathlib", "concurrent"}  # fmt: skip

FAILED = (
    b"<scan><id>7</id><name>n</name><created>1</created><state>Failed</state>"
    b"<runtime>1</runtime><address>-1</address><command>- end -</command>"
    b"<error>no light</error></scan>"
)
OTHERS = {("GET", "/scan/7"): (200, FAILED), ("PUT", "/scan/220/pause"): (200, b"")}


def replies() -> dict[tuple[str, str], tuple[int, bytes]]:
    """The last recorded reply to each request."""
    found = dict(OTHERS)
    for name in ("t1", "t2", "t5"):
        for method, path, status, body in recorded(name):
            for end in (b"</scans>", b"</scan>", b"</html>"):
                if end in body:
                    # what a probe printed afterwards is no part of the reply
                    body = body[: body.find(end) + len(end)]
                    break
            found[method, path] = status, body
    return found


class Player:
    """Answers as recorded, over connections that are kept."""

    def __init__(self) -> None:
        self.replies = replies()
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            method, path, _ = line.decode().split(" ")
            length = 0
            while (header := (await reader.readline()).strip()) != b"":
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            await reader.readexactly(length)
            status, body = self.replies[method, path]
            kind = "text/xml" if status == 200 else "text/html;charset=iso-8859-1"
            head = f"HTTP/1.1 {status} Reason\r\nContent-Type: {kind}\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()


async def talk(ask: Callable[..., Awaitable[Any]]) -> None:
    info = await ask("waitUntilDone", 220)
    assert (info.id, info.name, info.state) == (220, "My First Scan", "Finished")
    assert [info.id for info in await ask("scanInfos")] == [220]
    assert await ask("lastSerial", 220) == 0
    assert (await ask("getData", 220))["wf"]["value"] == ["[1.5, 2.0, 3.0, 0.0]"]
    assert "<wait>false</wait>" in await ask("scanCmds", 220)
    assert "<alias>wf1</alias>" in await ask("scanDevices", 220)
    assert await ask("submit", [Delay(1)], "My First Scan") == 220
    await ask("pause", 220)
    await ask("clear")
    with pytest.raises(UnknownScan, match="The scan server has no scan 999"):
        await ask("waitUntilDone", 999)
    with pytest.raises(ScanServerError, match=r"is there a scan 999") as caught:
        await ask("abort", 999)
    assert caught.value.status == 400
    with pytest.raises(ScanFailed, match="no light"):
        await ask("waitUntilDone", 7)
    with pytest.raises(ScanAborted, match="stale deadline"):
        await ask("waitUntilDone", 324)


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_both_clients_understand_a_genuine_server(kind: str):
    player = Player()
    server = await asyncio.start_server(player, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if kind == "asyncio":
        async with AsyncScanClient("127.0.0.1", port) as aclient:
            await talk(lambda name, *args: getattr(aclient, name)(*args))
    else:
        with ScanClient("127.0.0.1", port) as client:
            await talk(
                lambda name, *args: asyncio.to_thread(getattr(client, name), *args)
            )
    assert len(player.writers) == 1, "the connection was not kept"
    server.close()
    for writer in player.writers:
        writer.close()
        await writer.wait_closed()


def test_cores_know_no_sockets_files_threads_or_clocks():
    folder = Path(__file__).parents[2] / "src" / "beamfly" / "scan"
    seen = 0
    for path in folder.glob("*.py"):
        if path.stem in SHELLS | {"__init__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in BANNED, (path.name, name)
                shell = name.removeprefix("beamfly.scan.")
                assert shell not in SHELLS - READERS, path.name
        seen += 1
    assert seen > 25
