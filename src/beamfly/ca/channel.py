"""What a client keeps for one PV across connections: state, monitors, waiting puts.

A `Channel` belongs to a `beamfly.ca.client.ClientCore`. While it is connected `link`
says what the server told of it. Requests that are under way when the connection goes
fail; monitors survive and are made anew.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from operator import index
from typing import TYPE_CHECKING, Any

from beamfly.ca.dbr import CODES, Dbr
from beamfly.ca.ledger import Link
from beamfly.ca.message import Access
from beamfly.errors import BadValue

if TYPE_CHECKING:
    from beamfly.ca.client_circuit import ClientCircuit


LONGEST_NAME = 500
"""Bytes of a PV name that fit a message."""


def can_be(name: Any) -> bool:
    """Whether a PV can have this name, whatever it is."""
    try:
        return "\0" not in name and 0 < len(name.encode()) <= LONGEST_NAME
    except (AttributeError, TypeError, UnicodeEncodeError):
        return False


def checked_count(name: str, count: Any) -> int:
    """A number of elements to ask for; BadValue if it is none."""
    try:
        number = index(count)
    except TypeError:
        number = -1
    if not 0 <= number < 1 << 32:
        msg = f"{count!r:.60} is no number of elements of {name}; nothing was asked"
        raise BadValue(msg)
    return number


class ConnectionState(Enum):
    """How far a client's channel is; values as in libca's ca_state."""

    NEVER_CONNECTED = 0
    PREVIOUSLY_CONNECTED = 1
    CONNECTED = 2
    CLOSED = 3


class Request:
    """Something a server was asked that will be answered, refused, or given up."""

    __slots__ = ("channel", "deadline")

    channel: "Channel"
    """Whom it is about."""
    deadline: float
    """When it is given up, inf for never."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits; what is not sent yet is dropped if not."""
        return True

    def on_drop(self) -> object:
        """It was not sent, since it was not wanted any more."""

    def on_value(self, *reading: Any) -> object:
        """The answer, as in `beamfly.ca.readings`; no argument for a write."""
        raise NotImplementedError

    def on_error(self, error: Exception) -> object:
        """Refused, out of time, or disconnected."""
        raise NotImplementedError


class Monitor:
    """A subscription that outlives connections."""

    __slots__ = ("channel", "choose", "mask", "number", "on_error", "on_value")

    def __init__(
        self,
        channel: "Channel",
        choose: Callable[["Channel"], tuple[int, int]],
        mask: int,
        on_value: Callable[..., object],
        on_error: Callable[[Exception], object],
    ) -> None:
        """Describe a subscription.

        Args:
            channel: Of the PV.
            choose: Gives DBR type and count (0: as many as there are) whenever the
                channel has connected: native type and count may have changed.
            mask: Bits of EventMask, at least one: servers break off for less.
            on_value: Called with each update, as in `beamfly.ca.readings`.
            on_error: Called when an update came with a failure status, or when
                `on_value` raised. The subscription lives on.
        """
        if not 0 < mask < 1 << 16:
            msg = f"mask {mask} has no event; {channel.name} is not monitored"
            raise BadValue(msg)
        self.channel = channel
        self.choose = choose
        self.mask = mask
        self.on_value = on_value
        self.on_error = on_error
        self.number: int | None = None
        """On the circuit, None while there is none."""


class Channel:
    """One PV as a client sees it."""

    __slots__ = (
        "__weakref__",
        "busy",
        "cid",
        "circuit",
        "closed",
        "link",
        "monitors",
        "name",
        "on_change",
        "priority",
        "puts",
        "was_connected",
    )

    def __init__(self, name: str, cid: int, priority: int) -> None:
        self.name = name
        """Of the PV."""
        self.cid = cid
        """The client's number of it, the same for all connections."""
        self.priority = priority
        """Of its circuit, 0 to 99."""
        self.circuit: ClientCircuit | None = None
        """Where it is connected, or about to be."""
        self.link: Link | None = None
        """What the server told of it, None while not connected."""
        self.monitors: dict[Monitor, None] | tuple[()] = ()
        """Subscriptions, in order; most channels have none, and no dict either."""
        self.puts: deque[Callable[[], object]] | None = None
        """Puts with completion that wait for the one before."""
        self.busy = False
        """Whether a put with completion is under way."""
        self.was_connected = False
        """Whether it has ever been connected."""
        self.closed = False
        """Whether it was given up for good."""
        self.on_change: list[Callable[[Channel], object]] = []
        """Called when it has connected, disconnected, or changed its access."""

    @property
    def connected(self) -> bool:
        """Whether the server has it open."""
        return self.link is not None

    @property
    def state(self) -> ConnectionState:
        """How far it is."""
        if self.closed:
            return ConnectionState.CLOSED
        if self.link is not None:
            return ConnectionState.CONNECTED
        if self.was_connected:
            return ConnectionState.PREVIOUSLY_CONNECTED
        return ConnectionState.NEVER_CONNECTED

    @property
    def native_type(self) -> Dbr:
        """Base type on the server; STRING while not connected."""
        return CODES[self.link.type] if self.link else Dbr.STRING

    @property
    def count(self) -> int:
        """Most elements that it can have; 0 while not connected."""
        return self.link.count if self.link else 0

    @property
    def access(self) -> Access:
        """What we may do; nothing while not connected."""
        return Access(self.link.rights & 3) if self.link else Access.NONE

    @property
    def host(self) -> str:
        """`address:port` of the server, empty while not connected."""
        circuit = self.circuit
        return circuit.host if circuit is not None and self.link is not None else ""
