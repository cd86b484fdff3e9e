"""The blocking functions and the blocking client against a genuine C IOC."""

import signal
import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pytest

from beamfly.ca import blocking
from beamfly.ca.blocking import ChannelType, Client, block, interrupt, subscribe
from beamfly.ca.dbr import Dbr
from beamfly.ca.session import Session
from beamfly.errors import BadValue, CADisconnected, CARefused, CATimeout

from .c_ioc import CIoc

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("ioc")]

# an IOC on a busy machine may need more than the two seconds that they wait by default
read = partial(blocking.read, timeout=30)
write = partial(blocking.write, timeout=30)
read_write_read = partial(blocking.read_write_read, timeout=30)


def test_read_and_write() -> None:
    assert write("T:ao", 2.5) is None
    response = read("T:ao")
    assert response.data.tolist() == [2.5] and response.data.dtype == ">f8"
    assert (response.data_type, response.data_count) == (ChannelType.DOUBLE, 1)
    assert response.data_type == 6
    assert response.status.name == "ECA_NORMAL" and response.status.success
    assert response.header.payload_size == 8
    assert bytes(response)[:8] == bytes.fromhex("000f000800060001")
    assert len(bytes(response)) == 24
    assert b"".join(response.buffers)[:8] == response.data.tobytes()
    assert "ReadNotifyResponse(data=array([2.5]" in repr(response)


def test_answers_are_what_they_were_in_caproto() -> None:
    write("T:ao", 2.5, notify=True)
    plain = read("T:ao")
    assert plain.metadata is None
    assert [bytes(part) for part in plain.buffers] == [b"", plain.data.tobytes()]
    assert plain.payload_size == 8
    assert repr(plain).endswith("metadata=None)") and "ioid=" in repr(plain)
    plain.data[0] = 7.5
    assert plain.data.tolist() == [7.5]
    timed = read("T:ao", data_type="TIME")
    assert timed.data_type == ChannelType.TIME_DOUBLE
    assert [len(part) for part in timed.buffers] == [16, 8]
    assert bytes(timed.header) == bytes(timed)[:16]
    meta = timed.metadata
    assert meta.DBR_ID == 20
    assert meta.to_dict() == {
        "status": 0,
        "severity": 0,
        "timestamp": meta.timestamp,
    }
    assert meta.secondsSinceEpoch == meta.stamp.secondsSinceEpoch
    assert meta.nanoSeconds == meta.stamp.nanoSeconds
    assert meta.stamp.as_datetime().timestamp() == pytest.approx(meta.timestamp)
    assert meta.timestamp == pytest.approx(time.time(), abs=60)
    assert tuple(meta.stamp) == (meta.secondsSinceEpoch, meta.nanoSeconds)
    assert meta.stamp == meta.stamp and meta.stamp != 1
    failed = read("T:string", data_type=ChannelType.CTRL_ENUM)
    assert failed.status.name == "ECA_GETFAIL" and failed.metadata is None
    assert (failed.data.dtype, failed.data.shape) == (">u2", (0,))
    with pytest.raises(BadValue, match="is no integer"):
        read("T:ao", data_count=1.5)  # type: ignore[arg-type]
    written = write("T:ao", 2, notify=True)
    assert written is not None and written.buffers == ()


