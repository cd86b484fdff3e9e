"""One run: `catalog[-1]`.

`run.start`, `run.stop`, `run.primary.read()`, `run.documents()`. A run that is still
being taken shows more each time it is looked at. The class has the attributes that
`databroker.v1.Header` builds on.
"""

import copy
import keyword
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from beamfly.catalog.datafiles import DataFinder
from beamfly.catalog.file_columns import DataFiles
from beamfly.catalog.filling import filled
from beamfly.catalog.jsonl import Document, Line, LineReader
from beamfly.catalog.record import RunRecord
from beamfly.catalog.stream import Stream
from beamfly.errors import CatalogError

FILL = {True: True, False: False, "yes": True, "no": False}
"""What `documents(fill=...)` takes, and whether it means to fill."""


class Run(Mapping[str, Stream]):
    """One run: a mapping of stream names to streams."""

    def __init__(self, path: Path, finder: DataFinder):
        """Nothing is read before it is asked for.

        Args:
            path: The file with the run's documents.
            finder: Finds its data files.
        """
        self.path = path
        self._finder = finder
        self._lock = threading.Lock()
        self._reader = LineReader(path)
        self._record = RunRecord()

    def record(self) -> RunRecord:
        """Give what the documents say by now.

        Raises:
            CatalogError: The file is missing, or damaged; names file and line.
        """
        with self._lock:
            if not self._record.stop:
                for line in self._reader.read():
                    self._add(line)
            if not self._record.start:
                raise CatalogError(f"The run in {self.path} has no start document yet.")
            return self._record

    def _add(self, line: Line) -> None:
        try:
            self._record.add(line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CatalogError(
                f"{self.path}, line {self._reader.number + 1}: this {line.name} "
                f"document makes no sense after those before it ({error!r}); the run "
                "was not read beyond it."
            ) from error

    def data_files(self) -> DataFiles:
        """Give a way to open this run's data files."""
        return DataFiles(self.path, self._finder)

    @property
    def start(self) -> Document:
        """The start document."""
        return copy.deepcopy(self.record().start)

    @property
    def stop(self) -> Document:
        """The stop document; empty while the run goes on, or if it was killed."""
        return copy.deepcopy(self.record().stop)

    @property
    def metadata(self) -> Document:
        """The start and the stop document."""
        return {"start": self.start, "stop": self.stop}

    @property
    def uid(self) -> str:
        """The run's uid."""
        return str(self.record().start["uid"])

    @property
    def descriptors(self) -> list[Document]:
        """The descriptors of all streams."""
        return [each for stream in self.values() for each in stream.descriptors]

    @property
    def v1(self) -> Any:
        """The run as a `databroker.v1.Header`."""
        from databroker import Broker, Header

        return Header(self, Broker(_Alone(self)))

    @property
    def v2(self) -> "Run":
        """The run itself: it is what databroker calls version 2."""
        return self

    v3 = v2

    def documents(self, fill: bool | str = False) -> Iterator[tuple[str, Document]]:
        """Give the run's documents as `(name, doc)`, in the order they were written.

        Args:
            fill: Whether to put what is in files into the events. Rows of streams that
                have no events of their own come as event_page documents.

        Raises:
            ValueError: `fill` is none of True, False, "yes", "no".
            CatalogError: The run, or with `fill` a data file, cannot be read.
        """
        if fill not in FILL:
            raise ValueError(f"fill must be True, False, 'yes' or 'no', not {fill!r}.")
        lines = ((line.name, line.doc) for line in LineReader(self.path).read())
        return filled(self, lines) if FILL[fill] else lines

    def __getitem__(self, key: str | tuple[str, ...]) -> Any:
        path = "/".join(key) if isinstance(key, tuple) else key
        name, _, rest = path.partition("/")
        if name not in self.record().streams:
            raise KeyError(name)
        stream = Stream(self, name)
        return stream[rest] if rest else stream

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.record().streams))

    def __len__(self) -> int:
        return len(self.record().streams)

    def __contains__(self, name: object) -> bool:
        return name in self.record().streams

    def __getattr__(self, name: str) -> Stream:
        if not name.startswith("_") and name in self:
            return self[name]
        raise AttributeError(f"{self!r} has no stream or attribute {name!r}.")

    def __dir__(self) -> list[str]:
        names = [n for n in self if n.isidentifier() and not keyword.iskeyword(n)]
        return [*super().__dir__(), *names]

    def __hash__(self) -> int:
        return hash(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path == other.path

    def __str__(self) -> str:
        return f"run {self.record().start['uid']}"

    def __repr__(self) -> str:
        start = self.record().start
        when = datetime.fromtimestamp(start["time"]).isoformat(" ", "minutes")
        return (
            f"<Run {set(self)!r} scan_id={start.get('scan_id', 'UNSET')} "
            f"uid={start['uid'][:8]!r} {when}>"
        )


class _Alone:
    """A catalog of one run, which `databroker.v1.Header` looks its run up in."""

    is_sql = False

    def __init__(self, run: Run):
        self.metadata: Document = {}
        self._run = run

    @property
    def v2(self) -> "_Alone":
        return self

    def __getitem__(self, uid: str) -> Run:
        return self._run
