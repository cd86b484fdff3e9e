"""What one client of a server sees, in memory, byte by byte where it matters."""

import struct
from collections.abc import Awaitable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ca.server.link import STAMP, Clock, Link, broken, make_core, written

from beamfly.ca.access import AccessRules, Peer, Rule
from beamfly.ca.dbr import Dbr
from beamfly.ca.header import Header, pack_header
from beamfly.ca.message import Access, Command
from beamfly.ca.messages import (
    AccessRights,
    ChannelCreated,
    ClearChannel,
    CreateChannel,
    CreateFailed,
    Echo,
    ErrorReply,
    EventAdd,
    EventCancel,
    EventCancelled,
    EventsOff,
    EventsOn,
    EventUpdate,
    HostName,
    NotFound,
    Read,
    ReadNotify,
    ReadReply,
    Search,
    SearchReply,
    ServerDisconnect,
    Version,
    WriteNotifyReply,
)
from beamfly.ca.payloads import decode
from beamfly.ca.puts import HookFailed, Put, PutWaits
from beamfly.ca.pv import PV
from beamfly.ca.rules import CircuitState
from beamfly.ca.server import ServerCore
from beamfly.ca.server_circuit import CircuitClosed
from beamfly.errors import BadValue, CADisconnected, CARefused, RemoteProtocolError

DOUBLE = struct.Struct(">d")


def make_pvs() -> dict[str, PV]:
    return {
        "d": PV(1.5, units="mm", precision=2, hihi=10),
        "l": PV(3),
        "e": PV("on", states=("off", "on")),
        "s": PV("text"),
        "w": PV([1.0, 2.0, 3.0], length=10),
        "c": PV("chars", type="char", length=20),
        "ro": PV(5.0, writable=False),
    }


def make_link(step: int = 1 << 20, **options: Any) -> Link:
    return Link(make_core(make_pvs(), **options), step)


def updates(messages: list[Any]) -> list[Any]:
    """Values of the updates among messages."""
    found: list[Any] = []
    for message in messages:
        if isinstance(message, EventUpdate):
            value = decode(message.type, message.count, message.payload).elements()
            found.append(value[0] if len(value) == 1 else value)
    return found


GREETING = bytes.fromhex("00000000 0000000d 00000000 00000000")
OPEN_DOUBLE = bytes.fromhex(
    # ACCESS_RIGHTS: cid 7, read and write; CREATE_CHAN: DOUBLE, 1, cid 7, sid 1
    "00160000 00000000 00000007 00000003 00120000 00060001 00000007 00000001"
)
READ_DOUBLE = bytes.fromhex("000f0008 00060001 00000001 0000002a 3ff8000000000000")
UPDATE_DOUBLE = bytes.fromhex(
    "00010010 000d0001 00000001 00000009 00000000 00000000 3ff8000000000000"
)
CANCELLED = bytes.fromhex("00010000 000d0001 00000001 00000009")
WRITTEN = bytes.fromhex("00130000 00060001 00000001 0000002b")
CLEARED = bytes.fromhex("000c0000 00000000 00000001 00000007")


def test_bytes_of_a_whole_session() -> None:
    core = make_core({"d": PV(1.5)})
    circuit = core.accept("127.0.0.1:1", 0.0)

    def answer(*messages: Any) -> bytes:
        circuit.receive(b"".join(each.encode() for each in messages), 0.0)
        return b"".join(bytes(piece) for piece in circuit.output())

    assert answer() == GREETING
    assert answer(Version(), CreateChannel("d", 7)) == OPEN_DOUBLE
    assert answer(ReadNotify(6, 1, 1, 42)) == READ_DOUBLE
    assert answer(EventAdd(13, 1, 1, 9)) == UPDATE_DOUBLE
    assert answer(EventCancel(13, 1, 1, 9)) == CANCELLED
    put = pack_header(19, 8, 6, 1, 1, 43) + DOUBLE.pack(2.5)
    circuit.receive(put, 0.0)
    assert b"".join(bytes(piece) for piece in circuit.output()) == WRITTEN
    assert core.database["d"].value == 2.5
    assert answer(ClearChannel(1, 7)) == CLEARED


