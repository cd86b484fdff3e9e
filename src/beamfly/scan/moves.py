"""Commands that write a device, or wait for one: `Set` and `Wait`."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Annotated, Any, Self

from beamfly.scan.command import (
    COMPARISON,
    COMPARISONS,
    DESIRED,
    VALUE,
    Handler,
    Listed,
    XmlCommand,
    device_name,
    handler_text,
    known_comparison,
    listed,
    literal,
    plain_number,
    plain_value,
)
from beamfly.scan.values import Scalar
from beamfly.scan.xmltext import FLAG, NAME, NUMBER, Child, child_text, given, positive


def _waits(command: Any) -> bool:
    return bool(command.wait)


def _trusts(command: Any) -> bool:
    return not command.wait


def _awaits_something(command: Any) -> bool:
    return bool((command.completion or command.wait) and command.timeout > 0)


def _has_readback_value(command: Any) -> bool:
    return bool(command.wait and command.readback_value is not None)


Completion = Annotated[
    bool,
    Child(
        "completion",
        FLAG,
        missing=False,
        client=given("completion"),
        server=given("completion"),
    ),
]
Waits = Annotated[bool, Child("wait", FLAG, missing=True, server=_trusts)]
Readback = Annotated[str, Child("readback", NAME, client=_waits, server=_waits)]
Tolerance = Annotated[
    float,
    Child(
        "tolerance", NUMBER, missing=0.1, client=_waits, server=positive("tolerance")
    ),
]
Timeout = Annotated[
    float,
    Child(
        "timeout",
        NUMBER,
        missing=0.0,
        client=_awaits_something,
        server=positive("timeout"),
    ),
]
Limit = Annotated[
    float,
    Child(
        "timeout",
        NUMBER,
        missing=0.0,
        client=positive("timeout"),
        server=positive("timeout"),
    ),
]


class Written(XmlCommand):
    """What `Set` and `Loop` have in common: they write a device and check it."""

    device: str
    completion: bool
    wait: bool
    readback: str
    tolerance: float
    timeout: float

    def getDevice(self) -> str:  # noqa: N802
        """Name of the device that is written."""
        return self.device

    def setCompletion(self, completion: bool) -> None:  # noqa: N802
        """Change whether the end of processing is awaited."""
        self.completion = bool(completion)

    def setReadback(self, readback: bool | str | None) -> None:  # noqa: N802
        """Change the check: False for none, True for the device itself, or a name."""
        self.wait = bool(readback)
        self.readback = readback if isinstance(readback, str) else ""
        self.settle()

    def setTolerance(self, tolerance: float) -> None:  # noqa: N802
        """Change how far a numeric readback may be off."""
        self.tolerance = plain_number(tolerance, "A tolerance")

    def setTimeout(self, timeout: float) -> None:  # noqa: N802
        """Change the seconds allowed for completion and readback, 0 for ever."""
        self.timeout = plain_number(timeout, "A timeout")

    def settle(self) -> None:
        """The readback is the device itself unless another is named."""
        self.readback = (self.readback or self.device) if self.wait else ""


@dataclass(eq=False, repr=False)
class Set(Written, tag="set"):
    """Set a device to a value.

    Waits for the end of processing with `completion`, and until a readback is within
    tolerance with `readback`; with both, the readback has one second after completion.
    """

    device: Annotated[str, Child("device", NAME)]
    """Name of the device."""
    value: Annotated[Scalar | list[Any], Child("value", VALUE, missing=0.0)]
    """A number or a text; True and False are written as 1 and 0."""
    completion: Completion
    """Whether the end of processing is awaited."""
    wait: Waits
    """Whether the readback is checked."""
    readback: Readback
    """Device to check, empty when nothing is checked."""
    readback_value: Annotated[
        Scalar | None,
        Child(
            "readback_value",
            VALUE,
            missing=None,
            client=_has_readback_value,
            server=_has_readback_value,
        ),
    ]
    """What the readback must show, None for the value itself."""
    tolerance: Tolerance
    """How far a numeric readback may be off."""
    timeout: Timeout
    """Seconds for completion or readback, 0 for ever."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        device: str,
        value: Any,
        completion: bool = False,
        readback: bool | str | None = False,
        readback_value: Scalar | None = None,
        tolerance: float = 0.0,
        timeout: float = 0.0,
        errhandler: str | None = None,
    ):
        self.device = device_name(device)
        self.value = plain_value(value)
        self.readback_value = readback_value
        self.errhandler = errhandler
        self.setCompletion(completion)
        self.setReadback(readback)
        self.setTolerance(tolerance)
        self.setTimeout(timeout)

    def __repr__(self) -> str:
        parts = [f"Set('{self.device}', {literal(self.value)}"]
        if self.completion:
            parts.append("completion=True")
        if self.timeout:
            parts.append(f"timeout={self.timeout:g}")
        if self.wait:
            parts.append(f"readback='{self.readback}'")
            if self.readback_value is not None:
                parts.append(f"readback_value={literal(self.readback_value)}")
            parts.append(f"tolerance={self.tolerance:f}")
        return f"{', '.join(parts)}{handler_text(self.errhandler)})"


