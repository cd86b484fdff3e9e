"""What a fresh process imports: a script waits for what it uses, and nothing else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from beamfly.ca.config import Config
from beamfly.ca.pv import PV
from beamfly.ca.server_thread import serve_in_thread


def environment(port: int) -> dict[str, str]:
    """Of clients that look for PVs on a port."""
    found = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    return {**os.environ, **found, "EPICS_CLI_TIMEOUT": "30"}


def process(
    command: list[str], port: int = 9, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """The end of a Python whose clients look for PVs on a port."""
    return subprocess.run(
        [sys.executable, *command],
        env=environment(port),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=50,
    )


def imported(code: str, port: int = 9) -> tuple[str, set[str]]:
    """What some code prints, and the modules that the process has then."""
    script = f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = process(["-c", script], port)
    assert done.returncode == 0, done.stderr
    *lines, modules = done.stdout.splitlines(keepends=True)
    return "".join(lines), set(json.loads(modules))


@pytest.mark.parametrize(
    "names",
    [
        "caget, caput, camonitor, cainfo, connect",
        "ca_int, ca_float, ca_str, ca_bytes",
        "Client",
    ],
)
def test_names_that_do_without_numpy(names: str) -> None:
    modules = imported(f"from beamfly.ca import {names}")[1]
    assert modules.isdisjoint({"numpy", "click"})
    assert "beamfly.ca" in modules


def test_python_types_mean_what_numpy_says_of_them() -> None:
    import numpy

    from beamfly.ca.datatypes import _NUMPY, _PYTHON

    for kind, code in _PYTHON.items():
        assert _NUMPY[numpy.dtype(kind).char] is code


# ---- clients


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("import beamfly.ca", {"asyncio", "socket", "struct", "beamfly.ca.dbr"}),
        ("from beamfly.ca.asyncio import Client", {"dataclasses", "getpass"}),
        ("from beamfly.ca import caget", {"dataclasses", "getpass"}),
        (
            "from beamfly.ca.blocking import Client",
            {"dataclasses", "getpass", "asyncio", "threading", "beamfly.ca.session"},
        ),
        (
            "from beamfly.epics import caget",
            {"dataclasses", "getpass", "multiprocessing", "pathlib"},
        ),
    ],
)
def test_clients_import_what_they_use(code: str, without: set[str]) -> None:
    before = imported("pass")[1]
    found = imported(code)[1] - before
    assert found.isdisjoint(without | {"numpy", "click", "beamfly.ca.runs"})
    assert "beamfly.ca" in found


READ = """
from beamfly.ca.blocking import Client
with Client() as client:
    channels = client.connect_many([f"n{n}" for n in range(1000)], 30)
    print(sum(client.get_many(channels, 30)))
"""
WATCH = """
import asyncio
from beamfly.ca.asyncio import Client
async def main():
    seen = set()
    done = asyncio.Event()
    def told(value, *alarm):
        seen.add(value)
        if len(seen) == 1000:
            done.set()
    async with asyncio.timeout(30), Client() as client:
        for channel in await client.connect_many([f"n{n}" for n in range(1000)], 30):
            channel.monitor(told)
        await done.wait()
    print(sum(seen))
asyncio.run(main())
"""


@pytest.mark.parametrize("code", [READ, WATCH])
def test_a_thousand_values_are_not_worth_numpy(code: str, port: int) -> None:
    printed, modules = imported(code, port)
    assert float(printed) == 499500
    assert "numpy" not in modules


FLOOD = """
import asyncio, sys, threading
from beamfly.ca import columns
from beamfly.ca.asyncio import Client
columns.WORTH = 100
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "numpy":
            print(threading.current_thread() is threading.main_thread())
sys.meta_path.insert(0, Finder)
async def main():
    async with asyncio.timeout(30), Client() as client:
        channels = await client.connect_many([f"n{n}" for n in range(1000)], 30)
        while "numpy" not in sys.modules:
            await client.get_many(channels)
