"""Every Channel Access message as a frozen dataclass, and the table to decode them.

`decode(sender, header, payload)` finds the class by who sent it and the command number;
`message.encode()` gives the bytes. Payload bytes are `beamfly.ca.payloads`' business.

Words that every class uses: `cid` and `sid` are the client's and the server's number of
a channel, `subscription` and `ioid` the client's numbers of a subscription and of a
request; `type` and `count` are DBR type and elements (count 0 in a request: as many as
there are); `status` is an ECA code, and unless it is 1 the payload means nothing;
`name` is that of a PV, `minor` the sender's minor version, `port` a TCP port, `rights`
bits of Access, `mask` bits of EventMask.
"""

import struct
from collections.abc import Callable
from typing import cast

from beamfly.ca.datagrams import (
    Beacon,
    NotFound,
    RepeaterConfirm,
    RepeaterRegister,
    Search,
    SearchReply,
    Version,
)
from beamfly.ca.frozen import frozen
from beamfly.ca.header import Header
from beamfly.ca.message import (
    DECODE_BODY,
    MINOR_VERSION,
    Body,
    Command,
    EventMask,
    Message,
    Sender,
)
from beamfly.errors import RemoteProtocolError


@frozen
class ClientName(Message):
    """The user that the client runs as."""

    COMMAND = Command.CLIENT_NAME
    BODY = Body.NAME
    name: str


@frozen
class HostName(Message):
    """The machine that the client runs on."""

    COMMAND = Command.HOST_NAME
    BODY = Body.NAME
    name: str


@frozen
class CreateChannel(Message):
    """Open a channel to a PV."""

    COMMAND = Command.CREATE_CHAN
    SLOTS = (0, 0, "cid", "minor")
    BODY = Body.NAME
    name: str
    cid: int
    minor: int = MINOR_VERSION


@frozen
class ChannelCreated(Message):
    """The channel is open."""

    COMMAND = Command.CREATE_CHAN
    SLOTS = ("type", "count", "cid", "sid")
    cid: int
    sid: int
    type: int
    """Native base type, 0 to 6."""
    count: int
    """Most elements it can have."""


@frozen
class CreateFailed(Message):
    """The channel cannot be opened."""

    COMMAND = Command.CREATE_CH_FAIL
    SLOTS = (0, 0, "cid", 0)
    cid: int


@frozen
class AccessRights(Message):
    """What the client may do; before ChannelCreated, and again when it changes."""

    COMMAND = Command.ACCESS_RIGHTS
    SLOTS = (0, 0, "cid", "rights")
    cid: int
    rights: int


@frozen
class ServerDisconnect(Message):
    """The PV is gone; other channels of the circuit stay."""

    COMMAND = Command.SERVER_DISCONN
    SLOTS = (0, 0, "cid", 0)
    cid: int


@frozen
class ClearChannel(Message):
    """Close the channel; the server repeats it when done."""

    COMMAND = Command.CLEAR_CHANNEL
    SLOTS = (0, 0, "sid", "cid")
    sid: int
    cid: int


@frozen
class EventAdd(Message):
    """Subscribe."""

    COMMAND = Command.EVENT_ADD
    SLOTS = ("type", "count", "sid", "subscription")
    BODY = Body.MASK
    type: int
    """DBR type of the updates."""
    count: int
    """Elements of the updates; 0: as many as there are."""
    sid: int
    subscription: int
    mask: int = EventMask.VALUE | EventMask.ALARM


@frozen
class EventUpdate(Message):
    """A subscription's value; its payload is never empty."""

    COMMAND = Command.EVENT_ADD
    SLOTS = ("type", "count", "status", "subscription")
    BODY = Body.DATA
    type: int
    count: int
    status: int
    subscription: int
    payload: bytes


@frozen
class EventCancel(Message):
    """Unsubscribe."""

    COMMAND = Command.EVENT_CANCEL
    SLOTS = ("type", "count", "sid", "subscription")
    type: int
    count: int
    sid: int
    subscription: int


@frozen
class EventCancelled(Message):
    """The subscription is gone: an update of size 0 (command 1)."""

    COMMAND = Command.EVENT_ADD
    SLOTS = ("type", "count", "sid", "subscription")
    type: int
    count: int
    sid: int
    subscription: int


@frozen
class Read(Message):
    """Read, as clients did before 3.14."""

    COMMAND = Command.READ
    SLOTS = ("type", "count", "sid", "ioid")
    type: int
    count: int
    sid: int
    ioid: int


