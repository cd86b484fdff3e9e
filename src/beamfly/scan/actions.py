"""Commands that act on the scan itself: comments, delays, logging, files, scripts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, cast

from beamfly.scan.command import (
    ARGUMENTS,
    DEVICES,
    Handler,
    XmlCommand,
    handler_text,
    literal,
    plain_number,
)
from beamfly.scan.xmltext import FLAG, NAME, NUMBER, TEXT, Child, given


@dataclass(eq=False, repr=False)
class Comment(XmlCommand, tag="comment"):
    """Add a comment to the scan."""

    text: Annotated[str, Child("text", TEXT)]
    """Anything; macros are replaced."""

    def __init__(self, text: str = "This is an example comment."):
        self.text = str(text)

    def __repr__(self) -> str:
        return f"Comment('{self.text}')"


@dataclass(eq=False, repr=False)
class ConfigLog(XmlCommand, tag="config_log"):
    """Switch automatic logging of everything that `Set` and `Loop` write on or off."""

    automatic: Annotated[bool, Child("automatic", FLAG, missing=False)]
    """Whether every write is logged."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(self, auto: bool, errhandler: str | None = None):
        self.automatic = bool(auto)
        self.errhandler = errhandler

    def __repr__(self) -> str:
        return f"ConfigLog({self.automatic}{handler_text(self.errhandler)})"


@dataclass(eq=False, repr=False)
class Delay(XmlCommand, tag="delay"):
    """Wait some seconds; the countdown stands still while the scan is paused."""

    seconds: Annotated[float, Child("seconds", NUMBER, missing=0.0)]
    """Zero or less is over at once."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(self, seconds: float, errhandler: str | None = None):
        self.seconds = plain_number(seconds, "Delay")
        self.errhandler = errhandler

    def __repr__(self) -> str:
        return f"Delay({self.seconds:g}{handler_text(self.errhandler)})"


@dataclass(eq=False, repr=False)
class Include(XmlCommand, tag="include"):
    """Execute the commands of a file on the scan server."""

    scan: Annotated[str, Child("scan_file", NAME)]
    """Name of the file on the server's script path."""
    macros: Annotated[
        str | None,
        Child(
            "macros",
            NAME,
            missing=None,
            client=given("macros"),
            server=given("macros"),
        ),
    ]
    """`name=value, other=42`."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self, scan: str, macros: str | None = None, errhandler: str | None = None
    ):
        self.scan = scan
        self.macros = macros
        self.errhandler = errhandler

    def __repr__(self) -> str:
        macros = f", macros='{self.macros}'" if self.macros else ""
        return f"Include('{self.scan}'{macros}{handler_text(self.errhandler)})"


@dataclass(eq=False, repr=False)
class Log(XmlCommand, tag="log"):
    """Read devices and log their values, all under one serial number.

    `Log()` without devices can be written, but a scan server refuses it.
    """

    devices: Annotated[
        list[str], Child("devices", DEVICES, required=True, client=given("devices"))
    ]
    """Names of devices."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        devices: str | Iterable[str] | None = None,
        *args: str,
        errhandler: str | None = None,
    ):
        first = [devices] if isinstance(devices, str) else list(devices or ())
        self.devices = [*first, *args]
        self.errhandler = errhandler

    def __eq__(self, other: object) -> bool:
        """Whether both log the same devices in the same order."""
        if not isinstance(other, Log):
            return NotImplemented
        mine = (self.devices, self.errhandler)
        return mine == (other.devices, other.errhandler)

    __hash__ = None  # pyright: ignore

    def __repr__(self) -> str:
        names = ", ".join(f"'{name}'" for name in self.devices)
        handler = handler_text(self.errhandler)
        return f"Log({names}{handler if names else handler.removeprefix(', ')})"


@dataclass(eq=False, repr=False)
class Script(XmlCommand, tag="script"):
    """Execute a script class on the scan server."""

    path: Annotated[str, Child("path", NAME)]
    """Name of the class; its module is the same name in lower case."""
    arguments: Annotated[
        list[Any],
        Child(
            "arguments",
            ARGUMENTS,
            missing=[],
            client=given("arguments"),
            server=given("arguments"),
        ),
    ]
    """The script receives them as texts."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        script: str = "the_script.py",
        *args: Any,
        errhandler: str | None = None,
        errHandler: str | None = None,  # noqa: N803
    ):
        self.path = script
        self.arguments = list(args)
        if len(args) == 1 and isinstance(args[0], (list, tuple)):
            self.arguments = list(cast(Iterable[Any], args[0]))
        self.errhandler = errhandler or errHandler

    def __repr__(self) -> str:
        given = "".join(f", {literal(item)}" for item in self.arguments)
        return f"Script('{self.path}'{given}{handler_text(self.errhandler)})"
