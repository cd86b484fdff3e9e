"""The four ways in which a PandA packs samples: bytes in, samples and END out.

A parser's `take` returns the next thing that `Intake` holds: an array of whole
samples, `EndData`, `Mark.HEADER` where the next acquisition's header begins, or None
if it needs more bytes. `whole` says whether all samples sent so far were taken.
"""

import binascii
import re
import struct
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from beamfly.errors import RemoteProtocolError
from beamfly.panda.header import HEADER_LINES
from beamfly.panda.intake import Intake
from beamfly.panda.responses import EndData, EndReason

MAX_FRAME_BYTES = 1 << 28
"""All that a server can hold; real frames have at most 2 MiB."""
MAX_LINE = 1 << 16
"""Longest line of data or header: 64 columns need far less."""
MAX_END = 128
"""Longest END line."""

_END = re.compile(rb"END (\d{1,20}) ([\x20-\x7e]+)")
_END_WORD = int.from_bytes(b"END ", "little")
_HEADER_STARTS = (b"<hea", *(line[:4] for line in HEADER_LINES))
_HEAD = struct.Struct("<4sI")
"""`BIN `, and the bytes of a frame with these 8."""
_DATA_LINES = re.compile(rb"(?: [^\n]*\n)+")


class Mark(Enum):
    """What a parser can find besides samples and END."""

    HEADER = auto()
    """Here the next acquisition's header begins; the server was told to send no END."""


Item = npt.NDArray[Any] | EndData | Mark


class Body(Protocol):
    """Parser of the data of one acquisition."""

    def take(self, intake: Intake) -> Item | None:
        """The next item, or None if more bytes are needed."""
        ...

    @property
    def whole(self) -> bool:
        """Whether no frame or sample is half received, so that data may end here."""
        ...


def parse_end(line: bytes) -> EndData:
    """EndData of an END line."""
    match = _END.fullmatch(line)
    if match is None:
        raise RemoteProtocolError(f"bad end of an acquisition: {line[:80]!r}")
    return EndData(int(match[1]), EndReason.parse(match[2].decode("ascii")))


def _end_or_header(intake: Intake, next_header: bool) -> Item | None:
    """END line or header where there is no data; at least 4 bytes are there."""
    tag = intake.peek(4)
    if tag == b"END ":
        line = intake.line(MAX_END)
        return None if line is None else parse_end(line)
    if next_header and tag in _HEADER_STARTS:
        return Mark.HEADER
    msg = f"the PandA sent {intake.peek(24)!r} on its data port instead of data or END"
    raise RemoteProtocolError(msg)


class Framed:
    """Frames `BIN `, total length, samples; a sample may go on in the next frame.

    Args:
        dtype: Of one sample.
        next_header: Whether a header can follow without END.
    """

    def __init__(self, dtype: np.dtype[Any], next_header: bool) -> None:
        self._dtype, self._next_header = dtype, next_header
        self._left = 0  # bytes of the frame, and of a sample split by its start
        self.join_below = 0
        """Frames of fewer bytes are moved together and taken as one."""

    @property
    def whole(self) -> bool:
        """Whether a frame has just ended, with a whole sample."""
        return not self._left

    def frames(self, intake: Intake) -> list[npt.NDArray[Any]]:
        """Take frames that are there in full, one array each: what `take` would do.

        Stops at all that is not a frame of whole samples that stands by itself.
        """
        arrays: list[npt.NDArray[Any]] = []
        dtype, size, smallest = self._dtype, self._dtype.itemsize, self.join_below
        view, at, end = intake.view, intake.start, intake.end
        while not self._left and end - at > 8:
            tag, length = _HEAD.unpack_from(view, at)
            count, rest = divmod(length - 8, size)
            last = at + length
            if tag != b"BIN " or rest or count < 1 or length < smallest or last > end:
                break
            arrays.append(intake.samples(dtype, count, at + 8))
            at = last
        intake.start = at
        return arrays

    def take(self, intake: Intake) -> Item | None:
        """The next item, or None if more bytes are needed."""
        samples = self._samples(intake)
        if samples is not None:
            return samples
        # no line or frame that can follow is shorter than 8 bytes
        if len(intake) < self._left + 8:
            return None
        if self._left:
            raise RemoteProtocolError("an acquisition ended inside a sample")
        return _end_or_header(intake, self._next_header)

    def _samples(self, intake: Intake) -> npt.NDArray[Any] | None:
        """Whole samples that are there, of one frame or of several small ones."""
        view, size = intake.view, self._dtype.itemsize
        begin = end = at = intake.start  # samples are from begin to end, read up to at
        left = self._left
        while True:
            here = min(left, intake.end - at)
            if at != end:
                # close the gap that the frame's head makes between samples
                view[end : end + here] = view[at : at + here]
            end, at, left = end + here, at + here, left - here
            length = 0 if left else self._next_frame(intake, at)
            if not length or (end - begin >= size and length >= self.join_below):
                break
            left, at = length - 8, at + 8
            if begin == end:
                # nothing before it that it must be moved next to
                begin = end = at
        count, tail = divmod(end - begin, size)
        # the start of a sample goes in front of its rest
        if at != end:
            view[at - tail : at] = view[end - tail : end]
        self._left, intake.start = left + tail, at - tail
        return intake.samples(self._dtype, count, begin) if count else None

    def _next_frame(self, intake: Intake, at: int) -> int:
        """Length that the frame there states, 0 if there is none, or not yet."""
        if intake.end - at < 8:
            return 0
        tag, length = _HEAD.unpack_from(intake.view, at)
        if tag != b"BIN ":
            return 0
        if not 8 <= length <= MAX_FRAME_BYTES:
            raise RemoteProtocolError(f"a data frame says it has {length} bytes")
        return length


