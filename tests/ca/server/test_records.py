"""Fields of records, groups of fields, names."""

import pytest
from tests.ca.server.test_pv import Ear, listen

from beamfly.ca.access import Peer
from beamfly.ca.alarms import AlarmStatus, Severity
from beamfly.ca.database import Database
from beamfly.ca.dbr import Dbr
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.record_fields import field_of, has_field
from beamfly.ca.records import RecordGroup
from beamfly.errors import BadValue, CARefused

ME = Peer("127.0.0.1:1", "me", "here")


def put(pv: PV | None, value: object) -> None:
    assert pv is not None
    Put(pv, "X", value, ME).start()


def show(pv: PV, field: str) -> object:
    found = field_of(pv, "X:pv", field)
    assert found is not None
    return str(found) if found.type in (Dbr.ENUM, Dbr.CHAR) else found.value


def test_fields_of_a_number() -> None:
    pv = PV(
        **{"value": 21.5, "units": "degC", "precision": 2, "hopr": 50.0, "hihi": 40.0},
        description="the hall",
    )
    expected = {
        **{"VAL": 21.5, "": 21.5, "EGU": "degC", "PREC": 2, "HOPR": 50.0, "HIHI": 40.0},
        **{"LOLO": 0.0, "HHSV": "MAJOR", "DESC": "the hall", "NAME": "X:pv"},
        **{"RTYP": "ao", "SEVR": "NO_ALARM", "STAT": "NO_ALARM", "UDF": "0"},
        **{"TIME": "<undefined>", "MDEL": 0.0, "ACKT": "YES"},
    }
    assert {field: show(pv, field) for field in expected} == expected
    for missing in ("ZRST", "NORD", "FOO", "egu", "EGU.X", "HIHI$", "VAL$", "$"):
        assert not has_field(pv, missing)
        assert field_of(pv, "X:pv", missing) is None


def test_fields_have_the_types_of_a_record() -> None:
    whole, real = PV(3), PV(3.0)
    types = {
        field: (field_of(whole, "X", field), field_of(real, "X", field))
        for field in ("HIHI", "MDEL")
    }
    for one, two in types.values():
        assert one is not None and two is not None
        assert (one.type, two.type) == (Dbr.LONG, Dbr.DOUBLE)
    assert not has_field(whole, "PREC")


def test_putting_a_field_changes_the_pv() -> None:
    pv = PV(21.5)
    heard = listen(pv, 8)
    put(field_of(pv, "X", "HIGH"), 20.0)
    assert pv.alarm == (AlarmStatus.HIGH, Severity.MINOR)
    put(field_of(pv, "X", "EGU"), "K")
    assert pv.properties.units == "K"
    put(field_of(pv, "X", "HSV"), 2)
    assert pv.alarm.severity is Severity.MAJOR
    assert len(heard) == 3
    with pytest.raises(CARefused):
        put(field_of(pv, "X", "NAME"), "other")


def test_fields_follow_the_pv() -> None:
    pv = PV(1.0, high=5)
    severity = field_of(pv, "X", "SEVR")
    high = field_of(pv, "X", "HIGH")
    assert severity is not None and high is not None
    heard = listen(severity, 1)
    pv.post(6.0, time_ns=77)
    pv.post(7.0, time_ns=78)
    assert heard == [1]
    assert (severity.value, severity.alarm, severity.time_ns) == (1, pv.alarm, 78)
    pv.configure(high=10)
    assert high.value == 10
    assert heard == [1, 0]


def test_states_and_array_fields() -> None:
    pv = PV(0, states=("off", "on"))
    assert (show(pv, "ZRST"), show(pv, "ONAM"), show(pv, "TWST")) == ("off", "on", "")
    put(field_of(pv, "X", "THST"), "three")
    assert pv.properties.states == ("off", "on", "", "three")
    wave = PV([1.0, 2.0], length=9)
    assert (show(wave, "NELM"), show(wave, "NORD")) == (9, 2)


def test_long_text() -> None:
    long = "/a/very/long/path/" + "x" * 60
    pv = PV(long, size=200)
    assert pv.record_type == "lso"
    for name in ("VAL$", "$"):
        view = field_of(pv, "X", name)
        assert view is not None
        assert (view.type, view.length, str(view)) == (Dbr.CHAR, 200, long)
    view = field_of(pv, "X", "VAL$")
    put(view, b"short\0")
    assert pv.value == "short"
    description = field_of(pv, "X", "DESC$")
    assert description is not None
    assert description.length == 41
    put(description, b"what it is\0")
    assert pv.properties.description == "what it is"
    pv.post("new")
    assert str(view) == "new"


