"""How a scan server writes numbers, texts, times and durations.

The original is a Java program, and its clients read what Java prints: `3.0`, `1.0E9`,
`NaN`. `parse_value` reads what stands in a `<value>`, `java_double` and `value_text`
write it. Nothing here knows of XML.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from beamfly.errors import BadValue

Scalar = float | int | str
"""What a device can be set to or compared with."""

_JAVA_DOUBLE = re.compile(
    r"[+-]?(NaN|Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?)"
)


def java_double(value: float) -> str:
    """A number as `Double.toString` of Java prints it: 3.0, 1.0E9, NaN."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e7:
        return repr(float(value))
    mantissa, _, exponent = f"{float(value)!r}".partition("e")
    if not exponent:
        sign = "-" if value < 0 else ""
        whole, _, fraction = mantissa.lstrip("-").partition(".")
        digits = (whole + fraction).lstrip("0").rstrip("0")
        leading = len(whole) - 1
        if whole == "0":
            leading = -(len(fraction) - len(fraction.lstrip("0")) + 1)
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{leading}"
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}E{int(exponent)}"


def parse_double(text: str) -> float:
    """A number as Java reads it; BadValue if it is none.

    Hexadecimal, thousands separators and Python's underscores are no numbers.
    """
    text = text.strip()
    if not _JAVA_DOUBLE.fullmatch(text):
        raise BadValue(f"For input string: {text!r}: a number is needed")
    return _float(text)


def _float(text: str) -> float:
    """A text that is a number for Java."""
    return float(text[:-1] if text[-1] in "fFdD" else text)


def parse_value(text: str) -> float | str:
    """What a `<value>` says: a number, or a text (in double quotes or not).

    Blank is 0.0, a leading quote makes a text of anything, its closing quote may be
    missing.
    """
    text = text.strip()
    if not text:
        return 0.0
    if text.startswith('"'):
        return text[1:-1] if text.endswith('"') and len(text) > 1 else text[1:]
    return _float(text) if _JAVA_DOUBLE.fullmatch(text) else text


def scalar_text(value: Scalar) -> str:
    """A desired value as messages show it: numbers as doubles, texts bare."""
    return value if isinstance(value, str) else java_double(float(value))


def array_text(values: Sequence[Any]) -> str:
    """An array as logged: `[1.5, 2.0]`."""
    return "[" + ", ".join(value_text(item) for item in values) + "]"


def value_text(value: Any) -> str:
    """A reading as logged: floats as doubles, integers plain, arrays in brackets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, (int, str)):
        return str(value)
    return array_text(value)


_NEVER_NUMBERS = frozenset('[(" ')


def parse_reading(text: str) -> float | str:
    """A logged value back: a number where it is one, else the text itself."""
    if not text or text[0] in _NEVER_NUMBERS:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    # Python takes a few spellings for numbers that Java does not
    return number if _JAVA_DOUBLE.fullmatch(text) else text


def printable(text: str) -> str:
    """Text without what XML 1.0 cannot carry: such characters become `_`."""
    return _UNPRINTABLE.sub("_", text)


_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class EnumValue:
    """A reading of an enumerated PV."""

    index: int
    """0 is the first label."""
    label: str
    """What is logged and compared with texts."""


def clock_text(seconds: float) -> str:
    """A duration as `HH:MM:SS`, with milliseconds below one second."""
    if math.isinf(seconds):
        return "for ever"
    seconds = max(0.0, seconds)
    whole = int(seconds)
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return text if seconds >= 1 else f"{text}.{int(seconds * 1000):03d}"


def whole_clock_text(seconds: float) -> str:
    """A duration as `HH:MM:SS`, fractions dropped."""
    if not math.isfinite(seconds):
        return "for ever"
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def parseSeconds(text: str | float) -> float:  # noqa: N802
    """Seconds in `HH:MM:SS`, `MM:SS`, `12.5` or a number.

    Raises:
        BadValue: if it is none of them.
    """
    if isinstance(text, (int, float)):
        return float(text)
    parts = text.strip().split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3:
        raise BadValue(f"{text!r} is no time: say HH:MM:SS, MM:SS or seconds")
    total = 0.0
    for number in numbers:
        total = total * 60 + number
    return total


def formatSecondsAsTime(seconds: float) -> str:  # noqa: N802
    """Seconds as `HH:MM:SS`, rounded to the nearest second."""
    return whole_clock_text(float(round(seconds)))
