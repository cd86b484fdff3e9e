"""Rates, gaps and lag; and how a line says them."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from beamfly.live.meters import Gaps, Lag, RateMeter
from beamfly.live.stats import FlyStats


def test_the_rate_is_that_of_the_hardware_however_rows_come_in() -> None:
    times = 1e9 + np.arange(1000) / 100
    meter = RateMeter()
    for first in (0, 3, 500, 501, 502):
        last = {0: 3, 3: 500, 500: 501, 501: 502, 502: 1000}[first]
        meter.add(first, times[first:last])
        assert meter.now == pytest.approx(100, rel=1e-6)
    assert meter.mean == pytest.approx(100)
    assert meter.seconds == pytest.approx(9.99)


def test_the_rate_now_is_that_of_the_last_second() -> None:
    times = np.r_[np.arange(100) / 10, 10 + np.arange(2000) / 1000]
    meter = RateMeter()
    meter.add(0, times[:1000])
    meter.add(1000, times[1000:])
    assert meter.now == pytest.approx(1000, rel=0.01)
    assert meter.mean == pytest.approx(2099 / times[-1])


def test_no_rate_before_there_are_two_rows() -> None:
    meter = RateMeter()
    assert (meter.now, meter.mean, meter.seconds) == (0, 0, 0)
    meter.mark(0, 5.0)
    assert (meter.now, meter.mean) == (0, 0)


@settings(deadline=None)
@given(st.sets(st.integers(10, 195), max_size=5), st.sets(st.integers(1, 199)))
def test_frames_that_were_dropped_are_found_however_rows_come_in(
    dropped: set[int], cuts: set[int]
) -> None:
    numbers = np.array([n for n in range(200) if n not in dropped], dtype=float)
    gaps = Gaps(period=0.01)
    edges = [0, *sorted(cut for cut in cuts if cut < len(numbers)), len(numbers)]
    for low, high in itertools.pairwise(edges):
        gaps.add(low, numbers[low:high] * 0.01)
    assert gaps.skipped == len(dropped)
    assert sum(count for _, count in gaps.places) == len(dropped)


def test_where_frames_are_missing_is_told() -> None:
    times = np.delete(np.arange(500), [17, 18, 400]) * 1e-3
    gaps = Gaps(period=1e-3)
    gaps.add(0, times)
    assert gaps.where == "2 before row 17, 1 before row 398"


def test_a_period_that_nobody_told_is_found_out_if_there_is_one() -> None:
    gaps = Gaps()
    gaps.add(0, np.delete(np.arange(200), [50]) * 1e-3)
    assert gaps.skipped == 1
    turning = Gaps()
    turning.add(0, np.r_[np.arange(100), 137.3 + np.arange(100)] * 1e-3)
    assert turning.skipped == 0
    speeding_up = Gaps()
    speeding_up.add(0, np.sqrt(np.arange(100.0)))
    assert speeding_up.skipped == 0


def test_lines_of_a_map_and_acquisitions_begin_when_they_like() -> None:
    times = np.r_[np.arange(10), 30 + np.arange(10), 70 + np.arange(10)] * 1.0
    gaps = Gaps(period=1.0, line=10)
    gaps.add(0, times)
    assert gaps.skipped == 0
    armed = Gaps(period=1.0)
    armed.add(0, times, breaks=(0, 10, 20))
    assert armed.skipped == 0


def test_lag_needs_clocks_that_agree() -> None:
    lag = Lag()
    lag.add(100.0, 100.2)
    assert lag.seconds == pytest.approx(0.2)
    lag.add(101.0, 103.0)
    assert lag.seconds == pytest.approx(2.0)
    wrong = Lag()  # the PandA is an hour off
    wrong.add(100.0, 3700.3)
    assert wrong.seconds == 0
    wrong.add(101.0, 3702.0)
    assert wrong.seconds == pytest.approx(0.7)


def test_a_line_says_what_is_known() -> None:
    stats = FlyStats("panda", expected=1000)
    assert stats.line() == "panda  0/1000   0 %  waiting for the first row"
    stats.frames, stats.rate_now, stats.bytes_per_row = 612, 100.0, 410
    stats.backlog_s = 0.02
    assert stats.line() == (
        "panda  612/1000  61 %  100 Hz  missed 0  3.9 s left  behind 0.02 s  41 kB/s"
    )
    assert stats.bytes == 612 * 410
    stats.frames, stats.rate_now = 10, 1.0
    assert "16 min 30 s left" in stats.line()
    unknown = FlyStats("camera", frames=5, rate_now=2.0)
    assert unknown.line() == "camera  5 rows  2 Hz  missed 0"


def test_a_summary_names_what_is_missing_by_source() -> None:
    stats = FlyStats("panda", frames=997, expected=1000, path="/data/x.h5")
    stats.rate_mean, stats.seconds, stats.hardware_time = 100.0, 9.97, True
    stats.missed_by = {"not taken": 3, "before the start": 2}
    stats.end_reason = "Framing error"
    assert stats.summary() == (
        "panda: 997 of 1000 rows in 9.97 s (100 Hz), missed 5 (3 not taken, 2 before "
        "the start), ended by Framing error, /data/x.h5"
    )
    assert stats.missed == 5
