"""Converters without a server: what is written is what is read, for every dtype."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ophyd_async.core import Array1D, SubsetEnum

from beamfly.ca.dbr import Dbr, Family, promote
from beamfly.ca.payloads import Value, decode, encode, pack
from beamfly.ca.readings import reading
from beamfly.devices.ca_backend import limits_of, metadata_of
from beamfly.devices.ca_converters import (
    ARRAY_DTYPES,
    ARRAYS,
    SCALARS,
    Converter,
    Facts,
    make_converter,
)
from beamfly.errors import BadValue, CAError

PAIRS = [(base, dtype) for base, dtypes in ARRAY_DTYPES.items() for dtype in dtypes]
EXACT = 2**53
"""Integers up to here survive as DOUBLE."""


class Some(SubsetEnum):
    A = "Aaa"


def facts(base: Dbr, count: int, **more: Any) -> Facts:
    return Facts("X:pv", base, count, b"" if base is Dbr.STRING else 0, **more)


def over_the_wire(converter: Converter, native: Dbr, count: int, value: Any) -> Any:
    """Written, sent, read back as value and with metadata: both must agree."""
    sent = converter.encode(value)
    base = converter.write_type
    if base is None:
        base = Dbr.STRING if isinstance(sent, str) else native
    elements, raw = pack(base, sent)
    # the server keeps it as its own type, and answers in that
    (plain,) = reading(base, elements, memoryview(bytes(raw)))
    if count > 1 and base is not Dbr.STRING:
        plain = np.atleast_1d(np.asarray(plain))
    one = converter.decode(plain)
    family = Family.STS if base is Dbr.STRING else Family.CTRL
    full = Value(promote(base, family), elements, bytes(raw))
    other = converter.of_value(
        decode(full.type, elements, encode(full)), scalar=count == 1
    )
    assert np.array_equal(one, other) and type(one) is type(other)
    return one


def elements_for(dtype: Any) -> st.SearchStrategy[Any]:
    """Values of a dtype that the wire can carry."""
    if np.issubdtype(dtype, np.integer) and np.dtype(dtype).itemsize == 8:
        low = 0 if dtype is np.uint64 else -EXACT
        return st.integers(low, EXACT)
    return hnp.from_dtype(np.dtype(dtype), allow_nan=False)


@pytest.mark.parametrize(("base", "dtype"), PAIRS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_arrays_come_back_as_they_were_written(
    base: Dbr, dtype: Any, data: st.DataObject
) -> None:
    value = data.draw(
        hnp.arrays(dtype, st.integers(1, 50), elements=elements_for(dtype))
    )
    converter = make_converter(Array1D[dtype], [facts(base, 50)])
    back = over_the_wire(converter, base, 50, value)
    assert back.dtype == dtype and np.array_equal(back, value)
    as_list = over_the_wire(converter, base, 50, value.tolist())
    assert as_list.dtype == dtype and np.array_equal(as_list, value)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(deadline=None)
@given(text=TEXT, room=st.integers(2, 200))
def test_long_texts_fit_or_are_refused(text: str, room: int) -> None:
    converter = make_converter(str, [facts(Dbr.CHAR, room)])
    if len(text.encode()) <= room:
        assert over_the_wire(converter, Dbr.CHAR, room, text) == text
    else:
        with pytest.raises(BadValue, match=f"holds {room} bytes"):
            converter.encode(text)


@settings(deadline=None)
@given(texts=st.lists(TEXT.filter(lambda text: len(text.encode()) < 40), min_size=1))
def test_lists_of_texts(texts: list[str]) -> None:
    converter = make_converter(None, [facts(Dbr.STRING, 100)])
    assert over_the_wire(converter, Dbr.STRING, 100, texts) == texts


@settings(deadline=None)
@given(
    whole=st.integers(-(2**15), 2**15 - 1),
    number=st.floats(allow_nan=False),
    truth=st.booleans(),
)
def test_scalars(whole: int, number: float, truth: bool) -> None:
    for base in (Dbr.SHORT, Dbr.LONG, Dbr.DOUBLE):
        converter = make_converter(int, [facts(base, 1)])
        assert over_the_wire(converter, base, 1, whole) == whole
    converter = make_converter(float, [facts(Dbr.DOUBLE, 1)])
    assert over_the_wire(converter, Dbr.DOUBLE, 1, number) == number
    for base in (Dbr.SHORT, Dbr.CHAR):
        converter = make_converter(bool, [facts(base, 1)])
        assert over_the_wire(converter, base, 1, truth) is truth


@pytest.mark.parametrize("base", list(SCALARS))
def test_every_type_of_the_wire_can_be_had_without_a_datatype(base: Dbr) -> None:
    states = {"choices": ("Aaa", "Bbb")} if base is Dbr.ENUM else {}
    for count in (1, 10):
        converter = make_converter(None, [facts(base, count, **states)])
        assert converter.datatype is not None
    assert set(SCALARS) == set(ARRAYS) == set(Dbr) & set(range(7))


def test_enums_of_arrays_are_looked_up() -> None:
    from collections.abc import Sequence

    known = facts(Dbr.ENUM, 5, choices=("Aaa", "Bbb"))
    converter = make_converter(Sequence[Some], [known])
    assert converter.decode(["Aaa", "Bbb"]) == [Some.A, "Bbb"]
    assert type(converter.decode("Aaa")[0]) is Some
    assert converter.choices == ("Aaa", "Bbb")


def test_metadata() -> None:
    def said(base: Dbr, **more: Any) -> Value:
        _, raw = pack(base, 0)
        return Value(promote(base, Family.CTRL), 1, bytes(raw), **more)

    limits = (10.0, -10.0, float("nan"), 8.0, float("nan"), float("nan"), 0.0, 0.0)
    value = said(Dbr.DOUBLE, units="µm".encode(), precision=3, limits=limits)
    assert limits_of(value) == {
        "display": {"low": -10.0, "high": 10.0},
        "warning": {"low": None, "high": 8.0},
    }
    as_float = metadata_of(value, make_converter(None, [facts(Dbr.DOUBLE, 1)]))
    assert (as_float["units"], as_float["precision"]) == ("µm", 3)
    value = said(Dbr.DOUBLE, units=b"mm", precision=0, limits=limits)
    as_int = metadata_of(value, make_converter(int, [facts(Dbr.DOUBLE, 1)]))
    assert as_int["units"] == "mm" and "precision" not in as_int
    value = said(Dbr.SHORT, units=b"mm", limits=limits)
    assert metadata_of(value, make_converter(bool, [facts(Dbr.SHORT, 1)])) == {}


def test_a_state_that_nobody_knows() -> None:
    from ophyd_async.core import StrictEnum

    class Abc(StrictEnum):
        A = "Aaa"

    known = facts(Dbr.ENUM, 1, choices=("Aaa",))
    converter = make_converter(Abc, [known])
    with pytest.raises(CAError, match="X:pv is '7', which Abc does not have"):
        converter.decode("7")
