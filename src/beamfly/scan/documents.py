"""Documents that a scan server sends: XML as display clients know it, JSON, pages."""

import html
import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

from beamfly.scan.call import HttpReply, HttpRequest
from beamfly.scan.info import DeviceInfo, ScanInfo, ServerInfo
from beamfly.scan.simulation import Simulated
from beamfly.scan.store import Row
from beamfly.scan.values import java_double, parse_reading, printable
from beamfly.scan.xmltext import document

XML = "text/xml"
XML_UTF8 = "text/xml;charset=utf-8"
HTML = "text/html;charset=utf-8"
JSON = "application/json"

LARGEST_PIECE = 256 * 1024
"""Characters of a document that are made at once."""
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_END_OF_DEVICE = "    </samples>\n  </device>"


def xml_reply(text: str, status: int = 200, kind: str = XML) -> HttpReply:
    """A document."""
    return HttpReply(status, text.encode("utf-8"), kind)


def scan_document(info: ScanInfo) -> str:
    """One scan."""
    return document(info.to_xml())


def scans_document(infos: Iterable[ScanInfo]) -> str:
    """All scans, in the order given."""
    root = ET.Element("scans")
    root.extend(info.to_xml() for info in infos)
    return document(root)


def devices_document(devices: Iterable[DeviceInfo]) -> str:
    """Devices of a scan."""
    root = ET.Element("devices")
    root.extend(device.to_xml() for device in devices)
    return document(root)


def server_info_document(info: ServerInfo) -> str:
    """The server itself."""
    return document(info.to_xml())


def serial_document(serial: int) -> str:
    """The serial of the latest sample."""
    return f"<serial>{serial}</serial>\n"


def id_document(number: int) -> str:
    """The id of a scan that was submitted."""
    return f"<id>{number}</id>\n"


def in_pieces(pieces: Iterator[str], kind: str) -> HttpReply:
    """A document that may be large: whole, or its begin and how it goes on."""
    head: list[str] = []
    size = 0
    for piece in pieces:
        head.append(piece)
        size += len(piece)
        if size > LARGEST_PIECE:
            more = (piece.encode("utf-8") for piece in pieces)
            return HttpReply(200, "".join(head).encode("utf-8"), kind, more)
    return HttpReply(200, "".join(head).encode("utf-8"), kind)


def data_document(batches: Iterable[Sequence[Row]]) -> Iterator[str]:
    """Samples, which come by device, piece by piece.

    Written by hand, as a tree of 100 000 elements takes a second to build.
    """
    yield f"{_HEAD}<data>"
    last = None
    for batch in batches:
        device = batch[0][0]
        if device != last:
            if last is not None:
                yield _END_OF_DEVICE
            name = escape(printable(device))
            yield f"\n  <device>\n    <name>{name}</name>\n    <samples>\n"
            last = device
        yield "".join(
            f'      <sample id="{serial}">\n        <time>{time}</time>\n'
            f"        <value>{escape(printable(text))}</value>\n      </sample>\n"
            for _, serial, time, text in batch
        )
    yield "</data>\n" if last is None else f"{_END_OF_DEVICE}\n</data>\n"


def simulation_document(simulated: Simulated) -> str:
    """What a scan would do."""
    text = printable(simulated.text).replace("]]>", "]]]]><![CDATA[>")
    seconds = java_double(simulated.seconds)
    return (
        f"<simulation>\n  <log><![CDATA[{text}]]>\n  </log>\n"
        f"  <seconds>{seconds}</seconds>\n</simulation>\n"
    )


def error_document(message: str, reason: str) -> str:
    """Why a submission was refused."""
    said, why = (escape(printable(text)) for text in (message, reason))
    return f"<error>\n<message>{said}</message>\n<trace>\n{why}\n</trace>\n</error>\n"


