"""`PV` from either server: values, attributes, puts, callbacks."""

import threading
import time
from typing import Any

import numpy as np
import pytest

import beamfly.epics as epics
from beamfly.epics.exceptions import CASeverityException
from beamfly.errors import BadValue
from conftest import until

pytestmark = pytest.mark.usefixtures("served")


def connected(name: str, **options: Any) -> epics.PV:
    pv = epics.PV(name, **options)
    assert pv.wait_for_connection(30)
    return pv


def test_a_float_and_all_that_is_known_of_it() -> None:
    pv = connected("T:ao")
    assert pv.put(2.5, wait=True) == 1
    until(lambda: pv.get() == 2.5)
    assert pv.get(use_monitor=False) == 2.5
    assert pv.value == 2.5 and isinstance(pv.value, float)
    assert pv.get(as_string=True) == pv.char_value == "2.500"
    assert (pv.type, pv.typefull, pv.ftype, pv.form) == (
        "time_double",
        "time_double",
        20,
        "time",
    )
    assert (pv.count, pv.nelm, pv.units, pv.precision) == (1, 1, "mm", 3)
    assert (pv.upper_disp_limit, pv.lower_disp_limit) == (10, -10)
    assert (pv.upper_ctrl_limit, pv.lower_ctrl_limit) == (9, -9)
    assert (pv.upper_alarm_limit, pv.lower_alarm_limit) == (8, -8)
    assert (pv.upper_warning_limit, pv.lower_warning_limit) == (7, -7)
    assert (pv.status, pv.severity) == (0, 0)
    assert (pv.char_status, pv.char_severity) == ("NO_ALARM", "NO_ALARM")
    assert (pv.access, pv.read_access, pv.write_access) == ("read/write", True, True)
    assert pv.timestamp == pytest.approx(time.time(), abs=60)
    assert pv.posixseconds == int(pv.timestamp)
    assert 0 <= pv.nanoseconds < 1e9
    assert pv.host.startswith("127.0.0.1:")
    assert pv.enum_strs is None
    text = "<PV 'T:ao', count=1, type=time_double, access=read/write>"
    assert repr(pv) == str(pv) == text


def test_alarms_come_with_values() -> None:
    pv = connected("T:ao")
    pv.put(7.5, wait=True)
    until(lambda: pv.severity == 1)
    assert (pv.status, pv.char_status, pv.char_severity) == (4, "HIGH", "MINOR")
    pv.value = 0.0
    until(lambda: pv.severity == 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (-2.3456, "-2.346"),
        (0.000001234, "1.23e-06"),
        (8.9999, "9.000"),
    ],
)
def test_text_of_floats(value: float, text: str) -> None:
    pv = connected("T:ao")
    pv.put(value, wait=True)
    assert pv.get(as_string=True, use_monitor=False) == text


def test_an_integer() -> None:
    pv = connected("T:long")
    for given, there in ((12, 12), ("0x1f", 31), (3.7, 3), (np.int64(5), 5), ([4], 4)):
        pv.put(given, wait=True)
        assert pv.get(use_monitor=False) == there
    assert pv.type == "time_long"
    assert pv.units == "µm"
    assert pv.precision is None
    with pytest.raises(BadValue, match="'many' is no value of T:long, a PV of"):
        pv.put("many")
    with pytest.raises(BadValue, match="one number"):
        pv.put([1, 2])


def test_text() -> None:
    pv = connected("T:string")
    pv.put("some words  ", wait=True)
    assert pv.get(use_monitor=False) == "some words"
    pv.put(3.25, wait=True)
    assert pv.get(use_monitor=False, as_string=True) == "3.25"
    with pytest.raises(BadValue, match="DBR_STRING holds 39"):
        pv.put("x" * 40)


def test_an_enum() -> None:
    pv = connected("T:enum")
    pv.put("two", wait=True)
    assert pv.get(use_monitor=False) == 2
    assert pv.get(as_string=True, use_monitor=False) == "two"
    assert pv.enum_strs == ("zero", "one", "two")
    pv.put(1, wait=True)
    until(lambda: pv.char_value == "one")
    assert pv.units is None
    with pytest.raises(BadValue):
        pv.put("twelve")


def test_arrays() -> None:
    pv = connected("T:longs")
    pv.put([1, 2, 3], wait=True)
    until(lambda: pv.count == 3)
    assert repr(pv) == "<PV 'T:longs', count=3/100, type=time_long, access=read/write>"
    found = pv.get()
    assert isinstance(found, np.ndarray) and found.dtype == np.int32
    assert found.tolist() == pv.get(as_numpy=False) == [1, 2, 3]
    assert isinstance(pv.get(as_numpy=False), list)
    assert pv.get(count=2).tolist() == [1, 2]
    assert pv.get(count=50, use_monitor=False).size in (3, 50)
    assert pv.get(count=1, use_monitor=False).tolist() == [1]
    assert pv.get().tolist() == [1, 2, 3], "a part is not taken for the whole"
    assert pv.get(as_string=True) == "<array size=3, type=time_long>"
    pv.put(np.arange(150), wait=True)
    assert pv.get(use_monitor=False).tolist() == list(range(100))
    pv.put([9], wait=True)
    assert pv.get(use_monitor=False).tolist() == [9]
    until(lambda: pv.count == 1)
    assert pv.get().tolist() == [9]
    pv.put([], wait=True)
    assert pv.get(use_monitor=False).tolist() == [0] * 100


