"""Commands that read and write: what they ask, and what they make of the answer."""

from enum import Enum
from typing import Any

import numpy as np
import pytest

from beamfly.errors import BadValue, CommandError, LocalProtocolError
from beamfly.panda.commands import (
    Append,
    Arm,
    ChangeGroup,
    Command,
    CommandException,
    Disarm,
    Exchange,
    Get,
    GetChanges,
    GetLine,
    GetMultiline,
    Identify,
    Put,
    Raw,
    interleave,
    is_multiline_command,
)
from beamfly.panda.responses import Changes, Identification
from drive import IDENTITY, run_command


def bytes_of(command: Command[Any]) -> bytes:
    exchange = next(command.execute((4, 1)))
    assert isinstance(exchange, Exchange)
    return exchange.encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("SEQ1.TABLE<", True),
        ("SEQ1.TABLE<<|B", True),
        ("*METADATA.DESIGN=a<b", False),
        ("SEQ1.TABLE?", False),
        ("A?<", False),
        ("", False),
    ],
)
def test_is_multiline_command(line: str, expected: bool) -> None:
    assert is_multiline_command(line) is expected


@pytest.mark.parametrize(
    ("command", "answer", "result"),
    [
        (Get("PCAP.ACTIVE"), "OK =1", "1"),
        (Get("COUNTER1.OUT.UNITS"), "OK =", ""),
        (Get("SEQ1.TABLE"), ["1", "2"], ["1", "2"]),
        (Get("SEQ1.TABLE"), [], []),
        (GetLine("PCAP.ACTIVE"), "OK =1", "1"),
        (GetMultiline("SEQ1.TABLE"), ["1"], ["1"]),
    ],
)
def test_reading(command: Command[Any], answer: Any, result: Any) -> None:
    got, writes = run_command(command, {f"{command.field}?": answer})  # type: ignore[attr-defined]
    assert got == result
    assert writes == [[f"{command.field}?"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (Get("PCAP.BITS0"), "ERR Field not readable"),
        (Get("PCAP.BITS0"), "OK"),
        (GetLine("SEQ1.TABLE"), ["1"]),
        (GetMultiline("PCAP.ACTIVE"), "OK =1"),
    ],
)
def test_reading_the_wrong_kind(command: Command[Any], answer: Any) -> None:
    with pytest.raises(CommandException, match="the answer to"):
        run_command(command, {f"{command.field}?": answer})  # type: ignore[attr-defined]


class Trigger(str, Enum):  # noqa: UP042  the kind whose format() is not its value
    RISING = "Rising"


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        (Put("PCAP.TRIG", "PULSE1.OUT"), b"PCAP.TRIG=PULSE1.OUT\n"),
        (Put("A.B"), b"A.B=\n"),
        (Put("A.B", 5), b"A.B=5\n"),
        (Put("A.B", 1.5e-3), b"A.B=0.0015\n"),
        (Put("A.B", np.float64(0.1)), b"A.B=0.1\n"),
        (Put("A.B", True), b"A.B=1\n"),
        (Put("A.B", np.False_), b"A.B=0\n"),
        (Put("A.B", Trigger.RISING), b"A.B=Rising\n"),
        (Put("A.UNITS", "µm"), "A.UNITS=µm\n".encode()),
        (Put("S.TABLE", ["1", "2"]), b"S.TABLE<\n1\n2\n\n"),
        (Put("S.TABLE", []), b"S.TABLE<\n\n"),
        (Put("S.TABLE", [1, 2, 3, 4]), b"S.TABLE<B\nAQAAAAIAAAADAAAABAAAAA==\n\n"),
        (Put("S.TABLE", np.array([-1])), b"S.TABLE<B\n/////w==\n\n"),
        (Append("S.TABLE", ["1"]), b"S.TABLE<<\n1\n\n"),
        (Append("S.TABLE", ["1"], True), b"S.TABLE<<|\n1\n\n"),
        (Append("S.TABLE", [1], True), b"S.TABLE<<|B\nAQAAAA==\n\n"),
        (Arm(), b"*PCAP.ARM=\n"),
        (Disarm(), b"*PCAP.DISARM=\n"),
        (Raw(["PCAP.ACTIVE?"]), b"PCAP.ACTIVE?\n"),
        (Raw([""]), b"\n"),
    ],
)
def test_what_is_sent(command: Command[Any], sent: bytes) -> None:
    assert bytes_of(command) == sent


def test_a_long_table_in_base64_has_short_lines() -> None:
    lines = bytes_of(Put("S.TABLE", np.arange(10_000))).split(b"\n")
    assert max(map(len, lines)) <= 1022
    assert lines[-2:] == [b"", b""]


@pytest.mark.parametrize("words", [[2**32], [-(2**31) - 1], [1.5], [0, "x"]])
def test_words_out_of_range_are_refused(words: Any) -> None:
    with pytest.raises(BadValue, match="allowed are integers"):
        bytes_of(Put("S.TABLE", words))


