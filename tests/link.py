"""An in-memory link between two peers: it can cut, delay and drop what it carries."""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat


def cut(data: bytes, sizes: int | Iterable[int]) -> Iterator[bytes]:
    """Pieces of the sizes given, over and over if it is one size; then the rest."""
    steps = repeat(sizes) if isinstance(sizes, int) else chain(sizes, [len(data) or 1])
    start = 0
    for size in steps:
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


class Link:
    """One direction of a connection.

    Args:
        sizes: Into what sizes it cuts what it carries; 0 not at all.
        breaks_after: Bytes after which it drops everything, None never.
    """

    def __init__(self, sizes: int = 0, breaks_after: int | None = None) -> None:
        self._sizes = sizes
        self._left = breaks_after
        self._carried = bytearray()
        self.held = False
        """While set, nothing arrives."""

    @property
    def broken(self) -> bool:
        """Whether bytes were dropped: the receiver finds the end of the connection."""
        return self._left == 0

    def send(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self._carried += data

    def receive(self) -> Iterator[bytes]:
        """What has arrived, in pieces."""
        if self.held or not self._carried:
            return
        data = bytes(self._carried)
        self._carried.clear()
        yield from cut(data, self._sizes or len(data))
