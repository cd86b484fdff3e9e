"""The data port as bytes in, `Data` out: DataConnection.

A shell sends what `connect` returns, receives straight into `get_buffer` and iterates
over `received`; `FrameData` arrays are views of that memory, nothing is copied.
`receive_bytes` does the same for bytes that are elsewhere. `data_formats` has the
parsers, `header` the headers, `columns` turns frames into values in units.
"""

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.errors import (
    BeamflyError,
    CommandError,
    LocalProtocolError,
    PandaDisconnected,
    RemoteProtocolError,
)
from beamfly.panda.data_formats import (
    MAX_LINE,
    Ascii,
    Base64,
    Body,
    Framed,
    Item,
    Mark,
    Unframed,
)
from beamfly.panda.data_options import DataOptions
from beamfly.panda.header import (
    HEADER_LINES,
    given_fields,
    parse_text,
    parse_xml,
    sample_dtype,
    word_dtype,
)
from beamfly.panda.intake import SLAB_BYTES, Intake
from beamfly.panda.responses import Data, EndData, FrameData, ReadyData, StartData

MAX_HEADER = 1 << 18
"""Longest header: 64 fields with long units need a tenth of it."""
MAX_HELD = 1 << 26
"""Bytes of samples that are held back at most, whatever was asked for."""


JOIN_BELOW = 4096
"""Bytes of a frame up to which it is cheaper moved than handed out by itself."""


class Flush(Enum):
    """When samples are handed out."""

    NOW = auto()
    """As soon as they are received, without copying: the fastest."""
    FRAME = auto()
    """When the server's frame is complete: one FrameData per frame."""
    LATER = auto()
    """At `flush`, at the end of an acquisition, or when 64 MiB are held."""


