"""The scan server: sockets, a clock and files around the engine.

```python
async with ScanServer(ScanConfig(port=0)) as server:
    print(server.port)
```

Listens on the loopback interface unless told otherwise: whoever reaches the port can
move the beamline.
"""

import asyncio
import json
import logging
import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from types import TracebackType
from typing import Self

from aiohttp import web

from beamfly.errors import BeamflyError, ScanError, UnknownScan
from beamfly.scan import documents as docs
from beamfly.scan.call import HttpReply, HttpRequest
from beamfly.scan.channels import Channels, ChannelTable, NoChannels
from beamfly.scan.config import ScanConfig
from beamfly.scan.engine import Engine
from beamfly.scan.info import ACTIVE_STATES, ServerInfo
from beamfly.scan.library import FileLibrary
from beamfly.scan.local import LocalChannels
from beamfly.scan.routes import Routes
from beamfly.scan.scripts import ScriptHost
from beamfly.scan.sqlite import SqliteStore
from beamfly.scan.store import BATCH, MemoryStore, Store

LOOPBACK = "127.0.0.1"
PROTOCOL_VERSION = "4.7.0"
LARGEST_BODY = 16 * 1024 * 1024
FLUSH_PERIOD = 0.5
EVENT_PERIOD = 0.05
"""Seconds between two messages of an event stream at least."""

_log = logging.getLogger(__name__)


