"""One TCP circuit: who may say what, channels, subscriptions, liveness; both roles.

Write received bytes into `room()` and call `received(size, now)`, or give them to
`receive(data, now)`: every message that arrived is checked against `beamfly.ca.rules`
and passed to `handle`, which collects them for `next_event()` unless a subclass does
better. `send(message)` checks and queues; `output()` is what to write to the socket.
`next_wakeup()` and `wake(now)` keep time. A closed circuit says why in `lost`.

`lanes` is the fast path: a parser for runs of messages whose first eight header bytes
are equal. It is asked first, takes what it can, and leaves the rest to the slow path.
"""

from collections import deque
from collections.abc import Callable

from beamfly.ca.framing import Inbox, Outbox
from beamfly.ca.header import (
    EXTENDED_MINOR,
    SHAPE,
    Header,
    pack_header,
    unpack_header,
)
from beamfly.ca.ledger import Ledger
from beamfly.ca.message import Command, Message, Sender
from beamfly.ca.messages import (
    ClientName,
    Echo,
    EventsOff,
    EventsOn,
    HostName,
    Version,
    decode,
)
from beamfly.ca.rules import CIRCUIT_RULES, CircuitState
from beamfly.errors import (
    CADisconnected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)

Lane = Callable[[memoryview, int, int], int]
"""(buffer, start, end) -> where it stopped; equal to start when it took nothing."""
ECHO_SECONDS = 5.0
"""How long an echo may take before the circuit is given up."""
OLDEST_MINOR = 4
"""Versions before that name PVs by host."""
# enum members are slow to look up, and this one is needed for every message
_CLOSED = CircuitState.CLOSED
UNSENT_BYTES = 256 * 1024 * 1024
"""Most bytes that wait for a slow peer."""


