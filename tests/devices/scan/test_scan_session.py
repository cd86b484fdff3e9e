"""What a flyer's session with the scan server owes to those who use it at once."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from beamfly.devices.scan_session import ScanSession


async def test_the_connection_is_closed_after_an_order_that_is_under_way():
    told, answered = [], asyncio.Event()

    class Client:
        async def next(self, number):
            told.append("asked")
            await answered.wait()
            told.append("answered")

        async def close(self):
            told.append("closed")

    class Ended(ScanSession):
        async def _look(self):
            return True

    session = cast(Any, Ended)(
        Client(),
        SimpleNamespace(last=0),
        None,
        lambda: told.append("over"),
        atomic=True,
        patience=1,
    )
    order = asyncio.create_task(session.next())
    await asyncio.sleep(0)
    end = asyncio.create_task(session._follow())
    while not session.over:
        await asyncio.sleep(0)
    answered.set()
    await asyncio.gather(order, end)
    await session.next()
    assert told == ["asked", "answered", "closed", "over"]
