"""Lines: what is written comes back, wherever a file is cut."""

import enum
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import pytest
from catalog_runs import step_scan
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.catalog.jsonl import (
    Line,
    LineReader,
    decode,
    encode,
    first_line,
    last_line,
    plain,
)
from beamfly.errors import CatalogError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
)
NUMPY = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(np.int32),
    st.floats(allow_nan=False, width=32).map(np.float32),
    st.booleans().map(np.bool_),
    st.lists(st.integers(0, 255)).map(lambda v: np.array(v, np.uint8)),
    st.lists(st.floats(allow_nan=False)).map(np.array),
)
VALUES = st.recursive(
    SCALARS | NUMPY,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES))
def test_a_line_says_what_sanitize_doc_says(doc: dict[str, Any]) -> None:
    line = decode(encode(Line("event", doc))[:-1], Path("x"), 1)
    assert line == Line("event", event_model.sanitize_doc(doc))
    assert plain(doc) == event_model.sanitize_doc(doc)


def test_a_line_is_one_line_of_ascii() -> None:
    line = encode(Line("start", {"sample": "µm\nor\u2028not"}))
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert decode(line, Path("x"), 1).doc == {"sample": "µm\nor\u2028not"}


def test_numbers_that_are_none_come_back_as_such() -> None:
    doc = {"a": math.nan, "b": np.float32("inf"), "c": np.array([1, np.nan])}
    back = decode(encode(Line("event", doc)), Path("x"), 1).doc
    assert math.isnan(back["a"])
    assert back["b"] == math.inf
    assert back["c"][0] == 1
    assert math.isnan(back["c"][1])


class Colour(enum.Enum):
    RED = "red"


class Mode(enum.StrEnum):
    FAST = "fast"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 11, 20, 8, 30, tzinfo=UTC), "2026-11-20T08:30:00+00:00"),
        (datetime(2026, 11, 20).date(), "2026-11-20"),
        (timedelta(minutes=1), 60.0),
        (np.datetime64("2026-11-20T08:30:00.000000001"), None),
        (Path("/data/raw"), "/data/raw"),
        (Colour.RED, "red"),
        (Mode.FAST, "fast"),
        ({"b", "a"}, ["a", "b"]),
        (frozenset([2, 1]), [1, 2]),
        ((1, 2), [1, 2]),
        (np.str_("text"), "text"),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(5), 5),
    ],
)
def test_what_plans_put_into_metadata_is_taken(value: Any, text: Any) -> None:
    expected = "2026-11-20T08:30:00.000000001" if text is None else text
    assert plain({"value": value}) == {"value": expected}


def test_an_array_of_another_library_is_taken() -> None:
    import xarray

    assert plain({"v": xarray.DataArray([1.5, 2.5])}) == {"v": [1.5, 2.5]}


@pytest.mark.parametrize(
    ("doc", "place"),
    [
        ({"sample": {"holder": object()}}, r"start\.sample\.holder: a object has no"),
        ({"list": [1, 2, 3j]}, r"start\.list\[2\]: a complex has no"),
        ({"keys": {(1, 2): 3}}, r"start\.keys: keys must be str"),
        ({"raw": b"bytes"}, r"start\.raw: a bytes has no"),
    ],
)
def test_what_has_no_json_form_is_refused_by_name(doc: Any, place: str) -> None:
    with pytest.raises(CatalogError, match=place):
        encode(Line("start", doc))


def test_a_circle_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises(CatalogError, match="start document cannot be stored"):
        encode(Line("start", {"md": circle}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not json",
        b"[1, 2]",
        b"{}",
        b'{"name": "event"}',
        b'{"name": 1, "doc": {}}',
        b'{"name": "event", "doc": 3}',
        b"\xff\xfe",
        b"3",
    ],
)
def test_what_is_no_document_is_told_by_file_and_line(text: bytes) -> None:
    with pytest.raises(CatalogError, match=r"run\.jsonl, line 12, is not a document"):
        decode(text, Path("run.jsonl"), 12)


@settings(deadline=None)
@given(st.binary())
def test_garbage_raises_nothing_else(text: bytes) -> None:
    try:
        line = decode(text, Path("x"), 1)
    except CatalogError:
        return
    assert isinstance(line.doc, dict)


@pytest.fixture
def lines(tmp_path: Path) -> tuple[Path, list[bytes]]:
    texts = [encode(Line(name, doc)) for name, doc in step_scan(4)]
    return tmp_path / "run.jsonl", texts


def test_a_growing_file_is_read_in_whole_lines_however_it_is_cut(lines: Any) -> None:
    path, texts = lines
    data = b"".join(texts)
    ends = [len(b"".join(texts[: n + 1])) for n in range(len(texts))]
    for cut in range(0, len(data), 7):
        reader = LineReader(path)
        path.write_bytes(data[:cut])
        first = list(reader.read())
        assert len(first) == sum(end <= cut for end in ends)
        assert (first_line(path) is None) is (cut < ends[0])
        last = last_line(path)
        assert (last.name if last else None) == (first[-1].name if first else None)
        path.write_bytes(data)
        assert first + list(reader.read()) == [decode(t, path, 1) for t in texts]
        assert list(reader.read()) == []


def test_the_last_line_is_found_however_long_the_lines_are(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for length in (0, 1, 100, 1000):
        doc = {"text": "x" * length}
        path.write_bytes(encode(Line("event", doc)) + encode(Line("stop", doc)) + b"{")
        assert last_line(path, block=16) == Line("stop", doc)


def test_a_bad_line_stops_the_reader_there(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(encode(Line("start", {})) + b"torn\n" + encode(Line("stop", {})))
    reader, found = LineReader(path), []
    for _ in range(2):  # and it does not slip past it when asked again
        with pytest.raises(CatalogError, match="line 2, is not a document"):
            found.extend(reader.read())
    assert reader.number == 1


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    for read in (first_line, last_line, lambda p: list(LineReader(p).read())):
        with pytest.raises(CatalogError, match=r"gone\.jsonl cannot be read"):
            read(tmp_path / "gone.jsonl")


def test_a_third_key_is_kept() -> None:
    line = Line("stream_resource", {"uri": "file:///a"}, beside="../a.h5")
    text = encode(line)
    assert json.loads(text)["beside"] == "../a.h5"
    assert decode(text, Path("x"), 1) == line
