"""Long runs of messages, parsed with numpy: for `beamfly.ca.lanes` and `updates`.

These import it when numpy is to be used, see `beamfly.ca.columns`.

Columns are made into Python lists at once, which is several times faster than to unpack
message by message; what is called per message is only the callback.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np

from beamfly.ca.dbr import STRING_BYTES, Dbr, layout, padded
from beamfly.ca.header import HEADER_BYTES
from beamfly.ca.readings import EPOCH_NS, NANO, readable, scalar_record

PREFIX_BYTES = 32
"""What all updates have at least: header, alarm, time stamp and four bytes more."""
_FIXED = int.from_bytes(b"\xff\xff\xff\xc7\xff\xe0\xff\xff", sys.byteorder)
"""Bits that are the same in the first eight bytes of all updates: not size and type."""
_UPDATE = int.from_bytes(b"\0\1\0\0\0\0\0\1", sys.byteorder)
"""What these bits are: EVENT_ADD, of one element."""


class Bulk(Protocol):
    """Who asked for many values, with numbers from low up to high, exclusive."""

    low: int
    high: int

    @property
    def done(self) -> bool:
        """Whether all answers are in."""
        ...

    def on_values(self, first: int, values: list[Any]) -> object:
        """Answers to consecutive numbers."""


def event_run(
    view: memoryview,
    at: int,
    end: int,
    sinks: Mapping[int, Callable[..., object]],
    failed: Callable[[int, Exception], object],
) -> int:
    """Updates of one element of TIME types, in any order; where the run ended.

    Args:
        view: The buffer.
        at: Where the first message stands, which is such an update.
        end: Where the bytes end.
        sinks: Where updates go, by subscription number.
        failed: Told of the number and the exception when a callback raises.
    """
    block = _Block(view, at, end)
    heads, codes, after = _equal(block) or _mixed(block)
    rows = block.starts(heads)
    stamps = rows["seconds"].astype("i8") * NANO + rows["nanoseconds"] + EPOCH_NS
    columns = [rows["number"].tolist(), _values(block, heads, codes)]
    columns += [stamps.tolist(), rows["severity"].tolist(), rows["status"].tolist()]
    number = 0
    rest = zip(*columns, strict=True)
    while True:
        try:
            for number, value, time_ns, severity, status in rest:
                sinks[number](value, time_ns, severity, status)
            return at + 8 * after
        except Exception as error:
            failed(number, error)


class _Block:
    """Bytes that start with an update, seen as words of eight bytes.

    Messages start at words, whose numbers are given as an array or as a slice.
    """

    def __init__(self, view: memoryview, at: int, end: int) -> None:
        self.view, self.at = view, at
        self.count = (end - at) // 8
        """How many words there are."""
        self.words = np.frombuffer(view, "u8", self.count, at)

    def at_words(self, kind: Any, offset: int) -> Any:
        """What stands so many bytes behind each word, as far as there are bytes."""
        count = self.count - (offset + np.dtype(kind).itemsize - 1) // 8
        return np.ndarray((max(0, count),), kind, self.view, self.at + offset, (8,))

    def starts(self, heads: Any) -> Any:
        """What all updates start with, as records."""
        if isinstance(heads, slice):
            return self.at_words(_prefix_dtype(), 0)[heads]
        # bytes without fields are copied ten times faster
        return self.at_words(f"V{PREFIX_BYTES}", 0)[heads].view(_prefix_dtype())

    def column(self, code: int, heads: Any) -> Any:
        """The values of updates of one type."""
        row = layout(code)
        offset = HEADER_BYTES + row.offset
        if code != Dbr.TIME_STRING:
            return self.at_words(">" + row.element_format, offset)[heads]
        first = self.at + 8 * heads
        # a small message tells the size of its payload in its fourth byte
        last = first + HEADER_BYTES + self.at_words("u1", 3)[heads]
        first += offset
        last = np.minimum(last, first + STRING_BYTES)
        spans = zip(first.tolist(), last.tolist(), strict=True)
        texts = [readable(bytes(self.view[start:end])) for start, end in spans]
        return np.array(texts, object)


_Found = tuple[Any, list[int] | Any, int]
"""Where updates start, their types, where the last of them ends."""


def _equal(block: _Block) -> _Found | None:
    """Updates of the type and size of the first, if they are half of the block."""
    view, at = block.view, block.at
    code = view[at + 5]
    length = int(_lengths()[8 * code + view[at + 3] // 8])
    if code == Dbr.TIME_STRING or not length:
        return None
    whole = slice(0, block.count // length * length, length)
    good = block.words[whole] == block.words[0]
    good &= block.at_words(">u4", 8)[whole] == 1
    number = len(good) if good.all() else int(good.argmin())
    if 2 * number < len(good):
        return None
    end = number * length
    return slice(0, end, length), [code], end


def _mixed(block: _Block) -> _Found:
    """Updates of any types.

    Whatever looks like the first word of an update may be one; it is one if it stands
    where another ends, and the first stands at 0.
    """
    words = block.words
    heads = np.flatnonzero((words[: 1 - PREFIX_BYTES // 8] & _FIXED) == _UPDATE)
    shapes = words[heads].view("u1").reshape(-1, 8)
    codes = shapes[:, 5]
    lengths = _lengths()[codes.astype("i8") * 8 + shapes[:, 3] // 8]
    after = heads + lengths
    good = (lengths > 0) & (after <= block.count)
    good &= block.at_words(">u4", 8)[heads] == 1
    good[:1] &= heads[:1] == 0
    good[1:] &= heads[1:] == after[:-1]
    number = len(good) if good.all() else int(good.argmin())
    return heads[:number], codes[:number], int(after[number - 1]) if number else 0


def _values(block: _Block, heads: Any, codes: Any) -> list[Any]:
    """The values of updates, in their order."""
    if len(codes) == 1:
        return block.column(int(codes[0]), heads).tolist()
    values = np.empty(len(heads), object)
    for code in np.flatnonzero(np.bincount(codes)).tolist():
        which = np.flatnonzero(codes == code)
        values[which] = block.column(code, heads[which])
    return values.tolist()


@cache
def _prefix_dtype() -> Any:
    """What all updates start with, as a numpy record."""
    fields = {"number": (">u4", 12), "status": (">i2", 16), "severity": (">i2", 18)}
    fields |= {"seconds": (">u4", 20), "nanoseconds": (">u4", 24)}
    return _dtype(fields, PREFIX_BYTES)


@cache
def _lengths() -> Any:
    """Words of an update by 8 * type + words of payload, 0 if there is none such."""
    lengths = np.zeros(32 * 8, "i8")
    for code in range(Dbr.TIME_STRING, Dbr.TIME_DOUBLE + 1):
        row = layout(code)
        most = padded(row.size(1))
        least = padded(row.offset + 1) if row.base is Dbr.STRING else most
        for size in range(least, most + 1, 8):
            lengths[8 * code + size // 8] = (HEADER_BYTES + size) // 8
    return lengths


def bulk_run(
    view: memoryview,
    at: int,
    count: int,
    code: Dbr,
    wanted: int,
    bulks: list[Bulk],
) -> int:
    """Answers that follow each other, all for the same asker; where they ended.

    Askers that have all their answers leave the list.
    """
    rows = _rows(view, at, count, code)
    first = int(rows["number"][0])
    asker = next((bulk for bulk in bulks if bulk.low <= first < bulk.high), None)
    if asker is None:
        return at
    rows = rows[: asker.high - first]
    expected = np.arange(first, first + len(rows))
    same = (rows["shape"] == wanted) & (rows["ok"] == 1) & (rows["number"] == expected)
    count = len(rows) if same.all() else int(same.argmin())
    if count:
        asker.on_values(first, rows["value"][:count].tolist())
        if asker.done:
            bulks.remove(asker)
    return at + count * scalar_record(code).size


def _rows(view: memoryview, at: int, count: int, code: Dbr) -> Any:
    """Messages in the buffer as numpy records."""
    return np.frombuffer(view, _message_dtype(code), count, at)


@cache
def _message_dtype(code: Dbr) -> Any:
    """A whole message of one element as a numpy record."""
    row = layout(code)
    fields = {
        **{"shape": (">u8", 0), "ok": (">u4", 8), "number": (">u4", 12)},
        "value": (">" + row.element_format, HEADER_BYTES + row.offset),
    }
    return _dtype(fields, scalar_record(code).size)


def _dtype(fields: Mapping[str, tuple[str, int]], size: int) -> Any:
    """A numpy record of so many bytes, from types and offsets of its fields."""
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": size,
        }
    )
