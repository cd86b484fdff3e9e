"""Table words to columns and back."""

from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.panda.responses import TableFieldDetails, TableFieldInfo
from beamfly.panda.tables import (
    base64_to_words,
    pack_table,
    table_to_words,
    unpack_table,
    words_to_base64,
    words_to_table,
)

TRIGGERS = ["Immediate", "BITA=0", "BITA=1", "POSA>=POSITION"]


def info(fields: dict[str, TableFieldDetails], row_words: int = 4) -> TableFieldInfo:
    return TableFieldInfo("table", None, None, 1048576, fields, row_words, True)


SEQ = info(
    {
        "REPEATS": TableFieldDetails("uint", 0, 15),
        "TRIGGER": TableFieldDetails("enum", 16, 19, None, TRIGGERS),
        "POSITION": TableFieldDetails("int", 32, 63),
        "TIME1": TableFieldDetails("uint", 64, 95),
        **{
            f"OUT{name}1": TableFieldDetails("uint", 20 + bit, 20 + bit)
            for bit, name in enumerate("ABCDEF")
        },
        "TIME2": TableFieldDetails("uint", 96, 127),
        **{
            f"OUT{name}2": TableFieldDetails("uint", 26 + bit, 26 + bit)
            for bit, name in enumerate("ABCDEF")
        },
    }
)
ROWS: dict[str, Any] = {
    "REPEATS": [1, 65535],
    "TRIGGER": ["Immediate", "POSA>=POSITION"],
    "POSITION": [-5, 2**31 - 1],
    "TIME1": [0, 2**32 - 1],
    "OUTA1": [True, False],
    "TIME2": [100, 200],
    "OUTF2": [0, 1],
}
WORDS = [
    str(word)
    for word in (
        *(1 + (1 << 20), 2**32 - 5, 0, 100),
        *(65535 + (3 << 16) + (1 << 31), 2**31 - 1, 2**32 - 1, 200),
    )
]


def test_columns_to_words() -> None:
    assert table_to_words(ROWS, SEQ) == WORDS


def test_words_to_columns() -> None:
    table = words_to_table(WORDS, SEQ)
    assert list(table) == list(SEQ.fields)
    assert {
        name: (column.dtype, column.tolist())  # type: ignore[union-attr]
        for name, column in table.items()
        if name in ROWS
    } == {
        "REPEATS": (np.uint16, [1, 65535]),
        "TRIGGER": (np.uint8, [0, 3]),
        "POSITION": (np.int32, [-5, 2**31 - 1]),
        "TIME1": (np.uint32, [0, 2**32 - 1]),
        "OUTA1": (np.uint8, [1, 0]),
        "TIME2": (np.uint32, [100, 200]),
        "OUTF2": (np.uint8, [0, 1]),
    }
    assert table["OUTB1"].tolist() == [0, 0]  # type: ignore[union-attr]


def test_enums_as_labels() -> None:
    table = words_to_table(WORDS, SEQ, convert_enum_indices=True)
    assert table["TRIGGER"] == ["Immediate", "POSA>=POSITION"]
    with pytest.raises(BadValue, match="Column TRIGGER row 1 is 15, which has no"):
        words_to_table(["0"] * 4 + ["983040", "0", "0", "0"], SEQ, True)


class Trigger(str, Enum):  # noqa: UP042  hashes as the name of its member
    BITA_1 = "BITA=1"


