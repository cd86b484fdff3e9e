"""Numbers as the C server reads and prints them, and names as it reads them.

Readers take text and give the value and what is left of the text. What cannot be read
is a CommandError whose text is the server's own.
"""

import re
from math import inf, nan

from beamfly.errors import CommandError

_SPACE = " \t\n\v\f\r"
_INTEGER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_DOUBLE = re.compile(
    r"[+-]?(?:(?P<word>infinity|inf|nan)"
    r"|(?P<hex>0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?)"
    r"|(?P<dec>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?))",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_]+")
_ALPHANUMERIC = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BLOCK = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z_])?")

MAX_NAME = 31
"""Longest name of anything."""
MAX_RESULT = 255
"""Longest line of a reply, without the mark in front of it."""


def read_integer(text: str) -> tuple[int, str]:
    """An integer in decimal, hex or octal, after any spaces: no limit, any sign."""
    match = _INTEGER.match(text.lstrip(_SPACE))
    if match is None:
        raise CommandError("Number missing")
    sign, digits = match.groups()
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    value = int(digits, base)
    if value >= 2**64:
        raise CommandError("Error converting number")
    return (-value if sign == "-" else value), match.string[match.end() :]


def read_double(text: str) -> tuple[float, str]:
    """A float, after any spaces; nan, inf and hex floats are allowed."""
    match = _DOUBLE.match(text.lstrip(_SPACE))
    if match is None:
        raise CommandError("Number missing")
    if match["hex"]:
        value = float.fromhex(match[0])
    elif match["word"]:
        value = nan if match["word"].lower() == "nan" else inf
        value = -value if match[0][0] == "-" else value
    else:
        value = float(match[0])
    return value, match.string[match.end() :]


def end(rest: str) -> None:
    """Refuse anything after a value."""
    if rest:
        raise CommandError("Unexpected character after input")


def integer(text: str) -> int:
    """An integer and nothing else."""
    value, rest = read_integer(text)
    end(rest)
    return value


def double(text: str) -> float:
    """A float and nothing else."""
    value, rest = read_double(text)
    end(rest)
    return value


def signed(value: int) -> int:
    """The lowest 32 bits, as a signed number."""
    return (value + 2**31) % 2**32 - 2**31


def format_double(value: float) -> str:
    """As `%.10g` prints it."""
    return f"{value:.10g}"


def checked(line: str) -> str:
    """The line, unless it is longer than a result may be."""
    if len(line.encode("utf-8", "surrogateescape")) > MAX_RESULT:
        raise CommandError("Result too long")
    return line


def _read_name(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    match = pattern.match(text)
    if match is None:
        raise CommandError("No name found")
    if len(match[0]) > MAX_NAME:
        raise CommandError("Name too long")
    return match[0], text[match.end() :]


def read_name(text: str) -> tuple[str, str]:
    """A name of letters and underscores."""
    return _read_name(_NAME, text)


def read_alphanumeric(text: str) -> tuple[str, str]:
    """A name of letters, underscores and digits, starting with a letter."""
    return _read_name(_ALPHANUMERIC, text)


def read_block(text: str) -> tuple[str, str]:
    """The name of a block, without the digits at its end."""
    return _read_name(_BLOCK, text)


def read_char(char: str, text: str) -> str:
    """What follows that character, which must come first."""
    if not text.startswith(char):
        raise CommandError(f"Character '{char}' expected")
    return text[1:]
