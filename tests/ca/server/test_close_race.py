"""A server that is closed while somebody connects leaves nothing open."""

import asyncio
import gc

from beamfly.ca import Server


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
