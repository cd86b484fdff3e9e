"""Command lines of the Channel Access tools as tables, and a reader without click.

`Tool` says what a tool takes. `beamfly.cli.ca` makes the click command of it, which has
the help and the error messages; `parse` reads what needs neither, in a fraction of the
time that it takes to import click: one read of a PV takes less than that import.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Option(NamedTuple):
    """One option of a command."""

    flag: str
    """As it is typed, such as -w."""
    name: str
    """Of the argument that it sets."""
    help: str | None = None
    """For --help."""
    kind: Callable[[str], Any] = str
    """Makes the value of a word, or raises ValueError; bool: there is no word, and the
    value is whether the option is there."""
    default: Any = None
    """The value when it is not there."""
    most: float = float("inf")
    """If this is finite, numbers are from 0 to this."""

    def read(self, word: str) -> Any:
        """The value of a word, or ValueError."""
        value = self.kind(word)
        if self.most < float("inf") and not 0 <= value <= self.most:
            raise ValueError(word)
        return value


def seconds(word: str) -> float:
    """From 0 on, or ValueError."""
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not value >= 0:
        msg = f"{word!r} is no number of seconds from 0 on"
        raise ValueError(msg)
    return value


def flag(name: str, argument: str, help: str) -> Option:
    """An option without a value."""
    return Option(name, argument, help, bool, False)


class Tool(NamedTuple):
    """A command: its docstring is that of `run`."""

    run: Callable[..., None]
    """Called with all arguments by name."""
    arguments: tuple[str, ...]
    """Names of what is given by position; the last takes one word or more."""
    options: tuple[Option, ...]
    options_first: bool = False
    """Whether all words from the first argument on are arguments, -5 among them."""


def parse(tool: Tool, words: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of a tool; None for what click is to answer, such as mistakes."""
    flags = {option.flag: option for option in tool.options}
    values = {option.name: option.default for option in tool.options}
    given: list[str] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-") or (tool.options_first and given):
            given.append(word)
            continue
        option, text = flags.get(word), None
        if option is None:
            # the value may follow without a space
            option, text = flags.get(word[:2]), word[2:]
        elif option.kind is not bool:
            text = next(left, None)
        if option is None or (option.kind is bool) != (text is None):
            return None
        try:
            values[option.name] = True if text is None else option.read(text)
        except ValueError:
            return None
    *single, several = tool.arguments
    if len(given) < len(tool.arguments):
        return None
    values |= zip(single, given, strict=False)
    return values | {several: tuple(given[len(single) :])}
