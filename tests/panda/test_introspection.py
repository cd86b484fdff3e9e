"""What a PandA says of its blocks and fields."""

import logging
from typing import Any

import pytest

from beamfly.errors import CommandError
from beamfly.panda.commands import (
    FieldType,
    GetBlockInfo,
    GetBlockNumbers,
    GetFieldInfo,
    GetFields,
    GetPcapBitsLabels,
)
from beamfly.panda.responses import (
    BitMuxFieldInfo,
    BitOutFieldInfo,
    BlockInfo,
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
from drive import run_command

BLOCKS = {
    "*BLOCKS?": ["TTLIN 6", "SEQ 2", "PCAP 1"],
    "*DESC.TTLIN?": "OK =TTL input",
    "*DESC.SEQ?": "OK =",
    "*DESC.PCAP?": "OK =Position capture control",
}


def test_blocks() -> None:
    infos, writes = run_command(GetBlockInfo(), BLOCKS)  # type: ignore[arg-type]
    assert list(infos.items()) == [
        ("PCAP", BlockInfo(1, "Position capture control")),
        ("SEQ", BlockInfo(2, "")),
        ("TTLIN", BlockInfo(6, "TTL input")),
    ]
    assert [len(write) for write in writes] == [1, 3]


def test_blocks_without_descriptions_take_one_write() -> None:
    infos, writes = run_command(GetBlockInfo(True), BLOCKS)  # type: ignore[arg-type]
    assert infos["SEQ"] == BlockInfo(2, None)
    assert len(writes) == 1
    numbers, _ = run_command(GetBlockNumbers(), BLOCKS)  # type: ignore[arg-type]
    assert list(numbers.items()) == [("PCAP", 1), ("SEQ", 2), ("TTLIN", 6)]


def test_no_blocks_at_all() -> None:
    assert run_command(GetBlockInfo(), {"*BLOCKS?": []})[0] == {}


KINDS: dict[str, tuple[dict[str, str | list[str]], FieldInfo]] = {
    "param uint": (
        {"B1.F.MAX?": "OK =4294967295"},
        UintFieldInfo("param", "uint", "text", 2**32 - 1),
    ),
    "read uint": (
        {"B1.F.MAX?": "OK =1023"},
        UintFieldInfo("read", "uint", "text", 1023),
    ),
    "write int": ({}, FieldInfo("write", "int", "text")),
    "param bit": ({}, FieldInfo("param", "bit", "text")),
    "write action": ({}, FieldInfo("write", "action", "text")),
    "param lut": ({}, FieldInfo("param", "lut", "text")),
    "read scalar": (
        {
            "B1.F.UNITS?": "OK =deg",
            "B1.F.SCALE?": "OK =0.001",
            "B1.F.OFFSET?": "OK =-273.15",
        },
        ScalarFieldInfo("read", "scalar", "text", "deg", 0.001, -273.15),
    ),
    "param scalar": (
        {
            "B1.F.UNITS?": "OK =(null)",
            "B1.F.SCALE?": "OK =1",
            "B1.F.OFFSET?": "OK =0",
        },
        ScalarFieldInfo("param", "scalar", "text", "", 1.0, 0.0),
    ),
    "param enum": (
        {"*ENUMS.B.F?": ["Rising", "Falling"]},
        EnumFieldInfo("param", "enum", "text", ["Rising", "Falling"]),
    ),
    "param time": (
        {"*ENUMS.B.F.UNITS?": ["s", "ms"]},
        SubtypeTimeFieldInfo("param", "time", "text", ["s", "ms"]),
    ),
    "time": (
        {"*ENUMS.B.F.UNITS?": ["s", "ms"]},
        TimeFieldInfo("time", None, "text", ["s", "ms"]),
    ),
    "bit_out": (
        {"B1.F.CAPTURE_WORD?": "OK =PCAP.BITS1", "B1.F.OFFSET?": "OK =3"},
        BitOutFieldInfo("bit_out", None, "text", "PCAP.BITS1", 3),
    ),
    "bit_mux": (
        {"B1.F.MAX_DELAY?": "OK =31", "*ENUMS.B.F?": ["A.B", "ZERO", "ONE"]},
        BitMuxFieldInfo("bit_mux", None, "text", 31, ["A.B", "ZERO", "ONE"]),
    ),
    "pos_mux": (
        {"*ENUMS.B.F?": ["A.B", "ZERO"]},
        PosMuxFieldInfo("pos_mux", None, "text", ["A.B", "ZERO"]),
    ),
    "pos_out": (
        {"*ENUMS.B.F.CAPTURE?": ["No", "Value"]},
        PosOutFieldInfo("pos_out", None, "text", ["No", "Value"]),
    ),
    "ext_out timestamp": (
        {"*ENUMS.B.F.CAPTURE?": ["No", "Value"]},
        ExtOutFieldInfo("ext_out", "timestamp", "text", ["No", "Value"]),
    ),
    "ext_out samples": (
        {"*ENUMS.B.F.CAPTURE?": ["No", "Value"]},
        ExtOutFieldInfo("ext_out", "samples", "text", ["No", "Value"]),
    ),
    "ext_out bits": (
        {"*ENUMS.B.F.CAPTURE?": ["No", "Value"], "B1.F.BITS?": ["A.B", ""]},
        ExtOutBitsFieldInfo("ext_out", "bits", "text", ["No", "Value"], ["A.B", ""]),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_field(kind: str) -> None:
    asked, expected = KINDS[kind]
    answers = {"B.*?": [f"F 0 {kind}"], "*DESC.B.F?": "OK =text", **asked}
    infos, writes = run_command(GetFieldInfo("B"), answers)
    assert infos == {"F": expected}
    assert type(infos["F"]) is type(expected)
    # nothing but what was asked for, and all of it at once
    assert sorted(writes[1]) == sorted(set(answers) - {"B.*?"})
    assert len(writes) == 2


SEQ: dict[str, str | list[str]] = {
    "SEQ.*?": ["TABLE 7 table", "ENABLE 0 bit_mux"],
    "*DESC.SEQ.TABLE?": "OK =Lines",
    "*DESC.SEQ.ENABLE?": "OK =Go",
    "SEQ1.ENABLE.MAX_DELAY?": "OK =31",
    "*ENUMS.SEQ.ENABLE?": ["ZERO", "ONE"],
    "SEQ1.TABLE.MAX_LENGTH?": "OK =1048576",
    "SEQ1.TABLE.FIELDS?": [
        "15:0 REPEATS uint",
        "19:16 TRIGGER enum",
        "63:32 POSITION int",
    ],
    "*DESC.SEQ.TABLE[].REPEATS?": "OK =How often",
    "*DESC.SEQ.TABLE[].TRIGGER?": "OK =When",
    "*DESC.SEQ.TABLE[].POSITION?": "OK =Where",
    "*ENUMS.SEQ.TABLE[].TRIGGER?": ["Immediate", "BITA=0"],
}


@pytest.mark.parametrize(("version", "has_mode"), [((3, 9), False), ((4, 0), True)])
def test_table(version: tuple[int, int], has_mode: bool) -> None:
    infos, writes = run_command(GetFieldInfo("SEQ"), SEQ, version)
    assert list(infos) == ["ENABLE", "TABLE"]
    assert infos["TABLE"] == TableFieldInfo(
        "table",
        None,
        "Lines",
        1048576,
        {
            "REPEATS": TableFieldDetails("uint", 0, 15, "How often"),
            "TRIGGER": TableFieldDetails(
                "enum", 16, 19, "When", ["Immediate", "BITA=0"]
            ),
            "POSITION": TableFieldDetails("int", 32, 63, "Where"),
        },
        2,
        has_mode,
    )
    assert len(writes) == 3


def test_types_alone_take_one_write() -> None:
    infos, writes = run_command(GetFieldInfo("SEQ", False), SEQ)
    assert list(infos.items()) == [
        ("ENABLE", FieldInfo("bit_mux", None, None)),
        ("TABLE", FieldInfo("table", None, None)),
    ]
    assert len(writes) == 1
    types, _ = run_command(GetFields("SEQ"), SEQ)
    assert types["TABLE"] == FieldType("table")


def test_a_type_of_the_future(caplog: pytest.LogCaptureFixture) -> None:
    answers: dict[str, Any] = {"B.*?": ["F 0 warp core"], "*DESC.B.F?": "OK =text"}
    with caplog.at_level(logging.WARNING):
        infos, _ = run_command(GetFieldInfo("B"), answers)
    assert infos == {"F": FieldInfo("warp", "core", "text")}
    assert "B.F is of type warp core" in caplog.text


@pytest.mark.parametrize("line", ["F 0", "F", ""])
def test_a_field_that_makes_no_sense(line: str) -> None:
    with pytest.raises(CommandError, match="makes no sense"):
        run_command(GetFieldInfo("B"), {"B.*?": [line]})


def test_pcap_bits_labels() -> None:
    answers: dict[str, Any] = {
        "PCAP.*?": [
            "BITS1 11 ext_out bits",
            "BITS0 10 ext_out bits",
            "TS_END 7 ext_out timestamp",
            "GATE 1 bit_mux",
        ],
        "PCAP.BITS0.BITS?": ["TTLIN1.VAL", ""],
        "PCAP.BITS1.BITS?": ["PCAP.ACTIVE"],
    }
    labels, writes = run_command(GetPcapBitsLabels(), answers)
    assert labels == {"PCAP.BITS0": ["TTLIN1.VAL", ""], "PCAP.BITS1": ["PCAP.ACTIVE"]}
    assert len(writes) == 2


def test_pcap_without_bits() -> None:
    assert run_command(GetPcapBitsLabels(), {"PCAP.*?": []})[0] == {}
