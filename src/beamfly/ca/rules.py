"""What may follow what: the states of circuits and channels as tables.

The tables speak of client and server, not of us and them: the same rows judge what we
send (LocalProtocolError) and what the peer sends (RemoteProtocolError), in both roles.
"""

from enum import Enum

from beamfly.ca.message import Command, Sender

C, S = Sender.CLIENT, Sender.SERVER


class CircuitState(Enum):
    """How far a circuit is."""

    NEW = "new"
    """The client has not said its version."""
    OPEN = "open"
    """Everything else may be said."""
    CLOSED = "closed"
    """Nothing more is sent or read."""


class ChannelState(Enum):
    """How far a channel on a circuit is."""

    CREATING = "being created"
    """The client asked for it."""
    OPEN = "open"
    """The server has it."""
    DROPPED = "dropped"
    """The client lost interest before the server had it."""
    CLEARING = "being cleared"
    """The client is done with it; what was under way may still arrive."""
    CLOSED = "closed"
    """Its numbers mean nothing any more."""


_FREE = {
    C: (
        *(Command.CLIENT_NAME, Command.HOST_NAME, Command.SEARCH, Command.ECHO),
        *(Command.EVENTS_OFF, Command.EVENTS_ON, Command.READ_SYNC, Command.VERSION),
        *(Command.CREATE_CHAN, Command.CLEAR_CHANNEL, Command.EVENT_ADD),
        *(Command.EVENT_CANCEL, Command.READ, Command.READ_NOTIFY),
        *(Command.WRITE, Command.WRITE_NOTIFY),
    ),
    S: (
        *(Command.VERSION, Command.SEARCH, Command.NOT_FOUND, Command.ECHO),
        *(Command.CREATE_CHAN, Command.CREATE_CH_FAIL, Command.ACCESS_RIGHTS),
        *(Command.CLEAR_CHANNEL, Command.SERVER_DISCONN, Command.ERROR),
        *(Command.EVENT_ADD, Command.READ, Command.READ_NOTIFY),
        Command.WRITE_NOTIFY,
    ),
}
"""What an open circuit carries, by sender."""

CIRCUIT_RULES: dict[tuple[CircuitState, Sender, int], CircuitState] = {
    (CircuitState.NEW, C, Command.VERSION): CircuitState.OPEN,
    # a server greets at once, without waiting for the client
    (CircuitState.NEW, S, Command.VERSION): CircuitState.NEW,
    **{
        (CircuitState.OPEN, sender, command): CircuitState.OPEN
        for sender, commands in _FREE.items()
        for command in commands
    },
}
"""State, sender, command -> next state; what is missing is forbidden."""

_USES = (
    *(Command.READ, Command.READ_NOTIFY, Command.WRITE, Command.WRITE_NOTIFY),
    *(Command.EVENT_ADD, Command.EVENT_CANCEL),
)
CHANNEL_RULES: dict[tuple[ChannelState, Sender, int], ChannelState] = {
    (ChannelState.CREATING, S, Command.ACCESS_RIGHTS): ChannelState.CREATING,
    (ChannelState.CREATING, S, Command.CREATE_CHAN): ChannelState.OPEN,
    (ChannelState.CREATING, S, Command.CREATE_CH_FAIL): ChannelState.CLOSED,
    (ChannelState.CREATING, S, Command.SERVER_DISCONN): ChannelState.CLOSED,
    **{(ChannelState.OPEN, C, command): ChannelState.OPEN for command in _USES},
    (ChannelState.OPEN, C, Command.CLEAR_CHANNEL): ChannelState.CLEARING,
    (ChannelState.OPEN, S, Command.ACCESS_RIGHTS): ChannelState.OPEN,
    (ChannelState.OPEN, S, Command.SERVER_DISCONN): ChannelState.CLOSED,
    (ChannelState.DROPPED, S, Command.ACCESS_RIGHTS): ChannelState.DROPPED,
    # from here the client can, and must, send CLEAR_CHANNEL
    (ChannelState.DROPPED, S, Command.CREATE_CHAN): ChannelState.OPEN,
    (ChannelState.DROPPED, S, Command.CREATE_CH_FAIL): ChannelState.CLOSED,
    (ChannelState.DROPPED, S, Command.SERVER_DISCONN): ChannelState.CLOSED,
    (ChannelState.CLEARING, S, Command.ACCESS_RIGHTS): ChannelState.CLEARING,
    (ChannelState.CLEARING, S, Command.CLEAR_CHANNEL): ChannelState.CLOSED,
    (ChannelState.CLEARING, S, Command.SERVER_DISCONN): ChannelState.CLOSED,
}
"""State, sender, command -> next state; what is missing is forbidden."""
