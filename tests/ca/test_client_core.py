"""The whole client in memory: search, circuits, requests, monitors, reconnection."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.beacons import BeaconWatch, Rhythm
from beamfly.ca.bulk import checked
from beamfly.ca.channel import ConnectionState, Monitor, checked_count
from beamfly.ca.datagrams import Beacon, RepeaterConfirm, SearchReply, Version
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.group import Part
from beamfly.ca.header import Header
from beamfly.ca.ledger import Link
from beamfly.ca.message import Command
from beamfly.ca.messages import (
    AccessRights,
    ErrorReply,
    EventAdd,
    EventCancel,
    ServerDisconnect,
    WriteNotify,
)
from beamfly.ca.native_messages import native, typed
from beamfly.ca.payloads import pack
from beamfly.ca.pending import not_connected
from beamfly.ca.rules import CircuitState
from beamfly.ca.search import IN_FLIGHT, Searches, parse_datagram, parse_replies
from beamfly.errors import (
    BadValue,
    CADisconnected,
    CARefused,
    CATimeout,
    RemoteProtocolError,
)

from .rig import Ask, Pv, Rig, Server, watch

HERE = ("10.0.0.1", 5064)
STAMP = (631152000 + 1) * 10**9


def server(**extra: Pv) -> Server:
    pvs = {
        "d": Pv(Dbr.DOUBLE, 1.5),
        "l": Pv(Dbr.LONG, -3),
        "e": Pv(Dbr.ENUM, 2),
        "c": Pv(Dbr.CHAR, 9),
        "h": Pv(Dbr.SHORT, -7),
        "f": Pv(Dbr.FLOAT, 0.25),
        "s": Pv(Dbr.STRING, "µm"),
        "wave": Pv(Dbr.DOUBLE, [1.0, 2.0, 3.0], 10),
        "one": Pv(Dbr.LONG, [5], 10),
        "names": Pv(Dbr.STRING, ["a", "b"], 4),
        "secret": Pv(Dbr.DOUBLE, 1.0, rights=0),
        **extra,
    }
    return Server(HERE, pvs)


def read(rig: Rig, name: str, family: Family = Family.PLAIN) -> Any:
    channel = rig.connect(name)
    ask = Ask(channel)
    assert channel.circuit is not None
    channel.circuit.read(channel, Dbr(channel.native_type + 7 * family), 0, ask)
    rig.run()
    assert ask.times == 1
    return ask.error or ask.answer


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(np.all(one == other))


READINGS = [
    *(("d", 1.5), ("l", -3), ("e", 2), ("c", 9), ("h", -7), ("f", 0.25), ("s", "µm")),
    ("wave", np.array([1.0, 2.0, 3.0])),
    ("one", np.array([5], "i4")),
    ("names", ["a", "b"]),
]


@pytest.mark.parametrize("chunk", [None, 1, 7, 40])
@pytest.mark.parametrize(("name", "value"), READINGS)
def test_reads(name: str, value: Any, chunk: int | None) -> None:
    rig = Rig(server())
    assert same(read(rig, name)[0], value)
    got, *rest = read(rig, name, Family.TIME)
    assert same(got, value)
    assert rest == [STAMP, 2, 3]
    channel = rig.connect(name)
    seen, _ = watch(rig, channel)
    for seconds in range(2, 5):
        rig.post(channel, rig.servers[0].pvs[name].value, seconds)
    assert [row[1] for row in seen] == [STAMP + n * 10**9 for n in range(4)]
    assert all(same(row[0], value) for row in seen)


def test_types_with_more_metadata_come_as_values() -> None:
    value = read(Rig(server()), "d", Family.CTRL)[0]
    assert (value.type, value.elements(), value.severity) == (
        Dbr.CTRL_DOUBLE,
        (1.5,),
        2,
    )


def test_refused_reads_name_the_pv() -> None:
    error = read(Rig(server()), "secret")
    assert isinstance(error, CARefused)
    assert (error.name, error.status) == ("secret", 368)
    assert "secret was not read: Read access denied" in str(error)


def test_channel_tells_of_itself() -> None:
    rig = Rig(server())
    states: list[Any] = []
    channel = rig.core.channel("d", on_change=lambda one: states.append(one.state))
    assert channel.state is ConnectionState.NEVER_CONNECTED
    rig.run()
    assert (channel.native_type, channel.count, channel.access) == (Dbr.DOUBLE, 1, 3)
    assert channel.host == "10.0.0.1:5064"
    rig.core.close_channel(channel)
    assert states == [ConnectionState.CONNECTED, ConnectionState.CLOSED]
    assert rig.core.channels == {} and rig.core.circuits == {}


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 501, "a\udcff", 5, None, b"a"])
def test_impossible_names(name: Any) -> None:
    with pytest.raises(BadValue, match="not looked for"):
        Rig().core.channel(name)
    with pytest.raises(BadValue, match="priority 100"):
        Rig().core.channel("a", 100)


@pytest.mark.parametrize("mask", [0, -1, 1 << 16])
def test_monitors_want_an_event(mask: int) -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    with pytest.raises(BadValue, match=f"mask {mask} has no event; d is not monitored"):
        Monitor(channel, lambda core: (0, 0), mask, print, print)


@pytest.mark.parametrize(
    ("name", "value", "code", "count", "raw"),
    [
        ("chars", "text", Dbr.CHAR, 5, b"text\0"),
        ("chars", b"text", Dbr.CHAR, 4, b"text"),
        ("chars", "12345678", Dbr.CHAR, 8, b"12345678"),
        ("chars", "", Dbr.CHAR, 1, b"\0"),
        ("chars", [7, 8], Dbr.CHAR, 2, b"\7\x08"),
        ("c", "65", Dbr.STRING, 1, b"65".ljust(40, b"\0")),
        ("d", "1.5", Dbr.STRING, 1, b"1.5".ljust(40, b"\0")),
    ],
)
def test_text_becomes_what_the_pv_takes(
    name: str, value: Any, code: Dbr, count: int, raw: bytes
) -> None:
    rig = Rig(server(chars=Pv(Dbr.CHAR, [0], 8)))
    link = rig.connect(name).link
    assert link is not None
    kind, elements, data = native(link, value)
    assert (kind, elements, bytes(data)) == (code, count, raw)


def test_text_that_is_too_long_for_its_array() -> None:
    rig = Rig(server(chars=Pv(Dbr.CHAR, [0], 8)))
    link = rig.connect("chars").link
    assert link is not None
    with pytest.raises(BadValue, match="has 9 bytes and chars holds 8; nothing was se"):
        native(link, "123456789")


def test_elements_that_an_array_has_no_room_for() -> None:
    link = Link(1, "wave")
    link.type, link.count = Dbr.DOUBLE, 3
    assert native(link, [1, 2, 3])[:2] == (Dbr.DOUBLE, 3)
    with pytest.raises(BadValue, match="4 elements are too many: wave holds 3; nothin"):
        native(link, np.zeros(4))


def test_a_channel_that_is_closed_is_not_monitored() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    rig.core.close_channel(channel)
    monitor = Monitor(channel, lambda core: (20, 0), 1, print, print)
    with pytest.raises(CADisconnected, match="d is closed; it is not monitored"):
        rig.core.monitor(monitor)


@pytest.mark.parametrize("count", [-1, 2.5, "1", None, 1 << 32])
def test_numbers_of_elements(count: Any) -> None:
    with pytest.raises(BadValue, match="is no number of elements of d; nothing was a"):
        checked_count("d", count)
    assert checked_count("d", np.int64(7)) == 7


@pytest.mark.parametrize("code", [-1, 7, 20, 38, 99])
def test_types_that_can_be_written(code: int) -> None:
    with pytest.raises(BadValue, match=f"{code} is no DBR type to be written"):
        typed(code, 1)
    assert typed(Dbr.PUT_ACKT, 1)[:2] == (35, 1)
    assert typed(2, 1.5) == (2, 1, bytes.fromhex("3fc00000"))


def test_whoever_is_not_connected_knows_why() -> None:
    rig = Rig(server())
    channel = rig.core.channel("nowhere")
    rig.run()
    text = str(not_connected(channel, 2.5))
    assert text == "nowhere was not found within 2.5 s"
    silent = rig.core.channel("d")
    while silent.circuit is None:
        rig.run()
    silent.link = None
    error = not_connected(silent, 2.5)
    assert error.name == "d" and error.status == 80
    assert "d was found on 10.0.0.1:5064, but was not connected within" in str(error)


def test_what_was_under_way_names_its_pv_when_the_connection_goes() -> None:
    rig = Rig(server())
    channels = [rig.connect(name) for name in ("d", "l")]
    circuit = channels[0].circuit
    assert circuit is not None
    asks = [Ask(channel) for channel in channels]
    for ask in asks:
        circuit.read(ask.channel, ask.channel.native_type, 0, ask)
    circuit.end_of_file()
    for ask, name in zip(asks, ("d", "l"), strict=True):
        assert isinstance(ask.error, CADisconnected) and ask.error.name == name
        assert f"{name} did not answer: the circuit to 10.0.0.1" in str(ask.error)
    assert asks[0].error is not asks[1].error


def test_one_impossible_name_among_many_and_none_is_looked_for() -> None:
    rig = Rig(server())
    with pytest.raises(BadValue, match="cannot be the name"):
        rig.core.look_for(["d", "a\0b"])
    assert not rig.core.channels and not len(rig.core.searches)
    channels = rig.core.look_for(["d", "l", "nowhere", "d"], priority=3)
    rig.run()
    assert [one.connected for one in channels] == [True, True, False, True]
    assert [key[2] for key in rig.core.circuits] == [3]


def test_priorities_have_circuits_of_their_own() -> None:
    rig = Rig(server())
    rig.core.channel("d"), rig.core.channel("l", 9), rig.core.channel("e", 9)
    rig.run()
    assert sorted(key[2] for key in rig.core.circuits) == [0, 9]


def test_writes() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    assert channel.circuit is not None
    channel.circuit.write(channel, Dbr.DOUBLE, 1, b"\x40\x0c\0\0\0\0\0\0")
    rig.run()
    assert rig.servers[0].pvs["d"].value == 3.5
    wave = rig.connect("wave")
    big = np.arange(1000.0).astype(">f8").tobytes()
    ask = Ask(wave)
    assert wave.circuit is not None
    wave.circuit.write_notify(wave, Dbr.DOUBLE, 1000, big, ask)
    rig.run()
    assert ask.answer == ()
    assert rig.servers[0].pvs["wave"].value == list(range(1000))


@settings(deadline=None)
@given(
    st.sampled_from([*Dbr][:7]),
    st.one_of(
        st.integers(-(1 << 40), 1 << 40),
        st.floats(allow_nan=False),
        st.sampled_from([255, 256, -32769, 1e39, float("inf")]),
    ),
)
def test_a_number_takes_a_short_cut_to_the_same_bytes(base: Dbr, value: float) -> None:
    rig = Rig(Server(("10.0.0.1", 5064), {"x": Pv(base, 0)}))
    channel = rig.connect("x")
    circuit = channel.circuit
    assert circuit is not None
    if circuit.write_number(channel, value):
        short = b"".join(circuit.output())
        circuit.write(channel, base, *pack(base, value))
        assert b"".join(circuit.output()) == short
    else:
        # text, what is wrapped or cut, and what is refused
        assert circuit.output() == []
        in_range = base in (Dbr.DOUBLE, Dbr.FLOAT) and abs(value) < 1e38
        assert not in_range or isinstance(value, int)


def test_numbers_are_not_written_where_there_is_no_connection() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    circuit = channel.circuit
    assert circuit is not None
    circuit.close(CADisconnected("the end"))
    assert not circuit.write_number(channel, 1.0)


def test_refused_writes() -> None:
    rig = Rig(server())
    channel = rig.connect("secret")
    ask = Ask(channel)
    assert channel.circuit is not None
    channel.circuit.write_notify(channel, Dbr.DOUBLE, 1, bytes(8), ask)
    rig.run()
    assert isinstance(ask.error, CARefused) and ask.error.status == 376


def test_puts_to_one_channel_wait_for_each_other() -> None:
    rig = Rig(server())
    here = rig.servers[0]
    here.answers_puts = False
    one, other = rig.connect("d"), rig.connect("l")
    asks = [Ask(one, 10.0), Ask(one, 10.0), Ask(one, 1.0), Ask(other, 10.0)]
    for ask in asks:
        assert one.circuit is not None
        one.circuit.write_notify(ask.channel, Dbr.DOUBLE, 1, bytes(8), ask)
    rig.run()
    assert sum(isinstance(m, WriteNotify) for m in here.seen) == 2
    rig.later(2.0)
    assert isinstance(asks[2].error, CATimeout)  # it was never sent
    here.answers_puts = True
    (circuit, (_, end)) = next(iter(rig.links.items()))
    from beamfly.ca.messages import WriteNotifyReply

    for message in list(here.seen):
        if isinstance(message, WriteNotify):
            end.send(WriteNotifyReply(6, 1, 1, message.ioid))
    rig.run()
    assert [ask.answer for ask in asks] == [(), (), None, ()]
    assert sum(isinstance(m, WriteNotify) for m in here.seen) == 3
    assert not circuit.pending


def test_a_put_that_is_late_keeps_its_channel_busy() -> None:
    rig = Rig(server())
    rig.servers[0].answers_puts = False
    channel = rig.connect("d")
    late, next_ = Ask(channel, 1.0), Ask(channel, 50.0)
    assert channel.circuit is not None
    channel.circuit.write_notify(channel, Dbr.DOUBLE, 1, bytes(8), late)
    channel.circuit.write_notify(channel, Dbr.DOUBLE, 1, bytes(8), next_)
    rig.run()
    rig.later(2.0)
    assert isinstance(late.error, CATimeout) and late.times == 1
    assert channel.busy
    assert sum(isinstance(m, WriteNotify) for m in rig.servers[0].seen) == 1


def test_monitors_come_back_after_a_restart() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    states: list[bool] = []
    channel.on_change.append(lambda one: states.append(one.connected))
    seen, _ = watch(rig, channel)
    asked = Ask(channel)
    assert channel.circuit is not None
    rig.servers[0].answers_puts = False
    channel.circuit.write_notify(channel, Dbr.DOUBLE, 1, bytes(8), asked)
    rig.servers[0].pvs["d"] = Pv(Dbr.LONG, 7)  # it comes back as another type
    channel.circuit.end_of_file()
    assert isinstance(asked.error, CADisconnected)
    assert channel.state is ConnectionState.PREVIOUSLY_CONNECTED
    rig.later(1.0)
    assert states == [False, True]
    assert [row[0] for row in seen] == [1.5, 7]
    assert isinstance(seen[1][0], int)


def test_cancelled_monitors_are_silent() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    seen, monitor = watch(rig, channel)
    rig.core.cancel(monitor)
    rig.core.cancel(monitor)
    rig.run()
    rig.post(channel, 2.0)
    assert len(seen) == 1
    kinds = [type(message) for message in rig.servers[0].seen]
    assert kinds.count(EventAdd) == kinds.count(EventCancel) == 1


def test_monitors_without_access_tell_the_error() -> None:
    rig = Rig(server())
    seen, _ = watch(rig, rig.connect("secret"))
    assert isinstance(seen[0], CARefused) and seen[0].status == 368


def test_a_callback_that_raises_harms_nobody_else() -> None:
    rig = Rig(server())
    first, second = rig.connect("d"), rig.connect("l")
    seen, monitor = watch(rig, first)
    other, _ = watch(rig, second)
    monitor.on_value = None

    def bad(*reading: Any) -> None:
        raise RuntimeError("mine")

    number = monitor.number
    assert first.circuit is not None
    first.circuit.sinks[number] = bad
    rig.post(first, 5.0)
    rig.post(second, 6)
    assert str(seen[-1]) == "mine"
    assert other[-1][0] == 6


def test_a_watcher_that_raises_harms_nobody_else() -> None:
    rig = Rig(server())
    told: list[bool] = []

    def bad(channel: Any) -> None:
        raise RuntimeError("mine")

    channel = rig.core.channel("d", on_change=bad)
    channel.on_change.append(lambda one: told.append(one.connected))
    rig.run()
    assert told == [True]
    assert rig.notices == ["a callback of d raised RuntimeError: mine"]


def test_access_that_changes_is_told() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    told: list[int] = []
    channel.on_change.append(lambda one: told.append(int(one.access)))
    assert channel.circuit is not None
    _, end = rig.links[channel.circuit]
    end.send(AccessRights(channel.cid, 1))
    rig.run()
    assert told == [1]


@pytest.mark.parametrize(
    ("command", "verb"),
    [
        (Command.WRITE, "written"),
        (Command.EVENT_ADD, "monitored"),
        (Command.READ, "read"),
        (Command.CLEAR_CHANNEL, "served"),
    ],
)
def test_errors_reach_who_asked(command: Command, verb: str) -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    seen, monitor = watch(rig, channel)
    assert channel.circuit is not None and monitor.number is not None
    end = rig.links[channel.circuit][1]
    # a write has the number of its channel there, which a monitor may have, too
    request = Header(command, 8, 0, 1, 100, monitor.number)
    end.send(ErrorReply(channel.cid, 376, request, "d"))
    end.send(ErrorReply(channel.cid, 160, request, "too hot"))
    rig.run()
    told = [str(one) for one in seen[1:]] + rig.notices
    assert [type(one) for one in seen[1:]] == [CARefused] * 2 * (verb == "monitored")
    assert told[0] == f"d was not {verb}: Write access denied (ECA 376)"
    assert told[1].startswith(f"d was not {verb}: Channel write request failed")
    assert told[1].endswith("(too hot)") == (verb != "monitored")


def test_a_server_that_is_too_fast_is_asked_to_hold_back() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    seen, _ = watch(rig, channel)
    circuit = channel.circuit
    assert circuit is not None
    here, end = rig.links[circuit]
    here.post(end, next(iter(end.ledger.subscriptions)))
    (update,) = end.output()
    assert len(update) == 40
    flood = bytes(update) * 200_000
    fed = 0
    while not circuit.outbox:
        room = circuit.room()
        room[:] = flood[fed % 40 : fed % 40 + len(room)]
        fed += len(room)
        circuit.received(len(room), 0.0)
    rig.run()
    assert not end.updates_wanted
    rest = flood[fed % 40 : 40] if fed % 40 else b""
    circuit.receive(rest + bytes(update), 0.0)
    rig.run()
    assert end.updates_wanted
    assert len(seen) == 1 + (fed + len(rest)) // 40 + 1


def test_a_pv_that_is_taken_back_is_looked_for_elsewhere() -> None:
    other = Server(("10.0.0.2", 6000), {"d": Pv(Dbr.DOUBLE, 9.0)})
    rig = Rig(server())
    channel = rig.connect("d")
    rig.connect("l")
    circuit = channel.circuit
    assert circuit is not None
    here, end = rig.links[circuit]
    del here.pvs["d"]
    rig.servers.append(other)
    end.send(ServerDisconnect(channel.cid))
    rig.run()
    rig.later(1.0)
    assert channel.host == "10.0.0.2:6000"
    assert circuit.state is CircuitState.OPEN  # l is still on it


def test_a_server_that_lied_is_tried_again_later() -> None:
    rig = Rig(server())
    rig.refusing = True
    channel = rig.core.channel("d")
    rig.run()
    assert not channel.connected
    tries = len(rig.datagrams)
    rig.later(0.9)
    assert len(rig.datagrams) == tries
    rig.refusing = False
    rig.later(1.0)
    assert channel.connected


@pytest.mark.parametrize("cut", [1, 15, 16, 20, 39])
def test_a_connection_cut_in_the_middle_of_a_message(cut: int) -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    seen, _ = watch(rig, channel)
    circuit = channel.circuit
    assert circuit is not None
    here, end = rig.links[circuit]
    here.pvs["d"].value = 2.5
    here.post(end, next(iter(end.ledger.subscriptions)))
    circuit.receive(b"".join(end.output())[:cut], rig.now)
    circuit.end_of_file()
    rig.later(1.0)
    # the value that was cut is not lost: it comes with the new connection
    assert [row[0] for row in seen] == [1.5, 2.5]


def test_two_servers_with_the_same_pv_are_reported_once_used() -> None:
    rig = Rig(server(), Server(("10.0.0.2", 5064), {"d": Pv(Dbr.DOUBLE, 2.0)}))
    channel = rig.connect("d")
    assert channel.host == "10.0.0.1:5064"
    assert "10.0.0.2:5064" in rig.notices[0]


def test_silence_closes_the_circuit_and_requests_fail() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    circuit = channel.circuit
    assert circuit is not None
    rig.links.clear()  # the server is frozen
    ask = Ask(channel, 1000.0)
    circuit.read(channel, Dbr.DOUBLE, 0, ask)
    rig.servers.clear()
    rig.later(30.1)
    assert circuit.state is CircuitState.OPEN
    rig.later(5.1)
    assert circuit.state is CircuitState.CLOSED
    assert isinstance(ask.error, CADisconnected)
    assert not channel.connected


def test_deadlines() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    assert channel.circuit is not None
    rig.links.clear()
    asks = [Ask(channel, deadline) for deadline in (3.0, 1.0, math.inf)]
    for ask in asks:
        channel.circuit.read(channel, Dbr.DOUBLE, 0, ask)
    assert rig.core.next_wakeup() is not None
    rig.later(1.5)
    assert [type(ask.error) for ask in asks] == [type(None), CATimeout, type(None)]
    assert asks[1].error is not None and "d on 10.0.0.1:5064" in str(asks[1].error)
    rig.later(2.0)
    assert isinstance(asks[0].error, CATimeout) and asks[2].error is None


@pytest.mark.parametrize("chunk", [None, 1000, 3])
@pytest.mark.parametrize("count", [3, 200])
def test_bulk_reads(count: int, chunk: int | None) -> None:
    pvs = {f"n{n}": Pv(Dbr.DOUBLE, float(n)) for n in range(count)}
    pvs["n1"] = Pv(Dbr.DOUBLE, 0.0, rights=0)
    rig = Rig(Server(HERE, pvs))
    channels = [rig.core.channel(name) for name in pvs]
    rig.run()
    results: list[Any] = []
    circuit = channels[0].circuit
    assert circuit is not None
    circuit.read_bulk(Part(circuit, channels), math.inf, results.append)
    rig.run(chunk)
    values = results[0].values
    with pytest.raises(CARefused, match="n1 was not read"):
        checked(results)
    assert isinstance(values[1], CARefused)
    assert [v for n, v in enumerate(values) if n != 1] == [
        float(n) for n in range(count) if n != 1
    ]
    assert circuit.pending.bulks == []


def test_bulk_reads_time_out_and_disconnect() -> None:
    rig = Rig(server())
    one, two = rig.connect("d"), rig.connect("l")
    circuit = one.circuit
    assert circuit is not None
    rig.links.clear()
    first: list[Any] = []
    second: list[Any] = []
    part = Part(circuit, [one, two])
    circuit.read_bulk(part, 1.0, first.append)
    circuit.read_bulk(part, math.inf, second.append)
    rig.later(2.0)
    assert [type(value) for value in first[0].values] == [CATimeout, CATimeout]
    circuit.end_of_file()
    assert [type(value) for value in second[0].values] == [
        CADisconnected,
        CADisconnected,
    ]
    assert len(first) == len(second) == 1


def same_updates(updates: list[tuple[str, int]]) -> None:
    """The lanes and the slow path must tell the same."""

    def run(fast: bool) -> list[Any]:
        rig = Rig(server())
        seen: dict[str, list[Any]] = {}
        for name in "dlehcfs":
            seen[name], _ = watch(rig, rig.connect(name))
        (circuit, (here, end)) = next(iter(rig.links.items()))
        if not fast:
            circuit.lanes.clear()
        by_name = {row.link.name: key for key, row in end.ledger.subscriptions.items()}
        for name, value in updates:
            here.pvs[name].value = str(value) if name == "s" else value
            here.post(end, by_name[name], value)
        rig.run()
        return [(name, list(rows)) for name, rows in seen.items()]

    assert run(fast=True) == run(fast=False)


@given(
    st.lists(st.tuples(st.sampled_from("dlehcfs"), st.integers(0, 100)), max_size=150)
)
@settings(deadline=None, max_examples=30)
def test_lanes_and_slow_path_agree(updates: list[tuple[str, int]]) -> None:
    same_updates(updates)


@given(
    st.lists(
        st.tuples(st.sampled_from("dle"), st.sampled_from([1, 2, 31, 33, 96, 130])),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=20)
def test_lanes_and_slow_path_agree_on_runs_of_any_length(
    runs: list[tuple[str, int]],
) -> None:
    same_updates([(name, n % 100) for name, length in runs for n in range(length)])


def test_a_long_run_equals_single_updates() -> None:
    rig = Rig(server())
    channel = rig.connect("d")
    seen, _ = watch(rig, channel)
    (_, (here, end)) = next(iter(rig.links.items()))
    (number,) = end.ledger.subscriptions
    for n in range(500):
        here.pvs["d"].value = float(n)
        here.post(end, number, n)
    rig.run()
    assert [row[0] for row in seen[1:]] == [float(n) for n in range(500)]
    assert [row[1] for row in seen[1:]] == [STAMP + (n - 1) * 10**9 for n in range(500)]
    assert all(row[2:] == (2, 3) for row in seen)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_server_may_send_garbage(data: st.DataObject) -> None:
    rig = Rig(server())
    names = ["d", "s", "e", "wave"]
    for name in names:
        watch(rig, rig.connect(name))
    (circuit, (here, end)) = next(iter(rig.links.items()))
    asks = []
    for name in names:
        channel = rig.connect(name)
        for family in (Family.PLAIN, Family.TIME, Family.CTRL):
            asks.append(Ask(channel))
            code = Dbr(channel.native_type + 7 * family)
            if code != Dbr.CTRL_STRING:
                circuit.read(channel, code, 0, asks[-1])
    for piece in circuit.output():
        end.receive(piece, 0.0)
    here.serve(end)
    stream = bytearray(b"".join(end.output()))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    stream += data.draw(st.binary(max_size=64))
    try:
        circuit.receive(bytes(stream), 0.0)
    except RemoteProtocolError:
        assert circuit.state is CircuitState.CLOSED
    circuit.close(CADisconnected("the end"))
    # whatever arrived, nobody is told twice
    assert all(ask.times <= 1 for ask in asks)
    assert not circuit.pending


# ---- search


def test_names_share_datagrams_and_only_so_many_are_under_way() -> None:
    searches = Searches()
    for cid in range(5000):
        searches.add(cid, f"beamline:device{cid}:value")
    sent = list(searches.datagrams(0.0))
    assert all(len(datagram) <= 1024 for datagram in sent)
    assert sum(datagram.count(b"beamline") for datagram in sent) == IN_FLIGHT
    assert list(searches.datagrams(0.0)) == []
    for cid in range(1000):
        assert searches.remove(cid)
    assert sum(d.count(b"beamline") for d in searches.datagrams(0.001)) == 1000
    assert not searches.remove(3)


def test_searches_back_off() -> None:
    searches = Searches(longest_period=60.0)
    searches.add(1, "a")
    times = []
    now = 0.0
    while now < 400:
        if list(searches.datagrams(now)):
            times.append(now)
        due = searches.next_wakeup(now)
        assert due is not None
        now = max(due, now)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:4] == pytest.approx([0.032, 0.064, 0.128, 0.256])
    assert gaps[-1] == pytest.approx(60.0)
    assert max(gaps) == pytest.approx(60.0)


def test_hurry_brings_slow_names_forward() -> None:
    searches = Searches()
    searches.add(1, "a")
    now = 0.0
    for _ in range(15):
        list(searches.datagrams(now))
        now = searches.next_wakeup(now) or 0.0
    assert now > 100
    searches.hurry(50.0, spread=0.5)
    assert searches.next_wakeup(50.0) == 50.25
    list(searches.datagrams(50.25))
    assert searches.next_wakeup(51.0) == pytest.approx(50.25 + 1.024)


def test_search_replies_of_all_kinds() -> None:
    version = Version(1, sequence=4).encode()
    replies = [SearchReply(n, 5064 + n, 0x7F000001).encode() for n in range(3)]
    wanted = [(n, 5064 + n, 0x7F000001) for n in range(3)]
    assert parse_replies(version + b"".join(replies)) == wanted
    assert parse_replies(b"".join(replies)) == wanted
    beacon = Beacon(1, 2).encode()
    assert parse_replies(version + replies[0] + beacon + replies[1]) == wanted[:2]
    old = SearchReply(9, 5064, minor=None).encode()
    assert parse_replies(version + old) == [(9, 5064, 0xFFFFFFFF)]
    assert parse_replies(version + replies[0] + b"rubbish of 17 bytes") == wanted[:1]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_datagrams_may_be_garbage(data: bytes) -> None:
    rig = Rig(server())
    rig.core.channel("d")
    rig.core.receive_datagram(data, "10.0.0.9", 0.0)
    list(parse_datagram(data))


# ---- beacons, repeater, name servers


def test_rhythm_of_beacons() -> None:
    watch_ = BeaconWatch()
    key = (1, 5064)

    def at(number: int, now: float) -> Rhythm:
        return watch_.beacon(key, number, now)

    assert at(0, 0) is Rhythm.FIRST
    assert at(1, 15) is Rhythm.NORMAL
    assert at(2, 30) is Rhythm.NORMAL
    assert at(2, 30.1) is Rhythm.DUPLICATE
    assert at(3, 45) is Rhythm.NORMAL
    assert at(4, 66) is Rhythm.LATE
    assert at(5, 81) is Rhythm.NORMAL
    assert at(6, 81.02) is Rhythm.RESTARTED
    assert at(7, 99) is Rhythm.RESTARTED


def test_a_new_server_makes_the_client_look_again() -> None:
    rig = Rig()
    channel = rig.core.channel("d")
    rig.later(100.0)
    rig.servers.append(server())
    rig.core.receive_datagram(Beacon(5064, 0).encode(), HERE[0], rig.now)
    rig.later(0.1)
    assert channel.connected
    circuit = channel.circuit
    assert circuit is not None
    rig.core.receive_datagram(Beacon(5064, 1).encode(), HERE[0], rig.now + 20)
    assert circuit.last_received == rig.now + 20


def test_servers_that_were_there_before_do_not_make_the_client_look_again() -> None:
    rig = Rig()
    rig.core.channel("d")
    rig.later(20.0)
    sent = len(rig.datagrams)
    for n in range(100):
        beacon = Beacon(5064 + n, 7).encode()
        rig.core.receive_datagram(beacon, "10.0.0.3", rig.now)
    rig.run()
    assert len(rig.datagrams) == sent
    # the second beacon of one that is starting says so
    rig.later(0.02)
    sent = len(rig.datagrams)
    rig.core.receive_datagram(Beacon(5064, 8).encode(), "10.0.0.3", rig.now)
    rig.later(0.001)
    assert len(rig.datagrams) == sent + 1


def test_a_server_that_starts_is_known_by_its_first_period() -> None:
    beacons = BeaconWatch()
    assert beacons.beacon((1, 1), 0, 0.0) is Rhythm.FIRST
    assert beacons.beacon((1, 1), 1, 0.02) is Rhythm.RESTARTED
    assert beacons.beacon((1, 1), 2, 0.04) is Rhythm.NORMAL
    assert beacons.beacon((1, 2), 5, 0.0) is Rhythm.FIRST
    assert beacons.beacon((1, 2), 6, 15.0) is Rhythm.NORMAL


def test_registration_with_the_repeater_until_it_is_confirmed() -> None:
    rig = Rig()
    assert rig.core.registration(0.0) is not None
    assert rig.core.registration(0.5) is None
    assert rig.core.registration(1.0) is not None
    rig.core.receive_datagram(RepeaterConfirm().encode(), "127.0.0.1", 1.1)
    assert rig.core.registration(100.0) is None


def test_name_servers_are_searched_over_tcp_and_tried_again() -> None:
    rig = Rig(server(), name_servers=[("10.0.0.7", 5064)])
    (circuit,) = rig.core.take_openings()
    channel = rig.core.channel("d")
    circuit.output()
    circuit.receive(Version().encode(), 0.0)
    datagrams = rig.core.datagrams(0.0)
    assert b"".join(map(bytes, circuit.output())) == b"".join(datagrams)
    circuit.receive(SearchReply(channel.cid, 5064, 0x0A000001, None).encode(), 0.0)
    rig.run()
    assert channel.host == "10.0.0.1:5064"
    circuit.end_of_file()
    rig.later(29.0)
    assert rig.core.take_openings() == []
    rig.now = 31.0
    rig.core.wake(31.0)
    assert [one.address for one in rig.core.take_openings()] == [("10.0.0.7", 5064)]


def test_closing_the_client_fails_everything() -> None:
    rig = Rig(server(), name_servers=[("10.0.0.7", 5064)])
    channel = rig.connect("d")
    ask = Ask(channel)
    assert channel.circuit is not None
    channel.circuit.read(channel, Dbr.DOUBLE, 0, ask)
    rig.core.channel("nobody has this")
    rig.core.close()
    assert isinstance(ask.error, CADisconnected)
    assert channel.state is ConnectionState.CLOSED
    assert not rig.core.channels and not rig.core.circuits and not rig.core.searches
    assert rig.core.take_openings() == []
