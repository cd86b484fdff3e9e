"""The simulated motor record, as a Channel Access client sees it, step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motor_bench import MotorBench, completed

from beamfly.ca.dbr import Dbr
from beamfly.ca.motor_fields import MOTOR_FIELDS
from beamfly.sim.ioc import Status

SWITCHED = 120.0
FIELDS = "VAL DVAL RLV TWF TWR STOP SPMG JOGF JOGR HOMF SET".split()


def test_a_put_is_complete_when_the_motor_is_there() -> None:
    bench = MotorBench(velocity=2.0, acceleration_time=0.5)
    put = bench.put("VAL", 6.0)
    assert not put.complete
    assert bench.many("VAL DVAL RVAL RBV DMOV MOVN") == [6, 6, 6000, 0, 0, 1]
    assert completed(bench.wait(3.4)) == 0
    assert bench.many("DMOV MOVN") == [0, 1]
    assert completed(bench.wait(0.2)) == 1
    assert bench.many("RBV DRBV RRBV DMOV MOVN DIFF") == [6, 6, 6000, 1, 0, 0]
    assert Status(bench.get("MSTA")) == Status.DIRECTION | Status.DONE | Status.PRESENT


def test_readbacks_come_ten_times_a_second_and_done_comes_last() -> None:
    bench = MotorBench(velocity=2.0, acceleration_time=0.5)
    for field in ("RBV", "MOVN", "DMOV", "VAL"):
        bench.link.subscribe(f"M1.{field}", Dbr.TIME_DOUBLE)
    started = bench.updates(bench.put("VAL", 6.0).messages)
    assert started == [("M1.VAL", 6), ("M1.DMOV", 0), ("M1.MOVN", 1)]
    seen = bench.updates(bench.wait(10.0))
    readbacks = [value for name, value in seen if name == "M1.RBV"]
    assert 34 <= len(readbacks) <= 36
    assert readbacks == sorted(readbacks)
    assert seen[-3:] == [("M1.RBV", 6), ("M1.MOVN", 0), ("M1.DMOV", 1)]
    assert completed(bench.wait(10.0)) == 0


def test_a_move_to_where_it_is_still_shows_that_it_was_done() -> None:
    bench = MotorBench()
    bench.link.subscribe("M1.DMOV", Dbr.TIME_DOUBLE)
    put = bench.put("VAL", 0.0)
    assert not put.complete
    messages = bench.wait(0.01)
    seen = bench.updates([*put.messages, *messages])
    assert seen == [("M1.DMOV", 0), ("M1.DMOV", 1)]
    assert completed(messages) == 1


def test_a_new_target_is_gone_to_at_once() -> None:
    bench = MotorBench(velocity=1.0, acceleration_time=0.1)
    first = bench.put("VAL", 50.0)
    bench.wait(2.0)
    second = bench.put("VAL", 1.0)
    assert not (first.complete or second.complete)
    assert bench.get("RBV") == pytest.approx(1.95, abs=0.01)
    # both puts end with the motion, as they do in a record
    assert completed(bench.wait(5.0)) == 2
    assert bench.many("RBV VAL DMOV") == [1, 1, 1]


def test_stop_ends_the_put_where_the_motor_is() -> None:
    bench = MotorBench(velocity=10.0, acceleration_time=0.5)
    bench.put("VAL", 50.0)
    bench.wait(1.0)
    bench.put("STOP", 1)
    assert bench.get("STOP") == 0
    assert bench.get("DMOV") == 0
    assert completed(bench.wait(0.55)) == 2
    where = bench.get("RBV")
    assert where == pytest.approx(10.0, abs=0.02)
    assert bench.many("VAL DVAL RVAL DMOV") == [where, where, where * 1000, 1]
    bench.put("STOP", 1)
    assert bench.get("DMOV") == 1


def test_pause_keeps_the_target_and_go_goes_on() -> None:
    bench = MotorBench(velocity=10.0, acceleration_time=0.5)
    bench.put("VAL", 50.0)
    bench.wait(1.0)
    bench.put("SPMG", 1)
    assert completed(bench.wait(1.0)) == 1
    assert bench.get("VAL") == 50
    here = bench.get("RBV")
    assert here < 12
    assert bench.put("VAL", 40.0).complete
    bench.wait(1.0)
    assert bench.get("RBV") == here
    bench.put("SPMG", 3)
    assert bench.get("DMOV") == 0
    bench.wait(10.0)
    assert bench.many("RBV DMOV LSPG") == [40, 1, 3]


def test_a_jog_that_is_paused_has_nothing_to_go_on_to() -> None:
    bench = MotorBench()
    bench.put("JOGF", 1)
    bench.wait(2.0)
    bench.put("SPMG", 1)
    bench.wait(1.0)
    here = bench.get("RBV")
    assert here > 5
    bench.put("SPMG", 3)
    bench.wait(5.0)
    assert bench.many("VAL RBV JOGF DMOV") == [here, here, 0, 1]


def test_stopped_motors_do_not_move_until_they_may() -> None:
    bench = MotorBench(velocity=10.0)
    bench.put("VAL", 20.0)
    bench.wait(0.5)
    bench.put("SPMG", 0)
    bench.wait(1.0)
    here = bench.get("RBV")
    assert bench.get("VAL") == here
    bench.put("JOGF", 1)
    bench.put("HOMF", 1)
    bench.wait(1.0)
    assert bench.many("RBV JOGF HOMF") == [here, 0, 0]
    # "Move" allows for one move
    bench.put("SPMG", 2)
    bench.put("VAL", 1.0)
    bench.wait(5.0)
    assert bench.many("RBV SPMG") == [1, 1]
    assert bench.put("VAL", 3.0).complete
    assert bench.get("DMOV") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("VAL", 10.1), ("DVAL", -10.1), ("RVAL", 10100), ("RLV", 10.2), ("TWF", 1)],
)
def test_a_target_beyond_the_soft_limits_is_refused(field: str, value: float) -> None:
    bench = MotorBench(limits=(-10.0, 10.0))
    bench.put("VAL", 5.0)
    bench.wait(20.0)
    bench.put("TWV", 6.0)
    put = bench.put(field, value)
    assert put.complete
    assert put.status == 1
    assert bench.many("LVIO VAL DVAL RVAL DMOV TWF RLV") == [1, 5, 5, 5000, 1, 0, 0]
    bench.put("VAL", 10.0)
    assert bench.get("LVIO") == 0
    bench.wait(20.0)
    assert bench.get("RBV") == 10


def test_equal_limits_are_no_limits() -> None:
    bench = MotorBench(limits=(0.0, 0.0), travel=(-1e6, 1e6), velocity=100.0)
    bench.put("VAL", 500.0)
    bench.wait(10.0)
    assert bench.many("RBV LVIO") == [500, 0]


@pytest.mark.parametrize(("sign", "switch"), [(1, "HLS"), (-1, "LLS")])
def test_a_limit_switch_ends_a_move(sign: int, switch: str) -> None:
    bench = MotorBench(limits=(0, 0), travel=(-SWITCHED, SWITCHED), velocity=50.0)
    bench.put("HLSV", 2)
    bench.put("VAL", sign * 300.0)
    assert completed(bench.wait(10.0)) == 1
    assert bench.many("RBV VAL") == [sign * SWITCHED] * 2
    assert bench.get(switch) == 1
    bit = Status.PLUS_LIMIT if sign > 0 else Status.MINUS_LIMIT
    assert Status(bench.get("MSTA")) & bit
    assert bench.link.get("M1.SEVR", Dbr.STRING) == b"MAJOR"
    assert bench.link.get("M1.STAT", Dbr.STRING) == (b"HIGH" if sign > 0 else b"LOW")
    bench.put("VAL", 0.0)
    bench.wait(10.0)
    assert bench.link.get("M1.SEVR", Dbr.STRING) == b"NO_ALARM"
    assert bench.many(f"RBV {switch}") == [0, 0]


def test_limits_follow_direction_and_offset() -> None:
    bench = MotorBench(limits=(-10.0, 30.0), reversed=True, offset=5.0)
    assert bench.many("HLM LLM DHLM DLLM") == [15, -25, 30, -10]
    bench.put("HLM", 7.0)
    assert bench.many("DHLM DLLM") == [30, -2]
    bench.put("LLM", -5.0)
    assert bench.get("DHLM") == 10
    bench.put("DIR", 0)
    assert bench.many("HLM LLM") == [15, 3]
    bench.put("OFF", 0.0)
    assert bench.many("HLM LLM VAL RBV") == [10, -2, 0, 0]


def test_user_dial_and_raw_agree() -> None:
    bench = MotorBench(reversed=True, offset=2.0)
    bench.put("VAL", -1.0)
    bench.wait(10.0)
    assert bench.many("RBV DRBV RRBV DVAL RVAL") == [-1, 3, 3000, 3, 3000]
    bench.put("DVAL", 4.0)
    assert bench.get("VAL") == -2
    bench.wait(10.0)
    bench.put("RVAL", -500)
    bench.wait(10.0)
    assert bench.many("VAL RBV DRBV") == [2.5, 2.5, -0.5]


def test_set_mode_calibrates_and_moves_nothing() -> None:
    bench = MotorBench()
    bench.put("VAL", 5.0)
    bench.wait(10.0)
    bench.put("SET", 1)
    assert bench.put("VAL", 100.0).complete
    assert bench.many("VAL RBV OFF DVAL DRBV HLM") == [100, 100, 95, 5, 5, 195]
    bench.put("DVAL", 7.0)
    assert bench.many("VAL RBV OFF DRBV RRBV DMOV") == [102, 102, 95, 7, 5000, 1]
    bench.put("FOFF", 1)
    bench.put("VAL", 100.0)
    assert bench.many("VAL RBV OFF DRBV") == [100, 100, 95, 5]
    bench.put("SET", 0)
    assert bench.axis.position() == 5.0
    bench.put("VAL", 101.0)
    bench.wait(5.0)
    assert bench.axis.position() == 6.0


def test_tweaks_and_relative_moves() -> None:
    bench = MotorBench()
    bench.put("TWV", 0.5)
    bench.put("TWF", 1)
    assert completed(bench.wait(2.0)) == 1
    assert bench.many("RBV TWF") == [0.5, 0]
    bench.put("TWR", 1)
    bench.put("TWR", 1)
    bench.wait(2.0)
    assert bench.get("RBV") == -0.5
    bench.put("RLV", 2.0)
    bench.wait(2.0)
    assert bench.many("RBV RLV LRLV") == [1.5, 0, 2]


def test_jogs_until_told_to_stop_or_to_the_limit() -> None:
    bench = MotorBench(limits=(-10.0, 10.0), reversed=True)
    bench.put("JVEL", 2.0)
    bench.put("JAR", 20.0)
    assert not bench.put("JOGF", 1).complete
    bench.wait(1.05)
    # as of a twentieth of a second ago
    assert bench.get("RBV") == pytest.approx(1.9, abs=0.01)
    assert bench.many("JOGF TDIR") == [1, 0]
    bench.put("JOGF", 0)
    assert completed(bench.wait(0.2)) == 2
    assert bench.get("VAL") == bench.get("RBV") == pytest.approx(2.1, abs=0.02)
    bench.put("JOGR", 1)
    bench.wait(10.0)
    assert bench.many("RBV VAL LVIO JOGR DMOV") == [-10, -10, 1, 0, 1]
    assert bench.put("JOGR", 1).complete
    assert bench.get("JOGR") == 0


def test_homing_makes_the_dial_that_of_the_axis_again() -> None:
    bench = MotorBench()
    bench.put("VAL", 4.0)
    bench.wait(10.0)
    bench.put("SET", 1)
    bench.put("DVAL", 50.0)
    bench.put("SET", 0)
    put = bench.put("HOMR", 1)
    assert not put.complete
    bench.wait(10.0)
    assert bench.many("DRBV DVAL HOMR ATHM DMOV") == [0, 0, 0, 1, 1]
    assert Status(bench.get("MSTA")) & Status.HOMED


@pytest.mark.parametrize("direction", [0, 1])
def test_backlash_is_taken_up_from_one_side_of_the_dial(direction: int) -> None:
    bench = MotorBench(velocity=10.0)
    bench.put("DIR", direction)
    bench.put("BDST", 0.5)
    bench.put("BVEL", 1.0)
    bench.put("DVAL", 3.0)
    begin = bench.now
    bench.wait(20.0)
    path = bench.axis.position(np.linspace(begin, bench.now, 5001))
    assert path.max() == 3.0
    bench.put("DVAL", -2.0)
    begin = bench.now
    bench.wait(20.0)
    path = bench.axis.position(np.linspace(begin, bench.now, 5001))
    assert path.min() == pytest.approx(-2.5, abs=1e-3)
    assert bench.get("DRBV") == -2


def test_a_settling_time_delays_the_end() -> None:
    bench = MotorBench(settle=2.0, velocity=10.0)
    bench.put("VAL", 1.0)
    assert completed(bench.wait(1.5)) == 0
    assert bench.many("RBV MOVN DMOV") == [1, 0, 0]
    assert completed(bench.wait(1.0)) == 1


def test_speeds_are_kept_within_what_the_motor_can() -> None:
    bench = MotorBench(velocity=2.0, fastest=4.0, start_velocity=0.5)
    bench.put("VELO", 9.0)
    assert bench.get("VELO") == 4
    bench.put("VELO", 0.1)
    assert bench.get("VELO") == 0.5
    bench.put("S", 10.0)
    assert bench.get("VELO") == pytest.approx(2.0)
    assert bench.get("RVEL") == 2000
    assert bench.put("ACCL", 0.0).status == 160
    assert bench.get("ACCL") > 0
    bench.put("VMAX", 1.0)
    assert bench.get("VELO") == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_place_to_go_to(value: float) -> None:
    bench = MotorBench()
    assert bench.put("VAL", value).status == 160
    assert bench.many("VAL DMOV") == [0, 1]


def test_a_motor_that_others_move_shows_it() -> None:
    bench = MotorBench()
    bench.drive.move(3.0, now=bench.now)
    bench.wait(0.1)
    assert bench.many("DMOV MOVN") == [0, 1]
    bench.wait(10.0)
    assert bench.many("VAL RBV DMOV") == [3, 3, 1]
    bench.put("VAL", 9.0)
    bench.wait(0.1)
    bench.drive.move(-1.0, now=bench.now)
    assert completed(bench.wait(20.0)) == 1
    assert bench.many("VAL RBV DMOV") == [-1, -1, 1]


def test_what_clients_must_not_write() -> None:
    bench = MotorBench()
    for field in ("RBV", "DMOV", "MSTA", "MRES", "DRBV"):
        assert bench.put(field, 1).status != 1
        assert field != "DMOV" or bench.get(field) == 1


def test_every_field_that_clients_know_is_there() -> None:
    bench = MotorBench(description="a motor")
    missing = [
        f for f in MOTOR_FIELDS.values() if not bench.link.core.database.has(f"M1.{f}")
    ]
    assert missing == []
    assert bench.link.get("M1.RTYP", Dbr.STRING) == b"motor"
    assert bench.link.get("M1.DESC", Dbr.STRING) == b"a motor"
    assert bench.link.get("M1.SPMG", Dbr.STRING) == b"Go"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                "VAL DVAL RLV TWF TWR STOP SPMG JOGF JOGR HOMF SET".split()
            ),
            st.integers(-3, 3),
            st.floats(0, 3),
        ),
        max_size=12,
    )
)
def test_whatever_is_put_every_put_is_answered_in_the_end(
    steps: list[tuple[str, int, float]],
) -> None:
    bench = MotorBench(limits=(-4.0, 4.0))
    puts = answered = 0
    for field, value, seconds in steps:
        given = value % 4 if field == "SPMG" else value
        given = value % 2 if field in ("SET", "STOP", "TWF", "TWR") else given
        answered += len(bench.put(field, given).replies)
        puts += 1
        answered += completed(bench.wait(seconds))
    answered += completed(bench.wait(100.0))
    assert answered == puts
    assert bench.many("DMOV MOVN") == [1, 0]
    place = bench.axis.position() + bench.motor.coordinates.zero
    assert bench.get("DRBV") == pytest.approx(place, abs=0.51 / 1000)
    # limits are in dial coordinates, which SET mode changes
    if not any(field == "SET" for field, *_ in steps):
        assert -4.001 <= place <= 4.001
