"""Messages that write to PVs in their own types, one by one or many together.

Servers see what they would see if each had been made alone: `tests/ca` checks that.
"""

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from beamfly.ca.dbr import Dbr, layout
from beamfly.ca.group import Part, big_endian
from beamfly.ca.header import pack_header, shape
from beamfly.ca.ledger import Link
from beamfly.ca.message import Command
from beamfly.ca.payloads import pack
from beamfly.errors import BadValue

SIMPLE = frozenset({int, float})
"""Types of numbers that are worth a short cut."""
SMALL_BYTES = 4096
"""Payloads up to here are copied behind their header, larger ones sent as they are."""

Piece = bytes | memoryview


def _is_text(*fields: Any) -> bytes:
    """Stands for the form that PVs of strings have not got."""
    msg = "a number for a PV of strings is sent as text"
    raise struct.error(msg)


def _padded(code: Dbr) -> str:
    """How one number of a type is packed."""
    row = layout(code)
    fill = 8 - row.element
    return f"{row.element_format}{fill}x" if fill else row.element_format


def _number_form(code: Dbr) -> tuple[Callable[..., bytes], int]:
    """How a write of one number of a type is packed, and its first eight bytes."""
    return struct.Struct(f">QII{_padded(code)}").pack, shape(0, 8, code, 1)


NUMBER_FORMS = [(_is_text, 0), *(_number_form(Dbr(code)) for code in range(1, 7))]
"""By native type; the command is to be added to the first eight bytes."""
NUMBER_BYTES = 24
"""Of a message with one number."""
NO_NUMBER = (struct.error, OverflowError)
"""What these raise for values that take more."""


_PAYLOADS = ["", *(_padded(Dbr(code)) for code in range(1, 7))]
"""By native type: eight bytes of a number."""
_WORDS = 6
"""Of 32 bits in a message of one number."""


def numbers(
    command: Command, part: Part, parameters: "array[int]", values: Sequence[Any]
) -> bytes | None:
    """WRITE or WRITE_NOTIFY of one number to each channel.

    Args:
        command: Which of both.
        part: The channels.
        parameters: Last parameter of each header, as on the wire.
        values: For each channel.

    Returns:
        None if it takes more than that: text, arrays, numbers that are wrapped, cut or
        refused.
    """
    if Dbr.STRING in part.types or not SIMPLE.issuperset(map(type, values)):
        return None
    form, words = part.writes.get(command) or _writes(command, part)
    payload = array("I")
    try:
        payload.frombytes(struct.pack(form, *values))
    except NO_NUMBER:
        return None
    words[3::_WORDS] = parameters
    words[4::_WORDS] = payload[0::2]
    words[5::_WORDS] = payload[1::2]
    return words.tobytes()


def _writes(command: Command, part: Part) -> "tuple[str, array[int]]":
    """Form of the payloads, and messages without them and their last parameters."""
    links = part.links
    words = array("I", (command << 16 | 8, 1, 0, 0, 0, 0)) * len(links)
    words[1::_WORDS] = array("I", [link.type << 16 | 1 for link in links])
    words = big_endian(words)
    words[2::_WORDS] = part.sids
    form = ">" + "".join([_PAYLOADS[link.type] for link in links])
    part.writes[command] = form, words
    return form, words


def native(link: Link, value: Any) -> tuple[int, int, Piece]:
    """Type, count and bytes of a value; BadValue if it does not fit.

    Text is sent as text, for the server to understand, and as characters to an array of
    those; all else as the PV's own type.
    """
    if not isinstance(value, (str, bytes)):
        count, data = pack(link.type, value)
        if count > link.count:
            msg = f"{count} elements are too many: {link.name} holds {link.count}"
            raise BadValue(f"{msg}; nothing was sent")
        return link.type, count, data
    if link.type != Dbr.CHAR or link.count == 1:
        return Dbr.STRING, *pack(Dbr.STRING, value)
    raw = value if isinstance(value, bytes) else value.encode()
    if len(raw) > link.count:
        msg = f"{raw[:50]!r} has {len(raw)} bytes and {link.name} holds {link.count}"
        raise BadValue(f"{msg}; nothing was sent")
    if isinstance(value, str) and len(raw) < link.count:
        # what was there before is longer, perhaps
        raw += b"\0"
    return Dbr.CHAR, len(raw), raw


def typed(code: int, value: Any) -> tuple[int, int, Piece]:
    """Type, count and bytes of a value that is to be sent as a type."""
    if not (0 <= code <= Dbr.DOUBLE or code in (Dbr.PUT_ACKT, Dbr.PUT_ACKS)):
        msg = f"{code} is no DBR type to be written, which are 0 to 6; nothing was sent"
        raise BadValue(msg)
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
