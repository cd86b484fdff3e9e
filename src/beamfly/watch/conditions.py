"""What to watch for, as text: `condition("< 50", until=">= 80")`.

Forms: `< 50`, `<= 50`, `> 50`, `>= 50`, `== Closed`, `!= Open`, `outside(1, 2)`,
`inside(1, 2)`, `in_alarm`, `in_alarm(MAJOR)`. No number is compared with a text.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from beamfly.errors import BadValue

FORMS = (
    "< 50, <= 50, > 50, >= 50, == Closed, != Open, outside(1, 2), inside(1, 2), "
    "in_alarm, in_alarm(MAJOR)"
)
SEVERITIES = {"MINOR": 1, "MAJOR": 2, "INVALID": 3}
"""Alarm severities by name."""


def _outside(value: Any, low: float, high: float) -> bool:
    return not low <= value <= high


def _inside(value: Any, low: float, high: float) -> bool:
    return low <= value <= high


@dataclass(frozen=True)
class _Kind:
    """A sort of comparison."""

    holds: Callable[..., bool]
    """Of the value, and what it is compared with."""
    opposite: str
    """What holds when this one does not."""
    shifts: tuple[int, ...] = ()
    """Which way each number goes for the opposite to need more than the threshold."""


COMPARISONS: Mapping[str, _Kind] = {
    "<": _Kind(operator.lt, ">=", (1,)),
    "<=": _Kind(operator.le, ">", (1,)),
    ">": _Kind(operator.gt, "<=", (-1,)),
    ">=": _Kind(operator.ge, "<", (-1,)),
    "==": _Kind(operator.eq, "!="),
    "!=": _Kind(operator.ne, "=="),
    "outside": _Kind(_outside, "inside", (1, -1)),
    "inside": _Kind(_inside, "outside", (-1, 1)),
}


@dataclass(frozen=True)
class Test:
    """One comparison."""

    kind: str
    """A key of COMPARISONS, or in_alarm or no_alarm."""
    operands: tuple[Any, ...]
    """Thresholds, or the text to compare with; of an alarm the least severity."""

    @property
    def text(self) -> str:
        """As people write it."""
        if self.kind in ("in_alarm", "no_alarm"):
            name = next(n for n, s in SEVERITIES.items() if s == self.operands[0])
            least = "" if name == "MINOR" else f"({name})"
            return f"{self.kind}{least}"
        shown = [f"{o:g}" if isinstance(o, float) else str(o) for o in self.operands]
        if self.kind in ("outside", "inside"):
            return f"{self.kind}({', '.join(shown)})"
        return f"{self.kind} {shown[0]}"

    @property
    def ordered(self) -> bool:
        """Whether it needs a number."""
        return self.kind in COMPARISONS and bool(COMPARISONS[self.kind].shifts)

    @property
    def of_alarm(self) -> bool:
        """Whether it is about the severity and not about the value."""
        return self.kind not in COMPARISONS

    def holds(self, value: Any, severity: int) -> bool:
        """Whether it is so.

        Args:
            value: What is compared.
            severity: 0 to 3.
        """
        if self.of_alarm:
            return (severity >= self.operands[0]) == (self.kind == "in_alarm")
        return bool(COMPARISONS[self.kind].holds(value, *self.operands))

    def opposite(self, hysteresis: float) -> "Test":
        """What ends it: that it does not hold, by a margin."""
        if self.of_alarm:
            other = "no_alarm" if self.kind == "in_alarm" else "in_alarm"
            return Test(other, self.operands)
        kind = COMPARISONS[self.kind]
        if hysteresis and not kind.shifts:
            msg = f"hysteresis makes no sense for {self.text!r}; nothing is watched"
            raise BadValue(msg)
        shifts = kind.shifts or (0,) * len(self.operands)
        moved = tuple(
            operand + shift * hysteresis if shift else operand
            for operand, shift in zip(self.operands, shifts, strict=True)
        )
        if self.kind == "outside" and moved[0] > moved[1]:
            msg = (
                f"nothing is inside {self.text[7:]} by a margin of {hysteresis:g}; "
                "nothing is watched"
            )
            raise BadValue(msg)
        return Test(kind.opposite, moved)


@dataclass(frozen=True)
class Condition:
    """When something begins, and when it ends."""

    begins: Callable[[Any, int], bool]
    """Of value and severity."""
    ends: Callable[[Any, int], bool]
    """What has to hold for it to end, once it does not begin any more."""
    text: str
    """What begins it, in words."""
    until: str
    """What ends it, in words."""
    ordered: bool = False
    """Whether the value has to be a number."""
    of_alarm: bool = False
    """Whether only the severity counts."""


def condition(
    what: str | Callable[[Any], Any],
    until: str | None = None,
    hysteresis: float = 0.0,
) -> Condition:
    """Understand what somebody wants to be told of.

    Args:
        what: One of the forms, or a function that is given the value.
        until: What ends it, another of the forms; None: that it does not hold.
        hysteresis: How far beyond the threshold the value has to come back.

    Raises:
        BadValue: It is not understood; lists the forms.
    """
    if hysteresis < 0 or (until is not None and hysteresis):
        msg = (
            f"hysteresis is {hysteresis:g}: it has to be 0 or more, and goes without "
            "until; nothing is watched"
        )
        raise BadValue(msg)
    if callable(what):
        return _of_function(what, until, hysteresis)
    begins = parse(what)
    ends = begins.opposite(hysteresis) if until is None else parse(until)
    return Condition(
        begins.holds,
        ends.holds,
        begins.text,
        ends.text,
        begins.ordered or ends.ordered,
        begins.of_alarm and ends.of_alarm,
    )


def _of_function(
    what: Callable[[Any], Any], until: str | None, hysteresis: float
) -> Condition:
    name = getattr(what, "__name__", repr(what))
    if hysteresis:
        msg = f"hysteresis makes no sense for {name}; nothing is watched"
        raise BadValue(msg)

    def begins(value: Any, severity: int) -> bool:
        return bool(what(value))

    if until is not None:
        test = parse(until)
        return Condition(begins, test.holds, name, test.text, test.ordered)
    return Condition(begins, lambda value, severity: True, name, f"not {name}")


_COMPARISON = re.compile(r"(<=|>=|==|!=|<|>)\s*(.+)")
_BAND = re.compile(r"(outside|inside)\s*\((.+),(.+)\)")
_ALARM = re.compile(r"(in_alarm|no_alarm)\s*(?:\(\s*(\w*)\s*\))?")


def parse(text: str) -> Test:
    """Understand one of the forms; BadValue lists them."""
    text = text.strip()
    if found := _COMPARISON.fullmatch(text):
        kind, operand = found[1], _literal(found[2])
        if COMPARISONS[kind].shifts:
            return Test(kind, (_number(operand, text),))
        return Test(kind, (operand,))
    if found := _BAND.fullmatch(text):
        low, high = (_number(_literal(found[i]), text) for i in (2, 3))
        if low < high:
            return Test(found[1], (low, high))
    if found := _ALARM.fullmatch(text):
        least = SEVERITIES.get((found[2] or "MINOR").upper())
        if least is not None:
            return Test(found[1], (least,))
    msg = f"{text!r} is not understood, forms are {FORMS}; nothing is watched"
    raise BadValue(msg)


def _literal(text: str) -> Any:
    """A Python literal, or the text itself."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
    return value if isinstance(value, str | int | float) else text.strip()


def _number(value: Any, text: str) -> float:
    if isinstance(value, str) or not math.isfinite(value):
        msg = f"{text!r} needs a number, forms are {FORMS}; nothing is watched"
        raise BadValue(msg)
    return float(value)
