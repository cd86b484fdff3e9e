"""What the documents of one run say, gathered stream by stream.

`RunRecord.add` takes the run's lines in the order in which they were written and may
be given more of them later, while the run is still being taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beamfly.catalog.jsonl import Document, Line
from beamfly.catalog.segments import ExternalField, Resource


@dataclass
class StreamRecord:
    """One stream: its descriptors, its events by column, its external fields."""

    name: str
    """The stream's name, such as primary or baseline."""
    descriptors: list[Document] = field(default_factory=list[Document])
    """Its descriptors, oldest first: a changed configuration makes a new one."""
    seq_nums: list[int] = field(default_factory=list[int])
    """The number of each event."""
    times: list[float] = field(default_factory=list[float])
    """The time of each event, seconds since 1970. Its length is the number of events:
    it grows last."""
    values: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """For each key the value in each event; None where an event has none."""
    stamps: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """For each key the timestamp of the value in each event."""
    external: dict[str, ExternalField] = field(default_factory=dict[str, ExternalField])
    """The fields whose values are in files, as far as they have been announced."""

    @property
    def data_keys(self) -> dict[str, Document]:
        """The description of each field; the latest descriptor wins."""
        keys: dict[str, Document] = {}
        for descriptor in self.descriptors:
            keys.update(descriptor.get("data_keys", {}))
        return keys

    def add_event(
        self,
        seq_num: int,
        time: float,
        data: Mapping[str, Any],
        stamps: Mapping[str, Any],
    ) -> None:
        """Append one event."""
        count = len(self.times)
        for columns, row in ((self.values, data), (self.stamps, stamps)):
            for key, value in row.items():
                columns.setdefault(key, [None] * count).append(value)
            for key in columns.keys() - row.keys():
                columns[key].append(None)
        self.seq_nums.append(seq_num)
        self.times.append(time)


@dataclass
class RunRecord:
    """All that is known of one run so far."""

    start: Document = field(default_factory=dict[str, Any])
    """The start document; empty before it came."""
    stop: Document = field(default_factory=dict[str, Any])
    """The stop document; empty while the run goes on, or if it was killed."""
    streams: dict[str, StreamRecord] = field(default_factory=dict[str, StreamRecord])
    """The streams in the order in which they were declared."""
    old_style: dict[str, str] = field(default_factory=dict[str, str])
    """The spec of each old-style Resource document, by uid."""

    def __post_init__(self) -> None:
        self._by_descriptor: dict[str, StreamRecord] = {}
        self._resources: dict[str, Resource] = {}
        self._takers: dict[str, Callable[[Line], None]] = {
            "start": self._take_start,
            "descriptor": self._take_descriptor,
            "event": self._take_event,
            "event_page": self._take_event_page,
            "stream_resource": self._take_stream_resource,
            "stream_datum": self._take_stream_datum,
            "resource": self._take_resource,
            "stop": self._take_stop,
        }

    def add(self, line: Line) -> None:
        """Take the next document. Kinds that say nothing about the data are skipped."""
        taker = self._takers.get(line.name)
        if taker is not None:
            taker(line)

    def _take_start(self, line: Line) -> None:
        self.start = line.doc

    def _take_stop(self, line: Line) -> None:
        self.stop = line.doc

    def _take_descriptor(self, line: Line) -> None:
        name = str(line.doc.get("name", "primary"))
        stream = self.streams.setdefault(name, StreamRecord(name))
        stream.descriptors.append(line.doc)
        self._by_descriptor[line.doc["uid"]] = stream

    def _take_event(self, line: Line) -> None:
        doc = line.doc
        stream = self._by_descriptor[doc["descriptor"]]
        stream.add_event(doc["seq_num"], doc["time"], doc["data"], doc["timestamps"])

    def _take_event_page(self, line: Line) -> None:
        doc = line.doc
        stream = self._by_descriptor[doc["descriptor"]]
        for row, (seq_num, time) in enumerate(
            zip(doc["seq_num"], doc["time"], strict=True)
        ):
            data = _row(doc["data"], row)
            stream.add_event(seq_num, time, data, _row(doc["timestamps"], row))

    def _take_stream_resource(self, line: Line) -> None:
        doc = line.doc
        self._resources[doc["uid"]] = Resource.from_document(doc, line.beside)

    def _take_stream_datum(self, line: Line) -> None:
        stream = self._by_descriptor[line.doc["descriptor"]]
        resource = self._resources[line.doc["stream_resource"]]
        external = stream.external.get(resource.data_key)
        if external is None:
            external = ExternalField(resource.data_key)
            stream.external[resource.data_key] = external
        external.add(resource, line.doc)

    def _take_resource(self, line: Line) -> None:
        self.old_style[line.doc["uid"]] = str(line.doc.get("spec"))


def _row(columns: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
    return {key: column[row] for key, column in columns.items()}
