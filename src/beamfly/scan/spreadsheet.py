"""Tables of texts in files: .csv, .tab, .xls and .gnumeric."""

# ruff: noqa: N802 - names are those that scripts have used for years

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from beamfly.errors import BadValue
from beamfly.scan.ranges import cell_text
from beamfly.scan.xmltext import parse_xml

Rows = list[list[str]]

_GNUMERIC = "{http://www.gnumeric.org/v10.dtd}"
_SEPARATORS = {".csv": ",", ".tab": "\t"}
LARGEST_SHEET = 64 * 1024**2
"""Bytes that a .gnumeric file may unpack to."""
MOST_COLUMNS = 16384
"""As many as spreadsheets can have."""


def readSpreadsheet(filename: str | Path) -> Rows:
    """Rows of cells out of a file, the format told by its ending.

    `.csv`, `.tab` and `.gnumeric` need nothing else, `.xls` needs the xlrd package.

    Raises:
        BadValue: the file cannot be read, or its format is not known.
    """
    path = Path(filename)
    ending = path.suffix.lower()
    try:
        if ending in _SEPARATORS:
            return _read_text(path, _SEPARATORS[ending])
        if ending == ".xls":
            return _read_excel(path)
        if ending == ".gnumeric":
            return _read_gnumeric(path)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise BadValue(f"{path} cannot be read as a table: {error}") from None
    raise BadValue(f"{path}: a table is read from .csv, .tab, .xls or .gnumeric")


def writeSpreadsheet(filename: str | Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows of cells to a .csv or .tab file; BadValue for other endings."""
    path = Path(filename)
    separator = _SEPARATORS.get(path.suffix.lower())
    if separator is None:
        raise BadValue(f"{path}: a table is written to .csv or .tab")
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def _read_text(path: Path, separator: str) -> Rows:
    # with newline="" a cell may hold line ends; utf-8-sig as spreadsheets add a mark
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [list(row) for row in csv.reader(file, delimiter=separator) if row]


def _read_excel(path: Path) -> Rows:
    """First sheet; rows whose first cell starts with # are remarks."""
    try:
        xlrd: Any = import_module("xlrd")
    except ImportError:
        msg = f"{path}: reading .xls needs xlrd (pip install xlrd), or save it as .csv"
        raise BadValue(msg) from None
    try:
        sheet: Any = xlrd.open_workbook(str(path)).sheet_by_index(0)
    except xlrd.XLRDError as error:
        raise BadValue(f"{path} cannot be read as a table: {error}") from None
    rows = [[cell_text(v) for v in sheet.row_values(i)] for i in range(sheet.nrows)]
    return [row for row in rows if row and not row[0].startswith("#")]


def _read_gnumeric(path: Path) -> Rows:
    """First sheet."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        with gzip.open(io.BytesIO(data)) as packed:
            data = packed.read(LARGEST_SHEET + 1)
    if len(data) > LARGEST_SHEET:
        raise BadValue(f"it has more than {LARGEST_SHEET // 1024**2} MB")
    sheet = parse_xml(data).find(f".//{_GNUMERIC}Sheet")
    if sheet is None:
        raise BadValue("it has no sheet")
    cells: dict[tuple[int, int], str] = {}
    for cell in sheet.iter(f"{_GNUMERIC}Cell"):
        place = int(cell.get("Row", "")), int(cell.get("Col", ""))
        cells[place] = (cell.text or "").strip()
    if not cells:
        return []
    width = max(column for _, column in cells) + 1
    if width > MOST_COLUMNS:
        raise BadValue(f"it has {width} columns")
    used = sorted({row for row, _ in cells})
    return [[cells.get((row, col), "") for col in range(width)] for row in used]