def test_put_to_long_text_asks_the_hook_of_the_pv() -> None:
    asked: list[object] = []

    def hook(put: Put) -> None:
        asked.append(put.value)
        put.value = f"<{put.value}>"

    pv = PV("old", size=100, on_put=hook)
    put(field_of(pv, "X", "VAL$"), b"new\0")
    assert asked == ["new"]
    assert pv.value == "<new>"


def motor() -> RecordGroup:
    return RecordGroup(
        "motor",
        VAL=PV(0.0, units="mm", precision=3, hopr=10, lopr=-10),
        RBV=0.0,
        DMOV=PV(1, type="short"),
        MSTA=2,
    )


def test_group_gives_names_and_shares_metadata() -> None:
    group = motor()
    database = Database({"M1": group}, lambda: 5)
    assert database.find("M1") is database.find("M1.VAL") is group.main
    assert database.find("M1.RBV") is group.pvs["RBV"]
    assert database["M1.RTYP"].value == "motor"
    assert database["M1.EGU"].value == "mm"
    assert group.pvs["RBV"].properties.units == "mm"
    put(database.find("M1.PREC"), 5)
    assert group.pvs["RBV"].properties.precision == 5
    assert database.has("M1.DMOV") and database.has("M1.HIHI")
    assert not database.has("M1.FOO") and not database.has("M1.MSTA$")


def test_one_step_one_stamp_and_nobody_sees_half_of_it() -> None:
    group = motor()
    Database({"M1": group}, iter(range(100)).__next__)
    seen: list[tuple[object, object]] = []

    class Both(Ear):
        def changed(self, pv: PV) -> None:
            seen.append((group["RBV"], group["DMOV"]))

    for field in ("RBV", "DMOV"):
        group.pvs[field].listeners[Both(5)] = None
    group.post(RBV=1.5, DMOV=0)
    assert seen == [(1.5, 0), (1.5, 0)]
    with group.step(time_ns=1234):
        group["RBV"] = 2.0
        with group.step():
            group["DMOV"] = 1
        assert len(seen) == 2
    assert seen[2:] == [(2.0, 1), (2.0, 1)]
    assert {group.pvs[field].time_ns for field in ("RBV", "DMOV")} == {1234}
    group["RBV"] = 3.0
    assert seen[-1] == (3.0, 1)
    with pytest.raises(KeyError):
        group["NOPE"] = 1


def test_step_that_fails_still_tells_what_was_changed() -> None:
    group = motor()
    heard = listen(group.pvs["RBV"], 1)
    with pytest.raises(BadValue), group.step():
        group["RBV"] = 1.0
        group["MSTA"] = "nonsense"
    assert heard == [1.0]
    group["RBV"] = 2.0
    assert heard == [1.0, 2.0]


def test_alarm_of_the_whole_record_stays() -> None:
    group = motor()
    heard = listen(group.pvs["MSTA"], 4)
    group.alarm("COMM", "INVALID")
    group.post(RBV=1.0)
    assert {pv.alarm.status.name for pv in group.pvs.values()} == {"COMM"}
    assert len(heard) == 1
    group.alarm("NO_ALARM", "NO_ALARM")
    assert {pv.alarm.severity for pv in group.pvs.values()} == {0}


def test_group_needs_its_main_field() -> None:
    with pytest.raises(BadValue, match="VAL"):
        RecordGroup("motor", RBV=1.0)
    scaler = RecordGroup("scaler", {"CNT": 0, "S1": 5}, main="CNT")
    assert Database({"S": scaler}, int)["S"].value == 0


def test_names() -> None:
    database = Database({"a": 1, "a.b": 2.0, "a.HIHI": "text"}, lambda: 9)
    assert database["a.b"].value == 2.0
    assert database["a.b.HIHI"].value == 0.0
    assert database["a.HIHI"].value == "text"
    assert database["a"].time_ns == 9
    for missing in ("", "b", "a.", "A", ".a", "a.b.c", "a..HIHI"):
        assert database.has(missing) is (missing == "a.")
    with pytest.raises(KeyError):
        database["b"]
    with pytest.raises(BadValue, match="served already"):
        database.add("a", 1)
    for name in ("", "x" * 501, "a\0b"):
        with pytest.raises(BadValue):
            database.add(name, 1)
    removed = database.remove("a")
    assert len(removed) == 1
    assert not database.has("a.LOLO")


def test_largest_payload_follows_the_pvs() -> None:
    database = Database({"w": PV(length=100_000, type="double")}, int)
    assert database.largest >= 40 * 100_000
    database.limit(20_000)
    database.add("v", PV(length=200_000, type="double"))
    assert database.largest == 20_000