asyncio.run(main())
"""


def test_numpy_that_pays_is_imported_while_the_loop_goes_on(port: int) -> None:
    assert imported(FLOOD, port)[0] == "False\n"


# ---- tools

SLOW = {"numpy", "click", "logging", "asyncio", "dataclasses", "inspect"}
"""What takes as long as one read, or longer."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    pvs = {
        "double": PV(2.5),
        "text": PV("hello"),
        "choice": PV("Busy", states=("Idle", "Busy")),
        "first": PV("Busy", states=("Idle", "Busy")),
        "second": PV("Idle", states=("Idle", "Busy")),
        "trace": PV([1.0, 2.0, 3.0]),
        **{f"n{n}": PV(float(n)) for n in range(1000)},
    }
    config = Config(cas_beacon_addresses=(("127.0.0.1", 9),))
    with serve_in_thread(pvs, config=config, port=0) as server:
        yield server.port


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("caget double", ["double 2.5"]),
        ("caget -t text choice", ["hello", "Busy"]),
        ("caget -n choice", ["choice 1"]),
        ("caget -# 2 trace", ["trace 2 1 2"]),
        ("ca get -t trace", ["3 1 2 3"]),
        ("ca put -c first Idle", ["Old : first Busy", "New : first Idle"]),
        ("caput second 1", ["Old : second Idle", "New : second Busy"]),
    ],
)
def test_tools_start_without_numpy_and_click(
    words: str, lines: list[str], port: int
) -> None:
    code = f"from beamfly.cli import main; main({words.split()})"
    printed, modules = imported(code, port)
    assert [" ".join(line.split()) for line in printed.splitlines()] == lines
    assert modules.isdisjoint(SLOW)


@pytest.mark.parametrize(
    ("words", "code", "out", "error"),
    [
        ("caget -h", 0, "beamfly caget [OPTIONS] PVS...", ""),
        ("ca get -h", 0, "beamfly ca get [OPTIONS] PVS...", ""),
        ("caget -Z double", 2, "", "No such option"),
        ("caget -w x double", 2, "", "'x' is no number of seconds from 0 on"),
        ("caget -p 100 double", 2, "", "100 is not in the range 0<=x<=99"),
        (
            "caget -d FANCY double",
            1,
            "",
            "Error: 'FANCY' is no DBR type to read such as",
        ),
        ("caget -w 0.1 nothing", 1, "Not connected", "'nothing' not found"),
        ("caput double", 2, "", "Missing argument 'VALUES...'"),
    ],
)
def test_tools_end_with_sentences_and_codes(
    words: str, code: int, out: str, error: str, port: int
) -> None:
    done = process(["-m", "beamfly", *words.split()], port)
    assert done.returncode == code
    assert out in done.stdout and error in done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def monitoring(port: int, output: int) -> Iterator[subprocess.Popen[str]]:
    """A camonitor that lives no longer than this."""
    command = [sys.executable, "-m", "beamfly", "camonitor", "-t", "n", "double"]
    with subprocess.Popen(
        command,
        env=environment(port),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
    ) as tool:
        try:
            yield tool
        finally:
            tool.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_camonitor_prints_at_once_and_ends_with_ctrl_c(port: int) -> None:
    with monitoring(port, subprocess.PIPE) as tool:
        assert tool.stdout is not None
        assert tool.stdout.readline().split() == ["double", "2.5"]
        tool.send_signal(signal.SIGINT)
        assert tool.communicate(timeout=50) == ("", "")
    assert tool.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_tools_end_when_nobody_reads_them(port: int) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = process(["-m", "beamfly", "caget", "double"], port, stdout=writes)
        assert (done.returncode, done.stderr) == (1, "")
        with monitoring(port, writes) as tool:
            assert tool.communicate(timeout=50) == (None, "")
        assert tool.returncode == 1
    finally:
        os.close(writes)
