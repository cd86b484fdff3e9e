"""One line per detector, rewritten in place: `TerminalLines`; in logs: `LogLines`."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from beamfly.live.announced import Document
from beamfly.live.rows import Block, Floats
from beamfly.live.stats import FlyStats
from beamfly.live.viewer import Watches
from beamfly.live.watch import StreamWatch
from beamfly.live.words import all_stats, summary

STEP = 0.1
"""Part of a scan after which a log gets a line."""
UNKNOWN_STEP = 10.0
"""Seconds after which it gets one if nobody knows how long the scan is."""
_BAR = 16


def say(text: str) -> None:
    """Print a line, above those that are rewritten."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def is_terminal() -> bool:
    """Whether lines can be rewritten where standard output goes."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal


class TerminalLines:
    """Lines at the bottom of a terminal while others print above them.

    Args:
        start: Start document of the run.
    """

    about = "the progress line"

    def __init__(self, start: Document) -> None:
        self._start = start
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=_BAR),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            # what others print is not to be broken where lines end
            console=Console(highlight=False, markup=False, soft_wrap=True),
            # this thread writes, no other one
            auto_refresh=False,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._shown = False

    def document(self, name: str, doc: Document, watches: Watches) -> None:
        """Nothing to do."""

    def rows(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats]
    ) -> None:
        """Nothing to do."""

    def show(self, watches: Watches) -> None:
        """Rewrite the lines."""
        if not self._shown:
            self._shown = True
            self._progress.start()
            # a process that is killed now must not leave a terminal without it
            self._progress.console.show_cursor(True)
        for stats in all_stats(watches):
            fields: dict[str, Any] = {
                "completed": stats.frames,
                "total": stats.expected,
                "count": stats.count,
                "figures": self._fitting(stats),
            }
            if stats.name not in self._tasks:
                self._tasks[stats.name] = self._progress.add_task(stats.name, **fields)
            self._progress.update(self._tasks[stats.name], **fields)
        self._progress.refresh()

    def _fitting(self, stats: FlyStats) -> str:
        """As many of the figures as there is room for, most important first."""
        width = self._progress.console.width
        room = width - len(stats.name) - _BAR - len(stats.count) - 4
        text = ""
        for figure in stats.figures():
            longer = f"{text}  {figure}".strip()
            if len(longer) > room:
                break
            text = longer
        return text

    def stop(self, watches: Watches, doc: Document) -> None:
        """Take the lines away, print the summary."""
        self._progress.stop()
        say(summary(watches, self._start, doc))

    def finish(self, watches: Watches) -> None:
        """Nothing more to do."""
        self._progress.stop()


class LogLines:
    """A line now and then, where nothing can be rewritten.

    Args:
        start: Start document of the run.
    """

    about = "the progress lines"

    def __init__(self, start: Document) -> None:
        self._start = start
        self._told: dict[str, float] = {}

    def document(self, name: str, doc: Document, watches: Watches) -> None:
        """Nothing to do."""

    def rows(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats]
    ) -> None:
        """Nothing to do."""

    def show(self, watches: Watches) -> None:
        """Print a line for each detector that got on by a tenth."""
        for stats in all_stats(watches):
            fraction = stats.fraction
            done = stats.seconds / UNKNOWN_STEP if fraction is None else fraction / STEP
            if stats.frames and int(done) > self._told.get(stats.name, 0):
                self._told[stats.name] = int(done)
                say(stats.line())

    def stop(self, watches: Watches, doc: Document) -> None:
        """Print the summary."""
        say(summary(watches, self._start, doc))

    def finish(self, watches: Watches) -> None:
        """Nothing more to do."""
