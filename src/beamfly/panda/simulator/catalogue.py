"""What a PandA consists of: blocks, their fields, and the two buses.

`load` reads `pandabox.json`, which describes a PandABox without FMC card, and works
out the order in which bits and positions stand on their buses: block by block, field
by field, instance by instance.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

CLOCK_FREQUENCY = 125_000_000
"""Ticks per second: every time in a PandA is a number of these."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column of a table."""

    name: str
    low: int
    """Lowest bit it takes in the row."""
    high: int
    """Highest bit it takes in the row, inclusive."""
    type: str
    """uint, int or enum."""
    description: str
    labels: tuple[str, ...] = ()
    """Labels of an enum column."""


@dataclass(frozen=True)
class FieldSpec:
    """One field of a kind of block."""

    block: str
    name: str
    sequence: int
    """Its place among the fields of the block, from 0."""
    type: str
    """First word of its type, such as param or bit_out."""
    subtype: str
    """Second word of its type, such as uint, or empty."""
    description: str
    labels: tuple[str, ...] = ()
    """Labels of an enum."""
    max: int = 2**32 - 1
    """Largest value of a uint."""
    scale: float = 1.0
    """Units per count of a scalar."""
    offset: float = 0.0
    """Units at count 0 of a scalar."""
    units: str = ""
    """Units of a scalar."""
    raw: int = 0
    """Value at power-up."""
    word: int = 0
    """Which 32 bits of the bit bus an `ext_out bits` captures."""
    columns: tuple[ColumnSpec, ...] = ()
    """Columns of a table."""
    row_words: int = 0
    """32-bit words per row of a table."""
    max_length: int = 0
    """Largest number of 32-bit words in a table."""

    @property
    def kind(self) -> str:
        """Type and subtype, as INFO reports them."""
        return f"{self.type} {self.subtype}".strip()


@dataclass(frozen=True)
class BlockSpec:
    """One kind of block."""

    name: str
    count: int
    """How many instances there are."""
    description: str
    fields: dict[str, FieldSpec]
    """By name, in order of their sequence number."""

    def label(self, number: int) -> str:
        """Name of an instance: without number if there is only one."""
        return self.name if self.count == 1 else f"{self.name}{number}"


@dataclass(frozen=True)
class Catalogue:
    """Everything that a PandA's configuration files say."""

    software: str
    fpga: str
    rootfs: str
    app: str
    blocks: dict[str, BlockSpec]
    """By name, in the order in which they take places on the buses."""
    bits: tuple[str, ...] = field(init=False)
    """Names on the bit bus, in order."""
    positions: tuple[str, ...] = field(init=False)
    """Names on the position bus, in order."""
    captures: tuple[str, ...] = field(init=False)
    """Names of all that PCAP can capture, in the order in which it reports them."""

    def __post_init__(self) -> None:
        """Put bits, positions and captures in order."""
        object.__setattr__(self, "bits", self.names_of("bit_out"))
        object.__setattr__(self, "positions", self.names_of("pos_out"))
        object.__setattr__(self, "captures", self.names_of("pos_out", "ext_out"))

    def names_of(self, *types: str) -> tuple[str, ...]:
        """Names of all instances of all fields of these types, in bus order."""
        return tuple(
            f"{block.label(number)}.{spec.name}"
            for block in self.blocks.values()
            for spec in block.fields.values()
            if spec.type in types
            for number in range(1, block.count + 1)
        )


def _column(entry: dict[str, Any]) -> ColumnSpec:
    """One column from its entry in the file."""
    labels = tuple(entry.pop("labels", ()))
    return ColumnSpec(**entry, labels=labels)


def _field(block: str, sequence: int, entry: dict[str, Any]) -> FieldSpec:
    """One field from its entry in the file."""
    options = {k: v for k, v in entry.items() if k not in ("type", "columns")}
    kind, _, subtype = str(entry["type"]).partition(" ")
    columns = tuple(_column(dict(column)) for column in entry.get("columns", ()))
    options["labels"] = tuple(entry.get("labels", ()))
    return FieldSpec(
        block=block,
        sequence=sequence,
        type=kind,
        subtype=subtype,
        columns=columns,
        **options,
    )


@cache
def load() -> Catalogue:
    """The catalogue of a PandABox without FMC card."""
    text = (
        resources.files("beamfly.panda.simulator")
        .joinpath("pandabox.json")
        .read_text("utf-8")
    )
    content = json.loads(text)
    blocks = {
        entry["name"]: BlockSpec(
            name=entry["name"],
            count=entry["count"],
            description=entry["description"],
            fields={
                field["name"]: _field(entry["name"], sequence, field)
                for sequence, field in enumerate(entry["fields"])
            },
        )
        for entry in content.pop("blocks")
    }
    return Catalogue(blocks=blocks, **content)
