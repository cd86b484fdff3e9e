"""Which rows of which files make up a field that is not in the events.

A StreamResource names a dataset in a file, each StreamDatum announces a range of
events in it. A field may go through several of them: one per arm of the detector, one
per file. They follow each other in the order in which they were announced.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beamfly.catalog.jsonl import Document


@dataclass(frozen=True)
class Resource:
    """One StreamResource."""

    uid: str
    """Its uid, by which StreamDatum documents refer to it."""
    data_key: str
    """The field that it holds."""
    uri: str
    """The address of the file."""
    mimetype: str
    """The kind of file."""
    dataset: str
    """The path of the dataset inside the file."""
    beside: str | None = None
    """The file's place as seen from the run's file, if known."""
    unread: tuple[str, ...] = ()
    """Parameters that change what the rows mean and that are not understood here."""

    @classmethod
    def from_document(cls, doc: Document, beside: str | None) -> "Resource":
        """Take what matters from the document."""
        parameters = doc.get("parameters", {})
        return cls(
            uid=doc["uid"],
            data_key=doc["data_key"],
            uri=doc["uri"],
            mimetype=doc["mimetype"],
            dataset=str(parameters.get("dataset", "")),
            beside=beside,
            unread=tuple(
                name
                for name in ("slice", "squeeze", "template")
                if parameters.get(name)
            ),
        )


@dataclass
class Segment:
    """The events of a field that one resource holds."""

    resource: Resource
    """Where they are."""
    base: int = 0
    """The index that the first row of the dataset has in the StreamDatum documents."""
    ranges: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Announced ranges of event indices, half open, in order; neighbours are joined."""

    @property
    def events(self) -> int:
        """Number of events announced."""
        return sum(stop - start for start, stop in self.ranges)

    def add(self, start: int, stop: int) -> None:
        """Announce one more range."""
        if self.ranges and self.ranges[-1][1] == start:
            start = self.ranges.pop()[0]
        self.ranges.append((start, stop))

    def available(self, held: int) -> int:
        """Count the announced events, up to the first that is missing.

        Args:
            held: Number of events that the dataset holds.
        """
        count = 0
        for start, stop in self.ranges:
            here = min(max(held + self.base - start, 0), stop - start)
            count += here
            if here < stop - start:
                break
        return count

    def rows(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Turn events `start` to `stop` of this segment into ranges in the dataset."""
        passed = 0
        for first, last in self.ranges:
            low, high = max(start, passed), min(stop, passed + last - first)
            if low < high:
                offset = first - self.base - passed
                yield low + offset, high + offset
            passed += last - first


@dataclass
class ExternalField:
    """A field whose values are in files."""

    key: str
    """The name of the field."""
    segments: list[Segment] = field(default_factory=list[Segment])
    """Its parts in the order in which they were announced."""
    _seq_nums: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def events(self) -> int:
        """Number of events announced in all."""
        return sum(segment.events for segment in self.segments)

    @property
    def seq_nums(self) -> "np.ndarray[Any, np.dtype[np.int64]] | None":
        """The number of each announced event; None if they were not all numbered."""
        numbers = [np.arange(*pair, dtype=np.int64) for pair in self._seq_nums]
        joined = np.concatenate([np.empty(0, np.int64), *numbers])
        return joined if len(joined) == self.events else None

    def add(self, resource: Resource, datum: Document) -> None:
        """Announce the events of one StreamDatum."""
        start, stop = int(datum["indices"]["start"]), int(datum["indices"]["stop"])
        segment = self._segment(resource, start)
        segment.add(start, stop)
        numbers = datum.get("seq_nums", {})
        pair = (int(numbers.get("start", 0)), int(numbers.get("stop", 0)))
        if self._seq_nums and self._seq_nums[-1][1] == pair[0]:
            pair = (self._seq_nums.pop()[0], pair[1])
        self._seq_nums.append(pair)

    def _segment(self, resource: Resource, start: int) -> Segment:
        for segment in reversed(self.segments):
            if segment.resource.uid == resource.uid:
                return segment
        # Indices count the events of the resource. Some count on from file to file,
        # though each file begins anew.
        same = any(_same_data(segment.resource, resource) for segment in self.segments)
        goes_on = bool(self.segments) and not same and start == self.events
        segment = Segment(resource, start if goes_on else 0)
        self.segments.append(segment)
        return segment


def _same_data(one: Resource, other: Resource) -> bool:
    return (one.uri, one.dataset) == (other.uri, other.dataset)
