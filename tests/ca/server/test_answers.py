"""Answers for every DBR type, against those of a C IOC with the same records."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.alarms import NO_ALARM, Alarm, AlarmStatus, Severity
from beamfly.ca.answers import answer, zeros
from beamfly.ca.conversion import cut
from beamfly.ca.dbr import EPICS_EPOCH, Dbr, Family, layout, promote
from beamfly.ca.header import unpack_header
from beamfly.ca.payloads import Value, decode
from beamfly.ca.pv import PV
from beamfly.errors import BadValue

GOLDEN: dict[str, dict[str, tuple[int, int, str]]] = json.loads(
    (
        Path(__file__).parents[2] / "golden" / "ca" / "server" / "ioc_answers.json"
    ).read_text()
)
STAMP_TYPE = f"{int(Dbr.TIME_DOUBLE)},0"


def records() -> dict[str, PV]:
    """The PVs that equal the records of the IOC."""
    double = PV(
        12.345678,
        precision=3,
        units="mm",
        hopr=100,
        lopr=-100,
        drvh=90,
        drvl=-90,
        hihi=80,
        high=70,
    )
    return {
        "P:d": double,
        "P:l": PV(
            70000,
            **{"units": "cnt", "hopr": 100000, "lopr": -5, "lolo": 70001},
            llsv=1,
        ),
        "P:e": PV("one", states=("zero", "one", "two")),
        "P:s": PV("3.75", record="stringout"),
        "P:wd": PV(
            [1.5, -2.25, 300.125], length=10, precision=2, units="V", hopr=5, lopr=-5
        ),
        "P:wf": PV([1.5, -2.25, 1e9], type="float", length=10, precision=2),
        "P:wl": PV([70000, -2, 5], type="long", length=10),
        "P:ws": PV([300, -2, 5], type="short", length=10),
        "P:wc": PV(bytes([0, 200, 7]), length=10),
        "P:wS": PV(["1.5", "text"], length=3),
    }


def cases() -> Iterator[tuple[str, int, int]]:
    for name, answers in GOLDEN.items():
        for key in answers:
            code, count = map(int, key.split(","))
            yield name, code, count


def comparable(value: Value) -> dict[str, Any]:
    """Everything that has a meaning; what cannot be nan-safe compared as text."""
    row = layout(value.type)
    found = {name: getattr(value, name) for name in Value.__dataclass_fields__}
    found["raw"] = value.strings() if row.base is Dbr.STRING else str(value.elements())
    found["limits"] = str(value.limits)
    return found


def decode_all(pv: PV, code: Dbr) -> Value:
    return decode(code, 1, pv.answer(code, 1).tail)


@pytest.mark.parametrize(("name", "code", "count"), [*cases()])
def test_answer_equals_that_of_an_ioc(name: str, code: int, count: int) -> None:
    pv = records()[name]
    size, status, payload = GOLDEN[name][f"{code},{count}"]
    raw = bytes.fromhex(payload)
    stamped = GOLDEN[name][f"{Dbr.TIME_STRING},0"]
    stamp = decode(Dbr.TIME_STRING, stamped[0], bytes.fromhex(stamped[2]))
    pv.time_ns = (stamp.seconds + EPICS_EPOCH) * 1_000_000_000 + stamp.nanoseconds
    ours = answer(pv, code, count)
    header = unpack_header(ours.message(15, ours.status, 0))
    assert header is not None
    assert header.p1 == status
    if code == Dbr.CLASS_NAME:
        # what rsrv sends behind the first is garbage
        mine, theirs = decode(38, 1, ours.tail), decode(38, 1, raw)
        assert mine.strings() == theirs.strings()
    elif status == 1:
        assert (header.elements, header.size) == (size, len(raw))
        mine = comparable(decode(code, size, ours.tail))
        theirs = comparable(decode(code, size, raw))
        if layout(code).family >= Family.GR and pv.type is Dbr.STRING:
            # rsrv leaves limits of an earlier answer where a string has none
            mine.pop("limits"), theirs.pop("limits")
        assert mine == theirs


def test_every_byte_is_accounted_for() -> None:
    pv = PV(1.0)
    for code in (*range(35), 37, 38):
        for count in (0, 1, 3):
            assert len(answer(pv, code, count).tail) % 8 == 0
            size = layout(code).size(max(count, 1))
            assert len(answer(pv, code, count).tail) == (size + 7) & ~7


def test_long_header_from_64_kilobytes_on() -> None:
    pv = PV(length=100_000, type="double")
    pv.post(range(70_000))
    message = pv.answer(Dbr.DOUBLE, 0).message(15, 1, 42)
    header = unpack_header(message)
    assert header is not None
    assert (header.length, header.size, header.elements) == (24, 560_000, 70_000)
    assert (header.p1, header.p2) == (1, 42)
    assert len(message) == 24 + 560_000


@pytest.mark.parametrize("size", [63, 64, 65, 66, 8190, 8192, 70_000])
@pytest.mark.parametrize("code", [2, 3, 5, 6, 15, 19, 20, 34])
def test_large_arrays_are_encoded_like_small_ones(size: int, code: int) -> None:
    values = np.arange(size) % 1000 - 3
    pv = PV(values.astype(float), units="V")
    for count in (0, size - 1, size + 3):
        ours = pv.answer(code, count)
        header = unpack_header(ours.message(15, 1, 0))
        assert header is not None
        found = decode(code, header.elements, ours.message(15, 1, 0)[header.length :])
        expected = np.zeros(count or size, int)
        expected[: min(size, count or size)] = values[: count or size]
        if layout(code).base is Dbr.ENUM:
            expected &= 0xFFFF
        assert np.array_equal(found.array(), expected)
        if code == Dbr.CTRL_DOUBLE:
            assert found.units == b"V"


def test_empty_array() -> None:
    pv = PV(length=10, type="double")
    # size 0 would end a subscription
    assert pv.answer(Dbr.DOUBLE, 0).tail == bytes(8)
    assert pv.answer(Dbr.DOUBLE, 0).head & 0xFFFF == 0
    assert len(pv.answer(Dbr.TIME_DOUBLE, 0).tail) == 16
    assert decode(Dbr.DOUBLE, 2, pv.answer(Dbr.DOUBLE, 2).tail).elements() == (0, 0)


def test_zeros_have_the_size_of_the_value() -> None:
    failed = zeros(Dbr.CTRL_DOUBLE, 3, 152)
    assert failed.tail == bytes(80 + 24)
    assert failed.status == 152


def test_units_and_states_are_cut() -> None:
    pv = PV(1.0, units="millimetres")
    assert decode(34, 1, pv.answer(34, 1).tail).units == b"millimet"
    states = tuple(f"state number {index} of sixteen"[:25] for index in range(16))
    enum = PV(0, states=states)
    value = decode(Dbr.CTRL_ENUM, 1, enum.answer(Dbr.CTRL_ENUM, 1).tail)
    assert value.enum_strings == tuple(state.encode() for state in states)


def test_text_is_not_cut_in_the_middle_of_a_letter() -> None:
    units = decode_all(PV(1.5, units="mm/mm²·µ"), Dbr.CTRL_DOUBLE).units
    assert units == "mm/mm²".encode()
    text = decode_all(PV("x" + 30 * "é"), Dbr.STRING)
    assert text.strings() == [("x" + 19 * "é").encode()]
    assert cut("éa", 1) == b"" and cut("ab", 2) == b"ab"


@pytest.mark.parametrize(
    ("time_ns", "stamp"),
    [
        (None, (0, 0)),
        (0, (0, 0)),
        (EPICS_EPOCH * 10**9 - 1, (0, 0)),
        (EPICS_EPOCH * 10**9 + 5, (0, 5)),
        ((EPICS_EPOCH + 2**32) * 10**9 - 1, (2**32 - 1, 10**9 - 1)),
        ((EPICS_EPOCH + 2**32) * 10**9, (2**32 - 1, 10**9 - 1)),
        (2**70, (2**32 - 1, 10**9 - 1)),
        (-(2**70), (0, 0)),
    ],
)
@pytest.mark.parametrize("code", [Dbr.TIME_DOUBLE, Dbr.TIME_STRING])
def test_time_stamps_that_the_wire_has_not_are_the_nearest(
    time_ns: int | None, stamp: tuple[int, int], code: Dbr
) -> None:
    pv = PV(type="double")
    if time_ns is not None:
        pv.post(1.5, time_ns=time_ns)
    value = decode_all(pv, code)
    assert (value.seconds, value.nanoseconds) == stamp


def test_limits_beyond_single_precision() -> None:
    pv = PV(1.0, hopr=1e300, lopr=-1e300)
    value = decode(Dbr.GR_FLOAT, 1, pv.answer(Dbr.GR_FLOAT, 1).tail)
    assert value.limits[0] == pytest.approx(3.4e38, rel=0.01)
    assert math.isnan(value.limits[2])


def test_encoding_is_kept_until_the_next_change() -> None:
    pv = PV(1.0)
    first = pv.answer(Dbr.TIME_DOUBLE, 1)
    assert pv.answer(Dbr.TIME_DOUBLE, 1) is first
    pv.post(2.0)
    assert pv.answer(Dbr.TIME_DOUBLE, 1) is not first


@settings(deadline=None)
@given(
    st.sampled_from([0, 0.0, -1, 1.5, 255, 70_000, float("nan"), float("-inf")]),
    st.sampled_from(["short", "float", "enum", "char", "long", "double"]),
    st.sampled_from([NO_ALARM, Alarm(AlarmStatus.HIHI, Severity.MAJOR)]),
    st.integers(0, 4_000_000_000_000_000_000),
    st.sampled_from([0, 1]),
)
def test_numbers_take_a_short_cut_to_the_same_bytes(
    value: float, base: str, alarm: Alarm, time_ns: int, count: int
) -> None:
    try:
        pv = PV(value, type=base)
    except BadValue:
        return
    pv.alarm, pv.time_ns = alarm, time_ns
    for code in (pv.type, promote(pv.type, Family.TIME)):
        short = answer(pv, code, count)
        assert short.status == 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("beamfly.ca.answers._FORMS", [None] * len(Dbr))
            assert answer(pv, code, count) == short
