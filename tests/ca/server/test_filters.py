"""Filters in the names of PVs: parts of arrays, deadbands, every so many-th update."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.ca.server.link import STAMP, Clock, Link, make_core

from beamfly.ca.access import Peer
from beamfly.ca.dbr import Dbr
from beamfly.ca.filters import Filters, Part, parse
from beamfly.ca.message import Access, EventMask
from beamfly.ca.messages import (
    ChannelCreated,
    ClearChannel,
    CreateChannel,
    CreateFailed,
    EventUpdate,
    ReadNotify,
    Search,
    SearchReply,
    ServerDisconnect,
)
from beamfly.ca.payloads import decode
from beamfly.ca.pv import PV

DOUBLE = struct.Struct(">d")


def make_pvs() -> dict[str, Any]:
    return {
        "w": PV([10, 11, 12, 13, 14], type="long", length=20),
        "d": PV(0.0, high=50, units="mm"),
        "l": PV(7),
        "e": PV("a", states=("a", "b", "c")),
        "s": PV("hello"),
        "texts": PV(["a", "b", "c"], length=5),
        "odd.[1:2]": PV(99),
        "XF{Mtr:1.a}": PV(5.0),
    }


def make_link(**options: Any) -> Link:
    return Link(make_core(make_pvs(), **options))


# as a C IOC answers
PARTS = {
    "w.[1:2]": (2, [11, 12]),
    "w.VAL[1:2]": (2, [11, 12]),
    "w.[0:2:4]": (3, [10, 12, 14]),
    "w.[-3:-1]": (3, [12, 13, 14]),
    "w.[3]": (1, [13]),
    "w.[-1]": (1, [14]),
    "w.[:]": (20, [10, 11, 12, 13, 14]),
    "w.[3:]": (17, [13, 14]),
    "w.[:1]": (2, [10, 11]),
    "w.[::2]": (3, [10, 11, 12]),
    "w.[3:2]": (0, []),
    "w.[6:8]": (3, []),
    "w.[15:30]": (5, []),
    "w.[-100:1]": (2, [10, 11]),
    "w.[+1:2]": (2, [11, 12]),
    "w.[2:2:]": (9, [12, 14]),
    "w.[1:0:2]": (2, [11, 12]),
    "w.[1:-1:2]": (2, [11, 12]),
    'w.{"arr":{"s":1,"i":2,"e":4}}': (2, [11, 13]),
    'w.{"arr":{}}': (20, [10, 11, 12, 13, 14]),
    'w.{"arr":{"s":"3"}}': (17, [13, 14]),
    "w.{arr:{s:3}}": (17, [13, 14]),
    "w.{'arr': {'s': 3}}": (17, [13, 14]),
    'w.[1:3]{"arr":{"s":1}}': (2, [12, 13]),
    'w.{"dec":{"n":2}}': (20, [10, 11, 12, 13, 14]),
    "w.{}": (20, [10, 11, 12, 13, 14]),
    "d.[1:2]": (1, [0.0]),
    "w.NELM[0:0]": (1, [20]),
    "texts.[1:2]": (2, [b"b", b"c"]),
    "s.$[1:2]": (2, [101, 108]),
    "odd.[1:2]": (1, [99]),
    "odd.[1:2].VAL": (1, [99]),
    "XF{Mtr:1.a}": (1, [5.0]),
    'XF{Mtr:1.a}.{"dbnd":{"d":1}}': (1, [5.0]),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_arrays(name: str) -> None:
    link = make_link()
    created = link.open(name)
    elements, whole = PARTS[name]
    assert created.count == elements
    status, value = link.read(name, created.type)
    assert (status, [*value.elements()]) == (1, whole)
    wider = link.read(name, created.type, 7)[1].elements()
    filler: Any = b"" if created.type == 0 else 0
    assert [*wider] == [*whole, *[filler] * 7][:7]
    assert SearchReply in {type(each) for each in link.say(Search(name, 5))}


NOT_SERVED = (
    *("w[1:2]", "w.[]", "w.[1:2][0:0]", "w.[1:2]x", "w.[a]", "w.[1.5:2]", "w.[:::]"),
    *("w.[+]", "w.[", "w.{", "w.]", "w.}", "]", "}", "[]", "{}", ".[1]", "no.[1:2]"),
    *('w.{"arr":{"x":1}}', 'w.{"arr":[1]}', 'w.{"arr":1}', 'w.{"arr":{"s":null}}'),
    *('w.{"arr":{"s":[]}}', 'w.{"arr":{"s":1e999}}', 'w.{"arr":{"s":"x"}}'),
    *('d.{"dbnd":{"m":"x","d":1}}', 'd.{"dbnd":{"d":null}}', 'd.{"dbnd":{"m":[]}}'),
    *('d.{"dbnd":{"d":1,"z":3}}', 'd.{"dbnd":{"d":1e400}}', 'd.{"dbnd":{"d":NaN}}'),
    *('d.{"dec":{}}', 'd.{"dec":{"n":0}}', 'd.{"dec":{"n":"3"}}', 'd.{"dec":null}'),
    *('d.{"dec":{"n":2.5}}', 'd.{"dec":{"n":true}}', 'd.{"dec":{"n":2,"m":1}}'),
    *('d.{"nosuch":{}}', 'd.{"dbnd"', 'd.{"dbnd":{"d":1}}x', 'd.{"ts":{"num":1}}'),
    *('d.{"sync":{"m":"while","s":"red"}}', "w.[1:2]{}{}", 'd.NONE{"dec":{"n":1}}'),
    *('d. {"dbnd":{"d":1}}', "d.{" + '"a":{' * 70 + "}" * 71, "d." + "[" * 400 + "]"),
)


@pytest.mark.parametrize("name", NOT_SERVED)
def test_what_is_no_filter_is_not_served(name: str) -> None:
    link = make_link()
    assert link.say(CreateChannel(name, 1)) == [CreateFailed(1)]
    assert not link.core.database.has(name)


@given(st.text(alphabet='w.[]{}"arns:,-1 2\n', max_size=30))
@example("w.\n[1:2]")
def test_any_name_is_either_a_filter_or_none(rest: str) -> None:
    found = parse("w." + rest)
    if found is not None:
        assert found[0].startswith("w.")
        assert rest[-1] in "]}"


def test_names_that_are_too_long_are_not_looked_at() -> None:
    assert parse("w.[1:2]") == ("w.", Filters((Part(1, 1, 2),)))
    assert parse("w.[" + "0" * 510 + "1]") is None
    assert parse('w.{"a":' + '{"a":' * 100_000 + "}") is None


def one_by_one(part: Part, length: int) -> list[int]:
    """The elements of a part, found by walking."""
    start = max(part.start + length if part.start < 0 else part.start, 0)
    end = max(part.end + length if part.end < 0 else part.end, 0)
    step = part.increment if part.increment > 0 else 1
    return [
        at for at in range(length) if start <= at <= end and (at - start) % step == 0
    ]


@given(st.builds(Part, *(st.integers(-12, 12) for _ in range(3))), st.integers(0, 9))
def test_where_a_part_is(part: Part, length: int) -> None:
    wanted = one_by_one(part, length)
    assert [*range(length)][part.of(length)] == wanted
    assert part.length_of(length) == len(wanted)


# as a C IOC posts them: name, mask, first value and values that follow, what arrives
UPDATES: list[tuple[str, int, list[Any], list[Any]]] = [
    (
        'd.{"dbnd":{"d":1}}',
        5,
        [0, 0.5, 1, 1.5, 2, 2.6, 60, 60.5, 0],
        [0, 1.5, 2.6, 60, 0],
    ),
    ('d.{"dbnd":{"abs":1}}', 5, [0.5, 1, 1.6, 2, 2.6, 60], [0.5, 1.6, 60]),
    ('d.{"dbnd":{"d":0}}', 5, [0, 0.5, 0.5, 1.5], [0, 0.5, 1.5]),
    ('d.{"dbnd":{}}', 5, [0, 0.5, 0.5, 1.5], [0, 0.5, 1.5]),
    (
        *('d.{"dbnd":{"d":10,"m":"rel"}}', 5),
        [0, 10, 10.5, 11.1, 12, 12.3, 20, 18.5, 17],
        [0, 10, 11.1, 12.3, 20, 17],
    ),
    ('d.{"dbnd":{"d":5,"rel":10}}', 5, [10, 10.5, 11.1, 12], [10, 11.1]),
    ('d.{"dbnd":{"rel":10,"m":"abs"}}', 5, [10, 11, 19.9, 20.1], [10, 20.1]),
    ('d.{"dbnd":{"rel":10}}', 5, [-10, -10.5, -11.1], [-10, -11.1]),
    # alarms pass, if they are asked for
    ('d.{"dbnd":{"d":1}}', 4, [49.9, 50.1, 50.3, 49.9, 60], [49.9, 50.1, 49.9, 60]),
    ('d.{"dbnd":{"d":1}}', 5, [49.9, 50.1, 50.3, 49.9, 60], [49.9, 50.1, 49.9, 60]),
    ('d.{"dbnd":{"d":1}}', 1, [49.9, 50.1, 50.3, 49.9, 60], [49.9, 60]),
    ('d.{"dec":{"n":3}}', 5, [0, 1, 2, 3, 4, 5, 6, 7], [0, 3, 6]),
    ('d.{"dec":{"n":1}}', 5, [0, 1, 2], [0, 1, 2]),
    ('d.{"dec":{"n":2},"dbnd":{"d":1.5}}', 5, [0, 1, 2, 3, 4, 5, 6, 7], [0, 2, 4, 6]),
    ('d.{"dbnd":{"d":1.5},"dec":{"n":2}}', 5, [0, 1, 2, 3, 4, 5, 6, 7], [0, 4]),
    ('s.{"dbnd":{"d":1}}', 5, ["1", "1.5", "x", "x"], [b"1", b"1.5", b"x"]),
    ('e.{"dbnd":{"d":1}}', 5, [0, 1, 2, 0], [0, 1, 2, 0]),
    ('l.{"dbnd":{"d":1}}', 5, [0, 1, 2, 3, 0], [0, 2, 0]),
    ('w.{"dbnd":{"d":9}}', 5, [[1], [1, 2], [1, 2]], [1, (1, 2), (1, 2)]),
    ("w.[1:3]", 5, [[0, 1], [0, 1, 2, 3, 4], [9, 8, 7]], [1, (1, 2, 3), (8, 7)]),
    ("w.[4]", 5, [[1, 2], [0, 1, 2, 3, 4]], [(), 4]),
    ('w.[1:2]{"dec":{"n":2}}', 5, [[0, 1], [1, 2], [3, 4], [5, 6]], [1, 4]),
]


def told(messages: list[Any]) -> list[Any]:
    """Values of the updates among messages."""
    found: list[Any] = []
    for message in messages:
        if isinstance(message, EventUpdate):
            value = decode(message.type, message.count, message.payload).elements()
            found.append(value[0] if len(value) == 1 else value)
    return found


@pytest.mark.parametrize(("name", "mask", "values", "wanted"), UPDATES)
def test_updates(name: str, mask: int, values: list[Any], wanted: list[Any]) -> None:
    link = make_link()
    pv = link.core.database[name.partition(".")[0]]
    pv.post(values[0])
    code = link.open(name).type + Dbr.TIME_STRING
    found = told(link.subscribe(name, code, mask=mask)[1])
    for value in values[1:]:
        pv.post(value)
        found += told(link.pump())
    assert found == wanted
    # what is read is always the last one
    whole = pv.value
    assert link.get(f"{name.partition('.')[0]}.VAL", Dbr.STRING) is not None
    if not isinstance(whole, np.ndarray):
        assert link.get(name, pv.type) in (whole, str(whole).encode())


def test_properties_pass_a_deadband() -> None:
    link = make_link()
    name = 'd.{"dbnd":{"d":5}}'
    mask = EventMask.VALUE | EventMask.PROPERTY
    link.subscribe(name, Dbr.CTRL_DOUBLE, mask=mask)
    pv = link.core.database["d"]
    pv.post(1.0)
    assert not told(link.pump())
    pv.configure(units="m")
    assert told(link.pump()) == [1.0]


def test_numbers_that_are_none_leave_a_deadband() -> None:
    link = make_link()
    name, nan, inf = 'd.{"dbnd":{"d":1}}', float("nan"), float("inf")
    pv = link.core.database["d"]
    pv.post(nan)
    found = told(link.subscribe(name, Dbr.DOUBLE, mask=EventMask.VALUE)[1])
    for value in (0.0, 0.5, nan, nan, inf, -inf, 1.0):
        pv.post(value)
        found += told(link.pump())
    assert str(found) == str([nan, 0.0, nan, inf, -inf, 1.0])


def test_each_subscription_has_a_deadband_of_its_own() -> None:
    link = make_link()
    name = 'd.{"dec":{"n":2}}'
    link.subscribe(name, Dbr.DOUBLE)
    link.subscribe(name, Dbr.DOUBLE)
    pv = link.core.database["d"]
    found = []
    for value in (1.0, 2.0):
        pv.post(value)
        found += told(link.pump())
    assert found == [2.0, 2.0]


def test_time_of_telling() -> None:
    clock = Clock()
    link = make_link()
    link.core.database["d"].clock = clock
    clock.time_ns += 5_000_000_000
    name = 'd.{"ts":{}}'
    assert link.read("d", Dbr.TIME_DOUBLE)[1].time_ns == STAMP
    assert link.read(name, Dbr.TIME_DOUBLE)[1].time_ns == clock.time_ns
    clock.time_ns += 5_000_000_000
    assert link.read(name, Dbr.TIME_DOUBLE)[1].time_ns == clock.time_ns
    number, messages = link.subscribe(name, Dbr.TIME_DOUBLE)
    assert number
    (first,) = [each for each in messages if isinstance(each, EventUpdate)]
    assert decode(first.type, first.count, first.payload).time_ns == clock.time_ns


def test_puts_go_to_the_whole_pv() -> None:
    link = make_link()
    for name in ("w.[2:4]", "w.[3]", 'w.{"dec":{"n":2}}'):
        link.put(name, Dbr.LONG, struct.pack(">2i", 1, 2), 2)
        assert link.core.database["w"].value.tolist() == [1, 2]
        link.core.database["w"].post([10, 11, 12, 13])
    link.put('d.{"dbnd":{"d":9}}', Dbr.DOUBLE, DOUBLE.pack(4.5))
    link.put('d.{"dbnd":{"d":9}}', Dbr.DOUBLE, DOUBLE.pack(5.5))
    assert link.core.database["d"].value == 5.5


def test_rights_are_those_of_the_record() -> None:
    asked: list[str] = []

    def access(peer: Peer, record: str) -> Access:
        asked.append(record)
        return Access.NONE if "closed" in asked else Access.READ

    link = make_link(access=access)
    for name in ("w.[1:2]", 'd.{"dbnd":{"d":1.5}}', "odd.[1:2].VAL", "odd.[1:2]"):
        link.open(name)
    assert asked == ["w", "d", "odd.[1:2]", "odd.[1:2]"]
    pv = link.core.database["d"]
    link.subscribe('d.{"dbnd":{"d":1.5}}', Dbr.DOUBLE)
    asked.append("closed")
    link.core.update_access()
    assert told(link.pump()) == [0.0]
    asked.clear()
    pv.post(0.1)
    link.core.update_access()
    # readable again, which is told however little has changed
    assert told(link.pump())[-1] == 0.1


def test_nothing_is_left_of_a_channel() -> None:
    link = make_link()
    pv = link.core.database["w"]
    created = link.open("w.[1:2]")
    link.subscribe("w.[1:2]", Dbr.TIME_LONG)
    assert len(pv.listeners) == 1
    link.say(ClearChannel(created.sid, created.cid))
    assert not pv.listeners
    assert not pv.dependants
    assert not pv.fields
    other: ChannelCreated = link.open("w.[0:1]")
    link.subscribe("w.[0:1]", Dbr.TIME_LONG)
    link.core.remove("w")
    assert ServerDisconnect(other.cid) in link.pump()
    assert not pv.listeners


def test_reading_in_runs_sees_what_changes() -> None:
    link = make_link()
    pv = link.core.database["w"]
    sid = link.sid("w.[1:2]")
    for value in ([1, 2, 3], [4, 5, 6]):
        pv.post(value)
        replies: list[Any] = link.say(
            *(ReadNotify(Dbr.LONG, 0, sid, link.number()) for _ in range(5))
        )
        for each in replies:
            elements = decode(each.type, each.count, each.payload).elements()
            assert [*elements] == value[1:]
