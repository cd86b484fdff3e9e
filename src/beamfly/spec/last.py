"""The last run, as `cen`, `pic`, `com` and `ct` need it: `LastRun`.

It is a callback for documents. What is in the files of a PandA is read from there, so
step scans and flights of one do as well as values in events.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
from bluesky.callbacks.fitting import PeakStats

from beamfly.errors import BadValue, BeamflyError
from beamfly.hdf import open_columns
from beamfly.spec.courses import Array

STREAM = "primary"


@dataclass(frozen=True)
class Peak:
    """Where something is to be found, after the last scan."""

    motor: str
    """Name of what was scanned."""
    counter: str
    """Name of what was counted."""
    scan: str
    """Which scan, in words."""
    x: Array
    """Positions."""
    y: Array
    """Counts."""

    def _stats(self) -> Any:
        """As bluesky's PeakStats has it."""
        stats: Any = PeakStats("x", "y")
        stats("start", {"uid": "s", "time": 0.0})
        stats("descriptor", {"uid": "d", "name": STREAM, "run_start": "s"})
        for number, (x, y) in enumerate(zip(self.x, self.y, strict=True), start=1):
            data = {"x": float(x), "y": float(y)}
            stats("event", {"descriptor": "d", "seq_num": number, "data": data})
        stats("stop", {"uid": "e", "run_start": "s"})
        return stats

    def position(self, what: str) -> float:
        """Where it is.

        Args:
            what: pic: the highest point; cen: half-way between the flanks at half
                height; com: the centre of mass.

        Raises:
            BadValue: It is not in the scan.
        """
        if len(self.x) < 3 or np.ptp(self.y) == 0:
            raise self._none(f"{len(self.x)} points of {self.counter} make no peak")
        stats = self._stats()
        if what == "pic":
            best = int(np.argmax(self.y))
            if best in (0, len(self.y) - 1):
                raise self._none(f"{self.counter} is highest at the edge")
            return float(stats.max[0])
        if what == "cen":
            crossings = 0 if stats.crossings is None else len(stats.crossings)
            if crossings != 2:
                raise self._none(f"{self.counter} has {crossings} flanks, not 2")
            return float(stats.cen)
        return float(stats.com)

    def _none(self, why: str) -> BadValue:
        return BadValue(f"{self.scan}: {why}; nothing was moved")


