"""What documents announce, how they are handed over, what is drawn of them."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from live_documents import announced, datum, descriptor, key, start, stream

from beamfly.live.announced import pieces
from beamfly.live.choice import choose, expected_rows, map_shape, planned_period
from beamfly.live.mailbox import MOST_EVENTS, Mailbox

PANDA = "panda://127.0.0.1:8888/"


def test_rows_are_those_that_all_fields_have() -> None:
    known = announced(Path("/x.h5"), {"a": 10, "b": 7})
    (flown,) = known.streams.values()
    assert flown.rows == 7
    assert flown.detectors == {"det": ["a", "b"]}
    (found,) = pieces(flown.fields["a"], 3, 8)
    assert found[1:] == (3, 8)


def test_streams_without_files_are_none_of_ours() -> None:
    known = announced(Path("/x.h5"), {"a": 1})
    known.add("descriptor", {"uid": "e", "name": "baseline", "data_keys": {"x": {}}})
    known.add("stream_datum", {**datum("a", 1, 2), "descriptor": "unknown"})
    assert list(known.streams) == ["primary"]
    assert known.streams["primary"].rows == 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), max_size=40), st.sets(st.integers(0, 40)))
def test_announcements_are_joined_however_they_are_fetched(
    sizes: list[int], fetches: set[int]
) -> None:
    mailbox, known = Mailbox(), announced(Path("/x.h5"), {"a": 0})
    last = 0
    posts: list[Any] = []
    for number, size in enumerate(sizes):
        mailbox.put("stream_datum", datum("a", last, last + size), 1.0)
        last += size
        if number in fetches:
            posts.append(mailbox.take(0))
    posts.append(mailbox.take(0))
    for post in posts:
        assert len(post.documents) <= 1
        for name, doc in post.documents:
            known.add(name, doc)
    (flown,) = known.streams.values()
    assert flown.rows == last
    assert flown.fields["a"].segments[0].ranges in ([(0, last)], [(0, 0), (0, last)])


def test_a_slow_reader_makes_nothing_grow() -> None:
    mailbox = Mailbox()
    for number in range(10 * MOST_EVENTS):
        mailbox.put("event", {"seq_num": number}, 0.0)
        mailbox.put("stream_datum", datum("a", number, number + 1), 0.0)
    mailbox.put("stop", {"exit_status": "success"}, 0.0)
    post = mailbox.take(10)
    assert len(post.documents) == MOST_EVENTS + 1
    assert post.dropped == 9 * MOST_EVENTS
    assert post.documents[-1][1]["indices"] == {"start": 0, "stop": 10 * MOST_EVENTS}
    assert post.stop == {"exit_status": "success"}
    assert mailbox.take(0).documents == []


def test_a_panda_is_drawn_against_its_encoders() -> None:
    flown = stream(
        {
            "gate": key(f"{PANDA}PCAP.GATE_DURATION.Value"),
            "photons": key(f"{PANDA}INENC3.VAL.Diff", units="counts"),
            "x": key(f"{PANDA}INENC1.VAL.Mean", units="mm"),
            "y": key(f"{PANDA}INENC2.VAL.Value"),
            "ts": key(f"{PANDA}PCAP.TS_TRIG.Value"),
        }
    )
    choice = choose(flown, start())
    assert choice.values == ("photons",)
    assert choice.positions == ("x", "y")
    assert choice.clock == "ts"
    assert choice.label("photons") == "photons (counts)"
    assert not choice.certain


def test_what_the_plan_names_comes_before_encoders() -> None:
    keys = {
        "x_encoder": key(f"{PANDA}INENC1.VAL.Mean"),
        "x2": key(f"{PANDA}INENC2.VAL.Mean"),
        "counts": key(),
        "motor": {"dtype": "number", "shape": []},
    }
    hints = {"dimensions": [[["motor"], "primary"]]}
    choice = choose(stream(keys), start(hints=hints))
    assert choice.motors == ("motor",)
    assert choice.certain
    choice = choose(stream(keys), start(motors=["x2", "nothing"]))
    assert choice.positions == ("x2", "x_encoder")
    assert choose(stream(keys), start(motors=["x"])).positions[0] == "x_encoder"


def test_values_are_the_hinted_ones_or_those_asked_for() -> None:
    image = key(shape=[1, 240, 320], dtype="array", dtype_numpy="|u1")
    keys = {"image": image, "sum": key(), "max": key(), "text": key(dtype="string")}
    assert choose(stream(keys), start()).values == ("sum", "max")
    # an image is hinted at by default, but is no curve
    assert choose(stream(keys, ["image"]), start()).values == ("sum", "max")
    assert choose(stream(keys, ["image", "max"]), start()).values == ("max",)
    assert choose(stream(keys), start(), y=["sum"]).values == ("sum",)
    assert len(choose(stream({f"k{n}": key() for n in range(40)}), start()).values) == 4


def test_housekeeping_is_drawn_if_there_is_nothing_else() -> None:
    keys = {"bits": key(f"{PANDA}PCAP.BITS0.Value")}
    assert choose(stream(keys), start()).values == ("bits",)


@pytest.mark.parametrize(
    ("more", "shape"),
    [
        ({"shape": [3, 4]}, (3, 4)),
        ({"shape": (3, 4), "num_events": 12}, (3, 4)),
        ({"shape": [3, 4], "num_events": 13}, None),
        ({"shape": [12]}, None),
        ({"shape": [1, 12]}, None),
        ({"shape": None}, None),
        ({}, None),
    ],
)
def test_a_map_is_what_the_plan_calls_one(
    more: dict[str, Any], shape: tuple[int, int] | None
) -> None:
    assert map_shape(start(**more)) == shape


def test_what_else_a_start_document_tells() -> None:
    assert expected_rows(start(num_events=5)) == 5
    assert expected_rows(start(num_points=6)) == 6
    assert expected_rows(start(num_events=None)) is None
    assert planned_period(start(trigger_period=0.01)) == 0.01
    assert planned_period(start()) is None


def test_a_second_descriptor_of_a_stream_takes_the_place_of_the_first() -> None:
    known = announced(Path("/x.h5"), {"a": 5})
    again = descriptor({"a": key(units="mm")}, uid="d2")
    known.add("descriptor", again)
    (flown,) = known.streams.values()
    assert flown.rows == 5
    assert flown.keys["a"]["units"] == "mm"
    assert known.stream_of("d2") is flown
