"""One line on the terminal that follows a flight: `FrameLine`."""

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class FrameLine:
    """Frames, rate and time left; subscribe it to a RunEngine and enter it.

    Args:
        total: Frames to come.
        console: Where to write, the terminal if None.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("   frames"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("frames", total=total, rate="")

    def __enter__(self) -> "FrameLine":
        """Show the line."""
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Leave the line as it is."""
        self._progress.stop()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document; rows are announced by `stream_datum`."""
        if name == "stream_datum":
            rows = doc["indices"]["stop"]
            speed = self._progress.tasks[0].speed
            rate = f"{speed:.0f} Hz" if speed else ""
            self._progress.update(self._task, completed=rows, rate=rate)
