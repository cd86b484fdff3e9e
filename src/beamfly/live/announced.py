"""What a run's documents have announced: `Announced`, made of `FlownStream`.

A flown stream is one whose values are in files (data keys with `external`
`STREAM:`). Its documents say how many rows there are and where; reading them is up to
`rows`. Nothing here grows with the number of rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from beamfly.catalog.segments import ExternalField, Resource

Document = Mapping[str, Any]
"""A document of the event model."""


def external_keys(descriptor: Document) -> list[str]:
    """Names of the data keys whose values are in files, announced while they come."""
    keys: Mapping[str, Document] = descriptor.get("data_keys", {})
    return [
        name
        for name, key in keys.items()
        if str(key.get("external", "")).startswith("STREAM:")
    ]


@dataclass
class FlownStream:
    """One stream with values in files."""

    descriptor: Document
    """The latest one."""
    fields: dict[str, ExternalField] = field(default_factory=dict[str, ExternalField])
    """Data keys that have a file -> where their rows are."""

    @property
    def name(self) -> str:
        """Of the stream, such as primary."""
        return str(self.descriptor.get("name", "primary"))

    @property
    def keys(self) -> Mapping[str, Document]:
        """All data keys, also those in events."""
        return self.descriptor.get("data_keys", {})

    @property
    def external(self) -> list[str]:
        """Data keys whose values are in files."""
        return external_keys(self.descriptor)

    @property
    def in_events(self) -> list[str]:
        """Data keys whose values are in events; if there are any, each row has one."""
        external = set(self.external)
        return [key for key in self.keys if key not in external]

    @property
    def detectors(self) -> dict[str, list[str]]:
        """Name of each detector -> its data keys in files."""
        external = set(self.external)
        objects: Mapping[str, list[str]] = self.descriptor.get("object_keys", {})
        found = {
            name: [key for key in keys if key in external]
            for name, keys in objects.items()
        }
        return {name: keys for name, keys in found.items() if keys}

    @property
    def rows(self) -> int:
        """Rows that all of its fields have."""
        return self.rows_of(self.external)

    def rows_of(self, keys: list[str]) -> int:
        """Rows that all of these fields have."""
        found = (self.fields.get(key) for key in keys)
        return min((0 if each is None else each.events for each in found), default=0)

    def resource(self, key: str) -> Resource | None:
        """The latest file that has this field; None if there is none yet."""
        found = self.fields.get(key)
        return found.segments[-1].resource if found and found.segments else None


def pieces(
    source: ExternalField, start: int, stop: int
) -> Iterator[tuple[Resource, int, int]]:
    """Find rows of a field: each file with the range of its rows, in order.

    Args:
        source: The field.
        start: First row, counted from the start of the stream.
        stop: The row after the last one.
    """
    passed = 0
    for segment in source.segments:
        low, high = max(start, passed), min(stop, passed + segment.events)
        if low < high:
            for first, last in segment.rows(low - passed, high - passed):
                yield segment.resource, first, last
        passed += segment.events


class Announced:
    """All flown streams of one run, as far as its documents have been taken."""

    def __init__(self) -> None:
        self.start: Document = {}
        """The start document."""
        self.streams: dict[str, FlownStream] = {}
        """By name."""
        self._by_descriptor: dict[str, FlownStream] = {}
        self._resources: dict[str, Resource] = {}

    def stream_of(self, descriptor: str) -> FlownStream | None:
        """The flown stream that a descriptor belongs to, None if that is no such."""
        return self._by_descriptor.get(descriptor)

    def add(self, name: str, doc: Document) -> None:
        """Take a document; kinds that say nothing of files are passed over."""
        if name == "start":
            self.start = doc
        elif name == "descriptor" and external_keys(doc):
            stream = self.streams.setdefault(
                str(doc.get("name", "primary")), FlownStream(doc)
            )
            stream.descriptor = doc
            self._by_descriptor[str(doc["uid"])] = stream
        elif name == "stream_resource":
            resource = Resource.from_document(dict(doc), None)
            self._resources[resource.uid] = resource
        elif name == "stream_datum":
            self._announce(doc)

    def _announce(self, datum: Document) -> None:
        stream = self._by_descriptor.get(str(datum["descriptor"]))
        resource = self._resources.get(str(datum["stream_resource"]))
        if stream is None or resource is None:
            return  # subscribed in the middle of the run
        key = resource.data_key
        known = stream.fields.setdefault(key, ExternalField(key))
        known.add(resource, dict(datum))
