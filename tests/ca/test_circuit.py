"""A circuit talking to itself: both roles, every rule, any chunking, garbage."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.circuit import Circuit
from beamfly.ca.framing import FIRST_BYTES, READ_BYTES, Inbox, Outbox
from beamfly.ca.header import pack_header
from beamfly.ca.message import Command, Sender
from beamfly.ca.messages import (
    AccessRights,
    ChannelCreated,
    ClearChannel,
    ClientName,
    CreateChannel,
    CreateFailed,
    Echo,
    EventAdd,
    EventCancel,
    EventCancelled,
    EventsOff,
    EventsOn,
    EventUpdate,
    HostName,
    ReadNotify,
    ReadNotifyReply,
    ServerDisconnect,
    Version,
    Write,
    WriteNotify,
    WriteNotifyReply,
)
from beamfly.ca.rules import ChannelState, CircuitState
from beamfly.errors import CADisconnected, LocalProtocolError, RemoteProtocolError

from .wire import chunks, drain, pair, pump


def opened(**kwargs: Any) -> tuple[Circuit, Circuit]:
    """Both ends of a circuit with channel 1, which the server calls 11."""
    client, server = pair(**kwargs)
    client.send(CreateChannel("a:motor", 1))
    pump(client, server)
    server.send(AccessRights(1, 3))
    server.send(ChannelCreated(1, 11, 6, 10))
    pump(client, server)
    drain(client), drain(server)
    return client, server


def test_greeting() -> None:
    client, server = pair(priority=7)
    assert drain(server) == [Version(7), ClientName("me"), HostName("here")]
    assert drain(client) == [Version()]
    assert client.minor == server.minor == 13
    assert server.priority == 7
    assert client.state is server.state is CircuitState.OPEN


def test_a_channel_is_created_used_and_cleared() -> None:
    client, server = pair()
    drain(server)
    client.send(CreateChannel("a:motor", 1))
    pump(client, server)
    assert drain(server) == [CreateChannel("a:motor", 1)]
    server.send(AccessRights(1, 1))
    server.send(ChannelCreated(1, 11, 6, 10))
    pump(client, server)
    for circuit in (client, server):
        link = circuit.ledger.channels[1]
        assert (link.name, link.sid, link.type, link.count) == ("a:motor", 11, 6, 10)
        assert (link.rights, link.state) == (1, ChannelState.OPEN)
        assert circuit.ledger.by_sid[11] is link
    client.send(ReadNotify(6, 0, 11, 5))
    client.send(WriteNotify(6, 1, 11, 6, bytes(8)))
    pump(client, server)
    assert [type(event) for event in drain(server)] == [ReadNotify, WriteNotify]
    drain(client)
    server.send(ReadNotifyReply(6, 1, 1, 5, bytes(8)))
    server.send(WriteNotifyReply(6, 1, 1, 6))
    server.send(AccessRights(1, 0))
    client.send(ClearChannel(11, 1))
    # what the server had under way still arrives
    pump(client, server)
    assert [type(event) for event in drain(client)] == [
        ReadNotifyReply,
        WriteNotifyReply,
        AccessRights,
    ]
    assert client.ledger.channels[1].state is ChannelState.CLEARING
    server.send(ClearChannel(11, 1))
    pump(client, server)
    assert not client.ledger.channels and not server.ledger.channels
    assert not client.ledger.by_sid and not server.ledger.by_sid


def test_subscriptions_live_until_their_end_is_confirmed() -> None:
    client, server = opened()
    client.send(EventAdd(20, 0, 11, 3, 5))
    pump(client, server)
    assert drain(server) == [EventAdd(20, 0, 11, 3, 5)]
    assert server.ledger.subscriptions[3].mask == 5
    server.send(EventUpdate(20, 1, 1, 3, bytes(24)))
    pump(client, server)
    assert len(drain(client)) == 1
    server.send(EventUpdate(20, 1, 1, 3, bytes(24)))
    client.send(EventCancel(20, 0, 11, 3))
    pump(client, server)
    assert drain(client) == []  # came too late to matter
    assert client.ledger.subscriptions
    server.send(EventCancelled(20, 0, 11, 3))
    pump(client, server)
    assert drain(client) == [EventCancelled(20, 0, 11, 3)]
    assert not client.ledger.subscriptions and not server.ledger.subscriptions


def test_subscriptions_go_with_their_channel() -> None:
    client, server = opened()
    for number in (3, 4):
        client.send(EventAdd(20, 0, 11, number, 5))
    client.send(EventCancel(20, 0, 11, 3))
    client.send(ClearChannel(11, 1))
    pump(client, server)
    server.send(ClearChannel(11, 1))
    pump(client, server)
    for circuit in (client, server):
        assert not circuit.ledger.subscriptions and not circuit.ledger.cancelling


def test_an_update_without_data_is_not_taken_for_the_end() -> None:
    client, server = opened()
    client.send(EventAdd(6, 0, 11, 3))
    pump(client, server)
    server.outbox.put(EventCancelled(6, 0, 11, 3).encode())
    pump(client, server)
    assert drain(client) == []
    assert 3 in client.ledger.subscriptions


def test_a_dropped_channel_is_cleared_when_it_opens() -> None:
    client, server = pair()
    client.send(CreateChannel("a", 1))
    client.ledger.drop(1)
    pump(client, server)
    server.send(AccessRights(1, 3))
    server.send(ChannelCreated(1, 11, 6, 1))
    pump(client, server)
    client.send(ClearChannel(11, 1))
    assert client.ledger.channels[1].state is ChannelState.CLEARING


@pytest.mark.parametrize("end", [CreateFailed(1), ServerDisconnect(1)])
def test_a_server_may_refuse_or_take_back_a_channel(end: Any) -> None:
    client, server = pair()
    client.send(CreateChannel("a", 1))
    pump(client, server)
    server.send(end)
    pump(client, server)
    assert drain(client)[-1] == end
    assert not client.ledger.channels
    client.send(CreateChannel("a", 1))


LOCAL = [
    ("client", ReadNotify(6, 1, 99, 1), "no open channel"),
    ("client", Write(6, 1, 99, 1, bytes(8)), "no open channel"),
    ("client", EventCancel(6, 1, 11, 4), "no subscription number 4"),
    ("client", CreateChannel("b", 1), "number 1 is taken"),
    ("client", AccessRights(1, 3), "makes no sense from a client"),
    ("server", EventUpdate(6, 1, 1, 8, bytes(8)), "no subscription number 8"),
    ("server", ChannelCreated(1, 12, 6, 1), "channel that is open"),
    ("server", ClearChannel(11, 1), "channel that is open"),
    ("server", CreateFailed(5), "no open channel"),
]


@pytest.mark.parametrize(("role", "message", "text"), LOCAL)
def test_we_cannot_break_the_rules(role: str, message: Any, text: str) -> None:
    client, server = opened()
    circuit = client if role == "client" else server
    with pytest.raises(LocalProtocolError, match=text):
        circuit.send(message)
    assert not circuit.outbox
    assert circuit.state is CircuitState.OPEN


REMOTE = [
    (ReadNotify(6, 1, 99, 1).encode(), "no open channel"),
    (EventCancel(6, 1, 11, 4).encode(), "no subscription number 4"),
    (CreateChannel("b", 1).encode(), "number 1 is taken"),
    (pack_header(99, 0, 0, 0, 0, 0), "cannot send command 99"),
    (bytes.fromhex("0001 0003 0006 0001 00000001 00000002"), "no multiple of 8"),
    (Version(minor=2).encode(), "oldest that is understood"),
]


@pytest.mark.parametrize(("data", "text"), REMOTE)
def test_a_peer_that_breaks_the_rules_is_cut_off(data: bytes, text: str) -> None:
    _, server = opened()
    with pytest.raises(RemoteProtocolError, match=text):
        server.receive(data, 0.0)
    assert server.state is CircuitState.CLOSED
    assert isinstance(server.lost, RemoteProtocolError)
    server.receive(Echo().encode(), 0.0)
    assert not server.outbox
    with pytest.raises(LocalProtocolError, match="was not sent"):
        server.send(Version())


def test_nothing_may_come_before_the_version() -> None:
    server = Circuit(Sender.SERVER)
    with pytest.raises(RemoteProtocolError, match="circuit that is new"):
        server.receive(CreateChannel("a", 1).encode(), 0.0)


def test_late_messages_of_a_server_are_ignored() -> None:
    client, _ = opened()
    late = AccessRights(9, 1).encode() + EventUpdate(6, 1, 1, 9, bytes(8)).encode()
    client.receive(late, 0.0)
    assert drain(client) == []


def test_echo_after_silence_and_the_end_without_answer() -> None:
    client, server = pair(quiet_seconds=30.0)
    drain(client)
    assert client.next_wakeup() == 30.0
    assert server.next_wakeup() is None
    client.wake(29.9)
    assert not client.outbox
    client.wake(30.0)
    pump(client, server, now=30.1)
    assert drain(client) == [Echo()]
    assert client.next_wakeup() == pytest.approx(60.1)
    client.wake(60.2)
    assert client.output() == [Echo().encode()]
    assert client.next_wakeup() == pytest.approx(65.2)
    client.wake(65.3)
    assert client.state is CircuitState.CLOSED
    assert isinstance(client.lost, CADisconnected)
    assert client.next_wakeup() is None


def test_echo_comes_back_byte_by_byte() -> None:
    _, server = opened()
    odd = pack_header(Command.ECHO, 8, 1, 2, 3, 4) + b"whatever"
    server.receive(odd, 0.0)
    assert b"".join(server.output()) == odd


def test_flow_control_reaches_the_server() -> None:
    client, server = opened()
    client.send(EventsOff())
    pump(client, server)
    assert not server.updates_wanted
    client.send(EventsOn())
    pump(client, server)
    assert server.updates_wanted


def test_end_of_file_closes_and_the_first_reason_stays() -> None:
    client, _ = opened()
    client.end_of_file()
    client.close(ValueError("later"))
    assert isinstance(client.lost, CADisconnected)


def test_old_peers_get_no_extended_headers() -> None:
    client, _ = opened()
    client.minor = 8
    with pytest.raises(LocalProtocolError, match=r"version 4\.8"):
        client.send(Write(6, 10_000, 11, 1, bytes(80_000)))


def test_too_large_messages_are_skipped_and_the_rest_is_read() -> None:
    client, server = opened(largest=1000)
    client.send(EventAdd(6, 0, 11, 3))
    pump(client, server)
    seen: list[int] = []
    client.skipped = lambda header: seen.append(header.size)  # type: ignore[method-assign]
    server.send(EventUpdate(6, 10_000, 1, 3, bytes(80_000)))
    server.send(EventUpdate(6, 1, 1, 3, bytes(8)))
    pump(client, server)
    assert seen == [80_000]
    assert [event.count for event in drain(client)] == [1]


def test_a_slow_peer_is_reported() -> None:
    client, _ = opened(unsent=1000)
    for _ in range(10):
        client.send(Write(6, 10, 11, 1, bytes(80)))
    with pytest.raises(LocalProtocolError, match="does not read them"):
        client.send(Write(6, 10, 11, 1, bytes(80)))
    assert sum(map(len, client.output())) <= 1000


OPENING = b"".join(
    message.encode()
    for message in [Version(), AccessRights(1, 3), ChannelCreated(1, 11, 6, 100_000)]
)
SESSION = OPENING + b"".join(
    message.encode()
    for message in [
        EventUpdate(20, 1, 1, 3, bytes(24)),
        ReadNotifyReply(6, 20_000, 1, 7, bytes(range(250)) * 640),
        EventUpdate(20, 1, 1, 3, bytes(24)),
        WriteNotifyReply(6, 1, 160, 8),
    ]
)


def events_of(pieces: list[bytes]) -> list[Any]:
    client = Circuit(Sender.CLIENT)
    client.open()
    client.send(CreateChannel("a", 1))
    for piece in pieces:
        client.receive(piece, 0.0)
        if 11 in client.ledger.by_sid and not client.ledger.subscriptions:
            client.send(EventAdd(20, 0, 11, 3))
    return drain(client)


@given(st.lists(st.integers(0, len(SESSION)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_cutting_bytes_anywhere_changes_nothing(cuts: list[int]) -> None:
    # the subscription is made between pieces, so keep one cut before its first update
    once = len(OPENING)
    cuts = [*cuts, once]
    assert events_of(chunks(SESSION, cuts)) == events_of(chunks(SESSION, [once]))
    assert len(events_of(chunks(SESSION, cuts))) == 7


def test_byte_by_byte() -> None:
    head = SESSION[:200]
    assert events_of([head[n : n + 1] for n in range(200)]) == events_of(
        [OPENING, head[len(OPENING) :]]
    )


@given(st.sampled_from(list(Sender)), st.binary(max_size=300))
@settings(deadline=None, max_examples=300)
def test_garbage_raises_what_is_documented(role: Sender, data: bytes) -> None:
    circuit = Circuit(role)
    circuit.open()
    if role is Sender.SERVER:
        circuit.receive(Version().encode(), 0.0)
    try:
        circuit.receive(data, 0.0)
    except RemoteProtocolError:
        assert circuit.state is CircuitState.CLOSED


def test_a_flood_in_one_buffer_is_parsed_in_linear_time() -> None:
    def seconds(count: int) -> float:
        _, server = opened()
        data = ReadNotify(6, 1, 11, 1).encode() * count
        start = time.thread_time()
        server.receive(data, 0.0)
        taken = time.thread_time() - start
        assert len(drain(server)) == count
        return taken

    few = min(seconds(5_000) for _ in range(3))
    assert seconds(50_000) < 40 * few


def test_a_header_may_announce_what_never_comes() -> None:
    inbox = Inbox()
    inbox.room()[:16] = bytes(16)
    inbox.added(16)
    inbox.expect(1 << 31)
    assert len(inbox.room()) <= 4 * FIRST_BYTES


def test_the_inbox_grows_when_it_is_filled_and_gives_back() -> None:
    inbox = Inbox()
    for _ in range(8):
        inbox.added(len(inbox.room()))
        inbox.start = inbox.end
    assert len(inbox.view) == READ_BYTES
    for _ in range(10):
        inbox.expect(4 * READ_BYTES)
        inbox.added(len(inbox.room()))
    assert len(inbox.view) >= 4 * READ_BYTES
    inbox.start = inbox.end
    inbox.shrink()
    assert len(inbox.view) == FIRST_BYTES


def test_the_outbox_joins_small_pieces_and_keeps_large_ones() -> None:
    outbox = Outbox(1 << 20)
    large = memoryview(bytes(100_000))
    for piece in (b"a", b"b", large, b"c", b"d"):
        outbox.put(piece)
    assert outbox.size == 100_004
    assert outbox.take() == [b"ab", large, b"cd"]
    assert not outbox and outbox.size == 0
