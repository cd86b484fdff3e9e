"""From frames to columns in units: what `FrameData` holds, as a file stores it.

`ColumnPlan` is made from the header of an acquisition. It makes blocks of memory, one
array per column, and fills them from frames: neighbouring fields of one kind are
converted together, straight into place.

Raw data becomes value = count * scale + offset, float64; Mean is sum * scale / gate
duration + offset; StdDev is formed in integers; PCAP.BITS stay uint32. Data that the
PandA has scaled, and all data if `raw` is asked for, stays as it was sent.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.errors import RemoteProtocolError
from beamfly.panda.header import GATE_DURATION_FIELD, SAMPLES_FIELD, sample_dtype
from beamfly.panda.responses import DTYPES, FieldCapture, StartData
from beamfly.panda.std_dev import std_dev

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Fields:
    """Neighbouring fields of one type in a sample, and where they go."""

    type: np.dtype[Any]
    """Of one of them, as it is sent."""
    offset: int
    """Bytes from the start of a sample to the first."""
    count: int
    """How many."""
    array: int
    """Index of the block's array that takes them."""
    first: int
    """Index of the first of them in that array."""

    def source(self, frame: Array, type_: np.dtype[Any] | None = None) -> Array:
        """View of shape (fields, samples) of what a frame holds of them."""
        return np.ndarray(
            (self.count, len(frame)),
            type_ or self.type,
            frame,
            self.offset,
            (self.type.itemsize, frame.itemsize),
        )

    @property
    def rows(self) -> slice:
        """Where they are in their array."""
        return slice(self.first, self.first + self.count)


