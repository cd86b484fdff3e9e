"""The control port's core: what goes out, what comes back, and what must not hang."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import (
    BeamflyError,
    CommandError,
    LocalProtocolError,
    PandaDisconnected,
    RemoteProtocolError,
    VersionError,
)
from beamfly.panda.commands import (
    Append,
    Command,
    Exchange,
    Get,
    GetBlockInfo,
    GetChanges,
    GetPcapBitsLabels,
    Put,
    Raw,
    SetState,
)
from beamfly.panda.connections import (
    Buffer,
    ControlConnection,
    NeedMoreData,
    NeedMoreDataError,
    NoContextAvailableError,
)
from dialogues import control_transcript
from link import Link, cut

TRANSCRIPT = control_transcript()
ANSWERED = [dialogue for dialogue in TRANSCRIPT if dialogue.answered]
HUNG_UP = [dialogue for dialogue in TRANSCRIPT if not dialogue.answered]


def replies(connection: ControlConnection, *pieces: bytes) -> list[Any]:
    for piece in pieces:
        connection.receive_bytes(piece)
    return [response for _, response in connection.responses()]


def test_the_recording_is_read_whole() -> None:
    assert len(TRANSCRIPT) == 331
    assert len(HUNG_UP) == 3


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
def test_recorded_dialogues_one_by_one(size: int) -> None:
    connection = ControlConnection()
    for dialogue in ANSWERED:
        assert connection.send(Raw(list(dialogue.asked))) == dialogue.question
        assert replies(connection, *cut(dialogue.answer, size)) == [
            list(dialogue.answered)
        ]
    assert connection.pending == 0


@pytest.mark.parametrize("size", [1, 1000, 10**7])
def test_recorded_dialogues_pipelined(size: int) -> None:
    connection = ControlConnection()
    sent = b"".join(connection.send(Raw(list(d.asked))) for d in ANSWERED)
    assert sent == b"".join(d.question for d in ANSWERED)
    answers = b"".join(d.answer for d in ANSWERED)
    got = replies(connection, *cut(answers, size))
    assert got == [list(d.answered) for d in ANSWERED]


@pytest.mark.parametrize("dialogue", HUNG_UP, ids=str)
def test_a_line_that_makes_a_server_hang_up_is_not_sent(dialogue: Any) -> None:
    connection = ControlConnection()
    with pytest.raises(LocalProtocolError, match="nothing was sent"):
        connection.send(Raw(list(dialogue.asked)))
    assert connection.pending == 0 and not connection.closed


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 400), max_size=60))
def test_where_bytes_are_cut_changes_nothing(sizes: list[int]) -> None:
    connection = ControlConnection()
    some = ANSWERED[:60]
    for dialogue in some:
        connection.send(Raw(list(dialogue.asked)))
    answers = b"".join(d.answer for d in some)
    got = replies(connection, *cut(answers, sizes))
    assert got == [list(d.answered) for d in some]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [b"OK\n", b"OK =1\n", b"ERR no\n", b"!A 1\n", b".\n", b"!\n", b"\xff\n"]
            ),
        ),
        max_size=12,
    )
)
def test_garbage_raises_documented_errors_and_ends_everything(
    pieces: list[bytes],
) -> None:
    connection = ControlConnection()
    commands: list[Command[Any]] = [
        Get("A.B"),
        Put("A.B", 1),
        GetBlockInfo(),
        GetChanges(get_multiline=True),
        GetPcapBitsLabels(),
    ]
    for command in commands:
        connection.send(command)
    ended: list[Any] = []
    for piece in pieces:
        try:
            connection.receive_bytes(piece)
        except RemoteProtocolError:
            assert connection.closed
    connection.receive_eof()
    ended += connection.responses()
    assert sorted(repr(c) for c, _ in ended) == sorted(map(repr, commands))
    for _, response in ended:
        if isinstance(response, Exception):
            assert isinstance(response, BeamflyError)


def test_end_of_connection_fails_all_that_is_under_way() -> None:
    connection = ControlConnection("PandA box:8888")
    for name in ("A.B", "C.D"):
        connection.send(Get(name))
    connection.receive_bytes(b"!half")
    connection.receive_eof()
    for (_, error), name in zip(connection.responses(), ("A.B", "C.D"), strict=True):
        assert isinstance(error, PandaDisconnected)
        assert isinstance(error, ConnectionError)
        assert "PandA box:8888" in str(error) and name in str(error)
    with pytest.raises(PandaDisconnected, match="was not sent"):
        connection.send(Get("E.F"))
    assert connection.receive_bytes(b"OK\n") == b""


@pytest.mark.parametrize("reply", [b"!A 1\nOK\n", b"!A 1\nB 2\n.\n", b"SSH-2.0\n"])
def test_a_reply_that_makes_no_sense_fails_what_is_under_way(reply: bytes) -> None:
    connection = ControlConnection("PandA box:8888")
    connection.send(Get("*BLOCKS"))
    with pytest.raises(RemoteProtocolError, match="PandA box:8888 sent"):
        connection.receive_bytes(reply)
    ((_, error),) = connection.responses()
    assert isinstance(error, RemoteProtocolError)
    assert connection.closed


def test_an_answer_to_nothing() -> None:
    connection = ControlConnection()
    with pytest.raises(NoContextAvailableError, match="nothing was asked"):
        connection.receive_bytes(b"OK =1\n")
    assert connection.closed


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_a_line_without_end_is_refused(size: int) -> None:
    connection = ControlConnection(max_line=100)
    connection.send(Get("A.B"))
    with pytest.raises(RemoteProtocolError, match="more than 100 bytes"):
        for piece in cut(b"OK =" + b"x" * 200 + b"\n", size):
            connection.receive_bytes(piece)
    assert len(list(connection.responses())) == 1


def test_a_list_without_end_is_refused() -> None:
    connection = ControlConnection(max_reply=1000)
    connection.send(Get("A.B"))
    with pytest.raises(RemoteProtocolError, match="more than 1000 bytes"):
        for _ in range(200):
            connection.receive_bytes(b"!word 1\n")
    assert len(list(connection.responses())) == 1


def test_long_lists_in_turn_are_not_added_up() -> None:
    connection = ControlConnection(max_reply=1000)
    for _ in range(5):
        connection.send(Get("A.B"))
        got = replies(connection, *cut(b"!12345678\n" * 70 + b".\n", 50))
        assert got == [["12345678"] * 70]


@pytest.mark.parametrize("breaks_after", range(0, 60, 3))
def test_wherever_the_link_breaks_every_command_ends(breaks_after: int) -> None:
    connection = ControlConnection()
    answer = b"!TTLIN 6\n!PCAP 1\n.\n"
    link = Link(sizes=5, breaks_after=breaks_after)
    for _ in range(3):
        connection.send(GetBlockInfo(skip_description=True))
    for _ in range(3):
        link.send(answer)
    for piece in link.receive():
        connection.receive_bytes(piece)
    if link.broken:
        connection.receive_eof()
    ended = [response for _, response in connection.responses()]
    whole = breaks_after // len(answer)
    assert len(ended) == 3
    assert [isinstance(r, dict) for r in ended] == [i < whole for i in range(3)]


def test_what_is_held_arrives_later() -> None:
    link = Link(sizes=2)
    link.held = True
    link.send(b"abc")
    assert list(link.receive()) == []
    link.held = False
    assert list(link.receive()) == [b"ab", b"c"]


def test_steps_of_several_commands_interleave() -> None:
    connection = ControlConnection()
    assert connection.send(GetBlockInfo()) == b"*BLOCKS?\n"
    assert connection.send(Get("PCAP.TRIG")) == b"PCAP.TRIG?\n"
    # the descriptions of all blocks are asked for at once
    to_send = connection.receive_bytes(b"!TTLIN 6\n!PCAP 1\n.\nOK =ZERO\n")
    assert to_send == b"*DESC.PCAP?\n*DESC.TTLIN?\n"
    assert list(connection.responses()) == [(Get("PCAP.TRIG"), "ZERO")]
    assert connection.receive_bytes(b"OK =Position capture\nOK =TTL input\n") == b""
    ((command, infos),) = connection.responses()
    assert command == GetBlockInfo()
    assert [(n, i.number, i.description) for n, i in infos.items()] == [
        ("PCAP", 1, "Position capture"),
        ("TTLIN", 6, "TTL input"),
    ]


def test_the_same_command_twice() -> None:
    connection = ControlConnection()
    command = Get("A.B")
    connection.send(command, "first")
    connection.send(command, "second")
    connection.receive_bytes(b"OK =1\nOK =2\n")
    got = [(outcome.tag, outcome.result) for outcome in connection.outcomes()]
    assert got == [("first", "1"), ("second", "2")]


def test_refusal_names_panda_command_and_answer() -> None:
    connection = ControlConnection("PandA box:8888")
    connection.send(Put("PCAP.SHIFT_SUM", "9"))
    (error,) = replies(connection, b"ERR Number out of range\n")
    assert isinstance(error, CommandError)
    assert str(error) == (
        "PandA box:8888: Put(field='PCAP.SHIFT_SUM', value='9') failed: "
        "the answer to 'PCAP.SHIFT_SUM=9' was 'ERR Number out of range'"
    )


def test_a_long_table_does_not_flood_the_message() -> None:
    connection = ControlConnection()
    connection.send(Put("SEQ1.TABLE", ["1"] * 100_000))
    (error,) = replies(connection, b"ERR no\n")
    assert len(str(error)) < 400
    assert "100000 data lines" in str(error)


def test_version_decides_what_can_be_said() -> None:
    connection = ControlConnection()
    connection.set_api((3, 0))
    with pytest.raises(VersionError, match=r"4\.0 or later, this one is 3\.0"):
        connection.send(Append("SEQ1.TABLE", ["1"], last=True))
    connection.set_api((4, 0))
    assert connection.send(Append("SEQ1.TABLE", ["1"], last=True)) == (
        b"SEQ1.TABLE<<|\n1\n\n"
    )


def test_nothing_to_ask_is_done_at_once() -> None:
    connection = ControlConnection()
    assert connection.send(SetState([])) == b""
    assert list(connection.responses()) == [(SetState([]), [])]


@dataclass
class Clumsy(Command[int]):
    """Fails in a way that no one has foreseen."""

    after: int

    def execute(self, version: tuple[int, int]) -> Iterator[Any]:  # type: ignore[override]
        yield []
        exchange = Exchange("A.B?")
        yield exchange
        yield []
        if self.after:
            yield Exchange("two\nlines?")
        return 1 // self.after


@pytest.mark.parametrize(
    ("after", "kind"), [(0, CommandError), (1, LocalProtocolError)]
)
def test_a_command_that_stumbles_still_ends(
    after: int, kind: type[BeamflyError]
) -> None:
    connection = ControlConnection()
    assert connection.send(Clumsy(after)) == b"A.B?\n"
    connection.send(Get("C.D"))
    first, second = replies(connection, b"OK =1\nOK =2\n")
    assert isinstance(first, kind)
    assert second == "2"


def test_units_in_another_encoding_do_not_stop_the_connection() -> None:
    connection = ControlConnection()
    connection.send(GetChanges())
    (changes,) = replies(connection, b"!A1.OUT.UNITS=\xb5m\n!B=\xc2\xb5\n.\n")
    assert changes.values == {"A1.OUT.UNITS": "�m", "B": "µ"}


def test_buffer_reads_lines_and_bytes() -> None:
    buffer = Buffer()
    buffer += b"one\ntw"
    assert list(buffer) == [b"one"]
    with pytest.raises(NeedMoreDataError):
        buffer.read_line()
    buffer += b"o\nBIN 1234"
    assert buffer.read_line() == b"two"
    assert buffer.peek_bytes(4) == buffer.read_bytes(4) == b"BIN "
    with pytest.raises(NeedMoreData, match="5 bytes were asked for, there are 4"):
        buffer.read_bytes(5)
    assert len(buffer) == 4
