"""What all Channel Access messages share: numbers, flags, and how one is encoded.

`beamfly.ca.messages` lists the messages themselves. Each class says in SLOTS which
attribute travels in which header field (type, count, p1, p2), and in BODY what stands
behind the header.
"""

import struct
from collections.abc import Callable
from enum import Enum, IntEnum, IntFlag
from typing import Any, ClassVar

from beamfly.ca.dbr import padded, text
from beamfly.ca.frozen import Frozen
from beamfly.ca.header import pack_header, unpack_header
from beamfly.errors import LocalProtocolError

MINOR_VERSION = 13
"""The minor version of protocol 4 that is spoken here."""
NAME_LIMIT = 512
"""Most bytes of a host or user name, its NUL included."""


class Sender(Enum):
    """Who sent a message."""

    CLIENT = "client"
    SERVER = "server"


class Command(IntEnum):
    """Numbers of the messages."""

    VERSION = 0
    EVENT_ADD = 1
    EVENT_CANCEL = 2
    READ = 3
    WRITE = 4
    SEARCH = 6
    EVENTS_OFF = 8
    EVENTS_ON = 9
    READ_SYNC = 10
    ERROR = 11
    CLEAR_CHANNEL = 12
    BEACON = 13
    NOT_FOUND = 14
    READ_NOTIFY = 15
    REPEATER_CONFIRM = 17
    CREATE_CHAN = 18
    WRITE_NOTIFY = 19
    CLIENT_NAME = 20
    HOST_NAME = 21
    ACCESS_RIGHTS = 22
    ECHO = 23
    REPEATER_REGISTER = 24
    CREATE_CH_FAIL = 26
    SERVER_DISCONN = 27


class Access(IntFlag):
    """What a client may do with a channel."""

    NONE = 0
    READ = 1
    WRITE = 2


class EventMask(IntFlag):
    """What a subscription is told of."""

    VALUE = 1
    """Changes beyond the monitor deadband."""
    LOG = 2
    """Changes beyond the archive deadband."""
    ALARM = 4
    """Changes of alarm status or severity."""
    PROPERTY = 8
    """Changes of limits, units, enum strings."""


class Body(Enum):
    """What stands behind the header."""

    NONE = 0
    DATA = 1
    """Attribute payload, as it is."""
    NAME = 2
    """Attribute name, NUL-terminated."""
    MASK = 3
    """Three floats that nobody uses, then attribute mask."""
    MINOR = 4
    """Attribute minor, a server's version in a search reply, or nothing."""
    ERROR = 5
    """Attributes request (a header) and text."""


class Message(Frozen):
    """Any message."""

    __slots__ = ()
    COMMAND: ClassVar[Command]
    SLOTS: ClassVar[tuple[str | int, str | int, str | int, str | int]] = (0, 0, 0, 0)
    BODY: ClassVar[Body] = Body.NONE

    def encode(self) -> bytes:
        """Its bytes; LocalProtocolError if a number does not fit its field."""
        values = [
            getattr(self, slot) if isinstance(slot, str) else slot
            for slot in self.SLOTS
        ]
        body = _ENCODE[self.BODY](self)
        size = padded(len(body))
        return pack_header(self.COMMAND, size, *values) + body.ljust(size, b"\0")


def _name_body(message: Any) -> bytes:
    """The name and its NUL."""
    raw = message.name.encode()
    if b"\0" in raw or len(raw) >= NAME_LIMIT:
        msg = f"{message.name!r:.60} cannot be a name on the wire; nothing was sent"
        raise LocalProtocolError(msg)
    return raw + b"\0"


def _mask_body(message: Any) -> bytes:
    """Three floats of no use, the mask, two bytes of filling."""
    return _MASK.pack(0.0, 0.0, 0.0, message.mask)


def _minor_body(message: Any) -> bytes:
    """The server's minor version, or nothing."""
    return b"" if message.minor is None else message.minor.to_bytes(2, "big")


def _error_body(message: Any) -> bytes:
    """The header of the request that went wrong, then text."""
    return pack_header(*message.request[:6]) + message.text.encode() + b"\0"


_MASK = struct.Struct(">fffH2x")
_ENCODE: dict[Body, Callable[[Any], bytes]] = {
    Body.NONE: lambda message: b"",
    Body.DATA: lambda message: message.payload,
    Body.NAME: _name_body,
    Body.MASK: _mask_body,
    Body.MINOR: _minor_body,
    Body.ERROR: _error_body,
}


def _readable(raw: bytes) -> str:
    """Text that a peer sent, whatever it holds."""
    return text(raw).decode(errors="replace")


def _decode_error(payload: bytes) -> dict[str, Any]:
    """The request's header, None if it was cut off, and the text."""
    request = unpack_header(payload)
    start = request.length if request else len(payload)
    return {"request": request, "text": _readable(payload[start:])}


DECODE_BODY: dict[Body, Callable[[bytes], dict[str, Any]]] = {
    Body.NONE: lambda payload: {},
    Body.DATA: lambda payload: {"payload": payload},
    Body.NAME: lambda payload: {"name": _readable(payload)},
    Body.MASK: lambda payload: {"mask": _MASK.unpack_from(payload)[3]},
    Body.MINOR: lambda payload: {
        "minor": int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
    },
    Body.ERROR: _decode_error,
}
"""What stands behind the header -> attributes; struct.error if it is too short."""
