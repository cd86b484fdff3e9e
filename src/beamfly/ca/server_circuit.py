"""The server's end of a circuit: one client's channels, subscriptions, requests.

The rules are those of `Circuit`, what is done with each message stands in
`beamfly.ca.server_actions`; here is the flow. Answers go straight to the outbox. When
the client reads too slowly, its requests wait (`held`) and updates are merged;
`drained` goes on once the socket has taken everything.
"""

import struct
from dataclasses import dataclass
from typing import Any, Protocol

from beamfly.ca.access import Peer
from beamfly.ca.answers import HEAD, Answer, empty
from beamfly.ca.circuit import Circuit
from beamfly.ca.database import Database
from beamfly.ca.header import EXTENDED_MINOR, LARGE, Header
from beamfly.ca.message import Access, Command, Message, Sender
from beamfly.ca.messages import (
    AccessRights,
    ChannelCreated,
    ErrorReply,
    ServerDisconnect,
    WriteNotifyReply,
)
from beamfly.ca.pv import PV
from beamfly.ca.rules import ChannelState, CircuitState
from beamfly.ca.served import HIGH_WATER, SEPARATE, Served
from beamfly.ca.server_actions import ACTIONS
from beamfly.ca.status import ECA_DISCONN, ECA_INTERNAL, ECA_TOLARGE
from beamfly.ca.status import message as wording
from beamfly.ca.subscription import Subscription
from beamfly.errors import ProtocolError, RemoteProtocolError

_ON_SID = frozenset(
    {Command.READ_NOTIFY, Command.READ, Command.WRITE, Command.WRITE_NOTIFY}
    | {Command.EVENT_ADD, Command.EVENT_CANCEL, Command.CLEAR_CHANNEL}
)
_OPENED = struct.Struct(">HHHHIIHHHHII")
_UPDATE = Command.EVENT_ADD << 48
_REMEMBERED = 10_000
"""Most numbers of removed channels that are kept."""
_NOBODY = 0xFFFFFFFF
"""Stands for a channel's number in errors that concern none."""


@dataclass(frozen=True, slots=True)
class CircuitClosed:
    """A client is gone, or was sent away because it broke the rules."""

    circuit: "ServerCircuit"
    reason: Exception


class Host(Protocol):
    """The server that a circuit belongs to."""

    database: Database
    port: int

    def rights(self, who: Peer, name: str, pv: PV) -> int:
        """What a client may do with a PV, bits of Access."""
        ...

    def wants(self, circuit: "ServerCircuit") -> None:
        """There is something to send."""

    def note(self, event: Any) -> None:
        """Something for the shell."""


