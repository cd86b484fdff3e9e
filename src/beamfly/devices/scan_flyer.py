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
from event_model.documents.event_page import PartialEventPage

from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_rows import ScanRow, StreamLayout
from beamfly.devices.scan_streams import SERIAL, RowStream


class PageStream(RowStream, EventPageCollectable):
    """Rows that wait in memory until they are collected; arguments of `RowStream`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._waiting: deque[ScanRow] = deque()

    async def begin(self) -> None:
        """Forget what was not collected."""
        self._waiting.clear()

    async def deliver(self, rows: list[ScanRow]) -> None:
        """Keep rows."""
        self._waiting.extend(rows)

    async def end(self, reason: str) -> None:
        """Rows that are not collected yet stay."""

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """All rows that have come since the last call, as one page."""
        # nothing is awaited between taking rows and giving them away, so that a pause
        # can neither lose nor double them
        rows = list(self._waiting)
        self._waiting.clear()
        if not rows:
            return
        serial = self.key(SERIAL)
        data: dict[str, list[Any]] = {serial: [row.serial for row in rows]}
        times = {serial: [row.time for row in rows]}
        for at, column in enumerate(self.columns):
            key = self.key(column.key)
            data[key] = [row.values[at] for row in rows]
            times[key] = [row.times[at] for row in rows]
        yield PartialEventPage(
            data=data, timestamps=times, time=[row.time for row in rows]
        )


class ScanServerFlyer(ScanFlyer[PageStream], EventPageCollectable):
    """Scans of a scan server, their rows as event pages."""

    def _make_stream(self, layout: StreamLayout) -> PageStream:
        return PageStream(layout, self, self.url, self.axes)

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """All rows that have come since the last call, as one page.

        Raises:
            BadValue: The scan has several streams: collect those.
        """
        return self.only_stream.collect_pages()
