"""All fields of a PandA, found by name as commands name them, and its metadata.

`Settings` builds a `Field` for every field of every instance. `find` reads the target
of a command, such as `COUNTER1.OUT.SCALE`, and says what it means.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar
from zlib import crc32

from beamfly.errors import CommandError
from beamfly.panda.simulator.bus_fields import (
    BitMuxField,
    BitOutField,
    CaptureField,
    ExtBitsField,
    ExtOutField,
    PosMuxField,
    PosOutField,
)
from beamfly.panda.simulator.catalogue import (
    BlockSpec,
    Catalogue,
    ColumnSpec,
    FieldSpec,
)
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.fields import (
    ActionField,
    Attribute,
    BitField,
    EnumField,
    Field,
    Group,
    IntField,
    Journal,
    Registers,
    Surroundings,
    UintField,
)
from beamfly.panda.simulator.literals import (
    read_alphanumeric,
    read_block,
    read_integer,
)
from beamfly.panda.simulator.metadata import Metadata
from beamfly.panda.simulator.scaled_fields import (
    LutField,
    ScalarField,
    TimeField,
)
from beamfly.panda.simulator.table_field import TableField

_CLASSES: dict[str, type[Field]] = {
    "time": TimeField,
    "bit_out": BitOutField,
    "pos_out": PosOutField,
    "ext_out timestamp": ExtOutField,
    "ext_out samples": ExtOutField,
    "ext_out bits": ExtBitsField,
    "bit_mux": BitMuxField,
    "pos_mux": PosMuxField,
    "table": TableField,
}
_SUBTYPES: dict[str, type[Field]] = {
    "uint": UintField,
    "int": IntField,
    "bit": BitField,
    "action": ActionField,
    "enum": EnumField,
    "scalar": ScalarField,
    "lut": LutField,
    "time": TimeField,
}
"""Of param, read and write fields."""


_Spec = TypeVar("_Spec", BlockSpec, FieldSpec)


def field_class(spec: FieldSpec) -> type[Field]:
    """The class for fields of that type."""
    return _CLASSES.get(spec.kind) or _SUBTYPES[spec.subtype]


@dataclass(frozen=True)
class Target:
    """What the target of a command means."""

    block: BlockSpec
    number: int = 0
    """Number of the instance; 0 if it was not given."""
    spec: FieldSpec | None = None
    """The field, None for the block itself."""
    attribute: str = ""
    """The attribute, empty for the field itself."""
    star: bool = False
    """Whether it ends in `.*`: all fields, or all attributes."""
    column: ColumnSpec | None = None
    """The column of a table."""


class Settings:
    """Every field and every metadata key."""

    def __init__(
        self,
        catalogue: Catalogue,
        registers: Registers,
        faults: Faults | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.journal = Journal()
        bits, positions = catalogue.bits, catalogue.positions
        around = Surroundings(
            registers=registers,
            journal=self.journal,
            bits=bits,
            positions=positions,
            bit_index={n: i for i, n in enumerate((*bits, "ZERO", "ONE"))},
            position_index={n: i for i, n in enumerate((*positions, "ZERO"))},
            faults=faults or Faults(),
        )
        self.fields = {
            (block.name, number, spec.name): field_class(spec)(
                spec, block, number, around
            )
            for block in listed(catalogue.blocks.values())
            for spec in listed(block.fields.values())
            for number in range(1, block.count + 1)
        }
        """By block, number and field, in the order in which they are reported."""
        fields = list(self.fields.values())
        self.instances = [
            list(group)
            for _, group in groupby(fields, lambda f: (f.spec.block, f.spec.name))
        ]
        """All instances of a field together, in the same order."""
        live = Group.BITS | Group.POSN | Group.READ
        self.polled = [f for f in fields if f.report_group & live]
        """Fields whose values the blocks set."""
        self.tables = [f for f in fields if isinstance(f, TableField)]
        self.by_name = {field.name: field for field in self.fields.values()}
        labels = [
            f"LABEL_{block.name}{number}"
            for block in listed(catalogue.blocks.values())
            for number in range(1, block.count + 1)
        ]
        self.metadata = Metadata(self.journal, catalogue.app, labels)

    def captures(self) -> Iterator[CaptureField]:
        """All fields that PCAP can capture, in its order."""
        for name in self.catalogue.captures:
            found = self.by_name[name]
            if isinstance(found, PosOutField | ExtOutField):
                yield found

    def reset_captures(self) -> None:
        """Capture nothing."""
        for found in self.captures():
            found.reset_capture()

    def field(self, target: Target) -> Field:
        """The field of an instance; of the first if no number was given."""
        if target.spec is None:
            raise CommandError("Missing field name")
        return self.fields[target.block.name, target.number or 1, target.spec.name]

    def attribute(self, target: Target) -> tuple[Field, Attribute]:
        """An attribute, and the field to apply it to."""
        found = self.field(target)
        return found, found.attributes[target.attribute]

    def find(self, text: str, *, loose: bool = False) -> Target:
        """The meaning of a target.

        Args:
            text: What stands in front of `?`, `=` or `<`.
            loose: As `*DESC` and `*ENUMS` read it: numbers do not matter, columns of
                tables can be named, `*` cannot.

        Raises:
            CommandError: There is no such thing.
        """
        block, number, rest = self._block(text)
        if not rest.startswith("."):
            return _finished(Target(block, number), rest)
        if not loose and rest.startswith(".*"):
            return _finished(Target(block, number, star=True), rest[2:])
        name, rest = read_alphanumeric(rest[1:])
        spec = block.fields.get(name)
        if spec is None:
            raise CommandError("No such field")
        if not loose and rest.startswith(".*"):
            return _finished(Target(block, number, spec, star=True), rest[2:])
        if not loose and not number and block.count > 1:
            raise CommandError("Missing block number")
        if loose and rest.startswith("[]."):
            return _column(Target(block, number, spec), rest[3:])
        if not rest.startswith("."):
            return _finished(Target(block, number, spec), rest)
        attribute, rest = read_alphanumeric(rest[1:])
        if attribute not in field_class(spec).attributes:
            raise CommandError("No such attribute")
        return _finished(Target(block, number, spec, attribute), rest)

    def _block(self, text: str) -> tuple[BlockSpec, int, str]:
        """Block and number in front of a target; 0 for no number."""
        name, rest = read_block(text)
        block = self.catalogue.blocks.get(name)
        if block is None:
            raise CommandError("No such block")
        number = 0
        if rest[:1].isdigit():
            digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            number, _ = read_integer(digits.lstrip("0") or "0")
            rest = rest[len(digits) :]
            if not 0 < number <= block.count:
                raise CommandError("Invalid block number")
        return block, number, rest


def listed(specs: Iterable[_Spec]) -> list[_Spec]:
    """In the arbitrary but fixed order in which a server lists things."""
    return sorted(specs, key=lambda spec: crc32(spec.name.encode()))


def _finished(target: Target, rest: str) -> Target:
    if rest:
        raise CommandError("Unexpected character after input")
    return target


def _column(target: Target, text: str) -> Target:
    """The target with the column of a table that follows `[].`."""
    name, rest = read_alphanumeric(text)
    columns = target.spec.columns if target.spec else ()
    if not columns:
        raise CommandError("Field is not a table")
    for column in columns:
        if column.name == name:
            found = Target(target.block, target.number, target.spec, column=column)
            return _finished(found, rest)
    raise CommandError("Table sub-field not found")
