"""How values of a PandA travel: the text of the control port <-> ophyd-async datatypes.

A `Codec` knows the command that reads a field, the one that writes it, and what the
answer means. `declared_as` narrows one to the datatype that a device class asks for.
Nothing is sent for a value that does not fit: that is a BadValue which names the
field, the value and what is allowed. Tables are in `panda_tables`.
"""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar, cast

import numpy as np
from event_model import Limits
from ophyd_async.core import SignalMetadata, StrictEnum

from beamfly.errors import BadValue, RemoteProtocolError
from beamfly.panda.commands import Arm, Command, Disarm, GetLine, Put

V = TypeVar("V")
Answer: TypeAlias = str | list[str]

INT32 = (-(2**31), 2**31 - 1)
_CLOSEST = 3
"""How many labels to suggest to who gave one that there is not."""
_FEW = 12
"""So many labels can be listed in a sentence."""


@dataclass(frozen=True)
class Codec(Generic[V]):
    """A kind of value: its datatype, and the words for it on the wire."""

    datatype: type[V]
    """What ophyd-async hands out and takes."""

    def ask(self, target: str) -> Command[Any]:
        """The command that reads `target`."""
        return GetLine(target)

    def tell(self, target: str, value: Any) -> Command[None]:
        """The command that writes `value`; BadValue if it does not fit."""
        return Put(target, self.encode(target, value))

    def encode(self, target: str, value: Any) -> str:
        """The value as the PandA writes it; BadValue if it does not fit."""
        raise NotImplementedError(self)

    def decode(self, answer: Answer) -> V:
        """The value in an answer; ValueError if it makes no sense."""
        raise NotImplementedError(self)

    def metadata(self, writable: bool) -> SignalMetadata:
        """Limits or choices, for the data key."""
        return {}

    def declared_as(self, datatype: type[Any], target: str) -> "Codec[Any]":
        """Self for a device class that declares `datatype`; TypeError if it cannot."""
        if datatype is not self.datatype:
            msg = (
                f"{target} is {type_name(self.datatype)}, the device class declares "
                f"{type_name(datatype)}"
            )
            raise TypeError(msg)
        return self


def type_name(datatype: Any) -> str:
    """What to call a datatype in a message."""
    return getattr(datatype, "__name__", str(datatype))


@dataclass(frozen=True)
class TextCodec(Codec[str]):
    """Any text on one line: labels, look-up functions, units."""

    datatype: type[str] = str

    def encode(self, target: str, value: Any) -> str:
        """The text itself."""
        return str(value)

    def decode(self, answer: Answer) -> str:
        """The text itself."""
        return cast(str, answer)


@dataclass(frozen=True)
class BoolCodec(Codec[bool]):
    """One bit, 0 or 1 on the wire."""

    datatype: type[bool] = bool

    def encode(self, target: str, value: Any) -> str:
        """0 or 1; BadValue for anything that is neither."""
        if value not in (0, 1):
            msg = f"{target} takes True or False, not {value!r}; nothing was sent"
            raise BadValue(msg)
        return "1" if value else "0"

    def decode(self, answer: Answer) -> bool:
        """True unless it is 0."""
        return int(cast(str, answer)) != 0


@dataclass(frozen=True)
class IntCodec(Codec[int]):
    """An integer within limits; the server itself would wrap it silently."""

    datatype: type[int] = int
    low: int = INT32[0]
    """Smallest value, inclusive."""
    high: int = INT32[1]
    """Largest value, inclusive."""

    def encode(self, target: str, value: Any) -> str:
        """Decimal; BadValue for fractions and what is out of range."""
        if not _is_number(value) or value != int(value):
            msg = f"{target} takes an integer, not {value!r}; nothing was sent"
            raise BadValue(msg)
        if not self.low <= value <= self.high:
            msg = (
                f"{target} takes {self.low} to {self.high}, not {value}; nothing was "
                "sent"
            )
            raise BadValue(msg)
        return str(int(value))

    def decode(self, answer: Answer) -> int:
        """Decimal."""
        return int(cast(str, answer))

    def metadata(self, writable: bool) -> SignalMetadata:
        """Limits for display and, of a writable field, for control."""
        return {"limits": _limits(self.low, self.high, writable)}


def _limits(low: float, high: float, writable: bool) -> Limits:
    limits: Limits = {"display": {"low": low, "high": high}}
    if writable:
        limits["control"] = {"low": low, "high": high}
    return limits


def _is_number(value: Any) -> bool:
    plain = cast(Any, value.item() if isinstance(value, np.generic) else value)
    number = isinstance(plain, int | float) and not isinstance(plain, bool)
    return number and math.isfinite(plain)


