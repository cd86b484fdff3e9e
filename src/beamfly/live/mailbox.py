"""From the RunEngine's loop to the thread that shows: `Mailbox`, which never grows.

`put` is called once per document in the RunEngine's loop, so it does next to nothing.
Announcements of rows are joined to one range per file and field; events that nobody
fetches in time are dropped and counted, as nothing but a table wants them.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from beamfly.live.announced import Document

MOST_EVENTS = 1000
"""Events that wait at most."""
_ABOUT_STREAMS = ("descriptor", "stream_resource")
"""Without these nothing can be read; there are few of them."""


@dataclass
class Post:
    """What has come since the last time."""

    documents: list[tuple[str, Document]] = field(
        default_factory=list[tuple[str, Document]]
    )
    """In order, but announcements of rows after all others; without `stop`."""
    arrived: float = 0.0
    """When the latest rows were announced, seconds since 1970; 0 if none were."""
    stop: Document | None = None
    """The stop document, once it has come."""
    dropped: int = 0
    """Events that were not kept."""


class Mailbox:
    """Documents of one run for one reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._documents: deque[tuple[str, Document]] = deque()
        self._datums: dict[str, list[dict[str, Any]]] = {}
        self._events = 0
        self._rest = Post()

    def put(self, name: str, doc: Document, now: float) -> None:
        """Hand a document over; takes microseconds and never waits.

        Args:
            name: Its kind.
            doc: The document, which is not changed.
            now: Seconds since 1970.
        """
        with self._lock:
            if name == "stream_datum":
                self._join(doc)
                self._rest.arrived = now
                # whoever draws does so at its own pace
                return
            if name == "stop":
                self._rest.stop = doc
            elif name in _ABOUT_STREAMS:
                self._documents.append((name, doc))
            elif self._events < MOST_EVENTS:
                self._events += 1
                self._documents.append((name, doc))
            else:
                self._rest.dropped += 1
        if name == "stop":
            self._filled.set()

    def _join(self, doc: Document) -> None:
        held = self._datums.setdefault(str(doc["stream_resource"]), [])
        if held and held[-1]["indices"]["stop"] == doc["indices"]["start"]:
            for part in ("indices", "seq_nums"):
                start = held[-1].get(part, {}).get("start", 0)
                stop = doc.get(part, {}).get("stop", 0)
                held[-1][part] = {"start": start, "stop": stop}
        else:
            held.append(dict(doc))

    def hurry(self) -> None:
        """Wake up whoever waits."""
        self._filled.set()

    def take(self, timeout: float) -> Post:
        """Wait, until the run has stopped or for so many seconds; give all there is."""
        self._filled.wait(timeout)
        with self._lock:
            post, self._rest = self._rest, Post()
            post.documents = list(self._documents)
            for held in self._datums.values():
                post.documents += [("stream_datum", datum) for datum in held]
            self._documents.clear()
            self._datums.clear()
            self._events = 0
        return post
