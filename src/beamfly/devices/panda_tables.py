"""Tables of a PandA, such as those of SEQ and PGEN, as ophyd-async tables.

`make_table` makes a Table class with the columns of a PandA's table; `TableCodec`
reads and writes such a table as base64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeAlias, cast

import numpy as np
from ophyd_async.core import Array1D, Table

from beamfly.devices.panda_values import Answer, Codec, make_enum, type_name
from beamfly.errors import BadValue
from beamfly.panda.commands import Command, GetMultiline, Put
from beamfly.panda.responses import TableFieldInfo
from beamfly.panda.tables import base64_to_words, pack_table, unpack_table


@dataclass(frozen=True)
class TableCodec(Codec[Any]):
    """Columns of rows; they travel as words in base64."""

    info: TableFieldInfo = field(kw_only=True)
    """Where each column is in the words of a row."""

    def ask(self, target: str) -> Command[Any]:
        """As base64: a fifth of the bytes of decimal."""
        return GetMultiline(f"{target}.B")

    def tell(self, target: str, value: Any) -> Command[None]:
        """The whole table; BadValue if a column cannot hold one of its values."""
        if isinstance(value, Mapping):
            value = self.datatype(**cast(Mapping[str, Any], value))
        names = {name.lower(): name for name in self.info.fields}
        columns = {names[name]: column for name, column in cast(Table, value)}
        try:
            words = pack_table(columns, self.info)
        except BadValue as error:
            raise BadValue(f"{target}: {error}; nothing was sent") from None
        limit = self.info.max_length
        if len(words) > limit:
            msg = (
                f"{target} holds {limit // self.info.row_words} rows, not "
                f"{len(words) // self.info.row_words}; nothing was sent"
            )
            raise BadValue(msg)
        return Put(target, words)

    def decode(self, answer: Answer) -> Any:
        """A Table, possibly without rows."""
        columns = unpack_table(
            base64_to_words(answer), self.info, convert_enum_indices=True
        )
        return self.datatype(**{name.lower(): c for name, c in columns.items()})

    def declared_as(self, datatype: type[Any], target: str) -> Codec[Any]:
        """With a Table class that has the same columns."""
        declared: Mapping[str, Any] = getattr(datatype, "model_fields", {})
        names = {name.lower() for name in self.info.fields}
        if not issubclass(datatype, Table) or set(declared) != names:
            msg = (
                f"{target} has the columns {', '.join(sorted(names))}, the device "
                f"class declares {type_name(datatype)}"
            )
            raise TypeError(msg)
        return replace(self, datatype=datatype)


_UNSIGNED = ((1, np.bool_), (8, np.uint8), (16, np.uint16), (32, np.uint32))
_Column: TypeAlias = tuple[str, str, int, tuple[str, ...] | None]


def make_table(name: str, info: TableFieldInfo) -> type[Table]:
    """A Table class with one column per column of the PandA's table.

    Columns of one bit are bool, enums are sequences of a strict enum, others are the
    smallest unsigned integer that holds them, or int32.
    """
    columns = tuple(
        (
            column.lower(),
            details.subtype,
            details.bit_high - details.bit_low + 1,
            None if details.labels is None else tuple(details.labels),
        )
        for column, details in info.fields.items()
    )
    return _table_class(name, columns)


@cache
def _table_class(name: str, columns: tuple[_Column, ...]) -> type[Table]:
    """The same class for the same columns, so that two PandAs can be compared."""
    types = {column[0]: _column_type(name, column) for column in columns}
    body = {"__annotations__": types, "__module__": __name__}
    return cast(type[Table], type(name, (Table,), body))


def _column_type(table: str, column: _Column) -> Any:
    name, subtype, width, labels = column
    if labels is not None:
        enum: Any = make_enum(f"{table}{name.title()}", labels)
        return Sequence[enum]
    if subtype == "int":
        return Array1D[np.int32]
    scalar: Any = next((kind for bits, kind in _UNSIGNED if width <= bits), np.uint64)
    return Array1D[scalar]
