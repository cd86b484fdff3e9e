"""`ScanFlyer`: what both flyers of a scan server have in common.

Prepare it for a `ScanPlan`, or just for commands, which the server simulates first;
`kickoff` submits the scan, and `complete` follows it. What becomes of rows is up to the
subclass and its `RowStream`: see `scan_flyer`.

The scan belongs to the run: it is paused and resumed with the RunEngine, and whatever
unstages the flyer before the scan has ended, such as a plan that fails or an abort of
the RunEngine, aborts it on the server. After a pause nothing is replayed, so no scan is
ever submitted twice.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any, Generic, TypeVar

from bluesky.protocols import Flyable, Hints, Pausable, Preparable, Stoppable
from bluesky.utils import NoReplayAllowed
from event_model import DataKey
from ophyd_async.core import (
    AsyncStatus,
    Device,
    DeviceConnector,
    StandardReadable,
    WatchableAsyncStatus,
    WatcherUpdate,
    soft_signal_r_and_setter,
)
from ophyd_async.core import StandardReadableFormat as Format

from beamfly.devices.scan_check import check_with_server
from beamfly.devices.scan_columns import ScanColumn, describe_columns
from beamfly.devices.scan_plan import (
    Contents,
    ScanPlan,
    column_names,
    stream_layouts,
)
from beamfly.devices.scan_progress import progress_of
from beamfly.devices.scan_rows import RowBuilder, ScanRow, StreamLayout
from beamfly.devices.scan_session import ScanSession
from beamfly.devices.scan_streams import RowStream
from beamfly.errors import BadValue
from beamfly.scan.aioclient import AsyncScanClient
from beamfly.scan.info import ScanInfo
from beamfly.scan.rest import DEFAULT_PORT

StreamT = TypeVar("StreamT", bound=RowStream)


class ScanServerConnector(DeviceConnector):
    """Asks the scan server who it is."""

    async def connect_real(
        self, device: Device, timeout: float, force_reconnect: bool
    ) -> None:
        """Connect the signals, and see that the server answers.

        Raises:
            ScanServerDisconnected: It is not there.
        """
        await super().connect_real(device, timeout, force_reconnect)
        if isinstance(device, ScanFlyer):
            await device.meet(timeout)  # pyright: ignore[reportUnknownMemberType]


class ScanFlyer(
    StandardReadable, Preparable, Flyable, Pausable, Stoppable, Generic[StreamT]
):
    """A scan server as a flyer; reading it tells what the scan is doing.

    Args:
        host: Name or address of the scan server, with `:port` if need be.
        port: Its TCP port, unless `host` says it.
        name: Of the device.
        describe_timeout: Seconds that PVs may take to tell type and units; those that
            do not are taken for numbers.
        patience: Seconds that the server may be out of reach in the middle of a scan.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = DEFAULT_PORT,
        name: str = "",
        *,
        describe_timeout: float = 2.0,
        patience: float = 30.0,
    ) -> None:
        self.host, _, said = host.partition(":")
        self.port = int(said) if said else port
        self.describe_timeout = describe_timeout
        self.patience = patience
        self.plan: ScanPlan | None = None
        """What it is prepared for."""
        self.columns: list[ScanColumn] = []
        """Of the rows, once it is prepared."""
        self.streams: dict[str, StreamT] = {}
        """Where rows go, once it is prepared: `primary` and maybe others."""
        self._contents: Contents | None = None
        self._session: ScanSession | None = None
        self._preparing: object = None
        self._submission: asyncio.Task[None] | None = None
        self._met = self._ours = False
        self.url = f"http://{self.host}:{self.port}"
        """Of the scan server."""
        with self.add_children_as_readables(Format.CONFIG_SIGNAL):
            self.server, _ = soft_signal_r_and_setter(str, self.url)
            self.commands, self._set_commands = soft_signal_r_and_setter(str)
        with self.add_children_as_readables():
            self.scan_id, self._set_id = soft_signal_r_and_setter(int, -1)
            self.state, self._set_state = soft_signal_r_and_setter(str)
            self.rows, self._set_rows = soft_signal_r_and_setter(int)
            self.error, self._set_error = soft_signal_r_and_setter(str)
            self.runtime, self._set_runtime = soft_signal_r_and_setter(float, units="s")
        self.progress, self._set_progress = soft_signal_r_and_setter(float, units="%")
        self.command, self._set_command = soft_signal_r_and_setter(str)
        super().__init__(name, connector=ScanServerConnector())

    # what becomes of rows

    @abstractmethod
    def _make_stream(self, layout: StreamLayout) -> StreamT:
        """What takes the rows of a stream."""

    def _check_columns(self, columns: list[ScanColumn]) -> None:
        """BadValue if such columns cannot be stored."""

    @property
    def only_stream(self) -> StreamT:
        """Where all rows go; BadValue if there is not just one such stream."""
        self._prepared()
        if len(self.streams) > 1:
            names = ", ".join(self.streams)
            msg = f"{self.name} has several streams ({names}): collect its `streams`"
            raise BadValue(msg)
        (stream,) = self.streams.values()
        return stream

    async def describe_collect(self) -> dict[str, DataKey]:
        """Data keys with units and types, taken from the PVs where known.

        Raises:
            BadValue: The scan has several streams: those describe themselves.
        """
        return await self.only_stream.describe_collect()

    async def _begin(self) -> None:
        for stream in self.streams.values():
            await stream.begin()

    async def _take(self, rows: list[ScanRow]) -> None:
        by_stream = sorted(rows, key=lambda row: row.stream)
        for name, own in groupby(by_stream, key=lambda row: row.stream):
            await self.streams[name].deliver(list(own))
        self._set_rows(await self.rows.get_value() + len(rows))

    async def _end(self) -> None:
        for stream in self.streams.values():
            await stream.end(str(self.failure or "Finished"))

    # what plans and the RunEngine do

    async def meet(self, timeout: float) -> None:
        """See that the server answers, and whether it is one of ours."""
        async with AsyncScanClient(self.host, self.port, timeout) as client:
            self._ours = "<implementation>beamfly" in await client.serverInfo()
        self._met = True

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Forget the last scan; abort it if it is still running."""
        await self._stop()
        await self._end()
        await super().stage()
        self._session = self.plan = self._contents = None
        self.streams = {}
        self._show(None)
        self._set_rows(0)

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Abort the scan if it has not ended; rows so far can still be collected."""
        try:
            await self._stop()
        finally:
            await self._end()
            await super().unstage()

    @AsyncStatus.wrap
    async def prepare(self, value: Any) -> None:
        """Get ready for a `ScanPlan`, commands, or XML; nothing is submitted yet.

        Raises:
            BadValue: The commands make no sense, or their data cannot be stored.
            ScanServerError: The server says that the scan cannot run.
        """
        if self._session is not None and not self._session.over:
            raise BadValue(f"{self.name} is busy with scan {self._session.id}")
        this = self._preparing = object()
        plan = ScanPlan.of(value)
        contents = Contents.of(plan.commands)
        columns = await describe_columns(
            column_names(plan, contents),
            plan.dtypes,
            contents.always,
            self.describe_timeout,
        )
        layouts = stream_layouts(plan, contents, columns)
        self._check_columns(columns)
        if plan.check and self._met:
            await check_with_server(self.host, self.port, contents.xml)
        if self._preparing is not this:
            # prepared again meanwhile, as a RunEngine does after a pause
            return
        self.columns, self.plan, self._contents = columns, plan, contents
        self.streams = {layout.name: self._make_stream(layout) for layout in layouts}
        self._session = None
        self._set_commands(contents.xml.decode())

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """Submit the scan, and wait until it leaves the server's queue.

        A scan that was submitted already is not submitted again; prepare first.

        Raises:
            ScanServerError: The server refused it, with the server's own reason.
        """
        plan, contents = self._prepared()
        if self._session is None:
            self._session = ScanSession(
                AsyncScanClient(self.host, self.port),
                RowBuilder(stream.layout for stream in self.streams.values()),
                self._take,
                self._told,
                atomic=self._ours,
                patience=self.patience,
            )
            submission = self._session.submit(self._begin, contents.xml, plan)
            self._submission = asyncio.create_task(submission)
        session = self._session
        await self._submitted()
        while not session.started:
            await session.changed()

    async def _submitted(self) -> None:
        """Wait until the scan is submitted; raises what came in the way."""
        if self._submission is not None:
            # there may be several to wait for it, and one may be cancelled
            await asyncio.shield(self._submission)

    def _prepared(self) -> tuple[ScanPlan, Contents]:
        if self.plan is None or self._contents is None:
            raise BadValue(f"{self.name} is not prepared; nothing was submitted")
        return self.plan, self._contents

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Follow the scan to its end.

        Raises:
            ScanFailed: It failed; the message has the server's own reason.
            ScanAborted: Somebody else has aborted it.
            ScanServerDisconnected: The server was out of reach for too long.
        """
        session = await self._submitted_scan()
        while not session.over:
            update = progress_of(self.name, session.info)
            if update is not None:
                yield update
            await session.changed()
        session.verdict()

    async def pause(self) -> None:
        """Pause the scan with the RunEngine, which must not replay what was done."""
        if self._session is not None:
            await self._session.pause()
            raise NoReplayAllowed

    async def resume(self) -> None:
        """Let the scan go on with the RunEngine."""
        if self._session is not None:
            await self._session.resume()

    async def stop(self, success: bool = True) -> None:
        """Abort the scan if it has not ended; `complete` is done then."""
        del success
        await self._stop()

    async def _stop(self) -> None:
        if self._session is not None:
            await self._session.abort()

    async def next(self) -> None:
        """End the current command of the scan; it goes on with the following one.

        Nothing happens if it has ended.

        Raises:
            BadValue: No scan was kicked off.
        """
        await (await self._submitted_scan()).next()

    async def move(self, steps: int) -> None:
        """Move the scan in the server's queue, if it still waits there.

        Args:
            steps: Below 0 is earlier, above 0 later.

        Raises:
            BadValue: No scan was kicked off.
        """
        await (await self._submitted_scan()).move(steps)

    async def _submitted_scan(self) -> ScanSession:
        if self._session is None:
            raise BadValue(f"{self.name} was not kicked off; there is no scan")
        await self._submitted()
        return self._session

    # what is told

    @property
    def scan(self) -> ScanInfo | None:
        """What the server told of the scan last."""
        return None if self._session is None else self._session.info

    @property
    def failure(self) -> Exception | None:
        """Why the last scan did not finish, None if it did or is still running."""
        return None if self._session is None else self._session.error

    @property
    def unexpected(self) -> set[str]:
        """Devices that the scan has logged and that are in no column."""
        return set() if self._session is None else self._session.unexpected

    def metadata(self) -> dict[str, Any]:
        """What can be said of the scan in a start document, once it is prepared."""
        plan, contents = self._prepared()
        server: dict[str, Any] = {"host": self.host, "port": self.port}
        server |= {"name": plan.name, "commands": contents.xml.decode()}
        return {"scan_server": server, **contents.metadata()}

    def data_name_of(self, device: str) -> str | None:
        """Name of the data of a device, or of what it is read back with.

        None if neither is logged.
        """
        loops = self._contents.loops if self._contents else []
        named = {loop.device: loop.readback for loop in loops}
        keys = {column.device: self._key(column.key) for column in self.columns}
        return keys.get(device) or keys.get(named.get(device, ""))

    @property
    def axes(self) -> set[str]:
        """Devices of loops, and those that they are read back with."""
        loops = self._contents.loops if self._contents else []
        return {name for loop in loops for name in (loop.device, loop.readback)}

    @property
    def hints(self) -> Hints:
        """What to plot: everything that is logged, loop devices apart."""
        shown = [c.key for c in self.columns if c.device not in self.axes]
        return {"fields": [self._key(key) for key in shown]}

    def _key(self, name: str) -> str:
        return f"{self.name}-{name}"

    def _told(self) -> None:
        session = self._session
        if session is not None:
            self._set_id(-1 if session.id is None else session.id)
            self._show(session.info)
            self._set_error(str(session.error or ""))

    def _show(self, info: ScanInfo | None) -> None:
        self._set_state("" if info is None else info.state)
        self._set_command("" if info is None else info.command or "")
        self._set_progress(0.0 if info is None else float(info.percentage()))
        self._set_runtime(0.0 if info is None else info.runtime / 1000)
        if info is None:
            self._set_error("")
            self._set_id(-1)
