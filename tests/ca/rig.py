"""A client core and servers made of `Circuit`s, joined in memory, without a clock."""

from dataclasses import dataclass, field
from typing import Any

from beamfly.ca.channel import Channel, Monitor, Request
from beamfly.ca.circuit import Circuit
from beamfly.ca.client import ClientCore, Identity
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.datagrams import Search, SearchReply, Version
from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.header import unpack_header
from beamfly.ca.message import Sender
from beamfly.ca.messages import (
    AccessRights,
    ChannelCreated,
    ClearChannel,
    CreateChannel,
    CreateFailed,
    EventAdd,
    EventCancel,
    EventCancelled,
    EventUpdate,
    ReadNotify,
    ReadNotifyReply,
    Write,
    WriteNotify,
    WriteNotifyReply,
    decode,
)
from beamfly.ca.payloads import Value, encode, pack
from beamfly.ca.payloads import decode as decode_payload
from beamfly.ca.rules import CircuitState


@dataclass
class Pv:
    """A PV of the server in memory."""

    type: Dbr
    value: Any
    count: int = 1
    rights: int = 3

    def payload(self, code: int, seconds: int = 1) -> tuple[int, bytes]:
        count, raw = pack(layout(code).base, self.value)
        value = Value(
            Dbr(code), count, bytes(raw), status=3, severity=2, seconds=seconds
        )
        return count, encode(value)


@dataclass
class Server:
    """PVs at one address, any number of circuits."""

    address: tuple[str, int]
    pvs: dict[str, Pv]
    asked: list[str] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    answers_puts: bool = True

    def circuit(self) -> Circuit:
        circuit = Circuit(Sender.SERVER)
        circuit.open()
        return circuit

    def search(self, datagram: bytes) -> bytes | None:
        replies: list[bytes] = []
        at = 0
        while (header := unpack_header(datagram, at)) is not None:
            start = at + header.length
            at = start + header.size
            message = decode(Sender.CLIENT, header, datagram[start:at])
            if isinstance(message, Version):
                replies.append(message.encode())
            elif isinstance(message, Search):
                self.asked.append(message.name)
                if message.name in self.pvs:
                    replies.append(SearchReply(message.cid, self.address[1]).encode())
        return b"".join(replies) if len(replies) > 1 else None

    def serve(self, circuit: Circuit) -> None:
        for message in iter(circuit.next_event, None):
            self.seen.append(message)
            answer = getattr(self, f"_{type(message).__name__}", None)
            if answer is not None:
                answer(circuit, message)

    def _CreateChannel(self, circuit: Circuit, message: CreateChannel) -> None:  # noqa: N802
        pv = self.pvs.get(message.name)
        if pv is None:
            circuit.send(CreateFailed(message.cid))
            return
        circuit.send(AccessRights(message.cid, pv.rights))
        circuit.send(ChannelCreated(message.cid, 100 + message.cid, pv.type, pv.count))

    def _pv(self, circuit: Circuit, sid: int) -> Pv:
        return self.pvs[circuit.ledger.by_sid[sid].name]

    def _ReadNotify(self, circuit: Circuit, message: ReadNotify) -> None:  # noqa: N802
        pv = self._pv(circuit, message.sid)
        count, payload = pv.payload(message.type)
        status = 1 if pv.rights & 1 else 368
        circuit.send(
            ReadNotifyReply(message.type, count, status, message.ioid, payload)
        )

    def _write(self, circuit: Circuit, message: Any) -> None:
        pv = self._pv(circuit, message.sid)
        value = decode_payload(message.type, message.count, message.payload)
        items = list(value.elements())
        pv.value = items[0] if pv.count == 1 else items

    def _Write(self, circuit: Circuit, message: Write) -> None:  # noqa: N802
        self._write(circuit, message)

    def _WriteNotify(self, circuit: Circuit, message: WriteNotify) -> None:  # noqa: N802
        pv = self._pv(circuit, message.sid)
        if pv.rights & 2:
            self._write(circuit, message)
        if self.answers_puts:
            status = 1 if pv.rights & 2 else 376
            circuit.send(
                WriteNotifyReply(message.type, message.count, status, message.ioid)
            )

    def _EventAdd(self, circuit: Circuit, message: EventAdd) -> None:  # noqa: N802
        self.post(circuit, message.subscription)

    def post(self, circuit: Circuit, subscription: int, seconds: int = 1) -> None:
        row = circuit.ledger.subscriptions[subscription]
        pv = self.pvs[row.link.name]
        count, payload = pv.payload(row.type, seconds)
        circuit.send(
            EventUpdate(
                row.type, count, 1 if pv.rights & 1 else 368, subscription, payload
            )
        )

    def _EventCancel(self, circuit: Circuit, message: EventCancel) -> None:  # noqa: N802
        circuit.send(
            EventCancelled(
                message.type, message.count, message.sid, message.subscription
            )
        )

    def _ClearChannel(self, circuit: Circuit, message: ClearChannel) -> None:  # noqa: N802
        circuit.send(message)


