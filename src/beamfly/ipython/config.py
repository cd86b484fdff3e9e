"""A beamline in one TOML file: `read_config` makes a `Beamline` of it, or says why not.

```toml
name = "BL99"

[data]
catalog = "/data/BL99"                                # runs are kept here
files = "{catalog}/{date}/{device}_{scan_id}_{uid}"   # HDF5 files; may be left out
tiled = true                                          # in Tiled, too; may be left out

[pandas.panda]
host = "panda.example"

[devices.theta]
class = "Motor"
pv = "BL99:M1"

[scan_server]
url = "http://scans.example:4810"
```

All mistakes of a file are told at once, each in a sentence that says where it is. What
may be in which table is in `TABLES`; what a class takes is asked of the class.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from keyword import iskeyword
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from beamfly.errors import BadValue
from beamfly.ipython.classes import DeviceClass, find_class
from beamfly.ipython.config_tables import REQUIRED, TABLES
from beamfly.ipython.paths import check_template

FILES = "{catalog}/{date}/{device}_{uid}"
"""Where HDF5 files go if the file does not say."""
RESERVED = frozenset(
    {"RE", "db", "bec", "devices", "bp", "bps", "live", "reconnect", "tiled"}
)
"""Names of a session that no device can have."""
CONTROL_PORT, DATA_PORT, SCAN_PORT = 8888, 8889, 4810


@dataclass(frozen=True)
class PandaPlace:
    """Where a PandA is."""

    name: str
    """What it is called at the prompt."""
    host: str
    """Name or address."""
    control_port: int = CONTROL_PORT
    """TCP port for commands."""
    data_port: int = DATA_PORT
    """TCP port for frames."""
    kind: str = "HDFPanda"
    """Class: HDFPanda, or Panda for one with other blocks."""


@dataclass(frozen=True)
class DeviceEntry:
    """Any other device."""

    name: str
    """What it is called at the prompt."""
    device_class: DeviceClass
    """What makes it."""
    arguments: Mapping[str, Any]
    """What it is made with."""

    @property
    def place(self) -> str:
        """Where it is, for messages: its PV, or what it is made with."""
        if "pv" in self.arguments:
            return str(self.arguments["pv"])
        return ", ".join(f"{key} {value}" for key, value in self.arguments.items())


@dataclass(frozen=True)
class ScanServerPlace:
    """Where the scan server is."""

    name: str
    """What it is called at the prompt."""
    host: str
    """Name or address."""
    port: int
    """TCP port."""


@dataclass(frozen=True)
class Beamline:
    """What a session is made of."""

    source: str
    """The file, for messages."""
    catalog: Path
    """Directory of the runs; absolute."""
    files: str = FILES
    """Template of the paths of HDF5 files."""
    tiled: bool = False
    """Whether another process writes the runs into the catalog's Tiled database."""
    name: str = ""
    """Goes into each start document as beamline_id, if there is one."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Goes into each start document."""
    epics: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables of Channel Access to set."""
    timeout: float = 10.0
    """Seconds to wait for devices to connect."""
    pandas: tuple[PandaPlace, ...] = ()
    """PandAs."""
    devices: tuple[DeviceEntry, ...] = ()
    """All other devices."""
    scan_server: ScanServerPlace | None = None
    """None if there is none."""


def read_config(path: str | os.PathLike[str]) -> Beamline:
    """Read the TOML file of a beamline.

    Relative paths in it are relative to its directory; `~` is the home directory.

    Raises:
        BadValue: It cannot be read, or something in it makes no sense; has a sentence
            for each mistake.
    """
    path = Path(path).expanduser().absolute()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadValue(f"{path} cannot be read: {reason}") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Beamline:
    """As `read_config`, for the text of a file.

    Args:
        text: In TOML.
        path: Where it is from; absolute.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadValue(f"{path} is not TOML: {error}") from error
    reader = _Reader(path)
    beamline = reader.beamline(content)
    if reader.mistakes or beamline is None:
        raise BadValue("\n".join(f"{path}: {m}" for m in reader.mistakes))
    return beamline


