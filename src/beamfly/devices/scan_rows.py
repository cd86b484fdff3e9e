"""Rows out of logged samples: one per serial, each with all columns, none twice."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from beamfly.devices.scan_columns import ScanColumn
from beamfly.scan.data import ScanData

log = logging.getLogger(__name__)


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


class RowBuilder:
    """Makes rows of samples that come bit by bit.

    Args:
        columns: Of the rows.
    """

    def __init__(self, columns: Sequence[ScanColumn]) -> None:
        self.columns = list(columns)
        self.last = -1
        """Serial of the last row that was given out: samples up to it are done with."""
        self.unexpected: set[str] = set()
        """Devices that were logged and are no columns."""
        self._places = {column.device: at for at, column in enumerate(self.columns)}
        self._values = [column.missing for column in self.columns]
        self._times = [math.nan for _ in self.columns]

    def take(self, data: ScanData, complete: bool) -> list[ScanRow]:
        """Rows out of all samples after `last`.

        Args:
            data: Values are texts.
            complete: False if the samples of the highest serial may not all be there;
                they have to be given again then.

        Raises:
            ScanError: A value does not fit its column.
        """
        serials: dict[int, list[tuple[int, float, str]]] = {}
        for device, samples in data.items():
            place = self._places.get(device)
            if place is None:
                self._warn(device)
            for serial, time, text in zip(
                samples["id"], samples["time"], samples["value"], strict=True
            ):
                if serial > self.last:
                    row = serials.setdefault(serial, [])
                    if place is not None:
                        row.append((place, time / 1000, text))
        ready = sorted(serials)
        if not complete:
            ready = ready[:-1]
        rows = [
            self._row(serial, serials[serial]) for serial in ready if serials[serial]
        ]
        self.last = ready[-1] if ready else self.last
        return rows

    def _row(self, serial: int, samples: list[tuple[int, float, str]]) -> ScanRow:
        for place, time, text in samples:
            self._values[place] = self.columns[place].value(text)
            self._times[place] = time
        latest = max(time for _, time, _ in samples)
        times = [latest if math.isnan(time) else time for time in self._times]
        return ScanRow(serial, latest, list(self._values), times)

    def _warn(self, device: str) -> None:
        if device not in self.unexpected:
            self.unexpected.add(device)
            log.warning(
                "%s is logged by the scan and is in no column: name it in columns=",
                device,
            )
