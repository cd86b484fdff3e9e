"""Any table is a scan or is refused: cells are read, never executed."""

import builtins
import gzip
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.scan import (
    Command,
    CommandSequence,
    TableScan,
    parseSeconds,
    readSpreadsheet,
    writeSpreadsheet,
)
from beamfly.scan.ranges import expandRanges, getIterable
from beamfly.scan.sequence import read_commands
from beamfly.scan.spreadsheet import LARGEST_SHEET

HEADERS = st.lists(
    st.sampled_from(
        ["x", "y", "+p x", "+p y", "-c z", "+r z", "Wait For", "Value", "Or Time",
         "or time", "Comment", " comment", "", "+pq", "wait for", "VALUE"]
    ),
    min_size=1,
    max_size=7,
)  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(
        ["1", "range(3)", "range(1, 2, .25)", "Range(2,0,-1)", "[1, 'b']", "loop(1,5)",
         "('in','out')", "Loop(5, 1, -2)", "loop(1)", "range(9", "[", "()",
         "range(1,2,0)", "range(0,1,1e-9)", "seconds", "completion", "00:01:30", "x",
         "__import__('os').abort()", "[open('/x')]", "[1 for _ in 'ab']", "-1e3", "NaN"]
    ),
    st.text(max_size=12),
    st.floats(),
    st.integers(-5, 5),
    st.none(),
)  # fmt: skip
TABLES = HEADERS.flatmap(
    lambda headers: st.tuples(
        st.just(headers),
        st.lists(
            st.lists(CELLS, min_size=len(headers), max_size=len(headers)), max_size=3
        ),
    )
)


@settings(deadline=None)
@given(TABLES)
def test_any_table_is_a_scan_or_is_refused(table):
    headers, rows = table
    try:
        commands = TableScan(headers, rows).createScan()
    except BadValue:
        return
    assert all(isinstance(command, Command) for command in commands)
    again = read_commands(CommandSequence(commands).genSCN())
    assert len(again) == len(commands)


@settings(deadline=None)
@given(CELLS.filter(lambda cell: isinstance(cell, str)))
def test_cells_are_read_and_never_executed(cell):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("eval", "exec", "open", "__import__"):
            patch.setattr(builtins, name, _refuse)
        try:
            values = getIterable(cell)
        except BadValue:
            return
    assert values is None or isinstance(values, list)


def _refuse(*args: object, **options: object) -> None:
    raise AssertionError("a cell was executed")


@settings(deadline=None)
@given(
    st.floats(-1e3, 1e3).map(lambda x: round(x, 3)),
    st.integers(1, 40),
    st.sampled_from([0.1, 0.25, 1.0, -0.1, -3.0]),
)
def test_a_range_has_as_many_values_as_are_meant(start, count, step):
    """Binary fractions neither add one nor lose one."""
    end = start + count * step
    values = getIterable(f"range({start!r}, {end:.12g}, {step!r})")
    assert values is not None and len(values) == count
    for index, value in enumerate(values):
        assert math.isclose(value, start + index * step, abs_tol=1e-8)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_what_is_on_the_left_varies_slowest(counts):
    rows = expandRanges([[f"range({count})" for count in counts]])
    assert len(rows) == math.prod(counts)
    numbers = [[int(cell) for cell in row] for row in rows]
    assert numbers == sorted(numbers)


LINE = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(st.lists(LINE, min_size=1, max_size=4), st.sampled_from([".csv", ".tab"]))
def test_what_is_written_is_read(tmp_path_factory, rows, ending):
    path: Path = tmp_path_factory.mktemp("table") / f"scan{ending}"
    # a mark at the very begin is what spreadsheets put there, not a part of a cell
    rows = [["first", *rows[0]], *rows[1:]]
    writeSpreadsheet(path, rows)
    assert readSpreadsheet(path) == rows


SHEET = (
    '<gnm:Workbook xmlns:gnm="http://www.gnumeric.org/v10.dtd"><gnm:Sheet>{}'
    "</gnm:Sheet></gnm:Workbook>"
)
FILES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"\x1f\x8b",
            gzip.compress(b"x")[:-3],
            gzip.compress(b" " * (LARGEST_SHEET + 1), 1),
            SHEET.format('<gnm:Cell Row="0" Col="1">a</gnm:Cell>').encode(),
            SHEET.format('<gnm:Cell Row="0">a</gnm:Cell>').encode(),
            SHEET.format('<gnm:Cell Row="0" Col="999999999">a</gnm:Cell>').encode(),
            SHEET.format("").encode(),
        ]
    ),
)


@settings(deadline=None)
@given(FILES, st.sampled_from([".csv", ".tab", ".gnumeric", ".ods"]))
def test_any_file_is_a_table_or_is_refused(tmp_path_factory, data, ending):
    path: Path = tmp_path_factory.mktemp("table") / f"scan{ending}"
    path.write_bytes(data)
    try:
        rows = readSpreadsheet(path)
    except BadValue as error:
        assert str(path) in str(error)
    else:
        assert all(isinstance(cell, str) for row in rows for cell in row)


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers()))
def test_any_time_is_a_number_or_is_refused(text):
    try:
        assert isinstance(parseSeconds(text), float)
    except BadValue as error:
        assert repr(text) in str(error)
