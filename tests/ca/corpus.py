"""What hostile or broken peers say, piece by piece: what must become of the circuit.

Every entry is sent on a circuit that works, with channel 1 open (server's number 101 to
clients, 1 to servers). `CLOSES` means that nothing else can be read from such a peer;
`LIVES` that it is ignored, answered or refused, and the circuit goes on; `WAITS` that
the message is not complete.
"""

import struct
from typing import NamedTuple

from beamfly.ca.header import pack_header
from beamfly.ca.message import Command, Sender

C = Command
CLOSES, LIVES, WAITS = "closes", "lives", "waits"
HUGE = 0xFFFFFFFF


class Entry(NamedTuple):
    """One thing that is said."""

    name: str
    receiver: Sender
    data: bytes
    outcome: str


def _both(name: str, data: bytes, outcome: str) -> list[Entry]:
    return [Entry(f"{name} ({who.value})", who, data, outcome) for who in Sender]


def _client(name: str, data: bytes, outcome: str) -> list[Entry]:
    return [Entry(name, Sender.CLIENT, data, outcome)]


def _server(name: str, data: bytes, outcome: str) -> list[Entry]:
    return [Entry(name, Sender.SERVER, data, outcome)]


def extended(command: int, size: int, type: int, count: int, p1: int, p2: int) -> bytes:
    return struct.pack(">HHHHIIII", command, 0xFFFF, type, 0, p1, p2, size, count)


