"""The pages of the documentation do what they say."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page_runner import blocks, is_run, run

ROOT = Path(__file__).parent.parent.parent / "docs"
ALL = sorted(path for path in ROOT.rglob("*.md") if "_build" not in path.parts)
PAGES = [path for path in ALL if is_run(path.read_text())]
AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_is_right(path: Path, tmp_path: Path) -> None:
    runner = Path(__file__).parent / "page_runner.py"
    command = [sys.executable, str(runner), str(path)]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=290
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_that_is_run_checks_something(path: Path) -> None:
    assert any(block.output for block in blocks(path.read_text()))


@pytest.mark.parametrize("path", ALL, ids=name)
def test_python_on_a_page_is_python_and_what_it_imports_is_there(path: Path) -> None:
    for code in PYTHON.findall(path.read_text()):
        tree = compile(code, path.name, "exec", AWAIT | ast.PyCF_ONLY_AST)
        for node in ast.walk(tree):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.startswith("beamfly"):
                found = importlib.import_module(module)
                assert [n.name for n in node.names if not hasattr(found, n.name)] == []


def test_tutorials_are_run() -> None:
    lessons = set((ROOT / "tutorials").glob("*.md")) - {ROOT / "tutorials/index.md"}
    # those are run when the documentation is built
    notebooks = {path for path in lessons if "file_format: mystnb" in path.read_text()}
    assert lessons - notebooks
    assert lessons <= set(PAGES) | notebooks


PAGE = """---
run: true
---
# A lesson

```python
x = 3
print("x is", x)
```

```text
x is 3
```

Some text.

```text
not an output
```

```python no-run
raise SystemExit
```

```sh
exit 1
```

```python
print(x + 1)
```
"""


def test_a_right_page() -> None:
    assert is_run(PAGE)
    assert run(PAGE, "page.md") == ""
    assert [(b.line, b.output) for b in blocks(PAGE)] == [(7, "x is 3\n"), (30, None)]


def test_a_page_is_run_only_if_it_asks_for_it() -> None:
    assert not is_run("# A page\n\nrun: true\n")
    assert not is_run(PAGE.replace("run: true", "run: false"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("x is 3\n```", "x is 4\n```", "page.md, line 7: this block should print\nx"),
        ("x is 3\n```", "x is 3\nand more\n```", "but prints\nx is 3"),
        ("x = 3", "x = 1 / 0", 'File "page.md", line 7, in <module>'),
        ("x = 3", "x = = 3", "SyntaxError"),
        ("print(x + 1)", "print(y)", "NameError: name 'y' is not defined"),
    ],
)
def test_a_wrong_page(old: str, new: str, reason: str) -> None:
    assert reason in run(PAGE.replace(old, new, 1), "page.md")


def test_anything_may_stand_for_dots() -> None:
    page = PAGE.replace("x is 3\n```", "x ...\n```")
    assert run(page, "page.md") == ""
