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
    """One window per stream, which the next scan of the same kind uses again."""

    def __init__(self) -> None:
        from bluesky.callbacks.mpl_plotting import QtAwareCallback

        pictures: dict[str, tuple[Any, Picture]] = {}

        class Carrier(QtAwareCallback):
            """Has `event` called in the main thread."""

            def event(self, doc: Any) -> Any:
                stream = doc["stream"]
                if stream not in pictures:
                    pictures[stream] = _open(stream)
                figure, picture = pictures[stream]
                picture.show(doc["view"], doc["title"])
                figure.canvas.draw_idle()
                return doc

        self._carrier: Any = Carrier()

    def draw(self, stream: str, view: CurvesView | MapView, title: str) -> None:
        """Have the window of a stream show this."""
        self._carrier("event", {"stream": stream, "view": view, "title": title})


def _open(stream: str) -> tuple[Any, Picture]:
    import matplotlib.pyplot as plt

    pyplot: Any = plt
    figure = pyplot.figure(f"beamfly live: {stream}")
    figure.show()
    return figure, Picture(figure)
