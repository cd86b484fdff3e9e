"""A whole scan as commands: written as XML, read back from it."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any, Self

from beamfly.errors import BadValue
from beamfly.scan.command import Command, XmlCommand
from beamfly.scan.containers import flat, read_command
from beamfly.scan.xmltext import document, parse_xml


def read_commands(text: bytes | str) -> list[XmlCommand]:
    """The commands of a `<commands>` document.

    Raises:
        BadValue: it is no such document, or a command in it makes no sense.
    """
    root = parse_xml(text)
    if root.tag != "commands":
        raise BadValue(f"Wrong document type <{root.tag}>, <commands> is needed")
    return [read_command(element) for element in root]


def server_document(commands: Iterable[XmlCommand]) -> str:
    """Commands as a scan server gives them back: normalised, no XML declaration."""
    root = ET.Element("commands")
    root.extend(command.server_xml() for command in commands)
    return document(root, declaration=False)


def submission(commands: Any) -> bytes:
    """Whatever a client takes for a scan, as the XML to submit.

    XML as text or bytes is taken as it is; a `CommandSequence`, a command or any
    iterable of commands is written.

    Raises:
        BadValue: there is something other than commands among them.
    """
    if isinstance(commands, bytes):
        return commands
    if isinstance(commands, str):
        return commands.encode("utf-8")
    return CommandSequence(commands).genSCN()


class CommandSequence(list[Command]):
    """A list of commands that can be printed, and written as XML.

    Args:
        commands: commands, or lists of them, nested at will.
    """

    def __init__(self, *commands: Any):
        super().__init__(flat(*commands))

    def __iadd__(self, value: Any, /) -> Self:
        self.append(value)
        return self

    def append(self, *commands: Any) -> None:  # pyright: ignore
        """Add commands, or lists of them, to the end."""
        self.extend(flat(*commands))

    def genSCN(self) -> bytes:  # noqa: N802
        """The commands as XML for the scan server."""
        root = ET.Element("commands")
        root.extend(command.genXML() for command in self)
        ET.indent(root)
        return ET.tostring(root)

    def format(self) -> str:
        """The commands as indented lines."""
        if not self:
            return "[]"
        return "[" + "".join(f"\n{command.format(1)}" for command in self) + "\n]"

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"CommandSequence({self})"
