"""Sockets of a server: who may share a port with whom.

TCP: the port that is asked for, or any other if that is taken. UDP: always the port
that is asked for, shared with other servers of this machine, since searches go there;
an interface needs a second socket for its broadcast address.
"""

import errno
import ipaddress
import socket
import sys
from dataclasses import dataclass, field

from beamfly.ca.config import Address, Config
from beamfly.ca.sockets import RECEIVE_BYTES, broadcast_addresses
from beamfly.errors import CAError

LOOPBACK = "127.0.0.1"
ANY = "0.0.0.0"
_BACKLOG = 128
_ATTEMPTS = 20
"""Free ports that are tried before it is given up."""


@dataclass
class Sockets:
    """What a server listens on."""

    port: int = 0
    """TCP port of all interfaces."""
    tcp: list[socket.socket] = field(default_factory=list[socket.socket])
    udp: list[socket.socket] = field(default_factory=list[socket.socket])

    def close(self) -> None:
        """Close all of them."""
        for sock in (*self.tcp, *self.udp):
            sock.close()


def open_sockets(interfaces: tuple[str, ...], port: int) -> Sockets:
    """Listen on interfaces; CAError if that cannot be.

    Args:
        interfaces: IPv4 addresses or host names; 0.0.0.0 for all.
        port: Of both TCP and UDP. 0: one that is free.
    """
    if not 0 <= port <= 65535:
        msg = f"cannot listen on port {port!r}, which is none from 0 to 65535"
        raise CAError(msg)
    attempts = 1 if port else _ATTEMPTS
    while True:
        attempts -= 1
        found = Sockets()
        try:
            _open(found, [socket.gethostbyname(name) for name in interfaces], port)
            return found
        except (OSError, UnicodeError) as error:
            found.close()
            number = error.errno if isinstance(error, OSError) else None
            # a port that is free for TCP may be some client's for UDP
            if attempts and number == errno.EADDRINUSE:
                continue
            msg = f"cannot listen on {', '.join(interfaces)} port {port}: {error}"
            raise CAError(msg) from error


def _open(found: Sockets, hosts: list[str], port: int) -> None:
    for host in hosts:
        sock = _listen(host, found.port or port, fallback=not found.port)
        found.tcp.append(sock)
        found.port = sock.getsockname()[1]
    for host in hosts:
        found.udp += _searches(host, port or found.port)


def _listen(host: str, port: int, *, fallback: bool) -> socket.socket:
    """A TCP socket on a port, or on any other if it is taken and that will do."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # a port whose last connections are still closing is free
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if fallback and port and error.errno == errno.EADDRINUSE:
            return _listen(host, 0, fallback=False)
        raise
    return sock


def _searches(host: str, port: int) -> list[socket.socket]:
    """UDP sockets for what is sent to an interface and to its broadcast address."""
    hosts = [host]
    if host.startswith("127."):
        hosts.append("127.255.255.255")
    elif host != ANY:
        # only the address that belongs to this interface can be bound
        hosts += [other for other in broadcast_addresses() if _same_net(host, other)]
    return [_datagrams(each, port) for each in hosts]


def _same_net(host: str, broadcast: str) -> bool:
    """Whether a broadcast address may be that of an interface."""
    here = int(ipaddress.IPv4Address(host))
    there = int(ipaddress.IPv4Address(broadcast))
    ones = (~there & (there + 1)) - 1
    return here | ones == there


def _datagrams(host: str, port: int) -> socket.socket:
    """A UDP socket that shares its port with other servers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "darwin" or "bsd" in sys.platform:
            # elsewhere SO_REUSEADDR is enough, and this would deal searches out
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def beacon_addresses(interfaces: tuple[str, ...], config: Config) -> list[Address]:
    """Where beacons go; a server on loopback alone does not leave the machine."""
    port = config.cas_beacon_port
    if all(host.startswith("127.") for host in interfaces):
        local = [each for each in config.cas_beacon_addresses if each[0][:4] == "127."]
        return local or [(LOOPBACK, port)]
    found = [*config.cas_beacon_addresses]
    if config.cas_auto_beacon_addresses:
        found += [(host, port) for host in broadcast_addresses()]
    return list(dict.fromkeys(found))
