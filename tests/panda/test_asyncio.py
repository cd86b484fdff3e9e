"""The client for coroutines: control port and data port over real sockets."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_table_stream import INFO, columns

from beamfly.errors import (
    BadValue,
    CommandError,
    FrameTimeout,
    PandaDisconnected,
    RemoteProtocolError,
    TimedOut,
)
from beamfly.panda import data_stream
from beamfly.panda.asyncio import AsyncioClient
from beamfly.panda.commands import Append, Get, GetBlockInfo, Put
from beamfly.panda.responses import EndData, FrameData, ReadyData, StartData
from beamfly.panda.table_stream import stream_table
from dialogues import control_transcript
from drive import IDN, Peer, drive_asyncio, receive_exactly, scripted, until_closed
from link import cut

ANSWERED = [dialogue for dialogue in control_transcript() if dialogue.answered]
GOLDEN = Path(__file__).parent.parent / "golden" / "panda"
RAW = (GOLDEN / "xml_framed_raw.bin").read_bytes()
LOOPBACK = "127.0.0.1"


@pytest.mark.parametrize("size", [1, 5, 1000])
async def test_recorded_dialogues(size: int) -> None:
    got = await drive_asyncio(ANSWERED, size)
    assert got == [list(dialogue.answered) for dialogue in ANSWERED]


async def test_results_of_a_list_are_in_order() -> None:
    script = [
        IDN,
        (b"*BLOCKS?\nA.B?\nA.C=1\n", b"!TTLIN 6\n.\nOK =1\nOK\n"),
        (b"*DESC.TTLIN?\n", b"OK =In\n"),
    ]
    with Peer(scripted(script)) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            infos, value, nothing = await client.send(
                [GetBlockInfo(), Get("A.B"), Put("A.C", 1)]
            )
            assert await client.send([]) == []
    assert infos["TTLIN"].description == "In"
    assert (value, nothing) == ("1", None)


async def test_of_several_the_others_are_done_when_one_fails() -> None:
    script = [IDN, (b"A.B?\nA.C?\nA.D?\n", b"OK =1\nERR no\nOK =1\n")]
    with Peer(scripted(script)) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            with pytest.raises(CommandError, match=r"A\.C.*ERR no"):
                await client.send([Get("A.B"), Get("A.C"), Get("A.D")])


async def test_of_several_one_cannot_be_said() -> None:
    script = [IDN, (b"A.B?\nA.D?\n", b"OK =1\nOK =2\n")]
    with Peer(scripted(script)) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            with pytest.raises(BadValue):
                await client.send([Get("A.B"), Append("T", [2**40]), Get("A.D")])


async def test_what_is_sent_in_one_turn_leaves_in_one_write() -> None:
    questions = b"".join(b"A.B%d?\n" % n for n in range(500))
    answers = b"".join(b"OK =%d\n" % n for n in range(500))
    with Peer(scripted([IDN, (questions, answers)])) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            writes: list[bytes] = []
            transport = client._control._transport  # type: ignore[union-attr]

            class Counted:
                def write(self, data: bytes) -> None:
                    writes.append(data)
                    transport.write(data)  # type: ignore[union-attr]

                def __getattr__(self, name: str) -> Any:
                    return getattr(transport, name)

            client._control._transport = Counted()  # type: ignore
            got = await asyncio.gather(
                *(client.send(Get(f"A.B{n}")) for n in range(500))
            )
    assert got == [str(n) for n in range(500)]
    assert writes == [questions]


async def test_no_panda_there() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    client = AsyncioClient(LOOPBACK, port)
    with pytest.raises(
        PandaDisconnected, match=f":{port} cannot be reached: Connection refused"
    ):
        await client.connect()
    with pytest.raises(PandaDisconnected, match="was not sent; connect first"):
        await client.send(Get("A.B"))
    assert not client.is_connected()
    await client.close()


async def test_a_peer_that_says_nothing() -> None:
    with Peer(until_closed) as peer:
        client = AsyncioClient(LOOPBACK, peer.port, connect_timeout=0.05)
        with pytest.raises(TimedOut, match=f"{peer.port} did not answer Identify"):
            await client.connect()
        assert not client.is_connected()


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\n", b"OK =Zebra\n"])
async def test_a_peer_that_is_no_panda(reply: bytes) -> None:
    with Peer(scripted([(IDN[0], reply)])) as peer:
        client = AsyncioClient(LOOPBACK, peer.port)
        with pytest.raises((RemoteProtocolError, CommandError), match="PandA"):
            await client.connect()


async def test_losing_the_connection_ends_every_wait() -> None:
    with Peer(scripted([IDN, (b"A.B?\nA.C?\n", b"OK =1\n")], stay=False)) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            first, second = await asyncio.gather(
                client.send(Get("A.B")),
                client.send(Get("A.C")),
                return_exceptions=True,
            )
            assert first == "1"
            assert isinstance(second, PandaDisconnected)
            assert "Get(field='A.C') got no answer" in str(second)
            assert not client.is_connected()
            with pytest.raises(PandaDisconnected, match="was not sent"):
                await client.send(Get("A.D"))


async def test_connecting_again_after_a_loss() -> None:
    with Peer(scripted([IDN], stay=False), scripted([IDN, (b"A?\n", b"OK =1\n")])) as p:
        client = AsyncioClient(LOOPBACK, p.port)
        await client.connect()
        with pytest.raises(PandaDisconnected):
            await client.send(Get("A"))
        await client.connect()
        assert await client.send(Get("A")) == "1"
        await client.connect()
        assert client.is_connected()
        await client.close()


async def test_connecting_twice_at_once_makes_one_connection() -> None:
    with Peer(scripted([IDN, (b"A?\n", b"OK =1\n")])) as peer:
        client = AsyncioClient(LOOPBACK, peer.port)
        await asyncio.gather(client.connect(), client.connect())
        assert await client.send(Get("A")) == "1"
        await client.close()


async def test_a_silent_loss_is_noticed() -> None:
    with Peer(scripted([IDN])) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            sock = client._control._transport.get_extra_info("socket")  # type: ignore
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_reply_that_makes_no_sense_ends_the_wait() -> None:
    with Peer(scripted([IDN, (b"A?\n", b"!A 1\nOK =2\n")])) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            with pytest.raises(RemoteProtocolError, match="in the middle of a list"):
                await client.send(Get("A"))
            assert not client.is_connected()


async def test_closing_ends_every_wait() -> None:
    with Peer(scripted([IDN])) as peer:
        client = AsyncioClient(LOOPBACK, peer.port)
        await client.connect()
        waiting = asyncio.create_task(client.send(Get("A")))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(PandaDisconnected, match="closed on this side"):
            await waiting


async def test_a_late_answer_is_not_taken_for_the_next() -> None:
    answer = asyncio.Event()
    loop = asyncio.get_running_loop()

    def serve(connection: socket.socket) -> None:
        scripted([IDN], stay=False)(connection)
        assert receive_exactly(connection, 3) == b"A?\n"
        asyncio.run_coroutine_threadsafe(answer.wait(), loop).result(30)
        connection.sendall(b"OK =late\n")
        scripted([(b"B?\n", b"OK =next\n")])(connection)

    with Peer(serve) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            with pytest.raises(TimedOut, match=r"did not answer Get.* in 0.02 s"):
                await client.send(Get("A"), 0.02)
            answer.set()
            assert await client.send(Get("B"), 10) == "next"


async def test_a_cancelled_send_does_not_disturb() -> None:
    with Peer(scripted([IDN, (b"A?\nB?\n", b"OK =1\nOK =2\n")])) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            task = asyncio.create_task(client.send(Get("A")))
            await asyncio.sleep(0)
            task.cancel()
            assert await client.send(Get("B"), 10) == "2"
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_table_is_streamed() -> None:
    queued = (b"S.TABLE.QUEUED_LINES?\n", b"OK =0\n")
    script = [
        IDN,
        (b"S.TABLE<\n\n", b"OK\n"),
        queued,
        (b"S.TABLE<<B\nAAAAAOgDAAA=\n\n", b"OK\n"),
        queued,
        (b"S.TABLE<<|B\nAAAAAOgDAAA=\n\n", b"OK\n"),
    ]
    with Peer(scripted(script)) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            rows = await stream_table(client, "S.TABLE", [columns(1)] * 2, INFO)
    assert rows == 2


def data_peer(
    *pieces: bytes, option: bytes = b"XML FRAMED RAW\n", stay: bool = True
) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        assert receive_exactly(connection, len(option)) == option
        for piece in pieces:
            connection.sendall(piece)
        if stay:
            until_closed(connection)

    return serve


async def collect(peer: Peer, until: type = EndData, **options: Any) -> list[Any]:
    client = AsyncioClient(LOOPBACK, data_port=peer.port)
    items: list[Any] = []
    async with aclosing(client.data(scaled=False, **options)) as stream:
        async for item in stream:
            items.append(item)
            if isinstance(item, until):
                break
    return items


@pytest.mark.parametrize("size", [1, 100, 100_000])
@pytest.mark.parametrize("period", [None, 0, 0.001, 10])
async def test_data(size: int, period: float | None) -> None:
    with Peer(data_peer(*cut(RAW, size))) as peer:
        ready, start, *frames, end = await collect(peer, flush_period=period)
    assert ready == ReadyData()
    assert isinstance(start, StartData)
    assert end.samples == sum(len(frame.data) for frame in frames) == 5
    assert np.concatenate([frame.data for frame in frames])["PCAP.BITS0.Value"].size
    if period == 10:
        assert len(frames) == 1


async def test_data_scaled() -> None:
    scaled = (GOLDEN / "xml_framed_scaled.bin").read_bytes()
    with Peer(data_peer(scaled, option=b"XML FRAMED SCALED\n")) as peer:
        client = AsyncioClient(LOOPBACK, data_port=peer.port)
        async with aclosing(client.data()) as stream:
            start = [await anext(stream), await anext(stream)][1]
    assert isinstance(start, StartData) and start.process == "Scaled"


async def test_the_end_of_the_data_connection_is_an_error() -> None:
    with Peer(data_peer(RAW, stay=False)) as peer:
        with pytest.raises(PandaDisconnected, match=f"{peer.port}: .*while idle"):
            await collect(peer, until=int)


async def test_the_data_connection_ends_within_a_frame() -> None:
    with Peer(data_peer(RAW[:-60], stay=False)) as peer:
        with pytest.raises(PandaDisconnected, match="in an acquisition, after"):
            await collect(peer)


async def test_data_refused() -> None:
    with Peer(data_peer(b"ERR No\n")) as peer:
        with pytest.raises(CommandError, match=f"{peer.port}.*refused.*No"):
            await collect(peer)


async def test_data_that_makes_no_sense() -> None:
    with Peer(data_peer(b"OK\nfoo\n")) as peer:
        with pytest.raises(RemoteProtocolError, match=str(peer.port)):
            await collect(peer)


async def test_no_data_in_time() -> None:
    with Peer(data_peer(b"OK\n")) as peer:
        with pytest.raises(FrameTimeout, match=r"no data came for 0\.05 s"):
            await collect(peer, frame_timeout=0.05)


async def test_closing_the_client_ends_its_data() -> None:
    with Peer(data_peer(b"OK\n")) as peer:
        client = AsyncioClient(LOOPBACK, data_port=peer.port)
        async with aclosing(client.data(scaled=False)) as stream:
            assert await anext(stream) == ReadyData()
            rest = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(PandaDisconnected, match="closed on this side"):
                await rest


async def test_no_data_port() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    client = AsyncioClient(LOOPBACK, data_port=port)
    with pytest.raises(
        PandaDisconnected, match=f"data port of PandA {LOOPBACK}:{port}"
    ):
        async for _ in client.data():
            pytest.fail("there is no data")


async def test_a_slow_consumer_stops_the_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data_stream, "_MOST_BYTES", 10_000)
    header, frame = RAW[: RAW.index(b"BIN ")], RAW[RAW.index(b"BIN ") :]
    frame = frame[: int.from_bytes(frame[4:8], "little")]
    count = 20_000
    total = count * 5
    stream = header + frame * count + b"END %d Ok\n" % total
    with Peer(data_peer(stream)) as peer:
        client = AsyncioClient(LOOPBACK, data_port=peer.port)
        async with aclosing(client.data(scaled=False)) as items:
            await anext(items)
            (protocol,) = client._streams
            most = samples = 0
            async for item in items:
                # give the event loop every chance to read on
                await asyncio.sleep(0)
                most = max(most, protocol._bytes)
                if isinstance(item, FrameData):
                    samples += len(item.data)
                elif isinstance(item, EndData):
                    break
    assert samples == total
    # what one read brought on top of the limit
    assert most < 10_000 + (1 << 20) + 4096


async def test_no_period_is_no_busy_loop() -> None:
    turns = 0
    with Peer(data_peer(b"OK\n")) as peer:
        client = AsyncioClient(LOOPBACK, data_port=peer.port)
        async with aclosing(client.data(scaled=False, flush_period=0)) as stream:
            await anext(stream)
            rest = asyncio.ensure_future(anext(stream))
            loop = asyncio.get_running_loop()
            run_once = loop._run_once  # type: ignore[attr-defined]

            def counted() -> None:
                nonlocal turns
                turns += 1
                run_once()

            loop._run_once = counted  # type: ignore[attr-defined]
            await asyncio.wait([rest], timeout=0.25)
            loop._run_once = run_once  # type: ignore[attr-defined]
            await client.close()
            with pytest.raises(PandaDisconnected):
                await rest
    assert turns < 20


async def test_a_reset_names_the_panda() -> None:
    def reset(connection: socket.socket) -> None:
        scripted([IDN, (b"A?\n", b"")], stay=False)(connection)
        # closing with a linger time of 0 sends a reset
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with Peer(reset) as peer:
        async with AsyncioClient(LOOPBACK, peer.port) as client:
            with pytest.raises(PandaDisconnected, match=f":{peer.port} broke"):
                await client.send(Get("A"), 10)
