"""The REST vocabulary of a scan server, in both directions.

Every request is a small dataclass, a `Call`. A client turns it into an `HttpRequest`
with `request()` and the reply into an answer with `answer()`; `routes` is the server's
side. Nothing here does I/O, so the blocking client, the asyncio client and the server
say the same.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any
from urllib.parse import quote

from beamfly.errors import BadValue
from beamfly.scan.call import Call, HttpRequest
from beamfly.scan.data import ScanData, parseXMLData
from beamfly.scan.info import ScanInfo
from beamfly.scan.xmltext import add_text, child_text, parse_xml

DEFAULT_PORT = 4810
NO_DEADLINE = "0000-00-00 00:00:00"
"""What older tools submit when there is no deadline."""
ALL_SCANS = -1
"""Instead of an id: all scans."""


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


class _TextCall(Call[str]):
    """A call that is answered with a text, usually XML."""

    def read(self, body: bytes) -> str:
        """The body as text."""
        return _text(body)


class _DoneCall(Call[None]):
    """A call that is answered with nothing."""

    def read(self, body: bytes) -> None:
        """Nothing."""


@dataclass(frozen=True)
class GetServerInfo(_TextCall):
    """What the server tells of itself, as XML."""

    def request(self) -> HttpRequest:
        """GET /server/info."""
        return HttpRequest("GET", "/server/info")


@dataclass(frozen=True)
class Shutdown(_TextCall):
    """End the server."""

    def request(self) -> HttpRequest:
        """GET /server/shutdown."""
        return HttpRequest("GET", "/server/shutdown")


@dataclass(frozen=True)
class ListScans(Call[list[ScanInfo]]):
    """All scans, newest first."""

    def request(self) -> HttpRequest:
        """GET /scans."""
        return HttpRequest("GET", "/scans")

    def read(self, body: bytes) -> list[ScanInfo]:
        """One info per scan."""
        return [ScanInfo.from_xml(item) for item in parse_xml(body).findall("scan")]


@dataclass(frozen=True)
class ClearScans(_DoneCall):
    """Forget all scans that have ended."""

    def request(self) -> HttpRequest:
        """DELETE /scans/completed."""
        return HttpRequest("DELETE", "/scans/completed")


@dataclass(frozen=True)
class Simulate(Call[dict[str, Any]]):
    """What a scan would do, and how long it would take."""

    commands: bytes
    """XML."""

    def request(self) -> HttpRequest:
        """POST /simulate."""
        return HttpRequest("POST", "/simulate", {}, self.commands, "text/xml")

    def read(self, body: bytes) -> dict[str, Any]:
        """`simulation`: text, `seconds`: float."""
        root = parse_xml(body)
        seconds = child_text(root, "seconds") or "0"
        try:
            duration = float(seconds)
        except ValueError:
            raise BadValue(f"{seconds!r} seconds") from None
        return {"simulation": child_text(root, "log") or "", "seconds": duration}


@dataclass(frozen=True)
class Submit(Call[int]):
    """Execute a scan."""

    commands: bytes
    """XML."""
    name: str = "UnNamed"
    """Any text."""
    queue: bool = True
    """Whether to wait for other queued scans; else it starts at once."""
    timeout: int = 0
    """Seconds that it may run, 0 for ever."""
    deadline: str | None = None
    """Local time of the server, `yyyy-mm-dd HH:MM:SS`, at which it is aborted."""
    pre_post: bool = True
    """Whether the server's pre- and post-scan are executed."""

    def request(self) -> HttpRequest:
        """POST /scan/<name>; what is the default is not said."""
        query: dict[str, str] = {}
        if not self.queue:
            query["queue"] = "false"
        if self.timeout > 0:
            query["timeout"] = str(self.timeout)
        if self.deadline and self.deadline != NO_DEADLINE:
            query["deadline"] = self.deadline
        if not self.pre_post:
            query["pre_post"] = "false"
        path = f"/scan/{quote(self.name, safe='')}"
        return HttpRequest("POST", path, query, self.commands, "text/xml")

    def read(self, body: bytes) -> int:
        """Id of the scan."""
        return _number(body, "id")


def _number(body: bytes, tag: str) -> int:
    root = parse_xml(body)
    text = (root.text or "").strip()
    if root.tag != tag or not re.fullmatch(r"-?\d+", text):
        raise BadValue(f"<{tag}> with a whole number is needed, not {_text(body)!r}")
    return int(text)


@dataclass(frozen=True)
class _OfScan:
    id: int
    """Which scan."""

    @property
    def scan(self) -> int | None:
        """Id of the scan that is asked about."""
        return self.id


