"""From a catalog's directory into Tiled: `DirectoryFeed`.

It looks at the directory when it is told to, takes what has come since, and writes it
through `bluesky_tiled_plugins.TiledWriter`, run by run. A run that cannot be written is
told about once and left out; the others go on.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from beamfly.catalog.datafiles import DataFinder
from beamfly.catalog.jsonl import Line, LineReader, last_line
from beamfly.catalog.layout import RunPlace, days, runs_of_day
from beamfly.errors import CatalogError
from beamfly.tiled.merging import merged
from beamfly.tiled.store import TiledStore

AT_ONCE = 1
"""Writes per event or announcement of a run that is being taken."""
IN_BULK = 10_000
"""Of a run that is over: rows per write."""


@dataclass(frozen=True)
class Fed:
    """What became of one run in one look."""

    uid: str
    """The run."""
    documents: int = 0
    """How many were read, before merging."""
    stopped: bool = False
    """Whether the run is whole now."""
    error: str = ""
    """Why it was given up, empty if it was not."""


class _RunFeed:
    """One run that is not whole in Tiled."""

    def __init__(self, place: RunPlace, store: TiledStore, client: Any) -> None:
        self.uid = place.uid
        self._client = client
        self._path = place.path(store.directory)
        self._readable = store.readable()
        self._reader = LineReader(self._path)
        self._finder = DataFinder()
        self._last = ""

    @cached_property
    def _writer(self) -> Callable[[str, dict[str, Any]], None]:
        from bluesky_tiled_plugins import TiledWriter

        last = last_line(self._path)
        over = last is not None and last.name == "stop"
        return TiledWriter(self._client, batch_size=IN_BULK if over else AT_ONCE)

    def feed(self) -> Fed:
        """Write what has come since the last time."""
        before = self._reader.number
        try:
            for line in merged(self._lines()):
                self._writer(line.name, line.doc)
        # whatever Tiled makes of it: other runs are not to suffer
        except Exception as error:
            why = str(error) if isinstance(error, CatalogError) else repr(error)
            text = f"run {self.uid} is not in Tiled, or in part only: {why}"
            return Fed(self.uid, error=text)
        return Fed(self.uid, self._reader.number - before, self._last == "stop")

    def _lines(self) -> Iterator[Line]:
        for line in self._reader.read():
            self._last = line.name
            yield self._found(line) if line.name == "stream_resource" else line

    def _found(self, line: Line) -> Line:
        """The resource at the place where its file is now."""
        try:
            path = self._finder.find(str(line.doc["uri"]), line.beside, self._path)
        except CatalogError:
            # no obstacle: Tiled says so to whoever reads it
            return line
        if not any(path.is_relative_to(folder) for folder in self._readable):
            raise CatalogError(
                f"Tiled may not read {path}: run `beamfly tiled init` with "
                f"--data {path.parent}"
            )
        uri = f"file://localhost{path.absolute().as_posix()}"
        return replace(line, doc={**line.doc, "uri": uri})


class DirectoryFeed:
    """Writes a catalog's runs into its Tiled database.

    Args:
        store: The catalog and its database.
        client: Of the database, see `TiledStore.open`.
    """

    def __init__(self, store: TiledStore, client: Any) -> None:
        self.store = store
        self._client = client
        self._days: dict[str, int] = {}
        self._known: set[str] = set(client.keys())
        self._feeds: dict[str, _RunFeed] = {}
        self._halves: set[str] = set()
        self._forget_halves()

    def _forget_halves(self) -> None:
        """Runs that were being written when it ended last are written again."""
        try:
            halves = json.loads(self.store.feeding_file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return
        for uid in self._known.intersection(halves):
            self._client.delete_contents(uid, recursive=True, external_only=False)
            self._known.discard(uid)

    def discover(self) -> int:
        """Look for new runs.

        Returns:
            How many runs are not whole in Tiled.
        """
        found = days(self.store.directory)
        changed = [day for day in found if self._days.get(day) != found[day]]
        self._days = found
        # oldest first: the newest run of a Tiled database is the one stored last
        for day in sorted(changed):
            for place in runs_of_day(self.store.directory, day):
                if place.uid not in self._known:
                    self._known.add(place.uid)
                    self._feeds[place.uid] = _RunFeed(place, self.store, self._client)
        return len(self._feeds)

    def look(self) -> Iterator[Fed]:
        """Take what has come since the last look.

        Yields:
            What became of each run that had something new.
        """
        self.discover()
        for feed in list(self._feeds.values()):
            self._note(self._halves | {feed.uid})
            fed = feed.feed()
            if fed.stopped or fed.error:
                del self._feeds[fed.uid]
            if fed.stopped:
                self._note(self._halves - {fed.uid})
            if fed.documents or fed.error:
                yield fed

    def _note(self, halves: set[str]) -> None:
        """Write down which runs are there in part, before they are."""
        if halves != self._halves:
            self._halves = halves
            text = json.dumps(sorted(halves))
            self.store.feeding_file.write_text(text, "utf-8")
