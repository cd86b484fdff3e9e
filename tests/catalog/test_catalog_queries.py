"""Searches answer as those of a Tiled server do, for the queries of tiled itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from bluesky_tiled_plugins.queries import PartialUID, ScanID, ScanIDRange, TimeRange
from catalog_runs import DAY, T0, step_scan, store
from tiled.queries import (
    Comparison,
    Contains,
    Eq,
    FullText,
    In,
    Key,
    KeyPresent,
    Like,
    NotEq,
    NotIn,
    Regex,
    SpecsQuery,
)

from beamfly.catalog import Catalog
from beamfly.errors import BadValue

RUNS: list[dict[str, Any]] = [
    {"plan_name": "count", "user": "ann", "sample": {"name": "gold foil", "mm": 0.5}},
    {"plan_name": "scan", "user": "bob", "sample": {"name": "Silver", "mm": 2}},
    {"plan_name": "fly", "detectors": ["panda", "eiger"], "temperature": 4.2},
    {"plan_name": "fly", "comment": "Gold again, flat-field", "temperature": 300},
    {"plan_name": "scan", "comment": "größer µm", "temperature": "warm", "ok": True},
]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path_factory.mktemp("catalog"))
    for number, metadata in enumerate(RUNS):
        metadata = {**metadata, "scan_id": number + 1}
        run = step_scan(number, time=T0 + number * DAY, **metadata)
        store(catalog.writer(), run[:-1] if number == 3 else run)
    yield catalog
    catalog.close()


def found(catalog: Catalog, *queries: Any) -> list[int]:
    for query in queries:
        catalog = catalog.search(query)
    return [run.start["scan_id"] for _, run in catalog.items()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Key("plan_name") == "fly", [3, 4]),
        (Key("start.plan_name") == "fly", [3, 4]),
        (Eq("scan_id", 2), [2]),
        (Eq("scan_id", "2"), []),
        (Eq("user", "ann"), [1]),
        (Eq("sample.name", "gold foil"), [1]),
        (Eq("start.sample.name", "Silver"), [2]),
        (Eq("sample.mm", 2.0), [2]),
        (Eq("sample", {"name": "Silver", "mm": 2}), [2]),
        (Eq("detectors", ["panda", "eiger"]), [3]),
        (Eq("ok", True), [5]),
        (Eq("comment", "größer µm"), [5]),
        (Eq("nothing", None), []),
        (NotEq("user", "ann"), [2]),
        (NotEq("plan_name", "fly"), [1, 2, 5]),
        (Key("temperature") > 4.2, [4]),
        (Comparison("ge", "temperature", 4.2), [3, 4]),
        (Comparison("lt", "temperature", 300), [3]),
        (Comparison("le", "sample.mm", 0.5), [1]),
        (Contains("detectors", "eiger"), [3]),
        (Contains("comment", "again"), [4]),
        (Contains("temperature", "a"), [5]),
        (In("user", ["ann", "bob"]), [1, 2]),
        (NotIn("user", ["ann", "carl"]), [2]),
        (Regex("sample.name", "^gold"), [1]),
        (Regex("comment", "GOLD", case_sensitive=False), [4]),
        (Like("sample.name", "%foil"), [1]),
        (Like("plan_name", "_ly"), [3, 4]),
        (KeyPresent("temperature"), [3, 4, 5]),
        (KeyPresent("sample.mm", exists=False), [3, 4, 5]),
        (FullText("gold"), [1, 4]),
        (FullText("gold foil"), [1]),
        (FullText("GOLD, again!"), [4]),
        (FullText("gol"), []),
        (FullText("flat-field"), [4]),
        (FullText("GRÖSSER"), [5]),
        (FullText("panda"), [3]),
        (FullText("comment"), []),
        (TimeRange(since=T0 + DAY), [2, 3, 4, 5]),
        (TimeRange(until=T0 + DAY), [1]),
        (TimeRange(since=T0 + DAY, until=T0 + 3 * DAY), [2, 3]),
        (TimeRange(since="2023-11-16", until="2023-11-18", timezone="UTC"), [3, 4]),
        (ScanID(2, 4), [2, 4]),
        (ScanIDRange(2, 4), [2, 3]),
        ({"plan_name": "fly", "temperature": 300}, [4]),
        (Eq("stop.exit_status", "success"), [1, 2, 3, 5]),
        (KeyPresent("stop.exit_status", exists=False), [4]),
        (Comparison("gt", "stop.num_events.primary", 1), [3, 5]),
    ],
    ids=repr,
)
def test_what_a_search_finds(catalog: Catalog, query: Any, expected: list[int]) -> None:
    assert found(catalog, query) == expected


def test_searches_add_up(catalog: Catalog) -> None:
    assert found(catalog, Eq("plan_name", "fly"), FullText("gold")) == [4]
    assert found(catalog, Eq("plan_name", "fly"), Eq("user", "ann")) == []


def test_by_the_beginning_of_a_uid(catalog: Catalog) -> None:
    uids = catalog.keys()
    assert found(catalog, PartialUID(uids[1][:9], uids[4][:9])) == [2, 5]


@pytest.mark.parametrize(
    "query", [SpecsQuery(include=["a"], exclude=[]), "text", 5, None]
)
def test_an_unknown_search_lists_the_known_ones(catalog: Catalog, query: Any) -> None:
    with pytest.raises(BadValue, match=r"cannot be searched .* Comparison, Contains"):
        catalog.search(query)


def test_nonsense_is_told_at_once(catalog: Catalog) -> None:
    with pytest.raises(BadValue, match="no word to look for"):
        catalog.search(FullText(" -- "))
    with pytest.raises(BadValue, match="no regular expression"):
        catalog.search(Regex("user", "("))


def test_values_of_the_query_never_become_sql(catalog: Catalog) -> None:
    for text in ("' OR 1 --", '" OR 1', "%", "?", "x; DROP TABLE runs"):
        assert found(catalog, Eq("plan_name", text)) == []
        assert found(catalog, Eq("user", text)) == []
    assert len(catalog) == len(RUNS)
