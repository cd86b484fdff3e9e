"""Sockets and a clock for a client core, driven by the thread that waits.

There is no thread behind it: whoever waits for something reads the sockets meanwhile.
"""

import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from beamfly.ca import sockets
from beamfly.ca.client import ClientCore
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.config import Config
from beamfly.ca.rules import CircuitState
from beamfly.ca.status import ECA_DISCONN
from beamfly.errors import CADisconnected, ProtocolError

TICK = 0.05
"""Longest seconds in one system call, so that interruptions are noticed."""
NEVER = float("inf")


class _Wire:
    """One TCP connection and what could not be sent yet."""

    def __init__(self, circuit: ClientCircuit) -> None:
        self.circuit = circuit
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        sockets.tune(self.socket)
        self.connected = False
        self.rest = memoryview(b"")
        self.events = selectors.EVENT_WRITE
        error = self.socket.connect_ex(circuit.address)
        self.refused = error if error not in _UNDER_WAY else 0

    def write(self) -> None:
        """Send as much as the kernel takes."""
        if not self.connected:
            return
        while self.rest or self.circuit.outbox:
            if not self.rest:
                # one piece, so that a rest is a slice of it
                self.rest = memoryview(b"".join(self.circuit.output()))
            try:
                sent = self.socket.send(self.rest)
            except (BlockingIOError, TimeoutError):
                return
            self.rest = self.rest[sent:]

    def connection_made(self) -> None:
        """From now on calls wait for a moment."""
        self.connected = True
        sockets.wait_at_most(self.socket, TICK)

    def read(self) -> bool:
        """Take what has arrived, or arrives within a moment; False if nothing did."""
        circuit = self.circuit
        try:
            size = self.socket.recv_into(circuit.room())
        except (BlockingIOError, TimeoutError):
            return False
        if size:
            circuit.received(size, time.monotonic())
        else:
            circuit.end_of_file()
        return size > 0


_UNDER_WAY = (0, 115, 36, 10035, 11)
"""EINPROGRESS and EWOULDBLOCK of Linux, macOS and Windows."""


class Driver:
    """Carries bytes between the sockets and a core."""

    def __init__(
        self,
        config: Config | None = None,
        on_notice: Callable[[str], object] = lambda text: None,
        **options: Any,
    ) -> None:
        """Open a search socket.

        Args:
            config: Settings, None to read them from the environment.
            on_notice: Told what is worth a line in a log.
            options: As for `ClientCore`.
        """
        self.config = Config.from_environment() if config is None else config
        for warning in self.config.warnings:
            on_notice(warning)
        self.closed = False
        self._socket = sockets.search_socket(self.config)
        self._addresses, names = sockets.search_addresses(self.config)
        self._addresses += sockets.resolve(names, on_notice)
        servers, server_names = sockets.split_numeric(self.config.name_servers)
        self._notice = on_notice
        self.core = ClientCore(
            sockets.identity(self.config),
            time.monotonic(),
            name_servers=servers + sockets.resolve(server_names, on_notice),
            on_notice=on_notice,
            **options,
        )
        self._wires: dict[ClientCircuit, _Wire] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)

    def close(self) -> None:
        """Close everything; closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        for wire in self._wires.values():
            if wire.circuit.state is not CircuitState.CLOSED:
                wire.write()
        self.core.close()
        for wire in self._wires.values():
            wire.socket.close()
        self._wires.clear()
        self._selector.close()
        self._socket.close()

    def run_until(self, done: Callable[[], bool], end: float) -> bool:
        """Work until something is done or the time has come; whether it is done.

        Args:
            done: Asked after every step.
            end: In time.monotonic().

        Raises:
            CADisconnected: It is closed.
        """
        if self.closed:
            msg = "the client is closed; nothing was done"
            raise CADisconnected(msg, status=ECA_DISCONN)
        while True:
            self.pump()
            if done():
                return True
            now = time.monotonic()
            if now >= end:
                return False
            self._step(min(end, self.core.next_wakeup() or NEVER, now + TICK) - now)

    def exchange(
        self, circuit: ClientCircuit, done: Callable[[], bool], end: float
    ) -> bool:
        """As `run_until`, faster when the answer comes at once on this circuit."""
        wire = self._wires.get(circuit)
        if wire is not None:
            self._guard(wire, wire.write)
            # other circuits wait for so long at most
            moment = min(end, time.monotonic() + TICK)
            while wire.connected and not wire.rest:
                more = self._guard(wire, wire.read)
                if done():
                    return True
                if not more or time.monotonic() > moment:
                    break
        return self.run_until(done, end)

    def flush(self, circuit: ClientCircuit) -> None:
        """Send what is queued on a circuit now, as far as the kernel takes it."""
        wire = self._wires.get(circuit)
        if wire is not None:
            self._guard(wire, wire.write)

    def pump(self) -> None:
        """Do all that the core wants done now."""
        now = time.monotonic()
        self.core.wake(now)
        for datagram in self.core.datagrams(now):
            for address in self._addresses:
                self._send(datagram, address)
        registration = self.core.registration(now)
        if registration is not None:
            self._send(registration, ("127.0.0.1", self.config.repeater_port))
        for circuit in self.core.take_openings():
            wire = self._wires[circuit] = _Wire(circuit)
            self._selector.register(wire.socket, wire.events, wire)
            if wire.refused:
                self._lost(wire, OSError(wire.refused, "no connection"))
        for wire in tuple(self._wires.values()):
            self._attend(wire)

    def _attend(self, wire: _Wire) -> None:
        """Send what waits, forget what is closed, watch for what is needed."""
        if wire.circuit.outbox or wire.rest:
            self._guard(wire, wire.write)
        if wire.circuit.state is CircuitState.CLOSED:
            self._selector.unregister(wire.socket)
            wire.socket.close()
            del self._wires[wire.circuit]
            return
        events = selectors.EVENT_READ if wire.connected else 0
        if wire.rest or not wire.connected:
            events |= selectors.EVENT_WRITE
        if events != wire.events:
            wire.events = events
            self._selector.modify(wire.socket, events, wire)

    def _step(self, timeout: float) -> None:
        """Wait for something to arrive, and take it."""
        for key, events in self._selector.select(max(0.0, timeout)):
            wire: _Wire | None = key.data
            if wire is None:
                self._read_datagrams()
                continue
            if events & selectors.EVENT_WRITE and not wire.connected:
                error = wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    self._lost(wire, OSError(error, "no connection"))
                    continue
                wire.connection_made()
            if events & selectors.EVENT_READ:
                self._guard(wire, wire.read)

    def _guard(self, wire: _Wire, call: Callable[[], object]) -> bool:
        """Whether a call did something; what breaks closes its circuit alone."""
        try:
            return bool(call())
        except ProtocolError as error:
            self._notice(f"{wire.circuit.host}: {error}")
        except OSError as error:
            self._lost(wire, error)
        return False

    def _lost(self, wire: _Wire, error: OSError) -> None:
        wire.circuit.close(CADisconnected(str(error), status=192))

    def _send(self, datagram: bytes, address: tuple[str, int]) -> None:
        try:
            self._socket.sendto(datagram, address)
        except OSError as error:
            # unreachable networks are what repeated searches are for
            self._notice(f"no search could be sent to {address[0]}: {error}")

    def _read_datagrams(self) -> None:
        """Everything that has arrived."""
        while True:
            try:
                data, source = self._socket.recvfrom(sockets.LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                # the echo of a datagram that nobody wanted
                continue
            self.core.receive_datagram(data, source[0], time.monotonic())
