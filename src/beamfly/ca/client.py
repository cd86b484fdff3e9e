"""A whole Channel Access client as a core: search, circuits, reconnection.

`channel(name)` starts to look for a PV. The shell's part is small:

* send each of `datagrams(now)` to every search address, give what comes back to
  `receive_datagram`, and `registration(now)` to the repeater when it is not None;
* connect what `take_openings()` lists, then carry bytes between the socket and
  `circuit.room / received / output`; call `circuit.close(reason)` when that fails, and
  close the socket of a circuit that is closed;
* call `wake(now)` at `next_wakeup()`.

`Channel.on_change` tells of connections; `circuit.read / write` and `monitor` do the
rest.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from beamfly.ca.addresses import Address, dotted, host_of, number_of
from beamfly.ca.beacons import BeaconWatch, Rhythm
from beamfly.ca.channel import Channel, Monitor, can_be
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.datagrams import Beacon, RepeaterConfirm, SearchReply
from beamfly.ca.frozen import Frozen, frozen
from beamfly.ca.pending import Numbers
from beamfly.ca.rules import CircuitState
from beamfly.ca.search import Searches, parse_datagram, parse_replies, register_message
from beamfly.ca.status import ECA_CHANDESTROY, ECA_DISCONN
from beamfly.errors import BadValue, CADisconnected

SEARCH_MINOR = 12
"""First minor version of servers that answer searches over TCP."""
RETRY_SECONDS = 1.0
"""After a server that answered the search could not be talked to."""
REGISTER_SECONDS = 1.0
REGISTER_QUICKLY = 10
"""How often registration is tried every second, before it becomes every 30 s."""
LISTENING_SECONDS = 30.0
"""After so long every server that was there has been heard: an unknown one is new."""


@frozen
class Identity(Frozen):
    """What a client tells servers, and how it behaves."""

    user: str = ""
    """Of the operating system; access security may look at it."""
    machine: str = ""
    """Host name; access security may look at it."""
    quiet_seconds: float = 30.0
    """Silence after which a server is asked for an echo."""
    longest_search_period: float = 300.0
    """Seconds between searches for what is never found."""
    largest_array: int | None = None
    """Most bytes of a payload, None for no limit."""
    spread: float = 0.0
    """Between 0 and 1, different for each client: spreads what all clients do when a
    server restarts."""


class ClientCore:
    """Channels to any number of servers."""

    def __init__(
        self,
        identity: Identity,
        now: float,
        *,
        name_servers: Iterable[Address] = (),
        circuit_type: Callable[..., ClientCircuit] = ClientCircuit,
        on_notice: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Start without channels.

        Args:
            identity: Who we are.
            now: Seconds of any clock that never goes back.
            name_servers: IPv4 addresses and ports that are searched over TCP.
            circuit_type: What circuits are made of.
            on_notice: Told what is worth a line in a log.
        """
        self.identity = identity
        self.channels: dict[int, Channel] = {}
        """By number."""
        self.circuits: dict[tuple[str, int, int], ClientCircuit] = {}
        """By address, port and priority."""
        self.now = self._start = now
        self.notice = on_notice
        self.searches = Searches(identity.longest_search_period)
        self.guesses: dict[int, Callable[[], object]] = {}
        """Channel that a server is asked for without a search -> told of a refusal."""
        self._circuit_type = circuit_type
        self._numbers = Numbers()
        self._cids = Numbers()
        self._beacons = BeaconWatch()
        self._openings: list[ClientCircuit] = []
        self._name_servers: list[ClientCircuit] = []
        self._reopen: dict[Address, float] = {}
        self._register_at = now
        self._registrations = 0
        for address in name_servers:
            self.add_name_server(address)

    # ---- channels and monitors

    def channel(
        self,
        name: str,
        priority: int = 0,
        on_change: Callable[[Channel], object] | None = None,
    ) -> Channel:
        """Start to look for a PV, BadValue if the name or priority is impossible.

        Args:
            name: Of the PV, with field and modifiers if need be.
            priority: 0 to 99; servers may serve higher ones first.
            on_change: Called when it has connected, disconnected, changed its access.
        """
        channel = self.look_for([name], priority)[0]
        if on_change is not None:
            channel.on_change.append(on_change)
        return channel

    def look_for(self, names: Sequence[str], priority: int = 0) -> list[Channel]:
        """`channel` for many names; if one is impossible none is looked for."""
        for name in names:
            if not can_be(name):
                msg = f"{name!r:.60} cannot be the name of a PV; it is not looked for"
                raise BadValue(msg)
        if not 0 <= priority <= 99:
            text = ", ".join(names)
            msg = f"priority {priority} of {text:.60} is not in 0 to 99"
            raise BadValue(f"{msg}; it is not looked for")
        numbers = range(first := self._cids.take(len(names)), first + len(names))
        channels = [
            Channel(name, cid, priority)
            for cid, name in zip(numbers, names, strict=True)
        ]
        self.channels.update(zip(numbers, channels, strict=True))
        self.searches.add_new(numbers, names)
        return channels

    def close_channel(self, channel: Channel) -> None:
        """Give up a channel; its last circuit goes with it."""
        if channel.closed:
            return
        channel.closed = True
        self.channels.pop(channel.cid, None)
        self.searches.remove(channel.cid)
        circuit = channel.circuit
        if circuit is not None:
            circuit.clear(channel)
            if circuit.unused:
                reason = "no channel needs the circuit any more"
                circuit.close(CADisconnected(reason, status=ECA_CHANDESTROY))
        channel.monitors = ()
        self._tell(channel)

    def monitor(self, monitor: Monitor) -> None:
        """Subscribe, now and whenever its channel connects."""
        channel = monitor.channel
        if channel.closed:
            msg = f"{channel.name} is closed; it is not monitored"
            raise CADisconnected(msg, name=channel.name, status=ECA_DISCONN)
        if not channel.monitors:
            channel.monitors = {}
        channel.monitors[monitor] = None
        if channel.link is not None and channel.circuit is not None:
            channel.circuit.subscribe(monitor)

    def cancel(self, monitor: Monitor) -> None:
        """Unsubscribe; no update comes from now on."""
        channel = monitor.channel
        if not channel.monitors or monitor not in channel.monitors:
            return
        del channel.monitors[monitor]
        if channel.circuit is not None:
            channel.circuit.cancel(monitor)

    def close(self) -> None:
        """Close every channel and every circuit."""
        channels = tuple(self.channels.values())
        for channel in channels:
            channel.closed = True
            self.searches.remove(channel.cid)
        self.channels.clear()
        for circuit in (*self.circuits.values(), *self._name_servers):
            circuit.close(CADisconnected("the client was closed", status=ECA_DISCONN))
        self._reopen.clear()
        self._openings.clear()
        for channel in channels:
            channel.monitors = ()
            self._tell(channel)

    # ---- what the shell carries

    def datagrams(self, now: float) -> list[bytes]:
        """What to send to every search address now; name servers get it over TCP."""
        self.now = now
        datagrams = list(self.searches.datagrams(now))
        for circuit in self._name_servers:
            if circuit.minor >= SEARCH_MINOR and circuit.state is CircuitState.OPEN:
                for datagram in datagrams:
                    circuit.outbox.put(datagram)
        return datagrams

    def registration(self, now: float) -> bytes | None:
        """What to send to the repeater now, if anything."""
        if now < self._register_at:
            return None
        self._registrations += 1
        slow = self._registrations > REGISTER_QUICKLY
        self._register_at = now + REGISTER_SECONDS * (30 if slow else 1)
        return register_message()

    def take_openings(self) -> list[ClientCircuit]:
        """Circuits that want a connection to their address."""
        openings, self._openings = self._openings, []
        return openings

    def receive_datagram(self, data: bytes, source: str, now: float) -> None:
        """Take a datagram that came from an IPv4 address."""
        self.now = now
        if data[:2] in (b"\0\0", b"\0\6"):
            self._found(parse_replies(data), source)
            return
        for message in parse_datagram(data):
            if isinstance(message, Beacon):
                self._beacon(message, source)
            elif isinstance(message, RepeaterConfirm):
                self._register_at = float("inf")

    def next_wakeup(self) -> float | None:
        """When `wake` and `datagrams` want to be called, None for never."""
        due = [self._register_at, *self._reopen.values()]
        for circuit in (*self.circuits.values(), *self._name_servers):
            wakeup = circuit.next_wakeup()
            if wakeup is not None:
                due.append(wakeup)
        search = self.searches.next_wakeup(self.now)
        if search is not None:
            due.append(search)
        earliest = min(due)
        return None if earliest == float("inf") else earliest

    def wake(self, now: float) -> None:
        """Echoes, deadlines, name servers that are to be tried again."""
        self.now = now
        for circuit in (*self.circuits.values(), *self._name_servers):
            circuit.wake(now)
        for address, due in tuple(self._reopen.items()):
            if due <= now:
                del self._reopen[address]
                self.add_name_server(address)

    def add_name_server(self, address: Address) -> None:
        """A circuit that stays without channels."""
        circuit = self._circuit(address)
        circuit.keep = True
        self._name_servers.append(circuit)

    # ---- what circuits tell

    def opened(self, channel: Channel) -> None:
        """A channel is connected, or may do more or less than before."""
        self._tell(channel)

    def refused(self, channel: Channel, circuit: ClientCircuit) -> None:
        """The server has not got the PV, or no longer: look elsewhere."""
        msg = f"{circuit.host} does not serve {channel.name} any more"
        self._lost(channel, circuit, CADisconnected(msg, status=ECA_DISCONN))
        if circuit.unused:
            circuit.close(CADisconnected(msg, status=ECA_DISCONN))
        tell = self.guesses.pop(channel.cid, None)
        if tell is not None:
            tell()

    def found(self, reply: SearchReply, circuit: ClientCircuit) -> None:
        """A name server answered."""
        self._found([(reply.cid, reply.port, reply.address)], circuit.address[0])

    def circuit_closed(self, circuit: ClientCircuit) -> None:
        """Fail what was under way, and look for its channels again."""
        if circuit in self._name_servers:
            self._name_servers.remove(circuit)
            retry = self.now + self.identity.quiet_seconds
            self._reopen[circuit.address] = retry
        key = (*circuit.address, circuit.priority)
        if self.circuits.get(key) is circuit:
            del self.circuits[key]
        msg = f"the circuit to {circuit.host} is closed: {circuit.lost}"
        reason = CADisconnected(msg, status=ECA_DISCONN)
        circuit.pending.fail_all(reason)
        for link in tuple(circuit.ledger.channels.values()):
            channel: Channel = link.owner
            if channel.circuit is circuit:
                self._lost(channel, circuit, reason)

    # ---- inside

    def _found(self, replies: Iterable[tuple[int, int, int]], source: str) -> None:
        """Somebody serves PVs; the first one who says so is taken.

        Args:
            replies: Number of the channel, TCP port and IPv4 address for each.
            source: Where they came from, for those without an address.
        """
        found: defaultdict[tuple[int, int, int], list[Channel]] = defaultdict(list)
        for cid, port, number in replies:
            channel = self.channels.get(cid)
            if channel is None:
                continue
            if self.searches.remove(cid):
                found[port, number, channel.priority].append(channel)
            else:
                self._found_twice(channel, (host_of(number, source), port))
        for (port, number, priority), channels in found.items():
            host = host_of(number, source)
            self._circuit_to(host, port, priority).create(channels)

    def _found_twice(self, channel: Channel, address: Address) -> None:
        """Two servers with the same PV are a mistake in the settings of one."""
        circuit = channel.circuit
        if circuit is not None and circuit.address != address:
            self.notice(
                f"{channel.name} is served by {circuit.host} and by "
                f"{address[0]}:{address[1]}; the first one is used"
            )

    def _circuit_to(self, host: str, port: int, priority: int) -> ClientCircuit:
        """The circuit to a server, made when it is new."""
        key = host, port, priority
        circuit = self.circuits.get(key)
        if circuit is None:
            circuit = self.circuits[key] = self._circuit((host, port), priority)
        return circuit

    def _circuit(self, address: Address, priority: int = 0) -> ClientCircuit:
        """A new circuit, which the shell is to connect."""
        who = self.identity
        largest = 1 << 32 if who.largest_array is None else who.largest_array
        circuit = self._circuit_type(
            self,
            address,
            self._numbers,
            priority=priority,
            user=who.user,
            machine=who.machine,
            quiet_seconds=who.quiet_seconds,
            largest=largest,
            now=self.now,
        )
        circuit.open()
        self._openings.append(circuit)
        return circuit

    def _lost(
        self, channel: Channel, circuit: ClientCircuit, reason: CADisconnected
    ) -> None:
        """A channel has to be looked for again, soon if it had been connected."""
        was_connected = channel.link is not None
        circuit.lose(channel, reason)
        if channel.closed:
            return
        wait = self.identity.spread / 2 if was_connected else RETRY_SECONDS
        self.searches.add(channel.cid, channel.name, due=self.now + wait)
        if was_connected:
            self._tell(channel)

    def _tell(self, channel: Channel) -> None:
        """Call those who watch a channel; what they raise harms nobody else."""
        for tell in tuple(channel.on_change):
            try:
                tell(channel)
            except Exception as error:
                self.notice(
                    f"a callback of {channel.name} raised "
                    f"{type(error).__name__}: {error}"
                )

    def _beacon(self, beacon: Beacon, source: str) -> None:
        """A server is alive, or has just come up."""
        host = source if beacon.address == 0 else dotted(beacon.address)
        key = (number_of(host), beacon.port)
        rhythm = self._beacons.beacon(key, beacon.number, self.now)
        mine = [
            circuit
            for circuit in self.circuits.values()
            if circuit.address == (host, beacon.port)
        ]
        listening = self.now - self._start > LISTENING_SECONDS
        if rhythm is Rhythm.RESTARTED or (rhythm is Rhythm.FIRST and listening):
            self.searches.hurry(self.now, self.identity.spread)
        for circuit in mine:
            if rhythm is Rhythm.NORMAL:
                circuit.alive(self.now)
            elif rhythm in (Rhythm.LATE, Rhythm.RESTARTED):
                circuit.probe(self.now)
