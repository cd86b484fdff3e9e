"""Configuration of a scan server, as in a `scan_config.xml` of CS-Studio."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from beamfly.errors import BadValue
from beamfly.scan.macros import parse_macros
from beamfly.scan.values import parse_double
from beamfly.scan.xmltext import child_text, parse_xml

DEFAULT_SLEW_RATE = 0.05
"""Units per second that a device is assumed to move in a simulation."""


@dataclass(frozen=True)
class PVConfig:
    """What is configured for a PV, or for all whose name matches a pattern."""

    name: str = ""
    """Name of the PV, empty for a pattern."""
    pattern: str = ""
    """Regular expression for whole names, empty for one PV."""
    alias: str = ""
    """What scans may call it, empty for just its name."""
    slew_rate: float | None = None
    """Units per second in a simulation, None for the default."""
    minimum: str = ""
    """PV with the lowest value that a simulation accepts, empty for no limit."""
    maximum: str = ""
    """PV with the highest value that a simulation accepts, empty for no limit."""

    def matches(self, name: str) -> bool:
        """Whether it is about that PV."""
        if self.pattern:
            return re.fullmatch(self.pattern, name) is not None
        return self.name == name


@dataclass(frozen=True)
class ScanConfig:
    """How a scan server behaves."""

    port: int = 4810
    """TCP port of the HTTP server."""
    data_log: str = ""
    """File of the data log, empty to keep data in memory only."""
    pre_scan: list[str] = field(default_factory=list[str])
    """Files executed before each scan."""
    post_scan: list[str] = field(default_factory=list[str])
    """Files executed after each scan."""
    status_pv_prefix: str = ""
    """What the names of the status PVs start with, empty for none."""
    read_timeout: float = 20.0
    """Seconds to wait when a device is read."""
    connect_timeout: float = 30.0
    """Seconds to wait for devices to connect, 0 for ever."""
    paths: list[str] = field(default_factory=list[str])
    """Folders for files to include and for scripts."""
    macros: dict[str, str] = field(default_factory=dict[str, str])
    """In force in all scans."""
    log_limit: int = 0
    """How many ended scans are kept, 0 for no limit."""
    scans_in_memory: int = 200
    """How many ended scans keep their commands; older ones are Logged."""
    pvs: list[PVConfig] = field(default_factory=list[PVConfig])
    """Aliases, slew rates and limits."""
    source: str = ""
    """Where it was read from."""

    @property
    def aliases(self) -> dict[str, str]:
        """Alias -> name of the PV."""
        return {pv.alias: pv.name for pv in self.pvs if pv.alias and pv.name}

    def slew_rate(self, name: str) -> float:
        """Units per second of a PV in a simulation; names count before patterns."""
        for pv in sorted(self.pvs, key=lambda pv: bool(pv.pattern)):
            if pv.slew_rate is not None and pv.matches(name):
                return pv.slew_rate
        return DEFAULT_SLEW_RATE

    def limits(self, name: str) -> tuple[str, str]:
        """PVs with the lowest and highest value of a PV; empty where there is none."""
        for pv in self.pvs:
            if pv.matches(name) and (pv.minimum or pv.maximum):
                return pv.minimum, pv.maximum
        return "", ""


def _texts(root: ET.Element, tag: str) -> list[str]:
    found = [(element.text or "").strip() for element in root.findall(tag)]
    return [text for text in found if text]


def _pv(element: ET.Element) -> PVConfig:
    def text(tag: str) -> str:
        return (child_text(element, tag) or "").strip()

    pattern = text("name_pattern")
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadValue(f"<name_pattern> {pattern!r}: {error}") from None
    if not pattern and not text("name"):
        raise BadValue("A <pv> needs a <name> or a <name_pattern>")
    slew = text("slew_rate")
    return PVConfig(
        text("name"),
        pattern,
        text("alias"),
        parse_double(slew) if slew else None,
        text("minimum"),
        text("maximum"),
    )


def _whole(text: str) -> int:
    return int(parse_double(text))


_SINGLE: dict[str, Callable[[str], Any]] = {
    "port": _whole,
    "data_log": str,
    "status_pv_prefix": str,
    "read_timeout": parse_double,
    "connect_timeout": parse_double,
    "log_limit": _whole,
    "scans_in_memory": _whole,
}


def read_config(text: bytes | str, source: str = "") -> ScanConfig:
    """The configuration in a `<scan_config>` document.

    Elements that mean nothing here, such as the JVM's memory threshold, are ignored.

    Raises:
        BadValue: it is no such document, or something in it makes no sense.
    """
    root = parse_xml(text)
    if root.tag != "scan_config":
        raise BadValue(f"<scan_config> is needed, not <{root.tag}>")
    given: dict[str, Any] = {}
    for tag, parse in _SINGLE.items():
        said = (child_text(root, tag) or "").strip()
        if said:
            given[tag] = parse(said)
    config = ScanConfig(
        pre_scan=_texts(root, "pre_scan"),
        post_scan=_texts(root, "post_scan"),
        paths=_texts(root, "path"),
        macros=parse_macros((child_text(root, "macros") or "").strip()),
        pvs=[_pv(element) for element in root.findall("pv")],
        source=source,
    )
    return replace(config, **given)
