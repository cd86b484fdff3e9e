"""One block on the bench: inputs by tick, and what its outputs make of them."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Span
from beamfly.panda.simulator.traces import Bits, Positions

Changes = list[tuple[int, int]]


def play(
    block: Block,
    inputs: dict[str, Changes],
    stop: int,
    *,
    writes: dict[int, dict[str, int] | Callable[[], object]] | None = None,
    cuts: Iterable[int] = (),
) -> dict[str, Changes]:
    """Changes of all outputs, and of all read fields where a span ends.

    Args:
        block: The block.
        inputs: For each input, what it goes to at which tick; all begin at 0.
        stop: Where to end.
        writes: Settings by the tick at which they are written, or what to do then.
        cuts: Where to end a span and begin another, besides the writes.
    """
    writes = writes or {}
    bounds = sorted({0, stop, *writes, *(c for c in cuts if 0 < c < stop)})
    seen: dict[str, Changes] = {}
    for start, end in pairwise(bounds):
        written = writes.get(start, {})
        if callable(written):
            written()
        else:
            for field, value in written.items():
                block.write(field, value, start)
        span = Span(start, end)
        while span.start < span.stop:
            outcome = block.evaluate(_inputs(block, inputs, span))
            if outcome.stop < span.stop:
                span = Span(span.start, outcome.stop)
                outcome = block.evaluate(_inputs(block, inputs, span))
            block.state = outcome.state
            _note(block, outcome, seen, span)
            span = Span(span.stop, end)
    return seen


def _inputs(block: Block, inputs: dict[str, Changes], span: Span) -> Inputs:
    bits = {name: _bit(inputs.get(name, []), span) for name in block.bit_inputs}
    positions = {
        name: _position(inputs.get(name, []), span) for name in block.position_inputs
    }
    return Inputs(span, bits, positions)


def _bit(changes: Changes, span: Span) -> Bits:
    level, edges = 0, []
    before = 0
    for tick, value in changes:
        if tick < span.start:
            before = value
        elif tick < span.stop and value != level:
            edges.append(tick)
        level = value if tick < span.stop else level
    edges = [t for t in edges if t >= span.start]
    return Bits(before, np.array(edges, np.int64))


def _position(changes: Changes, span: Span) -> Positions:
    begin = [(-1, 0), *changes]
    kept = [c for c in begin if c[0] < span.stop]
    first = max(i for i, c in enumerate(kept) if c[0] <= span.start)
    ticks = np.array([c[0] for c in kept[first:]], np.int64)
    return Positions(ticks, np.array([c[1] for c in kept[first:]], np.float64))


def _note(block: Block, outcome, seen: dict[str, Changes], span: Span) -> None:
    for name, bit in outcome.bits.items():
        changes = seen.setdefault(name, [])
        level = bit.level
        assert level == (changes[-1][1] if changes else 0), f"{name} broke"
        for tick in bit.edge_list:
            assert span.start <= tick < span.stop
            level = 1 - level
            changes.append((tick, level))
    for name, position in outcome.positions.items():
        changes = seen.setdefault(name, [])
        for tick in [max(t, span.start) for t in position.ticks.tolist()]:
            value = position.count_at(tick)
            if value != (changes[-1][1] if changes else 0):
                changes.append((tick, value))
    for name in block.read_fields:
        changes = seen.setdefault(name, [])
        value = block.read(name)
        if value != (changes[-1][1] if changes else 0):
            changes.append((span.stop - 1, value))


def steps(text: str) -> dict[str, Changes]:
    """Inputs, or outputs, from lines such as `OUT 3:1 7:0`."""
    result: dict[str, Changes] = {}
    for line in text.strip().splitlines():
        name, *changes = line.split()
        pairs = [change.split(":") for change in changes]
        result[name] = [(int(tick), int(value)) for tick, value in pairs]
    return result
