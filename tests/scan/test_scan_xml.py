"""Reading XML: what a server takes for granted, what is refused, round trips."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.scan.command import IF_COMPARISONS
from beamfly.scan.commands import (
    COMPARISONS,
    CommandSequence,
    Comment,
    ConfigLog,
    Delay,
    If,
    Include,
    Log,
    Loop,
    Parallel,
    Script,
    Sequence,
    Set,
    Wait,
    read_commands,
)
from beamfly.scan.sequence import server_document, submission
from beamfly.scan.values import (
    java_double,
    parse_double,
    parse_value,
    printable,
    value_text,
)
from beamfly.scan.xmltext import parse_xml

BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><commands><comment><text>&b;</text></comment>
</commands>"""


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        BOMB.encode("utf-16"),
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><commands/>',
        "<commands>"
        + "<sequence><body>" * 200
        + "</body></sequence>" * 200
        + "</commands>",
        "not xml",
        "",
        b"\xff\xff\xff",
        b'<?xml version="1.0" encoding="utf-7"?><commands/>',
        b'<?xml version="1.0" encoding="utf-8"?><commands>\xff</commands>',
        "<foo/>",
        "<commands><bogus/></commands>",
        "<commands><log/></commands>",
        "<commands><delay><seconds>abc</seconds></delay></commands>",
        "<commands><delay><seconds>0x10</seconds></delay></commands>",
        "<commands><loop><body><what/></body></loop></commands>",
        "<commands>\x00</commands>",
    ],
)
def test_refused(text: str | bytes):
    with pytest.raises(BadValue):
        read_commands(text)


def test_refusals_say_why():
    with pytest.raises(BadValue, match="Unknown scan command ID bogus"):
        read_commands("<commands><bogus/></commands>")
    with pytest.raises(BadValue, match="Missing 'devices'"):
        read_commands("<commands><log/></commands>")
    with pytest.raises(BadValue, match="Wrong document type"):
        read_commands("<foo/>")
    with pytest.raises(BadValue, match="document type or entities"):
        read_commands(BOMB)


def one(text: str):
    (command,) = read_commands(f"<commands>{text}</commands>")
    return command


def test_missing_children_are_taken_as_a_server_takes_them():
    command = one("<set><device>x</device><value>1</value></set>")
    assert command == Set("x", 1, readback="x", tolerance=0.1)
    loop = one("<loop><device>x</device></loop>")
    assert loop == Loop("x", 0, 10, 1, readback="x", tolerance=0.1)
    assert one("<loop><device>x</device><step>0</step></loop>").step == 1
    wait = one("<wait><device> x </device><comparison>BOGUS</comparison></wait>")
    assert (wait.device, wait.comparison, wait.value) == ("x", "=", 0.0)
    assert (wait.tolerance, wait.timeout) == (0.1, 0.0)
    assert one("<set><device>x</device><wait>yes</wait></set>").wait is False
    assert one("<delay><seconds> </seconds></delay>").seconds == 0


def test_other_encodings():
    latin = "<commands><comment><text>Grad °</text></comment></commands>"
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>'
    assert read_commands((head + latin).encode("latin-1")) == [Comment("Grad °")]
    assert read_commands(latin.encode("utf-16")) == [Comment("Grad °")]
    assert read_commands(b"\xef\xbb\xbf" + latin.encode()) == [Comment("Grad °")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0.0),
        (' "5.0" ', "5.0"),
        ('"open', "open"),
        ('"', ""),
        ('""', ""),
        ('"say "hi" now"', 'say "hi" now'),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("Infinity", float("inf")),
        ("0x10", "0x10"),
        ("1,5", "1,5"),
        ("1_000", "1_000"),
        ("Idle", "Idle"),
    ],
)
def test_values(text: str, value: float | str):
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "3.0"),
        (1e9, "1.0E9"),
        (12345678.9, "1.23456789E7"),
        (9999999.0, "9999999.0"),
        (0.001, "0.001"),
        (0.0009, "9.0E-4"),
        (1.5e-10, "1.5E-10"),
        (-2.5e20, "-2.5E20"),
        (1e300, "1.0E300"),
        (0.30000000000000004, "0.30000000000000004"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (-0.0, "-0.0"),
    ],
)
def test_java_doubles(number: float, text: str):
    assert java_double(number) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_doubles_survive(number: float):
    assert parse_double(java_double(number)) == number


def test_arrays_and_text():
    assert value_text([1.5, 2.0]) == "[1.5, 2.0]"
    assert value_text((1, 2)) == "[1, 2]"
    assert value_text(7) == "7"
    assert printable("a\x07b\tc\n") == "a_b\tc\n"
    assert b"a_b" in CommandSequence(Comment("a\x07b")).genSCN()


