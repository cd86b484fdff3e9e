"""A server that is closed while somebody connects leaves nothing open."""

import asyncio
import gc

from beamfly.ca import Server
from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config


async def test_a_client_that_connects_while_the_server_closes_is_dropped() -> None:
    for turns in range(6):
        server = Server({"X:value": 1.0}, port=0)
        async with server:
            connecting = asyncio.open_connection("127.0.0.1", server.port)
            task = asyncio.ensure_future(connecting)
            for _ in range(turns):
                await asyncio.sleep(0)
        try:
            reader, writer = await task
        except OSError:
            continue
        try:
            assert len(await reader.read(100)) >= 0
        except ConnectionError:
            # dropped before it could read its end
            continue
        finally:
            writer.close()
    # a transport that nobody closed warns here, and warnings are errors
    gc.collect()


async def test_a_client_that_is_cancelled_ends() -> None:
    async with Server({"X:value": 1.5, "X:other": 2.5}, port=0) as server:
        where = (("127.0.0.1", server.port),)
        config = Config(addresses=where, auto_addresses=False, repeater_port=9)

        async def read() -> list[float]:
            async with Client(config) as client:
                channels = await client.connect_many(["X:value", "X:other"])
                return await client.get_many(channels)

        for turns in range(1000):
            reading = asyncio.ensure_future(read())
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading], timeout=20)
            assert reading.done()
            if not reading.cancelled():
                break
        assert turns > 3 and reading.result() == [1.5, 2.5]
    gc.collect()


async def test_whoever_is_cancelled_leaves_no_socket_open() -> None:
    started = closing = 0
    for turns in range(40):
        server = Server({"X:value": 1.0}, port=0)
        start = asyncio.ensure_future(server.start())
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        if start.cancelled():
            continue
        started += 1
        close = asyncio.ensure_future(server.close())
        for _ in range(turns // 5):
            await asyncio.sleep(0)
        close.cancel()
        await asyncio.gather(close, return_exceptions=True)
        closing += close.cancelled()
        # in vain, if it came to its end
        await server.close()
    assert started and closing
    # a socket that nobody closed warns here, and warnings are errors
    gc.collect()


async def test_a_server_that_was_cancelled_can_be_started() -> None:
    server = Server({"X:value": 1.0}, port=0)
    start = asyncio.ensure_future(server.start())
    await asyncio.sleep(0)
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    assert start.cancelled()
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert len(await reader.readexactly(16)) == 16
        writer.close()
        await writer.wait_closed()
