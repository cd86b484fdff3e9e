"""What one acquisition captures: fields in order, words of a row, headers, scaling.

`Layout.of` takes it from the CAPTURE attributes at the moment of arming. A row is a
number of 32-bit words as the hardware sends them; `Layout.scaled` turns many rows into
the bytes of the SCALED process at once.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.errors import CommandError
from beamfly.panda.simulator.bus_fields import (
    CAPTURE_OPTIONS,
    CaptureField,
    PosOutField,
)
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY
from beamfly.panda.simulator.settings import Settings

MAX_WORDS = 63
"""Largest number of words in a row."""

Words = npt.NDArray[np.uint32]


class Mode(IntEnum):
    """How a column is sent and scaled; also the order of columns in a row."""

    GATE = 0
    """Gate duration that only averages need: in RAW rows only."""
    BITS = 1
    """32 bits, never scaled."""
    SCALED32 = 2
    SCALED64 = 3
    MEAN = 4
    """Sum, to be divided by the gate duration."""
    STDDEV_SUM = 5
    """Sum that a standard deviation needs, sent as Mean."""
    STDDEV = 6
    """Sum of squares."""


_MODES = {
    "Value": Mode.SCALED32,
    "Diff": Mode.SCALED32,
    "Min": Mode.SCALED32,
    "Max": Mode.SCALED32,
    "Sum": Mode.SCALED64,
    "Mean": Mode.MEAN,
    "StdDev": Mode.STDDEV,
}
_WORDS = {Mode.SCALED64: 2, Mode.MEAN: 2, Mode.STDDEV_SUM: 2, Mode.STDDEV: 3}
_RAW_TYPES = {
    Mode.BITS: "uint32",
    Mode.GATE: "int32",
    Mode.SCALED32: "int32",
    Mode.STDDEV: "int96",
}
"""Names of what RAW sends; all others are int64."""


@dataclass(frozen=True)
class Column:
    """One column of a row."""

    name: str
    """Name of the field."""
    capture: str
    """Value, Diff, Sum, Min, Max, Mean or StdDev."""
    mode: Mode
    scale: float = 1.0
    offset: float = 0.0
    units: str = ""
    hidden: bool = False
    """Whether SCALED leaves it out."""
    place: int = 0
    """Index of its first word in the row."""

    @property
    def words(self) -> int:
        """How many words it takes."""
        return _WORDS.get(self.mode, 1)

    def type_name(self, raw: bool) -> str:
        """Its type, as a header names it."""
        if not raw and self.mode is not Mode.BITS:
            return "double"
        return _RAW_TYPES.get(self.mode, "int64")


@dataclass(frozen=True)
class Layout:
    """All columns of one acquisition."""

    columns: tuple[Column, ...]
    """In the order in which they stand in a row."""
    words: int
    """32-bit words per row."""
    gate: int | None
    """Index of the word with the gate duration, None if there is none."""
    dtype: np.dtype[Any] = field(init=False, repr=False)
    """Of a row of the SCALED process."""

    def __post_init__(self) -> None:
        """Work out the dtype of scaled rows."""
        shown = [column for column in self.columns if not column.hidden]
        types = ["<u4" if column.mode is Mode.BITS else "<f8" for column in shown]
        names = [f"{column.name}.{column.capture}" for column in shown]
        dtype = np.dtype(list(zip(names, types, strict=True)))
        object.__setattr__(self, "dtype", dtype)

    @classmethod
    def of(cls, settings: Settings) -> "Layout":
        """The layout that the CAPTURE attributes ask for now.

        Raises:
            CommandError: Nothing, or too much, is to be captured.
        """
        found: list[Column] = []
        for captured in settings.captures():
            found += _columns(captured)
        if not found:
            raise CommandError("Nothing configured for capture")
        averaged = any(column.mode >= Mode.MEAN for column in found)
        gates = [column for column in found if column.name == _GATE.name]
        if averaged and not gates:
            found.append(_GATE)
        return cls.from_columns(found)

    @classmethod
    def from_columns(cls, columns: list[Column]) -> "Layout":
        """The layout of these columns, put in order."""
        ordered: list[Column] = []
        place = 0
        # standard deviations stay with the sum they need, hence one rank for both
        for column in sorted(columns, key=lambda c: min(c.mode, Mode.STDDEV_SUM)):
            ordered.append(_placed(column, place))
            place += column.words
        if place > MAX_WORDS:
            raise CommandError("Too many captures for PCAP")
        gate = next((c.place for c in ordered if c.name == _GATE.name), None)
        return cls(tuple(ordered), place, gate)

    def sample_bytes(self, raw: bool) -> int:
        """Bytes per sample of a process."""
        return 4 * self.words if raw else self.dtype.itemsize

    def shown(self, raw: bool) -> list[Column]:
        """The columns that a process sends."""
        return [column for column in self.columns if raw or not column.hidden]

    def scaled(self, rows: Words) -> npt.NDArray[Any]:
        """Rows of the SCALED process, as a structured array of shape (rows,).

        Args:
            rows: Words of shape (rows, words).
        """
        result = np.empty(len(rows), self.dtype)
        gate = None if self.gate is None else rows[:, self.gate].astype("f8")
        for column in self.shown(raw=False):
            values: npt.NDArray[Any]
            if column.mode is Mode.BITS:
                values = rows[:, column.place]
            elif column.mode is Mode.STDDEV:
                values = column.scale * self._deviations(rows, column)
            else:
                values = column.scale * _numbers(rows, column).astype("f8")
                if gate is not None and column.mode >= Mode.MEAN:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        values = values / gate
                values = values + column.offset
            result[f"{column.name}.{column.capture}"] = values
        return result

    def _deviations(self, rows: Words, column: Column) -> npt.NDArray[np.float64]:
        """Standard deviations in counts, exact until the division."""
        place = column.place
        parts = [rows[:, place + i].astype(object) << (32 * i) for i in range(3)]
        squares = parts[0] + parts[1] + parts[2]
        sums = _int64(rows, place - 2).astype(object)
        counts = rows[:, self.gate or 0].astype(object)
        spread = (counts * squares - sums * sums).astype("f8")
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(spread) / counts.astype("f8")


_GATE = Column(
    name="PCAP.GATE_DURATION",
    capture="Value",
    mode=Mode.GATE,
    scale=1 / CLOCK_FREQUENCY,
    units="s",
    hidden=True,
)


def _placed(column: Column, place: int) -> Column:
    return replace(column, place=place)


def _columns(captured: CaptureField) -> list[Column]:
    """The columns that one field asks for."""
    if isinstance(captured, PosOutField):
        return _position_columns(captured)
    if not captured.captured:
        return []
    if captured.spec.subtype == "bits":
        return [Column(captured.name, "Value", Mode.BITS)]
    samples = captured.spec.subtype == "samples"
    mode = Mode.SCALED32 if samples else Mode.SCALED64
    return [Column(captured.name, "Value", mode, 1 / CLOCK_FREQUENCY, units="s")]


def _position_columns(captured: PosOutField) -> list[Column]:
    """The columns of a position, with the sum that a StdDev needs before it."""
    result: list[Column] = []
    scaling = (captured.scale, captured.offset, captured.units)
    deviation = "StdDev" in captured.captured
    for option in CAPTURE_OPTIONS:
        if option not in captured.captured or (option == "Mean" and deviation):
            continue
        if option == "StdDev":
            hidden = "Mean" not in captured.captured
            result.append(
                Column(captured.name, "Mean", Mode.STDDEV_SUM, *scaling, hidden)
            )
        result.append(Column(captured.name, option, _MODES[option], *scaling))
    return result


def _int64(rows: Words, place: int) -> npt.NDArray[np.int64]:
    """Signed 64-bit numbers from two words."""
    return np.ascontiguousarray(rows[:, place : place + 2]).view("<i8")[:, 0]


def _numbers(rows: Words, column: Column) -> npt.NDArray[Any]:
    """The integers of a column of 32 or 64 bits."""
    if column.words == 2:
        return _int64(rows, column.place)
    return rows[:, column.place].view("<i4")