class ServerCircuit(Circuit):
    """One client, see the module's text."""

    def __init__(self, host: Host, who: Peer, **options: Any) -> None:
        """Prepare a circuit for a connection that was accepted; call `open` next.

        Args:
            host: The server.
            who: The client; user and host are filled in as it tells them.
            options: As for `Circuit`.
        """
        super().__init__(Sender.SERVER, **options)
        self.host = host
        self.who = who
        self.served: dict[int, Served] = {}
        """Channels by the number that we gave them."""
        self.waiting: dict[Subscription, None] = {}
        """Subscriptions with updates that wait."""
        self.unfinished = 0
        """Puts that are not finished."""
        self.congested = False
        """Whether the socket takes no more; the shell sets it."""
        self.wanting = False
        """Whether the shell knows that there is something to send."""
        self._removed: dict[int, None] = {}
        self._last_sid = 0

    @property
    def stalled(self) -> bool:
        """Whether `drained` has something to do."""
        return self.held or bool(self.waiting and self.updates_wanted)

    def drained(self) -> None:
        """The socket took everything: send what waits, then obey what waits."""
        self.flush()
        if self.held and self.outbox.size <= HIGH_WATER:
            self.held = False
            self.resume()

    def flush(self) -> None:
        """Send updates that wait, as far as the client keeps up."""
        for subscription in [*self.waiting]:
            if not subscription.flush():
                break
            self.waiting.pop(subscription, None)

    def blame(self, error: ProtocolError) -> None:
        """A broken rule is told to the client before the end."""
        if isinstance(error, RemoteProtocolError):
            nothing = Header(0, 0, 0, 0, 0, 0)
            text = str(error).encode()[:500].decode(errors="ignore")
            reply = ErrorReply(_NOBODY, ECA_INTERNAL, nothing, text)
            self.outbox.put(reply.encode())
            self.wrote()

    def take(self, header: Header, payload: memoryview) -> None:
        """One message; afterwards the shell is told if there is something to send."""
        if header.command in _ON_SID and header.p1 in self._removed:
            self._too_late(header)
        else:
            super().take(header, payload)
        self.wrote()

    def handle(self, message: Message) -> None:
        """Obey one message."""
        action = ACTIONS.get(type(message))
        if action is not None:
            action(self, message)

    def wrote(self) -> None:
        """Tell the shell; with too much unsent, the client's requests wait."""
        if self.outbox.size:
            if not self.wanting:
                self.host.wants(self)
            if self.outbox.size > HIGH_WATER:
                self.held = True

    def reply(self, command: int, answer: Answer, number: int) -> None:
        """Queue a value for sending; the number is that of request or subscription."""
        status, head, tail = answer
        first = HEAD.pack(command << 48 | head, status, number)
        if len(tail) < SEPARATE:
            self.outbox.add(first + tail)
        else:
            self.outbox.put(first, tail)

    def update(self, number: int, answer: Answer) -> bool:
        """Queue a subscription's value for sending, unless the client is too slow."""
        status, head, tail = answer
        first = HEAD.pack(_UPDATE | head, status, number)
        if len(tail) < SEPARATE:
            return self.push(first + tail)
        return self.push(first, tail)

    def push(self, message: bytes, payload: bytes | memoryview | None = None) -> bool:
        """Queue an update that is ready for sending, unless the client is too slow."""
        outbox = self.outbox
        if self.congested or not self.updates_wanted or outbox.size > HIGH_WATER:
            return False
        if payload is None:
            outbox.add(message)
        else:
            outbox.put(message, payload)
        if not self.wanting:
            self.host.wants(self)
        return True

    def refuse(self, request: Header, cid: int, status: int, why: str = "") -> None:
        """Say what went wrong with a request that has no other answer."""
        text = why.encode()[:500].decode(errors="ignore") or wording(status)
        self.send(ErrorReply(cid, status, request, text))

    def written(self, header: Header, status: int) -> None:
        """Answer a WRITE_NOTIFY."""
        count = header.elements if self.minor >= EXTENDED_MINOR else 0
        self.send(WriteNotifyReply(header.type, count, status, header.p2))

    def skipped(self, header: Header) -> None:
        """A put that is larger than anything that is served."""
        if header.command == Command.WRITE_NOTIFY:
            self.written(header, ECA_TOLARGE)
        else:
            self.refuse(header, header.p2, ECA_TOLARGE)
        self.wrote()

    def close(self, reason: Exception) -> None:
        """The client is gone."""
        if self.state is CircuitState.CLOSED:
            return
        super().close(reason)
        for channel in self.served.values():
            channel.close()
        self.served.clear()
        self.waiting.clear()
        self.lanes.clear()
        self.host.note(CircuitClosed(self, reason))

    def allow(self, largest: int) -> None:
        """Messages with so many bytes of payload make sense from here on."""
        if largest != self._largest:
            self._largest = largest
            # they were made with the old limit in mind
            self.lanes.clear()

    def next_sid(self) -> int:
        """A number for a new channel."""
        self._last_sid += 1
        return self._last_sid

    def opened(self, channel: Served) -> None:
        """Tell the client of a channel that it asked for just now.

        The same as sending AccessRights and ChannelCreated, which always come in this
        order, without the checks that a client needs and without two encodings.
        """
        code, length, ledger = channel.pv.type, channel.view.length, self.ledger
        self.served[channel.sid] = channel
        if length >= LARGE:
            self.send(AccessRights(channel.cid, channel.rights))
            self.send(ChannelCreated(channel.cid, channel.sid, code, length))
            return
        link = ledger.channels[channel.cid]
        link.state, link.rights = ChannelState.OPEN, channel.rights
        link.sid, link.type, link.count = channel.sid, code, length
        ledger.by_sid[channel.sid] = link
        self.outbox.add(
            _OPENED.pack(
                *(Command.ACCESS_RIGHTS, 0, 0, 0, channel.cid, channel.rights),
                *(Command.CREATE_CHAN, 0, code, length, channel.cid, channel.sid),
            )
        )

    def drop(self, channel: Served) -> None:
        """A channel is closed."""
        for subscription in channel.subscriptions.values():
            self.waiting.pop(subscription, None)
        channel.close()
        del self.served[channel.sid]

    def forget(self, pvs: set[int]) -> None:
        """PVs, given by their id, are not served any more."""
        for sid, channel in [*self.served.items()]:
            if id(channel.pv) in pvs:
                self.drop(channel)
                self._removed[sid] = None
                self.send(ServerDisconnect(channel.cid))
        while len(self._removed) > _REMEMBERED:
            del self._removed[next(iter(self._removed))]
        self.wrote()

    def update_access(self) -> None:
        """Rights may have changed: tell the client what it may do now."""
        if self.state is CircuitState.CLOSED:
            return
        for channel in self.served.values():
            rights = self.host.rights(self.who, channel.name, channel.pv)
            if rights == channel.rights:
                continue
            readable = (rights ^ channel.rights) & Access.READ
            channel.allow(rights)
            self.send(AccessRights(channel.cid, rights))
            if readable:
                for subscription in channel.subscriptions.values():
                    subscription.changed(channel.pv)
        self.wrote()

    def _too_late(self, header: Header) -> None:
        """A request that crossed our word that the PV is gone."""
        if header.command == Command.WRITE_NOTIFY:
            self.written(header, ECA_DISCONN)
        elif header.command == Command.READ_NOTIFY:
            answer = empty(header.type, header.elements, ECA_DISCONN)
            self.reply(Command.READ_NOTIFY, answer, header.p2)
