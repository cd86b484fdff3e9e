"""The client for scripts and threads: control port and data port over real sockets."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
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
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import Append, Get, GetBlockInfo, Put
from beamfly.panda.responses import EndData, ReadyData, StartData
from beamfly.panda.table_stream import stream_table_blocking
from dialogues import control_transcript
from drive import (
    IDN,
    Peer,
    drive_blocking,
    drive_core,
    receive_exactly,
    scripted,
    until_closed,
)
from link import cut

ANSWERED = [dialogue for dialogue in control_transcript() if dialogue.answered]
GOLDEN = Path(__file__).parent.parent / "golden" / "panda"
RAW = (GOLDEN / "xml_framed_raw.bin").read_bytes()
LOOPBACK = "127.0.0.1"


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_recorded_dialogues(size: int) -> None:
    got = drive_blocking(ANSWERED, size)
    assert got == drive_core(ANSWERED, size)
    assert got == [list(dialogue.answered) for dialogue in ANSWERED]


def test_results_of_a_list_are_in_order() -> None:
    script = [
        IDN,
        (b"*BLOCKS?\nA.B?\nA.C=1\n", b"!TTLIN 6\n.\nOK =1\nOK\n"),
        (b"*DESC.TTLIN?\n", b"OK =In\n"),
        (b"A.D?\n", b"OK =2\n"),
    ]
    with Peer(scripted(script)) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            infos, value, nothing = client.send(
                [GetBlockInfo(), Get("A.B"), Put("A.C", 1)]
            )
            assert client.send([]) == []
            assert client.send([Get("A.D")]) == ["2"]
    assert infos["TTLIN"].description == "In"
    assert (value, nothing) == ("1", None)


def test_of_several_the_others_are_done_when_one_fails() -> None:
    script = [IDN, (b"A?\nB?\nD?\n", b"OK =1\nERR no\nOK =1\n"), (b"E?\n", b"OK =1\n")]
    with Peer(scripted(script)) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            with pytest.raises(CommandError, match=r"'B'.*ERR no"):
                client.send([Get("A"), Get("B"), Append("C", [2**40]), Get("D")])
            assert client.send(Get("E"), 10) == "1"


def test_what_cannot_be_said() -> None:
    with Peer(scripted([IDN])) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            with pytest.raises(BadValue):
                client.send(Append("C", [2**40]))


def test_more_than_fits_into_socket_buffers() -> None:
    """A server that does not read while it cannot write must not lock us both up."""
    count = 40_000
    answer = b"OK =" + b"x" * 50 + b"\n"

    def serve(connection: socket.socket) -> None:
        scripted([IDN], stay=False)(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        done = 0
        while done < count:
            lines = connection.recv(4096).count(b"\n")
            connection.sendall(answer * lines)
            done += lines
        until_closed(connection)

    with Peer(serve) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            got = client.send([Get("A.B" + "1" * 50)] * count, 30)
    assert got == ["x" * 50] * count


def test_no_panda_there() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    client = BlockingClient(LOOPBACK, port)
    with pytest.raises(
        PandaDisconnected, match=f":{port} cannot be reached: Connection refused"
    ):
        client.connect()
    with pytest.raises(PandaDisconnected, match="was not sent; connect first"):
        client.send(Get("A.B"))
    assert not client.is_connected()
    client.close()


def test_a_peer_that_says_nothing() -> None:
    with Peer(until_closed) as peer:
        client = BlockingClient(LOOPBACK, peer.port, connect_timeout=0.05)
        with pytest.raises(TimedOut, match=f"{peer.port} did not answer Identify"):
            client.connect()
        assert not client.is_connected()


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\n", b"OK =Zebra\n"])
def test_a_peer_that_is_no_panda(reply: bytes) -> None:
    with Peer(scripted([(IDN[0], reply)])) as peer:
        with pytest.raises((RemoteProtocolError, CommandError), match="PandA"):
            BlockingClient(LOOPBACK, peer.port).connect()


def test_losing_the_connection_ends_the_wait() -> None:
    with Peer(scripted([IDN, (b"A?\nB?\n", b"OK =1\n")], stay=False)) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            with pytest.raises(PandaDisconnected, match=r"'B'.* got no answer"):
                client.send([Get("A"), Get("B")])
            assert not client.is_connected()
            with pytest.raises(PandaDisconnected, match="was not sent"):
                client.send(Get("D"))


def test_connecting_again_after_a_loss() -> None:
    with Peer(scripted([IDN], stay=False), scripted([IDN, (b"A?\n", b"OK =1\n")])) as p:
        client = BlockingClient(LOOPBACK, p.port)
        client.connect()
        with pytest.raises(PandaDisconnected):
            client.send(Get("A"))
        client.connect()
        assert client.send(Get("A")) == "1"
        client.connect()
        client.close()


def test_a_reply_that_makes_no_sense_ends_the_wait() -> None:
    with Peer(scripted([IDN, (b"A?\n", b"!A 1\nOK =2\n")])) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            with pytest.raises(RemoteProtocolError, match="in the middle of a list"):
                client.send(Get("A"))
            assert not client.is_connected()


def test_closing_from_another_thread_ends_the_wait() -> None:
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        scripted([IDN, (b"A?\n", b"")], stay=False)(connection)
        asked.set()
        until_closed(connection)

    with Peer(serve) as peer:
        client = BlockingClient(LOOPBACK, peer.port)
        client.connect()

        def close() -> None:
            asked.wait(30)
            client.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(PandaDisconnected, match="closed on this side"):
            client.send(Get("A"))
        closer.join()


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    answer = threading.Event()

    def serve(connection: socket.socket) -> None:
        scripted([IDN, (b"A?\n", b"")], stay=False)(connection)
        assert answer.wait(30)
        connection.sendall(b"OK =late\n")
        scripted([(b"B?\n", b"OK =next\n")])(connection)

    with Peer(serve) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            with pytest.raises(TimedOut, match=r"did not answer Get.* in 0.02 s"):
                client.send(Get("A"), 0.02)
            answer.set()
            assert client.send(Get("B"), 10) == "next"


def test_threads_take_turns() -> None:
    def serve(connection: socket.socket) -> None:
        scripted([IDN], stay=False)(connection)
        with connection.makefile("rwb") as file:
            for line in file:
                file.write(b"OK =" + line[:-2] + b"\n")
                file.flush()

    got: dict[int, list[str]] = {}
    with Peer(serve) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:

            def ask(number: int) -> None:
                got[number] = [client.send(Get(f"A{number}.{i}")) for i in range(50)]  # type: ignore[misc]

            threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert got == {n: [f"A{n}.{i}" for i in range(50)] for n in range(4)}


def test_a_table_is_streamed() -> None:
    queued = (b"S.TABLE.QUEUED_LINES?\n", b"OK =0\n")
    full = (b"S.TABLE.QUEUED_LINES?\n", b"OK =16\n")
    script = [
        IDN,
        (b"S.TABLE<\n\n", b"OK\n"),
        queued,
        (b"S.TABLE<<B\nAAAAAOgDAAA=\n\n", b"OK\n"),
        full,
        queued,
        (b"S.TABLE<<|B\nAAAAAOgDAAA=\n\n", b"OK\n"),
    ]
    with Peer(scripted(script)) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            rows = stream_table_blocking(
                client, "S.TABLE", [columns(1)] * 2, INFO, poll_period=0.001
            )
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


def collect(peer: Peer, until: type = EndData, **options: Any) -> list[Any]:
    client = BlockingClient(LOOPBACK, data_port=peer.port)
    items: list[Any] = []
    with closing(client.data(scaled=False, **options)) as stream:
        for item in stream:
            items.append(item)
            if isinstance(item, until):
                break
    return items


@pytest.mark.parametrize("size", [1, 100, 100_000])
@pytest.mark.parametrize("period", [None, 0, 0.001, 10])
def test_data(size: int, period: float | None) -> None:
    with Peer(data_peer(*cut(RAW, size))) as peer:
        ready, start, *frames, end = collect(peer, flush_period=period)
    assert ready == ReadyData()
    assert isinstance(start, StartData)
    assert end.samples == sum(len(frame.data) for frame in frames) == 5
    assert np.concatenate([frame.data for frame in frames])["PCAP.BITS0.Value"].size
    if period == 10:
        assert len(frames) == 1


def test_held_samples_are_flushed_while_nothing_comes() -> None:
    unfinished = RAW[: RAW.index(b"END ")]
    with Peer(data_peer(unfinished)) as peer:
        client = BlockingClient(LOOPBACK, data_port=peer.port)
        with closing(client.data(scaled=False, flush_period=0.01)) as stream:
            _, _, frame = next(stream), next(stream), next(stream)
    assert len(frame.data) == 5  # type: ignore[attr-defined]


def test_the_end_of_the_data_connection_is_an_error() -> None:
    with Peer(data_peer(RAW, stay=False)) as peer:
        with pytest.raises(PandaDisconnected, match=f"{peer.port}: .*while idle"):
            collect(peer, until=int)


def test_the_data_connection_ends_within_a_frame() -> None:
    with Peer(data_peer(RAW[:-60], stay=False)) as peer:
        with pytest.raises(PandaDisconnected, match="in an acquisition, after"):
            collect(peer)


def test_data_refused() -> None:
    with Peer(data_peer(b"ERR No\n")) as peer:
        with pytest.raises(CommandError, match=f"{peer.port}.*refused.*No"):
            collect(peer)


def test_data_that_makes_no_sense() -> None:
    with Peer(data_peer(b"OK\nfoo\n")) as peer:
        with pytest.raises(RemoteProtocolError, match=str(peer.port)):
            collect(peer)


@pytest.mark.parametrize("period", [None, 0.02])
def test_no_data_in_time(period: float | None) -> None:
    with Peer(data_peer(b"OK\n")) as peer:
        with pytest.raises(FrameTimeout, match=r"no data came for 0\.05 s"):
            collect(peer, frame_timeout=0.05, flush_period=period)


def test_time_that_the_consumer_takes_does_not_count() -> None:
    client: Any = None
    with Peer(data_peer(RAW)) as peer:
        client = BlockingClient(LOOPBACK, data_port=peer.port)
        with closing(client.data(scaled=False, frame_timeout=0.05)) as stream:
            for item in stream:
                if isinstance(item, ReadyData):
                    busy_until = time.monotonic() + 0.1
                    while time.monotonic() < busy_until:
                        continue
                if isinstance(item, EndData):
                    break
        assert item.samples == 5


def test_closing_the_client_ends_its_data() -> None:
    ready = threading.Event()
    with Peer(data_peer(b"OK\n")) as peer:
        client = BlockingClient(LOOPBACK, data_port=peer.port)

        def close() -> None:
            ready.wait(30)
            client.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(PandaDisconnected, match="closed on this side"):
            for _ in client.data(scaled=False):
                ready.set()
        closer.join()


def test_no_data_port() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    client = BlockingClient(LOOPBACK, data_port=port)
    with pytest.raises(PandaDisconnected, match=f"The data port of .*:{port}"):
        next(client.data())


def test_a_reset_names_the_panda() -> None:
    def reset(connection: socket.socket) -> None:
        scripted([IDN, (b"A?\n", b"")], stay=False)(connection)
        # closing with a linger time of 0 sends a reset
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with Peer(reset) as peer:
        with BlockingClient(LOOPBACK, peer.port) as client:
            with pytest.raises(PandaDisconnected, match=f":{peer.port} broke"):
                client.send(Get("A"), 10)