class ScanServer:
    """Serves scans over HTTP.

    Args:
        config: how; port 0 takes any that is free.
        host: address to listen at.
        channels: where PVs come from that are neither `loc://` nor `sim://`.
    """

    def __init__(
        self,
        config: ScanConfig | None = None,
        host: str = LOOPBACK,
        channels: Channels | None = None,
    ):
        self.config = config or ScanConfig()
        self.host = host
        self.port = self.config.port
        """The TCP port, known for certain once the server has started."""
        self.done = asyncio.Event()
        """Set when a client has asked for the end of the server."""
        self._offset = time.time() - time.monotonic()
        self._channels = channels or NoChannels()
        self._runner: web.AppRunner | None = None
        self._timer: asyncio.Handle | None = None
        self._soon = False
        self._stopping = False
        self._flush_due = 0.0
        self._changed = asyncio.Event()
        self._store: Store = MemoryStore()

    def now(self) -> float:
        """Seconds since 1970 by a clock that never jumps."""
        return time.monotonic() + self._offset

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the data log and listen.

        Raises:
            ScanError: the data log cannot be used, or the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        if self.config.data_log:
            self._store = SqliteStore(self.config.data_log)
        now = self.now()
        self._started = int(now * 1000)
        local = LocalChannels(now)
        channels = ChannelTable({"loc://": local, "sim://": local}, self._channels)
        scripts = ScriptHost(
            self.config.paths, self._store, self._loop.call_soon_threadsafe
        )
        library = FileLibrary(self.config.paths, scripts)
        self.engine = Engine(
            self.config, channels, self._store, library, now, self._wake, scripts
        )
        self._routes = Routes(self.engine, self._server_info, self._shutdown)
        await self._listen()
        self._wake()

    async def _listen(self) -> None:
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_get("/api/scan/{id}/events", self._events)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.config.port)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            where = f"{self.host}:{self.config.port}"
            msg = f"The scan server cannot listen at {where}: {error.strerror}"
            raise ScanError(msg) from None
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Abort all scans, give up the port and close the data log."""
        if hasattr(self, "engine"):
            self.engine.give_up("server stopped", self.now())
            self.engine.advance(self.now())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._soon = True
        self._stopping = True
        self._changed.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._store.close()

    # the engine's turns

    def _wake(self) -> None:
        """Give the engine a turn as soon as the loop is free."""
        if not self._soon:
            self._soon = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._soon = False
        now = self.now()
        self.engine.advance(now)
        if now >= self._flush_due or self.engine.idle:
            self._flush(now)
        self._changed.set()
        self._changed = asyncio.Event()
        due = self.engine.next_wakeup()
        if self._soon:
            return
        if due is not None and due <= now:
            self._wake()
            return
        # an idle server looks after its data log and nothing else
        limit = 60.0 if self.engine.idle else FLUSH_PERIOD
        delay = limit if due is None else min(limit, due - now)
        self._timer = self._loop.call_later(delay, self._turn)

    def _flush(self, now: float) -> None:
        self._flush_due = now + FLUSH_PERIOD
        try:
            self._store.flush()
        except ScanError as error:
            _log.error("%s", error)
            self.engine.give_up(str(error), now)

    # HTTP

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        got = await self._answer(request)
        headers = {"Content-Type": got.content_type} if got.content_type else {}
        if got.more is not None and request.method != "HEAD":
            return await _send_pieces(request, got, headers)
        return web.Response(status=got.status, body=got.body, headers=headers)

    async def _answer(self, request: web.Request) -> HttpReply:
        said = HttpRequest(
            request.method,
            request.rel_url.raw_path,
            dict(request.query),
            content_type=request.headers.get("Content-Type", ""),
        )
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return docs.refused(said, 403, "A page of another site asked for this")
        try:
            body = await request.read() if request.can_read_body else None
        except web.HTTPRequestEntityTooLarge:
            most = f"{LARGEST_BODY // 1024**2} MB"
            return docs.refused(said, 413, f"The body is larger than {most}")
        answer: asyncio.Future[HttpReply] = self._loop.create_future()

        def reply(got: HttpReply) -> None:
            if not answer.done():
                answer.set_result(got)

        said = replace(said, body=body)
        self._routes.handle(said, self.now(), request.remote or "?", reply)
        self._wake()
        return await answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Info and samples of one scan as they come, as server-sent events."""
        try:
            scan = int(request.match_info["id"])
            last = int(request.query.get("after", "-1"))
            self.engine.info(scan)
        except (ValueError, BeamflyError) as error:
            text = json.dumps({"error": str(error)})
            raise web.HTTPNotFound(text=text, content_type=docs.JSON) from None
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionResetError, UnknownScan):
            await self._stream(response, scan, last)
            await response.write_eof()
        return response

    async def _stream(self, response: web.StreamResponse, scan: int, last: int) -> None:
        """Until the scan has ended, is deleted, or the reader is gone."""
        while True:
            changed = self._changed
            info = self.engine.info(scan)
            last = await self._send_rows(response, scan, last)
            await _send(response, "info", docs.info_json(info))
            if info.state not in ACTIVE_STATES or self._stopping:
                break
            # nothing is gathered for a slow reader: it gets what there is by then
            await asyncio.sleep(EVENT_PERIOD)
            await changed.wait()
        await _send(response, "done", {"id": scan, "state": info.state})

    async def _send_rows(
        self, response: web.StreamResponse, scan: int, last: int
    ) -> int:
        logged = self.engine.last_serial(scan)
        while last < logged:
            # all of a serial together, and not too many of them at once
            until = min(logged, last + BATCH)
            rows = self.engine.rows(scan, last, until)
            await _send(response, "samples", docs.data_json(rows))
            last = until
        return last

    def _shutdown(self) -> None:
        self._loop.call_soon(self.done.set)

    def _server_info(self) -> ServerInfo:
        macros = ", ".join(f"{k}={v}" for k, v in self.config.macros.items())
        return ServerInfo(
            PROTOCOL_VERSION,
            self._started,
            self.config.source,
            list(self.config.paths),
            macros,
            *_memory(),
            f"beamfly {version('beamfly')}",
        )


async def _send_pieces(
    request: web.Request, got: HttpReply, headers: dict[str, str]
) -> web.StreamResponse:
    """Send a large document; scans have their turn after each piece."""
    response = web.StreamResponse(status=got.status, headers=headers)
    await response.prepare(request)
    await response.write(got.body)
    for piece in got.more or ():
        if piece:
            await response.write(piece)
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def _send(response: web.StreamResponse, kind: str, value: object) -> None:
    text = f"event: {kind}\ndata: {json.dumps(value)}\n\n"
    await response.write(text.encode("utf-8"))


def _memory() -> tuple[int, int]:
    """Most bytes that this process has used, bytes of the machine; 0 if unknown."""
    if sys.platform == "win32":
        return 0, 0
    import resource

    # macOS counts bytes, others kilobytes
    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return used, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
