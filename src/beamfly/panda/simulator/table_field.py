"""Tables: their data in text and base64, and the modes they go through.

A table is INIT when it is empty, FIXED after a plain write, STREAMING once a write
with `<<` has queued data, and STREAMING_LAST when `<<|` has queued the last. What is
queued goes to the block and cannot be read back.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import ClassVar

import numpy as np

from beamfly.errors import CommandError
from beamfly.panda.simulator.catalogue import BlockSpec, FieldSpec
from beamfly.panda.simulator.fields import Attribute, Field, Group, Surroundings
from beamfly.panda.simulator.literals import read_integer

_BASE64_BYTES = 48
_PLAIN = re.compile(r" *[0-9]+(?: +[0-9]+)*")
_PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]*")


def text_words(line: str) -> list[int]:
    """Words from a line of numbers, wrapped to 32 bits."""
    if _PLAIN.fullmatch(line):
        words = line.split()
        if all(map(_PLAIN_NUMBER.fullmatch, words)):
            return [int(word) % 2**32 for word in words]
    values: list[int] = []
    while line:
        value, line = read_integer(line)
        values.append(value % 2**32)
    return values


def base64_words(line: str) -> list[int]:
    """Words from a line of base64."""
    try:
        content = b64decode(line, validate=True)
    except (Base64Error, ValueError):
        raise CommandError("Malformed base64 string") from None
    if len(content) % 4:
        raise CommandError("Invalid data length")
    return np.frombuffer(content, "<u4").tolist()


class TableField(Field):
    """A table of rows of 32-bit words."""

    group: ClassVar = Group.TABLE
    attributes: ClassVar = Field.attributes | {
        "MAX_LENGTH": Attribute(
            "Largest number of words", lambda field: str(field.spec.max_length)
        ),
        "LENGTH": Attribute(
            "Number of words in the table", lambda field: str(len(field.words))
        ),
        "B": Attribute("Table in base64", lambda field: field.base64()),
        "FIELDS": Attribute("Columns of the table", lambda field: field.columns()),
        "ROW_WORDS": Attribute(
            "Words per row", lambda field: str(field.spec.row_words)
        ),
        "QUEUED_LINES": Attribute(
            "Rows that wait to be used",
            lambda field: str(field.queued_lines()),
            reported=True,
        ),
        "MODE": Attribute("How the table is being written", lambda field: field.mode),
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.mode = "INIT"
        self.words: list[int] = []
        self.last_queued = 0
        """What QUEUED_LINES was when it was last reported."""

    def read(self) -> list[str]:
        """One word per line."""
        return [str(word) for word in self.words]

    def base64(self) -> list[str]:
        """48 bytes per line."""
        content = np.array(self.words, "<u4").tobytes()
        return [
            b64encode(content[i : i + _BASE64_BYTES]).decode()
            for i in range(0, len(content), _BASE64_BYTES)
        ]

    def columns(self) -> list[str]:
        """One line per column: its bits, name and type."""
        return [f"{c.high}:{c.low} {c.name} {c.type}" for c in self.spec.columns]

    def queued_lines(self) -> int:
        """Rows that wait to be used."""
        return self.around.registers.queued_lines(self.name)

    def refresh(self) -> None:
        """Notice whether rows were used."""
        queued = self.queued_lines()
        if queued != self.last_queued:
            self.last_queued = queued
            self.attribute_was_changed("QUEUED_LINES")

    def write_words(self, words: list[int], streaming: bool, last: bool) -> None:
        """Take a whole table, or queue a further one."""
        if not words and not streaming:
            self.mode = "INIT"
        elif self.mode == "STREAMING_LAST":
            raise CommandError("Last streaming table was sent")
        elif streaming and not words:
            raise CommandError("Streaming table must have data")
        elif self.mode == "STREAMING" and not streaming:
            raise CommandError("Table is in streaming mode")
        self.check_size(words, self.queued_lines() if streaming else 0)
        if streaming:
            self.queue(words, last)
        else:
            self.words = words
            if words:
                self.mode = "FIXED"
            self.around.registers.write_table(
                self.name, words, more=False, stream=False
            )
        self.changed = self.around.journal.mark()

    def check_size(self, words: list[int], queued: int) -> None:
        """Refuse parts of rows, and more than there is room for."""
        if len(words) % self.spec.row_words:
            raise CommandError("Table write is not a whole number of rows")
        if len(words) + queued * self.spec.row_words > self.spec.max_length:
            raise CommandError("Too many points for table")

    def queue(self, words: list[int], last: bool) -> None:
        """Queue a table; only one after another can make the mode STREAMING_LAST."""
        registers = self.around.registers
        if self.mode == "STREAMING":
            self.mode = "STREAMING_LAST" if last else "STREAMING"
            registers.append_table(self.name, words, more=not last)
        else:
            self.mode = "STREAMING"
            self.words = []
            registers.write_table(self.name, words, more=not last, stream=True)