def test_given_back_as_a_server_does():
    commands = read_commands(
        "<commands><set><device>m</device><value>3</value><wait>false</wait></set>"
        "<set><device>x</device><value>4</value></set>"
        "<wait><device>p</device><value>x</value><timeout>2</timeout></wait></commands>"
    )
    assert server_document(commands) == (
        "<commands>\n  <set>\n    <device>m</device>\n    <value>3.0</value>\n"
        "    <wait>false</wait>\n    <tolerance>0.1</tolerance>\n  </set>\n  <set>\n"
        "    <device>x</device>\n    <value>4.0</value>\n"
        "    <readback>x</readback>\n    <tolerance>0.1</tolerance>\n  </set>\n"
        '  <wait>\n    <device>p</device>\n    <value>"x"</value>\n'
        "    <comparison>EQUALS</comparison>\n    <tolerance>0.1</tolerance>\n"
        "    <timeout>2.0</timeout>\n  </wait>\n</commands>\n"
    )


def test_submission_takes_what_clients_have():
    xml = "<commands><delay><seconds>1</seconds></delay></commands>"
    assert submission(xml) == xml.encode()
    assert submission(xml.encode()) == xml.encode()
    for commands in (Delay(1), [Delay(1)], (Delay(1),), CommandSequence(Delay(1))):
        assert read_commands(submission(commands)) == [Delay(1)]
    with pytest.raises(BadValue):
        submission([1])


TEXT = st.text(
    st.characters(min_codepoint=32, exclude_categories=("Cs",)), max_size=20
).map(printable)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9:._<&$()]{0,15}", fullmatch=True)
NUMBER = st.floats(allow_nan=False) | st.integers(-(10**6), 10**6).map(float)
POSITIVE = st.floats(1e-9, 1e9)
HANDLER = st.none() | st.just("OnErrorContinue")
BARE = st.sampled_from(["Idle", "a b", "é"])
READBACK = st.tuples(st.just(True) | NAME, POSITIVE)


@st.composite
def writes(draw: st.DrawFn) -> dict:
    options = {"completion": draw(st.booleans()), "errhandler": draw(HANDLER)}
    if draw(st.booleans()):
        options["readback"], options["tolerance"] = draw(READBACK)
    else:
        options["tolerance"] = 0.1
    if options["completion"] or options.get("readback"):
        options["timeout"] = draw(st.just(0.0) | POSITIVE)
    return options


def sets(options: dict) -> st.SearchStrategy:
    return st.builds(
        lambda device, value: Set(device, value, **options), NAME, NUMBER | TEXT
    )


LEAVES = st.one_of(
    st.builds(Comment, TEXT),
    st.builds(ConfigLog, st.booleans(), HANDLER),
    st.builds(Delay, NUMBER, HANDLER),
    st.builds(Include, NAME, st.none() | st.just("a=b, c=d"), HANDLER),
    st.builds(lambda names: Log(names), st.lists(NAME, min_size=1)),
    st.builds(Script, NAME, st.lists(NAME)),
    writes().flatmap(sets),
    st.builds(
        Wait,
        NAME,
        NUMBER | BARE,
        st.sampled_from(sorted(COMPARISONS)),
        POSITIVE,
        st.just(0.0) | POSITIVE,
        HANDLER,
    ),
)


def containers(body: st.SearchStrategy) -> st.SearchStrategy:
    bodies = st.lists(body, max_size=3)
    return st.one_of(
        st.builds(Sequence, bodies),
        st.builds(Parallel, bodies, timeout=st.just(0.0) | POSITIVE),
        st.builds(If, NAME, st.sampled_from(IF_COMPARISONS), NUMBER | BARE, bodies),
        st.builds(
            lambda name, a, b, step, body, options: Loop(
                name, a, b, step, body, **options
            ),
            NAME,
            NUMBER,
            NUMBER,
            POSITIVE,
            bodies,
            writes(),
        ),
    )


COMMAND = st.recursive(LEAVES, containers, max_leaves=6)


def plain(command) -> dict:
    """Every field of a command, bodies as such dictionaries."""
    fields = {"kind": type(command).__name__, **vars(command)}
    if "body" in fields:
        fields["body"] = [plain(item) for item in fields["body"]]
    return fields


@settings(deadline=None, max_examples=100)
@given(st.lists(COMMAND, max_size=4))
def test_written_and_read_back_is_the_same(commands):
    expected = [plain(command) for command in commands]
    client = read_commands(CommandSequence(commands).genSCN())
    assert [plain(command) for command in client] == expected
    server = read_commands(server_document(client))
    assert [plain(command) for command in server] == expected
    assert client == commands


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_refused(data: bytes):
    with pytest.raises(BadValue):
        parse_xml(data)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<commands>", "</commands>", "<set>", "</set>", "<device>x</device>",
                "<value>", "</value>", "<body>", "</body>", "<loop>", "</loop>",
                "<timeout>1</timeout>", "<timeout>x</timeout>", "text", "<log/>",
            ]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_jumbled_documents_raise_only_what_is_documented(parts):
    try:
        commands = read_commands("".join(parts))
    except BadValue:
        return
    assert read_commands(server_document(commands)) == commands
