"""Request files: names of PVs, and other request files with macros.

# positions of a stage
$(P)m1.VAL
file motor.req P=$(P), M=m2
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from beamfly.errors import BadValue

_MACRO = re.compile(r"\$\((\w+)(?:=([^()]*))?\)|\$\{(\w+)(?:=([^{}]*))?\}")
_INCLUDE = re.compile(r"file\s+(?:\"([^\"]+)\"|([^\s,\"]+))\s*,?\s*(.*)")
_SETTING = re.compile(r"\s*(\w+)\s*=\s*(\"[^\"]*\"|[^\s,;]*)\s*[,;]?")


def names_in(
    path: str | Path,
    macros: Mapping[str, str] | None = None,
    above: tuple[Path, ...] = (),
) -> Iterator[str]:
    """Names of PVs, also those of files that are included, in their order.

    Args:
        path: The file; those that it includes are looked for beside it.
        macros: Values for `$(NAME)` and `${NAME}`, which may have defaults: `$(N=1)`.
        above: Files that include this one.

    Raises:
        BadValue: A file is not there or includes itself, a macro has no value, or a
            line is neither; the file and the line are named.
    """
    path = Path(path)
    if path.resolve() in above:
        raise BadValue(f"{path} includes itself")
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise BadValue(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        words = line.partition("#")[0].split()
        if not words:
            continue
        text = _expand(" ".join(words), macros or {}, where)
        found = _INCLUDE.fullmatch(text)
        if found is None:
            if " " in text:
                raise BadValue(f"{where}: {text!r} is no PV and includes no file")
            yield text
            continue
        quoted, plain, settings = found.groups()
        inner = {**(macros or {}), **_settings(settings, where)}
        yield from names_in(
            path.parent / (quoted or plain), inner, (*above, path.resolve())
        )


def _expand(text: str, macros: Mapping[str, str], where: str) -> str:
    """Text with the values of macros."""

    def value(found: re.Match[str]) -> str:
        name, default, braced, other = found.groups()
        name, default = (name, default) if name else (braced, other)
        if name in macros:
            return macros[name]
        if default is None:
            raise BadValue(f"{where}: macro {name} has no value")
        return default

    return _MACRO.sub(value, text)


def _settings(text: str, where: str) -> dict[str, str]:
    """Macros behind the name of an included file."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _SETTING.match(text, at)
        if match is None:
            raise BadValue(f"{where}: {text[at:]!r} is no macro such as P=BL:")
        found[match[1]] = match[2].strip('"')
        at = match.end()
    return found
