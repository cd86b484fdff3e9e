"""Commands with a body: `If`, `Loop`, `Parallel`, `Sequence`."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, cast

from beamfly.errors import BadValue
from beamfly.scan.command import (
    COMMANDS,
    COMPARISON,
    DESIRED,
    IF_COMPARISONS,
    Command,
    Handler,
    XmlCommand,
    device_name,
    handler_text,
    known_comparison,
    literal,
    plain_number,
    plain_value,
)
from beamfly.scan.moves import (
    Completion,
    Limit,
    Readback,
    Timeout,
    Tolerance,
    Waits,
    Written,
)
from beamfly.scan.values import Scalar
from beamfly.scan.xmltext import (
    CLIENT,
    NAME,
    NUMBER,
    Child,
    Kind,
    given,
)

Body = Command | Iterable[Any] | None
"""What a body can be given as: a command, commands (nested at will), or nothing."""


def flat(*commands: Any) -> list[Command]:
    """Commands one after the other, however they were nested in lists.

    Raises:
        BadValue: something among them is no command.
    """
    found: list[Command] = []
    for command in commands:
        if isinstance(command, Command):
            found.append(command)
        elif command is None:
            continue
        elif isinstance(command, Iterable) and not isinstance(command, (str, bytes)):
            found.extend(flat(*cast(Iterable[Any], command)))
        else:
            raise BadValue(f"A scan is made of commands, and {command!r} is none")
    return found


def read_command(element: ET.Element) -> XmlCommand:
    """The command in an element; BadValue if there is no such command."""
    known = COMMANDS.get(element.tag)
    if known is None:
        raise BadValue(f"Unknown scan command ID {element.tag}")
    return known.from_xml(element)


def _write_body(parent: ET.Element, tag: str, value: Any, dialect: str) -> None:
    body = ET.SubElement(parent, tag)
    for command in value:
        server = dialect != CLIENT and isinstance(command, XmlCommand)
        body.append(command.server_xml() if server else command.genXML())


def _read_body(child: ET.Element) -> list[XmlCommand]:
    return [read_command(element) for element in child]


BODY = Kind(_write_body, _read_body)


class Container(XmlCommand):
    """A command that executes others."""

    body: list[Command]

    def getBody(self) -> list[Command]:  # noqa: N802
        """The commands in the body; changing this list changes the command."""
        return self.body

    def append(self, *commands: Any) -> None:
        """Add commands, or lists of them, to the end of the body."""
        self.body.extend(flat(*commands))

    def listed(self) -> str:
        """The body as it stands in one line."""
        return ", ".join(repr(command) for command in self.body)

    def lines(self, level: int) -> str:
        """The body as indented lines."""
        return ",\n".join(command.format(level + 1) for command in self.body)


class Bracketed(Container):
    """A command with a device and values around its body, which is in brackets."""

    def _head(self) -> str:
        raise NotImplementedError

    def _tail(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        body = f", [ {self.listed()} ]" if self.body else ""
        return f"{self._head()}{body}{self._tail()}"

    def format(self, level: int = 0) -> str:
        """The command as indented lines."""
        blanks, body = self.indent(level), ""
        if self.body:
            body = f",\n{blanks}[\n{self.lines(level)}\n{blanks}]"
        return f"{blanks}{self._head()}{body}{self._tail()}"


@dataclass(eq=False, repr=False)
class If(Bracketed, tag="if"):
    """Execute commands if a device compares with a value right now."""

    device: Annotated[str, Child("device", NAME)]
    """Name of the device."""
    comparison: Annotated[str, Child("comparison", COMPARISON, missing="=")]
    """One of `IF_COMPARISONS`."""
    value: Annotated[Scalar, Child("value", DESIRED, missing=0.0)]
    """What the device is compared with."""
    tolerance: Annotated[float, Child("tolerance", NUMBER, missing=0.1)]
    """How far a number may be off with `=`."""
    body: Annotated[list[Command], Child("body", BODY, missing=[])]
    """What is executed."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        device: str,
        comparison: str,
        value: Scalar,
        body: Body = None,
        *args: Any,
        tolerance: float = 0.1,
        errhandler: str | None = None,
    ):
        self.device = device_name(device)
        self.comparison = known_comparison(comparison, IF_COMPARISONS)
        self.value = plain_value(value)
        self.body = flat(body, *args)
        self.tolerance = plain_number(tolerance, "A tolerance")
        self.errhandler = errhandler

    def getDevice(self) -> str:  # noqa: N802
        """Name of the device."""
        return self.device

    def _head(self) -> str:
        return f"If('{self.device}', '{self.comparison}', {literal(self.value)}"

    def _tail(self) -> str:
        return f", tolerance={self.tolerance:g}{handler_text(self.errhandler)})"


