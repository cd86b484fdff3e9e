"""What all commands share: the base class, and the kinds of their fields.

`Command` is what scripts may subclass, `XmlCommand` a command that the scan server
knows, driven by its fields (see `xmltext`). The commands themselves are in `actions`,
`moves` and `containers`; `commands` has them all.
"""

import xml.etree.ElementTree as ET
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Number, Real
from typing import Annotated, Any, ClassVar, Self, cast

from beamfly.errors import BadValue
from beamfly.scan.values import parse_value
from beamfly.scan.xmltext import (
    CLIENT,
    NAME,
    SERVER,
    Child,
    Kind,
    element_of,
    fields_of,
    given,
    list_kind,
    number_text,
    quoted_value_text,
    text_kind,
)

COMPARISONS: dict[str, str] = {
    "=": "EQUALS",
    "!=": "UNEQUAL",
    ">": "ABOVE",
    ">=": "AT_LEAST",
    "<": "BELOW",
    "<=": "AT_MOST",
    "increase by": "INCREASE_BY",
    "decrease by": "DECREASE_BY",
    "in": "IN",
    "not in": "NOT_IN",
}
"""Comparison as a script writes it -> its name in XML."""

IF_COMPARISONS = ("=", "!=", ">", ">=", "<", "<=")
"""Comparisons that `If` knows."""

_SYMBOLS = {name: symbol for symbol, name in COMPARISONS.items()}


def _set_value_text(value: Any, dialect: str) -> str:
    """Numbers as such, flags as 1 and 0, texts in quotes, arrays as a quoted list."""
    if isinstance(value, bool):
        return number_text(int(value), dialect)
    if isinstance(value, (list, tuple)):
        items = list(cast(Iterable[Any], value))
        return quoted_value_text(str(items), dialect)
    return quoted_value_text(value, dialect)


def _desired_text(value: Any, dialect: str) -> str:
    """A client writes texts bare, as scripts rely on "10" being compared as 10."""
    if isinstance(value, bool):
        return number_text(int(value), dialect)
    bare = str if dialect == CLIENT else Listed
    if isinstance(value, bare):
        return str(value)
    return quoted_value_text(value, dialect)


VALUE: Kind = text_kind(_set_value_text, parse_value)
DESIRED: Kind = text_kind(_desired_text, parse_value)
COMPARISON: Kind = text_kind(
    lambda value, _: COMPARISONS[value],
    # a server takes a comparison that it does not know for EQUALS
    lambda text: _SYMBOLS.get(text.strip(), "="),
)
DEVICES = list_kind("device")
ARGUMENTS = list_kind("argument")


def literal(value: Any) -> str:
    """A value as a script writes it: quotes around texts only."""
    return f"'{value}'" if isinstance(value, str) else str(value)


class Listed(str):
    """The values of `in` and `not in`: a list with commas, never taken for a number."""

    __slots__ = ()


def listed(value: Any) -> Listed:
    """What `in` compares with: a text as it is, a list with quotes and commas."""
    if isinstance(value, str):
        return Listed(value)
    if not isinstance(value, (list, tuple)):
        return Listed(value)
    return Listed(",".join(f'"{item}"' for item in cast(list[Any], value)))


def plain_number(value: Any, what: str) -> Any:
    """A number fit for XML: numpy scalars become Python's own.

    Raises:
        BadValue: it is no real number.
    """
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Real) or hasattr(value, "__float__"):
        return float(value)
    raise BadValue(f"{what} must be a number, not {value!r}")


def plain_value(value: Any) -> Any:
    """What a device is set to: a number, a text or a list of such."""
    if isinstance(value, (str, int, float)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Number):
        return plain_number(value, "a value")
    if isinstance(value, Iterable):
        return list(cast(Iterable[Any], value))
    return str(value)


def device_name(device: Any) -> str:
    """The name of a device; BadValue if it is no text or empty."""
    if not isinstance(device, str) or not device:
        raise BadValue(f"Expect device name, got {device!r}")
    return device


def known_comparison(comparison: str, allowed: Sequence[str]) -> str:
    """The comparison itself; BadValue if it is not one of those allowed."""
    if comparison not in allowed:
        raise BadValue(
            f"Invalid comparison '{comparison}': use one of {', '.join(allowed)}"
        )
    return comparison


def handler_text(handler: str | None) -> str:
    """The end of a repr that names an error handler."""
    return f", errhandler='{handler}'" if handler else ""


Handler = Annotated[
    str | None,
    Child(
        "error_handler",
        NAME,
        missing=None,
        client=given("errhandler"),
        server=given("errhandler"),
    ),
]
"""The error handler of a command."""

INDENT = "    "


class Command(ABC):
    """Anything that a scan can execute.

    A subclass of your own needs `genXML` and `__repr__`, made of commands that the
    scan server knows.
    """

    @abstractmethod
    def genXML(self) -> ET.Element:  # noqa: N802
        """The command as the XML element that is submitted."""

    @abstractmethod
    def __repr__(self) -> str:
        """The command as a script would write it."""

    def __str__(self) -> str:
        return repr(self)

    def indent(self, level: int) -> str:
        """Blanks in front of a line at that level."""
        return INDENT * level

    def format(self, level: int = 0) -> str:
        """The command as indented lines."""
        return self.indent(level) + repr(self)


COMMANDS: dict[str, "type[XmlCommand]"] = {}
"""Tag -> class of every command that a scan server knows."""


@dataclass(eq=False, repr=False)
class XmlCommand(Command):
    """A command that the scan server knows; fields drive its XML."""

    TAG: ClassVar[str] = ""

    def __init_subclass__(cls, tag: str = "") -> None:
        """Register the command under its tag."""
        if tag:
            cls.TAG = tag
            COMMANDS[tag] = cls

    def genXML(self) -> ET.Element:  # noqa: N802
        """The command as the XML element that is submitted."""
        return element_of(self, self.TAG, CLIENT)

    def server_xml(self) -> ET.Element:
        """The command as a scan server gives it back."""
        return element_of(self, self.TAG, SERVER)

    @classmethod
    def from_xml(cls, element: ET.Element) -> Self:
        """The command in an element, missing children taken as a server takes them.

        Raises:
            BadValue: a required child is missing, or a text makes no sense.
        """
        command = cls.__new__(cls)
        for name, value in fields_of(cls, element).items():
            setattr(command, name, value)
        command.settle()
        return command

    def settle(self) -> None:
        """Put straight what depends on several fields, after reading them."""

    def __eq__(self, other: object) -> bool:
        """Whether a scan server takes both for the same."""
        if type(self) is not type(other) or not isinstance(other, XmlCommand):
            return NotImplemented
        mine, yours = (fields_of(type(self), item.genXML()) for item in (self, other))
        return mine == yours

    __hash__ = None  # pyright: ignore
