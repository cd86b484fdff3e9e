"""Curves that stay small, maps that come out straight, and their pictures."""

import io
import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from live_documents import block, key, start, stream
from PIL import Image

from beamfly.live.choice import Choice, choose
from beamfly.live.curves import MOST_POINTS, Curves, CurvesView
from beamfly.live.maps import MapGrid, MapView
from beamfly.live.picture import Painter

X = "panda://h/INENC1.VAL.Mean"
Y = "panda://h/INENC2.VAL.Mean"


def two_axes(shape: tuple[int, int] | None = None, **more: Any) -> Choice:
    keys = {"x": key(X, units="mm"), "y": key(Y, units="mm"), "v": key()}
    if shape:
        more["shape"] = list(shape)
    return choose(stream(keys), start(**more))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12), st.randoms())
def test_a_curve_keeps_the_extremes_of_any_number_of_rows(
    sizes: list[int], random: Any
) -> None:
    total = sum(sizes)
    values = np.sin(np.arange(total) / 50)
    spike, dip = random.randrange(total), random.randrange(total)
    values[spike], values[dip] = 5, -5
    curves = Curves(two_axes())
    first = 0
    for size in sizes:
        rows = slice(first, first + size)
        x = np.arange(first, first + size) / total
        curves.add(block(first, {"x": x, "y": 0 * x, "v": values[rows]}), {})
        first += size
    view = curves.view()
    assert view is not None
    assert view.x_label == ("x (mm)" if total > 1 else "row")
    ((_, shown_x, shown),) = view.panels
    assert len(shown) <= MOST_POINTS
    assert len(shown) == total or len(shown) > MOST_POINTS / 8
    assert shown.min() == -5
    assert spike == dip or shown.max() == 5
    assert (np.diff(shown_x) > 0).all()


def test_curves_are_drawn_along_what_moves() -> None:
    rows = np.arange(10.0)
    curves = Curves(two_axes())
    curves.add(block(0, {"x": 0 * rows, "y": rows, "v": rows}), {})
    assert curves.axis == "y"
    still = Curves(two_axes())
    still.add(block(0, {"x": 0 * rows, "y": 0 * rows, "v": rows}), {})
    assert still.axis == "row"
    timed = Curves(two_axes())
    values = {"x": 0 * rows, "y": 0 * rows, "v": rows}
    timed.add(block(0, values, times=1e9 + rows / 10), {})
    view = timed.view()
    assert view is not None
    assert view.x_label == "time (s)"
    assert view.panels[0][1] == pytest.approx(rows / 10)


def test_an_axis_that_is_asked_for_is_drawn_along() -> None:
    rows = np.arange(10.0)
    keys = {"x": key(X), "v": key()}
    curves = Curves(choose(stream(keys), start(), x="row"), "row")
    curves.add(block(0, {"x": rows, "v": rows}), {})
    assert curves.axis == "row"


def positions(lines: int, points: int, snake: bool) -> tuple[Any, Any]:
    x = np.tile(np.linspace(-1, 1, points), (lines, 1))
    if snake:
        x[1::2] = x[1::2, ::-1]
    return x.ravel(), np.repeat(np.linspace(5, 7, lines), points)


@settings(deadline=None)
@given(
    st.integers(2, 6),
    st.integers(2, 9),
    st.booleans(),
    st.sets(st.integers(1, 60)),
)
def test_a_map_is_the_same_however_rows_come_in(
    lines: int, points: int, snake: bool, cuts: set[int]
) -> None:
    x, y = positions(lines, points, snake)
    values = 10 * y + x
    grid = MapGrid(two_axes((lines, points)), start())
    total = lines * points
    # a first line of one row says nothing of its direction
    edges = [0, *sorted(cut for cut in cuts if 2 <= cut < total), total]
    for low, high in itertools.pairwise(edges):
        part = slice(low, high)
        grid.add(block(low, {"x": x[part], "y": y[part], "v": values[part]}), {})
    view = grid.view()
    straight, _ = positions(lines, points, False)
    expected = (10 * y + straight).reshape(lines, points)
    ((_, shown),) = view.panels
    np.testing.assert_allclose(shown, expected)
    left, right, bottom, top = view.extent
    half = 1 / (points - 1)
    assert (left, right) == pytest.approx((-1 - half, 1 + half))
    half = 1 / (lines - 1)
    assert (bottom, top) == pytest.approx((5 - half, 7 + half))
    assert (view.x_label, view.y_label) == ("x (mm)", "y (mm)")
    assert view.same_units


