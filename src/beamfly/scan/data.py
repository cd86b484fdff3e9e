"""Logged data of a scan: samples per device, and tables made of them.

`{device: {"id": [...], "time": [...], "value": [...]}}`: the serial of each sample,
the device's time stamp in milliseconds since 1970, and the value, a number where the
text is one. One `Log` gives all its devices the same serial; tables are aligned by it.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from beamfly.errors import BadValue
from beamfly.scan.values import parse_double, parse_reading
from beamfly.scan.xmltext import child_text, parse_xml

Samples = dict[str, list[Any]]
"""`id`, `time` and `value` of every sample of one device."""
ScanData = dict[str, Samples]
"""Samples per device."""
Sample = tuple[int, int, Any]
"""Serial, time stamp in milliseconds since 1970, value."""


def parseXMLData(  # noqa: N802
    text: bytes | str, after: int | None = None, texts: bool = False
) -> ScanData:
    """Samples per device out of the `<data>` that a scan server sends.

    Arrays stay texts; `parse_array` reads them.

    Args:
        text: the document.
        after: drop samples up to this serial; None keeps them all.
        texts: leave all values as they were logged, so that `007` stays that.

    Raises:
        BadValue: it is no such document.
    """
    parse = str if texts else parse_reading
    data = _regular_data(text, parse)
    if data is None:
        data = _any_data(text, parse)
    if after is not None:
        data = {device: _later(samples, after) for device, samples in data.items()}
    return data


_DOCUMENT = re.compile(r"(?:<\?xml[^>]*\?>)?\s*<data>\s*</data>\s*")
_DEVICE = re.compile(
    r"\s*<device>\s*<name>([^<&\r]*)</name>\s*<samples>(.*?)</samples>\s*</device>",
    re.DOTALL,
)
_SAMPLE = re.compile(
    r'<sample id="(-?\d+)">\s*<time>(-?\d+)</time>\s*<value>([^<&\r]*)</value>'
    r"\s*</sample>"
)
_TAGS_PER_SAMPLE = 6


Parse = Callable[[str], float | str]


def _regular_data(text: bytes | str, parse: Parse = parse_reading) -> ScanData | None:
    """What `_any_data` gives, five times as fast, for the form that servers write.

    None if anything in the document is not exactly of that form.
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        return None
    data: ScanData = {}
    rest: list[str] = []
    at = 0
    for match in _DEVICE.finditer(text):
        rest.append(text[at : match.start()])
        at = match.end()
        name, body = match.groups()
        found = _SAMPLE.findall(body)
        if body.count("<") != _TAGS_PER_SAMPLE * len(found) or name in data:
            return None
        data[name] = {
            "id": [int(item[0]) for item in found],
            "time": [int(item[1]) for item in found],
            "value": [parse(item[2]) for item in found],
        }
    rest.append(text[at:])
    return data if _DOCUMENT.fullmatch("".join(rest)) else None


def _later(samples: Samples, after: int) -> Samples:
    """Samples with a greater serial."""
    keep = [index for index, serial in enumerate(samples["id"]) if serial > after]
    return {key: [values[index] for index in keep] for key, values in samples.items()}


def _any_data(text: bytes | str, parse: Parse = parse_reading) -> ScanData:
    """Samples per device out of any `<data>` document."""
    root = parse_xml(text)
    if root.tag != "data":
        raise BadValue(f"<data> is needed, not <{root.tag}>")
    return {
        child_text(device, "name") or "": _samples(device, parse)
        for device in root.iter("device")
    }


def _samples(device: ET.Element, parse: Parse) -> Samples:
    ids: list[Any] = []
    times: list[Any] = []
    values: list[Any] = []
    for sample in device.iter("sample"):
        try:
            serial = int(sample.attrib["id"])
            time = int(child_text(sample, "time") or "")
        except (KeyError, ValueError) as error:
            raise BadValue(f"a <sample> lacks its id or time: {error}") from None
        ids.append(serial)
        times.append(time)
        values.append(parse(child_text(sample, "value") or ""))
    return {"id": ids, "time": times, "value": values}


