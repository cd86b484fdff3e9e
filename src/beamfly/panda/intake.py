"""Memory that a socket writes into and frames are views of.

`Intake.get_buffer` hands out free memory, `received` says how much of it was filled,
and the parsers read what lies between `start` and `end`. Arrays made by `samples` are
views of this memory; it is written again only once nobody holds one of them any more.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.errors import LocalProtocolError, RemoteProtocolError

SLAB_BYTES = 1 << 20
"""Small enough for a processor's cache, large enough for few calls per megabyte."""
SPARE_SLABS = 4
"""Slabs kept for when those that are read now are let go."""


class Slab:
    """A piece of memory that knows whether anybody else holds a view of it."""

    __slots__ = ("_unshared", "memory", "view")

    def __init__(self, size: int) -> None:
        self.memory = np.empty(size, np.uint8)
        self.view = self.memory.data
        self._unshared = sys.getrefcount(self.memory)

    def shared(self) -> bool:
        """Whether arrays made from it still exist."""
        return sys.getrefcount(self.memory) > self._unshared


class Intake:
    """Bytes received and not yet parsed, in slabs that rotate while views exist.

    Args:
        slab_bytes: Size of one slab, at least 4096.
    """

    def __init__(self, slab_bytes: int = SLAB_BYTES) -> None:
        self._slab_bytes = max(slab_bytes, 4096)
        self._slab = Slab(self._slab_bytes)
        self._spare: list[Slab] = []
        self.view = self._slab.view
        self.start = 0
        """Where unparsed bytes begin."""
        self.end = 0
        """Where they end."""

    def __len__(self) -> int:
        """Bytes received and not yet parsed."""
        return self.end - self.start

    def get_buffer(self) -> memoryview:
        """Where to receive next: at least a quarter of a slab."""
        enough = self._slab_bytes // 4
        if self.start:
            if not self._slab.shared():
                self._move_to(self._slab)
            elif len(self.view) - self.end < enough:
                self._rotate()
        if len(self.view) - self.end < enough:
            # what is half received is long, or the caller left it unparsed
            self._move_to(Slab(2 * len(self.view)))
        return self.view[self.end :]

    def received(self, count: int) -> None:
        """Count bytes that were written to the last `get_buffer`."""
        if not 0 <= count <= len(self.view) - self.end:
            msg = f"{count} bytes cannot have been received into the buffer given"
            raise LocalProtocolError(msg)
        self.end += count

    def _rotate(self) -> None:
        """Go on in a slab of which nobody holds a view."""
        shared = self._slab
        free = next((slab for slab in self._spare if not slab.shared()), None)
        if free is not None:
            self._spare.remove(free)
        self._move_to(free or Slab(self._slab_bytes))
        if len(shared.view) == self._slab_bytes and len(self._spare) < SPARE_SLABS:
            self._spare.append(shared)

    def _move_to(self, slab: Slab) -> None:
        """Put what is unparsed at the start of a slab, where samples are aligned."""
        tail = len(self)
        if tail:
            slab.view[:tail] = self.view[self.start : self.end]
        self._slab, self.view = slab, slab.view
        self.start, self.end = 0, tail

    def samples(self, dtype: np.dtype[Any], count: int, at: int) -> npt.NDArray[Any]:
        """View of samples that begin at some place of `view`."""
        return np.ndarray((count,), dtype, self._slab.memory, at)

    def first_words(self, stride: int, count: int) -> npt.NDArray[np.uint32]:
        """First 32-bit word of each of `count` samples, which stay unparsed."""
        return np.ndarray((count,), "<u4", self._slab.memory, self.start, (stride,))

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes, which stay unparsed."""
        return bytes(self.view[self.start : min(self.start + count, self.end)])

    def find_newline(self, limit: int, offset: int = 0) -> int:
        """Bytes before the next newline at or after `offset`, -1 if it is not there.

        Args:
            limit: Longest line allowed; RemoteProtocolError beyond it.
            offset: Bytes to skip.
        """
        begin = self.start + offset
        window = bytes(self.view[begin : min(begin + limit + 1, self.end)])
        index = window.find(b"\n")
        if index < 0 and len(window) > limit:
            msg = f"the PandA sent a line of more than {limit} bytes on its data port"
            raise RemoteProtocolError(msg)
        return index

    def line(self, limit: int) -> bytes | None:
        """Take a line without its newline; None if it is not complete."""
        size = self.find_newline(limit)
        if size < 0:
            return None
        line = bytes(self.view[self.start : self.start + size])
        self.start += size + 1
        return line
