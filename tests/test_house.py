"""The house's budgets, on every module of the package."""

import ast
from pathlib import Path

import grimp
import pytest

SRC = Path(__file__).parent.parent / "src" / "beamfly"
MODULES = sorted(SRC.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
INPUT_OUTPUT_CLOCK = (
    *("aiohttp", "asyncio", "httpx", "os", "random", "selectors", "socket"),
    *("sqlite3", "threading", "time"),
)
SHELLS = {
    "beamfly.ca": (
        *("asyncio", "asyncio_channel", "asyncio_many", "asyncio_wire", "blocking"),
        *("blocking_client", "blocking_monitor", "catools", "channel_info", "config"),
        *("default_client", "driver", "monitors", "operations", "pv_lists"),
        *("server_asyncio", "server_sockets"),
        *("server_thread", "session", "sockets"),
    ),
    "beamfly.panda": (
        *("asyncio", "batch", "blocking", "capture", "capture_file"),
        "capture_threads",
        *("data_socket", "data_stream", "datasets", "handover", "hdf", "pipeline"),
        *("simulator.server", "simulator.sockets", "sockets", "table_stream"),
    ),
    "beamfly.scan": (
        *("aioclient", "client", "connection", "scripts", "server", "sqlite"),
    ),
}
"""Modules with sockets, threads, files or clocks; all others are cores."""
VAGUE = {"utils", "util", "common", "base", "helpers", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_module_keeps_its_budget(path: Path) -> None:
    text = path.read_text()
    assert path.stem not in VAGUE
    assert len(text.splitlines()) <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            has_doc = isinstance(first, ast.Expr) and isinstance(
                first.value, ast.Constant
            )
            start = (first.end_lineno or 0) + 1 if has_doc else node.lineno
            length = (node.end_lineno or 0) - start + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_importing_the_package_does_nothing() -> None:
    import subprocess
    import sys

    script = (
        "import sys, threading, beamfly; "
        "bad = {'asyncio', 'socket', 'numpy', 'h5py', 'bluesky'} & set(sys.modules); "
        "sys.exit(f'imported {bad}' if bad or threading.active_count() > 1 else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("room", SHELLS)
def test_cores_do_no_input_or_output_and_know_no_clock(room: str) -> None:
    graph = grimp.build_graph("beamfly", include_external_packages=True)
    shells = {room, *(f"{room}.{name}" for name in SHELLS[room])}
    assert shells <= graph.modules
    forbidden = [name for name in INPUT_OUTPUT_CLOCK if name in graph.modules]
    cores = {m for m in graph.modules if m.startswith(f"{room}.")} - shells
    assert cores
    for core in sorted(cores):
        for name in forbidden:
            chain = graph.find_shortest_chain(core, name)
            assert chain is None, f"{core} imports {name}: {chain}"
