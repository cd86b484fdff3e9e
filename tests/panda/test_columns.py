"""Columns in units: what raw sums become, and that nothing is lost on the way."""

import itertools
import math

import numpy as np
import pytest
from data_streams import frames, options, recording
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data import VALUES, play

from beamfly.errors import RemoteProtocolError
from beamfly.panda.columns import ColumnPlan
from beamfly.panda.responses import DTYPES, FieldCapture, StartData
from beamfly.panda.std_dev import std_dev


def start_of(fields: list[FieldCapture], process: str = "Raw") -> StartData:
    size = sum(f.type.itemsize for f in fields)
    return StartData(fields, 0, process, "Framed", size)


def field(name: str, kind: str, capture: str, *scaling: float) -> FieldCapture:
    units = "mm" if scaling else None
    return FieldCapture(name, DTYPES[kind], capture, *(scaling or (None, None)), units)


GATE = field("PCAP.GATE_DURATION", "int32", "Value", 8e-9, 0.0)


def planned(name: str, raw: bool = False) -> tuple[StartData, np.ndarray, ColumnPlan]:
    data, _ = play(recording(name), options(name), [1 << 20])
    start = next(item for item in data if isinstance(item, StartData))
    return start, frames(data), ColumnPlan(start, raw)


@pytest.mark.parametrize("name", ["xml_framed_raw", "ascii_raw"])
def test_scaling_here_gives_what_the_panda_gives(name: str) -> None:
    start, samples, plan = planned(name)
    columns = dict(
        zip([f.column_name for f in start.fields], plan.columns(samples), strict=True)
    )
    for column, values in VALUES.items():
        np.testing.assert_allclose(columns[column], values, rtol=1e-15)
    assert columns["PCAP.BITS0.Value"].dtype == np.uint32
    np.testing.assert_allclose(columns["PCAP.GATE_DURATION.Value"], 0.0005)


def test_mean_here_gives_what_the_panda_gives() -> None:
    _, samples, plan = planned("mean_raw")
    _, expected, _ = planned("mean_scaled")
    np.testing.assert_array_equal(
        plan.columns(samples)[1], expected["COUNTER2.OUT.Mean"]
    )


def test_standard_deviation_of_a_recording() -> None:
    start, samples, plan = planned("stddev_raw")
    for capture, column in zip(start.fields, plan.columns(samples), strict=True):
        if capture.capture == "StdDev":
            # the counters did not move while the gate was open
            np.testing.assert_array_equal(column, np.zeros(5))
        elif capture.column_name == "COUNTER2.OUT.Mean":
            np.testing.assert_array_equal(column, VALUES["COUNTER2.OUT.Mean"])


@pytest.mark.parametrize("name", ["xml_framed_raw", "stddev_raw", "slow_dump"])
def test_raw_keeps_every_bit(name: str) -> None:
    start, samples, plan = planned(name, raw=True)
    for capture, column in zip(start.fields, plan.columns(samples), strict=True):
        assert column.tobytes() == samples[capture.column_name].tobytes()
        assert column.dtype == capture.type.base


def test_data_scaled_by_the_panda_stays() -> None:
    start, samples, plan = planned("xml_framed_scaled")
    for capture, column in zip(start.fields, plan.columns(samples), strict=True):
        assert column.tobytes() == samples[capture.column_name].tobytes()


VALUE = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(st.lists(VALUE, min_size=1, max_size=30), min_size=1, max_size=8))
@settings(deadline=None)
def test_standard_deviation_equals_that_of_exact_numbers(
    groups: list[list[int]],
) -> None:
    sums = np.array([sum(g) for g in groups], "<i8")
    squares = [sum(v * v for v in g) for g in groups]
    deviation = std_dev(sums, words(squares), np.array([len(g) for g in groups], "<u4"))
    for group, total, square, got in zip(groups, sums, squares, deviation, strict=True):
        n = len(group)
        exact = math.sqrt(n * square - int(total) ** 2) / n
        assert got == pytest.approx(exact, rel=4e-16, abs=0.0)


