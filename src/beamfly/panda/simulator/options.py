"""What a client of the data port asks for in its first line."""

from dataclasses import dataclass, replace
from typing import Any

from beamfly.errors import CommandError
from beamfly.panda.simulator.literals import read_alphanumeric


@dataclass(frozen=True)
class Options:
    """What a client asks for in its first line."""

    format: str = "ASCII"
    """Unframed, Framed, Base64 or ASCII."""
    raw: bool = False
    header: bool = True
    status: bool = True
    one_shot: bool = False
    xml: bool = False


_WORDS: dict[str, dict[str, Any]] = {
    "UNFRAMED": {"format": "Unframed"},
    "FRAMED": {"format": "Framed"},
    "BASE64": {"format": "Base64"},
    "ASCII": {"format": "ASCII"},
    "RAW": {"raw": True},
    "SCALED": {"raw": False},
    "NO_HEADER": {"header": False},
    "NO_STATUS": {"status": False},
    "ONE_SHOT": {"one_shot": True},
    "XML": {"xml": True},
}
_BARE = Options("Unframed", raw=True, header=False, status=False, one_shot=True)


def read_options(line: str) -> Options:
    """The options that a line asks for.

    Raises:
        CommandError: It makes no sense; the text is the server's.
    """
    if "\r" in line:
        raise CommandError("Cannot process CR character")
    options = Options()
    while line:
        word, line = read_alphanumeric(line.lstrip(" \t"))
        if word == "BARE":
            options = _BARE
        elif word == "DEFAULT":
            options = Options()
        elif word in _WORDS:
            options = replace(options, **_WORDS[word])
        else:
            raise CommandError("Invalid data capture option")
    return options
