"""caget and its family, from either server."""

import time
from typing import Any

import pytest

import beamfly.epics as epics
from conftest import until

pytestmark = pytest.mark.usefixtures("served")


def test_caput_and_caget() -> None:
    assert epics.caput("T:ao", 2.5, wait=True) == 1
    assert epics.caget("T:ao", use_monitor=False) == 2.5
    assert epics.caget("T:ao", as_string=True, use_monitor=False) == "2.500"
    assert epics.caput("T:enum", "one", wait=True) == 1
    assert epics.caget("T:enum", as_string=True, use_monitor=False) == "one"
    assert epics.caput("T:longs", [1, 2, 3], wait=True) == 1
    found = epics.caget("T:longs", count=2, as_numpy=False, use_monitor=False)
    assert found == [1, 2]


def test_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"connection_timeout": 0.05}
    assert epics.caget("T:nothing", **options) is None
    assert epics.caput("T:nothing", 1, **options) is None
    assert epics.cainfo("T:nothing", **options) is None
    assert capsys.readouterr().out == "cannot connect to T:nothing\n" * 3


def test_cainfo(capsys: pytest.CaptureFixture[str]) -> None:
    epics.caput("T:ao", 1.5, wait=True)
    assert epics.cainfo("T:ao") is None
    printed = capsys.readouterr().out
    text = epics.cainfo("T:ao", print_out=False)
    assert text is not None
    lines = text.splitlines()
    assert lines[:6] == [
        "== T:ao  (time_double) ==",
        "   value           = 1.5",
        "   char_value      = '1.500'",
        "   count           = 1",
        "   nelm            = 1",
        "   type            = time_double",
    ]
    assert "   upper_ctrl_limit     = 9.0" in lines
    assert lines[-2].startswith("   PV is internally monitored, with 0 user-defined")
    assert lines[-1] == "============================="
    assert printed.splitlines()[0] == lines[0]
    assert "       1 = one" in str(epics.cainfo("T:enum", print_out=False))
    epics.caput("T:longs", list(range(20)), wait=True)
    until(lambda: epics.get_pv("T:longs").count == 20)
    shown = "   value           =  array  [0,1,2,3,4,....]"
    assert shown in str(epics.cainfo("T:longs", print_out=False))


def test_camonitor() -> None:
    epics.caput("T:ao", 1.0, wait=True)
    lines: list[str] = []
    epics.camonitor("T:ao", writer=lines.append)
    epics.caput("T:ao", 2.0, wait=True)
    until(lambda: lines and lines[-1].endswith(" 2.000"))
    assert lines[-1].startswith(f"T:ao {time.strftime('%Y-')}")
    epics.camonitor_clear("T:ao")
    epics.camonitor_clear("T:ao")
    heard = len(lines)
    epics.caput("T:ao", 3.0, wait=True)
    until(lambda: epics.caget("T:ao") == 3.0)
    assert len(lines) == heard
    told: list[Any] = []
    epics.camonitor("T:ao", callback=lambda **kw: told.append(kw["char_value"]))
    epics.caput("T:ao", 4.0, wait=True)
    until(lambda: told and told[-1] == "4.000")


def test_many() -> None:
    names = ["T:ao", "T:nothing", "T:enum", "T:longs", "T:ao"]
    for name in ("T:ao", "T:enum", "T:longs"):
        assert epics.get_pv(name).wait_for_connection(30)
    done = epics.caput_many(
        names[:4], [1.5, 0, 1, [1, 2]], wait="all", connection_timeout=0.3
    )
    assert done == [1, -1, 1, 1]
    values = epics.caget_many(names, connection_timeout=0.3)
    assert values[:3] == [1.5, None, 1] and values[3].tolist() == [1, 2]
    texts = epics.caget_many(["T:enum", "T:ao"], as_string=True)
    assert texts == ["one", "1.5"]
    assert epics.caput_many(["T:ao"], [2.5], wait="each") == [1]
    assert epics.caput_many(["T:ao", "T:long"], [2.5, 3]) == [1, 1]
    with pytest.raises(ValueError, match="2 PVs and 1 values"):
        epics.caput_many(["T:ao", "T:long"], [1])


def test_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    pv = epics.get_pv("T:ao", connect=True)
    assert pv is epics.get_pv(" T:ao ") is not epics.get_pv("T:ao", form="ctrl")
    calls: list[Any] = []
    again = epics.get_pv(
        "T:ao",
        connection_callback=lambda **kw: calls.append(kw["conn"]),
        access_callback=lambda read, write, pv: calls.append((read, write)),
        callback=lambda value, **kw: calls.append(value),
    )
    assert again is pv
    assert calls[:2] == [True, (True, True)] and isinstance(calls[2], float)
    epics.ca.clear_cache()
    assert not pv.connected
    assert epics.get_pv("T:ao", connect=True) is not pv


def test_a_class_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(epics.PV):
        """Knows more."""

    monkeypatch.setattr(epics.pv, "default_pv_class", Mine)
    assert isinstance(epics.get_pv("T:long"), Mine)
    assert epics.caget("T:long") is not None


def test_smallest_change() -> None:
    """MDEL is set, or does not exist and is done here."""
    epics.caput("T:ao", 0.0, wait=True)
    told: list[float] = []
    pv = epics.PV("T:ao", monitor_delta=1.0)
    assert pv.wait_for_connection() and pv.monitor_delta == 1.0
    until(lambda: pv.get() == 0.0 and not pv._deadband._here)
    assert epics.caget("T:ao.MDEL", use_monitor=False) == 1.0
    pv.add_callback(lambda value, **kw: told.append(value))
    for value in (0.5, 1.2, 1.4, 2.9):
        pv.put(value, wait=True)
    until(lambda: 2.9 in told)
    assert 0.5 not in told and 1.4 not in told
    epics.caput("T:ao.MDEL", 0, wait=True)
