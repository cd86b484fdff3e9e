"""Fields of blocks: how each type reads, writes and reports itself.

One `Field` object per field of each instance of a block; `param`, `read` and `write`
fields and times are here, what is on or taken from a bus in `bus_fields`, tables in
`table_field`. `Field.read` and `Field.write` are `BLOCK.FIELD?` and `BLOCK.FIELD=`;
`attributes` says the same for `BLOCK.FIELD.ATTR`. A refusal is a CommandError whose
text is the server's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, ClassVar, Protocol

from beamfly.errors import CommandError
from beamfly.panda.simulator.catalogue import BlockSpec, FieldSpec
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.literals import (
    end,
    integer,
    signed,
)


class Group(Flag):
    """What a change belongs to, for `*CHANGES`."""

    CONFIG = auto()
    BITS = auto()
    POSN = auto()
    READ = auto()
    ATTR = auto()
    TABLE = auto()
    METADATA = auto()
    ALL = CONFIG | BITS | POSN | READ | ATTR | TABLE | METADATA
    NONE = 0


class Registers(Protocol):
    """What the fields stand for: the blocks themselves."""

    def write(self, name: str, value: int) -> None:
        """A param, mux or action was written; for a mux the value is its index."""
        ...

    def write_delay(self, name: str, ticks: int) -> None:
        """The delay of a bit mux was written."""
        ...

    def write_table(
        self, name: str, words: Sequence[int], *, more: bool, stream: bool
    ) -> None:
        """A table was written, alone or as the first of a stream.

        Args:
            name: The field.
            words: All words of the table.
            more: Whether further tables will follow it.
            stream: Whether it is the first of a stream.
        """
        ...

    def append_table(self, name: str, words: Sequence[int], *, more: bool) -> None:
        """A further table was queued."""
        ...

    def queued_lines(self, name: str) -> int:
        """Rows of queued tables that were not begun yet."""
        ...

    def read(self, name: str) -> int:
        """Value of a read field, a bit or a position."""
        ...

    def count_changes(self, name: str) -> int:
        """How often a bit or a position changed so far."""
        ...


@dataclass
class Journal:
    """Counts changes, so that a connection can tell what it has not reported."""

    index: int = 1

    def mark(self) -> int:
        """A number above that of all changes before."""
        self.index += 1
        return self.index


@dataclass(frozen=True)
class Attribute:
    """How an attribute of a type of field is read and written."""

    description: str
    read: Callable[[Any], str | list[str]] | None = None
    write: Callable[[Any, str], None] | None = None
    reported: bool = False
    """Whether its changes are in the ATTR group."""
    labels: Callable[[Any], Sequence[str]] | None = None
    """Labels it takes, if it is an enumeration."""


@dataclass(frozen=True)
class Surroundings:
    """What a field needs of the PandA around it."""

    registers: Registers
    journal: Journal
    bits: tuple[str, ...]
    positions: tuple[str, ...]
    bit_index: dict[str, int]
    """Names of a bit mux's choices to their index: bits, ZERO, ONE."""
    position_index: dict[str, int]
    """Names of a position mux's choices to their index: positions, ZERO."""
    faults: Faults
    """What is to go wrong."""


class Field:
    """One field of one instance of a block."""

    group: ClassVar[Group] = Group.CONFIG
    attributes: ClassVar[dict[str, Attribute]] = {
        "INFO": Attribute("Type of the field", lambda field: field.spec.kind)
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        self.spec = spec
        self.name = f"{block.label(number)}.{spec.name}"
        self.around = around
        self.raw = spec.raw
        """What the block sees of a setting."""
        self.changed = 1
        """Number of the last change."""
        self.attribute_changed = {
            name: 1 for name, attr in self.attributes.items() if attr.reported
        }
        """Number of the last change of each attribute that is reported."""
        self.readable = spec.type != "write"
        self.writeable = spec.type in ("param", "write", "time")
        if spec.type == "read":
            self.report_group = Group.READ
        elif spec.type == "write":
            self.report_group = Group.NONE
        else:
            self.report_group = self.group

    def read(self) -> str | list[str]:
        """Value as text, or lines of text."""
        if not self.readable:
            raise CommandError("Field not readable")
        if self.name in self.around.faults.unreadable:
            raise CommandError("Error reading register")
        return self.format(self.value)

    def write(self, text: str) -> None:
        """Take a value from text."""
        if not self.writeable:
            raise CommandError("Field not writeable")
        self.store(self.parse(text))

    @property
    def value(self) -> int:
        """The number behind the text: a setting, or what the block has now."""
        if self.spec.type == "read":
            return self.around.registers.read(self.name)
        return self.raw

    def store(self, value: int) -> None:
        """Take a number."""
        self.raw = value
        self.changed = self.around.journal.mark()
        self.around.registers.write(self.name, value)

    def refresh(self) -> None:
        """Notice whether a value that the block sets has changed."""
        if self.spec.type == "read":
            value = self.around.registers.read(self.name)
            if value != self.raw:
                self.raw = value
                self.changed = self.around.journal.mark()

    def attribute_was_changed(self, name: str) -> None:
        """Have an attribute reported."""
        if name in self.attribute_changed:
            self.attribute_changed[name] = self.around.journal.mark()

    def labels(self) -> Sequence[str]:
        """Labels it takes, empty if it is not an enumeration."""
        return self.spec.labels

    def format(self, value: int) -> str:
        """A number as text."""
        return str(value)

    def parse(self, text: str) -> int:
        """Text as a number."""
        raise NotImplementedError


class UintField(Field):
    """An unsigned integer up to a limit."""

    attributes: ClassVar = Field.attributes | {
        "MAX": Attribute("Largest value", lambda field: str(field.spec.max))
    }

    def parse(self, text: str) -> int:
        """0 to MAX, after wrapping to 32 bits."""
        value = integer(text) % 2**32
        if value > self.spec.max:
            raise CommandError("Number out of range")
        return value


class IntField(Field):
    """A signed integer of 32 bits."""

    def parse(self, text: str) -> int:
        """Any integer, wrapped to 32 bits."""
        return signed(integer(text))


class BitField(Field):
    """A bit."""

    def parse(self, text: str) -> int:
        """0 or 1."""
        if text[:1] not in ("0", "1"):
            raise CommandError("Invalid bit value")
        end(text[1:])
        return int(text)


class ActionField(Field):
    """Something that happens when it is written."""

    def parse(self, text: str) -> int:
        """Nothing at all."""
        end(text)
        return 1


class EnumField(Field):
    """One of some labels."""

    def format(self, value: int) -> str:
        """The label of an index."""
        if not 0 <= value < len(self.spec.labels):
            raise CommandError("Invalid enumeration value")
        return self.spec.labels[value]

    def parse(self, text: str) -> int:
        """The index of a label."""
        if text not in self.spec.labels:
            raise CommandError("Invalid enumeration value")
        return self.spec.labels.index(text)
