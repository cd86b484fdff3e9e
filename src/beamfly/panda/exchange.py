"""One question to a PandA and its answer, and commands made of them.

A `Command` is a dataclass whose `execute` is a generator. It yields one `Exchange`,
or a list of them that go out together, is resumed when all are answered, and returns
the command's result. `interleave` runs several such generators side by side, so that
the n-th exchanges of all of them leave in one write. Nothing here touches bytes:
`beamfly.panda.control` turns exchanges into bytes and bytes into answers.
"""

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from beamfly.errors import CommandError, LocalProtocolError

__all__ = [
    "Command",
    "Exchange",
    "ExchangeGenerator",
    "Exchanges",
    "T",
    "interleave",
    "is_multiline_command",
]

T = TypeVar("T")

MAX_LINE = 1022
"""Longest line in bytes; a server hangs up without a word on one that is longer."""

_MULTILINE = re.compile(r"^[^?=]*<")


def is_multiline_command(line: str) -> bool:
    """Whether a server reads on up to a blank line after `line`.

    The first of ? = < in the line decides; it does if that is <.
    """
    return "<" in line and _MULTILINE.match(line) is not None


def _shorten(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class Exchange:
    """The lines of one command and, once it is answered, the lines of the reply."""

    __slots__ = ("is_multiline", "received", "to_send")

    def __init__(self, to_send: str | list[str]) -> None:
        self.to_send = [to_send] if isinstance(to_send, str) else to_send
        """Without line ends; of a multi-line command the last one is empty."""
        self.received: list[str] = []
        """As they came, with their OK, ERR, ! or full stop; empty until then."""
        self.is_multiline = False
        """Whether the reply was a list, which may well hold a single line."""

    @property
    def summary(self) -> str:
        """What was asked, in a few words."""
        first = _shorten(self.to_send[0])
        more = len(self.to_send) - 2
        return f"{first!r} and {more} data lines" if more > 0 else repr(first)

    def _refused(self) -> CommandError:
        answer = _shorten("\n".join(self.received[:4]))
        return CommandError(f"the answer to {self.summary} was {answer!r}")

    def check_ok(self) -> None:
        """Raise CommandError unless the answer is a plain OK."""
        if self.received != ["OK"]:
            raise self._refused()

    @property
    def line(self) -> str:
        """The one value of the answer; CommandError if it is none or a list."""
        if self.is_multiline or not self.received[0].startswith("OK ="):
            raise self._refused()
        return self.received[0][4:]

    @property
    def multiline(self) -> list[str]:
        """The list in the answer; CommandError if it is not a list."""
        if not self.is_multiline:
            raise self._refused()
        return [line[1:] for line in self.received[:-1]]

    def encode(self) -> bytes:
        """The bytes to send; LocalProtocolError if they are not just one command.

        One answer comes back per command. A line end inside a value, or a table
        without a blank line at its end, would put every later answer next to the
        wrong question.
        """
        lines = self.to_send
        if not lines:
            raise LocalProtocolError("A command without lines; nothing was sent")
        if len(lines) == 1 and len(lines[0]) < 200 and lines[0].isprintable():
            # the most frequent case needs no closer look
            if not is_multiline_command(lines[0]):
                return f"{lines[0]}\n".encode()
        text = "\n".join(lines)
        if text.count("\n") != len(lines) - 1:
            msg = f"A line of {self.summary} has a line end in it; nothing was sent"
            raise LocalProtocolError(msg)
        multiline = is_multiline_command(lines[0])
        # a blank line ends the command: there must be one, and only at the end
        if multiline and "\n\n" in text:
            msg = f"{self.summary} has a blank line before its end; nothing was sent"
            raise LocalProtocolError(msg)
        if lines[-1] if multiline else len(lines) > 1:
            msg = (
                f"{self.summary} is not one command: a table ends with a blank "
                "line, anything else is a single line; nothing was sent"
            )
            raise LocalProtocolError(msg)
        try:
            data = f"{text}\n".encode()
        except UnicodeEncodeError as error:
            msg = f"{self.summary} is no text: {error}; nothing was sent"
            raise LocalProtocolError(msg) from error
        longest = len(data)
        if longest > MAX_LINE:
            longest = max(map(len, data.split(b"\n")))
        if longest > MAX_LINE:
            msg = (
                f"A line of {self.summary} is {longest} bytes long, a PandA takes "
                f"{MAX_LINE}; nothing was sent"
            )
            raise LocalProtocolError(msg)
        return data


Exchanges: TypeAlias = Exchange | Sequence[Exchange]
"""What goes out together."""

ExchangeGenerator: TypeAlias = Generator[Exchanges, None, T]
"""Yields exchanges, is resumed when they are answered, returns a result."""


@dataclass
class Command(Generic[T]):
    """Something to ask of a PandA; its result is of type T."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[T]:
        """Yield exchanges, resumed when they are answered, and return the result.

        Args:
            version: (major, minor) of the server, (0, 0) while it is not known.
        """
        raise NotImplementedError(self)


def interleave(
    generators: Iterable[ExchangeGenerator[Any]],
) -> ExchangeGenerator[list[Any]]:
    """Run generators side by side; return their results in the same order.

    The n-th exchanges of all of them are yielded as one list.
    """
    running = dict(enumerate(generators))
    results: list[Any] = [None] * len(running)
    while running:
        together: list[Exchange] = []
        for index, generator in list(running.items()):
            try:
                exchanges = next(generator)
            except StopIteration as stop:
                results[index] = stop.value
                del running[index]
            else:
                together += (
                    [exchanges] if isinstance(exchanges, Exchange) else exchanges
                )
        if together:
            yield together
    return results
