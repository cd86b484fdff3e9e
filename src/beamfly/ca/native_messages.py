"""Messages that write to PVs in their own types, one by one or many together.

Servers see what they would see if each had been made alone: `tests/ca` checks that.
"""

import struct
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from beamfly.ca.dbr import Dbr, layout
from beamfly.ca.group import Part
from beamfly.ca.header import pack_header, shape
from beamfly.ca.ledger import Link
from beamfly.ca.message import Command
from beamfly.ca.payloads import pack

SIMPLE = frozenset({int, float})
"""Types of numbers that are worth a short cut."""
SMALL_BYTES = 4096
"""Payloads up to here are copied behind their header, larger ones sent as they are."""

Piece = bytes | memoryview


def _number_form(code: Dbr) -> tuple[Callable[..., bytes] | None, int]:
    """How a write of one number of a type is packed, and its first eight bytes."""
    row = layout(code)
    if code is Dbr.STRING:
        return None, 0
    record = struct.Struct(f">QII{row.element_format}{8 - row.element}x")
    return record.pack, shape(0, 8, code, 1)


NUMBER_FORMS = [_number_form(Dbr(code)) for code in range(7)]
"""By native type; the command is to be added to the first eight bytes."""


_PACKS: list[Callable[..., bytes]] = [make or bytes for make, _ in NUMBER_FORMS]


def numbers(
    command: Command, part: Part, parameters: Sequence[int], values: Sequence[Any]
) -> bytes | None:
    """WRITE or WRITE_NOTIFY of one number to each channel.

    Args:
        command: Which of both.
        part: The channels.
        parameters: Last parameter of each header.
        values: For each channel.

    Returns:
        None if it takes more than that: text, arrays, numbers that are wrapped, cut or
        refused.
    """
    types = part.types
    if Dbr.STRING in types or not SIMPLE.issuperset(map(type, values)):
        return None
    heads = [command << 48 | first for _, first in NUMBER_FORMS]
    try:
        if len(types) == 1:
            (code,) = types
            head = repeat(heads[code])
            return b"".join(map(_PACKS[code], head, part.sids, parameters, values))
        rows = zip(part.links, parameters, values, strict=True)
        return b"".join(
            [
                _PACKS[link.type](heads[link.type], link.sid, parameter, value)
                for link, parameter, value in rows
            ]
        )
    except (struct.error, OverflowError):
        return None


def native(link: Link, value: Any) -> tuple[int, int, Piece]:
    """Type, count and bytes of a value; BadValue if it does not fit.

    Text is sent as text, for the server to understand, all else as the PV's own type.
    """
    code = Dbr.STRING if isinstance(value, (str, bytes)) else Dbr(link.type)
    return code, *pack(code, value)


def write(
    command: Command, code: int, count: int, sid: int, number: int, data: Piece
) -> list[Piece]:
    """The pieces of a write; what is large is not copied."""
    fill = -len(data) % 8
    head = pack_header(command, len(data) + fill, code, count, sid, number)
    if len(data) <= SMALL_BYTES:
        return [b"".join((head, data, bytes(fill)))]
    return [head, data, bytes(fill)]
