"""The order in which blocks are evaluated, and where circles of them are cut.

In a circle something has to be late by a tick. What is least likely to be noticed, and
changes most rarely, is cut first: that PCAP is active, then that another block is, then
what enables a block, then any other bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from beamfly.panda.simulator.block import BitInput, Block, PositionInput


@dataclass
class Node:
    """A block and its connections."""

    block: Block
    bits: dict[str, BitInput]
    positions: dict[str, PositionInput]
    bit_outputs: dict[str, int]
    """Fields to places on the bit bus."""
    position_outputs: dict[str, int]
    """Fields to places on the position bus."""
    followed: list[BitInput] = field(default_factory=list[BitInput])
    """Those of its bit inputs that follow a bit, not ZERO or ONE."""


@dataclass
class Edge:
    """A connection from one block to another, or to itself."""

    source: str
    target: str
    mux: BitInput | PositionInput
    rank: int
    """The lower, the sooner it is cut."""


def ordered(nodes: dict[str, Node]) -> list[Node]:
    """Blocks after those that they depend on; connections in circles made late."""
    edges = list(_edges(nodes))
    for node in nodes.values():
        node.followed.clear()
    for edge in edges:
        edge.mux.late = False
        if isinstance(edge.mux, BitInput):
            nodes[edge.target].followed.append(edge.mux)
    while True:
        order, circle = _sorted(nodes, [edge for edge in edges if not edge.mux.late])
        if not circle:
            return [nodes[name] for name in order]
        cut = min(
            (
                edge
                for edge in edges
                if edge.source in circle and edge.target in circle and not edge.mux.late
            ),
            key=lambda edge: edge.rank,
        )
        cut.mux.late = True


def _edges(nodes: dict[str, Node]) -> Iterator[Edge]:
    """All connections between blocks."""
    bits = {
        place: (name, output)
        for name, node in nodes.items()
        for output, place in node.bit_outputs.items()
    }
    positions = {
        place: name
        for name, node in nodes.items()
        for place in node.position_outputs.values()
    }
    for target, node in nodes.items():
        for name, mux in node.bits.items():
            if mux.index in bits:
                source, output = bits[mux.index]
                yield Edge(source, target, mux, _rank(source, output, name))
        for mux in node.positions.values():
            if mux.index in positions:
                yield Edge(positions[mux.index], target, mux, 4)


def _rank(source: str, output: str, target_field: str) -> int:
    """How soon a connection of bits is cut."""
    if output == "ACTIVE":
        return 0 if source == "PCAP" else 1
    return 2 if target_field == "ENABLE" else 3


def _sorted(nodes: dict[str, Node], edges: list[Edge]) -> tuple[list[str], set[str]]:
    """Names in order, and those of a circle if there is one."""
    needs: dict[str, set[str]] = {name: set() for name in nodes}
    for edge in edges:
        needs[edge.target].add(edge.source)
    order: list[str] = []
    waiting = dict(needs)
    while waiting:
        ready = [
            name for name, sources in waiting.items() if not sources & set(waiting)
        ]
        if not ready:
            return [], _circle(waiting)
        order += ready
        for name in ready:
            del waiting[name]
    return order, set()


def _circle(waiting: dict[str, set[str]]) -> set[str]:
    """The names in some circle of those that wait for each other."""
    path: list[str] = [next(iter(waiting))]
    while True:
        source = next(name for name in sorted(waiting[path[-1]]) if name in waiting)
        if source in path:
            return set(path[path.index(source) :])
        path.append(source)
