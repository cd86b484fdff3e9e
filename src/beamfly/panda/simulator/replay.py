"""Serving a recording in place of what PCAP captures.

A `Replay` says what to serve and how fast; `ReplayRing` is the ring from which data
clients read it. No block is ever overwritten, and the same bytes serve for all
repetitions, so it costs no memory to replay for hours.
"""

import re
from dataclasses import dataclass, field

from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.formats import iso_time
from beamfly.panda.simulator.options import Options
from beamfly.panda.simulator.recording import Recording
from beamfly.panda.simulator.ring import Block, Reader, Ring

_TIMES = re.compile(rb'(arm_time|start_time)="[^"]*"')


@dataclass(frozen=True)
class Replay:
    """What to serve, and how.

    Without `rows` the recorded frames are served as they are. With it, the recorded
    rows are repeated until there are so many, in frames of `frame_bytes`.
    """

    recording: Recording
    rows: int | None = None
    """How many rows to serve, None for those recorded."""
    frame_bytes: int = 2**21
    """Most bytes of rows in a frame, if `rows` is given."""
    rate: float | None = None
    """Rows per second, None for as fast as clients read."""
    hold: float = 0.5
    """Seconds for which PCAP stays active at least."""
    reason: EndReason | None = None
    """How it ends, None for as recorded."""

    def blocks(self) -> "Blocks":
        """The blocks to serve."""
        recording = self.recording
        if self.rows is None:
            return Blocks(recording.frames, recording.row_bytes, recording.rows)
        size = recording.row_bytes
        once = b"".join(recording.frames)
        rows = max(1, min(self.rows, self.frame_bytes // size))
        repeats = -(-rows // max(1, recording.rows))
        return Blocks((memoryview(once * repeats)[: rows * size],), size, self.rows)


@dataclass(frozen=True)
class Blocks:
    """Frames, served over and over until there were enough rows."""

    frames: tuple[bytes | memoryview, ...]
    row_bytes: int
    rows: int
    """How many rows there are in all."""
    firsts: list[int] = field(init=False)
    """Number of the first row of each frame."""

    def __post_init__(self) -> None:
        """Number the rows."""
        firsts = [0]
        for frame in self.frames:
            firsts.append(firsts[-1] + len(frame) // self.row_bytes)
        object.__setattr__(self, "firsts", firsts)

    def first(self, number: int) -> int:
        """Number of the first row of a block."""
        laps, place = divmod(number, max(1, len(self.frames)))
        return laps * self.firsts[-1] + self.firsts[place]

    def available(self, rows: int) -> int:
        """How many blocks there are whose rows are all among the first `rows`."""
        rows = min(rows, self.rows)
        if not self.firsts[-1]:
            return 0
        laps = rows // self.firsts[-1]
        count = laps * len(self.frames)
        while self.first(count + 1) <= rows:
            count += 1
        return count + (rows == self.rows and self.first(count) < rows)

    def block(self, number: int) -> Block | None:
        """A block; the last may be shorter than its frame."""
        first = self.first(number)
        if first >= self.rows:
            return None
        frame = self.frames[number % len(self.frames)]
        samples = min(len(frame) // self.row_bytes, self.rows - first)
        return Block(frame[: samples * self.row_bytes], samples, first)


class ReplayRing(Ring):
    """A ring that holds a recording."""

    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self.replay = replay
        self.source = replay.blocks()

    def proceed(self, seconds: float) -> bool:
        """So much time has passed since it was armed; whether all is served."""
        acquisition, replay = self.acquisition, self.replay
        if acquisition is None or acquisition.reason is not None:
            return False
        rows = self.source.rows
        if replay.rate is not None:
            rows = min(rows, int(replay.rate * seconds))
        self.written = self.source.available(rows)
        acquisition.samples = min(rows, self.source.first(self.written))
        taken = all(reader.place >= self.written for reader in self.readers)
        done = rows >= self.source.rows and taken and seconds >= replay.hold
        if done:
            acquisition.samples = self.source.rows
        return done

    def finish(self, reason: EndReason) -> None:
        """End it; what no client has taken by then is not served any more."""
        taken = max((reader.place for reader in self.readers), default=self.written)
        self.written = min(self.written, taken)
        super().finish(reason)

    def oldest(self) -> int:
        """Nothing is overwritten."""
        return 0

    def block(self, number: int) -> Block | None:
        """A block, None if it is not due yet."""
        return self.source.block(number) if number < self.written else None

    def join(self) -> Reader:
        """A reader from the beginning: nothing is ever missed."""
        reader = Reader(self, 0, 0)
        self.readers.add(reader)
        return reader

    def refusal(self, options: Options) -> str | None:
        """What was scaled when it was recorded cannot be made raw, or text."""
        if not self.replay.recording.raw and (options.raw or options.format == "ASCII"):
            return "The recording that is replayed has scaled rows only"
        return None

    def header(self, options: Options) -> bytes | None:
        """The header as recorded, if the client asked for what was recorded."""
        recording, acquisition = self.replay.recording, self.acquisition
        if not options.xml or options.format != "Framed" or acquisition is None:
            return None
        if options.raw != recording.raw:
            return None
        stamps = {
            b"arm_time": acquisition.armed_ns,
            b"start_time": acquisition.started_ns or acquisition.armed_ns,
        }

        def stamp(match: re.Match[bytes]) -> bytes:
            return match[1] + b'="' + iso_time(stamps[match[1]]).encode() + b'"'

        return _TIMES.sub(stamp, recording.header)
