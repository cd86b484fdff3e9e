"""When what is queued on a circuit leaves, and how long a blocking call waits."""

import asyncio
import socket
import time
from typing import Any

import pytest

from beamfly.ca import sockets
from beamfly.ca.asyncio_wire import BURST_BYTES, Wire
from beamfly.ca.dbr import Dbr

from .rig import Pv, Rig, Server


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        pass


async def test_writes_of_a_turn_leave_together() -> None:
    rig = Rig(Server(("10.0.0.1", 5064), {"d": Pv(Dbr.DOUBLE, 1.5)}))
    channel = rig.connect("d")
    circuit = channel.circuit
    assert circuit is not None
    loop = asyncio.get_running_loop()
    wire = Wire(loop, circuit, lambda: None, lambda _: None)
    transport = Transport()
    wire.connection_made(transport)

    def put(value: float) -> None:
        assert circuit.write_number(channel, value)
        if not circuit.flush_due:
            wire.write_soon()

    def written() -> list[int]:
        sizes = [len(data) // 24 for data in transport.writes]
        transport.writes.clear()
        return sizes

    for _ in range(3):
        for value in range(10):
            put(value)
        # the first ones are not held back, whatever the loop is busy with
        early = written()
        assert set(early) == {1} and len(early) in (1, 2)
        await asyncio.sleep(0)
        assert written() == [10 - len(early)] and not circuit.flush_due
    # a long turn does not keep the server idle until it is over
    for value in range(3000):
        put(value)
        if circuit.outbox.size > BURST_BYTES:
            wire.write_soon()
    early = written()
    assert sum(early) > 3000 - BURST_BYTES // 24 - 1 and len(early) < 10
    await asyncio.sleep(0)
    assert sum(early) + sum(written()) == 3000 and not circuit.flush_due
    # who waits for answers is never held back, and the loop is not bothered
    answer = b"\0\x0f\0\x08\0\x06\0\x01\0\0\0\x01\xff\xff\xff\xff" + bytes(8)
    for _ in range(3):
        room = wire.get_buffer(-1)
        room[: len(answer)] = answer
        wire.buffer_updated(len(answer))
        put(1.0)
        assert written() == [1] and not circuit.flush_due


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_calls_wait_for_a_moment(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets.sys, "platform", platform)
    here, there = socket.socketpair()
    with here, there:
        sockets.wait_at_most(here, 0.01)
        start = time.monotonic()
        with pytest.raises((BlockingIOError, TimeoutError)):
            here.recv_into(bytearray(8))
        assert time.monotonic() - start > 0.005
        there.send(b"here")
        assert here.recv(8) == b"here"
        with pytest.raises((BlockingIOError, TimeoutError)):
            while True:
                here.send(bytes(100_000))