def test_native_types() -> None:
    link = make_link()
    shapes = {name: (link.open(name).type, link.near.ledger) for name in make_pvs()}
    found = {name: row[0] for name, row in shapes.items()}
    assert found == {"d": 6, "l": 5, "e": 3, "s": 0, "w": 6, "c": 4, "ro": 6}
    counts = {row.name: row.count for row in link.near.ledger.channels.values()}
    assert counts == {"d": 1, "l": 1, "e": 1, "s": 1, "w": 10, "c": 20, "ro": 1}


def test_channel_of_a_large_array() -> None:
    link = Link(make_core({"big": PV(length=100_000, type="double")}))
    created = link.open("big")
    assert (created.type, created.count) == (6, 100_000)
    far, near = link.far.ledger.by_sid[1], link.near.ledger.by_sid[1]
    assert (far.state, far.rights) == (near.state, near.rights)


def test_both_ends_agree_on_an_open_channel() -> None:
    link = make_link()
    link.open("d")
    assert written(link.far.ledger) == written(link.near.ledger)


def test_unknown_name() -> None:
    assert make_link().say(CreateChannel("nope", 1)) == [CreateFailed(1)]


def test_reading() -> None:
    link = make_link()
    assert link.get("d", Dbr.DOUBLE) == 1.5
    assert link.get("d", Dbr.STRING) == b"1.50"
    assert link.get("e", Dbr.STRING) == b"on"
    assert link.get("w", Dbr.DOUBLE) == (1, 2, 3)
    assert link.get("w", Dbr.DOUBLE, 2) == (1, 2)
    assert link.get("w", Dbr.LONG, 5) == (1, 2, 3, 0, 0)
    status, value = link.read("d", Dbr.CTRL_DOUBLE)
    assert (status, value.units, value.precision) == (1, b"mm", 2)
    assert link.read("d", Dbr.TIME_DOUBLE)[1].time_ns == STAMP
    assert link.read("s", Dbr.DOUBLE)[0] == 152
    assert link.read("d", 39)[0] == 114
    assert link.read("d", Dbr.PUT_ACKT)[0] == 114
    assert link.read("d", Dbr.DOUBLE, 1 << 30)[0] == 72
    assert link.get("d.SEVR", Dbr.STRING) == b"NO_ALARM"


def test_old_clients_get_no_long_headers() -> None:
    core = make_core({"big": PV(np.zeros(10_000)), "small": PV([1.0, 2.0])})
    circuit = core.accept("a:1", 0.0)
    circuit.output()
    hello = Version(minor=8).encode() + CreateChannel("big", 1, 8).encode()
    hello += CreateChannel("small", 2, 8).encode()
    circuit.receive(hello + pack_header(15, 0, 6, 0, 2, 5), 0.0)
    assert b"".join(bytes(piece) for piece in circuit.output())[-16:] == struct.pack(
        ">2d", 1, 2
    )
    for request in (pack_header(15, 0, 6, 0, 1, 5), pack_header(15, 0, 6, 0, 1, 6)):
        circuit.receive(request, 0.0)
        raw = b"".join(bytes(piece) for piece in circuit.output())
        assert struct.unpack(">HHHHII", raw)[4] == 464


def test_old_read() -> None:
    link = make_link()
    sid = link.sid("d")
    (reply,) = link.say(Read(6, 1, sid, 5))
    assert reply == ReadReply(6, 1, 1, 5, DOUBLE.pack(1.5))
    (reply,) = link.say(Read(39, 1, sid, 5))
    assert isinstance(reply, ErrorReply)
    assert (reply.status, reply.cid) == (114, 1)


