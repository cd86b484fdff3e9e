"""What a search asks, and whether a run answers it.

`condition` turns a query object into a `Condition`: a part that SQLite can judge on
the index, and a test on the documents for what it cannot. Queries are the classes of
`tiled.queries` and `bluesky_tiled_plugins.queries`, known here by name, so that looking
for a run does not import half a web server; a plain dict `{"plan_name": "count"}` means
the same as one `Key(...) == value` each.

A key names a value in the start document, dots lead into nested ones
(`sample.name`); `stop.exit_status` looks into the stop document instead.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from beamfly.catalog.jsonl import Document
from beamfly.errors import BadValue


class _Nothing:
    """What no value is an instance of."""


_MISSING = _Nothing()
_COLUMNS: dict[str, type] = {"scan_id": int, "plan_name": str, "uid": str}
"""What the index has a column for, by key."""
_WORD = re.compile(r"\w+")

Test = Callable[[Document], bool]
"""Judges a run by `{"start": ..., "stop": ...}`."""


@dataclass(frozen=True)
class Condition:
    """One condition on a run."""

    sql: str = "1"
    """A condition on a row of the index. It may let too many runs pass if there is a
    `test`, never too few."""
    values: tuple[Any, ...] = ()
    """What stands for the question marks in `sql`."""
    test: Test | None = None
    """The rest of the condition; None if `sql` says it all."""
    needs_stop: bool = False
    """Whether `test` looks at the stop document, which is not in the index."""


def condition(query: Any) -> list[Condition]:
    """Translate a query into conditions that must all hold.

    Raises:
        BadValue: There is no such search here.
    """
    make = _MAKERS.get(type(query).__name__)
    if make is None:
        known = ", ".join(sorted(name for name in _MAKERS if name[0] != "_"))
        raise BadValue(
            f"Runs cannot be searched by {query!r}. Searches known here: {known}."
        )
    return make(query)


def _by_key(key: str, test: Callable[[Any], bool], **index: Any) -> list[Condition]:
    path = key.split(".")
    which = path.pop(0) if path[0] in ("start", "stop") and len(path) > 1 else "start"

    def holds(run: Document) -> bool:
        return test(_look_up(run.get(which), path))

    stop = which == "stop"
    return [Condition(test=holds, needs_stop=stop, **({} if stop else index))]


def _look_up(doc: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(doc, dict) or part not in doc:
            return _MISSING
        doc = cast("Document", doc)[part]
    return doc


def _equal(query: Any) -> list[Condition]:
    key, value = str(query.key), query.value
    column = key.removeprefix("start.")
    if isinstance(value, _COLUMNS.get(column, _Nothing)):
        return [Condition(f"{column} = ?", (value,))]

    def test(found: Any) -> bool:
        return found == value

    # a cheap look for the text first; numbers can be written in more than one way
    if isinstance(value, str):
        sought = json.dumps(value)
        return _by_key(key, test, sql="instr(start, ?)", values=(sought,))
    return _by_key(key, test)


def _not_equal(query: Any) -> list[Condition]:
    def test(found: Any) -> bool:
        return found is not _MISSING and found != query.value

    return _by_key(str(query.key), test)


def _compare(query: Any) -> list[Condition]:
    name = str(getattr(query.operator, "value", query.operator))
    judge = {
        "lt": operator.lt,
        "gt": operator.gt,
        "le": operator.le,
        "ge": operator.ge,
    }[name]

    def test(found: Any) -> bool:
        try:
            return found is not _MISSING and judge(found, query.value)
        except TypeError:  # text against a number
            return False

    return _by_key(str(query.key), test)


def _one_of(query: Any) -> list[Condition]:
    return _by_key(str(query.key), lambda found: found in query.value)


def _none_of(query: Any) -> list[Condition]:
    def test(found: Any) -> bool:
        return found is not _MISSING and found not in query.value

    return _by_key(str(query.key), test)


def _contains(query: Any) -> list[Condition]:
    def test(found: Any) -> bool:
        try:
            return query.value in found
        except TypeError:
            return False

    return _by_key(str(query.key), test)


def _present(query: Any) -> list[Condition]:
    wanted = bool(query.exists)
    return _by_key(str(query.key), lambda found: (found is not _MISSING) is wanted)


def _regex(query: Any) -> list[Condition]:
    flags = 0 if getattr(query, "case_sensitive", True) else re.IGNORECASE
    try:
        pattern = re.compile(query.pattern, flags)
    except re.error as error:
        raise BadValue(
            f"{query.pattern!r} is no regular expression: {error}"
        ) from error

    def test(found: Any) -> bool:
        return isinstance(found, str) and pattern.search(found) is not None

    return _by_key(str(query.key), test)


def _like(query: Any) -> list[Condition]:
    wild = {"%": ".*", "_": "."}
    text = "".join(wild.get(letter) or re.escape(letter) for letter in query.pattern)
    pattern = re.compile(text, re.DOTALL | re.IGNORECASE)

    def test(found: Any) -> bool:
        return isinstance(found, str) and pattern.fullmatch(found) is not None

    return _by_key(str(query.key), test)


def _full_text(query: Any) -> list[Condition]:
    words = set(_words(query.text))
    if not words:
        raise BadValue(f"There is no word to look for in {query.text!r}.")
    # lower() of SQLite knows ASCII letters only
    plain = sorted(word for word in words if word.isascii())

    def test(run: Document) -> bool:
        return words.issubset(_words_in(run.get("start")))

    sql = " AND ".join(["instr(lower(start), ?)"] * len(plain)) or "1"
    return [Condition(sql, tuple(plain), test)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _words_in(value: Any) -> Iterable[str]:
    """Yield the words of every text in a document, keys excepted."""
    if isinstance(value, str):
        yield from _words(value)
    elif isinstance(value, dict):
        for part in cast("Document", value).values():
            yield from _words_in(part)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _words_in(part)


def _time_range(query: Any) -> list[Condition]:
    limits = (("time >= ?", query.since), ("time < ?", query.until))
    return [Condition(sql, (limit,)) for sql, limit in limits if limit is not None]


def _scan_ids(query: Any) -> list[Condition]:
    numbers = tuple(int(number) for number in query.scan_ids)
    return [Condition(f"scan_id IN ({', '.join('?' * len(numbers))})", numbers)]


def _scan_id_range(query: Any) -> list[Condition]:
    return [Condition("scan_id >= ? AND scan_id < ?", (query.start_id, query.end_id))]


def _partial_uids(query: Any) -> list[Condition]:
    parts = tuple(str(part) for part in query.partial_uids)
    each = " OR ".join(["substr(uid, 1, length(?)) = ?"] * len(parts))
    return [Condition(f"({each})", tuple(part for part in parts for _ in range(2)))]


@dataclass(frozen=True)
class _Equal:
    key: str
    value: Any


def _plain_dict(query: Document) -> list[Condition]:
    pairs = (_equal(_Equal(key, value)) for key, value in query.items())
    return [each for pair in pairs for each in pair]


_MAKERS: dict[str, Callable[[Any], list[Condition]]] = {
    "Comparison": _compare,
    "Contains": _contains,
    "Eq": _equal,
    "FullText": _full_text,
    "In": _one_of,
    "KeyPresent": _present,
    "Like": _like,
    "NotEq": _not_equal,
    "NotIn": _none_of,
    "Regex": _regex,
    "ScanIDRange": _scan_id_range,
    "TimeRange": _time_range,
    "_PartialUID": _partial_uids,
    "_ScanID": _scan_ids,
    "dict": _plain_dict,
}
