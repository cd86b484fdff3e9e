"""The command line: text of values, and the commands against a genuine C IOC."""

import getpass
import math
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.ca import sockets
from beamfly.ca.access import AccessRules, Rule
from beamfly.ca.blocking import Client, write
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.ca.server_thread import serve_in_thread
from beamfly.ca.tool_text import (
    Look,
    alarm,
    details,
    elements,
    escaped,
    moment,
    stamp,
    unescaped,
)
from beamfly.cli import ca_doctor
from beamfly.cli.ca import ca, caget, cainfo, camonitor, caput
from beamfly.cli.ca_monitor import Stamps
from beamfly.cli.ca_put import number
from beamfly.cli.ca_tools import parse_type
from beamfly.errors import BadValue

from .c_ioc import CIoc, free_port


def double(*values: float) -> Value:
    return Value(Dbr.DOUBLE, len(values), struct.pack(f">{len(values)}d", *values))


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (Look(), "3.14159"),
        (Look(floats=".2f"), "3.14"),
        (Look(floats=".3e"), "3.142e+00"),
        (Look(floats_as="x"), "0x3"),
    ],
)
def test_floats(look: Look, text: str) -> None:
    assert elements(double(3.14159265), look, is_array=False) == text


def test_rounded_floats() -> None:
    value = double(2.5, -2.5, -0.4, math.nan, -math.inf)
    text = elements(value, Look(floats_as="x"), is_array=True)
    assert text == "5 0x3 0xFFFFFFFD 0x0 nan -inf"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("d", "-18"),
        ("x", "0xFFFFFFEE"),
        ("o", "0o37777777756"),
        ("b", "1" * 27 + "01110"),
    ],
)
def test_integers(code: str, text: str) -> None:
    value = Value(Dbr.LONG, 1, struct.pack(">i", -18))
    assert elements(value, Look(integers=code), is_array=False) == text


def test_arrays_text_stamps_and_alarms() -> None:
    assert elements(double(1, 2), Look(), is_array=True) == "2 1 2"
    assert elements(double(), Look(), is_array=True) == "0"
    assert elements(double(), Look(), is_array=False) == ""
    chars = Value(Dbr.CHAR, 3, b"hi\0")
    assert elements(chars, Look(char_text=True), is_array=True) == "hi"
    # one char is a number, and so is what is no char
    assert elements(Value(Dbr.CHAR, 1, b"h"), Look(char_text=True), is_array=False) == (
        "104"
    )
    assert elements(double(1, 2), Look(char_text=True), is_array=True) == "2 1 2"
    assert stamp(Value(Dbr.TIME_LONG, 0, b"")) == "<undefined>"
    assert re.fullmatch(
        r"20\d\d-.. ?\S+ \S+\.000005",
        stamp(Value(Dbr.TIME_LONG, 0, b"", seconds=10**9, nanoseconds=5000)),
    )
    late = Value(Dbr.TIME_LONG, 0, b"", seconds=1_163_000_000, nanoseconds=999_999_900)
    exact = Value(Dbr.TIME_LONG, 0, b"", seconds=1_163_000_000, nanoseconds=1)
    assert stamp(late)[:20] == stamp(exact)[:20] and stamp(late).endswith(".999999")
    assert alarm(Value(Dbr.STS_LONG, 0, b"", 3, 2)) == "HIHI MAJOR"
    assert alarm(Value(Dbr.STS_LONG, 0, b"", 99, 9)) == "status 99 severity 9"
    assert alarm(Value(Dbr.STS_LONG, 0, b"")) == ""


def test_details_of_metadata() -> None:
    limits = (10.0, -10.0, 9.0, 8.0, -8.0, -9.0, 11.0, -11.0)
    value = Value(
        *(Dbr.CTRL_DOUBLE, 1, struct.pack(">d", 2.5), 0, 0),
        units=b"mm",
        precision=3,
        limits=limits,
    )
    text = details("PV", value, Look(), Dbr.DOUBLE)
    for expected in ("DBF_DOUBLE", "DBR_CTRL_DOUBLE", "mm", "Lo ctrl limit:    -11"):
        assert expected in text
    enum = Value(Dbr.GR_ENUM, 3, bytes([0, 1, 0, 2, 0, 16]), enum_strings=(b"a", b"b"))
    text = details("PV", enum, Look(), Dbr.ENUM)
    assert (
        "    Value:            b Enum Index Overflow (2) Illegal Value (16)\n" in text
    )
    assert text.endswith(f"Enums:            ( 2)\n{'[ 0] a':>28}\n{'[ 1] b':>28}")
    assert "Value:            1 2 16\n" in details(
        *("PV", enum, Look(enum_numbers=True), Dbr.ENUM)
    )
    long = Value(Dbr.GR_LONG, 2, bytes(8), limits=(10,) * 6)
    text = details("PV", long, Look(), Dbr.LONG)
    assert "Value:            0 0\n" in text
    assert "Hi warn limit:          10\n" in text


