"""The house's budgets, on every module of the package."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "beamfly"
MODULES = sorted(SRC.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
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
