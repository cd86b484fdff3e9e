"""Tables: 32-bit words, as a PandA keeps them, to named columns and back.

A row is `row_words` words; a column is a range of bits in it, counted over the
words lowest first, and may cross from one word into the next. `words_to_table` and
`table_to_words` take and give words as the control port writes them, in decimal;
`unpack_table` and `pack_table` do the same with arrays of uint32. Nothing is ever
cut off to fit: a value that its column cannot hold is a BadValue.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from beamfly.errors import BadValue
from beamfly.panda.responses import TableFieldDetails, TableFieldInfo

__all__ = [
    "UnpackedArray",
    "base64_to_words",
    "pack_table",
    "table_to_words",
    "unpack_table",
    "words_to_base64",
    "words_to_table",
]

UnpackedArray: TypeAlias = npt.NDArray[Any] | list[str]
"""One column: an array of shape (rows,), or a list of the labels of an enum."""

Integers: TypeAlias = npt.NDArray[Any]

_WORD_RANGE = (-(2**31), 2**32 - 1)
_BASE64_BYTES = 720
"""Bytes in a line of base64: whole words, and well below the longest line."""


def words_to_table(
    words: Iterable[str] | Iterable[int],
    table_field_info: TableFieldInfo,
    convert_enum_indices: bool = False,
) -> dict[str, UnpackedArray]:
    """Split words into columns.

    Args:
        words: The words of whole rows, in decimal, as `Get` returns them.
        table_field_info: What `GetFieldInfo` says of the table.
        convert_enum_indices: Whether to give enum columns as labels, not as numbers.

    Returns:
        Columns by name. Unsigned and enum columns are the smallest of uint8, uint16,
        uint32, uint64 that holds them, signed ones are int32 (int64 above 32 bits).

    Raises:
        BadValue: The words are not whole rows, one is not 0 to 2**32 - 1, or there
            is no label for an enum value.
    """
    array = _word_array(words)
    return unpack_table(array, table_field_info, convert_enum_indices)


def table_to_words(
    table: Mapping[str, Any], table_field_info: TableFieldInfo
) -> list[str]:
    """Join columns to words in decimal, as `Put` and `Append` take them.

    Args:
        table: Columns by name, all of one length: numbers, bools, or labels of an
            enum. Columns that are not given are 0.
        table_field_info: What `GetFieldInfo` says of the table.

    Raises:
        BadValue: There is no such column, lengths differ, or a value does not fit;
            names the column, the row, the value and what is allowed.
    """
    return [str(word) for word in pack_table(table, table_field_info).tolist()]


def unpack_table(
    words: npt.NDArray[Any], info: TableFieldInfo, convert_enum_indices: bool = False
) -> dict[str, UnpackedArray]:
    """Split an array of shape (rows * row_words,) into columns; see words_to_table."""
    if len(words) % info.row_words:
        msg = f"{len(words)} words are not whole rows of {info.row_words} words"
        raise BadValue(msg)
    rows = words.astype(np.uint32, copy=False).reshape(-1, info.row_words)
    return {
        name: _unpack_column(rows, name, details, convert_enum_indices)
        for name, details in info.fields.items()
    }


def pack_table(
    table: Mapping[str, Any], info: TableFieldInfo
) -> npt.NDArray[np.uint32]:
    """Join columns to an array of shape (rows * row_words,); see table_to_words."""
    if not table:
        raise BadValue("A table needs at least one column, none was given")
    columns = {
        name: _checked_column(name, column, _details(name, info))
        for name, column in table.items()
    }
    first, count = next((name, len(column)) for name, column in columns.items())
    packed = np.zeros((count, info.row_words), np.uint32)
    for name, column in columns.items():
        if len(column) != count:
            msg = (
                f"Column {name} has {len(column)} rows, column {first} has {count}: "
                "all columns of a table must be equally long"
            )
            raise BadValue(msg)
        _pack_column(packed, column, info.fields[name])
    return packed.reshape(-1)


def words_to_base64(words: Sequence[Any] | npt.NDArray[Any]) -> list[str]:
    """Words as lines of base64, the data of a table written with `<B`.

    Raises:
        BadValue: A word is not an integer from -2**31 to 2**32 - 1.
    """
    array = _checked_integers("Word", np.asarray(words), *_WORD_RANGE)
    data = (array.astype(np.int64) & 0xFFFFFFFF).astype("<u4").tobytes()
    return [
        b64encode(data[start : start + _BASE64_BYTES]).decode()
        for start in range(0, len(data), _BASE64_BYTES)
    ]


def base64_to_words(lines: Iterable[str]) -> npt.NDArray[np.uint32]:
    """Words from the lines that reading `<table>.B` gives.

    Raises:
        BadValue: They are not base64, or not whole words.
    """
    try:
        data = b"".join(b64decode(line, validate=True) for line in lines)
    except (Base64Error, ValueError) as error:
        raise BadValue(f"A table in base64 cannot be decoded: {error}") from None
    if len(data) % 4:
        raise BadValue(f"A table in base64 has {len(data)} bytes, not whole words")
    words: npt.NDArray[np.uint32] = np.frombuffer(data, dtype="<u4")
    return words.copy()


def _word_array(words: Iterable[str] | Iterable[int]) -> npt.NDArray[np.uint32]:
    if isinstance(words, np.ndarray) and cast(Integers, words).dtype == np.uint32:
        return cast(npt.NDArray[np.uint32], words)
    try:
        return np.fromiter((int(word) for word in words), np.uint32)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadValue(f"A word of a table is not 0 to 2**32 - 1: {error}") from None


def _details(name: str, info: TableFieldInfo) -> TableFieldDetails:
    try:
        return info.fields[name]
    except KeyError:
        msg = f"There is no column {name}; there are {', '.join(info.fields)}"
        raise BadValue(msg) from None


def _spans(details: TableFieldDetails) -> list[tuple[int, int, int, int]]:
    """Where a column's bits are, as (word, lowest bit in it, bits done, bits)."""
    spans: list[tuple[int, int, int, int]] = []
    bit = details.bit_low
    while bit <= details.bit_high:
        word, low = divmod(bit, 32)
        count = min(32 - low, details.bit_high - bit + 1)
        spans.append((word, low, bit - details.bit_low, count))
        bit += count
    return spans