def test_text_is_one_line_and_what_was_typed() -> None:
    assert escaped(b'tab\there "q" \x1b[2J \xff\n\0garbage') == (
        r"tab\there \"q\" \x1b[2J \xff\n"
    )
    assert escaped("20 µm é".encode()) == "20 µm é"
    assert unescaped(r"a\tb \x41\x4142 \\ \"q\" \z \101 end\ "[:-1]) == (
        b'a\tb AA42 \\ "q" z 101 end'
    )


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"0")))
@settings(deadline=None)
def test_escaped_text_comes_back(raw: bytes) -> None:
    text = escaped(raw)
    assert text.isprintable() or not raw.decode(errors="replace").isprintable()
    assert unescaped(text) == raw


def at(seconds: int) -> Value:
    return Value(Dbr.TIME_LONG, 1, bytes(4), seconds=seconds)


@pytest.mark.parametrize(
    ("kinds", "columns"),
    [
        ("r", ["", "", "+3.000000", "+4.000000"]),
        ("rs", ["", "", "+3.000000", "+4.000000"]),
        ("i", ["", "", "+2.000000", "+1.000000"]),
        ("Is", ["", "", "+3.000000", "+3.000000"]),
    ],
)
def test_relative_time_stamps(kinds: str, columns: list[str]) -> None:
    stamps = Stamps(set(kinds))
    updates = [("one", 5), ("two", 6), ("one", 8), ("two", 9)]
    shown = [stamps.text(name, at(seconds), 0) for name, seconds in updates]
    # the first of each PV says what the others are relative to
    assert shown[:2] == [stamp(at(5)), stamp(at(6))]
    assert [text.strip() for text in shown[2:]] == columns[2:]
    assert all(len(text) == 26 for text in shown)


def test_time_stamps_of_both_sides() -> None:
    both = Stamps(set("scI"))
    assert both.text("PV", at(5), 10**18) == f"{stamp(at(5))}({moment(10**18)})"
    assert both.text("PV", at(6), 10**18 + 10**9).split() == [
        *("+1.000000", "(", "+1.000000)")
    ]
    assert Stamps({"n"}).text("PV", at(5), 0) == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [("DBR_TIME_DOUBLE", 20), ("ctrl_int", 29), ("38", 38), ("STSACK_STRING", 37)],
)
def test_names_of_types(text: str, code: int) -> None:
    assert parse_type(text) == code
    for unknown in ("DBR_FANCY", "39", "PUT_ACKT"):
        with pytest.raises(BadValue, match="no DBR type to read such as"):
            parse_type(unknown)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), ("0x10", 16), ("-inf", -math.inf), ("on", None), ("", None)],
)
def test_numbers_of_states(text: str, value: float | None) -> None:
    assert number(text) == value


# ---- with an IOC


