"""Searches, beacons, and who is told that there is work."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ca.server.link import Link, make_core

from beamfly.ca.datagrams import Search, Version
from beamfly.ca.message import MINOR_VERSION
from beamfly.ca.messages import CreateChannel
from beamfly.ca.pv import PV
from beamfly.ca.search import parse_datagram

REPLY = bytes.fromhex(
    # VERSION: sequence 42 is valid; SEARCH: port 5064, address of the datagram, cid 5
    "00000000 0001000d 0000002a 00000000"
    "00060008 13c80000 ffffffff 00000005 000d000000000000"
)


def question(*names: str, sequence: int = 42) -> bytes:
    parts = [Version(priority=1, sequence=sequence).encode()]
    parts += [Search(name, 5 + index).encode() for index, name in enumerate(names)]
    return b"".join(parts)


def test_bytes_of_an_answer() -> None:
    core = make_core({"a": 1})
    assert core.receive_datagram(question("a")) == [REPLY]
    assert core.receive_datagram(question("a.EGU")) == [REPLY]


def test_silence_for_what_is_not_ours() -> None:
    core = make_core({"a": 1})
    assert core.receive_datagram(question("b", "a.NOPE", "")) == []
    assert core.receive_datagram(b"") == []


def test_many_names_come_in_bounded_datagrams() -> None:
    names = [f"pv:{index}" for index in range(2000)]
    core = make_core(dict.fromkeys(names, 1))
    replies = core.receive_datagram(question(*names))
    assert len(replies) == 48
    assert max(map(len, replies)) <= 1024
    found = [
        message.cid
        for reply in replies
        for message in parse_datagram(reply)
        if not isinstance(message, Version)
    ]  # pyright: ignore
    assert found == list(range(5, 2005))


def test_sequence_that_is_not_valid_is_not_repeated() -> None:
    core = make_core({"a": 1})
    (reply,) = core.receive_datagram(Version().encode() + Search("a", 1).encode())
    assert struct.unpack_from(">HHHHI", reply) == (0, 0, 0, MINOR_VERSION, 0)


def test_what_stands_before_garbage_is_answered() -> None:
    core = make_core({"a": 1})
    assert core.receive_datagram(question("a") + b"\0\6\0\3" + bytes(12)) == [REPLY]
    assert core.receive_datagram(question("a") + b"\0\6\xff\xf8" + bytes(12)) == [REPLY]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_survived(data: bytes) -> None:
    for reply in make_core({"a": 1}).receive_datagram(data):
        assert len(reply) <= 1024


def test_beacons_slow_down() -> None:
    core = make_core({})
    now, gaps, numbers = 0.0, [], []
    for _ in range(14):
        beacon = core.beacons(now)
        assert beacon is not None
        assert core.beacons(now) is None
        numbers.append(struct.unpack_from(">I", beacon, 8)[0])
        gaps.append(round(core.next_wakeup() - now, 6))
        now = core.next_wakeup()
    assert numbers == list(range(14))
    assert gaps[:4] == [0.02, 0.04, 0.08, 0.16]
    assert gaps[-3:] == [15.0, 15.0, 15.0]
    core.restart_beacons(now)
    assert core.beacons(now) is not None
    assert round(core.next_wakeup() - now, 6) == 0.02


def test_bytes_of_a_beacon() -> None:
    beacon = make_core({}).beacons(0.0)
    assert beacon == bytes.fromhex("000d0000 000d13c8 00000000 00000000")


def test_shell_is_called_once_until_it_takes_the_work() -> None:
    core = make_core({"a": PV(1.0), "b": PV(2.0)})
    link = Link(core)
    link.subscribe("a", 6)
    link.subscribe("b", 6)
    core.take_wanting()
    calls: list[int] = []
    core.on_work = lambda: calls.append(1)
    core.database["a"].post(5.0)
    core.database["b"].post(5.0)
    assert len(calls) == 1
    assert core.take_wanting() == [link.far]
    core.database["a"].post(6.0)
    assert len(calls) == 2


def test_thousand_channels_on_one_circuit() -> None:
    core = make_core({f"pv:{index}": float(index) for index in range(1000)})
    link = Link(core)
    replies = link.say(*(CreateChannel(f"pv:{index}", index) for index in range(1000)))
    assert len(replies) == 2000
    assert len(link.near.ledger.by_sid) == 1000


def test_core_close_closes_circuits() -> None:
    core = make_core({"a": 1})
    links = [Link(core), Link(core)]
    core.close(ConnectionError("stopped"))
    assert not core.circuits
    assert all(link.far.lost is not None for link in links)
