"""Where samples are kept: what the engine needs, and a store in memory.

`sqlite` has the store that survives a restart.
"""

from dataclasses import dataclass, field
from typing import Protocol

from beamfly.scan.channels import Reading
from beamfly.scan.info import ScanInfo

Row = tuple[str, int, int, str]
"""Device, serial, time stamp in milliseconds since 1970, value as text."""


class Store(Protocol):
    """Keeps scans and their samples."""

    def create(self, name: str, created: int) -> int:
        """Register a scan; its id, never used before."""
        ...

    def log(self, scan: int, serial: int, device: str, reading: Reading) -> None:
        """Keep one sample."""
        ...

    def rows(self, scan: int, after: int = -1) -> list[Row]:
        """Samples of a scan with a greater serial, by device, then by serial."""
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


@dataclass
class _Scan:
    name: str
    created: int
    devices: dict[str, list[tuple[int, int, str]]] = field(
        default_factory=dict[str, list[tuple[int, int, str]]]
    )
    last: int = -1


class MemoryStore:
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
        samples.append((serial, reading.time, reading.text))
        kept.last = max(kept.last, serial)

    def rows(self, scan: int, after: int = -1) -> list[Row]:
        """Samples of a scan with a greater serial, by device, then by serial."""
        kept = self._scans.get(scan)
        if kept is None:
            return []
        return [
            (device, serial, time, text)
            for device in sorted(kept.devices)
            for serial, time, text in sorted(
                kept.devices[device], key=lambda sample: sample[0]
            )
            if serial > after
        ]

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
