"""Time: all blocks evaluated span by span, each after those that it depends on.

`Engine.advance` goes as far as it is told. It tries a span; if a block says that it can
see only part of it, or if a circle of blocks turns out to feed something back, it tries
again with a span that ends there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from beamfly.panda.simulator.block import (
    BitInput,
    Block,
    Inputs,
    Outcome,
    PositionInput,
    Span,
)
from beamfly.panda.simulator.traces import HIGH, LOW, NEVER, Bits, Positions
from beamfly.panda.simulator.wiring import Node, ordered

LONGEST = 12_500_000
"""Ticks of the longest span that is tried: 0.1 s."""


@dataclass
class Attempt:
    """A span that was tried."""

    span: Span
    bits: list[Bits]
    """All of the bit bus."""
    positions: list[Positions]
    """All of the position bus."""
    inputs: dict[str, Inputs] = field(default_factory=dict[str, Inputs])
    """Inputs of the blocks that were evaluated, by name of the block."""
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    """What the blocks made of them."""
    valid: int = NEVER
    """Tick up to which it is right."""


class Engine:
    """The blocks of a PandA and the time they are at.

    Args:
        blocks: All blocks.
        bits: Names on the bit bus.
        positions: Names on the position bus.
    """

    def __init__(
        self, blocks: Iterable[Block], bits: tuple[str, ...], positions: tuple[str, ...]
    ) -> None:
        self.tick = 0
        """The first tick that has not happened."""
        self.bits: list[Bits] = [LOW] * len(bits) + [LOW, HIGH]
        """Levels of all bits, then ZERO and ONE, as if they never changed again."""
        steady = Positions.steady(-NEVER, 0.0)
        self.positions = [steady] * (len(positions) + 1)
        """All positions, then ZERO, as they would go on."""
        self.bit_changes = [0] * len(bits)
        """How often each bit was seen to change."""
        self.position_changes = [0] * len(positions)
        """How often each position was seen to change."""
        self.watchers: list[Callable[[Attempt], None]] = []
        """Called with every span that has happened."""
        places = {name: i for i, name in enumerate(bits)}
        stands = {name: i for i, name in enumerate(positions)}
        self.nodes = {
            block.name: Node(
                block,
                {f: BitInput(len(bits)) for f in block.bit_inputs},
                {f: PositionInput(len(positions)) for f in block.position_inputs},
                {f: places[f"{block.name}.{f}"] for f in block.bit_outputs},
                {f: stands[f"{block.name}.{f}"] for f in block.position_outputs},
            )
            for block in blocks
        }
        self._order: list[Node] = []
        self._late: list[BitInput | PositionInput] = []
        self._step = LONGEST

    def rewire(self) -> None:
        """Connections have changed."""
        self._order = []

    def advance(self, stop: int) -> None:
        """Let time pass until `stop`."""
        while self.tick < stop:
            end = min(stop, self.tick + self._step) if self.busy() else stop
            attempt = self._attempt(end)
            if attempt.valid >= end:
                self._step = min(LONGEST, 2 * self._step)
            while attempt.valid < attempt.span.stop:
                self._step = max(1, attempt.valid - self.tick)
                attempt = self._attempt(self.tick + self._step)
            self._accept(attempt)

    def busy(self) -> bool:
        """Whether any block will do something by itself."""
        return any(node.block.due() < NEVER for node in self.nodes.values())

    def _attempt(self, stop: int) -> Attempt:
        """Try the span from now until `stop`."""
        if not self._order:
            self._order = ordered(self.nodes)
            muxes = [
                mux
                for node in self._order
                for mux in (*node.bits.values(), *node.positions.values())
            ]
            self._late = [mux for mux in muxes if mux.late]
        attempt = Attempt(
            Span(self.tick, stop), self.bits.copy(), self.positions.copy()
        )
        for node in self._order:
            if self._has_news(node, attempt):
                self._evaluate(node, attempt)
        for mux in self._late:
            attempt.valid = min(attempt.valid, self._surprise(mux, attempt))
        return attempt

    def _has_news(self, node: Node, attempt: Attempt) -> bool:
        """Whether anything can happen in a block."""
        if node.block.touched or node.block.due() < attempt.span.stop:
            return True
        for mux in node.followed:
            if len(mux.pending):
                return True
            if not mux.late and len(attempt.bits[mux.index].edges):
                return True
        return any(
            mux.known is not shown or shown.moves
            for mux in node.positions.values()
            for shown in (self._source(mux, attempt),)
        )

    def _source(self, mux: PositionInput, attempt: Attempt) -> Positions:
        """What a position mux follows; of a late source only how it would go on."""
        return (self if mux.late else attempt).positions[mux.index]

    def _evaluate(self, node: Node, attempt: Attempt) -> None:
        """Find out what one block does."""
        bits = {
            name: mux.during(attempt.span, attempt.bits[mux.index])
            for name, mux in node.bits.items()
        }
        positions = {
            name: self._source(mux, attempt).later(mux.late)
            for name, mux in node.positions.items()
        }
        inputs = Inputs(attempt.span, bits, positions)
        outcome = node.block.evaluate(inputs)
        attempt.inputs[node.block.name] = inputs
        attempt.outcomes[node.block.name] = outcome
        attempt.valid = min(attempt.valid, outcome.stop)
        for name, bit in outcome.bits.items():
            attempt.bits[node.bit_outputs[name]] = bit
        for name, position in outcome.positions.items():
            attempt.positions[node.position_outputs[name]] = position

    def _surprise(self, mux: BitInput | PositionInput, attempt: Attempt) -> int:
        """First tick at which a late source, now known, makes a difference."""
        if isinstance(mux, BitInput):
            return mux.surprise(attempt.bits[mux.index])
        source = attempt.positions[mux.index]
        return source.first_deviation(self.positions[mux.index]) + 1

    def _accept(self, attempt: Attempt) -> None:
        """Make an attempt history."""
        span, before = attempt.span, self.positions.copy()
        for node in self._order:
            for mux in node.followed:
                source = attempt.bits[mux.index]
                if len(mux.pending) or len(source.edges):
                    mux.pending = mux.after(span, source)
        for name, outcome in attempt.outcomes.items():
            node, inputs = self.nodes[name], attempt.inputs[name]
            for field_name, mux in node.bits.items():
                mux.level = inputs.bits[field_name].final
                mux.moved = False
            node.block.state = outcome.state
            node.block.touched = False
            self._remember(node, outcome, attempt)
        for name in attempt.outcomes:
            for mux in self.nodes[name].positions.values():
                mux.known = (before if mux.late else self.positions)[mux.index]
        self.tick = span.stop
        for watcher in self.watchers:
            watcher(attempt)

    def _remember(self, node: Node, outcome: Outcome, attempt: Attempt) -> None:
        """Keep how bits and positions ended, and count those that changed."""
        for name in outcome.bits:
            place = node.bit_outputs[name]
            bit = attempt.bits[place]
            if len(bit.edges):
                self.bits[place] = HIGH if bit.final else LOW
                self.bit_changes[place] += 1
        for name in outcome.positions:
            place = node.position_outputs[name]
            position = attempt.positions[place]
            if not position.same_as(self.positions[place]):
                self.positions[place] = position.tail()
                self.position_changes[place] += 1