@pytest.mark.parametrize(
    ("name", "code", "count", "payload", "value"),
    [
        ("d", Dbr.DOUBLE, 1, DOUBLE.pack(2.5), 2.5),
        ("d", Dbr.STRING, 1, b"0x10", 16.0),
        ("l", Dbr.DOUBLE, 1, DOUBLE.pack(-1.9), -1),
        ("l", Dbr.STRING, 1, b"1e3", 1000),
        ("e", Dbr.STRING, 1, b"off", 0),
        ("e", Dbr.DOUBLE, 1, DOUBLE.pack(0.0), 0),
        ("s", Dbr.STRING, 1, b"new", "new"),
        ("s", Dbr.DOUBLE, 1, DOUBLE.pack(1.9), "1.900000"),
        ("d", Dbr.DOUBLE, 2, DOUBLE.pack(4) + DOUBLE.pack(5), 4.0),
        ("d", Dbr.DOUBLE, 0, b"", 1.5),
    ],
)
def test_putting(
    name: str, code: int, count: int, payload: bytes, value: object
) -> None:
    link = make_link()
    (reply,) = link.put(name, code, payload, count)
    assert isinstance(reply, WriteNotifyReply)
    assert reply.status == 1
    assert link.core.database[name].value == value
    fresh = make_link()
    assert fresh.put(name, code, payload, count, wait=False) == []
    assert fresh.core.database[name].value == value


def test_putting_arrays() -> None:
    link = make_link()
    wave = link.core.database["w"]
    link.put("w", Dbr.LONG, struct.pack(">2i", 7, -8), 2)
    assert list(wave.value) == [7, -8]
    link.put("w", Dbr.DOUBLE, struct.pack(">20d", *range(20)), 20)
    assert list(wave.value) == list(range(10))
    link.put("w", Dbr.DOUBLE, b"", 0)
    assert len(wave.value) == 0
    strings = b"1.5".ljust(40, b"\0") + b"2".ljust(40, b"\0")
    link.put("w", Dbr.STRING, strings, 2)
    assert list(wave.value) == [1.5, 2]
    link.put("c", Dbr.CHAR, b"raw\0", 4)
    assert str(link.core.database["c"]) == "raw"
    link.put_text("c", "text")
    assert str(link.core.database["c"]) == "text"
    (reply,) = link.put("w", Dbr.DOUBLE, bytes(8), 3)
    assert getattr(reply, "status", 0) == 160


def test_puts_that_are_refused() -> None:
    link = make_link()
    assert link.put_text("d", "nonsense") == 160
    assert link.put_text("e", "maybe") == 160
    assert link.put_text("ro", "1") == 376
    assert link.put_text("d.NAME", "x") == 376
    (reply,) = link.put("d", Dbr.TIME_DOUBLE, bytes(24))
    assert getattr(reply, "status", 0) == 114
    (error,) = link.put("ro", Dbr.DOUBLE, bytes(8), wait=False)
    assert isinstance(error, ErrorReply)
    assert (error.status, error.cid) == (376, 99 if error.cid == 99 else error.cid)
    assert error.request == Header(4, 8, 6, 1, link.sids["ro"], 99)
    assert error.text == "Write access denied"
    (error,) = link.put("d", Dbr.STRING, b"nonsense", wait=False)
    assert isinstance(error, ErrorReply)
    assert "nonsense" in error.text


def test_alarm_handler_puts() -> None:
    link = make_link()
    pv = link.core.database["d"]
    pv.post(11.0)
    pv.post(0.0)
    assert link.read("d", Dbr.STSACK_STRING)[1].acknowledge_severity == 2
    link.put("d", Dbr.PUT_ACKS, b"\0\2")
    assert pv.acknowledge_severity == 0
    link.put("d", Dbr.PUT_ACKT, b"\0\0")
    assert not pv.acknowledge_transient


# hooks


