"""Fewer documents that say the same: `merged`.

A flight announces its rows several times a second and field by field. For Tiled each
announcement is a request and a write to a database, whatever its size, so all that has
come since the last write is announced at once.
"""

from collections.abc import Iterable, Iterator

from beamfly.catalog.jsonl import Line

_RANGES = ("indices", "seq_nums")


def merged(lines: Iterable[Line]) -> Iterator[Line]:
    """Merge stream_datum documents that follow each other without a gap.

    Only those between two documents of another kind are merged, so that nothing is
    told before what it depends on or after what depends on it.

    Args:
        lines: Documents of one run, in order.

    Yields:
        The documents, with one stream_datum in place of several of the same resource
        and descriptor; it has the uid of the first of them.
    """
    waiting: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.name != "stream_datum":
            yield from _released(waiting)
            yield line
            continue
        key = (line.doc["stream_resource"], line.doc["descriptor"])
        row = waiting.setdefault(key, [])
        if row and _adjoin(row[-1], line):
            row[-1] = _joined(row[-1], line)
        else:
            row.append(line)
    yield from _released(waiting)


def _released(waiting: dict[tuple[str, str], list[Line]]) -> Iterator[Line]:
    for row in waiting.values():
        yield from row
    waiting.clear()


def _adjoin(first: Line, then: Line) -> bool:
    return all(first.doc[kind]["stop"] == then.doc[kind]["start"] for kind in _RANGES)


def _joined(first: Line, then: Line) -> Line:
    ranges = {
        kind: {"start": first.doc[kind]["start"], "stop": then.doc[kind]["stop"]}
        for kind in _RANGES
    }
    return Line(first.name, {**first.doc, **ranges})
