"""Sockets and addresses: what the shells need from the operating system."""

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from beamfly.ca.client import Identity
from beamfly.ca.config import Address, Config, user_name

if TYPE_CHECKING:
    from ipaddress import IPv4Interface

RECEIVE_BYTES = 4 * 1024 * 1024
"""Room for the answers to many searches."""
LARGEST_DATAGRAM = 64 * 1024


def identity(config: Config) -> Identity:
    """Who this process is, for `ClientCore`."""
    return Identity(
        user=user_name(),
        machine=socket.gethostname(),
        quiet_seconds=config.connection_timeout,
        longest_search_period=config.longest_search_period,
        largest_array=config.largest_array,
        # one byte of chance, without the import of random
        spread=os.urandom(1)[0] / 256,
    )


def search_socket(config: Config) -> socket.socket:
    """A UDP socket for searches and for the repeater, not blocking."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, config.multicast_ttl
        )
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        sock.bind(("", 0))
    except OSError:
        sock.close()
        raise
    return sock


def tune(sock: socket.socket) -> None:
    """Options of a circuit's socket."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def wait_at_most(sock: socket.socket, seconds: float) -> None:
    """From now on a call waits for so long, then raises TimeoutError or the like.

    The kernel of Linux does that by itself; elsewhere Python asks before each call
    whether it would wait, which is a second system call.
    """
    if sys.platform.startswith("linux") and struct.calcsize("l") == 8:
        whole = int(seconds)
        interval = struct.pack("ll", whole, round((seconds - whole) * 1e6))
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
    else:
        sock.settimeout(seconds)


def split_numeric(
    addresses: Iterable[Address],
) -> tuple[list[Address], list[Address]]:
    """Addresses that are IPv4 numbers, and host names that are to be resolved."""
    numeric: list[Address] = []
    names: list[Address] = []
    for host, port in addresses:
        try:
            packed = socket.inet_aton(host) if host.count(".") == 3 else b""
        except OSError:
            packed = b""
        if packed:
            numeric.append((socket.inet_ntoa(packed), port))
        else:
            names.append((host, port))
    return numeric, names


def resolve(
    names: Iterable[Address], notice: Callable[[str], object] = lambda text: None
) -> list[Address]:
    """IPv4 addresses of host names; `notice` is told which have none."""
    found: list[Address] = []
    for host, port in names:
        try:
            found.append((socket.gethostbyname(host), port))
        except (OSError, UnicodeError):
            notice(f"host {host} has no IPv4 address; no PV is looked for there")
    return found


def search_addresses(config: Config) -> tuple[list[Address], list[Address]]:
    """Where searches go: IPv4 addresses, and host names that are to be resolved."""
    numeric, names = split_numeric(config.addresses)
    if config.auto_addresses:
        broadcasts = broadcast_addresses() or ["127.0.0.1"]
        numeric += [(host, config.server_port) for host in broadcasts]
    return list(dict.fromkeys(numeric)), names


def broadcast_addresses() -> list[str]:
    """Broadcast address of every interface that is up, loopback apart.

    On systems other than Linux, where this needs more than the standard library, the
    one broadcast address that reaches the local network.
    """
    if not sys.platform.startswith("linux"):
        return ["255.255.255.255"]
    broadcast, broadcast_request, peer_request = 0x2, 0x8919, 0x8917
    found: list[str] = []
    for name, flags in _interfaces():
        request = broadcast_request if flags & broadcast else peer_request
        found += _ask(name, request)
    return list(dict.fromkeys(found))


def networks() -> "list[IPv4Interface]":
    """Address and network of every interface that is up, loopback apart.

    Empty on systems other than Linux.
    """
    if not sys.platform.startswith("linux"):
        return []
    from ipaddress import IPv4Interface

    address_request, mask_request = 0x8915, 0x891B
    return [
        IPv4Interface(f"{address}/{mask}")
        for name, _ in _interfaces()
        for address, mask in zip(
            _ask(name, address_request), _ask(name, mask_request), strict=False
        )
    ]


def _interfaces() -> list[tuple[str, int]]:
    """Names and flags of Linux's interfaces that are up, loopback apart."""
    up, loopback, flags_request = 0x1, 0x8, 0x8913
    found: list[tuple[str, int]] = []
    for _, name in socket.if_nameindex():
        for answer in _ioctl(name, flags_request):
            flags = struct.unpack_from("@H", answer, 16)[0]
            if flags & up and not flags & loopback:
                found.append((name, flags))
    return found


def _ask(name: str, request: int) -> list[str]:
    """An IPv4 address of an interface; none if it has no such thing."""
    return [socket.inet_ntoa(answer[20:24]) for answer in _ioctl(name, request)]


def _ioctl(name: str, request: int) -> list[bytes]:
    """What Linux answers about an interface, nothing if it has no answer."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            question = struct.pack("256s", name.encode()[:15])
            return [fcntl.ioctl(sock.fileno(), request, question)]
        except OSError:
            # an interface without an IPv4 address
            return []
