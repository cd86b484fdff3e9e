"""Trajectories: lines at constant velocity, smooth turns, an output per line."""

import numpy as np
import pytest
from scanspec.specs import Fly, Linspace

from beamfly.errors import BadValue
from beamfly.sim import plan_trajectory

FRAME = 0.01
TURN = 0.2


def snake(lines: int = 3, points: int = 5) -> Fly:
    inner = ~Linspace("x", 0.5, points - 0.5, points)
    return Fly(FRAME @ (Linspace("y", 0, lines - 1, lines) * inner))


def test_lines_are_straight_and_take_their_time() -> None:
    path = plan_trajectory(snake(), TURN)
    for line in range(3):
        begin = TURN + line * (5 * FRAME + TURN)
        times = np.linspace(begin, begin + 5 * FRAME, 11)
        x = np.interp(times, path.times, path.positions["x"])
        y = np.interp(times, path.times, path.positions["y"])
        expected = np.linspace(0, 5, 11)
        np.testing.assert_allclose(x, expected[:: -1 if line % 2 else 1], atol=1e-9)
        np.testing.assert_allclose(y, line, atol=1e-9)


def test_output_rises_in_each_turn_before_its_line_and_falls_after_it() -> None:
    path = plan_trajectory(snake(), TURN)
    starts = TURN + np.arange(3) * (5 * FRAME + TURN)
    assert np.all(path.line_starts < starts)
    assert np.all(path.line_starts > starts - TURN)
    np.testing.assert_allclose(path.line_ends, starts + 5 * FRAME)


def test_axis_has_not_reached_the_line_when_the_output_rises() -> None:
    path = plan_trajectory(snake(), TURN)
    x = np.interp(path.line_starts, path.times, path.positions["x"])
    assert x[0] < 0
    assert x[1] > 5
    assert x[2] < 0


def test_velocity_is_continuous_at_the_ends_of_lines() -> None:
    path = plan_trajectory(snake(), TURN)
    velocity = np.diff(path.positions["x"]) / np.diff(path.times)
    speed = 1 / FRAME
    # the pieces of a turn are short: no jump between two is near the speed itself
    assert np.abs(np.diff(velocity)).max() < speed / 2


def test_times_increase() -> None:
    path = plan_trajectory(snake(20, 1), TURN)
    assert np.all(np.diff(path.times) > 0)
    assert path.duration == path.times[-1]


def test_a_scan_without_time_per_point_is_refused() -> None:
    with pytest.raises(BadValue, match="no time per point"):
        plan_trajectory(Linspace("x", 0, 1, 5))