class Unframed:
    """Samples without any frame.

    Only END tells where they stop, and a sample can look like END. It is taken for the
    end if it is a whole END line, with a reason that exists and the right count.

    Args:
        dtype: Of one sample.
        status: Whether the server sends END.
    """

    def __init__(self, dtype: np.dtype[Any], status: bool) -> None:
        self._dtype, self._status = dtype, status
        self._samples = 0
        self._rest = 0

    @property
    def whole(self) -> bool:
        """Whether a sample has just ended."""
        return not self._rest

    def take(self, intake: Intake) -> Item | None:
        """The next item, or None if more bytes are needed."""
        size = self._dtype.itemsize
        count = len(intake) // size
        self._rest = len(intake) % size
        if self._status:
            if isinstance(end := self._end(intake), EndData) or end is None:
                return end
            # up to the next sample that could be END; the first one is not
            hits = np.flatnonzero(intake.first_words(size, count)[1:] == _END_WORD)
            count = int(hits[0]) + 1 if hits.size else count
        if not count:
            return None
        self._samples += count
        intake.start += count * size
        return intake.samples(self._dtype, count, intake.start - count * size)

    def _end(self, intake: Intake) -> EndData | bool | None:
        """EndData, False if there is none here, None if that cannot be told yet."""
        text = intake.peek(MAX_END)
        if not b"END ".startswith(text[:4]):
            return False
        line, newline, _ = text.partition(b"\n")
        if not newline:
            # all that came so far may still grow into END
            open_ended = len(text) < MAX_END and not text.strip(_PRINTABLE)
            return None if open_ended else False
        try:
            end = parse_end(line)
        except RemoteProtocolError:
            return False
        if end.samples != self._samples:
            return False
        intake.line(MAX_END)
        self._rest = 0
        return end


_PRINTABLE = bytes(range(0x20, 0x7F))


class _Lines:
    """What formats made of lines share: a data line begins with a space."""

    def __init__(self, next_header: bool) -> None:
        self._next_header = next_header

    def data_lines(self, intake: Intake) -> bytes | Item | None:
        """All complete lines of data at hand, or what comes instead."""
        if not len(intake):
            return None
        if intake.peek(1) != b" ":
            return (
                _end_or_header(intake, self._next_header) if len(intake) > 3 else None
            )
        text = intake.peek(len(intake))
        match = _DATA_LINES.match(text)
        if match is None:
            intake.find_newline(MAX_LINE)
            return None
        intake.start += match.end()
        return match[0]


class Base64(_Lines):
    """Lines of base64; the encoder starts anew with each block of the server.

    Args:
        dtype: Of one sample.
        next_header: Whether a header can follow without END.
    """

    def __init__(self, dtype: np.dtype[Any], next_header: bool) -> None:
        super().__init__(next_header)
        self._dtype = dtype
        self._bytes = bytearray()

    @property
    def whole(self) -> bool:
        """Whether a sample has just ended."""
        return not self._bytes

    def take(self, intake: Intake) -> Item | None:
        """The next item, or None if more bytes are needed."""
        while isinstance(lines := self.data_lines(intake), bytes):
            self._bytes += b"".join(_decode(line) for line in lines.split(b"\n"))
            count = len(self._bytes) // self._dtype.itemsize
            if count:
                size = count * self._dtype.itemsize
                whole, self._bytes = self._bytes[:size], self._bytes[size:]
                return np.frombuffer(whole, self._dtype)
        if lines is not None and self._bytes:
            raise RemoteProtocolError("an acquisition ended inside a sample")
        return lines


def _decode(line: bytes) -> bytes:
    try:
        # servers up to 4.1 leave the encoder's NUL before the newline
        return binascii.a2b_base64(line.strip(b" \0"), strict_mode=True)
    except binascii.Error as exc:
        raise RemoteProtocolError(f"bad base64 from the data port: {exc}") from exc


class Ascii(_Lines):
    """One line of numbers per sample.

    Args:
        dtype: Of one sample.
        scaled: Whether numbers are decimal, one per column; else words in hexadecimal.
        next_header: Whether a header can follow without END.
    """

    whole = True

    def __init__(self, dtype: np.dtype[Any], scaled: bool, next_header: bool) -> None:
        super().__init__(next_header)
        self._dtype, self._scaled = dtype, scaled

    def take(self, intake: Intake) -> Item | None:
        """The next item, or None if more bytes are needed."""
        lines = self.data_lines(intake)
        if not isinstance(lines, bytes):
            return lines
        rows = [line.split() for line in lines.splitlines()]
        names = self._dtype.names or ()
        width = len(names) if self._scaled else self._dtype.itemsize // 4
        try:
            numbers = list(_numbers(rows, width, self._scaled))
            table = np.array(numbers, "<f8" if self._scaled else "<u4")
        except (ValueError, OverflowError) as exc:
            raise RemoteProtocolError(f"bad line of ASCII data: {exc}") from exc
        if not self._scaled:
            return table.view(self._dtype).reshape(len(rows))
        samples = np.empty(len(rows), self._dtype)
        for column, name in enumerate(names):
            samples[name] = table[:, column]
        return samples


def _numbers(
    rows: list[list[bytes]], width: int, scaled: bool
) -> Iterator[list[float] | list[int]]:
    for row in rows:
        if len(row) != width:
            msg = f"{len(row)} numbers where {width} belong"
            raise ValueError(msg)
        yield [float(n) for n in row] if scaled else [int(n, 16) for n in row]