@frozen
class ReadReply(Message):
    """The value for Read; a failure comes as ErrorReply instead."""

    COMMAND = Command.READ
    SLOTS = ("type", "count", "cid", "ioid")
    BODY = Body.DATA
    type: int
    count: int
    cid: int
    ioid: int
    payload: bytes


@frozen
class ReadNotify(Message):
    """Read."""

    COMMAND = Command.READ_NOTIFY
    SLOTS = ("type", "count", "sid", "ioid")
    type: int
    count: int
    sid: int
    ioid: int


@frozen
class ReadNotifyReply(Message):
    """The value for ReadNotify."""

    COMMAND = Command.READ_NOTIFY
    SLOTS = ("type", "count", "status", "ioid")
    BODY = Body.DATA
    type: int
    count: int
    status: int
    ioid: int
    payload: bytes


@frozen
class Write(Message):
    """Write without an answer; a failure comes as ErrorReply."""

    COMMAND = Command.WRITE
    SLOTS = ("type", "count", "sid", "cid")
    BODY = Body.DATA
    type: int
    count: int
    sid: int
    cid: int
    payload: bytes


@frozen
class WriteNotify(Message):
    """Write, and say when processing is over."""

    COMMAND = Command.WRITE_NOTIFY
    SLOTS = ("type", "count", "sid", "ioid")
    BODY = Body.DATA
    type: int
    count: int
    sid: int
    ioid: int
    payload: bytes


@frozen
class WriteNotifyReply(Message):
    """Processing that a WriteNotify caused is over."""

    COMMAND = Command.WRITE_NOTIFY
    SLOTS = ("type", "count", "status", "ioid")
    type: int
    count: int
    status: int
    ioid: int


@frozen
class EventsOff(Message):
    """Hold back updates on this circuit, keeping the last of each subscription."""

    COMMAND = Command.EVENTS_OFF


@frozen
class EventsOn(Message):
    """Send updates again."""

    COMMAND = Command.EVENTS_ON


@frozen
class ReadSync(Message):
    """The echo of clients before 3.13; nobody answers it any more."""

    COMMAND = Command.READ_SYNC


@frozen
class Echo(Message):
    """Are you there? Answered with the same bytes."""

    COMMAND = Command.ECHO


@frozen
class ErrorReply(Message):
    """A request went wrong that has no other answer, or none could be found."""

    COMMAND = Command.ERROR
    SLOTS = (0, 0, "cid", "status")
    BODY = Body.ERROR
    cid: int
    status: int
    request: Header | None
    """The header of the request; None if the server did not repeat it."""
    text: str
    """What went wrong, in the server's words."""


_CLIENT = (
    *(Version, Search, ClientName, HostName, CreateChannel, ClearChannel),
    *(EventAdd, EventCancel, Read, ReadNotify, Write, WriteNotify),
    *(EventsOff, EventsOn, ReadSync, Echo, RepeaterRegister),
)
_SERVER = (
    *(Version, SearchReply, NotFound, Beacon, RepeaterConfirm),
    *(ChannelCreated, CreateFailed, AccessRights, ServerDisconnect, ClearChannel),
    *(EventUpdate, ReadReply, ReadNotifyReply, WriteNotifyReply, Echo, ErrorReply),
)
TABLE: dict[tuple[Sender, int], type[Message]] = {
    **{(Sender.CLIENT, kind.COMMAND): kind for kind in _CLIENT},
    **{(Sender.SERVER, kind.COMMAND): kind for kind in _SERVER},
}
"""Who sent it and command number -> class."""


def decode(sender: Sender, header: Header, payload: bytes) -> Message:
    """The message; RemoteProtocolError for a command or payload that makes no sense."""
    kind = TABLE.get((sender, header.command))
    if kind is None:
        msg = (
            f"a {sender.value} cannot send command {header.command}; it was not obeyed"
        )
        raise RemoteProtocolError(msg)
    if kind is EventUpdate and not header.size:
        kind = EventCancelled
    fields = {
        slot: value
        for slot, value in zip(kind.SLOTS, header[2:6], strict=True)
        if isinstance(slot, str)
    }
    try:
        fields |= DECODE_BODY[kind.BODY](payload)
    except struct.error as error:
        msg = f"the {kind.__name__} that a {sender.value} sent is too short: {error}"
        raise RemoteProtocolError(msg) from None
    values = map(fields.__getitem__, kind.__match_args__)
    return cast(Callable[..., Message], kind)(*values)
