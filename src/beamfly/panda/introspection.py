"""Commands that ask a PandA what blocks and fields it has.

`GetFieldInfo` looks up the type of each field in `_READERS`: a table from (type,
subtype) to the generator that asks what such a field offers.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from beamfly.errors import CommandError
from beamfly.panda.exchange import Command, Exchange, ExchangeGenerator, interleave
from beamfly.panda.responses import (
    BitMuxFieldInfo,
    BitOutFieldInfo,
    BlockInfo,
    EnumFieldInfo,
    ExtOutBitsFieldInfo,
    ExtOutFieldInfo,
    FieldInfo,
    FieldType,
    PosMuxFieldInfo,
    PosOutFieldInfo,
    ScalarFieldInfo,
    SubtypeTimeFieldInfo,
    TableFieldDetails,
    TableFieldInfo,
    TimeFieldInfo,
    UintFieldInfo,
)

__all__ = [
    "GetBlockInfo",
    "GetBlockNumbers",
    "GetFieldInfo",
    "GetFields",
    "GetPcapBitsLabels",
]

log = logging.getLogger(__name__)


@dataclass
class GetBlockInfo(Command[dict[str, BlockInfo]]):
    """Ask for the blocks by name, in alphabetical order.

    ```
    GetBlockInfo() -> {"LUT": BlockInfo(number=8, description="Lookup table"), ...}
    ```
    """

    skip_description: bool = False
    """Whether to leave the descriptions out, which saves a second write."""

    def execute(
        self, version: tuple[int, int]
    ) -> ExchangeGenerator[dict[str, BlockInfo]]:
        """One exchange, then one per block for its description."""
        exchange = Exchange("*BLOCKS?")
        yield exchange
        infos: dict[str, BlockInfo] = {}
        for line in sorted(exchange.multiline):
            name, number = _words(line, 2)
            infos[name] = BlockInfo(int(number))
        if not self.skip_description:
            asked = {name: Exchange(f"*DESC.{name}?") for name in infos}
            yield list(asked.values())
            for name, description in asked.items():
                infos[name].description = description.line
        return infos


@dataclass
class GetBlockNumbers(Command[dict[str, int]]):
    """Ask for how many there are of each block, in alphabetical order.

    Kept for scripts written for pandablocks 0.2; `GetBlockInfo` tells more.
    """

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[dict[str, int]]:
        """One exchange."""
        infos = yield from GetBlockInfo(skip_description=True).execute(version)
        return {name: info.number for name, info in infos.items()}


@dataclass
class GetFieldInfo(Command[dict[str, FieldInfo]]):
    """Ask for the fields of a block, in the order of their definition.

    ```
    GetFieldInfo("LUT") -> {"INPA": BitMuxFieldInfo(
        type="bit_mux", subtype=None, description="Input A", max_delay=31,
        labels=["TTLIN1.VAL", ...]), ...}
    ```
    """

    block: str
    """Name of the kind of block, without a number."""
    extended_metadata: bool = True
    """Whether to ask for description, labels, limits and so on, in at most two
    further writes, or only for type and subtype.
    """

    def execute(
        self, version: tuple[int, int]
    ) -> ExchangeGenerator[dict[str, FieldInfo]]:
        """One exchange, then several per field."""
        exchange = Exchange(f"{self.block}.*?")
        yield exchange
        fields = _parse_fields(exchange.multiline)
        if self.extended_metadata:
            details = yield from interleave(
                _read(_Field(self.block, name, info, version))
                for name, info in fields.items()
            )
            fields = dict(zip(fields, details, strict=True))
        return fields


@dataclass
class GetFields(Command[dict[str, FieldType]]):
    """Ask for type and subtype of the fields of a block.

    Kept for scripts written for pandablocks 0.2; `GetFieldInfo` tells more.
    """

    block: str
    """Name of the kind of block, without a number."""

    def execute(
        self, version: tuple[int, int]
    ) -> ExchangeGenerator[dict[str, FieldType]]:
        """One exchange."""
        infos = yield from GetFieldInfo(self.block, False).execute(version)
        return {name: FieldType(i.type, i.subtype) for name, i in infos.items()}


@dataclass
class GetPcapBitsLabels(Command[dict[str, list[str]]]):
    """Ask which bits the words that PCAP captures are made of.

    ```
    GetPcapBitsLabels() -> {"PCAP.BITS0": ["TTLIN1.VAL", "TTLIN2.VAL", ...], ...}
    ```
    """

    def execute(
        self, version: tuple[int, int]
    ) -> ExchangeGenerator[dict[str, list[str]]]:
        """One exchange, then one per word."""
        infos = yield from GetFieldInfo("PCAP", False).execute(version)
        asked = {
            f"PCAP.{name}": Exchange(f"PCAP.{name}.BITS?")
            for name, info in infos.items()
            if (info.type, info.subtype) == ("ext_out", "bits")
        }
        yield list(asked.values())
        return {name: exchange.multiline for name, exchange in asked.items()}


def _words(line: str, least: int) -> list[str]:
    words = line.split()
    if len(words) < least:
        raise CommandError(f"{line!r} in a list makes no sense")
    return words


def _parse_fields(lines: list[str]) -> dict[str, FieldInfo]:
    """Fields from lines of name, sequence number, type and perhaps subtype."""
    numbered: list[tuple[int, str, FieldInfo]] = []
    for line in lines:
        name, number, type_, *subtype = _words(line, 3)
        info = FieldInfo(type_, subtype[0] if subtype else None, None)
        numbered.append((int(number), name, info))
    numbered.sort(key=lambda item: item[:2])
    return {name: info for _, name, info in numbered}


@dataclass
class _Field:
    """A field whose particulars are being asked for."""

    block: str
    name: str
    info: FieldInfo
    version: tuple[int, int]

    @property
    def type(self) -> tuple[str, str | None]:
        return self.info.type, self.info.subtype

    @property
    def described(self) -> tuple[str, str | None, str | None]:
        """What every kind of field info starts with."""
        return *self.type, self.info.description

    def description(self) -> Exchange:
        return Exchange(f"*DESC.{self.block}.{self.name}?")

    def labels(self, attribute: str = "") -> Exchange:
        return Exchange(f"*ENUMS.{self.block}.{self.name}{attribute}?")

    def attribute(self, name: str) -> Exchange:
        """Asked of the first block: one without a number is known only if single."""
        return Exchange(f"{self.block}1.{self.name}.{name}?")


_Reader: TypeAlias = Callable[[_Field], ExchangeGenerator[FieldInfo]]


def _read(field: _Field) -> ExchangeGenerator[FieldInfo]:
    reader = _READERS.get(field.type)
    if reader is None:
        log.warning(
            "%s.%s is of type %s, which is not known: only its description is read",
            field.block,
            field.name,
            " ".join(filter(None, field.type)),
        )
        reader = _plain
    return (yield from reader(field))


def _ask(field: _Field, *exchanges: Exchange) -> ExchangeGenerator[None]:
    """Ask for the description and more in one go; keep the description."""
    description = field.description()
    yield [description, *exchanges]
    field.info = replace(field.info, description=description.line)


def _plain(field: _Field) -> ExchangeGenerator[FieldInfo]:
    yield from _ask(field)
    return field.info


def _uint(field: _Field) -> ExchangeGenerator[FieldInfo]:
    maximum = field.attribute("MAX")
    yield from _ask(field, maximum)
    return UintFieldInfo(*field.described, int(maximum.line))


def _scalar(field: _Field) -> ExchangeGenerator[FieldInfo]:
    units, scale, offset = map(field.attribute, ("UNITS", "SCALE", "OFFSET"))
    yield from _ask(field, units, scale, offset)
    # a server prints a missing string of its own as (null)
    text = "" if units.line == "(null)" else units.line
    return ScalarFieldInfo(
        *field.described, text, float(scale.line), float(offset.line)
    )


def _time(field: _Field) -> ExchangeGenerator[FieldInfo]:
    units = field.labels(".UNITS")
    yield from _ask(field, units)
    kind = TimeFieldInfo if field.info.subtype is None else SubtypeTimeFieldInfo
    return kind(*field.described, units.multiline)


def _enum(field: _Field) -> ExchangeGenerator[FieldInfo]:
    labels = field.labels()
    yield from _ask(field, labels)
    return EnumFieldInfo(*field.described, labels.multiline)


def _bit_out(field: _Field) -> ExchangeGenerator[FieldInfo]:
    word, offset = map(field.attribute, ("CAPTURE_WORD", "OFFSET"))
    yield from _ask(field, word, offset)
    return BitOutFieldInfo(*field.described, word.line, int(offset.line))


def _bit_mux(field: _Field) -> ExchangeGenerator[FieldInfo]:
    delay, labels = field.attribute("MAX_DELAY"), field.labels()
    yield from _ask(field, delay, labels)
    return BitMuxFieldInfo(*field.described, int(delay.line), labels.multiline)


def _pos_mux(field: _Field) -> ExchangeGenerator[FieldInfo]:
    labels = field.labels()
    yield from _ask(field, labels)
    return PosMuxFieldInfo(*field.described, labels.multiline)


def _pos_out(field: _Field) -> ExchangeGenerator[FieldInfo]:
    labels = field.labels(".CAPTURE")
    yield from _ask(field, labels)
    return PosOutFieldInfo(*field.described, labels.multiline)


def _ext_out(field: _Field) -> ExchangeGenerator[FieldInfo]:
    labels = field.labels(".CAPTURE")
    yield from _ask(field, labels)
    return ExtOutFieldInfo(*field.described, labels.multiline)


def _ext_out_bits(field: _Field) -> ExchangeGenerator[FieldInfo]:
    labels, bits = field.labels(".CAPTURE"), field.attribute("BITS")
    yield from _ask(field, labels, bits)
    return ExtOutBitsFieldInfo(*field.described, labels.multiline, bits.multiline)


def _table(field: _Field) -> ExchangeGenerator[FieldInfo]:
    max_length, columns = map(field.attribute, ("MAX_LENGTH", "FIELDS"))
    yield from _ask(field, max_length, columns)
    fields: dict[str, TableFieldDetails] = {}
    for line in columns.multiline:
        bits, name, subtype = _words(line, 3)
        high, _, low = bits.partition(":")
        fields[name] = TableFieldDetails(subtype, int(low), int(high))
    yield from _read_columns(field, fields)
    # ROW_WORDS says the same, but older servers do not have it
    highest = max((column.bit_high for column in fields.values()), default=0)
    return TableFieldInfo(
        *field.described,
        max_length=int(max_length.line),
        fields=fields,
        row_words=highest // 32 + 1,
        has_mode=field.version >= (4, 0),
    )


def _read_columns(
    field: _Field, fields: dict[str, TableFieldDetails]
) -> ExchangeGenerator[None]:
    """Fill in descriptions and labels of a table's columns."""
    table = f"{field.block}.{field.name}[]"
    described = {name: Exchange(f"*DESC.{table}.{name}?") for name in fields}
    labelled = {
        name: Exchange(f"*ENUMS.{table}.{name}?")
        for name, column in fields.items()
        if column.subtype == "enum"
    }
    yield [*described.values(), *labelled.values()]
    for name, description in described.items():
        fields[name].description = description.line
    for name, labels in labelled.items():
        fields[name].labels = labels.multiline


def _subtyped(readers: dict[str, _Reader]) -> dict[tuple[str, str | None], _Reader]:
    return {
        (type_, subtype): reader
        for type_ in ("param", "read", "write")
        for subtype, reader in readers.items()
    }


_READERS: Mapping[tuple[str, str | None], _Reader] = MappingProxyType(
    {
        ("time", None): _time,
        ("bit_out", None): _bit_out,
        ("pos_out", None): _pos_out,
        ("ext_out", "timestamp"): _ext_out,
        ("ext_out", "samples"): _ext_out,
        ("ext_out", "bits"): _ext_out_bits,
        ("bit_mux", None): _bit_mux,
        ("pos_mux", None): _pos_mux,
        ("table", None): _table,
        **_subtyped(
            {
                "uint": _uint,
                "int": _plain,
                "scalar": _scalar,
                "bit": _plain,
                "action": _plain,
                "lut": _plain,
                "enum": _enum,
                "time": _time,
            }
        ),
    }
)
"""(type, subtype) of a field -> what asks for its particulars."""