@dataclass(frozen=True)
class FloatCodec(Codec[float]):
    """A float; ten digits come back from a PandA."""

    datatype: type[float] = float

    def encode(self, target: str, value: Any) -> str:
        """As many digits as it has; BadValue for nan and inf."""
        if not _is_number(value):
            msg = f"{target} takes a finite number, not {value!r}; nothing was sent"
            raise BadValue(msg)
        return repr(float(value))

    def decode(self, answer: Answer) -> float:
        """As `float` reads it."""
        return float(cast(str, answer))


@dataclass(frozen=True)
class EnumCodec(Codec[Any]):
    """One of some labels."""

    labels: tuple[str, ...] = ()
    """All labels, in the PandA's order."""

    def encode(self, target: str, value: Any) -> str:
        """The label; BadValue with the nearest ones if there is no such label."""
        label = value.value if isinstance(value, Enum) else value
        if label not in self.labels:
            raise BadValue(_not_a_label(target, label, self.labels))
        return cast(str, label)

    def decode(self, answer: Answer) -> Any:
        """Member of the datatype; of a SubsetEnum a plain str if it has no such."""
        return self.datatype(answer)

    def metadata(self, writable: bool) -> SignalMetadata:
        """All labels, also those that the datatype has no member for."""
        return {"choices": list(self.labels)}

    def declared_as(self, datatype: type[Any], target: str) -> Codec[Any]:
        """With a str or another enum, whose members must agree with the labels."""
        if datatype is not str:
            check_enum(target, datatype, self.labels)
        return replace(self, datatype=datatype)


def _not_a_label(target: str, value: Any, labels: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value), labels, _CLOSEST, 0.5)
    if len(labels) <= _FEW:
        hint = f"it takes {', '.join(labels)}"
    else:
        hint = f"it is none of its {len(labels)} choices"
        if near:
            hint += f", of which {', '.join(near)} come closest"
    return f"{target} cannot be {value!r}: {hint}; nothing was sent"


def check_enum(target: str, datatype: type[Any], labels: Sequence[str]) -> None:
    """TypeError unless the members of an ophyd-async enum agree with the labels."""
    if not issubclass(datatype, Enum):
        msg = f"{target} is an enum, the device class declares {type_name(datatype)}"
        raise TypeError(msg)
    members = {str(member.value) for member in datatype}
    strict = issubclass(datatype, StrictEnum)
    unknown = members - set(labels)
    lacking = set(labels) - members if strict else set[str]()
    if unknown or lacking:
        msg = (
            f"{target} has the labels {', '.join(labels)}, the device class declares "
            f"{datatype.__name__} with {', '.join(sorted(members))}"
        )
        raise TypeError(msg)


@cache
def make_enum(name: str, labels: tuple[str, ...]) -> type[StrictEnum]:
    """A strict enum of these labels, its members named after them."""
    members: dict[str, str] = {}
    for index, label in enumerate(labels):
        member = re.sub(r"\W+", "_", label).strip("_").upper() or f"LABEL_{index}"
        if member[0].isdigit():
            member = f"N{member}"
        while member in members:
            member = f"{member}_{index}"
        members[member] = label
    return cast(type[StrictEnum], StrictEnum(name, members))


@dataclass(frozen=True)
class GroupCaptureCodec(Codec[bool]):
    """Whether the PCAP.BITS word of a bit is captured, with the 31 others in it."""

    datatype: type[bool] = bool

    def encode(self, target: str, value: Any) -> str:
        """Value or No."""
        return "Value" if value else "No"

    def decode(self, answer: Answer) -> bool:
        """True unless it is No."""
        return answer != "No"


@dataclass(frozen=True)
class ArmCodec(Codec[bool]):
    """Whether PCAP is armed; writing it arms or disarms."""

    datatype: type[bool] = bool

    def tell(self, target: str, value: Any) -> Command[None]:
        """Arm or disarm."""
        return Arm() if value else Disarm()

    def decode(self, answer: Answer) -> bool:
        """From *PCAP.STATUS, such as `Busy 1 1`."""
        return cast(str, answer).startswith("Busy")


@dataclass(frozen=True)
class VersionCodec(Codec[str]):
    """One part of the answer to *IDN."""

    datatype: type[str] = str
    pattern: str = ""
    """Regular expression whose only group is that part."""

    def decode(self, answer: Answer) -> str:
        """The part; RemoteProtocolError if it is not there."""
        match = re.search(self.pattern, cast(str, answer))
        if match is None:
            raise RemoteProtocolError(f"{answer!r} is not the identity of a PandA")
        return match[1]
