"""Looking for PVs: which names to ask for when, and what the answers say.

`add` a name and `datagrams(now)` has it at once; while nobody answers it is asked for
again after 32 ms, 64 ms and so on, up to minutes. Many names share a datagram, and only
so many are under way at a time that the sockets on the way can hold the answers.
`hurry(now)` is for when a server has come up. `parse_replies` reads what comes back.
"""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

from beamfly.ca.datagrams import SearchReply, Version, join
from beamfly.ca.header import pack_header, unpack_header
from beamfly.ca.message import Command, Message, Sender
from beamfly.ca.messages import decode
from beamfly.ca.named import search_message
from beamfly.errors import ProtocolError

FIRST_PERIOD = 0.032
"""Seconds until a name is asked for again the first time."""
IN_FLIGHT = 2048
"""Most names that are asked for before any answer."""
HURRY_ROUND = 5
"""Round from which the back-off goes on after `hurry`: 1 s."""
SPREAD = 0.5
"""Seconds over which many clients spread what one event makes all of them do."""

_REPLY = struct.Struct(">IHHIIH6x")
_REPLY_FIRST = Command.SEARCH << 16 | 8
"""Command and size of a reply."""


class _Name:
    """One name that nobody has answered for."""

    __slots__ = ("cid", "message", "round", "under_way")

    def __init__(self, cid: int, message: bytes) -> None:
        self.cid = cid
        self.message = message
        self.round = 0
        """How often it was asked for."""
        self.under_way = False
        """Whether an answer may still come."""


class Searches:
    """The names that a client looks for."""

    def __init__(self, longest_period: float = 300.0) -> None:
        """Look for nothing yet; unanswered names wait at most so many seconds."""
        self._longest = longest_period
        self._names: dict[int, _Name] = {}
        self._ready: deque[_Name] = deque()
        self._due: list[tuple[float, int, list[_Name]]] = []
        self._serial = 0
        self._in_flight = 0
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, cid: int) -> bool:
        return cid in self._names

    def add(self, cid: int, name: str, *, due: float | None = None) -> None:
        """Look for a name, at once or from a time on."""
        entry = _Name(cid, search_message(name, cid))
        self._names[cid] = entry
        if due is None:
            self._ready.append(entry)
        else:
            self._later(due, [entry])

    def add_new(self, cids: Sequence[int], names: Sequence[str]) -> None:
        """`add` for many names, at once."""
        entries = [
            _Name(cid, search_message(name, cid))
            for cid, name in zip(cids, names, strict=True)
        ]
        self._names.update(zip(cids, entries, strict=True))
        self._ready += entries

    def remove(self, cid: int) -> bool:
        """Stop looking: answered, or no longer wanted. Whether it was looked for."""
        entry = self._names.pop(cid, None)
        if entry is None:
            return False
        self._in_flight -= entry.under_way
        return True

    def hurry(self, now: float, spread: float) -> None:
        """A server came up: ask again soon for all that waits long.

        Args:
            now: The time.
            spread: Between 0 and 1, different for each client, so that thousands of
                them do not ask at the same moment.
        """
        soon = now + spread * SPREAD
        waiting = [(due, names) for due, _, names in self._due]
        self._due = []
        for due, names in waiting:
            if due > soon:
                for entry in names:
                    entry.round = min(entry.round, HURRY_ROUND)
            self._later(min(due, soon), names)

    def datagrams(self, now: float) -> Iterator[bytes]:
        """What to send now to every address of the list; each call gives new ones."""
        while self._due and self._due[0][0] <= now:
            for entry in heappop(self._due)[2]:
                if self._names.get(entry.cid) is entry:
                    self._ready.append(entry)
                    self._in_flight -= entry.under_way
                    entry.under_way = False
        batch: list[_Name] = []
        while self._ready and self._in_flight + len(batch) < IN_FLIGHT:
            entry = self._ready.popleft()
            if self._names.get(entry.cid) is entry:
                batch.append(entry)
        if not batch:
            return
        self._in_flight += len(batch)
        self._schedule(batch, now)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        first = Version(priority=1, sequence=self._sequence).encode()
        yield from join(first, [entry.message for entry in batch])

    def next_wakeup(self, now: float) -> float | None:
        """When `datagrams` has something again, None for never."""
        if self._ready and self._in_flight < IN_FLIGHT:
            return now
        return self._due[0][0] if self._due else None

    def _schedule(self, batch: list[_Name], now: float) -> None:
        """When to ask for them again, together with those of the same round."""
        by_round: dict[int, list[_Name]] = {}
        for entry in batch:
            by_round.setdefault(entry.round, []).append(entry)
            entry.round += 1
            entry.under_way = True
        for round_, names in by_round.items():
            period = FIRST_PERIOD * 2.0 ** min(round_, 30)
            self._later(now + min(period, self._longest), names)

    def _later(self, due: float, names: list[_Name]) -> None:
        self._serial += 1
        heappush(self._due, (due, self._serial, names))
        if len(self._due) > 64 + len(self._names):
            # batches whose names were all answered
            self._due = [row for row in self._due if any(map(self._wanted, row[2]))]
            heapify(self._due)

    def _wanted(self, entry: _Name) -> bool:
        return self._names.get(entry.cid) is entry


def parse_replies(data: bytes) -> list[tuple[int, int, int]]:
    """(cid, TCP port, IPv4 or 0xFFFFFFFF) of every search reply in a datagram.

    What makes no sense ends the datagram, silently: anybody can send datagrams.
    """
    body = data[16:] if data[:2] == b"\0\0" else data
    if len(body) % _REPLY.size == 0:
        found = [
            (cid, port, address)
            for first, port, _, address, cid, _ in _REPLY.iter_unpack(body)
            if first == _REPLY_FIRST
        ]
        if len(found) * _REPLY.size == len(body):
            return found
    return [
        (message.cid, message.port, message.address)
        for message in parse_datagram(body)
        if isinstance(message, SearchReply)
    ]


def parse_datagram(data: bytes) -> Iterator[Message]:
    """Every message of a server's datagram, up to the first that makes no sense."""
    at = 0
    try:
        while (header := unpack_header(data, at)) is not None:
            start = at + header.length
            at = start + header.size
            if at > len(data):
                return
            yield decode(Sender.SERVER, header, data[start:at])
    except ProtocolError:
        return


def register_message(address: int = 0) -> bytes:
    """What a client sends to the repeater on its machine to be told of beacons."""
    return pack_header(Command.REPEATER_REGISTER, 0, 0, 0, 0, address)