@pytest.mark.parametrize(
    "command",
    [
        Put("A.B", "1\nC.D=2"),
        Put("S.TABLE", ["1", "2\n"]),
        Put("S.TABLE", ["1", "", "2"]),
        Raw(["A.B?", "C.D?"]),
        Raw(["S.TABLE<", "1"]),
        Raw(["S.TABLE<"]),
        Raw(["S.TABLE<", "", ""]),
        Raw([]),
        Put("A.B", "x" * 1022),
        Put("A.B", "µ" * 600),
        Put("A.B", "\udc85"),
    ],
)
def test_what_would_get_answers_out_of_step_is_not_sent(command: Command[Any]) -> None:
    with pytest.raises(LocalProtocolError, match="nothing was sent"):
        bytes_of(command)


@pytest.mark.parametrize("command", [Put("A.B", 1), Append("A.B", ["1"]), Arm()])
def test_writing_refused(command: Command[Any]) -> None:
    exchange = next(command.execute((4, 1)))
    assert isinstance(exchange, Exchange)
    with pytest.raises(CommandError, match="ERR no"):
        run_command(command, {exchange.to_send[0]: "ERR no"})


def test_raw_returns_refusals() -> None:
    assert run_command(Raw(["foo"]), {"foo": "ERR Unknown command"})[0] == [
        "ERR Unknown command"
    ]


@pytest.mark.parametrize(
    ("software", "api"),
    [
        ("4.1", (4, 1)),
        ("3.0-11-g6422090", (3, 0)),
        ("dev-build", (0, 0)),
        ("2.0.2A", (2, 0)),
        ("g1234567-dirty", (0, 0)),
    ],
)
def test_identify(software: str, api: tuple[int, int]) -> None:
    line = IDENTITY.replace("SW: 4.1", f"SW: {software}")
    identity, _ = run_command(Identify(), {"*IDN?": f"OK ={line}"})
    assert identity == Identification(software, "4.1.0 816147d6 00000000", "Sim 1.0")
    assert identity.software_api() == api


def test_identify_something_else() -> None:
    with pytest.raises(CommandError, match="'Zebra' is not the identity of a PandA"):
        run_command(Identify(), {"*IDN?": "OK =Zebra"})


CHANGES = [
    "PCAP.TRIG=PULSE1.OUT",
    "SEQ1.TABLE<",
    "SEQ1.STATE (error)",
    "*METADATA.DESIGN=a=b<",
    "*METADATA.LABEL_A1=is in (error)",
    "*METADATA.LAYOUT<",
    "COUNTER1.OUT.UNITS=(null)",
    "COUNTER1.OUT.UNITS=(null)",
    "*METADATA.LABEL_A2=(null)",
]
VALUES = {
    "PCAP.TRIG": "PULSE1.OUT",
    "*METADATA.DESIGN": "a=b<",
    "*METADATA.LABEL_A1": "is in (error)",
    "COUNTER1.OUT.UNITS": "",
    "*METADATA.LABEL_A2": "(null)",
}


def test_changes() -> None:
    changes, writes = run_command(GetChanges(), {"*CHANGES?": CHANGES})
    tables = ["SEQ1.TABLE", "*METADATA.LAYOUT"]
    assert changes == Changes(VALUES, tables, ["SEQ1.STATE"], {})
    assert writes == [["*CHANGES?"]]


def test_changes_with_tables_take_one_more_write() -> None:
    changes, writes = run_command(
        GetChanges(ChangeGroup.ALL, True),
        {
            "*CHANGES?": CHANGES,
            "SEQ1.TABLE?": ["1", "2"],
            "*METADATA.LAYOUT?": [],
        },
    )
    lists = {"SEQ1.TABLE": ["1", "2"], "*METADATA.LAYOUT": []}
    assert changes == Changes(VALUES, [], ["SEQ1.STATE"], lists)
    assert writes == [["*CHANGES?"], ["SEQ1.TABLE?", "*METADATA.LAYOUT?"]]


@pytest.mark.parametrize("group", list(ChangeGroup))
def test_change_groups(group: ChangeGroup) -> None:
    question = f"*CHANGES{group.value}?"
    assert run_command(GetChanges(group), {question: []})[0].values == {}


def test_a_change_that_makes_no_sense() -> None:
    with pytest.raises(CommandError, match="'foo' in a change report"):
        run_command(GetChanges(), {"*CHANGES?": ["foo"]})


def test_interleaving_generators_of_different_length() -> None:
    class All(Command[Any]):
        def execute(self, version: tuple[int, int]) -> Any:
            return interleave(
                [
                    Get("A.B").execute(version),
                    GetChanges(get_multiline=True).execute(version),
                    Get("C.D").execute(version),
                ]
            )

    results, writes = run_command(
        All(),
        {"A.B?": "OK =1", "*CHANGES?": ["T<"], "C.D?": "OK =2", "T?": ["3"]},
    )
    assert writes == [["A.B?", "*CHANGES?", "C.D?"], ["T?"]]
    assert results == ["1", Changes({}, [], [], {"T": ["3"]}), "2"]
