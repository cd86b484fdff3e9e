"""The simulated PandA answers as the genuine server was recorded to."""

import socket
from collections.abc import Callable

import pytest
from transcript import Exchange, exchanges

from beamfly.panda.simulator.core import PandaCore
from beamfly.panda.simulator.server import serve_in_thread

FRESH = ("CHANGES (fresh connection)", "long line")


def replay(ask: Callable[[Exchange, bool], list[str]]) -> int:
    """Repeat the whole conversation; the number of exchanges."""
    section, known, count = "", set[str](), 0
    for exchange in exchanges():
        fresh = exchange.section != section and exchange.section in FRESH
        fresh = fresh or exchange.section == "long line" or section == "long line"
        if fresh:
            known = set()
        section = exchange.section
        reply = ask(exchange, fresh)
        assert exchange.same(reply, known), (exchange, reply[:50])
        known |= set(reply)
        count += 1
    return count


def lines_of(reply: bytes) -> list[str]:
    assert reply.endswith(b"\n") or not reply
    return reply.decode().splitlines()


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_core_answers_as_recorded(size: int):
    core = PandaCore()
    sessions = [core.open_control("127.0.0.1:1")]

    def ask(exchange: Exchange, fresh: bool) -> list[str]:
        if fresh:
            core.close_control(sessions.pop())
            sessions.append(core.open_control("127.0.0.1:1"))
        session = sessions[0]
        core.advance(core.now + 1e-3)
        parts = [
            session.receive(exchange.request[i : i + size])
            for i in range(0, len(exchange.request), size)
        ]
        assert session.closed == exchange.closes
        return lines_of(b"".join(parts)) or ["<EOF>"]

    assert replay(ask) > 290


def test_server_answers_as_recorded():
    with serve_in_thread() as sim:
        address = (sim.host, sim.control_port)
        sockets = [socket.create_connection(address, timeout=5)]

        def ask(exchange: Exchange, fresh: bool) -> list[str]:
            if fresh:
                sockets.pop().close()
                sockets.append(socket.create_connection(address, timeout=5))
            sockets[0].sendall(exchange.request)
            expected = sum(reply in (".", "OK") for reply in exchange.reply)
            reply = b""
            while data := sockets[0].recv(65536):
                reply += data
                lines = reply.decode(errors="ignore").split("\n")
                if not lines[-1] and _complete(lines[:-1]) >= max(1, expected):
                    break
            return lines_of(reply) or ["<EOF>"]

        try:
            assert replay(ask) > 290
        finally:
            sockets[0].close()


def _complete(lines: list[str]) -> int:
    """How many replies those lines are."""
    return sum(not line.startswith("!") for line in lines)
