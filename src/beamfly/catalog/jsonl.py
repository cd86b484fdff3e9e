"""One document per line: `{"name": "event", "doc": {...}}`.

A line says exactly what `event_model.sanitize_doc` would make of the document, and
also takes times, paths, sets and enums, which plans like to put into metadata. NaN
and infinity are written as Python's json does (`NaN`), so that they come back as what
they were. Text is ASCII: a file can be cut anywhere without harm to a character.

A reader takes whole lines only. What follows the last newline is a line that is
being written just now, or that was being written when the process was killed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np

from beamfly.errors import CatalogError

Document = dict[str, Any]
"""A document of the event model, in plain Python types."""


@dataclass(frozen=True)
class Line:
    """One line of a run's file."""

    name: str
    """Kind of document: start, descriptor, event, stream_datum ..."""
    doc: Document
    """The document itself."""
    beside: str | None = None
    """For a stream_resource: its file's place as seen from this run's file, with
    forward slashes. A catalog that was moved finds its data by it."""


def _plain_array(value: Any) -> Any:
    array = cast("np.ndarray[Any, Any]", np.asarray(value))
    # dates would come out of tolist() as integers when they are precise to the ns
    return (array.astype(str) if array.dtype.kind in "mM" else array).tolist()


def _sorted(value: Any) -> Any:
    return sorted(value, key=str)


_PLAIN: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((np.ndarray, np.generic), _plain_array),
    ((date, time), lambda value: value.isoformat()),
    ((timedelta,), lambda value: value.total_seconds()),
    ((PurePath,), str),
    ((Enum,), lambda value: value.value),
    ((set, frozenset), _sorted),
)
"""How to write what json cannot: the types, and what makes something plain of them."""


def _to_plain(value: Any) -> Any:
    # event_model's own encoder imports dask at the first numpy value it meets, which
    # stops the RunEngine's loop for about a second; hence this one.
    for types, convert in _PLAIN:
        if isinstance(value, types):
            return convert(value)
    if hasattr(value, "__array__"):
        return _plain_array(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


_encoder = json.JSONEncoder(default=_to_plain, separators=(",", ":"))
_decoder = json.JSONDecoder()


def encode(line: Line) -> bytes:
    """Make the bytes of one line, newline included.

    Raises:
        CatalogError: A value has no JSON form; the message says where it sits.
    """
    content: dict[str, Any] = {"name": line.name, "doc": line.doc}
    if line.beside is not None:
        content["beside"] = line.beside
    try:
        return _encoder.encode(content).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        place = _culprit(line.doc, line.name)
        raise CatalogError(
            f"The {line.name} document cannot be stored: {place}: {error}."
        ) from error


def plain(doc: Document) -> Document:
    """Copy a document into plain Python types, as reading it back would."""
    return json.loads(_encoder.encode(doc))


def decode(line: bytes, path: Path, number: int | None) -> Line:
    """Read one line of the file at `path`; number None is the last one.

    Raises:
        CatalogError: This is no document; names file and line.
    """
    where = "its last line" if number is None else f"line {number}"
    try:
        content = _decoder.decode(line.decode())
        name, doc = content["name"], content["doc"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CatalogError(
            f"{path}, {where}, is not a document ({error}); "
            "the run was not read beyond it."
        ) from error
    if not isinstance(name, str) or not isinstance(doc, dict):
        raise CatalogError(
            f"{path}, {where}, is not a document; the run was not read beyond it."
        )
    beside: Any = content.get("beside")
    return Line(name, cast("Document", doc), None if beside is None else str(beside))


@dataclass
class LineReader:
    """Reads a run's file, and later what was added to it since."""

    path: Path
    """The file, which may still grow."""
    offset: int = 0
    """Bytes read so far; always just after a newline."""
    number: int = 0
    """Lines read so far."""

    def read(self) -> Iterator[Line]:
        """Give the whole lines that came since the last call.

        A line counts as read when the next one is asked for: one that its reader
        stumbles over comes again.

        Raises:
            CatalogError: The file cannot be read, or holds what is no document.
        """
        for text in self._new_lines():
            yield decode(text, self.path, self.number + 1)
            self.offset += len(text) + 1
            self.number += 1

    def _new_lines(self) -> list[bytes]:
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) <= self.offset:
                    return []
                file.seek(self.offset)
                data = file.read()
        except OSError as error:
            raise CatalogError(
                f"The run in {self.path} cannot be read: {error}"
            ) from error
        return data.split(b"\n")[:-1]


def first_line(path: Path) -> Line | None:
    """Read the first line; None while there is no whole line yet.

    Raises:
        CatalogError: The file cannot be read, or does not begin with a document.
    """
    try:
        with path.open("rb") as file:
            text = file.readline()
    except OSError as error:
        raise CatalogError(f"The run in {path} cannot be read: {error}") from error
    return decode(text[:-1], path, 1) if text.endswith(b"\n") else None


def last_line(path: Path, block: int = 65536) -> Line | None:
    """Read the last whole line without reading what comes before it.

    Raises:
        CatalogError: The file cannot be read, or ends with what is no document.
    """
    try:
        with path.open("rb") as file:
            begin = file.seek(0, 2)
            tail = b""
            while begin and tail.count(b"\n") < 2:
                begin, end = max(0, begin - block), begin
                file.seek(begin)
                tail = file.read(end - begin) + tail
                block *= 4
    except OSError as error:
        raise CatalogError(f"The run in {path} cannot be read: {error}") from error
    lines = tail.split(b"\n")[:-1]
    return decode(lines[-1], path, None) if lines else None


def _culprit(value: Any, place: str, depth: int = 8) -> str:
    """Find the part of a document that cannot be encoded, as far in as `depth`."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts = [(f"{place}.{k}", v) for k, v in cast("Document", value).items()]
    elif isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        parts = [(f"{place}[{i}]", item) for i, item in enumerate(items)]
    for where, part in parts:
        try:
            _encoder.encode(part)
        except (TypeError, ValueError):
            return _culprit(part, where, depth - 1) if depth else where
        except RecursionError:
            return where
    return place
