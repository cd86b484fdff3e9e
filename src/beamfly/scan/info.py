"""What a scan server tells of a scan, of a device and of itself.

`ScanInfo`, `DeviceInfo` and `ServerInfo` are read from XML by clients and written by
the server; element names and order are those that display clients of CS-Studio know.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from beamfly.errors import RemoteProtocolError
from beamfly.scan.values import printable
from beamfly.scan.xmltext import add_text, child_text


class ScanState(IntEnum):
    """State of a scan; the number is what the status PV shows."""

    IDLE = 0
    """Waits for its turn."""
    RUNNING = 1
    PAUSED = 2
    ABORTED = 3
    FAILED = 4
    FINISHED = 5
    LOGGED = 6
    """Of an earlier run of the server: there are data but no commands."""

    @property
    def label(self) -> str:
        """The word for it in XML: Idle, Running ..."""
        return self.name.capitalize()

    @property
    def done(self) -> bool:
        """Whether the scan will not change any more."""
        return self > ScanState.PAUSED


ACTIVE_STATES = ("Idle", "Running", "Paused")
"""States, as the XML has them, that a scan can still leave."""


def _integer(element: ET.Element, tag: str, missing: int = 0) -> int:
    text = child_text(element, tag)
    if text is None:
        return missing
    try:
        return int(text)
    except ValueError:
        msg = f"The scan server sent {text!r} for <{tag}>, a whole number is needed"
        raise RemoteProtocolError(msg) from None


@dataclass(frozen=True)
class ScanInfo:
    """What the scan server tells of one scan."""

    id: int
    """Number that the server gave it."""
    name: str
    """Name that it was submitted with."""
    created: int
    """When it was submitted, in milliseconds since 1970."""
    state: str
    """Idle, Running, Paused, Aborted, Failed, Finished or Logged."""
    runtime: int = 0
    """Milliseconds since it started, until now or its end."""
    total_work_units: int = 0
    """Commands to execute, 0 when not known."""
    performed_work_units: int = 0
    """Commands executed so far."""
    finish: int = 0
    """When it ended or will end, in milliseconds since 1970; 0 when not known."""
    address: int = -1
    """Command that was started last; -1 for none."""
    command: str | None = None
    """What it is doing, None before it starts."""
    error: str | None = None
    """Why it failed or was aborted, None if there is nothing to tell."""

    def isDone(self) -> bool:  # noqa: N802
        """Whether the scan has ended, in whatever way."""
        return self.state not in ACTIVE_STATES

    def percentage(self) -> int:
        """Per cent of the work that is done, 0 to 100; 0 when not known."""
        if self.total_work_units <= 0:
            return 0
        share = self.performed_work_units * 100 // self.total_work_units
        return min(100, max(0, share))

    def createdDatetime(self) -> datetime:  # noqa: N802
        """When it was submitted, in local time."""
        return datetime.fromtimestamp(self.created / 1000)

    def __str__(self) -> str:
        text = f"'{self.name}' [{self.id}]: {self.state}"
        if self.state == "Running":
            text += f", {self.percentage()} %"
        return text if self.error in (None, "", self.state) else f"{text}, {self.error}"

    @classmethod
    def from_xml(cls, element: ET.Element) -> "ScanInfo":
        """The info in a `<scan>` element; RemoteProtocolError if it is none."""
        if element.tag != "scan" or element.find("id") is None:
            msg = f"The scan server sent <{element.tag}> where a <scan> is needed"
            raise RemoteProtocolError(msg)
        return cls(
            id=_integer(element, "id"),
            name=child_text(element, "name") or "",
            created=_integer(element, "created"),
            state=child_text(element, "state") or "",
            runtime=_integer(element, "runtime"),
            total_work_units=_integer(element, "total_work_units"),
            performed_work_units=_integer(element, "performed_work_units"),
            finish=_integer(element, "finish"),
            address=_integer(element, "address", -1),
            command=child_text(element, "command") or None,
            error=child_text(element, "error"),
        )

    def to_xml(self) -> ET.Element:
        """The info as a server sends it."""
        element = ET.Element("scan")
        add_text(element, "id", str(self.id))
        add_text(element, "name", self.name)
        add_text(element, "created", str(self.created))
        add_text(element, "state", self.state)
        add_text(element, "runtime", str(self.runtime))
        if self.total_work_units > 0:
            add_text(element, "total_work_units", str(self.total_work_units))
            add_text(element, "performed_work_units", str(self.performed_work_units))
        if self.finish > 0:
            add_text(element, "finish", str(self.finish))
        add_text(element, "address", str(self.address))
        add_text(element, "command", self.command or "")
        if self.error is not None:
            add_text(element, "error", self.error)
        return element


@dataclass(frozen=True)
class DeviceInfo:
    """One device of a scan."""

    name: str
    """Name of its PV."""
    alias: str
    """Name that scans use, the PV's name if there is no other."""
    status: str = "no PV"
    """Its value, `Disconnected`, or `no PV` when no scan uses it."""

    def to_xml(self) -> ET.Element:
        """The device as a server sends it."""
        element = ET.Element("device")
        add_text(element, "name", self.name)
        add_text(element, "alias", self.alias)
        add_text(element, "status", self.status)
        return element


@dataclass(frozen=True)
class ServerInfo:
    """What a scan server tells of itself."""

    version: str
    """Version of the protocol, which has said 4.7.0 for years."""
    start_time: int
    """In milliseconds since 1970."""
    scan_config: str = ""
    """Where its configuration came from."""
    script_paths: list[str] = field(default_factory=list[str])
    """Where it looks for files to include and for scripts."""
    macros: str = ""
    """`NAME=value, NAME=value`."""
    used_mem: int = 0
    """Bytes of memory in use."""
    max_mem: int = 0
    """Bytes of memory that it may use."""
    implementation: str = ""
    """Name and version of a server that is not the original one."""

    def to_xml(self) -> ET.Element:
        """The info as a server sends it."""
        element = ET.Element("server")
        add_text(element, "version", self.version)
        add_text(element, "start_time", str(self.start_time))
        add_text(element, "scan_config", self.scan_config)
        add_text(element, "script_paths", ", ".join(self.script_paths))
        add_text(element, "macros", printable(self.macros))
        add_text(element, "used_mem", str(self.used_mem))
        add_text(element, "max_mem", str(self.max_mem))
        add_text(element, "non_heap", "0")
        if self.implementation:
            add_text(element, "implementation", self.implementation)
        return element
