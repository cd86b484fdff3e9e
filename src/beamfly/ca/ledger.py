"""What both ends of a circuit know of each other: channels and subscriptions.

`Ledger.apply(sender, message, error)` moves the states of `beamfly.ca.rules` along. It
is the same for a message that we send and for one that arrives; `error` says whom to
blame. It returns False for a message that came too late to matter.
"""

from collections.abc import Callable
from typing import Any

from beamfly.ca.frozen import Frozen, frozen
from beamfly.ca.message import Message, Sender
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
    Read,
    ReadNotify,
    ServerDisconnect,
    Write,
    WriteNotify,
)
from beamfly.ca.rules import CHANNEL_RULES, ChannelState
from beamfly.errors import LocalProtocolError, ProtocolError

# enum members are slow to look up, and thousands of channels open in one go
_CREATING = ChannelState.CREATING


class Link:
    """A channel on one circuit."""

    __slots__ = (
        *("cid", "count", "name", "owner", "queue", "rights", "sid", "state"),
        *("subscriptions", "type"),
    )

    def __init__(self, cid: int, name: str, owner: Any = None) -> None:
        self.cid = cid
        """The client's number."""
        self.name = name
        """Of the PV."""
        self.owner = owner
        """What the client or server at this end keeps for the channel."""
        self.state = _CREATING
        """How far it is."""
        self.sid = 0
        """The server's number, from when it is open."""
        self.type = 0
        """Native base type, 0 to 6, from when it is open."""
        self.count = 0
        """Most elements, from when it is open."""
        self.rights = 0
        """Bits of Access."""
        self.subscriptions: tuple[int, ...] = ()
        """Numbers of its subscriptions."""
        self.queue: Callable[[float], int] | None = None
        """Queues a write of a number, see `RequestCircuit.queue`; None until needed."""


@frozen
class Subscribed(Frozen):
    """What a subscription was made with."""

    link: Link
    """Its channel."""
    type: int
    """DBR type of the updates."""
    count: int
    """Elements asked for; 0: as many as there are."""
    mask: int
    """Bits of EventMask."""


