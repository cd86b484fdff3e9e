"""A server core and a client's circuit, joined in memory."""

from collections.abc import Mapping
from typing import Any

from beamfly.ca.circuit import Circuit
from beamfly.ca.ledger import Ledger
from beamfly.ca.message import Message, Sender
from beamfly.ca.messages import (
    AccessRights,
    ChannelCreated,
    CreateChannel,
    EventAdd,
    ReadNotify,
    Write,
    WriteNotify,
)
from beamfly.ca.payloads import Value, decode
from beamfly.ca.server import ServerCore
from beamfly.errors import ProtocolError

STAMP = 1_800_000_000_123_456_789


class Clock:
    """Nanoseconds since 1970 that only move when told."""

    def __init__(self) -> None:
        self.time_ns = STAMP

    def __call__(self) -> int:
        return self.time_ns


def make_core(pvs: Mapping[str, Any], **options: Any) -> ServerCore:
    core = ServerCore(pvs, clock=Clock(), now=0.0, **options)
    core.port = 5064
    return core


class Link:
    """One client of a core; what it sends arrives in pieces of `step` bytes."""

    def __init__(self, core: ServerCore, step: int = 1 << 20, user: str = "me") -> None:
        self.core = core
        self.step = step
        self.near = Circuit(Sender.CLIENT, user=user, machine="here")
        self.far = core.accept("127.0.0.1:1234", 0.0)
        self.near.open()
        self.sids: dict[str, int] = {}
        self._cid = 0
        self._number = 0
        self.pump()

    def deliver(self) -> None:
        """What the client has sent reaches the server."""
        data = b"".join(bytes(piece) for piece in self.near.output())
        for at in range(0, len(data), self.step):
            self.far.receive(data[at : at + self.step], 0.0)

    def collect(self) -> list[Message]:
        """What the server has sent reaches the client."""
        while pieces := self.far.output():
            for piece in pieces:
                self.near.receive(piece, 0.0)
            if self.far.stalled:
                self.far.drained()
        found: list[Message] = []
        while (message := self.near.next_event()) is not None:
            found.append(message)
        return found

    def pump(self) -> list[Message]:
        self.deliver()
        return self.collect()

    def say(self, *messages: Message) -> list[Message]:
        for message in messages:
            self.near.send(message)
        return self.pump()

    def open(self, name: str) -> ChannelCreated:
        self._cid += 1
        rights, created = self.say(CreateChannel(name, self._cid))
        assert isinstance(rights, AccessRights)
        assert isinstance(created, ChannelCreated)
        self.sids[name] = created.sid
        return created

    def number(self) -> int:
        self._number += 1
        return self._number

    def sid(self, name: str) -> int:
        if name not in self.sids:
            self.open(name)
        return self.sids[name]

    def read(self, name: str, code: int, count: int = 0) -> tuple[int, Value]:
        """Status and value."""
        (reply,) = self.say(ReadNotify(code, count, self.sid(name), self.number()))
        value: Any = reply
        if value.payload:
            return value.status, decode(value.type, value.count, value.payload)
        return value.status, decode(0, 0, b"")

    def get(self, name: str, code: int, count: int = 0) -> Any:
        status, value = self.read(name, code, count)
        assert status == 1
        found = value.elements()
        return found[0] if len(found) == 1 else found

    def put(
        self, name: str, code: int, payload: bytes, count: int = 1, wait: bool = True
    ) -> list[Message]:
        sid = self.sid(name)
        padded = payload.ljust((len(payload) + 7) & ~7, b"\0")
        if wait:
            return self.say(WriteNotify(code, count, sid, self.number(), padded))
        return self.say(Write(code, count, sid, 99, padded))

    def put_text(self, name: str, text: str) -> int:
        """Status of a put of text."""
        (reply,) = self.put(name, 0, text.encode().ljust(40, b"\0"))
        return getattr(reply, "status", 0)

    def subscribe(
        self, name: str, code: int, count: int = 0, mask: int = 5
    ) -> tuple[int, list[Message]]:
        number = self.number()
        sid = self.sid(name)
        return number, self.say(EventAdd(code, count, sid, number, mask))


def written(ledger: Ledger) -> list[Any]:
    """Channels and subscriptions in a ledger, as what can be compared."""
    return [
        {
            cid: (row.name, row.state, row.sid, row.type, row.count, row.rights)
            for cid, row in ledger.channels.items()
        },
        {cid: row.subscriptions for cid, row in ledger.channels.items()},
        {sid: row.cid for sid, row in ledger.by_sid.items()},
        {
            number: (row.link.cid, row.type, row.count, row.mask)
            for number, row in ledger.subscriptions.items()
        },
    ]


def broken(link: Link, data: bytes) -> ProtocolError:
    """The error that bytes cause."""
    try:
        link.far.receive(data, 0.0)
    except ProtocolError as error:
        return error
    msg = "nothing was wrong"
    raise AssertionError(msg)
