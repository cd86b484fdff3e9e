"""An mca record: a spectrum for a preset time, regions of interest under their names.

```python
mca = Mca("BL:MCA1", nroi=8, name="mca")
RE(scan([mca], m1, 0, 1, 11))                  # columns mca-Fe_Ka, mca-Cu_Ka ...
yield from prepare(mca, TriggerInfo(livetime=0.5))
```

Regions whose low channel is negative are not in use and are not read; one without a
name is `roi0` and so on. They are looked up when the mca is staged. What else there is
to a region is at hand with `field("R0BG")`.
"""

import asyncio
import re
from typing import Annotated, Any, ClassVar

from bluesky.protocols import Hints, Preparable, Reading, Triggerable
from event_model import DataKey
from ophyd_async.core import (
    AsyncStatus,
    DetectorTrigger,
    Device,
    DeviceVector,
    SignalR,
    SignalRW,
    SignalW,
    StandardReadable,
    TriggerInfo,
    wait_for_value,
)
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import EpicsDevice, EpicsOptions, PvSuffix

from beamfly.devices.ca import ca_signal_r, ca_signal_rw
from beamfly.devices.record_fields import OnDemandFields, RecordConnector, record_of
from beamfly.errors import BadValue

SPARE_SECONDS = 10.0
"""How much longer than the preset time an acquisition may take."""
DEAD_TIME = 10.0
"""How much longer than a preset live time the real time may be, as a factor."""


class Roi(Device):
    """A region of interest.

    Args:
        record: Name of the mca record.
        number: Of the region, from 0.
    """

    def __init__(self, record: str, number: int) -> None:
        prefix = f"{record}.R{number}"
        self.label = ca_signal_rw(str, f"{prefix}NM")
        """RnNM: its name."""
        self.low = ca_signal_rw(int, f"{prefix}LO")
        """RnLO: its first channel, -1 if it is not in use."""
        self.high = ca_signal_rw(int, f"{prefix}HI")
        """RnHI: its last channel."""
        self.counts: SignalR[Any] = ca_signal_r(None, prefix)
        """Rn: sum of the counts."""
        super().__init__()


