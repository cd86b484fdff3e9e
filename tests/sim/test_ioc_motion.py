"""Motion of the simulated IOC's axes: trapezoids, retargeting, stops; properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.sim.ioc import Axis, FreeMechanics
from beamfly.sim.ioc.motion import Pace, corners, plan_move, plan_stop

paces = st.builds(
    lambda speed, rate, start: Pace(speed, rate, start * speed),
    st.floats(0.01, 50),
    st.floats(0.1, 500),
    st.just(0.0) | st.floats(0, 1),
)


def test_a_trapezoid_takes_the_time_that_it_should() -> None:
    phases = plan_move(10.0, 0.0, Pace(2.0, 4.0))
    assert [phase.duration for phase in phases] == pytest.approx([0.5, 4.5, 0.5])
    assert [phase.way for phase in phases] == pytest.approx([0.5, 9.0, 0.5])


def test_a_short_move_is_a_triangle() -> None:
    up, down = plan_move(-1.0, 0.0, Pace(100.0, 4.0))
    assert (up.duration, down.duration) == pytest.approx((0.5, 0.5))
    assert up.way == pytest.approx(-0.5)
    assert down.velocity == pytest.approx(-2.0)


def test_a_start_velocity_is_there_at_once() -> None:
    phases = plan_move(6.0, 0.0, Pace(3.0, 2.0, 1.0))
    assert phases[0].velocity == 1.0
    assert [phase.duration for phase in phases] == pytest.approx([1, 2 / 3, 1])


def test_a_motor_that_moves_already_does_not_stop_on_its_way() -> None:
    phases = plan_move(10.0, 2.0, Pace(2.0, 4.0))
    assert all(phase.velocity > 0 for phase in phases)
    assert phases[0].velocity == 2.0
    assert sum(phase.duration for phase in phases) == pytest.approx(9.5 / 2 + 0.5)


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(-50, 50), paces)
def test_a_move_ends_where_it_should_and_never_jumps(
    way: float, velocity: float, pace: Pace
) -> None:
    phases = plan_move(way, velocity, pace)
    assert sum(phase.way for phase in phases) == pytest.approx(way, abs=1e-6)
    allowed = max(pace.speed, abs(velocity)) + 1e-6
    before = velocity
    for phase in phases:
        after = phase.velocity + phase.acceleration * phase.duration
        assert phase.duration > 0
        assert max(abs(phase.velocity), abs(after)) <= allowed
        assert abs(phase.acceleration) <= pace.rate * (1 + 1e-9)
        # at a turn, at the start and at the end it may jump by the start velocity
        assert abs(phase.velocity - before) <= 2 * pace.start + 1e-4
        before = after
    assert abs(before) <= pace.start + 1e-4


@settings(deadline=None)
@given(st.floats(-50, 50), paces)
def test_a_stop_is_as_short_as_it_can_be(velocity: float, pace: Pace) -> None:
    phases = plan_stop(velocity, pace)
    lasts = sum(phase.duration for phase in phases)
    shed = max(0.0, abs(velocity) - pace.start)
    assert lasts == pytest.approx(shed / pace.rate, abs=1e-9)


@settings(deadline=None)
@given(
    st.floats(-20, 20),
    st.floats(0.5, 20),
    st.floats(1, 200),
    st.floats(1e-4, 1e-2),
)
def test_straight_pieces_stay_near_the_parabola(
    way: float, speed: float, rate: float, finest: float
) -> None:
    phases = plan_move(way, 0.0, Pace(speed, rate))
    times, places = corners(phases, 3.0, finest)
    begin, position = 0.0, 3.0
    for phase in phases:
        passed = np.linspace(0, phase.duration, 97)
        exact = position + phase.velocity * passed + phase.acceleration * passed**2 / 2
        path = np.interp(begin + passed, times, places)
        np.testing.assert_allclose(path, exact, atol=1.01 * finest + 1e-9)
        begin, position = begin + phase.duration, position + phase.way


moves = st.lists(
    st.tuples(st.floats(0, 2), st.none() | st.floats(-20, 20), paces), max_size=8
)


@settings(deadline=None)
@given(moves)
def test_an_axis_never_jumps_whatever_it_is_told_and_when(
    steps: list[tuple[float, float | None, Pace]],
) -> None:
    now = 0.0
    drive = SimulatedMotor(counts_per_unit=1000.0)
    axis = Axis(FreeMechanics(lambda: now), drive, (-10.0, 15.0))
    target = 0.0
    for wait, place, pace in steps:
        now += wait
        before = axis.position()
        if place is None:
            axis.stop(pace)
        else:
            target = min(max(place, -10.0), 15.0)
            axis.move([(place, pace)])
        assert axis.position() == pytest.approx(before, abs=1e-9)
        if place is not None:
            assert axis.position(axis.arrival()) == pytest.approx(target, abs=1e-9)
    end = max(now, axis.arrival()) + 0.1
    times = np.linspace(0, end, 3001)
    path = axis.position(times)
    assert path.shape == times.shape
    np.testing.assert_allclose(path, [axis.position(t) for t in times.tolist()])
    assert path.min() >= -10.0 - 1e-9
    assert path.max() <= 15.0 + 1e-9
    fastest = max((pace.speed for *_, pace in steps), default=0.0)
    assert np.abs(np.diff(path)).max() <= fastest * end / 3000 + 3e-4
    assert axis.drive.velocity(end) == 0


def test_counts_are_those_of_the_encoder() -> None:
    now = 0.0
    drive = SimulatedMotor(counts_per_unit=-2000.0, zero=1.0)
    axis = Axis(FreeMechanics(lambda: now), drive)
    axis.move([(3.0, Pace(1.0, 10.0))])
    times = np.array([0.0, 1.0, 50.0])
    expected = [round(drive.counts(t)) for t in times]
    assert axis.counts(times).tolist() == expected
    assert expected[0] == 2000
    assert expected[2] == -4000
