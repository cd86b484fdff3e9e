"""`Motor` with a simulated motor record on our server."""

from collections.abc import Iterator
from typing import Any

import pytest

import beamfly.epics as epics
from beamfly.ca import pv as served_pv
from beamfly.ca.puts import Put
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.epics import motor as motors
from beamfly.epics.context import close_context
from beamfly.epics.exceptions import MotorException, MotorLimitException
from beamfly.epics.motor import MoveResult
from beamfly.errors import CARefused
from ca.c_ioc import free_port
from conftest import environment, until
from devices.ca.motor_record import MotorRecord


@pytest.fixture
def motor_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    motor = MotorRecord(low=-10, high=10)
    record = motor.record
    record.pvs |= {
        "RVAL": served_pv.PV(0, on_put=None),
        "RRBV": served_pv.PV(0),
    }
    pvs = {"T:m1": record, "T:m1_able": served_pv.PV(0, states=("Enable", "Disable"))}
    with serve_in_thread(pvs | {"T:ao": 1.0}, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        server.motor = motor  # type: ignore[attr-defined]
        yield server
        close_context()


@pytest.fixture
def motor(motor_server: ThreadedServer) -> epics.Motor:
    return epics.Motor("T:m1.VAL")


def test_fields_under_both_names(motor: epics.Motor) -> None:
    assert repr(motor) == "<epics.Motor: T:m1: 'sample, horizontal'>"
    assert motor.slew_speed == motor.VELO == motor.get("slew_speed") == 10.0
    motor.slew_speed = 5.0
    until(lambda: motor.VELO == 5.0)
    assert motor.units == "mm" and motor.record_type == "motor"
    assert motor.disabled == 0
    assert not hasattr(motor, "no_such_field") and not hasattr(motor, "_repr_html_")
    with pytest.raises(MotorException, match="T:m1 has no field speed_limit"):
        motor.speed_limit  # noqa: B018
    assert motor.get_pv("drive").pvname == "T:m1.VAL"


def test_moves(
    motor: epics.Motor, motor_server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motors, "CONFIRM_SECONDS", 30.0)
    assert motor.move(2.5, wait=True) == MoveResult.DONE == 0
    assert motor.get_position(readback=True) == 2.5
    assert motor.move(1.0, relative=True, wait=True) == 0
    until(lambda: motor.get_position() == 3.5 and motor.get_position(dial=True) == 3.5)
    motor_server.motor.stuck = True  # type: ignore[attr-defined]
    assert motor.move(0, confirm_move=True) == MoveResult.MOVING == 1
    motor_server.motor.stuck = False  # type: ignore[attr-defined]
    until(lambda: motor.done_moving == 1)
    assert motor.tweak(wait=True) == 0
    until(lambda: motor.drive == 0.5)
    assert motor.tweak("reverse", wait=True) == 0
    until(lambda: motor.drive == 0.0)
    assert motor.move(400, raw=True) == 0
    until(lambda: motor.get_position(step=True) == 400)


def test_moves_that_are_not_done(motor: epics.Motor) -> None:
    assert motor.move("far") == motor.move(None) == MoveResult.NOT_A_NUMBER == -13
    assert motor.move(10.5) == motor.move(-11, dial=True) == -12
    assert motor.move(10.5, wait=True, ignore_limits=True) == -4
    with pytest.raises(MotorLimitException, match="Soft limit"):
        motor.check_limits()
    assert motor.move(10.5, ignore_limits=True) == MoveResult.SOFT_LIMIT == 4
    motor.put("TWV", 100.0, wait=True)
    assert motor.tweak(wait=True) == -1
    motor.put("LLM", 0.0, wait=True)
    motor.put("HLM", 0.0, wait=True)
    until(lambda: motor.HLM == motor.LLM == 0)
    assert motor.within_limits(1e6), "both zero: there are no limits"


def test_hard_limits(motor: epics.Motor, motor_server: ThreadedServer) -> None:
    motor_server.post("T:m1.HLS", 1)
    assert motor.move(1.0, wait=True) == MoveResult.DONE_HARD_LIMIT == -3
    with pytest.raises(MotorLimitException, match="High hard"):
        motor.check_limits()


def test_a_move_takes_too_long(
    motor: epics.Motor, motor_server: ThreadedServer
) -> None:
    motor_server.motor.stuck = True  # type: ignore[attr-defined]
    assert motor.move(5.0, wait=True, timeout=0.1) == MoveResult.TIMED_OUT == -8
    motor.stop()
    until(lambda: motor.DMOV == 1)


def test_a_refused_move(motor: epics.Motor, motor_server: ThreadedServer) -> None:
    def refuse(put: Put) -> None:
        raise CARefused("disabled", status=160)

    motor_server.call(lambda: motor_server.server["T:m1"].__setattr__("on_put", refuse))
    assert motor.move(5.0, wait=True) == MoveResult.FAILED == -5
    motor_server.close()
    motor.PV("VAL", connect=False).connection_timeout = 0.01
    until(lambda: not motor.PV("VAL").connected)
    assert motor.move(1.0) == MoveResult.NOT_CONNECTED == -11


def test_positions_are_set(motor: epics.Motor, motor_server: ThreadedServer) -> None:
    motor.move(2.0, wait=True)
    motor.set_position(5.0)
    until(lambda: motor.RBV == 5.0)
    assert motor.get("SET") == motor_server.value("T:m1.SET") == 0
    assert motor.offset == 3.0


def test_set_mode_is_left_whatever_happens(
    motor: epics.Motor, motor_server: ThreadedServer
) -> None:
    sets: list[Any] = []

    def refuse(put: Put) -> None:
        sets.append(motor_server.server["T:m1.SET"].value)
        raise CARefused("no", status=160)

    motor_server.call(lambda: motor_server.server["T:m1"].__setattr__("on_put", refuse))
    with pytest.raises(MotorException, match=r"T:m1 did not take position 5\.0"):
        motor.set_position(5.0)
    assert sets == [1]
    assert motor_server.value("T:m1.SET") == 0
    with pytest.raises(Exception, match="nothing was sent"):
        motor.set_position("nonsense".split())
    assert motor_server.value("T:m1.SET") == 0


def test_callbacks(motor: epics.Motor) -> None:
    seen: list[Any] = []
    motor.set_callback("RBV", lambda **kw: seen.append(kw), {"who": "me"})
    motor.move(1.5, wait=True)
    until(lambda: seen and seen[-1]["value"] == 1.5)
    assert (seen[-1]["motor_field"], seen[-1]["who"]) == ("RBV", "me")
    motor.clear_callback("RBV")
    assert motor.PV("RBV").callbacks == {}


def test_shown(
    motor: epics.Motor,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    motor.show_info()
    text = capsys.readouterr().out
    assert text.splitlines()[0] == repr(motor) and "VELO             = 10.000" in text
    monkeypatch.setattr(epics.ca, "DEFAULT_CONNECTION_TIMEOUT", 0.3)
    motor.show_all()
    text = capsys.readouterr().out
    assert " slew_speed          10.000" in text
    assert "Not Connected??" in text and len(text.splitlines()) == 98
    steps = motor.make_step_list(minstep=0.01)
    assert steps[0] == 0.01 and steps[-1] == 10.0
    motor.refresh()


def test_what_is_no_motor(motor_server: ThreadedServer) -> None:
    with pytest.raises(MotorException, match="T:ao is a record of type ao, not"):
        epics.Motor("T:ao")
    with pytest.raises(MotorException, match="needs the name"):
        epics.Motor()
    with pytest.raises(MotorException, match=r"T:none was not found within 0\.05 s"):
        epics.Motor("T:none", timeout=0.05)
