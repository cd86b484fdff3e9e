"""Drawing what a flight has brought so far: `Picture`, on a figure of matplotlib.

Everything is drawn anew each time but nothing is made anew, which takes some tens of
milliseconds. `Painter` does it without any window and gives a PNG.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfly.live.curves import CurvesView
from beamfly.live.maps import MapView
from beamfly.live.rows import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
"""Dots per inch of a PNG."""
_PANEL = (7.0, 2.4)
_MAP = (5.6, 4.8)


class Picture:
    """Draws views on a figure.

    Args:
        figure: Of matplotlib, empty.
    """

    def __init__(self, figure: Figure) -> None:
        self._figure: Any = figure
        self._axes: list[Any] = []
        self._artists: list[Any] = []
        self._bars: list[Any] = []
        self._title: Any = None
        self._shape: tuple[str, int] | None = None
        self._widths: list[int] | None = None

    def show(self, view: CurvesView | MapView, title: str) -> None:
        """Have the figure show this view; drawing it is up to the canvas."""
        shape = (type(view).__name__, len(view.panels))
        if shape != self._shape:
            self._shape = shape
            self._lay_out(view)
        if isinstance(view, CurvesView):
            self._show_curves(view)
        else:
            self._show_maps(view)
        self._title.set_text(title)
        # working the layout out takes as long as drawing: only if labels got longer
        widths = self._label_widths()
        self._figure.set_layout_engine(
            "none" if widths == self._widths else "constrained"
        )
        self._widths = widths

    def _lay_out(self, view: CurvesView | MapView) -> None:
        figure, count = self._figure, len(view.panels)
        figure.clear()
        figure.set_layout_engine("constrained")
        self._title = figure.suptitle(" ", fontsize="medium")
        self._widths = None
        self._bars = []
        if isinstance(view, CurvesView):
            width, height = _PANEL
            figure.set_size_inches(width, max(height * count, 3.6))
            self._axes = _flat(figure.subplots(count, 1, sharex=True, squeeze=False))
            self._artists = [
                axes.plot([], [], ".-", markersize=3, linewidth=0.8)[0]
                for axes in self._axes
            ]
            for axes in self._axes:
                axes.grid(alpha=0.3)
            return
        columns = 1 if count == 1 else 2
        lines = -(-count // columns)
        figure.set_size_inches(_MAP[0] * columns, _MAP[1] * lines)
        every = _flat(figure.subplots(lines, columns, squeeze=False))
        self._axes = every[:count]
        for unused in every[count:]:
            unused.set_visible(False)
        self._artists = []
        for axes, (label, values) in zip(self._axes, view.panels, strict=True):
            image = axes.imshow(values, origin="lower", interpolation="nearest")
            self._artists.append(image)
            self._bars.append(figure.colorbar(image, ax=axes, label=label).ax)

    def _label_widths(self) -> list[int]:
        """About how wide the labels of the ticks are, in characters."""
        limits = [axes.get_ylim() for axes in [*self._axes, *self._bars]]
        return [len(f"{limit:.3g}") for pair in limits for limit in pair]

    def _show_curves(self, view: CurvesView) -> None:
        for axes, line, panel in zip(
            self._axes, self._artists, view.panels, strict=True
        ):
            label, x, y = panel
            line.set_data(x, y)
            line.set_marker("." if len(x) < 200 else "")
            axes.set_ylabel(label)
            axes.relim()
            axes.autoscale_view()
        self._axes[-1].set_xlabel(view.x_label)

    def _show_maps(self, view: MapView) -> None:
        left, right, bottom, top = view.extent
        for axes, image, panel in zip(
            self._axes, self._artists, view.panels, strict=True
        ):
            _, values = panel
            image.set_data(values)
            image.set_extent(view.extent)
            axes.set(xlim=(left, right), ylim=(bottom, top))
            axes.set_aspect("equal" if view.same_units else "auto")
            axes.set(xlabel=view.x_label, ylabel=view.y_label)
            low, high = _colour_range(values)
            image.set_clim(low, high)


def _flat(grid: Any) -> list[Any]:
    return [axes for row in grid for axes in row]


def _colour_range(values: Floats) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


class Painter:
    """A picture without a window.

    The first one ever takes about a second, for matplotlib to be imported and fonts to
    be found; `warm_up` takes that at another time.
    """

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure: Any = Figure()
        self._canvas: Any = FigureCanvasAgg(self._figure)
        self._picture = Picture(self._figure)
        self._drawn = 0

    def png(self, view: CurvesView | MapView, title: str) -> bytes:
        """Draw a view; give it as a PNG."""
        self._picture.show(view, title)
        out = io.BytesIO()
        # little compression takes a third of the time
        self._canvas.print_png(out, pil_kwargs={"compress_level": 1})
        return out.getvalue()


def warm_up() -> None:
    """Draw something small, so that the first picture of a flight is a quick one."""
    Painter().png(CurvesView("x", [("y", np.arange(2.0), np.arange(2.0))]), "")
