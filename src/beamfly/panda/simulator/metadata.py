"""Metadata: texts that clients leave on a PandA for each other."""

from collections.abc import Iterable
from dataclasses import dataclass

from beamfly.errors import CommandError
from beamfly.panda.simulator.bus_fields import valid_utf8
from beamfly.panda.simulator.fields import Journal


@dataclass
class Entry:
    """What is stored under one key."""

    value: str = ""
    lines: list[str] | None = None
    """Its lines, if it takes several."""
    constant: bool = False
    changed: int = 1
    """Number of the last change."""


class Metadata:
    """All keys, and how commands read and write them."""

    def __init__(self, journal: Journal, app: str, labels: Iterable[str]) -> None:
        self.journal = journal
        self.entries = {"DESIGN": Entry(), "LAYOUT": Entry(lines=[])}
        self.entries["EXPORTS"] = Entry(lines=[])
        self.entries["APPNAME"] = Entry(app, constant=True)
        self.entries.update((label, Entry()) for label in labels)

    def find(self, key: str) -> Entry:
        """What is stored under a key."""
        if key not in self.entries:
            raise CommandError(f"Metadata key {key} not found")
        return self.entries[key]

    def read(self, key: str) -> str | list[str]:
        """Its value or its lines."""
        entry = self.find(key)
        return entry.value if entry.lines is None else entry.lines

    def write(self, key: str, text: str) -> None:
        """Take a value."""
        entry = self.find(key)
        if entry.constant or entry.lines is not None:
            raise CommandError("Cannot write to this field")
        entry.value = valid_utf8(text)
        entry.changed = self.journal.mark()

    def write_lines(self, key: str, lines: list[str], suffix: str) -> None:
        """Take lines that were sent with `<` and that suffix."""
        entry = self.find(key)
        if entry.lines is None:
            raise CommandError("Not a multi-line field")
        if "B" in suffix:
            raise CommandError("Binary writes not supported")
        if "<" in suffix:
            raise CommandError("Streaming mode not supported")
        entry.lines = [valid_utf8(line) for line in lines]
        entry.changed = self.journal.mark()

    def changes(self, seen: int) -> list[str]:
        """Lines for the entries that changed after that number."""
        return [
            f"*METADATA.{key}<"
            if entry.lines is not None
            else f"*METADATA.{key}={entry.value}"
            for key, entry in self.entries.items()
            if entry.changed > seen and not entry.constant
        ]
