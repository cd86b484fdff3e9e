"""The two kinds of connection to a simulated PandA, as asyncio protocols."""

import asyncio
from typing import Protocol

from beamfly.panda.simulator.control import ControlSession
from beamfly.panda.simulator.core import PandaCore
from beamfly.panda.simulator.data_port import DataSession
from beamfly.panda.simulator.faults import Faults

_WRITE_TIMEOUT = 10.0
"""Seconds after which a client that takes no data at all is given up."""
_MOST_AT_ONCE = 2**24
"""Bytes that are sent to one client before others get their turn."""
_TURNS = 20
"""How often per second a client is sent something if its rate is limited."""


class Server(Protocol):
    """What a connection needs of its server."""

    core: PandaCore

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        ...

    def received(self, session: ControlSession, data: bytes) -> bytes:
        """Replies to what arrived on a control connection."""
        ...


class _Connection(asyncio.Protocol):
    """What both kinds have in common."""

    def __init__(self, panda: Server) -> None:
        self.panda = panda
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the connection has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport
            if self.refused():
                transport.abort()
            name = transport.get_extra_info("peername") or ("?", 0)
            self.open(f"{name[0]}:{name[1]}")

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def refused(self) -> bool:
        """Whether to refuse new connections."""
        raise NotImplementedError

    def open(self, peer: str) -> None:
        """The connection was made."""
        raise NotImplementedError

    def close(self) -> None:
        """The connection has ended."""
        raise NotImplementedError


class ControlProtocol(_Connection):
    """One control connection.

    Args:
        panda: The server.
        everyone: All control connections.
    """

    def __init__(self, panda: Server, everyone: set["ControlProtocol"]) -> None:
        super().__init__(panda)
        self.everyone = everyone
        self.session: ControlSession | None = None

    def refused(self) -> bool:
        """Whether to refuse new connections."""
        return self.panda.faults.refuse_control

    def open(self, peer: str) -> None:
        """Open a session."""
        self.session = self.panda.core.open_control(peer)
        self.everyone.add(self)

    def close(self) -> None:
        """Close the session."""
        self.everyone.discard(self)
        if self.session is not None:
            self.panda.core.close_control(self.session)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        if self.session is None or self.transport is None:
            return
        self.transport.write(self.panda.received(self.session, data))
        if self.session.closed:
            self.transport.close()

    def pause_writing(self) -> None:
        """The client does not read its replies: take no more commands."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self.transport is not None:
            self.transport.resume_reading()


class DataProtocol(_Connection):
    """One data connection.

    Args:
        panda: The server.
        everyone: All data connections.
    """

    def __init__(self, panda: Server, everyone: set["DataProtocol"]) -> None:
        super().__init__(panda)
        self.everyone = everyone
        self.session: DataSession | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Set while nothing may be sent."""
        self._full = False

    def refused(self) -> bool:
        """Whether to refuse new connections."""
        return self.panda.faults.refuse_data

    def open(self, peer: str) -> None:
        """Open a session."""
        self.session = self.panda.core.open_data(peer)
        self.everyone.add(self)

    def close(self) -> None:
        """Close the session."""
        self.everyone.discard(self)
        self._stop_timer()
        if self.session is not None:
            self.panda.core.close_data(self.session)

    def data_received(self, data: bytes) -> None:
        """Take the options."""
        if self.session is not None:
            self.session.receive(data)
            self.pump()

    def pump(self) -> None:
        """Send as much as the client takes, or is allowed to have."""
        session, transport = self.session, self.transport
        if session is None or transport is None or transport.is_closing():
            return
        left = _MOST_AT_ONCE
        while not self._full and self._timer is None:
            if left <= 0:  # others want their turn
                asyncio.get_running_loop().call_soon(self.pump)
                return
            rate = self.panda.faults.data_rate
            chunk = session.next_chunk(None if rate is None else _turn(rate))
            if chunk is None:
                if session.closed:
                    transport.close()
                return
            transport.write(chunk)
            left -= len(chunk)
            if rate is not None:
                delay = len(chunk) / rate
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(delay, self._go_on)

    def _go_on(self) -> None:
        """Something may be sent again."""
        self._stop_timer()
        self.pump()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._full = True
        self._wait_for_client(self._unsent() + 1)

    def _unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _wait_for_client(self, before: int) -> None:
        """Give the client up if it has taken nothing since there were `before`."""
        unsent = self._unsent()
        self._stop_timer()
        if unsent >= before:
            self.abort()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WRITE_TIMEOUT, self._wait_for_client, unsent)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._full = False
        self._go_on()


def _turn(rate: float) -> int:
    """How many bytes may be sent at once at a rate."""
    return max(1, int(rate / _TURNS))
