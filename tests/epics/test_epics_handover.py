"""What other threads hand over: in order, sent together, refused at the end."""

import asyncio
from typing import Any, cast

import pytest

from beamfly.ca.asyncio import Client
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.epics.handover import Handover
from beamfly.errors import CADisconnected


class Sender:
    """A client that only says what it was told to send."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.sent: list[tuple[Any, float]] = []

    def sent_all(self, circuit: Any, deadline: float) -> None:
        self.sent.append((circuit, deadline))


FIRST, SECOND = cast(ClientCircuit, "first"), cast(ClientCircuit, "second")


async def test_requests_run_in_order_and_are_sent_together() -> None:
    handover, client = Handover(), Sender()
    handover.begin(cast(Client, client))
    done: list[Any] = []

    def bad() -> None:
        raise KeyError("mine")

    def ask(at: int) -> None:
        done.append((at, len(client.sent)))
        circuit = FIRST if at % 2 else SECOND
        handover.send(circuit, 10.0 - at, lambda: done.append(f"sent {at}"))

    last = asyncio.Event()
    for at in range(4):
        await asyncio.to_thread(handover.put, lambda at=at: ask(at))
        if at == 1:
            handover.put(bad)
    handover.put(lambda: handover.send(FIRST, 1.0, last.set))
    async with asyncio.timeout(30):
        await last.wait()
    handover.end()
    handover.close()
    assert [one[0] for one in done if isinstance(one, tuple)] == [0, 1, 2, 3]
    assert min(deadline for circuit, deadline in client.sent if circuit == FIRST) == 1


async def test_what_is_there_at_once_goes_at_once() -> None:
    handover, client = Handover(), Sender()
    handover.begin(cast(Client, client))
    over = asyncio.Event()

    def three() -> None:
        for deadline in (3.0, 2.0, 5.0):
            handover.put(lambda at=deadline: handover.send(FIRST, at))
        handover.put(lambda: handover.send(SECOND, 9.0, over.set))

    handover.put(three)
    async with asyncio.timeout(30):
        await over.wait()
    assert sorted(client.sent) == [(FIRST, 2.0), (SECOND, 9.0)]
    handover.end()
    handover.close()


async def test_at_the_end_nobody_waits_for_ever() -> None:
    handover = Handover()
    done: list[int] = []
    handover.put(lambda: done.append(1))
    handover.close()
    assert done == [1]
    with pytest.raises(CADisconnected, match="nothing was sent"):
        handover.put(lambda: done.append(2))
    assert done == [1, 2], "it has run, and found all closed"
