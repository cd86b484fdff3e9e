"""How the sockets of the clients are set up."""

import socket

__all__ = ["set_up"]

_QUIET = 10
"""Seconds without a word from the PandA until it is asked whether it is there."""
_AGAIN = 5
"""Seconds between further questions."""
_TRIES = 3
"""Questions without an answer until the connection counts as broken."""


_UNACKNOWLEDGED = 60_000
"""Milliseconds that a PandA may leave what was sent to it."""


def set_up(sock: socket.socket) -> None:
    """Send at once, and find out when a PandA goes away without a word.

    One that loses its power or its cable does not close the connection: without this,
    who waits for it would wait for ever. With it, the connection breaks within 25 s,
    or 60 s after something was sent.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # macOS has another name for the first, and what a system lacks it does without
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"
    wanted = {
        idle: _QUIET,
        "TCP_KEEPINTVL": _AGAIN,
        "TCP_KEEPCNT": _TRIES,
        "TCP_USER_TIMEOUT": _UNACKNOWLEDGED,
    }
    for name, value in wanted.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