@pytest.mark.parametrize(
    "column",
    [
        ["BITA=1"],
        [2],
        [Trigger.BITA_1],
        np.array(["BITA=1"]),
        np.array([2], np.uint8),
        [2.0],
        (2,),
    ],
)
def test_enums_in_any_form(column: Any) -> None:
    assert pack_table({"TRIGGER": column}, SEQ)[0] == 2 << 16


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("REPEATS", [0, 65537], "Column REPEATS row 1 is 65537, allowed .* 0 to 65535"),
        ("REPEATS", [-1], "Column REPEATS row 0 is -1"),
        ("REPEATS", [1.5], "Column REPEATS row 0 is 1.5"),
        ("REPEATS", [float("nan")], "Column REPEATS row 0 is nan"),
        ("REPEATS", [float("inf")], "Column REPEATS row 0 is inf"),
        ("REPEATS", ["1"], "Column REPEATS row 0 is 1"),
        ("REPEATS", [None], "Column REPEATS row 0 is None"),
        ("REPEATS", [2**70], "Column REPEATS row 0 is 1180591620717411303424"),
        ("POSITION", [2**31], "row 0 is 2147483648, .* -2147483648 to 2147483647"),
        ("TIME1", np.array([-1]), "allowed are integers 0 to 4294967295"),
        ("OUTA1", [2], "Column OUTA1 row 0 is 2, allowed are integers 0 to 1"),
        ("TRIGGER", [4], "allowed are integers 0 to 3"),
        (
            "TRIGGER",
            [0, "bita"],
            "Column TRIGGER row 1 is 'bita', which is none of",
        ),
        ("NONE", [1], "no column NONE; there are REPEATS, TRIGGER"),
        ("REPEATS", 1, "not shape"),
        ("REPEATS", [[1]], "not shape"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, values: Any, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        table_to_words({name: values}, SEQ)


def test_columns_of_different_length() -> None:
    with pytest.raises(BadValue, match="Column TIME1 has 1 rows, column REPEATS has 2"):
        table_to_words({"REPEATS": [1, 2], "TIME1": [1]}, SEQ)


def test_no_columns_and_no_rows() -> None:
    with pytest.raises(BadValue, match="at least one column"):
        table_to_words({}, SEQ)
    assert table_to_words({"REPEATS": []}, SEQ) == []
    assert [len(column) for column in words_to_table([], SEQ).values()] == [0] * 17


@pytest.mark.parametrize(
    "words", [["1"], ["1", "2", "3", "x"], ["-1", "0", "0", "0"], ["4294967296"] * 4]
)
def test_words_that_are_no_table(words: list[str]) -> None:
    with pytest.raises(BadValue):
        words_to_table(words, SEQ)


WIDE = info(
    {
        "A": TableFieldDetails("uint", 0, 19),
        "ACROSS": TableFieldDetails("int", 20, 43),
        "LONG": TableFieldDetails("uint", 44, 107),
        "SIGNED": TableFieldDetails("int", 108, 127),
    }
)


def test_columns_across_words() -> None:
    table = {
        "A": [2**20 - 1, 0],
        "ACROSS": [-1, -(2**23)],
        "LONG": [2**64 - 1, 1],
        "SIGNED": [-(2**19), 7],
    }
    words = pack_table(table, WIDE)
    rows = [
        sum(int(word) << 32 * i for i, word in enumerate(row))
        for row in words.reshape(2, 4)
    ]
    assert rows[0] & 0xFFFFF == 0xFFFFF
    assert (rows[0] >> 20) & 0xFFFFFF == 0xFFFFFF
    assert (rows[0] >> 44) & (2**64 - 1) == 2**64 - 1
    back = unpack_table(words, WIDE)
    assert {k: v.tolist() for k, v in back.items()} == table  # type: ignore[union-attr]
    assert back["LONG"].dtype == np.uint64  # type: ignore[union-attr]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_packing_and_unpacking_is_identity(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 95), max_size=12)) | {0, 96})
    fields: dict[str, TableFieldDetails] = {}
    for number, (low, end) in enumerate(pairwise(cuts)):
        high = min(end - 1, low + 63)
        subtype = data.draw(st.sampled_from(["int", "uint"]))
        fields[f"C{number}"] = TableFieldDetails(subtype, low, high)
    rows = data.draw(st.integers(0, 4))
    table: dict[str, list[int]] = {}
    for name, details in fields.items():
        width = details.bit_high - details.bit_low + 1
        low, high = 0, 2**width - 1
        if details.subtype == "int":
            low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
        table[name] = data.draw(
            st.lists(st.integers(low, high), min_size=rows, max_size=rows)
        )
    about = info(fields, 3)
    words = table_to_words(table, about)
    assert len(words) == 3 * rows
    back = words_to_table(words, about)
    assert {k: v.tolist() for k, v in back.items()} == table  # type: ignore[union-attr]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=400))
def test_base64_is_identity(words: list[int]) -> None:
    assert base64_to_words(words_to_base64(words)).tolist() == words


def test_base64_of_negative_words() -> None:
    assert base64_to_words(words_to_base64([-1, -(2**31)])).tolist() == [
        2**32 - 1,
        2**31,
    ]


@pytest.mark.parametrize("lines", [["AQAAAA"], ["AQAA"], ["%%%%"]])
def test_what_is_not_base64_of_words(lines: list[str]) -> None:
    with pytest.raises(BadValue):
        base64_to_words(lines)
