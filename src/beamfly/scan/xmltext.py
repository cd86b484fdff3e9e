"""XML in and out: safe parsing, and the one codec that all commands share.

A command is a dataclass whose fields are annotated with a `Child`: the tag, how its
text is written and read, what a server takes when it is missing, and when it is written
at all.
`element_of` and `fields_of` walk these tables, so no command has XML code of its own.

Two ways of writing exist: `CLIENT` is what is submitted, `SERVER` is how a server gives
a scan back: numbers as doubles and only what differs from its defaults.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.values import java_double, parse_double, printable

MAX_DEPTH = 100
"""Deepest nesting of elements that is accepted."""

CLIENT = "client"
SERVER = "server"

_ENCODING = re.compile(rb"""^<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)["']""")
_ENCODINGS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"}


def _decoded(data: bytes) -> str:
    """The text of a document, in the encoding that it declares."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        match = _ENCODING.match(data)
        encoding = match[1].decode("ascii").lower() if match else "utf-8"
        if encoding not in _ENCODINGS:
            raise BadValue(f"XML in encoding {encoding!r} is not read; use UTF-8")
    try:
        return data.decode(
            "utf-8-sig" if "utf" in encoding[:4] and "16" not in encoding else encoding
        )
    except UnicodeDecodeError as error:
        raise BadValue(f"XML is not {encoding}: {error.reason}") from None


def parse_xml(data: bytes | str) -> ET.Element:
    """The root of a document.

    Raises:
        BadValue: it is not well-formed, declares a document type (the only way to
            define entities), or nests deeper than `MAX_DEPTH`.
    """
    text = _decoded(data) if isinstance(data, bytes) else data
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadValue("XML with a document type or entities is refused")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise BadValue(f"XML cannot be read: {error}") from None
    except ValueError as error:
        raise BadValue(f"XML cannot be read: {error}") from None
    _check_depth(root)
    return root


def _check_depth(root: ET.Element) -> None:
    """Refuse what a recursive reader could not walk."""
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise BadValue(f"XML nests deeper than {MAX_DEPTH} elements")


def child_text(element: ET.Element, tag: str) -> str | None:
    """Text of a child; None if there is no such child, "" if it is empty."""
    child = element.find(tag)
    return None if child is None else (child.text or "")


def add_text(parent: ET.Element, tag: str, text: str) -> ET.Element:
    """Append a child with that text, unprintable characters replaced."""
    child = ET.SubElement(parent, tag)
    child.text = printable(text)
    return child


def document(root: ET.Element, declaration: bool = True) -> str:
    """The document as text, indented by two blanks."""
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=False)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if declaration else ""
    return f"{head}{text}\n"


@dataclass(frozen=True)
class Kind:
    """How one sort of field stands in XML."""

    write: Callable[[ET.Element, str, Any, str], None]
    """(parent, tag, value, dialect) -> None: append the child."""
    read: Callable[[ET.Element], Any]
    """The child that is there -> value; BadValue if it makes no sense."""


def text_kind(text: Callable[[Any, str], str], parse: Callable[[str], Any]) -> Kind:
    """A kind whose child holds nothing but text: (value, dialect) -> text, and back."""

    def write(parent: ET.Element, tag: str, value: Any, dialect: str) -> None:
        add_text(parent, tag, text(value, dialect))

    def read(child: ET.Element) -> Any:
        return parse(child.text or "")

    return Kind(write, read)


def number_text(value: Any, dialect: str) -> str:
    """A number: as it was given by a client, as a double by a server."""
    if dialect == SERVER or not math.isfinite(value):
        return java_double(float(value))
    return str(value)


def quoted_value_text(value: Any, dialect: str) -> str:
    """Texts in quotes, so that no text can be mistaken for a number."""
    return f'"{value}"' if isinstance(value, str) else number_text(value, dialect)


def list_kind(tag: str) -> Kind:
    """Texts in a list of elements named `tag`."""

    def write(parent: ET.Element, outer: str, value: Any, dialect: str) -> None:
        del dialect
        items = ET.SubElement(parent, outer)
        for item in value:
            add_text(items, tag, str(item))

    def read(child: ET.Element) -> list[str]:
        return [(item.text or "").strip() for item in child.findall(tag)]

    return Kind(write, read)


TEXT = text_kind(lambda value, _: str(value), lambda text: text)
NAME = text_kind(lambda value, _: str(value), str.strip)
NUMBER = text_kind(number_text, parse_double)
FLAG = text_kind(
    lambda value, _: "true" if value else "false",
    lambda text: text.strip().lower() == "true",
)


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Child:
    """One field of a command as a child element."""

    tag: str
    kind: Kind
    missing: Any = ""
    """What a server takes when the child is not there."""
    required: bool = False
    """Whether a server refuses the command without it."""
    client: Callable[[Any], bool] = _always
    """Whether a client writes it, asked of the command."""
    server: Callable[[Any], bool] = _always
    """Whether a server writes it, asked of the command."""

    @cached_property
    def blank_is_missing(self) -> bool:
        """Whether an empty child means the same as none."""
        return self.kind in (NUMBER, FLAG) or self.missing is None


def given(name: str) -> Callable[[Any], bool]:
    """A rule: write the child if that field of the command is neither empty nor 0."""
    return lambda command: bool(getattr(command, name))


def positive(name: str) -> Callable[[Any], bool]:
    """A rule: write the child if that field of the command is above 0."""
    return lambda command: bool(getattr(command, name) > 0)


@cache
def children_of(kind: Any) -> dict[str, Child]:
    """Field name -> child, in the order in which they are written."""
    found: dict[str, Child] = {}
    for item in fields(kind):
        marks = getattr(item.type, "__metadata__", ())
        for mark in marks:
            if isinstance(mark, Child):
                found[item.name] = mark
    return found


def element_of(command: Any, tag: str, dialect: str) -> ET.Element:
    """A command as an element."""
    element = ET.Element(tag)
    for name, entry in children_of(command.__class__).items():
        said = entry.client if dialect == CLIENT else entry.server
        if said(command):
            entry.kind.write(element, entry.tag, getattr(command, name), dialect)
    return element


def fields_of(kind: Any, element: ET.Element) -> dict[str, Any]:
    """Field values of a command from its element.

    Raises:
        BadValue: a required child is missing, or a text makes no sense.
    """
    values: dict[str, Any] = {}
    # the first of several children of the same tag counts
    present = {item.tag: item for item in reversed(element)}
    for name, entry in children_of(kind).items():
        found = present.get(entry.tag)
        if found is None:
            if entry.required:
                raise BadValue(f"Missing '{entry.tag}' in <{element.tag}>")
            values[name] = _missing(entry)
        elif entry.blank_is_missing and not len(found) and _blank(found.text):
            values[name] = _missing(entry)
        else:
            try:
                values[name] = entry.kind.read(found)
            except BadValue as error:
                msg = f"<{element.tag}> has a bad '{entry.tag}': {error}"
                raise BadValue(msg) from None
    return values


def _blank(text: str | None) -> bool:
    return not text or text.isspace()


def _missing(entry: Child) -> Any:
    missing: Any = entry.missing
    return list(cast(list[Any], missing)) if isinstance(missing, list) else missing