def test_hook_may_change_and_refuse() -> None:
    def hook(put: Put) -> None:
        assert (put.peer.user, put.peer.host, put.name) == ("me", "here", "x")
        if put.value > 100:
            msg = "x is at most 100"
            raise BadValue(msg)
        if put.value < 0:
            msg = "not yours"
            raise CARefused(msg, status=376)
        put.value = round(put.value)

    core = make_core({"x": PV(0.0, on_put=hook)})
    link = Link(core)
    assert link.put_text("x", "2.7") == 1
    assert core.database["x"].value == 3
    assert link.put_text("x", "101") == 160
    assert link.put_text("x", "-1") == 376
    (error,) = link.put("x", 0, b"101", wait=False)
    assert isinstance(error, ErrorReply)
    assert error.text == "x is at most 100"
    assert core.database["x"].value == 3


def test_completion_waits_for_finish() -> None:
    held: list[Put] = []

    def hook(put: Put) -> None:
        put.hold()
        held.append(put)

    core = make_core({"x": PV(0.0, on_put=hook), "y": PV(1.0)})
    link = Link(core)
    assert link.put("x", 6, DOUBLE.pack(3)) == []
    assert core.database["x"].value == 3
    assert held[0].wait and not held[0].done
    # other requests on the circuit, other puts to the PV, go on
    assert link.get("y", 6) == 1
    assert link.put("x", 6, DOUBLE.pack(4)) == []
    held[0].finish()
    held[0].finish()
    first = link.pump()
    assert [type(each) for each in first] == [WriteNotifyReply]
    held[1].finish(160, "the motor hit a limit")
    (second,) = link.pump()
    assert getattr(second, "status", 0) == 160
    # nobody waits any more: nothing breaks
    assert link.put("x", 6, DOUBLE.pack(5)) == []
    link.far.close(CADisconnected("gone"))
    held[2].finish()


def test_coroutine_hook_goes_to_the_shell() -> None:
    async def hook(put: Put) -> None:
        put.accept()

    core = make_core({"x": PV(0.0, on_put=hook)})
    link = Link(core)
    assert link.put("x", 6, DOUBLE.pack(3)) == []
    event = core.next_event()
    assert isinstance(event, PutWaits)
    assert core.database["x"].value == 0
    run(event.work)
    assert core.database["x"].value == 3
    event.put.finish()
    assert [type(each) for each in link.pump()] == [WriteNotifyReply]


def run(work: Awaitable[None]) -> None:
    """Run a coroutine that never waits."""
    with pytest.raises(StopIteration):
        work.__await__().__next__()


def test_mistake_in_a_hook_is_reported_and_fails_the_put() -> None:
    def hook(put: Put) -> None:
        raise ZeroDivisionError

    core = make_core({"x": PV(0.0, on_put=hook)})
    assert Link(core).put_text("x", "1") == 160
    event = core.next_event()
    assert isinstance(event, HookFailed)
    assert isinstance(event.error, ZeroDivisionError)


def test_unfinished_puts_are_bounded() -> None:
    core = make_core({"x": PV(0.0, on_put=Put.hold)})
    link = Link(core)
    statuses = [link.put("x", 6, DOUBLE.pack(1)) for _ in range(1001)]
    assert statuses[:1000] == [[]] * 1000
    assert getattr(statuses[1000][0], "status", 0) == 362


# monitors


def test_monitor() -> None:
    link = make_link()
    number, first = link.subscribe("d", Dbr.DOUBLE, 1)
    assert updates(first) == [1.5]
    pv = link.core.database["d"]
    pv.post(2.0)
    pv.post(2.0)
    pv.post(3.0)
    assert updates(link.pump()) == [2.0, 3.0]
    (gone,) = link.say(EventCancel(Dbr.DOUBLE, 1, link.sids["d"], number))
    assert isinstance(gone, EventCancelled)
    pv.post(4.0)
    assert link.pump() == []
    assert not pv.listeners


