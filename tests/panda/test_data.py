"""DataConnection: every format, any chunking, every way to end."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from data_streams import (
    NAMES,
    OPTIONS,
    Stream,
    frame,
    frames,
    options,
    others,
    recording,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import (
    BeamflyError,
    CommandError,
    LocalProtocolError,
    PandaDisconnected,
    RemoteProtocolError,
)
from beamfly.panda.data import DataConnection, Flush
from beamfly.panda.data_options import DataFormat, DataOptions
from beamfly.panda.responses import (
    Data,
    EndData,
    EndReason,
    FieldCapture,
    FrameData,
    ReadyData,
    StartData,
)

I4, I8, U4 = np.dtype("<i4"), np.dtype("<i8"), np.dtype("<u4")
FIELDS = [
    FieldCapture("PCAP.BITS0", U4, "Value"),
    FieldCapture("COUNTER1.OUT", I4, "Value", 0.5, 10.0, "mm"),
    FieldCapture("PCAP.TS_TRIG", I8, "Value", 8e-9, 0.0, "s"),
]
STREAM = Stream(FIELDS)
VALUES = {  # of the five triggers that all recordings in data_port/ hold
    "PCAP.BITS0.Value": [0] * 5,
    "COUNTER1.OUT.Value": [1, 2, 3, 4, 5],
    "COUNTER2.OUT.Min": [11.5, 13, 14.5, 16, 17.5],
    "COUNTER2.OUT.Max": [11.5, 13, 14.5, 16, 17.5],
    "COUNTER3.OUT.Diff": [0] * 5,
    "PCAP.TS_TRIG.Value": [0.0005, 0.0015, 0.0025, 0.0035, 0.0045],
    "COUNTER3.OUT.Sum": [62500, 125000, 187500, 250000, 312500],
    "COUNTER2.OUT.Mean": [11.5, 13, 14.5, 16, 17.5],
}
RAW_VALUES = {
    "PCAP.GATE_DURATION.Value": [62500] * 5,
    "COUNTER2.OUT.Min": [3, 6, 9, 12, 15],
    "PCAP.TS_TRIG.Value": [62500, 187500, 312500, 437500, 562500],
    "COUNTER2.OUT.Mean": [187500, 375000, 562500, 750000, 937500],
}


def counting(count: int) -> np.ndarray:
    samples = np.zeros(count, STREAM.dtype)
    samples["PCAP.BITS0.Value"] = np.arange(count)
    samples["COUNTER1.OUT.Value"] = -np.arange(count)
    samples["PCAP.TS_TRIG.Value"] = np.arange(count, dtype="<i8") << 32
    return samples


def play(
    stream: bytes, opts: DataOptions, sizes: list[int], slab: int = 1 << 20
) -> tuple[list[Data], BeamflyError | None]:
    """What comes out when a stream is received in pieces of these sizes in turn."""
    connection = DataConnection(slab)
    connection.connect(options=opts)
    out: list[Data] = []
    position = turn = 0
    try:
        while position < len(stream):
            buffer = connection.get_buffer()
            piece = stream[position : position + min(sizes[turn], len(buffer))]
            buffer[: len(piece)] = piece
            position += len(piece)
            turn = (turn + 1) % len(sizes)
            for item in connection.received(len(piece)):
                out.append(item)
        out.extend(connection.receive_eof())
    except BeamflyError as exc:
        return out, exc
    return out, None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 57, 64, 1000, 4096, 1 << 20])
def test_recordings_are_the_same_at_every_chunk_size(name: str, size: int) -> None:
    stream, opts = recording(name), options(name)
    if len(stream) > 100_000 and size < 57:
        stream = stream[:20_000]
    whole, _ = play(stream, opts, [len(stream)])
    pieces, _ = play(stream, opts, [size], slab=4096)
    assert frames(pieces).tobytes() == frames(whole).tobytes()
    assert others(pieces) == others(whole)
    assert len(frames(pieces)) >= 5


@pytest.mark.parametrize(
    "name",
    ["xml_framed_scaled", "framed_text", "default", "default_kw", "xml_ascii",
     "unframed_scaled", "no_status"],
)  # fmt: skip
def test_scaled_recordings_hold_the_known_values(name: str) -> None:
    data, _ = play(recording(name), options(name), [1 << 20])
    samples = frames(data)
    assert list(samples.dtype.names) == list(VALUES)
    for column, values in VALUES.items():
        np.testing.assert_allclose(samples[column], values, rtol=1e-15)
    start = next(item for item in data if isinstance(item, StartData))
    units = {f.column_name: f.units for f in start.fields}
    assert units["COUNTER2.OUT.Min"] == 'mm "x" <&>'
    assert units["PCAP.BITS0.Value"] is None
    assert units["COUNTER1.OUT.Value"] == ""
    assert start.process == "Scaled"
    assert start.missed == 0
    assert start.arm_time
    assert start.arm_time.startswith("2026-11-20T06:28:")
    assert start.hw_time_offset_ns is None


@pytest.mark.parametrize(
    "name", ["xml_framed_raw", "xml_framed_raw_oneshot", "ascii_raw", "two_a"]
)
def test_raw_recordings_hold_the_known_counts(name: str) -> None:
    data, _ = play(recording(name), options(name), [1 << 20])
    samples = frames(data)
    for column, values in RAW_VALUES.items():
        assert samples[column].tolist() == values
    assert isinstance(data[0], ReadyData)
    assert data[-1] == EndData(5, EndReason.OK)


def test_raw_dump_of_a_real_panda() -> None:
    data, error = play(recording("raw_dump"), DataOptions(), [4096])
    samples = frames(data)
    assert len(samples) == 10_000
    assert data[-1] == EndData(10_000, EndReason.DISARMED)
    np.testing.assert_array_equal(samples["COUNTER1.OUT.Min"], np.arange(1, 10_001))
    np.testing.assert_array_equal(
        samples["COUNTER3.OUT.Value"], 3 * np.arange(1, 10_001)
    )
    np.testing.assert_array_equal(samples["PCAP.GATE_DURATION.Value"], 125)
    # servers before 4 sent no times
    start = data[1]
    assert isinstance(start, StartData)
    assert (start.arm_time, start.start_time) == (None, None)
    assert isinstance(error, PandaDisconnected)


def test_slow_dump_of_a_real_panda() -> None:
    connection = DataConnection()
    connection.connect(scaled=True)
    data = list(connection.receive_bytes(recording("slow_dump")))
    # one sample in each frame, and one FrameData for each frame
    assert [len(item.data) for item in data if isinstance(item, FrameData)] == [1] * 5
    samples = frames(data)
    assert samples["PCAP.BITS2.Value"].tolist() == [0, 8, 0, 8, 0]
    assert samples["COUNTER3.OUT.Value"].tolist() == [3, 6, 9, 12, 15]
    assert data[-1] == EndData(5, EndReason.DISARMED)


def test_bare_words_with_and_without_fields() -> None:
    words, error = play(recording("bare"), DataOptions.bare(), [7])
    assert error is None
    assert frames(words)["WORD"][:3].tolist() == [62500, 0, 1]
    start = next(
        item
        for item in play(recording("xml_framed_raw"), DataOptions(), [64])[0]
        if isinstance(item, StartData)
    )
    data, error = play(recording("bare"), DataOptions.bare(start.fields), [7])
    assert error is None
    assert frames(data)["COUNTER2.OUT.Min"].tolist() == RAW_VALUES["COUNTER2.OUT.Min"]
    made = data[0]
    assert isinstance(made, StartData)
    assert (made.format, made.process, made.sample_bytes) == ("Unframed", "Raw", 48)


def test_one_shot_may_end_with_the_connection() -> None:
    _, error = play(
        recording("xml_framed_raw_oneshot"), DataOptions(one_shot=True), [9]
    )
    assert error is None
    _, error = play(recording("xml_framed_raw"), DataOptions(), [9])
    assert isinstance(error, PandaDisconnected)


def test_option_lines() -> None:
    connection = DataConnection()
    assert connection.connect(False) == b"XML FRAMED RAW\n"
    with pytest.raises(LocalProtocolError, match="used before"):
        connection.connect(False)
    assert DataConnection().connect(True) == b"XML FRAMED SCALED\n"
    assert (
        DataConnection().connect(options=DataOptions.bare())
        == b"UNFRAMED RAW NO_HEADER NO_STATUS ONE_SHOT\n"
    )
    with pytest.raises(LocalProtocolError, match="ONE_SHOT"):
        DataOptions(DataFormat.UNFRAMED, status=False)
    with pytest.raises(LocalProtocolError, match="fields"):
        DataOptions(DataFormat.ASCII, scaled=True, header=False)


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=20))
@settings(deadline=None)
def test_any_chunking_of_frames_of_any_size(sizes: list[int]) -> None:
    samples = counting(300)
    stream = b"OK\n" + STREAM.acquisition(samples, per_frame=17)
    stream += STREAM.acquisition(samples[:0]) + STREAM.acquisition(samples[:1])
    data, _ = play(stream, DataOptions(), sizes, slab=4096)
    expected = np.concatenate([samples, samples[:1]])
    assert frames(data).tobytes() == expected.tobytes()
    ends = [item.samples for item in data if isinstance(item, EndData)]
    assert ends == [300, 0, 1]


@given(cuts=st.sets(st.integers(0, 160 * 10), max_size=12), size=st.integers(1, 200))
@settings(deadline=None)
def test_a_sample_may_go_on_in_the_next_frame(cuts: set[int], size: int) -> None:
    samples = counting(100)
    payload = samples.tobytes()
    edges = [0, *sorted(cuts), len(payload)]
    parts = [frame(payload[a:b]) for a, b in itertools.pairwise(edges)]
    stream = b"OK\n" + STREAM.header() + b"".join(parts) + b"END 100 Ok\n"
    data, _ = play(stream, DataOptions(), [size], slab=4096)
    assert frames(data).tobytes() == payload
    assert data[-1] == EndData(100, EndReason.OK)


@given(st.data())
@settings(deadline=None)
def test_unframed_samples_that_look_like_their_end(draw: st.DataObject) -> None:
    fields = [FieldCapture(f"A{n}", U4, "Value") for n in range(6)]
    stream = Stream(fields)
    liar = b"END 7 Ok\nEND 0 Disarmed\n"
    honest = np.arange(6, dtype="<u4").tobytes()
    payload = b"".join(
        draw.draw(st.lists(st.sampled_from([liar, honest]), min_size=8, max_size=20))
    )
    count = len(payload) // 24
    header = stream.header().replace(b"Framed", b"Unframed")
    text = b"OK\n" + header + payload + b"END %d Ok\n" % count
    size = draw.draw(st.integers(1, 80))
    # the 7th sample must not be a liar: then it is the end, nothing can tell
    if payload[7 * 24 : 8 * 24] == liar:
        return
    data, _ = play(text, DataOptions(DataFormat.UNFRAMED), [size], slab=4096)
    assert frames(data).tobytes() == payload
    assert data[-1] == EndData(count, EndReason.OK)


@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=9))
@settings(deadline=None)
@pytest.mark.parametrize("nul", [b"", b"\0"])
def test_base64_restarts_with_each_block(nul: bytes, sizes: list[int]) -> None:
    import base64

    samples = counting(40)
    payload = samples.tobytes()
    lines = []
    for first in range(0, len(payload), 400):
        block = payload[first : first + 400]
        for start in range(0, len(block), 57):
            text = base64.b64encode(block[start : start + 57])
            lines.append(b" " + text + nul + b"\n")
    header = STREAM.header().replace(b"Framed", b"Base64")
    stream = b"OK\n" + header + b"".join(lines) + b"END 40 Ok\n"
    data, _ = play(stream, DataOptions(DataFormat.BASE64), sizes, slab=4096)
    assert frames(data).tobytes() == payload
    assert data[-1] == EndData(40, EndReason.OK)


@pytest.mark.parametrize("reason", [r for r in EndReason if r.name not in
    ("UNKNOWN_EXCEPTION", "START_DATA_MISMATCH", "MANUALLY_STOPPED")])  # fmt: skip
def test_every_end_reason(reason: EndReason) -> None:
    stream = b"OK\n" + STREAM.acquisition(counting(3), reason=reason.value)
    data, _ = play(stream, DataOptions(), [11])
    assert data[-1] == EndData(3, reason)


def test_headers_follow_each_other_without_status() -> None:
    text = recording("no_status")
    data, _ = play(text + text, options("no_status"), [13])
    assert [type(item) for item in others(data)] == [StartData, StartData]
    assert frames(data)["COUNTER1.OUT.Value"].tolist() == [1, 2, 3, 4, 5] * 2


def test_server_before_2_1_sends_samples_without_a_word() -> None:
    header = STREAM.header().replace(b'sample_bytes="16"', b'sample_bytes="20"')
    sample = b"\x07\0\0\0" + counting(2)[1:].tobytes()
    stream = b"OK\n" + header + frame(sample) + b"END 1 Ok\n"
    data, _ = play(stream, DataOptions(), [1 << 20])
    start = data[1]
    assert isinstance(start, StartData)
    assert start.fields[0] == FieldCapture("PCAP.SAMPLES", U4, "Value")
    assert frames(data)["PCAP.SAMPLES.Value"].tolist() == [7]
    assert frames(data)["COUNTER1.OUT.Value"].tolist() == [-1]


def test_units_never_set_are_empty_and_hardware_time_is_a_number() -> None:
    header = STREAM.header().replace(b'units="mm"', b'units="(null)"')
    header = header.replace(b'missed="0"', b'hw_time_offset_ns="-12" missed="17467"')
    data, _ = play(b"OK\n" + header, DataOptions(), [1 << 20])
    start = data[1]
    assert isinstance(start, StartData)
    assert start.fields[1].units == ""
    assert start.hw_time_offset_ns == -12
    assert start.missed == 17467


def test_refusal_is_a_command_error_with_the_servers_words() -> None:
    stream = b"ERR Invalid data capture option\n"
    _, error = play(stream, DataOptions(), [5])
    assert isinstance(error, CommandError)
    assert "Invalid data capture option" in str(error)
    assert "XML FRAMED RAW" in str(error)
    _, error = play(stream, DataOptions(status=False), [5])
    assert isinstance(error, CommandError)


GARBAGE: dict[str, bytes | Callable[[], bytes]] = {
    "no ok": b"HTTP/1.1 400 Bad Request\r\n",
    "no header": b"OK\nhello\n",
    "line without end": b"OK\n" + b"x" * 70_000,
    "header without end": b"OK\n<header>\n" + b"<x/>\n" * 60_000 + b"\n" * 99_999,
    "header of tiny lines": b"OK\n<header>\n" + b"x\n" * 300_000,
    "no xml": b"OK\n<header>\n<data>\n</header>\n",
    "entities": b"OK\n<header>\n<!DOCTYPE x []>\n</header>\n",
    "no data": b"OK\n<header>\n<fields/>\n</header>\n",
    "size": lambda: b"OK\n" + STREAM.header().replace(b'"16"', b'"17"'),
    "size of nothing": b'OK\n<header>\n<data missed="0" process="Raw" format="Framed" '
    b'sample_bytes="0" />\n<fields/>\n</header>\n',
    "format": lambda: b"OK\n" + STREAM.header().replace(b"Framed", b"Knitted"),
    "type": lambda: b"OK\n" + STREAM.header().replace(b"int64", b"int65"),
    "scale": lambda: b"OK\n" + STREAM.header().replace(b'"0.5"', b'"half"'),
    "part of scaling": lambda: b"OK\n" + STREAM.header().replace(b' offset="10"', b""),
    "twice": lambda: b"OK\n" + STREAM.header().replace(b"TS_TRIG", b"BITS0"),
    "missed": lambda: b"OK\n" + STREAM.header().replace(b'missed="0"', b'missed="x"'),
    "text": b"OK\nmissed: 0\nhello\n\n",
    "text without fields": b"OK\nmissed: 0\nprocess: Raw\n\n",
    "text field": b"OK\nmissed: 0\nprocess: Raw\nformat: ASCII\nfields:\nX\n\n",
    "blank": lambda: b"OK\n" + STREAM.header()[:-1] + b"BIN ",
    "frame": lambda: b"OK\n" + STREAM.header() + b"BIG \x10\0\0\0",
    "frame too short": lambda: b"OK\n" + STREAM.header() + b"BIN \x07\0\0\0",
    "frame too long": lambda: b"OK\n" + STREAM.header() + b"BIN \xff\xff\xff\xff",
    "half a sample": lambda: b"OK\n" + STREAM.header() + frame(b"123") + b"END 0 Ok\n",
    "end": lambda: b"OK\n" + STREAM.header() + b"END many Ok\n",
    "reason": lambda: b"OK\n" + STREAM.header() + b"END 1 Bored\n",
    "end without end": lambda: b"OK\n" + STREAM.header() + b"END 1 " + b"x" * 200,
    "ascii": lambda: recording("default")[:-30] + b" 1 2\n",
    "ascii hex": lambda: recording("ascii_raw").replace(b"0x0000f424", b"0xzzzzzzzz"),
    "hex too big": lambda: recording("ascii_raw").replace(b"0x0000f4", b"0x1ffffff"),
    "base64": lambda: b"OK\n"
    + STREAM.header().replace(b"Framed", b"Base64") + b" A===\n",
    "half a sample of base64": lambda: b"OK\n"
    + STREAM.header().replace(b"Framed", b"Base64") + b" AAAA\nEND 0 Ok\n",
}  # fmt: skip


@pytest.mark.parametrize("what", list(GARBAGE))
@pytest.mark.parametrize("size", [50, 1 << 20])
def test_garbage_is_a_remote_protocol_error_at_once(what: str, size: int) -> None:
    made = GARBAGE[what]
    stream = made() if callable(made) else made
    _, error = play(stream, DataOptions(), [size])
    assert isinstance(error, RemoteProtocolError), error
    assert len(str(error)) < 300


def test_samples_before_garbage_are_not_lost_and_the_error_stays() -> None:
    connection = DataConnection()
    connection.connect()
    stream = b"OK\n" + STREAM.acquisition(counting(5))[:-9] + b"garbage at the end"
    seen: list[Data] = []
    with pytest.raises(RemoteProtocolError):
        seen.extend(connection.receive_bytes(stream, flush_every_frame=False))
    # a generator that raises loses what list.extend had not got yet, so look again
    connection = DataConnection()
    connection.connect()
    seen = []
    with pytest.raises(RemoteProtocolError):
        for item in connection.receive_bytes(stream, flush_every_frame=False):
            seen.append(item)
    assert len(frames(seen)) == 5
    with pytest.raises(RemoteProtocolError):
        list(connection.receive_bytes(b"more"))
    with pytest.raises(RemoteProtocolError):
        list(connection.receive_eof())


@given(st.binary(max_size=2000), st.sampled_from(NAMES), st.integers(0, 1500))
@settings(deadline=None)
def test_random_bytes_raise_documented_errors_only(
    junk: bytes, name: str, position: int
) -> None:
    for opts in [DataOptions(), *OPTIONS.values()]:
        play(junk, opts, [100], slab=4096)
    stream = recording(name)[: max(position, 2000)]
    play(stream[:position] + junk + stream[position:], options(name), [100])


@pytest.mark.parametrize("cut", [1, 3, 100, 600, 800, 1000, 1100])
def test_a_lost_connection_says_where_it_was(cut: int) -> None:
    data, error = play(recording("xml_framed_scaled")[:cut], DataOptions(), [cut])
    assert isinstance(error, PandaDisconnected)
    expected = "in an acquisition" if any(
        isinstance(item, StartData) for item in data
    ) else "before it said OK" if cut < 3 else "while idle"  # fmt: skip
    assert expected in str(error)


def test_samples_are_views_and_are_never_written_over() -> None:
    connection = DataConnection(slab_bytes=4096)
    connection.connect()
    samples = counting(5000)
    stream = b"OK\n" + STREAM.acquisition(samples, per_frame=700)
    kept: list[FrameData] = []
    addresses = set()
    position = 0
    while position < len(stream):
        buffer = connection.get_buffer()
        piece = stream[position : position + len(buffer)]
        buffer[: len(piece)] = piece
        position += len(piece)
        for item in connection.received(len(piece)):
            if isinstance(item, FrameData):
                assert not item.data.flags.owndata
                addresses.add(item.data.__array_interface__["data"][0])
                kept.append(item)
    assert frames(kept).tobytes() == samples.tobytes()


def test_memory_is_reused_when_nobody_holds_it() -> None:
    connection = DataConnection(slab_bytes=1 << 16)
    connection.connect()
    samples = counting(200_000)
    stream = b"OK\n" + STREAM.acquisition(samples)
    slabs = set()
    position = 0
    while position < len(stream):
        buffer = connection.get_buffer()
        slabs.add(np.frombuffer(buffer, np.uint8).__array_interface__["data"][0] >> 17)
        piece = stream[position : position + len(buffer)]
        buffer[: len(piece)] = piece
        position += len(piece)
        for _ in connection.received(len(piece)):
            pass
    assert len(slabs) <= 2


def test_held_samples_come_at_flush_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beamfly.panda.data.MAX_HELD", 100_000)
    connection = DataConnection(slab_bytes=8192)
    connection.connect()
    samples = counting(10_000)
    stream = b"OK\n" + STREAM.acquisition(samples, per_frame=100)
    sent = list(connection.receive_bytes(stream[:4000], flush_every_frame=False))
    assert [type(item) for item in sent] == [ReadyData, StartData]
    flushed = list(connection.flush())
    assert len(flushed) == 1
    assert list(connection.flush()) == []
    rest = list(connection.receive_bytes(stream[4000:], flush_every_frame=False))
    sizes = [item.data.nbytes for item in rest if isinstance(item, FrameData)]
    assert max(sizes) < 120_000
    assert frames([*flushed, *rest]).tobytes() == samples.tobytes()


@given(
    sizes=st.lists(st.integers(0, 40), max_size=30),
    chunk=st.integers(1, 3000),
    join=st.sampled_from([0, 100, 300, 1 << 19]),
)
@settings(deadline=None)
def test_joining_small_frames_changes_nothing(
    sizes: list[int], chunk: int, join: int
) -> None:
    samples = counting(sum(sizes))
    ends = np.cumsum([0, *sizes])
    parts = [samples[a:b].tobytes() for a, b in itertools.pairwise(ends)]
    stream = b"OK\n" + STREAM.header() + b"".join(map(frame, parts))
    stream += b"END %d Ok\n" % len(samples)
    connection = DataConnection(4096, join_below=join)
    connection.connect()
    kept: list[Data] = []
    for first in range(0, len(stream), chunk):
        rest = memoryview(stream)[first : first + chunk]
        while rest:
            buffer = connection.get_buffer()
            count = min(len(buffer), len(rest))
            buffer[:count], rest = rest[:count], rest[count:]
            # keeping all shows whether moving frames ever touches what was handed out
            kept.extend(connection.received(count))
    assert isinstance(kept[-1], EndData)
    assert b"".join(x.data.tobytes() for x in kept if isinstance(x, FrameData)) == (
        samples.tobytes()
    )


PIECES = st.one_of(
    st.tuples(st.integers(0, 30), st.just(0)),
    st.tuples(st.integers(300, 400), st.just(0)),
    st.tuples(st.integers(0, 400), st.integers(0, STREAM.dtype.itemsize - 1)),
)
"""Whole samples in a frame and bytes of the next one; small frames are joined."""


@given(
    pieces=st.lists(PIECES, min_size=1, max_size=20),
    chunks=st.lists(st.integers(1, 20_000), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_frames_taken_at_once_are_those_taken_one_by_one(
    pieces: list[tuple[int, int]], chunks: list[int]
) -> None:
    size = STREAM.dtype.itemsize
    payload = counting(1 + sum(count + 1 for count, _ in pieces)).tobytes()
    parts, at = [], 0
    for length in [count * size + rest for count, rest in pieces]:
        parts.append(payload[at : at + length])
        at += length
    # the last frame ends what has begun
    stop = -(-at // size) * size
    parts.append(payload[at:stop])
    stream = b"OK\n" + STREAM.header() + b"".join(map(frame, parts))
    stream += b"END %d Ok\n" % (stop // size)
    at_once, _ = play(stream, DataOptions(), chunks, slab=1 << 15)
    connection = DataConnection()
    connection.connect()
    one_by_one = list(connection.receive_bytes(stream))
    assert others(at_once) == others(one_by_one)
    taken = b"".join(x.data.tobytes() for x in at_once if isinstance(x, FrameData))
    assert taken == payload[:stop]
    assert taken == b"".join(
        x.data.tobytes() for x in one_by_one if isinstance(x, FrameData)
    )


def test_frames_are_left_where_they_were_received() -> None:
    connection = DataConnection()
    connection.connect()
    stream = b"OK\n" + STREAM.acquisition(counting(5000), per_frame=1000)
    # the last frame is not all there yet
    stream = stream[: -len(b"END 5000 Ok\n") - 7]
    buffer = connection.get_buffer()
    buffer[: len(stream)] = stream
    kept = list(connection.received(len(stream)))
    lengths = [len(item.data) for item in kept if isinstance(item, FrameData)]
    assert lengths == [1000] * 4 + [999]
    assert buffer[: len(stream)] == stream


def test_small_frames_come_as_one() -> None:
    connection = DataConnection()
    connection.connect()
    stream = b"OK\n" + STREAM.acquisition(counting(900), per_frame=3)
    buffer = connection.get_buffer()
    buffer[: len(stream)] = stream
    items = list(connection.received(len(stream)))
    assert [type(item) for item in items] == [ReadyData, StartData, FrameData, EndData]
    assert len(frames(items)) == 900


def test_whole_frames_on_request() -> None:
    connection = DataConnection()
    connection.connect()
    stream = b"OK\n" + STREAM.acquisition(counting(1000), per_frame=300)
    out: list[Data] = []
    for first in range(0, len(stream), 1234):
        out.extend(connection.receive_bytes(stream[first : first + 1234]))
    lengths = [len(item.data) for item in out if isinstance(item, FrameData)]
    assert lengths == [300, 300, 300, 100]
    with pytest.raises(PandaDisconnected):
        list(connection.receive_bytes(b""))


def test_misuse() -> None:
    connection = DataConnection()
    with pytest.raises(LocalProtocolError, match="connect"):
        list(connection.received(0))
    connection.connect()
    with pytest.raises(LocalProtocolError, match="received"):
        connection.received(1 << 30)
    assert list(connection.received(0, Flush.LATER)) == []
