"""A blocking socket to a data port: connect, ask, hear OK."""

import socket
import sys
import time

from beamfly.errors import BeamflyError, PandaDisconnected, TimedOut
from beamfly.panda.data import DataConnection
from beamfly.panda.data_options import DataOptions
from beamfly.panda.responses import ReadyData

_JOIN_BELOW = 1 << 19
"""Bytes of a frame up to which it is moved next to others."""
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""A PandA without power says nothing; this finds out within half a minute."""


class DataSocket:
    """A connected socket, and what parses it.

    Args:
        sock: Connected.
        peer: The PandA, for messages.
        deadline: time.monotonic() by which it must have said OK.
        timeout: Seconds until then when it began, for messages.
    """

    def __init__(
        self, sock: socket.socket, peer: str, deadline: float, timeout: float
    ) -> None:
        self.sock, self.peer = sock, peer
        # everything is converted at once, so that moving frames costs less than calls
        self.connection = DataConnection(join_below=_JOIN_BELOW)
        self._deadline, self._timeout = deadline, timeout

    def ask(self, scaled: bool = False, options: DataOptions | None = None) -> None:
        """Send the options and wait for OK; the socket is blocking afterwards.

        Raises:
            TimedOut: There was no OK in time.
            PandaDisconnected, CommandError, RemoteProtocolError: It hung up, refused,
                or is not a PandA.
        """
        try:
            self.sock.settimeout(max(self._deadline - time.monotonic(), 1e-3))
            self.sock.sendall(self.connection.connect(scaled, options=options))
            while not self._accepted():
                self.sock.settimeout(max(self._deadline - time.monotonic(), 1e-3))
            self.sock.settimeout(None)
        except BeamflyError as exc:
            raise type(exc)(f"{self.peer}: {exc}") from exc
        except TimeoutError:
            msg = f"{self.peer} did not say OK in {self._timeout} s; nothing was asked"
            raise TimedOut(msg) from None
        except OSError as exc:
            msg = f"{self.peer} broke the connection: {exc.strerror or exc}"
            raise PandaDisconnected(msg) from exc

    def _accepted(self) -> bool:
        """Receive once; whether OK was in it. What follows OK stays unparsed."""
        count = self.sock.recv_into(self.connection.get_buffer())
        if not count:
            list(self.connection.receive_eof())
        return any(isinstance(i, ReadyData) for i in self.connection.received(count))

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def open_data_port(
    host: str, port: int, timeout: float, *, receive_buffer: int | None = None
) -> DataSocket:
    """Connect to a data port.

    Args:
        host: Name or address of the PandA.
        port: Its data port.
        timeout: Seconds for this and for OK together.
        receive_buffer: Bytes of the socket's receive buffer, None for the system's.

    Raises:
        PandaDisconnected: There is nothing at this host and port.
        TimedOut: No connection in time.
    """
    deadline = time.monotonic() + timeout
    peer = f"the data port of PandA {host}:{port}"
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        msg = f"{peer} cannot be found: {exc.strerror or exc}"
        raise PandaDisconnected(msg) from exc
    error: OSError = OSError("no address")
    for family, kind, protocol, _, address in infos:
        sock = socket.socket(family, kind, protocol)
        try:
            if receive_buffer is not None:
                # counts only if it is set before the connection is made
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            _keep_alive(sock)
            sock.settimeout(max(deadline - time.monotonic(), 1e-3))
            sock.connect(address)
        except OSError as exc:
            sock.close()
            error = exc
        else:
            return DataSocket(sock, peer, deadline, timeout)
    if isinstance(error, TimeoutError):
        raise TimedOut(f"{peer} could not be reached in {timeout} s") from error
    msg = f"{peer} cannot be reached: {error.strerror or error}"
    raise PandaDisconnected(msg) from error


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for name, value in _KEEPALIVE.items():
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
