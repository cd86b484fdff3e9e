"""Cells of a table that stand for several values: ranges, lists and loops.

`range(5)`, `range(1, 10, 2)`, `[1, 4, 9]` and `('in', 'out')` make one row of each
value; `loop(1, 10)` becomes a command. Cells are read as literals and never executed.
"""

# ruff: noqa: N802 - names are those that scripts have used for years

import ast
import math
import re
from collections.abc import Sequence
from typing import Any, cast

from beamfly.errors import BadValue

_NUMBER = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*"
_CALL = rf"\s*{{name}}\s*\(({_NUMBER}(?:,{_NUMBER}){{{{0,2}}}})\)\s*"
range_matcher = re.compile(_CALL.format(name="range"), re.IGNORECASE)
"""Matches `range(end)`, `range(start, end)` and `range(start, end, step)`."""
loop_matcher = re.compile(_CALL.format(name="loop"), re.IGNORECASE)
"""Matches `loop(end)`, `loop(start, end)` and `loop(start, end, step)`."""
_ANY_CALL = re.compile(r"\s*(range|loop)\s*\(.*\)\s*", re.IGNORECASE)

MOST_VALUES = 1_000_000


def getRangeOrLoop(
    cell: str, matcher: re.Pattern[str]
) -> tuple[float, float, float] | None:
    """Start, end and step of a cell; None if the matcher does not match it."""
    match = matcher.fullmatch(cell)
    if match is None:
        return None
    numbers = [float(part) for part in match[1].split(",")]
    if len(numbers) == 1:
        return 0.0, numbers[0], 1.0
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 1.0


def _range(cell: str, start: float, end: float, step: float) -> list[float]:
    """Values from start in steps, end excluded."""
    if step == 0:
        raise BadValue(f"{cell.strip()} has a step of 0")
    # 0.3 / 0.1 is a hair below 3, and 3 steps are meant
    steps = (end - start) / step
    near = round(steps)
    count = near if math.isclose(steps, near, abs_tol=1e-9) else math.ceil(steps)
    if count > MOST_VALUES:
        raise BadValue(f"{cell.strip()} has more than {MOST_VALUES} values")
    # twelve digits drop what binary fractions leave at the end
    return [float(f"{start + i * step:.12g}") for i in range(max(0, count))]


def getIterable(cell: str) -> list[Any] | None:
    """The values of a cell; None if it stands for one value.

    Raises:
        BadValue: it looks like a range or a list and is none.
    """
    numbers = getRangeOrLoop(cell, range_matcher)
    if numbers is not None:
        values = _range(cell, *numbers)
        whole = "," not in cell and all(value.is_integer() for value in values)
        return [int(value) for value in values] if whole else list(values)
    text = cell.strip()
    if text[:1] + text[-1:] in ("[]", "()"):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            msg = f"{text} is no list: texts in it need quotes"
            raise BadValue(msg) from None
        return list(cast(Sequence[Any], found)) if _is_list(found) else [found]
    if _ANY_CALL.fullmatch(text) and getRangeOrLoop(text, loop_matcher) is None:
        raise BadValue(f"{text} needs one to three numbers: (start, end, step)")
    return None


def _is_list(found: Any) -> bool:
    return isinstance(found, (list, tuple))


def cell_text(value: Any) -> str:
    """A value as a cell: numbers with twelve digits, blanks around texts dropped."""
    if isinstance(value, float):
        return f"{value:.12g}"
    return "" if value is None else str(value).strip()


def expandRangeInRow(row: Sequence[Any]) -> list[list[Any]]:
    """Rows for the leftmost range or list in a row; just that row if there is none.

    An empty range leaves a blank cell.
    """
    for column, cell in enumerate(row):
        values = getIterable(cell) if isinstance(cell, str) else None
        if values is not None:
            filled = [cell_text(value) for value in values] or [""]
            return [[*row[:column], text, *row[column + 1 :]] for text in filled]
    return [list(row)]


def expandRanges(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """All rows with every range expanded; what is on the left varies slowest."""
    done: list[list[Any]] = []
    for row in rows:
        expanded = expandRangeInRow(row)
        if len(expanded) == 1 and expanded[0] == list(row):
            done.append(list(row))
        else:
            done.extend(expandRanges(expanded))
    return done
