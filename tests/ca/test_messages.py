"""Headers, messages and datagrams: golden bytes, round trips, garbage."""

import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca.datagrams import Beacon, Search, SearchReply, Version, join
from beamfly.ca.header import (
    HEADER_BYTES,
    LARGE,
    Header,
    pack_header,
    shape,
    unpack_header,
)
from beamfly.ca.message import Command, Sender
from beamfly.ca.messages import (
    TABLE,
    AccessRights,
    ChannelCreated,
    ClearChannel,
    ClientName,
    CreateChannel,
    Echo,
    ErrorReply,
    EventAdd,
    EventCancelled,
    EventUpdate,
    ReadNotify,
    ReadNotifyReply,
    WriteNotify,
    decode,
)
from beamfly.ca.named import create_message, search_message, watch_message
from beamfly.errors import LocalProtocolError, RemoteProtocolError

GOLDEN: list[tuple[Sender, Any, str]] = [
    (Sender.CLIENT, Version(priority=5), "0000 0000 0005 000d 00000000 00000000"),
    (
        Sender.CLIENT,
        ClientName("root"),
        "0014 0008 0000 0000 00000000 00000000 726f6f7400000000",
    ),
    (
        Sender.CLIENT,
        CreateChannel("a:b", cid=7),
        "0012 0008 0000 0000 00000007 0000000d 613a620000000000",
    ),
    (Sender.SERVER, AccessRights(7, 3), "0016 0000 0000 0000 00000007 00000003"),
    (
        Sender.SERVER,
        ChannelCreated(7, 4, 6, 10),
        "0012 0000 0006 000a 00000007 00000004",
    ),
    (Sender.CLIENT, ReadNotify(20, 0, 4, 9), "000f 0000 0014 0000 00000004 00000009"),
    (
        Sender.SERVER,
        ReadNotifyReply(6, 1, 1, 9, bytes.fromhex("3ff8000000000000")),
        "000f 0008 0006 0001 00000001 00000009 3ff8000000000000",
    ),
    (
        Sender.CLIENT,
        EventAdd(20, 0, 4, 2, 5),
        "0001 0010 0014 0000 00000004 00000002 00000000 00000000 00000000 0005 0000",
    ),
    (
        Sender.SERVER,
        EventCancelled(20, 1, 4, 2),
        "0001 0000 0014 0001 00000004 00000002",
    ),
    (
        Sender.CLIENT,
        Search("a:b", 7),
        "0006 0008 0005 000d 00000007 00000007 613a620000000000",
    ),
    (
        Sender.SERVER,
        SearchReply(7, 5064),
        "0006 0008 13c8 0000 ffffffff 00000007 000d000000000000",
    ),
    (
        Sender.SERVER,
        SearchReply(7, 5064, minor=None),
        "0006 0000 13c8 0000 ffffffff 00000007",
    ),
    (
        Sender.SERVER,
        Beacon(5064, 3, 0x7F000001),
        "000d 0000 000d 13c8 00000003 7f000001",
    ),
    (
        Sender.SERVER,
        ErrorReply(7, 376, Header(4, 8, 6, 1, 4, 7), "no"),
        "000b 0018 0000 0000 00000007 00000178"
        "0004 0008 0006 0001 00000004 00000007 6e6f000000000000",
    ),
    (Sender.CLIENT, ClearChannel(4, 7), "000c 0000 0000 0000 00000004 00000007"),
]


@pytest.mark.parametrize(("sender", "message", "text"), GOLDEN)
def test_golden_bytes(sender: Sender, message: Any, text: str) -> None:
    data = bytes.fromhex(text)
    assert message.encode() == data
    header = unpack_header(data)
    assert header is not None
    assert decode(sender, header, data[header.length :]) == message


def test_large_messages_have_the_extended_header() -> None:
    update = EventUpdate(6, 10_000, 1, 2, bytes(80_000))
    data = update.encode()
    assert data[:8] == bytes.fromhex("0001 ffff 0006 0000")
    assert unpack_header(data) == Header(1, 80_000, 6, 10_000, 1, 2, 24)
    # a request for many elements needs it too, although it has no payload
    assert len(ReadNotify(6, LARGE, 1, 1).encode()) == 24
    assert len(ReadNotify(6, LARGE - 1, 1, 1).encode()) == HEADER_BYTES


U32 = st.integers(0, 2**32 - 1)
NUMBERS = st.tuples(
    *(st.integers(0, 0xFFFF), st.integers(0, 2**29 - 1).map(lambda n: n * 8)),
    *(st.integers(0, 0xFFFF), U32, U32, U32),
)


@given(NUMBERS)
@settings(deadline=None)
def test_headers_come_back(numbers: tuple[int, int, int, int, int, int]) -> None:
    data = pack_header(*numbers)
    header = unpack_header(b"xxx" + data, 3)
    assert header is not None
    assert header[:6] == numbers
    assert header.length == len(data)
    for cut in range(len(data)):
        assert unpack_header(data[:cut]) is None
    if len(data) == HEADER_BYTES:
        assert int.from_bytes(data[:8], "big") == shape(*numbers[:4])