def run(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def values(ioc: CIoc) -> CIoc:
    with Client(ioc.config) as client:
        names = ["T:ao", "T:long", "T:enum", "T:string", "T:longs"]
        channels = client.connect_many(names)
        client.put_many(channels, [7.25, 18, 1, "hello", [1, 2, 3]], wait=True)
        client.connect("T:char").put(list(b"some text"), wait=True)
    return ioc


@pytest.mark.peer
@pytest.mark.usefixtures("values")
def test_caget() -> None:
    assert run(caget, "T:ao").output == f"{'T:ao':<30} 7.25\n"
    assert run(caget, "-t", "T:enum").output == "one\n"
    assert run(caget, "-t", "-n", "T:enum").output == "1\n"
    assert run(caget, "-t", "T:string", "T:long").output == "hello\n18\n"
    assert run(caget, "-t", "-0x", "T:long").output == "0x12\n"
    assert run(caget, "-t", "-lx", "T:ao").output == "0x7\n"
    assert run(caget, "-t", "-f", "1", "T:ao").output in ("7.2\n", "7.3\n")
    assert run(caget, "-t", "-s", "T:ao").output == "7.250\n"
    assert run(caget, "T:longs").output.split() == ["T:longs", "3", "1", "2", "3"]
    assert run(caget, "-t", "-#", "2", "T:longs").output == "2 1 2\n"
    assert run(caget, "-t", "-S", "T:char").output == "some text\n"
    assert run(caget, "-F", ",", "T:longs").output == "T:longs,3,1,2,3\n"
    # names of arrays are not filled up, and `-#` shows the count of what is one
    assert run(caget, "-#", "2", "T:longs").output == "T:longs 2 1 2\n"
    assert run(caget, "-#", "2", "T:ao").output == f"{'T:ao':<30} 1 7.25\n"
    assert run(caget, "-t", "-s", "-n", "T:enum").output == "1\n"
    assert run(caget, "-t", "-s", "T:longs").output == "3 1 2 3\n"
    wide = run(caget, "-a", "T:ao").output.split()
    assert wide[0] == "T:ao" and wide[3:] == ["7.25", "HIGH", "MINOR"]
    # there are as many columns without an alarm
    assert re.fullmatch(r"T:long,.*,18,,\n", run(caget, "-aF", ",", "T:long").output)
    assert "DBR_CTRL_DOUBLE" in run(caget, "-d", "CTRL_DOUBLE", "T:ao").output
    assert "mbbo" in run(caget, "-d", "38", "T:enum").output


@pytest.mark.peer
@pytest.mark.usefixtures("values")
def test_commands_and_what_is_not_there() -> None:
    result = run(caget, "-w", "0.1", "T:nothing", "T:ao")
    assert result.exit_code == 1
    assert "T:nothing' not found" in result.output
    assert "Not connected (PV not found)" in result.output and "7.25" in result.output
    assert run(caput, "-w", "0.1", "T:nothing", "1").exit_code == 1
    assert run(cainfo, "-w", "0.1", "T:nothing").exit_code == 1


@pytest.mark.peer
def test_caput(values: CIoc) -> None:
    output = run(caput, "T:ao", "-3.5").output.splitlines()
    assert [row.split() for row in output] == [
        ["Old", ":", "T:ao", "7.25"],
        ["New", ":", "T:ao", "-3.5"],
    ]
    assert run(caput, "-t", "-c", "T:enum", "two").output == "two\n"
    assert run(caput, "-t", "T:enum", "0").output == "zero\n"
    assert run(caput, "-t", "-n", "T:enum", "1").output == "1\n"
    assert run(caput, "-t", "-a", "T:longs", "2", "8", "9").output == "2 8 9\n"
    assert run(caput, "-t", "-S", "T:char", "long text").exit_code == 0
    assert run(caget, "-t", "-S", "T:char").output == "long text\n"
    assert "HIGH" in run(caput, "-l", "-c", "T:ao", "7.5").output
    assert run(caput, "-t", "-a", "T:float", "2", "inf", "-inf").output == (
        "2 inf -inf\n"
    )
    assert run(caput, "-t", "T:ao", "-inf").output == "-9\n"
    assert run(caput, "-t", "T:string", "two", " words").output == "two  words\n"
    assert run(caput, "-t", "T:string", r"tab\t\x41").output == r"tab\tA" + "\n"
    assert run(caput, "-t", "T:string", "-c").output == "-c\n"
    assert run(caput, "-t", "-S", "T:enum", "1.0").output == "one\n"
    # as many as there are, whatever the count says
    assert run(caput, "-t", "-a", "T:longs", "1", "8", "-9").output == "2 8 -9\n"


@pytest.mark.peer
@pytest.mark.usefixtures("values")
@pytest.mark.parametrize("completion", [[], ["-c"]])
def test_caput_says_what_was_not_written(completion: list[str]) -> None:
    for pv, text in (("T:ao", "abc"), ("T:long", "99999999999"), ("T:ao.NAME", "x")):
        refused = run(caput, *completion, pv, text)
        assert refused.exit_code == 1
        assert f"{pv} was not written: " in refused.output
    assert run(caget, "-t", "T:ao", "T:long").output == "7.25\n18\n"
    with pytest.raises(BadValue, match="no state of T:enum, which are zero, one, two"):
        run(caput, *completion, "T:enum", "nonsense")
    with pytest.raises(BadValue, match="'2' is no state of T:enum"):
        run(caput, *completion, "-s", "T:enum", "2")
    with pytest.raises(BadValue, match="'x' is not the number of elements"):
        run(caput, *completion, "-a", "T:longs", "x", "1")
    assert "has no state 9" in run(caput, *completion, "T:enum", "9").output


@pytest.mark.peer
def test_cainfo(values: CIoc) -> None:
    assert run(cainfo, "T:longs", "T:ao.NAME").output.splitlines()[:7] == [
        "T:longs",
        "    State:            connected",
        f"    Host:             127.0.0.1:{values.port}",
        "    Access:           read, write",
        "    Native data type: DBF_LONG",
        "    Request type:     DBR_LONG",
        "    Element count:    100",
    ]
    assert "read, no write" in run(cainfo, "T:ao.NAME").output


@pytest.mark.peer
@pytest.mark.usefixtures("values")
def test_camonitor(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def show(text: str) -> None:
        """Write once all is shown, and stop once that is."""
        shown.append(text)
        both = {row.split()[0] for row in shown} == {"T:ao", "T:enum"}
        if shown[-1].split()[3] == "1.25":
            raise KeyboardInterrupt
        if both:
            write("T:ao", 1.25, timeout=30)

    with monkeypatch.context() as patch:
        patch.setattr("beamfly.cli.ca_monitor.say", show)
        run(camonitor, "--duration", "30", "T:ao", "T:enum")
    rows = [row.split() for row in shown]
    ao = [row for row in rows if row[0] == "T:ao"]
    assert [row[3] for row in ao] == ["7.25", "1.25"]
    assert ao[0][4:] == ["HIGH", "MINOR"] and len(ao[1]) == 4
    assert any(row[0] == "T:enum" and row[3] == "one" for row in rows)

    def once(text: str) -> None:
        shown.append(text)
        raise KeyboardInterrupt

    for kind in ("n", "r", "i", "I", "cs"):
        with monkeypatch.context() as patch:
            patch.setattr("beamfly.cli.ca_monitor.say", once)
            run(camonitor, "-t", kind, "--duration", "30", "T:ao")
        assert "T:ao" in shown[-1]
    result = run(camonitor, "--duration", "0.1", "-w", "0.05", "T:nothing")
    assert result.exit_code == 0
    assert result.output == f"{'T:nothing':<30} *** Not connected (PV not found)\n"
    for option in (["-m", "x"], ["-m", ""], ["-t", "q"]):
        with pytest.raises(BadValue, match="not made of the letters"):
            run(camonitor, *option, "T:ao")


@pytest.mark.peer
def test_doctor(values: CIoc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca_doctor, "TCP_SECONDS", 20.0)
    write("T:ao", 1.25, notify=True, timeout=30)
    result = run(ca, "doctor", "-w", "30", "T:ao")
    assert result.exit_code == 0, result.output
    assert f"127.0.0.1:{values.port} has T:ao" in result.output
    assert "value 1.25" in result.output and "may be written" in result.output
    write("T:ao", 9, notify=True, timeout=30)
    assert "in alarm: HIHI MAJOR" in run(ca, "doctor", "-w", "30", "T:ao").output
    result = run(ca, "doctor", "-w", "0.3", "T:nothing")
    assert result.exit_code == 1
    assert "nobody has T:nothing" in result.output
    assert "a server listens there, without this PV" in result.output
    result = run(ca, "doctor", "-w", "0.3", "T:ao.NONSENSE")
    assert result.exit_code == 1
    assert "T:ao has no field NONSENSE" in result.output
    monkeypatch.setattr(ca_doctor, "FIELD_SECONDS", 20.0)
    write("T:long.DISP", 1, notify=True, timeout=30)
    result = run(ca, "doctor", "-w", "30", "T:long")
    write("T:long.DISP", 0, notify=True, timeout=30)
    assert result.exit_code == 1
    assert "it refuses all puts (field DISP of the record)" in result.output
    assert "refuses" not in run(ca, "doctor", "-w", "30", "T:long").output
    dead = free_port()
    with monkeypatch.context() as patch:
        patch.setenv("EPICS_CA_ADDR_LIST", "")
        patch.setenv("EPICS_CA_NAME_SERVERS", f"127.0.0.1:{dead}")
        result = run(ca, "doctor", "-w", "0.3", "T:ao")
    assert result.exit_code == 1
    assert "no name server knows T:ao; these were asked over TCP:" in result.output
    assert f"127.0.0.1:{dead}  nothing over TCP: Connection refused" in result.output
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{free_port()} nohost.invalid")
    result = run(ca, "doctor", "-w", "0.3", "T:ao")
    assert "nothing over TCP" in result.output
    assert "nohost.invalid" in result.output and "cannot be resolved" in result.output


def in_a_process(
    *words: str, port: int, out: Any = subprocess.PIPE, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """`beamfly` as a shell starts it."""
    settings = {
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "beamfly", *words],
        env={**os.environ, **settings},
        stdout=out,
        stderr=subprocess.PIPE,
        timeout=50,
    )


def test_terminals_that_cannot_show_it_and_full_disks() -> None:
    config = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    with serve_in_thread({"T:x": "3 µm"}, config=config, port=0) as server:
        words = ("caget", "-w", "30", "-t", "T:x")
        ascii_only = in_a_process(*words, port=server.port, PYTHONIOENCODING="ascii")
        assert (ascii_only.returncode, ascii_only.stderr) == (0, b"")
        assert ascii_only.stdout.strip() == rb"3 \xb5m"
        always_full = Path("/dev/full")
        if always_full.exists():
            with always_full.open("wb") as full:
                said = in_a_process(*words, port=server.port, out=full)
            assert said.returncode == 1 and b"Traceback" not in said.stderr
            assert said.stderr.startswith(b"Error: ") and b"No space" in said.stderr


@contextmanager
def listening(greeting: bytes | None) -> Iterator[int]:
    """Something else on a TCP port: it says a word to whoever connects, or nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as peer:
                if greeting is not None:
                    peer.sendall(greeting)
                while peer.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("greeting", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak Channel Access"),
        (None, "something that says nothing, or an IOC that hangs"),
    ],
)
def test_doctor_says_that_a_port_is_taken(
    greeting: bytes | None, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ca_doctor, "TCP_SECONDS", 0.2 if greeting is None else 20.0)
    with listening(greeting) as port:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{port}")
        result = run(ca, "doctor", "-w", "0.2", "T:ao")
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}  the port is taken by" in result.output
    assert sentence in result.output


def test_doctor_tells_of_a_port_that_the_server_had_to_give_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    config = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    with (
        serve_in_thread({"one": 1.5}, config=config, port=port),
        serve_in_thread({"two": 2.5}, config=config, port=port) as second,
    ):
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{port}")
        assert second.port != port
        # what nobody answers is given up early, and what is served has time
        results = [run(ca, "doctor", "-w", "1", name) for name in ("one", "two")]
        if not any(result.exit_code == 0 for result in results):
            results = [run(ca, "doctor", "-w", "20", name) for name in ("one", "two")]
    outputs = [result.output for result in results if result.exit_code == 0]
    # both listen to the same UDP port, of which the kernel serves one of them
    assert outputs
    for output in outputs:
        elsewhere = f"port {port} there is taken by another server" in output
        assert elsewhere == (f"127.0.0.1:{second.port} has two" in output)


@pytest.mark.peer
def test_doctor_asks_again(values: CIoc, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, lost = ca_doctor._ask, list[int]()

    def lose_the_first(*arguments: Any) -> None:
        if lost:
            ask(*arguments)
        lost.append(1)

    monkeypatch.setattr(ca_doctor, "_ask", lose_the_first)
    result = run(ca, "doctor", "-w", "30", "T:enum")
    assert result.exit_code == 0 and "has T:enum" in result.output


def test_doctor_says_who_is_denied_what(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    rules = AccessRules(Rule(rights=Access.READ), Rule("secret", rights=Access.NONE))
    pvs = {"one": 1.5, "secret": 2.5}
    with serve_in_thread(pvs, config=config, port=0, access=rules) as server:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{server.port}")
        readable, secret = (run(ca, "doctor", "-w", "30", name) for name in pvs)
    who = f"the server does not let user {getpass.getuser()} on host"
    assert readable.exit_code == 0 and "may be read" in readable.output
    assert f"is read-only: {who}" in readable.output
    assert secret.exit_code == 1
    assert f"BAD   access denied: {who}" in secret.output
    assert "access security decides" in secret.output


@pytest.mark.parametrize("name", ["", "T:\udcff", "x" * 501])
def test_doctor_asks_for_names_only(name: str) -> None:
    with pytest.raises(BadValue, match="cannot be the name of a PV"):
        run(ca, "doctor", name)


def test_doctor_knows_the_networks_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = [IPv4Interface("10.1.2.3/24")]
    for host in ("10.1.2.255", "127.0.0.1"):
        ca_doctor._foreign(host, mine)
    assert capsys.readouterr().out == ""
    ca_doctor._foreign("10.9.9.255", mine)
    text = capsys.readouterr().out
    assert "10.9.9.255 is in no network of this machine, which has 10.1.2.3/24" in text
    assert "broadcasts do not get there" in text
    ca_doctor._foreign("10.9.9.7", mine)
    assert "does the way there let UDP through" in capsys.readouterr().out
    for network in sockets.networks():
        assert network.ip in network.network and not network.is_loopback
