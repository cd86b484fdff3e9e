"""`ScanClient`: talk to a scan server, and wait for its answers.

`AsyncScanClient` of `aioclient` has the same methods for coroutines.
"""

# ruff: noqa: N802, N803 - names are those that scripts have used for years

import time
import weakref
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


class ScanClient:
    """Talks to a scan server and waits for its answers.

    Connections are kept for further calls. Every method takes the seconds to wait
    for its answer, `timeout` (`request_timeout` where that means something else).

    Args:
        host: name or address of the scan server.
        port: its TCP port.
        timeout: seconds to wait for an answer where a call gives none.

    Every method raises `ScanServerDisconnected` when the server is not there,
    `ScanTimeout` when it does not answer, `ScanServerError` when it refuses, and
    `UnknownScan` when it says that it has no such scan.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = rest.DEFAULT_PORT,
        timeout: float = 20.0,
    ) -> None:
        self._connection = Connection(host, port, timeout)
        self._http = httpx.Client(**http_options())
        weakref.finalize(self, self._http.close)

    def __repr__(self) -> str:
        return f"ScanClient('{self._connection.host}', {self._connection.port})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections; the client is of no use afterwards."""
        self._http.close()

    def call(self, call: Call[T], timeout: float | None = None) -> T:
        """The answer to any call of `rest`."""
        try:
            got = self._http.request(**self._connection.arguments(call, timeout))
        except httpx.HTTPError as error:
            raise self._connection.error(call, error, timeout) from error
        kind = got.headers.get("content-type", "")
        return call.answer(HttpReply(got.status_code, got.content, kind))

    def serverInfo(self, timeout: float | None = None) -> str:
        """What the server tells of itself, as XML."""
        return self.call(rest.GetServerInfo(), timeout)

    def simulate(self, cmds: Any, timeout: float | None = None) -> dict[str, Any]:
        """What a scan would do: `simulation` is a text, `seconds` how long it takes.

        Args:
            cmds: commands, a `CommandSequence`, or XML.
            timeout: seconds to wait for the answer.
        """
        return self.call(rest.Simulate(submission(cmds)), timeout)

    def loopGeneration(self, timeout: float | None = None) -> int:
        """How the server goes through loops: 1, 2 or 3, see `points`."""
        got = self.simulate(PROBE, timeout)
        return loop_generation(got["simulation"])

    def submit(
        self,
        cmds: Any,
        name: str = "UnNamed",
        queue: bool = True,
        timeout: float = 0,
        deadline: str | None = None,
        pre_post: bool = True,
        request_timeout: float | None = None,
    ) -> int:
        """Have a scan executed.

        Args:
            cmds: commands, a `CommandSequence`, or XML.
            name: any text.
            queue: whether to wait for other queued scans; else it starts at once.
            timeout: whole seconds that the scan may run, 0 for ever.
            deadline: local time of the server, `yyyy-mm-dd HH:MM:SS`, at which the
                scan is aborted.
            pre_post: whether the server's pre- and post-scan are executed.
            request_timeout: seconds to wait for the answer.

        Returns:
            Id of the scan.
        """
        call = submit_call(cmds, name, queue, timeout, deadline, pre_post)
        return self.call(call, request_timeout)

    def scanInfos(self, timeout: float | None = None) -> list[ScanInfo]:
        """All scans, newest first."""
        return self.call(rest.ListScans(), timeout)

    def scanInfo(
        self,
        scanID: int,
        timeout: float | None = None,
    ) -> ScanInfo:
        """State and progress of a scan."""
        return self.call(rest.GetScan(scanID), timeout)

    def scanCmds(self, scanID: int, timeout: float | None = None) -> str:
        """Commands of a scan, as XML that can be submitted again."""
        return self.call(rest.GetCommands(scanID), timeout)

    def scanDevices(
        self,
        scanID: int = -1,
        timeout: float | None = None,
    ) -> str:
        """Devices that a scan uses, as XML; -1 for those that are configured."""
        return self.call(rest.GetDevices(scanID), timeout)

    def getData(
        self,
        scanID: int,
        after: int | None = None,
        timeout: float | None = None,
    ) -> ScanData:
        """Logged data of a scan; see `data` for what to make of them.

        Args:
            scanID: id of the scan.
            after: only samples with a greater serial.
            timeout: seconds to wait for the answer.
        """
        return self.call(rest.GetData(scanID, after), timeout)

    def lastSerial(self, scanID: int, timeout: float | None = None) -> int:
        """Serial of what was logged last, counted from 0; -1 if nothing was."""
        return self.call(rest.GetLastSerial(scanID), timeout)

    def waitUntilDone(
        self,
        scanID: int,
        timeout: float | None = None,
        patience: float = 30.0,
    ) -> ScanInfo:
        """Wait for the end of a scan.

        Args:
            scanID: id of the scan.
            timeout: seconds, None for ever.
            patience: seconds that the server may be out of reach meanwhile.

        Returns:
            The last info of the scan.

        Raises:
            ScanFailed: the scan failed; the message says why.
            ScanAborted: the scan was aborted.
            ScanTimeout: the scan did not end in time; it goes on.
            UnknownScan: there is no such scan, or not any more.
        """
        waiting = Waiting(scanID, time.monotonic(), timeout, patience)
        while True:
            try:
                info = self.scanInfo(scanID)
            except UNREACHED as error:
                waiting.lost(error, time.monotonic())
            else:
                if waiting.saw(info, time.monotonic()):
                    return info
            time.sleep(waiting.pause(time.monotonic()))

    def pause(self, scanID: int = -1, timeout: float | None = None) -> None:
        """Pause a running scan before its next command; -1 for all."""
        self.call(rest.Control(scanID, "pause"), timeout)

    def resume(self, scanID: int = -1, timeout: float | None = None) -> None:
        """Let a paused scan go on; -1 for all."""
        self.call(rest.Control(scanID, "resume"), timeout)

    def abort(self, scanID: int = -1, timeout: float | None = None) -> None:
        """Abort a scan; -1 for all."""
        self.call(rest.Control(scanID, "abort"), timeout)

    def next(self, scanID: int, timeout: float | None = None) -> None:
        """End the current command of a running scan and go on with the following."""
        self.call(rest.Control(scanID, "next"), timeout)

    def move(self, scanID: int, steps: int, timeout: float | None = None) -> None:
        """Move a waiting scan in the queue: steps below 0 are earlier, above 0 later.

        Nothing happens if it cannot be moved so far.
        """
        self.call(rest.Move(scanID, steps), timeout)

    def patch(
        self,
        scanID: int,
        address: int,
        property: str,
        value: Any,
        timeout: float | None = None,
    ) -> None:
        """Change a command of a scan that is not done.

        Args:
            scanID: id of the scan.
            address: which command; they are counted from 0, bodies included.
            property: such as value, seconds, start, end, step_size, timeout.
            value: what it shall be.
            timeout: seconds to wait for the answer.
        """
        self.call(rest.Patch(scanID, address, property, str(value)), timeout)

    def delete(self, scanID: int, timeout: float | None = None) -> None:
        """Forget a scan that is done; nothing happens while it is not."""
        self.call(rest.Delete(scanID), timeout)

    def clear(self, timeout: float | None = None) -> None:
        """Forget all scans that are done."""
        self.call(rest.ClearScans(), timeout)

    def shutdown(self, timeout: float | None = None) -> str:
        """End the server."""
        return self.call(rest.Shutdown(), timeout)
