"""Blocks one by one, as their documentation describes them."""

from collections.abc import Callable

import pytest
from block_bench import play, steps

from beamfly.panda.simulator.block import Block
from beamfly.panda.simulator.compare import Pcomp
from beamfly.panda.simulator.counting import Counter, Filter
from beamfly.panda.simulator.generator import Pgen
from beamfly.panda.simulator.logic import Calc, Div, Lut, SrGate
from beamfly.panda.simulator.lut import evaluate
from beamfly.panda.simulator.pulses import Clock, Pulse
from beamfly.panda.simulator.sequencer import Seq

CASES: dict[str, tuple[Callable[[str], Block], dict[str, int], str, str]] = {
    "CLOCK runs while enabled, half of the time high": (
        Clock,
        {"PERIOD": 8},
        "ENABLE 3:1 22:0",
        "OUT 3:1 7:0 11:1 15:0 19:1 22:0",
    ),
    "CLOCK with a width": (
        Clock,
        {"PERIOD": 10, "WIDTH": 3},
        "ENABLE 5:1",
        "OUT 5:1 8:0 15:1 18:0 25:1 28:0 35:1 38:0",
    ),
    "CLOCK is never longer high than its period": (
        Clock,
        {"PERIOD": 4, "WIDTH": 6},
        "ENABLE 2:1",
        "OUT 2:1 8:0 9:1 15:0 16:1 22:0 23:1 29:0 30:1 36:0 37:1",
    ),
    "PULSE stretches": (
        Pulse,
        {"WIDTH": 6},
        "ENABLE 1:1\nTRIG 5:1 7:0",
        "OUT 5:1 11:0",
    ),
    "PULSE delays and keeps the width": (
        Pulse,
        {"DELAY": 10},
        "ENABLE 1:1\nTRIG 5:1 8:0",
        "OUT 15:1 18:0",
    ),
    "PULSE delays and stretches a train": (
        Pulse,
        {"DELAY": 10, "WIDTH": 5},
        "ENABLE 1:1\nTRIG 4:1 6:0 11:1 12:0",
        "OUT 14:1 19:0 21:1 26:0",
    ),
    "PULSE makes several of one, on falling edges": (
        Pulse,
        {"WIDTH": 3, "PULSES": 3, "STEP": 7, "TRIG_EDGE": 1},
        "ENABLE 1:1\nTRIG 3:1 6:0",
        "OUT 6:1 9:0 13:1 16:0 20:1 23:0",
    ),
    "PULSE drops edges that come too soon": (
        Pulse,
        {"WIDTH": 5},
        "ENABLE 1:1\nTRIG 3:1 4:0 6:1 7:0 9:1 10:0",
        "OUT 3:1 8:0 9:1 14:0\nDROPPED 6:1",
    ),
    "PULSE goes low when it is disabled": (
        Pulse,
        {"WIDTH": 4, "DELAY": 6, "PULSES": 5, "STEP": 6},
        "ENABLE 1:1 19:0\nTRIG 2:1",
        "OUT 8:1 12:0 14:1 18:0\nQUEUED 2:1 19:0",
    ),
    "PULSE without width and delay copies while enabled": (
        Pulse,
        {},
        "ENABLE 4:1 14:0\nTRIG 2:1 6:0 8:1 10:0 12:1",
        "OUT 8:1 10:0 12:1 14:0",
    ),
    "COUNTER counts while enabled": (
        Counter,
        {},
        "ENABLE 3:1 12:0\nTRIG 2:1 3:0 5:1 6:0 8:1 9:0 12:1 13:0",
        "OUT 5:1 8:2",
    ),
    "COUNTER starts, steps and turns": (
        Counter,
        {"START": 6, "STEP": 4},
        "ENABLE 2:1\nTRIG 4:1 5:0 7:1 8:0 10:1 11:0\nDIR 9:1",
        "OUT 2:6 4:10 7:14 10:10",
    ),
    "COUNTER rolls over between limits": (
        Counter,
        {"START": 5, "STEP": 4, "MAX": 10, "MIN": -10},
        "ENABLE 2:1\nTRIG 4:1 5:0 7:1 9:0 11:1 12:0",
        "OUT 2:5 4:9 7:-8 11:-4\nCARRY 7:1 9:0",
    ),
    "COUNTER rolls over at 32 bits, downwards": (
        Counter,
        {"START": -(2**31) + 1},
        "ENABLE 2:1\nTRIG 4:1 5:0 7:1 9:0\nDIR 1:1",
        f"OUT 2:{-(2**31) + 1} 4:{-(2**31)} 7:{2**31 - 1}\nCARRY 7:1 9:0",
    ),
    "COUNTER on both edges, carry ends with ENABLE": (
        Counter,
        {"START": 9, "MAX": 10, "MIN": 1, "TRIG_EDGE": 2},
        "ENABLE 2:1 7:0\nTRIG 4:1 6:0",
        "OUT 2:9 4:10 6:1\nCARRY 6:1 7:0",
    ),
    "COUNTER shows its count when it is disabled": (
        Counter,
        {"OUT_MODE": 1, "START": 8, "MAX": 9, "MIN": 0},
        "ENABLE 2:1 12:0\nTRIG 4:1 5:0 7:1 8:0 9:1 10:0",
        "OUT 12:1\nCARRY 12:1",
    ),
    "DIV sends the last of three to OUTD": (
        Div,
        {"DIVISOR": 3},
        "ENABLE 2:1\nINP 4:1 5:0 7:1 9:0 12:1 13:0 15:1 16:0",
        "OUTN 4:1 5:0 7:1 9:0 15:1 16:0\nOUTD 12:1 13:0\nCOUNT 4:1 7:2 12:0 15:1",
    ),
    "DIV sends the first of three to OUTD": (
        Div,
        {"DIVISOR": 3, "FIRST_PULSE": 1},
        "ENABLE 2:1 18:0\nINP 4:1 5:0 7:1 9:0 12:1 13:0 15:1",
        "OUTD 4:1 5:0 15:1 18:0\nOUTN 7:1 9:0 12:1 13:0\n"
        "COUNT 0:2 4:0 7:1 12:2 15:0 18:2",
    ),
    "SRGATE sets and resets, reset first": (
        SrGate,
        {},
        "ENABLE 2:1\nSET 3:1 4:0 10:1 11:0 15:1\nRST 6:1 7:0 10:1 11:0",
        "OUT 3:1 6:0 15:1",
    ),
    "SRGATE on falling and either edges": (
        SrGate,
        {"SET_EDGE": 1, "RST_EDGE": 2},
        "ENABLE 2:1\nSET 3:1 5:0 9:1 11:0\nRST 7:1 13:0",
        "OUT 5:1 7:0 11:1 13:0",
    ),
    "SRGATE high while disabled": (
        SrGate,
        {"WHEN_DISABLED": 1},
        "ENABLE 4:1 9:0\nRST 6:1",
        "OUT 0:1 6:0 9:1",
    ),
    "SRGATE keeps its output while disabled": (
        SrGate,
        {"WHEN_DISABLED": 2},
        "ENABLE 2:1 6:0\nSET 4:1\nRST 8:1",
        "OUT 4:1",
    ),
    "LUT of levels": (
        Lut,
        {"FUNC": evaluate("A&~B")},
        "INPA 3:1 9:0\nINPB 5:1 7:0",
        "OUT 3:1 5:0 7:1 9:0",
    ),
    "LUT of edges": (
        Lut,
        {"FUNC": evaluate("A"), "TYPEA": 3},
        "INPA 3:1 6:0 7:1",
        "OUT 3:1 4:0 6:1 8:0",
    ),
    "CALC adds, subtracts and shifts": (
        Calc,
        {"TYPEB": 1, "SHIFT": 1},
        "INPA 2:11\nINPB 4:4\nINPC 6:1",
        "OUT 2:5 4:3 6:4",
    ),
    "FILTER gives differences": (
        Filter,
        {},
        "ENABLE 3:1\nTRIG 10:1 11:0 16:1 17:0\nINP 1:5 6:7 12:9 16:4",
        "OUT 10:2 16:-3\nREADY 10:1 11:0 16:1 17:0",
    ),
    "FILTER gives means": (
        Filter,
        {"MODE": 1},
        "ENABLE 4:1\nTRIG 14:1 15:0\nINP 1:20 5:40 10:20",
        "OUT 14:30\nREADY 14:1 15:0",
    ),
    "PCOMP in positive direction": (
        Pcomp,
        {"START": 4, "STEP": 3, "WIDTH": 2, "PULSES": 2},
        "ENABLE 3:1\nINP 2:2 7:3 9:4 11:5 13:6 15:7 18:8 21:9 24:10",
        "ACTIVE 3:1 21:0\nOUT 9:1 13:0 15:1 21:0\nPRODUCED 9:1 15:2\n"
        "STATE 3:2 4:3 9:4 13:3 15:4 21:0",
    ),
    "PCOMP in negative direction": (
        Pcomp,
        {"START": 2, "STEP": 3, "WIDTH": 2, "PULSES": 2, "DIR": 1},
        "ENABLE 3:1\nINP 1:3 7:2 9:1 11:0 13:-1 15:-2 18:-3 21:-4",
        "ACTIVE 3:1 18:0\nOUT 7:1 11:0 13:1 18:0",
    ),
    "PCOMP waits until it was before START": (
        Pcomp,
        {"START": 4, "WIDTH": 1, "PULSES": 1, "PRE_START": 2},
        "ENABLE 3:1\nINP 1:5 5:3 7:4 9:1 11:4 13:5",
        "ACTIVE 3:1 13:0\nOUT 11:1 13:0",
    ),
    "PCOMP guesses a relative direction": (
        Pcomp,
        {
            "START": 3,
            "STEP": 4,
            "WIDTH": 2,
            "PULSES": 2,
            "RELATIVE": 1,
            "DIR": 2,
        },
        "ENABLE 5:1\nINP 2:1 5:2 7:3 9:0 11:-1 13:-2 15:-3 21:-5 25:-7",
        "ACTIVE 5:1 25:0\nOUT 11:1 15:0 21:1 25:0",
    ),
    "PCOMP at once where it is": (
        Pcomp,
        {"STEP": 4, "WIDTH": 2, "PULSES": 2, "RELATIVE": 1},
        "ENABLE 5:1\nINP 1:1 5:2 6:4 7:6 8:8",
        "ACTIVE 5:1 8:0\nOUT 5:1 6:0 7:1 8:0",
    ),
    "PCOMP stops if positions are jumped over": (
        Pcomp,
        {"START": 4, "STEP": 5, "WIDTH": 2},
        "ENABLE 3:1\nINP 2:1 12:5 16:7 20:8 24:11",
        "ACTIVE 3:1 24:0\nOUT 12:1 16:0\nHEALTH 24:1",
    ),
    "PCOMP cannot guess without a distance": (
        Pcomp,
        {"STEP": 4, "WIDTH": 2, "RELATIVE": 1, "DIR": 2},
        "ENABLE 5:1\nINP 1:1",
        "ACTIVE 5:1 6:0\nHEALTH 6:2",
    ),
    "PCOMP as a Schmitt trigger": (
        Pcomp,
        {"START": 4, "WIDTH": -2, "PULSES": 2},
        "ENABLE 3:1\nINP 1:2 7:3 9:4 11:3 13:2 18:4 22:6 31:2",
        "ACTIVE 3:1 31:0\nOUT 9:1 13:0 18:1 31:0",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("cut", ["whole", "tick by tick", "every third tick"])
def test_block(name: str, cut: str):
    make, settings, given, expected = CASES[name]
    cuts = {"whole": 0, "tick by tick": 1, "every third tick": 3}[cut]
    seen = play(
        make("BLOCK1"),
        steps(given),
        40,
        writes={0: settings},
        cuts=range(0, 40, cuts) if cuts else (),
    )
    for output, changes in steps(expected).items():
        reads = output in make("BLOCK1").read_fields
        if cuts != 1 and reads:
            assert (seen[output] or [(0, 0)])[-1][1] == changes[-1][1]
        else:
            assert seen[output] == changes, output


def line(repeats=1, trigger=0, position=0, time1=0, out1="", time2=0, out2=""):
    """Words of one line of a sequencer table."""
    word = repeats | trigger << 16
    for outputs, shift in ((out1, 20), (out2, 26)):
        word |= sum(1 << (shift + "ABCDEF".index(letter)) for letter in outputs)
    return [word, position % 2**32, time1, time2]


SEQUENCES = {
    "pulses of equal distance": (
        {"REPEATS": 1},
        line(3, time1=5, out1="A", time2=5),
        "ENABLE 4:1",
        "ACTIVE 4:1 34:0\nOUTA 4:1 9:0 14:1 19:0 24:1 29:0",
        "LINE_REPEAT 4:1 14:2 24:3\nTABLE_LINE 4:1\nSTATE 0:1 4:3 9:4 14:3 19:4 24:3 "
        "29:4 34:1",
    ),
    "two lines, the table twice": (
        {"REPEATS": 2},
        line(2, time1=3, out1="A", time2=2, out2="B") + line(time2=4, out2="C"),
        "ENABLE 2:1",
        "ACTIVE 2:1 30:0\nOUTA 2:1 5:0 7:1 10:0 16:1 19:0 21:1 24:0\n"
        "OUTB 5:1 7:0 10:1 12:0 19:1 21:0 24:1 26:0\nOUTC 12:1 16:0 26:1 30:0",
        "TABLE_REPEAT 2:1 16:2\nTABLE_LINE 2:1 12:2 16:1 26:2",
    ),
    "waits for a bit at each repeat": (
        {"REPEATS": 1},
        line(3, trigger=2, time1=2, out1="A", time2=1) + line(trigger=4, time2=3),
        "ENABLE 3:1\nBITA 6:1 7:0 15:1\nBITB 21:1",
        "ACTIVE 3:1 24:0\nOUTA 6:1 8:0 15:1 17:0 18:1 20:0",
        "STATE 0:1 3:2 6:3 8:4 9:2 15:3 17:4 18:3 20:4 24:1",
    ),
    "waits for positions": (
        {"REPEATS": 1},
        line(trigger=7, position=20, time2=4, out2="B")
        + line(2, time1=1, out1="AB", time2=3, out2="B")
        + line(2, trigger=8, position=-9, time1=1, out1="A", time2=3),
        "ENABLE 2:1\nPOSA 3:19 6:20 20:-8 24:-9",
        "OUTA 10:1 11:0 14:1 15:0 24:1 25:0 28:1 29:0\nOUTB 6:1 24:0\nACTIVE 2:1 32:0",
        "",
    ),
    "prescale": (
        {"REPEATS": 1, "PRESCALE": 4},
        line(2, time1=1, out1="A", time2=2),
        "ENABLE 2:1",
        "ACTIVE 2:1 26:0\nOUTA 2:1 6:0 14:1 18:0",
        "",
    ),
    "a line for ever, until disabled": (
        {"REPEATS": 1},
        line(0, time1=5, out1="A", time2=5),
        "ENABLE 2:1 25:0 30:1",
        "ACTIVE 2:1 25:0 30:1\nOUTA 2:1 7:0 12:1 17:0 22:1 25:0 30:1 35:0",
        "LINE_REPEAT 2:1 12:2 22:3 25:0 30:1",
    ),
    "a time of 0 is one tick": (
        {"REPEATS": 1},
        line(out1="A", time1=1) + line(out2="B"),
        "ENABLE 2:1",
        "ACTIVE 2:1 5:0\nOUTA 2:1 3:0\nOUTB 4:1 5:0",
        "",
    ),
    "the table for ever": (
        {},
        line(time2=3, out2="A") + line(2, time2=2),
        "ENABLE 2:1 20:0",
        "ACTIVE 2:1 20:0\nOUTA 2:1 5:0 9:1 12:0 16:1 19:0",
        "TABLE_REPEAT 2:1 9:2 16:3 20:0",
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("cut", [0, 1, 4])
def test_sequence(name: str, cut: int):
    settings, words, given, expected, reads = SEQUENCES[name]
    seq = Seq("SEQ1")
    seq.write_table(words, more=False, stream=False)
    cuts = range(0, 40, cut) if cut else ()
    seen = play(seq, steps(given), 40, writes={0: settings}, cuts=cuts)
    for output, changes in steps(expected).items():
        assert seen[output] == changes, output
    if cut == 1:
        for field, changes in steps(reads).items():
            assert seen[field] == changes, field


def test_a_stream_of_tables_is_used_up():
    seq = Seq("SEQ1")
    seq.write_table(line(time2=4, out2="A") + line(time2=4), more=True, stream=True)
    seq.append_table(line(time2=4, out2="B") * 3, more=True)
    assert seq.queued_lines() == 5

    def append():
        assert seq.queued_lines() == 2
        seq.append_table(line(time2=4, out2="C"), more=False)
        assert seq.queued_lines() == 3

    writes = {0: {"REPEATS": 1}, 12: append}
    seen = play(seq, steps("ENABLE 2:1"), 40, writes=writes)
    assert seen["OUTA"] == [(2, 1), (6, 0)]
    assert seen["OUTB"] == [(10, 1), (22, 0)]
    assert seen["OUTC"] == [(22, 1), (26, 0)]
    assert seen["ACTIVE"] == [(2, 1), (26, 0)]
    assert seq.queued_lines() == 0
    assert seq.read("STATE") == 0
    assert seq.read("HEALTH") == 0


def test_a_stream_that_dries_up_is_an_underrun():
    seq = Seq("SEQ1")
    seq.write_table(line(time2=4, out2="A"), more=True, stream=True)
    seen = play(seq, steps("ENABLE 2:1"), 20, writes={0: {"REPEATS": 1}})
    assert seen["OUTA"] == [(2, 1), (6, 0)]
    assert seen["ACTIVE"] == [(2, 1), (6, 0)]
    assert seq.read("HEALTH") == 1
    assert seq.read("STATE") == 0


def test_writing_a_table_that_runs_stops_it():
    seq = Seq("SEQ1")
    seq.write_table(line(0, time1=5, out1="A", time2=5), more=False, stream=False)
    play(seq, steps("ENABLE 2:1"), 4)
    seq.write_table(line(time2=9), more=False, stream=False)
    assert (seq.read("HEALTH"), seq.read("STATE"), seq.state.active) == (2, 1, 0)


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_pgen_goes_through_its_table(cut: int):
    pgen = Pgen("PGEN1")
    pgen.write_table([10, 2**32 - 5, 7], more=False, stream=False)
    given = "ENABLE 2:1 30:0\nTRIG 1:1 2:0 4:1 5:0 7:1 8:0 10:1 11:0 13:1 14:0 16:1"
    given += " 17:0 19:1 20:0 22:1"
    cuts = range(0, 40, cut) if cut else ()
    seen = play(pgen, steps(given), 40, writes={0: {"REPEATS": 2}}, cuts=cuts)
    assert seen["OUT"] == [(4, 10), (7, -5), (10, 7), (13, 10), (16, -5), (19, 7)]
    assert seen["ACTIVE"] == [(2, 1), (19, 0)]
    assert pgen.read("STATE") == 1


def test_counter_is_set_and_gate_is_forced():
    counter = Counter("COUNTER1")
    given = steps("ENABLE 1:1\nTRIG 3:1 4:0 9:1")
    seen = play(counter, given, 12, writes={6: {"SET": 50}})
    assert seen["OUT"] == [(3, 1), (6, 50), (9, 51)]
    gate = SrGate("SRGATE1")
    given = steps("ENABLE 1:1\nRST 5:1")
    writes = {5: {"FORCE_SET": 1}, 8: {"FORCE_RST": 1}}
    seen = play(gate, given, 12, writes=writes)
    assert seen["OUT"] == [(5, 1), (8, 0)]
