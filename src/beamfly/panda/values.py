"""Commands that read, write, arm, identify and ask for changes.

They are what scripts use most; `beamfly.panda.commands` gathers them with those that
introspect (`introspection`) and save or restore settings (`state`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from beamfly.errors import CommandError, VersionError
from beamfly.panda.exchange import Command, Exchange, ExchangeGenerator, interleave
from beamfly.panda.responses import Changes, Identification
from beamfly.panda.tables import words_to_base64

__all__ = [
    "Append",
    "Arm",
    "ChangeGroup",
    "Disarm",
    "Get",
    "GetChanges",
    "GetLine",
    "GetMultiline",
    "Identify",
    "Put",
    "Raw",
]

Words: TypeAlias = Sequence[str] | Sequence[int] | npt.NDArray[np.integer[Any]]
"""Words of a table: lines of text as they are, or integers, which go as base64."""


@dataclass
class Raw(Command[list[str]]):
    """Send the lines of one command as they are, get the lines of the reply.

    A table or multi-line metadata must end with an empty line.

    ```
    Raw(["PCAP.ACTIVE?"]) -> ["OK =1"]
    Raw(["SEQ1.TABLE<", "1", "1", "0", "0", ""]) -> ["OK"]
    Raw(["SEQ1.TABLE?"]) -> ["!1", "!1", "!0", "!0", "."]
    ```
    """

    inp: list[str]
    """Lines without line ends."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[list[str]]:
        """One exchange; its reply is returned even when it is ERR."""
        exchange = Exchange(self.inp)
        yield exchange
        return exchange.received


@dataclass
class Get(Command[str | list[str]]):
    """Read a field, attribute or star command, whatever the form of its reply.

    ```
    Get("PCAP.ACTIVE") -> "1"
    Get("SEQ1.TABLE") -> ["1048576", "0", "1000", "1000"]
    Get("*IDN") -> "PandA SW: 4.1 ..."
    ```
    """

    field: str
    """Without the question mark."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[str | list[str]]:
        """One exchange."""
        exchange = Exchange(f"{self.field}?")
        yield exchange
        return exchange.multiline if exchange.is_multiline else exchange.line


@dataclass
class GetLine(Command[str]):
    """Read a field, attribute or star command that has one value."""

    field: str
    """Without the question mark."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[str]:
        """One exchange; CommandError if the reply is a list."""
        exchange = Exchange(f"{self.field}?")
        yield exchange
        return exchange.line


@dataclass
class GetMultiline(Command[list[str]]):
    """Read a field, attribute or star command that is a list of lines."""

    field: str
    """Without the question mark."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[list[str]]:
        """One exchange; CommandError if the reply is a single value."""
        exchange = Exchange(f"{self.field}?")
        yield exchange
        return exchange.multiline


def _table(field: str, mode: str, words: Words) -> Exchange:
    """A table write: text as it is, integers range-checked and in base64."""
    if not isinstance(words, np.ndarray):
        words = list(words)  # pyright: ignore[reportAssignmentType]
        if all(isinstance(word, str) for word in words):
            return Exchange([f"{field}<{mode}", *cast(list[str], words), ""])
    return Exchange([f"{field}<{mode}B", *words_to_base64(words), ""])


@dataclass
class Put(Command[None]):
    """Write a field or attribute.

    ```
    Put("PCAP.TRIG", "PULSE1.OUT")
    Put("PULSE1.DELAY", 0.5)
    Put("BITS.A", True)
    Put("SEQ1.TABLE", ["1048576", "0", "1000", "1000"])
    Put("SEQ1.TABLE", np.array([1048576, 0, 1000, 1000]))
    Put("SFP3_SYNC_IN1.SYNC_RESET")
    ```
    """

    field: str
    """Without the equals sign."""
    value: str | float | Words = ""
    """A value (a bool is sent as 0 or 1); lines of text for a table or multi-line
    metadata; or integers for a table, -2**31 to 2**32 - 1, which are sent as base64.
    BadValue if one of them is out of range.
    """

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[None]:
        """One exchange."""
        # a member of an enum would be sent as the name of its class and its own
        value = self.value.value if isinstance(self.value, Enum) else self.value
        if isinstance(value, bool | np.bool_):
            exchange = Exchange(f"{self.field}={value:d}")
        elif isinstance(value, str | int | float | np.number):
            exchange = Exchange(f"{self.field}={value}")
        else:
            exchange = _table(self.field, "", value)
        yield exchange
        exchange.check_ok()


@dataclass
class Append(Command[None]):
    """Append rows to a table that is being streamed.

    ```
    Append("SEQ1.TABLE", ["1048576", "0", "1000", "1000"])
    Append("SEQ1.TABLE", np.array([1048576, 0, 1000, 1000]), last=True)
    ```
    """

    field: str
    """Name of the table."""
    value: Words
    """Words, as for `Put`."""
    last: bool = False
    """Whether no more rows follow; needs a server 4.0 or later."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[None]:
        """One exchange; VersionError if the server has no last row."""
        if self.last and version < (4, 0):
            msg = (
                f"Append({self.field!r}, last=True) needs a PandA server 4.0 or "
                f"later, this one is {version[0]}.{version[1]}; nothing was sent"
            )
            raise VersionError(msg)
        exchange = _table(self.field, "<|" if self.last else "<", self.value)
        yield exchange
        exchange.check_ok()