def _unpack_column(
    rows: npt.NDArray[np.uint32],
    name: str,
    details: TableFieldDetails,
    convert_enum_indices: bool,
) -> UnpackedArray:
    width = details.bit_high - details.bit_low + 1
    value = np.zeros(len(rows), np.uint64)
    for word, low, done, count in _spans(details):
        part = (rows[:, word] >> np.uint32(low)) & np.uint32((1 << count) - 1)
        value |= part.astype(np.uint64) << np.uint64(done)
    if details.subtype == "int":
        spare = np.int64(64 - width)
        # to the top and back: the shift to the right repeats the sign
        signed = (value.view(np.int64) << spare) >> spare
        return signed if width > 32 else signed.astype(np.int32)
    if details.subtype == "enum" and convert_enum_indices:
        return _labels(name, details, value)
    for size, dtype in ((8, np.uint8), (16, np.uint16), (32, np.uint32)):
        if width <= size:
            return value.astype(dtype)
    return value


def _labels(
    name: str, details: TableFieldDetails, value: npt.NDArray[np.uint64]
) -> list[str]:
    labels = details.labels or []
    wrong = np.flatnonzero(value >= len(labels))
    if wrong.size:
        msg = (
            f"Column {name} row {wrong[0]} is {value[wrong[0]]}, which has no label; "
            f"there are {len(labels)}"
        )
        raise BadValue(msg)
    return [labels[index] for index in value.tolist()]


def _pack_column(
    packed: npt.NDArray[np.uint32], column: Integers, details: TableFieldDetails
) -> None:
    if column.dtype == np.uint64:
        bits = column
    else:
        bits = column.astype(np.int64).view(np.uint64)
    for word, low, done, count in _spans(details):
        part = (bits >> np.uint64(done)) & np.uint64((1 << count) - 1)
        packed[:, word] |= (part << np.uint64(low)).astype(np.uint32)


def _checked_column(name: str, column: Any, details: TableFieldDetails) -> Integers:
    """The column as integers that fit its bits."""
    width = details.bit_high - details.bit_low + 1
    if details.labels is not None:
        column = _indices(name, column, details.labels)
    low, high = 0, 2**width - 1
    if details.subtype == "int":
        low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    elif details.labels is not None:
        high = min(high, len(details.labels) - 1)
    # numpy makes a list of both large and small integers an array of floats
    exact = width > 53 and not isinstance(column, np.ndarray)
    array = np.asarray(column, object if exact else None)
    return _checked_integers(f"Column {name} row", array, low, high)


def _indices(name: str, column: Any, labels: list[str]) -> Any:
    """The column with labels of an enum replaced by their index."""
    if isinstance(column, np.ndarray) and cast(Integers, column).dtype.kind in "biuf":
        return cast(Integers, column)
    values: list[Any] = [
        # an enum of strings hashes by the name of its member
        item.value if isinstance(item, Enum) else item
        for item in column
    ]
    if not any(isinstance(item, str) for item in values):
        return values
    index_of = {label: index for index, label in enumerate(labels)}
    try:
        return [index_of[item] if isinstance(item, str) else item for item in values]
    except KeyError as error:
        row = values.index(error.args[0])
        msg = (
            f"Column {name} row {row} is {error.args[0]!r}, which is none of "
            f"{', '.join(labels)}"
        )
        raise BadValue(msg) from None


def _checked_integers(what: str, array: Integers, low: int, high: int) -> Integers:
    """The array as integers of at most 64 bits, all from low to high."""
    if array.ndim != 1:
        raise BadValue(f"{what}s need a list of values, not shape {array.shape}")
    if array.dtype.kind == "b" or not array.size:
        return array.astype(np.uint8)
    try:
        good = (array >= low) & (array <= high) & (array == np.trunc(array))
    except TypeError:
        good = np.array([_is_whole(item, low, high) for item in array], bool)
    wrong = np.flatnonzero(~good.astype(bool))
    if wrong.size:
        row = int(wrong[0])
        msg = f"{what} {row} is {array[row]!s}, allowed are integers {low} to {high}"
        raise BadValue(msg)
    return array.astype(np.int64 if high < 2**63 else np.uint64)


def _is_whole(item: Any, low: int, high: int) -> bool:
    return isinstance(item, int) and low <= item <= high
