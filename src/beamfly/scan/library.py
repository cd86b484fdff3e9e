"""Files that scans include, and the script classes that they may execute."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from beamfly.errors import BadValue
from beamfly.scan.handlers import HANDLERS
from beamfly.scan.program import Script

LARGEST_FILE = 16 * 1024 * 1024
EXAMPLES = "examples:"
"""In a configuration: the few files that come with the server."""

_EXAMPLES = {
    "pre_scan.scn": "<commands><comment><text>Pre-scan</text></comment></commands>",
    "post_scan.scn": "<commands><comment><text>Post-scan</text></comment></commands>",
}


class Scripts(Protocol):
    """Where script classes come from."""

    def load(self, name: str, arguments: list[str]) -> Script:
        """A script with its arguments; BadValue if there is none."""
        ...

    def load_handler(self, name: str) -> object:
        """An error handler; BadValue if there is none."""
        ...


class FileLibrary:
    """Reads files below some folders, and nothing else.

    Args:
        paths: folders, in the order in which they are searched; `examples:` stands
            for the files that come with the server.
        scripts: makes a script of a class name and its arguments; None if scripts
            are not executed.
    """

    def __init__(self, paths: Sequence[str | Path], scripts: Scripts | None = None):
        self._roots = [Path(path).resolve() for path in paths if path != EXAMPLES]
        self._examples = EXAMPLES in paths
        self._scripts = scripts

    def read(self, name: str) -> str:
        """Text of a file.

        Raises:
            BadValue: there is no such file below the folders, it is too large, or it
                is no UTF-8 text. Absolute names and `..` are refused.
        """
        plain = name.removeprefix(EXAMPLES)
        parts = Path(plain).parts
        bad = not plain or "\0" in plain or Path(plain).is_absolute() or ".." in parts
        if bad:
            msg = f"cannot open '{name}': only files below the script paths are read"
            raise BadValue(msg)
        if plain == name:
            for root in self._roots:
                found = (root / plain).resolve()
                # a symbolic link may lead out of the folder
                if found.is_relative_to(root) and found.is_file():
                    return _text(name, found)
        # the server's own examples serve where nothing else does
        if plain in _EXAMPLES and (self._examples or plain != name):
            return _EXAMPLES[plain]
        folders = ", ".join(str(root) for root in self._roots)
        where = f"it is not in {folders}" if folders else "no script path is configured"
        raise BadValue(f"cannot open '{name}': {where}")

    def script(self, name: str, arguments: list[str]) -> Script:
        """A script with its arguments; BadValue if there is none."""
        if self._scripts is None:
            msg = f"Error loading class {name}: this server executes no scripts"
            raise BadValue(msg)
        return self._scripts.load(name, arguments)

    def handler(self, name: str) -> object | None:
        """An error handler, None if it is a builtin one; BadValue if there is none."""
        if name in HANDLERS:
            return None
        if self._scripts is None:
            msg = f"Error loading class {name}: this server executes no scripts"
            raise BadValue(msg)
        return self._scripts.load_handler(name)


def _text(name: str, path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadValue(f"cannot open '{name}': it is larger than 16 MB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"cannot open '{name}': {error}") from None