class DataConnection:
    """One connection to the data port, which yields what the PandA sends.

    Args:
        slab_bytes: Memory that is received into at a time; what users hold of it is
            replaced, not overwritten.
        join_below: Frames of fewer bytes that are there together are handed out as
            one, unless one FrameData per frame is asked for.
    """

    def __init__(
        self, slab_bytes: int = SLAB_BYTES, *, join_below: int = JOIN_BELOW
    ) -> None:
        self._join_below = join_below
        self._intake = Intake(slab_bytes)
        self._options = DataOptions()
        self._take: Callable[[], Item | Data | None] | None = None
        self._body: Body | None = None
        self._header: list[bytes] = []
        self._header_bytes = 0
        self._held: list[npt.NDArray[Any]] = []
        self._held_bytes = 0
        self._join = 0
        self._broken: BeamflyError | None = None
        self.samples = 0
        """Samples received of the current acquisition."""
        self.complete = False
        """Whether the one acquisition that was asked for is over."""

    def connect(
        self, scaled: bool = False, *, options: DataOptions | None = None
    ) -> bytes:
        """What to send first.

        Args:
            scaled: Whether the PandA scales, in XML-headed frames.
            options: Everything the server can do, instead of `scaled`.
        """
        if self._take is not None:
            raise LocalProtocolError("this data connection was used before")
        self._options = options or DataOptions(scaled=scaled)
        self._take = self._take_ok if self._options.status else self._take_header
        if not self._options.status and not self._options.header:
            self._take = self._take_body
        return self._options.line()

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Free memory to receive into, valid until the next call.

        Args:
            sizehint: For asyncio.BufferedProtocol; not looked at.
        """
        return self._intake.get_buffer()

    def received(self, count: int, flush: Flush = Flush.NOW) -> Iterator[Data]:
        """Parse bytes that were received into `get_buffer`.

        Args:
            count: How many.
            flush: When to hand out samples.

        Raises:
            CommandError: The PandA refused the options.
            RemoteProtocolError: It sent something that is no PandA's data; what came
                before is yielded first.
        """
        self._intake.received(count)
        return self._events(flush)

    def receive_bytes(
        self, received: bytes, flush_every_frame: bool = True
    ) -> Iterator[Data]:
        """Parse bytes that were received elsewhere; errors as for `received`.

        Args:
            received: The bytes; empty means that the PandA closed the connection.
            flush_every_frame: Whether to yield one FrameData per frame of the server,
                else samples are held until `flush` or the end of the acquisition.
        """
        if not received:
            yield from self.receive_eof()
        flush = Flush.FRAME if flush_every_frame else Flush.LATER
        rest = memoryview(received)
        while rest:
            buffer = self.get_buffer()
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            rest = rest[count:]
            yield from self.received(count, flush)

    def receive_eof(self) -> Iterator[Data]:
        """The PandA closed the connection: yields what was held.

        Raises:
            PandaDisconnected: Unless the one acquisition asked for is over.
        """
        yield from self.flush()
        if self._broken is not None:
            raise self._broken
        if self.complete or self._may_just_end():
            self.complete = True
            return
        where = "before it said OK" if self._take == self._take_ok else "while idle"
        if self._body is not None:
            where = f"in an acquisition, after {self.samples} samples of it"
        msg = f"the PandA closed its data port {where}"
        self._broken = PandaDisconnected(msg)
        raise self._broken

    def flush(self) -> Iterator[FrameData]:
        """Yield samples that are held, as one FrameData, or nothing."""
        if self._held:
            held, self._held, self._held_bytes = self._held, [], 0
            yield FrameData(held[0] if len(held) == 1 else np.concatenate(held))

    def _may_just_end(self) -> bool:
        """Whether this end of the connection is all the end there was to come."""
        body, options = self._body, self._options
        if body is None or options.status or not options.one_shot:
            return False
        return body.whole and not len(self._intake)

    def _events(self, flush: Flush) -> Iterator[Data]:
        if self._take is None:
            raise LocalProtocolError("connect() was not called on this data connection")
        if self._broken is not None:
            raise self._broken
        self._join = 0 if flush is Flush.FRAME else self._join_below
        if isinstance(self._body, Framed):
            self._body.join_below = self._join
        try:
            while True:
                if flush is Flush.NOW and not self._held:
                    yield from self._frames()
                if (item := self._take()) is None:
                    return
                if isinstance(item, np.ndarray):
                    yield from self._samples(item, flush)
                    del item  # a slab that is referenced cannot be filled again
                else:
                    yield from self._after(item)
        except BeamflyError as exc:
            self._broken = exc
            yield from self.flush()
            raise

    def _after(self, item: Data | Mark) -> Iterator[Data]:
        """What was held, and what comes after it."""
        if isinstance(item, Mark):
            yield from self.flush()
            self._next(self._take_header)
            return
        if isinstance(item, EndData):
            yield from self.flush()
            self._end()
        yield item

    def _frames(self) -> Iterator[FrameData]:
        """What is there of whole frames, in a few steps each."""
        if isinstance(self._body, Framed):
            for samples in self._body.frames(self._intake):
                self.samples += len(samples)
                yield FrameData(samples)

    def _samples(self, samples: npt.NDArray[Any], flush: Flush) -> Iterator[FrameData]:
        self.samples += len(samples)
        if flush is Flush.NOW and not self._held:
            yield FrameData(samples)
            return
        self._held.append(samples)
        self._held_bytes += samples.nbytes
        in_frame = isinstance(self._body, Framed) and not self._body.whole
        hold = flush is Flush.LATER or (flush is Flush.FRAME and in_frame)
        if not hold or self._held_bytes > MAX_HELD:
            yield from self.flush()

    def _next(self, take: Callable[[], Item | Data | None]) -> None:
        self._body, self._take, self.samples = None, take, 0

    def _end(self) -> None:
        """Be ready for the next acquisition, if there is one."""
        if self._options.one_shot:
            self.complete = True
            self._next(self._take_nothing)
        else:
            header = self._options.header
            self._next(self._take_header if header else self._take_body)

    def _take_ok(self) -> Data | None:
        line = self._intake.line(MAX_LINE)
        if line is None:
            return None
        if line != b"OK":
            raise self._refused(line)
        self._next(self._take_header if self._options.header else self._take_body)
        return ReadyData()

    def _refused(self, line: bytes) -> BeamflyError:
        if line.startswith(b"ERR "):
            text = line[4:].decode("utf-8", "replace")
            asked = self._options.line().decode().strip()
            msg = f"the PandA's data port refused {asked!r}: {text}; no data will come"
            return CommandError(msg)
        msg = f"expected OK from a PandA's data port, got {line[:80]!r}"
        return RemoteProtocolError(msg)

    def _take_header(self) -> Data | None:
        while (line := self._intake.line(MAX_LINE)) is not None:
            if not self._header:
                if not line:
                    continue
                self._check_header(line)
            self._header.append(line)
            self._header_bytes += len(line) + 1
            if self._header_bytes > MAX_HEADER:
                msg = f"the PandA sent a data header of more than {MAX_HEADER} bytes"
                raise RemoteProtocolError(msg)
            xml = self._header[0] == b"<header>"
            # a text header ends with a blank line, an XML one with its tag and a blank
            if line == (b"</header>" if xml else b""):
                lines, self._header, self._header_bytes = self._header, [], 0
                start = parse_xml(lines) if xml else parse_text(lines[:-1])
                self._start(start)
                self._take = self._take_blank if xml else self._take_body
                return start
        return None

    def _check_header(self, line: bytes) -> None:
        """Refuse what cannot be the first line of a header."""
        if line.startswith(b"ERR "):
            raise self._refused(line)
        if line != b"<header>" and not line.startswith(HEADER_LINES):
            msg = f"expected a data header from the PandA, got {line[:80]!r}"
            raise RemoteProtocolError(msg)

    def _take_blank(self) -> Item | Data | None:
        """The blank line after an XML header, then the data."""
        if not len(self._intake):
            return None
        if self._intake.peek(1) != b"\n":
            raise RemoteProtocolError("no blank line after the PandA's data header")
        self._intake.start += 1
        self._take = self._take_body
        return self._take_body()

    def _take_body(self) -> Item | Data | None:
        if self._body is None:
            if not len(self._intake):
                return None
            # no header was asked for
            fields, options = self._options.fields, self._options
            start = given_fields(fields, options.process, options.format_name)
            self._start(start)
            if fields:
                return start
        return self._body.take(self._intake) if self._body else None

    def _take_nothing(self) -> None:
        if len(self._intake):
            msg = f"the PandA sent {self._intake.peek(24)!r} after all it was asked for"
            raise RemoteProtocolError(msg)

    def _start(self, start: StartData) -> None:
        dtype = sample_dtype(start.fields) if start.fields else word_dtype()
        options = self._options
        next_header = options.header and not options.status
        self._next(self._take_body)
        # what the header says, not what was asked: recordings are replayed, too
        match start.format:
            case "Framed":
                self._body = Framed(dtype, next_header)
                self._body.join_below = self._join
            case "Unframed":
                self._body = Unframed(dtype, options.status)
            case "Base64":
                self._body = Base64(dtype, next_header)
            case _:
                self._body = Ascii(dtype, start.process == "Scaled", next_header)