def test_what_is_not_flown_yet_is_empty_and_more_than_planned_is_left_out() -> None:
    x, y = positions(4, 5, True)
    grid = MapGrid(two_axes((4, 5)), start())
    grid.add(block(0, {"x": x[:7], "y": y[:7], "v": y[:7]}), {})
    ((_, shown),) = grid.view().panels
    assert np.isfinite(shown).sum() == 7
    assert np.isfinite(shown[1]).tolist() == [False, False, False, True, True]
    more = np.r_[x, x[:5]]
    grid.add(block(0, {"x": more, "y": more, "v": more}), {})
    assert np.isfinite(grid.view().panels[0][1]).all()


@pytest.mark.parametrize(
    ("extents", "extent"),
    [
        ([[0, 3], [10, 14]], (9.5, 14.5, -0.5, 3.5)),
        ([[8, 10]], (-0.5, 4.5, -0.5, 3.5)),
        ([[0, 0], [1, 2]], (-0.5, 4.5, -0.5, 3.5)),
        ("nonsense", (-0.5, 4.5, -0.5, 3.5)),
        (None, (-0.5, 4.5, -0.5, 3.5)),
    ],
)
def test_axes_are_labelled_with_what_the_plan_says(extents: Any, extent: Any) -> None:
    choice = choose(stream({"v": key()}), start(shape=[4, 5]))
    grid = MapGrid(choice, start(extents=extents))
    grid.add(block(0, {"v": np.arange(20)}), {})
    view = grid.view()
    assert view.extent == extent
    assert (view.x_label, view.y_label) == ("point", "line")


def test_lines_may_be_placed_by_a_motor_that_is_read_once_per_line() -> None:
    grid = MapGrid(choose(stream({"v": key()}), start(shape=[5, 2])), start())
    grid.add(block(0, {"v": np.arange(4)}), {})
    grid.lines_at({"slow": [10.0, 12.0]})
    view = grid.view()
    assert view.extent == (-0.5, 1.5, 9, 19)
    assert view.y_label == "slow"


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_pictures_show_what_they_are_given() -> None:
    painter = Painter()
    rows = np.arange(100.0)
    first = pixels(painter.png(CurvesView("x", [("v", rows, rows)]), "scan 1"))
    same = pixels(painter.png(CurvesView("x", [("v", rows, rows)]), "scan 1"))
    np.testing.assert_array_equal(first, same)
    other = pixels(painter.png(CurvesView("x", [("v", rows, -rows)]), "scan 1"))
    assert first.shape == other.shape
    assert (first != other).any()
    values = np.full((10, 10), np.nan)
    extent = (0.0, 1.0, 0.0, 1.0)
    values[:5] = np.arange(50).reshape(5, 10)
    half = pixels(painter.png(MapView("x", "y", extent, [("v", values)], True), ""))
    values[5:] = values[4::-1]
    full = pixels(painter.png(MapView("x", "y", extent, [("v", values)], True), ""))
    changed = np.flatnonzero((half != full).any(axis=2).sum(axis=1) > 100)
    # the lower half was filled, the upper one was not; row 0 is the lowest
    assert changed.max() < 0.6 * len(half)
    four = [(f"v{n}", rows, rows**n) for n in range(4)]
    assert pixels(painter.png(CurvesView("x", four), "")).shape != first.shape
    three = [(f"v{n}", values) for n in range(3)]
    painter.png(MapView("x", "y", extent, three, False), "three maps")
