"""Ask a PandA what it is made of: one command, answered in four writes.

`Introspect` is sent like any other command and returns a `PandaTree`: blocks, their
instances, the signals of each. `panda` turns it into devices.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from beamfly.devices.panda_fields import (
    ARM,
    VERSIONS,
    SignalSpec,
    attribute_name,
    field_signals,
    label_signal,
)
from beamfly.panda.commands import (
    Command,
    Exchange,
    ExchangeGenerator,
    FieldInfo,
    GetBlockInfo,
    GetFieldInfo,
    Identify,
    interleave,
)
from beamfly.panda.responses import BlockInfo, Identification


@dataclass(frozen=True)
class BlockNode:
    """All instances of one kind of block."""

    name: str
    """Kind of block, such as COUNTER."""
    instances: Mapping[int, tuple[SignalSpec, ...]]
    """Signals by the number of the instance, from 1."""

    @property
    def attribute(self) -> str:
        """What it is called on the device."""
        return attribute_name(self.name)


@dataclass(frozen=True)
class PandaTree:
    """What a PandA is made of."""

    identification: Identification
    """Versions of its software."""
    blocks: Mapping[str, BlockNode]
    """Blocks by their attribute name, in alphabetical order."""


@dataclass
class Introspect(Command[PandaTree]):
    """Ask for all blocks, fields and what they offer."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[PandaTree]:
        """Lists first, then all fields of all blocks side by side."""
        keys = Exchange("*METADATA.*?")
        identification, blocks, _ = yield from interleave(
            (
                Identify().execute(version),
                GetBlockInfo(skip_description=True).execute(version),
                _one(keys),
            )
        )
        fields = yield from interleave(
            GetFieldInfo(name).execute(version) for name in blocks
        )
        labels = set(keys.multiline)
        nodes = [
            _block_node(name, info, block_fields, labels)
            for (name, info), block_fields in zip(blocks.items(), fields, strict=True)
        ]
        return PandaTree(identification, {node.attribute: node for node in nodes})


def _one(exchange: Exchange) -> ExchangeGenerator[None]:
    yield exchange


def _block_node(
    name: str, info: BlockInfo, fields: dict[str, FieldInfo], labels: set[str]
) -> BlockNode:
    instances: dict[int, tuple[SignalSpec, ...]] = {}
    for index in range(1, info.number + 1):
        number = str(index) if info.number > 1 else ""
        specs = [
            spec
            for field, field_info in fields.items()
            for spec in field_signals(name, number, field, field_info)
        ]
        if name == "PCAP":
            specs.append(ARM)
        # even of a single block the key has a number
        key = f"LABEL_{name}{index}"
        if key in labels:
            specs.append(label_signal(key))
        instances[index] = tuple(specs)
    return BlockNode(name, instances)


VERSIONS_NODE = BlockNode("versions", {1: VERSIONS})
"""Not a block of the PandA, but a child of the device like one."""
