"""What a simulation says, as recorded, and how deviations from it look."""

import re

import pytest
from scan_recording import GOLDEN, recorded
from scan_rig import Rig

from beamfly.scan.call import HttpReply
from beamfly.scan.config import ScanConfig, read_config
from beamfly.scan.rest import Simulate

EVERYTHING = """<commands><comment><text>Hello $(DemoDevice)</text></comment>
<set><device>motor_x</device><value>5</value></set>
<set><device>motor_y</device><value>5</value><completion>true</completion>
<readback>motor_y</readback><tolerance>0.2</tolerance><timeout>10</timeout></set>
<set><device>stext</device><value>"abc"</value><wait>false</wait></set>
<set><device>xpos</device><value>6</value></set>
<loop><device>motor_x</device><start>1</start><end>2</end><step>0.5</step><body>
<delay><seconds>3</seconds></delay>
<log><devices><device>motor_x</device></devices></log></body></loop>
<wait><device>neutrons</device><value>70</value>
<comparison>INCREASE_BY</comparison></wait>
<wait><device>stext</device><value>"x"</value></wait>
<wait><device>count</device><value>3</value><comparison>AT_LEAST</comparison>
<timeout>5</timeout></wait>
<parallel><timeout>9</timeout><body><delay><seconds>2</seconds></delay>
<parallel><body><delay><seconds>4</seconds></delay></body></parallel></body></parallel>
<sequence><body><comment><text>in seq</text></comment></body></sequence>
<if><device>count</device><comparison>EQUALS</comparison><value>7</value>
<body><comment><text>in if</text></comment></body></if>
<include><scan_file>inc.scn</scan_file><macros>M=motor_x</macros></include>
<script><path>MyScanScript</path><arguments><argument>Fred</argument></arguments>
</script><config_log><automatic>true</automatic></config_log>
<set><device>nosuch:pv</device><value>1</value></set></commands>"""
DEVIATIONS = {
    # the macro of an included file is replaced here as everywhere else
    "Set '$(M)' = 5.0 [was 2.0]": "Set 'motor_x' = 5.0 [was 2.0]",
}


class AnyScript:
    devices: tuple[str, ...] = ()


class AnyScripts:
    def load(self, name: str, arguments: list[str]) -> AnyScript:
        return AnyScript()


def simulated(rig: Rig, commands: str) -> dict:
    return Simulate(b"").answer(rig.request("POST", "/simulate", commands))


def rig() -> Rig:
    config = read_config((GOLDEN / "scan_config.xml").read_bytes())
    paths = [*config.paths, str(GOLDEN)]
    return Rig(ScanConfig(**{**vars(config), "paths": paths}), scripts=AnyScripts())


def test_everything():
    _, _, status, body = recorded("t8")[0]
    expected = Simulate(b"").answer(HttpReply(status, body))
    ours = simulated(rig(), EVERYTHING)
    text = expected["simulation"]
    for theirs, mine in DEVIATIONS.items():
        assert theirs in text
        text = text.replace(theirs, mine)
    assert ours["simulation"] == text
    assert ours["seconds"] == pytest.approx(expected["seconds"])


@pytest.mark.parametrize(
    ("commands", "index"),
    [
        ("<commands/>", 1),
        ("<commands><delay><seconds>4000.5</seconds></delay></commands>", 2),
    ],
)
def test_documents_to_the_letter(commands: str, index: int):
    reply = rig().request("POST", "/simulate", commands)
    assert reply.body.strip() == recorded("t8")[index][3]


def test_a_missing_pv_is_waited_for_as_long_as_a_read():
    one = Rig(ScanConfig(read_timeout=5.0))
    start = one.now
    text = simulated(
        one, "<commands><set><device>no</device><value>1</value></set></commands>"
    )
    assert "ERROR: Cannot access no (Disconnected)" in text["simulation"]
    assert one.now - start == pytest.approx(5, abs=0.1)


def test_limits():
    config = read_config(
        "<scan_config><pv><name>motor_x</name><minimum>motor_y</minimum>"
        "<maximum>count</maximum><slew_rate>2</slew_rate></pv></scan_config>"
    )
    commands = (
        "<commands><set><device>motor_x</device><value>{}</value></set>"
        "<delay><seconds>1</seconds></delay></commands>"
    )
    assert "ERROR" not in simulated(Rig(config), commands.format(6))["simulation"]
    text = simulated(Rig(config), commands.format(8))["simulation"]
    assert "ERROR: motor_x = 8.0 is outside of 0.0 ... 7.0" in text
    assert "Delay" not in text


def test_cdata_cannot_be_left():
    commands = "<commands><comment><text>a ]]&gt; &lt;b&gt;</text></comment></commands>"
    assert "a ]]> <b>" in simulated(Rig(), commands)["simulation"]


def test_endless_loops_are_cut_short():
    text = simulated(
        Rig(),
        "<commands><loop><device>loc://x(0)</device><start>0</start>"
        "<end>30000</end><wait>false</wait></loop></commands>",
    )["simulation"]
    assert len(text.splitlines()) < 20_010
    assert re.search(r"^\.\.\.$", text, re.M)
