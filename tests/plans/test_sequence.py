"""`pulses`: tables that make exactly the pulses asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ophyd_async.fastcs.panda import SeqTrigger

from beamfly.errors import BadValue
from beamfly.plans import fly, pulses


def test_a_table_line_per_65535_pulses():
    _, info = pulses(None, 200_000, period=1e-4, width=1e-5)
    table = info.sequence_table
    assert table.repeats.tolist() == [65535, 65535, 65535, 3395]
    assert table.outa1.all()
    assert not table.outa2.any()
    assert set(table.time1.tolist()) == {10}
    assert set(table.time2.tolist()) == {90}
    assert info.prescale_as_us == 1.0
    assert info.repeats == 1


@pytest.mark.parametrize(
    ("period", "width", "prescale", "times"),
    [
        (1e-3, None, 1.0, (500, 500)),
        (1e-6, None, 0.04, (None, None)),
        (8e-7, 4e-7, 0.2, (2, 2)),
        (16e-9, 8e-9, 0.008, (1, 1)),
        (100.0, 1e-6, 1.0, (1, 99_999_999)),
    ],
)
def test_the_coarsest_clock_that_is_exact(period, width, prescale, times):
    if times == (None, None):
        # half a microsecond is no multiple of 40 ns
        with pytest.raises(BadValue, match="not whole multiples of 8 ns"):
            pulses(None, 1, period, width)
        return
    _, info = pulses(None, 1, period, width)
    assert info.prescale_as_us == prescale
    table = info.sequence_table
    assert (table.time1[0], table.time2[0]) == times


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300_000), st.integers(1, 10**6), st.integers(1, 10**6))
def test_pulses_are_as_many_and_as_long_as_asked_for(num, high, low):
    _, info = pulses(None, num, (high + low) * 1e-6, high * 1e-6)
    table = info.sequence_table
    assert int(table.repeats.sum()) == num
    assert table.time1[0] * info.prescale_as_us == pytest.approx(high)
    assert table.time2[0] * info.prescale_as_us == pytest.approx(low)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num": 0, "period": 1},
        {"num": 1, "period": 0},
        {"num": 1, "period": 1, "width": 1},
        {"num": 1, "period": 1, "width": 0},
        {"num": 1, "period": 1, "output": "g"},
        {"num": 1, "period": 1, "output": "ab"},
        {"num": 1, "period": 1e5},
    ],
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(BadValue):
        pulses(None, **arguments)


def test_other_triggers_and_outputs():
    _, info = pulses(None, 1, 1e-3, trigger="BITA=1", output="c")
    assert info.sequence_table.trigger == [SeqTrigger.BITA_1]
    assert info.sequence_table.outc1.tolist() == [True]


def test_they_fly(RE, panda, hand, docs):
    hand.put({"PCAP.ENABLE": "SEQ1.ACTIVE", "PCAP.TRIG": "SEQ1.OUTA"})
    RE(fly(panda, num=200, flyers=[pulses(panda.seq[1], 200, period=1e-4)]))
    assert docs.rows == 200
    assert docs.report["rate"] == pytest.approx(10000, rel=1e-6)
