"""What a fresh process costs: importing a client, reading one PV, or a thousand.

`python -m benchmarks.ca.startup [--rounds N]` prints medians, interleaved: ms until the
process has ended, and its CPU ms. `python -c pass` is what Python alone takes,
`asyncio` what no client for asyncio can do without. Reads ask a C IOC. All modules are
compiled before the first round, as those that pip has installed are.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.ca.compare import environment
from benchmarks.ca.compare import running as c_ioc

BIN = Path(sys.executable).parent
IMPORTS = {
    "python -c pass": "pass",
    "asyncio": "import asyncio",
    "own package": "import beamfly.ca",
    "own asyncio": "from beamfly.ca.asyncio import Client",
    "own caget": "from beamfly.ca import caget",
    "own blocking": "from beamfly.ca.blocking import Client",
    "own epics": "from beamfly.epics import caget",
    "CaChannel": "import CaChannel",
    "pyepics": "import epics.ca",
    "aioca": "import aioca",
    "cothread": "import cothread.catools",
    "caproto": "import caproto.threading.client",
}
AIO = "import asyncio; from {0} import caget; print(asyncio.run(one()))"
ONE = "async def one(): return await caget('B:0')\n"
READS = {
    "beamfly caget": [str(BIN / "beamfly"), "caget", "B:0"],
    "own caget": [
        *(sys.executable, "-c"),
        ONE + AIO.format("beamfly.ca"),
    ],
    "own blocking": [
        *(sys.executable, "-c"),
        "from beamfly.ca.blocking import Client\n"
        "with Client() as c: print(c.connect('B:0').get())",
    ],
    "own read, array": [
        *(sys.executable, "-c"),
        "from beamfly.ca.blocking import read; print(read('B:0').data)",
    ],
    "own epics": [
        *(sys.executable, "-c"),
        "from beamfly.epics import caget; print(caget('B:0'))",
    ],
    "CaChannel": [
        *(sys.executable, "-c"),
        "from CaChannel import CaChannel as C; c=C('B:0'); c.searchw(); "
        "print(c.getw())",
    ],
    "pyepics": [sys.executable, "-c", "import epics; print(epics.caget('B:0'))"],
    "aioca": [sys.executable, "-c", ONE + AIO.format("aioca")],
    "cothread": [
        *(sys.executable, "-c"),
        "from cothread.catools import caget; print(caget('B:0'))",
    ],
    "caproto-get": [str(BIN / "caproto-get"), "--no-repeater", "B:0"],
}
NAMES = "names = [f'B:{n}' for n in range(1000)]\n"
ALL = NAMES + "async def one(): return await caget(names)\n"
MANY = {
    "own blocking": "from beamfly.ca.blocking import Client\n"
    "with Client() as c: print(sum(c.get_many(c.connect_many(names))))",
    "own caget": ALL + AIO.format("beamfly.ca"),
    "own epics": "from beamfly.epics import caget_many; print(caget_many(names))",
    "CaChannel": "from CaChannel import ca\n"
    "ca.create_context(True)\n"
    "channels = [ca.create_channel(name)[1] for name in names]\n"
    "ca.pend_io(10)\n"
    "values = [ca.get(channel)[1] for channel in channels]\n"
    "ca.pend_io(10)\n"
    "print(sum(value.get() for value in values))",
    "pyepics": "import epics; print(epics.caget_many(names))",
    "aioca": ALL + AIO.format("aioca"),
}
MODULES = {
    **{"CaChannel": "CaChannel", "pyepics": "epics", "aioca": "aioca"},
    **{"cothread": "cothread", "caproto": "caproto", "caproto-get": "caproto"},
}


def took(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU ms of a process; it must do well."""
    before, start = cpu_seconds(), time.perf_counter()
    subprocess.run(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).check_returncode()
    wall = time.perf_counter() - start
    return 1e3 * wall, 1e3 * (cpu_seconds() - before)


def cpu_seconds() -> float:
    """Of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(
    title: str, commands: dict[str, list[str]], env: dict[str, str], rounds: int
) -> None:
    """Medians of all commands, interleaved, after a round that does not count."""
    commands = {
        name: command
        for name, command in commands.items()
        if name not in MODULES or find_spec(MODULES[name])
    }
    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(1 + rounds):
        for name, command in commands.items():
            row = took(command, env)
            if turn:
                found.setdefault(name, []).append(row)
    print(title)
    for name, rows in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"  {name:16s} {wall:8.1f} ms wall {cpu:8.1f} ms cpu", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    imports = {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        compiled = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": folder}
        table("import", imports, {**os.environ, **compiled}, rounds)
        records = "\n".join(f'record(ao, "B:{n}") {{}}' for n in range(1000))
        with c_ioc(Path(folder), records) as ioc:
            env = {**environment(ioc), **compiled}
            table("one read", READS, env, rounds)
            many = {name: [*READS[name][:2], NAMES + MANY[name]] for name in MANY}
            table("a thousand reads", many, env, rounds)


if __name__ == "__main__":
    main()
