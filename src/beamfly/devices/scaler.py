"""A scaler record: counts for a preset time, channels under the names they are given.

```python
scaler = Scaler("BL:SCALER", name="scaler")
RE(scan([scaler], m1, 0, 1, 11))               # columns scaler-I0, scaler-It ...
yield from prepare(scaler, TriggerInfo(livetime=0.5))
```

Channels whose name is blank are not read. People rename channels between scans, so the
names are looked up when the scaler is staged.
"""

import asyncio
import re
from typing import Annotated, Any, ClassVar

from bluesky.protocols import Hints, Preparable, Reading, Triggerable
from event_model import DataKey
from ophyd_async.core import (
    AsyncStatus,
    DetectorTrigger,
    DeviceVector,
    SignalR,
    SignalRW,
    StandardReadable,
    TriggerInfo,
)
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import EpicsDevice, EpicsOptions, PvSuffix

from beamfly.devices.ca import ca_signal_r, ca_signal_rw
from beamfly.devices.record_fields import OnDemandFields, RecordConnector, record_of
from beamfly.errors import BadValue

SPARE_SECONDS = 10.0
"""How much longer than the preset time a count may take."""


class Scaler(StandardReadable, EpicsDevice, Triggerable, Preparable, OnDemandFields):
    """A scaler record.

    Reads the channels that have a name, as `<scaler>-<channel>`; config preset time,
    frequency and delay.

    Args:
        prefix: Name of the record.
        nchan: How many channels there are.
        calcs: Whether to read what `<record>_calc1` and so on make of them too, as
            `<scaler>-<channel>_calc`.
        name: Of the device.
    """

    kind = "scaler"
    record_types: ClassVar[tuple[str, ...]] = ("scaler",)
    preset_time: Annotated[SignalRW[float], PvSuffix(".TP"), Format.CONFIG_SIGNAL]
    """TP: seconds that are counted for."""
    frequency: Annotated[SignalR[float], PvSuffix(".FREQ"), Format.CONFIG_SIGNAL]
    """FREQ: of the clock, in Hz."""
    delay: Annotated[SignalRW[float], PvSuffix(".DLY"), Format.CONFIG_SIGNAL]
    """DLY: seconds before it starts to count."""
    elapsed: Annotated[SignalR[float], PvSuffix(".T")]
    """T: seconds that were counted for."""
    # to end a count must not wait behind the count itself
    count: Annotated[SignalRW[bool], PvSuffix(".CNT"), EpicsOptions(wait=bool)]
    """CNT: True starts to count and waits for the end, False ends it."""
    continuous: Annotated[SignalRW[bool], PvSuffix(".CONT")]
    """CONT: whether it counts again and again by itself."""

    def __init__(
        self, prefix: str, nchan: int = 8, calcs: bool = False, name: str = ""
    ) -> None:
        self.record = record_of(prefix)
        self._on_demand = {}
        self._was_continuous: bool | None = None
        self._columns: dict[str, SignalR[Any]] = {}
        super().__init__(connector=RecordConnector(self.record, self.record_types))
        numbers = range(1, nchan + 1)
        self.counts: DeviceVector[SignalR[Any]] = DeviceVector(
            {n: ca_signal_r(None, f"{self.record}.S{n}") for n in numbers}
        )
        """S1 and so on; versions of the record differ in their type."""
        self.labels = DeviceVector(
            {n: ca_signal_rw(str, f"{self.record}.NM{n}") for n in numbers}
        )
        """NM1 and so on: names of the channels."""
        self.calcs: DeviceVector[SignalR[float]] = DeviceVector(
            {
                n: ca_signal_r(float, f"{self.record}_calc{n}.VAL")
                for n in numbers
                if calcs
            }
        )
        """Results of calculations, if they are wanted."""
        if calcs:
            with self.add_children_as_readables(Format.CONFIG_SIGNAL):
                self.expressions = DeviceVector(
                    {
                        n: ca_signal_rw(str, f"{self.record}_calc{n}.CALC")
                        for n in numbers
                    }
                )
        self.set_name(name)

    # ---- which channels

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device and its columns."""
        super().set_name(name, child_name_separator=child_name_separator)
        for column, signal in self._columns.items():
            signal.set_name(f"{name}-{column}")

    async def find_channels(self) -> list[str]:
        """Look up which channels have a name; the columns in order.

        Raises:
            BadValue: Two channels have the same name.
        """
        numbers = sorted(self.labels)
        texts = await asyncio.gather(*(self.labels[n].get_value() for n in numbers))
        found: dict[str, int] = {}
        for number, text in zip(numbers, texts, strict=True):
            column = re.sub(r"\W+", "_", text.strip())
            if column in found:
                msg = (
                    f"channels {found[column]} and {number} of {self.record} are both "
                    f"called {text.strip()!r}: rename one (NM{found[column]} or "
                    f"NM{number}); nothing was counted"
                )
                raise BadValue(msg)
            if column:
                found[column] = number
        # a name that a channel no longer has must not stay with it
        self._columns = {}
        self.set_name(self.name)
        for column, number in found.items():
            self._columns[column] = self.counts[number]
            if number in self.calcs:
                self._columns[f"{column}_calc"] = self.calcs[number]
        self.set_name(self.name)
        return list(self._columns)

    @property
    def hints(self) -> Hints:
        """All columns."""
        return {"fields": [signal.name for signal in self._columns.values()]}

    async def describe(self) -> dict[str, DataKey]:
        """A number for each column."""
        if not self._columns:
            await self.find_channels()
        keys = await asyncio.gather(*(one.describe() for one in self._columns.values()))
        return {name: key for part in keys for name, key in part.items()}

    async def read(self) -> dict[str, Reading[Any]]:
        """What was counted, by column."""
        if not self._columns:
            await self.find_channels()
        columns: list[Any] = list(self._columns.values())
        parts: list[dict[str, Reading[Any]]] = await asyncio.gather(
            *(column.read() for column in columns)
        )
        return {name: one for part in parts for name, one in part.items()}

    # ---- counting

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Look up the names; have it count once when it is told to."""
        await self.find_channels()
        self._was_continuous = await self.continuous.get_value()
        if self._was_continuous:
            await self.continuous.set(False)
            await self._end()

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """End a count; have it count by itself again if it did before."""
        was, self._was_continuous = self._was_continuous, None
        if await self.count.get_value():
            await self._end()
        if was:
            await self.continuous.set(True)

    async def _end(self) -> None:
        await self.count.set(False)

    @AsyncStatus.wrap
    async def prepare(self, value: TriggerInfo) -> None:
        """Set the time to count for; BadValue for anything but one internal count."""
        if value.trigger is not DetectorTrigger.INTERNAL:
            msg = f"{self.name} counts by its own clock, not on {value.trigger.name}"
            raise BadValue(f"{msg}; nothing was set")
        if value.exposures_per_collection * value.collections_per_event != 1:
            msg = f"{self.name} counts once for an event; nothing was set"
            raise BadValue(msg)
        if value.livetime:
            await self.preset_time.set(value.livetime)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Count for the preset time; TimeoutError when it takes much longer."""
        seconds = await self.preset_time.get_value()
        seconds += await self.delay.get_value()
        await self.count.set(True, timeout=seconds + SPARE_SECONDS)
