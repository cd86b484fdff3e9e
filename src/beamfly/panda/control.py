"""The control port as a core: commands in, bytes out; bytes in, responses out.

`ControlConnection` opens no socket. A shell (`beamfly.panda.asyncio`,
`beamfly.panda.blocking`) writes what `send` and `receive_bytes` return, hands over
what it reads, and collects what is done from `outcomes`:

```
connection = ControlConnection()
sock.sendall(connection.send(Get("PCAP.ACTIVE")))
while True:
    sock.sendall(connection.receive_bytes(sock.recv(65536)))
    for command, response in connection.responses():
        ...
```

A server answers strictly in order, so answers are matched with a queue of what was
asked. Every command ends: with a result, with an error, or when the connection does.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from beamfly.errors import (
    BeamflyError,
    CommandError,
    LocalProtocolError,
    PandaDisconnected,
    RemoteProtocolError,
)
from beamfly.panda.exchange import Command, Exchange, ExchangeGenerator

__all__ = [
    "Buffer",
    "ControlConnection",
    "NeedMoreDataError",
    "NoContextAvailableError",
    "Outcome",
]


class NeedMoreDataError(LocalProtocolError):
    """More was asked of a Buffer than it holds."""


class NoContextAvailableError(RemoteProtocolError):
    """A PandA answered although nothing was asked."""


class Buffer:
    """Bytes received but not yet read, by line or by count.

    ```
    buffer = Buffer()
    buffer += received
    for line in buffer:
        ...
    data = buffer.read_bytes(50)
    ```
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0

    def __iadd__(self, byteslike: bytes | bytearray | memoryview) -> "Buffer":
        """Add what was received."""
        self._bytes += byteslike
        return self

    def __len__(self) -> int:
        """Bytes that are there to read."""
        return len(self._bytes)

    def _take(self, count: int, drop: int = 0) -> bytearray:
        taken = self._bytes[:count]
        # bytearray deletes at its front without moving the rest
        del self._bytes[: count + drop]
        self._searched = 0
        return taken

    def read_bytes(self, num: int) -> bytearray:
        """Take `num` bytes; NeedMoreDataError if there are fewer."""
        self._need(num)
        return self._take(num)

    def peek_bytes(self, num: int) -> bytearray:
        """The next `num` bytes, left in place; NeedMoreDataError if there are fewer."""
        self._need(num)
        return self._bytes[:num]

    def _need(self, num: int) -> None:
        if num > len(self._bytes):
            msg = f"{num} bytes were asked for, there are {len(self._bytes)}"
            raise NeedMoreDataError(msg)

    def read_line(self) -> bytearray:
        """Take a line without its end; NeedMoreDataError if there is no whole one."""
        # what was searched once has no line end: a long line stays linear
        end = self._bytes.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._bytes)
            raise NeedMoreDataError("There is no whole line")
        return self._take(end, drop=1)

    def __iter__(self) -> "Buffer":
        """Take line after line while there are whole ones."""
        return self

    def __next__(self) -> bytearray:
        try:
            return self.read_line()
        except NeedMoreDataError as error:
            raise StopIteration from error


class Outcome(NamedTuple):
    """How a command ended."""

    command: Command[Any]
    """What was sent."""
    tag: Any
    """What was given to `send` along with it."""
    result: Any
    """What the command returns, None if it failed."""
    error: BeamflyError | None
    """Why it failed, None if it did not."""


@dataclass(slots=True)
class _Request:
    """A command under way."""

    command: Command[Any]
    tag: Any
    generator: ExchangeGenerator[Any]


