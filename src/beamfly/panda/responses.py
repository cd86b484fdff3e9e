"""What a PandA tells: replies on the control port, items of the data port's stream.

Control replies come first (`BlockInfo`, the `FieldInfo` family, `Changes`,
`Identification`), then the data port (`FieldCapture`, `StartData`, `FrameData`,
`EndData`, `EndReason`). Nothing here reads or writes bytes: `connections` does.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.errors import RemoteProtocolError

_API_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass
class BlockInfo:
    """One kind of block, such as COUNTER."""

    number: int = 0
    """How many instances there are, numbered from 1."""
    description: str | None = None
    """One line, None when it was not asked for."""


@dataclass
class FieldInfo:
    """One field of a kind of block; subclasses add what its type offers."""

    type: str
    """param, read, write, time, bit_out, pos_out, ext_out, bit_mux, pos_mux, table."""
    subtype: str | None
    """uint, int, scalar, bit, action, lut, enum, time, timestamp, samples, bits."""
    description: str | None
    """One line, None when it was not asked for."""


@dataclass
class FieldType:
    """Type and subtype of a field: what pandablocks 0.2 told of it."""

    type: str
    """As in FieldInfo."""
    subtype: str | None = None
    """As in FieldInfo."""


@dataclass
class UintFieldInfo(FieldInfo):
    """A param, read or write field of unsigned integers."""

    max_val: int
    """Largest value, inclusive."""


@dataclass
class ScalarFieldInfo(FieldInfo):
    """A param, read or write field of floats: value = raw * scale + offset."""

    units: str
    """Empty when never set."""
    scale: float
    """In units per raw count."""
    offset: float
    """In units."""


@dataclass
class TimeFieldInfo(FieldInfo):
    """A field of type time: a float in units that can be chosen."""

    units_labels: list[str]
    """Units on offer, such as min, s, ms, us."""


@dataclass
class SubtypeTimeFieldInfo(FieldInfo):
    """A param, read or write field of subtype time."""

    units_labels: list[str]
    """Units on offer, such as min, s, ms, us."""


@dataclass
class EnumFieldInfo(FieldInfo):
    """A param, read or write field that takes one of some labels."""

    labels: list[str]
    """Labels in the order of their index."""


@dataclass
class BitOutFieldInfo(FieldInfo):
    """A bit on the bit bus."""

    capture_word: str
    """The field that captures it, such as PCAP.BITS1."""
    offset: int
    """Its bit number in that word, 0 is the least significant."""


@dataclass
class BitMuxFieldInfo(FieldInfo):
    """An input that can be connected to any bit on the bit bus."""

    max_delay: int
    """Largest delay in 8 ns clock ticks."""
    labels: list[str]
    """Every bit_out by name, then ZERO and ONE."""


@dataclass
class PosMuxFieldInfo(FieldInfo):
    """An input that can be connected to any position on the position bus."""

    labels: list[str]
    """Every pos_out by name, then ZERO."""


@dataclass
class TableFieldDetails:
    """One column of a table."""

    subtype: str
    """uint, int or enum."""
    bit_low: int
    """Lowest bit it takes in the row's little-endian words."""
    bit_high: int
    """Highest bit it takes, inclusive."""
    description: str | None = None
    """One line, None when it was not asked for."""
    labels: list[str] | None = None
    """Labels of an enum column, else None."""


@dataclass
class TableFieldInfo(FieldInfo):
    """A field that holds rows of columns packed into 32-bit words."""

    max_length: int
    """Largest number of 32-bit words."""
    fields: dict[str, TableFieldDetails]
    """Columns by name, in the order in which the server lists them."""
    row_words: int
    """32-bit words per row."""
    has_mode: bool = False
    """Whether MODE and QUEUED_LINES can be read (server 4.0 and later)."""


@dataclass
class PosOutFieldInfo(FieldInfo):
    """A position on the position bus."""

    capture_labels: list[str]
    """Usual values of its CAPTURE attribute, such as Min Max Mean."""


@dataclass
class ExtOutFieldInfo(FieldInfo):
    """A timestamp or count that exists in captured data only."""

    capture_labels: list[str]
    """No and Value."""


@dataclass
class ExtOutBitsFieldInfo(ExtOutFieldInfo):
    """32 bits of the bit bus, captured as one word."""

    bits: list[str]
    """Name of the bit at each position, 0 first; empty where there is none."""


@dataclass
class Changes:
    """What changed since it was last asked for on the same connection."""

    values: dict[str, str]
    """Single-line values by field or attribute name."""
    no_value: list[str]
    """Tables and multi-line metadata that changed but were not fetched."""
    in_error: list[str]
    """Fields whose value the server could not format."""
    multiline_values: dict[str, list[str]]
    """Lines of tables and metadata that were fetched."""


@dataclass
class Identification:
    """Versions of a PandA's software."""

    software: str
    """Of the TCP server, such as 4.1 or 3.0-11-g6422090."""
    fpga: str
    """Of the firmware, with its build hashes."""
    rootfs: str
    """Of the root file system."""

    def software_api(self) -> tuple[int, int]:
        """Major and minor version of the server; (0, 0) if it states no number."""
        match = _API_VERSION.search(self.software)
        return (int(match[1]), int(match[2])) if match else (0, 0)


