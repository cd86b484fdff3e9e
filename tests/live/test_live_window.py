"""Windows, with a backend that has none: what becomes of figures and of errors."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest

from beamfly.live.curves import CurvesView
from beamfly.live.picture import Picture
from beamfly.live.window import Window, has_windows

VIEW = CurvesView("x", [("v", np.arange(5.0), np.arange(5.0))])


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    monkeypatch.setattr(Figure, "show", lambda figure: None)
    yield
    plt.close("all")
    plt.switch_backend(before)


def test_a_window_is_used_again_until_it_is_closed() -> None:
    import matplotlib.pyplot as plt

    window = Window()
    window.draw("primary", VIEW, "scan 1")
    window.draw("primary", VIEW, "scan 2")
    window.draw("other", VIEW, "scan 2")
    assert plt.get_figlabels() == ["beamfly live: primary", "beamfly live: other"]
    plt.close("all")
    window.draw("primary", VIEW, "scan 3")
    assert plt.get_figlabels() == ["beamfly live: primary"]
    (axes,) = plt.gcf().axes
    assert axes.lines[0].get_xydata()[-1].tolist() == [4, 4]


def test_a_picture_that_cannot_be_drawn_is_told_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("no pen")

    window = Window()
    with monkeypatch.context() as patched:
        patched.setattr(Picture, "show", broken)
        window.draw("primary", VIEW, "scan 1")
        with pytest.raises(RuntimeError, match="no pen"):
            window.draw("primary", VIEW, "scan 1")
    window.draw("primary", VIEW, "scan 1")


def test_pictures_that_are_not_drawn_in_time_are_replaced() -> None:
    window = Window()
    told: list[object] = []
    window._carrier = lambda name, doc: told.append(doc)
    for number in range(100):
        window.draw("primary", VIEW, f"scan {number}")
    assert told == [{"stream": "primary"}]
    assert window._waiting["primary"][1] == "scan 99"


def test_there_are_windows_with_a_qt_backend_only() -> None:
    assert not has_windows()
