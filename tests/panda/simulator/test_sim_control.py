"""The control port beyond what was recorded: grammar, numbers, tables, changes."""

import pytest
from bench_panda import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import CommandError
from beamfly.panda.simulator import lut
from beamfly.panda.simulator.core import PandaCore
from beamfly.panda.simulator.literals import double, format_double, integer


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("?", "ERR No name found"),
        ("*?", "ERR No name found"),
        ("*BLOCKS x?", "ERR Unexpected character after input"),
        ("*PCAP?", "ERR Character '.' expected"),
        ("*DESC?", "ERR Character '.' expected"),
        ("PCAP.ENABLE x?", "ERR Unexpected character after input"),
        ("PCAP1.SHIFT_SUM?", "OK =0"),
        ("COUNTER01.OUT?", "OK =0"),
        ("COUNTER.FOO?", "ERR No such field"),
        ("COUNTER.OUT.FOO?", "ERR Missing block number"),
        ("COUNTER.OUT.SCALE?", "ERR Missing block number"),
        ("COUNTER99.*?", "ERR Invalid block number"),
        ("PCAP.*=1", "ERR Field not writeable"),
        ("PCAP.TS_TRIG=1", "ERR Field not writeable"),
        ("INENC1.SETP?", "ERR Field not readable"),
        ("SRGATE1.FORCE_SET=", "OK"),
        ("SRGATE1.FORCE_SET=1", "ERR Unexpected character after input"),
        ("BITS.A=", "ERR Invalid bit value"),
        ("BITS.A=11", "ERR Unexpected character after input"),
        ("PULSE1.WIDTH.RAW=281474976710656", "ERR Time setting out of range"),
        ("SYSTEM.TEMP_ZYNQ.RAW=1", "ERR Attribute not writeable"),
        ("COUNTER1.OUT.CAPTURE=Value,Sum", "ERR No name found"),
        ("COUNTER1.OUT.CAPTURE=No", "OK"),
        ("*CHANGES.ALL?", "ERR Unknown changes selection"),
        ("*CHANGES.BITS.X?", "ERR Unexpected character after input"),
        ("*CHANGES=EE", "ERR Invalid reset option"),
        ("*CAPTURE=1", "ERR Unexpected character after input"),
        ("LUT1.FUNC=0xfoo", "ERR Bad LUT number"),
        ("*ENUMS.SEQ.TABLE?", "ERR Field is not an enumeration"),
        ("*ENUMS.SEQ.TABLE[].NONE?", "ERR Table sub-field not found"),
        ("*METADATA.*x?", "ERR Unexpected character after input"),
        ("A" * 40 + "?", "ERR Name too long"),
        ("COUNTER1.STEP=99999999999999999999999", "ERR Error converting number"),
    ],
)
def test_replies(bench: Bench, line: str, reply: str):
    assert bench.ask(line) == [reply]


def test_a_name_may_have_a_number_in_the_middle(bench: Bench):
    assert bench.ask("SFP3_SYNC_IN.BIT8.OFFSET?") == ["OK =8"]
    assert bench.ask("SFP3_SYNC_IN1.LINKUP?") == ["OK =0"]
    assert bench.ask("*DESC.INENC.VAL?") == ["OK =Position of the encoder"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 8), (" 0x1F", 31), ("+7", 7), ("-3", -3), ("0", 0)],
)
def test_integers_are_as_in_c(text: str, value: int):
    assert integer(text) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1e-3", "0.001"),
        (" .5", "0.5"),
        ("0x1p-1", "0.5"),
        ("-INF", "-inf"),
        ("nan", "nan"),
        ("123456789012", "1.23456789e+11"),
    ],
)
def test_doubles_are_as_in_c(text: str, shown: str):
    assert format_double(double(text)) == shown


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "Missing value"),
        ("A&", "Missing value"),
        ("()", "Missing value"),
        ("A B", "Missing operator between values"),
        ("A(B)", "Missing operator between values"),
        ("(A&B)C", "Missing operator between values"),
        ("A)", "Missing open bracket"),
        ("(A|B", "Missing close bracket"),
        ("A:B", "Missing ? before :"),
        ("(A:B)", "Missing ? before :"),
        ("A?B", "Missing : after ?"),
        ("(A?B)", "Missing : after ?"),
        ("A+B", "Invalid token"),
        ("F", "Invalid token"),
        ("(" * 25 + "A" + ")" * 25, "Expression too complex"),
    ],
)
def test_luts_that_make_no_sense(text: str, error: str):
    with pytest.raises(CommandError, match=f"^{error.replace('?', '[?]')}$"):
        lut.evaluate(text)