def test_an_array_cut_short() -> None:
    whole = connected("T:longs")
    whole.put(list(range(10)), wait=True)
    pv = connected("T:longs", count=4)
    assert pv.count == 4
    until(lambda: pv.get() is not None)
    assert pv.get().tolist() == pv.get(use_monitor=False).tolist() == [0, 1, 2, 3]
    assert pv.get(count=6).tolist() == list(range(6))


def test_characters() -> None:
    pv = connected("T:char")
    pv.put("a path/to some µ  ", wait=True)
    assert pv.get(as_string=True, use_monitor=False) == "a path/to some µ"
    codes = pv.get(use_monitor=False)
    assert codes.dtype == np.uint8 and codes[-1] == 0
    pv.put(b"bytes", wait=True)
    until(lambda: pv.char_value == "bytes")
    pv.put("y" * 300, wait=True)
    assert pv.get(as_string=True, use_monitor=False) == "y" * 200


def test_texts() -> None:
    pv = connected("T:strings")
    pv.put(["one", "two", 3], wait=True)
    assert pv.get(use_monitor=False).tolist()[:3] == ["one", "two", "3"]
    assert pv.get(as_numpy=False, use_monitor=False)[1] == "two"
    pv.put("single", wait=True)
    assert pv.get(use_monitor=False).tolist()[0] == "single"


def test_metadata() -> None:
    pv = connected("T:ao")
    pv.put(1.25, wait=True)
    time_only = pv.get_with_metadata(use_monitor=False)
    assert list(time_only) == [
        *("status", "severity", "timestamp", "posixseconds", "nanoseconds", "value")
    ]
    control = pv.get_with_metadata(form="ctrl", as_namespace=True)
    assert (control.units, control.precision, control.value) == ("mm", 3, 1.25)
    plain = pv.get_with_metadata(form="native")
    assert plain == {"value": 1.25}
    both = pv.get_with_metadata(with_ctrlvars=True, as_string=True)
    assert both["value"] == "1.250" and both["units"] == "mm" and both["timestamp"] > 0
    variables = pv.get_ctrlvars()
    assert variables is not None and "value" not in variables
    times = pv.get_timevars()
    assert times is not None and set(times) == set(time_only) - {"value"}


@pytest.mark.parametrize("form", ["native", "time", "ctrl"])
def test_forms(form: str) -> None:
    pv = connected("T:ao", form=form)
    updates: list[dict[str, Any]] = []
    pv.add_callback(lambda **kw: updates.append(kw))
    pv.put(3.5, wait=True)
    pv.put(4.5, wait=True)
    until(lambda: updates and updates[-1]["value"] == 4.5)
    assert pv.type == {"native": "double"}.get(form, f"{form}_double")
    assert updates[-1]["units"] == "mm"
    assert updates[-1]["timestamp"] == pytest.approx(time.time(), abs=60)
    assert pv.get() == 4.5
    text = connected("T:string", form=form)
    assert text.type == {"native": "string"}.get(form, "time_string")
    assert isinstance(text.get(), str)


def test_what_callbacks_are_told() -> None:
    pv = connected("T:enum")
    pv.put(0, wait=True)
    until(lambda: pv.get() == 0)
    told: list[dict[str, Any]] = []
    index = pv.add_callback(lambda **kw: told.append(kw), extra="mine")
    assert index == 1
    pv.put(2)
    until(lambda: told and told[-1]["value"] == 2)
    last = told[-1]
    assert set(last) == {
        *("pvname", "value", "char_value", "status", "ftype", "chid", "host", "count"),
        *("access", "write_access", "read_access", "severity", "timestamp"),
        *("posixseconds", "nanoseconds", "precision", "units", "enum_strs"),
        *("monitor_delta", "upper_disp_limit", "lower_disp_limit"),
        *("upper_alarm_limit", "lower_alarm_limit", "lower_warning_limit"),
        *("upper_warning_limit", "upper_ctrl_limit", "lower_ctrl_limit"),
        *("nelm", "type", "typefull", "extra", "cb_info"),
    }
    assert (last["pvname"], last["char_value"], last["extra"]) == (
        "T:enum",
        "two",
        "mine",
    )
    assert last["cb_info"] == (1, pv) and last["chid"] == pv.chid
    pv.remove_callback(index)
    heard = len(told)
    pv.put(1, wait=True)
    until(lambda: pv.get() == 1)
    assert len(told) == heard
    assert pv.add_callback(lambda **kw: told.append(kw), index=7, run_now=True) == 7
    assert told[-1]["value"] == 1
    pv.run_callbacks()
    assert len(told) == heard + 2
    pv.clear_callbacks()
    assert pv.callbacks == {}