class Rig:
    """A client core and servers; `run` carries everything until all is silent."""

    def __init__(self, *servers: Server, **kwargs: Any) -> None:
        self.notices: list[str] = []
        identity = Identity("me", "here", spread=kwargs.pop("spread", 0.0))
        self.core = ClientCore(identity, 0.0, on_notice=self.notices.append, **kwargs)
        self.servers = list(servers)
        self.now = 0.0
        self.links: dict[ClientCircuit, tuple[Server, Circuit]] = {}
        self.refusing = False
        self.datagrams: list[bytes] = []

    def run(self, chunk: int | None = None) -> None:
        """Carry datagrams and bytes at one moment, in chunks if asked to."""
        for _ in range(100):
            if not self._step(chunk):
                return
        raise AssertionError("client and servers never stop talking")

    def _step(self, chunk: int | None) -> bool:
        busy = False
        for datagram in self.core.datagrams(self.now):
            busy = True
            self.datagrams.append(datagram)
            for server in self.servers:
                reply = server.search(datagram)
                if reply is not None:
                    self.core.receive_datagram(reply, server.address[0], self.now)
        for circuit in self.core.take_openings():
            busy = True
            server = next(
                (one for one in self.servers if one.address == circuit.address), None
            )
            if server is None or self.refusing:
                circuit.close(ConnectionRefusedError("refused"))
            else:
                self.links[circuit] = server, server.circuit()
        for circuit, (server, end) in tuple(self.links.items()):
            if circuit.state is CircuitState.CLOSED:
                del self.links[circuit]
                continue
            busy |= bool(circuit.outbox or end.outbox)
            for piece in circuit.output():
                end.receive(piece, self.now)
            server.serve(end)
            data = b"".join(end.output())
            step = chunk or max(len(data), 1)
            for at in range(0, len(data), step):
                circuit.receive(data[at : at + step], self.now)
        return busy

    def later(self, seconds: float) -> None:
        """Let time pass, waking the core whenever it wants."""
        end = self.now + seconds
        for _ in range(10_000):
            due = self.core.next_wakeup()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.core.wake(self.now)
            self.core.registration(self.now)
            self.run()
        self.now = end

    def post(self, channel: Channel, value: Any, seconds: int = 1) -> None:
        """Change a PV and send an update to its monitors."""
        assert channel.circuit is not None
        server, end = self.links[channel.circuit]
        server.pvs[channel.name].value = value
        for number, row in end.ledger.subscriptions.items():
            if row.link.name == channel.name and number not in end.ledger.cancelling:
                server.post(end, number, seconds)
        self.run()

    def connect(self, name: str) -> Channel:
        channel = self.core.channel(name)
        self.run()
        assert channel.connected
        return channel


class Ask(Request):
    """A request that keeps what it was told."""

    def __init__(self, channel: Channel, deadline: float = float("inf")) -> None:
        self.channel = channel
        self.deadline = deadline
        self.answer: Any = None
        self.error: Exception | None = None
        self.times = 0

    def on_value(self, *reading: Any) -> None:
        self.times += 1
        self.answer = reading

    def on_error(self, error: Exception) -> None:
        self.times += 1
        self.error = error


def watch(rig: Rig, channel: Channel, family: Family = Family.TIME) -> Any:
    """Subscribe; the list fills with readings and errors."""
    seen: list[Any] = []
    monitor = Monitor(
        channel,
        lambda core: (core.native_type + 7 * family, 0),
        5,
        lambda *reading: seen.append(reading),
        seen.append,
    )
    rig.core.monitor(monitor)
    rig.run()
    return seen, monitor