class _Reader:
    """Turns tables into what they stand for, and collects mistakes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.mistakes: list[str] = []
        self._names: dict[str, str] = {}

    def beamline(self, content: Mapping[str, Any]) -> Beamline | None:
        """All of the file; None if it is not worth much."""
        top = self._checked(content, "", "")
        data = self._checked(top.get("data", {"catalog": "."}), "data", "data")
        epics = self._checked(top.get("epics", {}), "epics", "epics")
        connect = self._checked(top.get("connect", {}), "connect", "connect")
        pandas = [self._panda(*item) for item in self._named(top, "pandas")]
        devices = [self._device(*item) for item in self._named(top, "devices")]
        server = self._scan_server(top["scan_server"]) if "scan_server" in top else None
        files = data.get("files", FILES)
        for mistake in check_template("files", files):
            self._note("data", mistake)
        if self.mistakes:
            return None
        catalog = Path(data["catalog"]).expanduser()
        return Beamline(
            source=str(self._path),
            catalog=(self._path.parent / catalog).absolute(),
            files=files,
            tiled=data.get("tiled", False),
            name=top.get("name", ""),
            metadata=top.get("metadata", {}),
            epics=_environment(epics),
            timeout=float(connect.get("timeout", Beamline.timeout)),
            pandas=tuple(panda for panda in pandas if panda is not None),
            devices=tuple(device for device in devices if device is not None),
            scan_server=server,
        )

    def _note(self, where: str, mistake: str) -> None:
        self.mistakes.append(f"[{where}]: {mistake}" if where else mistake)

    def _checked(self, table: Any, kind: str, where: str) -> dict[str, Any]:
        """What is right in a table; mistakes are noted."""
        checks = TABLES[kind]
        right: dict[str, Any] = {}
        for key, value in cast("dict[str, Any]", table).items():
            if key not in checks:
                self._unknown(key, checks, where)
            elif wanted := checks[key](value):
                self._note(where, f'"{key}" has to be {wanted}, not {value!r}')
            else:
                right[key] = value
        for key in REQUIRED.get(kind, ()):
            if key not in table:
                self._note(where, f'there is no "{key}"' if where else f"no [{key}]")
        return right

    def _unknown(self, key: str, known: Iterable[str], where: str) -> None:
        known = list(known)
        near = get_close_matches(key, known, 1, 0.5)
        hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
        self._note(where, f'"{key}" is unknown; {hint}')

    def _named(self, top: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
        """The tables of devices below [kind], those with a proper name."""
        found: list[tuple[str, Any]] = []
        tables = cast("dict[str, Any]", top.get(kind, {}))
        for name, table in tables.items():
            where = f"{kind}.{name}"
            if not isinstance(table, dict):
                self._note("", f"{where} has to be a table [{where}]")
            elif self._may_be_called(name, where):
                found.append((name, cast("dict[str, Any]", table)))
        return found

    def _may_be_called(self, name: str, where: str) -> bool:
        problem = ""
        if not name.isidentifier() or iskeyword(name):
            problem = (
                "is no name that can be typed at the prompt; use letters, digits, _"
            )
        elif name in RESERVED or name.startswith("_"):
            problem = "cannot be the name of a device: it means something else"
        elif name in self._names:
            problem = f"is the name of [{self._names[name]}] already"
        if problem:
            self._note(where, f"{name!r} {problem}")
            return False
        self._names[name] = where
        return True

    def _panda(self, name: str, table: Any) -> PandaPlace | None:
        right = self._checked(table, "pandas.*", f"pandas.{name}")
        if "host" not in right:
            return None
        return PandaPlace(
            name,
            right["host"],
            right.get("control_port", CONTROL_PORT),
            right.get("data_port", DATA_PORT),
            right.get("class", "HDFPanda"),
        )

    def _device(self, name: str, table: dict[str, Any]) -> DeviceEntry | None:
        where = f"devices.{name}"
        wanted = table.get("class")
        if not isinstance(wanted, str):
            self._note(where, 'there is no "class", such as "Motor" or "Signal"')
            return None
        try:
            device_class = find_class(wanted)
        except BadValue as error:
            self._note(where, str(error))
            return None
        arguments = {key: value for key, value in table.items() if key != "class"}
        for key in arguments:
            if key not in device_class.known and not device_class.any_key:
                self._unknown(key, ("class", *device_class.known), where)
        for key in device_class.required:
            if key not in arguments:
                self._note(where, f'there is no "{key}"')
        return DeviceEntry(name, device_class, arguments)

    def _scan_server(self, table: Any) -> ScanServerPlace | None:
        right = self._checked(table, "scan_server", "scan_server")
        name = right.get("name", "scan")
        if "url" not in right or not self._may_be_called(name, "scan_server"):
            return None
        url = urlsplit(str(right["url"]))
        return ScanServerPlace(name, url.hostname or "", url.port or SCAN_PORT)


def _environment(epics: Mapping[str, Any]) -> dict[str, str]:
    """The variables that [epics] stands for."""
    names = {
        "address_list": "EPICS_CA_ADDR_LIST",
        "auto_address_list": "EPICS_CA_AUTO_ADDR_LIST",
        "port": "EPICS_CA_SERVER_PORT",
    }
    words = {True: "YES", False: "NO"}
    return {
        names[key]: words[value] if isinstance(value, bool) else str(value)
        for key, value in epics.items()
    }
