"""What a server does with each message that keeps to the rules.

`ACTIONS` maps the class of a message to a function of the circuit and the message.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beamfly.ca.answers import empty
from beamfly.ca.dbr import Dbr, layout, padded
from beamfly.ca.header import EXTENDED_MINOR, LARGE, Header, shape
from beamfly.ca.message import Command, Message
from beamfly.ca.messages import (
    ClearChannel,
    ClientName,
    CreateChannel,
    CreateFailed,
    EventAdd,
    EventCancel,
    EventCancelled,
    EventsOn,
    HostName,
    NotFound,
    Read,
    ReadNotify,
    Search,
    SearchReply,
    Version,
    Write,
    WriteNotify,
)
from beamfly.ca.puts import HOOK_FAILED, HookFailed, Put, incoming
from beamfly.ca.pv import PV
from beamfly.ca.rules import CircuitState
from beamfly.ca.served import CHANNELS, Served
from beamfly.ca.server_lanes import (
    SUBSCRIBE_BYTES,
    create_lane,
    read_lane,
    subscribe_lane,
    write_lane,
)
from beamfly.ca.status import (
    ECA_16KARRAYCLIENT,
    ECA_BADMASK,
    ECA_BADTYPE,
    ECA_NORMAL,
    ECA_NOWTACCESS,
    ECA_PUTCBINPROG,
    ECA_PUTFAIL,
    ECA_TOLARGE,
)
from beamfly.errors import BeamflyError, RemoteProtocolError

if TYPE_CHECKING:
    from beamfly.ca.server_circuit import ServerCircuit

LANES = 256
"""Most shapes of requests of one client that get a fast lane."""
UNFINISHED = 1000
"""Most puts of one client that are under way."""
TOP_PRIORITY = 99
TELL_IF_NOT = 10
"""In a search: the client wants to hear it when a PV is not here."""
_UNREADABLE = (Dbr.PUT_ACKT, Dbr.PUT_ACKS)
_ALL_EVENTS = 15


def header_of(message: Message) -> Header:
    """The header that a message came with."""
    slots = [
        getattr(message, slot) if isinstance(slot, str) else slot
        for slot in message.SLOTS
    ]
    return Header(message.COMMAND, len(getattr(message, "payload", b"")), *slots)


def version(circuit: "ServerCircuit", message: Version) -> None:
    """The client's priority must be one."""
    if message.priority > TOP_PRIORITY:
        msg = f"{circuit.who} asked for priority {message.priority}; 99 is the highest"
        raise RemoteProtocolError(msg)


def name(circuit: "ServerCircuit", message: ClientName | HostName) -> None:
    """The client says who it is."""
    if isinstance(message, ClientName):
        circuit.who.user = message.name
    else:
        circuit.who.host = message.name
    if circuit.served:
        circuit.update_access()


def search(circuit: "ServerCircuit", message: Search) -> None:
    """The client takes us for a name server, which we are for our own PVs."""
    if circuit.host.database.has(message.name):
        circuit.send(SearchReply(message.cid, circuit.host.port, minor=None))
    elif message.reply == TELL_IF_NOT:
        circuit.send(NotFound(message.cid))


def _lane(
    circuit: "ServerCircuit",
    key: int,
    make: Callable[..., Callable[[memoryview, int, int], int]],
    *arguments: int,
) -> None:
    """Have requests with these first eight bytes obeyed in runs."""
    lanes = circuit.lanes
    if key not in lanes and len(lanes) < LANES:
        lanes[key] = make(circuit, *arguments)


def create(circuit: "ServerCircuit", message: CreateChannel) -> None:
    """Open a channel, and have the next ones opened faster."""
    found = circuit.host.database.filtered(message.name)
    if found is None or len(circuit.served) >= CHANNELS:
        circuit.send(CreateFailed(message.cid))
        return
    pv, filters = found
    size = padded(len(message.name.encode()) + 1)
    _lane(circuit, shape(Command.CREATE_CHAN, size, 0, 0), create_lane, size)
    sid = circuit.next_sid()
    rights = int(circuit.host.rights(circuit.who, message.name, pv))
    circuit.opened(Served(message.name, pv, message.cid, sid, rights, filters))


def clear(circuit: "ServerCircuit", message: ClearChannel) -> None:
    """Close a channel."""
    channel = circuit.served.get(message.sid)
    if channel is None or channel.cid != message.cid:
        msg = f"channel {message.sid} is not the client's {message.cid}; none is closed"
        raise RemoteProtocolError(msg)
    circuit.drop(channel)
    circuit.send(message)


def _unfit(circuit: "ServerCircuit", message: ReadNotify | Read | EventAdd) -> int:
    """The status for a type and count that cannot be read, 0 if they can."""
    if message.type > Dbr.CLASS_NAME or message.type in _UNREADABLE:
        return ECA_BADTYPE
    count = message.count or circuit.served[message.sid].view.length
    size = layout(message.type).size(count)
    if size > circuit.host.database.largest:
        return ECA_TOLARGE
    old = circuit.minor < EXTENDED_MINOR
    return ECA_16KARRAYCLIENT if old and max(size + 7, count) >= LARGE else 0


