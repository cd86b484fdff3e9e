"""`AsyncScanClient`: talk to a scan server from coroutines.

See `ScanClient` of `client` for what each method takes, gives and raises.
"""

# ruff: noqa: N802, N803 - names are those that scripts have used for years

import asyncio
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from beamfly.scan import rest
from beamfly.scan.call import Call, HttpReply
from beamfly.scan.connection import (
    UNREACHED,
    Connection,
    http_options,
    submit_call,
)
from beamfly.scan.data import ScanData
from beamfly.scan.info import ScanInfo
from beamfly.scan.points import PROBE, loop_generation
from beamfly.scan.sequence import submission
from beamfly.scan.waiting import Waiting

T = TypeVar("T")


class AsyncScanClient:
    """Talks to a scan server from coroutines.

    Methods, arguments, answers and errors are those of `ScanClient`.

    Args:
        host: name or address of the scan server.
        port: its TCP port.
        timeout: seconds to wait for an answer where a call gives none.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = rest.DEFAULT_PORT,
        timeout: float = 20.0,
    ) -> None:
        self._connection = Connection(host, port, timeout)
        self._http = httpx.AsyncClient(**http_options())

    def __repr__(self) -> str:
        return f"AsyncScanClient('{self._connection.host}', {self._connection.port})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the connections; the client is of no use afterwards."""
        await self._http.aclose()

    async def call(self, call: Call[T], timeout: float | None = None) -> T:
        """The answer to any call of `rest`."""
        try:
            got = await self._http.request(**self._connection.arguments(call, timeout))
        except httpx.HTTPError as error:
            raise self._connection.error(call, error, timeout) from error
        kind = got.headers.get("content-type", "")
        return call.answer(HttpReply(got.status_code, got.content, kind))

    async def serverInfo(self, timeout: float | None = None) -> str:
        """What the server tells of itself, as XML."""
        return await self.call(rest.GetServerInfo(), timeout)

    async def simulate(self, cmds: Any, timeout: float | None = None) -> dict[str, Any]:
        """What a scan would do: `simulation` is a text, `seconds` how long it takes."""
        return await self.call(rest.Simulate(submission(cmds)), timeout)

    async def loopGeneration(self, timeout: float | None = None) -> int:
        """How the server goes through loops: 1, 2 or 3, see `points`."""
        got = await self.simulate(PROBE, timeout)
        return loop_generation(got["simulation"])

    async def submit(
        self,
        cmds: Any,
        name: str = "UnNamed",
        queue: bool = True,
        timeout: float = 0,
        deadline: str | None = None,
        pre_post: bool = True,
        request_timeout: float | None = None,
    ) -> int:
        """Have a scan executed."""
        call = submit_call(cmds, name, queue, timeout, deadline, pre_post)
        return await self.call(call, request_timeout)

    async def scanInfos(self, timeout: float | None = None) -> list[ScanInfo]:
        """All scans, newest first."""
        return await self.call(rest.ListScans(), timeout)

    async def scanInfo(
        self,
        scanID: int,
        timeout: float | None = None,
    ) -> ScanInfo:
        """State and progress of a scan."""
        return await self.call(rest.GetScan(scanID), timeout)

    async def scanCmds(self, scanID: int, timeout: float | None = None) -> str:
        """Commands of a scan, as XML that can be submitted again."""
        return await self.call(rest.GetCommands(scanID), timeout)

    async def scanDevices(
        self,
        scanID: int = -1,
        timeout: float | None = None,
    ) -> str:
        """Devices that a scan uses, as XML; -1 for those that are configured."""
        return await self.call(rest.GetDevices(scanID), timeout)

    async def getData(
        self,
        scanID: int,
        after: int | None = None,
        timeout: float | None = None,
    ) -> ScanData:
        """Logged data of a scan; see `data` for what to make of them."""
        return await self.call(rest.GetData(scanID, after), timeout)

    async def lastSerial(self, scanID: int, timeout: float | None = None) -> int:
        """Serial of what was logged last, counted from 0; -1 if nothing was."""
        return await self.call(rest.GetLastSerial(scanID), timeout)

    async def waitUntilDone(
        self,
        scanID: int,
        timeout: float | None = None,
        patience: float = 30.0,
    ) -> ScanInfo:
        """Wait for the end of a scan."""
        waiting = Waiting(scanID, time.monotonic(), timeout, patience)
        while True:
            try:
                info = await self.scanInfo(scanID)
            except UNREACHED as error:
                waiting.lost(error, time.monotonic())
            else:
                if waiting.saw(info, time.monotonic()):
                    return info
            await asyncio.sleep(waiting.pause(time.monotonic()))

    async def watch(
        self, scanID: int, after: int = -1
    ) -> AsyncGenerator[ScanInfo | ScanData, None]:
        """What happens to a scan, as it happens; for servers of beamfly.

        Args:
            scanID: id of the scan.
            after: only samples with a greater serial.

        Yields:
            `ScanInfo` whenever state or progress change, and further samples as
            `getData` gives them; samples come before the info that follows them. The
            last item is the info of the scan that has ended.

        Raises:
            UnknownScan: there is no such scan, or the server cannot do this.
        """
        call = rest.Watch(scanID, after)
        arguments = self._connection.arguments(call, None)
        # a scan may be silent for hours, and only the first answer has to be in time
        arguments["timeout"] = httpx.Timeout(self._connection.timeout, read=None)
        try:
            async with self._http.stream(**arguments) as got:
                if got.status_code != 200:
                    call.answer(HttpReply(got.status_code, await got.aread()))
                kind = ""
                async for line in got.aiter_lines():
                    name, _, text = line.partition(": ")
                    if name == "event":
                        kind = text
                    elif name == "data" and kind in rest.EVENTS:
                        yield rest.EVENTS[kind](text)
        except httpx.HTTPError as error:
            raise self._connection.error(call, error, None) from error

    async def pause(self, scanID: int = -1, timeout: float | None = None) -> None:
        """Pause a running scan before its next command; -1 for all."""
        await self.call(rest.Control(scanID, "pause"), timeout)

    async def resume(self, scanID: int = -1, timeout: float | None = None) -> None:
        """Let a paused scan go on; -1 for all."""
        await self.call(rest.Control(scanID, "resume"), timeout)

    async def abort(self, scanID: int = -1, timeout: float | None = None) -> None:
        """Abort a scan; -1 for all."""
        await self.call(rest.Control(scanID, "abort"), timeout)

    async def next(self, scanID: int, timeout: float | None = None) -> None:
        """End the current command of a running scan and go on with the following."""
        await self.call(rest.Control(scanID, "next"), timeout)

    async def move(self, scanID: int, steps: int, timeout: float | None = None) -> None:
        """Move a waiting scan in the queue, below 0 to earlier, above 0 to later."""
        await self.call(rest.Move(scanID, steps), timeout)

    async def patch(
        self,
        scanID: int,
        address: int,
        property: str,
        value: Any,
        timeout: float | None = None,
    ) -> None:
        """Change a command of a scan that is not done."""
        await self.call(rest.Patch(scanID, address, property, str(value)), timeout)

    async def delete(self, scanID: int, timeout: float | None = None) -> None:
        """Forget a scan that is done; nothing happens while it is not."""
        await self.call(rest.Delete(scanID), timeout)

    async def clear(self, timeout: float | None = None) -> None:
        """Forget all scans that are done."""
        await self.call(rest.ClearScans(), timeout)

    async def shutdown(self, timeout: float | None = None) -> str:
        """End the server."""
        return await self.call(rest.Shutdown(), timeout)
