"""Channel Access server for asyncio.

    async with Server({"X:temp": PV(21.5, units="degC"), "X:mode": "idle"}) as server:
        server["X:temp"].post(22.0)
        await asyncio.sleep(60)

It listens on 127.0.0.1 alone unless EPICS_CAS_INTF_ADDR_LIST or `interfaces` name
others, on EPICS_CAS_SERVER_PORT (or 5064), and takes another TCP port when that one is
taken. PVs belong to the event loop that serves them: post from there. Threads use
`beamfly.ca.server_thread`.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

from beamfly.ca.config import Config
from beamfly.ca.puts import HOOK_FAILED, HookFailed, Put, PutWaits
from beamfly.ca.pv import PV
from beamfly.ca.rules import CircuitState
from beamfly.ca.server import AccessFailed, Event, Rights, ServerCore
from beamfly.ca.server_circuit import ServerCircuit
from beamfly.ca.server_sockets import LOOPBACK, Sockets, beacon_addresses, open_sockets
from beamfly.ca.sockets import LARGEST_DATAGRAM, tune
from beamfly.ca.status import ECA_PUTFAIL
from beamfly.errors import (
    BeamflyError,
    CADisconnected,
    LocalProtocolError,
    ProtocolError,
)

log = logging.getLogger("beamfly.ca.server")
WRITE_BYTES = 256 * 1024
"""What a transport may hold before updates are merged and requests wait."""
DATAGRAMS_AT_ONCE = 64
# enum members are slow to look up, and this one is needed for every answer
_CLOSED = CircuitState.CLOSED

_TURNS_TO_ACCEPT = 3
"""Turns of the event loop after which a connection just accepted has its wire."""


class _Wire(asyncio.BufferedProtocol):
    """One TCP connection: carries bytes, decides nothing."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self.circuit: ServerCircuit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(WRITE_BYTES)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            tune(sock)
        host, port = transport.get_extra_info("peername")[:2]
        self.circuit = self._server.accept(f"{host}:{port}", self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.circuit.inbox.room()

    def buffer_updated(self, nbytes: int) -> None:
        server, circuit = self._server, self.circuit
        # what there is to answer is sent right here, nobody has to be told
        circuit.wanting = True
        server.busy = True
        try:
            server.guard(circuit.received, nbytes, server.loop.time())
            circuit.wanting = False
            self.write()
        finally:
            server.work()

    def eof_received(self) -> None:
        self._server.during(self.circuit.end_of_file)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        reason = str(exc) if exc else "the connection was closed"
        self._server.during(self.circuit.close, CADisconnected(reason, status=192))

    def pause_writing(self) -> None:
        self.circuit.congested = True

    def resume_writing(self) -> None:
        self.circuit.congested = False
        self._server.during(self.circuit.drained)
        self.write()

    def write(self) -> None:
        """Hand over what waits; go on with what waited for that."""
        transport, circuit = self._transport, self.circuit
        if transport is None:
            return
        while pieces := circuit.output():
            for piece in pieces:
                transport.write(piece)
            if circuit.congested or not circuit.stalled:
                break
            self._server.guard(circuit.drained)
        if circuit.state is _CLOSED:
            transport.close()
        elif circuit.held is self._reading:
            self._reading = not circuit.held
            (transport.resume_reading if self._reading else transport.pause_reading)()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()


class Server:
    """PVs on the network, for one event loop; see the module's text."""

    def __init__(
        self,
        pvs: Mapping[str, Any],
        *,
        config: Config | None = None,
        port: int | None = None,
        interfaces: tuple[str, ...] | str | None = None,
        access: Rights | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Prepare a server; it starts with `async with` or `start`.

        Args:
            pvs: Name -> PV, RecordGroup, or a first value to make a PV of.
            config: Settings, None to read them from the environment.
            port: TCP and UDP port; None: that of the settings; 0: one that is free.
            interfaces: IPv4 addresses to listen on, ("0.0.0.0",) for all. None: those
                of the settings (EPICS_CAS_INTF_ADDR_LIST), and without any 127.0.0.1.
            access: Called with a `Peer` and the name of a PV or record, without field;
                answers with Access. None: everybody may do everything. See
                `beamfly.ca.access.AccessRules`.
            clock: Nanoseconds since 1970, for time stamps.

        Raises:
            BadValue: A name or a value is impossible.
        """
        self.config = Config.from_environment() if config is None else config
        for warning in self.config.warnings:
            log.warning("%s", warning)
        self.core = ServerCore(
            pvs,
            clock=clock,
            now=0.0,
            access=access,
            largest=self.config.largest_array,
            beacon_period=self.config.cas_beacon_period,
        )
        self.core.on_work = self._work_soon
        if interfaces is None:
            named = tuple(host for host, _ in self.config.cas_interfaces)
            interfaces = named or (LOOPBACK,)
        elif isinstance(interfaces, str):
            interfaces = (interfaces,)
        self.interfaces = interfaces
        self._ignored = {host for host, _ in self.config.cas_ignored}
        self._asked_port = self.config.cas_port if port is None else port
        self._sockets: Sockets | None = None
        self._wires: dict[ServerCircuit, _Wire] = {}
        self._servers: list[asyncio.Server] = []
        self._hooks: dict[asyncio.Future[None], Put] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.busy = False
        """Whether `work` is due in this turn."""
        self._beacon_addresses = beacon_addresses(interfaces, self.config)

    @property
    def port(self) -> int:
        """TCP port, 0 while it does not run."""
        return self.core.port

    def __getitem__(self, name: str) -> PV:
        """A PV or field by its name; KeyError if there is none."""
        return self.core.database[name]

    def update_access(self) -> None:
        """What `access` answers may have changed: tell the clients."""
        self.core.update_access()

    def add(self, name: str, item: Any) -> None:
        """Serve one more PV or RecordGroup; BadValue if the name is taken."""
        self.core.add(name, item)

    def remove(self, name: str) -> None:
        """Serve a PV no more; its clients are told. KeyError if there is none."""
        self.core.remove(name)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen; CAError if no port is to be had."""
        if self._sockets is not None:
            msg = "the server runs already; it was not started again"
            raise LocalProtocolError(msg)
        self.loop = asyncio.get_running_loop()
        self._sockets = open_sockets(self.interfaces, self._asked_port)
        self.core.port = self._sockets.port
        try:
            for sock in self._sockets.tcp:
                self._servers.append(
                    await self.loop.create_server(lambda: _Wire(self), sock=sock)
                )
        except BaseException:
            # cancelled in between: there is no server yet that could be closed
            self._stop_listening()
            raise
        for sock in self._sockets.udp:
            self.loop.add_reader(sock, self._read_datagrams, sock)
        self.core.restart_beacons(self.loop.time())
        self._beacon()
        log.info("serving %d names on port %d", len(self.core.database), self.port)

    async def close(self) -> None:
        """Stop listening, drop clients, cancel hooks that are under way."""
        if self._sockets is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        # asyncio fails a connection that it accepted but has not set up when its
        # server is closed, and leaves the socket open
        for sock in (*self._sockets.udp, *self._sockets.tcp):
            self.loop.remove_reader(sock)
        for work in self._hooks:
            work.cancel()
        try:
            for _ in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
            await asyncio.gather(*self._hooks, return_exceptions=True)
        finally:
            for wire in [*self._wires.values()]:
                wire.write()
                wire.abort()
            self._stop_listening()
        # the loop tells the wires in its next turn
        while self._wires:
            await asyncio.sleep(0)

    def _stop_listening(self) -> None:
        """Close all sockets but those of clients."""
        sockets, self._sockets = self._sockets or Sockets(), None
        for sock in (*sockets.udp, *sockets.tcp):
            self.loop.remove_reader(sock)
        for listening in self._servers:
            listening.close()
        self._servers.clear()
        sockets.close()

    def accept(self, address: str, wire: _Wire) -> ServerCircuit:
        """The circuit of a new connection."""
        circuit = self.core.accept(address, self.loop.time())
        self._wires[circuit] = wire
        return circuit

    def during(self, call: Callable[..., None], *args: Any) -> None:
        """Call something of the core, then send what came of it, all in this turn."""
        self.busy = True
        try:
            self.guard(call, *args)
        finally:
            self.work()

    def guard(self, call: Callable[..., None], *args: Any) -> None:
        """Call something that may find out that a client broke the rules."""
        try:
            call(*args)
        except ProtocolError:
            # the circuit is closed, and an event says why
            self._work_soon()

    def _work_soon(self) -> None:
        """Something was posted outside of `during`: send it at the end of the turn."""
        if not self.busy and self._sockets is not None:
            self.busy = True
            self.loop.call_soon(self.work)

    def work(self) -> None:
        """Send what there is to send, and look at events."""
        self.busy = True
        try:
            while self.core.has_work:
                for circuit in self.core.take_wanting():
                    wire = self._wires.get(circuit)
                    if wire is not None:
                        wire.write()
                event = self.core.next_event()
                if event is not None:
                    self._react(event)
        finally:
            self.busy = False

    def _react(self, event: Event) -> None:
        """Do what the core cannot do."""
        if isinstance(event, PutWaits):
            work = asyncio.ensure_future(event.work)
            self._hooks[work] = event.put
            work.add_done_callback(self._hook_done)
        elif isinstance(event, HookFailed):
            _log_hook(event.put, event.error)
        elif isinstance(event, AccessFailed):
            text = "rights of %s to %s could not be found out, none were given"
            log.error(text, event.who, event.record, exc_info=event.error)
        else:
            self._gone(event.circuit, event.reason)

    def _hook_done(self, work: asyncio.Future[None]) -> None:
        """A coroutine that was the hook of a put is over."""
        put = self._hooks.pop(work)
        try:
            work.result()
            put.settle()
        except BeamflyError as error:
            put.fail(error)
        except asyncio.CancelledError:
            put.finish(ECA_PUTFAIL, "the server was stopped")
        except Exception as error:
            _log_hook(put, error)
            put.finish(ECA_PUTFAIL, HOOK_FAILED)

    def _gone(self, circuit: ServerCircuit, reason: Exception) -> None:
        """A circuit is closed."""
        level = logging.WARNING if isinstance(reason, ProtocolError) else logging.DEBUG
        log.log(level, "%s: %s", circuit.who, reason)
        wire = self._wires.pop(circuit, None)
        if wire is not None:
            wire.write()

    def _read_datagrams(self, sock: socket.socket) -> None:
        """Answer searches."""
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, address = sock.recvfrom(LARGEST_DATAGRAM)
            except (BlockingIOError, ConnectionError):
                return
            if address[0] in self._ignored:
                continue
            for reply in self.core.receive_datagram(data):
                _send(sock, reply, address)

    def _beacon(self) -> None:
        """Send the beacon that is due, come back for the next one."""
        now = self.loop.time()
        beacon = self.core.beacons(now)
        if beacon is not None and self._sockets is not None:
            for address in self._beacon_addresses:
                _send(self._sockets.udp[0], beacon, address)
        self._timer = self.loop.call_at(self.core.next_wakeup(), self._beacon)


def _send(sock: socket.socket, datagram: bytes, address: tuple[str, int]) -> None:
    """Send a datagram; one that cannot be sent is lost, as datagrams may be."""
    try:
        sock.sendto(datagram, address)
    except OSError as error:
        log.debug("nothing was sent to %s: %s", address, error)


def _log_hook(put: Put, error: Exception) -> None:
    """A mistake in somebody's hook."""
    log.error("the hook of %s failed", put.name, exc_info=error)