@dataclass(eq=False, repr=False)
class Loop(Bracketed, Written, tag="loop"):
    """Step a device through positions and execute commands at each.

    The end is always reached. A step whose sign does not lead from start to end makes
    the loop change direction each time it is executed, which makes a snake of an inner
    loop. `points` has the exact positions.
    """

    device: Annotated[str, Child("device", NAME)]
    """Name of the device."""
    start: Annotated[float, Child("start", NUMBER, missing=0.0)]
    """First position."""
    end: Annotated[float, Child("end", NUMBER, missing=10.0)]
    """Last position, included."""
    step: Annotated[float, Child("step", NUMBER, missing=1.0)]
    """Distance between positions; 0 is taken for 1."""
    completion: Completion
    """Whether the end of processing is awaited."""
    wait: Waits
    """Whether the readback is checked."""
    readback: Readback
    """Device to check, empty when nothing is checked."""
    tolerance: Tolerance
    """How far the readback may be off."""
    timeout: Timeout
    """Seconds for completion or readback, 0 for ever."""
    body: Annotated[list[Command], Child("body", BODY, missing=[])]
    """What is executed at each position."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        device: str,
        start: float,
        end: float,
        step: float,
        body: Body = None,
        *args: Any,
        completion: bool = False,
        readback: bool | str | None = False,
        tolerance: float | None = None,
        timeout: float = 0,
        errhandler: str | None = None,
    ):
        self.device = device_name(device)
        self.start = plain_number(start, "The start of a loop")
        self.end = plain_number(end, "The end of a loop")
        self.step = plain_number(step, "The step of a loop")
        self.body = flat(body, *args)
        self.errhandler = errhandler
        self.setCompletion(completion)
        self.setReadback(readback)
        self.setTolerance(abs(self.step) / 10 if tolerance is None else tolerance)
        self.setTimeout(timeout)

    def settle(self) -> None:
        """A step of 0 is 1; the readback is the device unless another is named."""
        self.step = self.step or 1.0
        super().settle()

    def _head(self) -> str:
        numbers = f"{self.start:g}, {self.end:g}, {self.step:g}"
        return f"Loop('{self.device}', {numbers}"

    def _tail(self) -> str:
        text = ", completion=True" if self.completion else ""
        if self.wait:
            text += f", readback='{self.readback}', tolerance={self.tolerance:g}"
        if self.timeout:
            text += f", timeout={self.timeout:g}"
        return f"{text}{handler_text(self.errhandler)})"


class Group(Container):
    """A command that is nothing but its body."""

    def _options(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        options = self._options()
        text = self.listed() + (options if self.body else options.removeprefix(", "))
        return f"{type(self).__name__}({text})"

    def format(self, level: int = 0) -> str:
        """The command as indented lines."""
        blanks = self.indent(level)
        if not self.body:
            return blanks + repr(self)
        name = type(self).__name__
        return f"{blanks}{name}(\n{self.lines(level)}\n{blanks}{self._options()})"


@dataclass(eq=False, repr=False)
class Parallel(Group, tag="parallel"):
    """Execute commands at the same time, and wait for all of them."""

    timeout: Limit
    """Seconds allowed for all of it, 0 for ever."""
    body: Annotated[
        list[Command], Child("body", BODY, missing=[], client=given("body"))
    ]
    """What is executed; the first error ends them all."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        body: Body = None,
        *args: Any,
        timeout: float = 0,
        errhandler: str | None = None,
    ):
        self.body = flat(body, *args)
        self.timeout = plain_number(timeout, "A timeout")
        self.errhandler = errhandler

    def _options(self) -> str:
        timeout = f", timeout={self.timeout:g}" if self.timeout > 0 else ""
        return f"{timeout}{handler_text(self.errhandler)}"


@dataclass(eq=False, repr=False)
class Sequence(Group, tag="sequence"):
    """Execute commands one after the other, as one command.

    A sequence in a sequence is flattened, unless it has an error handler of its own.
    """

    body: Annotated[
        list[Command], Child("body", BODY, missing=[], client=given("body"))
    ]
    """What is executed."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(self, body: Body = None, *args: Any, errhandler: str | None = None):
        self.body = []
        self.append(body, *args)
        self.errhandler = errhandler

    def append(self, *commands: Any) -> None:
        """Add commands, or lists of them, to the end of the body."""
        for command in flat(*commands):
            if isinstance(command, Sequence) and not command.errhandler:
                self.append(*command.body)
            else:
                self.body.append(command)

    def _options(self) -> str:
        return handler_text(self.errhandler)