def test_monitor_masks() -> None:
    link = make_link()
    pv = link.core.database["d"]
    numbers = {
        mask: link.subscribe("d", Dbr.CTRL_DOUBLE, 1, mask)[0] for mask in (1, 4, 8)
    }
    pv.post(11.0)
    heard = [getattr(each, "subscription", 0) for each in link.pump()]
    assert heard == [numbers[1], numbers[4]]
    pv.configure(units="m")
    heard = [getattr(each, "subscription", 0) for each in link.pump()]
    assert heard == [numbers[8]]


def test_subscriptions_that_make_no_sense() -> None:
    link = make_link()
    for code, mask, status in ((39, 1, 114), (6, 0, 330), (6, 16, 330)):
        _, replies = link.subscribe("d", code, 1, mask)
        assert [getattr(each, "status", 0) for each in replies] == [status]


def test_array_monitor_follows_the_length() -> None:
    link = make_link()
    _, first = link.subscribe("w", Dbr.TIME_DOUBLE)
    assert updates(first) == [(1, 2, 3)]
    link.core.database["w"].post([5.0, 6.0])
    assert updates(link.pump()) == [(5, 6)]


def test_put_and_monitor_of_two_clients() -> None:
    core = make_core(make_pvs())
    one, two = Link(core), Link(core)
    one.subscribe("d", 6)
    two.put("d", 6, DOUBLE.pack(9))
    assert updates(one.pump()) == [9.0]


def test_events_off_keeps_the_last_value() -> None:
    link = make_link()
    link.subscribe("d", 6)
    link.subscribe("l", 5)
    link.say(EventsOff())
    for value in range(20):
        link.core.database["d"].post(float(value))
    assert link.pump() == []
    assert link.get("l", 5) == 3
    assert updates(link.say(EventsOn())) == [19.0]
    link.core.database["d"].post(50.0)
    assert updates(link.pump()) == [50.0]


def test_slow_client_gets_the_latest_and_blocks_nobody() -> None:
    core = make_core(make_pvs() | {"big": PV(length=100_000, type="double")})
    slow, quick = Link(core), Link(core)
    for link in (slow, quick):
        link.subscribe("d", Dbr.DOUBLE)
        link.subscribe("big", Dbr.DOUBLE)
    slow.far.congested = True
    for value in range(100):
        core.database["d"].post(float(value))
        core.database["big"].post(np.full(100_000, value))
        assert len(updates(quick.pump())) == 2
    assert slow.far.output() == []
    slow.far.congested = False
    slow.far.drained()
    found = updates(slow.collect())
    numbers = [value for value in found if isinstance(value, float)]
    arrays = [value[0] for value in found if isinstance(value, tuple)]
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 99]
    assert arrays == [99]


def test_requests_of_a_client_that_does_not_read_wait() -> None:
    pv = PV(np.zeros(100_000))
    link = Link(make_core({"big": pv}))
    sid = link.sid("big")
    for number in range(50):
        link.near.send(ReadNotify(6, 0, sid, number))
    link.deliver()
    assert link.far.held
    sent = sum(map(len, link.far.output()))
    assert sent < 3 * 800_000
    received = 0
    while link.far.stalled:
        link.far.drained()
        received += sum(map(len, link.far.output()))
    assert received + sent == 50 * 800_024


def test_post_without_anybody_sending_is_bounded() -> None:
    link = make_link()
    link.subscribe("d", Dbr.DOUBLE)
    for value in range(100_000):
        link.core.database["d"].post(float(value))
    assert link.far.outbox.size < 300_000
    found = updates(link.collect())
    assert found[-1] == 99_999


# rules, rights, removal