def parse_array(text: str) -> list[Any]:
    """A logged array back, of numbers or texts; BadValue if it is none."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise BadValue(f"{text!r} is no logged array")
    items = [item.strip() for item in text[1:-1].split(",")] if text[1:-1] else []
    try:
        return [parse_double(item) for item in items]
    except BadValue:
        return list(items)


def getDatetime(time: float) -> datetime:  # noqa: N802
    """A time stamp in milliseconds since 1970 as naive local time."""
    return datetime.fromtimestamp(time / 1000)


def _device(data: ScanData, device: str) -> Samples:
    if device not in data:
        logged = ", ".join(sorted(data)) or "nothing"
        raise BadValue(f"{device!r} was not logged in this scan; it has {logged}")
    return data[device]


def iterateSamples(data: ScanData, device: str) -> Iterator[Sample]:  # noqa: N802
    """Serial, time and value of each sample of a device; BadValue if it has none."""
    samples = _device(data, device)
    return zip(samples["id"], samples["time"], samples["value"], strict=True)


def iterateTable(  # noqa: N802
    *devices: Iterable[Sample],
) -> Iterator[list[Sample | None]]:
    """Rows of samples aligned by serial.

    Each row is a new list with one sample per device: its latest so far, None before
    its first. There is one row per serial at which any of them was logged.

    Args:
        devices: iterables of samples such as `iterateSamples` gives.
    """
    sources = [iter(device) for device in devices]
    coming = [next(source, None) for source in sources]
    row: list[Sample | None] = [None] * len(sources)
    while any(sample is not None for sample in coming):
        serial = min(sample[0] for sample in coming if sample is not None)
        for index, sample in enumerate(coming):
            # a device that one Log names twice has two samples of one serial
            while sample is not None and sample[0] == serial:
                row[index] = sample
                sample = next(sources[index], None)
                coming[index] = sample
        yield list(row)


def _rows(
    data: ScanData, devices: tuple[str, ...]
) -> Iterator[tuple[int, int, list[Any]]]:
    """Serial, latest time stamp and values of each row."""
    columns = [
        sorted(iterateSamples(data, device), key=lambda sample: sample[0])
        for device in devices
    ]
    for row in iterateTable(*columns):
        samples = [sample for sample in row if sample is not None]
        serial = max(sample[0] for sample in samples)
        time = max(sample[1] for sample in samples)
        yield serial, time, [None if item is None else item[2] for item in row]


def createTable(data: ScanData, *devices: str) -> list[list[Any]]:  # noqa: N802
    """One column of values per device, aligned by serial.

    A device that was not logged at a serial keeps its last value; None before its
    first.

    Raises:
        BadValue: a device was not logged.
    """
    return getTable(data, *devices)


def getTable(  # noqa: N802
    data: ScanData, *devices: str, with_id: bool = False, with_time: bool = False
) -> list[list[Any]]:
    """Columns aligned by serial: serial and time if asked for, then each device.

    The time of a row is that of its latest sample, in milliseconds since 1970.

    Raises:
        BadValue: a device was not logged.
    """
    rows = list(_rows(data, devices))
    table: list[list[Any]] = []
    if with_id:
        table.append([serial for serial, _, _ in rows])
    if with_time:
        table.append([time for _, time, _ in rows])
    table.extend([values[i] for _, _, values in rows] for i in range(len(devices)))
    return table


def getTimeSeries(  # noqa: N802
    data: ScanData, name: str, convert: str = "plain"
) -> list[list[Any]]:
    """Times and values of a device.

    Args:
        data: as from `getData`.
        name: of the device.
        convert: `plain` for milliseconds since 1970, `datetime` for local time.

    Raises:
        BadValue: the device was not logged, or `convert` is something else.
    """
    samples = _device(data, name)
    if convert not in ("plain", "datetime"):
        raise BadValue(f"convert={convert!r}: use 'plain' or 'datetime'")
    times = list(samples["time"])
    if convert == "datetime":
        times = [getDatetime(time) for time in times]
    return [times, list(samples["value"])]


def alignSerial(data: ScanData, channel: str) -> list[list[Any]]:  # noqa: N802
    """Serials, values and times of a device, in the order of their serials."""
    samples = sorted(iterateSamples(data, channel), key=lambda sample: sample[0])
    return [
        [serial for serial, _, _ in samples],
        [value for _, _, value in samples],
        [time for _, time, _ in samples],
    ]


def alignTime(  # noqa: N802
    data: ScanData, channel: str, intv: float = 0
) -> list[list[Any]]:
    """Times and values of a device, thinned to one sample per `intv` seconds.

    With 0 every sample is kept.
    """
    times: list[Any] = []
    values: list[Any] = []
    samples = sorted(iterateSamples(data, channel), key=lambda item: item[1])
    for _, time, value in samples:
        if not times or time - times[-1] >= intv * 1000:
            times.append(time)
            values.append(value)
    return [times, values]


class Data:
    """Logged data, by device, out of the XML that a scan server sends."""

    def __init__(self, xml: bytes | str):
        self.data = parseXMLData(xml)

    def PVlist(self) -> list[str]:  # noqa: N802
        """Names of the devices that were logged."""
        return list(self.data)

    def PV(self, name: str) -> Samples:  # noqa: N802
        """`id`, `time` and `value` of a device."""
        return _device(self.data, name)

    def PVvalue(self, name: str) -> list[Any]:  # noqa: N802
        """Values of a device."""
        return self.PV(name)["value"]

    def PVtime(self, name: str) -> list[Any]:  # noqa: N802
        """Times of a device in milliseconds since 1970."""
        return self.PV(name)["time"]

    def __getitem__(self, name: str) -> Samples:
        """`id`, `time` and `value` of a device."""
        return self.PV(name)

    def __str__(self) -> str:
        return json.dumps(self.data)
