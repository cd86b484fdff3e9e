"""However time is cut into spans the same happens, and rows are as they should be."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.panda.simulator.catalogue import load
from beamfly.panda.simulator.layout import Layout
from beamfly.panda.simulator.machine import Machine
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.sampler import Sampler
from beamfly.panda.simulator.settings import Settings
from beamfly.panda.simulator.traces import NEVER

CATALOGUE = load()
END = 600
TICK = 8e-9


class Recorded:
    """A machine whose captured rows are kept."""

    def __init__(self, captures: dict[str, str]) -> None:
        self.machine = Machine(CATALOGUE, 0.0)
        self.settings = Settings(CATALOGUE, self.machine)
        for name, text in captures.items():
            field = self.settings.by_name[name]
            field.attributes["CAPTURE"].write(field, text)
        self.layout = Layout.of(self.settings)
        self.sampler = Sampler(self.layout, CATALOGUE.positions, 0)
        self.rows = np.empty((0, self.layout.words), np.uint32)
        self.reason = None
        self.machine.engine.watchers.append(self._happened)

    def arm(self) -> None:
        self.machine.pcap.arm(self.layout.words)

    def _happened(self, attempt) -> None:
        outcome = attempt.outcomes.get("PCAP")
        if outcome is None:
            return
        if outcome.state.capture.begin < NEVER and self.reason is None:
            rows = self.sampler.rows(
                outcome.state.capture, attempt.bits, attempt.positions
            )
            self.rows = np.concatenate((self.rows, rows))
        self.reason = self.reason or outcome.state.reason

    def write(self, name: str, text: str) -> None:
        self.settings.by_name[name].write(text)

    def state(self) -> dict[str, int]:
        """Everything that can be read."""
        return {
            field.name: self.machine.read(field.name)
            for field in self.settings.fields.values()
            if field.spec.type in ("bit_out", "pos_out", "read")
        }


BITS = [
    "TTLIN1.VAL",
    "TTLIN2.VAL",
    "BITS.OUTA",
    "CLOCK1.OUT",
    "CLOCK2.OUT",
    "COUNTER1.CARRY",
    "DIV1.OUTD",
    "DIV1.OUTN",
    "LUT1.OUT",
    "LUT2.OUT",
    "PCAP.ACTIVE",
    "PCOMP1.ACTIVE",
    "PCOMP1.OUT",
    "PGEN1.ACTIVE",
    "PULSE1.OUT",
    "PULSE2.OUT",
    "SEQ1.ACTIVE",
    "SEQ1.OUTA",
    "SEQ1.OUTB",
    "SEQ2.OUTA",
    "SRGATE1.OUT",
    "FILTER1.READY",
    "ONE",
]
POSITIONS = ["INENC1.VAL", "COUNTER1.OUT", "COUNTER2.OUT", "CALC1.OUT", "PGEN1.OUT"]
MUXES = [
    mux.name
    for mux in Settings(CATALOGUE, Machine(CATALOGUE, 0.0)).fields.values()
    if mux.spec.type in ("bit_mux", "pos_mux")
    and mux.name.split(".")[0]
    in (
        "SEQ1",
        "SEQ2",
        "PULSE1",
        "PULSE2",
        "PCAP",
        "COUNTER1",
        "COUNTER2",
        "DIV1",
        "LUT1",
        "LUT2",
        "SRGATE1",
        "PCOMP1",
        "PGEN1",
        "FILTER1",
        "CALC1",
        "CLOCK1",
        "CLOCK2",
    )
]
PARAMS = {
    "CLOCK1.PERIOD.RAW": (5, 60),
    "CLOCK2.PERIOD.RAW": (2, 40),
    "PULSE1.DELAY.RAW": (0, 30),
    "PULSE1.WIDTH.RAW": (0, 20),
    "PULSE2.WIDTH.RAW": (1, 9),
    "PULSE2.PULSES": (0, 3),
    "PULSE2.STEP.RAW": (0, 15),
    "COUNTER1.STEP": (0, 3),
    "COUNTER1.MAX": (0, 9),
    "DIV1.DIVISOR": (1, 4),
    "SEQ1.REPEATS": (0, 2),
    "PCOMP1.WIDTH": (1, 3),
    "PCOMP1.STEP": (4, 6),
    "PCOMP1.PULSES": (0, 3),
    "PGEN1.REPEATS": (0, 2),
    "CALC1.SHIFT": (0, 2),
}
LUTS = ["A", "~A", "A&B", "A^B", "A|~B"]


@st.composite
def lines(draw: st.DrawFn) -> list[int]:
    """Words of a line of a sequencer table."""
    word = draw(st.integers(0, 3)) | draw(st.integers(0, 12)) << 16
    word |= draw(st.integers(0, 4095)) << 20
    return [
        word,
        draw(st.integers(0, 12)),
        draw(st.integers(0, 6)),
        draw(st.integers(0, 9)),
    ]


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, object]:
    """Something that is done to a PandA."""
    kind = draw(st.sampled_from("mmmmmmpplltti"))
    if kind == "m":
        name = draw(st.sampled_from(MUXES))
        position = CATALOGUE.blocks[name.split(".")[0].rstrip("0123456789")]
        spec = position.fields[name.split(".")[1]]
        choices = POSITIONS if spec.type == "pos_mux" else BITS
        return name, draw(st.sampled_from(choices))
    if kind == "p":
        name = draw(st.sampled_from(sorted(PARAMS)))
        return name, str(draw(st.integers(*PARAMS[name])))
    if kind == "l":
        return draw(st.sampled_from(["LUT1.FUNC", "LUT2.FUNC"])), draw(
            st.sampled_from(LUTS)
        )
    if kind == "t":
        name = draw(st.sampled_from(["SEQ1.TABLE", "SEQ2.TABLE"]))
        table = draw(st.lists(lines(), min_size=1, max_size=3))
        return name, [word for line in table for word in line]
    return draw(st.sampled_from(["TTLIN1.VAL", "TTLIN2.VAL"])), draw(st.booleans())


def apply(recorded: Recorded, name: str, value: object) -> None:
    """Do something to a PandA."""
    if isinstance(value, bool):
        recorded.machine.set_input(name, value)
    elif isinstance(value, list):
        recorded.settings.by_name[name].write_words(list(value), False, False)
    elif name.endswith(".RAW"):
        field = recorded.settings.by_name[name.removesuffix(".RAW")]
        field.attributes["RAW"].write(field, value)
    else:
        recorded.write(name, value)


def run(script: list[tuple[int, str, object]], cuts: list[int]) -> Recorded:
    """A PandA to which all that was done, looked at between times."""
    recorded = Recorded(
        {
            "INENC1.VAL": "Value Diff Min Max",
            "COUNTER1.OUT": "Value Diff Sum Min Max StdDev",
            "PCAP.TS_START": "Value",
            "PCAP.TS_END": "Value",
            "PCAP.TS_TRIG": "Value",
            "PCAP.BITS1": "Value",
        }
    )
    motor = SimulatedMotor(counts_per_unit=1.0, acceleration=1e15)
    recorded.machine.blocks["INENC1"].attach(motor)
    motor.follow([300 * TICK, 400 * TICK, 500 * TICK], [11, 4.5, 9], now=20 * TICK)
    recorded.machine.write("INENC1.SETP", 1)
    for name in ("SEQ1.TABLE", "PGEN1.TABLE"):
        words = [1 | 1 << 20, 0, 3, 4] if name[0] == "S" else [3, 9, 1]
        apply(recorded, name, words)
    engine = recorded.machine.engine
    armed = False
    for tick, name, value in [*script, (END, "", None)]:
        for cut in [c for c in cuts if engine.tick < c < tick]:
            engine.advance(cut)
        engine.advance(tick)
        if tick >= 40 and not armed:
            armed = True
            recorded.arm()
            recorded.machine.pcap.touched = True
        if name:
            apply(recorded, name, value)
    return recorded


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, END - 1), writes()), max_size=25),
    st.lists(st.integers(1, END - 1), max_size=20),
    st.booleans(),
)
def test_spans_do_not_matter(script, cuts, every_tick: bool):
    script = sorted(
        ((tick * 3 + i, *write) for i, (tick, write) in enumerate(script)),
        key=lambda item: item[0],
    )
    script = [item for item in script if item[0] < END]
    whole = run(script, [])
    cut = run(script, list(range(1, END)) if every_tick else sorted(set(cuts)))
    assert cut.state() == whole.state()
    assert cut.reason == whole.reason
    np.testing.assert_array_equal(cut.rows, whole.rows)


def brute_force(levels, counts, captures, armed: int):
    """Rows, tick by tick, as PCAP is described.

    Args:
        levels: enable, gate and trig by tick.
        counts: Positions by tick.
        captures: Function of the lists of gated counts to a row.
        armed: Tick at which PCAP is armed.
    """
    rows, started = [], None
    row: dict[str, list] = {}

    def clear() -> None:
        row.update(ticks=[], counts=[], diff=0)

    clear()
    previous = (0, 0, 0)
    for tick, (enable, gate, trig) in enumerate(levels):
        if tick < armed:
            previous = (enable, gate, trig)
            continue
        if started is None and enable:
            started = tick
        elif started is not None and not enable:
            break
        if started is not None:
            if tick > started and previous[1]:
                row["diff"] += counts[tick] - counts[tick - 1]
            if trig and not previous[2]:
                rows.append(captures(row, tick, started, counts[tick]))
                clear()
            if gate:
                row["ticks"].append(tick)
                row["counts"].append(counts[tick])
        previous = (enable, gate, trig)
    return rows


def row_of(row, tick: int, started: int, value: int) -> list[int]:
    ticks, counts = row["ticks"], row["counts"]
    return [
        len(ticks),
        value,
        row["diff"],
        min(counts, default=2**31 - 1),
        max(counts, default=-(2**31)),
        ticks[0] - started if ticks else -1,
        ticks[-1] + 1 - started if ticks else -1,
        tick - started,
        sum(counts),
        sum(counts),
        sum(c * c for c in counts),
    ]


toggles = st.lists(st.integers(1, 150), max_size=30, unique=True).map(sorted)
LINES = ["TTLIN1.VAL", "TTLIN2.VAL", "TTLIN3.VAL", "TTLIN4.VAL"]
"""Enable, gate, trigger, and what a counter counts."""
GRID = 17
"""Triggers lie on a grid of so many ticks: rows of 16 words can be taken."""
KEYS = [
    ("PCAP.GATE_DURATION", "Value"),
    ("COUNTER1.OUT", "Value"),
    ("COUNTER1.OUT", "Diff"),
    ("COUNTER1.OUT", "Min"),
    ("COUNTER1.OUT", "Max"),
    ("PCAP.TS_START", "Value"),
    ("PCAP.TS_END", "Value"),
    ("PCAP.TS_TRIG", "Value"),
    ("COUNTER1.OUT", "Sum"),
    ("COUNTER1.OUT", "Mean"),
    ("COUNTER1.OUT", "StdDev"),
]
"""What `row_of` gives, in its order."""


def per_tick(events: dict[int, list[str]], end: int):
    """Levels of enable, gate and trigger by tick, and what the counter shows."""
    levels, counts, now, count = [], [], dict.fromkeys(LINES, 0), -20
    for tick in range(end):
        for name in events.get(tick, ()):
            now[name] = 1 - now[name]
            count += 7 * (name == LINES[3] and now[name])
        levels.append(tuple(now[name] for name in LINES[:3]))
        counts.append(count)
    return levels, counts


def recorded_counter() -> Recorded:
    """A PandA that captures a counter in all ways, at tick 2."""
    recorded = Recorded(
        {
            "COUNTER1.OUT": "Value Diff Sum Min Max StdDev",
            "PCAP.GATE_DURATION": "Value",
            "PCAP.TS_START": "Value",
            "PCAP.TS_END": "Value",
            "PCAP.TS_TRIG": "Value",
        }
    )
    for mux, name in zip(("ENABLE", "GATE", "TRIG"), LINES, strict=False):
        recorded.write(f"PCAP.{mux}", name)
    recorded.write("COUNTER1.TRIG", LINES[3])
    recorded.write("COUNTER1.STEP", "7")
    recorded.write("COUNTER1.START", "-20")
    recorded.write("COUNTER1.ENABLE", "ONE")
    recorded.machine.engine.advance(2)
    return recorded


def play(recorded: Recorded, events: dict[int, list[str]], armed: int, cuts: set[int]):
    """Have all that happen."""
    engine = recorded.machine.engine
    for tick in sorted({armed, *events, *cuts}):
        engine.advance(tick)
        if tick == armed:
            recorded.arm()
        for name in events.get(tick, ()):
            block = recorded.machine.blocks[name[:6]]
            block.write("VAL", 1 - block["VAL"], tick)
            block.touched = True


def numbers(recorded: Recorded, row: list[int]) -> list[int]:
    """The unsigned numbers in a row, in the order of KEYS."""
    result = []
    for key in KEYS:
        (column,) = [c for c in recorded.layout.columns if (c.name, c.capture) == key]
        words = row[column.place : column.place + column.words]
        result.append(sum(word << (32 * i) for i, word in enumerate(words)))
    return result


@settings(deadline=None, max_examples=60)
@given(
    gate=toggles,
    trig=toggles,
    counting=toggles,
    enabled=st.tuples(st.integers(1, 40), st.integers(80, 160)),
    armed=st.integers(1, 60),
    cuts=toggles,
)
def test_rows_are_what_happened_between_triggers(
    gate, trig, counting, enabled, armed, cuts
):
    events: dict[int, list[str]] = {}
    offsets = (1, 3, 0, 5)
    for name, offset, edges in zip(
        LINES, offsets, (enabled, gate, trig, counting), strict=True
    ):
        for edge in edges:
            events.setdefault(edge * GRID + offset, []).append(name)
    end = 170 * GRID
    levels, counts = per_tick(events, end)
    recorded = recorded_counter()
    play(recorded, events, armed * GRID, {end, *(cut * GRID + 2 for cut in cuts)})
    expected = brute_force(levels, counts, row_of, armed * GRID)
    widths = [32, 32, 32, 32, 32, 64, 64, 64, 64, 64, 96]
    assert [numbers(recorded, row) for row in recorded.rows.tolist()] == [
        [value % 2**width for value, width in zip(row, widths, strict=True)]
        for row in expected
    ]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 3000), min_size=2, max_size=12, unique=True).map(sorted),
    st.lists(st.floats(-40, 40), min_size=12, max_size=12),
    toggles,
)
def test_a_moving_encoder_is_seen_where_the_motor_is(times, places, trig):
    recorded = Recorded({"INENC1.VAL": "Value Diff Min Max Sum"})
    motor = SimulatedMotor(places[0], counts_per_unit=1.0)
    recorded.machine.blocks["INENC1"].attach(motor)
    seconds = [t * TICK for t in times]
    motor.follow(seconds, places[: len(times)], now=0.0)
    recorded.write("PCAP.ENABLE", "ONE")
    recorded.write("PCAP.GATE", "ONE")
    recorded.write("PCAP.TRIG", "TTLIN1.VAL")
    recorded.write("PCAP.TRIG_EDGE", "Either")
    recorded.machine.settle()
    recorded.arm()
    trig = [20 * t for t in trig]
    engine, level = recorded.machine.engine, 0
    armed = engine.tick
    for tick in trig:
        engine.advance(tick)
        level = 1 - level
        recorded.machine.blocks["TTLIN1"].write("VAL", level, tick)
        recorded.machine.blocks["TTLIN1"].touched = True
    engine.advance(3100)
    exact = np.array([motor.counts(t * TICK) for t in range(3101)])
    counts = np.floor(exact + 0.5).astype(int)
    for row, (begin, end) in zip(
        recorded.rows.view("i4").tolist(), pairwise([armed, *trig]), strict=True
    ):
        value, diff, least, most = row[:4]
        assert abs(value - exact[end]) < 0.501
        assert abs(diff - (counts[end] - counts[begin])) <= 1
        assert abs(least - exact[begin:end].min()) < 0.501
        assert abs(most - exact[begin:end].max()) < 0.501
        total = (row[4] % 2**32) + (row[5] << 32)
        assert abs(total - exact[begin:end].sum()) <= 1 + 0.5 * len(times)
