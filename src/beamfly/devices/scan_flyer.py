"""Scans of a scan server as Bluesky flyers whose rows are event pages.

```python
with init_devices():
    scan = ScanServerFlyer("beamline-server", name="scan")
RE(fly_scan(scan, [Loop("BL:M1", 1, 5, 0.1, Log("BL:M1", "BL:DET"))]))
```

One row per `Log`, with all devices that the scan logs; a device that was not logged
with the others keeps its last value. Values may be of any type; rows of numbers can go
to an HDF5 file instead, see `beamfly.devices.scan_hdf_flyer`.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from bluesky.protocols import EventPageCollectable
from event_model import DataKey
from event_model.documents.event_page import PartialEventPage

from beamfly.devices.scan_flight import SERIAL, ScanFlyer
from beamfly.devices.scan_rows import ScanRow
from beamfly.scan.rest import DEFAULT_PORT


class ScanServerFlyer(ScanFlyer, EventPageCollectable):
    """Scans of a scan server, their rows as event pages."""

    def __init__(
        self,
        host: str = "localhost",
        port: int = DEFAULT_PORT,
        name: str = "",
        *,
        describe_timeout: float = 2.0,
        patience: float = 30.0,
    ) -> None:
        self._waiting: deque[ScanRow] = deque()
        super().__init__(
            host, port, name, describe_timeout=describe_timeout, patience=patience
        )

    async def _begin(self) -> None:
        self._waiting.clear()

    async def _deliver(self, rows: list[ScanRow]) -> None:
        self._waiting.extend(rows)

    async def _end(self) -> None:
        """Rows that are not collected yet stay."""

    async def describe_collect(self) -> dict[str, DataKey]:
        """Data keys with units and types, taken from the PVs where known."""
        self._prepared()
        return self._data_keys()

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """All rows that have come since the last call, as one page."""
        # nothing is awaited between taking rows and giving them away, so that a pause
        # can neither lose nor double them
        rows = list(self._waiting)
        self._waiting.clear()
        if not rows:
            return
        serial = self._key(SERIAL)
        data: dict[str, list[Any]] = {serial: [row.serial for row in rows]}
        times = {serial: [row.time for row in rows]}
        for at, column in enumerate(self.columns):
            key = self._key(column.key)
            data[key] = [row.values[at] for row in rows]
            times[key] = [row.times[at] for row in rows]
        yield PartialEventPage(
            data=data, timestamps=times, time=[row.time for row in rows]
        )
