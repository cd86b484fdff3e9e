"""The buffer between PCAP and data clients: blocks of rows, the oldest overwritten.

A `Ring` holds one acquisition at a time. Each client reads it through a `Reader` of its
own; one that is too slow finds its next block overwritten, which is its own problem
only.
"""

from collections import deque
from dataclasses import dataclass, field

from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.layout import Layout
from beamfly.panda.simulator.options import Options

BLOCK_BYTES = 2**21
"""Bytes of a block of the real thing."""
RING_BYTES = 2**28
"""Bytes of the whole ring of the real thing."""


@dataclass
class Acquisition:
    """What all clients of one acquisition have in common."""

    layout: Layout
    armed_ns: int
    """When it was armed, nanoseconds since 1970."""
    started_ns: int | None = None
    """When PCAP.ENABLE rose, None before."""
    hw_time_offset_ns: int | None = None
    """Difference of hardware and system time, None without the former."""
    reason: EndReason | None = None
    """How it ended, None while it runs."""
    samples: int = 0
    """Rows so far."""
    scaled: bool = False
    """Whether its rows are scaled already, not raw words."""


@dataclass
class Block:
    """Rows that are handed on together."""

    content: bytes | memoryview
    samples: int
    first: int
    """Number of its first row in the acquisition."""


@dataclass
class Ring:
    """Blocks of the current acquisition."""

    total_bytes: int = RING_BYTES
    block_bytes: int = BLOCK_BYTES
    acquisition: Acquisition | None = None
    """The current or last one."""
    written: int = 0
    """Blocks of this acquisition so far."""
    readers: set["Reader"] = field(default_factory=set["Reader"])
    """Those that have not read the current acquisition to its end."""
    _blocks: deque[Block] = field(default_factory=deque[Block])

    @property
    def slots(self) -> int:
        """How many blocks are kept."""
        return max(4, self.total_bytes // self.block_bytes)

    @property
    def busy(self) -> bool:
        """Whether an acquisition is running."""
        return self.acquisition is not None and self.acquisition.reason is None

    def start(self, acquisition: Acquisition) -> None:
        """Begin an acquisition."""
        self.acquisition = acquisition
        self._blocks.clear()
        self.written = 0

    def write(self, content: bytes, samples: int) -> None:
        """Add a block, over the oldest if there is no room."""
        if self.acquisition is None:
            return
        self._blocks.append(Block(content, samples, self.acquisition.samples))
        self.acquisition.samples += samples
        self.written += 1
        while len(self._blocks) > self.slots:
            self._blocks.popleft()

    def finish(self, reason: EndReason) -> None:
        """End the acquisition."""
        if self.acquisition is not None:
            self.acquisition.reason = reason
        if not self.readers:
            self._blocks.clear()

    def oldest(self) -> int:
        """Number of the oldest block that is kept."""
        return self.written - len(self._blocks)

    def block(self, number: int) -> Block | None:
        """A block, None if it was not written yet or is overwritten."""
        place = number - self.oldest()
        return self._blocks[place] if 0 <= place < len(self._blocks) else None

    def header(self, options: Options) -> bytes | None:
        """A header to send as it is; None to have it written as asked for."""
        return None

    def refusal(self, options: Options) -> str | None:
        """Why a client cannot have what it asks for; None if it can."""
        return None

    def join(self) -> "Reader":
        """A reader of the current acquisition, from as early as is safe."""
        margin = self.slots // 4
        first = max(0, self.written - (self.slots - margin))
        block = self.block(first)
        missed = block.first if block else 0
        reader = Reader(self, first, missed)
        self.readers.add(reader)
        return reader


@dataclass(eq=False)
class Reader:
    """One client's place in an acquisition."""

    ring: Ring
    place: int
    """Number of the next block."""
    missed: int
    """Rows that were overwritten before it came."""
    overrun: bool = False
    """Whether its next block was overwritten."""

    def next_block(self) -> Block | None:
        """The next block; None if there is none yet, no more, or it is gone."""
        if self.place < self.ring.oldest():
            self.overrun = True
        if self.overrun:
            return None
        block = self.ring.block(self.place)
        if block is not None:
            self.place += 1
        return block

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self.place >= self.ring.written and not self.ring.busy

    def leave(self) -> None:
        """Stop reading this acquisition."""
        self.ring.readers.discard(self)
