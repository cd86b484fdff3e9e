"""The blocks behind the fields: what was written to them, and what they show."""

from collections.abc import Sequence


class Machine:
    """All blocks of a PandA."""

    def __init__(self) -> None:
        self.settings: dict[str, int] = {}
        self.values: dict[str, int] = {
            "SYSTEM.TEMP_ZYNQ": 40000,
            "SYSTEM.VCCINT": 1000,
        }
        self.changes: dict[str, int] = {}
        self.tables: dict[str, list[int]] = {}

    def write(self, name: str, value: int) -> None:
        """A param, mux or action was written."""
        self.settings[name] = value

    def write_delay(self, name: str, ticks: int) -> None:
        """The delay of a bit mux was written."""
        self.settings[f"{name}.DELAY"] = ticks

    def write_table(self, name: str, words: Sequence[int], *, more: bool) -> None:
        """A table was written."""
        self.tables[name] = list(words)
        state = name.replace("TABLE", "STATE")
        self.values[state] = int(bool(words))

    def append_table(self, name: str, words: Sequence[int], *, more: bool) -> None:
        """A further table was queued."""
        self.tables[name] += words

    def queued_lines(self, name: str) -> int:
        """Rows of queued tables that were not begun yet."""
        return 0

    def read(self, name: str) -> int:
        """Value of a read field, a bit or a position."""
        return self.values.get(name, 0)

    def count_changes(self, name: str) -> int:
        """How often a bit or a position changed so far."""
        return self.changes.get(name, 0)
