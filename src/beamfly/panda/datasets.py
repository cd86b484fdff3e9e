"""What a capture writes to a file: names, types and attributes of its datasets.

`dataset_infos` answers before there is data, from what `*CAPTURE?` says;
`file_columns` answers from the header of an acquisition. Both give the same names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beamfly.errors import BadValue
from beamfly.hdf import CHUNK_ROWS, Column, Plot
from beamfly.panda.columns import ColumnPlan
from beamfly.panda.header import GATE_DURATION_FIELD, SAMPLES_FIELD
from beamfly.panda.responses import DTYPES, FieldCapture, StartData

Names = Mapping[str, Mapping[str, str]]
"""Dataset names by field and capture: {"COUNTER1.OUT": {"Min": "x-min"}}."""

OPTIONS = ("Value", "Diff", "Sum", "Min", "Max", "Mean", "StdDev")
"""Words of a CAPTURE setting, in the order in which the server lists them."""
_RAW_TYPES = {"Sum": "int64", "Mean": "int64", "StdDev": "int96"}
_BITS = re.compile(r"\.BITS\d+$")
_TIMESTAMP = re.compile(r"\.TS_\w+$")
_AXES = ("PCAP.TS_TRIG.Value", "PCAP.TS_START.Value", "PCAP.TS_END.Value")
"""Columns that make the best horizontal axis of a plot, best first."""
_NOT_PLOTTED = (GATE_DURATION_FIELD, SAMPLES_FIELD)


@dataclass(frozen=True)
class DatasetInfo:
    """One dataset that a capture will write."""

    name: str
    """In the file."""
    column: str
    """What it holds, `<field>.<capture>`."""
    dtype: np.dtype[Any]
    """Of one row; raw StdDev has rows of three uint32, lowest word first."""
    chunk_rows: int = CHUNK_ROWS
    """Rows in one chunk of the file."""


def dataset_name(field: str, capture: str, names: Names | None = None) -> str:
    """Name of the dataset of one captured value."""
    return (names or {}).get(field, {}).get(capture, f"{field}.{capture}")


def dataset_infos(
    captured: Iterable[tuple[str, str]],
    names: Names | None = None,
    raw: bool = False,
    *,
    scaled_by_server: bool = False,
    chunk_rows: int = CHUNK_ROWS,
) -> list[DatasetInfo]:
    """What a capture of these fields writes, in the order of its samples.

    Two things are written without being asked for, unless the PandA scales: what a
    PandA adds to raw data so that Mean and StdDev can be formed. Those are
    PCAP.GATE_DURATION.Value, and the Mean of every field of which StdDev is captured.

    Args:
        captured: Field and options, as each line of `*CAPTURE?` has them, such as
            ("COUNTER2.OUT", "Min Max Mean"); in the server's order.
        names: Dataset names other than `<field>.<capture>`.
        raw: Whether counts are stored as they are sent.
        scaled_by_server: Whether the PandA is asked to scale.
        chunk_rows: Rows in one chunk of the file.

    Raises:
        BadValue: An option is unknown.
    """
    captured = list(captured)
    pairs = [(field, option) for field, text in captured for option in text.split()]
    for field, option in pairs:
        if option not in OPTIONS:
            raise BadValue(f"{field} cannot be captured as {option!r}; use {OPTIONS}")
    deviating = {field for field, option in pairs if option == "StdDev"}
    averaging = bool(deviating) or any(option == "Mean" for _, option in pairs)
    if not scaled_by_server:
        missing = [(f, "Mean") for f in deviating if (f, "Mean") not in pairs]
        # in front, so that a Mean stays before its StdDev
        pairs = missing + pairs
    order = list(dict.fromkeys(field for field, _ in captured))
    pairs.sort(key=lambda pair: _rank(*pair, pair[0] in deviating, order))
    gate = GATE_DURATION_FIELD.rsplit(".", 1)
    if averaging and not scaled_by_server and (gate[0], gate[1]) not in pairs:
        pairs.insert(0, (gate[0], gate[1]))
    infos: list[DatasetInfo] = []
    for field, option in pairs:
        bits = _BITS.search(field) is not None
        sent = _raw_type(field, option) if raw and not scaled_by_server else "double"
        dtype = DTYPES["uint32" if bits else sent]
        name = dataset_name(field, option, names)
        infos.append(DatasetInfo(name, f"{field}.{option}", dtype, chunk_rows))
    return infos


def _raw_type(field: str, option: str) -> str:
    if option == "Value" and _TIMESTAMP.search(field):
        return "int64"
    return _RAW_TYPES.get(option, "int32")


def _rank(
    field: str, option: str, deviating: bool, order: list[str]
) -> tuple[int, int, int]:
    """Where the server puts a value in a sample: by size, field, option."""
    if _BITS.search(field):
        size = 1
    elif option in ("Mean", "StdDev"):
        size = 5 if deviating else 4
    else:
        size = 3 if _raw_type(field, option) == "int64" else 2
    return size, order.index(field), OPTIONS.index(option)


def file_columns(
    start: StartData, plan: ColumnPlan, names: Names | None = None, raw: bool = False
) -> list[Column]:
    """Columns of a file for the acquisitions that begin with this header.

    Their attributes are `field`, `capture`, and, but for PCAP.BITS, `units`, `scale`,
    `offset` and `scaled`: whether scale and offset are in the values already.
    """
    columns: list[Column] = []
    for field, dtype in zip(start.fields, plan.dtypes, strict=True):
        attrs: dict[str, str | float | bool] = {
            "field": field.name,
            "capture": field.capture,
        }
        if field.scale is not None and field.offset is not None:
            scaled = not raw or start.process != "Raw"
            attrs["units"] = field.units or ""
            attrs["scale"], attrs["offset"] = field.scale, field.offset
            attrs["scaled"] = scaled
        name = dataset_name(field.name, field.capture, names)
        columns.append(Column(name, dtype, attrs))
    return columns


def default_plot(
    fields: Sequence[FieldCapture], columns: Sequence[Column]
) -> Plot | None:
    """Against time if that was captured, else against the row number."""
    named = {f.column_name: c for f, c in zip(fields, columns, strict=True)}
    plain = {name: c for name, c in named.items() if not c.dtype.shape}
    axis = next((plain[name] for name in _AXES if name in plain), None)
    signals = [
        column
        for name, column in plain.items()
        if column is not axis and name not in _NOT_PLOTTED
    ]
    # words of bits make poor curves, but better than none
    signals.sort(key=lambda column: "units" not in column.attrs)
    if not signals:
        return None
    return Plot(signals[0].name, axis.name if axis else None)


def difference(old: StartData, new: StartData) -> str:
    """How the fields of two headers differ, empty if they agree; times do not count."""
    if old.process != new.process:
        return f"{new.process} data instead of {old.process}"
    before = {f.column_name: f for f in old.fields}
    after = {f.column_name: f for f in new.fields}
    parts: list[str] = []
    if gone := [name for name in before if name not in after]:
        parts.append(f"without {', '.join(gone)}")
    if come := [name for name in after if name not in before]:
        parts.append(f"with {', '.join(come)}")
    for name in before:
        if name in after and before[name] != after[name]:
            parts.append(f"{name} is {_text(after[name])}, not {_text(before[name])}")
    if not parts and list(before) != list(after):
        parts.append("in another order")
    return "; ".join(parts)


def _text(field: FieldCapture) -> str:
    scaling = "" if field.scale is None else f" * {field.scale:g} + {field.offset:g}"
    return f"{field.type.name}{scaling} {field.units or ''}".strip()
