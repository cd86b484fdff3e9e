"""The blocks behind the fields: settings go to them, values come from them.

`Machine` owns the engine. A write takes effect at the tick that the engine is at; one
that makes an edge gets a tick of its own, so that edges come in the order of writes.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np

from beamfly.errors import BadValue
from beamfly.panda.simulator.block import BitInput, Block
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY, Catalogue
from beamfly.panda.simulator.compare import Pcomp
from beamfly.panda.simulator.counting import Counter, Filter
from beamfly.panda.simulator.encoder import InEnc, OutEnc
from beamfly.panda.simulator.engine import Attempt, Engine
from beamfly.panda.simulator.generator import Pgen
from beamfly.panda.simulator.logic import (
    Calc,
    Div,
    Level,
    Lut,
    Sink,
    SoftBits,
    SrGate,
    TtlOut,
)
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.pcap import Pcap
from beamfly.panda.simulator.pulses import Clock, Pulse
from beamfly.panda.simulator.sequencer import Seq
from beamfly.panda.simulator.traces import Bits

_CLASSES: dict[str, type[Block]] = {
    "TTLIN": Level,
    "LVDSIN": Level,
    "TTLOUT": TtlOut,
    "LVDSOUT": TtlOut,
    "OUTENC": OutEnc,
    "PCAP": Pcap,
    "BITS": SoftBits,
    "CALC": Calc,
    "CLOCK": Clock,
    "COUNTER": Counter,
    "DIV": Div,
    "FILTER": Filter,
    "LUT": Lut,
    "PCOMP": Pcomp,
    "PGEN": Pgen,
    "PULSE": Pulse,
    "SEQ": Seq,
    "SRGATE": SrGate,
}
"""By kind of block; those that are not here do nothing by themselves."""
_AT_ONCE = ("FORCE_SET", "FORCE_RST", "SET", "SETP")
"""Fields that change the state of a block when they are written."""


class Machine:
    """All blocks of a PandA, and its time.

    Args:
        catalogue: What there is.
        origin: The moment of tick 0, in seconds on the clock of `now`.
    """

    def __init__(self, catalogue: Catalogue, origin: float) -> None:
        self.origin = origin
        self.blocks: dict[str, Block] = {}
        """By name."""
        self.values: dict[str, int] = {}
        """Read fields that no block sets, by name."""
        for spec in catalogue.blocks.values():
            for number in range(1, spec.count + 1):
                name = spec.label(number)
                self.blocks[name] = self._block(spec.name, name, catalogue)
                for field in spec.fields.values():
                    self.values[f"{name}.{field.name}"] = field.raw
        self.engine = Engine(self.blocks.values(), catalogue.bits, catalogue.positions)
        self._bits = {name: i for i, name in enumerate(catalogue.bits)}
        self._positions = {name: i for i, name in enumerate(catalogue.positions)}
        self._written: set[str] = set()
        """What was written since the engine last moved."""

    @property
    def frequency(self) -> int:
        """Ticks per second."""
        return CLOCK_FREQUENCY

    def _block(self, kind: str, name: str, catalogue: Catalogue) -> Block:
        """A block of that kind."""
        if kind == "INENC":
            return InEnc(name, self)
        if kind in _CLASSES:
            return _CLASSES[kind](name)
        return _passive(name, kind, catalogue)

    @property
    def pcap(self) -> Pcap:
        """The block that captures."""
        return cast(Pcap, self.blocks["PCAP"])

    def arm(self, words: int) -> None:
        """Begin a capture of rows of so many words."""
        self._take_turns("PCAP")
        self.pcap.arm(words)

    def disarm(self) -> None:
        """End the capture."""
        self._take_turns("PCAP")
        self.pcap.disarm()

    def hold(self, held: bool) -> None:
        """Have PCAP be active whatever happens, or no more."""
        self._take_turns("PCAP")
        self.pcap.hold(held)

    def tick_of(self, now: float) -> int:
        """The tick at a moment."""
        return int((now - self.origin) * CLOCK_FREQUENCY)

    def time_of(self, tick: int) -> float:
        """The moment of a tick."""
        return self.origin + tick / CLOCK_FREQUENCY

    def advance(self, now: float) -> None:
        """Let time pass until `now`."""
        tick = self.tick_of(now)
        if tick > self.engine.tick:
            self.engine.advance(tick)
            self._written.clear()

    def settle(self) -> None:
        """Let what was written take effect before anything else is."""
        if self._written:
            self.engine.advance(self.engine.tick + 1)
            self._written.clear()

    def write(self, name: str, value: int) -> None:
        """A param, mux or action was written."""
        block, field = self._find(name)
        node = self.engine.nodes[block.name]
        if field in node.bits:
            mux = node.bits[field]
            if name in self._written or self.engine.bits[value].level != mux.level:
                self.settle()
            mux.switch(value)
            self.engine.rewire()
        elif field in node.positions:
            node.positions[field].switch(value)
            self.engine.rewire()
        else:
            if field in _AT_ONCE or isinstance(block, Level | SoftBits):
                self.settle()
            block.write(field, value, self.engine.tick)
        self._written.add(name)
        block.touched = True

    def set_input(self, name: str, level: bool) -> None:
        """Set the level of a TTL or LVDS input, such as TTLIN1.VAL."""
        self.write(name, int(level))

    def schedule_input(
        self, name: str, times: Sequence[float], levels: Sequence[bool]
    ) -> None:
        """Have a TTL or LVDS input take levels at times to come, in order.

        What was scheduled before and has not happened is forgotten.
        """
        block = self.blocks.get(name.partition(".")[0])
        if not isinstance(block, Level):
            msg = f"{name} is no input that can be set; nothing was scheduled"
            raise BadValue(msg)
        ticks = np.array([self.tick_of(time) for time in times], np.int64)
        block.plan(ticks, np.array(levels, np.int64))

    def attach_motor(self, name: str, motor: SimulatedMotor | None) -> bool:
        """Put an INENC on a motor, or on none; whether there is one of that name."""
        block = self.blocks.get(name)
        if not isinstance(block, InEnc):
            return False
        self._take_turns(name)
        block.attach(motor)
        return True

    def _take_turns(self, name: str) -> None:
        """Two writes to one field are two ticks, so that both are seen."""
        if name in self._written:
            self.settle()
        self._written.add(name)

    def write_delay(self, name: str, ticks: int) -> None:
        """The delay of a bit mux was written."""
        block, field = self._find(name)
        mux: BitInput = self.engine.nodes[block.name].bits[field]
        mux.delay = ticks
        mux.redirect()
        block.touched = True

    def write_table(
        self, name: str, words: Sequence[int], *, more: bool, stream: bool
    ) -> None:
        """A table was written."""
        self.settle()
        block, _ = self._find(name)
        if isinstance(block, Seq | Pgen):
            block.write_table(words, more=more, stream=stream)
            self._written.add(name)

    def append_table(self, name: str, words: Sequence[int], *, more: bool) -> None:
        """A further table was queued."""
        self.settle()
        block, _ = self._find(name)
        if isinstance(block, Seq | Pgen):
            block.append_table(words, more=more)

    def queued_lines(self, name: str) -> int:
        """Rows of queued tables that were not begun yet."""
        block, _ = self._find(name)
        return block.queued_lines() if isinstance(block, Seq | Pgen) else 0

    def read(self, name: str) -> int:
        """Value of a read field, a bit or a position."""
        self.settle()
        if name in self._bits:
            return self.engine.bits[self._bits[name]].level
        if name in self._positions:
            position = self.engine.positions[self._positions[name]]
            return position.count_at(self.engine.tick)
        block, field = self._find(name)
        if field in block.read_fields:
            return block.read(field)
        return self.values[name]

    def level(self, name: str) -> int | None:
        """Level of a bit or of a bit input; None if there is none of that name."""
        self.settle()
        if name in self._bits:
            return self.engine.bits[self._bits[name]].level
        node = self.engine.nodes.get(name.partition(".")[0])
        mux = node.bits.get(name.partition(".")[2]) if node else None
        return None if mux is None else mux.level

    def edges(self, name: str, attempt: Attempt) -> Bits | None:
        """What a bit or a bit input did in a span; None if nothing."""
        if name in self._bits:
            return attempt.bits[self._bits[name]]
        block, _, field = name.partition(".")
        inputs = attempt.inputs.get(block)
        return inputs.bits.get(field) if inputs else None

    def count_changes(self, name: str) -> int:
        """How often a bit or a position changed so far."""
        self.settle()
        if name in self._bits:
            return self.engine.bit_changes[self._bits[name]]
        return self.engine.position_changes[self._positions[name]]

    def _find(self, name: str) -> tuple[Block, str]:
        """The block, and the rest of a name."""
        block, _, field = name.partition(".")
        return self.blocks[block], field


def _passive(name: str, kind: str, catalogue: Catalogue) -> Sink:
    """A block that does nothing, with all the connections that it has."""
    fields = catalogue.blocks[kind].fields.values()
    block = Sink(name)
    block.bit_inputs = tuple(f.name for f in fields if f.type == "bit_mux")
    block.position_inputs = tuple(f.name for f in fields if f.type == "pos_mux")
    block.bit_outputs = tuple(f.name for f in fields if f.type == "bit_out")
    block.position_outputs = tuple(f.name for f in fields if f.type == "pos_out")
    return block