class Ledger:
    """Channels and subscriptions of one circuit."""

    def __init__(self) -> None:
        self.channels: dict[int, Link] = {}
        """By the client's number."""
        self.by_sid: dict[int, Link] = {}
        """By the server's number, from when they are open."""
        self.subscriptions: dict[int, Subscribed] = {}
        """By number, until the server has confirmed their end."""
        self.cancelling: set[int] = set()
        """Numbers of subscriptions whose end is not confirmed yet."""

    def apply(
        self, sender: Sender, message: Message, error: type[ProtocolError]
    ) -> bool:
        """Note a message; raises `error` if it is against the rules."""
        row = _EFFECTS.get(type(message))
        if row is None:
            return True
        key, effect = row
        if key is None:
            return effect(self, sender, message, error)
        table = self.channels if key == "cid" else self.by_sid
        link = table.get(getattr(message, key))
        if link is None:
            if sender is Sender.SERVER and error is not LocalProtocolError:
                return False
            msg = (
                f"there is no open channel with {key} {getattr(message, key)}; "
                f"{type(message).__name__} makes no sense"
            )
            raise error(msg)
        self._move(sender, message, link, error)
        return effect(self, sender, message, error)

    def drop(self, cid: int) -> None:
        """A client loses interest in a channel that is still being created."""
        link = self.channels[cid]
        if link.state is ChannelState.CREATING:
            link.state = ChannelState.DROPPED

    def _move(
        self, sender: Sender, message: Message, link: Link, error: type[ProtocolError]
    ) -> None:
        """The channel's next state."""
        after = CHANNEL_RULES.get((link.state, sender, message.COMMAND))
        if after is None:
            msg = (
                f"{type(message).__name__} makes no sense from a {sender.value} on "
                f"{link.name}, a channel that is {link.state.value}"
            )
            raise error(msg)
        link.state = after
        if after is ChannelState.CLOSED:
            self._forget(link)

    def _forget(self, link: Link) -> None:
        """A channel's numbers mean nothing any more."""
        self.channels.pop(link.cid, None)
        self.by_sid.pop(link.sid, None)
        for key in link.subscriptions:
            self.subscriptions.pop(key, None)
            self.cancelling.discard(key)
        link.subscriptions = ()

    def create(
        self, sender: Sender, message: CreateChannel, error: type[ProtocolError]
    ) -> bool:
        """A channel is asked for."""
        if message.cid in self.channels:
            msg = (
                f"channel number {message.cid} is taken; {message.name} was not opened"
            )
            raise error(msg)
        self.channels[message.cid] = Link(message.cid, message.name)
        return True

    def created(
        self, sender: Sender, message: ChannelCreated, error: type[ProtocolError]
    ) -> bool:
        """A channel is open."""
        link = self.channels[message.cid]
        if message.sid in self.by_sid or message.type > 6:
            msg = f"{link.name} was opened with nonsense: {message}"
            raise error(msg)
        link.sid, link.type, link.count = message.sid, message.type, message.count
        self.by_sid[message.sid] = link
        return True

    def rights(
        self, sender: Sender, message: AccessRights, error: type[ProtocolError]
    ) -> bool:
        """What may be done with a channel."""
        self.channels[message.cid].rights = message.rights
        return True

    def subscribe(
        self, sender: Sender, message: EventAdd, error: type[ProtocolError]
    ) -> bool:
        """A subscription is asked for."""
        if message.subscription in self.subscriptions:
            msg = (
                f"subscription number {message.subscription} is taken; it was not made"
            )
            raise error(msg)
        link = self.by_sid[message.sid]
        number = message.subscription
        self.watch(link, number, message.type, message.count, message.mask)
        return True

    def watch(self, link: Link, number: int, type: int, count: int, mask: int) -> None:
        """A new subscription of an open channel."""
        self.subscriptions[number] = Subscribed(link, type, count, mask)
        link.subscriptions += (number,)

    def cancel(
        self, sender: Sender, message: EventCancel, error: type[ProtocolError]
    ) -> bool:
        """A subscription is to end."""
        number = message.subscription
        if number not in self.subscriptions or number in self.cancelling:
            msg = f"there is no subscription number {number} to cancel"
            raise error(msg)
        self.cancelling.add(number)
        return True

    def cancelled(
        self, sender: Sender, message: EventCancelled, error: type[ProtocolError]
    ) -> bool:
        """A subscription has ended; an update without data looks the same."""
        number = message.subscription
        if number not in self.cancelling:
            return False
        self.cancelling.discard(number)
        link = self.subscriptions.pop(number).link
        link.subscriptions = tuple(key for key in link.subscriptions if key != number)
        return True

    def update(
        self, sender: Sender, message: EventUpdate, error: type[ProtocolError]
    ) -> bool:
        """A value for a subscription, or for one that is gone."""
        number = message.subscription
        known = number in self.subscriptions and number not in self.cancelling
        if not known and error is LocalProtocolError:
            msg = f"there is no subscription number {number} to update"
            raise error(msg)
        return known


def _nothing(
    ledger: Ledger, sender: Sender, message: Message, error: type[ProtocolError]
) -> bool:
    """The state is all that changes."""
    return True


_Effect = Callable[[Ledger, Sender, Any, type[ProtocolError]], bool]
_EFFECTS: dict[type[Message], tuple[str | None, _Effect]] = {
    CreateChannel: (None, Ledger.create),
    ChannelCreated: ("cid", Ledger.created),
    CreateFailed: ("cid", _nothing),
    AccessRights: ("cid", Ledger.rights),
    ServerDisconnect: ("cid", _nothing),
    ClearChannel: ("cid", _nothing),
    EventAdd: ("sid", Ledger.subscribe),
    EventCancel: ("sid", Ledger.cancel),
    EventCancelled: (None, Ledger.cancelled),
    EventUpdate: (None, Ledger.update),
    Read: ("sid", _nothing),
    ReadNotify: ("sid", _nothing),
    Write: ("sid", _nothing),
    WriteNotify: ("sid", _nothing),
}
"""Message -> which number finds its channel (None: none), and what else it changes."""
