"""The catalog: a directory of runs, with the face that databroker expects.

`Catalog(directory)[-1]` is the newest run. `make_db(directory)` wraps it in a
`databroker.Broker`, for `db[-1].table()` and all that people are used to.

The newest runs are found by file name, everything else by the index; both look at the
directory anew each time, so that a run taken by another process is there at once.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from beamfly.catalog.datafiles import DataFinder
from beamfly.catalog.index import RunIndex
from beamfly.catalog.jsonl import Document
from beamfly.catalog.layout import RunPlace, newest_first
from beamfly.catalog.queries import Condition, condition
from beamfly.catalog.run import Run
from beamfly.catalog.writer import RunWriter
from beamfly.errors import BadValue, CatalogError, RunNotFound

if TYPE_CHECKING:
    from databroker import Broker

SHORTEST_UID = 5
"""The fewest characters by which a run may be called."""
_KEPT = 32
"""Runs whose documents are kept in memory, so that asking twice reads once."""


class Runs(Sequence[Run]):
    """Runs in order of time, oldest first; each is made when it is asked for."""

    def __init__(self, catalog: "Catalog", places: Sequence[RunPlace]):
        self._catalog = catalog
        self._places = places

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        if isinstance(index, slice):
            return [self._catalog.run_at(place) for place in self._places[index]]
        return self._catalog.run_at(self._places[index])

    def __len__(self) -> int:
        return len(self._places)

    def first(self) -> Run:
        """The oldest."""
        return self[0]

    def last(self) -> Run:
        """The newest."""
        return self[-1]

    def head(self, count: int = 5) -> list[Run]:
        """The oldest few."""
        return self[:count]

    def tail(self, count: int = 5) -> list[Run]:
        """The newest few, oldest of them first."""
        return self[-count:]


class Catalog:
    """A directory of runs.

    ```
    catalog[-1]               the newest run, catalog[-3:] the three newest
    catalog["6f3c1a"]         by uid, or the beginning of one (5 characters or more)
    catalog[42]               by scan_id, the newest of several
    catalog.search(query)     the runs that answer it, as a catalog
    len(catalog), iteration   over uids, oldest first
    ```

    It may be used from several threads, and by several processes at the same time.
    """

    is_sql = False
    """Tells databroker that this is no Tiled server."""

    def __init__(
        self,
        directory: str | Path,
        *,
        root_map: Mapping[str, str | Path] | None = None,
    ):
        """Open a catalog, at once: nothing is read before it is asked for.

        Args:
            directory: The directory; it is made when the first run is stored.
            root_map: Where directories with data files are now, by where they were
                when the data was written. Not needed when data moved with the catalog.
        """
        self.directory = Path(directory).expanduser().absolute()
        self._finder = DataFinder(root_map)
        self._index = RunIndex(self.directory)
        self._conditions: tuple[Condition, ...] = ()
        self._kept: OrderedDict[RunPlace, Run] = OrderedDict()
        self._lock = threading.Lock()
        self._writer: RunWriter | None = None
        self._v1: Broker | None = None

    @property
    def metadata(self) -> Document:
        """The catalog's name and directory."""
        return {"name": self.directory.name, "directory": str(self.directory)}

    @property
    def v1(self) -> "Broker":
        """The catalog as a `databroker.Broker`."""
        if self._v1 is None:
            from beamfly.catalog.broker import broker_for

            self._v1 = broker_for(self)
        return self._v1

    @property
    def v2(self) -> "Catalog":
        """The catalog itself: it is what databroker calls version 2."""
        return self

    v3 = v2

    def writer(self) -> RunWriter:
        """Give the callback that stores runs here: `RE.subscribe(catalog.writer())`.

        It is always the same one.
        """
        with self._lock:
            if self._writer is None:
                self._writer = RunWriter(self.directory)
            return self._writer

    def post_document(self, name: str, doc: Document) -> None:
        """Store one document; `databroker.Broker.insert` ends here.

        Raises:
            CatalogError: It was not stored.
        """
        self.writer()(name, doc)

    def search(self, query: Any) -> "Catalog":
        """Narrow the catalog down to the runs that answer a query.

        Args:
            query: A query of `tiled.queries` or `bluesky_tiled_plugins.queries`, or a
                dict of values that the start document must hold.

        Raises:
            BadValue: This kind of query is not known here.
        """
        conditions = (*self._conditions, *condition(query))
        found = Catalog.__new__(Catalog)
        found.__dict__.update(self.__dict__, _v1=None, _conditions=conditions)
        return found

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._by_uid(key)
        if isinstance(key, Integral):
            number = int(key)
            return self._by_scan_id(number) if number > 0 else self._by_age(number)
        if isinstance(key, slice):
            return self._slice(cast("slice[Any, Any, Any]", key))
        if isinstance(key, Iterable):
            return [self[item] for item in cast("Iterable[Any]", key)]
        raise BadValue(
            f"A run is found by uid, scan_id or negative index, not by {key!r}."
        )

    def _by_uid(self, uid: str) -> Run:
        place = self._index.by_uid(uid)
        if place is None:
            place = self._by_partial_uid(uid)
        return self._if_wanted(place, f"uid {uid!r}")

    def _by_partial_uid(self, part: str) -> RunPlace | None:
        if len(part) < SHORTEST_UID:
            raise BadValue(
                f"{part!r} is too short for a part of a uid: give at least "
                f"{SHORTEST_UID} characters."
            )
        found = self._index.by_partial_uid(part)
        if len(found) > 1:
            raise BadValue(
                f"Several runs have a uid that begins with {part!r}, such as "
                f"{' and '.join(found)}. Give more of it."
            )
        return next(iter(found.values()), None)

    def _by_scan_id(self, scan_id: int) -> Run:
        if self._conditions:
            places = self._index.select(
                [*self._conditions, Condition("scan_id = ?", (scan_id,))]
            )
            place = places[-1] if places else None
        else:
            place = self._index.by_scan_id(scan_id)
        return self._if_wanted(place, f"scan_id {scan_id}", checked=True)

    def _if_wanted(
        self, place: RunPlace | None, what: str, checked: bool = False
    ) -> Run:
        """Give the run, unless there is none or the search left it out."""
        if place is not None and (checked or self._selects(place)):
            return self.run_at(place)
        raise RunNotFound(f"There is no run with {what} in {self._where()}.")

    def _selects(self, place: RunPlace) -> bool:
        return not self._conditions or place in self._places()

    def _by_age(self, index: int) -> Run:
        if index < 0 and not self._conditions:
            newest = next(islice(newest_first(self.directory), -1 - index, None), None)
            if newest is not None:
                return self.run_at(newest)
        else:
            places = self._places()
            if -len(places) <= index < len(places):
                return self.run_at(places[index])
        raise RunNotFound(
            f"There is no run number {index} in {self._where()}: it holds {len(self)}."
        )

    def _slice(self, key: "slice[Any, Any, Any]") -> list[Run]:
        if key.start is None or key.start >= 0:
            raise BadValue(
                "A slice of a catalog begins with a negative number, such as [-3:]. "
                "Use catalog.values() to count from the oldest run."
            )
        if self._conditions:
            return self.values()[key]
        newest = list(islice(newest_first(self.directory), -key.start))[::-1]
        # counted from the end, so that the stop may be negative too
        return Runs(self, newest)[key]

    def _places(self) -> list[RunPlace]:
        return self._index.select(self._conditions)

    def _where(self) -> str:
        if not self.directory.is_dir():
            return f"{self.directory} (there is no such directory)"
        return (
            f"{self.directory}{' that answers the search' if self._conditions else ''}"
        )

    def run_at(self, place: RunPlace) -> Run:
        """Give the run in this place; the last few asked for are kept in memory."""
        with self._lock:
            run = self._kept.get(place) or Run(place.path(self.directory), self._finder)
            self._kept[place] = run
            self._kept.move_to_end(place)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return run

    def items(self) -> Iterator[tuple[str, Run]]:
        """Walk through uids and runs, oldest first."""
        for place in self._places():
            yield place.uid, self.run_at(place)

    def keys(self) -> list[str]:
        """The uids, oldest first."""
        return [place.uid for place in self._places()]

    def values(self) -> Runs:
        """The runs, oldest first."""
        return Runs(self, self._places())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return self._index.count(self._conditions)

    def __contains__(self, uid: object) -> bool:
        try:
            return isinstance(uid, str) and bool(self._by_uid(uid))
        except (CatalogError, BadValue):
            return False

    def stats(self) -> Document:
        """Count the runs and the bytes of their documents."""
        paths = [place.path(self.directory) for place in self._places()]
        return {"runs": len(paths), "bytes": sum(path.stat().st_size for path in paths)}

    def close(self) -> None:
        """Close the index and the runs that are being written; both open again."""
        self._index.close()
        if self._writer is not None:
            self._writer.close()

    def __repr__(self) -> str:
        kind = "search in " if self._conditions else ""
        return f"<Catalog {kind}{self.directory}>"
