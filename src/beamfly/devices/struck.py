"""A multi-channel scaler (Struck SIS3801 or SIS3820) that flies, and counts.

```python
mcs = Struck("BL:SIS1:", "/data/today", inputs=8, scaler="BL:SCALER", name="mcs")
RE(fly(mcs, num=1000, livetime=0.01, trigger="internal"))   # by its own clock
RE(fly(mcs, num=1000))                                      # by pulses from outside
RE(count([mcs], 10))
```

Each point goes to an HDF5 file as a row, while it counts. Columns have the names of
the scaler's channels, those without a name are left out; without a scaler they are
mca1 and so on. Any driver that has the PVs of `SIS38XX.template` will do.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from ophyd_async.core import (
    AsyncStatus,
    DetectorAcquireLogic,
    DetectorDataLogic,
    DetectorTriggerLogic,
    Device,
    DeviceVector,
    NotConnectedError,
    PathProvider,
    SignalDict,
    SignalR,
    SignalRW,
    SignalW,
    StandardDetector,
    StreamableDataProvider,
    StrictEnum,
    WatchableAsyncStatus,
    WatcherUpdate,
)
from ophyd_async.epics.core import EpicsDevice, EpicsOptions, PvSuffix

from beamfly.devices.ca import CaConnector, ca_signal_r, ca_signal_rw
from beamfly.devices.panda import as_path_provider
from beamfly.devices.record_fields import (
    OnDemandFields,
    RecordConnector,
    plain_pv,
    record_of,
)
from beamfly.devices.struck_run import StruckRun
from beamfly.errors import BadValue, CATimeout


class Advance(StrictEnum):
    """ChannelAdvance: what ends a point and begins the next."""

    INTERNAL = "Internal"
    EXTERNAL = "External"


class StruckInput(Device):
    """An input: the mca or waveform record that has its counts.

    Args:
        prefix: Name of the record.
    """

    def __init__(self, prefix: str) -> None:
        self.source = record_of(prefix)
        """Name of the record."""
        self.counts: SignalR[Any] = ca_signal_r(None, f"{self.source}.VAL")
        """VAL: counts of each point that is complete."""
        super().__init__(connector=RecordConnector(self.source, ("mca", "waveform")))


class StruckTrigger(DetectorTriggerLogic):
    """Says how points follow each other."""

    def __init__(self, device: "Struck") -> None:
        self._device = device

    def get_deadtime(self, config_values: SignalDict) -> float:
        """None: a point begins where the one before has ended."""
        return 0.0

    async def prepare_internal(
        self, num: int, livetime: float, deadtime: float
    ) -> None:
        """Points of equal length; BadValue for time in between."""
        device = self._device
        if deadtime:
            msg = (
                f"{device.name} has no dead time, and cannot wait {deadtime:g} s "
                "between two points; nothing was set"
            )
            raise BadValue(msg)
        await device.set_points(num)
        if livetime:
            await device.dwell.set(livetime)
        await device.channel_advance.set(Advance.INTERNAL)

    async def prepare_edge(self, num: int, livetime: float) -> None:
        """Points from pulse to pulse, however long that is."""
        device = self._device
        await device.set_points(num)
        await device.prescale.set(1)
        await device.channel_advance.set(Advance.EXTERNAL)


class StruckAcquire(DetectorAcquireLogic):
    """Starts and stops."""

    def __init__(self, run: StruckRun) -> None:
        self._run = run

    async def start_acquiring(self) -> None:
        """Erase and start."""
        await self._run.start()

    async def wait_for_idle(self) -> None:
        """Until all points are in the file; raises why they are not."""
        if self._run.task is not None:
            await self._run.task

    async def ensure_stopped(self) -> None:
        """Stop; the points so far are kept."""
        await self._run.stop()


class StruckData(DetectorDataLogic):
    """A file from stage to unstage."""

    def __init__(self, device: "Struck", run: StruckRun) -> None:
        self._device, self._run = device, run

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        """Look up the names of the inputs, and begin a file."""
        columns = await self._device.find_inputs()
        return await self._run.open(datakey_name, columns)

    def get_hinted_fields(self, datakey_name: str) -> Sequence[str]:
        """All inputs."""
        return self._run.names

    async def stop(self) -> None:
        """Close the file."""
        await self._run.stop()


class Struck(StandardDetector, EpicsDevice, OnDemandFields):
    """A multi-channel scaler.

    Args:
        prefix: What its PVs start with, with the colon.
        path_provider: Where files go; a directory gets files with unique names.
        inputs: How many there are: PVs mca1 and so on.
        scaler: Name of a scaler record on the same inputs, which has their names and
            does not count meanwhile; empty: none.
        name: Of the device.
    """

    kind = "struck"
    channel_advance: Annotated[SignalRW[Advance], PvSuffix("ChannelAdvance")]
    """ChannelAdvance"""
    prescale: Annotated[SignalRW[int], PvSuffix("Prescale")]
    """Prescale: pulses for a point."""
    dwell: Annotated[SignalRW[float], PvSuffix("Dwell")]
    """Dwell: seconds of a point that its own clock ends."""
    preset_real: Annotated[SignalRW[float], PvSuffix("PresetReal")]
    """PresetReal: seconds after which it stops in any case, 0 for never."""
    elapsed_real: Annotated[SignalR[float], PvSuffix("ElapsedReal")]
    """ElapsedReal: seconds since it was started."""
    points: Annotated[SignalRW[int], PvSuffix("NuseAll")]
    """NuseAll: points after which it stops."""
    current_channel: Annotated[SignalR[int], PvSuffix("CurrentChannel")]
    """CurrentChannel: points that are complete."""
    acquiring: Annotated[SignalR[bool], PvSuffix("Acquiring")]
    """Acquiring"""
    # these are complete when everything is over
    erase_start: Annotated[
        SignalW[bool], PvSuffix("EraseStart"), EpicsOptions(wait=False)
    ]
    """EraseStart"""
    stop_all: Annotated[SignalW[bool], PvSuffix("StopAll"), EpicsOptions(wait=False)]
    """StopAll"""
    read_all: Annotated[SignalW[bool], PvSuffix("DoReadAll"), EpicsOptions(wait=False)]
    """DoReadAll: has the inputs read now."""

    def __init__(
        self,
        prefix: str,
        path_provider: PathProvider | Path | str,
        inputs: int = 8,
        scaler: str = "",
        name: str = "",
    ) -> None:
        self.record = plain_pv(prefix)
        self._on_demand = {}
        self._was_continuous = False
        connector = CaConnector(self.record)
        # the logics need some of them
        connector.create_children_from_annotations(self)
        numbers = range(1, inputs + 1)
        self.inputs = DeviceVector(
            {n: StruckInput(f"{self.record}mca{n}") for n in numbers}
        )
        """mca1 and so on."""
        if scaler:
            self.labels = DeviceVector(
                {n: ca_signal_r(str, f"{scaler}.NM{n}") for n in numbers}
            )
            """NM1 and so on of the scaler: names of the inputs."""
            self.scaler_continuous = ca_signal_rw(bool, f"{scaler}.CONT")
            """CONT of the scaler: whether it counts again and again by itself."""
        self._scaler = scaler
        self._run = StruckRun(self, as_path_provider(path_provider))
        self.add_detector_logics(
            StruckTrigger(self), StruckAcquire(self._run), StruckData(self, self._run)
        )
        self.add_config_signals(  # pyright: ignore[reportUnknownMemberType]
            self.channel_advance, self.prescale, self.dwell, self.preset_real
        )
        super().__init__(name=name, connector=connector)

    def field_pv(self, field: str) -> str:
        """The PV of a setting."""
        return f"{self.record}{field}"

    async def find_inputs(self) -> dict[str, StruckInput]:
        """Look up which inputs have a name; column -> input, in order.

        Raises:
            BadValue: Two inputs have the same name, or none has one.
        """
        if not self._scaler:
            return {f"mca{n}": self.inputs[n] for n in sorted(self.inputs)}
        numbers = sorted(self.labels)
        texts = await asyncio.gather(*(self.labels[n].get_value() for n in numbers))
        found: dict[str, int] = {}
        for number, text in zip(numbers, texts, strict=True):
            column = re.sub(r"\W+", "_", text.strip())
            if column in found:
                first = found[column]
                msg = (
                    f"channels {first} and {number} of {self._scaler} are both called "
                    f"{text.strip()!r}: rename one (NM{first} or NM{number}); nothing "
                    "was counted"
                )
                raise BadValue(msg)
            if column:
                found[column] = number
        if not found:
            msg = f"no channel of {self._scaler} has a name; nothing was counted"
            raise BadValue(msg)
        return {column: self.inputs[number] for column, number in found.items()}

    async def set_points(self, num: int) -> None:
        """Set how many points to take, 0 for as many as there is room for.

        Raises:
            BadValue: There is no room for so many; nothing was set.
        """
        try:
            room = int(await self.field("MaxChannels").get())
        except NotConnectedError:
            # not every version has it
            room = num
        if num > room:
            msg = (
                f"{self.name} has room for {room} points, not for {num}; nothing was "
                "set"
            )
            raise BadValue(msg)
        await self.points.set(num or room)

    # ---- what a detector does, with what goes wrong told at once

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Stop it, and keep a scaler on the same inputs from counting."""
        await super().stage()
        if self._scaler:
            self._was_continuous = await self.scaler_continuous.get_value()
            await self.scaler_continuous.set(False)

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Stop, close the file, and have the scaler do what it did before."""
        await super().unstage()
        if self._scaler and self._was_continuous:
            self._was_continuous = False
            await self.scaler_continuous.set(True)

    @WatchableAsyncStatus.wrap
    async def trigger(self) -> AsyncGenerator[WatcherUpdate[Any], None]:
        """Take one point."""
        async for update in self._watched(super().trigger):
            yield update

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncGenerator[WatcherUpdate[Any], None]:
        """Wait until all points are in the file.

        Raises:
            CAError: It has ended early, or does not answer.
            CATimeout: No further point came.
        """
        async for update in self._watched(super().complete):
            yield update

    async def _watched(
        self, start: Callable[[], WatchableAsyncStatus[Any]]
    ) -> AsyncIterator[WatcherUpdate[Any]]:
        """Pass on what a status reports; fail as soon as the acquisition does."""
        updates: asyncio.Queue[Any] = asyncio.Queue()

        def watcher(**update: Any) -> None:
            updates.put_nowait(WatcherUpdate(**update))

        status = start()
        waiting = cast(asyncio.Task[None], status.task)  # pyright: ignore[reportUnknownMemberType]
        status.watch(cast(Any, watcher))
        status.add_callback(updates.put_nowait)
        watched: asyncio.Task[None] | None = None
        try:
            while True:
                # a trigger starts one only now
                task = self._run.task
                if task is not None and task is not watched:
                    watched = task
                    watched.add_done_callback(updates.put_nowait)
                update = await updates.get()
                if isinstance(update, WatcherUpdate):
                    yield cast(WatcherUpdate[Any], update)
                elif update is status:
                    await self._ended(status.exception())
                    return
                elif not update.cancelled() and update.exception() is not None:
                    raise update.exception()
        finally:
            # a cancellation that meets a result just coming in is lost
            while not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting}, timeout=0.05)

    async def _ended(self, error: BaseException | None) -> None:
        if error is None:
            return
        if not isinstance(error, TimeoutError) or isinstance(error, CATimeout):
            raise error
        advance, done, wanted = await asyncio.gather(
            self.channel_advance.get_value(),
            self.current_channel.get_value(),
            self.points.get_value(),
        )
        hint = "are there pulses?" if advance is Advance.EXTERNAL else "is it stuck?"
        msg = (
            f"{self.name}: {done} of {wanted} points, and no further one in time; "
            f"ChannelAdvance is {advance.value}: {hint}"
        )
        raise CATimeout(msg, name=self.record) from error
