"""Bytes on their way in and out of a circuit: bounded, and never copied per message.

A shell asks the `Inbox` for room, lets the kernel write there, and says how much came.
The circuit parses in place between `start` and `end`. The `Outbox` collects what is to
be sent so that a burst of small messages leaves in one piece.
"""

from collections.abc import Callable
from typing import Any

from beamfly.errors import LocalProtocolError

FIRST_BYTES = 16 * 1024
"""Size of a fresh receive buffer."""
READ_BYTES = 128 * 1024
"""Size to which it grows when the kernel keeps filling it.

What is read at once keeps all other connections of a loop waiting: 3000 updates take
about a millisecond. Half of this costs a tenth more time per update.
"""
ROOM_BYTES = 4 * 1024
"""Least room that is offered; with less, what is left over moves to the front."""
SEPARATE_BYTES = 64 * 1024
"""Pieces from here on are handed to the socket as they are, not joined."""


class Inbox:
    """A receive buffer that is parsed in place."""

    def __init__(self) -> None:
        self.view: memoryview = memoryview(bytearray(FIRST_BYTES))
        """The whole buffer; replaced, never resized, since parsers hold slices."""
        self.start: int = 0
        """Where the first byte stands that is not parsed yet."""
        self.end: int = 0
        """Where the next byte will arrive."""
        self.was_filled = False
        """Whether the last read took all the room that there was."""
        self._expected = 0
        self._skip = 0
        self._offered = 0

    def room(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        if self.start >= self.end:
            self.start = self.end = 0
            if not self.was_filled:
                self._offered = len(self.view)
                return self.view
        size = len(self.view)
        wanted = max(self._expected, self.end - self.start + ROOM_BYTES)
        if self.was_filled and size < READ_BYTES:
            wanted = max(wanted, 2 * size)
        if wanted > size:
            # a header may announce what never comes, so grow only as bytes arrive
            self._move(memoryview(bytearray(min(wanted, 4 * size))))
        elif size - self.end < ROOM_BYTES or size - self.start < self._expected:
            self._move(self.view)
        room = self.view[self.end :]
        self._offered = len(room)
        return room

    def added(self, size: int) -> None:
        """So many bytes were written to the room."""
        self.was_filled = size == self._offered
        self.end += size
        if self._skip:
            dropped = min(self._skip, size)
            self._skip -= dropped
            self.start += dropped

    def expect(self, size: int) -> None:
        """A message of so many bytes starts at `start`; 0: not known."""
        self._expected = size

    @property
    def expecting(self) -> bool:
        """Whether the rest of a message that fills many buffers is to come."""
        return self._expected > READ_BYTES

    @property
    def is_large(self) -> bool:
        """Whether it has grown as far as small messages make it."""
        return len(self.view) >= READ_BYTES

    def skip(self, size: int) -> None:
        """Drop so many bytes from `start` on, most of which have yet to arrive."""
        here = min(size, self.end - self.start)
        self.start += here
        self._skip = size - here

    def shrink(self) -> None:
        """Give back the memory that one large message took, if nothing is left."""
        if self.start >= self.end and len(self.view) > READ_BYTES:
            self.view = memoryview(bytearray(FIRST_BYTES))
            self.start = self.end = self._expected = 0
            self.was_filled = False

    def _move(self, target: memoryview) -> None:
        """What is left over moves to the front of a buffer."""
        left = self.end - self.start
        target[:left] = self.view[self.start : self.end]
        self.view, self.start, self.end = target, 0, left


class Outbox:
    """What is to be sent, in order, bounded."""

    def __init__(self, limit: int) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._limit = limit
        self._has_large = False
        self.size = 0
        """Bytes that wait here."""

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def put(self, *pieces: bytes | memoryview) -> None:
        """Queue pieces of a message; LocalProtocolError when the peer is too slow."""
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if self.size + size > self._limit:
            msg = (
                f"{self.size} bytes wait for a peer that does not read them; "
                f"{size} more were not sent"
            )
            raise LocalProtocolError(msg)
        self.size += size
        self._has_large |= size >= SEPARATE_BYTES
        self._pieces += pieces

    def add(self, piece: bytes) -> None:
        """`put` for one small message, of which there are many per second."""
        size = self.size + len(piece)
        if size > self._limit:
            self.put(piece)
        self.size = size
        self._pieces.append(piece)

    def adder(self, make: Callable[[Any], bytes], size: int) -> Callable[[Any], int]:
        """A shorter way for messages of so many bytes that are made of a value.

        What it gives makes one and queues it; its result is how many bytes wait then.
        """

        def add(value: Any) -> int:
            piece = make(value)
            waiting = self.size + size
            if waiting > self._limit:
                self.put(piece)
            self.size = waiting
            self._pieces.append(piece)
            return waiting

        return add

    def take(self) -> list[bytes | memoryview]:
        """Everything, small pieces joined, large ones as they are."""
        pieces, self._pieces, self.size = self._pieces, [], 0
        has_large, self._has_large = self._has_large, False
        if len(pieces) < 2:
            return pieces
        return _joined(pieces) if has_large else [b"".join(pieces)]


def _joined(pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Small pieces joined, large ones as they are."""
    joined: list[bytes | memoryview] = []
    small: list[bytes | memoryview] = []
    for piece in pieces:
        if len(piece) < SEPARATE_BYTES:
            small.append(piece)
            continue
        if small:
            joined.append(b"".join(small))
            small = []
        joined.append(piece)
    if small:
        joined.append(b"".join(small))
    return joined
