"""Rows out of samples: however they are fetched, they are the same."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.devices.scan_columns import ScanColumn
from beamfly.devices.scan_plan import Contents, data_name
from beamfly.devices.scan_rows import MAIN, RowBuilder, StreamLayout
from beamfly.scan import Delay, If, Log, Loop, Parallel, Set, createTable

NAMES = ("a", "b", "c")
logs = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.integers(-9, 9), min_size=1),
    max_size=12,
)


def data_of(done: list[dict[str, int]], after: int) -> dict[str, dict[str, list[Any]]]:
    """What a server gives of all logs so far."""
    data: dict[str, dict[str, list[Any]]] = {}
    for serial, samples in enumerate(done):
        for name, value in samples.items():
            if serial > after:
                one = data.setdefault(name, {"id": [], "time": [], "value": []})
                one["id"].append(serial)
                one["time"].append(serial * 1000)
                one["value"].append(f"{float(value)}")
    return data


def builder() -> RowBuilder:
    return RowBuilder([StreamLayout(MAIN, [ScanColumn(n, n) for n in NAMES])])


def plain(rows: list[Any]) -> list[list[float | None]]:
    return [[None if math.isnan(v) else v for v in row.values] for row in rows]


@settings(deadline=None)
@given(logs, st.lists(st.integers(0, 12)), st.booleans(), st.integers(0, 2))
def test_rows_do_not_depend_on_when_they_are_fetched(done, cuts, atomic, torn):
    """With servers that write samples one by one the last log may be torn."""
    rows = builder()
    got = []
    for cut in sorted(cuts):
        so_far = [dict(log) for log in done[:cut]]
        if so_far and not atomic:
            so_far[-1] = dict(list(so_far[-1].items())[: torn + 1])
        got += rows.take(data_of(so_far, rows.last), atomic)
    got += rows.take(data_of(done, rows.last), True)
    assert [row.serial for row in got] == list(range(len(done)))
    whole = builder().take(data_of(done, -1), True)
    assert plain(got) == plain(whole)
    assert [row.time for row in got] == [float(n) for n in range(len(done))]


@given(logs)
def test_rows_are_those_of_tables(done):
    data = data_of(done, -1)
    numbers = {
        name: {**samples, "value": [float(v) for v in samples["value"]]}
        for name, samples in data.items()
    }
    present = [name for name in NAMES if name in numbers]
    table = createTable(numbers, *present)
    rows = plain(builder().take(data, True))
    for name, column in zip(present, table, strict=True):
        assert [row[NAMES.index(name)] for row in rows] == column


def test_names_of_data():
    assert data_name("BL:M1.RBV") == "BL:M1_RBV"
    assert data_name("loc://x(3)") == "x"
    assert data_name("loc://n<VLong>(3)") == "n"
    assert data_name("ca://BL:M1") == "BL:M1"
    assert data_name("sim://sine(0, 1, 10)") == "sine"


def test_what_is_known_of_commands():
    grid = Loop("y", 0, 1, 1, Set("z", 1), Loop("x", 1, 3, 1, Delay(0), Log("x", "d")))
    known = Contents.of([Set("a", 1), grid])
    assert (known.devices, known.rows) == (["x", "d"], 6)
    assert known.metadata()["shape"] == [2, 3]
    twice = Contents.of([grid, Log("e")])
    assert (twice.rows, twice.loops, twice.always) == (7, [], set())
    hidden = Contents.of([Loop("x", 1, 3, 1, Parallel(Log("x")))])
    assert (hidden.rows, hidden.loops) == (3, [])
    assert Contents.of([If("x", "=", 1, Log("x"))]).rows is None
