"""A PandA as an ophyd-async detector, for step and fly scans.

`PandaDetector` is a StandardDetector whose `trigger` and `complete` end as soon as
it is clear how: with all rows, when PCAP ended early, when the writer failed. With
`number_of_events=0` it flies until PCAP ends by itself. What it does with PCAP is in
`pcap_logic`; these two are the only modules that know ophyd-async's detector API,
which still moves.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Literal, cast

from bluesky.protocols import StreamAsset
from ophyd_async.core import (
    AsyncStatus,
    DetectorTrigger,
    PathProvider,
    StandardDetector,
    TriggerInfo,
    WatchableAsyncStatus,
    WatcherUpdate,
)
from ophyd_async.fastcs.panda import PcapBlock

from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_capture import Goal
from beamfly.devices.panda_data import PandaData
from beamfly.devices.panda_report import PandaReport
from beamfly.devices.pcap_logic import (
    PcapAcquireLogic,
    PcapDataLogic,
    PcapTriggerLogic,
)
from beamfly.devices.pcap_wiring import PcapWiring
from beamfly.errors import FrameTimeout, PandaDisconnected
from beamfly.panda.commands import GetLine

log = logging.getLogger(__name__)

PREPARE_TIMEOUT = 15.0
"""Seconds to wait for a `prepare` that nobody waits for any more."""


class PandaTriggerInfo(TriggerInfo):
    """What to `prepare` a PandA for; a plain TriggerInfo does as well."""

    on_missed: Literal["fail", "warn"] = "fail"
    """Whether rows that are missing fail the acquisition, or end it with a warning."""


class PandaDetector(StandardDetector):
    """What step and fly scans do with a PandA; `panda` adds its blocks.

    Args:
        name: Of the device.
        connector: Connects it.
    """

    pcap: PcapBlock
    data: PandaData
    report: PandaReport
    """What became of the last acquisition; filled when it is unstaged."""
    _acquire: PcapAcquireLogic
    _session: PandaSession
    _info: TriggerInfo = TriggerInfo()
    _goal = Goal()
    _preparing: asyncio.Task[Any] | None = None
    _prepared = False
    _kicked = False
    captured = False
    """Whether there was a capture since it was staged."""
    _open_point = False
    """Whether a point was begun that is in no event yet."""
    _forgotten = False
    """Whether that point is not wanted any more."""
    _interrupted = False
    """Whether what it was prepared for has to be prepared once more."""

    def add_pcap_logics(
        self, session: PandaSession, path_provider: PathProvider
    ) -> None:
        """Make it a detector; needs `pcap`, `data` and `report`."""
        trigger = PcapTriggerLogic(PcapWiring(session.link), self.data)
        acquire = PcapAcquireLogic(session, self.pcap, self.data, trigger)
        data = PcapDataLogic(path_provider, self.data, session.link.address)
        self._session, self._acquire = session, acquire
        self.add_detector_logics(trigger, acquire, data)

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Disarm and close what may be left of another acquisition."""
        await self._until_prepared()
        self._prepared = self._kicked = self.captured = False
        self._open_point = self._interrupted = False
        self._goal = Goal()
        await super().stage()

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Disarm, close the file, and fill the report."""
        await self._until_prepared()
        await super().unstage()
        if self.captured:
            self.report.tell(self.data.session.report(self.name, self._expected()))

    async def pause(self) -> None:
        """Forget the point under way: a RunEngine that resumes has it taken again.

        Its row may be in the file, or come yet, and rows cannot be taken back: further
        points go to a file of their own.
        """
        if self._kicked or not self._open_point:
            return
        self._open_point, self._forgotten = False, True
        self.data.session.nudge()
        await self._until_prepared()
        await super().stage()
        self._prepared, self._interrupted = False, True

    async def resume(self) -> None:
        """Nothing: the next point prepares it again."""

    async def collect_asset_docs(
        self, index: int | None = None
    ) -> AsyncIterator[StreamAsset]:
        """Announce rows; what is announced is in an event."""
        async for doc in super().collect_asset_docs(index):
            yield doc
        self._open_point = False

    async def _until_prepared(self) -> None:
        """Wait for a `prepare` under way: it would arm after all was stopped."""
        task = self._preparing
        if task is not None and not task.done():
            await asyncio.wait({task}, timeout=PREPARE_TIMEOUT)

    def _expected(self) -> int:
        """Rows that were asked for since it was staged, -1 for any number."""
        if self._goal.rows is None or not self._info.number_of_events:
            return -1
        return max(self._goal.rows, self._info.number_of_collections)

    @AsyncStatus.wrap
    async def prepare(self, value: TriggerInfo) -> None:
        """Start a file unless there is one, and arm if triggers come from outside.

        Rows are announced from `kickoff` or `trigger` on, even if a PandA that
        triggers all the time has taken some before.
        """
        self._preparing = asyncio.current_task()
        self._info, self._forgotten = value, False
        await super().prepare(value)
        self._prepared, self.captured = True, not self.data.mocked
        self._kicked = False

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """Note what to wait for; arm again if PCAP ended since the last kickoff."""
        events = await self.events_to_kickoff.get_value()
        count = events * self._info.collections_per_event
        before = self._goal
        await self._aim(count if events else None)
        late = self.data.session.progress.rows_received - self._goal.first
        if before.rows and late > 0:
            log.warning(
                "%s: %d rows came since the last kickoff had all it asked for, and "
                "count for this one: gate PCAP so that there are none",
                self.name,
                late,
            )
        self._acquire.exposures = count
        internal = self._info.trigger is DetectorTrigger.INTERNAL
        if self._kicked and not internal:
            await self._acquire.start_acquiring()
        self._kicked = True
        await super().kickoff()
        self.data.announce(self._goal.rows)

    async def _aim(self, count: int | None) -> None:
        """Set the goal, so many rows further than what was announced."""
        first = await self.data.num_captured.get_value()
        rows = None if count is None else first + count
        tolerate = getattr(self._info, "on_missed", "fail") == "warn"
        self._goal = Goal(first, rows, tolerate)

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncGenerator[WatcherUpdate[Any], None]:
        """Wait for the rows that were asked for, or for PCAP to end.

        Raises:
            CaptureError: PCAP ended early, or rows were lost.
            FrameTimeout: Rows stopped coming; says how many there are.
            PandaDisconnected, HdfError: The capture broke.
        """
        if self._goal.rows is None:
            watched = self._until_end()
        else:
            watched = self._watched(super().complete)
        async for update in watched:
            yield update

    @WatchableAsyncStatus.wrap
    async def trigger(self) -> AsyncGenerator[WatcherUpdate[Any], None]:
        """Take one point; raises what `complete` does."""
        self._open_point, self._forgotten = True, False
        if not self._prepared:
            await self.prepare(self._info if self._interrupted else TriggerInfo())
        await self._aim(self._info.collections_per_event)
        self._acquire.exposures = self._info.collections_per_event
        self.data.announce(self._goal.rows)
        async for update in self._watched(super().trigger):
            yield update

    async def _until_end(self) -> AsyncIterator[WatcherUpdate[Any]]:
        """Report rows until PCAP ends."""
        changes: asyncio.Queue[None] = asyncio.Queue()
        goal = self._goal
        with self.data.session.listening(lambda: changes.put_nowait(None)):
            while not self.data.session.is_over(goal):
                rows = await self.data.num_captured.get_value()
                # there is no target, hence no bar
                target = cast(int, None)
                yield WatcherUpdate(rows, goal.first, target, name=self.name, unit="")
                await changes.get()

    async def _watched(
        self, start: Callable[[], WatchableAsyncStatus[Any]]
    ) -> AsyncIterator[WatcherUpdate[Any]]:
        """Pass on what a status of ophyd-async reports; fail as soon as that is due."""
        events: asyncio.Queue[Any] = asyncio.Queue()

        def watcher(**update: Any) -> None:
            events.put_nowait(WatcherUpdate(**update))

        with self.data.session.listening(lambda: events.put_nowait(None)):
            status = start()
            task = cast(asyncio.Task[None], status.task)  # pyright: ignore[reportUnknownMemberType]
            status.watch(cast(Any, watcher))
            status.add_callback(events.put_nowait)
            # it may be over already
            events.put_nowait(None)
            try:
                while True:
                    event = await events.get()
                    if self._forgotten:
                        return
                    if isinstance(event, WatcherUpdate):
                        yield cast(WatcherUpdate[Any], event)
                    elif event is status:
                        await self._ended(status)
                        return
                    elif self._is_over():
                        return
            finally:
                await _cancel(task)

    def _is_over(self) -> bool:
        self._acquire.check_exposing()
        return self.data.session.is_over(self._goal)

    async def _ended(self, status: WatchableAsyncStatus[Any]) -> None:
        error = status.exception()
        if isinstance(error, FrameTimeout) or not isinstance(error, TimeoutError):
            if error is not None:
                raise error
            return
        self.data.session.is_over(self._goal)
        raise FrameTimeout(await self._stalled()) from error

    async def _stalled(self) -> str:
        """Why no rows come, as far as the PandA can tell."""
        rows = await self.data.num_captured.get_value()
        goal = self._goal
        wanted = "" if goal.rows is None else f" of {goal.rows - goal.first}"
        text = (
            f"{self.name}: {rows - goal.first}{wanted} rows, and no further one in "
            f"{self._info.exposure_timeout:g} s"
        )
        asked = ("*PCAP.STATUS", "*PCAP.CAPTURED", "*PCAP.COMPLETION")
        wiring = ("PCAP.ENABLE", "PCAP.TRIG")
        try:
            answers = await self._session.link.send_each(*map(GetLine, asked + wiring))
        except PandaDisconnected as error:
            return f"{text}; {error}"
        status, captured, completion, enable, trig = map(str, answers)
        if status.startswith("Busy"):
            state = f"PCAP is armed with {captured} samples captured"
        else:
            state = f"PCAP is not armed, it ended with {completion}"
        hint = f"PCAP.ENABLE is {enable}, PCAP.TRIG is {trig}: does it pulse?"
        return f"{text}; {state}; {hint}"


async def _cancel(task: asyncio.Task[None]) -> None:
    """End a task, whatever becomes of it.

    Until Python 3.12 a cancellation that meets a result just coming in is lost, hence
    more than one attempt.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    if not task.cancelled():
        # retrieved, or asyncio would complain
        task.exception()
