"""One data connection: the line of options in, acquisitions out.

`DataSession.receive` takes what the client sends; `next_chunk` gives what is to be sent
to it next, None if there is nothing for now. The shell calls it again whenever the
PandA has advanced, and closes the connection once `closed` is set and all was sent.
"""

from collections import deque

from beamfly.errors import CommandError
from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.formats import Content, encode, header
from beamfly.panda.simulator.options import Options, read_options
from beamfly.panda.simulator.ring import Acquisition, Block, Reader, Ring

_MAX_LINE = 4096


class DataSession:
    """The core of one data connection."""

    def __init__(self, ring: Ring, faults: Faults) -> None:
        self.ring = ring
        self.faults = faults
        self.options: Options | None = None
        """What the client asked for, None until it has."""
        self.closed = False
        """Whether nothing more will come after what is still to be sent."""
        self.rows = 0
        """Rows of the current acquisition handed out so far."""
        self._line = b""
        self._queue: deque[Content] = deque()
        self._reader: Reader | None = None
        self._acquisition: Acquisition | None = None
        self._header_due = False

    @property
    def taking(self) -> bool:
        """Whether it has not had all of an acquisition yet."""
        return self._reader is not None

    def receive(self, data: bytes) -> None:
        """Take the line of options; what comes after it does not matter."""
        if self.options is not None or self.closed:
            return
        self._line += data
        line, newline, _ = self._line.partition(b"\n")
        if len(line) > _MAX_LINE:
            self.closed = True
        elif newline:
            self._start(line.decode("utf-8", "surrogateescape"))

    def _start(self, line: str) -> None:
        """Answer the line of options."""
        try:
            self.options = read_options(line)
            refusal = self.ring.refusal(self.options)
            if refusal:
                raise CommandError(refusal)
        except CommandError as error:
            self._queue.append(f"ERR {error}\n".encode("utf-8", "surrogateescape"))
            self.options = None
            self.closed = True
            return
        if self.options.status:
            self._queue.append(b"OK\n")
        if self.ring.busy:
            self.join()

    def join(self) -> None:
        """Take part in the acquisition that has just begun, or is running."""
        if self.options is None or self.closed or self._reader is not None:
            return
        self._reader = self.ring.join()
        self._acquisition = self.ring.acquisition
        self._header_due = self.options.header
        self.rows = 0

    def leave(self) -> None:
        """The client has gone."""
        self.closed = True
        if self._reader is not None:
            self._reader.leave()
            self._reader = None

    def next_chunk(self, most: int | None = None) -> Content | None:
        """Bytes to send next, None if there are none for now.

        Args:
            most: How many bytes it may be, None for any number.
        """
        while not self._queue and self._reader is not None:
            if not self._proceed(self._reader):
                return None
        if not self._queue:
            return None
        chunk = self._queue.popleft()
        if most is not None and len(chunk) > most:
            self._queue.appendleft(chunk[most:])
            chunk = chunk[:most]
        return chunk

    def _proceed(self, reader: Reader) -> bool:
        """Queue something more of the acquisition, if there is any."""
        acquisition, options = self._acquisition, self.options
        if acquisition is None or options is None:
            return False
        if self._header_due:
            ended = acquisition.reason is not None
            if acquisition.started_ns is None and not reader.ring.written and not ended:
                return False
            self._header_due = False
            recorded = reader.ring.header(options)
            self._queue.append(recorded or header(acquisition, options, reader.missed))
            return True
        block = reader.next_block()
        if block is not None:
            self._send(block, acquisition, options)
            return True
        if reader.overrun:
            self._finish(EndReason.DATA_OVERRUN)
            return True
        if reader.at_end:
            self._finish(acquisition.reason or EndReason.UNEXPECTED)
            return True
        return False

    def _send(self, block: Block, acquisition: Acquisition, options: Options) -> None:
        """Queue the rows of a block, or as many as are allowed to get through."""
        limit = self.faults.drop_after_rows
        if limit is None or self.rows + block.samples < limit:
            self.rows += block.samples
            self._queue.extend(encode(acquisition, options, block.content))
            return
        size = len(block.content) // block.samples
        kept = block.content[: max(0, limit - self.rows) * size]
        if self.faults.drop_inside_frame:
            whole = b"".join(encode(acquisition, options, block.content))
            part = len(b"".join(encode(acquisition, options, kept)))
            self._queue.append(whole[: part + size // 2])
        elif kept:
            self._queue.extend(encode(acquisition, options, kept))
        self.rows = limit
        self.leave()

    def _finish(self, reason: EndReason) -> None:
        """Queue the completion line, and wait for the next acquisition."""
        options = self.options
        if self._reader is not None:
            self._reader.leave()
        self._reader = None
        self._acquisition = None
        if options is None:
            return
        if options.status:
            self._queue.append(f"END {self.rows} {reason.value}\n".encode())
        self.closed = options.one_shot
