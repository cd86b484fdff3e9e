"""Docstrings are written in Markdown; this hands them to Sphinx as reStructuredText.

Only what the docstrings of this package use is known: `code`, fenced blocks, lists,
and Google sections, which napoleon does afterwards.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

FENCE = re.compile(r"^(?P<indent>\s*)```(?P<language>\S*)\s*$")
LIST_ITEM = re.compile(r"^\s*([-*]|\d+\.)\s")
SECTION = re.compile(r"^(Args|Attributes|Examples?|Notes?|Raises|Returns|Yields):$")
CODE = re.compile(r"(`+)(?P<code>.+?)\1", re.DOTALL)
MARKUP = re.compile(r"^(?P<bullet>\s*\*\s)|[*|\\]|(?<=\w)_(?=\W|$)", re.MULTILINE)
CODE_INDENT = 4


def in_restructured_text(lines: Iterable[str]) -> list[str]:
    """Translate the lines of one docstring."""
    found: list[str] = []
    text: list[str] = []
    rest = iter(_fenced(list(lines)))
    for line in rest:
        fence = FENCE.match(line)
        if fence:
            found += _prose(text)
            text = []
            found += _block(fence, rest)
        else:
            text.append(line)
    return found + _prose(text)


def _fenced(lines: list[str]) -> Iterator[str]:
    """Put fences around code that is only indented."""
    above, inside, fenced = "", False, False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if inside and line.strip() and indent < CODE_INDENT:
            inside = False
            yield "```"
        fenced ^= bool(FENCE.match(line))
        free = not (inside or fenced or SECTION.match(above)) and _indent(above) < 4
        if free and indent >= CODE_INDENT and number and not lines[number - 1].strip():
            inside = True
            yield "```python"
        yield line[CODE_INDENT:] if inside else line
        above = line if line.strip() else above
    if inside:
        yield "```"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(fence: re.Match[str], rest: Iterator[str]) -> Iterator[str]:
    indent, language = fence["indent"], fence["language"] or "text"
    yield from ("", f"{indent}.. code-block:: {language}", "")
    for line in rest:
        if FENCE.match(line):
            break
        yield f"{indent}    {line.removeprefix(indent)}".rstrip()
    yield ""


def _prose(lines: list[str]) -> list[str]:
    return list(_spaced(_escaped("\n".join(lines)).split("\n"))) if lines else []


def _escaped(text: str) -> str:
    """Double the backticks of code, and take the meaning from signs outside of it."""
    found: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        found.append(MARKUP.sub(_without_meaning, text[end : code.start()]))
        # no line break within, but as many lines as before
        found.append(f"``{' '.join(code['code'].split())}``")
        found.append("\n" * code["code"].count("\n"))
        if text[code.end() :][:1].isalnum():  # as in `Run`s
            found.append("\\ ")
        end = code.end()
    found.append(MARKUP.sub(_without_meaning, text[end:]))
    return "".join(found)


def _without_meaning(sign: re.Match[str]) -> str:
    return sign[0] if sign["bullet"] else f"\\{sign[0]}"


def _spaced(lines: list[str]) -> Iterator[str]:
    """Put an empty line before each list, which Markdown does not need."""
    before, in_list = "", False
    for line in lines:
        item = bool(LIST_ITEM.match(line))
        if item and before.strip() and not in_list:
            yield ""
        in_list = item or (in_list and (not line.strip() or _indent(line) > 0))
        yield line
        before = line


def on_docstring(*arguments: Any) -> None:
    """Translate a docstring in place; its lines are the last argument."""
    what, lines = arguments[1], arguments[-1]
    # napoleon takes what stands before the first colon of these for a type
    above = [""] if what in ("attribute", "data", "property") else []
    lines[:] = above + in_restructured_text(lines)


def on_signature(*arguments: Any) -> tuple[str | None, str | None]:
    """Write defaults that are made anew for each object as an ellipsis."""
    signature, returns = arguments[-2:]
    return signature and signature.replace("<factory>", "..."), returns


def setup(app: Any) -> dict[str, bool]:
    """Come before napoleon, which is connected with priority 500."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", on_docstring, priority=400)
    app.connect("autodoc-process-signature", on_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
