"""Headers of Channel Access messages: 16 bytes, or 24 when something is large.

The short form is command, payload size, data type, count (16 bits each), and two
32-bit parameters, all big endian. A size of 0xFFFF says that the real size and count
follow as two more 32-bit numbers. Payloads are multiples of 8 bytes.
"""

import struct
from typing import NamedTuple

from beamfly.errors import LocalProtocolError, RemoteProtocolError

HEADER_BYTES = 16
EXTENDED_BYTES = 24
LARGE = 0xFFFF
"""Sizes and counts from here on need the extended form."""
EXTENDED_MINOR = 9
"""First minor protocol version that knows the extended form."""

_SHORT = struct.Struct(">HHHHII")
_EXTENDED = struct.Struct(">HHHHIIII")
SHAPE = struct.Struct(">Q")
"""The first 8 bytes of a header as one number: equal shapes parse alike."""


class Header(NamedTuple):
    """What stands before every payload."""

    command: int
    """Number of the message."""
    size: int
    """Bytes of payload, a multiple of 8."""
    type: int
    """DBR type, or another small number, by command."""
    elements: int
    """Elements, or another small number, by command."""
    p1: int
    """First parameter, by command."""
    p2: int
    """Second parameter, by command."""
    length: int = HEADER_BYTES
    """Bytes of the header itself, 16 or 24."""


def pack_header(
    command: int, size: int, type: int, count: int, p1: int, p2: int
) -> bytes:
    """Header bytes, extended when size or count need it; LocalProtocolError else."""
    try:
        if size < LARGE and count < LARGE:
            return _SHORT.pack(command, size, type, count, p1, p2)
        return _EXTENDED.pack(command, LARGE, type, 0, p1, p2, size, count)
    except struct.error as error:
        msg = (
            f"command {command} (size {size}, type {type}, count {count}, {p1}, {p2}) "
            f"does not fit a header: {error}; nothing was sent"
        )
        raise LocalProtocolError(msg) from None


def shape(command: int, size: int, type: int, count: int) -> int:
    """The first 8 header bytes of a short message, as one number."""
    return command << 48 | size << 32 | type << 16 | count


def unpack_header(buffer: bytes | bytearray | memoryview, at: int = 0) -> Header | None:
    """The header at an offset, None while bytes are missing.

    RemoteProtocolError if the size it announces is not a multiple of 8.
    """
    if len(buffer) - at < HEADER_BYTES:
        return None
    header = Header(*_SHORT.unpack_from(buffer, at))
    if header.size == LARGE and header.elements == 0:
        if len(buffer) - at < EXTENDED_BYTES:
            return None
        parts = _EXTENDED.unpack_from(buffer, at)
        command, _, type, _, p1, p2, size, count = parts
        header = Header(command, size, type, count, p1, p2, EXTENDED_BYTES)
    if header.size % 8:
        msg = (
            f"the peer announced {header.size} bytes of payload for command "
            f"{header.command}, which is no multiple of 8; the rest cannot be read"
        )
        raise RemoteProtocolError(msg)
    return header
