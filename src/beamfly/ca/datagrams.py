"""The messages that find servers: in datagrams, and to name servers over TCP.

The words for attributes are those of `beamfly.ca.messages`. `join` packs messages into
datagrams of a bounded size.
"""

from collections.abc import Iterable, Iterator

from beamfly.ca.frozen import frozen
from beamfly.ca.message import MINOR_VERSION, Body, Command, Message

DATAGRAM_BYTES = 1024
"""Most bytes of a datagram that is sent; what arrives may have up to 64 KiB."""


@frozen
class Version(Message):
    """First on every circuit and in every datagram, in both directions."""

    COMMAND = Command.VERSION
    SLOTS = ("priority", "minor", "sequence", 0)
    priority: int = 0
    """Of the circuit, 0 to 99; in datagrams 1 says that sequence is valid."""
    minor: int = MINOR_VERSION
    """Minor version of the sender."""
    sequence: int = 0
    """Of a search datagram; a reply repeats it."""


@frozen
class Search(Message):
    """Who has this PV? In datagrams and to name servers."""

    COMMAND = Command.SEARCH
    SLOTS = ("reply", "minor", "cid", "cid")
    BODY = Body.NAME
    name: str
    cid: int
    reply: int = 5
    """5: be silent if it is not yours; 10: say NOT_FOUND."""
    minor: int = MINOR_VERSION


@frozen
class SearchReply(Message):
    """I have it."""

    COMMAND = Command.SEARCH
    SLOTS = ("port", 0, "address", "cid")
    BODY = Body.MINOR
    cid: int
    port: int
    address: int = 0xFFFFFFFF
    """IPv4 of the server; 0xFFFFFFFF: the address that this came from."""
    minor: int | None = MINOR_VERSION
    """Minor version of the server; None when not said, as on TCP."""


@frozen
class NotFound(Message):
    """I have not got it; only on TCP, or when asked with reply=10."""

    COMMAND = Command.NOT_FOUND
    SLOTS = ("reply", "minor", "cid", "cid")
    cid: int
    reply: int = 10
    minor: int = MINOR_VERSION


@frozen
class Beacon(Message):
    """A server is alive."""

    COMMAND = Command.BEACON
    SLOTS = ("minor", "port", "number", "address")
    port: int
    number: int
    """Goes up by one each time."""
    address: int = 0
    """IPv4 of the server; 0: the address that this came from."""
    minor: int = MINOR_VERSION


@frozen
class RepeaterRegister(Message):
    """Send me the beacons that you hear."""

    COMMAND = Command.REPEATER_REGISTER
    SLOTS = (0, 0, 0, "address")
    address: int = 0
    """IPv4 of the client."""


@frozen
class RepeaterConfirm(Message):
    """You will get the beacons that I hear."""

    COMMAND = Command.REPEATER_CONFIRM
    SLOTS = (0, 0, 0, "address")
    address: int = 0
    """IPv4 of the repeater."""


def join(
    first: bytes, messages: Iterable[bytes], limit: int = DATAGRAM_BYTES
) -> Iterator[bytes]:
    """Datagrams that each start with the same message and stay within a limit."""
    parts, size = [first], len(first)
    for message in messages:
        if size + len(message) > limit and len(parts) > 1:
            yield b"".join(parts)
            parts, size = [first], len(first)
        parts.append(message)
        size += len(message)
    if len(parts) > 1:
        yield b"".join(parts)