def test_rights_by_user_and_their_change() -> None:
    allowed = [Access.READ]
    core = make_core(make_pvs(), access=lambda peer, name: allowed[0])
    link = Link(core)
    assert link.put_text("d", "5") == 376
    link.subscribe("d", Dbr.DOUBLE)
    allowed[0] = Access.NONE
    core.update_access()
    rights, update = link.pump()
    assert isinstance(rights, AccessRights) and isinstance(update, EventUpdate)
    assert (rights.rights, update.status, update.payload) == (0, 368, bytes(8))
    status, value = link.read("d", Dbr.CTRL_DOUBLE)
    assert (status, value.units) == (368, b"")
    core.database["d"].post(2.0)
    assert [getattr(each, "status", 0) for each in link.pump()] == [368]
    allowed[0] = Access.READ | Access.WRITE
    core.update_access()
    assert updates(link.pump()) == [2.0]
    assert updates(link.put("d", 0, b"5")) == [5.0]
    core.update_access()
    assert link.pump() == []


def test_access_rules() -> None:
    rules = AccessRules(
        Rule("*", rights=Access.READ),
        Rule("BL:*", users=("oper*",), hosts=("10.0.0.?", "console")),
    )
    full = Access.READ | Access.WRITE
    peer = Peer("10.0.0.5:99", "operator", "laptop")
    assert rules(peer, "BL:x") == full
    assert rules(peer, "FE:x") == Access.READ
    assert rules(Peer("10.0.9.5:99", "operator", "console"), "BL:x") == full
    assert rules(Peer("10.0.0.5:99", "guest", "console"), "BL:x") == Access.READ
    assert AccessRules()(peer, "x") == full


def test_no_way_around_the_rules_by_a_field() -> None:
    pvs = make_pvs() | {"d.dotted": PV("own", size=80)}
    rules = AccessRules(Rule(), Rule("d", rights=Access.READ), Rule("s", rights=0))  # pyright: ignore
    link = Link(make_core(pvs, access=rules))
    for name in ("d", "d.VAL", "d.", "d.HIHI", "ro.HIHI", "ro.VAL"):
        assert link.put_text(name, "1") == 376
    assert link.read("s.VAL$", Dbr.CHAR)[0] == 368
    assert link.read("s.SEVR", Dbr.ENUM)[0] == 368
    assert link.put_text("d.dotted", "1") == 1


def test_names_that_come_late_change_rights() -> None:
    core = make_core(make_pvs(), access=AccessRules(Rule(hosts=("good",))))
    core._access = AccessRules(Rule(rights=Access.READ), Rule(hosts=("good",)))
    link = Link(core)
    link.open("d")
    (rights,) = link.say(HostName("good"))
    assert rights == AccessRights(1, 3)


def test_read_only_pv_says_so() -> None:
    link = make_link()
    rights, _ = link.say(CreateChannel("ro", 1))
    assert rights == AccessRights(1, 1)


def test_removed_pv() -> None:
    link = make_link()
    link.subscribe("d", 6)
    sid = link.sids["d"]
    field = link.sid("d.EGU")
    late = pack_header(15, 0, 6, 1, sid, 77) + pack_header(19, 8, 6, 1, field, 78)
    link.core.remove("d")
    assert sorted(each.cid for each in link.pump()) == [1, 2]  # pyright: ignore
    link.far.receive(late + bytes(8), 0.0)
    raw = b"".join(bytes(piece) for piece in link.far.output())
    statuses = struct.unpack(">HHHHII", raw[:16]), struct.unpack(">HHHHII", raw[16:])
    assert [row[4:] for row in statuses] == [(192, 77), (192, 78)]
    assert link.get("l", 5) == 3
    assert link.say(CreateChannel("d", 9)) == [CreateFailed(9)]
    link.core.add("d", 7)
    del link.sids["d"]
    assert link.get("d", 5) == 7


def test_closing_forgets_everything() -> None:
    link = make_link()
    link.subscribe("d", 6)
    link.far.end_of_file()
    assert not link.core.database["d"].listeners
    assert not link.core.circuits
    event = link.core.next_event()
    assert isinstance(event, CircuitClosed)
    link.core.database["d"].post(5.0)


