"""PVs: values, alarms, deadbands, arrays, text."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.alarms import AlarmStatus, Severity
from beamfly.ca.dbr import Dbr
from beamfly.ca.message import EventMask
from beamfly.ca.pv import PV
from beamfly.errors import BadValue

V, L, A, P = EventMask.VALUE, EventMask.LOG, EventMask.ALARM, EventMask.PROPERTY


@dataclass(eq=False)
class Ear:
    """Counts what it is told."""

    mask: int
    heard: list[object] = field(default_factory=list[object])

    def changed(self, pv: PV) -> None:
        self.heard.append(pv.value)


def listen(pv: PV, mask: int) -> list[object]:
    ear = Ear(mask)
    pv.listeners[ear] = None
    return ear.heard


@pytest.mark.parametrize(
    ("value", "options", "base", "length", "kept"),
    [
        (1.5, {}, Dbr.DOUBLE, 1, 1.5),
        (3, {}, Dbr.LONG, 1, 3),
        (True, {}, Dbr.ENUM, 1, 1),
        ("text", {}, Dbr.STRING, 1, "text"),
        ("two", {"states": ("one", "two")}, Dbr.ENUM, 1, 1),
        (3, {"type": "float"}, Dbr.FLOAT, 1, 3.0),
        (7, {"type": "string"}, Dbr.STRING, 1, "7"),
        ("7", {"type": "short"}, Dbr.SHORT, 1, 7),
        (None, {}, Dbr.DOUBLE, 1, 0.0),
        (np.float32(2.5), {}, Dbr.FLOAT, 1, 2.5),
        (2**31 - 1, {}, Dbr.LONG, 1, 2**31 - 1),
        (2**31, {}, Dbr.DOUBLE, 1, 2.0**31),
        (3, {"type": 1}, Dbr.SHORT, 1, 3),
    ],
)
def test_type_follows_the_value(
    value: object, options: dict[str, object], base: Dbr, length: int, kept: object
) -> None:
    pv = PV(value, **options)  # pyright: ignore
    assert (pv.type, pv.length, pv.value) == (base, length, kept)


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ([1.0, 2.0], Dbr.DOUBLE),
        ([1, 2], Dbr.LONG),
        (np.zeros(2, "i2"), Dbr.SHORT),
        (np.zeros(2, "u1"), Dbr.CHAR),
        (np.zeros(2, "f4"), Dbr.FLOAT),
        (b"ab", Dbr.CHAR),
        (["a", "b"], Dbr.STRING),
    ],
)
def test_arrays(value: object, base: Dbr) -> None:
    pv = PV(value, length=5)
    assert (pv.type, pv.length) == (base, 5)
    assert list(pv.elements()) == list(
        np.asarray(value).tolist() if base else value
    ) or (base is Dbr.CHAR and bytes(pv.value) == value)
    if base:
        with pytest.raises(ValueError, match="read-only"):
            pv.value[0] = 1


@pytest.mark.parametrize(
    "value", [[[1, 2, 3], [4, 5, 6]], np.arange(1, 7).reshape(2, 3)]
)
def test_pictures_are_kept_row_by_row(value: object) -> None:
    pv = PV(value)
    assert pv.length == 6 and list(pv.value) == [1, 2, 3, 4, 5, 6]


def test_empty_arrays_want_a_length() -> None:
    pv = PV([], length=5)
    assert (pv.length, len(pv.value)) == (5, 0)
    with pytest.raises(BadValue, match="give the length of an empty one"):
        PV([])


def test_record_types() -> None:
    pvs = {
        "bo": PV(True),
        "mbbo": PV(0, states=("a", "b", "c")),
        "ao": PV(1.0),
        "longout": PV(1),
        "stringout": PV("x"),
        "lso": PV("x", size=100),
        "waveform": PV([1.0, 2.0]),
        "motor": PV(1.0, record="motor"),
    }
    assert [pv.record_type for pv in pvs.values()] == [*pvs]
    assert str(pvs["bo"]) == "True"


def test_our_array_is_copied() -> None:
    data = np.array([1.0, 2.0])
    pv = PV(data)
    data[0] = 99
    assert list(pv.value) == [1.0, 2.0]
    pv.post(data)
    data[0] = 98
    assert pv.value[0] == 99


def test_too_many_elements_are_cut_off() -> None:
    pv = PV(length=3, type="long")
    pv.post(range(10))
    assert list(pv.value) == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"value": 1.0}, "abc"),
        ({"value": 1}, 2**31),
        ({"value": 1, "type": "char"}, 256),
        ({"value": 1.0}, object()),
        ({"value": 0, "states": ("a",)}, "b"),
        ({"value": [1.0]}, "text"),
        ({"value": [1.0], "length": 3}, [object()]),
    ],
)
def test_nonsense_changes_nothing(options: dict[str, object], value: object) -> None:
    pv = PV(**options)  # pyright: ignore
    before = repr(pv)
    with pytest.raises(BadValue):
        pv.post(value)
    assert repr(pv) == before


def test_nonsense_makes_no_pv() -> None:
    for options in ({"type": "complex"}, {"length": 0}, {"states": ("x",) * 17}):
        with pytest.raises(BadValue):
            PV(**options)  # pyright: ignore
    with pytest.raises(BadValue):
        PV(0, states=("x" * 26,))
    with pytest.raises(BadValue):
        PV({1: 2})
    with pytest.raises(BadValue, match=r"no unit; it has description, units"):
        PV(1.0, unit="mm")  # pyright: ignore
    pv = PV(1.0)
    with pytest.raises(BadValue):
        pv.configure(unit="mm")  # pyright: ignore
    with pytest.raises(BadValue):
        pv.configure(hihi="high")  # pyright: ignore
    assert PV(True, type="double").properties.states == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hihi": "hot"}, "hihi='hot' is no number"),
        ({"hihi": None}, "hihi=None is no number"),
        ({"precision": 1.5}, "precision=1.5 is no whole number"),
        ({"units": 5}, "units=5 is no text"),
        ({"states": "On"}, "states='On' is no list of texts"),
        ({"states": [1, 2]}, "are not all texts"),
        ({"length": "a"}, "at least one element, not 'a'"),
        ({"type": 99}, "99 is no base type; take one of"),
        ({"on_put": "limit"}, "on_put='limit' is no function"),
    ],
)
def test_arguments_that_are_wrong_are_named(
    options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadValue, match=sentence):
        PV(1, **options)  # pyright: ignore


def test_numbers_of_numpy_are_numbers() -> None:
    pv = PV(1.0, hihi=np.float32(2), precision=np.int64(3), states=())  # pyright: ignore
    assert (pv.properties.hihi, pv.properties.precision) == (2, 3)
    assert PV(0, states=["a", np.str_("b")]).properties.states == ("a", "b")  # pyright: ignore


def test_an_empty_array_has_a_length() -> None:
    pv = PV(np.zeros(0, np.int32), length=3)
    assert (pv.type, pv.length, len(pv.value)) == (Dbr.LONG, 3, 0)
    for options in ({}, {"length": 1}):
        with pytest.raises(BadValue, match="give the length of an empty one"):
            PV(np.zeros(0), **options)


def test_characters_as_text() -> None:
    pv = PV("/data", type="char", length=16)
    assert str(pv) == "/data"
    assert bytes(pv.value) == b"/data\0"
    pv.post("/a much longer path than fits")
    assert str(pv) == "/a much longer p"
    pv.post(b"raw")
    assert list(pv.value) == [114, 97, 119]


def test_no_value_is_an_alarm_until_there_is_one() -> None:
    pv = PV(type="double")
    assert pv.alarm == (AlarmStatus.UDF, Severity.INVALID)
    pv.post(1.0)
    assert pv.alarm == (0, 0)


def test_limits_with_hysteresis() -> None:
    pv = PV(0.0, hihi=10, high=5, low=-5, lolo=-10, hyst=1)
    seen: list[str] = []
    for value in (5, 4.5, 4, 3.9, 10, 9.5, 8.9, 0, -5, -10, -9.5, -8.9, -4.5, -3):
        pv.post(float(value))
        seen.append(pv.alarm.status.name)
    assert seen == [
        *("HIGH", "HIGH", "HIGH", "NO_ALARM", "HIHI", "HIHI", "HIGH", "NO_ALARM"),
        *("LOW", "LOLO", "LOLO", "LOW", "LOW", "NO_ALARM"),
    ]
    assert PV(11.0, hihi=10, hhsv=0, high=5).alarm == (
        AlarmStatus.HIGH,
        Severity.MINOR,
    )


def test_enum_that_can_have_no_name_is_in_alarm() -> None:
    pv = PV(0, states=("off", "on"))
    for value, severity in ((1, 0), (15, 0), (16, 3), (0, 0)):
        pv.post(value)
        assert pv.alarm.severity == severity
    raw = PV(0, type="enum")
    raw.post(99)
    assert raw.alarm.severity == 0


def test_nan_with_limits_is_undefined() -> None:
    pv = PV(0.0, hihi=10)
    pv.post(math.nan)
    assert pv.alarm.status is AlarmStatus.UDF


def test_own_alarm_competes_with_the_limits() -> None:
    pv = PV(0.0, high=5)
    pv.post(6.0, status="COMM", severity="INVALID")
    assert pv.alarm == (AlarmStatus.COMM, Severity.INVALID)
    pv.post(6.0)
    assert pv.alarm == (AlarmStatus.HIGH, Severity.MINOR)
    pv.post(status="READ", severity="MINOR")
    assert pv.alarm.status is AlarmStatus.READ
    assert pv.value == 6.0
    with pytest.raises(BadValue, match="LOUD"):
        pv.post(1.0, severity="LOUD")
    with pytest.raises(BadValue):
        PV(1.0, hhsv="LOUD")
    assert PV(5.0, high=5, hsv="MAJOR").alarm.severity is Severity.MAJOR
    assert pv.value == 6.0


def test_deadbands() -> None:
    pv = PV(0.0, mdel=1, adel=3)
    values, logged = listen(pv, V), listen(pv, L)
    for value in (0.5, 1.0, 1.5, 2.0, 2.6, 3.5):
        pv.post(value)
    assert values == [1.5, 2.6]
    assert logged == [3.5]
    pv.post(math.nan)
    pv.post(math.nan)
    pv.post(math.inf)
    assert len(values) == 4
    pv.configure(mdel=-1)
    pv.post(math.inf)
    assert len(values) == 5


def test_unchanged_value_is_no_event_but_arrays_always_are() -> None:
    number, state, wave = PV(1.0), PV(0, states=("a", "b")), PV([1.0, 2.0])
    heard = [listen(pv, V | L | A) for pv in (number, state, wave)]
    for pv in (number, state, wave):
        pv.post(pv.value)
    assert [len(one) for one in heard] == [0, 0, 1]


def test_masks() -> None:
    pv = PV(0.0, high=5)
    heard = {mask: listen(pv, mask) for mask in (V, L, A, P)}
    pv.post(1.0)
    assert {mask: len(one) for mask, one in heard.items()} == {V: 1, L: 1, A: 0, P: 0}
    pv.post(6.0)
    assert len(heard[A]) == 1
    pv.configure(units="K")
    assert {mask: len(one) for mask, one in heard.items()} == {V: 2, L: 2, A: 1, P: 1}
    pv.configure(high=7)
    assert pv.alarm.severity == 0
    assert len(heard[A]) == 2


def test_time_stamps() -> None:
    pv = PV(0.0)
    pv.post(1.0)
    assert pv.time_ns is None
    pv.clock = lambda: 5
    pv.post(2.0)
    assert pv.time_ns == 5
    pv.post(3.0, time_ns=7)
    assert pv.time_ns == 7
    for time_ns in (7.5e9, np.int64(7_500_000_000)):
        pv.post(4.0, time_ns=time_ns)  # pyright: ignore
        assert pv.time_ns == 7_500_000_000 and type(pv.time_ns) is int
    for nonsense in ("now", math.nan, math.inf, [1]):
        with pytest.raises(BadValue, match="no nanoseconds since 1970"):
            pv.post(5.0, time_ns=nonsense)  # pyright: ignore
    assert pv.value == 4.0


def test_acknowledging() -> None:
    pv = PV(0.0, high=5, hihi=10)
    pv.post(11.0)
    pv.post(0.0)
    assert pv.acknowledge_severity == 2
    pv.acknowledge(severity=1)
    assert pv.acknowledge_severity == 2
    pv.acknowledge(severity=2)
    assert pv.acknowledge_severity == 0
    pv.post(11.0)
    pv.post(0.0)
    pv.acknowledge(transient=False)
    assert pv.acknowledge_severity == 0


def test_control_limits_clip_puts_only() -> None:
    pv = PV(0.0, drvh=10, drvl=-10)
    assert pv.clip(50.0) == 10
    assert pv.clip(-50.0) == -10
    pv.post(50.0)
    assert pv.value == 50


@settings(deadline=None)
@given(
    st.lists(st.floats(-100, 100), max_size=30),
    st.floats(0, 10),
)
def test_last_told_value_is_never_further_off_than_the_deadband(
    values: list[float], deadband: float
) -> None:
    pv = PV(0.0, mdel=deadband)
    heard = listen(pv, V)
    told = 0.0
    for value in values:
        pv.post(value)
        told = heard[-1] if heard else told
        assert abs(value - told) <= deadband  # pyright: ignore


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.0, 1e308, math.nan, math.inf, -math.inf]))
)
def test_no_deadband_takes_a_short_cut_to_the_same_updates(values: list[float]) -> None:
    short, long = PV(0.0), PV(0.0, adel=5e-324)
    heard = [listen(pv, V) for pv in (short, long)]
    logged = listen(short, L)
    for value in values:
        short.post(value)
        long.post(value)
    assert str(heard[0]) == str(heard[1]) == str(logged)