class Circuit:
    """One connection between a client and a server, seen from either end."""

    def __init__(
        self,
        role: Sender,
        *,
        priority: int = 0,
        user: str = "",
        machine: str = "",
        quiet_seconds: float = 30.0,
        largest: int = 1 << 32,
        unsent: int = UNSENT_BYTES,
        now: float = 0.0,
    ) -> None:
        """Start a circuit; nothing is queued before `open`.

        Args:
            role: Whether we are the client or the server.
            priority: 0 to 99; the server may serve higher ones first. A server learns
                it from the client.
            user: What a client says in CLIENT_NAME.
            machine: What a client says in HOST_NAME.
            quiet_seconds: After so much silence a client sends an echo.
            largest: Messages with more bytes of payload are skipped.
            unsent: Most bytes that wait for a slow peer.
            now: Seconds of any clock that never goes back.
        """
        self.role = role
        self.peer = Sender.SERVER if role is Sender.CLIENT else Sender.CLIENT
        self.state = CircuitState.NEW
        self.priority = priority
        self.user = user
        self.machine = machine
        self.minor = 0
        """The peer's minor version, 0 until it has said so."""
        self.ledger = Ledger()
        """Channels and subscriptions."""
        self.updates_wanted = True
        """False between EVENTS_OFF and EVENTS_ON."""
        self.lanes: dict[int, Lane] = {}
        """First 8 header bytes as a number -> parser of such messages."""
        self.lost: Exception | None = None
        """Why it is closed, None while it is not."""
        self.held = False
        """Whether what has arrived waits for `resume`: the peer reads too slowly."""
        self.inbox = Inbox()
        self.outbox = Outbox(unsent)
        self.last_received = now
        self._largest = largest
        self._quiet = quiet_seconds
        self._echo_sent: float | None = None
        self._events: deque[Message] = deque()

    def open(self) -> None:
        """Queue the greeting: the version, and a client's names."""
        if self.role is Sender.SERVER:
            self.send(Version())
            return
        self.send(Version(priority=self.priority))
        self.send(ClientName(self.user))
        self.send(HostName(self.machine))

    def send(self, message: Message) -> None:
        """Check a message against the rules and queue it, or LocalProtocolError."""
        if self.state is CircuitState.CLOSED:
            msg = f"{type(message).__name__} was not sent: {self.lost}"
            raise LocalProtocolError(msg)
        data = message.encode()
        if self.minor < EXTENDED_MINOR and self.minor and data[2:4] == b"\xff\xff":
            msg = (
                f"the peer speaks version 4.{self.minor}, which has no word for "
                f"{len(data)} bytes; {type(message).__name__} was not sent"
            )
            raise LocalProtocolError(msg)
        self._apply(self.role, message, LocalProtocolError)
        self.outbox.put(data)

    def output(self) -> list[bytes | memoryview]:
        """What to write to the socket now; each call hands out new bytes."""
        return self.outbox.take()

    def room(self) -> memoryview:
        """Where received bytes are to be written."""
        return self.inbox.room()

    def receive(self, data: bytes | memoryview, now: float) -> None:
        """Take bytes that arrived; for shells, `room` and `received` are faster."""
        rest = memoryview(data)
        while rest and self.state is not CircuitState.CLOSED:
            room = self.inbox.room()
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            rest = rest[size:]
            self.received(size, now)

    def received(self, size: int, now: float) -> None:
        """Parse what was written to `room()`; a protocol error closes the circuit."""
        if self.state is _CLOSED:
            return
        inbox = self.inbox
        inbox.added(size)
        self.last_received = now
        self._echo_sent = None
        self.resume()

    def resume(self) -> None:
        """Parse what has arrived, from where `held` stopped it."""
        if self.state is _CLOSED:
            return
        try:
            self._parse(self.inbox)
        except ProtocolError as error:
            self.close(error)
            self.blame(error)
            raise

    def blame(self, error: ProtocolError) -> None:
        """The peer broke a rule and the circuit is closed; it may be told why."""

    def _parse(self, inbox: Inbox) -> None:
        """Every complete message between start and end of the inbox."""
        view, at, end = inbox.view, inbox.start, inbox.end
        inbox.expect(0)
        while end - at >= 16 and not self.held and self.state is not _CLOSED:
            lane = self.lanes.get(SHAPE.unpack_from(view, at)[0])
            if lane is not None:
                after = lane(view, at, end)
                if after > at:
                    at = after
                    continue
            header = unpack_header(view[at:end])
            if header is None:
                break
            whole = header.length + header.size
            if header.size > self._largest:
                inbox.start = at
                inbox.skip(whole)
                at = inbox.start
                self.skipped(header)
                continue
            if end - at < whole:
                inbox.expect(whole)
                break
            self.take(header, view[at + header.length : at + whole])
            at += whole
        inbox.start = at

    def take(self, header: Header, payload: memoryview) -> None:
        """One message: decode, check, and hand on."""
        if header.command == Command.ECHO and self.role is Sender.SERVER:
            # answered byte by byte, whatever it carries
            self.outbox.put(pack_header(*header[:6]) + bytes(payload))
            return
        message = decode(self.peer, header, bytes(payload))
        if self._apply(self.peer, message, RemoteProtocolError):
            self.handle(message)

    def skipped(self, header: Header) -> None:
        """A message was too large and is dropped."""

    def handle(self, message: Message) -> None:
        """A message that passed the rules; collected unless a subclass does better."""
        self._events.append(message)

    def next_event(self) -> Message | None:
        """The oldest message that was not taken yet, None when there is none."""
        return self._events.popleft() if self._events else None

    def end_of_file(self) -> None:
        """The peer closed the connection."""
        self.close(CADisconnected("the peer closed the circuit", status=192))

    def close(self, reason: Exception) -> None:
        """Nothing is sent or read from here on; the first reason stays."""
        if self.state is not CircuitState.CLOSED:
            self.state = CircuitState.CLOSED
            self.lost = reason

    def next_wakeup(self) -> float | None:
        """When `wake` wants to be called, None for never."""
        return self._echo_due()

    def _echo_due(self) -> float | None:
        """When silence has lasted too long, None if nobody minds."""
        if self.role is Sender.SERVER or self.state is not CircuitState.OPEN:
            return None
        if self._echo_sent is not None:
            return self._echo_sent + ECHO_SECONDS
        return self.last_received + self._quiet

    def wake(self, now: float) -> None:
        """Send an echo after silence; close the circuit when it stays unanswered."""
        due = self._echo_due()
        if due is None or now < due:
            return
        if self._echo_sent is None:
            self.inbox.shrink()
            self._echo_sent = now
            self.send(Echo())
            return
        silence = now - self.last_received
        msg = f"the server has been silent for {silence:.0f} s, an echo included"
        self.close(CADisconnected(msg, status=480))

    def _apply(
        self, sender: Sender, message: Message, error: type[ProtocolError]
    ) -> bool:
        """Move the states along; False if a message is to be ignored."""
        after = CIRCUIT_RULES.get((self.state, sender, message.COMMAND))
        if after is None:
            msg = (
                f"{type(message).__name__} makes no sense from a {sender.value} on a "
                f"circuit that is {self.state.value}"
            )
            raise error(msg)
        known = self.ledger.apply(sender, message, error)
        if sender is self.peer:
            self._note(message)
        self.state = after
        return known

    def _note(self, message: Message) -> None:
        """What the peer says about the circuit itself."""
        if isinstance(message, Version):
            if message.minor < OLDEST_MINOR:
                msg = (
                    f"the peer speaks version 4.{message.minor}; the oldest that is "
                    f"understood is 4.{OLDEST_MINOR}"
                )
                raise RemoteProtocolError(msg)
            self.minor = message.minor
            if self.role is Sender.SERVER:
                self.priority = message.priority
        elif isinstance(message, (EventsOff, EventsOn)):
            self.updates_wanted = isinstance(message, EventsOn)
