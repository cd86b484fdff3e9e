"""Many channels at once give what the same channels give one by one."""

import math
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.bulk import checked
from beamfly.ca.channel import Channel
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.columns import Columns
from beamfly.ca.dbr import Dbr
from beamfly.ca.group import Group, Groups, Part
from beamfly.ca.messages import (
    ReadNotify,
    ReadNotifyReply,
    Write,
    WriteNotify,
    WriteNotifyReply,
)
from beamfly.ca.native_messages import native
from beamfly.errors import BadValue, CADisconnected, CARefused, CATimeout

from .rig import Ask, Pv, Rig, Server

HERE = ("10.0.0.1", 5064)
THERE = ("10.0.0.2", 5064)
CHUNKS = st.sampled_from([None, 7, 40, 1000])
WAYS = st.sampled_from(["slow", "rows", "columns"])


def circuit_of(channel: Channel) -> ClientCircuit:
    assert channel.circuit is not None
    return channel.circuit


def plain(value: Any) -> Any:
    """Arrays can be compared, and told from scalars, errors by what they say."""
    if isinstance(value, Exception):
        return type(value), str(value)
    return [value.tolist(), value.dtype] if hasattr(value, "tolist") else value


@st.composite
def pvs(draw: st.DrawFn) -> dict[str, Pv]:
    """PVs of all types in long runs and in turn, arrays and refusals among them."""
    found: dict[str, Pv] = {}
    for _ in range(draw(st.integers(1, 6))):
        base = draw(st.sampled_from([*Dbr][:7]))
        length = draw(st.sampled_from([1, 1, 1, 2, 97, 130]))
        for n in range(length):
            value = str(n) if base is Dbr.STRING else n % 100
            found[f"{len(found)}"] = Pv(base, value)
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*found]))
        kind = found[name].type
        size = draw(st.integers(1, 3))
        item = "a" if kind is Dbr.STRING else 5
        found[name] = draw(
            st.sampled_from(
                [Pv(kind, [item] * size, 10), Pv(kind, item, rights=0), Pv(kind, item)]
            )
        )
    return found


def read_alone(rig: Rig, channels: list[Channel]) -> list[Any]:
    asks = [Ask(channel) for channel in channels]
    for ask in asks:
        circuit = circuit_of(ask.channel)
        circuit.read(ask.channel, ask.channel.native_type, 0, ask)
    rig.run()
    return [plain(ask.error or ask.answer[0]) for ask in asks]


@settings(deadline=None, max_examples=40)
@given(pvs(), CHUNKS, WAYS, st.sampled_from([12, 13]), st.data())
def test_reads(
    served: dict[str, Pv],
    chunk: int | None,
    way: str,
    minor: int,
    data: st.DataObject,
) -> None:
    rig = Rig(Server(HERE, served))
    channels = [rig.core.channel(name) for name in served]
    rig.run()
    again = data.draw(st.lists(st.sampled_from(channels), max_size=3))
    channels += again
    circuit = circuit_of(channels[0])
    circuit.minor = minor
    alone = read_alone(rig, channels)
    part = Part(circuit, channels)
    for _ in range(2):
        # the second time it is known what to ask
        told: list[Any] = []
        bulk = circuit.read_bulk(part, math.inf, told.append)
        if way == "slow":
            circuit.lanes.clear()
        with patch.object(Columns, "ready", lambda *_, numpy=way == "columns": numpy):
            rig.run(chunk)
        assert told == [bulk]
        assert [plain(value) for value in bulk.values] == alone
        assert circuit.pending.bulks == []
    asked = [message for message in rig.servers[0].seen if type(message) is ReadNotify]
    counts = {message.count for message in asked}
    assert counts == ({0} if minor == 13 else {one.count for one in served.values()})


VALUES = st.one_of(
    st.integers(-(1 << 33), 1 << 33),
    st.floats(allow_nan=False),
    st.sampled_from([True, "text", b"bytes", [1, 2], 1e39, math.inf]),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from([*Dbr][:7]), VALUES), max_size=8))
def test_writes_are_the_same_bytes_or_none(rows: list[tuple[Dbr, Any]]) -> None:
    rig = Rig(Server(HERE, {f"{n}": Pv(base, 0) for n, (base, _) in enumerate(rows)}))
    channels = [rig.core.channel(f"{n}") for n in range(len(rows))]
    rig.core.channel("x")
    rig.run()
    values = [value for _, value in rows]
    for part, share in _shares(channels, values):
        circuit = part.circuit
        try:
            packed = [native(*each) for each in zip(part.links, share, strict=True)]
        except BadValue as error:
            with pytest.raises(BadValue) as caught:
                circuit.write_many(part, share)
            assert str(caught.value) == str(error)
            assert circuit.output() == []
            with pytest.raises(BadValue):
                circuit.write_bulk(part, share, math.inf)
            assert circuit.output() == [] and not circuit.pending.bulks
            continue
        for channel, one in zip(part.channels, packed, strict=True):
            circuit.write(channel, *one)
        alone = b"".join(circuit.output())
        circuit.write_many(part, share)
        assert b"".join(circuit.output()) == alone


