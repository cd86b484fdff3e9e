"""Values of a PandA: text on the wire <-> what ophyd-async hands out."""

from collections.abc import Sequence
from enum import Enum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ophyd_async.core import StrictEnum, SubsetEnum, Table
from ophyd_async.fastcs.panda import PandaBitMux, PandaTimeUnits, SeqTable, SeqTrigger

from beamfly.devices.panda_tables import TableCodec, make_table
from beamfly.devices.panda_values import (
    ArmCodec,
    BoolCodec,
    EnumCodec,
    FloatCodec,
    GroupCaptureCodec,
    IntCodec,
    TextCodec,
    VersionCodec,
    make_enum,
)
from beamfly.errors import BadValue, RemoteProtocolError
from beamfly.panda.commands import Arm, Disarm, Put
from beamfly.panda.responses import TableFieldDetails, TableFieldInfo

SEQ_TRIGGERS = [trigger.value for trigger in SeqTrigger]


def columns_of(table: Table) -> dict[str, list[object]]:
    return {name: list(column) for name, column in table}


def seq_info() -> TableFieldInfo:
    fields = {
        "REPEATS": TableFieldDetails("uint", 0, 15),
        "TRIGGER": TableFieldDetails("enum", 16, 19, labels=SEQ_TRIGGERS),
        "POSITION": TableFieldDetails("int", 32, 63),
        "TIME1": TableFieldDetails("uint", 64, 95),
        "TIME2": TableFieldDetails("uint", 96, 127),
    }
    for index, letter in enumerate("ABCDEF"):
        fields[f"OUT{letter}1"] = TableFieldDetails("uint", 20 + index, 20 + index)
        fields[f"OUT{letter}2"] = TableFieldDetails("uint", 26 + index, 26 + index)
    return TableFieldInfo("table", None, None, 64, fields, 4)


@pytest.mark.parametrize(
    ("codec", "value", "text"),
    [
        (BoolCodec(), True, "1"),
        (BoolCodec(), 0, "0"),
        (BoolCodec(), np.True_, "1"),
        (IntCodec(), -5, "-5"),
        (IntCodec(low=0, high=2**32 - 1), np.uint32(2**32 - 1), "4294967295"),
        (IntCodec(), 3.0, "3"),
        (FloatCodec(), 1.5e-3, "0.0015"),
        (FloatCodec(), np.float32(0.5), "0.5"),
        (FloatCodec(), 2, "2.0"),
        (TextCodec(), "A&B", "A&B"),
        (GroupCaptureCodec(), True, "Value"),
        (GroupCaptureCodec(), False, "No"),
    ],
)
def test_values_are_written_as_a_panda_reads_them(codec, value, text):
    assert codec.tell("X.Y", value) == Put("X.Y", text)
    assert codec.decode(text) == value
    assert type(codec.decode(text)) is codec.datatype