@dataclass
class Arm(Command[None]):
    """Arm PCAP."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[None]:
        """One exchange."""
        exchange = Exchange("*PCAP.ARM=")
        yield exchange
        exchange.check_ok()


@dataclass
class Disarm(Command[None]):
    """Disarm PCAP; no error if it is not armed."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[None]:
        """One exchange."""
        exchange = Exchange("*PCAP.DISARM=")
        yield exchange
        exchange.check_ok()


_IDENTITY = re.compile(r"PandA SW: (.*) FPGA: (.*) rootfs: (.*)")


@dataclass
class Identify(Command[Identification]):
    """Ask for the versions of server, firmware and root file system."""

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[Identification]:
        """One exchange; CommandError if the answer is not that of a PandA."""
        exchange = Exchange("*IDN?")
        yield exchange
        match = _IDENTITY.fullmatch(exchange.line)
        if match is None:
            raise CommandError(f"{exchange.line!r} is not the identity of a PandA")
        return Identification(match[1], match[2], match[3])


class ChangeGroup(Enum):
    """Which values `GetChanges` asks for."""

    ALL = ""
    """All the groups below."""
    CONFIG = ".CONFIG"
    """Settings: param and time fields, bit_mux and pos_mux."""
    BITS = ".BITS"
    """The bit bus."""
    POSN = ".POSN"
    """The position bus."""
    READ = ".READ"
    """Read fields; a server polls them when asked."""
    ATTR = ".ATTR"
    """Attributes: units, scale, offset, capture, delay, queued lines."""
    TABLE = ".TABLE"
    """Tables, by name only."""
    METADATA = ".METADATA"
    """Labels, design name, layout."""


@dataclass
class GetChanges(Command[Changes]):
    """Ask what changed since this was last asked on the same connection.

    The first time, everything did. A server may repeat read fields that did not
    change.

    ```
    GetChanges(ChangeGroup.CONFIG) -> Changes(
        values={"PCAP.TRIG": "PULSE1.OUT"}, no_value=[], in_error=[],
        multiline_values={})
    ```
    """

    group: ChangeGroup = ChangeGroup.ALL
    """What to ask for."""
    get_multiline: bool = False
    """Whether to fetch changed tables and multi-line metadata, in one further write;
    if not, their names are in `no_value`.
    """

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[Changes]:
        """One exchange, then one per table if they are wanted."""
        exchange = Exchange(f"*CHANGES{self.group.value}?")
        yield exchange
        changes = parse_changes(exchange.multiline)
        if self.get_multiline:
            names, changes.no_value = changes.no_value, []
            lists = yield from interleave(
                GetMultiline(name).execute(version) for name in names
            )
            changes.multiline_values = dict(zip(names, lists, strict=True))
        return changes


def parse_changes(lines: list[str]) -> Changes:
    """Sort the lines of a change report; CommandError if one makes no sense."""
    changes = Changes({}, [], [], {})
    for line in lines:
        # the value comes last and may itself end in < or (error)
        name, has_value, value = line.partition("=")
        if has_value:
            # a server prints units that were never set as (null)
            unset = value == "(null)" and name.endswith(".UNITS")
            changes.values[name] = "" if unset else value
        elif line.endswith("<"):
            changes.no_value.append(line[:-1])
        elif line.endswith(" (error)"):
            changes.in_error.append(line.removesuffix(" (error)"))
        else:
            raise CommandError(f"{line!r} in a change report makes no sense")
    return changes
