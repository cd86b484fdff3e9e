"""Runs the Python of a documentation page and compares what it prints.

A page with `run: true` in its front matter is run: all its ```python blocks, in order
and in one namespace. A ```text block that follows one directly is what the block must
print; `...` stands for anything, and spaces do not count. Blocks marked
```python no-run are left out. `python page_runner.py PAGE` runs a page in the present
directory, and exits with 1 and a comparison if it says what is not so.
"""

import contextlib
import doctest
import io
import re
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

FENCE = re.compile(
    r"^```(?P<kind>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL
)
FRONT_MATTER = re.compile(r"\A---\n(?P<text>.*?)^---$", re.MULTILINE | re.DOTALL)
HOW = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    """A block of Python on a page."""

    line: int
    """The line of the page on which it begins."""
    code: str
    """What to run."""
    output: str | None = None
    """What it should print; None if the page does not say."""


def is_run(page: str) -> bool:
    """Tell whether the page asks to be run."""
    matter = FRONT_MATTER.match(page)
    return bool(matter and re.search(r"^run: true$", matter["text"], re.MULTILINE))


def blocks(page: str) -> list[Block]:
    """Find the blocks to run, with what they should print."""
    found: list[Block] = []
    end = 0
    for fence in FENCE.finditer(page):
        kind = fence["kind"].strip()
        if kind == "python":
            line = page.count("\n", 0, fence.start("text")) + 1
            found.append(Block(line, fence["text"]))
        elif kind == "text" and found and not page[end : fence.start()].strip():
            found[-1].output = fence["text"]
        end = fence.end()
    return found


def run(page: str, name: str) -> str:
    """Run a page; give what is wrong with it, or nothing."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    if "panda" in page.lower():
        _have_patience()
    for block in blocks(page):
        printed = io.StringIO()
        # as many lines above as on the page, so that a traceback tells its line
        code = "\n" * (block.line - 1) + block.code
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, name, "exec"), namespace)
        except Exception:
            return traceback.format_exc()
        if block.output is not None and not _same(block.output, printed.getvalue()):
            return (
                f"{name}, line {block.line}: this block should print\n{block.output}\n"
                f"but prints\n{printed.getvalue()}"
            )
    return ""


def _have_patience() -> None:
    """ophyd-async gives a PandA one second to begin, whatever else a machine does."""
    logic: Any = import_module("ophyd_async.fastcs.panda._fly_logic")
    wait = logic.wait_for_value

    async def wait_for_value(signal: Any, match: Any, timeout: Any) -> None:
        await wait(signal, match, 30 if timeout == 1 else timeout)

    logic.wait_for_value = wait_for_value


def _same(expected: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(expected, printed, HOW)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    wrong = run(path.read_text(), path.name)
    print(wrong or f"{path.name} is right")
    sys.exit(1 if wrong else 0)
