"""A client's end of a circuit: channels and monitors; requests are below in `requests`.

The rules are those of `Circuit`; updates, which come thousands of times per second,
take short cuts that `tests/ca` checks against the long way.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from beamfly.ca import lanes, updates
from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.header import LARGE, Header
from beamfly.ca.ledger import Link
from beamfly.ca.message import Command, Message
from beamfly.ca.messages import (
    AccessRights,
    ChannelCreated,
    ClearChannel,
    CreateFailed,
    ErrorReply,
    EventAdd,
    EventCancel,
    EventsOff,
    EventsOn,
    SearchReply,
    ServerDisconnect,
)
from beamfly.ca.named import create_message, watch_message
from beamfly.ca.pending import Numbers, array_sink, refused
from beamfly.ca.readings import reading
from beamfly.ca.requests import RequestCircuit
from beamfly.ca.rules import ChannelState, CircuitState
from beamfly.ca.status import ECA_NORMAL, ECA_TOLARGE
from beamfly.errors import BeamflyError, CADisconnected

# enum members are slow to look up, and thousands of channels open in one go
_CREATING, _OPEN = ChannelState.CREATING, ChannelState.OPEN
_EVENT_ADD = int(Command.EVENT_ADD)
_LAST_BASE = int(Dbr.DOUBLE)
FULL_READS = 20
"""Full receive buffers in a row after which the server is asked to hold back."""
_VERBS: dict[int | None, str] = {
    Command.WRITE: "written",
    Command.READ: "read",
    Command.EVENT_ADD: "monitored",
}
"""What was not done when a request went wrong."""


class Owner(Protocol):
    """The client that a circuit belongs to."""

    channels: dict[int, Channel]

    def opened(self, channel: Channel) -> None:
        """A channel is connected, or may do more or less than before."""

    def refused(self, channel: Channel, circuit: "ClientCircuit") -> None:
        """The server has not got the PV, or no longer."""

    def found(self, reply: SearchReply, circuit: "ClientCircuit") -> None:
        """A name server answered."""

    def circuit_closed(self, circuit: "ClientCircuit") -> None:
        """Nothing more comes from it."""

    @property
    def notice(self) -> Callable[[str], object]:
        """Told what is worth logging."""
        ...


class ClientCircuit(RequestCircuit):
    """One connection to a server, with everything that is under way on it."""

    def __init__(
        self, owner: Owner, address: tuple[str, int], numbers: Numbers, **options: Any
    ) -> None:
        """Prepare a circuit; the shell connects it and calls `open`.

        Args:
            owner: Told what happens.
            address: IPv4 address and TCP port of the server.
            numbers: Where requests and subscriptions get their numbers from.
            options: As for `Circuit`.
        """
        super().__init__(address, numbers, owner.notice, **options)
        self.keep = False
        """Whether it stays without channels: name servers do."""
        self.monitors: dict[int, Monitor] = {}
        """By number of the subscription."""
        self.sinks = updates.Sinks()
        """Where updates go, by number of the subscription."""
        self._owner = owner
        self._live = 0
        self._full_reads = 0
        self._takers[Command.EVENT_ADD] = self._take_update
        self._lane(lanes.OpeningLane(self._opened))

    # ---- channels

    def create(self, channels: Sequence[Channel]) -> None:
        """Ask for channels."""
        links = self.ledger.channels
        messages: list[bytes] = []
        for channel in channels:
            cid, name = channel.cid, channel.name
            messages.append(create_message(name, cid))
            links[cid] = Link(cid, name, channel)
            channel.circuit = self
        self.outbox.put(b"".join(messages))
        self._live += len(channels)

    def clear(self, channel: Channel) -> None:
        """Give up a channel; what is under way on it fails."""
        link = self.ledger.channels.get(channel.cid)
        if link is not None and link.state is ChannelState.OPEN:
            for monitor in channel.monitors:
                self._forget(monitor)
            self.send(ClearChannel(link.sid, link.cid))
        elif link is not None:
            self.ledger.drop(channel.cid)
        self.lose(channel, CADisconnected(f"{channel.name} was closed", status=440))

    def lose(self, channel: Channel, reason: BeamflyError) -> None:
        """A channel is gone from here: fail what is under way, forget monitors."""
        if channel.circuit is self:
            self._live -= 1
            self.losses += 1
        was_connected = channel.link is not None
        channel.circuit = channel.link = None
        channel.busy, channel.puts = False, None
        for monitor in channel.monitors:
            self._forget(monitor)
        if was_connected:
            # nobody else has asked it anything, and there may be many who are refused
            self.pending.fail_channel(channel, reason)

    @property
    def unused(self) -> bool:
        """Whether no channel needs it any more."""
        return not self.keep and not self._live

    def _opened(self, cid: int, rights: int, sid: int, code: int, count: int) -> bool:
        """The fast lane has seen a channel open."""
        ledger = self.ledger
        link = ledger.channels.get(cid)
        if link is None or link.state is not _CREATING:
            return False
        if code > _LAST_BASE or sid in ledger.by_sid:
            return False
        link.rights, link.sid, link.type, link.count = rights, sid, code, count
        link.state = _OPEN
        ledger.by_sid[sid] = link
        self._connected(link)
        return True

    def _connected(self, link: Link) -> None:
        """Take up monitors, and tell."""
        channel: Channel = link.owner
        if channel.closed or channel.circuit is not self:
            self.send(ClearChannel(link.sid, link.cid))
            return
        channel.link = link
        channel.was_connected = True
        for monitor in channel.monitors:
            self.subscribe(monitor)
        if channel.on_change:
            self._owner.opened(channel)

    # ---- monitors

    def subscribe(self, monitor: Monitor) -> None:
        """Ask for updates; `monitor.number` is set."""
        link = self._link(monitor.channel)
        try:
            code, count = monitor.choose(monitor.channel)
        except BeamflyError as error:
            monitor.on_error(error)
            return
        row = layout(code)
        number = monitor.number = self._numbers.take()
        self.monitors[number] = monitor
        sink = monitor.on_value
        if row.family in (Family.PLAIN, Family.TIME) and link.count != 1:
            sink = array_sink(sink, row.base)
        self.sinks[number] = sink
        if (_EVENT_ADD, row.family) not in self._laned:
            self._event_lane(row.family)
        count = count or self._autosize(link)
        if count < LARGE and link.state is _OPEN:
            self.ledger.watch(link, number, code, count, monitor.mask)
            message = watch_message(code, count, link.sid, number, monitor.mask)
            self.outbox.put(message)
        else:
            self.send(EventAdd(code, count, link.sid, number, monitor.mask))

    def _event_lane(self, family: Family) -> None:
        """Updates of one element may come in runs."""
        self._laned.add((_EVENT_ADD, family))
        if family is Family.TIME:
            lane = updates.EventLane(self.sinks, self._sink_failed, self._columns)
            self._lane(lane)
        elif family is Family.PLAIN:
            self._lane(updates.PlainLane(self.sinks, self._sink_failed))

    def cancel(self, monitor: Monitor) -> None:
        """Ask for no more updates; none comes from now on."""
        number = monitor.number
        self._forget(monitor)
        row = self.ledger.subscriptions.get(number or 0)
        if row is None or number is None or row.link.state is not ChannelState.OPEN:
            return
        if self.state is CircuitState.OPEN:
            # libca cuts the count to 16 bits, and servers do not look at it
            count = min(row.count, LARGE - 1)
            self.send(EventCancel(row.type, count, row.link.sid, number))

    def _forget(self, monitor: Monitor) -> None:
        """No update reaches it any more."""
        if monitor.number is not None:
            self.sinks.pop(monitor.number, None)
            self.monitors.pop(monitor.number, None)
            monitor.number = None

    def _sink_failed(self, number: int, error: Exception) -> None:
        """A monitor's callback raised."""
        monitor = self.monitors.get(number)
        if monitor is not None:
            monitor.on_error(error)

    # ---- what arrives

    def received(self, size: int, now: float) -> None:
        """Parse; ask a server that is faster than our callbacks to hold back."""
        super().received(size, now)
        if not self.inbox.was_filled or self.inbox.expecting:
            if self._full_reads >= FULL_READS and self.state is CircuitState.OPEN:
                self.send(EventsOn())
            self._full_reads = 0
            return
        self._full_reads += self.inbox.is_large
        if self._full_reads == FULL_READS and self.state is CircuitState.OPEN:
            self.send(EventsOff())

    def _take_update(self, header: Header, payload: memoryview) -> None:
        """A value for a monitor."""
        monitor = self.monitors.get(header.p2)
        if monitor is None:
            return
        if header.p1 != ECA_NORMAL:
            monitor.on_error(refused(monitor.channel.name, header.p1, "monitored"))
            return
        arguments = reading(header.type, header.elements, payload)
        try:
            self.sinks[header.p2](*arguments)
        except Exception as error:
            monitor.on_error(error)

    def skipped(self, header: Header) -> None:
        """An array was larger than the settings allow."""
        if header.command == Command.READ_NOTIFY:
            self.pending.refuse(header.p2, ECA_TOLARGE, "read")
        elif header.command == Command.EVENT_ADD and header.p2 in self.monitors:
            monitor = self.monitors[header.p2]
            monitor.on_error(refused(monitor.channel.name, ECA_TOLARGE, "monitored"))

    def handle(self, message: Message) -> None:
        """Everything rare."""
        if isinstance(message, ChannelCreated):
            self._connected(self.ledger.channels[message.cid])
        elif isinstance(message, (CreateFailed, ServerDisconnect)):
            channel = self._owner.channels.get(message.cid)
            if channel is not None and channel.circuit is self:
                self._owner.refused(channel, self)
        elif isinstance(message, AccessRights):
            channel = self._owner.channels.get(message.cid)
            if channel is not None and channel.link is not None:
                self._owner.opened(channel)
        elif isinstance(message, SearchReply):
            self._owner.found(message, self)
        elif isinstance(message, ErrorReply):
            self._error(message)

    def _error(self, message: ErrorReply) -> None:
        """A request went wrong: tell who asked, or log it."""
        request = message.request
        if request is not None and request.command in (
            Command.READ_NOTIFY,
            Command.WRITE_NOTIFY,
        ):
            if self.pending.refuse(request.p2, message.status, "served"):
                return
        channel = self._owner.channels.get(message.cid)
        name = channel.name if channel is not None else self.host
        command = None if request is None else request.command
        error = refused(name, message.status, _VERBS.get(command, "served"))
        monitor = None
        if request is not None and command == Command.EVENT_ADD:
            monitor = self.monitors.get(request.p2)
        if monitor is not None:
            monitor.on_error(error)
        else:
            # C servers have nothing to add but the name
            added = not name.startswith(message.text)
            more = f" ({message.text})" if added else ""
            self.notice(f"{error}{more}")

    # ---- time and end

    def probe(self, now: float) -> None:
        """Ask for an echo soon: there are reasons to doubt that the server is there."""
        self.last_received = min(self.last_received, now - self._quiet)

    def alive(self, now: float) -> None:
        """A beacon says that the server is there."""
        if self._echo_sent is None:
            self.last_received = max(self.last_received, now)

    def close(self, reason: Exception) -> None:
        """Fail everything that is under way, and tell the owner."""
        if self.state is CircuitState.CLOSED:
            return
        super().close(reason)
        self.sinks.clear()
        self.monitors.clear()
        self._owner.circuit_closed(self)
