"""The servers of `rig` on loopback sockets, in a thread, on ports that are free."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from beamfly.ca.circuit import Circuit
from beamfly.ca.config import Config

from .rig import Server


class _Tcp(asyncio.Protocol):
    def __init__(self, loopback: "Loopback") -> None:
        self._loopback = loopback
        self.circuit: Circuit = loopback.server.circuit()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loopback.connections.append(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.circuit.receive(data, 0.0)
        self._loopback.server.serve(self.circuit)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._loopback.connections.remove(self)

    def flush(self) -> None:
        for piece in self.circuit.output():
            self._transport.write(piece)

    def cut(self) -> None:
        self._transport.abort()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, loopback: "Loopback") -> None:
        self._server = loopback.server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply = self._server.search(data)
        if reply is not None:
            self._transport.sendto(reply, addr)


class Loopback:
    """A server in memory that real sockets reach."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connections: list[_Tcp] = []
        self._loop = asyncio.new_event_loop()
        self.config = Config()

    async def start(self) -> None:
        here = "127.0.0.1"
        tcp = await self._loop.create_server(lambda: _Tcp(self), here, 0)
        self.server.address = here, tcp.sockets[0].getsockname()[1]
        udp, _ = await self._loop.create_datagram_endpoint(
            lambda: _Udp(self), local_addr=(here, 0)
        )
        self._open = tcp, udp
        port = udp.get_extra_info("sockname")[1]
        self.config = Config(
            addresses=((here, port),), auto_addresses=False, repeater_port=port
        )

    async def stop(self) -> None:
        for one in self._open:
            one.close()
        for connection in list(self.connections):
            connection.cut()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def call(self, work: Any) -> Any:
        """Do something in the server's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def cut_all(self) -> None:
        """Break every connection."""

        async def cut() -> None:
            for connection in list(self.connections):
                connection.cut()

        self.call(cut())

    def run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def finish(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Loopback]:
    loopback = Loopback(server)
    thread = threading.Thread(target=loopback.run)
    thread.start()
    try:
        loopback.call(loopback.start())
        yield loopback
        loopback.call(loopback.stop())
    finally:
        loopback.finish()
        thread.join(30)