@dataclass
class Block:
    """Memory for some rows of every column."""

    arrays: list[Array]
    """One of shape (columns, rows) per dtype of columns."""
    columns: list[Array]
    """One array per column, views of those."""

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
        sample_dtype(start.fields)  # refuses what cannot be a sample
        self._keep = raw or start.process != "Raw"
        self._captures = start.fields
        self.dtypes = [self._out_type(f) for f in start.fields]
        """Dtype of each column."""
        self.layout: list[tuple[np.dtype[Any], int]] = []
        """Dtype of each array of a block, and how many columns it has."""
        self._places: list[tuple[int, int]] = []
        self._plain: list[_Fields] = []
        """Fields to be copied, cast to float64 if they are scaled."""
        self._means: list[_Fields] = []
        self._deviations: list[tuple[_Fields, _Fields]] = []
        self._lay_out()
        scaled = [f for f in start.fields if self._scaled(f)]
        self._scales = np.array([[f.scale or 0.0] for f in scaled])
        # a deviation is scaled, but does not move
        moved = [f.offset or 0.0 if f.capture != "StdDev" else 0.0 for f in scaled]
        self._offsets = np.array(moved).reshape(-1, 1)
        # 0 * -1.0 is -0.0, and + 0.0 makes that 0.0
        self._add = bool(self._offsets.any() or (self._scales < 0).any())
        self._multiply = bool((self._scales != 1).any())
        sums = [f for f in scaled if f.capture in ("Mean", "StdDev")]
        self._gate = self._find_gate(sums[0]) if sums else None

    def _out_type(self, capture: FieldCapture) -> np.dtype[Any]:
        return capture.type if self._keep else capture.raw_mode_dataset_dtype

    def _scaled(self, capture: FieldCapture) -> bool:
        return not self._keep and capture.scale is not None

    def _kind(self, item: tuple[int, FieldCapture]) -> object:
        """Fields are converted together while this stays the same."""
        index, capture = item
        scaled = self._scaled(capture)
        special = scaled and capture.capture in ("Mean", "StdDev")
        # rows of three words are converted one by one
        alone = index if capture.type == DTYPES["int96"] else -1
        return capture.type, scaled, special, alone

    def _lay_out(self) -> None:
        """Find neighbours, and a place for each column; scaled ones share array 0."""
        arrays: dict[tuple[bool, np.dtype[Any]], int] = {}
        if any(map(self._scaled, self._captures)):
            arrays[True, np.dtype(np.float64)] = 0
        counts = [0] * len(arrays)
        offset = 0
        for _, members in groupby(enumerate(self._captures), self._kind):
            group = list(members)
            index, first = group[0]
            scaled, dtype = self._scaled(first), self.dtypes[index]
            array = arrays.setdefault((scaled, dtype), len(arrays))
            if array == len(counts):
                counts.append(0)
            fields = _Fields(first.type, offset, len(group), array, counts[array])
            self._places += [(array, counts[array] + n) for n in range(len(group))]
            counts[array] += len(group)
            offset += len(group) * first.type.itemsize
            self._sort(first, fields)
        dtypes = [dtype for _, dtype in arrays]
        self.layout = list(zip(dtypes, counts, strict=True))

    def _sort(self, first: FieldCapture, fields: _Fields) -> None:
        """Note what has to be done with neighbours."""
        if not self._scaled(first) or first.type != DTYPES["int96"]:
            self._plain.append(fields)
            if self._scaled(first) and first.capture == "Mean":
                self._means.append(fields)
            return
        total = self._find(f"{first.name}.Mean")
        if total is None or total.type != DTYPES["int64"]:
            msg = f"the PandA sent {first.column_name} without its sum"
            raise RemoteProtocolError(msg)
        self._deviations.append((fields, total))

    def _find(self, column: str) -> _Fields | None:
        """Where a column is in a sample."""
        offset = 0
        for capture in self._captures:
            if capture.column_name == column:
                return _Fields(capture.type, offset, 1, 0, 0)
            offset += capture.type.itemsize
        return None

    def _find_gate(self, capture: FieldCapture) -> _Fields:
        """What sums are divided by."""
        gate = self._find(GATE_DURATION_FIELD) or self._find(SAMPLES_FIELD)
        if gate is None:
            msg = (
                f"the PandA sent sums for {capture.column_name}, but neither "
                f"{GATE_DURATION_FIELD} nor {SAMPLES_FIELD} to divide them by"
            )
            raise RemoteProtocolError(msg)
        return gate

    def make_block(self, rows: int) -> Block:
        """Memory for so many rows."""
        arrays = [
            np.empty((columns, rows, *dtype.shape), dtype.base)
            for dtype, columns in self.layout
        ]
        return Block(arrays, [arrays[array][row] for array, row in self._places])

    def convert(self, frame: Array, block: Block, start: int) -> None:
        """Write all samples of a frame to rows of a block.

        Args:
            frame: Structured array, `FrameData.data`.
            block: Made by `make_block` of this plan, or one of the same layout.
            start: First row to write; there must be room for all.
        """
        if not len(frame):
            return
        if not frame.flags.c_contiguous:
            frame = np.ascontiguousarray(frame)
        out = [array[:, start : start + len(frame)] for array in block.arrays]
        for fields in self._plain:
            # cast first, scale in place after: twice as fast as both at once
            source = fields.source(frame)
            np.copyto(out[fields.array][fields.rows], source, casting="unsafe")
        if self._multiply:
            np.multiply(out[0], self._scales, out=out[0])
        if self._gate is not None:
            # unsigned, whatever the header calls it: 17 s of gate are 2**31 ticks
            gate = self._gate.source(frame, DTYPES["uint32"])[0]
            self._divide(out[0], gate.astype(np.float64))
            for fields, total in self._deviations:
                squares, sums = fields.source(frame), total.source(frame)
                deviation = std_dev(sums.copy(), squares, gate)
                scale = self._scales[fields.rows]
                np.multiply(deviation, scale, out=out[0][fields.rows])
        if self._add:
            np.add(out[0], self._offsets, out=out[0])

    def _divide(self, scaled: Array, gate: Array) -> None:
        """Make means of sums."""
        shut = gate == 0 if not gate.all() else None
        with np.errstate(divide="ignore", invalid="ignore"):
            for fields in self._means:
                means = scaled[fields.rows]
                np.divide(means, gate, out=means)
                if shut is not None:
                    # the gate was never open: there is no mean
                    means[:, shut] = np.nan

    def columns(self, frame: Array) -> list[Array]:
        """All samples of a frame as new arrays, one per column."""
        block = self.make_block(len(frame))
        self.convert(frame, block, 0)
        return block.columns
