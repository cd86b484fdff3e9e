"""Pictures that follow a flight: `Drawing` gathers, and draws now and then.

Where a picture goes is up to a `Canvas`: a PNG file here, a notebook's cell in
`notebook`, a window in `window`.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from beamfly.live.announced import Document
from beamfly.live.curves import Curves, CurvesView
from beamfly.live.maps import MapGrid, MapView
from beamfly.live.picture import Painter
from beamfly.live.rows import Block, Floats
from beamfly.live.viewer import Watches
from beamfly.live.watch import StreamWatch
from beamfly.live.words import run_name

SHARE = 0.1
"""Part of a processor that drawing may take."""


class Canvas(Protocol):
    """Where pictures of a run go."""

    def draw(self, stream: str, view: CurvesView | MapView, title: str) -> None:
        """Show the picture of a stream in place of the one before."""


class PngFile:
    """A PNG file that always has the latest picture.

    Args:
        path: Of the file; further streams than the first have their names added.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._painters: dict[str, Painter] = {}

    def draw(self, stream: str, view: CurvesView | MapView, title: str) -> None:
        """Replace the file, in one go."""
        path = self._path
        if self._painters and stream not in self._painters:
            path = path.with_stem(f"{path.stem}-{stream}")
        painter = self._painters.setdefault(stream, Painter())
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(painter.png(view, title))
        part.replace(path)


class Drawing:
    """Draws all flown streams of a run.

    Args:
        start: Start document of the run.
        canvas: Where pictures go.
        period: Seconds between two pictures, at least.
    """

    def __init__(self, start: Document, canvas: Canvas, period: float) -> None:
        self.about = "the plot"
        self._start, self._canvas, self._period = start, canvas, period
        self._charts: dict[str, Curves | MapGrid] = {}
        self._changed: set[str] = set()
        self._due = 0.0

    def document(self, name: str, doc: Document, watches: Watches) -> None:
        """Nothing to do."""

    def rows(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats]
    ) -> None:
        """Add rows to what will be drawn."""
        if not watch.choice.values:
            return  # only images, or nothing at all
        name = watch.stream.name
        if name not in self._charts:
            is_map = watch.choice.shape is not None
            self._charts[name] = (
                MapGrid(watch.choice, watch.start)
                if is_map
                else Curves(watch.choice, watch.asked_x)
            )
        self._charts[name].add(block, motors)
        self._changed.add(name)

    def show(self, watches: Watches) -> None:
        """Draw, if it is time."""
        begun = time.monotonic()
        if self._changed and begun >= self._due:
            self._draw(watches)
            now = time.monotonic()
            # the slower a picture, the rarer
            self._due = begun + max(self._period, (now - begun) / SHARE)

    def stop(self, watches: Watches, doc: Document) -> None:
        """Nothing to say."""

    def finish(self, watches: Watches) -> None:
        """Draw all of it."""
        self._draw(watches)

    def _draw(self, watches: Watches) -> None:
        for name in sorted(self._changed):
            watch, chart = watches[name], self._charts[name]
            if isinstance(chart, MapGrid):
                chart.lines_at(watch.line_positions)
            view = chart.view()
            drawn = ", ".join(watch.choice.values)
            self.about = f"the plot of {drawn} in stream {name}"
            counts = ", ".join(stats.count for stats in watch.stats.values())
            if view is not None:
                title = f"{run_name(self._start)}: {' '.join(counts.split())}"
                self._canvas.draw(name, view, title)
        self._changed.clear()
