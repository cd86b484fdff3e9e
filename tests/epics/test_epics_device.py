"""`Device` and `Alarm`, from either server or ours."""

import time
from pathlib import Path
from typing import Any

import pytest

import beamfly.epics as epics
from beamfly.ca.server_thread import ThreadedServer
from beamfly.epics.alarm import AlarmArguments
from conftest import until


@pytest.fixture
def device(served: str) -> epics.Device:
    names = ["ao", "long", "enum", "string", "char"]
    return epics.Device("T", names, delim=":", aliases={"position": "ao"})


def test_attributes(device: epics.Device) -> None:
    assert device.put("ao", 2.5, wait=True) == 1
    until(lambda: device.ao == device.position == 2.5)
    assert device.get("ao", as_string=True) == "2.500"
    device.position = 3.5
    until(lambda: device.ao == 3.5)
    device.enum = "two"
    until(lambda: device.enum == 2)
    assert device.bool in (0, 1), "another attribute becomes a PV when it is used"
    assert {"ao", "position", "bool", "save_state"} <= set(dir(device))
    assert repr(device) == "<Device 'T:', 6 attributes>"
    assert device.add_pv("T:float", "trace") is device.PV("trace")
    seen: list[Any] = []
    index = device.add_callback("long", lambda value, **kw: seen.append(value))
    device.put("long", 41, wait=True)
    device.put("long", 42, wait=True)
    until(lambda: seen and seen[-1] == 42)
    device.remove_callbacks("long", index)
    assert device.PV("long").callbacks == {}


def test_attributes_that_are_not_there(
    served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epics.ca, "DEFAULT_CONNECTION_TIMEOUT", 50)
    device = epics.Device("T:", ["ao"], timeout=50)
    assert device.PV("ao").wait_for_connection(30)
    start = time.monotonic()
    assert not hasattr(device, "_ipython_display_")
    assert time.monotonic() - start < 30, "it was not looked for"
    fixed = epics.Device("T:", ["ao"], mutable=False, nonpvs=["note"])
    fixed.note = "mine"
    assert fixed.note == "mine"
    with pytest.raises(AttributeError, match="Device has no attribute long"):
        fixed.long  # noqa: B018
    with pytest.raises(AttributeError, match="Device has no attribute long"):
        fixed.long = 3


def test_state_goes_to_a_file_and_back(device: epics.Device, tmp_path: Path) -> None:
    first = {"ao": 1.25, "long": 7, "enum": 1, "string": "two words", "char": "a b"}
    for attr, value in first.items():
        device.put(attr, value, wait=True)
    until(lambda: device.save_state() == first)
    file = tmp_path / "state.txt"
    device.write_state(file)
    lines = file.read_text().splitlines()
    assert lines[0].startswith("#Device Saved State for Device,prefix='T:',time=")
    assert lines[1:] == sorted(f"{attr} {value}" for attr, value in first.items())
    device.restore_state({"ao": 0.5, "long": 8, "enum": 0, "char": "else", "no": 1})
    until(lambda: device.ao == 0.5 and device.get("char", as_string=True) == "else")
    assert device.read_state(file) == first
    assert device.read_state(file, restore=True) == first
    until(lambda: device.get_all() == first)


def test_properties_of_a_subclass(served: str) -> None:
    class Mine(epics.Device):
        position = epics.Device.pv_property("ao", wait=True)
        shown = epics.Device.pv_property("ao", as_string=True)

        def __init__(self) -> None:
            super().__init__("T:", ["ao"])
            self._note = "plain"

    mine = Mine()
    mine.position = 4.5
    until(lambda: mine.position == 4.5)
    assert mine.shown == "4.500" and mine._note == "plain"


def alarm_of(**options: Any) -> tuple[epics.Alarm, list[tuple[Any, ...]]]:
    calls: list[tuple[Any, ...]] = []

    def called(value: Any, trip_point: Any, comparison: str, **kw: Any) -> None:
        calls.append((kw["pvname"], value, trip_point, comparison))

    return epics.Alarm("T:ao", callback=called, **options), calls


def test_alarm(server: ThreadedServer) -> None:
    alarm, calls = alarm_of(comparison=">", trip_point=2.0, alert_delay=0)
    pv = alarm.pv
    for value in (2.5, 2.6, 1.0, 1.5, 3.0):
        server.post("T:ao", value)
        until(lambda now=value: pv.get() == now)
    until(lambda: len(calls) == 2)
    assert calls == [("T:ao", 2.5, 2.0, ">"), ("T:ao", 3.0, 2.0, ">")]
    assert alarm.alarm_state and alarm.last_alert == pytest.approx(time.time(), abs=30)
    text = "<Alarm pvname='T:ao',comp='>',trip_point=2.0>"
    assert repr(alarm) == text
    alarm.reset()
    assert not alarm.alarm_state
    server.post("T:ao", 3.5)
    until(lambda: len(calls) == 3)
    alarm.close()
    assert pv.callbacks == {}


def test_an_alarm_within_the_quiet_time_is_not_missed(server: ThreadedServer) -> None:
    _, calls = alarm_of(comparison="ge", trip_point=5.0, alert_delay=0.2)
    start = time.monotonic()
    server.post("T:ao", 5.0)
    until(lambda: len(calls) == 1)
    server.post("T:ao", 0.0)
    server.post("T:ao", 6.0)  # and stays there
    until(lambda: len(calls) == 2)
    assert calls[1][1] == 6.0
    assert time.monotonic() - start > 0.1


def test_an_alarm_that_is_over_within_the_quiet_time(server: ThreadedServer) -> None:
    alarm, calls = alarm_of(comparison="ge", trip_point=5.0, alert_delay=60)
    server.post("T:ao", 5.0)
    until(lambda: len(calls) == 1)
    told: list[float] = []
    alarm.pv.add_callback(lambda value, **kw: told.append(value))
    for value in (0.0, 7.0):
        server.post("T:ao", value)
    until(lambda: told[-1:] == [7.0])
    assert alarm._waiting and alarm._untold is not None
    server.post("T:ao", 1.0)  # over before anybody needed to know
    until(lambda: told[-1:] == [1.0])
    assert alarm._untold is None
    alarm._alert()
    assert len(calls) == 1


def test_an_alarm_that_is_there_already(
    server: ThreadedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.post("T:ao", 8.5)
    epics.caget("T:ao", use_monitor=False)
    alarm = epics.Alarm(epics.get_pv("T:ao"), lambda value, trip: value > trip, 8)
    assert alarm.alarm_state and alarm.comp_name == "<lambda>"
    assert capsys.readouterr().out.startswith("Alarm: T:ao=8.5")


def test_alarms_that_cannot_be(server: ThreadedServer) -> None:
    with pytest.raises(UserWarning, match="trip point"):
        epics.Alarm("T:ao", "gt")
    with pytest.raises(AlarmArguments, match="'bigger' is none of eq == ne"):
        epics.Alarm("T:ao", "bigger", 1)