class ControlConnection:
    """One connection to the control port, without its socket.

    Args:
        peer: How to call the PandA in messages.
        max_line: Bytes in a line above which the peer is taken not to be a PandA.
        max_reply: Bytes in a reply above which it is; the longest table is 12 MB.
    """

    def __init__(
        self,
        peer: str = "PandA",
        *,
        max_line: int = 65536,
        max_reply: int = 64 * 1024 * 1024,
    ) -> None:
        self._peer = peer
        self._max_line = max_line
        self._max_reply = max_reply
        self._version = (0, 0)
        # a line that is not complete, in the pieces it came in
        self._partial: list[bytes] = []
        self._partial_size = 0
        # lines of a multi-line reply that is not complete
        self._lines: list[str] = []
        self._reply_size = 0
        # what was asked; the last exchange of a step brings the request along
        self._asked: deque[tuple[Exchange, _Request | None]] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._closed: str | None = None

    @property
    def pending(self) -> int:
        """How many answers are outstanding."""
        return len(self._asked)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed is not None

    def set_api(self, version: tuple[int, int]) -> None:
        """Say which (major, minor) the server speaks, as `Identify` found."""
        self._version = version

    def send(self, command: Command[Any], tag: Any = None) -> bytes:
        """Start a command; return the bytes to write.

        Args:
            command: What to do; the same one may be under way several times.
            tag: Comes back in its Outcome.

        Raises:
            PandaDisconnected: The connection is closed.
            LocalProtocolError, BadValue, VersionError: It cannot be said.
                In all cases nothing was sent and no Outcome follows.
        """
        if self._closed is not None:
            raise PandaDisconnected(f"{self._closed}: {_name(command)} was not sent")
        request = _Request(command, tag, command.execute(self._version))
        try:
            return self._step(request)
        except StopIteration as stop:
            self._outcomes.append(Outcome(command, tag, stop.value, None))
            return b""

    def _step(self, request: _Request) -> bytes:
        """Run the command up to its next exchanges; StopIteration if it is done."""
        exchanges = next(request.generator)
        while not exchanges:
            exchanges = next(request.generator)
        if isinstance(exchanges, Exchange):
            to_send = exchanges.encode()
            self._asked.append((exchanges, request))
            return to_send
        to_send = b"".join([exchange.encode() for exchange in exchanges])
        self._asked.extend((exchange, None) for exchange in exchanges[:-1])
        self._asked.append((exchanges[-1], request))
        return to_send

    def receive_bytes(self, received: bytes | bytearray | memoryview) -> bytes:
        """Take what was read; return the bytes to write in turn.

        Commands that this completes are in `outcomes` (or `responses`).

        Raises:
            RemoteProtocolError: What was read makes no sense. All that was under
                way has failed with the same error, and the connection is closed.
        """
        if self._closed is not None:
            return b""
        to_send: list[bytes] = []
        for line in self._complete_lines(bytes(received)):
            lines = self._lines
            if lines or line.startswith("!"):
                lines.append(line)
                if line == ".":
                    self._lines = []
                    to_send.append(self._answer(lines, True))
                elif not line.startswith("!"):
                    raise self._broken(f"{line[:80]!r} in the middle of a list")
            elif line == "OK" or line.startswith(("OK =", "ERR")):
                to_send.append(self._answer([line], False))
            elif line == ".":
                to_send.append(self._answer([line], True))
            else:
                raise self._broken(f"{line[:80]!r}, which is no reply")
        if self._lines or self._reply_size:
            self._limit_reply(len(received))
        return b"".join(to_send)

    def _complete_lines(self, received: bytes) -> list[str]:
        """Text of the lines that are whole now; keep the rest."""
        end = received.rfind(b"\n")
        if end < 0:
            self._keep(received)
            return []
        whole = received[:end]
        if self._partial:
            whole = b"".join([*self._partial, whole])
            self._partial.clear()
            self._partial_size = 0
        # units that an old tool wrote in another encoding must not stop us
        lines = whole.decode("utf-8", "replace").split("\n")
        if len(whole) > self._max_line and len(max(lines, key=len)) > self._max_line:
            raise self._broken(f"a line of more than {self._max_line} bytes")
        if end + 1 < len(received):
            self._keep(received[end + 1 :])
        return lines

    def _keep(self, rest: bytes) -> None:
        """Keep the start of a line until the rest of it comes."""
        self._partial.append(rest)
        self._partial_size += len(rest)
        if self._partial_size > self._max_line:
            raise self._broken(f"a line of more than {self._max_line} bytes")

    def _limit_reply(self, received: int) -> None:
        self._reply_size = self._reply_size + received if self._lines else 0
        if self._reply_size > self._max_reply:
            raise self._broken(f"a reply of more than {self._max_reply} bytes")

    def _answer(self, lines: list[str], is_multiline: bool) -> bytes:
        """Hand a reply to who asked; return what its command sends next."""
        if not self._asked:
            self._fail(f"{self._peer} sent {lines[0][:80]!r}, nothing was asked")
            msg = f"{self._peer} sent {lines[0][:80]!r} although nothing was asked"
            raise NoContextAvailableError(msg)
        exchange, request = self._asked.popleft()
        exchange.received = lines
        exchange.is_multiline = is_multiline
        if request is None:
            return b""
        result, error = None, None
        try:
            return self._step(request)
        except StopIteration as stop:
            result = stop.value
        except Exception as problem:
            # whatever a command stumbles over, who waits for it must hear of it
            error = self._explain(request.command, problem)
        self._outcomes.append(Outcome(request.command, request.tag, result, error))
        return b""

    def _explain(self, command: Command[Any], problem: Exception) -> BeamflyError:
        """The same error, saying which command of which PandA it is about."""
        if isinstance(problem, BeamflyError) and not isinstance(problem, CommandError):
            return problem
        text = str(problem)
        if not isinstance(problem, CommandError):
            text = f"its answer is not understood ({type(problem).__name__}: {problem})"
        error = CommandError(f"{self._peer}: {_name(command)} failed: {text}")
        error.__cause__ = problem
        return error

    def _broken(self, what: str) -> RemoteProtocolError:
        msg = f"{self._peer} sent {what}: this is not a PandA's control port"
        self._fail(msg, RemoteProtocolError)
        return RemoteProtocolError(msg)

    def _fail(self, reason: str, kind: type[BeamflyError] = PandaDisconnected) -> None:
        self._closed = reason
        for _, request in self._asked:
            if request is not None:
                error = kind(
                    f"{reason}; {_name(request.command)} got no answer, "
                    "it may or may not have been done"
                )
                request.generator.close()
                outcome = Outcome(request.command, request.tag, None, error)
                self._outcomes.append(outcome)
        self._asked.clear()
        self._partial.clear()
        self._lines.clear()

    def receive_eof(self, reason: str = "") -> None:
        """Take the end of the connection: all that is under way fails.

        Args:
            reason: What happened to it, empty if the PandA closed it.
        """
        if self._closed is None:
            self._fail(reason or f"{self._peer} closed the control connection")

    def outcomes(self) -> Iterator[Outcome]:
        """Take the commands that ended, in the order in which they did."""
        while self._outcomes:
            yield self._outcomes.popleft()

    def responses(self) -> Iterator[tuple[Command[Any], Any]]:
        """Take (command, response) of those that ended; a response may be an error."""
        for command, _, result, error in self.outcomes():
            yield command, result if error is None else error


def _name(command: Command[Any]) -> str:
    text = repr(command)
    return text if len(text) <= 120 else f"{text[:117]}..."
