"""Every type of field becomes the signals that it should, and nothing else."""

import pytest
from ophyd_async.fastcs.panda import PandaBitMux, PandaPosMux, PandaTimeUnits

from beamfly.devices.panda_fields import (
    Access,
    attribute_name,
    digits_of_step,
    digits_of_time,
    field_signals,
)
from beamfly.panda.commands import ChangeGroup
from beamfly.panda.responses import (
    BitMuxFieldInfo,
    BitOutFieldInfo,
    EnumFieldInfo,
    ExtOutBitsFieldInfo,
    ExtOutFieldInfo,
    FieldInfo,
    PosMuxFieldInfo,
    PosOutFieldInfo,
    ScalarFieldInfo,
    SubtypeTimeFieldInfo,
    TableFieldDetails,
    TableFieldInfo,
    TimeFieldInfo,
    UintFieldInfo,
)

UNITS = ["min", "s", "ms", "us"]
R, RW, W = Access.READ, Access.READ_WRITE, Access.WRITE


def plain(kind, subtype=None):
    return FieldInfo(kind, subtype, None)


def table():
    columns = {"POSITION": TableFieldDetails("int", 0, 31)}
    return TableFieldInfo("table", None, None, 8, columns, 1)


CASES = [
    (plain("param", "int"), {"x": (int, RW)}),
    (plain("read", "int"), {"x": (int, R)}),
    (plain("write", "int"), {"x": (int, W)}),
    (UintFieldInfo("param", "uint", None, 8), {"x": (int, RW)}),
    (UintFieldInfo("read", "uint", None, 8), {"x": (int, R)}),
    (ScalarFieldInfo("param", "scalar", None, "V", 0.5, 1), {"x": (float, RW)}),
    (ScalarFieldInfo("read", "scalar", None, "V", 0.5, 1), {"x": (float, R)}),
    (plain("param", "bit"), {"x": (bool, RW)}),
    (plain("read", "bit"), {"x": (bool, R)}),
    (plain("write", "bit"), {"x": (bool, W)}),
    (plain("write", "action"), {"x": (str, Access.TRIGGER)}),
    (plain("param", "lut"), {"x": (str, RW)}),
    (EnumFieldInfo("param", "enum", None, ["a", "b"]), {"x": ("BlkX", RW)}),
    (EnumFieldInfo("read", "enum", None, ["a", "b"]), {"x": ("BlkX", R)}),
    (
        SubtypeTimeFieldInfo("param", "time", None, UNITS),
        {"x": (float, RW), "x_units": (PandaTimeUnits, RW)},
    ),
    (
        SubtypeTimeFieldInfo("read", "time", None, UNITS),
        {"x": (float, R), "x_units": (PandaTimeUnits, RW)},
    ),
    (
        SubtypeTimeFieldInfo("write", "time", None, UNITS),
        {"x": (float, W), "x_units": (PandaTimeUnits, RW)},
    ),
    (
        TimeFieldInfo("time", None, None, UNITS),
        {"x": (float, RW), "x_units": (PandaTimeUnits, RW)},
    ),
    (
        BitOutFieldInfo("bit_out", None, None, "PCAP.BITS1", 3),
        {"x": (bool, R), "x_capture": (bool, RW)},
    ),
    (
        PosOutFieldInfo("pos_out", None, None, ["No", "Value"]),
        {
            "x": (int, R),
            "x_scale": (float, RW),
            "x_offset": (float, RW),
            "x_units": (str, RW),
            "x_scaled": (float, R),
            "x_capture": ("BlkXCapture", RW),
            "x_dataset": (str, Access.LOCAL),
        },
    ),
    (
        ExtOutFieldInfo("ext_out", "timestamp", None, ["No", "Value"]),
        {"x_capture": ("BlkXCapture", RW), "x_dataset": (str, Access.LOCAL)},
    ),
    (
        ExtOutBitsFieldInfo("ext_out", "bits", None, ["No", "Value"], []),
        {"x_capture": ("BlkXCapture", RW), "x_dataset": (str, Access.LOCAL)},
    ),
    (
        BitMuxFieldInfo("bit_mux", None, None, 31, ["A.B", "ZERO", "ONE"]),
        {"x": (PandaBitMux, RW), "x_delay": (int, RW)},
    ),
    (
        PosMuxFieldInfo("pos_mux", None, None, ["A.B", "ZERO"]),
        {"x": (PandaPosMux, RW)},
    ),
    (table(), {"x": ("BlkX", RW)}),
    (plain("param", "of tomorrow"), {}),
    (plain("of tomorrow"), {}),
]


def kind(spec):
    return spec.codec.datatype


@pytest.mark.parametrize(
    ("info", "signals"),
    CASES,
    ids=lambda i: f"{i.type} {i.subtype}" if hasattr(i, "type") else "",
)
def test_signals_of_a_field(info, signals):
    specs = {spec.name: spec for spec in field_signals("BLK", "2", "X", info)}
    assert list(specs) == list(signals)
    for name, (datatype, access) in signals.items():
        spec = specs[name]
        assert spec.access is access
        if isinstance(datatype, str):
            assert kind(spec).__name__ == datatype
        else:
            assert kind(spec) is datatype
        if name == "x_capture" and datatype is bool:
            assert spec.target == "PCAP.BITS1.CAPTURE"
        else:
            assert spec.target.startswith("BLK2.X")
        monitored = access in (R, RW)
        assert bool(spec.groups) == monitored


def test_change_groups_are_those_of_the_server():
    groups = {
        (info.type, info.subtype): field_signals("BLK", "", "X", info)[0].groups
        for info, signals in CASES
        if signals
    }
    assert groups["param", "int"] == (ChangeGroup.CONFIG,)
    assert groups["read", "uint"] == (ChangeGroup.READ,)
    assert groups["time", None] == (ChangeGroup.CONFIG,)
    assert groups["bit_out", None] == (ChangeGroup.BITS,)
    assert groups["pos_out", None] == (ChangeGroup.POSN,)
    assert groups["table", None] == (ChangeGroup.TABLE,)
    assert groups["ext_out", "timestamp"] == (ChangeGroup.ATTR,)


def test_a_scaled_position_is_asked_for_when_position_or_scale_change():
    info = PosOutFieldInfo("pos_out", None, None, ["No"])
    specs = {spec.name: spec for spec in field_signals("INENC", "1", "VAL", info)}
    scaled = specs["val_scaled"]
    assert scaled.triggers == (
        "INENC1.VAL",
        "INENC1.VAL.SCALE",
        "INENC1.VAL.OFFSET",
    )
    assert scaled.groups == (ChangeGroup.POSN, ChangeGroup.ATTR)


@pytest.mark.parametrize(
    ("step", "digits"),
    [(1, 0), (0.5, 1), (0.001, 3), (0.05, 2), (0.002, 3), (7, 0), (0, 0), (1e-30, 15)],
)
def test_digits_tell_neighbours_apart(step, digits):
    assert digits_of_step(step) == digits
    assert digits_of_step(-step) == digits


def test_digits_of_a_time_show_a_tick():
    assert [digits_of_time(u) for u in ("min", "s", "ms", "us", "?")] == [
        10,
        9,
        6,
        3,
        9,
    ]


def test_names_are_python_s():
    assert attribute_name("SFP3_SYNC_IN") == "sfp3_sync_in"
    assert attribute_name("A-B.C") == "a_b_c"
