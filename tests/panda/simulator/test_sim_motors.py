"""Simulated motors, alone and on an encoder input."""

import numpy as np
import pytest
from bench_panda import Bench, everything
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.panda.simulator.motors import SimulatedMotor


def test_a_move_is_a_trapezoid():
    motor = SimulatedMotor(1.0, velocity=2.0, acceleration=4.0)
    assert motor.move(11.0, now=10.0) == pytest.approx(15.5)
    assert motor.position(9.0) == 1.0
    assert motor.position(10.5) == pytest.approx(1.5, abs=1e-3)
    assert motor.velocity(12.0) == pytest.approx(2.0)
    assert motor.position(12.5) == pytest.approx(5.5, abs=1e-3)
    assert motor.position(15.5) == motor.position(99.0) == 11.0
    assert motor.moving(15.0)
    assert not motor.moving(15.6)


def test_a_short_move_never_gets_up_to_speed():
    motor = SimulatedMotor(velocity=100.0, acceleration=4.0)
    assert motor.move(-1.0, now=0.0) == pytest.approx(1.0)
    assert motor.position(0.5) == pytest.approx(-0.5, abs=1e-3)


def test_a_move_while_moving_comes_to_rest_first():
    motor = SimulatedMotor(velocity=1.0, acceleration=1.0)
    motor.move(100.0, now=0.0)
    motor.move(0.0, now=10.0)
    assert motor.velocity(10.5) == pytest.approx(0.5, abs=0.02)
    assert motor.position(11.0) == pytest.approx(10.0, abs=1e-2)
    assert motor.position(motor.arrives()) == 0.0
    rest = motor.stop(now=15.0)
    assert motor.position(rest + 1) == motor.position(rest) > 0


def test_paths_that_are_none():
    motor = SimulatedMotor()
    with pytest.raises(BadValue, match="not moved"):
        motor.move(1.0, now=0.0, velocity=0.0)
    with pytest.raises(BadValue, match="not moved"):
        motor.follow([0.0, 0.0], [1.0, 2.0], now=0.0)
    with pytest.raises(BadValue, match="no INENC5"):
        Bench(motors=[SimulatedMotor()] * 5)
    assert motor.position(1.0) == 0.0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 3), st.floats(-50, 50), st.booleans()), max_size=8
    )
)
def test_a_motor_never_jumps(moves):
    motor = SimulatedMotor(velocity=7.0, acceleration=30.0, counts_per_unit=100.0)
    now = 0.0
    for wait, target, stop in moves:
        now += wait
        if stop:
            motor.stop(now=now)
        else:
            motor.move(target, now=now)
    times = np.linspace(-1, motor.arrives() + 1 if moves else 1, 4000)
    places = np.array([motor.position(t) for t in times])
    assert np.abs(np.diff(places)).max() <= 7.001 * (times[1] - times[0]) + 1e-9


def test_an_encoder_follows_its_motor():
    motor = SimulatedMotor(2.0, counts_per_unit=1000.0)
    bench = Bench(motors={2: motor})
    bench.wait(0.1)
    assert bench.get("INENC2.VAL") == "2000"
    assert bench.get("INENC2.CONN") == "1"
    assert bench.get("INENC1.CONN") == bench.get("INENC2.HOMED") == "0"
    bench.put("INENC2.SETP=500\n")
    assert bench.get("INENC2.VAL") == "500"
    assert bench.get("INENC2.HOMED") == "1"
    arrives = motor.move(3.0, now=bench.now, velocity=1.0, acceleration=10.0)
    bench.wait(0.55)
    assert bench.get("INENC2.VAL") == "1000"
    bench.wait(arrives - bench.now + 0.01)
    assert bench.get("INENC2.VAL") == "1500"
    assert bench.ask("*CHANGES.POSN?").count("!INENC2.VAL=1500") == 1
    assert bench.ask("*CHANGES.POSN?") == ["."]
    bench.core.attach_motor(2, None)
    assert bench.get("INENC2.CONN") == "0"


@pytest.mark.parametrize("step", [0.003, 0.05, 5.0])
def test_a_table_triggers_at_positions(step: float):
    motor = SimulatedMotor(counts_per_unit=1000.0)
    bench = Bench(motors=[motor])
    # one line for each of 200 positions, and the rest of the words of each line
    points = [100 + 5 * i for i in range(200)]
    words = "\n".join(f"{1 | 7 << 16 | 1 << 20} {p} 100 100" for p in points)
    bench.put(
        "SEQ1.POSA=INENC1.VAL\nSEQ1.REPEATS=1\nPCAP.TRIG=SEQ1.OUTA\n"
        "PCAP.ENABLE=SEQ1.ACTIVE\nSEQ1.ENABLE=PCAP.ACTIVE\n"
        "INENC1.VAL.CAPTURE=Value\nPCAP.TS_TRIG.CAPTURE=Value\n"
        f"SEQ1.TABLE<\n{words}\n\n"
    )
    session = bench.data("UNFRAMED RAW NO_HEADER")
    bench.wait(0.1)
    bench.put("*PCAP.ARM=\n")
    motor.move(2.0, now=bench.now, velocity=0.5, acceleration=5.0)
    while bench.now < 6:
        bench.wait(step)
    stream = everything(session)
    assert stream.endswith(b"END 200 Ok\n")
    rows = np.frombuffer(stream[3:-11], "<u4").reshape(-1, 3)
    assert rows[:, 0].tolist() == points
    # 0.5 units per second are 500 counts per second; 5 counts take 10 ms
    ticks = np.diff(rows[50:, 1].astype(np.int64))
    np.testing.assert_allclose(ticks, 1_250_000, atol=2)


def test_position_compare_and_scaled_position():
    motor = SimulatedMotor(counts_per_unit=1000.0)
    bench = Bench(motors=[motor])
    bench.put(
        "PCOMP1.INP=INENC1.VAL\nPCOMP1.START=100\nPCOMP1.STEP=10\nPCOMP1.WIDTH=5\n"
        "PCOMP1.PULSES=30\nCOUNTER1.ENABLE=ONE\nCOUNTER1.TRIG=PCOMP1.OUT\n"
        "PCOMP1.ENABLE=ONE\nINENC1.VAL.SCALE=0.001\nINENC1.VAL.UNITS=mm\n"
    )
    bench.wait(0.1)
    assert bench.get("PCOMP1.STATE") == "WAIT_RISING"
    motor.move(1.0, now=bench.now, velocity=1.0, acceleration=20.0)
    bench.wait(0.2)
    assert bench.get("PCOMP1.ACTIVE") == "1"
    assert int(bench.get("COUNTER1.OUT")) == int(bench.get("PCOMP1.PRODUCED")) > 3
    bench.wait(2.0)
    assert bench.get("PCOMP1.ACTIVE") == "0"
    assert bench.get("COUNTER1.OUT") == "30"
    assert bench.get("INENC1.VAL.SCALED") == "1"