@dataclass(eq=False, repr=False)
class Wait(XmlCommand, tag="wait"):
    """Wait until a device reaches a value.

    Comparisons: those of `COMPARISONS`. A text that reads as a number is compared as
    one. `tolerance` serves `=` only; 0 leaves it to the server, which takes 0.1.
    """

    device: Annotated[str, Child("device", NAME)]
    """Name of the device."""
    value: Annotated[Scalar, Child("value", DESIRED, missing=0.0)]
    """What it must reach; for `in` and `not in` a list separated by commas."""
    comparison: Annotated[str, Child("comparison", COMPARISON, missing="=")]
    """How the two are compared."""
    tolerance: Annotated[
        float,
        Child(
            "tolerance",
            NUMBER,
            missing=0.1,
            client=positive("tolerance"),
            server=positive("tolerance"),
        ),
    ]
    """How far a number may be off."""
    timeout: Limit
    """Seconds, 0 for ever."""
    errhandler: Handler
    """Name of an error handler on the server."""

    def __init__(
        self,
        device: str,
        value: Scalar,
        comparison: str = "=",
        tolerance: float = 0.0,
        timeout: float = 0.0,
        errhandler: str | None = None,
    ):
        self.device = device_name(device)
        self.value = value
        self.errhandler = errhandler
        self.setComparison(comparison)
        self.setTolerance(tolerance)
        self.setTimeout(timeout)

    def getDevice(self) -> str:  # noqa: N802
        """Name of the device."""
        return self.device

    def setComparison(self, comparison: str) -> None:  # noqa: N802
        """Change how device and value are compared; BadValue if that is unknown."""
        self.comparison = known_comparison(comparison, tuple(COMPARISONS))
        self.settle()

    def settle(self) -> None:
        """Lists stay as they are written, other values are numbers or texts."""
        inside = self.comparison in ("in", "not in")
        self.value = listed(self.value) if inside else plain_value(self.value)

    @classmethod
    def from_xml(cls, element: ET.Element) -> Self:
        """The command in an element."""
        command = super().from_xml(element)
        if isinstance(command.value, Listed):
            command.value = Listed((child_text(element, "value") or "").strip())
        return command

    def setTolerance(self, tolerance: float) -> None:  # noqa: N802
        """Change how far a number may be off."""
        self.tolerance = plain_number(tolerance, "A tolerance")

    def setTimeout(self, timeout: float) -> None:  # noqa: N802
        """Change the seconds allowed, 0 for ever."""
        self.timeout = plain_number(timeout, "A timeout")

    def __repr__(self) -> str:
        parts = [f"Wait('{self.device}', {literal(self.value)}"]
        if self.comparison != "=":
            parts.append(f"comparison='{self.comparison}'")
        if self.tolerance > 0:
            parts.append(f"tolerance={self.tolerance:g}")
        if self.timeout > 0:
            parts.append(f"timeout={self.timeout:g}")
        return f"{', '.join(parts)}{handler_text(self.errhandler)})"