@pytest.mark.parametrize("text", ["hello", "µ", b"\xff\0\1", ""])
def test_text_for_characters_is_written_as_it_is(text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    write("T:char", text, notify=True)
    assert read("T:char").data.tobytes() == raw
    write("T:ao.DESC$", "something that is longer", notify=True)
    write("T:ao.DESC$", text, notify=True)
    assert (
        read("T:ao.DESC$").data.tobytes().partition(b"\0")[0] == raw.partition(b"\0")[0]
    )


def test_the_next_connection_reads_what_was_written() -> None:
    for number in range(100):
        write("T:long", number)
        assert read("T:long").data.tolist() == [number]


def test_a_client_that_is_closed_says_so(ioc: CIoc) -> None:
    client = Client(ioc.config)
    channel = client.connect("T:ao")
    client.close()
    asks = (
        channel.get,
        lambda: channel.put(1.0),
        lambda: channel.put(1.0, wait=True),
        lambda: client.connect("T:ao"),
        lambda: client.get_many([channel]),
        lambda: client.run(0.01),
    )
    for ask in asks:
        with pytest.raises(CADisconnected, match="the client is closed"):
            ask()


def test_text_goes_to_arrays_of_characters(ioc: CIoc) -> None:
    with Client(ioc.config) as client:
        channel = client.connect("T:char")
        channel.put("a text of more than forty characters, for a file name", wait=True)
        text = bytes(channel.get()).rstrip(b"\0")
        assert text == b"a text of more than forty characters, for a file name"
        client.put_many([channel], ["short"], wait=True)
        assert bytes(channel.get()) == b"short\0"


def test_a_refused_write_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert write("T:ao.NAME", "x") is None
    assert "T:ao.NAME was not written" in caplog.text


def test_write_to_a_frozen_server(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ioc = CIoc(tmp_path)
    ioc.start()
    for name, value in ioc.environment.items():
        monkeypatch.setenv(name, value)
    try:
        with Session(2.0) as session:
            (channel,) = session.connect(("T:ao", 0))
            ioc.signal(signal.SIGSTOP)
            with pytest.raises(CATimeout, match=r"T:ao on .* did not answer in time"):
                session.write(channel, 2.0, None, notify=False)
    finally:
        ioc.signal(signal.SIGCONT)
        ioc.stop()


@pytest.mark.parametrize("notify", [True, False])
def test_both_ways_to_read_agree(notify: bool) -> None:
    write("T:longs", [1, 2, 3], notify=True)
    response = read("T:longs", notify=notify, data_type="time")
    # the old message has no way to say how many there are
    assert response.data.tolist() == [1, 2, 3] + [0] * (0 if notify else 97)
    assert response.metadata.timestamp == pytest.approx(time.time(), abs=60)
    assert response.metadata.stamp.as_datetime().year >= 2026
    with pytest.raises(CATimeout):
        read("T:nothing", notify=notify, timeout=0.1)


def test_metadata_of_all_classes() -> None:
    write("T:ao", 7.5, notify=True)
    meta = read("T:ao", data_type="control").metadata
    assert (meta.units, meta.precision) == (b"mm", 3)
    assert (meta.upper_ctrl_limit, meta.lower_disp_limit) == (9, -10)
    assert (meta.severity.name, meta.status.name) == ("MINOR_ALARM", "HIGH")
    assert "DBR_CTRL_DOUBLE(status=<AlarmStatus.HIGH: 4>" in repr(meta)
    assert not hasattr(read("T:ao", data_type="status").metadata, "units")
    enum = read("T:enum", data_type="graphic").metadata
    assert enum.enum_strings == (b"zero", b"one", b"two")
    assert read("T:string", data_type="control").data_type == ChannelType.TIME_STRING
    assert read("T:string", data_type="graphic").data_type == ChannelType.STS_STRING


@pytest.mark.parametrize("code", [code for code in Dbr if code not in (35, 36)])
def test_every_type_can_be_read(code: Dbr) -> None:
    write("T:enum", 2, notify=True)
    response = read("T:enum", data_type=int(code))
    assert response.data_type == code
    value = response.data[0]
    expected = {0: b"two", 38: b"mbbo", 37: b"two"}.get(
        code, b"two" if code < 35 and code % 7 == 0 else 2
    )
    assert value == expected


def test_enums_are_text_unless_told_otherwise() -> None:
    write("T:enum", "one", notify=True)
    assert read("T:enum").data == [b"one"]
    assert read("T:enum", force_int_enums=True).data.tolist() == [1]
    assert read("T:enum", data_type="native").data.tolist() == [1]
    write("T:enum", [b"two"], notify=True)
    assert read("T:enum").data == [b"two"]


def test_refusals_and_nonsense() -> None:
    answer = write("T:enum", "no such state", notify=True)
    assert answer is not None and answer.status.name == "ECA_PUTFAIL"
    answer = write("T:ao.NAME", "x", notify=True)
    assert answer is not None and answer.status.code_with_severity == 376
    with pytest.raises(TimeoutError, match="T:nothing was not found within"):
        read("T:nothing", timeout=0.1)
    with pytest.raises(ValueError, match="none of native"):
        read("T:ao", data_type="fancy")
    with pytest.raises(BadValue, match="no valid data type"):
        read("T:ao", data_type=99)
    with pytest.raises(BadValue):
        write("T:ao", 1, metadata=(1, 2))


def test_read_write_read() -> None:
    write("T:ao", 1.0, notify=True)
    first, answer, last = read_write_read("T:ao", 2.0, notify=True)
    assert (first.data[0], last.data[0]) == (1.0, 2.0)
    assert answer is not None and answer.status.success
    assert read_write_read("T:ao", 3.0)[1] is None


def test_subscriptions_on_one_server() -> None:
    seen: list[Any] = []
    one, other = subscribe("T:counter"), subscribe("T:enum", data_type="control")
    token = other.add_callback(lambda response: seen.append(("enum", response)))

    def count(sub: Any, response: Any) -> None:
        seen.append((sub.pv_name, response))
        names = [name for name, _ in seen]
        if names.count("T:counter") >= 2 and "enum" in names:
            raise KeyboardInterrupt

    one.add_callback(count)
    block(one, other, duration=30)
    names = [name for name, _ in seen]
    assert names.count("T:counter") >= 2 and names.count("enum") == 1
    responses = dict(seen)
    assert responses["T:counter"].metadata.timestamp > 1e9
    assert responses["T:counter"].data.dtype == ">f8"
    other.remove_callback(token)
    seen.clear()
    other.block(duration=0.1)
    assert seen == []


def test_a_callback_ends_block() -> None:
    subscription = subscribe("T:counter")

    def stop(sub: Any, response: Any) -> None:
        raise KeyboardInterrupt

    token = subscription.add_callback(stop)
    subscription.block(duration=30)
    subscription.remove_callback(token)

    def bad(response: Any) -> None:
        raise ZeroDivisionError

    subscription.add_callback(bad)
    with pytest.raises(ZeroDivisionError):
        subscription.block(duration=30)


def test_clear_ends_block() -> None:
    subscription = subscribe("T:counter")
    subscription.add_callback(lambda sub, response: sub.clear())
    subscription.block(duration=1000)
    assert subscription.callbacks == {}


@pytest.mark.parametrize(
    ("data_type", "force", "expected"),
    [
        (None, False, ChannelType.TIME_STRING),
        (None, True, ChannelType.TIME_ENUM),
        ("native", False, ChannelType.STRING),
        ("time", False, ChannelType.TIME_STRING),
        ("graphic", False, ChannelType.GR_ENUM),
        ("CONTROL", False, ChannelType.CTRL_ENUM),
        (ChannelType.TIME_ENUM, False, ChannelType.TIME_ENUM),
    ],
)
def test_types_of_subscriptions(data_type: Any, force: bool, expected: int) -> None:
    seen: list[Any] = []

    def see(response: Any) -> None:
        seen.append(response)
        interrupt()

    subscription = subscribe("T:enum", data_type=data_type)
    subscription.add_callback(see)
    subscription.block(duration=1000, timeout=30, force_int_enums=force)
    assert seen[0].data_type == expected
    if expected == ChannelType.CTRL_ENUM:
        assert seen[0].metadata.enum_strings == (b"zero", b"one", b"two")


def test_interrupt_from_another_thread() -> None:
    started = threading.Event()
    subscription = subscribe("T:ao")
    subscription.add_callback(lambda sub, response: started.set())

    def later() -> None:
        started.wait(30)
        interrupt()

    thread = threading.Thread(target=later)
    thread.start()
    start = time.monotonic()
    subscription.block(duration=40)
    thread.join()
    assert time.monotonic() - start < 30
    interrupt()


def test_block_goes_on_when_the_server_is_back(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ioc = CIoc(tmp_path)
    ioc.start()
    for name, value in ioc.environment.items():
        monkeypatch.setenv(name, value)
    seen: list[float] = []
    subscription = subscribe("T:ao")
    restart = threading.Thread(target=lambda: (ioc.stop(), ioc.start()))

    def stop_when_restarted(sub: Any, response: Any) -> None:
        seen.append(response.data[0])
        if seen == [5.0]:
            restart.start()
        elif seen[-1] == 1.5:
            raise KeyboardInterrupt

    subscription.add_callback(stop_when_restarted)
    try:
        write("T:ao", 5.0, notify=True)
        subscription.block(duration=40.0)
        restart.join()
    finally:
        ioc.stop()
    assert seen == [5.0, 1.5]


@pytest.mark.parametrize("pv", ["T:ao", "T:enum", "T:string", "T:longs", "T:char"])
@pytest.mark.parametrize(
    "options",
    [
        *([], ["-t"], ["-n"], ["-S"], ["-d", "time"], ["-d", "STRING"], ["-#", "2"]),
        *(["-d", "CONTROL"], ["--format", "{response.status.description}"]),
        *(["--format", "{response.metadata}", "-d", "STS_STRING"],),
    ],
)
def test_the_tool_of_caproto_says_the_same_with_this_client(
    pv: str,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from caproto.commandline import get  # type: ignore[import-untyped]

    write("T:longs", [1, 2, 3], notify=True)
    write("T:char", "text", notify=True)
    monkeypatch.setattr(
        sys, "argv", ["caproto-get", "--no-repeater", "-w", "30", *options, pv]
    )
    get.main()
    theirs = capsys.readouterr()
    monkeypatch.setattr(get, "read", blocking.read)
    get.main()
    assert capsys.readouterr() == theirs
    assert theirs.out


# ---- the client that keeps its connections


@pytest.fixture
def client(ioc: CIoc) -> Any:
    with Client(ioc.config) as one:
        yield one


def test_client(client: Client) -> None:
    channel = client.connect("T:ao")
    channel.put(3.5, wait=True)
    assert channel.get() == 3.5
    reading = channel.read()
    assert (reading.value, reading.severity) == (3.5, 0)
    assert channel.get(Dbr.TIME_DOUBLE) == reading
    assert channel.describe().units == b"mm"
    channel.put("4.5", wait=True)
    channel.put(5.5)
    assert channel.get() == 5.5
    assert repr(channel) == "<Channel 'T:ao': connected>"
    channel.close()
    with pytest.raises(CATimeout, match=r"T:nothing was not found within 0\.1 s"):
        client.connect("T:nothing", 0.1)
    with pytest.raises(CARefused):
        client.connect("T:enum").put("no such state", wait=True)


def test_client_with_many(client: Client) -> None:
    channels = client.connect_many(["T:ao", "T:long", "T:double"])
    client.put_many(channels, [1.0, 2, [3.0, 4.0]], wait=True)
    ao, long_, array = client.get_many(channels)
    assert (ao, long_, array.tolist()) == (1.0, 2, [3.0, 4.0])
    big = np.arange(1e6)
    channels[2].put(big, wait=True, timeout=20)
    assert np.array_equal(channels[2].get(timeout=20), big)
    channels[2].put([1.0], wait=True)


def test_client_with_monitors(client: Client) -> None:
    channel = client.connect("T:long")
    channel.put(0, wait=True)
    seen: list[Any] = []
    stop = channel.monitor(lambda *reading: seen.append(reading[0]))
    # an IOC keeps about a hundred updates for a client that does not read
    for value in range(1, 50):
        channel.put(value)
    assert client.run(30.0, until=lambda: len(seen) == 50)
    assert seen == list(range(50))
    stop()
    channel.put(1, wait=True)
    assert not client.run(0.05)
    assert len(seen) == 50


def test_client_sees_a_frozen_server(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ioc = CIoc(tmp_path)
    ioc.start()
    try:
        with Client(ioc.config) as client:
            channel = client.connect("T:ao")
            ioc.signal(signal.SIGSTOP)
            start = time.monotonic()
            with pytest.raises(CATimeout, match="did not answer in time"):
                channel.get(timeout=0.3)
            assert 0.25 < time.monotonic() - start < 20
            ioc.signal(signal.SIGCONT)
            assert channel.get() is not None
    finally:
        ioc.stop()
