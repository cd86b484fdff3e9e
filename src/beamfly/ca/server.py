"""A whole Channel Access server as a core: names, searches, beacons, circuits.

    core = ServerCore({"X:temp": PV(21.5)}, clock=time.time_ns, now=now)
    core.port = 5064                            # of the TCP socket that listens

The shell's part is small:

* send what `receive_datagram` returns back to where the datagram came from;
* make a circuit with `accept` for every connection, and carry bytes between the socket
  and `circuit.room / received / output`; set `circuit.congested` while the socket takes
  no more, call `circuit.drained()` when it took everything, and do not read from a
  socket whose circuit is `held`;
* whenever `on_work` was called, write the output of `take_wanting()` and look at
  `next_event()`;
* send `beacons(now)` to the beacon addresses at `next_wakeup()`.
"""

import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from beamfly.ca.access import FULL, Peer
from beamfly.ca.database import Database
from beamfly.ca.datagrams import Beacon, Version, join
from beamfly.ca.header import HEADER_BYTES
from beamfly.ca.message import MINOR_VERSION, Access, Command
from beamfly.ca.puts import HookFailed, PutWaits
from beamfly.ca.pv import PV
from beamfly.ca.server_circuit import CircuitClosed, ServerCircuit

FIRST_BEACON = 0.02
"""Seconds between the first two beacons; then the time doubles."""
BEACON_PERIOD = 15.0
"""Most seconds between beacons."""
UNSENT = 1 << 40
"""The outbox has no limit of its own: requests and updates wait long before."""
_HEADER = struct.Struct(">HHHHI")
_REPLY = struct.Struct(">HHHHIIH6x")
_SEARCH = int(Command.SEARCH)
_SENDER = 0xFFFFFFFF
"""Stands for the address that a reply comes from."""

Rights = Callable[[Peer, str], Access]
"""What a client may do with a PV of some name."""


@dataclass(frozen=True, slots=True)
class AccessFailed:
    """`access` raised something: a mistake in it; the client got no rights."""

    who: Peer
    record: str
    error: Exception


Event = PutWaits | HookFailed | AccessFailed | CircuitClosed


