"""What there is in the simulated PandA is what there was in a recorded one."""

import json
from pathlib import Path
from typing import Any

import pytest

from beamfly.panda.simulator.bus_fields import CAPTURE_LABELS
from beamfly.panda.simulator.catalogue import load
from beamfly.panda.simulator.core import PandaCore
from beamfly.panda.simulator.scaled_fields import TimeField

RECORDED = Path(__file__).parents[2] / "golden" / "panda" / "hdfpanda_signals.txt"
CORE = PandaCore()


def recorded() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Block, field, attribute and metadata of every signal of a field."""
    result = []
    for line in RECORDED.read_text().splitlines():
        name, _, rest = line.partition(" ")
        block, *number, field = name.upper().split(".")
        if block in ("DATA", "VERSIONS") or field in ("LABEL", "ARM"):
            continue
        found, attribute = field.removesuffix("_"), ""
        fields = load().blocks[block].fields
        while found not in fields:
            found, _, last = found.rpartition("_")
            assert found, f"{block} has no {field}"
            attribute = last
        label = block + "".join(number) * (load().blocks[block].count > 1)
        metadata = json.loads(rest[rest.index("{") :])
        result.append((label, found, attribute, metadata))
    return result


@pytest.mark.parametrize(
    ("block", "name", "attribute", "metadata"),
    recorded(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_field(block: str, name: str, attribute: str, metadata: dict[str, Any]):
    field = CORE.settings.by_name[f"{block}.{name}"]
    if attribute == "DATASET" or (
        attribute == "CAPTURE" and field.spec.type == "bit_out"
    ):
        return  # not of the PandA
    assert not attribute or attribute in field.attributes
    choices = metadata.get("choices")
    if choices:
        labels = list(field.labels())
        if attribute:
            source = field.attributes[attribute].labels
            assert source is not None
            labels = list(source(field))
        if choices[-1].startswith(".."):
            assert len(labels) == int(choices[-1][2:])
            choices = choices[:-1]
        assert labels[: len(choices)] == choices
    limits = metadata.get("limits", {}).get("display", {})
    if "high" in limits and not attribute:
        assert field.spec.max == limits["high"] % 2**32
    elif metadata.get("units") == "s" and not attribute:
        assert isinstance(field, TimeField)


def test_every_field_was_recorded():
    names = {
        f"{block.label(1)}.{field}"
        for block in load().blocks.values()
        for field in block.fields
    }
    assert names == {f"{block}.{name}" for block, name, _, _ in recorded()}


def test_the_buses_are_complete():
    known = load()
    assert len(known.bits) == 105
    assert len(known.positions) == 26
    assert len(known.captures) == 34
    assert known.bits[32] == "PCAP.ACTIVE"
    assert sum(block.count for block in known.blocks.values()) == 73
    assert CAPTURE_LABELS[0] == "No"
