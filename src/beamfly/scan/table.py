"""Table scans: one row per step, one column per device.

Special columns are `Comment`, `Wait For` with `Value` and `Or Time`, and those that a
site defines. Cells with ranges become several rows, see `ranges`.
"""

# ruff: noqa: N802 - names are those that scripts have used for years

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.actions import Comment, Delay, Log
from beamfly.scan.command import Command
from beamfly.scan.containers import Body, Loop, Parallel, flat
from beamfly.scan.ranges import (
    cell_text,
    expandRanges,
    getRangeOrLoop,
    loop_matcher,
)
from beamfly.scan.settings import (
    SettingsBasedLoop,
    SettingsBasedSet,
    SettingsBasedWait,
    getScanSettings,
)
from beamfly.scan.spreadsheet import readSpreadsheet, writeSpreadsheet
from beamfly.scan.values import parse_double, parseSeconds

COMMENT = "comment"
WAIT_FOR = "wait for"
VALUE = "value"
OR_TIME = "or time"
CONTINUE = "OnErrorContinue"

Special = Mapping[str, Callable[[str], Any]]
"""Header -> function from a cell to a command or commands."""


def _number_or_text(cell: str) -> float | str:
    try:
        return parse_double(cell)
    except BadValue:
        return cell


class TableScan:
    """A scan that is written as a table.

    Args:
        headers: names of devices, `+p`, `-c`, `+r` ... in front if need be, and of
            special columns.
        rows: one list of cells per row, texts or numbers.
        pre: commands before the first row.
        post: commands after the last row.
        start: commands before each `Wait For`.
        stop: commands after each `Wait For`.
        log_always: devices that each `Wait For` logs, besides those of the table.
        special: header -> function that makes commands of a cell.

    Raises:
        BadValue: rows are no lists of as many cells as there are headers.
    """

    name = "Table Scan"

    def __init__(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[Any]],
        pre: Body = None,
        post: Body = None,
        start: Body = None,
        stop: Body = None,
        log_always: Sequence[str] | None = None,
        special: Special | None = None,
    ):
        self.headers = [str(header).strip() for header in headers]
        self.cols = len(self.headers)
        self.rows = [
            row
            for row in (self._cells(i, row) for i, row in enumerate(rows))
            if any(row)
        ]
        columns = zip(self.headers, *self.rows, strict=True)
        self.width = [max(len(cell) for cell in column) for column in columns]
        self.pre = flat(pre)
        self.post = flat(post)
        self.start = flat(start)
        self.stop = flat(stop)
        self.log_always = list(log_always or ())
        self.special = dict(special or {})

    def _cells(self, index: int, row: Any) -> list[str]:
        """A row as texts without blanks around them."""
        if not isinstance(row, (list, tuple)):
            raise BadValue(f"Table needs list of rows, but row {index} is {row!r}")
        cells = [cell_text(cell) for cell in cast(Sequence[Any], row)]
        if len(cells) != self.cols:
            only = "only " if len(cells) < self.cols else ""
            msg = (
                f"Table has {self.cols} columns but row {index} has {only}{len(cells)}"
            )
            raise BadValue(msg)
        return cells

    def save(self, filename: str | Path) -> None:
        """Write the table to a .csv or .tab file."""
        writeSpreadsheet(filename, [self.headers, *self.rows])

    def __repr__(self) -> str:
        lines = [
            " | ".join(
                cell.ljust(width) for cell, width in zip(row, self.width, strict=True)
            ).rstrip()
            for row in (self.headers, *self.rows)
        ]
        rule = "-+-".join("-" * width for width in self.width)
        return "\n".join([lines[0], rule, *lines[1:]])

    def createScan(self, lineinfo: bool = True) -> list[Command]:
        """The commands of the scan.

        Args:
            lineinfo: whether comments tell the line of the table.

        Raises:
            BadValue: a cell or the order of columns makes no sense.
        """
        to_log = list(self.log_always)
        commands: list[Command] = [*self.pre]
        last = 0
        for line, *cells in self._expanded():
            if lineinfo and line != last:
                commands.append(Comment(f"# Line {line}"))
                shown = getScanSettings().table_scan_row
                if shown:
                    commands.append(SettingsBasedSet(shown, line))
            last = line
            commands.extend(_Row(self, cells, to_log).commands())
        commands.extend(self.post)
        if lineinfo:
            commands.append(Comment("# End"))
        return commands

    def _expanded(self) -> list[list[Any]]:
        """Rows with their line number in front, ranges expanded."""
        rows: list[list[Any]] = []
        remarks = [i for i, name in enumerate(self.headers) if name.lower() == COMMENT]
        for line, row in enumerate(self.rows, 1):
            # what looks like a list in a comment is none
            hidden: list[Any] = ["" if i in remarks else v for i, v in enumerate(row)]
            for cells in expandRanges([[line, *hidden]]):
                for column in remarks:
                    cells[column + 1] = row[column]
                rows.append(cells)
        return rows


