"""From frames to columns in units: what `FrameData` holds, as a file stores it.

`ColumnPlan` is made from the header of an acquisition. It makes blocks of memory, one
array per column, and fills them from frames: neighbouring fields of one kind are
converted together, straight into place.

Raw data becomes value = count * scale + offset, float64; Mean is sum * scale / gate
duration + offset; StdDev is formed in integers; PCAP.BITS stay uint32. Data that the
PandA has scaled, and all data if `raw` is asked for, stays as it was sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from beamfly.errors import RemoteProtocolError
from beamfly.panda.header import GATE_DURATION_FIELD, SAMPLES_FIELD, sample_dtype
from beamfly.panda.responses import DTYPES, FieldCapture, StartData
from beamfly.panda.std_dev import std_dev

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Fields:
    """Neighbouring fields of one type, all to be treated alike."""

    fields: Sequence[FieldCapture]
    type: np.dtype[Any]
    offset: int
    """Bytes from the start of a sample to the first."""

    def source(self, frame: Array) -> Array:
        """View of shape (fields, samples) of what a frame holds of them."""
        size = self.type.itemsize
        return np.ndarray(
            (len(self.fields), len(frame)),
            self.type,
            frame,
            self.offset,
            (size, frame.itemsize),
        )

    def scales(self) -> Array:
        """Shape (fields, 1)."""
        return np.array([[f.scale or 0.0] for f in self.fields])

    def offsets(self) -> Array | None:
        """Shape (fields, 1), None where adding them would change no bit."""
        offsets = np.array([[f.offset or 0.0] for f in self.fields])
        # 0 * -1.0 is -0.0, and + 0.0 makes that 0.0
        matters = offsets.any() or (self.scales() < 0).any()
        return offsets if matters else None


class Conversion(Protocol):
    """How some fields become columns."""

    def convert(self, frame: Array, out: Array) -> None:
        """Write columns of a frame, shape (fields, samples), to `out`."""
        ...


class _Copy:
    def __init__(self, fields: _Fields) -> None:
        self._fields = fields

    def convert(self, frame: Array, out: Array) -> None:
        np.copyto(out, self._fields.source(frame))


class _Scale:
    def __init__(self, fields: _Fields) -> None:
        self._fields = fields
        scales = fields.scales()
        self._scales = None if (scales == 1).all() else scales
        self._offsets = fields.offsets()

    def convert(self, frame: Array, out: Array) -> None:
        # cast first, then scale in place: several times faster than doing both at once
        np.copyto(out, self._fields.source(frame), casting="unsafe")
        if self._scales is not None:
            np.multiply(out, self._scales, out=out)
        if self._offsets is not None:
            np.add(out, self._offsets, out=out)


class _Mean:
    def __init__(self, fields: _Fields, gate: _Fields) -> None:
        self._fields, self._gate = fields, gate
        self._scales, self._offsets = fields.scales(), fields.offsets()

    def convert(self, frame: Array, out: Array) -> None:
        gate = self._gate.source(frame)[0].astype(np.float64)
        np.copyto(out, self._fields.source(frame), casting="unsafe")
        np.multiply(out, self._scales, out=out)
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(out, gate, out=out)
        if not gate.all():
            # the gate was never open: there is no mean
            out[:, gate == 0] = np.nan
        if self._offsets is not None:
            np.add(out, self._offsets, out=out)


class _StdDev:
    def __init__(self, fields: _Fields, mean: _Fields, gate: _Fields) -> None:
        self._fields, self._mean, self._gate = fields, mean, gate
        self._scale = fields.scales()

    def convert(self, frame: Array, out: Array) -> None:
        # the subarray dtype adds an axis of three words to the source
        squares = self._fields.source(frame)
        gate = self._gate.source(frame)[0]
        deviation = std_dev(self._mean.source(frame).copy(), squares, gate)
        np.multiply(deviation, self._scale, out=out)


@dataclass
class Block:
    """Memory for some rows of every column."""

    groups: list[Array]
    """One array of shape (columns, rows) per group of columns converted together."""
    columns: list[Array] = field(default_factory=list[Array])
    """One array per column, of `rows` rows."""

    def __post_init__(self) -> None:
        """List the columns."""
        self.columns = [column for group in self.groups for column in group]

    def rows(self, start: int, stop: int) -> list[Array]:
        """Some rows of every column."""
        return [column[start:stop] for column in self.columns]


class ColumnPlan:
    """How samples of one acquisition become columns.

    Args:
        start: Its header.
        raw: Whether to keep what was sent.

    Raises:
        RemoteProtocolError: Sums were sent without what they must be divided by.
    """

    def __init__(self, start: StartData, raw: bool = False) -> None:
        self._fields = start.fields
        self._keep = raw or start.process != "Raw"
        sample_dtype(start.fields)  # refuses what cannot be a sample
        self._at: dict[str, int] = {}
        at = 0
        for capture in start.fields:
            self._at[capture.column_name] = at
            at += capture.type.itemsize
        self._conversions: list[Conversion] = []
        self.dtypes = [self._out_type(f) for f in start.fields]
        """Dtype of each column."""
        self.layout: list[tuple[int, np.dtype[Any]]] = []
        """Columns and dtype of each group in a block."""
        index = 0
        for _, members in groupby(enumerate(start.fields), self._kind):
            fields = [f for _, f in members]
            self._conversions.append(self._conversion(self._neighbours(fields)))
            self.layout.append((len(fields), self.dtypes[index]))
            index += len(fields)

    def _out_type(self, capture: FieldCapture) -> np.dtype[Any]:
        return capture.type if self._keep else capture.raw_mode_dataset_dtype

    def _kind(self, item: tuple[int, FieldCapture]) -> object:
        """Fields are converted together while this stays the same."""
        index, capture = item
        special = capture.capture in ("Mean", "StdDev") and self._scaled(capture)
        # int96 columns have rows of three words: none shares an array with another
        alone = index if capture.type == DTYPES["int96"] else -1
        mean = capture.capture if special else ""
        return capture.type, self._out_type(capture), self._scaled(capture), mean, alone

    def _scaled(self, capture: FieldCapture) -> bool:
        return not self._keep and capture.scale is not None

    def _neighbours(self, fields: Sequence[FieldCapture]) -> _Fields:
        return _Fields(fields, fields[0].type, self._at[fields[0].column_name])

    def _conversion(self, fields: _Fields) -> Conversion:
        first = fields.fields[0]
        if not self._scaled(first):
            return _Copy(fields)
        if first.capture == "Mean":
            return _Mean(fields, self._gate(first))
        if first.type == DTYPES["int96"]:
            mean = self._named(f"{first.name}.Mean")
            if mean is None or mean.type != DTYPES["int64"]:
                msg = f"the PandA sent {first.column_name} without its sum"
                raise RemoteProtocolError(msg)
            return _StdDev(fields, mean, self._gate(first))
        return _Scale(fields)

    def _gate(self, capture: FieldCapture) -> _Fields:
        """By what sums are divided; unsigned, whatever the header calls it."""
        gate = self._named(GATE_DURATION_FIELD) or self._named(SAMPLES_FIELD)
        if gate is None:
            msg = (
                f"the PandA sent sums for {capture.column_name}, but neither "
                f"{GATE_DURATION_FIELD} nor {SAMPLES_FIELD} to divide them by"
            )
            raise RemoteProtocolError(msg)
        return _Fields(gate.fields, DTYPES["uint32"], gate.offset)

    def _named(self, column: str) -> _Fields | None:
        found = [f for f in self._fields if f.column_name == column]
        return self._neighbours(found) if found else None

    def make_block(self, rows: int) -> Block:
        """Memory for so many rows."""
        return Block(
            [
                np.empty((columns, rows, *dtype.shape), dtype.base)
                for columns, dtype in self.layout
            ]
        )

    def convert(self, frame: Array, block: Block, start: int) -> None:
        """Write all samples of a frame to rows of a block.

        Args:
            frame: Structured array, `FrameData.data`.
            block: Made by `make_block` of this plan, or one of the same layout.
            start: First row to write; there must be room for all.
        """
        if not frame.flags.c_contiguous:
            frame = np.ascontiguousarray(frame)
        stop = start + len(frame)
        for conversion, group in zip(self._conversions, block.groups, strict=True):
            conversion.convert(frame, group[:, start:stop])

    def columns(self, frame: Array) -> list[Array]:
        """All samples of a frame as new arrays, one per column."""
        block = self.make_block(len(frame))
        self.convert(frame, block, 0)
        return block.columns
