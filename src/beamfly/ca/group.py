"""Channels that are read or written together, again and again: `Group`.

What a group finds out about its channels holds until one of its circuits has lost a
channel: scripts that ask for the same thousand PVs in a loop do not pay for that again.
"""

import sys
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beamfly.ca.channel import Channel
from beamfly.ca.dbr import Dbr
from beamfly.ca.header import pack_header
from beamfly.ca.ledger import Link
from beamfly.ca.message import Command
from beamfly.ca.status import ECA_DISCONN
from beamfly.errors import CADisconnected

if TYPE_CHECKING:
    from beamfly.ca.client_circuit import ClientCircuit

MOST_GROUPS = 4
"""That are remembered: a scan writes to some PVs and reads others, again and again."""
_WORDS = 4
"""Of 32 bits in a header."""
_READ = (Command.READ_NOTIFY << 16, 0, 0, 0)
"""Header of a read of as many elements as there are, without its type."""


class Part:
    """Those channels of a group that are on one circuit."""

    def __init__(
        self,
        circuit: "ClientCircuit",
        channels: Sequence[Channel],
        places: Sequence[int] = (),
    ) -> None:
        """Look at connected channels of a circuit, else CADisconnected.

        Args:
            circuit: Where they are.
            channels: In any order, perhaps with repetitions.
            places: Where each stands in the group.
        """
        self.circuit = circuit
        self.channels = channels
        self.places = places
        self.links = links = circuit.links(channels)
        self.types = {link.type for link in links}
        """Native types."""
        self.sids = column([link.sid for link in links])
        """Numbers that the server has given, as on the wire."""
        self.cids = column([link.cid for link in links])
        """Numbers that the client has given, as on the wire."""
        self.arrays: dict[int, Dbr] = {}
        """Types of what is an array even if it has one element, by place here."""
        if {link.count for link in links} != {1}:
            self.arrays = {
                at: Dbr(link.type) for at, link in enumerate(links) if link.count != 1
            }
        self.order: list[int] | None = None
        """Places here in the order of reading, None if that is the same."""
        if len(self.types) > 1:
            # equal types together: answers then come in long runs
            types = [link.type for link in links]
            self.order = sorted(range(len(links)), key=types.__getitem__)
        self.writes: dict[int, tuple[str, array[int]]] = {}
        """What all writes of a command have in common, once it is known."""
        self._losses = circuit.losses
        self._words: array[int] | None = None

    @property
    def holds(self) -> bool:
        """Whether all is as it was."""
        return self._losses == self.circuit.losses

    def in_order(self, items: Sequence[Any]) -> Sequence[Any]:
        """What belongs to the channels, in the order of reading."""
        if self.order is None:
            return items
        return [items[place] for place in self.order]

    def reads(self, low: int) -> bytes:
        """Requests for all elements, in the order of reading, numbered from low on."""
        words = self._words
        if words is None:
            links: Sequence[Link] = self.in_order(self.links)
            words = array("I", _READ) * len(links)
            words[1::_WORDS] = array("I", [link.type << 16 for link in links])
            words[2::_WORDS] = array("I", [link.sid for link in links])
            self._words = big_endian(words)
        words[3::_WORDS] = column(range(low, low + len(self.links)))
        return words.tobytes()

    def old_reads(self, low: int) -> bytes:
        """`reads` for servers that do not know count 0."""
        return b"".join(
            pack_header(Command.READ_NOTIFY, 0, link.type, link.count, link.sid, number)
            for number, link in enumerate(self.in_order(self.links), low)
        )


class Group:
    """Channels that are read or written together."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        """Look at connected channels, else CADisconnected."""
        self.size = len(channels)
        self.parts: list[Part] = []
        """By circuit."""
        circuits = {channel.circuit for channel in channels}
        if len(circuits) == 1:
            circuit = circuits.pop()
            if circuit is not None:
                self.parts.append(Part(circuit, channels))
                return
        found: dict[ClientCircuit, list[int]] = {}
        for place, channel in enumerate(channels):
            if channel.circuit is None:
                msg = f"{channel.name} is not connected; nothing was sent"
                raise CADisconnected(msg, name=channel.name, status=ECA_DISCONN)
            found.setdefault(channel.circuit, []).append(place)
        for one, places in found.items():
            mine = [channels[place] for place in places]
            self.parts.append(Part(one, mine, places))

    @property
    def holds(self) -> bool:
        """Whether all is as it was; else a new one is to be made."""
        return all(part.holds for part in self.parts)

    def shares(self, values: Sequence[Any]) -> list[Sequence[Any]]:
        """What belongs to each part of one value for each channel."""
        if len(self.parts) == 1:
            return [values]
        return [[values[place] for place in part.places] for part in self.parts]


class Groups:
    """The groups of the last calls, for whoever asks for the same once more."""

    def __init__(self) -> None:
        self._known: list[tuple[list[Any], Group]] = []

    def known(self, channels: Sequence[Any]) -> Group | None:
        """The group of just these channels, if it is known and nothing has changed."""
        wanted = [*channels]
        for members, group in self._known:
            # lists of the same objects are compared without a look at the objects
            if members == wanted:
                return group if group.holds else None
        return None

    def new(self, channels: Sequence[Any]) -> Group:
        """A group of what the core keeps for connected channels, else CADisconnected.

        Args:
            channels: Each with its `core`.
        """
        group = Group([channel.core for channel in channels])
        wanted = [*channels]
        others = [one for one in self._known if one[1].holds and one[0] != wanted]
        self._known = [(wanted, group), *others[: MOST_GROUPS - 1]]
        return group


def column(numbers: Sequence[int]) -> "array[int]":
    """Words of 32 bits, as on the wire."""
    return big_endian(array("I", numbers))


def big_endian(words: "array[int]") -> "array[int]":
    """As on the wire."""
    if sys.byteorder == "little":
        words.byteswap()
    return words