def _shares(channels: list[Channel], values: list[Any]) -> list[tuple[Part, Any]]:
    group = Group(channels)
    return list(zip(group.parts, group.shares(values), strict=True))


@settings(deadline=None, max_examples=40)
@given(pvs(), CHUNKS, st.booleans(), st.data())
def test_writes_with_completion(
    served: dict[str, Pv], chunk: int | None, fast: bool, data: st.DataObject
) -> None:
    for pv in served.values():
        pv.rights = data.draw(st.sampled_from([3, 3, 3, 1]))
    values = [
        one.value if one.count > 1 else ("7" if one.type is Dbr.STRING else 7)
        for one in served.values()
    ]

    def outcome(together: bool) -> tuple[list[Any], list[Any], list[Any]]:
        mine = {
            name: Pv(pv.type, 0, pv.count, pv.rights) for name, pv in served.items()
        }
        rig = Rig(Server(HERE, mine))
        channels = [rig.core.channel(name) for name in mine]
        rig.run()
        circuit = circuit_of(channels[0])
        if together:
            part = Part(circuit, channels)
            bulk = circuit.write_bulk(part, values, math.inf)
            if not fast:
                circuit.lanes.clear()
            rig.run(chunk)
            errors = bulk.values
            assert bulk.failed == any(errors)
        else:
            asks = [Ask(channel) for channel in channels]
            for ask, value in zip(asks, values, strict=True):
                assert ask.channel.link is not None
                packed = native(ask.channel.link, value)
                circuit.write_notify(ask.channel, *packed, ask)
            rig.run()
            errors = [ask.error for ask in asks]
        assert not circuit.pending and not circuit.pending.bulks
        assert not any(channel.busy for channel in channels)
        seen = [
            (message.sid, message.type, message.count, message.payload)
            for message in rig.servers[0].seen
            if type(message) is WriteNotify
        ]
        return (
            [plain(error) for error in errors],
            seen,
            [pv.value for pv in mine.values()],
        )

    assert outcome(together=True) == outcome(together=False)


def puts(rig: Rig) -> list[WriteNotify]:
    return [one for one in rig.servers[0].seen if type(one) is WriteNotify]


def answer(rig: Rig, *messages: WriteNotify) -> None:
    (_, end) = next(iter(rig.links.values()))
    for message in messages:
        end.send(WriteNotifyReply(message.type, message.count, 1, message.ioid))
    rig.run()


def three() -> tuple[Rig, list[Channel], ClientCircuit]:
    """Three numbers on a server that does not answer puts."""
    rig = Rig(Server(HERE, {name: Pv(Dbr.DOUBLE, 0.0) for name in "abc"}))
    rig.servers[0].answers_puts = False
    channels = [rig.connect(name) for name in "abc"]
    return rig, channels, circuit_of(channels[0])


def test_a_channel_is_sent_its_next_put_when_the_one_before_is_over() -> None:
    rig, (a, b, c), circuit = three()
    first = circuit.write_bulk(Part(circuit, [a, b]), [1, 2], math.inf)
    second = circuit.write_bulk(Part(circuit, [b, c, b]), [3, 4, 5], math.inf)
    third = Ask(b)
    circuit.write_notify(b, Dbr.DOUBLE, 1, bytes(8), third)
    rig.run()
    assert len(puts(rig)) == 3
    assert [rig.servers[0].pvs[name].value for name in "abc"] == [1, 2, 4]
    answer(rig, *puts(rig)[:2])
    assert first.told and checked([first]) == [None, None]
    assert rig.servers[0].pvs["b"].value == 3 and not second.told
    answer(rig, *puts(rig)[2:])
    assert rig.servers[0].pvs["b"].value == 5 and not second.told
    answer(rig, puts(rig)[-1])
    assert second.told and checked([second]) == [None, None, None]
    assert third.answer is None
    answer(rig, puts(rig)[-1])
    assert third.answer == () and not b.busy
    # an answer that comes twice frees nobody
    fourth = circuit.write_bulk(Part(circuit, [a, b, c]), [1, 1, 1], math.inf)
    rig.run()
    answer(rig, *puts(rig)[:3], puts(rig)[-3], puts(rig)[-3])
    assert [one.busy for one in (a, b, c)] == [False, True, True] and not fourth.told


