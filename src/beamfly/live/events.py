"""Events for callbacks that know no files: `EventFeed`.

Any callback of bluesky (a table, an exporter, BestEffortCallback) sees flown streams
as if they had been read event by event: the values that are drawn become plain numbers
in the descriptor, and some of the rows become events with their true number and time.
At most so many per second are made; the first and the last row are always among them.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from beamfly.live.announced import Document, external_keys
from beamfly.live.mailbox import MOST_EVENTS
from beamfly.live.rows import Block, Floats
from beamfly.live.viewer import Watches
from beamfly.live.watch import StreamWatch

Callback = Callable[[str, Any], Any]
"""Takes the name of a document and the document."""


class EventFeed:
    """Feeds a callback with the documents of one run.

    Args:
        callback: Which.
        points_per_second: Rows per second that become events.
        about: How the callback is called in errors.
        flown_only: Whether it hears of nothing but flown streams.
    """

    def __init__(
        self,
        callback: Callback,
        points_per_second: float = 5.0,
        about: str = "",
        flown_only: bool = False,
    ) -> None:
        self.about = about or f"{type(callback).__name__} (a callback)"
        self._callback, self._limit = callback, points_per_second
        self._flown_only = flown_only
        self._is_best_effort = hasattr(callback, "noplot_streams")
        self._descriptors: dict[str, Document] = {}
        self._flown: dict[str, Document] = {}
        self._events: dict[str, dict[int, Document]] = {}
        self._last_time = time.monotonic()
        self._allowed = 0.0
        self._latest: dict[str, tuple[StreamWatch, Block, Mapping[str, Floats]]] = {}
        self._emitted: dict[str, int] = {}

    def document(self, name: str, doc: Document, watches: Watches) -> None:
        """Hand a document on, unless it waits for values from files."""
        if name in ("stream_resource", "stream_datum"):
            return
        if name == "descriptor" and external_keys(doc):
            self._flown[str(doc["uid"])] = doc
            self._describe(watches[str(doc.get("name", "primary"))])
        elif name == "event" and str(doc["descriptor"]) in self._flown:
            self._keep(self._flown[str(doc["descriptor"])], doc)
        elif name == "start" or not self._flown_only:
            self._give(name, dict(doc))

    def _give(self, name: str, doc: Any) -> None:
        """Call the callback."""
        best_effort: Any = self._callback
        if not self._is_best_effort:
            self._callback(name, doc)
        elif not self._flown and name != "start":
            best_effort(name, doc)
        else:
            # In a flight it is to plan no plots: it would draw each event anew, and
            # plot reports, of which there is one. `escape` keeps it from doing its
            # part later, in the main thread, as it does where there are windows.
            before = best_effort.noplot_streams
            if name == "descriptor":
                best_effort.noplot_streams = [*before, doc.get("name")]
            try:
                best_effort(name, doc, escape=True)
            finally:
                best_effort.noplot_streams = before

    def _keep(self, descriptor: Document, event: Document) -> None:
        """Keep an event until its row is read; one that has no values says nothing."""
        if len(external_keys(descriptor)) < len(descriptor["data_keys"]):
            name = str(descriptor.get("name", "primary"))
            kept = self._events.setdefault(name, {})
            kept[int(event["seq_num"])] = event
            if len(kept) > MOST_EVENTS:
                del kept[min(kept)]

    def rows(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats]
    ) -> None:
        """Make events of some of the rows."""
        name = watch.stream.name
        self._latest[name] = (watch, block, motors)
        stepped = watch.stream.in_events
        every = range(block.start, block.stop)
        for row in every if stepped else self._some(name, block):
            self._emit(watch, block, motors, row)

    def _some(self, name: str, block: Block) -> list[int]:
        """Rows of a block that become events, as many as the time allows."""
        now = time.monotonic()
        # what was not used is not lost, up to what a second has
        self._allowed += (now - self._last_time) * self._limit
        self._allowed = min(self._allowed, max(self._limit, 1.0))
        self._last_time = now
        number = min(int(self._allowed), len(block))
        self._allowed -= number
        first = {block.start} if name not in self._emitted else set[int]()
        if not number:
            return sorted(first)
        ends = np.linspace(block.start, block.stop, number + 1)[1:]
        return sorted({*first, *(ends.astype(int) - 1).tolist()})

    def _describe(self, watch: StreamWatch) -> None:
        """Tell the callback of the stream."""
        name, plain = watch.stream.name, plain_descriptor(watch)
        self._descriptors[name] = plain
        self._give("descriptor", plain)

    def _emit(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats], row: int
    ) -> None:
        name, index = watch.stream.name, row - block.start
        if self._emitted.get(name, -1) >= row:
            return
        self._emitted[name] = row
        event = self._events.get(name, {}).pop(row + 1, {})
        times = block.times
        taken = time.time() if times is None else float(times[index])
        taken = float(event.get("time", taken))
        data = {key: float(block.values[key][index]) for key in watch.choice.wanted}
        stamps = dict.fromkeys(data, taken)
        self._give(
            "event",
            {
                "uid": event.get("uid") or str(uuid.uuid4()),
                "descriptor": self._descriptors[name]["uid"],
                "seq_num": row + 1,
                "time": taken,
                "data": {**event.get("data", {}), **data},
                "timestamps": {**event.get("timestamps", {}), **stamps},
                "filled": {},
            },
        )

    def show(self, watches: Watches) -> None:
        """Nothing to do."""

    def stop(self, watches: Watches, doc: Document) -> None:
        """Give the last row of each stream, then the stop document."""
        for watch, block, motors in self._latest.values():
            self._emit(watch, block, motors, block.stop - 1)
        for watch in watches.values():
            for event in self._events.get(watch.stream.name, {}).values():
                self._give("event", {**event, "filled": {}})
        self._give("stop", dict(doc))

    def finish(self, watches: Watches) -> None:
        """Nothing more to do."""


def plain_descriptor(watch: StreamWatch) -> dict[str, Any]:
    """A descriptor as if the values that are drawn were in events, as numbers."""
    stream, wanted = watch.stream, watch.choice.wanted
    external = set(stream.external)
    keys: dict[str, Any] = {}
    for key, described in stream.keys.items():
        if key in wanted:
            kept = {k: v for k, v in described.items() if k != "external"}
            keys[key] = {**kept, "dtype": "number", "shape": [], "dtype_numpy": "<f8"}
        elif key not in external:
            keys[key] = described
    objects: Mapping[str, list[str]] = stream.descriptor.get("object_keys", {})
    hints: Mapping[str, Document] = stream.descriptor.get("hints", {})
    hinted = {name: set(hint.get("fields", ())) for name, hint in hints.items()}
    return {
        **stream.descriptor,
        "data_keys": keys,
        "object_keys": {
            name: [key for key in found if key in keys]
            for name, found in objects.items()
        },
        "hints": {
            name: {
                "fields": [
                    key
                    for key in found
                    if key in wanted
                    or (key in keys and key in hinted.get(name, set(found)))
                ]
            }
            for name, found in objects.items()
        },
    }
