"""`beamfly panda` against a simulated PandA."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from beamfly.cli.group import main
from beamfly.cli.panda import check_scheme
from beamfly.cli.panda_console import Completions
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import Get, Put
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread
from drive import IDN, Peer, scripted

EDGES = ["Either", "Falling", "Rising"]


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    with serve_in_thread(control_port=0, data_port=0) as sim:
        yield sim


@pytest.fixture
def client(sim: SimulatedPandA) -> Iterator[BlockingClient]:
    with BlockingClient(sim.host, sim.control_port, sim.data_port) as client:
        yield client


def run(
    sim: SimulatedPandA, command: str, *args: str, stdin: str | None = None
) -> Result:
    arguments = ["panda", command, sim.host, "--port", str(sim.control_port), *args]
    return CliRunner().invoke(main, arguments, input=stdin)


def test_info(sim: SimulatedPandA, client: BlockingClient) -> None:
    client.send(Put("COUNTER1.OUT.CAPTURE", "Min Max"))
    result = run(sim, "info")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "Server    4.1"
    assert "PCAP      Idle, 0 samples captured, Ok" in lines
    assert "Clients   2 for control" in lines
    assert "Captured  COUNTER1.OUT Min Max" in lines
    assert "          COUNTER         8  Up/down pulse counter" in lines


def test_info_without_captures(sim: SimulatedPandA) -> None:
    assert "Captured  nothing\n" in run(sim, "info").output


def test_save_and_load(
    sim: SimulatedPandA, client: BlockingClient, tmp_path: Path
) -> None:
    client.send(
        [
            Put("PULSE1.WIDTH.UNITS", "ms"),
            Put("PULSE1.WIDTH", 1.5),
            Put("SEQ1.TABLE", [1, 2, 3, 4]),
            Put("*METADATA.LAYOUT", ["one", "two"]),
            Put("COUNTER1.OUT.UNITS", "µm"),
        ]
    )
    path = tmp_path / "panda.sav"
    assert run(sim, "save", str(path)).exit_code == 0
    saved = path.read_text("utf-8")
    client.send(
        [
            Put("PULSE1.WIDTH.UNITS", "s"),
            Put("PULSE1.WIDTH", 7),
            Put("SEQ1.TABLE", []),
            Put("*METADATA.LAYOUT", []),
            Put("COUNTER1.OUT.UNITS", ""),
        ]
    )
    result = run(sim, "load", str(path))
    assert (result.exit_code, result.output) == (0, "")
    assert client.send(
        [
            Get("PULSE1.WIDTH"),
            Get("SEQ1.TABLE"),
            Get("*METADATA.LAYOUT"),
            Get("COUNTER1.OUT.UNITS"),
        ]
    ) == ["1.5", ["1", "2", "3", "4"], ["one", "two"], "µm"]
    assert run(sim, "save", "-").output == saved


def test_load_lists_what_is_refused(sim: SimulatedPandA) -> None:
    settings = "FOO.BAR=1\nCOUNTER1.START=3\nCOUNTER1.OUT=5\n"
    result = run(sim, "load", "-", stdin=settings)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "ERROR: The PandA refused to restore FOO.BAR=1: ERR No such block",
        "ERROR: The PandA refused to restore COUNTER1.OUT=5: ERR Field not writeable",
        f"Error: {sim.host} refused 2 of 3 settings; the other 1 restored",
    ]


def test_load_junk(sim: SimulatedPandA) -> None:
    result = run(sim, "load", "-", stdin="no settings\nat all\n")
    assert result.exit_code == 1
    says = f"Error: {sim.host} refused 2 of 2 settings; nothing was restored"
    assert result.output.splitlines()[-1] == says


def test_load_nothing(sim: SimulatedPandA) -> None:
    result = run(sim, "load", "-", stdin="\n\n")
    assert result.exit_code == 1
    assert "holds no settings; nothing was sent" in result.output


def test_the_tutorial_is_valid(sim: SimulatedPandA, client: BlockingClient) -> None:
    result = run(sim, "load", "--tutorial")
    assert (result.exit_code, result.output) == (0, "")
    assert client.send(Get("COUNTER2.OUT.CAPTURE")) == "Min Max Mean"
    assert client.send(Get("SEQ1.PRESCALE")) == "1"
    assert client.send(Get("SEQ1.TABLE")) == ["1048577", "0", "500", "500"]


@pytest.mark.parametrize("args", [[], ["-", "--tutorial"]])
def test_load_what(sim: SimulatedPandA, args: list[str]) -> None:
    result = run(sim, "load", *args)
    assert result.exit_code == 2
    assert "Give either INFILE or --tutorial." in result.output


def test_load_something_that_is_no_text(sim: SimulatedPandA, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    path.write_bytes(b"\x89HDF\r\n\xff")
    result = run(sim, "load", str(path))
    assert result.exit_code == 1
    assert "is not a file of settings" in result.output


def test_save_where_nothing_can_be_written(sim: SimulatedPandA, tmp_path: Path) -> None:
    result = run(sim, "save", str(tmp_path / "none" / "panda.sav"))
    assert result.exit_code == 1
    assert "No such file or directory" in result.output


def test_control_takes_lines(sim: SimulatedPandA) -> None:
    typed = "*ECHO hello?\nSEQ1.TABLE<\n1 2 3 4\n\nSEQ1.TABLE?\n\n" + "x" * 2000
    result = run(sim, "control", stdin=typed)
    # two of four were refused, which a script is told
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[:8] == [
        "OK =hello",
        "OK",
        *("!1", "!2", "!3", "!4", "."),
        "ERR Unknown command",
    ]
    assert lines[8].endswith("is 2000 bytes long, a PandA takes 1022; nothing was sent")
    assert lines[9] == "Error: 2 commands were refused, as printed above"


def test_control_ends_well_when_nothing_was_refused(sim: SimulatedPandA) -> None:
    result = run(sim, "control", stdin="*ECHO hello?\n")
    assert (result.exit_code, result.output) == (0, "OK =hello\n")


def test_control_does_not_send_half_a_table(sim: SimulatedPandA) -> None:
    result = run(sim, "control", stdin="*ECHO hello?\nSEQ1.TABLE<\n1 2 3 4\n")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "OK =hello",
        "Error: SEQ1.TABLE< has no empty line at its end; it was not sent",
    ]


@pytest.mark.parametrize("port", ["0", "65536", "74424"])
def test_ports_that_there_are_not(port: str) -> None:
    result = CliRunner().invoke(main, ["panda", "info", "127.0.0.1", "--port", port])
    assert result.exit_code == 2
    assert "1<=x<=65535" in result.output


@pytest.mark.parametrize("command", [["info"], ["save", "-"], ["control"]])
def test_no_panda_there(command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    name, *rest = command
    arguments = ["panda", name, "127.0.0.1", "--port", port, *rest]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: The control port of PandA 127.0.0.1:{port} cannot")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("PCAP.TRI", ["PCAP.TRIG", "PCAP.TRIG_EDGE"]),
        ("COUNTER", [f"COUNTER{n}" for n in range(1, 9)]),
        ("COUNTER1.TRIG_", ["COUNTER1.TRIG_EDGE"]),
        ("SFP3_SYNC_I", ["SFP3_SYNC_IN"]),
        ("PCAP.TRIG_EDGE.", ["PCAP.TRIG_EDGE.INFO"]),
        ("PULSE1.WIDTH.U", ["PULSE1.WIDTH.UNITS"]),
        ("PCAP.TRIG_EDGE=", [f"PCAP.TRIG_EDGE={edge}" for edge in EDGES]),
        ("PULSE1.WIDTH.UNITS=m", [f"PULSE1.WIDTH.UNITS={u}" for u in ("min", "ms")]),
        ("PULSE1.PULSES=", []),
        ("NONE.OF", []),
        ("NONE.OF=", []),
        ("*PCAP.C", ["*PCAP.CAPTURED?", "*PCAP.COMPLETION?"]),
        ("*DESC.LU", ["*DESC.LUT"]),
        ("*ENUMS.LUT.INPA", ["*ENUMS.LUT.INPA"]),
        ("*METADATA.LABEL_CALC", [f"*METADATA.LABEL_CALC{n}" for n in (1, 2)]),
        ("*CHANGES.C", ["*CHANGES.CONFIG?", "*CHANGES.CONFIG="]),
        ("*WHO", ["*WHO?"]),
    ],
)
def test_completion(client: BlockingClient, typed: str, expected: list[str]) -> None:
    assert list(Completions(client.send).matches(typed)) == expected


def capture(sim: SimulatedPandA, scheme: Path, *args: str) -> Result:
    ports = ["--data-port", str(sim.data_port)]
    return run(sim, "hdf", str(scheme), *ports, *args)


def test_hdf(sim: SimulatedPandA, client: BlockingClient, tmp_path: Path) -> None:
    run(sim, "load", "--tutorial")
    client.send([Put("SEQ1.REPEATS", 20), Put("COUNTER3.OUT.CAPTURE", "No")])
    result = capture(sim, tmp_path / "scan%d.h5", "--arm", "--num", "2")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"{tmp_path}/scan{number}.h5: 20 rows, Ok" for number in (1, 2)
    ]
    for number in (1, 2):
        with h5py.File(tmp_path / f"scan{number}.h5") as file:
            counts = file["COUNTER1.OUT.Max"][()]
            assert len(counts) == 20
            # 1 ms between rows, 10 us between counts
            assert set(np.diff(counts)) == {100}
            assert "COUNTER3.OUT.Max" not in file


def test_hdf_shows_the_time_left_at_a_terminal(
    sim: SimulatedPandA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "250")
    run(sim, "load", "--tutorial")
    result = capture(sim, tmp_path / "scan.h5", "--arm", "--rows", "1000")
    assert result.exit_code == 0, result.output
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.output)
    assert f"acquisition 1 of 1: {tmp_path}/scan.h5" in text.replace("\n", "")
    assert re.search(
        r"[1-9][\d,]* rows, [\d,]+ rows/s, \d\.\d MB/s, 0 missed, \d+ s left", text
    )
    assert f"{tmp_path}/scan.h5: 1000 rows, Ok" in result.output


def test_hdf_where_nothing_can_be_written(sim: SimulatedPandA, tmp_path: Path) -> None:
    run(sim, "load", "--tutorial")
    result = capture(sim, tmp_path / "none" / "scan%d.h5", "--arm")
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: cannot create {tmp_path}/none/scan1.h5")
    assert sim.ask("*PCAP.STATUS?") == ["OK =Idle 0 0"]


def test_hdf_with_nothing_to_capture(sim: SimulatedPandA, tmp_path: Path) -> None:
    result = capture(sim, tmp_path / "scan%d.h5", "--arm")
    assert result.exit_code == 1
    assert "ERR Nothing configured for capture" in result.output


def test_hdf_needs_a_number(sim: SimulatedPandA, tmp_path: Path) -> None:
    result = capture(sim, tmp_path / "scan.h5", "--num", "2")
    assert result.exit_code == 2
    assert "needs one %d" in result.output


def test_hdf_counts_up(sim: SimulatedPandA, tmp_path: Path) -> None:
    assert capture(sim, tmp_path / "%d.h5", "--num", "-1").exit_code == 2


def test_file_names_by_number() -> None:
    assert check_scheme("/data/a%03d.h5", 2)(7) == Path("/data/a007.h5")
    assert check_scheme("/data/a.h5", 1)(1) == Path("/data/a.h5")


@pytest.mark.parametrize("scheme", ["/data/a.h5", "/data/%s%d", "/data/%q", "a%"])
def test_file_names_that_do_not_count(scheme: str) -> None:
    with pytest.raises(click.UsageError, match="SCHEME"):
        check_scheme(scheme, 2)


def test_a_panda_that_goes_away_during_the_console() -> None:
    with Peer(scripted([IDN, (b"A?\n", b"OK =1\n")], stay=False)) as peer:
        arguments = ["panda", "control", "127.0.0.1", "--port", str(peer.port)]
        result = CliRunner().invoke(main, arguments, input="A?\nB?\nC?\n")
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first == "OK =1"
    assert second.startswith(f"Error: PandA 127.0.0.1:{peer.port} closed the control")
