"""The callback that stores runs: `RE.subscribe(catalog.writer())`.

It runs in the RunEngine's loop, which is also the loop of the devices, so it does one
thing per document: append one line to one open file. No index, no network, no flush to
the platter. A line that was written survives the death of this process (the kernel
holds it), which is why a killed run can be read up to its last document.
"""

import os
import threading
from pathlib import Path
from types import TracebackType

from beamfly.catalog.datafiles import beside
from beamfly.catalog.jsonl import Document, Line, encode
from beamfly.catalog.layout import run_place
from beamfly.errors import CatalogError


class RunFile:
    """The open file of one run that is being taken."""

    def __init__(self, path: Path, uid: str):
        self.path = path
        self.uid = uid
        self._descriptor = self._create()

    def _create(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            # Windows would write \r\n
            return os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o666)
        except FileExistsError as error:
            raise CatalogError(
                f"Run {self.uid} is already stored in {self.path}; it was not stored "
                "again. Is the catalog subscribed twice?"
            ) from error
        except OSError as error:
            raise CatalogError(
                f"Run {self.uid} cannot be stored in {self.path}: {error}"
            ) from error

    def append(self, line: bytes) -> None:
        """Add a line, wholly or not at all.

        Raises:
            CatalogError: The disk did not take it; the file is as it was before.
        """
        before = os.fstat(self._descriptor).st_size
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            # half a line would spoil the lines after it
            os.ftruncate(self._descriptor, before)
            raise CatalogError(
                f"A document of run {self.uid} cannot be stored in {self.path}: "
                f"{error}. The document is lost."
            ) from error

    def discard(self) -> None:
        """Remove the file: the run did not begin."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; once is enough, twice does no harm."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RunWriter:
    """Stores runs in a catalog's directory, several at a time if need be.

    An instance is a callback for `RE.subscribe` and for anything else that gives
    `(name, doc)`; it may be called from any thread. What cannot be stored raises
    `CatalogError`, which makes the RunEngine abort the plan: a scan whose documents
    are being lost should not go on.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self._lock = threading.Lock()
        self._files: dict[str, RunFile] = {}
        # which run a descriptor or a resource belongs to, while the run is open
        self._owners: dict[str, str] = {}

    @property
    def open_runs(self) -> list[str]:
        """The uids of the runs that have begun and not stopped."""
        with self._lock:
            return list(self._files)

    def __call__(self, name: str, doc: Document) -> None:
        """Store one document.

        Args:
            name: Its kind: start, descriptor, event, stream_datum, stop ...
            doc: The document.

        Raises:
            CatalogError: It was not stored; the message says why.
        """
        with self._lock:
            if name == "start":
                self._begin(doc)
            else:
                self._add(name, doc)

    def _begin(self, doc: Document) -> None:
        line = encode(Line("start", doc))
        place = run_place(doc)
        file = RunFile(place.path(self.directory), place.uid)
        try:
            file.append(line)
        except CatalogError:
            file.discard()
            raise
        self._files[place.uid] = file

    def _add(self, name: str, doc: Document) -> None:
        uid = self._run_of(name, doc)
        file = self._files.get(uid)
        if file is None:
            raise CatalogError(
                f"A {name} document was not stored: it belongs to a run"
                f"{' ' + uid if uid else ''} whose start document did not come here, "
                "or which has stopped already."
            )
        near = beside(doc, file.path) if name == "stream_resource" else None
        file.append(encode(Line(name, doc, near)))
        if name in ("descriptor", "resource", "stream_resource"):
            self._owners[str(doc.get("uid"))] = uid
        elif name == "stop":
            self._end(uid)

    def _run_of(self, name: str, doc: Document) -> str:
        if "run_start" in doc:
            return str(doc["run_start"])
        keys = ("descriptor", "stream_resource", "resource")
        owners = (self._owners.get(str(doc[key])) for key in keys if key in doc)
        return next((owner for owner in owners if owner), "")

    def _end(self, uid: str) -> None:
        self._files.pop(uid).close()
        self._owners = {key: run for key, run in self._owners.items() if run != uid}

    def close(self) -> None:
        """Close the files of runs that have not stopped; they stay readable."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._owners.clear()

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunWriter {self.directory} open={len(self._files)}>"