@pytest.mark.parametrize(
    ("codec", "value", "sentence"),
    [
        (BoolCodec(), 2, "X.Y takes True or False, not 2; nothing was sent"),
        (BoolCodec(), "True", "takes True or False, not 'True'"),
        (IntCodec(low=0, high=8), 9, "X.Y takes 0 to 8, not 9; nothing was sent"),
        (IntCodec(low=0, high=8), -1, "X.Y takes 0 to 8, not -1"),
        (IntCodec(), 2**31, "takes -2147483648 to 2147483647, not 2147483648"),
        (IntCodec(), 1.5, "X.Y takes an integer, not 1.5"),
        (IntCodec(), True, "X.Y takes an integer, not True"),
        (IntCodec(), float("nan"), "takes an integer, not nan"),
        (FloatCodec(), float("inf"), "takes a finite number, not inf"),
        (FloatCodec(), "1", "takes a finite number, not '1'"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(codec, value, sentence):
    with pytest.raises(BadValue) as error:
        codec.tell("X.Y", value)
    assert sentence in str(error.value)


def test_an_unknown_label_is_refused_with_the_nearest_ones():
    labels = (*(f"TTLIN{n}.VAL" for n in range(1, 21)), "ZERO", "ONE")
    codec = EnumCodec(PandaBitMux, labels)
    with pytest.raises(BadValue, match=r"choices, of which TTLIN[0-9]+.VAL, .* come"):
        codec.tell("PCAP.ENABLE", "TTLIN.VAL")
    with pytest.raises(BadValue, match="none of its 22 choices; nothing was sent"):
        codec.tell("PCAP.ENABLE", "qqqqqq")
    with pytest.raises(BadValue, match="cannot be 'Up': it takes ZERO, ONE; nothing"):
        EnumCodec(PandaBitMux, ("ZERO", "ONE")).tell("PCAP.ENABLE", "Up")


def test_a_mux_gives_members_where_there_are_and_text_where_not():
    codec = EnumCodec(PandaBitMux, ("TTLIN1.VAL", "ZERO", "ONE"))
    assert codec.decode("ONE") is PandaBitMux.ONE
    assert codec.decode("TTLIN1.VAL") == "TTLIN1.VAL"
    assert codec.tell("X", PandaBitMux.ONE) == Put("X", "ONE")
    assert codec.metadata(True)["choices"] == ["TTLIN1.VAL", "ZERO", "ONE"]


def test_an_enum_is_made_of_any_labels():
    labels = ("BITA=0", "POSA>=POSITION", "4", "", "bita 0", "High-Z")
    made = make_enum("Some", labels)
    assert [member.value for member in made] == list(labels)
    assert made("4").name == "N4"
    assert made("bita 0").name != made("BITA=0").name
    assert issubclass(made, StrictEnum)
    assert make_enum("Some", labels) is made


class Units(StrictEnum):
    MIN = "min"
    S = "s"


class Choice(SubsetEnum):
    NO = "No"


def test_a_declared_enum_has_to_agree_with_the_labels():
    codec = EnumCodec(PandaTimeUnits, ("min", "s", "ms", "us"))
    assert codec.declared_as(PandaTimeUnits, "X").decode("ms") is PandaTimeUnits.MS
    assert codec.declared_as(str, "X").decode("ms") == "ms"
    with pytest.raises(TypeError, match=r"has the labels min, s, ms, us.* Units with"):
        codec.declared_as(Units, "X")
    with pytest.raises(TypeError, match="is an enum, the device class declares int"):
        codec.declared_as(int, "X")
    assert EnumCodec(str, ("No", "Value")).declared_as(Choice, "X")
    with pytest.raises(TypeError, match="Choice with No"):
        EnumCodec(str, ("Yes",)).declared_as(Choice, "X")


def test_a_declared_datatype_has_to_be_the_field_s():
    assert IntCodec().declared_as(int, "X.Y") == IntCodec()
    with pytest.raises(TypeError, match=r"X.Y is int, the device class declares float"):
        IntCodec().declared_as(float, "X.Y")


def test_limits_are_exact_and_for_control_only_where_one_can_write():
    limits = IntCodec(low=0, high=2**32 - 1).metadata(True)["limits"]
    assert limits["control"] == {"low": 0, "high": 4294967295}
    assert "control" not in IntCodec().metadata(False)["limits"]


def test_arming_has_commands_of_its_own():
    codec = ArmCodec()
    assert codec.tell("*PCAP.STATUS", True) == Arm()
    assert codec.tell("*PCAP.STATUS", False) == Disarm()
    assert codec.decode("Busy 1 1") is True
    assert codec.decode("Idle 0 0") is False


def test_versions_are_parts_of_the_identity():
    codec = VersionCodec(pattern=r"FPGA: (.*?) rootfs:")
    identity = "PandA SW: 4.1 FPGA: 4.1.0 816147d6 00000000 rootfs: Sim 1.0"
    assert codec.decode(identity) == "4.1.0 816147d6 00000000"
    with pytest.raises(RemoteProtocolError, match="is not the identity"):
        codec.decode("nonsense")


def test_a_table_is_typed_after_its_columns():
    table = make_table("SeqTable", seq_info())
    codec = TableCodec(table, info=seq_info())
    empty = codec.decode([])
    assert len(empty) == 0
    assert empty.repeats.dtype == np.uint16
    assert empty.outa1.dtype == np.bool_
    assert empty.position.dtype == np.int32
    assert empty.trigger == []
    assert issubclass(table, Table)


def test_a_declared_table_needs_the_same_columns():
    codec = TableCodec(make_table("T", seq_info()), info=seq_info())
    assert codec.declared_as(SeqTable, "SEQ1.TABLE").datatype is SeqTable

    class Other(Table):
        name: Sequence[str]

    with pytest.raises(TypeError, match=r"SEQ1.TABLE has the columns .*Other"):
        codec.declared_as(Other, "SEQ1.TABLE")
    with pytest.raises(TypeError, match="declares int"):
        codec.declared_as(int, "SEQ1.TABLE")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535),
            st.sampled_from(list(SeqTrigger)),
            st.integers(-(2**31), 2**31 - 1),
            st.integers(0, 2**32 - 1),
            st.booleans(),
        ),
        max_size=5,
    )
)
def test_a_table_comes_back_as_it_was_written(rows):
    codec = TableCodec(make_table("T", seq_info()), info=seq_info()).declared_as(
        SeqTable, "SEQ1.TABLE"
    )
    table = SeqTable.empty()
    for repeats, trigger, position, time1, outa1 in rows:
        table += SeqTable.row(
            repeats=repeats,
            trigger=trigger,
            position=position,
            time1=time1,
            outa1=outa1,
        )
    put = codec.tell("SEQ1.TABLE", table)
    exchange = next(put.execute((4, 1)))
    back = codec.decode(exchange.to_send[1:-1])
    assert columns_of(back) == columns_of(table)
    # what was saved to a file is a mapping of plain columns
    saved = {k: list(v) for k, v in table.model_dump().items()}
    again = next(codec.tell("SEQ1.TABLE", saved).execute((4, 1)))
    assert again.to_send == exchange.to_send


def test_a_table_that_does_not_fit_is_refused():
    codec = TableCodec(make_table("T", seq_info()), info=seq_info())
    table = SeqTable.empty()
    for _ in range(17):
        table += SeqTable.row()
    with pytest.raises(BadValue, match=r"SEQ1.TABLE holds 16 rows, not 17"):
        codec.tell("SEQ1.TABLE", table)
    columns = {name: [] for name in SeqTable.model_fields} | {"nonsense": []}
    with pytest.raises(ValueError, match="nonsense"):
        codec.tell("SEQ1.TABLE", columns)


def test_enum_members_of_any_kind_are_taken_by_value():
    class Plain(Enum):
        MS = "ms"

    codec = EnumCodec(PandaTimeUnits, ("min", "s", "ms", "us"))
    assert codec.tell("X", Plain.MS) == Put("X", "ms")
