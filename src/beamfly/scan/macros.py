"""Macros: `$(NAME)` and `${NAME}` in names and texts."""

import re
from collections.abc import Mapping

from beamfly.errors import BadValue

_INNERMOST = re.compile(
    r"(?<!\\)\$(?:\(([A-Za-z0-9_.-]+)(?:=([^$()]*))?\)"
    r"|\{([A-Za-z0-9_.-]+)(?:=([^${}]*))?\})"
)
_PAIR = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*(\"[^\"]*\"|[^,]*?)\s*(?:,|$)")
DEEPEST = 50
LONGEST = 100_000


def parse_macros(text: str) -> dict[str, str]:
    """Macros out of `NAME=value, OTHER="a, b"`; BadValue if it says anything else."""
    macros: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        match = _PAIR.match(text, at)
        if match is None:
            raise BadValue(f"Macros are NAME=value, NAME=value, not {text!r}")
        macros[match[1]] = match[2].strip('"')
        at = match.end()
    return macros


def expand(text: str, macros: Mapping[str, str]) -> str:
    """Text with its macros replaced.

    Macros may be nested and have defaults, `$(NAME=default)`; a backslash in front
    keeps one as it is. Those that are not known stay.

    Raises:
        BadValue: they refer to each other for ever.
    """
    if "$" not in text:
        return text
    if "\0" in text:
        raise BadValue("Macros are not replaced in a text with a NUL character")
    kept: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        default: str | None = match[2] if match[1] else match[4]
        value = macros.get(name, default)
        if value is None:
            # unknown: out of sight, so that macros around it are still found
            kept.append(match[0])
            return f"\0{len(kept) - 1}\0"
        return value

    for _ in range(DEEPEST):
        text, count = _INNERMOST.subn(replace, text)
        if not count:
            break
        if len(text) > LONGEST:
            raise BadValue("Macros expand to more than can be a name")
    else:
        raise BadValue("Macros refer to each other for ever")
    while "\0" in text:
        text = re.sub("\0(\\d+)\0", lambda match: kept[int(match[1])], text)
    return text.replace("\\$", "$")
