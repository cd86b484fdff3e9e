"""The console of `beamfly panda control`: what is typed goes to the PandA as it is.

`Completions` knows what can be typed; `converse` is the loop.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from beamfly.errors import CommandError, LocalProtocolError, TimedOut
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import (
    ChangeGroup,
    Command,
    GetBlockInfo,
    GetFieldInfo,
    GetMultiline,
    Raw,
    is_multiline_command,
)

__all__ = ["Completions", "converse"]

TIMEOUT = 5.0
"""Seconds to wait for an answer while completing."""

STAR_COMMANDS = (
    "*IDN?",
    "*WHO?",
    "*ECHO ",
    "*CLOCK_FREQ?",
    "*BLOCKS?",
    "*POSITIONS?",
    "*BITS?",
    "*CAPTURE?",
    "*CAPTURE=",
    "*CAPTURE.*?",
    "*CAPTURE.OPTIONS?",
    "*CAPTURE.ENUMS?",
    "*PCAP.ARM=",
    "*PCAP.DISARM=",
    "*PCAP.STATUS?",
    "*PCAP.CAPTURED?",
    "*PCAP.COMPLETION?",
    *(f"*CHANGES{group.value}{end}" for group in ChangeGroup for end in ("?", "=")),
    "*METADATA.*?",
    "*VERBOSE=",
    "*SAVESTATE=",
)
"""Everything a server knows that is not about a certain block."""
_BLOCK_PREFIXES = ("*DESC.", "*ENUMS.")
_METADATA = "*METADATA."

Send = Callable[[Command[Any]], Any]


class Completions:
    """What can be typed, asked of the PandA when it is first needed.

    Args:
        send: Does a command and returns its result.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._asked: dict[str, list[str]] = {}
        infos = send(GetBlockInfo(skip_description=True))
        self._blocks: dict[str, int] = {n: i.number for n, i in infos.items()}

    def matches(self, text: str) -> Iterator[str]:
        """Whole lines that `text` may become."""
        target, equals, value = text.partition("=")
        if equals:
            for label in self._labels(target):
                if label.startswith(value):
                    yield f"{target}={label}"
        else:
            yield from (line for line in self._targets(text) if line.startswith(text))

    def _targets(self, text: str) -> Iterator[str]:
        if not text.startswith("*"):
            yield from self._addresses(text, numbered=True)
            return
        for prefix in _BLOCK_PREFIXES:
            if text.startswith(prefix):
                for address in self._addresses(text.removeprefix(prefix), False):
                    yield prefix + address
                return
        if text.startswith(_METADATA):
            for key in self._ask("*METADATA.*"):
                yield _METADATA + key
        yield from STAR_COMMANDS
        yield from (*_BLOCK_PREFIXES, _METADATA)

    def _addresses(self, text: str, numbered: bool) -> Iterator[str]:
        """Blocks; after a dot the fields of one; after a second dot attributes."""
        parts = text.split(".")
        kind = parts[0] if parts[0] in self._blocks else parts[0].rstrip("0123456789")
        if len(parts) == 1:
            for name, number in self._blocks.items():
                if numbered and number > 1:
                    yield from (f"{name}{n}" for n in range(1, number + 1))
                else:
                    yield name
        elif kind in self._blocks and len(parts) == 2:
            for name in self._fields(kind):
                yield f"{parts[0]}.{name}"
        elif kind in self._blocks and len(parts) == 3:
            for name in self._ask(f"{kind}.{parts[1]}.*"):
                yield f"{parts[0]}.{parts[1]}.{name}"

    def _fields(self, kind: str) -> list[str]:
        if kind not in self._asked:
            fields = self._send(GetFieldInfo(kind, extended_metadata=False))
            self._asked[kind] = list(fields)
        return self._asked[kind]

    def _labels(self, target: str) -> list[str]:
        """Values that a field or attribute takes, if it takes one of a list."""
        block, dot, field = target.partition(".")
        kind = block if block in self._blocks else block.rstrip("0123456789")
        return (
            self._ask(f"*ENUMS.{kind}.{field}") if dot and kind in self._blocks else []
        )

    def _ask(self, target: str) -> list[str]:
        """A list, empty if the PandA has none of that name."""
        if target not in self._asked:
            self._asked[target] = []
            with suppress(CommandError, LocalProtocolError, TimedOut):
                self._asked[target] = sorted(self._send(GetMultiline(target)))
        return self._asked[target]


class _Completer(Completer):
    """Completions, the way the prompt wants them."""

    def __init__(self, completions: Completions) -> None:
        self._completions = completions

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Lines that what stands before the cursor may become."""
        text = document.text_before_cursor
        for line in self._completions.matches(text):
            yield Completion(line, start_position=-len(text))


def converse(client: BlockingClient, prompt: str, readline: bool) -> None:
    """Send what is typed, print what comes back, until the input ends.

    Input from a script that the PandA refused in part raises at its end, so that the
    script learns of it; whoever sits at a terminal has seen it.

    Args:
        client: Connected.
        prompt: Shown before each line at a terminal.
        readline: Whether to offer history and completion, which need a terminal.

    Raises:
        click.ClickException: A table was cut off, or commands were refused.
    """
    terminal = sys.stdin.isatty()
    read = (
        _prompted(client, prompt) if terminal and readline else _plain(prompt, terminal)
    )
    refused = 0
    while True:
        lines: list[str] = []
        try:
            lines.append(read())
            while is_multiline_command(lines[0]) and lines[-1]:
                lines.append(read())
        except EOFError:
            if lines:
                msg = f"{lines[0]} has no empty line at its end; it was not sent"
                raise click.ClickException(msg) from None
            break
        except KeyboardInterrupt:
            continue
        refused += _refuses(client, lines)
    if refused and not terminal:
        commands = "1 command was" if refused == 1 else f"{refused} commands were"
        raise click.ClickException(f"{commands} refused, as printed above")


def _refuses(client: BlockingClient, lines: list[str]) -> bool:
    """Send and print; whether it was refused, by the PandA or by us."""
    try:
        answer = client.send(Raw(lines))
    except LocalProtocolError as error:
        click.echo(str(error), err=True)
        return True
    for line in answer:
        click.echo(line)
    return answer[0].startswith("ERR")


def _prompted(client: BlockingClient, prompt: str) -> Callable[[], str]:
    completions = Completions(lambda command: client.send(command, TIMEOUT))
    session: PromptSession[str] = PromptSession(
        prompt,
        completer=_Completer(completions),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
    )
    return session.prompt


def _plain(prompt: str, terminal: bool) -> Callable[[], str]:
    def read() -> str:
        if terminal:
            click.echo(prompt, nl=False)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")

    return read
