"""A window with the picture, where matplotlib has a Qt backend: `Window`.

Qt wants its windows in the main thread, which the RunEngine keeps running for them;
bluesky's `QtAwareCallback` carries what is to be drawn there.
"""

import sys
from typing import Any

from beamfly.live.curves import CurvesView
from beamfly.live.maps import MapView
from beamfly.live.picture import Picture


def has_windows() -> bool:
    """Whether matplotlib draws in windows that can be updated during a scan."""
    if "matplotlib.pyplot" not in sys.modules:
        return False
    import matplotlib

    return "qt" in str(matplotlib.get_backend()).lower()


def make_windows_possible() -> None:
    """To be called in the main thread, before `Window` is used in another one."""
    from bluesky.callbacks.mpl_plotting import (
        initialize_qt_teleporter,  # pyright: ignore[reportUnknownVariableType]
    )

    initialize_qt_teleporter()


class Window:
    """One window per stream, which the next scan of the same kind uses again.

    A picture that the main thread has not drawn yet is replaced by the next one. What
    goes wrong there comes out of the next `draw`, as Qt would end the program for it.
    """

    def __init__(self) -> None:
        from bluesky.callbacks.mpl_plotting import QtAwareCallback

        window = self

        class Carrier(QtAwareCallback):
            """Has `event` called in the main thread."""

            def event(self, doc: Any) -> Any:
                window.draw_latest(doc["stream"])
                return doc

        self._carrier: Any = Carrier()
        self._waiting: dict[str, tuple[CurvesView | MapView, str]] = {}
        self._open: dict[str, tuple[Any, Picture]] = {}
        self._error: Exception | None = None

    def draw(self, stream: str, view: CurvesView | MapView, title: str) -> None:
        """Have the window of a stream show this."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        on_its_way = stream in self._waiting
        self._waiting[stream] = (view, title)
        if not on_its_way:
            self._carrier("event", {"stream": stream})

    def draw_latest(self, stream: str) -> None:
        """Draw what waits; to be called in the main thread."""
        view, title = self._waiting.pop(stream)
        try:
            figure, picture = self._window(stream)
            picture.show(view, title)
            figure.canvas.draw_idle()
        except Exception as error:  # told by the next `draw`
            self._error = error

    def _window(self, stream: str) -> tuple[Any, Picture]:
        import matplotlib.pyplot as plt

        pyplot: Any = plt
        known = self._open.get(stream)
        if known is None or not pyplot.fignum_exists(known[0].number):
            figure = pyplot.figure(f"beamfly live: {stream}")
            figure.show()
            known = self._open[stream] = (figure, Picture(figure))
        return known