@dataclass(frozen=True)
class GetScan(_OfScan, Call[ScanInfo]):
    """State and progress of a scan."""

    def request(self) -> HttpRequest:
        """GET /scan/<id>."""
        return HttpRequest("GET", f"/scan/{self.id}")

    def read(self, body: bytes) -> ScanInfo:
        """Its info."""
        return ScanInfo.from_xml(parse_xml(body))


@dataclass(frozen=True)
class GetCommands(_OfScan, _TextCall):
    """Commands of a scan, as XML that can be submitted again."""

    def request(self) -> HttpRequest:
        """GET /scan/<id>/commands."""
        return HttpRequest("GET", f"/scan/{self.id}/commands")


@dataclass(frozen=True)
class GetDevices(_OfScan, _TextCall):
    """Devices of a scan, -1 for those that are configured, as XML."""

    def request(self) -> HttpRequest:
        """GET /scan/<id>/devices."""
        return HttpRequest("GET", f"/scan/{self.id}/devices")


@dataclass(frozen=True)
class GetData(_OfScan, Call[ScanData]):
    """Logged data of a scan."""

    after: int | None = None
    """Only samples with a greater serial; servers other than ours send them all."""
    texts: bool = False
    """Whether values stay texts, numbers as well."""

    def request(self) -> HttpRequest:
        """GET /scan/<id>/data."""
        query = {} if self.after is None else {"after": str(self.after)}
        return HttpRequest("GET", f"/scan/{self.id}/data", query)

    def read(self, body: bytes) -> ScanData:
        """Samples per device, those up to `after` dropped."""
        return parseXMLData(body, after=self.after, texts=self.texts)


@dataclass(frozen=True)
class GetLastSerial(_OfScan, Call[int]):
    """Serial of the sample that was logged last, -1 for none."""

    def request(self) -> HttpRequest:
        """GET /scan/<id>/last_serial."""
        return HttpRequest("GET", f"/scan/{self.id}/last_serial")

    def read(self, body: bytes) -> int:
        """The serial."""
        return _number(body, "serial")


@dataclass(frozen=True)
class Watch(_OfScan, _TextCall):
    """Events of a scan as they happen; servers other than ours have no such thing."""

    after: int = -1
    """Only samples with a greater serial."""

    def request(self) -> HttpRequest:
        """GET /api/scan/<id>/events."""
        query = {"after": str(self.after)}
        return HttpRequest("GET", f"/api/scan/{self.id}/events", query)


def _event_info(text: str) -> ScanInfo:
    fields = {item.name for item in dataclass_fields(ScanInfo)}
    return ScanInfo(**{k: v for k, v in json.loads(text).items() if k in fields})


EVENTS: Mapping[str, Callable[[str], Any]] = {
    "info": _event_info,
    "samples": json.loads,
}
"""Kind of an event -> what its data mean."""

VERBS = ("pause", "resume", "abort", "next")


@dataclass(frozen=True)
class Control(_OfScan, _DoneCall):
    """Pause, resume, abort, or end the current command; -1 for all scans."""

    verb: str = "pause"
    """One of `VERBS`."""

    def request(self) -> HttpRequest:
        """PUT /scan/<id>/<verb>."""
        return HttpRequest("PUT", f"/scan/{self.id}/{self.verb}", {}, b"", "text/xml")


@dataclass(frozen=True)
class Move(_OfScan, _DoneCall):
    """Move a scan in the queue."""

    steps: int = 0
    """Below 0 is earlier, above 0 later."""

    def request(self) -> HttpRequest:
        """PUT /scan/<id>/move/<steps>."""
        path = f"/scan/{self.id}/move/{self.steps}"
        return HttpRequest("PUT", path, {}, b"", "text/xml")


@dataclass(frozen=True)
class Patch(_OfScan, _DoneCall):
    """Change a command of a scan that is not done."""

    address: int = 0
    """Which command: they are counted from 0, bodies included."""
    property: str = "value"
    """Such as value, seconds, start, end, step_size, timeout."""
    value: str = ""
    """As text."""

    def request(self) -> HttpRequest:
        """PUT /scan/<id>/patch."""
        patch = ET.Element("patch")
        add_text(patch, "address", str(self.address))
        add_text(patch, "property", self.property)
        add_text(patch, "value", self.value)
        body = ET.tostring(patch)
        return HttpRequest("PUT", f"/scan/{self.id}/patch", {}, body, "text/xml")


@dataclass(frozen=True)
class Delete(_OfScan, _DoneCall):
    """Forget a scan; nothing happens while it is not done."""

    def request(self) -> HttpRequest:
        """DELETE /scan/<id>."""
        return HttpRequest("DELETE", f"/scan/{self.id}")
