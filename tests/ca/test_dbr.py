"""DBR layouts and payloads, checked against the tables of the EPICS sources."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca import dbr
from beamfly.ca.dbr import Dbr, Family, layout, padded, record_dtype
from beamfly.ca.payloads import Value, decode, encode, pack
from beamfly.errors import BadValue, LocalProtocolError, RemoteProtocolError

from . import wire

# printed from libca: value offset, element size, padded bytes of one element
SIZES = {
    **{0: (0, 40, 40), 1: (0, 2, 8), 2: (0, 4, 8), 3: (0, 2, 8), 4: (0, 1, 8)},
    **{5: (0, 4, 8), 6: (0, 8, 8), 7: (4, 40, 48), 8: (4, 2, 8), 9: (4, 4, 8)},
    **{10: (4, 2, 8), 11: (5, 1, 8), 12: (4, 4, 8), 13: (8, 8, 16)},
    **{14: (12, 40, 56), 15: (14, 2, 16), 16: (12, 4, 16), 17: (14, 2, 16)},
    **{18: (15, 1, 16), 19: (12, 4, 16), 20: (16, 8, 24), 21: (4, 40, 48)},
    **{22: (24, 2, 32), 23: (40, 4, 48), 24: (422, 2, 424), 25: (19, 1, 24)},
    **{26: (36, 4, 40), 27: (64, 8, 72), 28: (4, 40, 48), 29: (28, 2, 32)},
    **{30: (48, 4, 56), 31: (422, 2, 424), 32: (21, 1, 24), 33: (44, 4, 48)},
    **{34: (80, 8, 88), 35: (0, 2, 8), 36: (0, 2, 8), 37: (8, 40, 48)},
    38: (0, 40, 40),
}


@pytest.mark.parametrize("code", list(Dbr))
def test_layout_is_that_of_libca(code: Dbr) -> None:
    row = layout(code)
    assert (row.offset, row.element, padded(row.size(1))) == SIZES[code]


@pytest.mark.parametrize("code", list(Dbr))
def test_record_dtype_agrees_with_the_layout(code: Dbr) -> None:
    row, dtype = layout(code), record_dtype(code, 3)
    assert dtype.itemsize == padded(row.size(3))
    assert dtype.fields is not None
    assert dtype.fields["value"][1] == row.offset
    assert set(row.names) == set(dtype.names or ()) - {"value"}


def test_record_dtype_reads_what_encode_wrote() -> None:
    limits = (10.0, -10.0, 9.0, 8.0, -8.0, -9.0, 11.0, -11.0)
    value = Value(
        Dbr.CTRL_DOUBLE, 1, struct.pack(">d", 2.5), 3, 2, units=b"mm", limits=limits
    )
    record = np.frombuffer(encode(value), record_dtype(Dbr.CTRL_DOUBLE))[0]
    assert record["value"][0] == 2.5
    assert record["units"] == b"mm"
    assert tuple(record[name] for name in dbr.LIMITS) == limits
    assert (record["status"], record["severity"]) == (3, 2)


@given(wire.values())
@settings(deadline=None)
def test_decode_undoes_encode(value: Value) -> None:
    payload = encode(value)
    assert len(payload) % 8 == 0
    assert repr(decode(value.type, value.count, payload)) == repr(value)


@given(st.integers(-2, 45), st.integers(0, 70_000), st.binary(max_size=500))
@settings(deadline=None)
def test_garbage_decodes_or_raises_what_is_documented(
    code: int, count: int, payload: bytes
) -> None:
    try:
        value = decode(code, count, payload)
    except (LocalProtocolError, RemoteProtocolError):
        return
    assert len(value.elements()) == count


def test_what_follows_the_nul_of_a_string_is_garbage() -> None:
    raw = b"on\0stale bytes".ljust(40, b"\0") + b"off".ljust(40, b"\0")
    value = decode(Dbr.STRING, 2, raw)
    assert value.strings() == [b"on", b"off"]
    assert value.array().tolist() == [b"on", b"off"]


def test_short_scalar_string_is_understood() -> None:
    assert decode(Dbr.STRING, 1, b"idle\0\0\0\0").strings() == [b"idle"]


def test_units_may_fill_their_field_and_enums_may_claim_too_much() -> None:
    units = encode(Value(Dbr.GR_LONG, 1, b"\0\0\0\1", units=b"12345678"))
    assert decode(Dbr.GR_LONG, 1, units).units == b"12345678"
    enum = bytearray(encode(Value(Dbr.CTRL_ENUM, 1, b"\0\5", enum_strings=(b"a",))))
    enum[4:6] = struct.pack(">h", 99)
    decoded = decode(Dbr.CTRL_ENUM, 1, bytes(enum))
    assert len(decoded.enum_strings) == 16
    assert decoded.elements() == (5,)


def test_families_and_time_stamps() -> None:
    assert dbr.promote(Dbr.DOUBLE, Family.TIME) is Dbr.TIME_DOUBLE
    assert dbr.promote(Dbr.TIME_ENUM, Family.CTRL) is Dbr.CTRL_ENUM
    value = Value(Dbr.TIME_LONG, 1, b"\0\0\0\7", seconds=1, nanoseconds=5)
    assert value.time_ns == 631152001_000000005
    assert value.timestamp == pytest.approx(631152001)
    assert value.elements() == (7,)
    assert value.array().tolist() == [7]


@pytest.mark.parametrize(
    ("base", "value", "count", "raw"),
    [
        (Dbr.DOUBLE, 1.5, 1, struct.pack(">d", 1.5)),
        (Dbr.DOUBLE, [1, 2], 2, struct.pack(">2d", 1, 2)),
        (Dbr.LONG, 7.9, 1, struct.pack(">i", 7)),
        (Dbr.LONG, -2147483648.9, 1, struct.pack(">i", -(2**31))),
        (Dbr.LONG, [-2147483648.9, 2**31 - 1], 2, b"\x80\0\0\0\x7f\xff\xff\xff"),
        (Dbr.SHORT, np.array([65535]), 1, b"\xff\xff"),
        (Dbr.SHORT, True, 1, b"\0\1"),
        (Dbr.CHAR, np.array([1, 255], "i8"), 2, b"\1\xff"),
        (Dbr.CHAR, -1, 1, b"\xff"),
        (Dbr.CHAR, [-128, 255], 2, b"\x80\xff"),
        (Dbr.ENUM, np.float64(3), 1, b"\0\3"),
        (Dbr.FLOAT, [], 0, b""),
        (Dbr.DOUBLE, "2.5", 1, struct.pack(">d", 2.5)),
        (Dbr.STRING, "µ", 1, "µ".encode().ljust(40, b"\0")),
        (Dbr.STRING, ["a", b"b"], 2, b"a".ljust(40, b"\0") + b"b".ljust(40, b"\0")),
        (Dbr.STRING, 3, 1, b"3".ljust(40, b"\0")),
        (Dbr.STRING, np.array(3), 1, b"3".ljust(40, b"\0")),
        (Dbr.STRING, np.float32(0.1), 1, b"0.1".ljust(40, b"\0")),
        (Dbr.PUT_ACKS, 2, 1, b"\0\2"),
    ],
)
def test_pack(base: Dbr, value: object, count: int, raw: bytes) -> None:
    packed = pack(base, value)
    assert (packed[0], bytes(packed[1])) == (count, raw)


@pytest.mark.parametrize(
    ("base", "value"),
    [
        (Dbr.DOUBLE, "many"),
        (Dbr.LONG, math.nan),
        (Dbr.DOUBLE, [[1.0, 2.0]]),
        (Dbr.DOUBLE, object()),
        (Dbr.STRING, "x" * 40),
        (Dbr.FLOAT, 1e300),
        (Dbr.DOUBLE, 10**400),
        (Dbr.DOUBLE, 1 + 2j),
        (Dbr.LONG, 2**31),
        (Dbr.LONG, 1e10),
        (Dbr.LONG, math.inf),
        (Dbr.LONG, [0, 2**40]),
        (Dbr.LONG, [1.0, math.nan]),
        (Dbr.LONG, np.array([1e300])),
        (Dbr.SHORT, 70000),
        (Dbr.ENUM, -1),
        (Dbr.CHAR, 256),
        (Dbr.CHAR, [-129]),
        (Dbr.STRING, [["a"]]),
        (Dbr.STRING, np.array([["a"]])),
        *((Dbr.DOUBLE, None), (Dbr.DOUBLE, [1.0, None]), (Dbr.STRING, None)),
        *((Dbr.DOUBLE, np.datetime64("2020-01-01")), (Dbr.STRING, ["a", None])),
    ],
)
def test_pack_refuses_what_does_not_fit(base: Dbr, value: object) -> None:
    with pytest.raises(BadValue, match=r"nothing was sent|ravel"):
        pack(base, value)


def test_encode_refuses_a_value_whose_parts_disagree() -> None:
    with pytest.raises(LocalProtocolError, match="nothing was sent"):
        encode(Value(Dbr.DOUBLE, 2, b"\0" * 8))
    with pytest.raises(LocalProtocolError, match="metadata"):
        encode(Value(Dbr.STS_LONG, 0, b"", status=1 << 20))
    with pytest.raises(LocalProtocolError, match="no DBR type 39"):
        layout(39)
