"""What a capture of a PandA will write, asked before there is any data.

Names come from the `*_dataset` signals of the captured fields; a field without one is
written as `FIELD.Capture`. A field that captures several things has the given name
for the last of them and `name-min`, `name-max` ... for the others.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beamfly.devices.panda_link import PandaLink
from beamfly.errors import BadValue, BeamflyError
from beamfly.hdf import can_be_named
from beamfly.panda.commands import GetLine, GetMultiline
from beamfly.panda.datasets import DatasetInfo, dataset_infos

NOTHING = (
    "has nothing to capture: set the capture signal of a position, such as "
    "counter[1].out_capture, to 'Value'; no capture was started"
)


@dataclass(frozen=True)
class Dataset:
    """One dataset that a capture will write."""

    name: str
    """In the file."""
    column: str
    """What it holds, such as COUNTER1.OUT.Value."""
    dtype: str
    """Of one row, as numpy writes it."""
    chunk_rows: int
    """Rows in one chunk of the file."""
    units: str = ""
    """Of its values, empty if there are none."""

    def data_key(self, device: str) -> str:
        """Its name in documents, where dots and slashes may not be.

        A name that was chosen is that name; others start with the device's, such as
        panda-COUNTER1-OUT-Value.
        """
        name = self.name if self.name != self.column else f"{device}-{self.name}"
        return re.sub(r"[./]", "-", name.strip("/"))


def dataset_names(
    captured: Iterable[tuple[str, str]], chosen: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Names by field and option, for the fields that have a name chosen."""
    names: dict[str, dict[str, str]] = {}
    for field, text in captured:
        name = chosen.get(field, "")
        *others, last = text.split() or [""]
        if name and last:
            names[field] = {option: f"{name}-{option.lower()}" for option in others}
            names[field][last] = name
    return names


def check_names(infos: Iterable[DatasetInfo]) -> None:
    """BadValue if two columns would go to one dataset, or one cannot be a dataset."""
    owners: dict[str, str] = {}
    for info in infos:
        if not can_be_named(info.name):
            msg = (
                f"{info.column} cannot be written as {info.name!r}: change its "
                "_dataset signal; no capture was started"
            )
            raise BadValue(msg)
        if info.name in owners:
            msg = (
                f"{owners[info.name]} and {info.column} would both be written as "
                f"{info.name!r}: change one of their _dataset signals; no capture was "
                "started"
            )
            raise BadValue(msg)
        owners[info.name] = info.column


def _fixed_units(field: str) -> str:
    """Units of what PCAP itself captures: times are in seconds."""
    block, _, name = field.partition(".")
    return "s" if block == "PCAP" and name.startswith(("TS_", "GATE_")) else ""


async def ask_captured(link: PandaLink) -> list[tuple[str, str]]:
    """Field and options of all that is set to be captured, in the PandA's order."""
    lines = await link.send(GetMultiline("*CAPTURE"))
    return [(field, text) for field, _, text in (line.partition(" ") for line in lines)]


async def ask_datasets(
    link: PandaLink, captured: list[tuple[str, str]], chosen: Mapping[str, str]
) -> list[Dataset]:
    """What a capture as it is set up now will write.

    Raises:
        BadValue: Two of them have the same name, or one has an impossible one.
        PandaDisconnected: The PandA cannot be asked.
    """
    infos = dataset_infos(captured, dataset_names(captured, chosen))
    check_names(infos)
    fields = [field for field, _ in captured]
    answers = await link.send_each(*(GetLine(f"{field}.UNITS") for field in fields))
    units = {
        # what PCAP itself captures has no such attribute
        field: _fixed_units(field) if isinstance(answer, BeamflyError) else answer
        for field, answer in zip(fields, answers, strict=True)
    }
    return [
        Dataset(
            info.name,
            info.column,
            info.dtype.str,
            info.chunk_rows,
            _units(info.column.rpartition(".")[0], units),
        )
        for info in infos
    ]


def _units(field: str, known: Mapping[str, str]) -> str:
    found = known.get(field, _fixed_units(field))
    # what was never set reads back as this
    return "" if found == "(null)" else found