class EndReason(Enum):
    """Why a PCAP acquisition ended."""

    OK = "Ok"
    """PCAP.ENABLE fell."""
    EARLY_DISCONNECT = "Early disconnect"
    """The server noticed that its client went away."""
    DATA_OVERRUN = "Data overrun"
    """This client did not read fast enough; in RAW the last frame may be corrupt."""
    FRAMING_ERROR = "Framing error"
    """Triggers came faster than the configured fields can be captured."""
    DRIVER_DATA_OVERRUN = "Driver data overrun"
    """The PandA's own processor did not keep up."""
    DMA_DATA_ERROR = "DMA data error"
    """The PandA's memory did not keep up."""
    UNEXPECTED = "Unexpected completion error"
    """The server itself does not know."""
    DISARMED = "Disarmed"
    """*PCAP.DISARM= was sent."""
    # made on this side, never sent by a server
    UNKNOWN_EXCEPTION = "Unknown exception"
    """Writing the file failed for a reason without a name of its own."""
    START_DATA_MISMATCH = "Start Data mismatched"
    """The fields of a further acquisition differ from those of the file."""
    MANUALLY_STOPPED = "Manually stopped"
    """Capture was switched off here."""

    @classmethod
    def parse(cls, text: str) -> "EndReason":
        """The reason of that wording, or RemoteProtocolError if there is none."""
        try:
            return cls(text)
        except ValueError:
            msg = f"PCAP acquisition ended for a reason that is not known: {text!r}"
            raise RemoteProtocolError(msg) from None


DTYPES: dict[str, np.dtype[Any]] = {
    "int32": np.dtype("<i4"),
    "uint32": np.dtype("<u4"),
    "int64": np.dtype("<i8"),
    "uint64": np.dtype("<u8"),
    "double": np.dtype("<f8"),
    # 96-bit sums of squares; numpy has no such integer, so three words, lowest first
    "int96": np.dtype(("<u4", (3,))),
}
"""Type names in a data port header -> dtype of the field as it is sent."""


@dataclass
class FieldCapture:
    """One captured field, as the header of an acquisition announces it.

    Scale, offset and units are all None for PCAP.BITS words, else all are set:
    ValueError if only some are.
    """

    name: str
    """Such as COUNTER1.OUT."""
    type: np.dtype[Any]
    """Of one sample as it is sent."""
    capture: str
    """Value, Diff, Sum, Min, Max, Mean or StdDev."""
    scale: float | None = field(default=None)
    """Units per count."""
    offset: float | None = field(default=None)
    """Units at count 0."""
    units: str | None = field(default=None)
    """Such as mm, empty if never set."""

    def __post_init__(self) -> None:
        """Refuse a scaling that is set only in part."""
        parts = (self.scale, self.offset, self.units)
        if None in parts and parts != (None, None, None):
            msg = (
                f"{self.name}: scale={self.scale}, offset={self.offset} and "
                f"units={self.units!r} must all be set, or none of them"
            )
            raise ValueError(msg)

    @property
    def column_name(self) -> str:
        """Name of its column in a frame, `<name>.<capture>`."""
        return f"{self.name}.{self.capture}"

    @property
    def raw_mode_dataset_dtype(self) -> np.dtype[Any]:
        """What a file stores for it in raw mode: float64 if it has a scaling."""
        return self.type if self.scale is None else np.dtype("float64")

    @property
    def has_scale_or_offset(self) -> bool:
        """Whether scaling changes its values."""
        return self.scale is not None and (self.scale, self.offset) != (1, 0)


class Data:
    """Anything that a data connection yields."""


@dataclass
class ReadyData(Data):
    """The data port has accepted us: nothing that is armed from now on is missed."""


@dataclass
class StartData(Data):
    """The header of an acquisition."""

    fields: list[FieldCapture]
    """In the order in which they stand in a sample."""
    missed: int
    """Samples that were overwritten before this connection could have them."""
    process: str
    """Scaled or Raw."""
    format: str
    """Framed, Unframed, Base64 or ASCII."""
    sample_bytes: int
    """Bytes of one sample; 0 for ASCII, whose header has no number."""
    arm_time: str | None = None
    """UTC, ISO 8601, when PCAP was armed."""
    start_time: str | None = None
    """UTC, ISO 8601, when PCAP.ENABLE rose."""
    hw_time_offset_ns: int | None = None
    """Nanoseconds between hardware and system start time, None without the former."""


@dataclass
class FrameData(Data):
    """Some samples of an acquisition, in order and without gap."""

    data: npt.NDArray[Any]
    """Structured array of shape (samples,), fields named `<name>.<capture>`."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, `<name>.<capture>`."""
        return self.data.dtype.names or ()


@dataclass
class EndData(Data):
    """The end of an acquisition."""

    samples: int
    """How many samples the server says it sent."""
    reason: EndReason
    """Why it ended."""