class ServerCore:
    """PVs for any number of clients; see the module's text."""

    def __init__(
        self,
        pvs: Mapping[str, Any],
        *,
        clock: Callable[[], int],
        now: float,
        access: Rights | None = None,
        largest: int | None = None,
        beacon_period: float = BEACON_PERIOD,
    ) -> None:
        """Prepare a server; BadValue if a name or a value is impossible.

        Args:
            pvs: Name -> PV, RecordGroup, or a first value to make a PV of.
            clock: Nanoseconds since 1970, for time stamps.
            now: Seconds of any clock that never goes back.
            access: What clients may do, by name of the PV or record, without field;
                None: everything.
            largest: Most bytes of a payload; None: as the largest PV needs.
            beacon_period: Most seconds between beacons.
        """
        self.database = Database(pvs, clock)
        if largest is not None:
            self.database.limit(largest)
        self.port = 0
        """TCP port that clients are told."""
        self.circuits: dict[ServerCircuit, None] = {}
        self.on_work: Callable[[], object] = lambda: None
        """Called when there is something to send or an event, once until it is taken;
        always inside a call into the core or into one of its PVs."""
        self._access = access
        self._wanting: list[ServerCircuit] = []
        self._events: deque[Event] = deque()
        self._beacon_number = 0
        self._beacon_due = now
        self._beacon_gap = FIRST_BEACON
        self._beacon_period = beacon_period

    def accept(self, address: str, now: float) -> ServerCircuit:
        """The circuit of a connection that came in, its greeting queued.

        Args:
            address: Where it came from, as host:port.
            now: The time.
        """
        largest = self.database.largest
        circuit = ServerCircuit(
            self, Peer(address), largest=largest, unsent=UNSENT, now=now
        )
        self.circuits[circuit] = None
        circuit.open()
        circuit.wrote()
        return circuit

    def add(self, name: str, item: Any) -> None:
        """Serve one more PV; clients that look for it find it."""
        self.database.add(name, item)
        for circuit in self.circuits:
            circuit.allow(self.database.largest)

    def remove(self, name: str) -> None:
        """Serve a PV no more; its clients are told. KeyError if there is none."""
        gone = {id(pv) for pv in self.database.remove(name)}
        for circuit in [*self.circuits]:
            circuit.forget(gone)

    def update_access(self) -> None:
        """What `access` answers may have changed: tell the clients."""
        for circuit in [*self.circuits]:
            circuit.update_access()

    def rights(self, who: Peer, name: str, pv: PV) -> Access:
        """What a client may do with a PV."""
        rights = FULL
        if self._access is not None:
            # who must not write a PV must not write it by the name of a field either
            rights = self._asked(who, self.database.record_of(name))
        if pv.writable or rights is Access.READ:
            return rights
        return rights & ~Access.WRITE

    def _asked(self, who: Peer, record: str) -> Access:
        """What the server's owner says; nothing if it fails to say."""
        try:
            return Access(self._access(who, record)) if self._access else FULL
        except Exception as error:
            self.note(AccessFailed(who, record, error))
            return Access.NONE

    def wants(self, circuit: ServerCircuit) -> None:
        """A circuit has something to send."""
        if not circuit.wanting:
            circuit.wanting = True
            quiet = not self._wanting and not self._events
            self._wanting.append(circuit)
            if quiet:
                self.on_work()

    def note(self, event: Event) -> None:
        """Something for the shell."""
        if isinstance(event, CircuitClosed):
            self.circuits.pop(event.circuit, None)
        quiet = not self._wanting and not self._events
        self._events.append(event)
        if quiet:
            self.on_work()

    @property
    def has_work(self) -> bool:
        """Whether there is something to take."""
        return bool(self._wanting or self._events)

    def take_wanting(self) -> list[ServerCircuit]:
        """Circuits that have something to send."""
        wanting, self._wanting = self._wanting, []
        for circuit in wanting:
            circuit.wanting = False
        return wanting

    def next_event(self) -> Event | None:
        """The oldest event that was not taken yet, None when there is none."""
        return self._events.popleft() if self._events else None

    def close(self, reason: Exception) -> None:
        """Close all circuits."""
        for circuit in [*self.circuits]:
            circuit.close(reason)

    def receive_datagram(self, data: bytes) -> list[bytes]:
        """Answers to a search; nothing for names that are not ours, and for garbage."""
        sequence = 0
        valid = False
        found: list[bytes] = []
        has, reply = self.database.has, _REPLY.pack
        first = _SEARCH, 8, self.port, 0, _SENDER
        for command, low, p1, payload in _messages(data):
            if command == _SEARCH:
                if has(payload.partition(b"\0")[0].decode(errors="replace")):
                    found.append(reply(*first, p1, MINOR_VERSION))
            elif command == Command.VERSION:
                valid, sequence = bool(low & 1), p1
        if not found:
            return []
        greeting = Version(priority=int(valid), sequence=sequence if valid else 0)
        return [*join(greeting.encode(), found)]

    def restart_beacons(self, now: float) -> None:
        """The server starts now: beacons come quickly again."""
        self._beacon_due, self._beacon_gap = now, FIRST_BEACON

    def next_wakeup(self) -> float:
        """When the next beacon is due."""
        return self._beacon_due

    def beacons(self, now: float) -> bytes | None:
        """The beacon to send now, None when none is due."""
        if now < self._beacon_due:
            return None
        beacon = Beacon(self.port, self._beacon_number)
        self._beacon_number = (self._beacon_number + 1) & 0xFFFFFFFF
        self._beacon_due = now + self._beacon_gap
        self._beacon_gap = min(2 * self._beacon_gap, self._beacon_period)
        return beacon.encode()


def _messages(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Command, type, first parameter and payload of what is whole in a datagram."""
    found: list[tuple[int, int, int, bytes]] = []
    at, end = 0, len(data)
    while end - at >= HEADER_BYTES:
        command, size, low, _, p1 = _HEADER.unpack_from(data, at)
        start = at + HEADER_BYTES
        at = start + size
        # nothing behind a broken header can be told apart; long headers, whose size
        # is no multiple of 8, are for more than a datagram holds
        if size % 8 or at > end:
            break
        found.append((command, low, p1, data[start:at]))
    return found
