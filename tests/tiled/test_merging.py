"""Announcements of rows are merged, and nothing else changes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.catalog.jsonl import Line
from beamfly.tiled import merged


def datum(resource: str, start: int, stop: int, descriptor: str = "d") -> Line:
    rows = {"start": start, "stop": stop}
    numbers = {"start": start + 1, "stop": stop + 1}
    doc = {
        "stream_resource": resource,
        "descriptor": descriptor,
        "uid": f"{resource}/{start}",
        "indices": rows,
        "seq_nums": numbers,
    }
    return Line("stream_datum", doc)


def test_rows_of_two_fields_are_announced_at_once() -> None:
    lines = [
        Line("start", {}),
        *(datum(field, row, row + 2) for row in (0, 2, 4) for field in "ab"),
        Line("stop", {}),
    ]
    start, a, b, stop = merged(lines)
    assert (start.name, stop.name) == ("start", "stop")
    for field, line in zip("ab", (a, b), strict=True):
        assert line.doc["stream_resource"] == field
        assert line.doc["uid"] == f"{field}/0"
        assert line.doc["indices"] == {"start": 0, "stop": 6}
        assert line.doc["seq_nums"] == {"start": 1, "stop": 7}


def test_other_documents_keep_their_place() -> None:
    lines = [datum("a", 0, 1), Line("event", {}), datum("a", 1, 2)]
    assert list(merged(lines)) == lines


def test_a_gap_stays() -> None:
    lines = [datum("a", 0, 1), datum("a", 2, 3)]
    assert list(merged(lines)) == lines
    other = [datum("a", 0, 1), datum("a", 1, 2, "e")]
    assert list(merged(other)) == other


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "event"]), max_size=40), st.data())
def test_the_same_rows_are_announced_in_the_same_order(
    kinds: list[str], data: st.DataObject
) -> None:
    ends = {"a": 0, "b": 0}
    lines: list[Line] = []
    for number, kind in enumerate(kinds):
        if kind == "event":
            lines.append(Line("event", {"seq_num": number}))
        else:
            start = ends[kind] + data.draw(st.integers(0, 1))
            ends[kind] = start + data.draw(st.integers(1, 3))
            lines.append(datum(kind, start, ends[kind]))
    short = list(merged(lines))
    assert rows(short) == rows(lines)
    assert len(short) <= len(lines)


def rows(lines: list[Line]) -> list[object]:
    """For each stretch between events: the rows of each field, in order."""
    found: list[object] = []
    stretch: dict[str, list[int]] = {}
    for line in [*lines, Line("event", {})]:
        if line.name == "event":
            found += [stretch, line.doc]
            stretch = {}
        else:
            wide = line.doc["indices"]
            field = line.doc["stream_resource"]
            stretch.setdefault(field, []).extend(range(wide["start"], wide["stop"]))
    return found
