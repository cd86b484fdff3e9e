"""One cell of a notebook that is updated in place: `Cell`.

Figures, the latest rows and the picture are one output with one identity, so a scan
leaves one output behind, however long it takes.
"""

import base64
import html
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

from beamfly.live.announced import Document
from beamfly.live.curves import CurvesView
from beamfly.live.drawing import Drawing
from beamfly.live.maps import MapView
from beamfly.live.picture import Painter
from beamfly.live.rows import Block, Floats
from beamfly.live.viewer import Watches
from beamfly.live.watch import StreamWatch
from beamfly.live.words import all_stats, run_name, summary

LATEST = 5
"""Rows that are shown."""


def is_notebook() -> bool:
    """Whether this process is a kernel, whose output goes to a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Cell:
    """The output of one run.

    Args:
        start: Start document of the run.
        plot: Whether there is a picture.
        period: Seconds between two pictures, at least.
    """

    def __init__(self, start: Document, plot: bool, period: float) -> None:
        self.about = "the notebook's output"
        self._start = start
        self._drawing = Drawing(start, self, period) if plot else None
        self._painters: dict[str, Painter] = {}
        self._pictures: dict[str, str] = {}
        self._latest: dict[str, deque[dict[str, float]]] = {}
        self._handle: Any = None
        self._text = ""
        self._shown = ""

    def document(self, name: str, doc: Document, watches: Watches) -> None:
        """Nothing to do."""

    def rows(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats]
    ) -> None:
        """Keep the latest rows, and draw all."""
        kept = self._latest.setdefault(watch.stream.name, deque(maxlen=LATEST))
        columns = {**motors, **block.values}
        for index in range(max(0, len(block) - LATEST), len(block)):
            row = {key: float(values[index]) for key, values in columns.items()}
            kept.append({"row": block.start + index, **row})
        if self._drawing:
            self._drawing.rows(watch, block, motors)

    def draw(self, stream: str, view: CurvesView | MapView, title: str) -> None:
        """Take the next picture of a stream."""
        png = self._painters.setdefault(stream, Painter()).png(view, title)
        self._pictures[stream] = base64.b64encode(png).decode()

    def show(self, watches: Watches) -> None:
        """Update the output."""
        self._text = "\n".join(stats.line() for stats in all_stats(watches))
        self._draw_and_show(watches, self._drawing.show if self._drawing else None)

    def stop(self, watches: Watches, doc: Document) -> None:
        """Show the summary and the last picture, while the cell is still running."""
        self._text = summary(watches, self._start, doc)
        self._draw_and_show(watches, self._drawing.finish if self._drawing else None)

    def finish(self, watches: Watches) -> None:
        """Nothing more to do."""

    def _draw_and_show(self, watches: Watches, draw: Any) -> None:
        if draw is not None and self._drawing is not None:
            try:
                draw(watches)
            except Exception:
                # what comes after this is drawn no more, but still told
                self.about = self._drawing.about
                self._drawing = None
                raise
        self._show()

    def _show(self) -> None:
        import IPython.display

        module: Any = IPython.display
        page = self._page()
        if page == self._shown:
            return
        self._shown = page
        bundle = {"text/html": page, "text/plain": self._text}
        if self._handle is None:
            name = f"beamfly-live-{self._start['uid']}"
            self._handle = module.display(bundle, raw=True, display_id=name)
        else:
            self._handle.update(bundle, raw=True)

    def _page(self) -> str:
        title = html.escape(run_name(self._start))
        parts = [f"<b>{title}</b><pre>{html.escape(self._text)}</pre>"]
        parts += [_table(list(rows)) for rows in self._latest.values() if rows]
        for stream, picture in self._pictures.items():
            parts.append(
                f'<img alt="{html.escape(stream)}" '
                f'src="data:image/png;base64,{picture}">'
            )
        return "\n".join(parts)


def _table(rows: list[dict[str, float]]) -> str:
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[-1])
    lines = ("".join(f"<td>{value:.7g}</td>" for value in row.values()) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>{body}</table>"