class LastRun:
    """Documents of the newest run; subscribe it to a RunEngine."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        """Its start document, empty before the first."""
        self._descriptors: dict[str, dict[str, Any]] = {}
        self._values: dict[str, list[Any]] = {}
        self._files: dict[str, dict[str, Any]] = {}
        self._rows: dict[str, list[tuple[int, int]]] = {}
        self._take: dict[str, Callable[[dict[str, Any]], None]] = {
            "start": self._start,
            "descriptor": self._descriptor,
            "event": self._event,
            "stream_resource": self._resource,
            "stream_datum": self._datum,
        }

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document."""
        if name in self._take:
            self._take[name](doc)

    def _start(self, doc: dict[str, Any]) -> None:
        self.start = doc
        for kept in (self._descriptors, self._values, self._files, self._rows):
            kept.clear()

    def _descriptor(self, doc: dict[str, Any]) -> None:
        if doc.get("name") == STREAM:
            self._descriptors[doc["uid"]] = doc

    def _event(self, doc: dict[str, Any]) -> None:
        if doc["descriptor"] not in self._descriptors:
            return
        # a point that is taken again after a pause replaces what it was
        index = doc["seq_num"] - 1
        for key, value in doc["data"].items():
            values = self._values.setdefault(key, [])
            del values[index:]
            values.append(value)

    def _resource(self, doc: dict[str, Any]) -> None:
        self._files[doc["uid"]] = doc

    def _datum(self, doc: dict[str, Any]) -> None:
        if doc["descriptor"] in self._descriptors:
            rows = doc["indices"]["start"], doc["indices"]["stop"]
            self._rows.setdefault(doc["stream_resource"], []).append(rows)

    # ---- what is asked for

    @property
    def title(self) -> str:
        """Which run it is, in words."""
        command = self.start.get("scan") or self.start.get("plan_name", "a run")
        number = self.start.get("scan_id")
        return f"scan {number} ({command})" if number else str(command)

    @property
    def keys(self) -> dict[str, Any]:
        """The data keys of its points."""
        found: dict[str, Any] = {}
        for descriptor in self._descriptors.values():
            found |= descriptor["data_keys"]
        return found

    @property
    def counters(self) -> list[str]:
        """Numbers that were counted."""
        positions = {*self.start.get("motors", ()), *self._dimension()}
        return [
            key
            for key, about in self.keys.items()
            if about["dtype"] in ("number", "integer", "array")
            and math.prod(about["shape"] or [1]) == 1
            and key not in positions
        ]

    def _choose(self, counter: str) -> str:
        """The counter that is meant; BadValue if that is not clear."""
        counters = self.counters
        hinted: list[str] = []
        for descriptor in self._descriptors.values():
            for hint in descriptor.get("hints", {}).values():
                hinted += [key for key in hint.get("fields", []) if key in counters]
        if not counter:
            likely = hinted or counters
            if len(likely) == 1:
                return likely[0]
            what = f"{self.title} has {len(counters)} counters, say which"
        elif counter in counters:
            return counter
        else:
            what = f"{self.title} has no counter {counter!r}"
        known = ", ".join(counters) or "none"
        raise BadValue(f"{what}: {known}; nothing was moved")

    def _dimension(self) -> list[str]:
        hints: dict[str, Any] = self.start.get("hints") or {}
        dimensions: list[tuple[list[str], str]] = hints.get("dimensions") or []
        return [name for names, _ in dimensions for name in names]

    def column(self, key: str) -> Array:
        """All values of a data key.

        Raises:
            BadValue: There are none.
            HdfError: The file that has them cannot be read.
        """
        if key in self._values:
            return np.asarray(self._values[key], dtype=float).reshape(-1)
        pieces: list[Array] = []
        for uid, rows in self._rows.items():
            about = self._files.get(uid)
            if about is None or about["data_key"] != key:
                continue
            path = Path(unquote(urlparse(str(about["uri"])).path))
            with open_columns(path) as columns:
                values = columns.read(about["parameters"]["dataset"].strip("/"))
            pieces += [np.asarray(values[a:b], dtype=float) for a, b in rows]
        if not pieces:
            raise BadValue(f"{self.title} has no values of {key}")
        return np.concatenate(pieces).reshape(-1)

    def newest(self) -> dict[str, float]:
        """The last value of each counter that can be read."""
        found: dict[str, float] = {}
        for key in self.counters:
            try:
                column = self.column(key)
            except BeamflyError:
                continue
            if len(column):
                found[key] = float(column[-1])
        return found

    def peak(self, counter: str = "") -> Peak:
        """Positions and counts.

        Args:
            counter: What counts; the one that is hinted if empty.

        Raises:
            BadValue: There was no scan of one motor, or no such counter.
        """
        motors = self.start.get("motors") or ()
        if len(motors) != 1:
            what = f"{self.title} moved {' and '.join(motors) or 'no motor'}"
            what = what if self.start else "there was no scan yet"
            raise BadValue(f"{what}: it takes a scan of one motor; nothing was moved")
        counter = self._choose(counter)
        y = self.column(counter)
        x = self._positions(motors[0], len(y))
        num = min(len(x), len(y))
        return Peak(motors[0], counter, self.title, x[:num], y[:num])

    def _positions(self, motor: str, num: int) -> Array:
        """Where it was; of a flight that did not capture it where it should be."""
        for key in (*self._dimension(), motor):
            if key in self.keys:
                return self.column(key)
        extents, shape = self.start.get("extents"), self.start.get("shape")
        if not extents or not shape:
            msg = f"{self.title} does not tell where {motor} was; nothing was moved"
            raise BadValue(msg)
        start, finish = extents[0]
        return np.linspace(float(start), float(finish), int(shape[0]))[:num]
