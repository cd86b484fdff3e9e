"""Rows out of logged samples: one per serial, none twice.

Either all devices are columns of one stream, or each set of devices that is logged
together has a stream of its own; see `ScanPlan.streams`.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beamfly.devices.scan_columns import ScanColumn
from beamfly.scan.data import ScanData

log = logging.getLogger(__name__)

MAIN = "primary"
"""Name of the stream that a scan has in any case."""

Samples = dict[str, tuple[float, str]]
"""Device -> seconds since 1970, and value as text."""


@dataclass(frozen=True)
class ScanRow:
    """What was logged under one serial."""

    serial: int
    """Counted by the scan server, with gaps where other devices were logged."""
    time: float
    """Of the latest sample, seconds since 1970."""
    values: list[Any]
    """One per column; a device that was not logged keeps its last value."""
    times: list[float]
    """When each device had its value, by its own clock; `time` before its first."""
    stream: str = MAIN
    """Which columns these are."""


@dataclass(frozen=True)
class StreamLayout:
    """What makes up one stream of rows."""

    name: str
    columns: Sequence[ScanColumn]
    devices: frozenset[str] | None = None
    """Those that are logged together in this stream; None: whatever is logged."""


class RowBuilder:
    """Makes rows of samples that come bit by bit.

    Args:
        streams: What rows there are.
    """

    def __init__(self, streams: Iterable[StreamLayout]) -> None:
        self.last = -1
        """Serial of the last row that was given out: samples up to it are done with."""
        self.unexpected: set[str] = set()
        """Devices that were logged and are no columns."""
        self._streams = [_Stream(layout) for layout in streams]
        self._known = {
            column.device for stream in self._streams for column in stream.columns
        }

    def take(self, data: ScanData, complete: bool) -> list[ScanRow]:
        """Rows out of all samples after `last`.

        Args:
            data: Values are texts.
            complete: False if the samples of the highest serial may not all be there;
                they have to be given again then.

        Raises:
            ScanError: A value does not fit its column.
        """
        serials: dict[int, Samples] = {}
        for device, samples in data.items():
            for serial, time, text in zip(
                samples["id"], samples["time"], samples["value"], strict=True
            ):
                if serial > self.last:
                    serials.setdefault(serial, {})[device] = time / 1000, text
        self._warn(data)
        ready = sorted(serials)
        if not complete:
            ready = ready[:-1]
        found = (self._row(serial, serials[serial]) for serial in ready)
        rows = [row for row in found if row is not None]
        self.last = ready[-1] if ready else self.last
        return rows

    def _row(self, serial: int, samples: Samples) -> ScanRow | None:
        """The row of a serial; None if no stream has any of its devices."""
        fitting = [stream for stream in self._streams if stream.fits(samples)]
        if not fitting:
            return None
        # a scan that fails may not have logged all of a set
        return min(fitting, key=lambda stream: stream.size).row(serial, samples)

    def _warn(self, devices: Iterable[str]) -> None:
        for device in set(devices) - self._known - self.unexpected:
            self.unexpected.add(device)
            log.warning(
                "%s is logged by the scan and is in no column: name it in columns=",
                device,
            )


class _Stream:
    """The columns of a stream with their latest values."""

    def __init__(self, layout: StreamLayout) -> None:
        self.columns = list(layout.columns)
        self.size = len(layout.devices or ())
        self._layout = layout
        self._places = {column.device: at for at, column in enumerate(self.columns)}
        self._values = [column.missing for column in self.columns]
        self._times = [math.nan for _ in self.columns]

    def fits(self, samples: Mapping[str, object]) -> bool:
        """Whether samples of one serial belong here."""
        devices = self._layout.devices
        if devices is not None and not samples.keys() <= devices:
            return False
        return any(device in self._places for device in samples)

    def row(self, serial: int, samples: Samples) -> ScanRow:
        """The row of a serial."""
        for device, (time, text) in samples.items():
            place = self._places.get(device)
            if place is not None:
                self._values[place] = self.columns[place].value(text)
                self._times[place] = time
        latest = max(samples[name][0] for name in samples if name in self._places)
        times = [latest if math.isnan(time) else time for time in self._times]
        return ScanRow(serial, latest, list(self._values), times, self._layout.name)
