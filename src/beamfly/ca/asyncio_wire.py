"""One TCP connection of `beamfly.ca.asyncio.Client`."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from beamfly.ca import sockets
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.rules import CircuitState
from beamfly.errors import CADisconnected, ProtocolError

_CLOSED = CircuitState.CLOSED
log = logging.getLogger("beamfly.ca")
WRITE_BYTES = 1024 * 1024
"""What a transport may hold before the rest waits in the circuit, which is bounded."""
BURST_BYTES = 16 * 1024
"""What may wait for the end of a loop's turn: with more, the server gets to work."""


class Wire(asyncio.BufferedProtocol):
    """One TCP connection: carries bytes, decides nothing."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        circuit: ClientCircuit,
        pump: Callable[[], object],
        gone: Callable[[ClientCircuit], object],
    ) -> None:
        """Prepare for a circuit.

        Args:
            loop: Whose clock is used.
            circuit: What the bytes are for.
            pump: Called when the circuit has closed.
            gone: Called when the connection has closed.
        """
        self._loop = loop
        self._circuit = circuit
        self._pump = pump
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._unanswered = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection to close."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there: send what waits."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(WRITE_BYTES)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sockets.tune(sock)
        self.write()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where received bytes are to be written."""
        return self._circuit.room()

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were written there."""
        circuit = self._circuit
        self._unanswered = False
        try:
            circuit.received(nbytes, self._loop.time())
        except ProtocolError as error:
            log.warning("%s: %s", circuit.host, error)
        if circuit.outbox.size:
            self.write()
        if circuit.state is _CLOSED:
            self._pump()

    def eof_received(self) -> None:
        """The server closed its side."""
        self._circuit.end_of_file()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._transport = None
        reason = str(exc) if exc else "the connection was closed"
        self._circuit.close(CADisconnected(reason, status=192))
        self._gone(self._circuit)

    def pause_writing(self) -> None:
        """The server does not keep up: bytes wait in the circuit, which is bounded."""
        self._paused = True

    def resume_writing(self) -> None:
        """The server keeps up again."""
        self._paused = False
        self.write()

    def write_soon(self) -> None:
        """The first write of a loop turn goes at once, what follows goes in bursts.

        Who asks, waits for the answer and asks again has only one write in a turn: that
        it is over need not be known before a second write without an answer comes.
        """
        if self._circuit.flush_due:
            if self._circuit.outbox.size > BURST_BYTES:
                self.write()
            return
        if self._unanswered:
            self._circuit.flush_due = True
            self._loop.call_soon(self._turn_over)
        self._unanswered = True
        self.write()

    def _turn_over(self) -> None:
        self._circuit.flush_due = False
        if self._circuit.outbox:
            self.write()

    def write(self) -> None:
        """Hand what waits to the transport, unless the server does not keep up."""
        transport = self._transport
        if transport is not None and not self._paused:
            for piece in self._circuit.output():
                transport.write(piece)

    def finish(self) -> None:
        """Close the connection once what was queued has been sent."""
        if self._transport is not None:
            self.write()
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()
