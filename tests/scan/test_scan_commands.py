"""Commands: signatures, reprs and XML, as scripts and scan servers know them."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from beamfly.errors import BadValue
from beamfly.scan.commands import (
    Command,
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

ONE_TWO = "<comment><text>One</text></comment><comment><text>Two</text></comment>"
DELAYS = "<delay><seconds>1</seconds></delay><delay><seconds>2</seconds></delay>"
LOOP = "<device>pv1</device><start>1</start><end>10</end><step>0.1</step>"

CASES = [
    (Comment("Hello"), "Comment('Hello')", "<comment><text>Hello</text></comment>"),
    (
        Comment("current < 10"),
        "Comment('current < 10')",
        "<comment><text>current &lt; 10</text></comment>",
    ),
    (Delay(47.11), "Delay(47.11)", "<delay><seconds>47.11</seconds></delay>"),
    (
        ConfigLog(True),
        "ConfigLog(True)",
        "<config_log><automatic>true</automatic></config_log>",
    ),
    (
        Set("dev", 3.14),
        "Set('dev', 3.14)",
        "<set><device>dev</device><value>3.14</value><wait>false</wait></set>",
    ),
    (
        Set("dev", "Text"),
        "Set('dev', 'Text')",
        '<set><device>dev</device><value>"Text"</value><wait>false</wait></set>',
    ),
    (
        Set("dev", True),
        "Set('dev', True)",
        "<set><device>dev</device><value>1</value><wait>false</wait></set>",
    ),
    (
        Set("dev", 3.14, completion=True, timeout=5.0),
        "Set('dev', 3.14, completion=True, timeout=5)",
        "<set><device>dev</device><value>3.14</value><completion>true</completion>"
        "<wait>false</wait><timeout>5.0</timeout></set>",
    ),
    (
        Set("dev", 1, completion=True, readback=True, tolerance=1, timeout=10.0),
        "Set('dev', 1, completion=True, timeout=10, readback='dev', "
        "tolerance=1.000000)",
        "<set><device>dev</device><value>1</value><completion>true</completion>"
        "<wait>true</wait><readback>dev</readback><tolerance>1</tolerance>"
        "<timeout>10.0</timeout></set>",
    ),
    (
        Set("dev", 50.0, readback="r", readback_value="on", tolerance=0.1),
        "Set('dev', 50.0, readback='r', readback_value='on', tolerance=0.100000)",
        "<set><device>dev</device><value>50.0</value><wait>true</wait>"
        '<readback>r</readback><readback_value>"on"</readback_value>'
        "<tolerance>0.1</tolerance></set>",
    ),
    (Sequence(), "Sequence()", "<sequence />"),
    (
        Sequence(Comment("One"), Comment("Two")),
        "Sequence(Comment('One'), Comment('Two'))",
        f"<sequence><body>{ONE_TWO}</body></sequence>",
    ),
    (Parallel(), "Parallel()", "<parallel />"),
    (Parallel(timeout=3), "Parallel(timeout=3)", None),
    (
        Parallel((Comment("One"), Comment("Two")), timeout=10),
        "Parallel(Comment('One'), Comment('Two'), timeout=10)",
        f"<parallel><timeout>10</timeout><body>{ONE_TWO}</body></parallel>",
    ),
    (
        Parallel(body=[Comment("One"), Comment("Two")], errhandler="MyHandler"),
        "Parallel(Comment('One'), Comment('Two'), errhandler='MyHandler')",
        f"<parallel><body>{ONE_TWO}</body>"
        "<error_handler>MyHandler</error_handler></parallel>",
    ),
    (Log(), "Log()", "<log />"),
    (
        Log("pv1"),
        "Log('pv1')",
        "<log><devices><device>pv1</device></devices></log>",
    ),
    (
        Log(["pv1", "pv2"], errhandler="H"),
        "Log('pv1', 'pv2', errhandler='H')",
        "<log><devices><device>pv1</device><device>pv2</device></devices>"
        "<error_handler>H</error_handler></log>",
    ),
    (
        Include("start.scn", "macro=value"),
        "Include('start.scn', macros='macro=value')",
        "<include><scan_file>start.scn</scan_file><macros>macro=value</macros>"
        "</include>",
    ),
    (
        Script("Mine", "arg1", 42.3),
        "Script('Mine', 'arg1', 42.3)",
        "<script><path>Mine</path><arguments><argument>arg1</argument>"
        "<argument>42.3</argument></arguments></script>",
    ),
    (Script("Mine", ["a", 1]), "Script('Mine', 'a', 1)", None),
    (Script("Mine", "pos"), "Script('Mine', 'pos')", None),
    (Script("Mine", 7), "Script('Mine', 7)", None),
    (Script("Mine", errHandler="H"), "Script('Mine', errhandler='H')", None),
    (
        Wait("dev", 3.14),
        "Wait('dev', 3.14)",
        "<wait><device>dev</device><value>3.14</value>"
        "<comparison>EQUALS</comparison></wait>",
    ),
    (
        Wait("n", 1000, comparison="increase by", timeout=5.0, errhandler="some"),
        "Wait('n', 1000, comparison='increase by', timeout=5, errhandler='some')",
        "<wait><device>n</device><value>1000</value>"
        "<comparison>INCREASE_BY</comparison><timeout>5.0</timeout>"
        "<error_handler>some</error_handler></wait>",
    ),
    (
        Wait("mode", '"A","B"', "not in"),
        "Wait('mode', '\"A\",\"B\"', comparison='not in')",
        '<wait><device>mode</device><value>"A","B"</value>'
        "<comparison>NOT_IN</comparison></wait>",
    ),
    (
        If("dev", ">", 3.14),
        "If('dev', '>', 3.14, tolerance=0.1)",
        "<if><device>dev</device><comparison>ABOVE</comparison><value>3.14</value>"
        "<tolerance>0.1</tolerance><body /></if>",
    ),
    (
        If("dev", ">", 3.14, [Comment("BODY")]),
        "If('dev', '>', 3.14, [ Comment('BODY') ], tolerance=0.1)",
        None,
    ),
    (
        Loop("pv1", 1, 10, 0.1),
        "Loop('pv1', 1, 10, 0.1)",
        f"<loop>{LOOP}<wait>false</wait><body /></loop>",
    ),
    (
        Loop("pv1", 1, 10, 0.1, Delay(1), Delay(2), readback=True),
        "Loop('pv1', 1, 10, 0.1, [ Delay(1), Delay(2) ], readback='pv1', "
        "tolerance=0.01)",
        f"<loop>{LOOP}<wait>true</wait><readback>pv1</readback>"
        f"<tolerance>0.01</tolerance><body>{DELAYS}</body></loop>",
    ),
    (
        Loop("pv1", 1, 10, 0.1, completion=True, timeout=10),
        "Loop('pv1', 1, 10, 0.1, completion=True, timeout=10)",
        f"<loop>{LOOP}<completion>true</completion><wait>false</wait>"
        "<timeout>10</timeout><body /></loop>",
    ),
]


@pytest.mark.parametrize(("command", "text", "xml"), CASES)
def test_repr_and_xml(command: Command, text: str, xml: str | None):
    assert repr(command) == str(command) == text
    if xml is not None:
        assert ET.tostring(command.genXML()).decode() == xml


@pytest.mark.parametrize(
    "command", [case[0] for case in CASES if repr(case[0]) != "Log()"]
)
def test_written_and_read_back(command: Command):
    assert read_commands(CommandSequence(command).genSCN()) == [command]


def test_a_repr_is_the_script_that_made_it():
    names = {kind.__name__: kind for kind in (Set, Loop, Delay, Wait, Log, Parallel)}
    command = Loop("x", 1, 5, 0.5, Parallel(Set("a", "b"), Delay(3), timeout=4))
    command.append(Wait("c", 3, ">="), [Log("x")])
    assert eval(repr(command), names) == command


def test_numpy_numbers_are_plain_in_xml():
    command = Set("x", np.float64(1.5), tolerance=np.float32(0.5))
    assert b"<value>1.5</value>" in ET.tostring(command.genXML())
    assert repr(Loop("x", np.int64(1), np.float64(2), np.float64(0.5))) == (
        "Loop('x', 1, 2, 0.5)"
    )
    array = ET.tostring(Set("wf", np.array([1.0, 2.0])).genXML()).decode()
    assert '<value>"[1.0, 2.0]"</value>' in array


def test_sequences_are_flattened_but_keep_their_handlers():
    plain = Sequence(Sequence(Comment("1"), [Comment("2")]), Comment("3"))
    assert plain == Sequence([Comment("1"), Comment("2"), Comment("3")])
    guarded = Sequence(Sequence(Comment("1"), errhandler="OnErrorContinue"))
    assert repr(guarded) == (
        "Sequence(Sequence(Comment('1'), errhandler='OnErrorContinue'))"
    )


def test_sequence_format():
    first = Sequence(Comment("Chain1"), Set("run", 1))
    second = Sequence(Comment("Chain2"), Set("foo", 1))
    assert str(CommandSequence(Parallel(first, second))) == (
        "[\n    Parallel(\n        Sequence(\n            Comment('Chain1'),\n"
        "            Set('run', 1)\n        ),\n        Sequence(\n"
        "            Comment('Chain2'),\n            Set('foo', 1)\n        )\n"
        "    )\n]"
    )
    loop = Loop("xpos", 1, 10, 1, Log("xpos"), completion=True)
    assert CommandSequence(Comment("a"), loop).format() == (
        "[\n    Comment('a')\n    Loop('xpos', 1, 10, 1,\n    [\n"
        "        Log('xpos')\n    ], completion=True)\n]"
    )
    assert str(CommandSequence()) == "[]"
    assert If("a", "=", 1, Delay(1)).format(1) == (
        "    If('a', '=', 1,\n    [\n        Delay(1)\n    ], tolerance=0.1)"
    )


def test_command_sequence_is_a_list_that_flattens():
    commands = CommandSequence((Comment("One"), [Comment("Two")]))
    commands.append(Delay(1), [Delay(2)])
    commands += Delay(3)
    commands += [Delay(4), [Delay(5)]]
    assert len(commands) == 7
    assert commands[-1] == Delay(5)
    assert CommandSequence(Comment("One")).genSCN() == (
        b"<commands>\n  <comment>\n    <text>One</text>\n  </comment>\n</commands>"
    )


def test_bodies_are_safe_copies():
    body = [Delay(1)]
    loop = Loop("x", 1, 2, 1, body)
    body.append(Delay(2))
    assert loop.getBody() == [Delay(1)]
    assert loop.getDevice() == "x"


def test_setters():
    command = Set("x", 1)
    command.setReadback("y")
    command.setTolerance(0.5)
    command.setCompletion(True)
    command.setTimeout(9)
    assert command == Set("x", 1, True, "y", tolerance=0.5, timeout=9)
    command.setReadback(None)
    assert command == Set("x", 1, completion=True, timeout=9)
    wait = Wait("x", 1)
    wait.setComparison(">")
    wait.setTolerance(2)
    wait.setTimeout(3)
    assert wait == Wait("x", 1, ">", 2, 3)
    assert (wait.getDevice(), command.getDevice()) == ("x", "x")


def test_own_commands_need_xml_and_repr():
    class Incomplete(Command):
        pass

    class Shutter(Command):
        def genXML(self):  # noqa: N802
            return Set("shutter", 1).genXML()

        def __repr__(self):
            return "Shutter()"

    with pytest.raises(TypeError):
        Incomplete()
    sequence = CommandSequence(Shutter())
    assert read_commands(sequence.genSCN()) == [Set("shutter", 1)]
    assert str(sequence) == "[\n    Shutter()\n]"


def test_what_makes_no_sense_is_refused():
    for make in (
        lambda: If(3, "=", 1),
        lambda: If("x", "increase by", 1),
        lambda: Wait("x", 1, "=="),
        lambda: Delay("soon"),
        lambda: Loop("x", "a", 2, 1),
        lambda: CommandSequence("Delay(1)"),
        lambda: CommandSequence(3),
        lambda: Set("", 1),
    ):
        with pytest.raises(BadValue):
            make()


def test_equality_is_what_a_server_would_do():
    assert Set("x", 1) == Set("x", 1.0) != Set("x", "1")
    assert Set("x", 1, tolerance=3) == Set("x", 1)  # no readback, no tolerance
    assert Wait("x", "10") == Wait("x", 10)
    assert Delay(1) != Comment("1")
    assert Log("a") != Log("a", "b")
    with pytest.raises(TypeError):
        hash(Delay(1))
