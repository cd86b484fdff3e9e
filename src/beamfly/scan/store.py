"""Where samples are kept: what the engine needs, and a store in memory.

`sqlite` has the store that survives a restart.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

from beamfly.scan.channels import Reading
from beamfly.scan.info import ScanInfo

Row = tuple[str, int, int, str]
"""Device, serial, time stamp in milliseconds since 1970, value as text."""
BATCH = 2000
"""Rows that are fetched at a time, in some milliseconds."""


class Store(Protocol):
    """Keeps scans and their samples."""

    def create(self, name: str, created: int) -> int:
        """Register a scan; its id, never used before."""
        ...

    def log(self, scan: int, serial: int, device: str, reading: Reading) -> None:
        """Keep one sample."""
        ...

    def rows(self, scan: int, after: int = -1, last: int | None = None) -> list[Row]:
        """Samples of a scan with serials after and up to these, by device and serial.

        Args:
            scan: Its id.
            after: Only samples with a greater serial.
            last: No samples with a greater serial, None for all that there are.
        """
        return [row for batch in self.batches(scan, after, last) for row in batch]

    def batches(
        self, scan: int, after: int = -1, last: int | None = None
    ) -> Iterator[list[Row]]:
        """The same bit by bit: at most `BATCH` rows of one device at a time.

        What is logged from the first batch on is left out.
        """
        ...

    def last_serial(self, scan: int) -> int:
        """Greatest serial of a scan, -1 if it logged nothing."""
        ...

    def known(self) -> list[ScanInfo]:
        """All scans that are kept, oldest first, in state Logged."""
        ...

    def delete(self, scan: int) -> None:
        """Forget a scan and its samples."""
        ...

    def flush(self) -> None:
        """Write what was gathered; ScanError if that fails."""
        ...

    def close(self) -> None:
        """Write what was gathered and give up the store."""
        ...


_SERIAL = itemgetter(0)


@dataclass
class _Scan:
    name: str
    created: int
    devices: dict[str, list[tuple[int, int, str]]] = field(
        default_factory=dict[str, list[tuple[int, int, str]]]
    )
    last: int = -1


class MemoryStore(Store):
    """Keeps everything as long as the process runs."""

    def __init__(self) -> None:
        self._scans: dict[int, _Scan] = {}
        self._last_id = 0

    def create(self, name: str, created: int) -> int:
        """Register a scan; its id, never used before."""
        self._last_id += 1
        self._scans[self._last_id] = _Scan(name, created)
        return self._last_id

    def log(self, scan: int, serial: int, device: str, reading: Reading) -> None:
        """Keep one sample."""
        kept = self._scans.get(scan)
        if kept is None:
            return
        samples = kept.devices.setdefault(device, [])
        sample = serial, reading.time, reading.text
        if serial >= kept.last:
            samples.append(sample)
        else:
            insort(samples, sample, key=_SERIAL)
        kept.last = max(kept.last, serial)

    def batches(
        self, scan: int, after: int = -1, last: int | None = None
    ) -> Iterator[list[Row]]:
        """The same bit by bit: at most `BATCH` rows of one device at a time."""
        kept = self._scans.get(scan)
        if kept is None:
            return
        last = kept.last if last is None else last
        for device in sorted(kept.devices):
            samples = kept.devices[device]
            end = bisect_right(samples, last, key=_SERIAL)
            start = bisect_right(samples, after, key=_SERIAL)
            for at in range(start, end, BATCH):
                yield [(device, *item) for item in samples[at : min(at + BATCH, end)]]

    def last_serial(self, scan: int) -> int:
        """Greatest serial of a scan, -1 if it logged nothing."""
        kept = self._scans.get(scan)
        return -1 if kept is None else kept.last

    def known(self) -> list[ScanInfo]:
        """All scans that are kept, oldest first, in state Logged."""
        return [
            ScanInfo(number, scan.name, scan.created, "Logged", address=0)
            for number, scan in self._scans.items()
        ]

    def delete(self, scan: int) -> None:
        """Forget a scan and its samples."""
        self._scans.pop(scan, None)

    def flush(self) -> None:
        """There is nothing to write."""

    def close(self) -> None:
        """There is nothing to give up."""
