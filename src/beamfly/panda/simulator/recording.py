"""A recorded stream of a data port, taken apart: header, rows, frames, completion."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from beamfly.errors import BadValue
from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.layout import Column, Layout, Mode

_START = b"<header>\n"
_STOP = b"</header>\n\n"
_END = re.compile(rb"END (\d+) ([^\n]+)\n")
_MODES = {
    ("int64", "Mean"): Mode.MEAN,
    ("int96", "StdDev"): Mode.STDDEV,
    ("uint32", "Value"): Mode.SCALED32,
    ("int32", "Value"): Mode.SCALED32,
}
_GATE = "PCAP.GATE_DURATION"


@dataclass(frozen=True)
class Recording:
    """One acquisition as it came over a data port in the format XML FRAMED."""

    header: bytes
    """From `<header>` to the blank line."""
    raw: bool
    """Whether rows are raw words, else they are scaled."""
    layout: Layout
    """Columns; of a scaled recording only the names are right."""
    row_bytes: int
    """Bytes of a row."""
    frames: tuple[bytes, ...]
    """Rows, as they were sent together."""
    reason: EndReason
    """How it ended."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.frames)) // self.row_bytes

    @classmethod
    def parse(cls, stream: bytes) -> "Recording":
        """The first acquisition in a recorded stream.

        Args:
            stream: What a data port sent, with or without the OK in front.

        Raises:
            BadValue: It is not a stream in the format XML FRAMED.
        """
        begin, stop = stream.find(_START), stream.find(_STOP)
        if begin < 0 or stop < 0:
            msg = "the stream has no XML header: record it with XML FRAMED; not loaded"
            raise BadValue(msg)
        stop += len(_STOP)
        header = stream[begin:stop]
        root = ElementTree.fromstring(header)
        data = root.find("data")
        if data is None or data.get("format") != "Framed":
            msg = "the recorded stream is not FRAMED; it was not loaded"
            raise BadValue(msg)
        layout = _layout(root.iter("field"))
        frames, reason = _frames(stream, stop)
        return cls(
            header,
            data.get("process") == "Raw",
            layout,
            int(data.get("sample_bytes", "0")),
            frames,
            reason,
        )


def _layout(fields: Iterable[ElementTree.Element]) -> Layout:
    """The columns that a header names, in its order."""
    columns: list[Column] = []
    place = 0
    for element in fields:
        column = _column(element, place)
        if column.mode is Mode.STDDEV and columns:
            columns[-1] = _as_stddev_sum(columns[-1])
        columns.append(column)
        place += column.words
    gate = next((c.place for c in columns if c.name == _GATE), None)
    return Layout(tuple(columns), place, gate)


def _column(element: ElementTree.Element, place: int) -> Column:
    """One column of a header."""
    name, kind = element.get("name", ""), element.get("type", "")
    capture, scale = element.get("capture", ""), element.get("scale")
    if scale is None:
        return Column(name, capture, Mode.BITS, place=place)
    wide = Mode.SCALED64 if kind == "int64" else Mode.SCALED32
    mode = _MODES.get((kind, capture), wide)
    hidden = name == _GATE and not place
    return Column(
        name,
        capture,
        Mode.GATE if hidden else mode,
        float(scale),
        float(element.get("offset", "0")),
        element.get("units", ""),
        hidden=hidden,
        place=place,
    )


def _as_stddev_sum(column: Column) -> Column:
    """The Mean in front of a StdDev is the sum that it needs."""
    return Column(
        column.name,
        column.capture,
        Mode.STDDEV_SUM,
        column.scale,
        column.offset,
        column.units,
        place=column.place,
    )


def _frames(stream: bytes, place: int) -> tuple[tuple[bytes, ...], EndReason]:
    """Contents of all frames, and how it ended."""
    frames: list[bytes] = []
    while stream[place : place + 4] == b"BIN ":
        length = int.from_bytes(stream[place + 4 : place + 8], "little")
        frames.append(stream[place + 8 : place + length])
        place += max(8, length)
    match = _END.match(stream, place)
    return tuple(frames), EndReason.parse(match[2].decode()) if match else EndReason.OK