NAMES = {"A": 4, "B": 3, "C": 2, "D": 1, "E": 0}


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> tuple[str, object]:
    """Text of an expression, and a function of the number of an entry to its value."""
    kind = draw(st.sampled_from("v~bt")) if depth else "v"
    if kind == "v":
        name = draw(st.sampled_from("ABCDE01"))
        place = NAMES.get(name)
        return name, lambda n: int(name) if place is None else (n >> place) & 1
    texts, values = zip(*[draw(expressions(depth - 1)) for _ in range(3)], strict=True)
    a, b, c = values
    if kind == "~":
        return f"~({texts[0]})", lambda n: 1 - a(n)
    if kind == "t":
        text = f"({texts[0]})?({texts[1]}):({texts[2]})"
        return text, lambda n: b(n) if a(n) else c(n)
    operators = {
        "&": lambda n: a(n) & b(n),
        "|": lambda n: a(n) | b(n),
        "^": lambda n: a(n) ^ b(n),
        "=": lambda n: int(a(n) == b(n)),
        "==": lambda n: int(a(n) == b(n)),
        "=>": lambda n: int(not a(n) or b(n)),
    }
    operator = draw(st.sampled_from(sorted(operators)))
    return f"({texts[0]}){operator}({texts[1]})", operators[operator]


@settings(deadline=None)
@given(expressions())
def test_luts_mean_what_they_say(expression):
    text, value = expression
    try:
        function = lut.evaluate(text)
    except CommandError as error:
        assert str(error) == "Expression too complex"
        return
    assert function == sum(int(value(n)) << n for n in range(32))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("A&B|C", "(A&B)|C"),
        ("A|B&C", "A|(B&C)"),
        ("~A&B", "(~A)&B"),
        ("A^B&C", "A^(B&C)"),
        ("A|B^C", "A|(B^C)"),
        ("A=B&C", "(A=B)&C"),
        ("A=>B|C", "A=>(B|C)"),
        ("A?B:C?D:E", "A?B:(C?D:E)"),
    ],
)
def test_operators_bind_as_they_should(text: str, same: str):
    assert lut.evaluate(text) == lut.evaluate(same)


def test_pipelined_commands_are_answered_in_order(bench: Bench):
    lines = [f"COUNTER1.START={i}\nCOUNTER1.START?" for i in range(1000)]
    replies = bench.ask(*lines)
    assert replies == [r for i in range(1000) for r in ("OK", f"OK ={i}")]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")),
            st.sampled_from(
                [b"*IDN?", b"SEQ1.TABLE<", b"", b"1 2 3 4", b"PCAP.*?", b"*CHANGES?"]
            ),
            st.text("*?=<|B.PCASEQ1 ", max_size=20).map(str.encode),
        )
    ),
    st.integers(1, 40),
)
def test_garbage_is_answered_however_it_is_cut(lines: list[bytes], size: int):
    request = b"".join(line + b"\n" for line in lines)
    whole = PandaCore().open_control("a:1").receive(request)
    cut = PandaCore().open_control("a:1")
    parts = [cut.receive(request[i : i + size]) for i in range(0, len(request), size)]
    assert b"".join(parts) == whole
    assert all(
        r.startswith(("OK", "ERR", "!", "."))
        for r in whole.decode(errors="replace").split("\n")
        if r
    )