_MASK = struct.pack(">fffHxx", 0, 0, 0, 5)
CORPUS: list[Entry] = [
    # ---- headers
    *_both("nothing but part of a header", b"\0\1\0", WAITS),
    *_both(
        "a payload that is no multiple of 8", pack_header(23, 5, 0, 0, 0, 0), CLOSES
    ),
    *_both("a command that does not exist", pack_header(200, 0, 0, 0, 0, 0), CLOSES),
    *_both("the last number there is", pack_header(0xFFFF, 0, 0, 0, 0, 0), CLOSES),
    *_both("text of a web browser", b"GET / HTTP/1.1\r\nHost: ioc\r\n\r\n", WAITS),
    *_both("zeros", bytes(16), CLOSES),
    *_both("ones", b"\xff" * 48, CLOSES),
    *_both("part of a long header", extended(23, 8, 0, 0, 0, 0)[:20], WAITS),
    *_both("a long header without need", extended(23, 0, 0, 0, 0, 0), LIVES),
    *_both("a version of the stone age", pack_header(0, 0, 0, 1, 0, 0), CLOSES),
    *_both("the version again", pack_header(0, 0, 0, 13, 0, 0), LIVES),
    # ---- to a server
    *_server("priority 200", pack_header(C.VERSION, 0, 200, 13, 0, 0), CLOSES),
    *_server("an answer", pack_header(C.ACCESS_RIGHTS, 0, 0, 0, 1, 3), CLOSES),
    *_server("a failure", pack_header(C.CREATE_CH_FAIL, 0, 0, 0, 1, 0), CLOSES),
    *_server("a read of nothing", pack_header(C.READ_NOTIFY, 0, 6, 1, 999, 1), CLOSES),
    *_server("a read of type 99", pack_header(C.READ_NOTIFY, 0, 99, 1, 1, 1), LIVES),
    *_server("a read of PUT_ACKT", pack_header(C.READ_NOTIFY, 0, 35, 1, 1, 1), LIVES),
    *_server("a read of everything", extended(C.READ_NOTIFY, 0, 34, HUGE, 1, 1), LIVES),
    *_server("an old read of type 99", pack_header(C.READ, 0, 99, 1, 1, 1), LIVES),
    *_server("a put of nothing", pack_header(C.WRITE, 0, 6, 1, 1, 1), LIVES),
    *_server(
        "a put of more than it carries",
        pack_header(C.WRITE_NOTIFY, 8, 6, 1000, 1, 1) + bytes(8),
        LIVES,
    ),
    *_server(
        "a put of type 99",
        pack_header(C.WRITE_NOTIFY, 8, 99, 1, 1, 1) + bytes(8),
        LIVES,
    ),
    *_server(
        "a put of text without an end",
        pack_header(C.WRITE_NOTIFY, 40, 0, 1, 1, 1) + b"7" * 40,
        LIVES,
    ),
    *_server(
        "a put of text that is no number",
        pack_header(C.WRITE_NOTIFY, 8, 0, 1, 1, 1) + b"\xff\xfe\0\0\0\0\0\0",
        LIVES,
    ),
    *_server("a put that never comes", extended(4, 1 << 31, 6, 1 << 28, 1, 1), WAITS),
    *_server(
        "a monitor of type 99",
        pack_header(C.EVENT_ADD, 16, 99, 1, 1, 7) + _MASK,
        LIVES,
    ),
    *_server(
        "a monitor without a mask", pack_header(C.EVENT_ADD, 0, 20, 1, 1, 7), CLOSES
    ),
    *_server(
        "a monitor for no event",
        pack_header(C.EVENT_ADD, 16, 20, 1, 1, 7) + bytes(16),
        LIVES,
    ),
    *_server(
        "two monitors of one number",
        2 * (pack_header(C.EVENT_ADD, 16, 20, 1, 1, 7) + _MASK),
        CLOSES,
    ),
    *_server(
        "the end of no monitor", pack_header(C.EVENT_CANCEL, 0, 20, 1, 1, 7), CLOSES
    ),
    *_server(
        "the end of no channel", pack_header(C.CLEAR_CHANNEL, 0, 0, 0, 9, 9), CLOSES
    ),
    *_server(
        "the end of another's channel",
        pack_header(C.CLEAR_CHANNEL, 0, 0, 0, 1, 9),
        CLOSES,
    ),
    *_server(
        "a channel number twice",
        pack_header(C.CREATE_CHAN, 8, 0, 0, 1, 13) + b"d".ljust(8, b"\0"),
        CLOSES,
    ),
    *_server(
        "a channel without a name",
        pack_header(C.CREATE_CHAN, 8, 0, 0, 2, 13) + bytes(8),
        LIVES,
    ),
    *_server(
        "a name that is no text",
        pack_header(C.CREATE_CHAN, 8, 0, 0, 2, 13) + b"\xff\xfe\x80\xc3(\0\0\0",
        LIVES,
    ),
    *_server(
        "a name without an end",
        pack_header(C.CREATE_CHAN, 2048, 0, 0, 2, 13) + b"d" * 2048,
        LIVES,
    ),
    *_server(
        "a name of many dots",
        pack_header(C.CREATE_CHAN, 64, 0, 0, 2, 13) + b"d.VAL.VAL$[1:2:3]{}".ljust(64),
        LIVES,
    ),
    *_server(
        "an echo with freight", pack_header(23, 8, 1, 2, 3, 4) + b"freight!", LIVES
    ),
    *_server("a user without a name", pack_header(C.CLIENT_NAME, 0, 0, 0, 0, 0), LIVES),
    *_server(
        "a host that is no text",
        pack_header(C.HOST_NAME, 8, 0, 0, 0, 0) + b"\xff" * 8,
        LIVES,
    ),
    *_server(
        "off, off, on, on",
        b"".join(pack_header(n, 0, 0, 0, 0, 0) for n in (8, 8, 9, 9)),
        LIVES,
    ),
    # ---- to a client
    *_client("a request", pack_header(C.READ_NOTIFY, 0, 6, 1, 101, 1), LIVES),
    *_client("a channel again", pack_header(C.CREATE_CHAN, 0, 99, 1, 1, 5), CLOSES),
    *_client("rights of nobody", pack_header(C.ACCESS_RIGHTS, 0, 0, 0, 77, 3), LIVES),
    *_client(
        "rights of all kinds", pack_header(C.ACCESS_RIGHTS, 0, 0, 0, 1, HUGE), LIVES
    ),
    *_client("a channel of nobody", pack_header(C.CREATE_CHAN, 0, 6, 1, 77, 5), LIVES),
    *_client(
        "an update of nobody",
        pack_header(C.EVENT_ADD, 8, 6, 1, 1, 777) + bytes(8),
        LIVES,
    ),
    *_client(
        "an answer to nobody",
        pack_header(C.READ_NOTIFY, 8, 6, 1, 1, 777) + bytes(8),
        LIVES,
    ),
    *_client("an end of nothing", pack_header(C.EVENT_ADD, 0, 6, 1, 1, 777), LIVES),
    *_client("the end of nobody", pack_header(C.SERVER_DISCONN, 0, 0, 0, 77, 0), LIVES),
    *_client(
        "an error about nothing",
        pack_header(C.ERROR, 16, 0, 0, 77, 152) + bytes(16),
        LIVES,
    ),
    *_client(
        "an error cut short", pack_header(C.ERROR, 8, 0, 0, 1, 152) + bytes(8), LIVES
    ),
    *_client(
        "an error in letters",
        pack_header(C.ERROR, 24, 0, 0, 1, HUGE) + bytes(16) + b"\xff" * 8,
        LIVES,
    ),
    *_client(
        "a search reply of nobody",
        pack_header(C.SEARCH, 8, 5064, 0, HUGE, 77) + bytes(8),
        LIVES,
    ),
    *_client("an array of 4 GB", extended(C.READ_NOTIFY, 1 << 31, 6, 1, 1, 5), WAITS),
]
