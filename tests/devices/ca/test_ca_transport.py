"""One call makes every EPICS device of ophyd-async run on beamfly's Channel Access."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from ca_rig import serving
from motor_record import MotorRecord
from ophyd_async.core import soft_signal_rw
from ophyd_async.epics import core as epics_core
from ophyd_async.epics.core import epics_signal_rw, epics_triggerable_command
from ophyd_async.epics.motor import Motor

from beamfly.devices import native_ca_in_use, transport_of, use_native_ca
from beamfly.devices.ca_backend import CaCommandBackend, CaSignalBackend

HERE = Path(__file__).parent
MISSING = "Protocol ca not available, did you `pip install ophyd_async[ca]`?"


@pytest.mark.timeout(180)
def test_devices_without_any_other_driver() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / "without_libca.py")],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert found["before"] == [MISSING, False]
    assert found["after"] == [MISSING, False]
    assert found["own"] == ["beamfly"]
    assert found["rows"] == pytest.approx([-1.0, -0.5, 0.0, 0.5, 1.0])
    assert found["moves"] == pytest.approx([-1.0, -0.5, 0.0, 0.5, 1.0])
    assert found["keys"] == [
        "cam-acquire_time",
        "det-channel-1-value",
        "det-channel-2-value",
        "det-channel-3-value",
        "motor",
    ]
    assert found["put"] == [7, 67]
    assert found["transport"] == ["beamfly"]
    assert found["source"] == "ca://X:m1.RBV"
    assert found["blocked"] == []


@pytest.mark.timeout(180)
def test_every_device_class_connects_and_is_in_a_scan() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / "every_device.py")],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert found["blocked"] == []
    devices: dict[str, dict[str, Any]] = found["devices"]
    assert {name: one["failed"] for name, one in devices.items() if one["failed"]} == {}
    assert {one["by"] for one in devices.values()} == {"beamfly"}
    assert all(one["events"] for one in devices.values())
    # three writers have the frames of a count of 2 and of a flight of 3
    flown = [name for name, one in devices.items() if one["scan"] == "count and fly"]
    assert [devices[name]["rows"] for name in flown] == [[2, 2, 2, 3, 3, 3]] * len(
        flown
    )
    assert {"AreaDetector", "ContAcqDetector", "SimDetector", "VimbaDetector"} <= {
        *flown
    }
    assert {"AndorDetector", "AravisDetector", "KinetixDetector"} <= {*flown}
    assert {"MerlinDetector", "PilatusDetector"} <= {*flown}
    scanned = {"Motor", "DemoMotor", "DemoStage", "PmacIO", "DemoPointDetector"}
    assert scanned <= {*devices}
    # the rest has no PVs of Channel Access, and says so
    for name, reason in found["absent"].items():
        assert name.startswith(("ophyd_async.epics.testing.", "ophyd_async.fastcs."))
        assert reason.startswith(("Protocol pva not available", "Channel Access has"))


def test_it_is_reversible_and_can_be_nested() -> None:
    theirs = epics_core.CaSignalBackend
    assert not native_ca_in_use()
    with use_native_ca():
        assert epics_core.CaSignalBackend is CaSignalBackend
        inner, outer = use_native_ca(), use_native_ca()
        inner.undo()
        inner.undo()
        assert native_ca_in_use()
        ours = epics_signal_rw(float, "X:a")
        command = epics_triggerable_command("X:go")
    # the order of undoing does not matter
    assert native_ca_in_use()
    outer.undo()
    assert not native_ca_in_use()
    assert epics_core.CaSignalBackend is theirs
    assert transport_of(ours) == transport_of(command) == "beamfly"
    assert isinstance(command._connector.backend, CaCommandBackend)
    other = epics_signal_rw(float, "X:a")
    assert transport_of(other) == "aioca"
    assert other.source == ours.source == "ca://X:a"
    assert transport_of(soft_signal_rw(float)) == ""


def test_threads_that_switch_at_the_same_time() -> None:
    wrong: list[str] = []

    def work() -> None:
        for _ in range(200):
            with use_native_ca():
                if transport_of(epics_signal_rw(float, "X:a")) != "beamfly":
                    wrong.append("aioca")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not native_ca_in_use()


def test_an_error_inside_does_not_leave_it_switched() -> None:
    with pytest.raises(ValueError, match="no"), use_native_ca():
        raise ValueError("no")
    assert not native_ca_in_use()


async def test_a_device_keeps_what_it_was_made_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with use_native_ca():
        motor = Motor("X:m1", name="motor")
    async with serving({"X:m1": MotorRecord().record}, monkeypatch):
        await motor.connect()
        await motor.set(2.0)
        assert (await motor.read())["motor"]["value"] == 2.0
        key = (await motor.describe())["motor"]
        assert (key["units"], key["precision"], key["source"]) == (
            "mm",
            3,
            "ca://X:m1.RBV",
        )
        await motor.connect(mock=True)
        assert transport_of(motor) == ""