class _Row:
    """Makes the commands of one row."""

    def __init__(self, table: TableScan, cells: list[str], to_log: list[str]):
        self.table = table
        self.cells = cells
        self.to_log = to_log
        self._all: list[Command] = []
        self._body = self._all
        self._parallel: list[Command] = []

    def commands(self) -> list[Command]:
        """The commands of the row, columns from left to right."""
        column = 0
        while column < self.table.cols:
            header, cell = self.table.headers[column], self.cells[column]
            known = header.lower()
            if known == WAIT_FOR and header not in self.table.special:
                column = self._wait_for(column)
                continue
            if cell:
                if header in self.table.special:
                    self._add(self.table.special[header](cell))
                elif known == COMMENT:
                    self._add(Comment(cell))
                elif known in (VALUE, OR_TIME):
                    msg = f"Column '{header}' must follow a Wait For column"
                    raise BadValue(msg)
                else:
                    self._device(header, cell)
            column += 1
        self._flush()
        return self._all

    def _flush(self, **options: Any) -> None:
        """Write what was gathered to be done in parallel."""
        if self._parallel:
            self._body.append(Parallel(self._parallel, **options))
            self._parallel = []

    def _add(self, *commands: Any) -> None:
        self._flush()
        self._body.extend(flat(*commands))

    def _used(self, device: str) -> None:
        if device not in self.to_log:
            self.to_log.append(device)

    def _device(self, header: str, cell: str) -> None:
        """Set a device, or loop it with the rest of the row in the body."""
        settings = getScanSettings().parseDeviceSettings(header)
        self._used(settings.getName())
        numbers = getRangeOrLoop(cell, loop_matcher)
        if numbers is None:
            command: Command = SettingsBasedSet(header, _number_or_text(cell))
        else:
            command = SettingsBasedLoop(header, *numbers)
        if settings.getParallel():
            self._parallel.append(command)
            return
        self._add(command)
        if isinstance(command, Loop):
            self._body = command.getBody()

    def _wait_for(self, column: int) -> int:
        """Handle Wait For and what belongs to it; the column that comes next."""
        headers = [header.lower() for header in self.table.headers]
        if headers[column + 1 : column + 2] != [VALUE]:
            raise BadValue("Wait For column must be followed by Value")
        timed = headers[column + 2 : column + 3] == [OR_TIME]
        what, value = self.cells[column : column + 2]
        limit = self.cells[column + 2] if timed else ""
        following = column + (3 if timed else 2)
        if not what:
            if value or limit:
                raise BadValue(f"Value {value or limit!r} has no Wait For in its row")
            return following
        options: dict[str, Any] = {}
        if limit:
            options = {"timeout": parseSeconds(limit), "errhandler": CONTINUE}
        self._condition(what, value, options)
        if self.to_log:
            self._add(Log(list(dict.fromkeys(self.to_log))))
        self._add(*self.table.stop)
        return following

    def _condition(self, what: str, value: str, options: dict[str, Any]) -> None:
        """Start, and wait for whatever ends the step."""
        kind = what.lower()
        if kind == "completion":
            if not self._parallel:
                raise BadValue("Wait For completion needs +p columns in front of it")
            self._body.extend(self.table.start)
            self._flush(**options)
        elif kind in ("seconds", "time"):
            self._add(*self.table.start, Delay(parseSeconds(value)))
        else:
            wait = SettingsBasedWait(what, _number_or_text(value), **options)
            self._used(wait.getDevice())
            self._add(*self.table.start, wait)


def loadTableScan(
    filename: str | Path,
    pre: Body = None,
    post: Body = None,
    start: Body = None,
    stop: Body = None,
    log_always: Sequence[str] | None = None,
    special: Special | None = None,
) -> TableScan:
    """A `TableScan` out of a .csv, .tab, .xls or .gnumeric file.

    The first row has the headers; the other arguments are those of `TableScan`.

    Raises:
        BadValue: the file cannot be read, or is no table.
    """
    rows = readSpreadsheet(filename)
    if not rows:
        raise BadValue(f"{filename} is empty: its first row must have the headers")
    return TableScan(rows[0], rows[1:], pre, post, start, stop, log_always, special)
