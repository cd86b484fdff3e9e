"""What people may write as a condition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.watch import condition
from beamfly.watch.conditions import parse

FORMS = [
    ("< 50", 49.0, 50.0),
    ("<= 50", 50.0, 50.1),
    (">50", 51, 50),
    (">= 5e1", 50, 49),
    ("== Closed", "Closed", "Open"),
    ("!= 'Open'", "Closed", "Open"),
    ("== 3", 3, 4),
    ("outside(1, 2)", 2.5, 2),
    ("inside(-1,2)", 0.0, 2.5),
]


@pytest.mark.parametrize(("text", "bad", "fine"), FORMS)
def test_form_tells_bad_from_fine(text: str, bad: object, fine: object) -> None:
    made = condition(text)
    assert made.begins(bad, 0) and not made.begins(fine, 0)
    assert made.ends(fine, 0) and not made.ends(bad, 0)


@pytest.mark.parametrize(
    ("text", "severity", "holds"),
    [
        ("in_alarm", 0, False),
        ("in_alarm", 1, True),
        ("in_alarm(MAJOR)", 1, False),
        ("in_alarm( major )", 2, True),
        ("in_alarm(INVALID)", 3, True),
    ],
)
def test_alarm_looks_at_the_severity(text: str, severity: int, holds: bool) -> None:
    made = condition(text)
    assert made.of_alarm
    assert made.begins("whatever", severity) is holds
    assert made.ends("whatever", severity) is not holds


@pytest.mark.parametrize(
    ("text", "hysteresis", "until"),
    [
        ("< 50", 30, ">= 80"),
        ("> 50", 0.5, "<= 49.5"),
        ("outside(1, 5)", 0.5, "inside(1.5, 4.5)"),
        ("inside(1, 5)", 0.5, "outside(0.5, 5.5)"),
        ("== Closed", 0, "!= Closed"),
        ("in_alarm(MAJOR)", 0, "no_alarm(MAJOR)"),
    ],
)
def test_end_is_said_in_words(text: str, hysteresis: float, until: str) -> None:
    assert condition(text, hysteresis=hysteresis).until == until


@pytest.mark.parametrize(
    "text",
    ["", "50", "=< 50", "< high", "> nan", "outside(2, 1)", "outside(1)", "alarm"],
)
def test_what_is_not_understood_lists_the_forms(text: str) -> None:
    with pytest.raises(BadValue, match=r"outside\(1, 2\), inside\(1, 2\), in_alarm"):
        condition(text)


@pytest.mark.parametrize(
    "arguments",
    [
        {"what": "< 50", "hysteresis": -1},
        {"what": "< 50", "hysteresis": 1, "until": "> 80"},
        {"what": "== Closed", "hysteresis": 1},
        {"what": "outside(1, 2)", "hysteresis": 1},
        {"what": bool, "hysteresis": 1},
    ],
)
def test_margin_that_makes_no_sense_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(BadValue, match="nothing is watched"):
        condition(**arguments)


def test_function_may_decide() -> None:
    made = condition(lambda value: value % 2, until="> 10")
    assert made.begins(3, 0) and not made.begins(4, 0)
    assert made.ends(12, 0) and made.until == "> 10"


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        made = parse(text)
    except BadValue:
        return
    assert parse(made.text).kind == made.kind


@settings(deadline=None)
@given(
    st.sampled_from(["<", "<=", ">", ">="]),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e3),
    st.floats(-1e6, 1e6),
)
def test_nothing_begins_and_ends_at_the_same_value(
    kind: str, threshold: float, hysteresis: float, value: float
) -> None:
    made = condition(f"{kind} {threshold!r}", hysteresis=hysteresis)
    assert not (made.begins(value, 0) and made.ends(value, 0))
