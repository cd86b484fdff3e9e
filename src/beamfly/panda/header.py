"""The header of an acquisition, XML or text, and the layout of a sample.

`parse_xml` and `parse_text` take the header's lines and return `StartData`;
`sample_dtype` turns its fields into the numpy dtype of one sample.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from beamfly.errors import RemoteProtocolError
from beamfly.panda.responses import DTYPES, FieldCapture, StartData

GATE_DURATION_FIELD = "PCAP.GATE_DURATION.Value"
"""Column by which raw sums are averaged: clock ticks for which the gate was open."""
SAMPLES_FIELD = "PCAP.SAMPLES.Value"
"""The same before server 2.1."""

FORMATS = ("Framed", "Unframed", "Base64", "ASCII")
"""Formats that a header can announce."""
HEADER_LINES = (b"arm_time: ", b"start_time: ", b"missed: ")
"""How the first line of a text header can begin; the times came with server 4."""
MAX_SAMPLE_BYTES = 1 << 16
"""A PandA captures at most 64 words of 32 bits; this leaves room to grow."""

_TEXT_FIELD = re.compile(
    r" (\S+) (\S+) (\S+)(?: scale: (\S+) offset: (\S+) units: ?(.*))?"
)


def sample_dtype(fields: Sequence[FieldCapture]) -> np.dtype[np.void]:
    """Dtype of one sample as it is sent, columns named `<name>.<capture>`."""
    try:
        return np.dtype([(f.column_name, f.type) for f in fields])
    except ValueError as exc:
        msg = f"the data header cannot be a sample's layout: {exc}"
        raise RemoteProtocolError(msg) from exc


def parse_xml(lines: Sequence[bytes]) -> StartData:
    """StartData of an XML header, from <header> to </header>."""
    text = b"\n".join(lines)
    if b"<!" in text:
        # a PandA writes neither DTD nor entities; expanding one could eat all memory
        raise RemoteProtocolError("the data header holds an XML declaration")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as exc:
        raise RemoteProtocolError(f"the data header is not XML: {exc}") from exc
    data, fields = root.find("data"), root.find("fields")
    if data is None or fields is None:
        raise RemoteProtocolError("the data header lacks <data> or <fields>")
    return _start_data(
        data.attrib.get,
        [_field(element.attrib.get) for element in fields.iter("field")],
    )


def parse_text(lines: Sequence[bytes]) -> StartData:
    """StartData of a text header, without its blank line."""
    words: dict[str, str] = {}
    fields: list[FieldCapture] | None = None
    for line in (raw.decode("utf-8", "replace") for raw in lines):
        if fields is not None:
            fields.append(_text_field(line))
        elif line == "fields:":
            fields = []
        else:
            name, colon, value = line.partition(": ")
            if not colon:
                raise RemoteProtocolError(f"bad line in the data header: {line!r}")
            words[name] = value
    if fields is None:
        raise RemoteProtocolError("the data header ends before its fields")
    return _start_data(words.get, fields)


def given_fields(fields: Sequence[FieldCapture], process: str, fmt: str) -> StartData:
    """What a header would have said, for a connection that asked for none."""
    size = sum(f.type.itemsize for f in fields)
    return StartData(list(fields), 0, process, fmt, size)


def _text_field(line: str) -> FieldCapture:
    match = _TEXT_FIELD.fullmatch(line)
    if match is None:
        raise RemoteProtocolError(f"bad field in the data header: {line!r}")
    names = ("name", "type", "capture", "scale", "offset", "units")
    words: dict[str, str | None] = dict(zip(names, match.groups(), strict=True))
    return _field(words.get)


def _field(get: Callable[[str], str | None]) -> FieldCapture:
    name, kind, capture = get("name"), get("type"), get("capture")
    if not name or not capture or kind not in DTYPES:
        msg = f"the data header has a field {name!r} of type {kind!r} as {capture!r}"
        raise RemoteProtocolError(msg)
    scale, offset, units = get("scale"), get("offset"), get("units")
    try:
        return FieldCapture(
            name,
            DTYPES[kind],
            capture,
            None if scale is None else float(scale),
            None if offset is None else float(offset),
            # servers print a C null pointer where units were never set
            "" if units == "(null)" else units,
        )
    except ValueError as exc:
        raise RemoteProtocolError(f"bad scaling in the data header: {exc}") from exc


def _number(get: Callable[[str], str | None], name: str) -> int:
    text = get(name)
    try:
        return int(text or "")
    except ValueError:
        msg = f"the data header says {name}={text!r}, which is not a number"
        raise RemoteProtocolError(msg) from None


def _start_data(
    get: Callable[[str], str | None], fields: list[FieldCapture]
) -> StartData:
    process, fmt = get("process") or "", get("format") or ""
    if process not in ("Raw", "Scaled") or fmt not in FORMATS:
        msg = f"the data header announces {process!r} data in format {fmt!r}"
        raise RemoteProtocolError(msg)
    # an ASCII header has no sample size, its samples are lines
    sample_bytes = 0 if fmt == "ASCII" else _number(get, "sample_bytes")
    if fmt != "ASCII":
        fields = _check_size(fields, sample_bytes)
    elif not fields:
        raise RemoteProtocolError("the data header lists no fields")
    return StartData(
        fields=fields,
        missed=_number(get, "missed"),
        process=process,
        format=fmt,
        sample_bytes=sample_bytes,
        arm_time=get("arm_time"),
        start_time=get("start_time"),
        hw_time_offset_ns=(
            _number(get, "hw_time_offset_ns") if get("hw_time_offset_ns") else None
        ),
    )


def _check_size(fields: list[FieldCapture], sample_bytes: int) -> list[FieldCapture]:
    """The fields that fill a sample, or RemoteProtocolError."""
    size = sum(f.type.itemsize for f in fields)
    if sample_bytes - size == 4:
        # servers before 2.1 sent the number of samples averaged without saying so
        name, capture = SAMPLES_FIELD.rsplit(".", 1)
        return [FieldCapture(name, np.dtype("<u4"), capture), *fields]
    if size != sample_bytes or not 0 < size <= MAX_SAMPLE_BYTES:
        msg = (
            f"the data header says {sample_bytes} bytes per sample, "
            f"but its {len(fields)} fields have {size}"
        )
        raise RemoteProtocolError(msg)
    return fields


def word_dtype() -> np.dtype[np.void]:
    """Layout of samples of which nothing is known but that they are 32-bit words."""
    layout: npt.DTypeLike = [("WORD", "<u4")]
    return np.dtype(layout)
