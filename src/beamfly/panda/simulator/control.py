"""One control connection: bytes that a client sends in, bytes of replies out.

`ControlSession.receive` takes whatever arrived and gives all replies that it is due;
`closed` says that the line was too long and the connection has to end. Commands for
fields of blocks are carried out here, those with `*` in `system`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from beamfly.errors import CommandError
from beamfly.panda.simulator import system
from beamfly.panda.simulator.changes import ChangeReport
from beamfly.panda.simulator.fields import Field
from beamfly.panda.simulator.literals import checked, end
from beamfly.panda.simulator.settings import Settings
from beamfly.panda.simulator.table_field import TableField, base64_words, text_words

MAX_LINE = 1022
"""Longest command line in bytes, without its newline."""

_FORM = re.compile(r"[?=<]")
_SUFFIX = re.compile(r"(?:<\|?)?B?")


@dataclass
class _Table:
    """A table write whose lines are still coming."""

    target: str
    suffix: str
    """What followed the first `<`."""
    lines: list[str] = field(default_factory=list[str])


class ControlSession:
    """The core of one control connection."""

    def __init__(self, host: system.Host, *, faulty: bool = True) -> None:
        self.host = host
        self.faulty = faulty
        """Whether it stops answering when it is told to."""
        self.report = ChangeReport(host.settings)
        self.closed = False
        self._buffer = b""
        self._table: _Table | None = None

    @property
    def settings(self) -> Settings:
        """Fields and metadata of the PandA."""
        return self.host.settings

    def receive(self, data: bytes) -> bytes:
        """Carry out all complete lines, and give the replies to them."""
        if self.faulty and self.host.faults.silent:
            return b""
        replies: list[bytes] = []
        *lines, rest = (self._buffer + data).split(b"\n")
        self._buffer = rest
        for line in lines:
            if len(line) > MAX_LINE:
                self.closed = True
                break
            replies.append(self._line(line.decode("utf-8", "surrogateescape")))
        if len(rest) > MAX_LINE:
            self.closed = True
        return b"".join(replies)

    def _line(self, line: str) -> bytes:
        """The reply to one line; empty within a table write."""
        if self._table is not None:
            if line:
                self._table.lines.append(line)
                return b""
            table, self._table = self._table, None
            return _status(self._write_table, table)
        form = _FORM.search(line)
        if form is None:
            return _error("Unknown command")
        target, rest = line[: form.start()], line[form.end() :]
        if form[0] == "<":
            self._table = _Table(target, rest)
            return b""
        if form[0] == "=":
            return _status(self._assign, target, rest)
        return self._query(target, rest)

    def _query(self, target: str, rest: str) -> bytes:
        """The reply to `target?`."""
        if rest:
            return _error("Unexpected text after command")
        try:
            if target.startswith("*"):
                value = system.query(self.host, self.report, target[1:])
            else:
                value = self._read(target)
            if isinstance(value, str):
                return _encoded(f"OK ={checked(value)}\n")
        except CommandError as error:
            return _error(str(error))
        return _encoded("".join([f"!{line}\n" for line in value]) + ".\n")

    def _read(self, text: str) -> system.Reply:
        """The value of `BLOCK.FIELD`, `BLOCK.FIELD.ATTR`, or a list for `*`."""
        target = self.settings.find(text)
        if target.star:
            if target.spec:
                return list(self.settings.field(target).attributes)
            return [
                f"{instances[0].spec.name} {instances[0].spec.sequence} "
                f"{instances[0].spec.kind}"
                for instances in self.settings.instances
                if instances[0].spec.block == target.block.name
            ]
        found = self.settings.field(target)
        if not target.attribute:
            return found.read()
        attribute = found.attributes[target.attribute]
        if attribute.read is None:
            raise CommandError("Attribute not readable")
        return attribute.read(found)

    def _assign(self, text: str, value: str) -> None:
        """Do `text=value`."""
        if text.startswith("*"):
            system.assign(self.host, self.report, text[1:], value)
            return
        target = self.settings.find(text)
        if target.star:
            raise CommandError("Field not writeable")
        found = self.settings.field(target)
        if not target.attribute:
            found.write(value)
            return
        attribute = found.attributes[target.attribute]
        if attribute.write is None:
            raise CommandError("Attribute not writeable")
        attribute.write(found, value)
        found.attribute_was_changed(target.attribute)

    def _write_table(self, table: _Table) -> None:
        """Do `text<suffix` with all its lines."""
        if not _SUFFIX.fullmatch(table.suffix):
            raise CommandError("Unexpected character after input")
        if table.target.startswith("*"):
            system.write_lines(self.host, table.target[1:], table.lines, table.suffix)
            return
        found = self._table_field(table.target)
        read = base64_words if "B" in table.suffix else text_words
        words = [word for line in table.lines for word in read(line)]
        found.write_words(words, "<" in table.suffix, "|" in table.suffix)

    def _table_field(self, text: str) -> TableField:
        """The table that a target names."""
        target = self.settings.find(text)
        found: Field | None = None
        if target.star or target.attribute:
            end("*")
        else:
            found = self.settings.field(target)
        if not isinstance(found, TableField):
            raise CommandError("Field is not a table")
        return found


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _error(text: str) -> bytes:
    return _encoded(f"ERR {text}\n")


def _status(function: Callable[..., None], *args: Any) -> bytes:
    """OK, or the error that the function raises."""
    try:
        function(*args)
    except CommandError as error:
        return _error(str(error))
    return b"OK\n"
