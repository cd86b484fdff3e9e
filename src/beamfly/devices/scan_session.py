"""One scan on a scan server, from its submission to its end; knows nothing of Bluesky.

One task does all the talking: it asks how far the scan is, fetches rows, and sees to it
that the scan is paused, resumed or aborted as wanted. So a pause that is wanted while
the scan still waits in the queue, or while the server is out of reach, takes effect as
soon as it can, and requests never overtake each other.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from beamfly.devices.scan_plan import ScanPlan
from beamfly.devices.scan_rows import RowBuilder, ScanRow
from beamfly.errors import (
    BeamflyError,
    ScanAborted,
    ScanFailed,
    ScanServerDisconnected,
    ScanTimeout,
    UnknownScan,
)
from beamfly.scan import rest
from beamfly.scan.aioclient import AsyncScanClient
from beamfly.scan.connection import UNREACHED
from beamfly.scan.info import ACTIVE_STATES, ScanInfo
from beamfly.scan.waiting import Waiting

log = logging.getLogger(__name__)
_T = TypeVar("_T")

FIRST_PERIOD, LONGEST_PERIOD = 0.05, 0.5
"""Seconds between two questions, right after something has changed, and at last."""
SHARE = 4.0
"""The next question comes after so many times what the last one took."""
PAUSE_TIMEOUT = 5.0
"""Seconds to wait until the scan is paused, or goes on, before going on without."""
ABORT_TIMEOUT = 30.0
"""Seconds that a scan may take to end, its post-scan included, once it is aborted."""

ABANDON_TIMEOUT = 2.0
"""Seconds that the server may take to abort a scan that is given up."""

_START_TIME = re.compile(r"<start_time>\s*(\d+)")

Deliver = Callable[[list[ScanRow]], Awaitable[None]]


class ScanSession:
    """A scan from its submission to its end.

    Args:
        client: Of the scan server; closed at the end.
        rows: Makes rows of what the scan logs.
        deliver: Is given rows, in order, none twice.
        told: Called whenever `info` has changed.
        atomic: Whether all samples of a `Log` appear together, as with our server.
        patience: Seconds that the server may be out of reach.
    """

    def __init__(
        self,
        client: AsyncScanClient,
        rows: RowBuilder,
        deliver: Deliver,
        told: Callable[[], None],
        *,
        atomic: bool,
        patience: float,
    ) -> None:
        self.id: int | None = None
        """Number that the server gave it, None until it is submitted."""
        self.info: ScanInfo | None = None
        """What the server told last."""
        self.over = False
        """Whether it has ended and all rows are delivered, or it is given up."""
        self.error: Exception | None = None
        """Why it is over, None if it has finished."""
        self.aborted_here = False
        """Whether its end was wanted here."""
        self._client = client
        self._rows = rows
        self._deliver = deliver
        self._told = told
        self._atomic = atomic
        self._patience = patience
        self._hold = False
        self._held = False
        self._event = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ordering = asyncio.Lock()
        self._lost_at: float | None = None
        self._fetched = -1
        self._forgotten = False
        self._began = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def unexpected(self) -> set[str]:
        """Devices that were logged and are in no column."""
        return self._rows.unexpected

    @property
    def started(self) -> bool:
        """Whether it has left the queue, or is over."""
        return self.over or (self.info is not None and self.info.state != "Idle")

    async def submit(
        self, begin: Callable[[], Awaitable[None]], xml: bytes, plan: ScanPlan
    ) -> None:
        """Submit it and follow it from now on; the server's refusal is raised.

        Args:
            begin: Awaited first; nothing is submitted if it fails.
            xml: The commands.
            plan: Everything else.
        """
        try:
            await begin()
            self._began = await self._server_start()
            self.id = await self._client.submit(xml, **plan.settings())
        except BaseException as error:
            self.over = True
            self.error = error if isinstance(error, Exception) else None
            await self._client.close()
            self._tell()
            raise
        self._waiting = Waiting(self.id, time.monotonic(), None, self._patience)
        self._task = asyncio.create_task(self._follow())

    # for those who wait

    async def changed(self) -> None:
        """Return when something has changed, at once if it is over."""
        if not self.over:
            await self._event.wait()

    def _tell(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()
        self._told()

    async def _until(self, what: Callable[[], bool], seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self.over or what()):
                    await self.changed()
        return self.over or what()

    # what is wanted of it

    async def pause(self) -> None:
        """Have it paused as soon as it runs; logs a warning if that takes long."""
        self._hold = True
        self._hurry.set()
        await self._expect(lambda info: info.state != "Running", "paused")

    async def resume(self) -> None:
        """Let it go on, if it was paused here."""
        self._hold = False
        self._hurry.set()
        await self._expect(lambda _: not self._held, "resumed")

    async def _expect(self, what: Callable[[ScanInfo], bool], word: str) -> None:
        def so() -> bool:
            return self.info is not None and what(self.info)

        if not await self._until(so, PAUSE_TIMEOUT):
            log.warning(
                "Scan %s is not %s yet: the server does not answer; it will be",
                self.id,
                word,
            )

    async def next(self) -> None:
        """End its current command; nothing happens if it is over."""
        await self._unless_over(lambda: self._client.next(self._number))

    async def move(self, steps: int) -> None:
        """Move it in the queue, below 0 to earlier, if it still waits there."""
        await self._unless_over(lambda: self._client.move(self._number, steps))

    async def _unless_over(self, order: Callable[[], Awaitable[None]]) -> None:
        async with self._ordering:
            if not self.over:
                await order()

    async def abort(self) -> None:
        """Have it aborted, and wait for its end; nothing happens if it is over.

        Raises:
            ScanTimeout: It did not end in time; it may still run.
        """
        if self.over:
            return
        self.aborted_here = True
        self._hurry.set()
        if not await self._until(lambda: False, ABORT_TIMEOUT):
            await self.give_up()
            msg = (
                f"Scan {self.id} did not end within {ABORT_TIMEOUT:g} s of being "
                "aborted; see to it on the scan server"
            )
            raise ScanTimeout(msg)

    async def give_up(self) -> None:
        """Follow it no more, whatever becomes of it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def verdict(self) -> None:
        """Raise why it is over, unless it has finished or its end was wanted here."""
        if self.error is not None and not self.aborted_here:
            raise self.error

    # the one who talks

    async def _follow(self) -> None:
        period = FIRST_PERIOD
        try:
            while True:
                self._hurry.clear()
                before = time.monotonic(), self.info, self._rows.last
                if await self._look():
                    break
                took = time.monotonic() - before[0]
                still = before[1:] == (self.info, self._rows.last)
                period = min(LONGEST_PERIOD, period * 1.5) if still else FIRST_PERIOD
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(period, SHARE * took)):
                        await self._hurry.wait()
        except Exception as error:
            # of the server, or of whoever takes the rows, such as a disk that is full
            self.error = error
            await self._abandon()
        finally:
            self.over = True
            try:
                # before it is told: who waits for the end may end the loop; not in the
                # middle of an order, which could be left with a connection of its own
                async with self._ordering:
                    await self._client.close()
            finally:
                self._tell()

    async def _abandon(self) -> None:
        """Nobody follows the scan any more, so it must not go on."""
        if self._forgotten:
            return
        try:
            call = rest.Control(self._number, "abort")
            await self._client.call(call, ABANDON_TIMEOUT)
        except BeamflyError as error:
            log.warning("Scan %s may still be running: %s", self.id, error)

    async def _look(self) -> bool:
        """Ask, act, fetch; whether it is over."""
        now = time.monotonic()
        try:
            info = await self._ask()
            ended = self._ended(info, now)
            if not ended and await self._act(info):
                info = await self._ask()
            await self._fetch(ended)
        except UNREACHED as error:
            self._lost(error, now)
            return False
        self._lost_at = None
        if info != self.info:
            self.info = info
            self._tell()
        return ended

    @property
    def _number(self) -> int:
        return self.id if self.id is not None else -1

    def _lost(self, error: Exception, now: float) -> None:
        if self._lost_at is None:
            self._lost_at = now
            log.warning("Scan %s: %s; asking again", self.id, error)
        away = now - self._lost_at
        if away >= self._patience:
            msg = (
                f"The scan server was out of reach for {away:.1f} s, so scan {self.id} "
                "is not followed any more and may still be running; "
                f"{self._kept()} ({error})"
            )
            raise ScanServerDisconnected(msg) from error

    def _kept(self) -> str:
        last = self._rows.last
        return (
            f"its rows up to serial {last} are kept" if last >= 0 else "it has no rows"
        )

    async def _ask(self) -> ScanInfo:
        """How far the scan is; ScanFailed if it is not there any more."""
        info = await self._of_known(self._client.scanInfo(self._number))
        known = self.info
        if known is not None and known.created != info.created:
            # the server counts from 1 again, and this is somebody else's
            raise await self._missing()
        return info

    async def _of_known(self, answer: Awaitable[_T]) -> _T:
        """An answer about the scan; ScanFailed if the server has forgotten it."""
        try:
            return await answer
        except UnknownScan as error:
            raise await self._missing() from error

    async def _missing(self) -> ScanFailed:
        """Why the server does not know the scan any more."""
        self._forgotten = True
        if await self._server_start() == self._began:
            said = "was deleted on the scan server, so it is not known how it ended"
        else:
            said = "did not end: the scan server was restarted meanwhile"
        return ScanFailed(f"Scan {self.id} {said}; {self._kept()}", self.info)

    async def _server_start(self) -> int:
        """When the server was started, in milliseconds since 1970; 0 if not known."""
        found = _START_TIME.search(await self._client.serverInfo())
        return int(found[1]) if found else 0

    def _ended(self, info: ScanInfo, now: float) -> bool:
        """Whether the server will do no more; `error` says if it did not finish."""
        if info.state == "Logged":
            said = "did not end: the scan server was restarted meanwhile"
            kept = "all rows that its data log has are kept"
            self.error = ScanFailed(f"Scan {self.id} {said}; {kept}", info)
            return True
        try:
            return self._waiting.saw(info, now)
        except (ScanFailed, ScanAborted) as error:
            self.error = error
            return True

    async def _act(self, info: ScanInfo) -> bool:
        """See to it that the scan is as wanted; whether anything was done."""
        verb = self._verb(info)
        if verb is None:
            return False
        await self._of_known(self._client.call(rest.Control(self._number, verb)))
        return True

    def _verb(self, info: ScanInfo) -> str | None:
        if self.aborted_here:
            return "abort" if info.state in ACTIVE_STATES else None
        if self._hold and info.state == "Running":
            self._held = True
            return "pause"
        if not self._hold and self._held:
            # if somebody else has let it go on, there is nothing to do
            self._held = False
            return "resume" if info.state == "Paused" else None
        return None

    async def _fetch(self, ended: bool) -> None:
        """Get and deliver what was logged since."""
        last = await self._of_known(self._client.lastSerial(self._number))
        if last <= (self._rows.last if ended else self._fetched):
            return
        call: Any = rest.GetData(self._number, self._rows.last, texts=True)
        data = await self._of_known(self._client.call(call))
        rows = self._rows.take(data, ended or self._atomic)
        self._fetched = last
        if rows:
            await self._deliver(rows)
            self._tell()
