"""`beamfly sim`, as a user calls it."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from beamfly.ca import Client, Config
from beamfly.cli.group import main
from beamfly.scan import (
    AsyncScanClient,
    CommandSequence,
    Log,
    Loop,
    Set,
    createTable,
)
from beamfly.sim import SimulatedBeamline

FREE = "--control-port 0 --data-port 0 --ca-port 0 --scan-port 0".split()
PATIENCE = 30.0


@pytest.fixture
def served() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The process, and what it said until everything was up."""
    command = [sys.executable, "-m", "beamfly", "sim", *FREE, "--motors", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        try:
            yield process, said
        finally:
            process.kill()
            process.wait(PATIENCE)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


# a new process that imports everything, on a machine that may be busy
@pytest.mark.timeout(200)
async def test_everything_is_where_it_says_and_ctrl_c_ends_it(
    served: tuple["subprocess.Popen[str]", str],
) -> None:
    process, said = served
    assert "BL:x " in said
    assert "BL:m1 " in said
    assert "BL:m2" not in said
    with socket.create_connection(
        ("127.0.0.1", int(found(r"control port (\d+)", said))), PATIENCE
    ) as control:
        control.sendall(b"*IDN?\n")
        assert control.recv(1000).startswith(b"OK =PandA")
    address = ("127.0.0.1", int(found(r"EPICS_CA_ADDR_LIST=127.0.0.1:(\d+)", said)))
    async with Client(Config(addresses=(address,), auto_addresses=False)) as client:
        reading = await client.channel("BL:m1.DESC").read(timeout=PATIENCE)
        assert reading.value == "motor 1"
    url = found(r"Scan server at (\S+)", said)
    async with httpx.AsyncClient() as http:
        reply = await http.get(f"{url}/server/info", timeout=PATIENCE)
    assert reply.status_code == 200
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE)
    assert rest == "stopped\n"
    assert process.returncode == 0


def sim(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["sim", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_parts_can_be_left_out() -> None:
    few = ["--no-ioc", "--no-scan-server", "--sweep", "2", "--seconds", "0.2"]
    output = sim(*FREE, *few)
    assert "PandA on 127.0.0.1" in output
    assert "IOC" not in output
    assert "Scan server" not in output
    assert output.endswith("stopped\n")


def test_names_are_listed_without_serving() -> None:
    output = sim("--list", "--prefix", "XF:", "--motors", "40")
    assert output.count("  motor     ") == 46
    assert "XF:m40 " in output
    assert "PandA" not in output


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("--control-port", "no PandA can be simulated"),
        ("--ca-port", "the simulated IOC was not started"),
        ("--scan-port", "scan server cannot listen"),
    ],
)
def test_a_port_that_is_taken(option: str, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["sim", *FREE, option, port])
    assert result.exit_code == 1
    assert part in result.output
    assert port in result.output
    assert f"choose another with {option}" in result.output


def test_a_port_that_there_is_not() -> None:
    result = CliRunner().invoke(main, ["sim", "--control-port", "80000"])
    assert result.exit_code == 2
    assert "0<=x<=65535" in result.output


async def test_scans_drive_the_motors_that_the_panda_sees() -> None:
    with SimulatedBeamline(ioc_port=0, scan_port=0, motors=0) as beamline:
        commands = CommandSequence(
            Set("BL:x.VELO", 50.0),
            Loop(
                "BL:x",
                *(0.0, 1.0, 0.5),
                [
                    Set("BL:scaler.TP", 0.02),
                    Set("BL:scaler.CNT", 1, completion=True),
                    Log("BL:x.RBV", "BL:scaler.S2"),
                ],
                completion=True,
            ),
        )
        port = beamline.scan_server.port
        async with AsyncScanClient("127.0.0.1", port) as client:
            scan = await client.submit(commands, "test")
            info = await client.waitUntilDone(scan, timeout=PATIENCE)
            data = await client.getData(scan)
        assert info.state == "Finished"
        places, counts = createTable(data, "BL:x.RBV", "BL:scaler.S2")
        assert places == [0.0, 0.5, 1.0]
        assert counts == pytest.approx([20000] * 3, rel=0.01)
        assert beamline.panda.ask("INENC1.VAL?") == ["OK =10000"]


def test_a_beamline_without_a_scan_server_says_so() -> None:
    with SimulatedBeamline() as plain, pytest.raises(RuntimeError, match="scan_port"):
        print(plain.scan_server)
