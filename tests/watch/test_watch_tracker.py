"""What begins and ends: time is a number here."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.watch.conditions import condition
from beamfly.watch.tracker import Change, Quiet, Sample, Tracker

BEGAN, AGAIN, ENDED = Change.BEGAN, Change.AGAIN, Change.ENDED
SETTLING, RELAPSED = Change.SETTLING, Change.RELAPSED
LOST, BACK = Change.LOST, Change.BACK
DOUBT = Sample(100.0, doubt="it is disconnected")


def low(**timing: float) -> Tracker:
    tracker = Tracker(condition("< 50", until=">= 80"), **timing)
    tracker.start(0.0)
    tracker.receive(Sample(100.0), 0.0)
    return tracker


def test_it_begins_and_ends_with_hysteresis() -> None:
    tracker = low()
    told = [tracker.receive(Sample(v), 1.0) for v in (51, 49, 60, 79, 80, 60, 49)]
    assert told == [[], [BEGAN], [], [], [ENDED], [], [BEGAN]]


def test_it_has_to_hold_before_it_counts() -> None:
    tracker = low(after=2.0)
    assert tracker.receive(Sample(10.0), 1.0) == []
    assert tracker.deadline == 3.0
    assert tracker.receive(Sample(90.0), 2.9) == []
    assert tracker.deadline is None
    assert tracker.receive(Sample(10.0), 3.0) == []
    assert tracker.receive(Sample(11.0), 4.9) == []
    assert tracker.tick(5.0) == [BEGAN] and tracker.on


def test_it_has_to_be_over_for_the_settling_time() -> None:
    tracker = low(settle=10.0)
    assert tracker.receive(Sample(10.0), 0.0) == [BEGAN]
    assert tracker.receive(Sample(90.0), 5.0) == [SETTLING]
    assert tracker.receive(Sample(95.0), 14.0) == []
    assert tracker.receive(Sample(79.0), 14.5) == [RELAPSED]
    assert tracker.tick(15.0) == []
    assert tracker.receive(Sample(80.0), 20.0) == [SETTLING]
    assert tracker.deadline == 30.0
    assert tracker.tick(30.0) == [ENDED] and not tracker.on


def test_doubt_counts_after_the_grace_time() -> None:
    tracker = low(grace=5.0)
    assert tracker.receive(DOUBT, 1.0) == []
    assert tracker.receive(Sample(100.0), 5.9) == []
    assert tracker.receive(DOUBT, 7.0) == []
    assert tracker.tick(12.0) == [LOST] and tracker.lost
    assert tracker.receive(Sample(100.0), 13.0) == [BACK] and not tracker.lost


def test_signal_that_says_nothing_at_all_is_lost() -> None:
    tracker = Tracker(condition("< 50"), grace=5.0)
    assert tracker.start(100.0) == []
    assert tracker.tick(105.0) == [LOST]
    assert "no value yet" in tracker.sample.doubt


def test_what_settles_does_not_end_while_nobody_knows_how_it_is() -> None:
    tracker = low(settle=10.0, grace=60.0)
    tracker.receive(Sample(10.0), 0.0)
    assert tracker.receive(Sample(90.0), 1.0) == [SETTLING]
    assert tracker.receive(DOUBT, 2.0) == [RELAPSED]
    assert tracker.tick(20.0) == [] and tracker.on
    assert tracker.receive(Sample(90.0), 21.0) == [SETTLING]
    assert tracker.tick(31.0) == [ENDED]


def test_what_is_bad_after_it_was_lost_begins() -> None:
    tracker = low(grace=1.0)
    tracker.receive(DOUBT, 0.0)
    assert tracker.tick(1.0) == [LOST]
    assert tracker.receive(Sample(10.0), 2.0) == [BEGAN, BACK]


def feed(quiet: Quiet, *changes: tuple[Change, float]) -> list[list[Change]]:
    return [quiet.receive(change, now) for change, now in changes]


def test_what_begins_in_the_quiet_time_and_lasts_is_told_after_it() -> None:
    quiet = Quiet(10.0)
    assert feed(quiet, (BEGAN, 0.0), (ENDED, 1.0)) == [[BEGAN], [ENDED]]
    assert feed(quiet, (BEGAN, 2.0), (ENDED, 3.0), (BEGAN, 4.0)) == [[], [], []]
    assert quiet.deadline == 10.0
    assert quiet.tick(9.9) == []
    assert quiet.tick(10.0) == [BEGAN]
    assert quiet.forget() == 1, "the one at 2.0 was never told"


def test_what_holds_on_is_told_once_more() -> None:
    quiet = Quiet(10.0)
    feed(quiet, (BEGAN, 0.0))
    assert quiet.tick(10.0) == [AGAIN]
    assert quiet.deadline is None
    assert feed(quiet, (ENDED, 50.0), (BEGAN, 60.0)) == [[ENDED], [BEGAN]]


def test_without_quiet_time_all_is_told() -> None:
    quiet = Quiet()
    changes = [(BEGAN, 0.0), (ENDED, 0.0), (BEGAN, 0.0), (LOST, 0.0), (BACK, 1.0)]
    assert feed(quiet, *changes) == [[change] for change, _ in changes]
    assert quiet.deadline is None


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from([10.0, 60.0, 90.0, None]))),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0.0, 7.0]),
)
def test_what_lasts_is_never_missed(
    steps: list[tuple[float, float | None]], after: float, settle: float, quiet: float
) -> None:
    """However it flickered before: what is bad at the end has been told at the end."""
    tracker = low(after=after, settle=settle, grace=2.0)
    filter_ = Quiet(quiet)
    told: list[Change] = []
    now = 0.0

    def pass_on(changes: list[Change], now: float) -> None:
        for change in changes:
            told.extend(filter_.receive(change, now))

    def wait_until(end: float) -> None:
        while True:
            due = [d for d in (tracker.deadline, filter_.deadline) if d is not None]
            if not due or min(due) > end:
                return
            at = min(due)
            pass_on(tracker.tick(at), at)
            told.extend(filter_.tick(at))

    for seconds, value in steps:
        wait_until(now + seconds)
        now += seconds
        sample = DOUBT if value is None else Sample(value)
        pass_on(tracker.receive(sample, now), now)
    pass_on(tracker.receive(Sample(10.0), now), now)
    wait_until(now + 1000.0)
    edges = [change for change in told if change in (BEGAN, ENDED)]
    assert edges[-1] is BEGAN
    # told in turn, so that nobody hears of an end without a beginning
    assert all(one is not other for one, other in pairwise(edges))
    lost = [change for change in told if change in (LOST, BACK)]
    assert lost == [LOST, BACK] * (len(lost) // 2)


def test_function_that_raises_leaves_the_tracker_as_it_was() -> None:
    tracker = Tracker(condition(lambda value: 1 / value > 1))
    tracker.start(0.0)
    with pytest.raises(ZeroDivisionError):
        tracker.receive(Sample(0.0), 1.0)
    assert not tracker.on