def test_echo_search_and_version() -> None:
    link = make_link()
    assert link.say(Echo()) == [Echo()]
    assert link.say(Search("d", 5)) == [SearchReply(5, 5064, minor=None)]
    assert link.say(Search("nope", 5)) == []
    assert link.say(Search("nope", 5, reply=10)) == [NotFound(5)]
    raw = pack_header(23, 8, 1, 2, 3, 4) + b"whatever"
    link.far.receive(raw, 0.0)
    assert b"".join(bytes(piece) for piece in link.far.output()) == raw


@pytest.mark.parametrize(
    "data",
    [
        pack_header(0, 0, 100, 13, 0, 0),
        pack_header(0, 0, 0, 3, 0, 0),
        pack_header(15, 0, 6, 1, 77, 1),
        pack_header(12, 0, 0, 0, 77, 1),
        pack_header(2, 0, 6, 1, 77, 1),
        pack_header(99, 0, 0, 0, 0, 0),
        struct.pack(">HHHHII", 4, 3, 0, 0, 0, 0),
    ],
)
def test_broken_rules_close_the_circuit_and_say_why(data: bytes) -> None:
    core = make_core(make_pvs())
    bad = core.accept("10.1.1.1:5", 0.0)
    bad.output()
    if data[:2] != b"\0\0":
        bad.receive(Version().encode(), 0.0)
    with pytest.raises(RemoteProtocolError):
        bad.receive(data, 0.0)
    assert bad.state is CircuitState.CLOSED
    event = core.next_event()
    assert isinstance(event, CircuitClosed)
    assert isinstance(event.reason, RemoteProtocolError)
    raw = b"".join(bytes(piece) for piece in bad.output())
    assert raw[:2] == b"\0\x0b"
    assert str(event.reason).encode()[:40] in raw