def test_puts_that_are_late_keep_their_channels_busy() -> None:
    rig, channels, circuit = three()
    (a, b, _) = channels
    part = Part(circuit, channels)
    told: list[Any] = []
    late = circuit.write_bulk(part, [1, 2, 3], 1.0, told.append)
    waiting = circuit.write_bulk(Part(circuit, [a]), [4], 2.0)
    patient = circuit.write_bulk(Part(circuit, [b]), [5], math.inf)
    rig.run()
    answer(rig, puts(rig)[2])
    rig.later(3.0)
    assert told == [late] and not late.done
    with pytest.raises(CATimeout, match="a on 10"):
        checked([late])
    assert [type(value) for value in late.values] == [CATimeout, CATimeout, type(None)]
    assert [one.busy for one in channels] == [True, True, False]
    assert waiting.told and not patient.told and len(puts(rig)) == 3
    answer(rig, *puts(rig)[:2])
    # what nobody waits for any more is not written
    assert [message.sid for message in puts(rig)[3:]] == [b.link.sid if b.link else 0]
    answer(rig, puts(rig)[-1])
    assert checked([patient]) == [None] and told == [late]
    assert not circuit.pending and not circuit.pending.bulks
    assert not any(one.busy for one in channels)


def test_who_gives_up_is_not_told() -> None:
    rig, channels, circuit = three()
    told: list[Any] = []
    part = Part(circuit, channels)
    circuit.write_bulk(part, [1, 2, 3], 5.0, told.append).give_up()
    circuit.write_bulk(part, [4, 5, 6], 5.0, told.append).give_up()
    reads = circuit.read_bulk(part, 5.0, told.append)
    reads.give_up()
    rig.run()
    answer(rig, *puts(rig))
    assert len(puts(rig)) == 3 and told == [] and reads.done
    assert not circuit.pending and not circuit.pending.bulks
    assert not any(one.busy for one in channels)


def test_what_goes_away_fails_alone() -> None:
    rig, channels, circuit = three()
    rig.links.clear()
    part = Part(circuit, channels)
    reads, writes = (
        circuit.read_bulk(part, math.inf),
        circuit.write_bulk(part, [1, 2, 3], math.inf),
    )
    rig.core.close_channel(channels[1])
    assert [plain(value) for value in reads.values] == [
        None,
        (CADisconnected, "b was closed"),
        None,
    ]
    assert [bool(value) for value in writes.values] == [False, True, False]
    circuit.end_of_file()
    for bulk in (reads, writes):
        assert bulk.told
        assert [type(value) for value in bulk.values] == 3 * [CADisconnected]
    assert not any(one.busy for one in channels)


def test_a_group_holds_until_a_channel_is_lost() -> None:
    rig = Rig(
        Server(HERE, {"a": Pv(Dbr.DOUBLE, 1.5), "b": Pv(Dbr.LONG, 2)}),
        Server(THERE, {"c": Pv(Dbr.STRING, "three")}),
    )

    class Shell:
        def __init__(self, name: str) -> None:
            self.core = rig.connect(name)

    channels = [Shell(name) for name in "cab"]
    groups = Groups()
    assert groups.known(channels) is None
    group = groups.new(channels)
    assert groups.known([*channels]) is group
    assert groups.known(channels[:2]) is None
    others = [groups.new(channels[:number]) for number in (1, 2)]
    assert groups.known(channels) is group
    assert [groups.known(channels[:number]) for number in (1, 2)] == others
    for one in channels:
        groups.new([one, one])
    assert groups.known(channels) is None
    groups.new(channels)
    assert [[*part.places] for part in group.parts] == [[0], [1, 2]]
    assert group.shares("xyz") == [["x"], ["y", "z"]]

    def read(group: Group) -> list[Any]:
        bulks = [part.circuit.read_bulk(part, math.inf) for part in group.parts]
        rig.run()
        return checked(bulks)

    assert read(group) == ["three", 1.5, 2]
    rig.servers[0].pvs["b"] = Pv(Dbr.DOUBLE, 2.5)
    circuit_of(channels[1].core).end_of_file()
    assert groups.known(channels) is None
    with pytest.raises(CADisconnected, match="a is not connected"):
        groups.new(channels)
    rig.later(1.0)
    assert read(groups.new(channels)) == ["three", 1.5, 2.5]
    rig.servers[0].pvs["a"].rights = 0
    with pytest.raises(CARefused, match="a was not read"):
        read(groups.new(channels))


def test_answers_that_nobody_asked_for() -> None:
    rig, channels, circuit = three()
    bulk = circuit.read_bulk(Part(circuit, channels), math.inf)
    (_, end) = next(iter(rig.links.values()))
    for ioid in (bulk.low, bulk.low, bulk.high, bulk.low - 1):
        end.send(ReadNotifyReply(Dbr.DOUBLE, 1, 1, ioid, bytes(8)))
    for piece in end.output():
        circuit.receive(piece, 0.0)
    assert bulk.values == [0.0, None, None] and not bulk.told
    rig.run()
    assert bulk.told and not [one for one in rig.servers[0].seen if type(one) is Write]
