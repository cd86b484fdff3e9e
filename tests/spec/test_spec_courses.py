"""From what is typed to where motors go."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.spec import course
from beamfly.spec.steps import break_points


class Motor:
    """Something with a name that can be set."""

    parent = None

    def __init__(self, name: str) -> None:
        self.name = name

    def set(self, value: Any) -> Any:
        raise AssertionError("a course moves nothing")


X, Y, Z = Motor("x"), Motor("y"), Motor("z")


def test_intervals_are_one_fewer_than_points() -> None:
    made = course("ascan", (X, 0, 1, 10, 0.1))
    assert made.command == "ascan x 0 1 10 0.1"
    assert made.num == 11 and made.time == 0.1 and not made.relative
    np.testing.assert_allclose(made.positions()[X], np.linspace(0, 1, 11))


def test_points_may_be_counted_instead() -> None:
    made = course("ascan", (X, 0, 1), num=11, time=0.1)
    assert made.num == 11 and made.command == "ascan x 0 1 num=11 0.1"


def test_motors_go_together() -> None:
    made = course("a3scan", (X, 0, 1, Y, 0, 2, Z, 5, 5, 4))
    assert made.shape == (5,) and made.time is None
    assert made.positions()[Y].tolist() == [0, 0.5, 1, 1.5, 2]
    assert made.metadata()["motors"] == ["x", "y", "z"]
    assert made.metadata()["hints"]["dimensions"] == [(["x", "y", "z"], "primary")]


def test_first_motor_of_a_mesh_is_the_fast_one() -> None:
    made = course("mesh", (X, 0, 2, 2, Y, 0, 1, 1, 0.1))
    assert list(made.positions()) == [Y, X]
    assert made.positions()[X].tolist() == [0, 1, 2, 0, 1, 2]
    assert made.positions()[Y].tolist() == [0, 0, 0, 1, 1, 1]
    about = made.metadata()
    assert about["shape"] == [2, 3] and about["motors"] == ["y", "x"]
    assert about["extents"] == [[0, 1], [0, 2]]
    assert about["hints"] == {
        "dimensions": [(["y"], "primary"), (["x"], "primary")],
        "gridding": "rectilinear",
    }


def test_mesh_may_go_there_and_back() -> None:
    made = course("mesh", (X, 0, 2, 2, Y, 0, 1, 1, 0.1), snake=True)
    assert made.positions()[X].tolist() == [0, 1, 2, 2, 1, 0]


@pytest.mark.parametrize(("name", "relative"), [("dscan", 1), ("lup", 1), ("ascan", 0)])
def test_relative_course_is_moved_to_where_motors_are(name: str, relative: int) -> None:
    made = course(name, (X, -1, 1, 2, 0.1))
    assert made.relative == relative
    assert made.moved({X: 5.0}).positions()[X].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("name", "args", "problem"),
    [
        ("ascan", (X, 0, 1), "'ascan x 0 1' does not fit, it is: ascan motor start"),
        ("ascan", (X, 0, 1, 10, 0.1, 7), "does not fit"),
        ("ascan", (X, 0, 1, 0, 0.1), "intervals are 0, they have to be a whole number"),
        ("ascan", (X, 0, 1, 2.5, 0.1), "intervals are 2.5"),
        ("ascan", (X, 0, "far", 2, 0.1), "'far' is no number"),
        ("ascan", (X, 0, True, 2, 0.1), "True is no number"),
        ("ascan", (X, 0, Y, 2, 0.1), "y is no number"),
        ("ascan", (X, 0, float("inf"), 2, 0.1), "inf is no number"),
        ("ascan", (1, 0, 1, 2, 0.1), "1 is no motor"),
        ("ascan", (X, 0, 1, 2, -1000), "monitor counts, only seconds are known"),
        ("ascan", (X, 0, 1, 2, [0.1, 0.2]), "2 count times for 3 points"),
        ("a2scan", (X, 0, 1, 2, 0.1), "m1 start1 finish1 m2 start2 finish2 intervals"),
        ("a2scan", (X, 0, 1, X, 0, 1, 2, 0.1), "different motors, not x, x"),
        ("mesh", (X, 0, 1, 2, Y, 0, 1), "fast start finish intervals slow"),
        ("mesh", (X, 0, 1, 2, Y, 0, 1, 2, [0.1, 0.2]), "2 count times"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, args: Any, problem: str) -> None:
    with pytest.raises(BadValue, match="nothing was done") as error:
        course(name, args)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    "options", [{"num": 1}, {"num": 2.5}, {"num": 3, "time": -1}, {"num": 10**9}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(BadValue, match="nothing was done"):
        course("ascan", (X, 0, 1), **options)


def test_time_is_given_once() -> None:
    with pytest.raises(BadValue, match="does not fit"):
        course("ascan", (X, 0, 1, 10, 0.1), time=0.1)


def test_breaks() -> None:
    line = course("ascan", (X, 0, 1, 9))
    mesh = course("mesh", (X, 0, 2, 2, Y, 0, 1, 2))
    assert break_points(line, None) == set()
    assert break_points(line, 4) == {4, 8}
    assert break_points(line, [1, 9]) == {1, 9}
    assert break_points(mesh, "row") == {3, 6}
    for wrong in ("row", 0, [11], [0], "often"):
        with pytest.raises(BadValue, match="nothing was done"):
            break_points(line, wrong)


numbers = st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(numbers, numbers, st.integers(1, 200), st.floats(0, 100))
def test_scan_begins_and_ends_where_it_says(
    start: float, finish: float, intervals: int, time: float
) -> None:
    made = course("ascan", (X, start, finish, intervals, time))
    positions = made.positions()[X]
    assert len(positions) == intervals + 1 == made.metadata()["num_points"]
    assert (positions[0], positions[-1]) == (start, finish)


@settings(deadline=None)
@given(
    st.sampled_from(["ascan", "dscan", "a2scan", "mesh", "lup", "d4scan"]),
    st.lists(
        st.one_of(numbers, st.integers(-5, 5), st.sampled_from([X, Y, "a", None]))
    ),
)
def test_anything_is_understood_or_refused(name: str, args: list[Any]) -> None:
    try:
        made = course(name, args)
    except BadValue:
        return
    assert made.num >= 2
