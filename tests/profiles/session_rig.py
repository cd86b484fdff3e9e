"""`beamfly shell` in a terminal, and what it prints: `Terminal`."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pexpect

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07")
PATIENCE = 150


class Terminal:
    """Somebody at a prompt.

    Args:
        directory: Where IPython is started; home for its history, too.
        arguments: Of `beamfly shell`.
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        environment = {**os.environ, "XDG_STATE_HOME": str(directory), "TERM": "xterm"}
        command = "from beamfly.cli import main; main()"
        self._child: Any = pexpect.spawn(
            sys.executable,
            ["-c", command, "shell", *arguments],
            cwd=str(directory),
            env=environment,
            dimensions=(50, 160),
            timeout=PATIENCE,
            encoding="utf8",
        )
        self.number = 0
        """Of the prompt that waits."""
        self.banner = self.until_prompt()

    @property
    def pid(self) -> int:
        """Of the process."""
        return int(self._child.pid)

    def until_prompt(self) -> str:
        """All that is printed until the next prompt, as text."""
        self.number += 1
        # colours may lie between the parts
        parts = (r"In ", r"\[", str(self.number), r"\]: ")
        self._child.expect(r"(?:\x1b\[[0-9;]*m)*".join(parts))
        return ESCAPES.sub("", self._child.before)

    def type(self, line: str) -> None:
        """Type a line, and return at once."""
        self._child.send(line + "\r")

    def run(self, line: str) -> str:
        """Type a line; returns all that is printed until the next prompt."""
        self.type(line)
        return self.until_prompt()

    def see(self, pattern: str) -> str:
        """Wait until this is printed; returns what matched."""
        self._child.expect(pattern)
        return str(self._child.match.group(0))

    def press(self, keys: str) -> None:
        """Press keys, without Enter."""
        self._child.send(keys)

    def interrupt(self, seen: str) -> None:
        """Press Ctrl-C until this is printed: presses in quick succession are one."""
        for _ in range(PATIENCE):
            self._child.sendintr()
            if self._child.expect([seen, pexpect.TIMEOUT], timeout=1) == 0:
                return
        raise AssertionError(f"{seen} was not printed, but {self._child.before}")

    def kill(self) -> None:
        """End the process as a power failure would, if it runs."""
        self._child.close(force=True)