@given(
    n=st.integers(1, 2**32 - 1),
    mean=VALUE,
    rest=st.integers(0, 2**32),
    excess=st.integers(0, 2**90),
)
@settings(deadline=None)
def test_standard_deviation_of_as_many_samples_as_a_panda_can_count(
    n: int, mean: int, rest: int, excess: int
) -> None:
    total = n * mean + rest % n
    square = min(-(-(total * total) // n) + excess, 2**96 - 1)
    got = std_dev(np.array([total]), words([square]), np.array([n], "<u4"))[0]
    assert got == pytest.approx(math.sqrt(n * square - total**2) / n, rel=4e-16)


def words(numbers: list[int]) -> np.ndarray:
    """Rows of three 32-bit words, lowest first."""
    text = b"".join(number.to_bytes(12, "little") for number in numbers)
    return np.frombuffer(text, "<u4").reshape(-1, 3)


def test_large_offsets_keep_their_digits() -> None:
    # values 10**9 and 10**9 + 1 in turn: floats would say 0 or nonsense
    n = 1_000_000
    low = 10**9
    total = n // 2 * (2 * low + 1)
    square = n // 2 * (low**2 + (low + 1) ** 2)
    got = std_dev(np.array([total]), words([square]), np.array([n], "<u4"))
    assert got[0] == 0.5


def test_no_samples_and_rounded_sums() -> None:
    samples = np.array([0, 4], "<u4")
    got = std_dev(np.array([0, 100]), words([0, 2499]), samples)
    assert math.isnan(got[0])
    assert got[1] == 0.0


def test_deviations_are_scaled_but_do_not_move() -> None:
    fields = [
        GATE,
        field("X.OUT", "int64", "Mean", -2.0, 10.0),
        field("X.OUT", "int96", "StdDev", -2.0, 10.0),
    ]
    plan = ColumnPlan(start_of(fields))
    samples = np.zeros(1, [(f.column_name, f.type) for f in fields])
    values = [3, 5, 7, 9]
    samples["PCAP.GATE_DURATION.Value"] = len(values)
    samples["X.OUT.Mean"] = sum(values)
    samples["X.OUT.StdDev"] = words([sum(v * v for v in values)])
    _, mean, deviation = plan.columns(samples)
    assert mean[0] == -2.0 * 6 + 10
    assert deviation[0] == pytest.approx(-2.0 * math.sqrt(5))


def test_a_gate_of_more_than_17_seconds_is_no_negative_number() -> None:
    fields = [GATE, field("X.OUT", "int64", "Mean", 1.0, 0.0)]
    samples = np.zeros(1, [(f.column_name, f.type) for f in fields])
    ticks = 3_000_000_000
    samples["PCAP.GATE_DURATION.Value"] = np.array([ticks], "<u4").view("<i4")
    samples["X.OUT.Mean"] = ticks * 7
    assert ColumnPlan(start_of(fields)).columns(samples)[1][0] == 7.0


def test_no_mean_without_gate() -> None:
    fields = [GATE, field("X.OUT", "int64", "Mean", 1.0, 5.0)]
    samples = np.zeros(2, [(f.column_name, f.type) for f in fields])
    samples["X.OUT.Mean"] = [3, 0]
    samples["PCAP.GATE_DURATION.Value"] = [0, 2]
    mean = ColumnPlan(start_of(fields)).columns(samples)[1]
    assert math.isnan(mean[0])
    assert mean[1] == 5.0


def test_old_servers_count_samples_instead() -> None:
    fields = [
        field("PCAP.SAMPLES", "uint32", "Value"),
        field("X.OUT", "int64", "Mean", 2.0, 0.0),
    ]
    samples = np.zeros(1, [(f.column_name, f.type) for f in fields])
    samples["PCAP.SAMPLES.Value"], samples["X.OUT.Mean"] = 4, 12
    assert ColumnPlan(start_of(fields)).columns(samples)[1][0] == 6.0


def test_sums_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="neither"):
        ColumnPlan(start_of([field("X.OUT", "int64", "Mean", 1.0, 0.0)]))
    with pytest.raises(RemoteProtocolError, match="without its sum"):
        ColumnPlan(start_of([GATE, field("X.OUT", "int96", "StdDev", 1.0, 0.0)]))
    # nobody needs to divide what is kept as it is
    ColumnPlan(start_of([field("X.OUT", "int64", "Mean", 1.0, 0.0)]), raw=True)


@given(cuts=st.lists(st.integers(0, 60), max_size=6))
@settings(deadline=None)
def test_converting_in_parts_is_converting_at_once(cuts: list[int]) -> None:
    _, samples, plan = planned("xml_framed_raw")
    samples = np.tile(samples, 12)
    samples["COUNTER1.OUT.Value"] = np.arange(60)
    block = plan.make_block(60)
    edges = [0, *sorted(cuts), 60]
    for first, last in itertools.pairwise(edges):
        # every other part comes as an array that is not contiguous
        part = np.repeat(samples[first:last], 2)[::2]
        plan.convert(part, block, first)
    for got, expected in zip(block.columns, plan.columns(samples), strict=True):
        assert got.tobytes() == expected.tobytes()