def test_put_larger_than_anything_here_is_skipped() -> None:
    link = make_link()
    sid = link.sid("w")
    size = link.core.database.largest + 8
    link.far.receive(pack_header(19, size, 6, size // 8, sid, 5), 0.0)
    for _ in range(size // 8 + 1):
        link.far.receive(bytes(8), 0.0)
    (reply,) = [*link.collect()][:1]
    assert isinstance(reply, WriteNotifyReply)
    assert reply.status == 72


def test_pv_that_is_added_later_may_be_larger_than_all_before() -> None:
    link = make_link()
    link.core.add("huge", PV(length=100_000, type="double"))
    data = struct.pack(">100000d", *range(100_000))
    (reply,) = link.put("huge", Dbr.DOUBLE, data, 100_000)
    assert getattr(reply, "status", 0) == 1
    assert link.core.database["huge"].value[-1] == 99_999


def test_echo_flood_is_held() -> None:
    link = make_link()
    flood = (pack_header(23, 8192, 0, 0, 0, 0) + bytes(8192)) * 200
    link.far.receive(flood, 0.0)
    assert link.far.held
    assert link.far.outbox.size < 300_000


# any chunking, any garbage


def session(link: Link) -> list[Any]:
    found: list[Any] = [link.open(name).type for name in ("d", "w", "e")]
    link.subscribe("d", Dbr.TIME_DOUBLE)
    for number in range(5):
        link.near.send(ReadNotify(6, 1, link.sids["d"], number))
    link.near.send(ReadNotify(20, 0, link.sids["w"], 9))
    found += link.pump()
    found += link.put("d", 6, DOUBLE.pack(12))
    found += link.put("w", 6, struct.pack(">3d", 4, 5, 6), 3)
    found.append(link.get("w", Dbr.LONG))
    found += link.say(ClearChannel(link.sids["d"], 1))
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40))
def test_chunking_changes_nothing(step: int) -> None:
    assert session(make_link(step)) == session(make_link())


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_answered_or_closes_the_circuit(data: bytes, opened: bool) -> None:
    link = make_link()
    if opened:
        link.open("d")
    try:
        link.far.receive(data, 0.0)
    except RemoteProtocolError:
        assert link.far.state is CircuitState.CLOSED
    other = Link(link.core)
    assert other.get("l", 5) == 3


COMMANDS = st.sampled_from([*Command])


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            COMMANDS,
            st.sampled_from([0, 8, 16]),
            st.integers(0, 40),
            st.integers(0, 30),
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        max_size=12,
    )
)
def test_any_words_in_any_order(words: list[tuple[int, ...]]) -> None:
    link = make_link()
    for name in ("d", "w"):
        link.open(name)
    data = b"".join(pack_header(*row) + b"d\0" * (row[1] // 2) for row in words)  # pyright: ignore
    try:
        link.far.receive(data, 0.0)
    except RemoteProtocolError:
        assert link.far.state is CircuitState.CLOSED
    for pv in ("d", "w"):
        link.core.database[pv].post()
    link.far.output()
    assert Link(link.core).get("l", 5) == 3


def test_unknown_sid_closes() -> None:
    link = make_link()
    assert "no open channel" in str(broken(link, pack_header(15, 0, 6, 1, 5, 5)))


def test_fast_lane_equals_slow_path() -> None:
    fast, slow = make_link(), make_link()
    slow.far.lanes = {}
    for link in (fast, slow):
        link.open("d")
        link.open("w")
    requests = [
        ReadNotify(code, count, sid, number)
        for code in (6, 20, 14, 34)
        for number in range(4)
        for count in (0, 1)
        for sid in (1, 2)
    ]
    answers: list[list[Any]] = []
    for link in (fast, slow):
        found: list[Any] = []
        for _ in range(2):
            found += link.say(*requests)
            if link is slow:
                link.far.lanes.clear()
        answers.append(found)
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2 * len(requests)


def test_server_disconnect_message_for_every_channel() -> None:
    link = make_link()
    link.say(CreateChannel("d", 11), CreateChannel("d", 12))
    link.core.remove("d")
    assert link.pump() == [ServerDisconnect(11), ServerDisconnect(12)]


def test_clock_is_asked_for_every_put() -> None:
    clock = Clock()
    core = ServerCore({"d": 1.0}, clock=clock, now=0.0)
    link = Link(core)
    clock.time_ns += 1_000_000_000
    link.put("d", 6, DOUBLE.pack(5))
    assert link.read("d", Dbr.TIME_DOUBLE)[1].time_ns == clock.time_ns


def test_channel_type_matches_the_field() -> None:
    link = make_link()
    created = link.open("d.DESC$")
    assert isinstance(created, ChannelCreated)
    assert (created.type, created.count) == (Dbr.CHAR, 41)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("wait", [True, False])
def test_fast_lane_for_puts_equals_slow_path(code: int, wait: bool) -> None:
    def hook(put: Put) -> None:
        put.value += 1

    answers: list[list[Any]] = []
    for fast in (True, False):
        pvs = make_pvs() | {
            "f": PV(1.0, type="float"),
            "h": PV(1, type="short"),
            "b": PV(1, type="char"),
            "hook": PV(0.0, on_put=hook),
            "clip": PV(0.0, drvh=5, drvl=-5),
        }
        link = Link(make_core(pvs))
        link.subscribe("d", Dbr.TIME_DOUBLE)
        found: list[Any] = []
        for _ in range(2):
            for name in pvs:
                payload = bytes([0, 0, 0, 7, 0, 0, 0, 0])
                if code == Dbr.DOUBLE:
                    payload = DOUBLE.pack(7.5)
                found += link.put(name, code, payload, wait=wait)
                if not fast:
                    link.far.lanes.clear()
        assert bool(link.far.lanes) is fast
        found += [str(link.core.database[name].value) for name in pvs]
        found += [link.core.database[name].time_ns for name in pvs]
        answers.append(found)
    assert answers[0] == answers[1]
