"""The protocol itself does no input or output and knows no clock."""

import ast
from pathlib import Path

import pytest

import beamfly.ca

FORBIDDEN = {
    *("asyncio", "logging", "os", "random", "select", "selectors", "socket"),
    *("threading", "time"),
}
CORES = (
    *("beacons", "channel", "circuit", "client", "client_circuit", "datagrams", "dbr"),
    *("framing", "header", "lanes", "ledger", "message", "messages", "payloads"),
    *("pending", "raw_circuit", "readings", "requests", "rules", "runs", "search"),
    "status",
)


def imported(module: str, seen: set[str]) -> set[str]:
    """Everything that a module of the package imports, through others of its own."""
    if module in seen:
        return set()
    seen.add(module)
    path = Path(beamfly.ca.__file__).parent / f"{module}.py"
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "beamfly.ca":
                names = [f"beamfly.ca.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("beamfly.ca."):
                found |= imported(name.removeprefix("beamfly.ca."), seen)
            else:
                found.add(name.partition(".")[0])
    return found


@pytest.mark.parametrize("module", CORES)
def test_no_input_no_output_no_clock(module: str) -> None:
    assert not imported(module, set()) & FORBIDDEN