@given(st.sampled_from(list(Sender)), st.binary(min_size=16, max_size=16), st.binary())
@settings(deadline=None)
def test_garbage_is_a_message_or_a_remote_error(
    sender: Sender, head: bytes, payload: bytes
) -> None:
    try:
        header = unpack_header(head + payload)
        if header is not None:
            decode(sender, header, payload)
    except RemoteProtocolError:
        pass


FIELDS = {
    "str'>": st.text(max_size=30).filter(lambda s: "\0" not in s),
    "bytes'>": st.integers(1, 5).flatmap(lambda n: st.binary(min_size=8 * n).map(_pad)),
    "int'>": st.integers(0, 0xFFFF),
    "int | None": st.integers(0, 0xFFFF),
    "beamfly.ca.header.Header | None": st.just(Header(4, 8, 6, 1, 4, 7)),
}


def _pad(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 8)


@st.composite
def any_message(draw: st.DrawFn) -> tuple[Sender, Any]:
    (sender, _), kind = draw(st.sampled_from(list(TABLE.items())))
    fields = {}
    for field in dataclasses.fields(kind):
        fields[field.name] = draw(FIELDS[str(field.type).removeprefix("<class '")])
    return sender, kind(**fields)


@given(any_message())
@settings(deadline=None)
def test_decode_undoes_encode_for_every_message(drawn: tuple[Sender, Any]) -> None:
    sender, message = drawn
    data = message.encode()
    header = unpack_header(data)
    assert header is not None
    assert decode(sender, header, data[header.length :]) == message


@pytest.mark.parametrize(
    "message",
    [
        CreateChannel("x" * 600, 1),
        CreateChannel("a\0b", 1),
        ReadNotify(1 << 16, 0, 1, 1),
        WriteNotify(0, 0, 1, -1, b""),
    ],
)
def test_what_has_no_words_is_not_sent(message: Any) -> None:
    with pytest.raises(LocalProtocolError, match="nothing was sent"):
        message.encode()


def test_a_payload_that_is_no_multiple_of_eight_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="no multiple of 8"):
        unpack_header(bytes.fromhex("0001 0009 0006 0001 00000001 00000002"))


def test_a_command_of_the_wrong_side_is_refused() -> None:
    header = Header(Command.ACCESS_RIGHTS, 0, 0, 0, 1, 1)
    with pytest.raises(RemoteProtocolError, match="a client cannot send command 22"):
        decode(Sender.CLIENT, header, b"")
    with pytest.raises(RemoteProtocolError, match="too short"):
        decode(Sender.CLIENT, Header(Command.EVENT_ADD, 8, 6, 1, 1, 1), bytes(8))


def test_datagrams_start_alike_and_stay_small() -> None:
    first = Version(priority=1, sequence=8).encode()
    names = [Search(f"beamline:motor:{n}", n).encode() for n in range(500)]
    sent = list(join(first, names))
    assert all(len(datagram) <= 1024 for datagram in sent)
    assert all(datagram.startswith(first) for datagram in sent)
    assert b"".join(datagram[16:] for datagram in sent) == b"".join(names)
    assert list(join(first, [])) == []
    giant = Search("x" * 500, 1).encode()
    assert len(list(join(first, [giant, giant, giant], limit=100))) == 3


def test_echo_is_a_bare_header() -> None:
    assert Echo().encode() == bytes.fromhex("0017" + "00" * 14)


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=120))
def test_names_are_packed_as_in_general(name: str) -> None:
    cid = 0xFFFFFFF0
    assert search_message(name, cid) == Search(name, cid).encode()
    assert create_message(name, cid) == CreateChannel(name, cid).encode()


@settings(deadline=None)
@given(
    st.integers(0, 38),
    st.integers(0, 0xFFFE),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFF),
)
def test_subscriptions_are_packed_as_in_general(
    code: int, count: int, sid: int, number: int, mask: int
) -> None:
    wanted = EventAdd(code, count, sid, number, mask).encode()
    assert watch_message(code, count, sid, number, mask) == wanted


@given(any_message())
@settings(deadline=None)
def test_messages_are_frozen_dataclasses(drawn: tuple[Sender, Any]) -> None:
    message = drawn[1]
    kind = type(message)
    rows = [
        (field.name, field.type, dataclasses.field(default=field.default))
        for field in dataclasses.fields(kind)
    ]
    twin = dataclasses.make_dataclass(kind.__name__, rows, frozen=True, slots=True)
    given = {
        field.name: getattr(message, field.name) for field in dataclasses.fields(twin)
    }
    other = twin(**given)
    assert repr(message) == repr(other) and hash(message) == hash(other)
    assert message == kind(*given.values()) == dataclasses.replace(message)
    assert message == pickle.loads(pickle.dumps(message))
    assert message != other and not hasattr(message, "__dict__")
    for name in given:
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(message, name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            delattr(message, name)


def test_messages_are_made_of_all_that_they_need() -> None:
    assert Version() == Version(0, 13, 0) == Version(sequence=0, priority=0)
    for values, named in (
        *(((), {}), ((1,), {}), ((1, 2, 3), {}), ((1, 2), {"sid": 1})),
        *(((1, 2), {"other": 1}), ((), {"sid": 1})),
    ):
        with pytest.raises(TypeError, match=r"ClearChannel\(sid, cid\) cannot be made"):
            ClearChannel(*values, **named)
