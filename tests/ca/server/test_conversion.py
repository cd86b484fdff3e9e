"""Conversions, with what a C IOC (EPICS 7.0.10) did on the same input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.conversion import (
    Text,
    convert,
    pack_elements,
    parse_integer,
    parse_real,
    parse_state,
    print_double,
    print_float,
    print_state,
    to_float,
    to_integer,
    unpack,
)
from beamfly.ca.dbr import Dbr
from beamfly.errors import BadValue

FLOAT_MAX = 3.4028234663852886e38
FLOAT_MIN = 1.1754943508222875e-38

FROM_DOUBLE = [
    # double, LONG, SHORT, CHAR, ENUM, FLOAT
    (1.9, 1, 1, 1, 1, 1.899999976158142),
    (-1.9, -1, -1, 255, 65535, -1.899999976158142),
    (1e10, -(2**31), 0, 0, 0, 1e10),
    (-1e10, -(2**31), 0, 0, 0, -1e10),
    (70000.0, 70000, 4464, 112, 4464, 70000.0),
    (300.0, 300, 300, 44, 300, 300.0),
    (math.nan, -(2**31), 0, 0, 0, math.nan),
    (math.inf, -(2**31), 0, 0, 0, math.inf),
    (1e39, -(2**31), 0, 0, 0, FLOAT_MAX),
    (1e-50, 0, 0, 0, 0, FLOAT_MIN),
    (65537.0, 65537, 1, 1, 1, 65537.0),
    (4294967301.0, -(2**31), 0, 0, 0, 4294967296.0),
    (123456789.123456, 123456789, -13035, 21, 52501, 123456792.0),
]


@pytest.mark.parametrize("row", FROM_DOUBLE, ids=lambda row: str(row[0]))
def test_numbers_are_cut_wrapped_and_clipped(row: tuple[float, ...]) -> None:
    value, *expected = row
    targets = (Dbr.LONG, Dbr.SHORT, Dbr.CHAR, Dbr.ENUM, Dbr.FLOAT)
    for target, wanted in zip(targets, expected, strict=True):
        (one,) = convert(Dbr.DOUBLE, [value], target)
        (many,) = convert(Dbr.DOUBLE, np.array([value]), target)
        assert one == pytest.approx(wanted, nan_ok=True, rel=0)
        assert many == pytest.approx(wanted, nan_ok=True, rel=0)


PRINTED = [
    # precision, value, as DOUBLE, as FLOAT
    (0, 1 / 3, "0", "0"),
    (0, 123456.789, "123457", "123457"),
    (0, 2e7, "20000000", "20000000"),
    (0, 1e9, "1000000000", " 1e+09"),
    (0, 1e17, "  1e+17", " 1e+17"),
    (0, math.inf, "    inf", "   inf"),
    (0, -2.5, "-3", "-3"),
    (1, 1 / 3, "0.3", "0.3"),
    (1, 2e7, "20000000.0", "20000000.0"),
    (1, 1e9, "1000000000.0", "1.0e+09"),
    (1, 1e17, " 1.0e+17", "1.0e+17"),
    (8, 1 / 3, "0.33333333", "0.33333334"),
    (8, 123456.789, "123456.78900000", "123456.78906246"),
    (8, 2e7, "20000000.000", "20000000.000"),
    (8, 1e17, " 1.00000000e+17", "9.99999984e+16"),
    (9, 1 / 3, " 3.333333333e-01", "3.333333433e-01"),
    (9, math.nan, "             nan", "            nan"),
    (9, -2.5, "-2.500000000e+00", "-2.500000000e+00"),
    (17, 1 / 3, " 3.33333333333333315e-01", "3.333333432674e-01"),
    (20, 123456.789, " 1.23456789000000004e+05", "1.234567890625e+05"),
    (-1, 1e-9, " 1.00000000000000006e-09", "9.999999717181e-10"),
]


@pytest.mark.parametrize(("precision", "value", "double", "single"), PRINTED)
def test_numbers_print_as_in_an_ioc(
    precision: int, value: float, double: str, single: str
) -> None:
    assert print_double(value, precision) == double
    assert print_float(to_float(value), precision) == single


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.125, "0.13"),
        (0.135, "0.14"),
        (0.005, "0.01"),
        (0.995, "1.00"),
        (-0.001, "-0.00"),
        (-0.0, "0.00"),
        (1e7, "10000000.00"),
        (10000000.1, "10000000.10"),
        (1e16, "10000000000000000.00"),
        (1.1e16, " 1.10e+16"),
        (123456789.123456, "123456789.12"),
        (math.nan, "nan"),
        (math.inf, "      inf"),
    ],
)
def test_two_digits(value: float, text: str) -> None:
    assert print_double(value, 2) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e3", 1000.0),
        ("0x10", 16.0),
        ("010", 10.0),
        (" 5 ", 5.0),
        ("5 mm", 5.0),
        ("1,5", 1.0),
        ("", 0.0),
        ("-1.5e-300", -1.5e-300),
        ("inf", math.inf),
        (".5", 0.5),
        ("-3.", -3.0),
    ],
)
def test_real_text(text: str, number: float) -> None:
    assert parse_real(text) == number


def test_nan_text() -> None:
    assert math.isnan(parse_real("NaN"))


@pytest.mark.parametrize("text", ["true", "1e400", "mm 5", "--1", "e5"])
def test_text_that_is_no_number(text: str) -> None:
    with pytest.raises(BadValue):
        parse_real(text)


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("0x10", Dbr.LONG, 16),
        ("010", Dbr.LONG, 8),
        ("3.7", Dbr.LONG, 3),
        ("1e3", Dbr.SHORT, 1000),
        ("5abc", Dbr.LONG, 5),
        ("-1", Dbr.CHAR, 255),
        ("300", Dbr.SHORT, 300),
        ("70000", Dbr.SHORT, None),
        ("300", Dbr.CHAR, None),
        ("2147483648", Dbr.LONG, None),
        ("-2147483649", Dbr.LONG, None),
        ("0xffffffff", Dbr.LONG, None),
        ("nan", Dbr.LONG, None),
        ("true", Dbr.LONG, None),
    ],
)
def test_integer_text(text: str, base: Dbr, number: int | None) -> None:
    if number is None:
        with pytest.raises(BadValue):
            parse_integer(text, base)
    else:
        assert parse_integer(text, base) == number


def test_states() -> None:
    states = ("zero", "one", "two")
    assert parse_state("two", states) == 2
    assert parse_state("1", states) == 1
    assert parse_state("0x1", states) == 1
    assert parse_state(" 2.5", states) == 2
    for wrong in ("Two", "5", "one ", "0x10", "-1", ""):
        with pytest.raises(BadValue):
            parse_state(wrong, states)
    printed = [print_state(index, states) for index in (0, 2, 3, 15, 16, 70)]
    assert printed == ["zero", "two", "", "", "Illegal Value", "Illegal Value"]


NUMBERS = (Dbr.SHORT, Dbr.FLOAT, Dbr.ENUM, Dbr.CHAR, Dbr.LONG, Dbr.DOUBLE)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.floats(), min_size=1, max_size=8),
    st.sampled_from(NUMBERS),
)
def test_arrays_convert_like_their_elements(values: list[float], target: Dbr) -> None:
    slow = convert(Dbr.DOUBLE, values, target)
    fast = convert(Dbr.DOUBLE, np.array(values), target)
    assert np.array_equal(np.array(slow), fast, equal_nan=True)


@settings(deadline=None)
@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8),
    st.sampled_from(NUMBERS),
)
def test_integer_arrays_convert_like_their_elements(
    values: list[int], target: Dbr
) -> None:
    slow = convert(Dbr.LONG, values, target)
    fast = convert(Dbr.LONG, np.array(values, np.int32), target)
    assert np.array_equal(np.array(slow), fast)


@settings(deadline=None)
@given(st.floats(-1e7, 1e7), st.integers(0, 8))
def test_printing_is_close_to_the_number(value: float, precision: int) -> None:
    printed = print_double(value, precision)
    assert abs(float(printed) - value) <= 0.51 * 10**-precision + abs(value) * 1e-15


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_parses_or_raises_bad_value(raw: str) -> None:
    for base in NUMBERS:
        try:
            (value,) = convert(Dbr.STRING, [raw], base, Text(states=("a", "b")))
        except BadValue:
            continue
        assert pack_elements(base, [value])


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), max_size=40))
def test_wire_round_trip(values: list[int]) -> None:
    for base in NUMBERS:
        raw = pack_elements(base, values)
        assert list(unpack(base, len(values), raw)) == values


def test_wire_strings() -> None:
    raw = pack_elements(Dbr.STRING, ["short", "x" * 60])
    assert len(raw) == 80
    assert unpack(Dbr.STRING, 2, raw) == ["short", "x" * 39]
    assert unpack(Dbr.STRING, 1, b"cut\0garbage") == ["cut"]
    assert unpack(Dbr.STRING, 1, b"\xb0C") == ["\xb0C"]
    with pytest.raises(BadValue):
        unpack(Dbr.STRING, 3, raw)
    with pytest.raises(BadValue):
        unpack(Dbr.DOUBLE, 2, bytes(8))


def test_to_integer_takes_big_integers() -> None:
    assert to_integer(2**40 + 5, Dbr.LONG) == 5