def test_callbacks_get_and_put_and_wait() -> None:
    """A callback may do all that other threads do."""
    pv, other = connected("T:ao"), connected("T:long")
    seen: list[Any] = []

    def follow(value: float, **kw: Any) -> None:
        if value == 3.0:
            other.put(33, wait=True)
            new = epics.PV("T:enum")
            seen.append((other.get(use_monitor=False), new.get(), new.connected))

    pv.add_callback(follow)
    pv.put(3.0)
    until(lambda: seen)
    assert seen[0][0] == 33 and seen[0][1] is not None and seen[0][2]


def test_connection_and_access_callbacks() -> None:
    calls: list[Any] = []
    pv = epics.PV(
        "T:ao",
        connection_callback=lambda pvname, conn, pv: calls.append((pvname, conn)),
        access_callback=lambda read, write, pv: calls.append((read, write)),
    )
    assert pv.wait_for_connection(30)
    assert calls == [(True, True), ("T:ao", True)]


def test_put_complete() -> None:
    pv = connected("T:slow")
    assert pv.put_complete is None
    start = time.monotonic()
    assert pv.put(1, use_complete=True) == 1
    assert pv.put_complete is False
    until(lambda: pv.put_complete)
    assert time.monotonic() - start > 0.25
    told: list[Any] = []
    pv.put(2, callback=lambda **kw: told.append(kw), callback_data={"who": "me"})
    pv.put(3, callback=lambda **kw: told.append(kw), callback_data=4)
    until(lambda: len(told) == 2)
    assert told == [{"pvname": "T:slow", "who": "me"}, {"pvname": "T:slow", "data": 4}]
    assert pv.put(6, wait=True, timeout=30) == 1
    assert connected("T:never").put(5, wait=True, timeout=0.05) == -1


def test_auto_monitor() -> None:
    pv = connected("T:ao", auto_monitor=False)
    assert pv.auto_monitor is False and pv.auto_monitor_mask is None
    told: list[Any] = []
    pv.add_callback(lambda value, **kw: told.append(value))
    pv.put(1.0, wait=True)
    assert pv.get() == 1.0
    pv.auto_monitor = epics.dbr.DBE_LOG
    assert pv.auto_monitor_mask == epics.dbr.DBE_LOG
    until(lambda: told)
    pv.auto_monitor = True
    assert pv.auto_monitor_mask == epics.ca.DEFAULT_SUBSCRIPTION_MASK
    pv.clear_auto_monitor()
    assert pv.auto_monitor_mask is None
    large = connected("T:double")
    until(lambda: large.auto_monitor is not None)
    assert large.auto_monitor is False
    assert connected("T:longs").auto_monitor is True


def test_a_put_that_is_not_allowed(served: str) -> None:
    if served == "c":
        pytest.skip("this IOC has no access rules")
    pv = connected("T:readonly")
    assert pv.access == "read-only"
    with pytest.raises(CASeverityException, match="Write access denied") as caught:
        pv.put(1)
    assert caught.value.name == "T:readonly" and caught.value.fcn == "put"


def test_from_many_threads() -> None:
    results: list[Any] = []

    def work(number: int) -> None:
        pv = epics.PV("T:long")
        for _ in range(20):
            results.append(pv.get(use_monitor=False))
        results.append(epics.caget("T:ao"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 * 21 and None not in results


def test_disconnect_and_reconnect() -> None:
    pv = connected("T:ao")
    same = connected("T:ao")
    assert pv == same and hash(pv) == hash(same) and pv.chid == same.chid
    pv.disconnect()
    assert not pv.connected and repr(pv) == "<PV 'T:ao': not connected>"
    assert pv.get(timeout=0.01) is None
    assert pv.put(1) is None
    assert pv.info is None
    assert same.get() is not None, "others of the same name go on"
    assert pv.reconnect()
    assert pv.get() is not None
    assert same.reconnect()


def test_what_is_not_there() -> None:
    pv = epics.PV("T:nothing", connection_timeout=0.05)
    assert not pv.wait_for_connection() and not pv.connect(0.01)
    assert pv.get() is None and pv.value is None and pv.get_ctrlvars() is None
    assert pv.char_value == "None"
    assert pv.units is None and pv.char_severity == "UNKNOWN"
    assert pv != "T:nothing"


def test_attributes_cannot_be_set_by_mistake() -> None:
    pv = connected("T:ao")
    with pytest.raises(AttributeError, match="put to the record's field"):
        pv.units = "m"
