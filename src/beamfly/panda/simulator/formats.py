"""What the data port sends: headers, and rows in each format."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import numpy as np

from beamfly.panda.simulator.layout import Column, Layout, Mode, Words
from beamfly.panda.simulator.options import Options
from beamfly.panda.simulator.ring import Acquisition

Content = bytes | memoryview
"""Rows, as bytes."""
MAX_FRAME = 65536
"""Largest frame of the SCALED process, with its own 8 bytes."""
_BASE64_BYTES = 57


def iso_time(nanoseconds: int) -> str:
    """UTC to the nanosecond."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def header(acquisition: Acquisition, options: Options, missed: int) -> bytes:
    """The header of an acquisition, with the blank line after it."""
    layout = acquisition.layout
    started = acquisition.started_ns
    attributes = {
        "arm_time": iso_time(acquisition.armed_ns),
        "start_time": iso_time(acquisition.armed_ns if started is None else started),
    }
    if acquisition.hw_time_offset_ns is not None:
        attributes["hw_time_offset_ns"] = str(acquisition.hw_time_offset_ns)
    attributes["missed"] = str(missed)
    attributes["process"] = "Raw" if options.raw else "Scaled"
    attributes["format"] = options.format
    if options.format != "ASCII":
        attributes["sample_bytes"] = str(layout.sample_bytes(options.raw))
    fields = [_attributes(column, options.raw) for column in layout.shown(options.raw)]
    write = _xml_header if options.xml else _text_header
    return write(attributes, fields).encode("utf-8", "surrogateescape")


def _attributes(column: Column, raw: bool) -> dict[str, str]:
    """How a header describes a column."""
    result = {
        "name": column.name,
        "type": column.type_name(raw),
        "capture": column.capture,
    }
    if column.mode is not Mode.BITS:
        result["scale"] = f"{column.scale:.12g}"
        result["offset"] = f"{column.offset:.12g}"
        result["units"] = column.units
    return result


_ESCAPES = str.maketrans(
    {"<": "&lt;", "&": "&amp;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
)


def _xml_header(attributes: dict[str, str], fields: list[dict[str, str]]) -> str:
    """The header in XML."""

    def element(name: str, content: dict[str, str]) -> str:
        pairs = [
            f' {key}="{value.translate(_ESCAPES)}"' for key, value in content.items()
        ]
        return f"<{name}{''.join(pairs)} />\n"

    lines = [element("field", content) for content in fields]
    return (
        f"<header>\n{element('data', attributes)}<fields>\n{''.join(lines)}"
        "</fields>\n</header>\n\n"
    )


def _text_header(attributes: dict[str, str], fields: list[dict[str, str]]) -> str:
    """The header in lines of text."""
    lines = [f"{key}: {value}\n" for key, value in attributes.items()]
    lines.append("fields:\n")
    for content in fields:
        plain = [content.pop(key) for key in ("name", "type", "capture")]
        named = [f" {key}: {value}" for key, value in content.items()]
        lines.append(f" {' '.join(plain)}{''.join(named)}\n")
    return "".join(lines) + "\n"


def encode(
    acquisition: Acquisition, options: Options, content: Content
) -> list[Content]:
    """Rows of an acquisition, in pieces as they are sent."""
    layout = acquisition.layout
    if acquisition.scaled:
        return _pieces(content, options.format)
    if options.raw:
        if options.format == "ASCII":
            return [_raw_text(layout, _rows(layout, content))]
        return _pieces(content, options.format)
    scaled = layout.scaled(_rows(layout, content))
    if options.format == "ASCII":
        return [_scaled_text(layout, scaled)]
    if options.format != "Framed":
        return _pieces(scaled.tobytes(), options.format)
    most = max(1, (MAX_FRAME - 8) // max(1, scaled.itemsize))
    return [
        piece
        for start in range(0, len(scaled), most)
        for piece in _pieces(scaled[start : start + most].tobytes(), "Framed")
    ]


def _rows(layout: Layout, content: Content) -> Words:
    return np.frombuffer(content, "<u4").reshape(-1, layout.words)


def _pieces(content: Content, format: str) -> list[Content]:
    """Bytes, with what the format puts around them."""
    if format == "Framed":
        return [b"BIN " + (len(content) + 8).to_bytes(4, "little"), content]
    if format == "Base64":
        lines = [
            # the server counts one byte too many, and so sends a NUL
            b" " + b64encode(content[i : i + _BASE64_BYTES]) + b"\0\n"
            for i in range(0, len(content), _BASE64_BYTES)
        ]
        return [b"".join(lines)]
    return [content]


def _raw_text(layout: Layout, rows: Words) -> bytes:
    """Every word in hex."""
    lines = ["".join([f" 0x{word:08x}" for word in row]) for row in rows.tolist()]
    return "".join([f"{line}\n" for line in lines]).encode()


def _scaled_text(layout: Layout, rows: np.ndarray[Any, Any]) -> bytes:
    """Bits as integers, all else with ten digits."""
    modes = [column.mode for column in layout.shown(raw=False)]
    template = "".join(" %d" if mode is Mode.BITS else " %.10g" for mode in modes)
    return "".join([f"{template}\n" % row for row in rows.tolist()]).encode()