class Mca(StandardReadable, EpicsDevice, Triggerable, Preparable, OnDemandFields):
    """An mca record.

    Reads the regions in use as `<mca>-<region>`, and the elapsed times; config preset
    times, number of channels and calibration.

    Args:
        prefix: Name of the record.
        nroi: How many regions are looked at, at most 32.
        spectrum: Whether to read the whole spectrum too, as `<mca>-spectrum`.
        live: Whether the time to count for is a live time, not a real time.
        name: Of the device.
    """

    kind = "mca"
    record_types: ClassVar[tuple[str, ...]] = ("mca",)
    preset_real: Annotated[SignalRW[float], PvSuffix(".PRTM"), Format.CONFIG_SIGNAL]
    """PRTM: seconds of real time to count for, 0 for no limit."""
    preset_live: Annotated[SignalRW[float], PvSuffix(".PLTM"), Format.CONFIG_SIGNAL]
    """PLTM: seconds of live time to count for, 0 for no limit."""
    channels: Annotated[SignalRW[int], PvSuffix(".NUSE"), Format.CONFIG_SIGNAL]
    """NUSE: channels of the spectrum."""
    offset: Annotated[SignalRW[float], PvSuffix(".CALO"), Format.CONFIG_SIGNAL]
    """CALO: energy of channel 0."""
    slope: Annotated[SignalRW[float], PvSuffix(".CALS"), Format.CONFIG_SIGNAL]
    """CALS: energy per channel."""
    quadratic: Annotated[SignalRW[float], PvSuffix(".CALQ"), Format.CONFIG_SIGNAL]
    """CALQ: energy per channel squared."""
    units: Annotated[SignalR[str], PvSuffix(".EGU"), Format.CONFIG_SIGNAL]
    """EGU: of the energy."""
    elapsed_real: Annotated[SignalR[float], PvSuffix(".ERTM"), Format.UNCACHED_SIGNAL]
    """ERTM: seconds of real time."""
    elapsed_live: Annotated[SignalR[float], PvSuffix(".ELTM"), Format.UNCACHED_SIGNAL]
    """ELTM: seconds of live time."""
    acquiring: Annotated[SignalR[bool], PvSuffix(".ACQG")]
    """ACQG"""
    erase_start: Annotated[SignalRW[bool], PvSuffix(".ERST")]
    """ERST: erases, acquires, and is complete when that is over."""
    stop_acquiring: Annotated[
        SignalW[bool], PvSuffix(".STOP"), EpicsOptions(wait=False)
    ]
    """STOP"""

    def __init__(
        self,
        prefix: str,
        nroi: int = 8,
        spectrum: bool = False,
        live: bool = False,
        name: str = "",
    ) -> None:
        self.record = record_of(prefix)
        self._on_demand = {}
        self._live = live
        self._columns: dict[str, SignalR[Any]] = {}
        super().__init__(connector=RecordConnector(self.record, self.record_types))
        self.rois = DeviceVector({n: Roi(self.record, n) for n in range(nroi)})
        """Regions of interest, from 0."""
        if spectrum:
            with self.add_children_as_readables(Format.UNCACHED_SIGNAL):
                self.spectrum: SignalR[Any] = ca_signal_r(None, f"{self.record}.VAL")
        self.set_name(name)

    # ---- which regions

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device and its columns."""
        super().set_name(name, child_name_separator=child_name_separator)
        for column, signal in self._columns.items():
            signal.set_name(f"{name}-{column}")

    async def find_regions(self) -> list[str]:
        """Look up which regions are in use; their columns in order.

        Raises:
            BadValue: Two regions have the same name.
        """
        rois = [self.rois[number] for number in sorted(self.rois)]
        lows = await asyncio.gather(*(roi.low.get_value() for roi in rois))
        labels = await asyncio.gather(*(roi.label.get_value() for roi in rois))
        found: dict[str, int] = {}
        for number, (low, label) in enumerate(zip(lows, labels, strict=True)):
            if low < 0:
                continue
            column = re.sub(r"\W+", "_", label.strip()) or f"roi{number}"
            if column in found:
                msg = (
                    f"regions {found[column]} and {number} of {self.record} are both "
                    f"called {label.strip()!r}: rename one (R{found[column]}NM or "
                    f"R{number}NM); nothing was acquired"
                )
                raise BadValue(msg)
            found[column] = number
        # a name that a region no longer has must not stay with it
        self._columns = {}
        self.set_name(self.name)
        self._columns = {
            column: self.rois[number].counts for column, number in found.items()
        }
        self.set_name(self.name)
        return list(self._columns)

    @property
    def hints(self) -> Hints:
        """The regions in use."""
        return {"fields": [signal.name for signal in self._columns.values()]}

    async def describe(self) -> dict[str, DataKey]:
        """A number for each region, elapsed times, and the spectrum if it is read."""
        if not self._columns:
            await self.find_regions()
        keys = await asyncio.gather(
            super().describe(), *(one.describe() for one in self._columns.values())
        )
        return {name: key for part in keys for name, key in part.items()}

    async def read(self) -> dict[str, Reading[Any]]:
        """What was counted, by column."""
        if not self._columns:
            await self.find_regions()
        times: Any = super()
        columns: list[Any] = list(self._columns.values())
        parts: list[dict[str, Reading[Any]]] = await asyncio.gather(
            times.read(), *(column.read() for column in columns)
        )
        return {name: one for part in parts for name, one in part.items()}

    # ---- acquiring

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Look up the regions."""
        await self.find_regions()

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Stop an acquisition that is under way."""
        if await self.acquiring.get_value():
            await self.stop_acquiring.set(True)

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
            preset = (self.preset_real, self.preset_live)
            wanted, other = reversed(preset) if self._live else preset
            await wanted.set(value.livetime)
            await other.set(0.0)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Erase and count for the preset time.

        Raises:
            BadValue: There is no preset time, so it would never end.
            TimeoutError: It takes much longer.
        """
        real, live = await asyncio.gather(
            self.preset_real.get_value(), self.preset_live.get_value()
        )
        if not real and not live:
            msg = (
                f"{self.name} has no preset time (PRTM or PLTM), so it would count for "
                "ever; nothing was started"
            )
            raise BadValue(msg)
        timeout = SPARE_SECONDS + min(one for one in (real, DEAD_TIME * live) if one)
        await self.erase_start.set(True, timeout=timeout)
        # where its completion does not mean that it is over
        if await self.acquiring.get_value():
            await wait_for_value(self.acquiring, False, timeout)