def test_a_result_that_is_too_long_is_an_error(bench: Bench):
    bench.put(f"COUNTER1.OUT.UNITS={'x' * 250}\n")
    assert bench.get("COUNTER1.OUT.UNITS") == "x" * 250
    assert "!COUNTER1.OUT.UNITS (error)" in bench.ask("*CHANGES.ATTR?")
    bench.put(f"COUNTER1.OUT.UNITS={'x' * 256}\n")
    assert bench.ask("COUNTER1.OUT.UNITS?") == ["ERR Result too long"]


def test_units_have_to_be_utf8(bench: Bench):
    reply = bench.control.receive(b"COUNTER1.OUT.UNITS=\xff\xfe\n")
    assert reply.startswith(b"ERR ")
    assert bench.get("COUNTER1.OUT.UNITS") == ""


def test_connections_have_their_own_changes():
    bench = Bench()
    other = bench.core.open_control("127.0.0.1:3")
    for session in (bench.control, other):
        assert session.receive(b"*CHANGES?\n").count(b"\n") == 1042
    bench.put("COUNTER1.START=3\n")
    assert bench.ask("*CHANGES.CONFIG?") == ["!COUNTER1.START=3", "."]
    assert bench.ask("*CHANGES?") == ["."]
    assert other.receive(b"*CHANGES?\n") == b"!COUNTER1.START=3\n.\n"


def test_a_bit_that_changed_back_is_reported(bench: Bench):
    bench.ask("*CHANGES?")
    bench.put("BITS.A=1\nBITS.A=0\n")
    assert bench.ask("*CHANGES.BITS?") == ["!BITS.OUTA=0", "."]
    assert bench.ask("*CHANGES.BITS?") == ["."]


def test_who_is_connected():
    bench = Bench()
    bench.data("XML")
    lines = bench.ask("*WHO?")
    assert [line.split(" ", 1)[1] for line in lines[:-1]] == [
        "config 127.0.0.1:1 ",
        "data 127.0.0.1:2 ",
    ]
    assert lines[0].startswith("!2026-11-20T06:10:00.000Z")


def test_a_stream_of_tables_that_is_full(bench: Bench):
    words = "\n".join(["1 0 0 0"] * 1000)
    bench.put("SEQ1.TABLE<<\n1 0 0 100\n\n")
    for _ in range(262):
        bench.put(f"SEQ1.TABLE<<\n{words}\n\n")
    assert bench.get("SEQ1.TABLE.QUEUED_LINES") == "262001"
    reply = bench.ask(f"SEQ1.TABLE<<\n{words}\n")
    assert reply == ["ERR Too many points for table"]
    assert bench.ask("SEQ1.TABLE<B\nabc\n") == ["ERR Malformed base64 string"]
    assert bench.ask("SEQ1.TABLE<B\nYWJj\n") == ["ERR Invalid data length"]


def test_queued_lines_are_used_up_and_reported(bench: Bench):
    bench.put("SEQ1.PRESCALE=0.1\nSEQ1.REPEATS=1\n")
    bench.put("SEQ1.TABLE<<\n1 0 0 1\n1 0 0 1\n\nSEQ1.TABLE<<|\n1 0 0 1\n\n")
    assert bench.get("SEQ1.TABLE.QUEUED_LINES") == "3"
    assert bench.get("SEQ1.TABLE.MODE") == "STREAMING_LAST"
    bench.ask("*CHANGES?")
    bench.put("SEQ1.ENABLE=ONE\n")
    bench.wait(0.15)
    assert bench.get("SEQ1.TABLE.QUEUED_LINES") == "1"
    assert "!SEQ1.TABLE.QUEUED_LINES=1" in bench.ask("*CHANGES.ATTR?")
    bench.wait(0.3)
    assert bench.get("SEQ1.TABLE.QUEUED_LINES") == "0"
    assert bench.get("SEQ1.ACTIVE") == "0"
    assert bench.get("SEQ1.STATE") == "UNREADY"
    assert bench.get("SEQ1.HEALTH") == "OK"