def refused(request: HttpRequest, status: int, message: str) -> HttpReply:
    """Why a request is refused, in the form that its kind of client reads."""
    if request.path.startswith("/api/"):
        return json_reply({"error": message}, status)
    if request.method in ("PUT", "DELETE"):
        said = escape(printable(message))
        return xml_reply(f"<error>\n<message>{said}</message>\n</error>\n", status)
    return error_page(status, request.path, message)


def error_page(status: int, path: str, message: str) -> HttpReply:
    """A page that says what is wrong."""
    said, where = html.escape(printable(message)), html.escape(printable(path))
    text = (
        f"<html>\n<head>\n<title>Error {status} {said}</title>\n</head>\n"
        f"<body><h2>HTTP ERROR {status} {said}</h2>\n<table>\n"
        f"<tr><th>URI:</th><td>{where}</td></tr>\n"
        f"<tr><th>STATUS:</th><td>{status}</td></tr>\n"
        f"<tr><th>MESSAGE:</th><td>{said}</td></tr>\n</table>\n</body>\n</html>\n"
    )
    return HttpReply(status, text.encode("utf-8"), HTML)


def index_page(info: ServerInfo, infos: Iterable[ScanInfo]) -> HttpReply:
    """All scans, for a browser."""
    rows = "\n".join(
        f"<tr><td>{scan.id}</td><td>{html.escape(scan.name)}</td>"
        f"<td>{scan.state}</td><td>{scan.percentage()} %</td>"
        f"<td>{html.escape(scan.error or scan.command or '')}</td></tr>"
        for scan in infos
    )
    text = (
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset='UTF-8'>\n"
        "<meta http-equiv='refresh' content='2'>\n<title>Scan server</title>\n"
        "</head>\n<body>\n<h1>Scan server</h1>\n"
        f"<p>{html.escape(info.implementation)}</p>\n<table>\n<tr><th>Id</th>"
        "<th>Name</th><th>State</th><th>Done</th><th>Command or error</th></tr>\n"
        f"{rows}\n</table>\n</body>\n</html>\n"
    )
    return HttpReply(200, text.encode("utf-8"), HTML)


def json_reply(value: Any, status: int = 200) -> HttpReply:
    """A value as JSON."""
    return HttpReply(status, json.dumps(value).encode("utf-8"), JSON)


def info_json(info: ScanInfo) -> dict[str, Any]:
    """A scan as JSON: the fields of `ScanInfo`, and `percentage`."""
    return {**asdict(info), "percentage": info.percentage()}


def data_json(rows: Iterable[Row]) -> dict[str, dict[str, list[Any]]]:
    """Samples as JSON: `id`, `time` and `value` by device.

    Numbers that JSON has no words for stay texts.
    """
    data: dict[str, dict[str, list[Any]]] = {}
    for device, serial, time, text in rows:
        samples = data.setdefault(device, {"id": [], "time": [], "value": []})
        samples["id"].append(serial)
        samples["time"].append(time)
        samples["value"].append(_value_json(text))
    return data


def _value_json(text: str) -> float | str:
    value = parse_reading(text)
    wordless = isinstance(value, float) and not math.isfinite(value)
    return text if wordless else value


def data_json_document(batches: Iterable[Sequence[Row]]) -> Iterator[str]:
    """The same as a text, piece by piece; empty ones while a device is gathered."""
    yield "{"
    comma = ""
    for device, of_device in groupby(batches, key=lambda batch: batch[0][0]):
        columns: tuple[list[str], ...] = [], [], []
        for batch in of_device:
            _, serials, times, texts = zip(*batch, strict=True)
            values = [_value_json(text) for text in texts]
            for column, part in zip(columns, (serials, times, values), strict=True):
                column.append(json.dumps(part)[1:-1])
            yield ""
        named = zip(("id", "time", "value"), columns, strict=True)
        lists = (f'"{name}": [{", ".join(column)}]' for name, column in named)
        yield f"{comma}{json.dumps(device)}: {{{', '.join(lists)}}}"
        comma = ", "
    yield "}"