def read(circuit: "ServerCircuit", message: ReadNotify) -> None:
    """Answer, and have the next requests of this type and count answered faster."""
    code, count = message.type, message.count
    status = _unfit(circuit, message)
    if status:
        circuit.reply(Command.READ_NOTIFY, empty(code, count, status), message.ioid)
        return
    answer = circuit.served[message.sid].answer(code, count)
    if count < LARGE and circuit.minor >= EXTENDED_MINOR:
        key = shape(Command.READ_NOTIFY, 0, code, count)
        _lane(circuit, key, read_lane, code, count)
    circuit.reply(Command.READ_NOTIFY, answer, message.ioid)


def old_read(circuit: "ServerCircuit", message: Read) -> None:
    """Answer as before 3.14: the channel's number where the status is today."""
    channel = circuit.served[message.sid]
    status = _unfit(circuit, message)
    if not status:
        answer = channel.answer(message.type, message.count)
        status = answer.status
        if status == ECA_NORMAL:
            circuit.outbox.put(answer.message(Command.READ, channel.cid, message.ioid))
            return
    circuit.refuse(header_of(message), channel.cid, status)


def subscribe(circuit: "ServerCircuit", message: EventAdd) -> None:
    """Send the value now and with every change that the mask asks for.

    The next subscriptions of this type and count are made faster.
    """
    channel = circuit.served[message.sid]
    status = _unfit(circuit, message)
    if not status and not message.mask & _ALL_EVENTS:
        status = ECA_BADMASK
    if status:
        circuit.refuse(header_of(message), channel.cid, status)
        return
    code, count = message.type, message.count
    if count < LARGE and circuit.minor >= EXTENDED_MINOR:
        key = shape(Command.EVENT_ADD, SUBSCRIBE_BYTES, code, count)
        _lane(circuit, key, subscribe_lane, code, count)
    channel.listen(circuit, message.subscription, code, count, message.mask)


def cancel(circuit: "ServerCircuit", message: EventCancel) -> None:
    """No more updates."""
    channel = circuit.served[message.sid]
    subscription = channel.subscriptions.pop(message.subscription, None)
    if subscription is not None:
        channel.pv.listeners.pop(subscription, None)
        circuit.waiting.pop(subscription, None)
    # the count of this answer has 16 bits only
    count = message.count & 0xFFFF
    circuit.send(EventCancelled(message.type, count, message.sid, message.subscription))


def events_on(circuit: "ServerCircuit", message: EventsOn) -> None:
    """Send what was held back."""
    circuit.flush()


def write(circuit: "ServerCircuit", message: Write | WriteNotify) -> None:
    """Hand a put to the PV; it is answered when that is done with it."""
    channel = circuit.served[message.sid]
    if Dbr.STRING < message.type <= Dbr.DOUBLE:
        size = padded(layout(message.type).element)
        key = shape(message.COMMAND, size, message.type, 1)
        _lane(circuit, key, write_lane, message.COMMAND, message.type)
    header = header_of(message)
    wait = isinstance(message, WriteNotify)

    def reply(status: int, why: str) -> None:
        circuit.unfinished -= 1
        if circuit.state is CircuitState.CLOSED or channel.sid not in circuit.served:
            return
        if wait:
            circuit.written(header, status)
        elif status != ECA_NORMAL:
            circuit.refuse(header, channel.cid, status, why)
        circuit.wrote()

    circuit.unfinished += 1
    put = Put(channel.pv, channel.name, None, circuit.who, reply, wait=wait)
    if not channel.writable:
        put.finish(ECA_NOWTACCESS)
    elif circuit.unfinished > UNFINISHED:
        put.finish(ECA_PUTCBINPROG)
    else:
        _try(circuit, channel.pv, message, put)


def _try(
    circuit: "ServerCircuit", pv: PV, message: Write | WriteNotify, put: Put
) -> None:
    """Convert the value and ask the PV's hook."""
    try:
        if message.type in _UNREADABLE:
            _acknowledge(pv, message)
            put.finish()
        elif pv.scalar and not message.count:
            put.finish()
        else:
            put.value = incoming(pv, message.type, message.count, message.payload)
            work = put.start()
            if work is not None:
                circuit.host.note(work)
    except BeamflyError as error:
        put.fail(error)
    except Exception as error:
        circuit.host.note(HookFailed(put, error))
        put.finish(ECA_PUTFAIL, HOOK_FAILED)


def _acknowledge(pv: PV, message: Write | WriteNotify) -> None:
    """PUT_ACKT and PUT_ACKS, from alarm handlers."""
    value = int.from_bytes(message.payload[:2], "big")
    if message.type == Dbr.PUT_ACKT:
        pv.acknowledge(transient=bool(value))
    else:
        pv.acknowledge(severity=value)


_Action = Callable[["ServerCircuit", Any], None]
ACTIONS: dict[type[Message], _Action] = {
    Version: version,
    ClientName: name,
    HostName: name,
    Search: search,
    CreateChannel: create,
    ClearChannel: clear,
    ReadNotify: read,
    Read: old_read,
    EventAdd: subscribe,
    EventCancel: cancel,
    EventsOn: events_on,
    Write: write,
    WriteNotify: write,
}
"""Message -> what is done; the rest concerns the circuit alone."""
